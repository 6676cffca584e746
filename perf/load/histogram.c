#include "histogram.h"
#include <assert.h>

static uint32_t bucket_of(uint64_t value)
{
    uint32_t width = 64 - (uint32_t)__builtin_clzll(value | 1);
    uint32_t shift = width > histogram_detail_bits + 1 ? width - (histogram_detail_bits + 1) : 0;
    return (shift << histogram_detail_bits) + (uint32_t)(value >> shift);
}

static uint64_t end_of(uint32_t bucket)
{
    uint32_t octave = bucket >> histogram_detail_bits;
    uint32_t shift = octave > 1 ? octave - 1 : 0;
    uint64_t detail = bucket - (shift << histogram_detail_bits);
    return ((detail + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    uint32_t bucket = bucket_of(value);
    assert(bucket < histogram_buckets);
    histogram->counts[bucket] += 1;
    histogram->count += 1;
    histogram->sum += value;
    if (value > histogram->max) histogram->max = value;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    assert(share >= 0 && share <= 1);
    uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.999999);
    uint64_t passed = 0;
    for (uint32_t i = 0; i < histogram_buckets; i++) {
        passed += histogram->counts[i];
        if (passed < wanted || histogram->counts[i] == 0) continue;
        return end_of(i) < histogram->max ? end_of(i) : histogram->max;
    }
    return histogram->max;
}
