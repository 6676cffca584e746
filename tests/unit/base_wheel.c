#include "base/random.h"
#include "base/wheel.h"
#include "check.h"

constexpr uint32_t timer_count = 64;

/* The model: what each timer was told, and from when its order counts. */
struct expectation {
    bool set;
    uint64_t due_ms;
    uint64_t order_ms;
};

static struct wheel wheel;
static struct timer timers[timer_count];
static struct expectation expected[timer_count];
static struct random dice;

static void setup(uint64_t now_ms, uint64_t seed)
{
    wheel_init(&wheel, now_ms);
    memset(timers, 0, sizeof timers);
    memset(expected, 0, sizeof expected);
    dice.state = seed;
}

static void set(uint32_t i, uint64_t due_ms)
{
    uint64_t order_ms = due_ms > wheel.now_ms ? due_ms : wheel.now_ms;
    wheel_set(&wheel, &timers[i], due_ms);
    expected[i] = (struct expectation){.set = true, .due_ms = due_ms, .order_ms = order_ms};
}

static void clear(uint32_t i)
{
    wheel_clear(&wheel, &timers[i]);
    expected[i].set = false;
}

/* How far to set or to jump: from nothing over every level to beyond the last. */
static uint64_t distance(void)
{
    uint64_t bits = random_below(&dice, 30);
    if (random_below(&dice, 200) == 0) bits = 45;
    return random_below(&dice, UINT64_C(1) << bits);
}

/* The slots hold what the bits say, and every timer that is set is somewhere. */
static void check_structure(void)
{
    uint32_t linked = 0, wrong = 0;
    for (uint32_t level = 0; level < wheel_levels; level++)
        for (uint32_t slot = 0; slot < wheel_slots; slot++) {
            bool occupied = (wheel.occupied[level] >> slot & 1) != 0;
            wrong += occupied == list_is_empty(&wheel.slots[level][slot]);
            list_each (link, &wheel.slots[level][slot])
                linked += 1;
        }
    list_each (link, &wheel.far)
        linked += 1;
    list_each (link, &wheel.expired)
        linked += 1;
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(linked, wheel.count);
}

/* The wheel knows which timers are set and looks up in time. */
static void check_model(void)
{
    uint32_t count = 0;
    uint64_t earliest_ms = UINT64_MAX;
    for (uint32_t i = 0; i < timer_count; i++) {
        EXPECT(wheel_is_set(&timers[i]) == expected[i].set);
        if (!expected[i].set) continue;
        count += 1;
        if (expected[i].order_ms < earliest_ms) earliest_ms = expected[i].order_ms;
    }
    EXPECT_EQ(wheel.count, count);
    uint64_t next_ms = wheel_next_ms(&wheel);
    EXPECT(next_ms <= earliest_ms);
    if (count == 0) EXPECT(next_ms == UINT64_MAX);
}

/* Takes what has expired: all that the model says, in order, and nothing else. */
static void take_all(uint64_t now_ms)
{
    uint64_t last_ms = 0;
    for (struct timer *timer; (timer = wheel_take(&wheel)) != nullptr;) {
        struct expectation *expectation = &expected[timer - timers];
        EXPECT(expectation->set);
        EXPECT(timer->due_ms == expectation->due_ms);
        EXPECT(expectation->due_ms <= now_ms);
        EXPECT(expectation->order_ms >= last_ms);
        last_ms = expectation->order_ms;
        expectation->set = false;
    }
    for (uint32_t i = 0; i < timer_count; i++)
        EXPECT(!expected[i].set || expected[i].due_ms > now_ms);
}

static void random_step(void)
{
    uint32_t i = (uint32_t)random_below(&dice, timer_count);
    uint64_t past_ms = random_below(&dice, 50);
    switch (random_below(&dice, 8)) {
    case 0: clear(i); break;
    case 1: set(i, wheel.now_ms > past_ms ? wheel.now_ms - past_ms : 0); break;
    case 2:
        wheel_advance(&wheel, wheel.now_ms + distance());
        take_all(wheel.now_ms);
        break;
    case 3:
        if (wheel_next_ms(&wheel) != UINT64_MAX) wheel_advance(&wheel, wheel_next_ms(&wheel));
        take_all(wheel.now_ms);
        break;
    default: set(i, wheel.now_ms + distance()); break;
    }
}

TEST("whatever is set, moved and cleared, a timer is never early, never late and never missed")
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        setup(seed == 1 ? 0 : distance(), seed);
        for (int step = 0; step < 8000; step++) {
            random_step();
            check_model();
            if (step % 16 == 0) check_structure();
        }
        wheel_advance(&wheel, UINT64_C(1) << 62);
        take_all(UINT64_C(1) << 62);
        check_model();
        check_structure();
    }
}

/* One wheel is told every millisecond, its twin only those that it asked for; both must agree. */
static void compare_with_patient_twin(uint64_t start_ms, uint64_t end_ms, uint64_t seed)
{
    static struct wheel twin;
    static struct timer twin_timers[timer_count];
    uint64_t expired_ms[timer_count] = {}, twin_ms[timer_count] = {};
    setup(start_ms, seed);
    wheel_init(&twin, start_ms);
    memset(twin_timers, 0, sizeof twin_timers);
    for (uint32_t i = 0; i < timer_count; i++) {
        uint64_t due_ms =
            start_ms + random_below(&dice, ((end_ms - start_ms) >> random_below(&dice, 20)) + 1);
        wheel_set(&wheel, &timers[i], due_ms);
        wheel_set(&twin, &twin_timers[i], due_ms);
    }
    for (uint64_t now_ms = start_ms; now_ms <= end_ms; now_ms++) {
        wheel_advance(&wheel, now_ms);
        for (struct timer *timer; (timer = wheel_take(&wheel)) != nullptr;)
            expired_ms[timer - timers] = now_ms;
    }
    for (uint64_t next_ms; (next_ms = wheel_next_ms(&twin)) != UINT64_MAX;) {
        wheel_advance(&twin, next_ms);
        for (struct timer *timer; (timer = wheel_take(&twin)) != nullptr;)
            twin_ms[timer - twin_timers] = next_ms;
    }
    for (uint32_t i = 0; i < timer_count; i++) {
        EXPECT_EQ(expired_ms[i], timers[i].due_ms);
        EXPECT_EQ(twin_ms[i], timers[i].due_ms);
    }
}

TEST("advancing only when wheel_next_ms says so expires the same timers at the same milliseconds")
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        compare_with_patient_twin(seed * 777777, seed * 777777 + 300000, seed);
    compare_with_patient_twin(5000000, 5000000 + (1 << 24) + (1 << 19), 99);
}

TEST("timers that expire in one jump come in the order of their deadlines")
{
    setup(100, 1);
    static const uint64_t dues[] = {5000000, 101, 70000, 164, 163, 1ull << 40, 100, 4300, 165, 99};
    static const uint64_t order[] = {100, 99, 101, 163, 164, 165, 4300, 70000, 5000000, 1ull << 40};
    for (uint32_t i = 0; i < 10; i++)
        wheel_set(&wheel, &timers[i], dues[i]);
    wheel_advance(&wheel, 1ull << 41);
    for (uint32_t i = 0; i < 10; i++) {
        struct timer *timer = wheel_take(&wheel);
        EXPECT(timer != nullptr && timer->due_ms == order[i]);
    }
    EXPECT(wheel_take(&wheel) == nullptr);
}

TEST("a timer set for the past expires at the next advance, even one that moves no time")
{
    setup(1000, 1);
    wheel_set(&wheel, &timers[0], 10);
    wheel_set(&wheel, &timers[1], 1000);
    EXPECT(wheel_take(&wheel) == nullptr);
    EXPECT_EQ(wheel_next_ms(&wheel), 1000);
    wheel_advance(&wheel, 1000);
    EXPECT(wheel_take(&wheel) == &timers[0]);
    EXPECT(wheel_take(&wheel) == &timers[1]);
    EXPECT(wheel_take(&wheel) == nullptr);
}

TEST("a timer that is set again while it is taken does not keep the taker busy")
{
    setup(1000, 1);
    wheel_set(&wheel, &timers[0], 1001);
    wheel_advance(&wheel, 1005);
    EXPECT(wheel_take(&wheel) == &timers[0]);
    wheel_set(&wheel, &timers[0], 1002);
    EXPECT(wheel_take(&wheel) == nullptr);
    wheel_advance(&wheel, 1005);
    EXPECT(wheel_take(&wheel) == &timers[0]);
}

TEST("an expired timer may be cleared or moved before it is taken")
{
    setup(0, 1);
    for (uint32_t i = 0; i < 3; i++)
        wheel_set(&wheel, &timers[i], 5);
    wheel_advance(&wheel, 7);
    EXPECT_EQ(wheel_next_ms(&wheel), 7); // something waits for wheel_take
    wheel_clear(&wheel, &timers[0]);
    wheel_set(&wheel, &timers[1], 20);
    EXPECT(wheel_take(&wheel) == &timers[2]);
    EXPECT(wheel_take(&wheel) == nullptr);
    EXPECT_EQ(wheel.count, 1);
    wheel_advance(&wheel, 19);
    EXPECT(wheel_take(&wheel) == nullptr);
    wheel_advance(&wheel, 20);
    EXPECT(wheel_take(&wheel) == &timers[1]);
}

TEST("time does not go back")
{
    setup(1000, 1);
    wheel_set(&wheel, &timers[0], 1500);
    wheel_advance(&wheel, 900);
    EXPECT_EQ(wheel.now_ms, 1000);
    wheel_advance(&wheel, 1499);
    wheel_advance(&wheel, 10);
    EXPECT(wheel_take(&wheel) == nullptr);
    wheel_advance(&wheel, 1500);
    EXPECT(wheel_take(&wheel) == &timers[0]);
}

TEST("clearing what is not set does nothing, and the last timer's end leaves nothing to wait for")
{
    setup(0, 1);
    wheel_clear(&wheel, &timers[0]);
    EXPECT_EQ(wheel.count, 0);
    for (uint64_t shift = 0; shift < 60; shift++) {
        wheel_set(&wheel, &timers[0], UINT64_C(1) << shift);
        EXPECT(wheel_next_ms(&wheel) <= UINT64_C(1) << shift);
        wheel_clear(&wheel, &timers[0]);
        EXPECT(wheel_next_ms(&wheel) == UINT64_MAX);
        EXPECT(!wheel_is_set(&timers[0]));
    }
}

TEST("a deadline in ten years asks for a handful of stops on its way")
{
    constexpr uint64_t ten_years_ms = UINT64_C(10) * 365 * 86400 * 1000;
    setup(12345, 1);
    wheel_set(&wheel, &timers[0], ten_years_ms);
    wheel_set(&wheel, &timers[1], UINT64_MAX); // never
    int stops = 0;
    uint64_t now_ms = 0;
    while (wheel_is_set(&timers[0]) && stops < 1000) {
        now_ms = wheel_next_ms(&wheel);
        wheel_advance(&wheel, now_ms);
        stops += 1;
        if (wheel_take(&wheel) == &timers[0]) break;
    }
    EXPECT_EQ(now_ms, ten_years_ms);
    EXPECT(stops <= 6);
    EXPECT(wheel_is_set(&timers[1]));
}

TEST("a jump over all of time is over at once, and UINT64_MAX never comes")
{
    setup(0, 1);
    for (uint32_t i = 0; i < 60; i++)
        wheel_set(&wheel, &timers[i], UINT64_C(1) << i);
    wheel_set(&wheel, &timers[60], UINT64_MAX);
    wheel_advance(&wheel, UINT64_MAX - 1);
    for (uint32_t i = 0; i < 60; i++)
        EXPECT(wheel_take(&wheel) == &timers[i]);
    EXPECT(wheel_take(&wheel) == nullptr);
    wheel_advance(&wheel, UINT64_MAX);
    EXPECT(wheel_take(&wheel) == nullptr);
    EXPECT_EQ(wheel.count, 1);
}
