/* game/world_chunks.c: tiles on demand (S4-5). Wishes wait for the tick, which answers all that are
 * alike with the same frame: those who come together ask for the same.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#include "game/world.h"

/* Of one player, whatever it asks for (THREATS.md R10). */
constexpr struct rate tile_rate = {.per_second = 64, .burst = 384};

/* --- What is wished for ----------------------------------------------------------------------- */

static bool read_tile(const struct json *value, struct world_wanted_tile *wanted)
{
    int64_t x, z;
    struct text lod;
    if (!json_to_integer(json_member(value, TEXT("x")), &x) || x < INT32_MIN || x > INT32_MAX ||
        !json_to_integer(json_member(value, TEXT("z")), &z) || z < INT32_MIN || z > INT32_MAX ||
        !json_to_text(json_member(value, TEXT("lod")), &lod) ||
        !world_detail_of(lod, &wanted->detail))
        return false;
    wanted->tile = (struct world_tile){(int32_t)x, (int32_t)z};
    return true;
}

/* Returns what is wrong with the list, or nothing. */
static struct text read_wish(const struct json *payload, struct world_wish *wish)
{
    const struct json *list = json_member(payload, TEXT("tiles"));
    size_t count = json_count(list);
    *wish = (struct world_wish){.count = (uint32_t)count};
    if (!json_is_array(list) || count == 0)
        return TEXT("has no payload.tiles, a list of {x,z,lod}");
    if (count > world_tiles_max) return TEXT("has more than 64 tiles");
    for (size_t i = 0; i < count; i++)
        if (!read_tile(json_element(list, i), &wish->tiles[i]))
            return TEXT("has a tile that is not {x,z,lod}, lod being near, mid or far");
    return (struct text){};
}

struct text world_unload_chunks(const struct json *payload)
{
    struct world_wish wish;
    return read_wish(payload, &wish); /* nothing is kept about who has which */
}

static int64_t tiles_apart(int32_t from, int32_t to)
{
    return from < to ? (int64_t)to - from : (int64_t)from - to;
}

static bool is_in_reach(const struct world *world, uint32_t player, struct world_tile tile)
{
    const struct world_map *map = world->map;
    struct world_tile own =
        world_tile_at(world->players[player].motion.now.position, (double)map->chunk_size);
    return tiles_apart(own.x, tile.x) <= map->chunk_reach &&
           tiles_apart(own.z, tile.z) <= map->chunk_reach && world_tile_is_inside(map, tile);
}

struct text world_want_chunks(struct world *world, struct game_words *words, uint32_t number,
                              const struct json *payload, struct game_time now)
{
    struct world_player *player = &world->players[number];
    struct world_wish wish;
    struct text problem = read_wish(payload, &wish);
    if (problem.size > 0) return problem;
    for (uint32_t i = 0; i < wish.count; i++) {
        if (is_in_reach(world, number, wish.tiles[i].tile)) continue;
        world_say_error(world, words, player->member, TEXT("out_of_reach"),
                        TEXT("A tile is too far from where you are, or outside the world."));
        return (struct text){};
    }
    if (!bucket_take(&player->chunk_bucket, tile_rate, now.ms, wish.count)) {
        world_say_error(world, words, player->member, TEXT("too_many_chunks"),
                        TEXT("You ask for more tiles than 64 a second; wait a little."));
        return (struct text){};
    }
    if (world->wish_count == world_wishes_max) world_tell_chunks(world, words);
    wish.player = number;
    world->wishes[world->wish_count++] = wish;
    return (struct text){};
}

/* --- What is answered ------------------------------------------------------------------------- */

static bool is_alike(const struct world_wish *left, const struct world_wish *right)
{
    if (left->count != right->count) return false;
    for (uint32_t i = 0; i < left->count; i++) {
        const struct world_wanted_tile *a = &left->tiles[i], *b = &right->tiles[i];
        if (a->tile.x != b->tile.x || a->tile.z != b->tile.z || a->detail != b->detail)
            return false;
    }
    return true;
}

/* Those who wish for the same, from `first` on, and read this dialect. */
static uint32_t find_alike(const struct world *world, uint32_t first, enum world_dialect dialect,
                           uint32_t *members)
{
    uint32_t count = 0;
    for (uint32_t i = first; i < world->wish_count; i++) {
        uint32_t member = world->players[world->wishes[i].player].member;
        if (member == game_nobody || world_dialect_of(world, member) != dialect) continue;
        if (is_alike(&world->wishes[first], &world->wishes[i])) members[count++] = member;
    }
    return count;
}

/* As many of the tiles from `at` on as one message takes. Returns how far it came. */
static uint32_t write_tiles(struct writer *out, const struct world *world,
                            const struct world_wish *wish, uint32_t at)
{
    const struct world_map *map = world->map;
    size_t start = out->size;
    write_text(out, TEXT("\"tiles\":["));
    for (bool first = true; at < wish->count; at++, first = false) {
        struct world_chunk chunk;
        if (out->size - start > world_said_max - 2 * world_chunk_size_max) break;
        world_chunk_make(&chunk, &map->terrain, map->chunk_size, wish->tiles[at].tile,
                         wish->tiles[at].detail);
        if (!first) write_byte(out, ',');
        world_chunk_write(out, &chunk);
    }
    write_byte(out, ']');
    return at;
}

static void tell(struct world *world, struct game_words *words, uint32_t first,
                 enum world_dialect dialect)
{
    const struct world_wish *wish = &world->wishes[first];
    uint32_t *members = words_room(words, world_wishes_max);
    uint32_t count = find_alike(world, first, dialect, members);
    if (count == 0) return;
    struct writer *out = words_begin_some(words, count, world_said_max);
    for (uint32_t at = 0;;) {
        world_open_message(out, WORLD_SAY_CHUNK_META, dialect);
        at = write_tiles(out, world, wish, at);
        world_close_message(words);
        if (at == wish->count) return;
        out = words_begin_again(words, world_said_max);
    }
}

static bool is_answered(const struct world *world, uint32_t wish)
{
    for (uint32_t i = 0; i < wish; i++)
        if (is_alike(&world->wishes[i], &world->wishes[wish])) return true;
    return false;
}

void world_tell_chunks(struct world *world, struct game_words *words)
{
    for (uint32_t i = 0; i < world->wish_count; i++) {
        if (is_answered(world, i)) continue;
        for (uint8_t dialect = 0; dialect < world_dialects; dialect++)
            tell(world, words, i, (enum world_dialect)dialect);
    }
    world->wish_count = 0;
}
