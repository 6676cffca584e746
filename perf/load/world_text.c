#include "world_text.h"
#include "json.h"
#include <stdio.h>
#include <string.h>

static const char update_start[] = "{\"type\":\"world_state_update\",\"payload\":";
static const char enter_start[] = "{\"type\":\"entity_enter\",\"payload\":";
static const char leave_start[] = "{\"type\":\"entity_leave\",\"payload\":";
static const char id_start[] = "5f0c3e1a-7b2d-4c6e-9a41-";
static const char walker_start[] = "walker-";
static const char malformed[] = "not the JSON of such a message";

void world_id_write(char out[static world_id_size + 1], uint32_t player)
{
    snprintf(out, world_id_size + 1, "%s%012u", id_start, player);
}

/* ---- pieces ---- */

struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static inline bool take_byte(struct scan *scan, uint8_t byte)
{
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at += 1;
    return true;
}

static inline bool take_start(struct scan *scan, const char *start, size_t size)
{
    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, start, size) != 0) return false;
    scan->at += size;
    return true;
}
#define TAKE(scan, literal) take_start(scan, literal, sizeof(literal) - 1)

/* "...", without escapes and control characters (§7); what is between the quotes. */
static bool take_string(struct scan *scan, struct scan *string)
{
    if (!take_byte(scan, '"')) return false;
    string->at = scan->at;
    for (; scan->at < scan->end && *scan->at != '"'; scan->at++)
        if (*scan->at == '\\' || *scan->at < 0x20) return false;
    string->end = scan->at;
    return take_byte(scan, '"');
}

static bool take_key(struct scan *scan, struct scan *key)
{
    return take_string(scan, key) && take_byte(scan, ':');
}

static bool is(const struct scan *string, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(string->end - string->at) == size && memcmp(string->at, word, size) == 0;
}

static inline bool is_digit(const struct scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* §6: digits without a zero before them, fewer than 17. */
static bool take_digits(struct scan *scan, uint64_t *value)
{
    const uint8_t *start = scan->at;
    *value = 0;
    for (; is_digit(scan) && scan->at - start < 16; scan->at++)
        *value = *value * 10 + (uint64_t)(*scan->at - '0');
    return scan->at > start && !is_digit(scan) && (*start != '0' || scan->at - start == 1);
}

/* In thousandths. */
static bool take_number(struct scan *scan, int64_t *value)
{
    static const int64_t scales[] = {1000, 100, 10, 1};
    bool negative = take_byte(scan, '-');
    uint64_t whole, part = 0;
    size_t digits = 0;
    if (!take_digits(scan, &whole) || whole > 1'000'000'000) return false;
    if (take_byte(scan, '.')) {
        for (; is_digit(scan) && digits < 3; digits++)
            part = part * 10 + (uint64_t)(*scan->at++ - '0');
        if (digits == 0 || is_digit(scan)) return false;
    }
    *value = (int64_t)whole * 1000 + (int64_t)part * scales[digits];
    if (negative) *value = -*value;
    return true;
}

/* {"x":1,"y":2} for "xy", in any order. */
static bool take_numbers(struct scan *scan, const char *letters, int64_t *values)
{
    size_t count = strlen(letters);
    uint32_t seen = 0;
    if (!take_byte(scan, '{')) return false;
    for (size_t i = 0; i < count; i++) {
        struct scan key;
        if ((i > 0 && !take_byte(scan, ',')) || !take_key(scan, &key)) return false;
        const char *letter = key.end - key.at == 1 ? memchr(letters, *key.at, count) : nullptr;
        if (letter == nullptr) return false;
        size_t place = (size_t)(letter - letters);
        if ((seen & 1U << place) != 0 || !take_number(scan, &values[place])) return false;
        seen |= 1U << place;
    }
    return take_byte(scan, '}');
}

/* ---- entities ---- */

enum member : uint8_t { ID = 1, POSITION = 2, ROTATION = 4, MODE = 8, VELOCITY = 16 };

static bool read_id(struct scan id, struct world_sighting *entity)
{
    uint64_t number;
    entity->is_walker = TAKE(&id, walker_start);
    if (!entity->is_walker && !TAKE(&id, id_start)) return false;
    size_t size = (size_t)(id.end - id.at);
    if (!entity->is_walker && size != world_id_size - (sizeof id_start - 1)) return false;
    while (!entity->is_walker && size-- > 1) /* a player's has zeros before it */
        if (!take_byte(&id, '0')) break;
    if (!take_digits(&id, &number) || id.at != id.end || number >= world_ids_max) return false;
    entity->number = (uint32_t)number;
    return true;
}

/* A quaternion of length 1, as exactly as its digits tell. */
static bool take_rotation(struct scan *scan)
{
    int64_t parts[4], square = 0;
    if (!take_numbers(scan, "xyzw", parts)) return false;
    for (size_t i = 0; i < 4; i++) {
        if (parts[i] < -1001 || parts[i] > 1001) return false;
        square += parts[i] * parts[i];
    }
    return square > 990'000 && square < 1'010'000;
}

static bool take_mode(struct scan *scan)
{
    struct scan mode;
    return take_string(scan, &mode) && (is(&mode, "walking") || is(&mode, "flying"));
}

/* Which member it is; 0: none of the protocol's, or not what it must be. */
static uint8_t take_member(struct scan *scan, struct world_sighting *entity)
{
    struct scan key, id;
    int64_t parts[3];
    if (!take_key(scan, &key)) return 0;
    if (is(&key, "id")) return take_string(scan, &id) && read_id(id, entity) ? ID : 0;
    if (is(&key, "mode")) return take_mode(scan) ? MODE : 0;
    if (is(&key, "rotation")) return take_rotation(scan) ? ROTATION : 0;
    bool position = is(&key, "position");
    if ((!position && !is(&key, "velocity")) || !take_numbers(scan, "xyz", parts)) return 0;
    if (!position) return VELOCITY;
    entity->place = (struct world_place){parts[0], parts[1], parts[2]};
    return POSITION;
}

static bool take_entity(struct scan *scan, uint8_t wanted, struct world_sighting *entity)
{
    uint8_t seen = 0;
    *entity = (struct world_sighting){};
    if (!take_byte(scan, '{')) return false;
    do {
        uint8_t member = take_member(scan, entity);
        if (member == 0 || (seen & member) != 0) return false;
        seen |= member;
    } while (take_byte(scan, ','));
    return seen == wanted && take_byte(scan, '}');
}

static const char *take_entities(struct scan *scan, uint8_t wanted, struct world_sighting *entities,
                                 uint32_t most, uint32_t *count)
{
    *count = 0;
    if (!take_byte(scan, '[')) return malformed;
    if (take_byte(scan, ']')) return "a message of no entities";
    do {
        if (*count == most) return "more entities than one message may have";
        if (!take_entity(scan, wanted, &entities[*count])) return malformed;
        *count += 1;
    } while (take_byte(scan, ','));
    return take_byte(scan, ']') ? nullptr : malformed;
}

/* ---- messages ---- */

/* "-1,0", as a text. */
static bool take_cell(struct scan *scan, struct world_cell *cell)
{
    int32_t *const parts[] = {&cell->column, &cell->row};
    if (!take_byte(scan, '"')) return false;
    for (size_t i = 0; i < 2; i++) {
        uint64_t value;
        bool negative = take_byte(scan, '-');
        if (!take_digits(scan, &value) || value > 1'000'000) return false;
        *parts[i] = negative ? -(int32_t)value : (int32_t)value;
        if (!take_byte(scan, i == 0 ? ',' : '"')) return false;
    }
    return true;
}

bool world_update_peek(const uint8_t *text, size_t size, struct world_cell *cell)
{
    struct scan scan = {text, text + size};
    return TAKE(&scan, update_start) && TAKE(&scan, "{\"cell\":") && take_cell(&scan, cell);
}

static const char *read_update_members(struct scan *scan, struct world_update *update,
                                       struct world_sighting *entities, uint32_t most)
{
    enum : uint8_t { CELL = 1, ENTITIES = 2, TIME = 4 };
    constexpr uint8_t whole = ID | POSITION | ROTATION | MODE | VELOCITY;
    uint8_t seen = 0;
    do {
        struct scan key;
        if (!take_key(scan, &key)) return malformed;
        uint8_t member = is(&key, "cell")        ? CELL
                         : is(&key, "entities")  ? ENTITIES
                         : is(&key, "timestamp") ? TIME
                                                 : 0;
        if (member == 0 || (seen & member) != 0) return malformed;
        seen |= member;
        if (member == CELL && !take_cell(scan, &update->cell)) return malformed;
        if (member == TIME && !take_digits(scan, &update->time_ms)) return malformed;
        if (member != ENTITIES) continue;
        const char *why = take_entities(scan, whole, entities, most, &update->count);
        if (why != nullptr) return why;
    } while (take_byte(scan, ','));
    return seen == (CELL | ENTITIES | TIME) ? nullptr : malformed;
}

/* The ends of payload and message, and nothing behind them. */
static const char *read_end(struct scan *scan)
{
    return TAKE(scan, "}}") && scan->at == scan->end ? nullptr : malformed;
}

const char *world_update_read(const uint8_t *text, size_t size, struct world_update *update,
                              struct world_sighting *entities, uint32_t most)
{
    struct scan scan = {text, text + size};
    if (!TAKE(&scan, update_start) || !take_byte(&scan, '{')) return malformed;
    const char *why = read_update_members(&scan, update, entities, most);
    return why != nullptr ? why : read_end(&scan);
}

const char *world_list_read(const uint8_t *text, size_t size, bool leave,
                            struct world_sighting *entities, uint32_t most, uint32_t *count)
{
    struct scan scan = {text, text + size};
    bool starts = leave ? TAKE(&scan, leave_start) : TAKE(&scan, enter_start);
    if (!starts || !TAKE(&scan, "{\"entities\":")) return malformed;
    const char *why =
        take_entities(&scan, leave ? ID : ID | POSITION | MODE, entities, most, count);
    return why != nullptr ? why : read_end(&scan);
}

/* ---- the rest ---- */

static bool read_place(const struct json_wanted *values, struct world_place *place)
{
    int64_t *const parts[] = {&place->x, &place->y, &place->z};
    for (size_t i = 0; i < 3; i++) {
        struct scan scan = {values[i].data, values[i].data + values[i].size};
        if (values[i].kind != JSON_NUMBER || !take_number(&scan, parts[i]) || scan.at != scan.end)
            return false;
    }
    return true;
}

static enum world_said refuse(const char **why, const char *sentence)
{
    *why = sentence;
    return WORLD_SAID_OTHER;
}

/* Of what comes seldom. */
static enum world_said read_other(const uint8_t *text, size_t size, struct world_place *place,
                                  const char **why)
{
    enum { TYPE, FAILED, SPAWN, POSITION_AT = SPAWN + 3, wanted = POSITION_AT + 3 };
    struct json_wanted values[wanted] = {
        [TYPE] = {.path = "type"},
        [FAILED] = {.path = "payload.error.code"},
        [SPAWN] = {.path = "payload.spawnPoint.x"},
        {.path = "payload.spawnPoint.y"},
        {.path = "payload.spawnPoint.z"},
        [POSITION_AT] = {.path = "payload.position.x"},
        {.path = "payload.position.y"},
        {.path = "payload.position.z"},
    };
    *why = json_read(text, size, values, wanted);
    if (*why != nullptr) return WORLD_SAID_OTHER;
    if (json_is(&values[TYPE], "error")) return WORLD_SAID_ERROR;
    if (json_is(&values[TYPE], "world_seed")) return WORLD_SAID_SEED;
    if (json_is(&values[TYPE], "presence")) return WORLD_SAID_PRESENCE;
    if (json_is(&values[TYPE], "correction"))
        return read_place(&values[POSITION_AT], place)
                   ? WORLD_SAID_CORRECTION
                   : refuse(why, "a correction without a position");
    if (!json_is(&values[TYPE], "auth_result"))
        return refuse(why, "a message of a type that nobody has asked for");
    if (values[FAILED].kind != JSON_ABSENT) return WORLD_SAID_ERROR;
    return read_place(&values[SPAWN], place) ? WORLD_SAID_RESULT
                                             : refuse(why, "an auth_result without a spawnPoint");
}

enum world_said world_said_of(const uint8_t *text, size_t size, struct world_place *place,
                              const char **why)
{
    struct scan scan = {text, text + size};
    *why = nullptr;
    if (TAKE(&scan, update_start)) return WORLD_SAID_UPDATE;
    if (TAKE(&scan, enter_start)) return WORLD_SAID_ENTER;
    if (TAKE(&scan, leave_start)) return WORLD_SAID_LEAVE;
    return read_other(text, size, place, why);
}
