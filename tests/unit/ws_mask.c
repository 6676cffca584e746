#include "base/cpu.h"
#include "check.h"
#include "ws/mask.h"
#include <stdlib.h>

/* The definition, byte by byte: octet i is XORed with octet i mod 4 of the key (§5.3). */
static void unmask_plainly(uint8_t *payload, size_t size, const uint8_t key[static 4],
                           uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        payload[i] ^= key[(offset + i) % 4];
}

static void fill(uint8_t *memory, size_t size)
{
    for (size_t i = 0; i < size; i++)
        memory[i] = (uint8_t)(i * 31 + 7);
}

static const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};

TEST("the example of RFC 6455 §5.7 is unmasked: a masked \"Hello\"")
{
    uint8_t payload[] = {0x7F, 0x9F, 0x4D, 0x51, 0x58};
    struct bytes bytes = {.data = payload, .size = sizeof payload};
    ws_unmask(bytes, key, 0);
    EXPECT_TEXT(bytes, "Hello");
}

constexpr size_t margin = 64, size_max = 2048;

/* At every alignment within a cache line, every turn of the key, and every width of register. */
static void expect_plain(size_t size)
{
    static uint8_t actual[margin + size_max + margin], wanted[sizeof actual];
    for (enum cpu_level level = CPU_BASELINE; level <= cpu_best(); level++)
        for (size_t alignment = 0; alignment < margin; alignment++)
            for (uint64_t offset = 0; offset < 4; offset++) {
                size_t used = margin + size + margin;
                fill(actual, used);
                fill(wanted, used);
                cpu_use(level);
                ws_unmask((struct bytes){.data = actual + alignment, .size = size}, key, offset);
                cpu_use(cpu_best());
                unmask_plainly(wanted + alignment, size, key, offset);
                if (memcmp(actual, wanted, used) != 0)
                    check_failed(__FILE__, __LINE__, "level %d, %zu bytes at %zu, offset %d", level,
                                 size, alignment, (int)offset);
            }
}

TEST("any size at any alignment and offset is unmasked as a byte loop does, and nothing beside it, "
     "with each width of register")
{
    for (size_t size = 0; size <= 300; size++)
        expect_plain(size);
}

TEST("a payload long enough for the widest registers is unmasked as a byte loop does")
{
    for (size_t size = 1000; size <= 1060; size++)
        expect_plain(size);
    for (size_t size = 1279; size <= size_max; size += 256)
        expect_plain(size);
}

TEST("a payload unmasked in two pieces is the payload unmasked at once")
{
    constexpr size_t size = 400;
    for (size_t split = 0; split <= size; split++) {
        uint8_t *pieces = malloc(size), *whole = malloc(size); // exact: a sanitizer sees an overrun
        fill(pieces, size);
        fill(whole, size);
        ws_unmask((struct bytes){.data = pieces, .size = split}, key, 0);
        ws_unmask((struct bytes){.data = pieces + split, .size = size - split}, key, split);
        ws_unmask((struct bytes){.data = whole, .size = size}, key, 0);
        EXPECT(memcmp(pieces, whole, size) == 0);
        free(pieces);
        free(whole);
    }
}

TEST("an offset beyond 32 bits turns the key as a small one does")
{
    for (uint64_t low = 0; low < 4; low++) {
        uint8_t far[23], near[23];
        fill(far, sizeof far);
        fill(near, sizeof near);
        ws_unmask((struct bytes){.data = far, .size = sizeof far}, key, (UINT64_MAX - 3) + low);
        ws_unmask((struct bytes){.data = near, .size = sizeof near}, key, low);
        EXPECT(memcmp(far, near, sizeof far) == 0);
    }
}

TEST("a key of zeros changes nothing, a key of ones inverts, and twice is never (THREATS F14)")
{
    const uint8_t zeros[4] = {0, 0, 0, 0}, ones[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    uint8_t payload[41], original[41];
    struct bytes bytes = {.data = payload, .size = sizeof payload};
    fill(payload, sizeof payload);
    fill(original, sizeof original);
    ws_unmask(bytes, zeros, 1);
    EXPECT(memcmp(payload, original, sizeof payload) == 0);
    ws_unmask(bytes, ones, 2);
    for (size_t i = 0; i < sizeof payload; i++)
        EXPECT_EQ(payload[i], (uint8_t)~original[i]);
    ws_unmask(bytes, ones, 2);
    ws_unmask(bytes, key, 3);
    EXPECT(memcmp(payload, original, sizeof payload) != 0);
    ws_unmask(bytes, key, 3);
    EXPECT(memcmp(payload, original, sizeof payload) == 0);
}

TEST("an empty payload may have no memory at all")
{
    struct bytes nothing = {};
    ws_unmask(nothing, key, 5);
    EXPECT(nothing.data == nullptr);
}
