/* base/base64.h: base64url without padding, as tokens and keys are written (RFC 4648 §5, RFC 7515
 * §2). */
#pragma once
#include "base/bytes.h"

/* Bytes that `size` digits stand for. */
static inline size_t base64url_decoded_size(size_t size)
{
    return size / 4 * 3 + size % 4 * 3 / 4;
}

/* Appends what `digits` stand for. False, and nothing appended, when they are not exactly what
 * encoding gives: a foreign digit, padding, white space, a single digit too many, or bits that are
 * set behind the last byte. So two different texts never give the same bytes. A writer that is too
 * small overflows, and that is false, too. */
[[nodiscard]] bool write_base64url_decoded(struct writer *out, struct text digits);

/* Appends `bytes` as digits. */
void write_base64url(struct writer *out, struct bytes bytes);
