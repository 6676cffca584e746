/* tests/sim/token.h: tokens as somebody's backend makes them: a JWT (RFC 7519) signed with
 * HS256. */
#pragma once
#include <stdint.h>

constexpr uint32_t token_size_max = 512;

/* Signs the claims, which are JSON text, and ends the token with a zero. */
void token_sign(char token[static token_size_max], const char *claims, const char *secret);
