/* perf/load/figures.h: what every kind of run reports in the same way, as JSON. Each function
 * writes whole members of an object, with the comma behind them. */
#pragma once
#include "tally.h"
#include "usage.h"
#include <stdio.h>

/* Percentiles that are told of each histogram, and their names in JSON. */
constexpr size_t figure_shares = 4;
extern const double figure_share[figure_shares];

/* Shares of one core, and of the time. */
struct figures_load {
    double server; /* of one core, softirq threads included; 0 when it is not measured */
    double client;
    double server_waited; /* another process had its core */
    double client_waited;
};
constexpr double figures_client_load_max = 0.8; /* above it the client is what is measured */

struct figures_load figures_load(const struct usage *used, bool with_server);

/* With its `curve`: pairs of a share and the value that this share of all does not exceed, four for
 * each halving of the rest, until less than one is left. */
void figures_histogram(const char *name, const struct histogram *histogram, FILE *out);

/* How connections ended that should have stayed, and what faults there were. */
void figures_lists(const struct tally *tally, FILE *out);

/* CPU time of both; with the server also that of one of `count` things, each of which is a `what`
 * ("delivered"). */
void figures_usage(const struct usage *used, bool with_server, const char *what, uint64_t count,
                   FILE *out);
