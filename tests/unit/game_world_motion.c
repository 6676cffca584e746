/* tests/unit/game_world_motion.c: pilots that are honest, lag, or cheat, and what each is told
 * (THREATS.md G6, G7, G9, G10). */
#include "base/json.h"
#include "base/random.h"
#include "check.h"
#include "game/world_motion.h"
#include <stdlib.h>

constexpr uint64_t ms = 1'000'000;
constexpr uint64_t tick = 50 * ms; /* from one of a client's updates to the next */
constexpr double walk = 6, fly = 30;

static struct world_map map;
static struct random chance;

/* Flat ground at 0, and nothing on it. */
static void flat_world(void)
{
    memset(&map, 0, sizeof map);
    chance = (struct random){.state = 77};
    map.terrain =
        (struct world_terrain){.seed = 1, .wavelength = 64, .roughness = 0.5, .octaves = 3};
    map.bounds = (struct world_box){{-500, -60, -500}, {500, 200, 500}};
    map.pace = (struct world_pace){
        .speed = {walk, fly}, .fall = 60, .burst_ms = 6000, .strikes = 5, .strike_ms = 30'000};
    world_solids_index(&map);
}

static void add_solid(struct world_point min, struct world_point max)
{
    map.solids[map.solid_count++] = (struct world_box){min, max};
    world_solids_index(&map);
}

struct pilot {
    struct world_motion motion;
    struct world_verdict verdict;
    uint64_t now_ns;
};

static struct pilot pilot_at(double x, double y, double z)
{
    struct pilot pilot = {.now_ns = 1000 * ms};
    world_motion_place(&pilot.motion, (struct world_point){x, y, z}, pilot.now_ns);
    return pilot;
}

/* One that has been still for long. */
static struct pilot rested_at(double x, double y, double z)
{
    struct pilot pilot = pilot_at(x, y, z);
    pilot.now_ns += 60'000 * ms;
    return pilot;
}

static struct world_sample sample_at(enum world_mode mode, struct world_point position)
{
    return (struct world_sample){.position = position, .rotation = {.w = 1}, .mode = mode};
}

static enum world_verdict_kind say(struct pilot *pilot, enum world_mode mode, double x, double y,
                                   double z)
{
    struct world_sample said = sample_at(mode, (struct world_point){x, y, z});
    return world_motion_move(&pilot->motion, &map, &said, pilot->now_ns, &pilot->verdict);
}

static double between(double low, double high)
{
    return low + (high - low) * (double)random_below(&chance, 1u << 30) / (1u << 30);
}

TEST("an honest walker and an honest flyer are never corrected, also with a clock that runs fast")
{
    flat_world();
    struct pilot walker = pilot_at(-400, 0, 0), flyer = pilot_at(-400, 20, 5);
    for (uint32_t i = 1; i <= 400; i++) {
        walker.now_ns += tick;
        flyer.now_ns += tick;
        EXPECT_EQ(say(&walker, WORLD_WALKING, -400 + i * walk * 1.05 / 20, 0, 0), WORLD_FINE);
        EXPECT_EQ(say(&flyer, WORLD_FLYING, -400 + i * fly * 1.05 / 20, 20, 5), WORLD_FINE);
    }
    EXPECT_EQ(walker.motion.strikes, 0);
}

TEST("a walker keeps its speed on the level uphill, and while it jumps")
{
    flat_world();
    struct pilot climber = pilot_at(0, 0, 0), jumper = pilot_at(0, 0, 0);
    for (uint32_t i = 1; i <= 300; i++) {
        double seconds = i % 20 * 0.05;
        climber.now_ns += tick;
        jumper.now_ns += tick;
        EXPECT_EQ(say(&climber, WORLD_WALKING, i * walk / 20, i * walk / 20, 0), WORLD_FINE);
        EXPECT_EQ(say(&jumper, WORLD_WALKING, i * walk / 20, 4.9 * seconds * (1 - seconds), 0),
                  WORLD_FINE);
    }
}

TEST("who lags for five seconds and then says a hundred steps at once has done nothing wrong "
     "(THREATS.md G7)")
{
    flat_world();
    struct pilot walker = pilot_at(-400, 0, 0);
    double x = -400;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 40; i++) { /* two ordinary seconds */
            walker.now_ns += tick;
            EXPECT_EQ(say(&walker, WORLD_WALKING, x += walk / 20, 0, 0), WORLD_FINE);
        }
        walker.now_ns += 5000 * ms;
        for (uint32_t i = 0; i < 100; i++)
            EXPECT_EQ(say(&walker, WORLD_WALKING, x += walk / 20, 0, 0), WORLD_FINE);
    }
}

TEST("a teleport in one message is refused, and the player stays where it was (THREATS.md G6)")
{
    flat_world();
    struct pilot pilot = rested_at(0, 0, 0);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 50, 0, 0), WORLD_TOO_FAR);
    EXPECT(pilot.verdict.distance == 50 && pilot.verdict.budget_ns == 6000 * ms);
    EXPECT_EQ(say(&pilot, WORLD_FLYING, 400, 0, 0), WORLD_TOO_FAR);
    EXPECT(pilot.motion.now.position.x == 0);
    EXPECT_EQ(pilot.motion.budget_ns, 6000 * ms); /* what is refused costs nothing */
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 39, 0, 0), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 40, 0, 0), WORLD_TOO_FAR);
}

TEST("a flood of hops, each of them small, gets no further than a walk, and ends (THREATS.md G6)")
{
    flat_world();
    struct pilot pilot = pilot_at(-400, 0, 0);
    uint64_t start_ns = pilot.now_ns;
    double said = -400;
    while (!pilot.verdict.last && pilot.now_ns < start_ns + 60'000 * ms) {
        pilot.now_ns += 34 * ms;
        if (say(&pilot, WORLD_WALKING, said += 1.5, 0, 0) != WORLD_FINE)
            said = pilot.motion.now.position.x; /* it takes the correction, and goes on */
        double seconds = (double)(pilot.now_ns - start_ns) / 1e9;
        EXPECT(pilot.motion.now.position.x + 400 <= (seconds + 1) * walk * world_speed_slack);
    }
    EXPECT(pilot.verdict.last && pilot.motion.strikes == 5);
    EXPECT(pilot.now_ns > start_ns + 4000 * ms && pilot.now_ns < start_ns + 15'000 * ms);
}

TEST("messages that all come at one time spend one budget, whatever they say of time "
     "(THREATS.md G6)")
{
    flat_world();
    struct pilot pilot = rested_at(-400, 0, 0);
    for (uint32_t i = 1; i <= 2000; i++)
        (void)say(&pilot, WORLD_WALKING, -400 + i * 0.1, 0, 0);
    double gone = pilot.motion.now.position.x + 400;
    EXPECT(gone <= 6 * walk * world_speed_slack && gone > 6 * walk);
}

TEST("hops that are too small to measure are paid for, too")
{
    flat_world();
    struct pilot pilot = rested_at(0, 0, 0);
    world_motion_spend(&pilot.motion, &map, 10, pilot.now_ns);
    uint32_t fine = 0;
    for (uint32_t i = 1; i <= 100; i++)
        fine += say(&pilot, WORLD_WALKING, i * 1e-12, 0, 0) == WORLD_FINE;
    EXPECT_EQ(fine, 10);
}

TEST("both modes spend the same budget")
{
    flat_world();
    struct pilot pilot = rested_at(0, 0, 0);
    EXPECT_EQ(say(&pilot, WORLD_FLYING, 190, 0, 0), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 195, 0, 0), WORLD_TOO_FAR);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 191, 0, 0), WORLD_FINE);
}

TEST("whatever a player says and when, it never gets further than its time allows")
{
    flat_world();
    for (uint32_t round = 0; round < 50; round++) {
        struct pilot pilot = pilot_at(0, 0, 0);
        uint64_t start_ns = pilot.now_ns;
        double gone_s = 0; /* at the modes' speeds */
        uint32_t fine = 0;
        for (uint32_t i = 0; i < 200; i++) {
            enum world_mode mode = (enum world_mode)random_below(&chance, 2);
            struct world_point from = pilot.motion.now.position;
            double reach = between(0, 6);
            pilot.now_ns += random_below(&chance, 200) * ms;
            if (say(&pilot, mode, from.x + between(-reach, reach), 0,
                    from.z + between(-reach, reach)) != WORLD_FINE)
                continue;
            fine += 1;
            gone_s += world_distance(from, pilot.motion.now.position) / map.pace.speed[mode];
            double had_s = 1 + (double)(pilot.now_ns - start_ns) / 1e9;
            EXPECT(gone_s <= had_s * world_speed_slack + 1e-6);
        }
        EXPECT(fine > 50);
    }
}

TEST("who stood still through a countdown has no more to spend at go than it is left")
{
    flat_world();
    struct pilot pilot = rested_at(0, 0, 0);
    world_motion_spend(&pilot.motion, &map, 250 * ms, pilot.now_ns);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 2, 0, 0), WORLD_TOO_FAR);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 1.6, 0, 0), WORLD_FINE);
}

TEST("falling is faster than walking, and rising is not")
{
    flat_world();
    struct pilot pilot = pilot_at(0, 150, 0);
    for (uint32_t i = 1; i <= 60; i++) {
        pilot.now_ns += tick;
        EXPECT_EQ(say(&pilot, WORLD_WALKING, i * 0.25, 150 - i * 2.5, 0), WORLD_FINE);
    }
    uint32_t refused = 0;
    for (uint32_t i = 1; i <= 60; i++) {
        pilot.now_ns += tick;
        refused += say(&pilot, WORLD_WALKING, 15, i * 2.5, 0) != WORLD_FINE;
    }
    EXPECT(refused > 50);
}

TEST("numbers that are none, and rotations that turn nothing, are refused (THREATS.md G10)")
{
    flat_world();
    const double nan = __builtin_nan(""), inf = __builtin_inf();
    const struct {
        struct world_sample said;
        enum world_verdict_kind wanted;
    } cases[] = {
        {{.position = {nan, 0, 0}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.position = {0, inf, 0}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.position = {0, 0, -inf}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.position = {1e308, 1e308, 1e308}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.position = {5e-324, 0, -0.0}, .rotation = {.w = 1}}, WORLD_FINE},
        {{.velocity = {nan, 0, 0}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.velocity = {0, 1e308, 1e308}, .rotation = {.w = 1}}, WORLD_NOT_FINITE},
        {{.velocity = {6.7, 0, 0}, .rotation = {.w = 1}}, WORLD_BAD_VELOCITY},
        {{.velocity = {4.5, 0, 4.5}, .rotation = {.w = 1}}, WORLD_FINE},
        {{.velocity = {0, -50, 0}, .rotation = {.w = 1}}, WORLD_FINE},
        {{.velocity = {0, -70, 0}, .rotation = {.w = 1}}, WORLD_BAD_VELOCITY},
        {{.velocity = {0, 20, 0}, .rotation = {.w = 1}}, WORLD_BAD_VELOCITY},
        {{.velocity = {0, 20, 20}, .rotation = {.w = 1}, .mode = WORLD_FLYING}, WORLD_FINE},
        {{.velocity = {0, -40, 0}, .rotation = {.w = 1}, .mode = WORLD_FLYING}, WORLD_BAD_VELOCITY},
        {{.rotation = {0, 0, 0, 0}}, WORLD_BAD_ROTATION},
        {{.rotation = {0, 0, 0, nan}}, WORLD_NOT_FINITE},
        {{.rotation = {1e308, 0, 0, 0}}, WORLD_NOT_FINITE},
        {{.rotation = {0, 1, 0, 1}}, WORLD_BAD_ROTATION},
        {{.rotation = {0, 0.72, 0, -0.72}}, WORLD_FINE},
        {{.position = {500, 0, 0}, .rotation = {.w = 1}}, WORLD_TOO_FAR},
        {{.position = {500.001, 0, 0}, .rotation = {.w = 1}}, WORLD_OUT_OF_BOUNDS},
        {{.position = {0, 201, 0}, .rotation = {.w = 1}}, WORLD_OUT_OF_BOUNDS},
        {{.position = {0, -60.5, 0}, .rotation = {.w = 1}}, WORLD_OUT_OF_BOUNDS},
        {{.position = {0, -0.6, 0}, .rotation = {.w = 1}}, WORLD_UNDERGROUND},
        {{.position = {0, -0.4, 0}, .rotation = {.w = 1}}, WORLD_FINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pilot pilot = rested_at(0, 0, 0);
        enum world_verdict_kind kind =
            world_motion_move(&pilot.motion, &map, &cases[i].said, pilot.now_ns, &pilot.verdict);
        struct world_rotation turn = pilot.motion.now.rotation;
        double square = turn.x * turn.x + turn.y * turn.y + turn.z * turn.z + turn.w * turn.w;
        if (kind != cases[i].wanted)
            check_failed(__FILE__, __LINE__, "case %zu: %.*s", i,
                         TEXT_ARG(world_verdict_name(kind)));
        EXPECT(square > 1 - 1e-12 && square < 1 + 1e-12);
    }
}

TEST("nobody walks or flies through a wall, however thin, between two messages (THREATS.md G9)")
{
    flat_world();
    add_solid((struct world_point){10, -5, -20}, (struct world_point){10.1, 8, 20});
    for (uint32_t mode = 0; mode < world_modes; mode++) {
        struct pilot pilot = rested_at(8, 1, 0);
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 12, 1, 0), WORLD_THROUGH_SOLID);
        EXPECT(pilot.verdict.solid == 0 && pilot.verdict.at.x > 9.99 && pilot.verdict.at.x < 10.1);
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 10.05, 1, 0), WORLD_INSIDE_SOLID);
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 12, 1, 19.9), WORLD_THROUGH_SOLID);
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 9.99, 1, 0), WORLD_FINE);  /* up to it */
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 9.99, 1, 15), WORLD_FINE); /* along it */
        EXPECT_EQ(say(&pilot, (enum world_mode)mode, 10.2, 1, 15), WORLD_THROUGH_SOLID);
    }
    struct pilot flyer = rested_at(8, 1, 0);
    EXPECT_EQ(say(&flyer, WORLD_FLYING, 8, 9, 0), WORLD_FINE);
    EXPECT_EQ(say(&flyer, WORLD_FLYING, 12, 9, 0), WORLD_FINE); /* over it */
    EXPECT_EQ(say(&flyer, WORLD_FLYING, 12, 1, 0), WORLD_FINE);
}

TEST("a walker climbs kerbs and stairs, and is held to stand on them")
{
    flat_world();
    add_solid((struct world_point){5, -5, -5}, (struct world_point){20, 0.3, 5});
    for (uint32_t i = 0; i < 6; i++) /* stairs, a quarter of a metre each */
        add_solid((struct world_point){30 + i * 0.3, -5, -5},
                  (struct world_point){40, 0.25 * (i + 1), 5});
    struct pilot pilot = rested_at(4.9, 0, 0);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5.2, 0, 0), WORLD_FINE);
    EXPECT(pilot.motion.now.position.y == 0.3);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 21, 0, 0), WORLD_FINE);
    pilot = rested_at(29, 0, 0);
    for (uint32_t i = 1; i <= 20; i++) {
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 29 + i * 0.2, i < 5 ? 0 : (i - 5) * 0.16, 0),
                  WORLD_FINE);
    }
    EXPECT(pilot.motion.now.position.y >= 1.5);
    pilot = rested_at(29, 0, 0);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 33, 0, 0), WORLD_INSIDE_SOLID); /* not under them */
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 30.5, 0.5, 0), WORLD_FINE);
    pilot = rested_at(29, 0.1, 0);
    EXPECT_EQ(say(&pilot, WORLD_FLYING, 30.5, 0.1, 0), WORLD_INSIDE_SOLID); /* wings do not climb */
}

TEST("what a walker may climb opens no way through floors or under walls (THREATS.md G9)")
{
    flat_world();
    add_solid((struct world_point){0, 4, 0}, (struct world_point){20, 4.4, 20}); /* a deck */
    add_solid((struct world_point){10, 4.4, 0},
              (struct world_point){10.2, 8, 20}); /* on it, a wall */
    struct pilot pilot = rested_at(5, 3.9, 5);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5, 4.2, 5), WORLD_INSIDE_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5.2, 4.5, 5), WORLD_THROUGH_SOLID);
    pilot = rested_at(5, 4.4, 5);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5, 3.9, 5), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 9.9, 4.1, 5), WORLD_FINE);
    EXPECT(pilot.motion.now.position.y == 4.4);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 10.3, 4.1, 5), WORLD_THROUGH_SOLID);
    pilot = rested_at(25, 4.1, 5); /* from outside, in the deck's thickness and under the wall */
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5, 4.1, 5), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 15, 4.1, 5), WORLD_FINE);
    EXPECT(pilot.motion.now.position.y == 4.4);
}

TEST("nobody climbs out of the bounds")
{
    flat_world();
    add_solid((struct world_point){10, 190, 0}, (struct world_point){20, 200.3, 20});
    struct pilot pilot = rested_at(9, 199.9, 5);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 11, 199.9, 5), WORLD_INSIDE_SOLID);
    EXPECT_EQ(pilot.verdict.solid, 0);
}

TEST("a floor that is thinner than a step is no less of one (THREATS.md G9)")
{
    flat_world();
    add_solid((struct world_point){0, 4, 0}, (struct world_point){20, 4.2, 20});
    struct pilot pilot = rested_at(5, 3.9, 5);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5, 4.3, 5), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5.1, 4.1, 5), WORLD_INSIDE_SOLID);
    pilot = rested_at(5, 4.2, 5);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5, 3.9, 5), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 5.1, 4.1, 5), WORLD_FINE);
    EXPECT(pilot.motion.now.position.y == 4.2);
}

TEST("from the roof of a house nobody dives into it")
{
    flat_world();
    add_solid((struct world_point){0, -5, 0}, (struct world_point){20, 10, 20});
    struct pilot pilot = rested_at(19, 10, 10);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 19, 9.7, 10), WORLD_FINE);
    EXPECT(pilot.motion.now.position.y == 10);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 22, 4, 10), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_FLYING, 22, 4, 10), WORLD_THROUGH_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_FLYING, 19, 9.7, 10), WORLD_INSIDE_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 20.1, 9.9, 10), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 20.1, 0, 10), WORLD_FINE);
}

TEST("who is inside a solid because the world has changed may leave, and enter no other")
{
    flat_world();
    struct pilot pilot = rested_at(5, 1, 5);
    add_solid((struct world_point){0, -5, 0}, (struct world_point){10, 5, 10});
    add_solid((struct world_point){11, -5, 0}, (struct world_point){12, 5, 10});
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 7, 1, 5), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 11.5, 1, 5), WORLD_INSIDE_SOLID);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 10.5, 1, 5), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 7, 1, 5), WORLD_INSIDE_SOLID);
}

/* How deep the point is inside a solid, for a walker counted from what it cannot climb; 0: not. */
static double depth_in(const struct world_box *box, struct world_point point)
{
    double depth = point.x - box->min.x,
           other[5] = {box->max.x - point.x, point.y - box->min.y, box->max.y - point.y,
                       point.z - box->min.z, box->max.z - point.z};
    for (size_t i = 0; i < 5; i++)
        if (other[i] < depth) depth = other[i];
    return depth > 0 ? depth : 0;
}

static double deepest_on(struct world_way way, double top_slack, double around)
{
    double deepest = 0;
    for (uint32_t part = 0; part <= 300; part++) {
        struct world_point point = world_way_at(way, part / 300.0);
        for (uint32_t i = 0; i < map.solid_count; i++) {
            struct world_box box = map.solids[i];
            box.min =
                (struct world_point){box.min.x - around, box.min.y - around, box.min.z - around};
            box.max =
                (struct world_point){box.max.x + around, box.max.y - top_slack, box.max.z + around};
            double depth = depth_in(&box, point);
            if (depth > deepest) deepest = depth;
        }
    }
    return deepest;
}

TEST("no accepted way leads through a solid, and no way past all of them is refused "
     "(THREATS.md G9)")
{
    flat_world();
    uint32_t accepted = 0, refused = 0;
    for (uint32_t i = 0; i < 300; i++) {
        struct world_point min = {between(-60, 60), between(-3, 6), between(-60, 60)};
        map.solids[map.solid_count++] = (struct world_box){
            min, {min.x + between(0.1, 6), min.y + between(0.1, 6), min.z + between(0.1, 6)}};
    }
    world_solids_index(&map);
    for (uint32_t round = 0; round < 3000; round++) {
        struct pilot pilot = rested_at(between(-60, 60), between(0, 8), between(-60, 60));
        enum world_mode mode = (enum world_mode)random_below(&chance, 2);
        struct world_point from = pilot.motion.now.position, to = from;
        if (deepest_on((struct world_way){from, from}, 0, 0.03) > 0) continue;
        to.x += between(-9, 9);
        to.y = random_below(&chance, 2) == 0 ? from.y : between(0, 8);
        to.z += between(-9, 9);
        enum world_verdict_kind kind = say(&pilot, mode, to.x, to.y, to.z);
        double slack = mode == WORLD_WALKING ? world_step_height : world_skin;
        double deepest = deepest_on((struct world_way){from, to}, slack, 0);
        double nearest = deepest_on((struct world_way){from, to}, 0, 0.1);
        struct world_point at = pilot.motion.now.position;
        EXPECT(deepest == 0 || kind != WORLD_FINE);
        EXPECT(nearest > 0 || kind == WORLD_FINE);
        EXPECT(deepest_on((struct world_way){at, at}, world_skin, 0) == 0);
        accepted += kind == WORLD_FINE;
        refused += kind != WORLD_FINE;
    }
    EXPECT(accepted > 300 && refused > 300);
}

TEST("where walls meet, or stand on something, there is no gap, however exactly one aims "
     "(THREATS.md G9)")
{
    flat_world();
    add_solid((struct world_point){10, -5, -20}, (struct world_point){10.5, 8, 0});
    add_solid((struct world_point){10, -5, 0}, (struct world_point){10.5, 8, 20});
    add_solid((struct world_point){10, 8, -20}, (struct world_point){10.5, 12, 20});
    for (double z = -0.05; z <= 0.05; z += 0.005) {
        struct pilot pilot = rested_at(9, 1, z);
        EXPECT_EQ(say(&pilot, WORLD_FLYING, 11, 1, z), WORLD_THROUGH_SOLID);
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 11, 1, 0), WORLD_THROUGH_SOLID);
        pilot = rested_at(9, 8 + z, 5);
        EXPECT_EQ(say(&pilot, WORLD_FLYING, 11, 8 + z, 5), WORLD_THROUGH_SOLID);
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 11, 8, 5), WORLD_THROUGH_SOLID);
    }
}

static void hilly_world(void)
{
    flat_world();
    map.terrain.amplitude = 40;
}

TEST("nobody flies through a hill; over it is free (THREATS.md G9)")
{
    hilly_world();
    uint32_t accepted = 0, refused = 0;
    for (uint32_t round = 0; round < 2000; round++) {
        double x = between(-400, 400), z = between(-400, 400);
        struct pilot pilot = rested_at(x, world_height(&map.terrain, x, z) + between(0, 20), z);
        struct world_point from = pilot.motion.now.position, to = from;
        to.x += between(-90, 90);
        to.z += between(-90, 90);
        to.y = world_height(&map.terrain, to.x, to.z) + between(-1, 20);
        enum world_verdict_kind kind = say(&pilot, WORLD_FLYING, to.x, to.y, to.z);
        double lowest = 1000;
        for (uint32_t part = 0; part <= 400; part++) {
            struct world_point at = world_way_at((struct world_way){from, to}, part / 400.0);
            double above = at.y - world_height(&map.terrain, at.x, at.z);
            if (above < lowest) lowest = above;
        }
        if (kind == WORLD_FINE) EXPECT(lowest >= -2 * world_ground_slack);
        if (lowest >= 0) EXPECT_EQ(kind, WORLD_FINE);
        if (kind != WORLD_FINE) EXPECT(kind == WORLD_THROUGH_GROUND || kind == WORLD_UNDERGROUND);
        accepted += kind == WORLD_FINE;
        refused += kind == WORLD_THROUGH_GROUND;
    }
    EXPECT(accepted > 300 && refused > 300);
}

TEST("a walker who lags may come over a hill, but not through it: the way over is what it pays for")
{
    hilly_world();
    map.terrain.amplitude = 20;
    map.terrain.wavelength = 32; /* steep */
    uint32_t honest = 0, dearer = 0;
    for (uint32_t round = 0; round < 300; round++) {
        double x = between(-400, 400), z = between(-400, 400);
        struct pilot pilot = rested_at(x, world_height(&map.terrain, x, z), z), lagging = pilot;
        uint64_t budget_ns = 0;
        double to_x = x, y = 0;
        for (uint32_t i = 0; i < 100; i++) { /* five seconds, a step each 50 ms */
            pilot.now_ns += tick;
            to_x = x + 0.1 * (i + 1);
            y = world_height(&map.terrain, to_x, z);
            if (say(&pilot, WORLD_WALKING, to_x, y, z) == WORLD_FINE)
                budget_ns += pilot.verdict.cost_ns;
        }
        lagging.now_ns = pilot.now_ns;
        if (pilot.motion.now.position.x != to_x) continue; /* too steep for its speed */
        honest += 1;
        EXPECT_EQ(say(&lagging, WORLD_WALKING, to_x, y, z), WORLD_FINE);
        EXPECT(lagging.verdict.cost_ns <= budget_ns + ms);
        double straight =
            world_distance(lagging.verdict.before.now.position, lagging.motion.now.position);
        dearer += lagging.verdict.distance > straight + 0.05;
    }
    EXPECT(honest > 100 && dearer > 10);
}

TEST("nobody walks through a mountain for the price of the way through it (THREATS.md G9)")
{
    hilly_world();
    map.terrain.amplitude = 55;
    map.terrain.wavelength = 15;
    uint32_t mountains = 0;
    for (uint32_t round = 0; round < 4000; round++) {
        double x = between(-400, 400), z = between(-400, 400);
        double here = world_height(&map.terrain, x, z),
               there = world_height(&map.terrain, x + 30, z);
        double top = world_height(&map.terrain, x + 15, z), rise = there > here ? there - here : 0;
        if (top - here < 40 || top - there < 20 || rise > 20) continue;
        struct pilot pilot = rested_at(x, here, z);
        mountains += 1;
        EXPECT_EQ(say(&pilot, WORLD_WALKING, x + 30, there, z), WORLD_TOO_FAR);
        EXPECT(pilot.verdict.distance > 50);
    }
    EXPECT(mountains > 10);
}

TEST("what comes at once is one strike, strikes are forgotten one by one, and too many are the end")
{
    flat_world();
    struct pilot pilot = rested_at(0, 0, 0);
    uint32_t counted = 0;
    for (uint32_t i = 0; i < 20; i++) { /* what was on its way before the correction came */
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 100, 0, 0), WORLD_TOO_FAR);
        counted += pilot.verdict.strike;
        pilot.now_ns += 45 * ms;
    }
    EXPECT(counted == 1 && pilot.motion.strikes == 1 && !pilot.verdict.last);
    for (uint32_t i = 2; i <= 4; i++) {
        pilot.now_ns += 2000 * ms;
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 100, 0, 0), WORLD_TOO_FAR);
        EXPECT(pilot.verdict.strike && pilot.motion.strikes == i && !pilot.verdict.last);
    }
    pilot.now_ns += 2 * 30'000 * ms;
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 100, 0, 0), WORLD_TOO_FAR);
    EXPECT(pilot.motion.strikes == 3 && !pilot.verdict.last);
    for (uint32_t i = 0; i < 2; i++) {
        EXPECT(!pilot.verdict.last);
        pilot.now_ns += 2000 * ms;
        EXPECT_EQ(say(&pilot, WORLD_WALKING, 100, 0, 0), WORLD_TOO_FAR);
    }
    EXPECT(pilot.verdict.last);
}

TEST("a clock that stands still or jumps far ahead breaks nothing (THREATS.md G14)")
{
    flat_world();
    struct pilot pilot = pilot_at(0, 0, 0);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 1, 0, 0), WORLD_FINE);
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 2, 0, 0), WORLD_FINE);
    pilot.now_ns = UINT64_MAX / 2;
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 100, 0, 0), WORLD_TOO_FAR);
    EXPECT_EQ(pilot.verdict.budget_ns, 6000 * ms);
    pilot.now_ns = UINT64_MAX;
    EXPECT_EQ(say(&pilot, WORLD_WALKING, 3, 0, 0), WORLD_FINE);
}

/* The number behind `name` in the line. */
static double number_in(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at != nullptr ? strtod(at + strlen(name), nullptr) : -1;
}

TEST("each verdict is reproduced from what it says about itself, also from its line in the log")
{
    hilly_world();
    uint32_t refused = 0;
    add_solid((struct world_point){-20, -60, -20}, (struct world_point){20, 30, 20});
    for (uint32_t round = 0; round < 500; round++) {
        struct pilot pilot = rested_at(between(-60, 60), 50, between(-60, 60)), again = {};
        struct world_sample said =
            sample_at((enum world_mode)random_below(&chance, 2),
                      (struct world_point){between(-60, 60), between(-20, 60), between(-60, 60)});
        said.velocity.x = between(0, 8);
        said.rotation.w = between(0.9, 1.1);
        (void)world_motion_move(&pilot.motion, &map, &said, pilot.now_ns, &pilot.verdict);
        again.motion = pilot.verdict.before;
        EXPECT_EQ(world_motion_move(&again.motion, &map, &pilot.verdict.said, pilot.verdict.now_ns,
                                    &again.verdict),
                  pilot.verdict.kind);
        EXPECT(again.verdict.cost_ns == pilot.verdict.cost_ns &&
               again.verdict.solid == pilot.verdict.solid &&
               again.verdict.at.x == pilot.verdict.at.x &&
               again.motion.budget_ns == pilot.motion.budget_ns);
        char line[world_verdict_size_max + 1] = {};
        struct writer out = writer_over(line, world_verdict_size_max);
        world_verdict_write(&out, &pilot.verdict);
        EXPECT(!out.overflow);
        EXPECT(number_in(line, " to=") == said.position.x);
        EXPECT(number_in(line, " from=") == pilot.verdict.before.now.position.x);
        EXPECT(number_in(line, " velocity=") == said.velocity.x);
        EXPECT((uint64_t)number_in(line, " cost_ns=") == pilot.verdict.cost_ns ||
               pilot.verdict.cost_ns > 1ull << 53);
        refused += pilot.verdict.kind != WORLD_FINE;
    }
    EXPECT(refused > 100 && refused < 500);
}

TEST("the longest line of a verdict fits, whatever the numbers")
{
    flat_world();
    struct pilot pilot = pilot_at(-0.12345678901234567, 1.1e-300, -1.2345678901234567e-300);
    struct world_sample said = sample_at(WORLD_FLYING, (struct world_point){-1e308, 0, 0});
    said.position.y = said.position.z = said.velocity.x = -1.2345678901234567e-308;
    said.velocity.y = said.velocity.z = said.rotation.x = -1.2345678901234567e-308;
    said.rotation.y = said.rotation.z = said.rotation.w = -1.2345678901234567e-308;
    pilot.motion.at_ns = pilot.motion.budget_ns = UINT64_MAX - 5;
    (void)world_motion_move(&pilot.motion, &map, &said, UINT64_MAX, &pilot.verdict);
    pilot.verdict.distance = -1.2345678901234567e-308;
    pilot.verdict.at = said.velocity;
    pilot.verdict.cost_ns = UINT64_MAX;
    pilot.verdict.solid = 1023;
    char line[world_verdict_size_max];
    struct writer out = writer_over(line, sizeof line);
    world_verdict_write(&out, &pilot.verdict);
    EXPECT(!out.overflow && out.size > 500);
}

static void fold_double(uint64_t *hash, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *hash = (*hash ^ bits) * 0x100000001B3;
}

static uint32_t kinds_seen[WORLD_THROUGH_GROUND + 1];

/* What became of a player who says 300 things at random in the built-in world, to the last bit. */
static uint64_t life_of(struct random *dice)
{
    uint64_t hash = 0, now_ns = 1000 * ms;
    struct world_motion motion = {};
    struct world_verdict verdict;
    chance = *dice;
    world_motion_place(&motion, map.spawns[random_below(&chance, map.spawn_count)], now_ns);
    for (uint32_t i = 0; i < 300; i++) {
        enum world_mode mode = (enum world_mode)random_below(&chance, 2);
        struct world_point from = motion.now.position;
        double reach = mode == WORLD_FLYING ? 12 : 4;
        struct world_sample said = sample_at(mode, from);
        said.position.x += between(-reach, reach);
        said.position.z += between(-reach, reach);
        if (random_below(&chance, 50) == 0) said.position.x = -said.position.x;
        said.position.y = world_height(&map.terrain, said.position.x, said.position.z) +
                          between(-0.8, mode == WORLD_FLYING ? 9 : 0.4);
        said.rotation.x = between(0, 0.36);
        said.velocity.x = between(0, mode == WORLD_FLYING ? 36 : 6.8);
        if (random_below(&chance, 50) == 0) said.position.z = __builtin_nan("");
        if (random_below(&chance, 50) == 0) said.position.x = 513;
        now_ns += random_below(&chance, 2000) * ms;
        kinds_seen[world_motion_move(&motion, &map, &said, now_ns, &verdict)] += 1;
        hash = (hash ^ verdict.kind ^ verdict.cost_ns ^ motion.budget_ns) * 0x100000001B3;
        fold_double(&hash, motion.now.position.y);
        fold_double(&hash, motion.now.rotation.w);
        fold_double(&hash, verdict.at.x);
    }
    *dice = chance;
    return hash;
}

TEST("a hundred lives in the built-in world end the same on every machine, to the last bit")
{
    static uint8_t memory[16 * 16384 + 1024];
    uint8_t said[512];
    struct writer problem = writer_over(said, sizeof said);
    struct random dice = {.state = 2026};
    uint64_t hash = 0;
    EXPECT(
        world_map_read(&map, world_map_builtin(), (struct bytes){memory, sizeof memory}, &problem));
    memset(kinds_seen, 0, sizeof kinds_seen);
    for (uint32_t life = 0; life < 100; life++)
        hash = hash * 31 + life_of(&dice);
    EXPECT_EQ(hash, 4999264312462417670);
    for (size_t kind = 0; kind < sizeof kinds_seen / sizeof *kinds_seen; kind++)
        EXPECT(kinds_seen[kind] > 0);
}
