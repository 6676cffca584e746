/* tests/unit/game_world_map.c: a world's file: what is read from it, and what each slip in it is
 * told (THREATS.md G9, G10, J3, J10). */
#include "base/json.h"
#include "base/random.h"
#include "check.h"
#include "game/world_map.h"

constexpr size_t document_max = 256 * 1024;

static struct world_map map;
static uint8_t memory[16 * document_max + 1024];
static char document[document_max], problem_text[512];
static struct writer problem;

static bool read_text(struct text text)
{
    problem = writer_over(problem_text, sizeof problem_text);
    bool read = world_map_read(&map, text, (struct bytes){memory, sizeof memory}, &problem);
    EXPECT(!problem.overflow && read == (problem.size == 0));
    return read;
}

static struct text said(void)
{
    return text_from(writer_bytes(&problem));
}

/* A small world, a line for each thing in it. */
static const char small[] =
    "{\n"
    "\"seed\": 7,\n"
    "\"bounds\": {\"min\": {\"x\": -100, \"y\": -50, \"z\": -100}, \"max\": {\"x\": 100, \"y\": "
    "50, "
    "\"z\": 100}},\n"
    "\"terrain\": {\"amplitude\": 0},\n"
    "\"pace\": {\"walking\": 6, \"flying\": 20},\n"
    "\"solids\": [{\"min\": {\"x\": 10, \"y\": -5, \"z\": 10}, \"max\": {\"x\": 20, \"y\": 5, "
    "\"z\": 20}}],\n"
    "\"spawns\": [{\"x\": 0, \"z\": 0}],\n"
    "\"routes\": [{\"id\": \"a\", \"start\": {\"position\": {\"x\": 0, \"z\": 0}}, "
    "\"checkpoints\": [\n"
    "  {\"position\": {\"x\": 30, \"z\": 0}, \"radius\": 5},\n"
    "  {\"position\": {\"x\": 30, \"z\": 30}, \"radius\": 5}]}],\n"
    "\"kiosks\": [{\"id\": \"k\", \"position\": {\"x\": 5, \"z\": 0}, \"answer\": \"hello\", "
    "\"route\": \"a\"}]\n"
    "}\n";

/* The small world with the first `old` replaced. */
static struct text with(const char *old, const char *new)
{
    const char *at = strstr(small, old);
    struct writer out = writer_over(document, sizeof document);
    EXPECT(at != nullptr);
    if (at == nullptr) return (struct text){};
    write_text(&out, (struct text){small, (size_t)(at - small)});
    write_text(&out, text_of(new));
    write_text(&out, text_of(at + strlen(old)));
    return text_from(writer_bytes(&out));
}

TEST("the built-in world is a file that is read, with all that a demo needs")
{
    EXPECT(read_text(world_map_builtin()));
    bool tiles[2][2] = {};
    for (uint32_t i = 0; i < map.spawn_count; i++) {
        struct world_tile tile = world_tile_at(map.spawns[i], map.chunk_size);
        if (tile.x >= -1 && tile.x <= 0 && tile.z >= -1 && tile.z <= 0)
            tiles[tile.x + 1][tile.z + 1] = true;
    }
    EXPECT(tiles[0][0] && tiles[0][1] && tiles[1][0] && tiles[1][1]);
    EXPECT(map.solid_count >= 4 && map.kiosk_count >= 2);
    int32_t route = world_route_find(&map, TEXT("r1"));
    EXPECT(route >= 0 && map.routes[route].checkpoint_count >= 3);
    bool starts = false;
    for (uint32_t i = 0; i < map.kiosk_count; i++)
        starts = starts || map.kiosks[i].route == route;
    EXPECT(starts);
}

TEST("what the file says is in the map; what it leaves out has its standard")
{
    EXPECT(read_text(text_of(small)));
    EXPECT(map.terrain.seed == 7 && map.tick_ms == 50 && map.chunk_size == 64);
    EXPECT(map.pace.speed[WORLD_WALKING] == 6 && map.pace.speed[WORLD_FLYING] == 20);
    EXPECT(map.pace.burst_ms == 6000 && map.interest.cell == 64 && map.terrain.octaves == 4);
    EXPECT_EQ(map.solid_count, 1);
    EXPECT(map.solids[0].min.x == 10 && map.solids[0].max.z == 20);
    EXPECT_EQ(world_kiosk_find(&map, TEXT("k")), 0);
    EXPECT_EQ(world_kiosk_find(&map, TEXT("K")), -1);
    EXPECT_EQ(map.kiosks[0].route, 0);
    EXPECT(map.kiosks[0].answer_size == 5 && memcmp(map.kiosks[0].answer, "hello", 5) == 0);
    EXPECT_EQ(map.routes[0].checkpoint_count, 2);
    EXPECT(map.routes[0].checkpoints[1].position.z == 30);
    EXPECT_EQ(map.routes[0].checkpoints[1].shape, WORLD_SPHERE);
}

TEST("a y that is left out is the ground's; a forward has length 1, and makes a gate")
{
    EXPECT(read_text(with("\"amplitude\": 0", "\"amplitude\": 9, \"base\": 3")));
    EXPECT(map.spawns[0].y == world_height(&map.terrain, 0, 0) && map.spawns[0].y != 0);
    EXPECT(read_text(with("\"z\": 30}, \"radius\": 5",
                          "\"z\": 30}, \"radius\": 5, \"forward\": {\"x\": 0, \"z\": -8}")));
    EXPECT_EQ(map.routes[0].checkpoints[1].shape, WORLD_GATE);
    EXPECT(map.routes[0].checkpoints[1].forward.z == -1);
}

TEST("each slip is told with line, column, the way to it, and what would be right")
{
    static const struct {
        const char *old, *new, *told;
    } slips[] = {
        {"\"seed\": 7,\n", "", "line 1, column 1: the world has no seed; it needs one"},
        {"7", "7.5", "line 2, column 9: seed is 7.5; it must be a whole number"},
        {"7", "1e17", "line 2, column 9: seed is 1e+17; it must be one from 0 to 9007199254740991"},
        {"7", "-1", "line 2, column 9: seed is -1; it must be one from 0 to 9007199254740991"},
        {"7", "\"7\"",
         "line 2, column 9: seed is no number; it must be one from 0 to 9007199254740991"},
        {"7", "1e999",
         "line 2, column 9: the file has a number that is malformed or too large: number is "
         "infinity when parsed as double"},
        {"\"spawns\"", "\"spans\"",
         "line 7, column 1: the world has \"spans\", which means nothing there; it may have seed, "
         "tickMs, bounds, terrain, chunks, pace, interest, solids, spawns, routes, kiosks"},
        {"[{\"x\": 0, \"z\": 0}]", "[]",
         "line 7, column 11: spawns has 0; it must be a list, in [], of 1 to 64"},
        {"[{\"x\": 0, \"z\": 0}]", "{}",
         "line 7, column 11: spawns is no list; it must be a list, in [], of 1 to 64"},
        {"[{\"x\": 0, \"z\": 0}]", "[[0,0,0]]",
         "line 7, column 12: spawns[0] is no object; it must be one, in {}"},
        {"[{\"x\": 0, \"z\": 0}]", "[{\"x\": 0}]",
         "line 7, column 12: spawns[0] has no z; it needs one"},
        {"[{\"x\": 0, \"z\": 0}]", "[{\"x\": 0, \"z\": 0}, {\"x\": 101, \"z\": 0}]",
         "line 7, column 30: spawns[1] lies outside the bounds; move it, or them"},
        {"[{\"x\": 0, \"z\": 0}]", "[{\"x\": 15, \"z\": 15}]",
         "line 7, column 12: spawns[0] lies inside solids[0]; move one of them"},
        {"[{\"x\": 0, \"z\": 0}]", "[{\"x\": 0, \"y\": -0.01, \"z\": 0}]",
         "line 7, column 12: spawns[0] lies under the ground, which is at y 0 there; leave y out "
         "to lie on it"},
        {"\"max\": {\"x\": 100, \"y\": 50", "\"max\": {\"x\": 1e6, \"y\": 50",
         "line 3, column 66: bounds.max.x is 1000000; it must be one from -65536 to 65536"},
        {"\"max\": {\"x\": 100, \"y\": 50", "\"max\": {\"x\": 100, \"y\": -40",
         "line 3, column 11: bounds are too small; max must be 16 above min in x, y and z"},
        {"\"min\": {\"x\": -100, \"y\": -50, \"z\": -100}",
         "\"min\": {\"x\": -100, \"y\": -50, \"z\": 90}",
         "line 3, column 11: bounds are too small; max must be 16 above min in x, y and z"},
        {"\"min\": {\"x\": -100, \"y\": -50, ", "\"min\": {\"x\": -100, ",
         "line 3, column 19: bounds.min has no y; it needs one"},
        {"\"amplitude\": 0", "\"amplitude\": 60",
         "line 3, column 11: bounds leave out some of the ground, which may be at y -60 to 60; "
         "make them higher, or terrain.amplitude less"},
        {"\"max\": {\"x\": 20, \"y\": 5", "\"max\": {\"x\": 10.05, \"y\": 5",
         "line 6, column 12: solids[0] is too thin; max must be 0.1 above min in x, y and z"},
        {"\"max\": {\"x\": 20, \"y\": 5", "\"max\": {\"x\": 20, \"y\": \"5\"",
         "line 6, column 71: solids[0].max.y is no number; it must be one from -65536 to 65536"},
        {"\"id\": \"a\"", "\"id\": \"a b\"",
         "line 8, column 19: routes[0].id is no id; it must be a string of 1 to 32 letters, "
         "digits, _ and -"},
        {"\"radius\": 5}]}],", "\"radius\": -1}]}],",
         "line 10, column 46: routes[0].checkpoints[1].radius is -1; it must be one from 0.5 to "
         "1000"},
        {"{\"x\": 30, \"z\": 0}", "{\"x\": 9, \"z\": 0}",
         "line 9, column 3: routes[0].checkpoints[0] overlaps the start; move it away"},
        {"{\"x\": 30, \"z\": 30}", "{\"x\": 30, \"z\": 8}",
         "line 10, column 3: routes[0].checkpoints[1] overlaps the one before it; move it away"},
        {"\"id\": \"a\"", "\"id\": \"a\", \"timeoutMs\": 1000, \"laps\": 2",
         "line 8, column 12: routes[0] takes 3000 ms at the highest speed; timeoutMs must be more"},
        {"\"radius\": 5}]}]",
         "\"radius\": 5}, {\"position\": {\"x\": 30, \"z\": 2}, \"radius\": "
         "5}], \"laps\": 2}]",
         "line 8, column 12: routes[0] has laps, but its last checkpoint overlaps the first; move "
         "one away"},
        {"\"radius\": 5}]}]", "\"radius\": 5, \"forward\": {\"x\": 0, \"z\": 0}}]}]",
         "line 10, column 3: routes[0].checkpoints[1] has a forward of no length; it must point "
         "somewhere"},
        {"\"route\": \"a\"", "\"route\": \"b\"",
         "line 11, column 82: kiosks[0].route is no route's id; name one of routes, or leave it "
         "out"},
        {"\"hello\"", "\"hel\\u0007lo\"",
         "line 11, column 64: kiosks[0].answer is no text; it must be a string of at most 512 "
         "bytes, all of them visible"},
        {"\"kiosks\": [",
         "\"kiosks\": [{\"id\": \"k\", \"position\": {\"x\": 1, \"z\": 0}, "
         "\"answer\": \"\"},\n",
         "line 12, column 8: kiosks[1].id is that of number 0 in the list, too; each needs its "
         "own"},
        {"\"pace\"", "\"interest\": {\"radius\": 128}, \"pace\"",
         "line 5, column 13: interest has a leaveRadius of 128 and a radius of 128; the first must "
         "be above the second, or what stands at the edge comes and goes"},
        {"\"pace\"", "\"interest\": {\"cell\": 31}, \"pace\"",
         "line 5, column 13: interest has a leaveRadius of 128 and a cell of 31; it must be 4 "
         "cells "
         "at most"},
        {"\"seed\": 7", "\"seed\": 7, \"seed\": 8",
         "line 2, column 12: the file has a key twice: seed"},
        {"\"answer\": \"hello\"", "\"answer\": \"hello\",",
         "line 11, column 72: the file is not valid JSON: unexpected character, expected a string "
         "for object key"},
    };
    EXPECT(read_text(text_of(small)));
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        EXPECT(!read_text(with(slips[i].old, slips[i].new)));
        if (!text_equal(said(), text_of(slips[i].told)))
            check_failed(__FILE__, __LINE__, "%s\n    told: %.*s\n    not:  %s", slips[i].new,
                         TEXT_ARG(said()), slips[i].told);
    }
}

/* The small world with so many solids. */
static struct text with_solids(uint32_t count)
{
    static char list[document_max - 4096];
    struct writer out = writer_over(list, sizeof list);
    write_text(&out, TEXT("\"solids\": ["));
    for (uint32_t i = 0; i < count; i++)
        write_format(&out,
                     "%s{\"min\":{\"x\":%d,\"y\":20,\"z\":%d},\"max\":{\"x\":%d,\"y\":21,"
                     "\"z\":%d}}",
                     i > 0 ? "," : "", -90 + (int)(i % 32) * 5, -90 + (int)(i / 32) * 5,
                     -88 + (int)(i % 32) * 5, -88 + (int)(i / 32) * 5);
    write_byte(&out, 0);
    EXPECT(!out.overflow);
    return with("\"solids\": [{\"min\": {\"x\": 10, \"y\": -5, \"z\": 10}, \"max\": {\"x\": 20, "
                "\"y\": 5, \"z\": 20}}",
                list);
}

TEST("1,024 solids are read, one more is refused")
{
    EXPECT(read_text(with_solids(world_solids_max)));
    EXPECT_EQ(map.solid_count, world_solids_max);
    EXPECT(!read_text(with_solids(world_solids_max + 1)));
    EXPECT_TEXT(said(),
                "line 6, column 11: solids has 1025; it must be a list, in [], of 0 to 1024");
}

TEST("a file that is too large is refused before it is read")
{
    static char large[world_file_size_max + 1];
    memset(large, ' ', sizeof large);
    EXPECT(!read_text((struct text){large, sizeof large}));
    EXPECT_TEXT(said(), "the file has 1048577 bytes; it may have 1048576");
}

static double between(struct random *random, double low, double high)
{
    return low + (high - low) * (double)random_below(random, 1 << 20) / (1 << 20);
}

static bool overlap(const struct world_box *left, const struct world_box *right)
{
    return left->min.x <= right->max.x && left->max.x >= right->min.x &&
           left->min.z <= right->max.z && left->max.z >= right->min.z;
}

static struct world_box random_box(struct random *random, double edge)
{
    struct world_box box;
    box.min = (struct world_point){between(random, -110, 110), 0, between(random, -110, 110)};
    box.max = (struct world_point){box.min.x + between(random, 0.1, edge), 1,
                                   box.min.z + between(random, 0.1, edge)};
    return box;
}

TEST("the solids near a box hold all that overlap it, beyond the bounds too, and few others")
{
    struct random random = {.state = 11};
    uint32_t overlapping = 0, others = 0;
    EXPECT(read_text(text_of(small)));
    map.solid_count = 1000;
    for (uint32_t i = 0; i < map.solid_count; i++)
        map.solids[i] = random_box(&random, 4);
    world_solids_index(&map);
    for (uint32_t round = 0; round < 500; round++) {
        struct world_box box = random_box(&random, 3);
        struct world_strip near;
        world_solids_near(&map, &box, &near);
        for (uint32_t i = 0; i < world_solids_max; i++) {
            bool has = near.words[i / 64] >> i % 64 & 1;
            bool must = i < map.solid_count && overlap(&box, &map.solids[i]);
            EXPECT(has || !must);
            overlapping += must;
            others += has && !must;
        }
    }
    EXPECT(overlapping > 100 && others < 3 * overlapping);
}

TEST("a world that is read again may take the place of one in which people are, if it is like it")
{
    static struct world_map next;
    static const struct {
        const char *old, *new, *conflict;
    } changes[] = {
        {"5}]}]", "5}]}]", ""},
        {"\"z\": 0}]", "\"z\": 0}, {\"x\": 1, \"z\": 1}]", ""},
        {"\"y\": 5, \"z\": 20", "\"y\": 9, \"z\": 21", ""},
        {"\"walking\": 6", "\"walking\": 8", ""},
        {"hello", "goodbye", ""},
        {"7", "8", "has another seed or terrain, which clients have shown; restart for it"},
        {"\"amplitude\": 0", "\"amplitude\": 1",
         "has another seed or terrain, which clients have shown; restart for it"},
        {"\"x\": 100", "\"x\": 101",
         "has other bounds, which clients have been told; restart for them"},
        {"\"pace\"", "\"chunks\": {\"size\": 32}, \"pace\"",
         "has other chunks or cells, by which everybody is kept; restart for them"},
        {"\"pace\"", "\"tickMs\": 51, \"pace\"",
         "has another tickMs, which clients have been told; restart for it"},
        {"5}]}]", "6}]}]", "has other routes, and there are races; try again when they are over"},
        {"\"route\": \"a\"", "\"range\": 5", ""},
    };
    EXPECT(read_text(text_of(small)));
    next = map;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        EXPECT(read_text(with(changes[i].old, changes[i].new)));
        struct text conflict = world_map_conflict(&next, &map, true);
        if (!text_equal(conflict, text_of(changes[i].conflict)))
            check_failed(__FILE__, __LINE__, "%s: %.*s", changes[i].new, TEXT_ARG(conflict));
    }
    EXPECT(read_text(with("5}]}]", "6}]}]")));
    EXPECT_EQ(world_map_conflict(&next, &map, false).size, 0);
}

TEST("tiles are inside as far as some of them is, also below 0")
{
    EXPECT(read_text(text_of(small)));
    EXPECT(world_tile_is_inside(&map, (struct world_tile){0, 0}));
    EXPECT(world_tile_is_inside(&map, (struct world_tile){-2, 1}));
    EXPECT(!world_tile_is_inside(&map, (struct world_tile){-3, 1}));
    EXPECT(!world_tile_is_inside(&map, (struct world_tile){0, 2}));
    EXPECT(!world_tile_is_inside(&map, (struct world_tile){INT32_MAX, INT32_MIN}));
}

TEST("modes are called by their names and by no other")
{
    enum world_mode mode = WORLD_WALKING;
    EXPECT(world_mode_of(TEXT("flying"), &mode) && mode == WORLD_FLYING);
    EXPECT(world_mode_of(world_mode_name(WORLD_WALKING), &mode) && mode == WORLD_WALKING);
    EXPECT(!world_mode_of(TEXT("Flying"), &mode) && !world_mode_of(TEXT(""), &mode));
}
