/* tests/unit/game_world_space.c: ways against boxes, spheres and gates, compared with an oracle
 * that only looks at many points of the way (THREATS.md G8, G9). */
#include "base/random.h"
#include "check.h"
#include "game/world_space.h"

constexpr uint32_t samples = 500;
constexpr uint32_t rounds = 4000;
constexpr double tiny = 1e-9;

static struct random chance = {.state = 5};

static double between(double low, double high)
{
    return low + (high - low) * (double)random_below(&chance, 1u << 30) / (1u << 30);
}

/* Often on whole numbers, so that ways touch faces, run along them and meet edges. */
static double coordinate(double reach)
{
    double value = between(-reach, reach);
    return random_below(&chance, 3) == 0 ? (double)world_floor(value) : value;
}

static struct world_point random_point(double reach)
{
    return (struct world_point){coordinate(reach), coordinate(reach), coordinate(reach)};
}

static struct world_way random_way(double reach)
{
    struct world_way way = {random_point(reach), random_point(reach)};
    if (random_below(&chance, 4) == 0) way.to.x = way.from.x;
    if (random_below(&chance, 4) == 0) way.to.y = way.from.y;
    if (random_below(&chance, 4) == 0) way.to.z = way.from.z;
    return way;
}

static bool is_within(const struct world_box *box, struct world_point point, double by)
{
    return point.x > box->min.x + by && point.x < box->max.x - by && point.y > box->min.y + by &&
           point.y < box->max.y - by && point.z > box->min.z + by && point.z < box->max.z - by;
}

TEST("a cell is as wide at 0 as anywhere: halves go down (CONTRACT.md D25)")
{
    EXPECT_EQ(world_floor(0.5), 0);
    EXPECT_EQ(world_floor(-0.5), -1);
    EXPECT_EQ(world_floor(-1), -1);
    EXPECT_EQ(world_floor(-1.0000001), -2);
    EXPECT_EQ(world_floor(-0.0), 0);
    EXPECT_EQ(world_floor(3), 3);
    struct world_tile tile = world_tile_at((struct world_point){-0.001, 9, 64}, 64);
    EXPECT(tile.x == -1 && tile.z == 1);
}

TEST("what is not finite is found, what is only tiny or huge passes (THREATS.md G10)")
{
    EXPECT(!world_is_finite(__builtin_nan("")) && !world_is_finite(__builtin_inf()) &&
           !world_is_finite(-__builtin_inf()));
    EXPECT(world_is_finite(1e308) && world_is_finite(5e-324) && world_is_finite(-0.0));
    EXPECT(!world_point_is_finite((struct world_point){0, 0, __builtin_nan("")}));
}

TEST("a way crosses a box where its points are inside, and nowhere else (THREATS.md G9)")
{
    uint32_t crossed = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        struct world_way way = random_way(8);
        struct world_box box = {.min = random_point(6)};
        box.max = (struct world_point){box.min.x + between(0.1, 5), box.min.y + between(0.1, 5),
                                       box.min.z + between(0.1, 5)};
        struct world_crossing crossing = {};
        bool crosses = world_cross_box(way, &box, &crossing);
        uint32_t inside = 0;
        for (uint32_t i = 0; i <= samples; i++) {
            double part = (double)i / samples;
            if (!is_within(&box, world_way_at(way, part), tiny)) continue;
            inside += 1;
            EXPECT(crosses && part >= crossing.enter - tiny && part <= crossing.leave + tiny);
        }
        if (!crosses) continue;
        crossed += 1;
        double middle = (crossing.enter + crossing.leave) / 2;
        EXPECT(crossing.enter >= 0 && crossing.enter <= crossing.leave && crossing.leave <= 1);
        EXPECT(is_within(&box, world_way_at(way, middle), -tiny));
        EXPECT(inside > 0 || crossing.leave - crossing.enter < 2.0 / samples);
    }
    EXPECT(crossed > rounds / 50 && crossed < rounds);
}

TEST("a way that touches a face, runs along it or ends at it does not cross")
{
    const struct world_box box = {{0, 0, 0}, {2, 2, 2}};
    struct world_crossing crossing;
    static const struct world_way outside[] = {
        {{-1, 2, 1}, {3, 2, 1}},  /* along the top */
        {{-1, 1, 1}, {0, 1, 1}},  /* up to a face */
        {{2, 1, 1}, {5, 1, 1}},   /* away from one */
        {{-1, 1, 1}, {1, 3, 1}},  /* over an edge */
        {{1, 2, 1}, {1, 2, 1}},   /* standing on it */
        {{3, 3, 3}, {4, 4, 4}},   /* beside it */
        {{-2, 1, 1}, {-1, 1, 1}}, /* before it */
    };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        EXPECT(!world_cross_box(outside[i], &box, &crossing));
    EXPECT(world_cross_box((struct world_way){{1, 1, 1}, {1, 1, 1}}, &box, &crossing));
    EXPECT(world_cross_box((struct world_way){{-1, 1, 1}, {0.001, 1, 1}}, &box, &crossing));
}

TEST("a box knows whether it was crossed through its floor")
{
    const struct world_box box = {{0, 0, 0}, {2, 2, 2}};
    struct world_crossing crossing;
    EXPECT(world_cross_box((struct world_way){{1, -1, 1}, {1, 1, 1}}, &box, &crossing));
    EXPECT(crossing.enters_by_floor && !crossing.leaves_by_floor);
    EXPECT(world_cross_box((struct world_way){{1, 3, 1}, {1, -1, 1}}, &box, &crossing));
    EXPECT(!crossing.enters_by_floor && crossing.leaves_by_floor);
    EXPECT(world_cross_box((struct world_way){{-1, 0.5, 1}, {3, 1, 1}}, &box, &crossing));
    EXPECT(!crossing.enters_by_floor && !crossing.leaves_by_floor);
    EXPECT(world_cross_box((struct world_way){{-3, -1, 1}, {3, 1.5, 1}}, &box, &crossing));
    EXPECT(!crossing.enters_by_floor && !crossing.leaves_by_floor); /* by a side, from below */
    EXPECT(world_cross_box((struct world_way){{3, 1.5, 1}, {-3, -1, 1}}, &box, &crossing));
    EXPECT(!crossing.enters_by_floor && !crossing.leaves_by_floor);
    EXPECT(world_cross_box((struct world_way){{1, 1, 1}, {1, 0.5, 1}}, &box, &crossing));
    EXPECT(!crossing.enters_by_floor && !crossing.leaves_by_floor);
}

TEST("a way reaches a sphere first where no point before is inside (THREATS.md G8)")
{
    uint32_t reached = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        struct world_way way = random_way(10);
        struct world_point centre = random_point(6);
        double radius = between(0.5, 6), part = -1;
        bool reaches = world_cross_sphere(way, centre, radius, &part);
        for (uint32_t i = 0; i <= samples; i++) {
            double at = (double)i / samples;
            bool inside = world_distance(world_way_at(way, at), centre) < radius - tiny;
            EXPECT(!inside || (reaches && at >= part - tiny));
        }
        if (!reaches) continue;
        reached += 1;
        double distance = world_distance(world_way_at(way, part), centre);
        EXPECT(part >= 0 && part <= 1 && distance <= radius + 1e-6);
        EXPECT(part == 0 || distance > radius - 1e-6);
    }
    EXPECT(reached > rounds / 10 && reached < rounds);
}

TEST("however a way is cut, a gate is passed in exactly one piece, in its direction")
{
    uint32_t forward_count = 0, backward_count = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        struct world_way way = random_way(10);
        struct world_point centre = random_point(3), forward = random_point(1);
        double length = world_length(forward), radius = between(1, 8), part = -1, piece_part;
        if (length < 0.01) continue;
        forward = (struct world_point){forward.x / length, forward.y / length, forward.z / length};
        enum world_gate_side side = world_cross_gate(way, centre, forward, radius, &part);
        uint32_t passed = 0, pieces = 1 + (uint32_t)random_below(&chance, 9);
        for (uint32_t i = 0; i < pieces; i++) {
            struct world_way piece = {world_way_at(way, (double)i / pieces),
                                      world_way_at(way, (double)(i + 1) / pieces)};
            enum world_gate_side of_piece =
                world_cross_gate(piece, centre, forward, radius, &piece_part);
            if (of_piece == WORLD_GATE_MISSED) continue;
            EXPECT(of_piece == side);
            passed += 1;
        }
        EXPECT_EQ(passed, side == WORLD_GATE_MISSED ? 0 : 1);
        forward_count += side == WORLD_GATE_FORWARD;
        backward_count += side == WORLD_GATE_BACKWARD;
        if (side == WORLD_GATE_MISSED) continue;
        struct world_point at = world_way_at(way, part);
        EXPECT(world_dot(world_step(centre, at), forward) < 1e-9);
        EXPECT(world_distance(centre, at) <= radius + tiny);
        bool is_forward = world_dot(world_step(way.from, way.to), forward) > 0;
        EXPECT(is_forward == (side == WORLD_GATE_FORWARD));
    }
    EXPECT(forward_count > 100 && backward_count > 100);
}

TEST("the ends of a way are its ends, to the last bit")
{
    for (uint32_t round = 0; round < 100; round++) {
        struct world_way way = random_way(1000);
        struct world_point from = world_way_at(way, 0), to = world_way_at(way, 1);
        EXPECT(from.x == way.from.x && from.y == way.from.y && from.z == way.from.z);
        EXPECT(to.x == way.to.x && to.y == way.to.y && to.z == way.to.z);
    }
}
