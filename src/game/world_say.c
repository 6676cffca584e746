/* game/world_say.c: how what the world says is put. */
#include "game/world.h"
#include <assert.h>

static const struct text sayings[][world_dialects] = {
#define X(name, plain, sibling) [WORLD_SAY_##name] = {TEXT(plain), TEXT(sibling)},
    WORLD_SAYINGS(X)
#undef X
};

static const struct text hearings[][world_dialects] = {
#define X(name, plain, sibling) [WORLD_HEAR_##name] = {TEXT(plain), TEXT(sibling)},
    WORLD_HEARINGS(X)
#undef X
};

struct text world_saying_name(enum world_saying saying, enum world_dialect dialect)
{
    return sayings[saying][dialect];
}

enum world_hearing world_hearing_of(struct text name, enum world_dialect *dialect)
{
    for (size_t i = 0; i < world_hearings; i++)
        for (size_t j = 0; j < world_dialects; j++) {
            if (!text_equal(name, hearings[i][j])) continue;
            *dialect = (enum world_dialect)j;
            return (enum world_hearing)i;
        }
    *dialect = text_starts(name, TEXT("C2S_")) ? WORLD_SIBLING : WORLD_PLAIN;
    return world_hearings;
}

/* --- Pieces ----------------------------------------------------------------------------------- */

void world_open_message(struct writer *out, enum world_saying saying, enum world_dialect dialect)
{
    write_text(out, TEXT("{\"type\":\""));
    write_text(out, world_saying_name(saying, dialect));
    write_text(out, TEXT("\",\"payload\":{"));
}

void world_close_message(struct game_words *words)
{
    write_text(&words->out, TEXT("}}"));
    words_end(words);
}

struct writer *world_tell_one(struct world *world, struct game_words *words, uint32_t member,
                              enum world_saying saying)
{
    struct writer *out = words_begin(words, GAME_TO_ONE, member);
    world_open_message(out, saying, world_dialect_of(world, member));
    return out;
}

static void write_key(struct writer *out, const char *key)
{
    write_byte(out, '"');
    write_text(out, text_of(key));
    write_text(out, TEXT("\":"));
}

void world_write_string(struct writer *out, const char *key, struct text value)
{
    write_key(out, key);
    write_byte(out, '"');
    write_json_escaped(out, value);
    write_byte(out, '"');
}

/* Coordinates are those of a world, and parts of a unit quaternion: thousandths say enough. */
static int64_t thousandths(double value)
{
    return (int64_t)(value * 1000 + (value < 0 ? -0.5 : 0.5));
}

void world_write_point(struct writer *out, const char *key, struct world_point point)
{
    write_key(out, key);
    write_text(out, TEXT("{\"x\":"));
    world_write_thousandths(out, thousandths(point.x));
    write_text(out, TEXT(",\"y\":"));
    world_write_thousandths(out, thousandths(point.y));
    write_text(out, TEXT(",\"z\":"));
    world_write_thousandths(out, thousandths(point.z));
    write_byte(out, '}');
}

void world_write_rotation(struct writer *out, const char *key, struct world_rotation rotation)
{
    write_key(out, key);
    write_text(out, TEXT("{\"x\":"));
    world_write_thousandths(out, thousandths(rotation.x));
    write_text(out, TEXT(",\"y\":"));
    world_write_thousandths(out, thousandths(rotation.y));
    write_text(out, TEXT(",\"z\":"));
    world_write_thousandths(out, thousandths(rotation.z));
    write_text(out, TEXT(",\"w\":"));
    world_write_thousandths(out, thousandths(rotation.w));
    write_byte(out, '}');
}

/* --- Entities: the only thing that is written by the thousand each tick ----------------------- */

/* Each writes at `at`, without looking at the end, and returns the end of it: the caller has made
 * room for world_entity_size_max. A pointer in a register, and not one in memory that each byte
 * written might have changed. */

static inline char *put_text(char *at, struct text text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

/* "000001002...999": three digits at a time. */
#define FIVE(a, v, w, x, y, z) a v a w a x a y a z
#define UNITS(a) FIVE(a, "0", "1", "2", "3", "4") FIVE(a, "5", "6", "7", "8", "9")
#define LOW(a) UNITS(a "0") UNITS(a "1") UNITS(a "2") UNITS(a "3") UNITS(a "4")
#define HIGH(a) UNITS(a "5") UNITS(a "6") UNITS(a "7") UNITS(a "8") UNITS(a "9")
#define TENS(a) LOW(a) HIGH(a)
static const char triples[] = TENS("0") TENS("1") TENS("2") TENS("3") TENS("4") TENS("5") TENS("6")
    TENS("7") TENS("8") TENS("9");
static_assert(sizeof triples == 3 * 1000 + 1);

/* Below 1000, without zeros before it. */
static inline char *put_small(char *at, uint32_t value)
{
    uint32_t digits = value < 10 ? 1 : value < 100 ? 2 : 3;
    memcpy(at, triples + 3 * value + (3 - digits), 3);
    return at + digits;
}

/* Below 10^6: a coordinate, or the number of a walker. */
static inline char *put_whole(char *at, uint32_t value)
{
    if (value < 1000) return put_small(at, value);
    at = put_small(at, value / 1000);
    memcpy(at, triples + 3 * (value % 1000), 3);
    return at + 3;
}

static_assert(world_reach * 1000 < INT32_MAX && world_entities_most < 1'000'000);

/* As world_write_thousandths. */
static inline char *put_number(char *at, double number)
{
    int32_t value = (int32_t)thousandths(number); /* within world_reach, so that it fits */
    uint32_t size = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    *at = '-';
    at = put_whole(at + (value < 0), size / 1000);
    uint32_t rest = size % 1000;
    if (rest == 0) return at;
    *at++ = '.';
    memcpy(at, triples + 3 * rest, 3);
    return at + (rest % 10 != 0 ? 3 : rest % 100 != 0 ? 2 : 1);
}

static inline char *put_point(char *at, struct world_point point)
{
    at = put_number(at, point.x);
    at = put_number(put_text(at, TEXT(",\"y\":")), point.y);
    return put_number(put_text(at, TEXT(",\"z\":")), point.z);
}

static char *put_id(char *at, const struct world *world, uint32_t entity)
{
    uint32_t players_max = world->options->players_max;
    at = put_text(at, TEXT("{\"id\":\""));
    if (entity >= players_max)
        return put_whole(put_text(at, TEXT("walker-")), entity - players_max);
    const struct world_player *player = &world->players[entity];
    return put_text(at, (struct text){player->text, player->text_size});
}

static const struct world_sample *sample_of(const struct world *world, uint32_t entity)
{
    uint32_t players_max = world->options->players_max;
    return entity < players_max ? &world->players[entity].motion.now
                                : &world->walkers[entity - players_max].now;
}

static_assert(2 * world_id_size_max + 11 * 10 + 3 * 16 + 160 < world_entity_size_max,
              "an id, the numbers, their points and signs, and what stands around them");

static char *put_whole_sample(char *at, const struct world_sample *sample)
{
    const struct world_rotation rotation = sample->rotation;
    at = put_text(at, TEXT("},\"rotation\":{\"x\":"));
    at = put_point(at, (struct world_point){rotation.x, rotation.y, rotation.z});
    at = put_number(put_text(at, TEXT(",\"w\":")), rotation.w);
    at = put_text(put_text(at, TEXT("},\"mode\":\"")), world_mode_name(sample->mode));
    at = put_point(put_text(at, TEXT("\",\"velocity\":{\"x\":")), sample->velocity);
    return put_text(at, TEXT("}}"));
}

static char *put_sight(char *at, const struct world_sample *sample)
{
    at = put_text(put_text(at, TEXT("},\"mode\":\"")), world_mode_name(sample->mode));
    return put_text(at, TEXT("\"}"));
}

void world_fetch_entity(const struct world *world, uint32_t entity)
{
    const char *sample = (const char *)sample_of(world, entity);
    __builtin_prefetch(sample);
    __builtin_prefetch(sample + 64);
    __builtin_prefetch(sample + sizeof(struct world_sample) - 1);
}

void world_write_entity(struct writer *out, const struct world *world, uint32_t entity, bool whole)
{
    if (out->capacity - out->size < world_entity_size_max) {
        out->overflow = true;
        return;
    }
    const struct world_sample *sample = sample_of(world, entity);
    char *at = put_id((char *)out->data + out->size, world, entity);
    at = put_point(put_text(at, TEXT("\",\"position\":{\"x\":")), sample->position);
    at = whole ? put_whole_sample(at, sample) : put_sight(at, sample);
    out->size = (size_t)(at - (char *)out->data);
}

void world_write_id(struct writer *out, const struct world *world, uint32_t entity)
{
    if (out->capacity - out->size < world_entity_size_max) {
        out->overflow = true;
        return;
    }
    char *at = put_id((char *)out->data + out->size, world, entity);
    out->size = (size_t)(put_text(at, TEXT("\"}")) - (char *)out->data);
}

/* --- Messages to one -------------------------------------------------------------------------- */

void world_say_error(struct world *world, struct game_words *words, uint32_t member,
                     struct text code, struct text sentence)
{
    struct writer *out = world_tell_one(world, words, member, WORLD_SAY_ERROR);
    world_write_string(out, "code", code);
    write_byte(out, ',');
    world_write_string(out, "message", sentence);
    world_close_message(words);
}

void world_say_refusal(struct world *world, struct game_words *words, uint32_t member,
                       struct text code, struct text sentence)
{
    struct writer *out = world_tell_one(world, words, member, WORLD_SAY_AUTH_RESULT);
    write_text(out, TEXT("\"success\":false,\"error\":{"));
    world_write_string(out, "code", code);
    write_byte(out, ',');
    world_write_string(out, "message", sentence);
    write_byte(out, '}');
    world_close_message(words);
}

static void say_seed(struct world *world, struct game_words *words, uint32_t member)
{
    const struct world_map *map = world->map;
    uint32_t near = 1, far = map->chunk_reach, mid = (near + far) / 2;
    struct writer *out = world_tell_one(world, words, member, WORLD_SAY_WORLD_SEED);
    write_text(out, TEXT("\"seed\":"));
    write_u64(out, map->terrain.seed);
    write_text(out, TEXT(",\"chunkSize\":"));
    write_u64(out, map->chunk_size);
    write_text(out, TEXT(",\"lod\":{\"near\":"));
    write_u64(out, near);
    write_text(out, TEXT(",\"mid\":"));
    write_u64(out, mid);
    write_text(out, TEXT(",\"far\":"));
    write_u64(out, far);
    write_text(out, TEXT("},\"tickMs\":"));
    write_u64(out, map->tick_ms);
    /* nothing is kept: after a restart everybody begins anew (S4-N3) */
    write_text(out, TEXT(",\"persistent\":false"));
    world_close_message(words);
}

void world_say_welcome(struct world *world, struct game_words *words, uint32_t number)
{
    const struct world_player *player = &world->players[number];
    struct writer *out = world_tell_one(world, words, player->member, WORLD_SAY_AUTH_RESULT);
    write_text(out, TEXT("\"success\":true,"));
    world_write_point(out, "spawnPoint", player->motion.now.position);
    world_close_message(words);
    say_seed(world, words, player->member);
}

void world_say_refreshed(struct world *world, struct game_words *words, uint32_t number)
{
    const struct world_player *player = &world->players[number];
    struct writer *out = world_tell_one(world, words, player->member, WORLD_SAY_AUTH_RESULT);
    write_text(out, TEXT("\"success\":true,\"refreshed\":true,\"expiresAt\":"));
    write_u64(out, player->expires_wall_ms);
    world_close_message(words);
}

void world_say_expiring(struct world *world, struct game_words *words, uint32_t number)
{
    const struct world_player *player = &world->players[number];
    struct writer *out = world_tell_one(world, words, player->member, WORLD_SAY_AUTH_EXPIRING);
    write_text(out, TEXT("\"expiresAt\":"));
    write_u64(out, player->expires_wall_ms);
    world_close_message(words);
}

void world_say_correction(struct world *world, struct game_words *words, uint32_t number,
                          struct text reason)
{
    const struct world_player *player = &world->players[number];
    struct writer *out = world_tell_one(world, words, player->member, WORLD_SAY_CORRECTION);
    world_write_point(out, "position", player->motion.now.position);
    write_byte(out, ',');
    world_write_rotation(out, "rotation", player->motion.now.rotation);
    write_byte(out, ',');
    world_write_string(out, "reason", reason);
    world_close_message(words);
}
