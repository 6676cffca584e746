/* tests/unit/game_world_grid.c: who sees whom, tick by tick, against an oracle that knows nothing
 * of lists: it works in whole quarters of a metre and looks at every pair (THREATS.md G11, CONTRACT
 * S4-4, S4-12, D25). */
#include "base/random.h"
#include "check.h"
#include "game/world_grid.h"
#include <stdlib.h>

constexpr uint32_t entities_max = 96, viewers_max = 40;
constexpr int32_t cell_quarters = 64, slack_quarters = 8; /* 16 m and 2 m */
constexpr int32_t half_world = 5;                         /* cells on each side of 0 */

static struct arena arena;
static struct world_grid grid;

static struct world_grid_config ordinary(void)
{
    double edge = half_world * cell_quarters / 4.0;
    return (struct world_grid_config){.least_x = -edge,
                                      .least_z = -edge,
                                      .most_x = edge - 0.25,
                                      .most_z = edge - 0.25,
                                      .cell_size = cell_quarters / 4.0,
                                      .slack = slack_quarters / 4.0,
                                      .radius = 2,
                                      .entities_max = entities_max,
                                      .viewers_max = viewers_max,
                                      .cell_entities_max = entities_max,
                                      .viewer_entities_max = entities_max,
                                      .share_max = entities_max};
}

/* What clients know, and what the oracle knows. */
static struct {
    bool here, sees;
    uint8_t class;
    bool fresh;   /* not yet seen by a tick */
    int32_t x, z; /* quarters of a metre */
    int32_t column, row;
    bool knows[entities_max]; /* as told */
    uint32_t told[entities_max];
} all[entities_max];
static uint32_t tick_count;
static uint32_t carried[entities_max]; /* the last tick in which its cell's update had it */

static void begin(const struct world_grid_config *config)
{
    struct arena measuring = arena_measure();
    world_grid_init(&grid, &measuring, config);
    if (!arena_open(&arena, measuring.used)) abort();
    world_grid_init(&grid, &arena, config);
    memset(all, 0, sizeof all);
    memset(carried, 0, sizeof carried);
    tick_count = 0;
}

static void end(void)
{
    arena_close(&arena);
}

static void put(uint32_t i, int32_t x, int32_t z)
{
    if (!all[i].here) all[i].fresh = true;
    all[i].here = true;
    all[i].x = x;
    all[i].z = z;
    world_grid_put(&grid, i, x / 4.0, z / 4.0);
}

static void close_eyes(uint32_t i)
{
    if (all[i].sees) world_grid_close_eyes(&grid, i);
    all[i].sees = false;
    memset(all[i].knows, 0, sizeof all[i].knows);
}

static void open_eyes(uint32_t i, uint8_t class)
{
    all[i].sees = true;
    all[i].class = class;
    world_grid_open_eyes(&grid, i, class);
}

static void remove_it(uint32_t i)
{
    close_eyes(i);
    all[i].here = false;
    world_grid_remove(&grid, i);
}

/* --- What clients are told -------------------------------------------------------------------- */

static void tell(uint32_t viewer, uint32_t entity, bool enters)
{
    EXPECT(all[viewer].sees);
    EXPECT(all[viewer].knows[entity] != enters);    /* it is news */
    EXPECT(all[viewer].told[entity] != tick_count); /* and told once */
    all[viewer].knows[entity] = enters;
    all[viewer].told[entity] = tick_count;
}

static void tell_groups(uint8_t class)
{
    uint32_t viewers[viewers_max];
    for (uint32_t i = 0; i < grid.group_count; i++) {
        const struct world_grid_group *group = &grid.groups[i];
        uint32_t members = 0;
        for (int enters = 0; enters < 2; enters++) {
            uint32_t count = enters ? world_grid_enter_audience(&grid, group, class, viewers)
                                    : world_grid_leave_audience(&grid, group, class, viewers);
            members = 0;
            for (uint32_t e = group->first; e != world_grid_none;
                 e = grid.entities[e].next_in_group) {
                members += 1;
                for (uint32_t v = 0; v < count; v++)
                    tell(viewers[v], e, enters);
            }
        }
        EXPECT_EQ(members, group->count);
    }
}

static void tell_changes(const struct world_grid_change *changes, uint32_t count, bool enters,
                         uint8_t class)
{
    uint32_t viewers[viewers_max];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t told = world_grid_change_audience(&grid, &changes[i], class, viewers);
        for (uint32_t e = world_grid_next(&grid, changes[i].cell, world_grid_none);
             e != world_grid_none; e = world_grid_next(&grid, changes[i].cell, e)) {
            if (!world_grid_stayed(&grid, e)) continue;
            for (uint32_t v = 0; v < told; v++)
                tell(viewers[v], e, enters);
        }
    }
}

static void tick(void)
{
    tick_count += 1;
    world_grid_tick(&grid);
    for (uint8_t class = 0; class < world_grid_classes; class ++) {
        tell_groups(class);
        tell_changes(grid.vanished, grid.vanished_count, false, class);
        tell_changes(grid.appeared, grid.appeared_count, true, class);
    }
}

/* --- The oracle ------------------------------------------------------------------------------- */

static int32_t floor_quotient(int32_t value, int32_t divisor)
{
    int32_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

static int32_t cell_beyond_slack(int32_t at, int32_t cell, bool fresh)
{
    bool holds = at >= cell * cell_quarters - slack_quarters &&
                 at < (cell + 1) * cell_quarters + slack_quarters;
    return holds && !fresh ? cell : floor_quotient(at, cell_quarters);
}

/* Both edges count together: who is beyond one of them is placed anew by both. */
static void oracle_move(void)
{
    for (uint32_t i = 0; i < entities_max; i++) {
        if (!all[i].here) continue;
        int32_t column = cell_beyond_slack(all[i].x, all[i].column, all[i].fresh);
        int32_t row = cell_beyond_slack(all[i].z, all[i].row, all[i].fresh);
        if (column != all[i].column || row != all[i].row || all[i].fresh) {
            all[i].column = floor_quotient(all[i].x, cell_quarters);
            all[i].row = floor_quotient(all[i].z, cell_quarters);
        }
        all[i].fresh = false;
    }
}

static bool oracle_sees(uint32_t viewer, uint32_t entity)
{
    int32_t columns = all[viewer].column - all[entity].column;
    int32_t rows = all[viewer].row - all[entity].row;
    return all[entity].here && columns * columns + rows * rows <= 6; /* (2 + 1/2) squared */
}

static void expect_oracle(void)
{
    oracle_move();
    for (uint32_t v = 0; v < entities_max; v++)
        for (uint32_t e = 0; all[v].sees && e < entities_max; e++)
            EXPECT_EQ(all[v].knows[e], oracle_sees(v, e));
}

/* --- What updates carry ----------------------------------------------------------------------- */

static bool is_watched[4096];

static void carry_watched(void)
{
    uint32_t entities[entities_max];
    memset(is_watched, 0, sizeof is_watched);
    for (uint32_t i = 0; i < grid.watched_count; i++) {
        uint32_t cell = grid.watched[i], count = world_grid_carry(&grid, cell, entities);
        EXPECT(count > 0 && count <= grid.config.share_max);
        EXPECT(!is_watched[cell]); /* encoded once */
        is_watched[cell] = true;
        for (uint32_t e = 0; e < count; e++) {
            EXPECT(carried[entities[e]] != tick_count);
            EXPECT_EQ(grid.entities[entities[e]].cell, cell);
            carried[entities[e]] = tick_count;
        }
    }
}

/* Each viewer's update is made of what it knows, all of it where nothing is shared out, and nothing
 * else. */
static void expect_updates(bool all_of_it)
{
    uint32_t cells[world_area_max], viewers[viewers_max];
    bool watched_by_nobody[4096];
    memcpy(watched_by_nobody, is_watched, sizeof is_watched);
    for (uint32_t i = 0; i < grid.viewer_cell_count; i++) {
        uint32_t cell = grid.viewer_cells[i], count = world_grid_area(&grid, cell, cells);
        bool gets[entities_max] = {};
        for (uint32_t c = 0; c < count; c++)
            for (uint32_t e = 0; e < entities_max; e++)
                if (is_watched[cells[c]] && carried[e] == tick_count &&
                    grid.entities[e].cell == cells[c])
                    gets[e] = true;
        for (uint32_t c = 0; c < count; c++)
            watched_by_nobody[cells[c]] = false;
        for (uint8_t class = 0; class < world_grid_classes; class ++) {
            uint32_t seen = world_grid_viewers(&grid, cell, class, viewers);
            for (uint32_t v = 0; v < seen; v++)
                for (uint32_t e = 0; e < entities_max; e++) {
                    EXPECT(!gets[e] || all[viewers[v]].knows[e]);
                    if (all_of_it) EXPECT_EQ(gets[e], all[viewers[v]].knows[e]);
                }
        }
    }
    for (uint32_t c = 0; c < 4096; c++)
        EXPECT(!watched_by_nobody[c]); /* nothing is encoded for nobody */
}

/* --- Walks ------------------------------------------------------------------------------------ */

static struct random chance;

static int32_t between(int32_t least, int32_t most)
{
    return least + (int32_t)random_below(&chance, (uint64_t)(most - least + 1));
}

static int32_t inside(int32_t at)
{
    int32_t edge = half_world * cell_quarters;
    return at < -edge ? -edge : at >= edge ? edge - 1 : at;
}

static uint32_t viewers_now(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < entities_max; i++)
        count += all[i].sees;
    return count;
}

/* One thing happens to an entity: it comes, goes, walks, jumps, or its eyes open or close. */
static void live(uint32_t i, int32_t stride)
{
    int32_t edge = half_world * cell_quarters;
    if (!all[i].here) {
        if (between(0, 9) == 0) put(i, between(-edge, edge - 1), between(-edge, edge - 1));
        return;
    }
    switch (between(0, 99)) {
    case 0: remove_it(i); return;
    case 1: put(i, between(-edge, edge - 1), between(-edge, edge - 1)); break;
    case 2:
    case 3:
        if (all[i].sees)
            close_eyes(i);
        else if (viewers_now() < viewers_max)
            open_eyes(i, (uint8_t)between(0, 1));
        break;
    default:
        put(i, inside(all[i].x + between(-stride, stride)),
            inside(all[i].z + between(-stride, stride)));
    }
}

static void walk(uint64_t seed, int32_t stride, uint32_t ticks)
{
    const struct world_grid_config config = ordinary();
    begin(&config);
    chance = (struct random){seed};
    for (uint32_t t = 0; t < ticks; t++) {
        for (uint32_t i = 0; i < entities_max; i++)
            live(i, stride);
        tick();
        expect_oracle();
        carry_watched();
        expect_updates(true);
    }
    end();
}

TEST("random walks: what everybody is told is what the oracle says, every tick, in all quadrants")
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        walk(seed, 12, 60);
}

TEST("leaps across several cells at once: what everybody is told is what the oracle says")
{
    for (uint64_t seed = 100; seed <= 110; seed++)
        walk(seed, 200, 40);
}

TEST("steps along the borders of cells: what everybody is told is what the oracle says")
{
    const struct world_grid_config config = ordinary();
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin(&config);
        chance = (struct random){seed};
        for (uint32_t i = 0; i < entities_max; i++) {
            put(i, between(-3, 3) * cell_quarters, between(-3, 3) * cell_quarters);
            if (i < viewers_max) open_eyes(i, 0);
        }
        for (uint32_t t = 0; t < 80; t++) {
            for (uint32_t i = 0; i < entities_max; i++)
                put(i, inside(all[i].x + between(-1, 1) * slack_quarters),
                    inside(all[i].z + between(-1, 1) * slack_quarters));
            tick();
            expect_oracle();
        }
        end();
    }
}

/* --- Edges ------------------------------------------------------------------------------------ */

TEST("cells on both sides of 0 are equally wide, and a name for each (CONTRACT D25)")
{
    const struct world_grid_config config = ordinary();
    begin(&config);
    put(0, -1, -1);
    put(1, 0, 0);
    put(2, -cell_quarters, cell_quarters);
    tick();
    EXPECT_EQ(world_grid_column(&grid, grid.entities[0].cell), -1);
    EXPECT_EQ(world_grid_row(&grid, grid.entities[0].cell), -1);
    EXPECT_EQ(world_grid_column(&grid, grid.entities[1].cell), 0);
    EXPECT_EQ(world_grid_column(&grid, grid.entities[2].cell), -1);
    EXPECT_EQ(world_grid_row(&grid, grid.entities[2].cell), 1);
    end();
}

TEST("who goes to and fro across an edge is told of nothing, and neither are others")
{
    const struct world_grid_config config = ordinary();
    begin(&config);
    put(0, -4, 0);
    put(1, 3 * cell_quarters, 0); /* in sight of column 1 and up */
    open_eyes(0, 0);
    open_eyes(1, 0);
    tick();
    for (uint32_t t = 0; t < 20; t++) {
        put(0, t % 2 == 0 ? 6 : -6, 0);
        tick();
        EXPECT_EQ(grid.group_count, 0);
        EXPECT_EQ(grid.appeared_count + grid.vanished_count, 0);
    }
    put(0, slack_quarters, 0);
    tick();
    EXPECT_EQ(grid.group_count, 1);
    end();
}

TEST("what is beyond the world's edge counts to the cells at the edge")
{
    const struct world_grid_config config = ordinary();
    begin(&config);
    put(0, 1'000'000'000, -1'000'000'000);
    tick();
    EXPECT_EQ(world_grid_column(&grid, grid.entities[0].cell), half_world - 1);
    EXPECT_EQ(world_grid_row(&grid, grid.entities[0].cell), -half_world);
    end();
}

TEST("of two who swap places while both see, each is told what has changed and nothing twice")
{
    const struct world_grid_config config = ordinary();
    begin(&config);
    for (uint32_t i = 0; i < 8; i++) {
        put(i, (int32_t)(i % 2 == 0 ? -2 : 2) * cell_quarters, 8);
        open_eyes(i, i % 2);
    }
    tick();
    expect_oracle();
    for (uint32_t i = 0; i < 8; i++)
        put(i, -all[i].x, 8);
    tick();
    expect_oracle();
    end();
}

/* --- Crowds ----------------------------------------------------------------------------------- */

static struct world_grid_config crowded(void)
{
    struct world_grid_config config = ordinary();
    config.cell_entities_max = 7;
    config.viewer_entities_max = 20;
    config.share_max = 3;
    return config;
}

static void expect_cells_full(void)
{
    uint32_t here[4096] = {}, shown[4096] = {};
    for (uint32_t i = 0; i < entities_max; i++) {
        if (!all[i].here) continue;
        here[grid.entities[i].cell] += 1;
        shown[grid.entities[i].cell] += grid.entities[i].shown == grid.entities[i].cell;
    }
    for (uint32_t c = 0; c < 4096; c++)
        EXPECT_EQ(shown[c], here[c] < 7 ? here[c] : 7);
}

/* What a viewer knows is all that the first cells of its area show, the cells being in the order of
 * distance; and not more than it may, unless its own cell alone is more. */
static void expect_nearest_first(void)
{
    for (uint32_t v = 0; v < entities_max; v++) {
        if (!all[v].sees) continue;
        uint32_t count = 0, cells = grid.cells[grid.entities[v].cell].area_cells;
        for (uint32_t e = 0; e < entities_max; e++) {
            bool near = grid.entities[e].shown != world_grid_none &&
                        world_grid_covers(&grid, grid.entities[v].cell, (uint8_t)cells,
                                          grid.entities[e].shown);
            EXPECT_EQ(all[v].knows[e], near);
            count += near;
        }
        EXPECT(count <= 20 || cells == 1);
    }
}

TEST("in a crowd cells show so many, viewers are shown the nearest, and all stay told exactly")
{
    const struct world_grid_config config = crowded();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(&config);
        chance = (struct random){seed};
        for (uint32_t t = 0; t < 80; t++) {
            for (uint32_t i = 0; i < entities_max; i++)
                live(i, t % 20 < 10 ? 12 : 60);
            tick();
            oracle_move();
            expect_cells_full();
            expect_nearest_first();
            carry_watched();
            expect_updates(false);
        }
        end();
    }
}

TEST("who comes to a full cell waits, unseen, and is shown when one goes, in the order of coming")
{
    struct world_grid_config config = crowded();
    config.cell_entities_max = 2;
    begin(&config);
    put(0, 0, 0);
    open_eyes(0, 0);
    for (uint32_t i = 1; i < 5; i++)
        put(i, 8, 8);
    tick();
    EXPECT(all[0].knows[0] && all[0].knows[1] && !all[0].knows[2] && !all[0].knows[3]);
    remove_it(1);
    tick();
    EXPECT(!all[0].knows[1] && all[0].knows[2] && !all[0].knows[3]);
    remove_it(3); /* which nobody has seen */
    tick();
    EXPECT(all[0].knows[2] && !all[0].knows[3] && !all[0].knows[4]);
    put(2, 2 * cell_quarters, 8); /* still in sight */
    tick();
    EXPECT(all[0].knows[2] && all[0].knows[4]);
    end();
}

TEST("an overfull cell's update carries a share that rotates: everybody's turn comes")
{
    struct world_grid_config config = ordinary();
    config.share_max = 10;
    begin(&config);
    for (uint32_t i = 0; i < 45; i++)
        put(i, 8, 8);
    open_eyes(0, 0);
    for (uint32_t t = 0; t < 20; t++) {
        tick();
        carry_watched();
        for (uint32_t i = 0; i < 45 && t >= 4; i++)
            EXPECT(carried[i] + 5 > tick_count); /* five updates carry 45 */
    }
    end();
}

TEST("an area that was cut short does not breathe with each one who comes and goes")
{
    struct world_grid_config config = ordinary();
    config.viewer_entities_max = 16;
    begin(&config);
    for (uint32_t i = 0; i < 17; i++) /* one too many for both cells */
        put(i, i < 8 ? 8 : cell_quarters + 16, 8);
    open_eyes(0, 0);
    tick();
    EXPECT(!all[0].knows[8]);
    remove_it(16); /* 16 would do, but 14 is where it grows again */
    tick();
    EXPECT(!all[0].knows[8]);
    remove_it(15);
    remove_it(14);
    tick();
    EXPECT(all[0].knows[8]);
    put(14, 8, 8);
    put(15, 8, 8);
    tick();
    EXPECT(all[0].knows[8]);
    end();
}

TEST("the same calls give the same groups in the same order")
{
    const struct world_grid_config config = ordinary();
    uint64_t sums[2] = {};
    for (int run = 0; run < 2; run++) {
        begin(&config);
        chance = (struct random){7};
        for (uint32_t t = 0; t < 40; t++) {
            for (uint32_t i = 0; i < entities_max; i++)
                live(i, 30);
            tick();
            for (uint32_t g = 0; g < grid.group_count; g++)
                sums[run] = sums[run] * 31 + grid.groups[g].from * 7 + grid.groups[g].first;
            for (uint32_t w = 0; w < grid.watched_count; w++)
                sums[run] = sums[run] * 31 + grid.watched[w];
        }
        end();
    }
    EXPECT(sums[0] == sums[1] && sums[0] != 0);
}
