/* game/world_terrain.h: the ground of a world, and what stands on each tile of it: pure
 * functions of a few numbers, so nothing of it is stored, and every machine and every client
 * finds the same.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Height: value noise. Octave o has a lattice of `wavelength` / 2^o metres; each of its points
 * (i along x, j along z) has a number from -1 to 1, and between four of them it is blended,
 * along x first, with f*f*(3-2f). Octave o weighs roughness^o; the weighted mean, times
 * `amplitude`, lies on `base`. With 32-bit words, which a client in JavaScript has too
 * (Math.imul):
 *
 *   stir(w)  w = (w ^ w>>16) * 0x7FEB352D;  w = (w ^ w>>15) * 0x846CA68B;  w ^ w>>16
 *   ground   stir(seed's low word ^ stir(its high word + 0x9E3779B9))
 *   octave   stir(ground + o)
 *   row      stir(octave + j * 0x9E3779B1)
 *   number   stir(row ^ i) / 2^31 - 1 */
#pragma once
#include "base/bytes.h"
#include "game/world_space.h"

constexpr uint32_t world_octaves_max = 8;

/* What the ground follows from. */
struct world_terrain {
    uint64_t seed;     /* below 2^53, so that JSON can say it */
    double base;       /* the mean height */
    double amplitude;  /* how far it goes from there at most; 0: flat */
    double wavelength; /* of the widest hills, in metres */
    double roughness;  /* what the next finer octave weighs of this one: 0 to 1 */
    uint32_t octaves;  /* 1 to world_octaves_max */
};

/* The height of the ground; x and z lie within twice world_reach. */
[[nodiscard]] double world_height(const struct world_terrain *terrain, double x, double z);

/* How many metres it rises or falls at most on one metre, in any direction. */
[[nodiscard]] double world_steepness(const struct world_terrain *terrain);

/* How closely a client looks at a tile. */
enum world_detail : uint8_t { WORLD_NEAR, WORLD_MID, WORLD_FAR };
constexpr size_t world_details = 3;

/* "near", "mid", "far". */
[[nodiscard]] struct text world_detail_name(enum world_detail detail);
[[nodiscard]] bool world_detail_of(struct text name, enum world_detail *detail);

constexpr size_t world_props_max = 24; /* of a tile: near; mid has at most a third, far a sixth */

/* A thing that stands on the ground: to be seen, not to be run into. */
struct world_prop {
    struct text kind;         /* "oak"; a constant */
    int64_t x_mm, y_mm, z_mm; /* on the ground; thousandths, so that all write the same digits */
    uint32_t turn;            /* degrees about the vertical, below 360 */
    uint32_t scale;           /* percent */
};

/* What a client needs to show a tile. The props of less detail are the first of those of more, so
 * that nothing jumps as one comes closer. */
struct world_chunk {
    struct world_tile tile;
    enum world_detail detail;
    uint32_t terrain_seed; /* chance for what only clients show; the same at every detail */
    uint64_t hash;         /* of all the rest: what is equal is equal, what differs differs */
    struct text biome;     /* a hint, "meadow"; a constant */
    uint32_t prop_count;
    struct world_prop props[world_props_max];
};

/* Describes the tile of edge `size` metres; all of it lies within twice world_reach. */
void world_chunk_make(struct world_chunk *chunk, const struct world_terrain *terrain, uint32_t size,
                      struct world_tile tile, enum world_detail detail);

/* The most that world_chunk_write writes. */
constexpr size_t world_chunk_size_max = 256 + world_props_max * 144;

/* The chunk as one element of chunk_meta's "tiles":
 *   {"x":0,"z":-1,"lod":"near","hash":"16 digits","terrainSeed":7,"biomeHint":"meadow","props":
 *    [{"kind":"oak","position":{"x":1.5,"y":0.25,"z":-3},"turn":90,"scale":1.1}]} */
void world_chunk_write(struct writer *out, const struct world_chunk *chunk);

/* A number of thousandths as JSON, without zeros at its end: -1500 is -1.5. */
void world_write_thousandths(struct writer *out, int64_t thousandths);
