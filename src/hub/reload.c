#include "hub/reload.h"
#include "hub/tokens.h"
#include "hub/world_door.h"
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

void reload_init(struct reload *reload, struct hub *hub)
{
    const struct config *config = hub->config;
    *reload = (struct reload){.hub = hub};
    log_init(&reload->log, config->log_level, config->log_format == LOG_FORMAT_JSON, 0,
             config->log_burst);
}

/* This thread has no ring to ask. */
static struct instant read_clocks(void)
{
    struct timespec monotonic, wall;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct instant){
        .ns = (uint64_t)monotonic.tv_sec * 1'000'000'000 + (uint64_t)monotonic.tv_nsec,
        .wall_ms = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1'000'000};
}

/* Nobody may read stderr: then the lines are lost, and not this thread (THREATS.md O7). A pipe that
 * is ready takes 4 KiB, which is more than there is. */
static void write_log(struct log *log)
{
    constexpr int patience_ms = 100;
    struct bytes pending;
    while ((pending = log_pending(log)).size > 0) {
        struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
        ssize_t written = poll(&ready, 1, patience_ms) == 1
                              ? write(STDERR_FILENO, pending.data, pending.size)
                              : -1;
        if (written > 0)
            log_consume(log, (size_t)written);
        else
            log_discard(log, pending.size);
    }
}

static void fail(struct reload *reload, struct text why)
{
    LOG(&reload->log, read_clocks(), LOG_ERROR, "reload_failed", LOG_T("why", why),
        LOG_T("meaning", TEXT("the keys that were there before are still in use")));
}

/* Waits for the set that is not in use to come home from all workers; they turn many times a
 * second. False when some have not given it back within a second. */
static bool take_home(struct reload *reload)
{
    const struct timespec moment = {.tv_nsec = 1'000'000};
    for (uint32_t left = 1000; left > 0; left--) {
        struct mailbox_return *back = mailbox_take_returns(&reload->hub->keys_home);
        for (; back != nullptr; back = back->next)
            reload->away -= 1;
        if (reload->away == 0) return true;
        nanosleep(&moment, nullptr);
    }
    return false;
}

static void hand_out(struct reload *reload, struct key_set *set)
{
    reload->shown = 1 - reload->shown;
    reload->away = reload->hub->worker_count;
    for (uint32_t i = 0; i < reload->hub->worker_count; i++)
        while (!hub_post(reload->hub, i, (struct mail){.kind = MAIL_KEYS, .pointer = set}))
            sched_yield(); /* a mailbox that is full is being emptied */
}

static void tell(struct reload *reload, const struct auth_keys *keys)
{
    uint8_t memory[256];
    struct writer kinds = writer_over(memory, sizeof memory);
    for (uint8_t algorithm = 0; algorithm < jwt_algorithms; algorithm++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < keys->count; i++)
            count += keys->keys[i].algorithm == algorithm;
        if (count == 0) continue;
        if (kinds.size > 0) write_byte(&kinds, ' ');
        write_u64(&kinds, count);
        write_byte(&kinds, ' ');
        write_text(&kinds, jwt_algorithm_name((enum jwt_algorithm)algorithm));
    }
    LOG(&reload->log, read_clocks(), LOG_NOTICE, "keys_reloaded", LOG_U("keys", keys->count),
        LOG_T("kinds", text_from(writer_bytes(&kinds))), LOG_U("generation", keys->generation));
}

static void read_keys(struct reload *reload)
{
    char memory[512];
    struct writer why = writer_over(memory, sizeof memory);
    struct key_set *shown = &reload->hub->key_sets[reload->shown];
    struct key_set *spare = &reload->hub->key_sets[1 - reload->shown];
    if (!take_home(reload)) {
        fail(reload, TEXT("a worker is still busy with the reload before this one; try again"));
    } else if (!tokens_load_keys(&spare->keys, reload->hub->config, &why)) {
        fail(reload, text_from(writer_bytes(&why)));
    } else {
        spare->keys.generation = shown->keys.generation + 1;
        hand_out(reload, spare);
        (void)!take_home(reload);
        tell(reload, &spare->keys);
    }
}

static void read_world(struct reload *reload)
{
    char memory[1024];
    struct writer why = writer_over(memory, sizeof memory);
    if (world_door_reload(reload->hub, &why)) return; /* its worker tells what comes of it */
    LOG(&reload->log, read_clocks(), LOG_ERROR, "reload_failed",
        LOG_T("why", text_from(writer_bytes(&why))),
        LOG_T("meaning", TEXT("the world that was there before is still on")));
}

void reload_files(struct reload *reload)
{
    const struct config *config = reload->hub->config;
    if (config->jwt_keys.size > 0) read_keys(reload);
    if (config->world_file.size > 0) read_world(reload);
    if (config->jwt_keys.size == 0 && config->world_file.size == 0)
        LOG(&reload->log, read_clocks(), LOG_NOTICE, "reload_nothing",
            LOG_T("meaning",
                  TEXT("SIGHUP has --jwt-keys and --world read again, which are not set")));
    write_log(&reload->log);
}

void reload_take(struct worker *worker, struct key_set *set)
{
    struct key_set *before = worker->key_set;
    worker->key_set = set;
    before->back[worker->index].kind = RETURN_KEYS;
    mailbox_return(&worker->hub->keys_home, &before->back[worker->index]);
}
