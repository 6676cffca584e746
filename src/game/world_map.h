/* game/world_map.h: what a world is: its file, read, checked and never changed afterwards.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * The file is JSON; world_builtin.json is one, and README.md explains it. Points are
 * {"x":1,"y":2,"z":3} in metres, y is up; a y that is left out is the ground's height there. A name
 * that nothing here knows is an error: it would be a slip that nobody notices.
 *
 * Everything is bounded, and lies in one struct that the caller lends. */
#pragma once
#include "game/world_space.h"
#include "game/world_terrain.h"

constexpr size_t world_file_size_max = 1024 * 1024; /* bytes */
constexpr size_t world_solids_max = 1024;
constexpr size_t world_spawns_max = 64;
constexpr size_t world_kiosks_max = 64;
constexpr size_t world_routes_max = 64;
constexpr size_t world_checkpoints_max = 64; /* of a route */
constexpr size_t world_racers_max = 16;      /* of a race */
constexpr size_t world_name_size_max = 32;   /* of an id */
constexpr size_t world_answer_size_max = 512;

/* A solid is no thinner, so that something of it is left by what follows. */
constexpr double world_solid_thickness_min = 0.1;
constexpr double world_skin = 0.02;   /* metres into a solid's top that count as on it */
constexpr double world_hair = 0.0001; /* metres from a solid's sides that count as in it */

enum world_mode : uint8_t { WORLD_WALKING, WORLD_FLYING };
constexpr size_t world_modes = 2;

/* "walking", "flying". */
[[nodiscard]] struct text world_mode_name(enum world_mode mode);
[[nodiscard]] bool world_mode_of(struct text name, enum world_mode *mode);

/* An id: [A-Za-z0-9_-]{1,32}. */
struct world_name {
    uint8_t size;
    char data[world_name_size_max];
};

static inline struct text world_name_text(const struct world_name *name)
{
    return (struct text){name->data, name->size};
}

/* How players may move. */
struct world_pace {
    double speed[world_modes]; /* m/s that an honest client keeps to */
    double fall;               /* m/s downwards, walking */
    uint32_t burst_ms;         /* how much of motion may come at once, after a lag; at least 1 s */
    uint32_t strikes;          /* so many strikes end a connection */
    uint32_t strike_ms;        /* one is forgotten after each of these */
};

/* Who sees what. A view reaches over few cells: each is a frame of its own in every update. */
constexpr double world_leave_cells_max = 4;
struct world_interest {
    double cell;   /* edge of a cell */
    double radius; /* along an axis, who is so near is in view: by whole cells (world_grid.h) */
    double leave_radius;   /* above radius, at most world_leave_cells_max cells: half of what it is
                          * more is how far a cell's edge is behind one before the next one counts,
                          * a quarter of a cell at most */
    uint32_t entities_max; /* shown to one client */
    uint32_t cell_share_max; /* of one cell in one frame */
};

struct world_kiosk {
    struct world_name id;
    struct world_point position;
    double range;  /* metres from which it answers */
    int32_t route; /* whose races it starts, or -1 */
    uint16_t answer_size;
    char answer[world_answer_size_max]; /* plain text: base/plain.h */
};

enum world_checkpoint_shape : uint8_t {
    WORLD_SPHERE, /* reached from any side */
    WORLD_GATE,   /* a disc, passed in its direction */
};

struct world_checkpoint {
    struct world_point position;
    struct world_point forward; /* of a gate; length 1 */
    double radius;
    enum world_checkpoint_shape shape;
};

struct world_route {
    struct world_name id;
    struct world_point start;
    double start_radius; /* who takes part waits within it */
    uint32_t laps;
    uint32_t racers_max;  /* at most world_racers_max */
    uint32_t countdown_s; /* others may join meanwhile */
    uint32_t timeout_ms;  /* from go */
    uint32_t checkpoint_count;
    struct world_checkpoint checkpoints[world_checkpoints_max]; /* in order; the last finishes */
};

/* Solids by where they are: the bounds are cut into strips along each axis of the ground, and bit i
 * of a strip says that solid i reaches into it. What a way may run into is in the strips it
 * touches of both. */
constexpr size_t world_strips = 128;
constexpr size_t world_solid_words = world_solids_max / 64;

struct world_strip {
    uint64_t words[world_solid_words];
};

struct world_map {
    struct world_terrain terrain;
    struct world_box bounds; /* where players may be */
    struct world_pace pace;
    struct world_interest interest;
    uint32_t chunk_size;  /* edge of a tile that clients ask for, in whole metres */
    uint32_t chunk_reach; /* how many tiles from their own they may */
    uint32_t tick_ms;
    uint32_t solid_count, spawn_count, kiosk_count, route_count; /* at least one spawn */
    double strip_x, strip_z;                                     /* widths */
    struct world_strip strips_x[world_strips], strips_z[world_strips];
    struct world_box solids[world_solids_max];
    struct world_point spawns[world_spawns_max];
    struct world_kiosk kiosks[world_kiosks_max];
    struct world_route routes[world_routes_max];
};

/* Reads a world from its file's text. `memory` is to read it in (json_memory_size(text.size)
 * bytes) and free again afterwards, as is the text. False when something is wrong: then `problem`
 * says line and column, which value, what is wrong and what would be right, as one line such as
 *   line 12, column 20: routes[0].checkpoints[3].radius is -1; it must be 0.5 to 1000
 * and the map must not be used. A problem takes 512 bytes at most. */
[[nodiscard]] bool world_map_read(struct world_map *map, struct text text, struct bytes memory,
                                  struct writer *problem);

/* Why a world that was read again must not take the place of the one that is on: words that
 * continue "The new world ". Empty: it may. What clients have been told for good must be as it
 * was; while there are races (`has_races`), so must the routes. Who is inside a new solid may
 * leave it. */
[[nodiscard]] struct text world_map_conflict(const struct world_map *map,
                                             const struct world_map *next, bool has_races);

/* The world that is served when no file is given. Lives as long as the program. */
[[nodiscard]] struct text world_map_builtin(void);

/* The number of a route or kiosk by its id, or -1. */
[[nodiscard]] int32_t world_route_find(const struct world_map *map, struct text id);
[[nodiscard]] int32_t world_kiosk_find(const struct world_map *map, struct text id);

/* True when some of the tile (of edge chunk_size) lies within the bounds. */
[[nodiscard]] bool world_tile_is_inside(const struct world_map *map, struct world_tile tile);

/* Finds out which strips the solids reach into; world_map_read has done it. For maps that are made
 * by hand: bounds, solids and solid_count are set. */
void world_solids_index(struct world_map *map);

/* What of a solid nobody may be in. Its top may be sunk into a little, so that feet stand on it;
 * for that a solid reaches down as much, or there would be a gap under what stands on another. Its
 * sides reach out by a hair, or there would be one where two of them meet. */
[[nodiscard]] struct world_box world_solid_core(const struct world_box *solid);

/* Which solids may have something to do with the box: all whose core reaches into it, and perhaps
 * others.
 * Sets bit i of *candidates for solid i. */
void world_solids_near(const struct world_map *map, const struct world_box *box,
                       struct world_strip *candidates);
