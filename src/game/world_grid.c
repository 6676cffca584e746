#include "game/world_grid.h"
#include <assert.h>

constexpr uint32_t none = world_grid_none;
constexpr int32_t rank_middle = 3;

/* --- The plane -------------------------------------------------------------------------------- */

/* Towards minus infinity: cells on both sides of 0 are equally wide (CONTRACT D25). */
static int64_t floor_of(double value)
{
    int64_t whole = (int64_t)value;
    return (double)whole > value ? whole - 1 : whole;
}

static int64_t cells_between(double least, double most, double cell_size)
{
    return floor_of(most / cell_size) - floor_of(least / cell_size) + 1;
}

uint64_t world_grid_cells(const struct world_grid_config *config)
{
    int64_t columns = cells_between(config->least_x, config->most_x, config->cell_size);
    int64_t rows = cells_between(config->least_z, config->most_z, config->cell_size);
    return (uint64_t)columns * (uint64_t)rows;
}

static uint32_t clamp(int64_t value, uint32_t count)
{
    return value < 0 ? 0 : value >= count ? count - 1 : (uint32_t)value;
}

uint32_t world_grid_cell_at(const struct world_grid *grid, double x, double z)
{
    int64_t column = floor_of(x / grid->config.cell_size) - grid->first_column;
    int64_t row = floor_of(z / grid->config.cell_size) - grid->first_row;
    return clamp(row, grid->rows) * grid->columns + clamp(column, grid->columns);
}

static bool is_within(double value, double begin, double size, double slack)
{
    return value >= begin - slack && value < begin + size + slack;
}

uint32_t world_grid_cell_of(const struct world_grid *grid, const struct world_grid_entity *entity)
{
    const struct world_grid_config *config = &grid->config;
    if (!entity->is_put) return none;
    if (entity->cell != none) {
        double size = config->cell_size;
        double begin_x = world_grid_column(grid, entity->cell) * size;
        double begin_z = world_grid_row(grid, entity->cell) * size;
        if (is_within(entity->x, begin_x, size, config->slack) &&
            is_within(entity->z, begin_z, size, config->slack))
            return entity->cell;
    }
    return world_grid_cell_at(grid, entity->x, entity->z);
}

uint32_t world_grid_beside(const struct world_grid *grid, uint32_t cell, int32_t columns,
                           int32_t rows)
{
    int32_t column = (int32_t)(cell % grid->columns) + columns;
    int32_t row = (int32_t)(cell / grid->columns) + rows;
    bool inside =
        column >= 0 && column < (int32_t)grid->columns && row >= 0 && row < (int32_t)grid->rows;
    return inside ? (uint32_t)row * grid->columns + (uint32_t)column : none;
}

bool world_grid_covers(const struct world_grid *grid, uint32_t from, uint8_t count, uint32_t cell)
{
    if (from == none || cell == none) return false;
    int32_t columns = (int32_t)(cell % grid->columns) - (int32_t)(from % grid->columns);
    int32_t rows = (int32_t)(cell / grid->columns) - (int32_t)(from / grid->columns);
    columns += rank_middle;
    rows += rank_middle;
    if (columns < 0 || columns > 2 * rank_middle || rows < 0 || rows > 2 * rank_middle)
        return false;
    return grid->ranks[rows][columns] < count;
}

/* --- Making it -------------------------------------------------------------------------------- */

static int32_t distance(int32_t column, int32_t row)
{
    return column * column + row * row;
}

/* A circle of whole cells, in the order of distance; those as far keep the order of rows. */
static void init_offsets(struct world_grid *grid)
{
    int32_t radius = (int32_t)grid->config.radius, farthest = radius * radius + radius;
    for (int32_t away = 0; away <= farthest; away++)
        for (int32_t row = -radius; row <= radius; row++)
            for (int32_t column = -radius; column <= radius; column++) {
                if (distance(column, row) != away) continue;
                grid->ranks[row + rank_middle][column + rank_middle] = (uint8_t)grid->offset_count;
                grid->offsets[grid->offset_count].column = (int8_t)column;
                grid->offsets[grid->offset_count++].row = (int8_t)row;
            }
}

static void *take(struct arena *arena, size_t count, size_t size)
{
    return arena_take(arena, count * size);
}

static void init_entities(struct world_grid *grid)
{
    for (uint32_t i = 0; i < grid->config.entities_max; i++)
        grid->entities[i] = (struct world_grid_entity){
            .cell = none, .shown = none, .was_shown = none, .seen_from = none};
}

static void init_cells(struct world_grid *grid, uint32_t count)
{
    memset(grid->viewer_marks, 0, (count + 62) / 64 * sizeof *grid->viewer_marks);
    for (uint32_t i = 0; i < count; i++)
        grid->cells[i] = (struct world_grid_cell){
            .shown_first = none, .waiting_first = none, .viewers = none, .seers = none};
}

void world_grid_init(struct world_grid *grid, struct arena *arena,
                     const struct world_grid_config *config)
{
    uint64_t cells = world_grid_cells(config);
    assert(config->radius <= (uint32_t)rank_middle && cells <= 65536);
    assert(config->share_max > 0 && config->cell_entities_max > 0);
    *grid = (struct world_grid){.config = *config};
    grid->first_column = (int32_t)floor_of(config->least_x / config->cell_size);
    grid->first_row = (int32_t)floor_of(config->least_z / config->cell_size);
    grid->columns = (uint32_t)cells_between(config->least_x, config->most_x, config->cell_size);
    grid->rows = (uint32_t)(cells / grid->columns);
    memset(grid->ranks, world_area_max, sizeof grid->ranks);
    init_offsets(grid);
    uint32_t count = (uint32_t)cells + 1, entities = config->entities_max;
    size_t nodes = (size_t)2 * config->viewers_max * grid->offset_count;
    grid->entities = take(arena, entities, sizeof *grid->entities);
    grid->links = take(arena, entities, sizeof *grid->links);
    grid->cells = take(arena, count, sizeof *grid->cells);
    grid->restless = take(arena, entities, sizeof(uint32_t));
    grid->touched = take(arena, entities, sizeof(uint32_t));
    grid->changed = take(arena, entities, sizeof(uint32_t));
    grid->crowded = take(arena, cells, sizeof(uint32_t));
    grid->viewer_marks = take(arena, (cells + 63) / 64, sizeof(uint64_t));
    grid->viewer_cells = take(arena, cells, sizeof(uint32_t));
    grid->groups = take(arena, entities, sizeof *grid->groups);
    grid->appeared = take(arena, cells, sizeof *grid->appeared);
    grid->vanished = take(arena, cells, sizeof *grid->vanished);
    grid->nodes = take(arena, nodes, sizeof *grid->nodes);
    grid->watched = take(arena, cells, sizeof(uint32_t));
    if (grid->entities == nullptr) return; /* only measured */
    init_entities(grid);
    init_cells(grid, count);
}

/* --- Between ticks ---------------------------------------------------------------------------- */

static void mark_restless(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (entity->is_restless) return;
    entity->is_restless = true;
    grid->restless[grid->restless_count++] = number;
}

void world_grid_put(struct world_grid *grid, uint32_t number, double x, double z)
{
    struct world_grid_entity *entity = &grid->entities[number];
    entity->x = x;
    entity->z = z;
    entity->is_put = true;
    if (entity->cell == none || world_grid_cell_of(grid, entity) != entity->cell)
        mark_restless(grid, number);
}

void world_grid_unlink_viewer(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (!entity->is_linked) return;
    struct world_grid_cell *cell = &grid->cells[entity->cell];
    entity->is_linked = false;
    cell->viewer_count[entity->class] -= 1;
    if (entity->next_viewer != none)
        grid->entities[entity->next_viewer].previous_viewer = entity->previous_viewer;
    if (entity->previous_viewer != none)
        grid->entities[entity->previous_viewer].next_viewer = entity->next_viewer;
    else
        cell->viewers = entity->next_viewer;
    if (cell->viewers != none) return;
    grid->viewer_marks[entity->cell / 64] &= ~(1ULL << entity->cell % 64);
    cell->area_cells = 0;
}

void world_grid_unlink_seer(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (entity->seen_from == none) return;
    if (entity->next_seer != none)
        grid->entities[entity->next_seer].previous_seer = entity->previous_seer;
    if (entity->previous_seer != none)
        grid->entities[entity->previous_seer].next_seer = entity->next_seer;
    else
        grid->cells[entity->seen_from].seers = entity->next_seer;
    entity->seen_from = none;
    entity->seen_cells = 0;
}

void world_grid_remove(struct world_grid *grid, uint32_t number)
{
    world_grid_close_eyes(grid, number);
    grid->entities[number].is_put = false;
    mark_restless(grid, number);
}

void world_grid_open_eyes(struct world_grid *grid, uint32_t number, uint8_t class)
{
    struct world_grid_entity *entity = &grid->entities[number];
    assert(!entity->views && entity->is_put && class < world_grid_classes);
    assert(grid->viewer_count < grid->config.viewers_max);
    grid->viewer_count += 1;
    entity->views = true;
    entity->class = class;
    mark_restless(grid, number);
}

void world_grid_close_eyes(struct world_grid *grid, uint32_t number)
{
    struct world_grid_entity *entity = &grid->entities[number];
    if (!entity->views) return;
    grid->viewer_count -= 1;
    entity->views = false;
    world_grid_unlink_viewer(grid, number);
    world_grid_unlink_seer(grid, number);
}
