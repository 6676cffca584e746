#include "base/bucket.h"
#include "check.h"

static uint32_t bucket;

/* How many of `tries` single tokens fit at this time. */
static uint32_t fitting(struct rate rate, uint64_t now_ms, uint32_t tries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tries; i++)
        count += bucket_take(&bucket, rate, now_ms, 1);
    return count;
}

TEST("a burst fits at once, and no more (F15)")
{
    bucket = 0;
    EXPECT_EQ(fitting(rate_of(50), 5'000, 1000), 100);
    EXPECT_EQ(fitting(rate_of(50), 5'000, 1000), 0);
}

TEST("after a burst the rate is what fits, however often it is tried")
{
    const struct rate rate = rate_of(50);
    bucket = 0;
    uint32_t fitted = fitting(rate, 1'000, 1000);
    for (uint64_t now_ms = 1'001; now_ms <= 11'000; now_ms++)
        fitted += fitting(rate, now_ms, 3);
    EXPECT_EQ(fitted, 100 + 10 * 50);
}

TEST("who stays below the rate is never refused, and two seconds of silence forgive all")
{
    const struct rate rate = rate_of(50);
    bucket = 0;
    for (uint64_t now_ms = 0; now_ms < 100'000; now_ms += 20)
        EXPECT(bucket_take(&bucket, rate, now_ms, 1));
    EXPECT(fitting(rate, 100'000, 1000) >= 99);
    EXPECT_EQ(fitting(rate, 102'000, 1000), 100);
}

TEST("a rate of 0 is no limit")
{
    bucket = 7;
    EXPECT_EQ(fitting(rate_of(0), 1'000, 100'000), 100'000);
    EXPECT_EQ(bucket, 7);
    EXPECT_EQ(bucket_drained_ms(bucket, rate_of(0), 1'000), 0);
}

TEST("what costs more takes more; more than a burst fits when nothing is in it (Z8)")
{
    const struct rate rate = rate_of(50);
    bucket = 0;
    EXPECT(bucket_take(&bucket, rate, 1'000, 60));
    EXPECT(!bucket_take(&bucket, rate, 1'000, 41));
    EXPECT(bucket_take(&bucket, rate, 1'000, 40));
    bucket = 0;
    EXPECT(bucket_take(&bucket, rate, 1'000, 1));
    EXPECT(!bucket_take(&bucket, rate, 1'000, 100'000));
    EXPECT(bucket_take(&bucket, rate, 1'020, 100'000));
    EXPECT_EQ(fitting(rate, 1'020, 10), 0);
}

TEST("it says when nothing will be in it")
{
    const struct rate rate = rate_of(50);
    bucket = 0;
    EXPECT_EQ(bucket_drained_ms(bucket, rate, 1'000), 0);
    EXPECT_EQ(fitting(rate, 1'000, 100), 100);
    EXPECT_EQ(bucket_drained_ms(bucket, rate, 1'000), 2'000);
    EXPECT_EQ(bucket_drained_ms(bucket, rate, 2'500), 500);
    EXPECT_EQ(bucket_drained_ms(bucket, rate, 3'000), 0);
}

TEST(
    "zeros are an empty bucket at any time, also where time is about to wrap; and it fills as ever")
{
    const struct rate rate = rate_of(1000); /* so a tick is a millisecond */
    for (uint64_t now_ms = (1ull << 32) - 3'100; now_ms < (1ull << 32) + 3'100; now_ms += 50) {
        bucket = 0;
        EXPECT_EQ(bucket_drained_ms(bucket, rate, now_ms), 0);
        uint32_t fitted = fitting(rate, now_ms, 10'000);
        EXPECT(fitted == 2'000 || fitted == 1'999);
        EXPECT_EQ(bucket_drained_ms(bucket, rate, now_ms), bucket == 1 ? 2'001 : 2'000);
    }
}

TEST("a clock that is a little behind another's neither refuses for long nor forgives")
{
    const struct rate rate = rate_of(200);
    bucket = 0;
    EXPECT_EQ(fitting(rate, 10'000, 1000), 400);
    EXPECT_EQ(fitting(rate, 9'990, 1000), 0);
    EXPECT_EQ(fitting(rate, 9'001, 1000), 0);
    EXPECT_EQ(fitting(rate, 10'100, 1000), 20);
}

TEST("where its time wraps around it holds one token less at most, and no more")
{
    const struct rate rate = rate_of(1000); /* a tick is a millisecond */
    const uint64_t wrap_ms = 1ull << 32;
    bucket = (uint32_t)(wrap_ms - 60'000); /* last used a minute ago */
    EXPECT_EQ(fitting(rate, wrap_ms - 500, 5000), 1999);
    EXPECT_EQ(fitting(rate, wrap_ms + 500, 5000), 1000);
    /* one that was left long ago, on either side of half a turn */
    for (uint64_t age_ms = 4'000; age_ms < wrap_ms - 4'000; age_ms += wrap_ms / 16) {
        bucket = 0;
        EXPECT_EQ(fitting(rate, wrap_ms, 5000), 2000);
        EXPECT_EQ(fitting(rate, wrap_ms + age_ms, 5000), 2000);
    }
}

TEST("the highest rate that there may be is kept, at any time that a clock shows")
{
    const struct rate rate = rate_of(1u << 20);
    const uint64_t now_ms = 10ull * 365 * 86'400 * 1000; /* up for ten years */
    bucket = 0;
    EXPECT(bucket_take(&bucket, rate, now_ms, 2u << 20));
    EXPECT(!bucket_take(&bucket, rate, now_ms, 2'000));
    EXPECT(bucket_take(&bucket, rate, now_ms + 2, 2'000));
}

TEST("it says how full it is, and when something fits: exactly then, and not before")
{
    const struct rate rate = rate_of(5);
    bucket = 0;
    EXPECT_EQ(bucket_level(bucket, rate, 1'000), 0);
    EXPECT_EQ(bucket_wait_ms(bucket, rate, 1'000, 10), 0);
    EXPECT_EQ(fitting(rate, 1'000, 9), 9);
    EXPECT_EQ(bucket_level(bucket, rate, 1'000), 9);
    EXPECT_EQ(bucket_wait_ms(bucket, rate, 1'000, 1), 0);
    for (uint32_t cost = 2; cost <= 10; cost++) {
        uint32_t wait_ms = bucket_wait_ms(bucket, rate, 1'000, cost), other = bucket;
        EXPECT_EQ(wait_ms, (cost - 1) * 200);
        EXPECT(!bucket_take(&other, rate, 1'000 + wait_ms - 1, cost));
        EXPECT(bucket_take(&other, rate, 1'000 + wait_ms, cost));
    }
    EXPECT_EQ(bucket_wait_ms(bucket, rate, 1'000, 5'000), bucket_wait_ms(bucket, rate, 1'000, 10));
    const struct rate none = {};
    EXPECT_EQ(bucket_wait_ms(bucket, none, 1'000, 1), 0);
    EXPECT_EQ(bucket_level(bucket, none, 1'000), 0);
}
