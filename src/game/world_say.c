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

/* --- Pieces ---------------------------------------------------------------------------------- */

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

/* --- Entities: the only thing that is written by the thousand each tick ------------------------ */

/* Writes without looking at the end: the caller has made room for world_entity_size_max. */
struct pen {
    char *at;
};

static inline void pen_text(struct pen *pen, struct text text)
{
    memcpy(pen->at, text.data, text.size);
    pen->at += text.size;
}

static inline void pen_digits(struct pen *pen, uint64_t value)
{
    char digits[20];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0)
        *pen->at++ = digits[--count];
}

/* As world_write_thousandths. */
static inline void pen_number(struct pen *pen, double number)
{
    int64_t value = thousandths(number);
    uint32_t size = (uint32_t)(value < 0 ? -value : value); /* below 2^32: within world_reach */
    if (value < 0) *pen->at++ = '-';
    pen_digits(pen, size / 1000);
    uint32_t rest = size % 1000;
    if (rest == 0) return;
    *pen->at++ = '.';
    *pen->at++ = (char)('0' + rest / 100);
    if (rest % 100 == 0) return;
    *pen->at++ = (char)('0' + rest / 10 % 10);
    if (rest % 10 != 0) *pen->at++ = (char)('0' + rest % 10);
}

static void pen_point(struct pen *pen, struct text before, struct world_point point)
{
    pen_text(pen, before);
    pen_number(pen, point.x);
    pen_text(pen, TEXT(",\"y\":"));
    pen_number(pen, point.y);
    pen_text(pen, TEXT(",\"z\":"));
    pen_number(pen, point.z);
}

static void pen_rotation(struct pen *pen, struct world_rotation rotation)
{
    pen_point(pen, TEXT("},\"rotation\":{\"x\":"),
              (struct world_point){rotation.x, rotation.y, rotation.z});
    pen_text(pen, TEXT(",\"w\":"));
    pen_number(pen, rotation.w);
}

static void pen_id(struct pen *pen, const struct world *world, uint32_t entity)
{
    pen_text(pen, TEXT("{\"id\":\""));
    uint32_t players_max = world->options->players_max;
    if (entity < players_max) {
        const struct world_player *player = &world->players[entity];
        pen_text(pen, (struct text){player->text, player->text_size});
    } else {
        pen_text(pen, TEXT("walker-"));
        pen_digits(pen, entity - players_max);
    }
}

static const struct world_sample *sample_of(const struct world *world, uint32_t entity)
{
    uint32_t players_max = world->options->players_max;
    return entity < players_max ? &world->players[entity].motion.now
                                : &world->walkers[entity - players_max].now;
}

static_assert(2 * world_id_size_max + 11 * 10 + 3 * 16 + 160 < world_entity_size_max,
              "an id, the numbers, their points and signs, and what stands around them");

void world_write_entity(struct writer *out, const struct world *world, uint32_t entity, bool whole)
{
    if (out->capacity - out->size < world_entity_size_max) {
        out->overflow = true;
        return;
    }
    const struct world_sample *sample = sample_of(world, entity);
    struct pen pen = {(char *)out->data + out->size};
    pen_id(&pen, world, entity);
    pen_point(&pen, TEXT("\",\"position\":{\"x\":"), sample->position);
    if (whole) pen_rotation(&pen, sample->rotation);
    pen_text(&pen, TEXT("},\"mode\":\""));
    pen_text(&pen, world_mode_name(sample->mode));
    if (whole) {
        pen_point(&pen, TEXT("\",\"velocity\":{\"x\":"), sample->velocity);
        pen_text(&pen, TEXT("}}"));
    } else {
        pen_text(&pen, TEXT("\"}"));
    }
    out->size = (size_t)(pen.at - (char *)out->data);
}

void world_write_id(struct writer *out, const struct world *world, uint32_t entity)
{
    if (out->capacity - out->size < world_entity_size_max) {
        out->overflow = true;
        return;
    }
    struct pen pen = {(char *)out->data + out->size};
    pen_id(&pen, world, entity);
    pen_text(&pen, TEXT("\"}"));
    out->size = (size_t)(pen.at - (char *)out->data);
}

/* --- Messages to one --------------------------------------------------------------------------- */

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
