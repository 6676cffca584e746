/* perf/load/histogram.h: how often a duration occurred, exact to 1.6 % from a nanosecond to hours.
 *
 *     value    0 1 2 .. 63 | 64 .. 127 | 128 .. 255 | 256 .. 511 | ...
 *     a bucket     1 wide  |  1 wide   |   2 wide   |   4 wide   | ...   64 buckets each */
#pragma once
#include <stddef.h>
#include <stdint.h>

constexpr uint32_t histogram_detail_bits = 6;
constexpr size_t histogram_buckets = (64 - histogram_detail_bits + 1) << histogram_detail_bits;

struct histogram {
    uint64_t counts[histogram_buckets];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `share` (0 to 1) of all values do not exceed, rounded up to its bucket's end; 0
 * when there are none. */
uint64_t histogram_at(const struct histogram *histogram, double share);
