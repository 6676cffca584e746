/* perf/load/token.h: makes tokens as a backend would that shares the server's secret: JWT, HS256
 * (RFC 7515, RFC 7519). */
#pragma once
#include "handshake.h"
#include <stdint.h>

/* Who shall come. */
struct token_claims {
    const char *subject; /* of the world; else nullptr, and the place's: */
    const char *room, *player, *name;
    uint64_t expires_s; /* since 1970 */
    uint64_t id;        /* `jti`: no two tokens are the same */
};

/* Writes a token of at most handshake_token_max bytes, its zero included. */
void token_write(char out[static handshake_token_max], const char *secret,
                 const struct token_claims *claims);
