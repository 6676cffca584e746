/* perf/load/report.h: what a run has shown, as a table for people and as JSON for programs. */
#pragma once
#include "crowd.h"
#include <stdio.h>

struct verdict {
    uint64_t ticks_due;  /* of all rooms, by the clock */
    uint64_t ticks_seen; /* different states that at least one client got */
    uint64_t due;        /* clients times ticks, clients that could not connect included */
    double reach;        /* delivered / due */
    uint32_t fewest;     /* states that one client got, at least */
    double seconds;
    double cost_us;     /* CPU of the server for a delivered state, softirq threads included */
    double server_load; /* share of one core */
    double client_load;
    double server_waited; /* share of the window in which another process had its core */
    double client_waited;
    uint64_t grid_moved_ns; /* the largest error of the due times */
    bool kept;              /* every state reached every client, in order, and none was closed */
};

struct verdict report_verdict(const struct crowd *crowd);

void report_table(const struct crowd *crowd, const struct verdict *verdict, FILE *out);
void report_json(const struct crowd *crowd, const struct verdict *verdict, FILE *out);
