#include "game/world_map.h"

static const struct text mode_names[world_modes] = {
    [WORLD_WALKING] = TEXT("walking"), [WORLD_FLYING] = TEXT("flying")};

struct text world_mode_name(enum world_mode mode)
{
    return mode_names[mode];
}

bool world_mode_of(struct text name, enum world_mode *mode)
{
    for (size_t i = 0; i < world_modes; i++) {
        if (!text_equal(name, mode_names[i])) continue;
        *mode = (enum world_mode)i;
        return true;
    }
    return false;
}

int32_t world_route_find(const struct world_map *map, struct text id)
{
    for (uint32_t i = 0; i < map->route_count; i++)
        if (text_equal(world_name_text(&map->routes[i].id), id)) return (int32_t)i;
    return -1;
}

int32_t world_kiosk_find(const struct world_map *map, struct text id)
{
    for (uint32_t i = 0; i < map->kiosk_count; i++)
        if (text_equal(world_name_text(&map->kiosks[i].id), id)) return (int32_t)i;
    return -1;
}

static bool same_terrain(const struct world_terrain *left, const struct world_terrain *right)
{
    return left->seed == right->seed && left->base == right->base &&
           left->amplitude == right->amplitude && left->wavelength == right->wavelength &&
           left->roughness == right->roughness && left->octaves == right->octaves;
}

static bool same_box(const struct world_box *left, const struct world_box *right)
{
    return left->min.x == right->min.x && left->min.y == right->min.y &&
           left->min.z == right->min.z && left->max.x == right->max.x &&
           left->max.y == right->max.y && left->max.z == right->max.z;
}

struct text world_map_conflict(const struct world_map *map, const struct world_map *next,
                               bool has_races)
{
    if (!same_terrain(&map->terrain, &next->terrain))
        return TEXT("has another seed or terrain, which clients have shown; restart for it");
    if (!same_box(&map->bounds, &next->bounds))
        return TEXT("has other bounds, which clients have been told; restart for them");
    if (map->chunk_size != next->chunk_size || map->interest.cell != next->interest.cell)
        return TEXT("has other chunks or cells, by which everybody is kept; restart for them");
    if (map->tick_ms != next->tick_ms)
        return TEXT("has another tickMs, which clients have been told; restart for it");
    /* A map is all zeros before it is read: equal routes are equal bytes. */
    bool same_routes = map->route_count == next->route_count &&
                       memcmp(map->routes, next->routes, sizeof map->routes) == 0;
    if (has_races && !same_routes)
        return TEXT("has other routes, and there are races; try again when they are over");
    return (struct text){};
}

bool world_tile_is_inside(const struct world_map *map, struct world_tile tile)
{
    double size = map->chunk_size, x = tile.x * size, z = tile.z * size;
    return x < map->bounds.max.x && x + size > map->bounds.min.x && z < map->bounds.max.z &&
           z + size > map->bounds.min.z;
}

struct world_box world_solid_core(const struct world_box *solid)
{
    struct world_box core = *solid;
    core.min.x -= world_hair;
    core.min.z -= world_hair;
    core.max.x += world_hair;
    core.max.z += world_hair;
    core.min.y -= world_skin + world_hair;
    core.max.y -= world_skin;
    return core;
}

static uint32_t strip_of(double value, double min, double width)
{
    double strip = (value - min) / width;
    if (!(strip > 0)) return 0;
    return strip < world_strips ? (uint32_t)strip : world_strips - 1;
}

static void mark_strips(struct world_strip *strips, uint32_t first, uint32_t last, uint32_t solid)
{
    for (uint32_t i = first; i <= last; i++)
        strips[i].words[solid / 64] |= 1ull << solid % 64;
}

void world_solids_index(struct world_map *map)
{
    const struct world_box *bounds = &map->bounds;
    map->strip_x = (bounds->max.x - bounds->min.x) / world_strips;
    map->strip_z = (bounds->max.z - bounds->min.z) / world_strips;
    memset(map->strips_x, 0, sizeof map->strips_x);
    memset(map->strips_z, 0, sizeof map->strips_z);
    for (uint32_t i = 0; i < map->solid_count; i++) {
        struct world_box core = world_solid_core(&map->solids[i]);
        mark_strips(map->strips_x, strip_of(core.min.x, bounds->min.x, map->strip_x),
                    strip_of(core.max.x, bounds->min.x, map->strip_x), i);
        mark_strips(map->strips_z, strip_of(core.min.z, bounds->min.z, map->strip_z),
                    strip_of(core.max.z, bounds->min.z, map->strip_z), i);
    }
}

/* What reaches into one of the strips. */
static void gather(struct world_strip *all, const struct world_strip *strips, uint32_t first,
                   uint32_t last, uint32_t words)
{
    *all = (struct world_strip){};
    for (uint32_t i = first; i <= last; i++)
        for (uint32_t word = 0; word < words; word++)
            all->words[word] |= strips[i].words[word];
}

void world_solids_near(const struct world_map *map, const struct world_box *box,
                       struct world_strip *candidates)
{
    const struct world_point *origin = &map->bounds.min;
    uint32_t words = (map->solid_count + 63) / 64;
    struct world_strip along_z;
    gather(candidates, map->strips_x, strip_of(box->min.x, origin->x, map->strip_x),
           strip_of(box->max.x, origin->x, map->strip_x), words);
    gather(&along_z, map->strips_z, strip_of(box->min.z, origin->z, map->strip_z),
           strip_of(box->max.z, origin->z, map->strip_z), words);
    for (uint32_t word = 0; word < words; word++)
        candidates->words[word] &= along_z.words[word];
}
