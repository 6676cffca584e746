#include "base/utf8.h"

/* Game traffic is nearly all ASCII, so that is the path with a loop of its own; anything else is
 * checked byte by byte against the range that table 3-7 allows at its place:
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
 * Only the second byte's range depends on the first. */

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

/* The state after a continuation byte that was within its range. */
static struct utf8 after_continuation(struct utf8 state)
{
    if (state.remaining == 1) return (struct utf8){};
    return (struct utf8){.remaining = state.remaining - 1, .low = 0x80, .high = 0xBF};
}

/* The first byte from `at` on that is not ASCII, or `end`. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
    constexpr uint64_t high_bits = 0x8080808080808080;
    uint64_t words[4];
    while ((size_t)(end - at) >= sizeof words) {
        memcpy(words, at, sizeof words);
        if (((words[0] | words[1] | words[2] | words[3]) & high_bits) != 0) break;
        at += sizeof words;
    }
    while (at < end && *at < 0x80)
        at += 1;
    return at;
}

bool utf8_feed(struct utf8 *state, struct bytes piece)
{
    if (piece.size == 0) return true;
    const uint8_t *at = piece.data;
    const uint8_t *end = at + piece.size;
    struct utf8 now = *state;
    while (at < end) {
        if (now.remaining > 0) {
            if (*at < now.low || *at > now.high) return false;
            now = after_continuation(now);
        } else if (*at < 0x80) {
            at = skip_ascii(at, end);
            continue;
        } else {
            now = after_first(*at);
            if (now.remaining == 0) return false;
        }
        at += 1;
    }
    *state = now;
    return true;
}

bool utf8_valid(struct bytes text)
{
    struct utf8 state = {};
    return utf8_feed(&state, text) && utf8_complete(&state);
}
