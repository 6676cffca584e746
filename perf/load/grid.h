/* perf/load/grid.h: when each state of one room was due, told from the states' own stamps.
 *
 * A server that is late looks punctual when it is measured from its own encodes. So every state is
 * held against a grid of equal ticks whose phase is the earliest that any tick had:
 *
 *     due            |         |         |         |         |
 *     encoded         x          x       x                x       the third was earliest: the grid
 *     state           1          2       3                4       the server left one tick out */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct grid_tick {
    uint64_t encoded_ns; /* 0: nobody got this state yet */
    int64_t slot;        /* ticks since the anchor */
};

struct grid {
    uint64_t tick_ns;
    uint64_t anchor_ns;      /* a time at which a state was due */
    uint64_t moved_ns;       /* how far the anchor went back since it was set: lateness measured
                              * before that is too small by at most this */
    uint64_t first_sequence; /* of ticks[0] */
    struct grid_tick *ticks;
    size_t count;
    size_t capacity;
};

/* Memory grows with the ticks; grid_deinit frees it. */
void grid_init(struct grid *grid, uint64_t tick_ns);
void grid_deinit(struct grid *grid);

/* The phase is taken anew from the next tick. */
void grid_restart(struct grid *grid);

enum grid_answer : uint8_t {
    GRID_KNOWN,
    GRID_BEFORE,    /* from before the first tick that was noted: it has no due time */
    GRID_CONFLICT,  /* the same sequence number was encoded at another time before */
    GRID_FAR_AHEAD, /* a sequence number that cannot be */
};

/* Notes that `sequence` was encoded at `encoded_ns`; once for each client that got it. The state
 * that greets a client is not a tick and is not noted. */
[[nodiscard]] enum grid_answer grid_note(struct grid *grid, uint64_t sequence, uint64_t encoded_ns);

/* When a noted state was due. */
uint64_t grid_due_ns(const struct grid *grid, uint64_t sequence);

/* Halfway between two due times, at `time_ns` or less than a tick after it: no state is cut off. */
uint64_t grid_gap_ns(const struct grid *grid, uint64_t time_ns);

/* Different states that somebody got and that were encoded in [begin_ns, end_ns). */
uint64_t grid_count(const struct grid *grid, uint64_t begin_ns, uint64_t end_ns);
