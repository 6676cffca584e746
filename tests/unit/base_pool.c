#include "base/pool.h"
#include "base/random.h"
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct arena arena;
static struct pool pool;

static void setup(size_t object_size, uint32_t capacity)
{
    bool opened = arena_open(&arena, object_size * capacity + (1 << 16));
    EXPECT(opened);
    pool_init(&pool, &arena, object_size, capacity);
}

/* True when what `body` does ends the program with an assert. */
static bool aborts(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        body();
        _exit(0);
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST("the last object given is the next one taken")
{
    setup(40, 8);
    void *first = pool_take(&pool), *second = pool_take(&pool), *third = pool_take(&pool);
    EXPECT(first != second && second != third);
    pool_give(&pool, first);
    pool_give(&pool, third);
    EXPECT(pool_take(&pool) == third);
    EXPECT(pool_take(&pool) == first);
    EXPECT_EQ(pool.in_use, 3);
    EXPECT_EQ(pool.touched, 3);
    arena_close(&arena);
}

TEST("an object's size is rounded up to 16, and its number leads back to it")
{
    setup(17, 4);
    EXPECT_EQ(pool.object_size, 32);
    for (uint32_t i = 0; i < 4; i++) {
        void *object = pool_take(&pool);
        EXPECT_EQ((uintptr_t)object % 16, 0);
        EXPECT_EQ(pool_index(&pool, object), i);
        EXPECT(pool_at(&pool, i) == object);
    }
    arena_close(&arena);
}

TEST("an empty pool says nullptr and works again when something comes home")
{
    setup(16, 2);
    void *first = pool_take(&pool), *second = pool_take(&pool);
    EXPECT(first != nullptr && second != nullptr);
    EXPECT(pool_take(&pool) == nullptr);
    EXPECT_EQ(pool.in_use, 2);
    pool_give(&pool, first);
    EXPECT(pool_take(&pool) == first);
    EXPECT(pool_take(&pool) == nullptr);
    arena_close(&arena);
}

TEST("a new object is zero behind its first 8 bytes, a used one holds what it held")
{
    setup(64, 2);
    uint8_t *object = pool_take(&pool);
    for (size_t i = 8; i < 64; i++)
        EXPECT(object[i] == 0);
    memset(object, 0xAB, 64);
    pool_give(&pool, object);
    object = pool_take(&pool);
    for (size_t i = 8; i < 64; i++)
        EXPECT(object[i] == 0xAB);
    arena_close(&arena);
}

TEST("an object that was never taken costs no memory")
{
    setup(4096, 100000);
    unsigned char pages[64];
    EXPECT(mincore(pool_at(&pool, 0), sizeof pages * 4096, pages) == 0);
    for (size_t i = 0; i < sizeof pages; i++)
        EXPECT((pages[i] & 1) == 0);
    uint8_t *object = pool_take(&pool);
    *object = 1;
    EXPECT(mincore(pool_at(&pool, 50000), sizeof pages * 4096, pages) == 0);
    for (size_t i = 0; i < sizeof pages; i++)
        EXPECT((pages[i] & 1) == 0);
    arena_close(&arena);
}

TEST("no object is given to two owners, whatever the order of taking and giving")
{
    constexpr uint32_t count = 500;
    setup(32, count);
    static uint8_t *owned[count];
    memset(owned, 0, sizeof owned);
    struct random random = {.state = 3};
    uint32_t out = 0;
    for (int step = 0; step < 50000; step++) {
        uint32_t owner = (uint32_t)random_below(&random, count);
        if (owned[owner] != nullptr) {
            for (size_t i = 0; i < 32; i += 4)
                EXPECT(memcmp(owned[owner] + i, &owner, 4) == 0);
            pool_give(&pool, owned[owner]);
            owned[owner] = nullptr;
            out -= 1;
        } else if ((owned[owner] = pool_take(&pool)) != nullptr) {
            for (size_t i = 0; i < 32; i += 4)
                memcpy(owned[owner] + i, &owner, 4);
            out += 1;
        }
        EXPECT_EQ(pool.in_use, out);
    }
    arena_close(&arena);
}

static void give_twice(void)
{
    void *first = pool_take(&pool), *second = pool_take(&pool), *third = pool_take(&pool);
    pool_give(&pool, first);
    pool_give(&pool, second);
    pool_give(&pool, first);
    (void)third;
}

static void give_more_than_taken(void)
{
    void *object = pool_take(&pool);
    pool_give(&pool, object);
    pool_give(&pool, object);
}

static void give_the_middle(void)
{
    uint8_t *object = pool_take(&pool);
    pool_give(&pool, object + 16);
}

static void give_a_stranger(void)
{
    static uint8_t stranger[64];
    void *object = pool_take(&pool);
    (void)object;
    pool_give(&pool, stranger);
}

static void give_properly(void)
{
    void *object = pool_take(&pool);
    pool_give(&pool, object);
}

TEST("giving twice, giving the middle of an object and giving a stranger end the program")
{
    setup(64, 8);
    EXPECT(aborts(give_twice));
    EXPECT(aborts(give_more_than_taken));
    EXPECT(aborts(give_the_middle));
    EXPECT(aborts(give_a_stranger));
    EXPECT(!aborts(give_properly));
    arena_close(&arena);
}

TEST("an owner whose bytes look like the mark of a free object may still give it")
{
    setup(32, 4);
    uint8_t *first = pool_take(&pool), *second = pool_take(&pool);
    pool_give(&pool, first);
    uint32_t index = pool_index(&pool, second);
    memset(second, 0xFF, 8);
    uint32_t mark = ~index;
    memcpy(second + 4, &mark, 4);
    pool_give(&pool, second);
    EXPECT_EQ(pool.in_use, 0);
    EXPECT(pool_take(&pool) == second);
    EXPECT(pool_take(&pool) == first);
    arena_close(&arena);
}

TEST("measuring a pool takes as much as making it")
{
    struct arena measure = arena_measure();
    pool_init(&pool, &measure, 100, 33);
    EXPECT(pool.memory == nullptr);
    EXPECT_EQ(measure.used, 4096);
    bool opened = arena_open(&arena, measure.used);
    EXPECT(opened);
    pool_init(&pool, &arena, 100, 33);
    EXPECT_EQ(arena.used, measure.used);
    arena_close(&arena);
}

/* Pages for which the kernel holds memory, of the pool's first `count` (at most 256). */
static size_t resident_pages(size_t count)
{
    unsigned char pages[256];
    EXPECT(count <= sizeof pages && mincore(pool.memory, count * 4096, pages) == 0);
    size_t resident = 0;
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

static uint8_t *out[1000];

/* Takes `count` objects and writes to all of them. */
static void take_crowd(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = pool_take(&pool);
        memset(out[i], 0xAB, pool.object_size);
    }
}

TEST("when all have come home the pages go back to the kernel, and the pool works on")
{
    setup(1024, 1000);
    take_crowd(1000);
    EXPECT_EQ(resident_pages(250), 250);
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT(!pool_trim(&pool) || i == 999);
        pool_give(&pool, out[i]);
    }
    EXPECT(pool_trim(&pool));
    EXPECT_EQ(resident_pages(250), 0);
    EXPECT_EQ(pool.touched, 0);
    uint8_t *object = pool_take(&pool);
    EXPECT(object == pool_at(&pool, 0));
    EXPECT_EQ(object[8], 0);
    arena_close(&arena);
}

TEST("with a few still out, what lies behind the last of them goes back, and they keep their bytes")
{
    setup(1024, 1000);
    take_crowd(1000);
    for (uint32_t i = 0; i < 1000; i++)
        if (i != 5 && i != 99) pool_give(&pool, out[i]);
    EXPECT(pool_trim(&pool));
    EXPECT_EQ(pool.touched, 100);
    EXPECT_EQ(resident_pages(250), 25);
    EXPECT_EQ(out[5][1023], 0xAB);
    EXPECT_EQ(out[99][1023], 0xAB);
    for (uint32_t i = 0; i < 1000; i++) { /* everything can be had again, once and in order */
        if (i == 5 || i == 99) continue;
        EXPECT(pool_take(&pool) == out[i]);
    }
    EXPECT(pool_take(&pool) == nullptr);
    arena_close(&arena);
}

TEST("nothing goes back while many are out, or when it would not be worth a system call")
{
    setup(1024, 1000);
    take_crowd(400);
    for (uint32_t i = 101; i < 400; i++)
        pool_give(&pool, out[i]);
    EXPECT(!pool_trim(&pool));
    pool_give(&pool, out[100]);
    EXPECT(pool_trim(&pool));
    EXPECT_EQ(pool.touched, 100);
    arena_close(&arena);
    setup(1024, 1000);
    take_crowd(16);
    for (uint32_t i = 0; i < 16; i++)
        pool_give(&pool, out[i]);
    EXPECT(!pool_trim(&pool));
    EXPECT_EQ(pool.touched, 16);
    arena_close(&arena);
}

TEST("an object in the way is looked for again only when half of those out have come home")
{
    setup(1024, 1000);
    take_crowd(1000);
    for (uint32_t i = 0; i < 1000; i++)
        if (i % 100 != 99) pool_give(&pool, out[i]);
    EXPECT(!pool_trim(&pool)); /* the last one is out */
    pool_give(&pool, out[999]);
    EXPECT(!pool_trim(&pool));
    for (uint32_t i = 599; i < 999; i += 100)
        pool_give(&pool, out[i]);
    EXPECT(pool_trim(&pool));
    EXPECT_EQ(pool.touched, 500);
    arena_close(&arena);
}

TEST("an owner whose bytes look like the mark of a free object loses nothing to a trim")
{
    setup(1024, 1000);
    take_crowd(1000);
    uint32_t mark = ~700u;
    memcpy(out[700] + 4, &mark, sizeof mark);
    for (uint32_t i = 0; i < 1000; i++)
        if (i != 700) pool_give(&pool, out[i]);
    EXPECT(!pool_trim(&pool));
    EXPECT_EQ(out[700][1023], 0xAB);
    EXPECT_EQ(pool.touched, 1000);
    arena_close(&arena);
}

TEST("a large object that is given with its pages keeps none but the first, and can be taken again")
{
    setup(10 * arena_page, 3);
    uint8_t *first = pool_take(&pool), *second = pool_take(&pool);
    size_t size = pool.object_size;
    memset(first, 'a', size);
    memset(second, 'b', size);
    pool_give_pages(&pool, first);
    EXPECT(second[0] == 'b' && second[size - 1] == 'b'); /* a neighbour keeps its bytes */
    EXPECT(pool_take(&pool) == first);
    EXPECT_EQ(first[arena_page], 0);
    EXPECT_EQ(first[size - 1 - arena_page], 0);
    pool_give_pages(&pool, first);
    pool_give_pages(&pool, second);
    arena_close(&arena);
}
