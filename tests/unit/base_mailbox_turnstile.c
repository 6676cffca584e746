#include "base/mailbox.h"
#include "base/random.h"
#include "check.h"
#include <pthread.h>

static struct arena arena;
static struct turnstile turnstile;

static void setup(uint32_t keys, uint32_t inside_most, uint32_t per_second)
{
    turnstile = (struct turnstile){.inside_most = inside_most, .arrivals = rate_of(per_second)};
    struct arena measuring = arena_measure();
    turnstile_init(&turnstile, &measuring, keys);
    EXPECT(arena_open(&arena, measuring.used));
    turnstile_init(&turnstile, &arena, keys);
}

/* How many of `tries` come in at this time. */
static uint32_t entering(uint64_t key, uint64_t now_ms, uint32_t tries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tries; i++)
        count += turnstile_enter(&turnstile, key, now_ms) == TURNSTILE_COUNTED;
    return count;
}

static void leave(uint64_t key, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        turnstile_leave(&turnstile, key);
}

TEST("as many of a key are let in as may be, others are not concerned, and who leaves makes room "
     "(H23)")
{
    setup(64, 3, 0);
    EXPECT_EQ(entering(7, 1'000, 10), 3);
    EXPECT(turnstile_enter(&turnstile, 7, 1'000) == TURNSTILE_FULL);
    EXPECT_EQ(entering(7 + 16, 1'000, 10), 3); /* the same group */
    turnstile_leave(&turnstile, 7);
    EXPECT_EQ(entering(7, 1'000, 10), 1);
    leave(7, 3);
    EXPECT_EQ(entering(7, 1'000, 10), 3);
    arena_close(&arena);
}

TEST("arrivals over the rate are refused, whoever has left meanwhile (R13)")
{
    setup(64, 0, 200);
    EXPECT_EQ(entering(7, 1'000, 1000), 400);
    leave(7, 400);
    EXPECT(turnstile_enter(&turnstile, 7, 1'000) == TURNSTILE_TOO_FAST);
    EXPECT_EQ(entering(8, 1'000, 1000), 400);
    EXPECT_EQ(entering(7, 2'000, 1000), 200);
    EXPECT_EQ(entering(7, 4'000, 1000), 400);
    arena_close(&arena);
}

TEST("who is refused for the number inside does not pay for the arrival")
{
    setup(64, 2, 10);
    EXPECT_EQ(entering(7, 1'000, 1000), 2);
    leave(7, 2);
    EXPECT_EQ(entering(7, 1'000, 2), 2);
    arena_close(&arena);
}

TEST("an entry is another key's once nobody is inside and its arrivals are forgotten, not before")
{
    setup(8, 5, 10); /* one group */
    for (uint64_t key = 1; key <= 16; key++)
        EXPECT_EQ(entering(key, 1'000, 1), 1);
    EXPECT(turnstile_enter(&turnstile, 17, 1'000) == TURNSTILE_UNCOUNTED);
    turnstile_leave(&turnstile, 3);
    EXPECT(turnstile_enter(&turnstile, 17, 1'050) == TURNSTILE_UNCOUNTED);
    EXPECT(turnstile_enter(&turnstile, 17, 1'100) == TURNSTILE_COUNTED);
    EXPECT(turnstile_enter(&turnstile, 3, 1'100) == TURNSTILE_UNCOUNTED);
    for (uint64_t key = 1; key <= 17; key++)
        if (key != 3) turnstile_leave(&turnstile, key);
    EXPECT(turnstile_enter(&turnstile, 3, 2'000) == TURNSTILE_COUNTED);
    arena_close(&arena);
}

TEST("a key of zero is a key, and so is the one that stands for it")
{
    setup(64, 2, 0);
    EXPECT_EQ(entering(0, 1'000, 9), 2);
    leave(0, 2);
    EXPECT_EQ(entering(0, 1'000, 9), 2);
    arena_close(&arena);
}

TEST("as many keys as it has room for are counted, but for a few that meet in one group")
{
    constexpr uint32_t keys = 20'000;
    setup(keys, 1, 0);
    struct random random = {.state = 42};
    uint32_t counted = 0;
    for (uint32_t i = 0; i < keys; i++)
        counted += entering(random_u64(&random), 1'000, 1);
    EXPECT(counted > keys - keys / 50);
    arena_close(&arena);
}

TEST(
    "who comes and is gone is remembered as an arrival, of its own key only, until it is forgotten "
    "(A17)")
{
    setup(64, 0, 10);
    turnstile.arrivals.burst = 100;
    for (uint32_t i = 1; i <= 30; i++) {
        turnstile_note(&turnstile, 7, 1'000, 1);
        EXPECT_EQ(turnstile_held(&turnstile, 7, 1'000), i);
    }
    EXPECT_EQ(turnstile_held(&turnstile, 7 + 16, 1'000), 0);
    EXPECT_EQ(turnstile_held(&turnstile, 7, 2'000), 20);
    EXPECT_EQ(turnstile_held(&turnstile, 7, 4'000), 0);
    for (uint32_t i = 0; i < 500; i++)
        turnstile_note(&turnstile, 7, 5'000, 1);
    EXPECT_EQ(turnstile_held(&turnstile, 7, 5'000), 100);
    turnstile_note(&turnstile, 0, 5'000, 1);
    EXPECT_EQ(turnstile_held(&turnstile, 0, 5'000), 1);
    turnstile_note(&turnstile, 9, 5'000, 60);
    EXPECT_EQ(turnstile_held(&turnstile, 9, 5'000), 60);
    turnstile_note(&turnstile, 9, 5'000, 60); /* more than may be */
    EXPECT_EQ(turnstile_held(&turnstile, 9, 5'000), 60);
    EXPECT_EQ(turnstile_held(&turnstile, 9, 10'900), 1);
    EXPECT_EQ(turnstile_held(&turnstile, 9, 11'000), 0);
    arena_close(&arena);
}

/* ---- several threads */

constexpr uint32_t thread_count = 4, few_keys = 40, inside_limit = 3;
static _Atomic int32_t inside[few_keys];
static _Atomic uint32_t broken, entered;

static void come_and_go_once(struct random *random)
{
    uint64_t number = random_below(random, few_keys), key = (number + 1) * 16;
    if (turnstile_enter(&turnstile, key, random_below(random, 50)) != TURNSTILE_COUNTED) return;
    int32_t now = atomic_fetch_add(&inside[number], 1) + 1;
    if (now > (int32_t)inside_limit) atomic_fetch_add(&broken, 1);
    atomic_fetch_add(&entered, 1);
    for (uint64_t spin = random_below(random, 100); spin > 0; spin--)
        __asm__ volatile("");
    atomic_fetch_sub(&inside[number], 1);
    turnstile_leave(&turnstile, key);
}

static void *come_and_go(void *seed)
{
    struct random random = {.state = (uint64_t)(uintptr_t)seed};
    for (uint32_t i = 0; i < 50'000; i++)
        come_and_go_once(&random);
    return nullptr;
}

TEST("threads that fight for entries lose no count: the limit holds, and all entries come free "
     "(H23)")
{
    setup(8, inside_limit, 0); /* one group of 16 for 40 keys: entries change hands all the time */
    atomic_store(&broken, 0);
    atomic_store(&entered, 0);
    pthread_t threads[thread_count];
    for (uintptr_t i = 0; i < thread_count; i++)
        EXPECT_EQ(pthread_create(&threads[i], nullptr, come_and_go, (void *)(i + 1)), 0);
    for (uint32_t i = 0; i < thread_count; i++)
        pthread_join(threads[i], nullptr);
    EXPECT_EQ(atomic_load(&broken), 0);
    EXPECT(atomic_load(&entered) > 1000);
    for (uint64_t key = 1001; key <= 1016; key++)
        EXPECT_EQ(entering(key, 1'000, 9), inside_limit);
    arena_close(&arena);
}
