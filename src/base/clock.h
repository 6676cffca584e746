/* base/clock.h: time as a value. Only ring/ reads a clock; everybody else is told. */
#pragma once
#include <stdint.h>

/* One reading of both clocks. */
struct instant {
    uint64_t ns;      /* monotonic: for every deadline, tick and duration */
    uint64_t wall_ms; /* since 1970 in UTC: for people, never for deadlines */
};

static inline uint64_t instant_ms(struct instant instant)
{
    return instant.ns / 1'000'000;
}
