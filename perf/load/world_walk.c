#include "world_walk.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Directions are whole numbers, so no two machines walk differently: eight of length 1000, and the
 * half turn about the vertical that looks there from looking along z, as a quaternion's y and w. */
static const struct {
    int32_t east, north;
    const char *rotation;
} directions[] = {
    {0, 1000, "\"y\":0,\"w\":1"},           {600, 800, "\"y\":0.316,\"w\":0.949"},
    {1000, 0, "\"y\":0.707,\"w\":0.707"},   {800, -600, "\"y\":0.894,\"w\":0.447"},
    {0, -1000, "\"y\":1,\"w\":0"},          {-600, -800, "\"y\":-0.949,\"w\":0.316"},
    {-1000, 0, "\"y\":-0.707,\"w\":0.707"}, {-800, 600, "\"y\":-0.447,\"w\":0.894"},
};
constexpr uint32_t direction_count = sizeof directions / sizeof *directions;

static uint64_t draw(struct world_walk *walk)
{
    walk->chance += 0x9E3779B97F4A7C15;
    uint64_t number = walk->chance;
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
    number = (number ^ number >> 27) * 0x94D049BB133111EB;
    return number ^ number >> 31;
}

static void turn(struct world_walk *walk, const struct world_ground *ground)
{
    walk->direction = (uint32_t)(draw(walk) % direction_count);
    walk->turn_in = (uint32_t)(2000 + draw(walk) % 6000) / ground->step_ms + 1;
}

/* Somewhere around `at`, along one axis. */
static int64_t beside(struct world_walk *walk, const struct world_ground *ground, int64_t at,
                      int64_t least)
{
    int64_t place = at - ground->spread + (int64_t)(draw(walk) % (uint64_t)(2 * ground->spread));
    int64_t most = least + ground->side;
    return place < least ? least : place > most ? most : place;
}

void world_walk_begin(struct world_walk *walk, const struct world_ground *ground, uint32_t number,
                      struct world_place spawn)
{
    *walk = (struct world_walk){.chance = number, .at = spawn, .steps = {spawn}, .step_count = 1};
    walk->goal = (struct world_place){.x = beside(walk, ground, spawn.x, ground->corner.x),
                                      .y = spawn.y,
                                      .z = beside(walk, ground, spawn.z, ground->corner.z)};
    turn(walk, ground);
}

/* Up to `most` nearer to it. */
static int64_t nearer(int64_t at, int64_t goal, int64_t most)
{
    int64_t left = goal - at;
    return at + (left > most ? most : left < -most ? -most : left);
}

/* Along both axes at once, each by no more than 7/10 of a step. */
static void fly(struct world_walk *walk, const struct world_ground *ground)
{
    int64_t most = ground->flying * 7 / 10;
    walk->at.x = nearer(walk->at.x, walk->goal.x, most);
    walk->at.z = nearer(walk->at.z, walk->goal.z, most);
    walk->has_landed = walk->at.x == walk->goal.x && walk->at.z == walk->goal.z;
}

/* Back from an edge that it would step over. */
static int64_t within(int64_t at, int64_t step, int64_t least, int64_t side)
{
    bool over = at + step < least || at + step > least + side;
    return over ? at - step : at + step;
}

static void walk_on(struct world_walk *walk, const struct world_ground *ground)
{
    if (walk->turn_in-- == 0) turn(walk, ground);
    int64_t east = ground->walking * directions[walk->direction].east / 1000;
    int64_t north = ground->walking * directions[walk->direction].north / 1000;
    walk->at.x = within(walk->at.x, east, ground->corner.x, ground->side);
    walk->at.z = within(walk->at.z, north, ground->corner.z, ground->side);
}

static size_t write_number(char *out, const char *key, int64_t thousandths)
{
    uint64_t size = thousandths < 0 ? (uint64_t)-thousandths : (uint64_t)thousandths;
    return (size_t)sprintf(out, "%s%s%" PRIu64 ".%03" PRIu64, key, thousandths < 0 ? "-" : "",
                           size / 1000, size % 1000);
}

static size_t write_point(char *out, struct world_place point)
{
    size_t size = write_number(out, "{\"x\":", point.x);
    size += write_number(out + size, ",\"y\":", point.y);
    size += write_number(out + size, ",\"z\":", point.z);
    return size + (size_t)sprintf(out + size, "}");
}

size_t world_walk_step(struct world_walk *walk, const struct world_ground *ground,
                       char out[static world_step_size_max])
{
    struct world_place before = walk->at;
    bool flies = !walk->has_landed;
    if (flies)
        fly(walk, ground);
    else
        walk_on(walk, ground);
    walk->steps[walk->step_count++ % world_steps_kept] = walk->at;
    int64_t steps = 1000 / ground->step_ms;
    struct world_place velocity = {.x = (walk->at.x - before.x) * steps,
                                   .z = (walk->at.z - before.z) * steps};
    char *at = out;
    at += sprintf(at, "{\"type\":\"player_update\",\"payload\":{\"position\":");
    at += write_point(at, walk->at);
    at += sprintf(at, ",\"rotation\":{\"x\":0,%s,\"z\":0},\"mode\":\"%s\",\"velocity\":",
                  directions[walk->direction].rotation, flies ? "flying" : "walking");
    at += write_point(at, velocity);
    at += sprintf(at, "}}");
    assert((size_t)(at - out) < world_step_size_max);
    return (size_t)(at - out);
}

bool world_walk_was_at(const struct world_walk *walk, struct world_place place)
{
    uint32_t kept = walk->step_count < world_steps_kept ? walk->step_count : world_steps_kept;
    for (uint32_t i = 0; i < kept; i++) {
        const struct world_place *step =
            &walk->steps[(walk->step_count - 1 - i) % world_steps_kept];
        if (step->x == place.x && step->y == place.y && step->z == place.z) return true;
    }
    return walk->step_count == 0;
}
