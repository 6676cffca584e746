/* fuzz/game_world_replay.c: a world's log from anybody, played again. Input: a log, of a world with
 * few places.
 *
 * Whatever it holds, it is played to its end or is broken somewhere, and played once more it comes
 * to the same: as many inputs, the same ticks, the same state. An entry that is read and written
 * again reads as the same. */
#include "base/arena.h"
#include "base/json.h"
#include "game/world_replay.h"
#include "script.h"

constexpr uint32_t places_max = 64;
constexpr size_t words_max = 4096; /* of an input; it is a world's file and entries */

static struct world_replay_maps maps;
static uint8_t json[json_memory_per_byte * words_max + json_memory_fixed];
static uint8_t written[2 * words_max + world_entry_line_max];

struct outcome {
    enum world_replay_step step;
    uint64_t inputs, ticks, differing, hash;
};

static bool is_small(const struct game_options *options)
{
    return options->players_max <= places_max && options->members_max <= places_max &&
           options->strangers_max <= places_max && options->walkers <= places_max;
}

static void check_again(const struct world_entry *entry)
{
    struct writer out = writer_over(written, sizeof written);
    struct world_entry again;
    world_entry_write(&out, entry);
    struct text rest = text_from(writer_bytes(&out));
    MUST(!out.overflow && world_entry_read(&rest, &again) == WORLD_ENTRY_READ && rest.size == 0);
    MUST(again.kind == entry->kind && again.ns == entry->ns && again.wall_ms == entry->wall_ms);
    MUST(memcmp(again.numbers, entry->numbers, sizeof again.numbers) == 0);
    for (size_t i = 0; i < world_entry_texts_max; i++)
        MUST(text_equal(again.texts[i], entry->texts[i]));
}

static enum world_replay_step play_all(struct world_replay *replay)
{
    for (;;) {
        enum world_replay_step step = world_replay_next(replay);
        if (step != WORLD_REPLAY_PLAYED && step != WORLD_REPLAY_TICKED) return step;
        check_again(&replay->entry);
    }
}

/* False when it does not begin as a log, or its world is too large for here. */
static bool play(struct text log, struct outcome *outcome)
{
    uint8_t memory[1024];
    struct writer problem = writer_over(memory, sizeof memory);
    struct world_replay replay = {.maps = &maps, .json = {json, sizeof json}};
    struct arena arena;
    struct world_entry open;
    struct text rest =
        text_skip(log, log.size < world_log_head.size ? log.size : world_log_head.size);
    uint64_t seed;
    struct game_options options;
    if (world_entry_read(&rest, &open) == WORLD_ENTRY_READ && open.kind == WORLD_ENTRY_OPEN &&
        world_entry_to_options(&open, &seed, &options) && !is_small(&options))
        return false;
    if (world_replay_begin(&replay, log, &problem).size > 0) return false;
    size_t words = words_memory_size(replay.needs.words), needed = replay.needs.memory;
    MUST(arena_open(&arena, needed + words + game_world.state_size + 3 * arena_page));
    struct bytes lent = {arena_take(&arena, needed), needed};
    struct bytes said = {arena_take(&arena, words), words};
    world_replay_open(&replay, lent, said, arena_take(&arena, game_world.state_size));
    enum world_replay_step step = play_all(&replay);
    *outcome = (struct outcome){step, replay.inputs, replay.ticks, replay.differing,
                                world_replay_hash(&replay)};
    arena_close(&arena);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text log = {(const char *)data, size};
    struct outcome first = {}, second = {};
    if (size > words_max || !play(log, &first)) return 0;
    MUST(play(log, &second));
    MUST(memcmp(&first, &second, sizeof first) == 0);
    return 0;
}
