#include "auth/jwt.h"
#include "base/base64.h"
#include "base/random.h"
#include <assert.h>
#include <bearssl_ec.h>
#include <bearssl_hash.h>
#include <bearssl_hmac.h>
#include <bearssl_rsa.h>
#include <sodium/crypto_sign_ed25519.h>

static const struct {
    struct text code, sentence;
} errors[jwt_error_count] = {
#define X(name, code, sentence) \
    [JWT_##name] = {{code, sizeof(code) - 1}, {sentence, sizeof(sentence) - 1}},
    JWT_ERRORS(X)
#undef X
};

struct text jwt_error_code(enum jwt_error error)
{
    assert(error != JWT_OK && error < jwt_error_count);
    return errors[error].code;
}

struct text jwt_error_sentence(enum jwt_error error)
{
    assert(error != JWT_OK && error < jwt_error_count);
    return errors[error].sentence;
}

/* RFC 7515 §3.1: header.payload.signature, and what is signed is the first two as they stand. */
struct token {
    struct text header, payload, signature, is_signed;
};

static bool split(struct text token, struct token *parts)
{
    const char *first = memchr(token.data, '.', token.size);
    if (first == nullptr) return false;
    size_t header_size = (size_t)(first - token.data);
    struct text rest = text_skip(token, header_size + 1);
    const char *second = memchr(rest.data, '.', rest.size);
    if (second == nullptr) return false;
    size_t payload_size = (size_t)(second - rest.data);
    *parts = (struct token){.header = {token.data, header_size},
                            .payload = {rest.data, payload_size},
                            .signature = text_skip(rest, payload_size + 1),
                            .is_signed = {token.data, header_size + 1 + payload_size}};
    return memchr(parts->signature.data, '.', parts->signature.size) == nullptr;
}

/* Decodes a part and reads it as an object; nullptr when it is none. `scratch` is used up. */
static const struct json *read_object(struct text digits, struct bytes scratch)
{
    struct writer decoded = writer_over(scratch.data, jwt_size_max);
    struct text problem;
    if (!write_base64url_decoded(&decoded, digits)) return nullptr;
    const struct json *object =
        json_read(bytes_skip(scratch, jwt_size_max), text_from(writer_bytes(&decoded)), &problem);
    return json_is_object(object) ? object : nullptr;
}

/* The key of the header's algorithm and name. A key without a name serves tokens of any name that
 * no other key has: a secret from the environment has none. */
static enum jwt_error find_key(const struct auth_keys *keys, const struct json *header,
                               const struct auth_key **found)
{
    struct text name = {}, kid = {};
    enum jwt_algorithm algorithm;
    if (!json_to_text(json_member(header, TEXT("alg")), &name)) return JWT_BAD_ALG;
    if (!jwt_algorithm_of_name(name, &algorithm)) return JWT_BAD_ALG;
    const struct json *member = json_member(header, TEXT("kid"));
    if (member != nullptr && !json_to_text(member, &kid)) return JWT_MALFORMED;
    bool algorithm_known = false, name_known = false;
    *found = nullptr;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct auth_key *key = &keys->keys[i];
        bool named = key->kid.size > 0 && text_equal(key->kid, kid);
        name_known = name_known || named;
        if (key->algorithm != algorithm) continue;
        algorithm_known = true;
        if (named || (key->kid.size == 0 && *found == nullptr)) *found = key;
        if (named) return JWT_OK;
    }
    if (name_known) return JWT_BAD_ALG; /* that very key, for something else (THREATS.md A2) */
    if (*found != nullptr) return JWT_OK;
    return algorithm_known ? JWT_UNKNOWN_KEY : JWT_BAD_ALG;
}

static const br_hash_class *hash_of(enum jwt_algorithm algorithm)
{
    return algorithm == JWT_HS384   ? &br_sha384_vtable
           : algorithm == JWT_HS512 ? &br_sha512_vtable
                                    : &br_sha256_vtable;
}

constexpr size_t mac_size_max = 64;

static struct bytes make_mac(const struct auth_key *key, struct text text,
                             uint8_t memory[static mac_size_max])
{
    br_hmac_key_context prepared;
    br_hmac_context context;
    br_hmac_key_init(&prepared, hash_of(key->algorithm), key->secret.data, key->secret.size);
    br_hmac_init(&context, &prepared, 0);
    br_hmac_update(&context, text.data, text.size);
    return (struct bytes){memory, br_hmac_out(&context, memory)};
}

static_assert(jwt_digest_size == br_sha256_SIZE);

static void sha256(struct text text, uint8_t digest[static br_sha256_SIZE])
{
    br_sha256_context context;
    br_sha256_init(&context);
    br_sha256_update(&context, text.data, text.size);
    br_sha256_out(&context, digest);
}

static bool rsa_is_right(const struct auth_key *key, struct text text, struct bytes signature)
{
    uint8_t digest[br_sha256_SIZE], found[br_sha256_SIZE];
    const br_rsa_public_key public = {.n = key->secret.data,
                                      .nlen = key->secret.size,
                                      .e = key->exponent.data,
                                      .elen = key->exponent.size};
    if (signature.size != key->secret.size) return false;
    sha256(text, digest);
    uint32_t sound = br_rsa_i31_pkcs1_vrfy(signature.data, signature.size, BR_HASH_OID_SHA256,
                                           sizeof found, &public, found);
    return sound == 1 && memcmp(digest, found, sizeof digest) == 0;
}

static bool is_zero(struct bytes number)
{
    uint8_t any = 0;
    for (size_t i = 0; i < number.size; i++)
        any |= number.data[i];
    return any == 0;
}

/* RFC 7518 §3.4: r and s, 32 bytes each. Neither may be 0 (THREATS.md A5). A high s is as good as a
 * low one: signers of tokens do not choose, and tokens are not told apart by their signatures. */
static bool ecdsa_is_right(const struct auth_key *key, struct text text, struct bytes signature)
{
    uint8_t digest[br_sha256_SIZE];
    const br_ec_public_key public = {
        .curve = BR_EC_secp256r1, .q = key->secret.data, .qlen = key->secret.size};
    if (signature.size != 64) return false;
    if (is_zero((struct bytes){signature.data, 32}) || is_zero(bytes_skip(signature, 32)))
        return false;
    sha256(text, digest);
    return br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, sizeof digest, &public, signature.data,
                                 signature.size) == 1;
}

/* RFC 8037 §3.1: 64 bytes. libsodium refuses an S that is not below the group's order, and
 * points of small order (RFC 8032 §8.4). */
static bool eddsa_is_right(const struct auth_key *key, struct text text, struct bytes signature)
{
    return signature.size == crypto_sign_ed25519_BYTES &&
           crypto_sign_ed25519_verify_detached(signature.data, (const uint8_t *)text.data,
                                               text.size, key->secret.data) == 0;
}

static bool signature_is_right(const struct auth_key *key, const struct token *token,
                               struct bytes scratch)
{
    uint8_t memory[mac_size_max];
    struct writer out = writer_over(scratch.data, jwt_size_max);
    if (!write_base64url_decoded(&out, token->signature)) return false;
    struct bytes signature = writer_bytes(&out);
    switch (key->algorithm) {
    case JWT_RS256: return rsa_is_right(key, token->is_signed, signature);
    case JWT_ES256: return ecdsa_is_right(key, token->is_signed, signature);
    case JWT_EDDSA: return eddsa_is_right(key, token->is_signed, signature);
    default:
        return secret_equal(text_from(signature),
                            text_from(make_mac(key, token->is_signed, memory)));
    }
}

static struct jwt_cache *cache_for(const struct jwt_policy *policy, const struct auth_key *key)
{
    return key->algorithm > JWT_HS512 ? policy->cache : nullptr;
}

/* The whole token's digest is written where its signature was right before, or will be found to
 * be. */
static bool signature_is_known(const struct jwt_policy *policy, const struct auth_key *key,
                               struct text token, int64_t now_s,
                               uint8_t digest[static jwt_digest_size])
{
    struct jwt_cache *cache = cache_for(policy, key);
    if (cache == nullptr) return false;
    sha256(token, digest);
    jwt_cache_use(cache, policy->keys->generation);
    return jwt_cache_knows(cache, digest, now_s);
}

/* A NumericDate (RFC 7519 §2), in whole seconds; fractions are let go. */
static enum jwt_error read_time(const struct json *root, struct text name, bool *there,
                                int64_t *seconds)
{
    constexpr double latest = 253402300799.0; /* the end of the year 9999 */
    const struct json *member = json_member(root, name);
    double number = 0;
    *there = member != nullptr;
    if (member == nullptr) return JWT_OK;
    if (!json_to_number(member, &number) || number < 0 || number > latest) return JWT_BAD_CLAIMS;
    *seconds = (int64_t)number;
    return JWT_OK;
}

static enum jwt_error check_times(const struct jwt_policy *policy, const struct json *root,
                                  int64_t now_s, struct jwt_claims *claims)
{
    bool has_expiry, has_start, has_issue;
    int64_t start_s = 0, issue_s = 0;
    if (read_time(root, TEXT("exp"), &has_expiry, &claims->expires_s) != JWT_OK ||
        read_time(root, TEXT("nbf"), &has_start, &start_s) != JWT_OK ||
        read_time(root, TEXT("iat"), &has_issue, &issue_s) != JWT_OK)
        return JWT_BAD_CLAIMS;
    if (!has_expiry) return JWT_NO_EXPIRY;
    if (now_s >= claims->expires_s + policy->leeway_s) return JWT_EXPIRED;
    if (has_start && now_s + policy->leeway_s < start_s) return JWT_NOT_YET;
    if (has_issue && now_s + policy->leeway_s < issue_s) return JWT_NOT_YET;
    return JWT_OK;
}

/* aud is a string or an array of strings (RFC 7519 §4.1.3). */
static enum jwt_error check_audience(const struct json *audience, struct text wanted)
{
    struct text name;
    if (audience == nullptr) return wanted.size == 0 ? JWT_OK : JWT_BAD_AUDIENCE;
    if (json_to_text(audience, &name))
        return wanted.size == 0 || text_equal(name, wanted) ? JWT_OK : JWT_BAD_AUDIENCE;
    if (!json_is_array(audience)) return JWT_BAD_CLAIMS;
    bool named = wanted.size == 0;
    for (size_t i = 0; i < json_count(audience); i++) {
        if (!json_to_text(json_element(audience, i), &name)) return JWT_BAD_CLAIMS;
        named = named || text_equal(name, wanted);
    }
    return named ? JWT_OK : JWT_BAD_AUDIENCE;
}

static enum jwt_error check_names(const struct jwt_policy *policy, const struct json *root,
                                  struct jwt_claims *claims)
{
    struct text issuer = {};
    const struct json *iss = json_member(root, TEXT("iss")), *sub = json_member(root, TEXT("sub"));
    if (iss != nullptr && !json_to_text(iss, &issuer)) return JWT_BAD_CLAIMS;
    if (sub != nullptr && !json_to_text(sub, &claims->subject)) return JWT_BAD_CLAIMS;
    if (policy->issuer.size > 0 && !text_equal(issuer, policy->issuer)) return JWT_BAD_ISSUER;
    return check_audience(json_member(root, TEXT("aud")), policy->audience);
}

enum jwt_error jwt_check(const struct jwt_policy *policy, struct text token, int64_t now_s,
                         struct bytes scratch, struct jwt_claims *claims)
{
    assert(scratch.size >= jwt_scratch_size);
    struct token parts;
    const struct auth_key *key;
    uint8_t digest[jwt_digest_size];
    if (token.size > jwt_size_max) return JWT_TOO_LONG;
    if (token.size == 0 || !split(token, &parts)) return JWT_MALFORMED;
    const struct json *header = read_object(parts.header, scratch);
    if (header == nullptr) return JWT_MALFORMED;
    if (json_member(header, TEXT("crit")) != nullptr) return JWT_CRITICAL;
    enum jwt_error error = find_key(policy->keys, header, &key);
    if (error != JWT_OK) return error;
    bool known = signature_is_known(policy, key, token, now_s, digest);
    if (!known && !signature_is_right(key, &parts, scratch)) return JWT_BAD_SIGNATURE;
    *claims = (struct jwt_claims){.root = read_object(parts.payload, scratch)};
    if (claims->root == nullptr) return JWT_MALFORMED;
    error = check_times(policy, claims->root, now_s, claims);
    if (error == JWT_OK) error = check_names(policy, claims->root, claims);
    if (error == JWT_OK && !known && cache_for(policy, key) != nullptr)
        jwt_cache_add(policy->cache, digest, claims->expires_s + policy->leeway_s, now_s);
    return error;
}

bool jwt_write_payload(struct writer *out, struct text token)
{
    struct token parts;
    return split(token, &parts) && write_base64url_decoded(out, parts.payload);
}

void jwt_sign(struct writer *out, const struct auth_key *key, struct text is_signed)
{
    assert(key->algorithm <= JWT_HS512);
    uint8_t memory[mac_size_max];
    write_base64url(out, make_mac(key, is_signed, memory));
}

void jwt_write(struct writer *out, const struct auth_key *key, struct text claims)
{
    uint8_t header_memory[64 + 6 * auth_kid_size_max];
    struct writer header = writer_over(header_memory, sizeof header_memory);
    write_text(&header, TEXT("{\"alg\":\""));
    write_text(&header, jwt_algorithm_name(key->algorithm));
    write_text(&header, TEXT("\",\"typ\":\"JWT\""));
    if (key->kid.size > 0) {
        write_text(&header, TEXT(",\"kid\":\""));
        write_json_escaped(&header, key->kid);
        write_byte(&header, '"');
    }
    write_byte(&header, '}');
    size_t start = out->size;
    write_base64url(out, writer_bytes(&header));
    write_byte(out, '.');
    write_base64url(out, (struct bytes){(uint8_t *)(uintptr_t)claims.data, claims.size});
    struct text is_signed = {(const char *)out->data + start, out->size - start};
    write_byte(out, '.');
    jwt_sign(out, key, is_signed);
}
