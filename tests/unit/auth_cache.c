/* tests/unit/auth_cache.c: signatures that are remembered, by their tokens' digests. */
#include "auth/cache.h"
#include "check.h"

static struct jwt_cache cache;
constexpr int64_t now_s = 1'800'000'000;

static void begin(void)
{
    memset(&cache, 0, sizeof cache);
    jwt_cache_use(&cache, 1);
}

/* A digest that lies in this set, as the n-th of its kind. */
static const uint8_t *digest(uint32_t set, uint32_t n)
{
    static uint8_t memory[8][jwt_digest_size];
    static uint32_t next;
    uint8_t *bytes = memory[next++ % 8];
    memset(bytes, 0, jwt_digest_size);
    bytes[0] = (uint8_t)set;
    bytes[1] = (uint8_t)(set >> 8);
    memcpy(bytes + 8, &n, sizeof n);
    return bytes;
}

TEST("a digest is known after it was added, and no other is, however alike (A10)")
{
    begin();
    EXPECT(!jwt_cache_knows(&cache, digest(7, 1), now_s));
    jwt_cache_add(&cache, digest(7, 1), now_s + 60, now_s);
    EXPECT(jwt_cache_knows(&cache, digest(7, 1), now_s));
    for (size_t i = 0; i < jwt_digest_size; i++) {
        uint8_t other[jwt_digest_size];
        memcpy(other, digest(7, 1), sizeof other);
        other[i] ^= 1;
        EXPECT(!jwt_cache_knows(&cache, other, now_s));
    }
    EXPECT_EQ(cache.hits, 1);
    EXPECT_EQ(cache.misses, 1 + jwt_digest_size);
}

TEST("nothing is known in an empty cache, not even zeros")
{
    begin();
    EXPECT(!jwt_cache_knows(&cache, digest(0, 0), now_s));
    EXPECT(!jwt_cache_knows(&cache, digest(0, 0), 0));
}

TEST("what is remembered is not known from its end on (A8)")
{
    begin();
    jwt_cache_add(&cache, digest(7, 1), now_s + 60, now_s);
    EXPECT(jwt_cache_knows(&cache, digest(7, 1), now_s + 59));
    EXPECT(!jwt_cache_knows(&cache, digest(7, 1), now_s + 60));
}

TEST("all is forgotten when the keys are others, and only then (A10, O3)")
{
    begin();
    jwt_cache_add(&cache, digest(7, 1), now_s + 60, now_s);
    jwt_cache_use(&cache, 1);
    EXPECT(jwt_cache_knows(&cache, digest(7, 1), now_s));
    jwt_cache_use(&cache, 2);
    EXPECT(!jwt_cache_knows(&cache, digest(7, 1), now_s));
    jwt_cache_use(&cache, 1);
    EXPECT(!jwt_cache_knows(&cache, digest(7, 1), now_s));
}

TEST("a full set loses what was not asked for for longest, and other sets nothing")
{
    begin();
    jwt_cache_add(&cache, digest(8, 1), now_s + 60, now_s);
    for (uint32_t i = 1; i <= jwt_cache_ways; i++)
        jwt_cache_add(&cache, digest(7, i), now_s + 60, now_s);
    EXPECT(jwt_cache_knows(&cache, digest(7, 1), now_s)); /* so 2 is the oldest now */
    jwt_cache_add(&cache, digest(7, 100), now_s + 60, now_s);
    EXPECT(!jwt_cache_knows(&cache, digest(7, 2), now_s));
    EXPECT(jwt_cache_knows(&cache, digest(7, 1), now_s));
    EXPECT(jwt_cache_knows(&cache, digest(7, 100), now_s));
    EXPECT(jwt_cache_knows(&cache, digest(8, 1), now_s));
}

TEST("what is over makes place before what is not")
{
    begin();
    jwt_cache_add(&cache, digest(7, 1), now_s + 600, now_s);
    jwt_cache_add(&cache, digest(7, 2), now_s + 600, now_s);
    jwt_cache_add(&cache, digest(7, 3), now_s + 600, now_s);
    jwt_cache_add(&cache, digest(7, 4), now_s + 10, now_s);
    jwt_cache_add(&cache, digest(7, 5), now_s + 600, now_s + 10);
    for (uint32_t i = 1; i <= 5; i++)
        EXPECT(jwt_cache_knows(&cache, digest(7, i), now_s + 10) == (i != 4));
}

TEST("as many as there are places are all remembered when they spread evenly")
{
    begin();
    for (uint32_t i = 0; i < jwt_cache_sets * jwt_cache_ways; i++)
        jwt_cache_add(&cache, digest(i % jwt_cache_sets, i), now_s + 60, now_s);
    for (uint32_t i = 0; i < jwt_cache_sets * jwt_cache_ways; i++)
        EXPECT(jwt_cache_knows(&cache, digest(i % jwt_cache_sets, i), now_s));
    EXPECT(sizeof cache <= 48 * 1024);
}
