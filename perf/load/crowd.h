/* perf/load/crowd.h: all the clients of one run, and the run's course.
 *
 *   OPENING > SETTLING > MEASURING > TRAILING > CLOSING > OVER
 *                 ASKING > MEASURING > TRAILING > ASKING > CLOSING > OVER
 *   OPENING    connections are opened at a steady rate
 *   SETTLING   all are open; four ticks show when states are due
 *   MEASURING  the window: states encoded now count
 *   TRAILING   what was encoded in the window may still arrive
 *   CLOSING    everybody says goodbye and waits for the answer
 * With --steered it waits in ASKING before each window, for a line on stdin, and comes back there
 * from TRAILING. */
#pragma once
#include "client.h"
#include "options.h"
#include "usage.h"

enum crowd_phase : uint8_t {
    CROWD_OPENING,
    CROWD_SETTLING,
    CROWD_ASKING,
    CROWD_MEASURING,
    CROWD_TRAILING,
    CROWD_CLOSING,
    CROWD_OVER,
};

struct crowd {
    const struct options *options;
    struct net net;
    struct tally tally;
    struct client *clients;
    struct room *rooms;
    enum crowd_phase phase;
    uint32_t asked; /* clients that were told to open */
    uint64_t started_ns;
    uint64_t phase_ns;    /* when this phase began */
    uint64_t progress_ns; /* when the next line is due */
    uint64_t end_ns;      /* of the window of all rooms */
    struct usage_source source;
    struct usage before; /* no connection is open */
    struct usage begin;  /* of the window */
    struct usage end;
    bool server_ended;                            /* it was gone when its usage was read */
    uint32_t stayed;                              /* clients open at the end of the window */
    void (*on_window)(const struct crowd *crowd); /* steered: a window is complete */
};

/* Memory is taken here and given back by crowd_deinit. */
void crowd_init(struct crowd *crowd, const struct options *options);
void crowd_deinit(struct crowd *crowd);

/* Runs it all; a line a second on stderr. */
void crowd_run(struct crowd *crowd);
