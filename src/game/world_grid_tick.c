/* game/world_grid_tick.c: what follows, once a tick, from where everybody has gone.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#include "game/world_grid.h"

constexpr uint32_t none = world_grid_none;

static uint32_t area_cell(const struct world_grid *grid, uint32_t from, uint32_t rank)
{
    return world_grid_beside(grid, from, grid->offsets[rank].column, grid->offsets[rank].row);
}

/* --- Circles of entities ---------------------------------------------------------------------- */

static void circle_push(struct world_grid *grid, uint32_t *first, uint32_t *count, uint32_t number)
{
    struct world_grid_link *link = &grid->links[number];
    if (*count == 0) {
        *first = link->next = link->previous = number;
    } else {
        struct world_grid_link *head = &grid->links[*first];
        link->next = *first;
        link->previous = head->previous;
        grid->links[head->previous].next = number;
        head->previous = number;
    }
    *count += 1;
}

static void circle_remove(struct world_grid *grid, uint32_t *first, uint32_t *count,
                          uint32_t number)
{
    const struct world_grid_link *link = &grid->links[number];
    grid->links[link->previous].next = link->next;
    grid->links[link->next].previous = link->previous;
    *count -= 1;
    if (*count == 0)
        *first = none;
    else if (*first == number)
        *first = link->next;
}

/* --- Lists of viewers ------------------------------------------------------------------------- */

/* Row by row: cells that are near each other are seen by the same, and what was written or sent for
 * one of them is still at hand for the next. */
static void list_viewer_cells(struct world_grid *grid)
{
    uint32_t words = (grid->columns * grid->rows + 63) / 64;
    grid->viewer_cell_count = 0;
    for (uint32_t i = 0; i < words; i++)
        for (uint64_t marks = grid->viewer_marks[i]; marks != 0; marks &= marks - 1)
            grid->viewer_cells[grid->viewer_cell_count++] =
                i * 64 + (uint32_t)__builtin_ctzll(marks);
}

static void link_viewer(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    struct world_grid_cell *cell = &grid->cells[entity->cell];
    if (cell->viewers == none)
        grid->viewer_marks[entity->cell / 64] |= 1ULL << entity->cell % 64;
    else
        grid->entities[cell->viewers].previous_viewer = number;
    entity->next_viewer = cell->viewers;
    entity->previous_viewer = none;
    entity->is_linked = true;
    cell->viewers = number;
    cell->viewer_count[entity->class] += 1;
}

/* What it sees by now is what it will have seen. */
static void link_seer(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    struct world_grid_cell *cell = &grid->cells[entity->cell];
    entity->seen_from = entity->cell;
    entity->seen_cells = cell->area_cells;
    entity->next_seer = cell->seers;
    entity->previous_seer = none;
    if (cell->seers != none) grid->entities[cell->seers].previous_seer = number;
    cell->seers = number;
}

/* --- The tick, step by step ------------------------------------------------------------------- */

/* What the last tick found has been told. */
static void settle(struct world_grid *grid)
{
    for (uint32_t i = 0; i < grid->touched_count; i++) {
        struct world_grid_entity *entity = &grid->entities[grid->touched[i]];
        entity->was_shown = entity->shown;
        entity->is_touched = false;
    }
    for (uint32_t i = 0; i < grid->changed_count; i++) {
        uint32_t number = grid->changed[i];
        grid->entities[number].is_changed = false;
        if (!grid->entities[number].is_linked) continue; /* its eyes are closed */
        world_grid_unlink_seer(grid, number);
        link_seer(grid, number);
    }
    grid->touched_count = grid->changed_count = grid->crowded_count = 0;
    grid->group_count = grid->appeared_count = grid->vanished_count = 0;
    grid->node_count = grid->watched_count = 0;
}

static void touch(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (entity->is_touched) return;
    entity->is_touched = true;
    grid->touched[grid->touched_count++] = number;
}

static void note_changed(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (entity->is_changed) return;
    entity->is_changed = true;
    grid->changed[grid->changed_count++] = number;
}

static void note_crowded(struct world_grid *grid, uint32_t number)
{
    struct world_grid_cell *cell = &grid->cells[number];
    if (cell->crowded_tick == grid->tick) return;
    cell->crowded_tick = grid->tick;
    grid->crowded[grid->crowded_count++] = number;
}

static void take_out(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    struct world_grid_cell *cell = &grid->cells[entity->cell];
    world_grid_unlink_viewer(grid, number);
    if (entity->shown == none) {
        circle_remove(grid, &cell->waiting_first, &cell->waiting_count, number);
        return;
    }
    circle_remove(grid, &cell->shown_first, &cell->shown_count, number);
    entity->shown = none;
    if (cell->waiting_count > 0) note_crowded(grid, entity->cell);
}

static void move(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    uint32_t to = world_grid_cell_of(grid, entity);
    entity->is_restless = false;
    if (to != entity->cell) {
        touch(grid, number);
        if (entity->cell != none) take_out(grid, number);
        entity->cell = to;
        if (to != none) {
            struct world_grid_cell *cell = &grid->cells[to];
            circle_push(grid, &cell->waiting_first, &cell->waiting_count, number);
            note_crowded(grid, to);
        }
    }
    if (!entity->views || entity->is_linked) return;
    link_viewer(grid, number);
    note_changed(grid, number);
}

/* Those who wait are shown in the order in which they came. */
static void show_waiting(struct world_grid *grid, uint32_t number)
{
    struct world_grid_cell *cell = &grid->cells[number];
    while (cell->waiting_count > 0 && cell->shown_count < grid->config.cell_entities_max) {
        uint32_t first = cell->waiting_first;
        circle_remove(grid, &cell->waiting_first, &cell->waiting_count, first);
        circle_push(grid, &cell->shown_first, &cell->shown_count, first);
        grid->entities[first].shown = number;
        touch(grid, first);
    }
}

/* How many of the area's cells hold `most` entities or fewer; the first one always. */
static uint8_t fitting_cells(const struct world_grid *grid, uint32_t number, uint32_t most)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < grid->offset_count; i++) {
        uint32_t cell = area_cell(grid, number, i);
        if (cell != none) sum += grid->cells[cell].shown_count;
        if (sum > most && i > 0) return (uint8_t)i;
    }
    return (uint8_t)grid->offset_count;
}

/* An area that was cut short grows only when there is some room to spare, else it would breathe. */
static void fit_area(struct world_grid *grid, uint32_t number)
{
    struct world_grid_cell *cell = &grid->cells[number];
    uint32_t most = grid->config.viewer_entities_max;
    uint8_t fitting = fitting_cells(grid, number, most);
    bool grows = cell->area_cells > 0 && fitting > cell->area_cells;
    if (grows) {
        uint8_t spacious = fitting_cells(grid, number, most - most / 8);
        fitting = spacious > cell->area_cells ? spacious : cell->area_cells;
    }
    if (fitting == cell->area_cells) return;
    cell->area_cells = fitting;
    for (uint32_t i = cell->viewers; i != none; i = grid->entities[i].next_viewer)
        note_changed(grid, i);
}

/* The group of those who go from one cell to another. */
static struct world_grid_group *group_of(struct world_grid *grid, uint32_t from, uint32_t to)
{
    struct world_grid_cell *cell = &grid->cells[to != none ? to : grid->columns * grid->rows];
    if (cell->group_tick != grid->tick) {
        cell->group_tick = grid->tick;
        cell->group = none;
    }
    for (uint32_t i = cell->group; i != none; i = grid->groups[i].next)
        if (grid->groups[i].from == from) return &grid->groups[i];
    struct world_grid_group *group = &grid->groups[grid->group_count];
    *group = (struct world_grid_group){.from = from, .to = to, .next = cell->group};
    cell->group = grid->group_count++;
    return group;
}

static void group_touched(struct world_grid *grid)
{
    for (uint32_t i = 0; i < grid->touched_count; i++) {
        uint32_t number = grid->touched[i];
        struct world_grid_entity *entity = &grid->entities[number];
        if (entity->was_shown == entity->shown) continue;
        struct world_grid_group *group = group_of(grid, entity->was_shown, entity->shown);
        if (group->count == 0)
            group->first = number;
        else
            grid->entities[group->last].next_in_group = number;
        group->last = number;
        group->count += 1;
        entity->next_in_group = none;
    }
}

/* One more viewer for whom a cell has come or gone. */
static void note_change(struct world_grid *grid, struct world_grid_change *changes, uint32_t *count,
                        uint32_t *place, uint64_t *tick, uint32_t cell, uint32_t viewer)
{
    if (*tick != grid->tick) {
        *tick = grid->tick;
        *place = (*count)++;
        changes[*place] = (struct world_grid_change){.cell = cell, .first = none};
    }
    struct world_grid_change *change = &changes[*place];
    grid->nodes[grid->node_count] = (struct world_grid_node){viewer, change->first};
    change->first = grid->node_count++;
    change->count += 1;
}

static void compare_areas(struct world_grid *grid, uint32_t number)
{
    const struct world_grid_entity *viewer = &grid->entities[number];
    uint8_t area_cells = grid->cells[viewer->cell].area_cells;
    for (uint32_t i = 0; i < viewer->seen_cells; i++) {
        uint32_t at = area_cell(grid, viewer->seen_from, i);
        if (world_grid_covers(grid, viewer->cell, area_cells, at) || at == none) continue;
        struct world_grid_cell *cell = &grid->cells[at];
        if (cell->shown_count > 0)
            note_change(grid, grid->vanished, &grid->vanished_count, &cell->vanished,
                        &cell->vanished_tick, at, number);
    }
    for (uint32_t i = 0; i < area_cells; i++) {
        uint32_t at = area_cell(grid, viewer->cell, i);
        if (at == none || world_grid_saw(grid, number, at)) continue;
        struct world_grid_cell *cell = &grid->cells[at];
        if (cell->shown_count > 0)
            note_change(grid, grid->appeared, &grid->appeared_count, &cell->appeared,
                        &cell->appeared_tick, at, number);
    }
}

static uint8_t classes_in(const struct world_grid_cell *cell)
{
    uint8_t classes = 0;
    for (uint32_t i = 0; i < world_grid_classes; i++)
        if (cell->viewer_count[i] > 0) classes |= (uint8_t)(1u << i);
    return classes;
}

static void watch_area(struct world_grid *grid, uint32_t number)
{
    uint8_t classes = classes_in(&grid->cells[number]);
    for (uint32_t i = 0; i < grid->cells[number].area_cells; i++) {
        uint32_t at = area_cell(grid, number, i);
        if (at == none || grid->cells[at].shown_count == 0) continue;
        struct world_grid_cell *cell = &grid->cells[at];
        if (cell->watched_tick != grid->tick) {
            cell->watched_tick = grid->tick;
            cell->watched_by = 0;
            grid->watched[grid->watched_count++] = at;
        }
        cell->watched_by |= classes;
    }
}

void world_grid_tick(struct world_grid *grid)
{
    settle(grid);
    grid->tick += 1;
    for (uint32_t i = 0; i < grid->restless_count; i++)
        move(grid, grid->restless[i]);
    grid->restless_count = 0;
    for (uint32_t i = 0; i < grid->crowded_count; i++)
        show_waiting(grid, grid->crowded[i]);
    list_viewer_cells(grid);
    for (uint32_t i = 0; i < grid->viewer_cell_count; i++)
        fit_area(grid, grid->viewer_cells[i]);
    group_touched(grid);
    for (uint32_t i = 0; i < grid->changed_count; i++)
        compare_areas(grid, grid->changed[i]);
    for (uint32_t i = 0; i < grid->viewer_cell_count; i++)
        watch_area(grid, grid->viewer_cells[i]);
}
