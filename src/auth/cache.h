/* auth/cache.h: tokens whose signature was found right not long ago, so that a crowd that lost its
 * connections and comes back at once does not have every signature of a public key computed again.
 * Never: reads a clock, allocates, or remembers what a token says: everything but the signature is
 * read and judged anew each time.
 *
 * What is remembered is the SHA-256 of the whole token, and with it algorithm, kid, issuer and
 * signature: another token, by another key or of another issuer, is another entry (THREATS.md A10).
 * All is forgotten when the keys are others. */
#pragma once
#include <stddef.h>
#include <stdint.h>

constexpr size_t jwt_digest_size = 32;
constexpr uint32_t jwt_cache_sets = 256, jwt_cache_ways = 4; /* 1024 tokens in 40 KiB */
static_assert((jwt_cache_sets & (jwt_cache_sets - 1)) == 0, "a digest's bits choose the set");

struct jwt_cache_entry {
    uint8_t digest[jwt_digest_size];
    int64_t until_s; /* since 1970; 0: nothing is here */
};

/* One thread's. Zeros: empty. In a set those that were used last come first. */
struct jwt_cache {
    struct jwt_cache_entry entries[jwt_cache_sets][jwt_cache_ways];
    uint32_t generation; /* of the keys by which these are right */
    uint64_t hits, misses;
};

/* Keys of this generation are used from now on: what others have found right is forgotten. */
void jwt_cache_use(struct jwt_cache *cache, uint32_t generation);

/* True when a token of this digest was found right, and `now_s` is before what it was said to be
 * good for. Counts. */
[[nodiscard]] bool jwt_cache_knows(struct jwt_cache *cache,
                                   const uint8_t digest[static jwt_digest_size], int64_t now_s);

/* A token of this digest was found right, which it is not after until_s. It takes the place of one
 * of its set that is over, else of the one that was not asked for for longest. */
void jwt_cache_add(struct jwt_cache *cache, const uint8_t digest[static jwt_digest_size],
                   int64_t until_s, int64_t now_s);
