/* base/utf8.h: checks UTF-8 that arrives in pieces. RFC 3629 §4 and the Unicode Standard's table
 * 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once
#include "base/bytes.h"

/* Where a check stands between two pieces: how much of a code point is still to come, and which
 * bytes may come next. All zeros is the start, and again the end of each whole code point. */
struct utf8 {
    uint8_t remaining; /* continuation bytes that are still owed: 0 to 3 */
    uint8_t low;       /* the next byte must be at least this, when remaining > 0 */
    uint8_t high;      /* and at most this */
};

/* Checks the next piece. False as soon as no continuation could make the text valid (so an error is
 * seen at its first wrong byte); after that the state is spent. `piece` is only read. */
[[nodiscard]] bool utf8_feed(struct utf8 *state, struct bytes piece);

/* True when what was fed so far ends at a code point's end. */
static inline bool utf8_complete(const struct utf8 *state)
{
    return state->remaining == 0;
}

/* One whole text. */
[[nodiscard]] bool utf8_valid(struct bytes text);
