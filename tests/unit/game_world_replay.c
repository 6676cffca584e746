/* tests/unit/game_world_replay.c: lives in a world, written down and played again (DESIGN.md
 * decision 11; THREATS.md G6, G8). */
#include "base/random.h"
#include "check.h"
#include "game/world.h"
#include "game/world_replay.h"
#include <stdlib.h>

constexpr uint32_t members_max = 24;

static const char flat[] =
    "{\"seed\":7,\"bounds\":{\"min\":{\"x\":-400,\"y\":-10,\"z\":-400},\"max\":{\"x\":400,\"y\":"
    "200,\"z\":400}},\"terrain\":{\"base\":0,\"amplitude\":0,\"wavelength\":100,\"roughness\":0,"
    "\"octaves\":1},\"spawns\":[{\"x\":0,\"z\":0}],\"routes\":[{\"id\":\"r\",\"start\":{"
    "\"position\":{\"x\":0,\"y\":0,\"z\":0},\"radius\":20},\"laps\":1,\"racers\":4,"
    "\"countdownS\":3,\"timeoutMs\":5000,\"checkpoints\":[{\"position\":{\"x\":40,\"y\":5,"
    "\"z\":0},\"radius\":8}]}]}";

static struct writer log_out;
static uint8_t log_memory[8 * 1024 * 1024];
static uint8_t json_memory[json_memory_per_byte * 4096 + json_memory_fixed];
static struct world_map map;
static struct arena arena;
static struct game_words words;
static struct bytes words_memory;
static struct words_size words_size;
static struct world *world;
static struct game_time now;
static bool here[members_max];

/* --- A server's side -------------------------------------------------------------------------- */

static struct world_entry entry_of(enum world_entry_kind kind, uint32_t member)
{
    return (struct world_entry){
        .kind = kind, .ns = now.ns, .wall_ms = now.wall_ms, .numbers = {member}};
}

static void add(const struct world_entry *entry)
{
    world_entry_write(&log_out, entry);
    EXPECT(!log_out.overflow);
}

static void forget(struct game_words *said)
{
    EXPECT(said == &words);
}

static struct game_words *listen(void)
{
    words = words_over_much(words_memory, words_size);
    words.deliver = forget;
    return &words;
}

static void begin(const struct game_options *options)
{
    size_t size = json_memory_size(sizeof flat - 1);
    void *memory = malloc(size);
    uint8_t problem[512];
    struct writer why = writer_over(problem, sizeof problem);
    map = (struct world_map){};
    if (!world_map_read(&map, TEXT(flat), (struct bytes){memory, size}, &why)) abort();
    free(memory);
    struct game_needs needs = game_world.needs(options);
    size_t said = words_memory_size(needs.words);
    if (!arena_open(&arena, needs.memory + said + game_world.state_size + 3 * arena_page)) abort();
    const struct game_opening opening = {
        .options = options,
        .seed = 1,
        .memory = {arena_take(&arena, needs.memory), needs.memory},
        .now = now = (struct game_time){.ms = 5000, .ns = 5'000'000'000, .wall_ms = 1'790'000}};
    words_memory = (struct bytes){arena_take(&arena, said), said};
    words_size = needs.words;
    world = arena_take(&arena, game_world.state_size);
    memset(here, 0, sizeof here);
    log_out = writer_over(log_memory, sizeof log_memory);
    game_world.open(world, &opening);
    write_text(&log_out, world_log_head);
    struct world_entry entry = entry_of(WORLD_ENTRY_OPEN, 0);
    world_entry_from_options(&entry, opening.seed, options);
    entry.texts[0] = TEXT(flat);
    add(&entry);
}

static void leave(uint32_t member)
{
    struct world_entry entry = entry_of(WORLD_ENTRY_LEAVE, member);
    add(&entry);
    here[member] = false;
    game_world.leave(world, member, now, listen());
}

/* Those who were dismissed leave, as the hub has them do. */
static void part(void)
{
    struct game_words before = words;
    for (uint32_t i = 0; i < before.dismissed_count; i++)
        leave(before.dismissed[i].member);
}

static void advance(uint64_t ms)
{
    now.ms += ms;
    now.ns += ms * 1'000'000 + 17;
    now.ms = now.ns / 1'000'000;
    now.wall_ms += ms;
    (void)game_world.advance(world, now, listen());
    if (words.ticks > 0) {
        struct world_entry entry = entry_of(WORLD_ENTRY_TICK, 0);
        entry.numbers[0] = world->tick;
        entry.numbers[1] = world_hash(world);
        add(&entry);
    }
    part();
}

static void come(uint32_t member, const char *player)
{
    struct world_entry entry = entry_of(WORLD_ENTRY_JOIN, member);
    add(&entry);
    here[member] = true;
    game_world.join(world, member, now, listen());
    part();
    if (!here[member]) return;
    const struct game_guest guest = {.player = text_of(player), .until_ms = now.ms + 4000};
    entry = entry_of(WORLD_ENTRY_TOKEN, member);
    entry.numbers[1] = 1;
    entry.numbers[2] = guest.until_ms;
    entry.texts[1] = guest.player;
    add(&entry);
    game_world.verified(world, member, &guest, (struct text){}, (struct text){}, now, listen());
    part();
}

static void say(uint32_t member, const char *text)
{
    struct world_entry entry = entry_of(WORLD_ENTRY_SAY, member);
    entry.texts[0] = text_of(text);
    add(&entry);
    game_world.receive(world, member, text_of(text), now,
                       (struct bytes){json_memory, sizeof json_memory}, listen());
    words.asked = (struct words_token){};
    part();
}

static void move(struct random *chance, uint32_t member)
{
    const struct world_member *by = &world->members[member];
    struct world_point at = {};
    char text[256];
    if (by->state == WORLD_MEMBER_PLAYER) at = world->players[by->player].motion.now.position;
    double far = random_below(chance, 40) == 0 ? 300 : 1;
    snprintf(text, sizeof text,
             "{\"type\":\"player_update\",\"payload\":{\"position\":{\"x\":%.3f,\"y\":5,\"z\":%.3f}"
             ",\"rotation\":{\"x\":0,\"y\":0,\"z\":0,\"w\":1},\"mode\":\"flying\"}}",
             at.x + far * ((double)random_below(chance, 2000) / 1000 - 0.8),
             at.z + far * ((double)random_below(chance, 2000) / 1000 - 1));
    say(member, text);
}

static void do_something(struct random *chance, uint32_t member)
{
    static const char *const said[] = {
        "{\"type\":\"start_race\",\"payload\":{\"routeId\":\"r\"}}",
        "{\"type\":\"leave_race\"}",
        "{\"type\":\"presence\"}",
        "{\"type\":\"chunk_request\",\"payload\":{\"tiles\":[{\"x\":0,\"z\":-1,\"lod\":\"far\"}]}}",
        "{\"type\":\"auth\",\"payload\":{\"token\":\"x\"}}",
        "nonsense",
    };
    char player[8];
    snprintf(player, sizeof player, "p%" PRIu64, random_below(chance, 20));
    if (!here[member])
        come(member, player);
    else if (random_below(chance, 30) == 0)
        leave(member);
    else if (random_below(chance, 6) == 0)
        say(member, said[random_below(chance, sizeof said / sizeof *said)]);
    else
        move(chance, member);
}

static struct text live(uint64_t seed)
{
    const struct game_options options = {.map = &map,
                                         .players_max = 16,
                                         .members_max = members_max,
                                         .strangers_max = 4,
                                         .auth_ms = 500,
                                         .leave_ms = 700,
                                         .warning_ms = 1000,
                                         .walkers = 20};
    struct random chance = {seed};
    begin(&options);
    for (uint32_t i = 0; i < 2500; i++) {
        do_something(&chance, (uint32_t)random_below(&chance, members_max));
        advance(random_below(&chance, 12));
    }
    struct world_entry entry = entry_of(WORLD_ENTRY_END, 0);
    entry.numbers[1] = world_hash(world);
    add(&entry);
    arena_close(&arena);
    return text_from(writer_bytes(&log_out));
}

/* --- Who plays it again ----------------------------------------------------------------------- */

static struct world_replay_maps maps;
static uint8_t replay_json[json_memory_per_byte * 4096 + json_memory_fixed];
static uint32_t verdicts;

static void hear(const struct world_replay *, const struct game_words *said)
{
    for (uint32_t i = 0; i < said->count; i++)
        verdicts += said->messages[i].audience == GAME_TO_LOG;
}

/* How it ended. */
static enum world_replay_step play(struct text log, struct world_replay *replay)
{
    uint8_t memory[1024];
    struct writer problem = writer_over(memory, sizeof memory);
    struct arena own;
    enum world_replay_step step = WORLD_REPLAY_BROKEN;
    *replay = (struct world_replay){
        .maps = &maps, .json = {replay_json, sizeof replay_json}, .hear = hear};
    verdicts = 0;
    if (world_replay_begin(replay, log, &problem).size > 0) return step;
    size_t said = words_memory_size(replay->needs.words), memory_size = replay->needs.memory;
    if (!arena_open(&own, memory_size + said + game_world.state_size + 3 * arena_page)) abort();
    struct bytes lent = {arena_take(&own, memory_size), memory_size};
    struct bytes mouth = {arena_take(&own, said), said};
    world_replay_open(replay, lent, mouth, arena_take(&own, game_world.state_size));
    do {
        step = world_replay_next(replay);
    } while (step == WORLD_REPLAY_PLAYED || step == WORLD_REPLAY_TICKED);
    arena_close(&own);
    return step;
}

TEST("random lives come to the same states, tick by tick, when they are played again")
{
    uint32_t judged = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world_replay replay;
        EXPECT_EQ(play(live(seed), &replay), WORLD_REPLAY_ENDED);
        EXPECT(replay.differing == 0 && replay.ticks > 200 && replay.inputs > 2000);
        judged += verdicts;
    }
    EXPECT(judged > 20);
}

TEST("an input that is another one is found with the next tick")
{
    struct text log = live(9);
    struct world_replay replay;
    const char *x = memmem(log.data + log.size / 2, log.size / 2, "\"z\":", 4);
    while (x[4] == '-' || x[4] == '0')
        x = memmem(x + 4, log.size / 4, "\"z\":", 4);
    log_memory[x + 6 - (const char *)log_memory] ^= 1;
    enum world_replay_step step = play(log, &replay);
    EXPECT(step == WORLD_REPLAY_ENDED && replay.differing > 0 && replay.first_tick > 50);
}

TEST("a log that is cut anywhere is good up to there")
{
    struct text log = live(11);
    for (size_t size = log.size / 2; size < log.size / 2 + 400; size++) {
        struct world_replay replay;
        enum world_replay_step step = play((struct text){log.data, size}, &replay);
        EXPECT(step == WORLD_REPLAY_CUT || step == WORLD_REPLAY_OVER);
        EXPECT(replay.differing == 0 && replay.ticks > 50);
    }
}

/* A world in which member 3 is a player, and then one more entry. */
static enum world_replay_step play_after(const struct world_entry *entry)
{
    const struct game_options options = {.map = &map,
                                         .players_max = 4,
                                         .members_max = members_max,
                                         .strangers_max = 4,
                                         .auth_ms = 500,
                                         .leave_ms = 700};
    struct world_replay replay;
    begin(&options);
    come(3, "ann");
    advance(60);
    struct world_entry wanted = *entry;
    if (wanted.ns == 0) wanted.ns = now.ns;
    add(&wanted);
    arena_close(&arena);
    return play(text_from(writer_bytes(&log_out)), &replay);
}

TEST("an input that no server would have written ends the log, and nothing else")
{
    static char long_message[4097];
    memset(long_message, ' ', sizeof long_message);
    const struct world_entry wrong[] = {
        {.kind = WORLD_ENTRY_JOIN, .numbers = {3}},
        {.kind = WORLD_ENTRY_JOIN, .numbers = {members_max}},
        {.kind = WORLD_ENTRY_JOIN, .numbers = {UINT64_MAX}},
        {.kind = WORLD_ENTRY_JOIN, .numbers = {4}, .ns = 1},
        {.kind = WORLD_ENTRY_JOIN, .numbers = {4}, .ns = UINT64_MAX},
        {.kind = WORLD_ENTRY_LEAVE, .numbers = {4}},
        {.kind = WORLD_ENTRY_SAY, .numbers = {4}, .texts = {TEXT("{}")}},
        {.kind = WORLD_ENTRY_SAY, .numbers = {3}, .texts = {TEXT("\"\xFF\"")}},
        {.kind = WORLD_ENTRY_SAY, .numbers = {3}, .texts = {{long_message, sizeof long_message}}},
        {.kind = WORLD_ENTRY_TOKEN, .numbers = {3, 2}, .texts = {{}, TEXT("ann")}},
        {.kind = WORLD_ENTRY_TOKEN, .numbers = {3, 1}},
        {.kind = WORLD_ENTRY_TOKEN, .numbers = {3, 1}, .texts = {{}, TEXT("\n")}},
        {.kind = WORLD_ENTRY_TOKEN, .numbers = {3, 1}, .texts = {{}, {long_message, 65}}},
        {.kind = WORLD_ENTRY_TOKEN, .numbers = {4, 1}, .texts = {{}, TEXT("bob")}},
        {.kind = WORLD_ENTRY_TICK, .numbers = {2}},
        {.kind = WORLD_ENTRY_MAP, .texts = {TEXT("{}")}},
        {.kind = WORLD_ENTRY_OPEN, .texts = {TEXT("{}")}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT_EQ(play_after(&wrong[i]), WORLD_REPLAY_BROKEN);
    const struct world_entry right = {.kind = WORLD_ENTRY_JOIN, .numbers = {4}};
    EXPECT_EQ(play_after(&right), WORLD_REPLAY_OVER);
}
