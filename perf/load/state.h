/* perf/load/state.h: reads the stamp out of a state. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct state_stamp {
    uint64_t encoded_ns; /* "t": CLOCK_MONOTONIC of the server when it encoded the state */
    uint64_t sequence;   /* "s": counts the states of one room */
};

/* Reads all of `text`, which must be one flat JSON object of strings without escapes and whole
 * numbers, as `--kart-stamp` makes it. nullptr, or what is wrong with it. */
[[nodiscard]] const char *state_read(const uint8_t *text, size_t size, struct state_stamp *stamp);
