#include "base/random.h"
#include <assert.h>

/* SplitMix64 (Steele, Lea and Flood 2014): a counter that steps by the golden ratio, and a mix of
 * its bits. One word of state, any seed is good, and two workers with different seeds do not follow
 * each other. */
uint64_t random_u64(struct random *random)
{
    random->state += 0x9E3779B97F4A7C15;
    uint64_t mixed = random->state;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    assert(bound > 0);
    uint64_t surplus = (0 - bound) % bound; // 2^64 mod bound: they would favour low numbers
    uint64_t drawn = random_u64(random);
    while (drawn < surplus)
        drawn = random_u64(random);
    return drawn % bound;
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t value, uint32_t count)
{
    return value << count | value >> (64 - count);
}

/* SipRound, `count` times (paper §2.2). */
static void sip_rounds(struct sip *sip, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sip->v0 += sip->v1;
        sip->v2 += sip->v3;
        sip->v1 = rotate_left(sip->v1, 13) ^ sip->v0;
        sip->v3 = rotate_left(sip->v3, 16) ^ sip->v2;
        sip->v0 = rotate_left(sip->v0, 32);
        sip->v2 += sip->v1;
        sip->v0 += sip->v3;
        sip->v1 = rotate_left(sip->v1, 17) ^ sip->v2;
        sip->v3 = rotate_left(sip->v3, 21) ^ sip->v0;
        sip->v2 = rotate_left(sip->v2, 32);
    }
}

/* Two rounds a word: the 2 of SipHash-2-4. */
static void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_rounds(sip, 2);
    sip->v0 ^= word;
}

/* `count` bytes, at most 8, as a little-endian number, on any machine. */
static uint64_t little_endian(const char *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
    return value;
}

uint64_t hash_text(struct hash_key key, struct text text)
{
    struct sip sip = {.v0 = key.k0 ^ 0x736F6D6570736575, // "somepseudorandomlygeneratedbytes"
                      .v1 = key.k1 ^ 0x646F72616E646F6D,
                      .v2 = key.k0 ^ 0x6C7967656E657261,
                      .v3 = key.k1 ^ 0x7465646279746573};
    size_t whole = text.size & ~(size_t)7;
    for (size_t at = 0; at < whole; at += 8)
        sip_word(&sip, little_endian(text.data + at, 8));
    size_t rest = text.size - whole;
    uint64_t tail = rest > 0 ? little_endian(text.data + whole, rest) : 0;
    sip_word(&sip, tail | (uint64_t)text.size << 56);
    sip.v2 ^= 0xFF;
    sip_rounds(&sip, 4);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

bool secret_equal(struct text left, struct text right)
{
    if (left.size != right.size) return false;
    volatile uint8_t difference = 0; // volatile: no compiler may stop at the first difference
    for (size_t i = 0; i < left.size; i++)
        difference |= (uint8_t)(left.data[i] ^ right.data[i]);
    return difference == 0;
}
