/* base/random.h: numbers for jitter, reproducible from a seed; a keyed hash; and how secrets are
 * compared. */
#pragma once
#include "base/bytes.h"

/* Not for secrets. Seeded once per worker from the ring's entropy (or the simulator's seed). */
struct random {
    uint64_t state;
};

/* The next 64 bits. */
uint64_t random_u64(struct random *random);

/* Uniform below `bound`, which is above 0. */
uint64_t random_below(struct random *random, uint64_t bound);

/* Keyed hash for tables whose keys strangers choose (THREATS.md R12). SipHash-2-4, Aumasson and
 * Bernstein 2012. */
struct hash_key {
    uint64_t k0, k1;
};
uint64_t hash_text(struct hash_key key, struct text text);

/* Compares two secrets in a time that depends on the sizes only. */
[[nodiscard]] bool secret_equal(struct text left, struct text right);
