#include "base/bucket.h"
#include <assert.h>

struct rate rate_of(uint32_t per_second)
{
    return (struct rate){.per_second = per_second, .burst = 2 * per_second};
}

static uint32_t ticks(struct rate rate, uint64_t now_ms)
{
    assert(rate.per_second <= 1u << 20);
    return (uint32_t)(now_ms * rate.per_second / 1000);
}

uint32_t bucket_level(uint32_t bucket, struct rate rate, uint64_t now_ms)
{
    if (rate.per_second == 0) return 0;
    if (bucket == 0) return 0; /* never used, and not: in use shortly before the wrap */
    uint32_t ahead = bucket - ticks(rate, now_ms);
    return ahead <= rate.burst + rate.per_second ? ahead : 0;
}

bool bucket_take(uint32_t *bucket, struct rate rate, uint64_t now_ms, uint32_t cost)
{
    if (rate.per_second == 0) return true;
    if (cost > rate.burst) cost = rate.burst;
    uint32_t held = bucket_level(*bucket, rate, now_ms);
    if (held > rate.burst - cost) return false;
    *bucket = ticks(rate, now_ms) + held + cost;
    if (*bucket == 0) *bucket = 1;
    return true;
}

/* How long a number of tokens takes to go by. */
static uint32_t tokens_ms(struct rate rate, uint64_t tokens)
{
    return (uint32_t)((tokens * 1000 + rate.per_second - 1) / rate.per_second);
}

uint32_t bucket_wait_ms(uint32_t bucket, struct rate rate, uint64_t now_ms, uint32_t cost)
{
    if (rate.per_second == 0) return 0;
    if (cost > rate.burst) cost = rate.burst;
    uint32_t held = bucket_level(bucket, rate, now_ms), most = rate.burst - cost;
    return held > most ? tokens_ms(rate, held - most) : 0;
}

uint32_t bucket_drained_ms(uint32_t bucket, struct rate rate, uint64_t now_ms)
{
    if (rate.per_second == 0) return 0;
    return tokens_ms(rate, bucket_level(bucket, rate, now_ms));
}
