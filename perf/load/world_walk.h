/* perf/load/world_walk.h: where the players of a world are, and what they say of it. Pure.
 *
 *   from its spawn point it flies to a place of its own not far from there, within the square of
 *   all, and then it walks straight on, turning now and then and at the square's edges, always at
 *   the same height
 *
 * Each step is as long as the time since the last one allows, so it is an honest client's. */
#pragma once
#include "world_text.h"

constexpr uint32_t world_steps_kept = 256; /* places that a player was at last: half a minute */
constexpr size_t world_step_size_max = 512;

struct world_ground {
    struct world_place corner; /* the square's least */
    int64_t side;              /* millimetres; so is what follows */
    int64_t spread;            /* from its spawn point to a player's own place, along each axis */
    int64_t walking, flying;   /* in each step */
    uint32_t step_ms;
};

struct world_walk {
    uint64_t chance;
    struct world_place at, goal; /* goal: of the flight */
    struct world_place steps[world_steps_kept];
    uint32_t step_count; /* places that it was at, ever, from its spawn point on */
    bool has_landed;
    uint32_t turn_in;   /* steps until it turns */
    uint32_t direction; /* which way it goes */
};

/* A player appears. Its number decides where to it goes. */
void world_walk_begin(struct world_walk *walk, const struct world_ground *ground, uint32_t number,
                      struct world_place spawn);

/* One step; writes the player_update that tells of it. Returns its size. */
size_t world_walk_step(struct world_walk *walk, const struct world_ground *ground,
                       char out[static world_step_size_max]);

/* True where it was there lately, or has not appeared yet. */
[[nodiscard]] bool world_walk_was_at(const struct world_walk *walk, struct world_place place);
