/* fuzz/game_world.c: the world by any inputs in any order, as the hub would give them.
 * Input: steps of a byte each, with what the step needs behind it (see `steps` below).
 *
 * The target keeps the hub's book of members and, as each client would, whom it has been told of:
 * every message is whole JSON and goes to members who sit there, none to a stranger but its
 * auth_result; nobody enters who is there, leaves who is not, or is shown without having entered;
 * who is dismissed sits there, once; no clock that is wanted has passed. */
#include "base/json.h"
#include "game/world.h"
#include "script.h"

constexpr uint32_t members_max = 12, players = 16; /* more than fit, with ids from "a" on */
constexpr uint32_t players_max = 10, walkers = 6;
constexpr uint32_t entities = players + walkers;
constexpr uint32_t steps_max = 200;

struct member {
    bool sits, is_player;
    char id;              /* of a player */
    bool knows[entities]; /* players by id, then walkers */
};

struct tabletop {
    struct world *world;
    struct game_time now;
    struct game_words words;
    struct bytes words_memory;
    struct words_size words_size;
    struct member members[members_max];
    uint32_t verified; /* the member whose token was asked about; game_nobody: none */
};

static struct world_map map;

/* --- What is said ----------------------------------------------------------------------------- */

static struct text text_member(const struct json *object, const char *name)
{
    struct text text = {};
    (void)!json_to_text(json_member(object, text_of(name)), &text);
    return text;
}

static uint32_t entity_of(struct text id)
{
    const struct text walker = TEXT("walker-");
    uint64_t number = 0;
    if (id.size == 1) return (uint32_t)(id.data[0] - 'a');
    MUST(text_starts(id, walker) && text_to_u64(text_skip(id, walker.size), &number));
    return players + (uint32_t)number;
}

static bool is(struct text type, enum world_saying saying)
{
    return text_equal(type, world_saying_name(saying, WORLD_PLAIN)) ||
           text_equal(type, world_saying_name(saying, WORLD_SIBLING));
}

static void note_entities(struct member *member, struct text type, const struct json *payload)
{
    const struct json *list = json_member(payload, TEXT("entities"));
    bool enters = is(type, WORLD_SAY_ENTER), leaves = is(type, WORLD_SAY_LEAVE);
    MUST(json_is_array(list) && json_count(list) > 0);
    for (size_t i = 0; i < json_count(list); i++) {
        uint32_t entity = entity_of(text_member(json_element(list, i), "id"));
        MUST(entity < entities);
        MUST(member->knows[entity] == !enters);
        if (enters || leaves) member->knows[entity] = enters;
    }
}

static void hear(struct tabletop *table, uint32_t number, struct text text)
{
    MUST(number < members_max);
    struct member *member = &table->members[number];
    struct text problem;
    struct bytes memory = {.data = malloc(json_memory_size(text.size)),
                           .size = json_memory_size(text.size)};
    const struct json *root = json_read(memory, text, &problem);
    MUST(root != nullptr && json_count(root) == 2);
    struct text type = text_member(root, "type");
    const struct json *payload = json_member(root, TEXT("payload"));
    MUST(type.size > 0 && json_is_object(payload));
    MUST(member->sits);
    if (!member->is_player) MUST(is(type, WORLD_SAY_AUTH_RESULT) || is(type, WORLD_SAY_WORLD_SEED));
    if (is(type, WORLD_SAY_ENTER) || is(type, WORLD_SAY_LEAVE) || is(type, WORLD_SAY_UPDATE))
        note_entities(member, type, payload);
    free(memory.data);
}

static void hear_messages(struct game_words *words)
{
    struct tabletop *table = words->hub;
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        struct text text = words_text(words, message);
        switch (message->audience) {
        case GAME_TO_ONE: hear(table, message->member, text); break;
        case GAME_TO_SOME:
            for (uint32_t n = 0; n < message->member; n++)
                hear(table, words->numbers[message->list + n], text);
            break;
        case GAME_TO_GATHERERS:
        case GAME_TO_LOG: break;
        default: MUST(false);
        }
    }
}

static struct game_words *begin(struct tabletop *table)
{
    table->words = words_over_much(table->words_memory, table->words_size);
    table->words.deliver = hear_messages;
    table->words.hub = table;
    return &table->words;
}

/* What the hub does with what was said: tells it, and has those go who must. */
static void finish(struct tabletop *table)
{
    struct game_words words = table->words;
    hear_messages(&words);
    for (uint32_t i = 0; i < words.gathering_count; i++) {
        const struct game_gathering *gathering = &words.gatherings[i];
        for (uint32_t n = 0; n < gathering->member_count * gathering->part_count; n++) {
            uint32_t member = words.numbers[gathering->members + n / gathering->part_count];
            uint32_t part = words.numbers[gathering->parts + n % gathering->part_count];
            MUST(part < words.count && table->members[member].is_player);
            hear(table, member, words_text(&words, &words.messages[part]));
        }
    }
    for (uint32_t i = 0; i < words.dismissed_count; i++) {
        struct member *member = &table->members[words.dismissed[i].member];
        MUST(member->sits);
        *member = (struct member){};
        game_world.leave(table->world, words.dismissed[i].member, table->now, begin(table));
        MUST(table->words.count == 0 && table->words.dismissed_count == 0);
    }
}

static void advance(struct tabletop *table)
{
    (void)game_world.advance(table->world, table->now, begin(table));
    finish(table);
    MUST(game_world.due(table->world) > table->now.ms);
}

/* --- Steps ------------------------------------------------------------------------------------ */

static void step_time(struct tabletop *table, struct script *script)
{
    uint32_t ms = script_number(script) % 12'000;
    table->now.ms += ms;
    table->now.ns += ms * 1'000'000ull;
    table->now.wall_ms += ms;
    advance(table);
}

static void step_tick(struct tabletop *table, struct script *)
{
    table->now.ms += map.tick_ms;
    table->now.ns += map.tick_ms * 1'000'000ull;
    table->now.wall_ms += map.tick_ms;
    advance(table);
}

static void step_join(struct tabletop *table, struct script *script)
{
    uint32_t number = script_byte(script) % members_max;
    if (table->members[number].sits) return;
    table->members[number] = (struct member){.sits = true};
    game_world.join(table->world, number, table->now, begin(table));
    finish(table);
}

static void step_leave(struct tabletop *table, struct script *script)
{
    uint32_t number = script_byte(script) % members_max;
    if (!table->members[number].sits) return;
    table->members[number] = (struct member){};
    game_world.leave(table->world, number, table->now, begin(table));
    finish(table);
}

/* A token has been checked; the next byte says what it is. */
static void verify(struct tabletop *table, struct script *script, uint32_t number)
{
    uint8_t choice = script_byte(script);
    const char id = (char)('a' + choice % players);
    const struct game_guest guest = {.player = {&id, 1},
                                     .room = choice & 64 ? TEXT("elsewhere") : TEXT(""),
                                     .until_ms = table->now.ms + script_number(script)};
    struct game_words *words = begin(table);
    game_world.verified(table->world, number, choice & 128 ? nullptr : &guest, TEXT("expired"),
                        TEXT("It has expired."), table->now, words);
    MUST(words->count >= 1 && words->messages[0].member == number);
    bool stays = true;
    for (uint32_t i = 0; i < words->dismissed_count; i++)
        stays = stays && words->dismissed[i].member != number;
    if (choice & (64 | 128)) MUST(!stays);
    finish(table);
    if (!stays) return;
    table->members[number].is_player = true;
    table->members[number].id = id;
    for (uint32_t i = 0; i < members_max; i++) /* a player has one connection */
        MUST(i == number || !table->members[i].is_player || table->members[i].id != id);
}

static void receive(struct tabletop *table, struct script *script, uint32_t number,
                    const void *data, size_t size)
{
    if (!table->members[number].sits) return;
    struct bytes text = bytes_exact(data, size);
    struct bytes memory = {.data = malloc(json_memory_size(size)), .size = json_memory_size(size)};
    struct game_words *words = begin(table);
    game_world.receive(table->world, number, text_from(text), table->now, memory, words);
    bool asks = words->asked.is_asked;
    if (asks) MUST(words->asked.member == number && words->count == 0);
    if (!asks && !table->members[number].is_player)
        MUST(words->dismissed_count == 1 && words->count == 1);
    finish(table);
    if (asks) verify(table, script, number);
    free(memory.data);
    free(text.data);
}

static void step_receive(struct tabletop *table, struct script *script)
{
    uint32_t number = script_byte(script) % members_max;
    struct script part = script_part(script, script_byte(script));
    receive(table, script, number, part.data, part.size);
}

static void step_auth(struct tabletop *table, struct script *script)
{
    const struct text plain = TEXT("{\"type\":\"auth\",\"payload\":{\"token\":\"t\"}}");
    const struct text sibling = TEXT("{\"type\":\"C2S_AUTH\",\"payload\":{\"token\":\"t\"}}");
    uint8_t choice = script_byte(script);
    struct text text = choice & 128 ? sibling : plain;
    receive(table, script, (choice & 127) % members_max, text.data, text.size);
}

/* A move in the right form: to a place, or from the last one. */
static void step_move(struct tabletop *table, struct script *script)
{
    uint32_t number = script_byte(script) % members_max, choice = script_byte(script);
    double x = (double)script_number(script) / 64 - 512;
    double z = (double)script_number(script) / 64 - 512, y = 60;
    const struct world_member *member = &table->world->members[number];
    if (choice % 4 > 0 && member->state == WORLD_MEMBER_PLAYER) {
        struct world_point at = table->world->players[member->player].motion.now.position;
        x = at.x + x / 16;
        z = at.z + z / 16;
        y = choice % 4 == 1 ? at.y + 1 : at.y;
    }
    char memory[256];
    int size = snprintf(memory, sizeof memory,
                        "{\"type\":\"player_update\",\"payload\":{\"position\":{\"x\":%.3f,\"y\":"
                        "%.3f,\"z\":%.3f},\"rotation\":{\"x\":0,\"y\":0,\"z\":0,\"w\":1},"
                        "\"mode\":\"%s\"}}",
                        x, y, z, choice & 16 ? "walking" : "flying");
    receive(table, script, number, memory, (size_t)size);
}

static void step_wish(struct tabletop *table, struct script *script)
{
    static const char *const wishes[] = {
        "{\"type\":\"start_race\",\"payload\":{\"routeId\":\"r1\"}}",
        "{\"type\":\"C2S_START_RACE\",\"payload\":{\"routeId\":\"skyline\"}}",
        "{\"type\":\"leave_race\"}",
        "{\"type\":\"presence\",\"payload\":{\"offset\":1}}",
        "{\"type\":\"interact\",\"payload\":{\"kioskId\":\"races\"}}",
        "{\"type\":\"chunk_request\",\"payload\":{\"tiles\":[{\"x\":0,\"z\":0,\"lod\":\"mid\"}]}}",
    };
    constexpr size_t count = sizeof wishes / sizeof wishes[0];
    uint32_t number = script_byte(script) % members_max;
    const char *wish = wishes[script_byte(script) % count];
    receive(table, script, number, wish, strlen(wish));
}

static void (*const steps[])(struct tabletop *, struct script *) = {
    step_time, step_tick, step_tick,    step_join, step_leave,
    step_auth, step_move, step_receive, step_wish, step_move,
};
constexpr size_t step_count = sizeof steps / sizeof steps[0];

/* --- The world on the table ------------------------------------------------------------------- */

static void read_map(void)
{
    uint8_t problem[512];
    struct writer why = writer_over(problem, sizeof problem);
    struct text text = world_map_builtin();
    struct bytes memory = {malloc(json_memory_size(text.size)), json_memory_size(text.size)};
    MUST(world_map_read(&map, text, memory, &why));
    free(memory.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct game_options options;
    if (options.map == nullptr) read_map();
    options = (struct game_options){.map = &map,
                                    .players_max = players_max,
                                    .members_max = members_max,
                                    .strangers_max = 5,
                                    .auth_ms = 10'000,
                                    .leave_ms = 2000,
                                    .warning_ms = 1000,
                                    .walkers = walkers};
    struct game_needs needs = game_world.needs(&options);
    struct tabletop table = {
        .now = {.ms = 1000, .ns = 1'000'000'000, .wall_ms = 1'700'000'000'000},
        .world = calloc(1, game_world.state_size),
        .words_size = needs.words,
        .words_memory = {malloc(words_memory_size(needs.words)), words_memory_size(needs.words)}};
    struct arena arena;
    MUST(arena_open(&arena, needs.memory));
    struct game_opening opening = {.options = &options,
                                   .seed = 1,
                                   .memory = {arena_take(&arena, needs.memory), needs.memory},
                                   .now = table.now};
    game_world.open(table.world, &opening);
    struct script script = {data, size};
    for (uint32_t i = 0; i < steps_max && script.size > 0; i++) {
        steps[script_byte(&script) % step_count](&table, &script);
        advance(&table);
    }
    arena_close(&arena);
    free(table.words_memory.data);
    free(table.world);
    return 0;
}
