#include "base/arena.h"
#include "check.h"
#include <sys/mman.h>

static const size_t sizes[] = {1, 4096, 4097, 0, 100000};

/* The pages among the first `count` from `start` for which the kernel holds memory. */
static size_t resident_pages(void *start, size_t count)
{
    unsigned char pages[64] = {};
    EXPECT(mincore(start, count * 4096, pages) == 0);
    size_t resident = 0;
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

TEST("measuring counts exactly what the real arena then gives")
{
    struct arena measure = arena_measure(), arena;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        EXPECT(arena_take(&measure, sizes[i]) == nullptr);
    bool opened = arena_open(&arena, measure.used);
    EXPECT(opened);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        EXPECT(arena_take(&arena, sizes[i]) != nullptr);
    EXPECT_EQ(arena.used, measure.used);
    EXPECT_EQ(arena.used, arena.capacity);
    arena_close(&arena);
}

TEST("what an arena gives is zero, starts on a page and overlaps nothing")
{
    struct arena arena;
    bool opened = arena_open(&arena, 16 * 4096);
    EXPECT(opened);
    uint8_t *first = arena_take(&arena, 5000), *second = arena_take(&arena, 10);
    EXPECT_EQ((uintptr_t)first % 4096, 0);
    EXPECT_EQ((uintptr_t)second % 4096, 0);
    for (size_t i = 0; i < 5000; i++)
        EXPECT(first[i] == 0);
    memset(first, 0xFF, 5000);
    for (size_t i = 0; i < 10; i++)
        EXPECT(second[i] == 0);
    arena_close(&arena);
}

TEST("an arena reserves addresses; memory comes page by page as it is touched")
{
    struct arena arena;
    bool opened = arena_open(&arena, UINT64_C(1) << 36);
    EXPECT(opened);
    uint8_t *taken = arena_take(&arena, UINT64_C(1) << 36);
    EXPECT_EQ(resident_pages(taken, 64), 0);
    taken[3 * 4096] = 1;
    EXPECT_EQ(resident_pages(taken, 64), 1); /* and small ones */
    EXPECT_EQ(resident_pages(taken + (UINT64_C(1) << 35), 64), 0);
    arena_close(&arena);
}

TEST("an arena that the kernel refuses, or that no address space could hold, is not opened")
{
    struct arena arena;
    EXPECT(!arena_open(&arena, SIZE_MAX / 2));
    EXPECT(!arena_open(&arena, SIZE_MAX));
    EXPECT(arena.memory == nullptr);
    EXPECT_EQ(arena.capacity, 0);
    arena_close(&arena);
}

TEST("an arena of nothing can be opened and closed")
{
    struct arena arena;
    EXPECT(arena_open(&arena, 0));
    EXPECT(arena_take(&arena, 0) != nullptr);
    arena_close(&arena);
    EXPECT(arena.memory == nullptr);
}
