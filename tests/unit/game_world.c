/* tests/unit/game_world.c: the world as its members hear it: a game on a table, a clock that the
 * test moves, and members who note whom they are told of (CONTRACT S4; THREATS.md A14, A16, G6,
 * G7, G11, G14, R3, R8, D22). */
#include "base/json.h"
#include "base/random.h"
#include "check.h"
#include "game/world.h"
#include <stdlib.h>

constexpr uint32_t members_max = 64;

static const char flat[] =
    "{\"seed\":7,\"bounds\":{\"min\":{\"x\":-400,\"y\":-10,\"z\":-400},\"max\":{\"x\":400,\"y\":"
    "200,"
    "\"z\":400}},\"terrain\":{\"base\":0,\"amplitude\":0,\"wavelength\":100,\"roughness\":0,"
    "\"octaves\":1},\"pace\":{\"walking\":6,\"flying\":60,\"fall\":60,\"burstMs\":6000,\"strikes\":"
    "5,"
    "\"strikeMs\":30000},\"spawns\":[{\"x\":0,\"z\":0}]}";

static struct world_map map;
static struct game_options options;
static struct arena arena;
static struct game_words words;
static struct bytes room_memory, words_memory;
static struct words_size words_size;
static uint8_t json_memory[json_memory_per_byte * 4096 + json_memory_fixed];
static struct world *world;
static struct game_time now;

/* What a member has been told. */
static struct {
    bool here;
    uint32_t player;                     /* the number in its id, "p12" */
    bool knows[members_max];             /* those who have entered and not left */
    bool shown[members_max];             /* those whom the last tick's updates showed */
    uint32_t update_count, entity_count; /* of the last tick */
    char last[8192]; /* the last message but updates, enters, leaves and presence */
    enum game_dismissal dismissed;
    bool is_dismissed;
    uint64_t hash;
    uint32_t event_count, presence_count;
} heard[members_max];
static uint32_t parts_said, messages_said, notes_said, notes_in_all;

/* --- Hearing ---------------------------------------------------------------------------------- */

static bool begins(struct text text, const char *words_of)
{
    return text_starts(text, text_of(words_of));
}

/* The number of the next id in the text behind `*at`; members_max: there is none. */
static uint32_t next_id(struct text text, size_t *at)
{
    const char *key = "\"id\":\"p";
    const char *found = memmem(text.data + *at, text.size - *at, key, strlen(key));
    if (found == nullptr) return members_max;
    *at = (size_t)(found - text.data) + strlen(key);
    return (uint32_t)atoi(text.data + *at);
}

static void note_entities(uint32_t member, struct text text, bool enters, bool leaves)
{
    size_t at = 0;
    for (uint32_t id; (id = next_id(text, &at)) < members_max;) {
        if (enters || leaves) {
            EXPECT(heard[member].knows[id] != enters);
            heard[member].knows[id] = enters;
        } else {
            EXPECT(heard[member].knows[id]); /* nobody is shown who has not entered (G11) */
            EXPECT(!heard[member].shown[id]);
            heard[member].shown[id] = true;
            heard[member].entity_count += 1;
        }
    }
}

/* True for a message of that name, in either spelling. */
static bool is(struct text text, enum world_saying saying)
{
    struct text type = text_skip(text, strlen("{\"type\":\""));
    return text_starts(type, world_saying_name(saying, WORLD_PLAIN)) ||
           text_starts(type, world_saying_name(saying, WORLD_SIBLING));
}

static void note(uint32_t member, struct text text)
{
    struct bytes memory = {json_memory, sizeof json_memory};
    struct text problem;
    if (text.size <= 4096) EXPECT(json_read(memory, text, &problem) != nullptr);
    for (size_t i = 0; i < text.size; i++)
        heard[member].hash = heard[member].hash * 31 + (uint8_t)text.data[i];
    EXPECT_EQ(begins(text, "{\"type\":\"S2C_"), world->members[member].dialect == WORLD_SIBLING);
    bool enters = is(text, WORLD_SAY_ENTER), leaves = is(text, WORLD_SAY_LEAVE);
    heard[member].event_count += enters || leaves;
    heard[member].presence_count += is(text, WORLD_SAY_PRESENCE);
    heard[member].update_count += is(text, WORLD_SAY_UPDATE);
    if (enters || leaves || is(text, WORLD_SAY_UPDATE)) {
        note_entities(member, text, enters, leaves);
    } else if (!is(text, WORLD_SAY_PRESENCE) && text.size < sizeof heard[member].last) {
        memcpy(heard[member].last, text.data, text.size);
        heard[member].last[text.size] = '\0';
    }
}

static void hear_message(const struct game_message *message)
{
    struct text text = words_text(&words, message);
    messages_said += 1;
    switch (message->audience) {
    case GAME_TO_ONE: note(message->member, text); break;
    case GAME_TO_SOME:
        for (uint32_t i = 0; i < message->member; i++)
            note(words.numbers[message->list + i], text);
        break;
    case GAME_TO_GATHERERS: parts_said += 1; break;
    case GAME_TO_LOG:
        notes_said += 1;
        notes_in_all += 1;
        break;
    default: EXPECT(false); /* the world says nothing to strangers by the way */
    }
}

static void hear_said(struct game_words *said)
{
    EXPECT(said == &words);
    for (uint32_t i = 0; i < words.count; i++)
        hear_message(&words.messages[i]);
}

static struct game_words *listen(void)
{
    words = words_over_much(words_memory, words_size);
    words.deliver = hear_said;
    return &words;
}

static void leave(uint32_t member);

/* What the hub does with what was said. */
static void hear_all(void)
{
    hear_said(&words);
    for (uint32_t i = 0; i < words.gathering_count; i++) {
        const struct game_gathering *gathering = &words.gatherings[i];
        for (uint32_t m = 0; m < gathering->member_count; m++)
            for (uint32_t p = 0; p < gathering->part_count; p++) {
                uint32_t place = words.numbers[gathering->parts + p];
                note(words.numbers[gathering->members + m],
                     words_text(&words, &words.messages[place]));
            }
    }
    struct game_words before = words;
    for (uint32_t i = 0; i < before.dismissed_count; i++) {
        uint32_t member = before.dismissed[i].member;
        heard[member].is_dismissed = true;
        heard[member].dismissed = before.dismissed[i].why;
        leave(member);
    }
}

/* --- The world on the table ------------------------------------------------------------------- */

static struct game_options ordinary(void)
{
    return (struct game_options){.map = &map,
                                 .players_max = members_max,
                                 .members_max = members_max,
                                 .strangers_max = members_max,
                                 .auth_ms = 10'000,
                                 .leave_ms = 2000,
                                 .warning_ms = 60'000};
}

static void begin(const char *file, const struct game_options *wanted)
{
    static uint8_t problem[512];
    struct writer why = writer_over(problem, sizeof problem);
    size_t size = json_memory_size(strlen(file));
    void *memory = malloc(size);
    if (!world_map_read(&map, text_of(file), (struct bytes){memory, size}, &why)) {
        printf("%.*s\n", TEXT_ARG(text_from(writer_bytes(&why))));
        abort();
    }
    free(memory);
    options = *wanted;
    struct game_needs needs = game_world.needs(&options);
    size_t words_bytes = words_memory_size(needs.words);
    if (!arena_open(&arena, needs.memory + words_bytes + game_world.state_size + 3 * arena_page))
        abort();
    room_memory = (struct bytes){arena_take(&arena, needs.memory), needs.memory};
    words_memory = (struct bytes){arena_take(&arena, words_bytes), words_bytes};
    words_size = needs.words;
    world = arena_take(&arena, game_world.state_size);
    now = (struct game_time){.ms = 5000, .ns = 5'000'000'000, .wall_ms = 1'790'000'000'000};
    memset(heard, 0, sizeof heard);
    parts_said = messages_said = notes_said = notes_in_all = 0;
    const struct game_opening opening = {
        .options = &options, .seed = 1, .memory = room_memory, .now = now};
    game_world.open(world, &opening);
}

static void end(void)
{
    arena_close(&arena);
}

/* What the last tick showed is forgotten as the next one begins. */
static void advance(void)
{
    (void)game_world.advance(world, now, listen());
    for (uint32_t i = 0; words.ticks > 0 && i < members_max; i++) {
        memset(heard[i].shown, 0, sizeof heard[i].shown);
        heard[i].update_count = heard[i].entity_count = 0;
    }
    hear_all();
}

static void pass(uint64_t ms)
{
    now.ms += ms;
    now.ns += ms * 1'000'000;
    now.wall_ms += ms;
}

static void join(uint32_t member)
{
    advance();
    memset(&heard[member], 0, sizeof heard[member]);
    heard[member].here = true;
    game_world.join(world, member, now, listen());
    hear_all();
}

static void leave(uint32_t member)
{
    heard[member].here = false;
    game_world.leave(world, member, now, listen());
    hear_all();
}

static void show_token(uint32_t member, uint32_t player, uint64_t good_ms)
{
    char id[16];
    snprintf(id, sizeof id, "p%u", player);
    const struct game_guest guest = {.player = text_of(id), .until_ms = now.ms + good_ms};
    heard[member].player = player;
    game_world.verified(world, member, &guest, (struct text){}, (struct text){}, now, listen());
    hear_all();
}

static void come_as(uint32_t member, uint32_t player, enum world_dialect dialect)
{
    join(member);
    world->members[member].dialect = dialect;
    show_token(member, player, 3'600'000);
}

static void come(uint32_t member)
{
    come_as(member, member, WORLD_PLAIN);
}

static void say(uint32_t member, const char *text)
{
    advance();
    if (!heard[member].here) return;
    game_world.receive(world, member, text_of(text), now,
                       (struct bytes){json_memory, sizeof json_memory}, listen());
    words.asked = (struct words_token){};
    hear_all();
}

static void move(uint32_t member, double x, double z)
{
    char text[256];
    snprintf(
        text, sizeof text,
        "{\"type\":\"player_update\",\"payload\":{\"position\":{\"x\":%.2f,\"y\":50,\"z\":%.2f},"
        "\"rotation\":{\"x\":0,\"y\":0,\"z\":0,\"w\":1},\"mode\":\"flying\"}}",
        x, z);
    say(member, text);
}

/* One tick of the world, and nothing else; what it shows is noted anew. */
static void tick(void)
{
    pass(map.tick_ms);
    parts_said = messages_said = 0;
    advance();
}

static struct world_point place_of(uint32_t member)
{
    return world->players[world->members[member].player].motion.now.position;
}

/* --- What is seen ----------------------------------------------------------------------------- */

/* Nobody looks further than this along either axis; whoever is nearer than the radius is seen. */
static void expect_sight(void)
{
    double cell = world->grid.config.cell_size, slack = world->grid.config.slack;
    double furthest = (world->grid.config.radius + 1) * cell + 2 * slack;
    for (uint32_t a = 0; a < members_max; a++)
        for (uint32_t b = 0; b < members_max; b++) {
            if (!heard[a].here || !heard[b].here) continue;
            double x = place_of(a).x - place_of(b).x, z = place_of(a).z - place_of(b).z;
            if (x < 0) x = -x;
            if (z < 0) z = -z;
            bool knows = heard[a].knows[heard[b].player];
            if (x > furthest || z > furthest) EXPECT(!knows);
            if (x * x + z * z < map.interest.radius * map.interest.radius && x < cell && z < cell)
                EXPECT(knows);
            EXPECT_EQ(heard[a].shown[heard[b].player], knows);
        }
}

static double step(struct random *chance)
{
    return (double)random_below(chance, 9) / 4 - 1; /* at 50 ms: less than 60 m/s */
}

TEST("in random flights members are told exactly whom they see, and shown nobody else (G11)")
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct random chance = {seed};
        const struct game_options wanted = ordinary();
        begin(flat, &wanted);
        for (uint32_t i = 0; i < members_max; i++) {
            come_as(i, i, i % 3 == 0 ? WORLD_SIBLING : WORLD_PLAIN);
            double x = (double)random_below(&chance, 700) - 350,
                   z = (double)random_below(&chance, 700) - 350;
            world_motion_place(&world->players[world->members[i].player].motion,
                               (struct world_point){x, 50, z}, now.ns);
            world_place(world, world->members[i].player);
        }
        for (uint32_t t = 0; t < 120; t++) {
            for (uint32_t i = 0; i < members_max; i++) {
                if (!heard[i].here) {
                    if (random_below(&chance, 20) == 0) come_as(i, i, WORLD_PLAIN);
                } else if (random_below(&chance, 100) == 0) {
                    leave(i);
                } else {
                    double x = place_of(i).x + 1.5 * step(&chance),
                           z = place_of(i).z + step(&chance);
                    if (x > -390 && x < 390 && z > -390 && z < 390) move(i, x, z);
                }
            }
            tick();
            expect_sight();
        }
        end();
    }
}

TEST("each watched cell is encoded once a dialect, however many look at it")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    for (uint32_t i = 0; i < 60; i++)
        come_as(i, i, WORLD_PLAIN);
    tick();
    tick();
    EXPECT_EQ(parts_said, 1); /* they all stand in one cell */
    EXPECT_EQ(words.gathering_count, 1);
    for (uint32_t i = 0; i < 60; i++)
        EXPECT(heard[i].update_count == 1 && heard[i].entity_count == 60);
    come_as(60, 60, WORLD_SIBLING);
    tick();
    EXPECT_EQ(parts_said, 2);
    EXPECT_EQ(heard[60].entity_count, 61);
    end();
}

TEST("an overfull cell's update carries a share of it, and each one's turn comes (G11)")
{
    const char crowded[] =
        "{\"seed\":7,\"bounds\":{\"min\":{\"x\":-400,\"y\":-10,\"z\":-400},\"max\":{\"x\":400,"
        "\"y\":200,\"z\":400}},\"interest\":{\"cell\":64,\"radius\":96,\"leaveRadius\":128,"
        "\"entities\":32,\"cellEntities\":10},\"spawns\":[{\"x\":0,\"z\":0}]}";
    const struct game_options wanted = ordinary();
    begin(crowded, &wanted);
    for (uint32_t i = 0; i < 45; i++)
        come(i);
    tick();
    bool seen[members_max] = {};
    for (uint32_t t = 0; t < 5; t++) {
        tick();
        EXPECT_EQ(heard[7].entity_count, 10);
        for (uint32_t i = 0; i < 45; i++)
            seen[i] = seen[i] || heard[7].shown[i];
    }
    for (uint32_t i = 0; i < 45; i++)
        EXPECT(seen[i] && heard[7].knows[i]);
    end();
}

TEST("the same inputs at the same times give the same bytes to everybody")
{
    uint64_t hashes[2][members_max];
    for (int run = 0; run < 2; run++) {
        struct random chance = {99};
        struct game_options wanted = ordinary();
        wanted.walkers = 50;
        begin(flat, &wanted);
        for (uint32_t i = 0; i < 20; i++)
            come(i);
        for (uint32_t t = 0; t < 60; t++) {
            for (uint32_t i = 0; i < 20; i++)
                move(i, place_of(i).x + 2 * step(&chance), place_of(i).z + step(&chance));
            pass(random_below(&chance, 20));
            advance();
            pass(35);
            advance();
        }
        for (uint32_t i = 0; i < 20; i++)
            hashes[run][i] = heard[i].hash;
        end();
    }
    EXPECT(memcmp(hashes[0], hashes[1], sizeof hashes[0][0] * 20) == 0 && hashes[0][3] != 0);
}

TEST("a tick that comes late is not made up for, and is counted (G14)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    pass(50);
    advance();
    EXPECT(words.ticks == 1 && words.overruns == 0);
    pass(49);
    advance();
    EXPECT_EQ(words.ticks, 0);
    pass(50 * 100 + 1);
    advance();
    EXPECT(words.ticks == 1 && words.overruns == 100);
    EXPECT_EQ(game_world.due(world), now.ms + 50);
    end();
}

TEST("nobody in the world: it sleeps, and wakes when somebody comes")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    EXPECT_EQ(game_world.due(world), game_never_ms);
    come(0);
    EXPECT_EQ(game_world.due(world), now.ms + 50);
    leave(0);
    for (uint32_t i = 0; i < 45; i++)
        tick();
    EXPECT_EQ(game_world.due(world), game_never_ms);
    pass(100'000);
    come(0);
    tick();
    EXPECT(words.overruns == 0 && heard[0].knows[0]);
    end();
}

/* --- Who comes in ----------------------------------------------------------------------------- */

TEST("a stranger has auth_ms for its token, to the tick, and hears nothing meanwhile (A14, R3)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    join(1);
    for (uint32_t t = 0; t < 199; t++)
        tick();
    EXPECT(!heard[1].is_dismissed && heard[1].hash == 0);
    tick();
    EXPECT(heard[1].is_dismissed && heard[1].dismissed == GAME_DISMISS_SILENT);
    end();
}

TEST("whatever a stranger says but auth ends it, and after that it is not listened to (A14)")
{
    const char *const sayings[] = {"{\"type\":\"player_update\",\"payload\":{}}",
                                   "nonsense",
                                   "{}",
                                   "{\"type\":\"auth\"}",
                                   "{\"type\":\"C2S_WORLD_CHUNK_REQUEST\"}",
                                   "{\"type\":\"auth\",\"payload\":{\"token\":[]}}"};
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    for (uint32_t i = 0; i < sizeof sayings / sizeof sayings[0]; i++) {
        join(i);
        say(i, sayings[i]);
        EXPECT(heard[i].is_dismissed && heard[i].dismissed == GAME_DISMISS_UNKNOWN);
        EXPECT(strstr(heard[i].last, "\"success\":false") != nullptr);
        EXPECT(strstr(heard[i].last, "auth_required") != nullptr);
    }
    EXPECT(strstr(heard[4].last, "S2C_AUTH_RESULT") != nullptr);
    end();
}

TEST("a token is asked about once it is shown; one that is not good ends the stranger (D22)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    join(0);
    game_world.receive(world, 0, TEXT("{\"type\":\"C2S_AUTH\",\"payload\":{\"token\":\"t\"}}"), now,
                       (struct bytes){json_memory, sizeof json_memory}, listen());
    EXPECT(words.asked.is_asked && words.asked.member == 0);
    EXPECT_TEXT(words.asked.token, "t");
    EXPECT_EQ(words.count, 0);
    game_world.verified(world, 0, nullptr, TEXT("expired"), TEXT("It has expired."), now, listen());
    hear_all();
    EXPECT(heard[0].dismissed == GAME_DISMISS_UNKNOWN && heard[0].is_dismissed);
    EXPECT(strcmp(heard[0].last, "{\"type\":\"S2C_AUTH_RESULT\",\"payload\":{\"success\":false,"
                                 "\"error\":{\"code\":\"expired\",\"message\":\"It has expired.\"}}"
                                 "}") == 0);
    end();
}

TEST("beyond strangers_max the oldest stranger makes way, players do not (R3)")
{
    struct game_options wanted = ordinary();
    wanted.strangers_max = 3;
    begin(flat, &wanted);
    come(9);
    for (uint32_t i = 0; i < 4; i++)
        join(i);
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_CROWDED);
    EXPECT(!heard[1].is_dismissed && !heard[3].is_dismissed && !heard[9].is_dismissed);
    leave(2);
    join(4);
    EXPECT(!heard[1].is_dismissed);
    end();
}

TEST("when all places are taken the next player is told so; a place is free after leave_ms")
{
    struct game_options wanted = ordinary();
    wanted.players_max = 2;
    begin(flat, &wanted);
    come(0);
    come(1);
    come(2);
    EXPECT(heard[2].is_dismissed && heard[2].dismissed == GAME_DISMISS_CROWDED);
    EXPECT(strstr(heard[2].last, "world_full") != nullptr);
    leave(0);
    for (uint32_t t = 0; t < 42; t++)
        tick();
    EXPECT(!heard[1].knows[0]);
    come(2);
    EXPECT(!heard[2].is_dismissed);
    end();
}

TEST("a player keeps its place through a blip, and nobody is told of it")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    come(1);
    tick();
    move(0, 1, 0);
    leave(0);
    for (uint32_t t = 0; t < 20; t++)
        tick();
    EXPECT(heard[1].knows[0] && heard[1].shown[0]);
    come_as(5, 0, WORLD_SIBLING);
    EXPECT(strstr(heard[5].last, "WORLD_SEED") != nullptr);
    EXPECT(place_of(5).x == 1);
    tick();
    EXPECT(heard[1].knows[0] && heard[5].knows[0] && heard[5].knows[1]);
    end();
}

TEST("the newer connection of a player wins, with its place")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    tick();
    come_as(1, 0, WORLD_PLAIN);
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_REPLACED);
    tick();
    EXPECT(heard[1].knows[0]);
    EXPECT_EQ(world->connected, 1);
    end();
}

TEST("a token's end is warned of and then comes; a new one of the same player puts it off (A16)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    for (uint32_t i = 0; i < 3; i++) {
        join(i);
        show_token(i, i, 4000); /* warned in the second half of that at the earliest */
    }
    for (uint32_t t = 0; t < 39; t++)
        tick();
    EXPECT(strstr(heard[0].last, "expiring") == nullptr);
    tick();
    EXPECT(strstr(heard[0].last, "auth_expiring") != nullptr);
    show_token(1, 1, 60'000);
    EXPECT(strstr(heard[1].last, "refreshed") != nullptr);
    for (uint32_t t = 0; t < 40; t++)
        tick();
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_EXPIRED);
    EXPECT(strstr(heard[0].last, "token_expired") != nullptr);
    EXPECT(!heard[1].is_dismissed);
    end();
}

TEST("a second token of somebody else ends the connection, and asking too often does (A16)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    come(1);
    show_token(0, 1, 1000);
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_FORBIDDEN);
    for (uint32_t i = 0; i < game_token_rate.burst + 1 && heard[1].here; i++)
        say(1, "{\"type\":\"auth\",\"payload\":{\"token\":\"t\"}}");
    EXPECT(heard[1].is_dismissed && heard[1].dismissed == GAME_DISMISS_FLOODED);
    end();
}

/* --- What players say ------------------------------------------------------------------------- */

TEST("a move that is too far is corrected, logged once a strike, and the last strike ends it (G6)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    tick();
    for (uint32_t i = 0; i < 10 && heard[0].here; i++) {
        move(0, 399, 399);
        pass(1100);
    }
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_CHEATED);
    EXPECT(strstr(heard[0].last, "\"code\":\"cheat\"") != nullptr);
    EXPECT_EQ(notes_said, map.pace.strikes);
    EXPECT_EQ(world->players[0].motion.now.position.x, 0);
    end();
}

TEST("a hundred honest steps at once after a silence are no cheat (G7)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    for (uint32_t t = 0; t < 100; t++)
        tick();
    for (uint32_t i = 1; i <= 100; i++)
        move(0, 2.5 * i, 0);
    EXPECT(place_of(0).x == 250);
    EXPECT(strstr(heard[0].last, "correction") == nullptr);
    end();
}

/* The flat world with one race, of one racer, that begins where players do. */
static const char *with_route(void)
{
    static char file[2048];
    snprintf(
        file, sizeof file,
        "%.*s,\"routes\":[{\"id\":\"r\",\"start\":{\"position\":{\"x\":0,\"z\":0},\"radius\":20},"
        "\"laps\":1,\"racers\":1,\"countdownS\":3,\"timeoutMs\":600000,\"checkpoints\":"
        "[{\"position\":{\"x\":100,\"z\":0},\"radius\":8}]}]}",
        (int)strlen(flat) - 1, flat);
    return file;
}

static bool is_told(uint32_t member, const char *code)
{
    return strstr(heard[member].last, code) != nullptr;
}

static void race(uint32_t member)
{
    say(member, "{\"type\":\"start_race\",\"payload\":{\"routeId\":\"r\"}}");
}

TEST("who leans over the start line is put back each time, logged now and then, and stays (G8)")
{
    const struct game_options wanted = ordinary();
    begin(with_route(), &wanted);
    come(0);
    for (uint32_t i = 0; i < 20; i++)
        tick();
    race(0);
    tick();
    for (uint32_t i = 0; i < 50; i++) { /* 2.5 s of the countdown */
        move(0, 25, 0);
        EXPECT(is_told(0, "false_start"));
        EXPECT(place_of(0).x == 0);
        tick();
    }
    EXPECT(!heard[0].is_dismissed && world->players[0].motion.strikes == 0);
    EXPECT(notes_in_all >= 4 && notes_in_all <= 8);
    for (uint32_t i = 0; i < 40; i++)
        tick();
    move(0, 25, 0);
    EXPECT(place_of(0).x == 25);
    end();
}

TEST("what cannot be done about a race is told by its code")
{
    const char *start = "{\"type\":\"start_race\",\"payload\":{\"routeId\":\"r\"}}";
    const struct game_options wanted = ordinary();
    begin(with_route(), &wanted);
    come(0);
    come(1);
    say(0, "{\"type\":\"leave_race\"}");
    EXPECT(is_told(0, "not_racing"));
    say(0, "{\"type\":\"start_race\",\"payload\":{\"routeId\":\"nowhere\"}}");
    EXPECT(is_told(0, "no_such_route"));
    say(0, start);
    EXPECT(is_told(0, "race_event"));
    say(0, start);
    EXPECT(is_told(0, "already_racing"));
    say(1, start);
    EXPECT(is_told(1, "race_full"));
    for (uint32_t i = 1; i < world_races_max;
         i++) { // each begins when the one before is on its way
        pass(4000);
        if (i > 1) come(i);
        say(i, start);
        EXPECT(is_told(i, "race_event"));
    }
    pass(4000);
    come(world_races_max);
    say(world_races_max, start);
    EXPECT(is_told(world_races_max, "too_many_races"));
    end();
}

TEST("messages that mean nothing are answered, and too many of them end the connection (J5)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    say(0, "{\"type\":\"dance\"}");
    EXPECT(strstr(heard[0].last, "unsupported") != nullptr);
    for (uint32_t i = 0; i < strikes_max + 1 && heard[0].here; i++)
        say(0, "{\"type\":\"player_update\",\"payload\":{\"position\":{}}}");
    EXPECT(heard[0].is_dismissed && heard[0].dismissed == GAME_DISMISS_MISBEHAVED);
    EXPECT(strstr(heard[0].last, "bad_message") != nullptr);
    end();
}

TEST("a crowd that comes costs each one message a tick, and is counted once a second (R8)")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    tick();
    for (uint32_t t = 0; t < 20; t++) {
        for (uint32_t i = 0; i < 3; i++)
            come(1 + 3 * t + i);
        heard[0].event_count = 0;
        tick();
        EXPECT_EQ(heard[0].event_count, 1); /* of three who came */
    }
    EXPECT(heard[0].presence_count <= 2);
    end();
}

TEST("tiles that several ask for between two ticks are said once a dialect (S4-5)")
{
    const char *wish = "{\"type\":\"chunk_request\",\"payload\":{\"tiles\":["
                       "{\"x\":0,\"z\":-1,\"lod\":\"near\"},{\"x\":1,\"z\":0,\"lod\":\"far\"}]}}";
    const char *other = "{\"type\":\"chunk_request\",\"payload\":{\"tiles\":["
                        "{\"x\":0,\"z\":-1,\"lod\":\"mid\"},{\"x\":1,\"z\":0,\"lod\":\"far\"}]}}";
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    for (uint32_t i = 0; i < 10; i++)
        come_as(i, i, i == 9 ? WORLD_SIBLING : WORLD_PLAIN);
    pass(1000);
    advance(); /* nothing else is news */
    tick();
    uint32_t before = messages_said;
    tick();
    EXPECT_EQ(messages_said, before);
    for (uint32_t i = 0; i < 10; i++)
        say(i, i == 4 ? other : wish);
    leave(5);
    messages_said = 0;
    pass(map.tick_ms);
    advance();
    EXPECT_EQ(messages_said, before + 3);
    EXPECT(strcmp(heard[0].last, heard[8].last) == 0);
    EXPECT(strstr(heard[0].last, "\"lod\":\"near\"") != nullptr);
    EXPECT(strstr(heard[4].last, "\"lod\":\"mid\"") != nullptr);
    EXPECT(strstr(heard[9].last, "S2C_WORLD_CHUNK_META") != nullptr);
    end();
}

TEST("more wishes for tiles than may wait are answered at once")
{
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    for (uint32_t i = 0; i < world_wishes_max + 1; i++)
        say(0, "{\"type\":\"chunk_request\",\"payload\":{\"tiles\":[{\"x\":0,\"z\":0,\"lod\":"
               "\"far\"}]}}");
    EXPECT(strstr(heard[0].last, "chunk_meta") != nullptr);
    EXPECT_EQ(world->wish_count, 1);
    end();
}

TEST("an id of nothing but quotes is escaped wherever it is said (J9)")
{
    char id[world_id_size_max + 1] = {};
    memset(id, '"', world_id_size_max);
    const struct game_options wanted = ordinary();
    begin(flat, &wanted);
    come(0);
    join(1);
    const struct game_guest guest = {.player = text_of(id), .until_ms = now.ms + 100'000};
    game_world.verified(world, 1, &guest, (struct text){}, (struct text){}, now, listen());
    hear_all();
    heard[0].hash = 0;
    tick(); /* note() reads each message as JSON */
    say(0, "{\"type\":\"presence\"}");
    EXPECT(heard[0].hash != 0);
    EXPECT_EQ(world->players[world->members[1].player].text_size, 2 * world_id_size_max);
    end();
}
