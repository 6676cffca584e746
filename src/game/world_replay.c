#include "game/world_replay.h"
#include "base/plain.h"
#include "base/utf8.h"
#include "game/world.h"

constexpr uint64_t latest_ns = 1ull << 62; /* what is reckoned from it fits, too */

static bool read_map(struct world_replay *replay, struct world_map *map, struct text file,
                     struct writer *problem)
{
    *map = (struct world_map){};
    return json_memory_size(file.size) <= replay->json.size &&
           world_map_read(map, file, replay->json, problem);
}

struct text world_replay_begin(struct world_replay *replay, struct text log, struct writer *problem)
{
    struct world_entry *entry = &replay->entry;
    if (!text_starts(log, world_log_head)) return TEXT("it does not begin as a world's log does");
    replay->rest = text_skip(log, world_log_head.size);
    if (world_entry_read(&replay->rest, entry) != WORLD_ENTRY_READ ||
        entry->kind != WORLD_ENTRY_OPEN)
        return TEXT("it does not tell how the world was opened");
    if (!world_entry_to_options(entry, &replay->seed, &replay->options))
        return TEXT("no server can have been told to open a world like that");
    if (!read_map(replay, &replay->maps->on, entry->texts[0], problem))
        return TEXT("its world is wrong");
    replay->options.map = &replay->maps->on;
    replay->needs = game_world.needs(&replay->options);
    return (struct text){};
}

static struct game_time time_of(const struct world_entry *entry)
{
    return (struct game_time){
        .ms = entry->ns / 1'000'000, .ns = entry->ns, .wall_ms = entry->wall_ms};
}

void world_replay_open(struct world_replay *replay, struct bytes memory, struct bytes words,
                       void *state)
{
    const struct game_opening opening = {.options = &replay->options,
                                         .seed = replay->seed,
                                         .now = time_of(&replay->entry),
                                         .memory = memory};
    replay->words_memory = words;
    replay->world = state;
    game_world.open(state, &opening);
}

/* --- Inputs ----------------------------------------------------------------------------------- */

static void hear(struct game_words *words)
{
    const struct world_replay *replay = words->hub;
    if (replay->hear != nullptr) replay->hear(replay, words);
}

static struct game_words no_words(struct world_replay *replay)
{
    struct game_words words = words_over_much(replay->words_memory, replay->needs.words);
    words.deliver = hear;
    words.hub = replay;
    return words;
}

/* The number of the entry's member, who must be here, or must not; game_nobody: it is not so. */
static uint32_t member_of(const struct world_replay *replay, bool is_here)
{
    uint64_t number = replay->entry.numbers[0];
    if (number >= replay->options.members_max) return game_nobody;
    bool there = replay->world->members[number].state != WORLD_MEMBER_NONE;
    return there == is_here ? (uint32_t)number : game_nobody;
}

static bool play_join(struct world_replay *replay, struct game_words *words)
{
    uint32_t member = member_of(replay, false);
    if (member == game_nobody) return false;
    game_world.join(replay->world, member, time_of(&replay->entry), words);
    return true;
}

static bool play_leave(struct world_replay *replay, struct game_words *words)
{
    uint32_t member = member_of(replay, true);
    if (member == game_nobody) return false;
    game_world.leave(replay->world, member, time_of(&replay->entry), words);
    return true;
}

static bool is_utf8(struct text text)
{
    return utf8_valid((struct bytes){(uint8_t *)text.data, text.size});
}

static bool play_message(struct world_replay *replay, struct game_words *words)
{
    struct text text = replay->entry.texts[0];
    uint32_t member = member_of(replay, true);
    if (member == game_nobody || text.size > game_world.message_size_max || !is_utf8(text))
        return false;
    game_world.receive(replay->world, member, text, time_of(&replay->entry), replay->json, words);
    words->asked = (struct words_token){}; /* what came of it is an entry of its own */
    return true;
}

static bool play_token(struct world_replay *replay, struct game_words *words)
{
    const struct world_entry *entry = &replay->entry;
    const struct game_guest guest = {.room = entry->texts[0],
                                     .player = entry->texts[1],
                                     .name = entry->texts[2],
                                     .until_ms = entry->numbers[2],
                                     .expires_wall_ms = entry->numbers[3]};
    uint32_t member = member_of(replay, true);
    bool good = entry->numbers[1] == 1;
    bool is_player = guest.player.size > 0 && guest.player.size <= game_player_size_max &&
                     is_utf8(guest.player) && plain_is_clean(guest.player);
    if (member == game_nobody || entry->numbers[1] > 1 || (good && !is_player)) return false;
    if (good)
        game_world.verified(replay->world, member, &guest, (struct text){}, (struct text){},
                            time_of(entry), words);
    else
        game_world.verified(replay->world, member, nullptr, TEXT("refused"), TEXT("It was so."),
                            time_of(entry), words);
    return true;
}

static bool play_map(struct world_replay *replay)
{
    uint8_t memory[1024];
    struct writer problem = writer_over(memory, sizeof memory);
    struct world_replay_maps *maps = replay->maps;
    struct world_map *next = replay->world->map == &maps->on ? &maps->spare : &maps->on;
    return read_map(replay, next, replay->entry.texts[0], &problem) &&
           game_world.remap(replay->world, next).size == 0;
}

/* --- Hashes ----------------------------------------------------------------------------------- */

uint64_t world_replay_hash(const struct world_replay *replay)
{
    return world_hash(replay->world);
}

static void compare(struct world_replay *replay)
{
    if (world_replay_hash(replay) == replay->entry.numbers[1]) return;
    if (replay->differing++ == 0) replay->first_tick = replay->world->tick;
}

static bool play_tick(struct world_replay *replay, struct game_words *words)
{
    (void)game_world.advance(replay->world, time_of(&replay->entry), words);
    if (words->ticks == 0 || replay->world->tick != replay->entry.numbers[0]) return false;
    replay->ticks += 1;
    compare(replay);
    return true;
}

/* --- All of it -------------------------------------------------------------------------------- */

static bool play(struct world_replay *replay, struct game_words *words)
{
    switch (replay->entry.kind) {
    case WORLD_ENTRY_JOIN: return play_join(replay, words);
    case WORLD_ENTRY_LEAVE: return play_leave(replay, words);
    case WORLD_ENTRY_SAY: return play_message(replay, words);
    case WORLD_ENTRY_TOKEN: return play_token(replay, words);
    case WORLD_ENTRY_TICK: return play_tick(replay, words);
    case WORLD_ENTRY_MAP: return play_map(replay);
    case WORLD_ENTRY_END: compare(replay); return true;
    case WORLD_ENTRY_OPEN: break; /* once is enough */
    }
    return false;
}

enum world_replay_step world_replay_next(struct world_replay *replay)
{
    uint64_t before_ns = replay->entry.ns;
    switch (world_entry_read(&replay->rest, &replay->entry)) {
    case WORLD_ENTRY_READ: break;
    case WORLD_ENTRY_NONE: return WORLD_REPLAY_OVER;
    case WORLD_ENTRY_CUT: return WORLD_REPLAY_CUT;
    case WORLD_ENTRY_BROKEN: return WORLD_REPLAY_BROKEN;
    }
    if (replay->entry.ns < before_ns || replay->entry.ns >= latest_ns) return WORLD_REPLAY_BROKEN;
    struct game_words words = no_words(replay);
    if (!play(replay, &words)) return WORLD_REPLAY_BROKEN;
    hear(&words);
    if (replay->entry.kind == WORLD_ENTRY_END) return WORLD_REPLAY_ENDED;
    if (replay->entry.kind == WORLD_ENTRY_TICK) return WORLD_REPLAY_TICKED;
    replay->inputs += 1;
    return WORLD_REPLAY_PLAYED;
}
