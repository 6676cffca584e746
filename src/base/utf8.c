#include "base/utf8.h"
#include "base/cpu.h"

/* Game traffic is short and nearly all ASCII, so that is looked for first, by whole words. What is
 * left is checked byte by byte against the range that table 3-7 allows at its place:
 *
 *     first byte   second    third     fourth
 *     00..7F
 *     C2..DF       80..BF
 *     E0           A0..BF    80..BF              not below U+0800
 *     E1..EC       80..BF    80..BF
 *     ED           80..9F    80..BF              not U+D800 to U+DFFF
 *     EE..EF       80..BF    80..BF
 *     F0           90..BF    80..BF    80..BF    not below U+10000
 *     F1..F3       80..BF    80..BF    80..BF
 *     F4           80..8F    80..BF    80..BF    not above U+10FFFF
 *
 * Only the second byte's range depends on the first. Longer texts are checked 32 bytes at a time
 * where the processor can, below. */

/* --- Byte by byte ---------------------------------------------------------------------------- */

/* What a first byte from 80 up promises; `remaining` is 0 when it can not be one. */
static struct utf8 after_first(uint8_t first)
{
    if (first < 0xC2 || first > 0xF4) return (struct utf8){};
    if (first < 0xE0) return (struct utf8){.remaining = 1, .low = 0x80, .high = 0xBF};
    if (first < 0xF0)
        return (struct utf8){.remaining = 2,
                             .low = first == 0xE0 ? 0xA0 : 0x80,
                             .high = first == 0xED ? 0x9F : 0xBF};
    return (struct utf8){
        .remaining = 3, .low = first == 0xF0 ? 0x90 : 0x80, .high = first == 0xF4 ? 0x8F : 0xBF};
}

/* Moves the state over one byte; false when nothing can mend it. */
static inline bool feed_byte(struct utf8 *state, uint8_t byte)
{
    if (state->remaining == 0) {
        if (byte < 0x80) return true;
        *state = after_first(byte);
        return state->remaining > 0;
    }
    if (byte < state->low || byte > state->high) return false;
    *state = state->remaining == 1
                 ? (struct utf8){}
                 : (struct utf8){.remaining = state->remaining - 1, .low = 0x80, .high = 0xBF};
    return true;
}

constexpr uint64_t high_bits = 0x8080808080808080;

static inline uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The first byte from `at` on that is not ASCII, or `end`. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 32; at += 32)
        if (((word_at(at) | word_at(at + 8) | word_at(at + 16) | word_at(at + 24)) & high_bits) !=
            0)
            break;
    for (; end - at >= 8; at += 8) {
        uint64_t high = word_at(at) & high_bits;
        if (high != 0) return at + __builtin_ctzll(high) / 8;
    }
    while (at < end && *at < 0x80)
        at += 1;
    return at;
}

/* Two loads that may overlap cover from one to two of them, so nothing is left over. */
static inline bool is_short_ascii(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    if (size > 32) return false; // or not short
    if (size >= 16)
        return ((word_at(at) | word_at(at + 8) | word_at(end - 16) | word_at(end - 8)) &
                high_bits) == 0;
    if (size >= 8) return ((word_at(at) | word_at(end - 8)) & high_bits) == 0;
    uint8_t all = 0;
    for (; at < end; at++)
        all |= *at;
    return all < 0x80;
}

static bool feed_bytes(struct utf8 *state, const uint8_t *at, const uint8_t *end)
{
    struct utf8 now = *state;
    while (at < end) {
        if (now.remaining == 0 && *at < 0x80)
            at = skip_ascii(at, end);
        else if (!feed_byte(&now, *at++))
            return false;
    }
    *state = now;
    return true;
}

/* --- 32 bytes at a time ---------------------------------------------------------------------- */

/* After Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2021):
 * nearly all that can be wrong shows in two neighbours, and there are eight ways:
 *
 *     way            first byte    second byte
 *     cut_short      C0..FF        00..7F, C0..FF     something is still owed
 *     not_owed       00..7F        80..BF
 *     overlong_2     C0 C1         80..BF
 *     overlong_3     E0            80..9F
 *     surrogate      ED            A0..BF
 *     overlong_4     F0            80..8F             with too_large's lower part: one bit for both
 *     too_large      F4            90..BF
 *                    F5..FF        80..BF             80..8F: overlong_4's bit
 *     third_or_more  80..BF        80..BF             wrong, unless a first byte two or three
 *                                                     before has promised as much
 *
 * Each way is a bit. Half a byte picks a set of them from 16: the ways that are open after a
 * first byte with this upper half, after one with this lower half, and to a second byte with
 * this upper half. A way that is in all three sets has been gone. A register looks 32 bytes up
 * at once. */

#if defined(__x86_64__)
#include <immintrin.h>

constexpr uint8_t cut_short = 1, not_owed = 2, overlong_2 = 4, overlong_3 = 8, surrogate = 16;
constexpr uint8_t overlong_4 = 32, too_large = 64, third_or_more = 128;
constexpr uint8_t whatever_is_low = cut_short | not_owed | third_or_more;
constexpr uint8_t continues = not_owed | overlong_2 | third_or_more; /* any of 80..BF can be that */

static const uint8_t first_upper[16] = {
    [0x0 ... 0x7] = not_owed,
    [0x8 ... 0xB] = third_or_more,
    [0xC] = cut_short | overlong_2,
    [0xD] = cut_short,
    [0xE] = cut_short | overlong_3 | surrogate,
    [0xF] = cut_short | overlong_4 | too_large,
};

static const uint8_t first_lower[16] = {
    [0x0] = whatever_is_low | overlong_2 | overlong_3 | overlong_4,
    [0x1] = whatever_is_low | overlong_2,
    [0x2 ... 0x3] = whatever_is_low,
    [0x4] = whatever_is_low | too_large,
    [0x5 ... 0xC] = whatever_is_low | overlong_4 | too_large,
    [0xD] = whatever_is_low | overlong_4 | too_large | surrogate,
    [0xE ... 0xF] = whatever_is_low | overlong_4 | too_large,
};

static const uint8_t second_upper[16] = {
    [0x0 ... 0x7] = cut_short,
    [0x8] = continues | overlong_3 | overlong_4,
    [0x9] = continues | overlong_3 | too_large,
    [0xA ... 0xB] = continues | surrogate | too_large,
    [0xC ... 0xF] = cut_short,
};

/* How long a block is, and how far back a first byte can be that matters to it. */
constexpr ptrdiff_t block_size = 32, reach = 3;

[[gnu::target("avx2")]] static inline __m256i load(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

[[gnu::target("avx2")]] static inline bool is_ascii(__m256i bytes)
{
    return _mm256_movemask_epi8(bytes) == 0; // the highest bits
}

/* For each byte of `halves`, below 16, its set. */
[[gnu::target("avx2")]] static inline __m256i pick(const uint8_t sets[static 16], __m256i halves)
{
    __m128i once = _mm_loadu_si128((const __m128i *)sets);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(once), halves);
}

[[gnu::target("avx2")]] static inline __m256i upper_halves(__m256i bytes)
{
    return _mm256_srli_epi16(bytes, 4) & _mm256_set1_epi8(0x0F);
}

/* Not all zeros when a byte of the block is wrong after those before it: `before2` has for each of
 * them the byte two before. What the block's last bytes promise is not looked into. */
[[gnu::target("avx2")]] static inline __m256i wrong_in(__m256i block, __m256i before1,
                                                       __m256i before2, __m256i before3)
{
    __m256i ways = pick(first_upper, upper_halves(before1)) &
                   pick(first_lower, before1 & _mm256_set1_epi8(0x0F)) &
                   pick(second_upper, upper_halves(block));
    /* The highest bit is left where it was E0 or more two before, or F0 or more three before. */
    __m256i promised = _mm256_subs_epu8(before2, _mm256_set1_epi8(0xE0 - third_or_more)) |
                       _mm256_subs_epu8(before3, _mm256_set1_epi8(0xF0 - third_or_more));
    return ways ^ (promised & _mm256_set1_epi8((char)third_or_more));
}

/* Of a block that has `reach` bytes before it. */
[[gnu::target("avx2")]] static inline __m256i wrong_at(const uint8_t *at)
{
    return wrong_in(load(at), load(at - 1), load(at - 2), load(at - 3));
}

/* A first byte that leaves a check where this state is: the bytes that were really fed are gone. */
static inline uint8_t first_for(const struct utf8 *state)
{
    if (state->remaining == 0) return 0;
    if (state->remaining == 1) return 0xC2;
    if (state->remaining == 2) return state->low > 0x80 ? 0xE0 : state->high < 0xBF ? 0xED : 0xE1;
    return state->low > 0x80 ? 0xF0 : state->high < 0xBF ? 0xF4 : 0xF1;
}

/* Of a block that has `first` before it and nothing before that. An instruction that shifts works
 * in halves, so it takes what comes into each from another register:
 *
 *      block    [ b0 ... b15 | b16 ... b31 ]
 *      halves   [ 0 .. first | b0 .... b15 ]    its highest bytes come in at the bottom */
[[gnu::target("avx2")]] static inline __m256i wrong_after(uint8_t first, __m256i block)
{
    __m128i before = _mm_slli_si128(_mm_cvtsi32_si128(first), 15);
    __m256i halves =
        _mm256_inserti128_si256(_mm256_castsi128_si256(before), _mm256_castsi256_si128(block), 1);
    return wrong_in(block, _mm256_alignr_epi8(block, halves, 15),
                    _mm256_alignr_epi8(block, halves, 14), _mm256_alignr_epi8(block, halves, 13));
}

[[gnu::target("avx2")]] static inline bool is_ascii_64(const uint8_t *at)
{
    return is_ascii(load(at) | load(at + 32));
}

[[gnu::target("avx2")]] static inline bool is_ascii_128(const uint8_t *at)
{
    return is_ascii(load(at) | load(at + 32) | load(at + 64) | load(at + 96));
}

/* `at`, or somewhat further, and before it all is ASCII. There is at least a block. */
[[gnu::target("avx2")]] static inline const uint8_t *skip_ascii_blocks(const uint8_t *at,
                                                                       const uint8_t *end)
{
    if (end - at <= 64) return is_ascii(load(at) | load(end - 32)) ? end : at;
    if (end - at <= 128) return is_ascii_64(at) && is_ascii_64(end - 64) ? end : at;
    for (; end - at > 128; at += 128)
        if (!is_ascii_128(at)) return at;
    return is_ascii_128(end - 128) ? end : at;
}

/* The state after a text that ends here and has nothing wrong as far as it goes. */
static bool feed_end(struct utf8 *state, const uint8_t *end)
{
    *state = (struct utf8){};
    bool unfinished = (end[-1] >= 0xC0) | (end[-2] >= 0xE0) | (end[-3] >= 0xF0); // hardly ever
    if (!unfinished) return true;
    const uint8_t *at = end - 1;
    while (*at < 0xC0)
        at -= 1;
    return feed_bytes(state, at, end);
}

/* At least `reach` bytes, and less than feed_blocks wants. In a copy they get something before
 * them:   [ 0 ... 0 | first | bytes ] */
[[gnu::target("avx2")]] static bool feed_block(struct utf8 *state, const uint8_t *at,
                                               const uint8_t *end)
{
    while (end - at >= block_size)
        if (!feed_byte(state, *at++)) return false;
    uint8_t copy[block_size] = {}, *copied = copy + block_size - (end - at);
    memcpy(copied, at, (size_t)(end - at));
    copied[-1] = first_for(state);
    __m256i wrong = wrong_after(0, load(copy));
    return _mm256_testz_si256(wrong, wrong) != 0 && feed_end(state, end);
}

/* At least a block and `reach` bytes. A block's predecessors are loaded, too, so blocks may
 * overlap and be left out; only the first one's are not all in this piece.
 *
 *      [ first block ][    64 bytes    ][    64 bytes    ]...[ block ]
 *                                                          [ last block ] */
[[gnu::target("avx2")]] static bool feed_blocks(struct utf8 *state, const uint8_t *at,
                                                const uint8_t *end)
{
    const uint8_t *start = at;
    if (state->remaining == 0) at = skip_ascii_blocks(at, end);
    if (at == end) return true;
    __m256i wrong = _mm256_setzero_si256();
    if (at == start) {
        wrong = wrong_after(first_for(state), load(at));
        at += block_size;
    }
    for (; end - at >= 2 * block_size; at += 2 * block_size)
        if (!is_ascii(load(at - reach) | load(at) | load(at + block_size)))
            wrong |= wrong_at(at) | wrong_at(at + block_size);
    if (end - at >= block_size) wrong |= wrong_at(at);
    wrong |= wrong_at(end - block_size);
    return _mm256_testz_si256(wrong, wrong) != 0 && feed_end(state, end);
}

#endif

bool utf8_feed(struct utf8 *state, struct bytes piece)
{
    if (piece.size == 0) return true;
    const uint8_t *at = piece.data, *end = at + piece.size;
    if (state->remaining == 0 && is_short_ascii(at, piece.size)) return true;
#if defined(__x86_64__)
    constexpr size_t worth_a_block = 8, long_enough = block_size + reach;
    if (piece.size >= long_enough && cpu_has(CPU_AVX2)) return feed_blocks(state, at, end);
    if (piece.size >= worth_a_block && cpu_has(CPU_AVX2)) return feed_block(state, at, end);
#endif
    return feed_bytes(state, at, end);
}

bool utf8_valid(struct bytes text)
{
    struct utf8 state = {};
    return utf8_feed(&state, text) && utf8_complete(&state);
}
