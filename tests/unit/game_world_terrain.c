/* tests/unit/game_world_terrain.c: the ground and what stands on it: the same everywhere,
 * for ever. */
#include "base/json.h"
#include "base/random.h"
#include "check.h"
#include "game/world_terrain.h"

static const struct world_terrain hills = {
    .seed = 20260611, .amplitude = 18, .wavelength = 192, .roughness = 0.45, .octaves = 4};

static uint8_t written[world_chunk_size_max];

static struct text write_chunk(const struct world_chunk *chunk)
{
    struct writer out = writer_over(written, sizeof written);
    world_chunk_write(&out, chunk);
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

static struct world_chunk chunk_of(const struct world_terrain *terrain, int32_t x, int32_t z,
                                   enum world_detail detail)
{
    struct world_chunk chunk;
    world_chunk_make(&chunk, terrain, 64, (struct world_tile){x, z}, detail);
    return chunk;
}

/* A fingerprint of many heights, to the last bit. */
static uint64_t heights_hash(const struct world_terrain *terrain)
{
    uint64_t hash = 0;
    for (int32_t x = -40; x <= 40; x++)
        for (int32_t z = -40; z <= 40; z++) {
            double height = world_height(terrain, x * 13.7, z * 9.1);
            uint64_t bits;
            memcpy(&bits, &height, sizeof bits);
            hash = (hash ^ bits) * 0x100000001B3;
        }
    return hash;
}

/* The numbers were found by a second program, in another language, that has nothing but the formula
 * in the header. */
TEST("heights are the same bits on every machine and in every version")
{
    EXPECT(world_height(&hills, 0, 0) == 0x1.27cb8b5e151fbp+3);
    EXPECT(world_height(&hills, -0.5, 12.25) == 0x1.3d611b8fc10f3p+3);
    EXPECT(world_height(&hills, 1234.5, -987.125) == -0x1.cb11e44e5373bp+0);
    EXPECT(world_height(&hills, -511.9, 511.9) == 0x1.7d54a7fe3d27fp+0);
    EXPECT_EQ(heights_hash(&hills), 0xda1116a1aeac45fe);
    struct world_terrain other = hills;
    other.seed += 1ull << 40;
    EXPECT_EQ(heights_hash(&other), 0x8f186d25603b6517);
}

TEST("a chunk is the same bytes on every machine and in every version")
{
    struct world_chunk chunk = chunk_of(&hills, 0, 0, WORLD_MID);
    EXPECT_TEXT(
        write_chunk(&chunk),
        "{\"x\":0,\"z\":0,\"lod\":\"mid\",\"hash\":\"a149c6347b90e28c\",\"terrainSeed\":"
        "3349602723,\"biomeHint\":\"meadow\",\"props\":[{\"kind\":\"oak\",\"position\":{\"x\":"
        "13.311,\"y\":9.938,\"z\":12.126},\"turn\":326,\"scale\":1.11},{\"kind\":\"bush\","
        "\"position\":{\"x\":18.661,\"y\":7.827,\"z\":54.242},\"turn\":31,\"scale\":1.2}]}");
    chunk = chunk_of(&hills, -1, -3, WORLD_FAR);
    EXPECT_TEXT(
        write_chunk(&chunk),
        "{\"x\":-1,\"z\":-3,\"lod\":\"far\",\"hash\":\"a9dd133eb9663d86\",\"terrainSeed\":"
        "3735673217,\"biomeHint\":\"meadow\",\"props\":[{\"kind\":\"oak\",\"position\":{\"x\":"
        "-51.73,\"y\":-3.127,\"z\":-147.948},\"turn\":244,\"scale\":1.06}]}");
}

TEST("the ground stays within its amplitude, and is nowhere steeper than it says")
{
    struct random random = {.state = 3};
    double highest = -100, lowest = 100, steepest = 0, bound = world_steepness(&hills);
    for (uint32_t i = 0; i < 20000; i++) {
        double x = (double)random_below(&random, 1 << 20) / 256 - 2048;
        double z = (double)random_below(&random, 1 << 20) / 256 - 2048;
        double dx = ((double)random_below(&random, 2048) - 1024) / 1024;
        double dz = ((double)random_below(&random, 2048) - 1024) / 1024;
        double height = world_height(&hills, x, z), rise = world_height(&hills, x + dx, z + dz);
        rise = rise > height ? rise - height : height - rise;
        EXPECT(rise <= bound * __builtin_sqrt(dx * dx + dz * dz) + 1e-12);
        if (height > highest) highest = height;
        if (height < lowest) lowest = height;
        if (dx * dx + dz * dz > 0.1 && rise > steepest) steepest = rise;
    }
    EXPECT(highest <= 18 && lowest >= -18 && highest > 9 && lowest < -9);
    EXPECT(steepest > bound / 8); /* the bound means something */
}

TEST("the ground has no seams: neither at 0 nor where lattices begin")
{
    constexpr double step = 1e-6;
    for (int32_t i = -64; i <= 64; i++) {
        double at = i * 24.0; /* the finest lattice */
        double before = world_height(&hills, at - step, 5),
               after = world_height(&hills, at + step, 5);
        EXPECT(after - before < 1e-3 && before - after < 1e-3);
        before = world_height(&hills, 5, at - step);
        after = world_height(&hills, 5, at + step);
        EXPECT(after - before < 1e-3 && before - after < 1e-3);
    }
}

TEST("no amplitude is flat; seeds and octaves matter")
{
    struct world_terrain flat = hills, other = hills, coarse = hills;
    flat.amplitude = 0;
    flat.base = 3;
    other.seed += 1;
    coarse.octaves = 1;
    EXPECT(world_height(&flat, -77, 1234.5) == 3 && world_steepness(&flat) == 0);
    EXPECT(world_height(&hills, 10, 10) != world_height(&other, 10, 10));
    EXPECT(world_height(&hills, 10, 10) != world_height(&coarse, 10, 10));
    EXPECT(world_height(&hills, 65536, -65536) == world_height(&hills, 65536, -65536));
}

TEST("a chunk's props stand on the ground of its tile, also below 0")
{
    for (int32_t x = -3; x <= 3; x++)
        for (int32_t z = -3; z <= 3; z++) {
            struct world_chunk chunk = chunk_of(&hills, x, z, WORLD_NEAR);
            EXPECT(chunk.prop_count >= 2 && chunk.prop_count <= world_props_max);
            for (uint32_t i = 0; i < chunk.prop_count; i++) {
                const struct world_prop *prop = &chunk.props[i];
                double at_x = (double)prop->x_mm / 1000, at_z = (double)prop->z_mm / 1000;
                struct world_tile tile = world_tile_at((struct world_point){at_x, 0, at_z}, 64);
                double off = (double)prop->y_mm / 1000 - world_height(&hills, at_x, at_z);
                EXPECT(tile.x == x && tile.z == z);
                EXPECT(off <= 0.0005 && off >= -0.0005);
                EXPECT(prop->turn < 360 && prop->scale >= 75 && prop->scale <= 125);
            }
        }
}

TEST("less detail shows the first props of more detail, and says it is another chunk")
{
    for (int32_t x = -8; x < 8; x++) {
        struct world_chunk near = chunk_of(&hills, x, 5, WORLD_NEAR);
        struct world_chunk mid = chunk_of(&hills, x, 5, WORLD_MID);
        struct world_chunk far = chunk_of(&hills, x, 5, WORLD_FAR);
        EXPECT(far.prop_count <= mid.prop_count && mid.prop_count <= near.prop_count);
        EXPECT(mid.prop_count <= world_props_max / 3 && far.prop_count <= world_props_max / 6);
        EXPECT(memcmp(mid.props, near.props, mid.prop_count * sizeof *mid.props) == 0);
        EXPECT(memcmp(far.props, near.props, far.prop_count * sizeof *far.props) == 0);
        EXPECT(near.hash != mid.hash && mid.hash != far.hash && near.hash != far.hash);
        EXPECT(near.terrain_seed == far.terrain_seed);
    }
}

TEST("hashes tell all tiles around apart, and all biomes are found somewhere")
{
    static uint64_t hashes[64 * 64];
    uint32_t count = 0, doubled = 0, biomes = 0;
    struct text seen[8];
    for (int32_t x = -32; x < 32; x++)
        for (int32_t z = -32; z < 32; z++) {
            struct world_chunk chunk = chunk_of(&hills, x, z, WORLD_MID);
            for (uint32_t i = 0; i < count; i++)
                doubled += hashes[i] == chunk.hash;
            hashes[count++] = chunk.hash;
            bool known = false;
            for (uint32_t i = 0; i < biomes; i++)
                known = known || text_equal(seen[i], chunk.biome);
            if (!known && biomes < 8) seen[biomes++] = chunk.biome;
        }
    EXPECT_EQ(doubled, 0);
    EXPECT_EQ(biomes, 5);
}

TEST("what is written of a chunk is JSON, with all of it, within its size at the most")
{
    static uint8_t memory[16 * world_chunk_size_max + 1024];
    size_t largest = 0;
    for (int32_t x = -1000; x < 1000; x += 25) {
        struct world_terrain high = hills;
        high.base = -4000;
        struct world_chunk chunk = chunk_of(&high, x, 1000, WORLD_NEAR);
        struct text text = write_chunk(&chunk), problem, word;
        const struct json *root = json_read((struct bytes){memory, sizeof memory}, text, &problem);
        EXPECT(root != nullptr && json_count(json_member(root, TEXT("props"))) == chunk.prop_count);
        EXPECT(json_to_text(json_member(root, TEXT("hash")), &word) && word.size == 16);
        const struct json *first = json_element(json_member(root, TEXT("props")), 0);
        double y = 0;
        EXPECT(json_to_number(json_member(json_member(first, TEXT("position")), TEXT("y")), &y));
        EXPECT(y == (double)chunk.props[0].y_mm / 1000);
        if (text.size > largest) largest = text.size;
    }
    EXPECT(largest > 1000);
}

TEST("thousandths are written without zeros at their end")
{
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {{0, "0"},         {1, "0.001"},    {-1, "-0.001"},      {1500, "1.5"},
                 {-1050, "-1.05"}, {10, "0.01"},    {123456, "123.456"}, {-3000, "-3"},
                 {100, "0.1"},     {1001, "1.001"}, {65536000, "65536"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer out = writer_over(written, sizeof written);
        world_write_thousandths(&out, cases[i].value);
        if (!text_equal(text_from(writer_bytes(&out)), text_of(cases[i].text)))
            check_failed(__FILE__, __LINE__, "%.*s is not %s",
                         TEXT_ARG(text_from(writer_bytes(&out))), cases[i].text);
    }
}

TEST("details are called by their names and by no other")
{
    enum world_detail detail = WORLD_NEAR;
    EXPECT(world_detail_of(TEXT("far"), &detail) && detail == WORLD_FAR);
    EXPECT(world_detail_of(world_detail_name(WORLD_MID), &detail) && detail == WORLD_MID);
    EXPECT(!world_detail_of(TEXT("FAR"), &detail) && !world_detail_of(TEXT(""), &detail));
}
