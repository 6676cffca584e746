/* fuzz/auth_jwt.c: tokens. Input: 1 byte that picks what is checked, and the key; then
 *   0   a token as it is                                          is never right
 *   1   claims, a byte each (see write_claim)                     right exactly when they are
 *   2   before them 3 bytes: a place, and what changes there, or 0: it is cut there
 *                                                                 is never right
 *   3   a header up to a NUL and a payload, as text, signed       right only with the key's own alg
 *
 * Nothing but what is signed with a key of ours is right, and of that what says so. */
#include "auth/jwt.h"
#include "base/base64.h"
#include "script.h"

constexpr int64_t now_s = 1'800'000'000;
constexpr uint32_t leeway_s = 30;
constexpr uint32_t signers = 3; /* the first of the keys: those of HS algorithms */
static struct auth_keys keys;
static const struct jwt_policy policy = {
    .keys = &keys, .issuer = {"us", 2}, .audience = {"game", 4}, .leeway_s = leeway_s};

static void make_keys(void)
{
    static const char set[] =
        "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS384\",\"kid\":\"three\",\"k\":"
        "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"},"
        "{\"kty\":\"oct\",\"alg\":\"HS512\",\"kid\":\"fi\\\"ve\",\"k\":"
        "\"QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","
        "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    static uint8_t memory[json_memory_per_byte * sizeof set + json_memory_fixed];
    if (keys.count > 0) return;
    struct text problem = auth_keys_add_secret(
        &keys, JWT_HS256, TEXT("a secret of these tests, 32 bytes long"), false);
    MUST(problem.size == 0);
    problem = auth_keys_add_jwks(&keys, (struct text){set, sizeof set - 1},
                                 (struct bytes){memory, sizeof memory});
    MUST(problem.size == 0 && keys.count == signers + 2);
}

/* In memory of exactly its size; with signatures remembered, and then without. */
static enum jwt_error check(struct text token, struct jwt_claims *claims)
{
    static uint8_t scratch[jwt_scratch_size];
    static struct jwt_cache cache;
    struct bytes exact = bytes_exact(token.data, token.size);
    struct jwt_policy remembering = policy;
    remembering.cache = &cache;
    enum jwt_error first = jwt_check(&remembering, text_from(exact), now_s,
                                     (struct bytes){scratch, sizeof scratch}, claims);
    enum jwt_error error = jwt_check(&policy, text_from(exact), now_s,
                                     (struct bytes){scratch, sizeof scratch}, claims);
    MUST(first == error && cache.hits == 0); /* nothing that a public key made right is known */
    free(exact.data);
    if (error != JWT_OK) MUST(jwt_error_code(error).size > 0 && jwt_error_sentence(error).size > 0);
    return error;
}

/* ---- claims whose meaning is known ---- */

/* What the claims that were written come to. */
struct meaning {
    bool wrong; /* a claim has the wrong type or value, or is there twice */
    bool seen[6];
    int64_t expires_s;
    const char *subject;
};

enum claim : uint8_t { EXP, NBF, IAT, ISS, AUD, SUB };

/* Bits 0 to 2 of the byte: which claim; the others: its value. */
static void write_claim(struct writer *out, uint8_t byte, struct meaning *meaning)
{
    static const char *const names[] = {"exp", "nbf", "iat", "iss", "aud", "sub"};
    static const char *const issuers[] = {"\"us\"", "\"them\"", "\"\\u0075s\"", "7"};
    static const char *const audiences[] = {"\"game\"",        "[\"x\",\"game\"]", "[]", "\"gam\"",
                                            "[\"game\",\"\"]", "[\"game\",1]",     "{}", "null"};
    static const bool audience_is_right[] = {true, true, false, false, true, false, false, false};
    static const char *const subjects[] = {"player-7", "\xC3\xA9", "", nullptr};
    static const int64_t offsets[] = {1000,
                                      leeway_s + 1,
                                      leeway_s,
                                      1,
                                      0,
                                      -1,
                                      1 - (int64_t)leeway_s,
                                      -(int64_t)leeway_s,
                                      -1 - (int64_t)leeway_s,
                                      -1000};
    uint8_t kind = byte % 8, value = byte / 8;
    if (kind > SUB) return;
    if (out->size > 1) write_byte(out, ',');
    write_format(out, "\"%s\":", names[kind]);
    meaning->wrong = meaning->wrong || meaning->seen[kind];
    meaning->seen[kind] = true;
    if (kind == ISS) {
        write_text(out, text_of(issuers[value % 4]));
        meaning->wrong = meaning->wrong || value % 4 == 1 || value % 4 == 3;
    } else if (kind == AUD) {
        write_text(out, text_of(audiences[value % 8]));
        meaning->wrong = meaning->wrong || !audience_is_right[value % 8];
    } else if (kind == SUB) {
        meaning->subject = subjects[value % 4];
        if (meaning->subject == nullptr)
            write_text(out, TEXT("[]"));
        else
            write_format(out, "\"%s\"", meaning->subject);
        meaning->wrong = meaning->wrong || meaning->subject == nullptr;
    } else if (value >= 10) {
        static const char *const odd[] = {"\"1900000000\"", "-1", "1e300", "null"};
        write_text(out, text_of(odd[value % 4]));
        meaning->wrong = true;
    } else {
        int64_t time_s = now_s + offsets[value];
        write_i64(out, time_s);
        if (value % 2 == 1) write_text(out, TEXT(".75")); /* fractions are let go */
        if (kind == EXP) meaning->expires_s = time_s;
        bool early = kind == EXP ? now_s >= time_s + leeway_s : now_s + leeway_s < time_s;
        meaning->wrong = meaning->wrong || early;
    }
}

static struct meaning write_claims(struct writer *out, struct script *script)
{
    struct meaning meaning = {};
    write_byte(out, '{');
    for (int i = 0; i < 12 && script->size > 0; i++)
        write_claim(out, script_byte(script), &meaning);
    write_byte(out, '}');
    MUST(!out->overflow);
    return meaning;
}

static void check_written(const struct auth_key *key, struct script *script, bool changed)
{
    uint8_t claims_memory[2048], token_memory[4096], payload_memory[2048];
    struct writer claims_text = writer_over(claims_memory, sizeof claims_memory);
    struct writer token = writer_over(token_memory, sizeof token_memory);
    struct writer payload = writer_over(payload_memory, sizeof payload_memory);
    size_t place = changed ? script_number(script) : 0;
    uint8_t change = changed ? script_byte(script) : 0;
    struct meaning meaning = write_claims(&claims_text, script);
    jwt_write(&token, key, text_from(writer_bytes(&claims_text)));
    MUST(!token.overflow);
    MUST(jwt_write_payload(&payload, text_from(writer_bytes(&token))));
    MUST(text_equal(text_from(writer_bytes(&payload)), text_from(writer_bytes(&claims_text))));
    struct jwt_claims claims;
    place %= token.size;
    token_memory[place] ^= change;
    if (changed && change == 0) token.size = place;
    enum jwt_error error = check(text_from(writer_bytes(&token)), &claims);
    bool right = !meaning.wrong && meaning.seen[EXP] && meaning.seen[ISS] && meaning.seen[AUD];
    MUST((error == JWT_OK) == (right && !changed));
    if (error != JWT_OK) {
        if (!changed) MUST(error == JWT_MALFORMED || error >= JWT_BAD_CLAIMS);
        return;
    }
    MUST(claims.expires_s == meaning.expires_s);
    MUST(text_equal(claims.subject, text_of(meaning.subject)));
}

/* ---- any header ---- */

static void check_signed(const struct auth_key *key, struct script *script)
{
    uint8_t memory[16 * 1024], header_memory[json_memory_per_byte * 2048 + json_memory_fixed];
    const uint8_t *end = script->size > 0 ? memchr(script->data, 0, script->size) : nullptr;
    size_t header_size = end != nullptr ? (size_t)(end - script->data) : script->size;
    struct script header = script_part(script, header_size);
    (void)script_byte(script);
    struct bytes header_bytes = bytes_exact(header.data, header.size);
    struct bytes payload = bytes_exact(script->data, script->size);
    struct writer token = writer_over(memory, sizeof memory);
    write_base64url(&token, header_bytes);
    write_byte(&token, '.');
    write_base64url(&token, payload);
    struct text is_signed = text_from(writer_bytes(&token));
    write_byte(&token, '.');
    jwt_sign(&token, key, is_signed);
    struct jwt_claims claims;
    if (check(text_from(writer_bytes(&token)), &claims) == JWT_OK) {
        struct text problem, name, kid = {};
        const struct json *root =
            json_read((struct bytes){header_memory, sizeof header_memory},
                      (struct text){(const char *)header_bytes.data, header.size}, &problem);
        MUST(json_is_object(root) && json_member(root, TEXT("crit")) == nullptr);
        MUST(json_to_text(json_member(root, TEXT("alg")), &name));
        MUST(text_equal(name, jwt_algorithm_name(key->algorithm)));
        (void)!json_to_text(json_member(root, TEXT("kid")), &kid);
        MUST(key->kid.size == 0 || text_equal(kid, key->kid));
        MUST(claims.expires_s + leeway_s > now_s && json_is_object(claims.root));
    }
    free(header_bytes.data);
    free(payload.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct jwt_claims claims;
    make_keys();
    uint8_t choice = script_byte(&script);
    const struct auth_key *key = &keys.keys[choice / 4 % signers];
    switch (choice % 4) {
    case 0:
        MUST(check((struct text){(const char *)script.data, script.size}, &claims) != JWT_OK);
        break;
    case 1: check_written(key, &script, false); break;
    case 2: check_written(key, &script, true); break;
    case 3: check_signed(key, &script); break;
    }
    return 0;
}
