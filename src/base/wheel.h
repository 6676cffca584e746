/* base/wheel.h: a hierarchical timing wheel, 1 ms a step (or what its owner counts in place of
 * milliseconds): a million deadlines, each set and cleared in constant time. Four levels of 64
 * slots reach 4.6 hours; a later deadline waits in a list until it comes near. The wheel never
 * calls anybody: wheel_take hands out what has expired. A jump costs by what lies in its way, not
 * by how far it goes. */
#pragma once
#include "base/list.h"
#include <stdint.h>

constexpr uint32_t wheel_levels = 4;
constexpr uint32_t wheel_slots = 64;

/* Lives in the object whose deadline it is. All zeros: not set. */
struct timer {
    struct list link;
    uint64_t due_ms; /* monotonic, the wheel's own count */
    uint8_t kind;    /* the owner's: which type of object this timer lives in */
    uint8_t level;   /* where it is linked */
    uint8_t slot;
};

struct wheel {
    uint64_t now_ms;     /* everything due before this has been taken or moved to `expired` */
    uint64_t far_due_ms; /* no timer in `far` is due before this */
    uint64_t occupied[wheel_levels]; /* one bit a slot */
    struct list slots[wheel_levels][wheel_slots];
    struct list far; /* beyond the last level */
    struct list expired;
    uint32_t count; /* timers set, expired ones included */
};

/* `now_ms` is the time from which it counts. */
void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Sets the timer, or moves it when it is set. It expires once `due_ms` <= the time that
 * wheel_advance is told; a time that has passed expires at the next advance, UINT64_MAX never. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Does nothing when it is not set. */
void wheel_clear(struct wheel *wheel, struct timer *timer);

static inline bool wheel_is_set(const struct timer *timer)
{
    return timer->link.next != nullptr;
}

/* Moves time forward (never back: an earlier `now_ms` changes nothing). */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

/* The next timer that has expired, or nullptr; it is no longer set. Earliest due first, where a
 * timer that was set too late counts from when it was set; those of one millisecond come in any
 * order, the same in every run. A timer that is set while others are taken waits for the next
 * advance even when it is due, so taking until nullptr always ends. */
[[nodiscard]] struct timer *wheel_take(struct wheel *wheel);

/* When to advance next: at or before the earliest deadline (a far deadline may need a stop on its
 * way down the levels); not after now_ms when something is due or waits for wheel_take. UINT64_MAX
 * when nothing is set. */
[[nodiscard]] uint64_t wheel_next_ms(const struct wheel *wheel);
