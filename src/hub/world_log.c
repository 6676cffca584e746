#include "hub/world_log.h"
#include "game/world.h"
#include "hub/worker.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

constexpr size_t buffer_size = 8 * 1024 * 1024; /* each of two; touched as they fill */
constexpr size_t end_size = 512; /* of both bounds, kept for the entries that end a log */
static_assert(end_size >= 3 * 128, "a tick, the end, and some to spare");

/* --- The file --------------------------------------------------------------------------------- */

/* The one that is there may be all that is left of a crash; an empty one is what a start has left
 * that came to nothing. */
static bool keep_old(const char *path)
{
    char old[4096 + 8];
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return true;
    snprintf(old, sizeof old, "%s.old", path);
    return rename(path, old) == 0;
}

/* A pipe that nobody reads is an error, and does not keep the server from starting. */
static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd >= 0) fcntl(fd, F_SETFL, O_WRONLY);
    return fd;
}

static struct world_log *give_up(struct world_log *log, const char *path, struct writer *why)
{
    write_format(why, "the world's log %s cannot be written: %s", path, strerror(errno));
    world_log_free(log);
    return nullptr;
}

struct world_log *world_log_make(const struct config *config, struct writer *why)
{
    char path[4096];
    if (config->world_log.size == 0) return nullptr;
    if (config->world == nullptr) {
        write_text(why, TEXT("--world-log finds no world to write about; add --world-listen"));
        return nullptr;
    }
    snprintf(path, sizeof path, "%.*s", TEXT_ARG(config->world_log));
    struct world_log *log = calloc(1, sizeof *log);
    if (log == nullptr) return give_up(log, path, why);
    log->fd = -1;
    log->filling = writer_over(malloc(buffer_size), buffer_size);
    log->other = malloc(buffer_size);
    bool ready = log->filling.data != nullptr && log->other != nullptr && keep_old(path) &&
                 getrandom(&log->hide, sizeof log->hide, 0) == sizeof log->hide;
    if (ready) log->fd = open_file(path);
    if (log->fd < 0) return give_up(log, path, why);
    log->bytes_max = config->world_log_size;
    return log;
}

void world_log_free(struct world_log *log)
{
    if (log == nullptr) return;
    if (log->fd >= 0) close(log->fd);
    free(log->filling.data);
    free(log->other);
    free(log);
}

/* --- Entries ---------------------------------------------------------------------------------- */

static struct world_log *log_of(struct worker *worker, const struct hub_room *room)
{
    struct world_log *log = worker->world_log;
    return log != nullptr && log->is_on && room->room.kind == GAME_WORLD ? log : nullptr;
}

static const struct world *world_of(const struct worker *worker)
{
    const struct hub_room *room = worker->spanning[GAME_WORLD];
    return room != nullptr ? (const struct world *)room->state : nullptr;
}

static struct world_entry entry_of(const struct worker *worker, enum world_entry_kind kind)
{
    return (struct world_entry){.kind = kind, .ns = worker->now.ns, .wall_ms = worker->now.wall_ms};
}

/* Adds it whole, and returns nothing; or not at all, and returns why. `spare` stays free. */
static struct text add(struct world_log *log, const struct world_entry *entry, size_t spare)
{
    struct writer *out = &log->filling;
    size_t before = out->size;
    world_entry_write(out, entry);
    size_t size = out->size - before;
    bool has_place = !out->overflow && out->capacity - out->size >= spare;
    bool is_within = log->bytes + size + spare <= log->bytes_max;
    out->overflow = false;
    if (has_place && is_within) {
        log->bytes += size;
        return (struct text){};
    }
    out->size = before;
    return has_place ? TEXT("it has --world-log-size") : TEXT("the disk is too slow for it");
}

static void tell_end(struct worker *worker, struct world_log *log, enum log_level level,
                     struct text why)
{
    LOG(&worker->log, worker->now, level, "world_log_ended", LOG_T("why", why),
        LOG_U("inputs", log->inputs), LOG_U("ticks", log->ticks), LOG_U("bytes", log->bytes),
        LOG_U("hash", log->hash));
}

/* The state is as after the last entry: its hash says whether who plays it again comes to it. */
static void end(struct worker *worker, struct world_log *log, enum log_level level, struct text why)
{
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_END);
    const struct world *world = world_of(worker);
    log->is_on = false;
    if (world != nullptr) log->hash = world_hash(world);
    entry.numbers[0] = log->inputs;
    entry.numbers[1] = log->hash;
    (void)add(log, &entry, 0);
    tell_end(worker, log, level, why);
}

static bool add_or_end(struct worker *worker, struct world_log *log,
                       const struct world_entry *entry, size_t spare)
{
    struct text why = add(log, entry, spare);
    if (why.size > 0) end(worker, log, LOG_WARN, why);
    return why.size == 0;
}

static void add_input(struct worker *worker, struct world_log *log, const struct world_entry *entry)
{
    if (add_or_end(worker, log, entry, end_size)) log->inputs += 1;
}

void world_log_open(struct worker *worker, const struct game_opening *opening, struct text file)
{
    struct world_log *log = worker->world_log;
    if (log == nullptr) return;
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_OPEN);
    log->is_on = true;
    world_entry_from_options(&entry, opening->seed, opening->options);
    entry.texts[0] = file;
    write_text(&log->filling, world_log_head);
    log->bytes = world_log_head.size;
    (void)add_or_end(worker, log, &entry, end_size);
}

static void add_member(struct worker *worker, const struct hub_room *room,
                       enum world_entry_kind kind, uint32_t member)
{
    struct world_log *log = log_of(worker, room);
    if (log == nullptr) return;
    struct world_entry entry = entry_of(worker, kind);
    entry.numbers[0] = member;
    add_input(worker, log, &entry);
}

void world_log_join(struct worker *worker, const struct hub_room *room, uint32_t member)
{
    add_member(worker, room, WORLD_ENTRY_JOIN, member);
}

void world_log_leave(struct worker *worker, const struct hub_room *room, uint32_t member)
{
    add_member(worker, room, WORLD_ENTRY_LEAVE, member);
}

void world_log_say(struct worker *worker, const struct hub_room *room, uint32_t member,
                   struct text text)
{
    uint8_t memory[4096];
    struct world_log *log = log_of(worker, room);
    if (log == nullptr) return;
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_SAY);
    assert(text.size <= sizeof memory && sizeof memory == game_world.message_size_max);
    entry.numbers[0] = member;
    entry.texts[0] = world_log_hide(memory, text, log->hide);
    add_input(worker, log, &entry);
}

void world_log_token(struct worker *worker, const struct hub_room *room, uint32_t member,
                     const struct game_guest *guest, struct text code)
{
    struct world_log *log = log_of(worker, room);
    if (log == nullptr) return;
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_TOKEN);
    entry.numbers[0] = member;
    entry.numbers[1] = guest != nullptr;
    entry.texts[0] = guest != nullptr ? guest->room : code;
    if (guest != nullptr) {
        entry.numbers[2] = guest->until_ms;
        entry.numbers[3] = guest->expires_wall_ms;
        entry.texts[1] = guest->player;
        entry.texts[2] = guest->name;
    }
    add_input(worker, log, &entry);
}

void world_log_map(struct worker *worker, struct text file)
{
    struct world_log *log = worker->world_log;
    if (log == nullptr || !log->is_on) return;
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_MAP);
    entry.texts[0] = file;
    add_input(worker, log, &entry);
}

void world_log_tick(struct worker *worker, const struct hub_room *room)
{
    struct world_log *log = log_of(worker, room);
    if (log == nullptr) return;
    struct world_entry entry = entry_of(worker, WORLD_ENTRY_TICK);
    log->hash = world_hash(world_of(worker));
    entry.numbers[0] = world_of(worker)->tick;
    entry.numbers[1] = log->hash;
    if (add_or_end(worker, log, &entry, end_size / 2)) log->ticks += 1;
}

void world_log_end(struct worker *worker, struct text why)
{
    struct world_log *log = worker->world_log;
    if (log != nullptr && log->is_on) end(worker, log, LOG_NOTICE, why);
}

/* --- To the kernel ---------------------------------------------------------------------------- */

bool world_log_waits(const struct worker *worker)
{
    const struct world_log *log = worker->world_log;
    return log != nullptr && (log->armed || log->writing.size > 0 || log->filling.size > 0);
}

void world_log_write(struct worker *worker)
{
    struct world_log *log = worker->world_log;
    if (log == nullptr || log->armed) return;
    if (log->writing.size == 0) {
        if (log->filling.size == 0) return;
        log->writing = writer_bytes(&log->filling);
        log->filling = writer_over(log->other, buffer_size);
        log->other = log->writing.data;
    }
    log->armed = ring_write(&worker->ring, (struct ring_token){.op = RING_WRITE, .slot = 1},
                            log->fd, log->writing);
}

void world_log_on_written(struct worker *worker, int32_t result)
{
    struct world_log *log = worker->world_log;
    log->armed = false;
    if (result > 0) log->writing = bytes_skip(log->writing, (size_t)result);
    if (result > 0 || result == -EINTR) return;
    log->is_on = false;
    log->writing.size = log->filling.size = 0;
    tell_end(worker, log, LOG_ERROR,
             text_of(result < 0 ? strerror(-result) : "nothing is written"));
}
