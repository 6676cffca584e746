#include "base/wheel.h"

/* A level counts time in its own steps: level 0 in 1 ms, level 1 in 64 ms, level 2 in 4.1 s,
 * level 3 in 4.4 minutes. A timer lies in the lowest level where its deadline is fewer than 64
 * steps ahead, in the slot of that step modulo 64:
 *
 *     level 0   [now][+1][+2] ... [+63]     "now" holds what is due now or was due already
 *     level 1        [+1][+2] ... [+63]     a slot is emptied into the lower levels when its
 *     level 2        [+1][+2] ... [+63]     first millisecond comes, so the slot of the present
 *     level 3        [+1][+2] ... [+63]     step is empty in every level above 0
 *     far            everything later, in one list; looked through when the earliest may fit
 *
 * One bit a slot says where something lies, so a jump goes from stop to stop, not step by step. */
constexpr uint8_t level_expired = wheel_levels;
constexpr uint8_t level_far = wheel_levels + 1;
constexpr uint32_t slot_bits = 6;
static_assert(1u << slot_bits == wheel_slots, "a slot is a group of bits of the time");

/* The time as the level counts it. */
static uint64_t wheel_step(uint64_t time_ms, uint32_t level)
{
    return time_ms >> (slot_bits * level);
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct wheel){.now_ms = now_ms};
    for (uint32_t level = 0; level < wheel_levels; level++)
        for (uint32_t slot = 0; slot < wheel_slots; slot++)
            list_init(&wheel->slots[level][slot]);
    list_init(&wheel->far);
    list_init(&wheel->expired);
}

static void wheel_link_far(struct wheel *wheel, struct timer *timer)
{
    bool first = list_is_empty(&wheel->far);
    wheel->far_due_ms = first ? timer->due_ms : earlier(wheel->far_due_ms, timer->due_ms);
    timer->level = level_far;
    list_push(&wheel->far, &timer->link);
}

/* Puts an unlinked timer where its deadline belongs, seen from wheel->now_ms. */
static void wheel_link(struct wheel *wheel, struct timer *timer)
{
    uint64_t due_ms = timer->due_ms > wheel->now_ms ? timer->due_ms : wheel->now_ms;
    uint8_t level = 0;
    while (level < wheel_levels &&
           wheel_step(due_ms, level) - wheel_step(wheel->now_ms, level) >= wheel_slots)
        level += 1;
    if (level == wheel_levels) {
        wheel_link_far(wheel, timer);
        return;
    }
    timer->level = level;
    timer->slot = (uint8_t)(wheel_step(due_ms, level) % wheel_slots);
    wheel->occupied[level] |= UINT64_C(1) << timer->slot;
    list_push(&wheel->slots[level][timer->slot], &timer->link);
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    wheel_clear(wheel, timer);
    timer->due_ms = due_ms;
    wheel_link(wheel, timer);
    wheel->count += 1;
}

void wheel_clear(struct wheel *wheel, struct timer *timer)
{
    if (!wheel_is_set(timer)) return;
    assert(wheel->count > 0);
    list_remove(&timer->link);
    wheel->count -= 1;
    if (timer->level >= wheel_levels) return; // far_due_ms stays: too early costs one look
    if (list_is_empty(&wheel->slots[timer->level][timer->slot]))
        wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
}

/* The first millisecond of the nearest occupied slot of a level that is not empty. */
static uint64_t wheel_level_stop_ms(const struct wheel *wheel, uint32_t level)
{
    uint64_t step = wheel_step(wheel->now_ms, level);
    uint32_t here = step % wheel_slots;
    uint64_t occupied = wheel->occupied[level];
    uint64_t ahead = occupied >> here | occupied << ((wheel_slots - here) % wheel_slots);
    return (step + (uint32_t)__builtin_ctzll(ahead)) << (slot_bits * level);
}

/* When the earliest of the far timers fits into the last level. */
static uint64_t wheel_far_stop_ms(const struct wheel *wheel)
{
    constexpr uint32_t last = wheel_levels - 1;
    return (wheel_step(wheel->far_due_ms, last) - (wheel_slots - 1)) << (slot_bits * last);
}

/* When something has to move next. */
static uint64_t wheel_stop_ms(const struct wheel *wheel)
{
    uint64_t stop_ms = UINT64_MAX;
    for (uint32_t level = 0; level < wheel_levels; level++)
        if (wheel->occupied[level] != 0)
            stop_ms = earlier(stop_ms, wheel_level_stop_ms(wheel, level));
    if (!list_is_empty(&wheel->far)) stop_ms = earlier(stop_ms, wheel_far_stop_ms(wheel));
    return stop_ms;
}

/* Looks through the far timers: what is near enough moves into the levels, the others say when to
 * look again. */
static void wheel_sift_far(struct wheel *wheel)
{
    struct list sifted;
    list_init(&sifted);
    for (struct list *link; (link = list_take(&wheel->far)) != nullptr;)
        list_push(&sifted, link);
    for (struct list *link; (link = list_take(&sifted)) != nullptr;)
        wheel_link(wheel, list_entry(link, struct timer, link));
}

/* Empties the present slot of a level above 0 into the levels below. */
static void wheel_sink(struct wheel *wheel, uint32_t level)
{
    uint32_t slot = wheel_step(wheel->now_ms, level) % wheel_slots;
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    for (struct list *link; (link = list_take(&wheel->slots[level][slot])) != nullptr;)
        wheel_link(wheel, list_entry(link, struct timer, link));
}

/* Everything in the present slot of level 0 has expired. */
static void wheel_expire(struct wheel *wheel)
{
    uint32_t slot = wheel->now_ms % wheel_slots;
    wheel->occupied[0] &= ~(UINT64_C(1) << slot);
    for (struct list *link; (link = list_take(&wheel->slots[0][slot])) != nullptr;) {
        list_entry(link, struct timer, link)->level = level_expired;
        list_push(&wheel->expired, link);
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    if (now_ms < wheel->now_ms) return;
    while (wheel->count > 0) {
        uint64_t stop_ms = wheel_stop_ms(wheel);
        if (stop_ms > now_ms || stop_ms == UINT64_MAX) break;
        wheel->now_ms = stop_ms; // nothing lies between, so every slot keeps its distance
        if (!list_is_empty(&wheel->far) && wheel_far_stop_ms(wheel) <= stop_ms)
            wheel_sift_far(wheel);
        for (uint32_t level = wheel_levels - 1; level > 0; level--)
            wheel_sink(wheel, level);
        wheel_expire(wheel);
    }
    wheel->now_ms = now_ms;
}

struct timer *wheel_take(struct wheel *wheel)
{
    struct list *link = list_take(&wheel->expired);
    if (link == nullptr) return nullptr;
    assert(wheel->count > 0);
    wheel->count -= 1;
    return list_entry(link, struct timer, link);
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    return list_is_empty(&wheel->expired) ? wheel_stop_ms(wheel) : wheel->now_ms;
}
