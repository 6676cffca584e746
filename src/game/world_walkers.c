/* game/world_walkers.c: those who only walk about: a crowd for load tests. Each goes to a place
 * that chance has named, and then to another. */
#include "game/world.h"

constexpr double walker_speed = 3;    /* m/s */
constexpr double walker_errand = 120; /* metres to the next place, at most, along each axis */
/* steps from one look at the ground to the next: nothing else takes as long */
constexpr uint64_t looks_down = 8;

static double within(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

/* From -1 to 1. */
static double chance(struct world *world)
{
    return (double)random_below(&world->chance, 2'000'001) / 1'000'000 - 1;
}

static struct world_point on_ground(const struct world *world, double x, double z)
{
    return (struct world_point){x, world_height(&world->map->terrain, x, z), z};
}

static void choose_goal(struct world *world, struct world_walker *walker)
{
    const struct world_box *bounds = &world->map->bounds;
    double x = walker->now.position.x + chance(world) * walker_errand;
    double z = walker->now.position.z + chance(world) * walker_errand;
    walker->goal = on_ground(world, within(x, bounds->min.x, bounds->max.x),
                             within(z, bounds->min.z, bounds->max.z));
}

/* The turn about the vertical from looking along z to looking along (x, z), of length 1: half its
 * angle by the half-angle formulas, which need no more than a square root. */
static struct world_rotation facing(double x, double z)
{
    double sine = __builtin_sqrt((1 - z) / 2), cosine = __builtin_sqrt((1 + z) / 2);
    return (struct world_rotation){0, x < 0 ? -sine : sine, 0, cosine};
}

static void step(struct world *world, struct world_walker *walker)
{
    double pace = walker_speed * world->map->tick_ms / 1000;
    double x = walker->goal.x - walker->now.position.x;
    double z = walker->goal.z - walker->now.position.z;
    double left = __builtin_sqrt(x * x + z * z);
    if (left <= pace) {
        choose_goal(world, walker);
        return;
    }
    x /= left;
    z /= left;
    walker->now.position.x += x * pace;
    walker->now.position.z += z * pace;
    if ((world->tick + (uint64_t)(walker - world->walkers)) % looks_down == 0)
        walker->now.position = on_ground(world, walker->now.position.x, walker->now.position.z);
    walker->now.velocity = (struct world_point){x * walker_speed, 0, z * walker_speed};
    walker->now.rotation = facing(x, within(z, -1, 1));
}

void world_walkers_init(struct world *world)
{
    const struct world_box *bounds = &world->map->bounds;
    world->walker_count = world->options->walkers;
    for (uint32_t i = 0; i < world->walker_count; i++) {
        struct world_walker *walker = &world->walkers[i];
        double x = bounds->min.x + (chance(world) + 1) / 2 * (bounds->max.x - bounds->min.x);
        double z = bounds->min.z + (chance(world) + 1) / 2 * (bounds->max.z - bounds->min.z);
        *walker = (struct world_walker){.now = {.rotation = {.w = 1}}};
        walker->now.position = on_ground(world, x, z);
        choose_goal(world, walker);
        world_grid_put(&world->grid, world->options->players_max + i, x, z);
    }
}

void world_walkers_step(struct world *world)
{
    for (uint32_t i = 0; i < world->walker_count; i++) {
        struct world_walker *walker = &world->walkers[i];
        step(world, walker);
        world_grid_put(&world->grid, world->options->players_max + i, walker->now.position.x,
                       walker->now.position.z);
    }
}
