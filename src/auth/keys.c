#include "auth/keys.h"
#include "base/base64.h"
#include "base/json.h"
#include <assert.h>
#include <bearssl_ec.h>
#include <sodium/crypto_sign_ed25519.h>

static const struct text names[jwt_algorithms] = {
#define X(name, text) [JWT_##name] = {(text), sizeof(text) - 1},
    JWT_ALGORITHMS(X)
#undef X
};

struct text jwt_algorithm_name(enum jwt_algorithm algorithm)
{
    assert(algorithm < jwt_algorithms);
    return names[algorithm];
}

bool jwt_algorithm_of_name(struct text name, enum jwt_algorithm *algorithm)
{
    if (text_equal(name, TEXT("Ed25519"))) name = names[JWT_EDDSA];
    for (uint8_t i = 0; i < jwt_algorithms; i++) {
        if (!text_equal(name, names[i])) continue;
        *algorithm = (enum jwt_algorithm)i;
        return true;
    }
    return false;
}

static struct writer free_storage(struct auth_keys *keys)
{
    return writer_over(keys->storage + keys->used, sizeof keys->storage - keys->used);
}

static bool is_doubled(const struct auth_keys *keys, const struct auth_key *key)
{
    for (uint32_t i = 0; i < keys->count; i++)
        if (keys->keys[i].algorithm == key->algorithm && text_equal(keys->keys[i].kid, key->kid))
            return true;
    return false;
}

/* `out` has written the key's parts into the storage. */
static struct text append(struct auth_keys *keys, const struct auth_key *key,
                          const struct writer *out)
{
    if (out->overflow || keys->count == auth_keys_max) return TEXT("is one too many");
    if (is_doubled(keys, key)) return TEXT("has the algorithm and the name of another one");
    keys->keys[keys->count++] = *key;
    keys->used += out->size;
    return (struct text){};
}

/* The last `size` bytes that were written. */
static struct bytes last(const struct writer *out, size_t size)
{
    return (struct bytes){out->data + out->size - size, size};
}

struct text auth_keys_add_secret(struct auth_keys *keys, enum jwt_algorithm algorithm,
                                 struct text secret, bool weak)
{
    assert(algorithm <= JWT_HS512);
    if (secret.size == 0) return TEXT("is empty");
    if (secret.size < auth_secret_size_min && !weak)
        return TEXT("is shorter than 32 bytes, so it can be guessed");
    if (secret.size > auth_key_size_max) return TEXT("is longer than 1100 bytes");
    struct writer out = free_storage(keys);
    write_text(&out, secret);
    struct auth_key key = {.algorithm = algorithm};
    if (!out.overflow) key.secret = last(&out, secret.size);
    return append(keys, &key, &out);
}

/* The member's base64url digits, decoded into the storage. */
static bool read_part(const struct json *jwk, struct text name, struct writer *out,
                      struct bytes *part)
{
    struct text digits;
    if (!json_to_text(json_member(jwk, name), &digits) || digits.size == 0) return false;
    size_t before = out->size;
    if (!write_base64url_decoded(out, digits)) return false;
    *part = last(out, out->size - before);
    return true;
}

static bool read_kid(const struct json *jwk, struct writer *out, struct text *kid)
{
    const struct json *member = json_member(jwk, TEXT("kid"));
    struct text text = {};
    if (member != nullptr && (!json_to_text(member, &text) || text.size > auth_kid_size_max))
        return false;
    write_text(out, text);
    *kid = out->overflow ? text : text_from(last(out, text.size));
    return true;
}

static struct bytes without_zeros(struct bytes number)
{
    while (number.size > 0 && number.data[0] == 0)
        number = bytes_skip(number, 1);
    return number;
}

/* Odd, above 1, and not longer than 32 bits: with an exponent of 1 the signature is the message
 * (THREATS.md A6). */
static bool is_sound_exponent(struct bytes exponent)
{
    if (exponent.size == 0 || exponent.size > 4) return false;
    bool one = exponent.size == 1 && exponent.data[0] == 1;
    return !one && (exponent.data[exponent.size - 1] & 1) == 1;
}

static size_t bit_count(struct bytes number)
{
    size_t bits = number.size * 8;
    for (uint8_t mask = 0x80; number.size > 0 && mask != 0 && (number.data[0] & mask) == 0;
         mask >>= 1)
        bits -= 1;
    return bits;
}

static struct text read_rsa(const struct json *jwk, struct writer *out, struct auth_key *key)
{
    key->algorithm = JWT_RS256;
    if (!read_part(jwk, TEXT("n"), out, &key->secret) ||
        !read_part(jwk, TEXT("e"), out, &key->exponent))
        return TEXT("of type RSA needs n and e in base64url");
    key->secret = without_zeros(key->secret);
    key->exponent = without_zeros(key->exponent);
    size_t bits = bit_count(key->secret);
    if (bits < auth_rsa_bits_min || bits > auth_rsa_bits_max ||
        (key->secret.data[key->secret.size - 1] & 1) == 0)
        return TEXT("of type RSA needs an odd modulus of 2048 to 4096 bits");
    if (!is_sound_exponent(key->exponent))
        return TEXT("of type RSA needs an odd exponent from 3 to 2^32");
    return (struct text){};
}

/* A point that is not on the curve gives signatures away, or accepts what nobody signed. To
 * multiply it by 1 makes BearSSL look. */
static bool is_on_curve(struct bytes point)
{
    const br_ec_impl *curve = &br_ec_p256_m31;
    uint8_t copy[65];
    const uint8_t one[32] = {[31] = 1};
    if (point.size != sizeof copy) return false;
    memcpy(copy, point.data, sizeof copy);
    return curve->mul(copy, sizeof copy, one, sizeof one, BR_EC_secp256r1) == 1;
}

static struct text read_ec(const struct json *jwk, struct writer *out, struct auth_key *key)
{
    struct text curve = {};
    struct bytes x, y;
    key->algorithm = JWT_ES256;
    if (!json_to_text(json_member(jwk, TEXT("crv")), &curve) || !text_equal(curve, TEXT("P-256")))
        return TEXT("of type EC needs the curve P-256");
    write_byte(out, 4); /* uncompressed: SEC 1 §2.3.3 */
    if (!read_part(jwk, TEXT("x"), out, &x) || !read_part(jwk, TEXT("y"), out, &y) ||
        x.size != 32 || y.size != 32)
        return TEXT("of type EC needs x and y, 32 bytes each, in base64url");
    key->secret = last(out, 65);
    return is_on_curve(key->secret) ? (struct text){} : TEXT("is no point of the curve P-256");
}

/* A point of small order, or of more than the one group, makes signatures right that nobody
 * made; to turn it into a key of X25519 makes libsodium look. */
static bool is_sound_point(struct bytes point)
{
    uint8_t other[32];
    return crypto_sign_ed25519_pk_to_curve25519(other, point.data) == 0;
}

static struct text read_okp(const struct json *jwk, struct writer *out, struct auth_key *key)
{
    struct text curve = {};
    key->algorithm = JWT_EDDSA;
    if (!json_to_text(json_member(jwk, TEXT("crv")), &curve) || !text_equal(curve, TEXT("Ed25519")))
        return TEXT("of type OKP needs the curve Ed25519");
    if (!read_part(jwk, TEXT("x"), out, &key->secret) || key->secret.size != 32)
        return TEXT("of type OKP needs x, 32 bytes, in base64url");
    return is_sound_point(key->secret) ? (struct text){} : TEXT("is no point of the curve Ed25519");
}

static struct text read_oct(const struct json *jwk, struct text algorithm, struct writer *out,
                            struct auth_key *key)
{
    if (!jwt_algorithm_of_name(algorithm, &key->algorithm) || key->algorithm > JWT_HS512)
        return TEXT("of type oct needs alg: HS256, HS384 or HS512");
    if (!read_part(jwk, TEXT("k"), out, &key->secret)) return TEXT("of type oct needs k");
    if (key->secret.size < auth_secret_size_min)
        return TEXT("is shorter than 32 bytes, so it can be guessed");
    return (struct text){};
}

/* True when the key is for what we do not do: passed over. */
static bool is_foreign(const struct json *jwk, struct text type, struct text algorithm)
{
    struct text use, curve;
    if (json_to_text(json_member(jwk, TEXT("use")), &use) && !text_equal(use, TEXT("sig")))
        return true;
    if (text_equal(type, TEXT("EC"))) {
        bool other_curve = json_to_text(json_member(jwk, TEXT("crv")), &curve) &&
                           !text_equal(curve, TEXT("P-256"));
        return other_curve || (algorithm.size > 0 && !text_equal(algorithm, TEXT("ES256")));
    }
    if (text_equal(type, TEXT("OKP"))) {
        enum jwt_algorithm named = JWT_EDDSA;
        bool other_curve = json_to_text(json_member(jwk, TEXT("crv")), &curve) &&
                           !text_equal(curve, TEXT("Ed25519"));
        return other_curve || (algorithm.size > 0 &&
                               (!jwt_algorithm_of_name(algorithm, &named) || named != JWT_EDDSA));
    }
    if (text_equal(type, TEXT("RSA")))
        return algorithm.size > 0 && !text_equal(algorithm, TEXT("RS256"));
    return !text_equal(type, TEXT("oct"));
}

static struct text add_jwk(struct auth_keys *keys, const struct json *jwk)
{
    struct text type = {}, algorithm = {}, problem;
    struct auth_key key = {};
    struct writer out = free_storage(keys);
    if (!json_to_text(json_member(jwk, TEXT("kty")), &type)) return TEXT("has no kty");
    (void)!json_to_text(json_member(jwk, TEXT("alg")), &algorithm);
    if (is_foreign(jwk, type, algorithm)) return (struct text){};
    if (!read_kid(jwk, &out, &key.kid)) return TEXT("has a kid that is no text of 128 bytes");
    if (text_equal(type, TEXT("RSA")))
        problem = read_rsa(jwk, &out, &key);
    else if (text_equal(type, TEXT("EC")))
        problem = read_ec(jwk, &out, &key);
    else if (text_equal(type, TEXT("OKP")))
        problem = read_okp(jwk, &out, &key);
    else
        problem = read_oct(jwk, algorithm, &out, &key);
    if (out.overflow) return TEXT("is one too many");
    return problem.size > 0 ? problem : append(keys, &key, &out);
}

struct text auth_keys_add_jwks(struct auth_keys *keys, struct text document, struct bytes memory)
{
    struct text problem = {};
    const struct json *root = json_read(memory, document, &problem);
    if (root == nullptr) return problem;
    if (!json_is_object(root)) return TEXT("is not a JSON object");
    uint32_t count = keys->count;
    size_t used = keys->used;
    const struct json *set = json_member(root, TEXT("keys"));
    if (set == nullptr) {
        problem = add_jwk(keys, root);
    } else if (!json_is_array(set)) {
        problem = TEXT("has a member \"keys\" that is no array");
    } else {
        for (size_t i = 0; i < json_count(set) && problem.size == 0; i++)
            problem = add_jwk(keys, json_element(set, i));
    }
    if (problem.size == 0 && keys->count == count)
        problem = TEXT("holds no key for HS256, HS384, HS512, RS256, ES256 or EdDSA");
    if (problem.size > 0) {
        keys->count = count;
        keys->used = used;
    }
    return problem;
}
