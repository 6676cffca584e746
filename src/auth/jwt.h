/* auth/jwt.h: signed tokens that say who somebody is.
 * You are here: ring > tls > http > [auth] > hub > room > game
 * Never: reads a clock, allocates, logs, or fetches a key. RFC 7519 (JWT), RFC 7515 (JWS compact
 * form), RFC 8725 (what to beware of). */
#pragma once
#include "auth/cache.h"
#include "auth/keys.h"
#include "base/json.h"

#define JWT_ERRORS(X) /* name, code in answers, logs and metrics; sentence with the remedy */  \
    X(TOO_LONG, "token_too_long", "The token is longer than 8 KiB.")                           \
    X(MALFORMED, "token_malformed",                                                            \
      "The token is not three parts of base64url, the first two of JSON objects.")             \
    X(BAD_ALG, "bad_alg", "The token's algorithm is none that this server has a key for.")     \
    X(CRITICAL, "critical_header", "The token's header asks for extensions by crit.")          \
    X(UNKNOWN_KEY, "unknown_key", "The token names a key that this server does not have.")     \
    X(BAD_SIGNATURE, "bad_signature", "The token's signature is not right.")                   \
    X(BAD_CLAIMS, "bad_claims", "A claim of the token has the wrong type or is out of range.") \
    X(NO_EXPIRY, "no_expiry", "The token has no exp; tokens must expire.")                     \
    X(EXPIRED, "expired", "The token has expired; get a new one.")                             \
    X(NOT_YET, "not_yet_valid", "The token is not valid yet; check the clocks (nbf, iat).")    \
    X(BAD_ISSUER, "bad_issuer", "The token's iss is not the one that this server takes.")      \
    X(BAD_AUDIENCE, "bad_audience", "The token's aud does not name this server.")

enum jwt_error : uint8_t {
    JWT_OK,
#define X(name, code, sentence) JWT_##name,
    JWT_ERRORS(X)
#undef X
        jwt_error_count,
};

/* What a line of the table says; `error` is not JWT_OK. */
struct text jwt_error_code(enum jwt_error error);
struct text jwt_error_sentence(enum jwt_error error);

constexpr size_t jwt_size_max = 8 * 1024;
/* bytes of scratch memory for one token: its longest part decoded, and that read as JSON */
constexpr size_t jwt_scratch_size =
    jwt_size_max + json_memory_per_byte * jwt_size_max + json_memory_fixed;

/* What a token must satisfy. Borrowed during a check. */
struct jwt_policy {
    const struct auth_keys *keys;
    struct text issuer;   /* iss must be this; empty: any, or none */
    struct text audience; /* aud must be or hold this; empty: any, or none */
    uint32_t leeway_s;    /* clocks may differ by that much */
    /* where signatures of public keys are remembered that were right; nullptr: nowhere. Those of HS
     * algorithms cost no more than looking there */
    struct jwt_cache *cache;
};

/* What a token says. Texts and `root` live in the scratch memory of the check. */
struct jwt_claims {
    const struct json *root; /* all of it; an object */
    struct text subject;     /* sub, or empty */
    int64_t expires_s;       /* exp: seconds since 1970 */
};

/* Checks a token's form, key, signature and times. `scratch` is borrowed, jwt_scratch_size bytes,
 * and *claims, set for JWT_OK alone, points into it. The signature comes before any claim is
 * looked at, and is compared in a time that does not depend on it (THREATS.md A12). exp must be
 * there. */
[[nodiscard]] enum jwt_error jwt_check(const struct jwt_policy *policy, struct text token,
                                       int64_t now_s, struct bytes scratch,
                                       struct jwt_claims *claims);

/* Writes the payload of a token that was checked, as it stands in it: the text of a JSON object.
 * False when it is no token at all. */
[[nodiscard]] bool jwt_write_payload(struct writer *out, struct text token);

/* Writes the signature of `is_signed` (a header and a payload in base64url with a dot between) with
 * a key of an HS algorithm, in base64url. */
void jwt_sign(struct writer *out, const struct auth_key *key, struct text is_signed);

/* Writes a token with these claims (a JSON object), signed with a key of an HS algorithm; the
 * header names the key when it has a kid. */
void jwt_write(struct writer *out, const struct auth_key *key, struct text claims);
