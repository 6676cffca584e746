/* game/world_sight.c: what the grid's last tick means for those who see.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#include "game/world_grid.h"
#include <assert.h>

constexpr uint32_t none = world_grid_none;

/* The cell from which another has that place in the area. */
static uint32_t seen_from(const struct world_grid *grid, uint32_t cell, uint32_t rank)
{
    return world_grid_beside(grid, cell, -grid->offsets[rank].column, -grid->offsets[rank].row);
}

/* Most viewers of a cell have seen the same, so for them it is worked out once. */
static uint32_t add_entered(const struct world_grid *grid, const struct world_grid_group *group,
                            uint32_t number, uint8_t class, uint32_t *viewers)
{
    const struct world_grid_cell *cell = &grid->cells[number];
    bool saw = world_grid_covers(grid, number, cell->area_cells, group->from);
    uint32_t count = 0;
    for (uint32_t i = cell->viewers; i != none; i = grid->entities[i].next_viewer) {
        const struct world_grid_entity *viewer = &grid->entities[i];
        if (viewer->class != class) continue;
        bool same = viewer->seen_from == number && viewer->seen_cells == cell->area_cells;
        if (same ? saw : world_grid_saw(grid, i, group->from)) continue;
        viewers[count++] = i;
    }
    return count;
}

uint32_t world_grid_enter_audience(const struct world_grid *grid,
                                   const struct world_grid_group *group, uint8_t class,
                                   uint32_t *viewers)
{
    uint32_t count = 0;
    if (group->to == none) return 0;
    for (uint32_t i = 0; i < grid->offset_count; i++) {
        uint32_t number = seen_from(grid, group->to, i);
        if (number == none || i >= grid->cells[number].area_cells) continue;
        count += add_entered(grid, group, number, class, viewers + count);
    }
    return count;
}

static uint32_t add_left(const struct world_grid *grid, const struct world_grid_group *group,
                         uint32_t number, uint32_t rank, uint8_t class, uint32_t *viewers)
{
    const struct world_grid_cell *cell = &grid->cells[number];
    bool sees = world_grid_covers(grid, number, cell->area_cells, group->to);
    uint32_t count = 0;
    for (uint32_t i = cell->seers; i != none; i = grid->entities[i].next_seer) {
        const struct world_grid_entity *viewer = &grid->entities[i];
        if (viewer->class != class || rank >= viewer->seen_cells) continue;
        if (viewer->cell == number ? sees : world_grid_sees(grid, i, group->to)) continue;
        viewers[count++] = i;
    }
    return count;
}

uint32_t world_grid_leave_audience(const struct world_grid *grid,
                                   const struct world_grid_group *group, uint8_t class,
                                   uint32_t *viewers)
{
    uint32_t count = 0;
    if (group->from == none) return 0;
    for (uint32_t i = 0; i < grid->offset_count; i++) {
        uint32_t number = seen_from(grid, group->from, i);
        if (number == none) continue;
        count += add_left(grid, group, number, i, class, viewers + count);
    }
    return count;
}

uint32_t world_grid_change_audience(const struct world_grid *grid,
                                    const struct world_grid_change *change, uint8_t class,
                                    uint32_t *viewers)
{
    uint32_t count = 0;
    for (uint32_t i = change->first; i != none; i = grid->nodes[i].next)
        if (grid->entities[grid->nodes[i].viewer].class == class)
            viewers[count++] = grid->nodes[i].viewer;
    return count;
}

uint32_t world_grid_next(const struct world_grid *grid, uint32_t cell, uint32_t entity)
{
    uint32_t first = grid->cells[cell].shown_first;
    if (entity == none) return first;
    uint32_t next = grid->links[entity].next;
    return next != first ? next : none;
}

uint32_t world_grid_carry(struct world_grid *grid, uint32_t number, uint32_t *entities)
{
    struct world_grid_cell *cell = &grid->cells[number];
    uint32_t count = cell->shown_count, most = grid->config.share_max;
    if (count > most) count = most;
    uint32_t next = cell->shown_first;
    for (uint32_t i = 0; i < count; i++) {
        entities[i] = next;
        next = grid->links[next].next;
    }
    cell->shown_first = next; /* where all are carried that is the first again */
    return count;
}

uint32_t world_grid_area(const struct world_grid *grid, uint32_t cell, uint32_t *cells)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < grid->cells[cell].area_cells; i++) {
        uint32_t at = world_grid_beside(grid, cell, grid->offsets[i].column, grid->offsets[i].row);
        if (at != none) cells[count++] = at;
    }
    return count;
}

uint32_t world_grid_onlookers(const struct world_grid *grid, uint32_t cell, uint8_t class,
                              uint32_t *viewers)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < grid->offset_count; i++) {
        uint32_t from = seen_from(grid, cell, i);
        if (from != none && i < grid->cells[from].area_cells)
            count += world_grid_viewers(grid, from, class, viewers + count);
    }
    return count;
}

uint32_t world_grid_viewers(const struct world_grid *grid, uint32_t cell, uint8_t class,
                            uint32_t *viewers)
{
    uint32_t count = 0;
    for (uint32_t i = grid->cells[cell].viewers; i != none; i = grid->entities[i].next_viewer)
        if (grid->entities[i].class == class) viewers[count++] = i;
    return count;
}
