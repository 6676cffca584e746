/* base/plain.h: text from strangers that people will read: names and chat. What cannot be seen, or
 * turns the order of what stands behind it, has no place there (THREATS.md J8). */
#pragma once
#include "base/bytes.h"

/* How many code points a text that is valid UTF-8 has. */
size_t plain_length(struct text text);

/* The first `count` code points of a text that is valid UTF-8, or all there are. */
struct text plain_cut(struct text text, size_t count);

/* Without white space at both ends: also Unicode's, and line ends. The text is valid UTF-8. */
struct text plain_trim(struct text text);

/* True when every code point can be seen and stays where it is: no control characters (C0, C1,
 * U+2028, U+2029), none that embed, override or isolate a direction, none of no width but the two
 * joiners that scripts and emoji need. False, too, when it is not UTF-8. */
[[nodiscard]] bool plain_is_clean(struct text text);

/* Writes the text, which is valid UTF-8, without what plain_is_clean forbids; a tab or a line's end
 * becomes a space. */
void write_plain(struct writer *out, struct text text);
