/* perf/load/world_sight.h: what the clients of a world see, and whether they may.
 *
 * The cells of a tick are the same for all who see them. So each is read once, when it comes first;
 * when it comes again it must be the same, byte for byte, and is not read again. What differs from
 * client to client is which cells come, and whom it knows:
 *
 *   unknown --entity_enter--> known --entity_leave--> unknown
 *                             in the updates, all of them in each, and nobody else
 *
 * Where a cell's update carries as many as it may, others wait for a later tick: then "all of them"
 * is not asked of who sees that cell. */
#pragma once
#include "histogram.h"
#include "tally.h"
#include "world_text.h"

constexpr uint32_t world_sight_cells = 64;    /* that one update may have */
constexpr uint32_t world_message_most = 2048; /* entities of one message */

/* One cell of one tick, as it came first. */
struct world_shot {
    uint64_t time_ms; /* 0: there is none */
    uint8_t *bytes;
    size_t size, capacity;
    uint32_t *entities; /* their numbers, no more than a cell's share: players, then walkers */
    uint32_t count;
};

constexpr size_t world_shots = 8; /* ticks that are kept: some clients are read later */

struct world_spot {
    bool taken;
    struct world_cell cell;
    uint32_t newest;
    uint64_t forgotten_ms; /* the latest tick that is not kept any more */
    struct world_shot shots[world_shots];
};

/* What all clients share. */
struct world_sight {
    struct tally *tally;
    uint32_t players, entities; /* how many there can be */
    uint32_t share;             /* entities of one cell's update, at most */
    struct world_spot *spots;   /* a hash table; never full: the world has fewer cells */
    uint64_t *told_ms;          /* of each entity: when it was told of last */
    struct world_cell *told_at; /* and in which cell */
    uint64_t newest_ms;         /* the latest tick that anybody was told of */
    uint64_t unseen_ms; /* the longest that anybody waited for the turn in a cell with too many */
    uint64_t begin_ms;  /* from when on that counts */
    /* what was read just now, entities of one message; `fresh_count` is 0 where nothing was */
    struct world_sighting fresh[world_message_most];
    uint32_t fresh_count;
};

/* What one client knows. */
struct world_view {
    uint64_t *known; /* a bit for each entity */
    uint32_t known_count;
    /* the tick that is being told; 0: none */
    uint64_t time_ms;
    uint64_t at_ns; /* when the last of it came */
    uint64_t bytes;
    uint32_t carried, cell_count;
    bool capped; /* some cell carries as many as it may */
    struct world_cell cells[world_sight_cells];
};

/* A tick that a client has been told of, whole. */
struct world_told {
    uint64_t time_ms, at_ns, bytes;
    uint32_t entities, cells;
    bool short_of; /* somebody whom it knows was left out */
};

/* Memory is taken here, and given back by world_sight_close. */
void world_sight_open(struct world_sight *sight, struct tally *tally, uint32_t players,
                      uint32_t walkers, uint32_t share);
void world_sight_close(struct world_sight *sight);
void world_view_open(struct world_view *view, const struct world_sight *sight);
void world_view_close(struct world_view *view);

/* A cell of a tick has come to a client. True when the tick before it is complete by that: *told
 * is that one. Faults are counted. */
[[nodiscard]] bool world_sight_update(struct world_sight *sight, struct world_view *view,
                                      uint32_t client, const uint8_t *text, size_t size,
                                      size_t frame_size, uint64_t now_ns, struct world_told *told);

/* Entities have come into a client's sight, or gone out of it. */
void world_sight_list(struct world_sight *sight, struct world_view *view, uint32_t client,
                      const uint8_t *text, size_t size, bool leave);

/* Something else comes now, or nothing more: the client's tick is complete. False when it has been
 * told of none since the last that was. */
[[nodiscard]] bool world_view_finish(struct world_view *view, struct world_told *told);
