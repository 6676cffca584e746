/* game/world_grid.h: who sees whom in the world.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 * Never: knows what an entity is, speaks, or reads a clock. The same calls give the same answers.
 *
 * The plane is cut into square cells. What somebody sees is a whole number of cells, the nearest to
 * its own first, so everything that is said about a cell can be said once, to all who see it:
 *
 *        . o o o .
 *        o o o o o        o  the area of whoever stands in @, where nothing is crowded
 *        o o @ o o           (radius 2: 21 cells); where it is, the farthest are left out until
 *        o o o o o           viewer_entities_max is kept
 *        . o o o .
 *
 * An entity belongs to another cell once it is `slack` beyond the edge of its own, so nobody who
 * walks along an edge appears and disappears. A cell shows cell_entities_max entities at most;
 * those who come later wait in it, unseen, until one of them goes.
 *
 * Entities move by world_grid_put at any time; what follows from that for those who see is worked
 * out once a tick, and then:
 *
 *   groups     entities that went from one cell to another (or came into sight, or went out of it),
 *              together: those who see the second and not the first are told of them, and those who
 *              saw the first and do not see the second
 *   appeared   cells that came into somebody's sight: they are told who stayed there
 *   vanished   the same for cells that went out of it
 *   watched    cells with somebody in them that somebody sees
 *
 * Each viewer is told of each entity that it saw and no longer sees, or sees and did not see,
 * exactly once by that. A viewer sees itself. */
#pragma once
#include "base/arena.h"

constexpr uint32_t world_grid_none = UINT32_MAX;
constexpr uint32_t world_area_max = 37;    /* cells of an area: radius 3 */
constexpr uint32_t world_grid_classes = 2; /* of viewers: they are told the same in other words */

struct world_grid_config {
    double least_x, least_z, most_x, most_z; /* what is beyond counts to the cells at the edge */
    double cell_size, slack;                 /* metres */
    uint32_t radius;                         /* of an area, in cells: 0 to 3 */
    uint32_t entities_max, viewers_max;
    uint32_t cell_entities_max;   /* that a cell shows */
    uint32_t viewer_entities_max; /* that a viewer is shown, or one cell's */
    uint32_t share_max;           /* that a cell's update carries */
};

/* Numbers of entities and cells; world_grid_none: nothing. */
struct world_grid_entity {
    double x, z;
    uint32_t cell;             /* where it is, as of the last tick; none: nowhere */
    uint32_t shown, was_shown; /* the cell in which it is seen, now and before the last tick */
    uint32_t next_in_group;
    uint32_t seen_from; /* a viewer: where it was before the last tick; none: it saw nothing */
    uint32_t next_viewer, previous_viewer;    /* in the list of its cell */
    uint32_t next_seer, previous_seer;        /* in the list of seen_from */
    uint8_t seen_cells;                       /* how many cells it saw from there */
    uint8_t class;                            /* of a viewer */
    bool is_put, views;                       /* as its owner wants it */
    bool is_linked;                           /* in its cell's list of viewers */
    bool is_restless, is_touched, is_changed; /* in the lists of the same names */
};

/* An entity's place in its cell's circle of the shown, or of the waiting. Apart from the rest: each
 * tick follows them all. */
struct world_grid_link {
    uint32_t next, previous;
};

struct world_grid_cell {
    uint32_t shown_first, shown_count;     /* a circle; the first is the next to be carried */
    uint32_t waiting_first, waiting_count; /* a circle; the first is the next to be shown */
    uint32_t viewers, seers;               /* the first of each list */
    uint32_t viewer_count[world_grid_classes];
    uint32_t group;              /* the first of those that lead here, in the tick group_tick */
    uint32_t appeared, vanished; /* places in those lists, in the ticks below */
    uint64_t group_tick, appeared_tick, vanished_tick, watched_tick, crowded_tick;
    uint8_t area_cells; /* how many cells its viewers see */
    uint8_t watched_by; /* classes, a bit each, in the tick watched_tick */
};

/* Entities that went the same way: `first` and on by next_in_group. */
struct world_grid_group {
    uint32_t from, to; /* cells; none: they were not seen, or are not seen any more */
    uint32_t first, last, count;
    uint32_t next; /* with the same `to` */
};

/* A cell, and the viewers for whom it has come or gone: `first` and on in `nodes`. */
struct world_grid_change {
    uint32_t cell, first, count;
};
struct world_grid_node {
    uint32_t viewer, next;
};

struct world_grid {
    struct world_grid_config config;
    int32_t first_column, first_row; /* of cells, as positions count them */
    uint32_t columns, rows;
    struct {
        int8_t column, row;
    } offsets[world_area_max]; /* of an area's cells, the nearest first */
    uint8_t ranks[7][7];       /* the place of an offset there, from -3 on; or world_area_max */
    uint32_t offset_count;
    uint64_t tick;
    struct world_grid_entity *entities;
    struct world_grid_link *links; /* of each */
    struct world_grid_cell *cells; /* one more than there are, for `none` as a destination */
    uint32_t *restless, *touched, *changed; /* entities; put or removed; shown elsewhere; viewers */
    uint32_t restless_count, touched_count, changed_count;
    uint32_t *crowded; /* cells where somebody may be shown who waits */
    uint32_t crowded_count;
    uint64_t *viewer_marks; /* a bit for each cell that has viewers */
    uint32_t viewer_count;
    /* What the last tick found; valid until the next one. */
    struct world_grid_group *groups;
    uint32_t group_count;
    struct world_grid_change *appeared, *vanished;
    uint32_t appeared_count, vanished_count;
    struct world_grid_node *nodes;
    uint32_t node_count;
    uint32_t *viewer_cells; /* those that had viewers then, in the order of their numbers */
    uint32_t viewer_cell_count;
    uint32_t *watched; /* cells, near ones one after the other */
    uint32_t watched_count;
};

/* How many cells the plane has under this configuration; not more than 65536 are possible. */
uint64_t world_grid_cells(const struct world_grid_config *config);

/* An empty grid; its memory is the arena's. May run on a measuring arena. */
void world_grid_init(struct world_grid *grid, struct arena *arena,
                     const struct world_grid_config *config);

/* The entity is at this place, which is finite, from the next tick on. Its number is below
 * entities_max, and nobody else's. */
void world_grid_put(struct world_grid *grid, uint32_t entity, double x, double z);

/* It is in the world no more. Its number may be used again once those who saw it have been told of
 * that, which the next tick finds. */
void world_grid_remove(struct world_grid *grid, uint32_t entity);

/* An entity that has been put sees from the next tick on, or at once no more. There are viewers_max
 * at most who do. */
void world_grid_open_eyes(struct world_grid *grid, uint32_t entity, uint8_t class);
void world_grid_close_eyes(struct world_grid *grid, uint32_t entity);

/* Works out what has changed; see above. */
void world_grid_tick(struct world_grid *grid);

/* The cell of a place. */
uint32_t world_grid_cell_at(const struct world_grid *grid, double x, double z);

/* The cell so many columns and rows from another; none: beyond the edge. */
uint32_t world_grid_beside(const struct world_grid *grid, uint32_t cell, int32_t columns,
                           int32_t rows);

/* True when a cell is one of the first `count` of the area around `from`; none is in no area, and
 * has none. */
bool world_grid_covers(const struct world_grid *grid, uint32_t from, uint8_t count, uint32_t cell);

/* True when a viewer saw the cell before the last tick. */
static inline bool world_grid_saw(const struct world_grid *grid, uint32_t viewer, uint32_t cell)
{
    const struct world_grid_entity *entity = &grid->entities[viewer];
    return world_grid_covers(grid, entity->seen_from, entity->seen_cells, cell);
}

/* True when it sees the cell since then. */
static inline bool world_grid_sees(const struct world_grid *grid, uint32_t viewer, uint32_t cell)
{
    uint32_t from = grid->entities[viewer].cell;
    return from != world_grid_none &&
           world_grid_covers(grid, from, grid->cells[from].area_cells, cell);
}

/* What world_grid.c and world_grid_tick.c share: the cell where an entity belongs now, which holds
 * it until it is well beyond the edge; and one who does not look out of its cell any more, or has
 * not seen anything. */
uint32_t world_grid_cell_of(const struct world_grid *grid, const struct world_grid_entity *entity);
void world_grid_unlink_viewer(struct world_grid *grid, uint32_t viewer);
void world_grid_unlink_seer(struct world_grid *grid, uint32_t viewer);

/* world_sight.c: what to tell whom. */

/* Who must be told that a group has come into sight, or has gone out of it, of viewers of one
 * class: their numbers are written to `viewers`, which has room for viewers_max. Returns how many;
 * each is there once. */
uint32_t world_grid_enter_audience(const struct world_grid *grid,
                                   const struct world_grid_group *group, uint8_t class,
                                   uint32_t *viewers);
uint32_t world_grid_leave_audience(const struct world_grid *grid,
                                   const struct world_grid_group *group, uint8_t class,
                                   uint32_t *viewers);

/* The same for a cell of `appeared` or `vanished`; what it is about are those who stayed there. */
uint32_t world_grid_change_audience(const struct world_grid *grid,
                                    const struct world_grid_change *change, uint8_t class,
                                    uint32_t *viewers);

/* The entities that a cell shows, one after the other: first with `none`; none: that was the
 * last. */
uint32_t world_grid_next(const struct world_grid *grid, uint32_t cell, uint32_t entity);

/* True when the last tick has not moved it. */
static inline bool world_grid_stayed(const struct world_grid *grid, uint32_t entity)
{
    return grid->entities[entity].shown == grid->entities[entity].was_shown;
}

/* The entities that the cell's next update carries are written to `entities`, which has room for
 * share_max: all that it shows, or the next share of them. Returns how many. */
uint32_t world_grid_carry(struct world_grid *grid, uint32_t cell, uint32_t *entities);

/* The cells that the viewers of a cell see, itself first, are written to `cells`, which has room
 * for world_area_max. Returns how many. */
uint32_t world_grid_area(const struct world_grid *grid, uint32_t cell, uint32_t *cells);

/* The viewers of one class who see a cell, as above. */
uint32_t world_grid_onlookers(const struct world_grid *grid, uint32_t cell, uint8_t class,
                              uint32_t *viewers);

/* The viewers of one class in a cell, as above. */
uint32_t world_grid_viewers(const struct world_grid *grid, uint32_t cell, uint8_t class,
                            uint32_t *viewers);

/* Which column and row a cell is, counted from the cell that begins at 0. */
static inline int32_t world_grid_column(const struct world_grid *grid, uint32_t cell)
{
    return grid->first_column + (int32_t)(cell % grid->columns);
}
static inline int32_t world_grid_row(const struct world_grid *grid, uint32_t cell)
{
    return grid->first_row + (int32_t)(cell / grid->columns);
}
