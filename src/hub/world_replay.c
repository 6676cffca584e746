#include "hub/world_replay.h"
#include "base/json.h"
#include "base/plain.h"
#include "game/world_replay.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

constexpr int exit_usage = 2;

static int fail(const char *path, const char *why)
{
    fprintf(stderr, "ringcast: %s: %s\n", path, why);
    return EXIT_FAILURE;
}

/* The whole file, as long as the process is there. */
static bool map_file(const char *path, struct text *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &status) == 0;
    if (good && status.st_size > 0) {
        void *data = mmap(nullptr, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        good = data != MAP_FAILED;
        if (good) *file = (struct text){data, (size_t)status.st_size};
    }
    if (fd >= 0) close(fd);
    return good;
}

/* --- What is heard ---------------------------------------------------------------------------- */

/* What a stranger sent, as far as it can be seen. */
static void print_message(struct text message)
{
    uint8_t memory[4096];
    struct writer out = writer_over(memory, sizeof memory);
    write_plain(&out, message);
    printf("  by %.*s\n", TEXT_ARG(text_from(writer_bytes(&out))));
}

/* Counts what was said for the operator, and prints it. */
static void hear(const struct world_replay *replay, const struct game_words *words)
{
    uint64_t *verdicts = replay->listener;
    for (uint32_t i = 0; i < words->count; i++) {
        if (words->messages[i].audience != GAME_TO_LOG) continue;
        struct text said = words_text(words, &words->messages[i]);
        const struct world_entry *entry = &replay->entry;
        printf("verdict member=%" PRIu64 " %.*s\n", entry->numbers[0], TEXT_ARG(said));
        print_message(entry->texts[0]);
        *verdicts += 1;
    }
}

/* --- From begin to end ------------------------------------------------------------------------ */

static bool open_world(struct world_replay *replay)
{
    struct arena arena;
    size_t words = words_memory_size(replay->needs.words);
    size_t size = replay->needs.memory + words + game_world.state_size + 3 * arena_page;
    if (!arena_open(&arena, size)) return false;
    struct bytes memory = {arena_take(&arena, replay->needs.memory), replay->needs.memory};
    struct bytes said = {arena_take(&arena, words), words};
    world_replay_open(replay, memory, said, arena_take(&arena, game_world.state_size));
    return true;
}

static enum world_replay_step play(struct world_replay *replay, bool tells_ticks)
{
    for (;;) {
        enum world_replay_step step = world_replay_next(replay);
        if (step == WORLD_REPLAY_TICKED && tells_ticks)
            printf("tick %" PRIu64 " hash=%" PRIu64 "\n", replay->entry.numbers[0],
                   world_replay_hash(replay));
        if (step != WORLD_REPLAY_PLAYED && step != WORLD_REPLAY_TICKED) return step;
    }
}

static const char *ending(enum world_replay_step step)
{
    switch (step) {
    case WORLD_REPLAY_ENDED: return "it ends as the server ended it";
    case WORLD_REPLAY_CUT: return "it ends in the middle of an entry";
    case WORLD_REPLAY_BROKEN: return "the rest is no world's log";
    default: return "it has no end: the server was cut off";
    }
}

static int tell(const struct world_replay *replay, enum world_replay_step step, uint64_t verdicts)
{
    printf("inputs=%" PRIu64 " ticks=%" PRIu64 " verdicts=%" PRIu64 " hash=%" PRIu64 "\n",
           replay->inputs, replay->ticks, verdicts, world_replay_hash(replay));
    puts(ending(step));
    if (replay->differing == 0)
        puts("every hash is the server's");
    else
        printf("%" PRIu64 " hashes are not the server's, from tick %" PRIu64 " on\n",
               replay->differing, replay->first_tick);
    return replay->differing == 0 && step != WORLD_REPLAY_BROKEN ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int replay_file(const char *path, bool tells_ticks)
{
    uint8_t memory[1024];
    uint64_t verdicts = 0;
    struct text file = {};
    struct writer problem = writer_over(memory, sizeof memory - 1);
    if (!map_file(path, &file)) return fail(path, "it cannot be read");
    size_t json = json_memory_size(world_file_size_max);
    struct world_replay replay = {.maps = malloc(sizeof *replay.maps),
                                  .json = {malloc(json), json},
                                  .hear = hear,
                                  .listener = &verdicts};
    if (replay.maps == nullptr || replay.json.data == nullptr) return fail(path, "no memory");
    struct text why = world_replay_begin(&replay, file, &problem);
    memory[problem.size] = '\0';
    if (why.size > 0) return fail(path, problem.size > 0 ? (char *)memory : why.data);
    if (!open_world(&replay)) return fail(path, "no memory for a world as large as that");
    return tell(&replay, play(&replay, tells_ticks), verdicts);
}

int world_replay_command(int count, char **words)
{
    bool tells_ticks = count > 0 && text_equal(text_of(words[0]), TEXT("--ticks"));
    int at = tells_ticks ? 1 : 0;
    if (count > at && text_equal(text_of(words[at]), TEXT("--")))
        at += 1;
    else if (count > at && words[at][0] == '-')
        at = count;
    if (count != at + 1) {
        fputs("usage: ringcast replay-world [--ticks] FILE\n", stderr);
        return exit_usage;
    }
    return replay_file(words[at], tells_ticks);
}
