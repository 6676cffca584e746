/* base/bucket.h: how often somebody may do something: a token bucket in 32 bits. What is kept is
 * not a level but the time at which the bucket will be empty again (the generic cell rate
 * algorithm, ITU-T I.371), so nothing has to be refilled, and zeros are an empty bucket.
 *
 *   now                       drained            now + burst
 *    |------- what is in it -----|--- what fits ------|
 *
 * Time is counted in the rate's own ticks, one a token, and wraps around. What lies more than a
 * burst and a second ahead is from before the wrap, and counts as past: the price is that once
 * in 2^32 tokens a bucket that was not used for that long is taken for one in use. Zeros never are:
 * a bucket that would come to 0 holds a token more. */
#pragma once
#include <stdint.h>

/* `per_second` tokens go by each second, and `burst` of them at once. */
struct rate {
    uint32_t per_second; /* at most 2^20; 0: there is no limit */
    uint32_t burst;      /* at least 1 where there is a limit */
};

/* The rate that forgives two seconds' worth at once; no limit for 0. */
struct rate rate_of(uint32_t per_second);

/* Puts `cost` tokens into the bucket. False when they do not fit now; then nothing has changed.
 * What costs more than a burst counts as one burst, so it fits an empty bucket. `now_ms` may lie
 * a little before that of an earlier call (workers look at the clock one by one). */
[[nodiscard]] bool bucket_take(uint32_t *bucket, struct rate rate, uint64_t now_ms, uint32_t cost);

/* How many tokens are in it. */
uint32_t bucket_level(uint32_t bucket, struct rate rate, uint64_t now_ms);

/* How long until `cost` fits, ms, rounded up. 0: it does. */
uint32_t bucket_wait_ms(uint32_t bucket, struct rate rate, uint64_t now_ms, uint32_t cost);

/* How long until nothing is in it, ms, rounded up. 0: nothing is. */
uint32_t bucket_drained_ms(uint32_t bucket, struct rate rate, uint64_t now_ms);
