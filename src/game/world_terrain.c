#include "game/world_terrain.h"
#include <assert.h>

static const struct text detail_names[world_details] = {
    [WORLD_NEAR] = TEXT("near"), [WORLD_MID] = TEXT("mid"), [WORLD_FAR] = TEXT("far")};

struct text world_detail_name(enum world_detail detail)
{
    return detail_names[detail];
}

bool world_detail_of(struct text name, enum world_detail *detail)
{
    for (size_t i = 0; i < world_details; i++) {
        if (!text_equal(name, detail_names[i])) continue;
        *detail = (enum world_detail)i;
        return true;
    }
    return false;
}

/* Each bit of the result depends on each of the word's: two rounds of shift and multiplication
 * by an odd number, and a shift, with the numbers that C. Wellons found to leave the least bias
 * (2018). Other words give other results. */
static uint32_t stir(uint32_t word)
{
    word = (word ^ word >> 16) * 0x7FEB352D;
    word = (word ^ word >> 15) * 0x846CA68B;
    return word ^ word >> 16;
}

/* What all chance of a terrain begins with. */
static uint32_t stir_seed(const struct world_terrain *terrain)
{
    return stir((uint32_t)terrain->seed ^ stir((uint32_t)(terrain->seed >> 32) + 0x9E3779B9));
}

/* The number at a lattice point: from -1 to 1. */
static double lattice(uint32_t row, int64_t x)
{
    return (double)stir(row ^ (uint32_t)x) / 2147483648.0 - 1;
}

static double blend(double from, double to, double part)
{
    return from + (to - from) * (part * part * (3 - 2 * part));
}

static double noise(uint32_t seed, double x, double z)
{
    int64_t west = world_floor(x), south = world_floor(z);
    uint32_t row = stir(seed + (uint32_t)south * 0x9E3779B1);
    uint32_t next_row = stir(seed + (uint32_t)(south + 1) * 0x9E3779B1);
    double east_part = x - (double)west;
    double here = blend(lattice(row, west), lattice(row, west + 1), east_part);
    double beyond = blend(lattice(next_row, west), lattice(next_row, west + 1), east_part);
    return blend(here, beyond, z - (double)south);
}

double world_height(const struct world_terrain *terrain, double x, double z)
{
    assert(x >= -2 * world_reach && x <= 2 * world_reach);
    assert(z >= -2 * world_reach && z <= 2 * world_reach);
    uint32_t seed = stir_seed(terrain);
    double sum = 0, weights = 0, weight = 1, spacing = terrain->wavelength;
    for (uint32_t octave = 0; octave < terrain->octaves; octave++) {
        sum += weight * noise(stir(seed + octave), x / spacing, z / spacing);
        weights += weight;
        weight *= terrain->roughness;
        spacing /= 2;
    }
    return terrain->base + terrain->amplitude * (sum / weights);
}

/* Blending rises by 3/2 of its difference at most, which is 2; along x and along z at once. */
double world_steepness(const struct world_terrain *terrain)
{
    double sum = 0, weights = 0, weight = 1, spacing = terrain->wavelength;
    for (uint32_t octave = 0; octave < terrain->octaves; octave++) {
        sum += weight * 3 / spacing;
        weights += weight;
        weight *= terrain->roughness;
        spacing /= 2;
    }
    return __builtin_sqrt(2) * terrain->amplitude * (sum / weights);
}

/* What a tile looks like, and what may stand there: large things first. */
static const struct biome {
    struct text name;
    uint32_t props_min, props_max; /* near */
    uint32_t kind_count;
    struct text kinds[4];
} biomes[] = {
    {TEXT("shore"), 2, 8, 3, {TEXT("driftwood"), TEXT("boulder"), TEXT("reed")}},
    {TEXT("meadow"), 4, 12, 4, {TEXT("oak"), TEXT("boulder"), TEXT("bush"), TEXT("flower")}},
    {TEXT("forest"), 12, world_props_max, 3, {TEXT("pine"), TEXT("oak"), TEXT("bush")}},
    {TEXT("moor"), 3, 10, 3, {TEXT("birch"), TEXT("bush"), TEXT("reed")}},
    {TEXT("rock"), 2, 9, 2, {TEXT("crag"), TEXT("boulder")}},
};
enum { SHORE, MEADOW, FOREST, MOOR, ROCK };

/* Low and high ground have a look of their own; between them a wide noise decides. */
static const struct biome *biome_of(const struct world_terrain *terrain, double x, double z)
{
    double height = world_height(terrain, x, z) - terrain->base;
    if (height < -0.45 * terrain->amplitude) return &biomes[SHORE];
    if (height > 0.45 * terrain->amplitude) return &biomes[ROCK];
    double width = 4 * terrain->wavelength;
    double wet = noise(stir(stir_seed(terrain) ^ 0x62696F6D), x / width, z / width);
    return &biomes[wet < -0.3 ? MEADOW : wet < 0.4 ? FOREST : MOOR];
}

/* Chance that runs through one tile. */
struct dice {
    uint32_t seed, drawn;
};

static uint32_t roll(struct dice *dice, uint32_t below)
{
    dice->drawn += 1;
    return (uint32_t)((uint64_t)stir(dice->seed + dice->drawn * 0x9E3779B9) * below >> 32);
}

static int64_t thousandths(double value)
{
    return world_floor(value * 1000 + 0.5);
}

static struct world_prop prop_make(const struct world_terrain *terrain, const struct biome *biome,
                                   struct dice *dice, uint32_t size, struct world_tile tile,
                                   bool large)
{
    int64_t edge = (int64_t)size * 1000, x = (int64_t)tile.x * edge, z = (int64_t)tile.z * edge;
    x += roll(dice, (uint32_t)edge);
    z += roll(dice, (uint32_t)edge);
    uint32_t kind = large ? 0 : roll(dice, biome->kind_count);
    double height = world_height(terrain, (double)x / 1000, (double)z / 1000);
    return (struct world_prop){.kind = biome->kinds[kind],
                               .x_mm = x,
                               .y_mm = thousandths(height),
                               .z_mm = z,
                               .turn = roll(dice, 360),
                               .scale = 75 + roll(dice, 51)};
}

/* Of so many props near by, how many are shown. */
static uint32_t props_at(uint32_t count, enum world_detail detail)
{
    return detail == WORLD_NEAR ? count : detail == WORLD_MID ? count / 3 : count / 6;
}

/* Folds a number into a hash of 64 bits: an odd multiplication and a shift are undone by others,
 * so two hashes that differ still differ after the same number. */
static void fold(uint64_t *hash, uint64_t value)
{
    uint64_t mixed = (*hash ^ value) * 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93;
    *hash = mixed ^ mixed >> 29;
}

static void fold_text(uint64_t *hash, struct text text)
{
    fold(hash, text.size);
    for (size_t i = 0; i < text.size; i++)
        fold(hash, (uint8_t)text.data[i]);
}

static uint64_t chunk_hash(const struct world_chunk *chunk)
{
    uint64_t hash = chunk->terrain_seed;
    fold(&hash, (uint32_t)chunk->tile.x);
    fold(&hash, (uint32_t)chunk->tile.z);
    fold(&hash, chunk->detail);
    fold_text(&hash, chunk->biome);
    for (uint32_t i = 0; i < chunk->prop_count; i++) {
        const struct world_prop *prop = &chunk->props[i];
        fold_text(&hash, prop->kind);
        fold(&hash, (uint64_t)prop->x_mm);
        fold(&hash, (uint64_t)prop->y_mm);
        fold(&hash, (uint64_t)prop->z_mm);
        fold(&hash, (uint64_t)prop->turn << 32 | prop->scale);
    }
    return hash;
}

void world_chunk_make(struct world_chunk *chunk, const struct world_terrain *terrain, uint32_t size,
                      struct world_tile tile, enum world_detail detail)
{
    uint32_t seed = stir(stir(stir_seed(terrain) ^ (uint32_t)tile.x) ^ (uint32_t)tile.z);
    const struct biome *biome =
        biome_of(terrain, ((double)tile.x + 0.5) * size, ((double)tile.z + 0.5) * size);
    struct dice dice = {.seed = seed};
    uint32_t near = biome->props_min + roll(&dice, biome->props_max - biome->props_min + 1);
    *chunk = (struct world_chunk){.tile = tile,
                                  .detail = detail,
                                  .terrain_seed = seed,
                                  .biome = biome->name,
                                  .prop_count = props_at(near, detail)};
    for (uint32_t i = 0; i < chunk->prop_count; i++) {
        bool large = i < props_at(near, WORLD_FAR);
        chunk->props[i] = prop_make(terrain, biome, &dice, size, tile, large);
    }
    chunk->hash = chunk_hash(chunk);
}

void world_write_thousandths(struct writer *out, int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0) write_byte(out, '-');
    write_u64(out, size / 1000);
    uint32_t rest = (uint32_t)(size % 1000);
    if (rest == 0) return;
    write_byte(out, '.');
    for (uint32_t unit = 100; rest > 0; rest %= unit, unit /= 10)
        write_byte(out, (uint8_t)('0' + rest / unit));
}

static void write_hash(struct writer *out, uint64_t hash)
{
    for (uint32_t digit = 0; digit < 16; digit++)
        write_byte(out, (uint8_t)"0123456789abcdef"[hash >> (60 - 4 * digit) & 15]);
}

static void write_prop(struct writer *out, const struct world_prop *prop)
{
    write_text(out, TEXT("{\"kind\":\""));
    write_text(out, prop->kind);
    write_text(out, TEXT("\",\"position\":{\"x\":"));
    world_write_thousandths(out, prop->x_mm);
    write_text(out, TEXT(",\"y\":"));
    world_write_thousandths(out, prop->y_mm);
    write_text(out, TEXT(",\"z\":"));
    world_write_thousandths(out, prop->z_mm);
    write_text(out, TEXT("},\"turn\":"));
    write_u64(out, prop->turn);
    write_text(out, TEXT(",\"scale\":"));
    world_write_thousandths(out, (int64_t)prop->scale * 10);
    write_text(out, TEXT("}"));
}

void world_chunk_write(struct writer *out, const struct world_chunk *chunk)
{
    write_text(out, TEXT("{\"x\":"));
    write_i64(out, chunk->tile.x);
    write_text(out, TEXT(",\"z\":"));
    write_i64(out, chunk->tile.z);
    write_text(out, TEXT(",\"lod\":\""));
    write_text(out, world_detail_name(chunk->detail));
    write_text(out, TEXT("\",\"hash\":\""));
    write_hash(out, chunk->hash);
    write_text(out, TEXT("\",\"terrainSeed\":"));
    write_u64(out, chunk->terrain_seed);
    write_text(out, TEXT(",\"biomeHint\":\""));
    write_text(out, chunk->biome);
    write_text(out, TEXT("\",\"props\":["));
    for (uint32_t i = 0; i < chunk->prop_count; i++) {
        if (i > 0) write_text(out, TEXT(","));
        write_prop(out, &chunk->props[i]);
    }
    write_text(out, TEXT("]}"));
}
