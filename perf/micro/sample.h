/* perf/micro/sample.h: medians, and how sure one may be of the ratio of two. */
#pragma once
#include "base/random.h"

struct interval {
    double low, high;
};

/* The middle one of `count` values (above 0), which are left as they are. */
double sample_median(const double *values, uint32_t count);

/* The value below which `share` of them lie. */
double sample_quantile(const double *values, uint32_t count, double share);

/* The 95 % bootstrap interval of median(above) / median(below). values[i] of both come from the
 * same round, and rounds are drawn whole, so what slowed both does not widen it. */
struct interval sample_ratio_interval(const double *above, const double *below, uint32_t count,
                                      struct random *random);
