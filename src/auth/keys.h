/* auth/keys.h: the keys that tokens are checked with.
 * Never: reads a file, a clock or a socket. RFC 7517 (JWK), RFC 7518 §6, RFC
 * 8037 §2.
 *
 * A key carries its algorithm: a token that names another one is refused before anything is
 * computed, so a public key is never taken for a secret (THREATS.md A2). Keys come from the
 * operator alone; nothing in a token says where to look for one (A4, A9). */
#pragma once
#include "base/bytes.h"

#define JWT_ALGORITHMS(X) /* name, as the header's "alg" (RFC 7518 §3.1) */ \
    X(HS256, "HS256")                                                       \
    X(HS384, "HS384")                                                       \
    X(HS512, "HS512")                                                       \
    X(RS256, "RS256")                                                       \
    X(ES256, "ES256")                                                       \
    X(EDDSA, "EdDSA") /* RFC 8037 §3.1, with Ed25519 alone */

enum jwt_algorithm : uint8_t {
#define X(name, text) JWT_##name,
    JWT_ALGORITHMS(X)
#undef X
        jwt_algorithms,
};

struct text jwt_algorithm_name(enum jwt_algorithm algorithm);
/* "Ed25519" is RFC 9864's name for the same as "EdDSA". */
[[nodiscard]] bool jwt_algorithm_of_name(struct text name, enum jwt_algorithm *algorithm);

constexpr uint32_t auth_keys_max = 16;
constexpr size_t auth_key_size_max = 1100;  /* bytes of one key with its name: RSA of 8192 bits */
constexpr size_t auth_secret_size_min = 32; /* bytes: RFC 7518 §3.2 for HS256 */
constexpr size_t auth_kid_size_max = 128;
/* bits: below that a key can be broken (RFC 7518 §3.3); above, BearSSL has no room */
constexpr size_t auth_rsa_bits_min = 2048, auth_rsa_bits_max = 4096;

struct auth_key {
    enum jwt_algorithm algorithm;
    struct text kid;     /* the name that a token's header may give; empty: it has none */
    struct bytes secret; /* HS*: the shared secret. RS256: the modulus. ES256: the point, 65 bytes,
                           * uncompressed. EdDSA: the point, 32 bytes (RFC 8032 §5.1.2) */
    struct bytes exponent; /* RS256 */
};

/* All keys of one configuration. Filled once, then only read, by any thread. What the keys point to
 * lies in `storage`; a set must not be copied. */
struct auth_keys {
    struct auth_key keys[auth_keys_max];
    uint32_t count;
    uint32_t generation; /* which reading of the configuration this is; whoever reads it counts */
    size_t used;         /* bytes of storage */
    uint8_t storage[auth_keys_max * auth_key_size_max];
};

/* Each of these appends keys, or changes nothing and says with words that continue "the key " (or
 * "the key file ") what is wrong; an empty text when all is well. What is given is copied. */

/* A shared secret for one of the HS algorithms, as the environment holds it: at least
 * auth_secret_size_min bytes, unless `weak` (--dev) allows fewer. An empty one is always refused
 * (THREATS.md A13). */
[[nodiscard]] struct text auth_keys_add_secret(struct auth_keys *keys, enum jwt_algorithm algorithm,
                                               struct text secret, bool weak);

/* A JWK set, {"keys":[...]}, or a single JWK: kty oct (HS*), RSA (RS256), EC with crv P-256
 * (ES256) and OKP with crv Ed25519 (EdDSA, RFC 8037 §2). Each needs its "alg", but for EC and
 * OKP, where it follows from the curve, and RSA, where it may be left out for RS256. Keys for
 * encryption ("use":"enc") and of other types are passed over; when nothing is left, or one that
 * is meant for us is broken, weak or doubled, the whole set is refused. `memory` is borrowed for
 * reading: json_memory_size(document.size) bytes. */
[[nodiscard]] struct text auth_keys_add_jwks(struct auth_keys *keys, struct text document,
                                             struct bytes memory);
