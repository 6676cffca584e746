#include "published.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* The paper's names. */
constexpr uint8_t too_short = 1 << 0, too_long = 1 << 1, overlong_3 = 1 << 2, too_large = 1 << 3;
constexpr uint8_t surrogate = 1 << 4, overlong_2 = 1 << 5, too_large_1000 = 1 << 6;
constexpr uint8_t overlong_4 = 1 << 6, two_conts = 1 << 7;
constexpr uint8_t carry = too_short | too_long | two_conts;

struct published {
    __m256i error;
    __m256i before;     /* the block before */
    __m256i incomplete; /* not zeros when that one ended within a code point */
};

#define SIXTEEN(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define BYTE(bits) (char)(bits)

[[gnu::target("avx2")]] static inline __m256i upper(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

[[gnu::target("avx2")]] static inline __m256i special_cases(__m256i input, __m256i before1)
{
    constexpr uint8_t lead_3 = too_short | overlong_3 | surrogate;
    constexpr uint8_t lead_4 = too_short | too_large | too_large_1000 | overlong_4;
    constexpr uint8_t large = carry | too_large | too_large_1000;
    constexpr uint8_t tail = too_long | overlong_2 | two_conts;
    const __m256i by_upper =
        SIXTEEN(BYTE(too_long), BYTE(too_long), BYTE(too_long), BYTE(too_long), BYTE(too_long),
                BYTE(too_long), BYTE(too_long), BYTE(too_long), BYTE(two_conts), BYTE(two_conts),
                BYTE(two_conts), BYTE(two_conts), BYTE(too_short | overlong_2), BYTE(too_short),
                BYTE(lead_3), BYTE(lead_4));
    const __m256i by_lower =
        SIXTEEN(BYTE(carry | overlong_3 | overlong_2 | overlong_4), BYTE(carry | overlong_2),
                BYTE(carry), BYTE(carry), BYTE(carry | too_large), BYTE(large), BYTE(large),
                BYTE(large), BYTE(large), BYTE(large), BYTE(large), BYTE(large), BYTE(large),
                BYTE(large | surrogate), BYTE(large), BYTE(large));
    const __m256i by_second = SIXTEEN(
        BYTE(too_short), BYTE(too_short), BYTE(too_short), BYTE(too_short), BYTE(too_short),
        BYTE(too_short), BYTE(too_short), BYTE(too_short),
        BYTE(tail | overlong_3 | too_large_1000 | overlong_4), BYTE(tail | overlong_3 | too_large),
        BYTE(tail | surrogate | too_large), BYTE(tail | surrogate | too_large), BYTE(too_short),
        BYTE(too_short), BYTE(too_short), BYTE(too_short));
    __m256i lower = _mm256_and_si256(before1, _mm256_set1_epi8(0x0F));
    return _mm256_shuffle_epi8(by_upper, upper(before1)) & _mm256_shuffle_epi8(by_lower, lower) &
           _mm256_shuffle_epi8(by_second, upper(input));
}

[[gnu::target("avx2")]] static inline void check_block(struct published *state, __m256i input)
{
    __m256i across = _mm256_permute2x128_si256(state->before, input, 0x21);
    __m256i before1 = _mm256_alignr_epi8(input, across, 15);
    __m256i before2 = _mm256_alignr_epi8(input, across, 14);
    __m256i before3 = _mm256_alignr_epi8(input, across, 13);
    __m256i must = _mm256_subs_epu8(before2, _mm256_set1_epi8(0xE0 - 0x80)) |
                   _mm256_subs_epu8(before3, _mm256_set1_epi8(0xF0 - 0x80));
    must &= _mm256_set1_epi8((char)0x80);
    state->error |= must ^ special_cases(input, before1);
    state->before = input;
}

[[gnu::target("avx2")]] static inline void check_step(struct published *state, const uint8_t *at)
{
    constexpr char any = -1;
    const __m256i most = _mm256_setr_epi8(
        any, any, any, any, any, any, any, any, any, any, any, any, any, any, any, any, any, any,
        any, any, any, any, any, any, any, any, any, any, any, (char)0xEF, (char)0xDF, (char)0xBF);
    __m256i low = _mm256_loadu_si256((const __m256i *)at);
    __m256i high = _mm256_loadu_si256((const __m256i *)(at + 32));
    if (_mm256_movemask_epi8(low | high) == 0) {
        state->error |= state->incomplete;
        state->before = high;
        state->incomplete = _mm256_setzero_si256();
        return;
    }
    check_block(state, low);
    check_block(state, high);
    state->incomplete = _mm256_subs_epu8(high, most);
}

[[gnu::target("avx2")]] bool published_utf8(struct bytes text)
{
    constexpr size_t step = 64;
    struct published state = {};
    size_t at = 0;
    for (; text.size - at >= step; at += step)
        check_step(&state, text.data + at);
    if (at < text.size) {
        uint8_t rest[64] = {};
        memcpy(rest, text.data + at, text.size - at);
        check_step(&state, rest);
    }
    state.error |= state.incomplete;
    return _mm256_testz_si256(state.error, state.error) != 0;
}

[[gnu::target("avx2")]] static inline void flip_block(uint8_t *at, __m256i keys)
{
    __m256i block = _mm256_loadu_si256((const __m256i *)at);
    _mm256_storeu_si256((__m256i *)at, _mm256_xor_si256(block, keys));
}

[[gnu::target("avx2")]] void published_unmask(struct bytes payload, const uint8_t key[static 4])
{
    uint32_t word;
    memcpy(&word, key, sizeof word);
    __m256i keys = _mm256_set1_epi32((int)word);
    uint8_t *at = payload.data, *end = at + payload.size;
    for (; end - at >= 128; at += 128)
        for (size_t i = 0; i < 128; i += 32)
            flip_block(at + i, keys);
    for (; end - at >= 32; at += 32)
        flip_block(at, keys);
    for (; end - at >= 4; at += 4) {
        uint32_t four;
        memcpy(&four, at, sizeof four);
        four ^= word;
        memcpy(at, &four, sizeof four);
    }
    for (size_t i = 0; at < end; at++, i++)
        *at ^= key[i];
}

#else

bool published_utf8(struct bytes)
{
    return false;
}

void published_unmask(struct bytes, const uint8_t[static 4])
{
}

#endif
