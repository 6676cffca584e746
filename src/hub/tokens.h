/* hub/tokens.h: the keys of this installation, and the two commands by which an operator makes and
 * examines tokens without a server. */
#pragma once
#include "auth/jwt.h"
#include "hub/config.h"

/* Fills *keys from the secret and the key file of `config`; none of both leaves it empty. On a
 * mistake returns false with one sentence in *why, which names what to change. The key file is
 * read, 64 KiB at most. */
[[nodiscard]] bool tokens_load_keys(struct auth_keys *keys, const struct config *config,
                                    struct writer *why);

/* A secret for this start alone, out of 32 random bytes, for a server that has none (--dev).
 * Lives as long as the process. */
struct text tokens_make_secret(struct bytes entropy);

/* `ringcast gen-token`: prints a token. Returns the exit code: 0, 1 when there is no secret to sign
 * it with, 2 for wrong words. */
int tokens_generate(int count, char **words, char **environment);

/* `ringcast check-token`: prints a token's claims, or on stderr the exact reason why it would be
 * refused. Returns the exit code: 0 for a good token, 1 for a bad one or bad keys, 2 for wrong
 * words. */
int tokens_check(int count, char **words, char **environment);
