#include "auth/jwt.h"
#include "base/base64.h"
#include "check.h"

/* RFC 7515 Appendix A.1 to A.3: one payload ("iss" is joe, "exp" is 1300819380), three keys. */
#define RFC_PAYLOAD                                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19y" \
    "b290Ijp0cnVlfQ"
static const int64_t rfc_expiry = 1300819380;
static const char rfc_hs256_key[] =
    "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
    "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";
static const char rfc_hs256[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD
                                ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
#define RFC_MODULUS                                                                 \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"         \
    "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"                           \
    "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-" \
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"             \
    "I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
static const char rfc_rs256_key[] = "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RFC_MODULUS "\"}";
static const char rfc_rs256[] =
    "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-"
    "0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
    "xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlV"
    "mtVrBp0igcN_IoypGlUPQGe77Rw";
static const char rfc_es256_key[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char rfc_es256[] =
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djx"
    "La8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/* The key of RFC 8032 §7.1, TEST 1, and RFC 8037 §A.1. */
#define RFC_POINT "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
static const char rfc_eddsa_key[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_POINT "\"}";
static const char eddsa[] =
    "eyJhbGciOiJFZERTQSJ9." RFC_PAYLOAD "._vSpFAYzQd76KTga_fKXdhrh3C0FWu4LvjqsxWd4NRyBOrKTdBeh_"
    "PkyRQtFmRgGKgdW5upgieZM67Gbz4AtAA";

static const char secret[] = "a secret of thirty-two bytes, 012";
static const int64_t now_s = 1'800'000'000;

static struct auth_keys keys;
static struct jwt_policy policy;
static struct jwt_claims claims;
static uint8_t scratch[jwt_scratch_size];

static void no_keys(void)
{
    keys.count = 0;
    keys.used = 0;
    policy = (struct jwt_policy){.keys = &keys, .leeway_s = 30};
}

static struct text add_jwks(struct text document)
{
    static uint8_t memory[64 * 1024];
    return auth_keys_add_jwks(&keys, document, (struct bytes){memory, sizeof memory});
}

static void one_key(const char *jwk)
{
    no_keys();
    EXPECT_TEXT(add_jwks(text_of(jwk)), "");
}

static void one_secret(void)
{
    no_keys();
    EXPECT_TEXT(auth_keys_add_secret(&keys, JWT_HS256, text_of(secret), false), "");
}

static enum jwt_error check(struct text token, int64_t time_s)
{
    return jwt_check(&policy, token, time_s, (struct bytes){scratch, sizeof scratch}, &claims);
}

/* A token with this header and payload, rightly signed by the first key. */
static struct text sign(const char *header, const char *payload)
{
    static uint8_t memory[16 * 1024], mac_memory[16 * 1024];
    struct writer out = writer_over(memory, sizeof memory);
    write_base64url(&out, (struct bytes){(uint8_t *)(uintptr_t)header, strlen(header)});
    write_byte(&out, '.');
    write_base64url(&out, (struct bytes){(uint8_t *)(uintptr_t)payload, strlen(payload)});
    struct writer signature = writer_over(mac_memory, sizeof mac_memory);
    jwt_sign(&signature, &keys.keys[0], text_from(writer_bytes(&out)));
    write_byte(&out, '.');
    write_text(&out, text_from(writer_bytes(&signature)));
    return text_from(writer_bytes(&out));
}

static enum jwt_error check_payload(const char *payload)
{
    return check(sign("{\"alg\":\"HS256\"}", payload), now_s);
}

static enum jwt_error check_header(const char *header)
{
    return check(sign(header, "{\"exp\":1900000000}"), now_s);
}

TEST("the examples of RFC 7515, and one of EdDSA, are right until they expire")
{
    static const struct {
        const char *key, *token;
    } examples[] = {{rfc_hs256_key, rfc_hs256},
                    {rfc_rs256_key, rfc_rs256},
                    {rfc_es256_key, rfc_es256},
                    {rfc_eddsa_key, eddsa}};
    for (size_t i = 0; i < 4; i++) {
        one_key(examples[i].key);
        EXPECT(check(text_of(examples[i].token), rfc_expiry - 1) == JWT_OK);
        EXPECT(claims.expires_s == rfc_expiry);
        EXPECT(check(text_of(examples[i].token), rfc_expiry + 29) == JWT_OK); /* the leeway */
        EXPECT(check(text_of(examples[i].token), rfc_expiry + 30) == JWT_EXPIRED);
    }
}

TEST("any byte of the signature that is different makes it wrong")
{
    static const struct {
        const char *key, *token;
    } examples[] = {{rfc_hs256_key, rfc_hs256},
                    {rfc_rs256_key, rfc_rs256},
                    {rfc_es256_key, rfc_es256},
                    {rfc_eddsa_key, eddsa}};
    for (size_t i = 0; i < 4; i++) {
        char token[1024];
        size_t size = strlen(examples[i].token);
        one_key(examples[i].key);
        memcpy(token, examples[i].token, size);
        size_t signature = (size_t)(strrchr(examples[i].token, '.') - examples[i].token) + 1;
        size_t step = i == 0 ? 1 : 16;
        for (size_t at = signature; at < size; at += step) {
            token[at] = token[at] == 'A' ? 'B' : 'A';
            EXPECT(check((struct text){token, size}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
            token[at] = examples[i].token[at];
        }
        EXPECT(check((struct text){token, size - 2}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
        EXPECT(check((struct text){token, signature}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
    }
}

TEST("no algorithm is none, in any spelling, or missing (THREATS.md A1)")
{
    static const char *const headers[] = {"{\"alg\":\"none\"}",
                                          "{\"alg\":\"None\"}",
                                          "{\"alg\":\"nOnE\"}",
                                          "{\"alg\":\"\"}",
                                          "{}",
                                          "{\"alg\":null}",
                                          "{\"alg\":256}",
                                          "{\"alg\":\"hs256\"}",
                                          "{\"ALG\":\"HS256\"}",
                                          "{\"alg\":\"HS256 \"}"};
    one_secret();
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        EXPECT(check_header(headers[i]) == JWT_BAD_ALG);
    EXPECT(check(TEXT("eyJhbGciOiJub25lIn0." RFC_PAYLOAD "."), rfc_expiry - 1) == JWT_BAD_ALG);
}

TEST("a public key is never taken for a secret (THREATS.md A2)")
{
    one_key(rfc_rs256_key);
    EXPECT(check(text_of(rfc_hs256), rfc_expiry - 1) == JWT_BAD_ALG);
    EXPECT(check(text_of(rfc_es256), rfc_expiry - 1) == JWT_BAD_ALG);
    /* The modulus as an HS256 secret, signed by who knows it: everybody. */
    no_keys();
    static const char oct[] =
        "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"r\",\"k\":\"" RFC_MODULUS "\"}";
    EXPECT_TEXT(add_jwks(text_of(oct)), "");
    struct text forged = sign("{\"alg\":\"HS256\",\"kid\":\"r\"}", "{\"exp\":1900000000}");
    static const char rsa[] =
        "{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\"" RFC_MODULUS "\"}";
    one_key(rsa);
    EXPECT_TEXT(auth_keys_add_secret(&keys, JWT_HS256, text_of(secret), false), "");
    EXPECT(check(forged, now_s) == JWT_BAD_ALG);
}

TEST("a kid is looked up, exactly, among the keys that there are (THREATS.md A3)")
{
    no_keys();
    EXPECT_TEXT(add_jwks(TEXT("{\"keys\":["
                              "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"one\",\"k\":"
                              "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"},"
                              "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"two\",\"k\":"
                              "\"QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI\"}]}")),
                "");
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"one\"}") == JWT_OK);
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"two\"}") == JWT_BAD_SIGNATURE);
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"One\"}") == JWT_UNKNOWN_KEY);
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"../one\"}") == JWT_UNKNOWN_KEY);
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"one\\u0000\"}") == JWT_UNKNOWN_KEY);
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":7}") == JWT_MALFORMED);
    EXPECT(check_header("{\"alg\":\"HS256\"}") == JWT_UNKNOWN_KEY);
    one_secret(); /* has no name, so it serves any */
    EXPECT(check_header("{\"alg\":\"HS256\",\"kid\":\"whatever\"}") == JWT_OK);
}

TEST("keys that a token brings along are ignored, and crit is refused (THREATS.md A4, A9)")
{
    one_secret();
    EXPECT(check_header("{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1/"
                        "\",\"jwk\":{\"kty\":\"oct\"},\"x5c\":[]}") == JWT_OK);
    EXPECT(check_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}") == JWT_CRITICAL);
    EXPECT(check_header("{\"alg\":\"HS256\",\"crit\":[]}") == JWT_CRITICAL);
}

TEST("RFC 8037 §A.4: the signature is right, and its payload no token's; Ed25519 is EdDSA (RFC "
     "9864)")
{
    one_key(rfc_eddsa_key);
    EXPECT(
        check(TEXT("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                   "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_"
                   "MuM0KAg"),
              now_s) == JWT_MALFORMED);
    EXPECT(
        check(TEXT("eyJhbGciOiJFZDI1NTE5In0." RFC_PAYLOAD
                   ".Ijjmi62YnXMI7BuF33YSKQvfqxZuuDrJOp8nGP8AINJpsC17f_QlO8hNZXOR8PistGEyvZi92pXQm-"
                   "NSDW8ABw"),
              rfc_expiry - 1) == JWT_OK);
    one_key("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"Ed25519\",\"x\":\"" RFC_POINT "\"}");
    EXPECT(check(text_of(eddsa), rfc_expiry - 1) == JWT_OK);
    EXPECT(check(text_of(rfc_es256), rfc_expiry - 1) == JWT_BAD_ALG);
}

TEST("an EdDSA signature that somebody has added the group's order to is wrong (THREATS.md A5)")
{
    one_key(rfc_eddsa_key);
    EXPECT(check(TEXT("eyJhbGciOiJFZERTQSJ9." RFC_PAYLOAD
                      "._vSpFAYzQd76KTga_fKXdhrh3C0FWu4LvjqsxWd4NRxuDqjwjnqzVNDPPK4jk_"
                      "caKgdW5upgieZM67Gbz4AtEA"),
                 rfc_expiry - 1) == JWT_BAD_SIGNATURE);
}

TEST("an ECDSA signature of zeros, or not 64 bytes long, is wrong (THREATS.md A5)")
{
    char token[512];
    one_key(rfc_es256_key);
    size_t signature = (size_t)(strrchr(rfc_es256, '.') - rfc_es256) + 1;
    memcpy(token, rfc_es256, sizeof rfc_es256);
    memset(token + signature, 'A', 86);
    EXPECT(check((struct text){token, signature + 86}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
    memcpy(token, rfc_es256, sizeof rfc_es256);
    memset(token + signature, 'A', 42); /* r */
    EXPECT(check((struct text){token, signature + 86}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
    EXPECT(check((struct text){token, signature + 84}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
}

TEST("weak and broken keys are refused where they are read (THREATS.md A5, A6, A13)")
{
    static const struct {
        const char *jwk, *problem;
    } refused[] = {
        {"{\"kty\":\"RSA\",\"e\":\"AQ\",\"n\":\"" RFC_MODULUS "\"}", "odd exponent"},
        {"{\"kty\":\"RSA\",\"e\":\"AAE\",\"n\":\"" RFC_MODULUS "\"}", "odd exponent"},
        {"{\"kty\":\"RSA\",\"e\":\"Ag\",\"n\":\"" RFC_MODULUS "\"}", "odd exponent"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"qqqqqqqq\"}", "2048 to 4096"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "needs n and e"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
         "no point"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE\","
         "\"y\":\"AA\"}",
         "x and y"},
        {"{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"c2hvcnQ\"}", "guessed"},
        {"{\"kty\":\"oct\",\"k\":\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"}", "needs alg"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", "holds no key"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"ES256\",\"x\":\"" RFC_POINT "\"}",
         "holds no key"},
        {"{\"kty\":\"OKP\",\"x\":\"" RFC_POINT "\"}", "needs the curve"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", "needs x"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         "no point"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         "no point"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
         "no point"},
        {"{\"kty\":\"RSA\",\"use\":\"enc\",\"e\":\"AQAB\",\"n\":\"" RFC_MODULUS "\"}",
         "holds no key"},
        {"{\"keys\":[]}", "holds no key"},
        {"{\"keys\":{}}", "no array"},
        {"{\"keys\":[1]}", "no kty"},
        {"[]", "not a JSON object"},
        {"{", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        no_keys();
        struct text problem = add_jwks(text_of(refused[i].jwk));
        if (memmem(problem.data, problem.size, refused[i].problem, strlen(refused[i].problem)) ==
            nullptr)
            check_failed(__FILE__, __LINE__, "%s: %.*s", refused[i].jwk, TEXT_ARG(problem));
        EXPECT(keys.count == 0 && keys.used == 0);
    }
    no_keys();
    EXPECT(auth_keys_add_secret(&keys, JWT_HS256, TEXT(""), true).size > 0);
    EXPECT(auth_keys_add_secret(&keys, JWT_HS256, TEXT("defaultkey"), false).size > 0);
    EXPECT(auth_keys_add_secret(&keys, JWT_HS256, TEXT("defaultkey"), true).size == 0);
}

TEST("a set with one broken key changes nothing; keys for other uses are passed over")
{
    one_secret();
    EXPECT(add_jwks(TEXT("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"good\",\"k\":"
                         "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"},"
                         "{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"bad\",\"k\":\"QUFB\"}]}"))
               .size > 0);
    EXPECT(keys.count == 1);
    EXPECT(add_jwks(TEXT("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"},"
                         "{\"kty\":\"oct\",\"alg\":\"HS512\",\"kid\":\"good\",\"k\":"
                         "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"}]}"))
               .size == 0);
    EXPECT(keys.count == 2 && keys.keys[1].algorithm == JWT_HS512);
    EXPECT(add_jwks(TEXT("{\"kty\":\"oct\",\"alg\":\"HS512\",\"kid\":\"good\",\"k\":"
                         "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"}"))
               .size > 0); /* doubled */
}

TEST("what is no token is malformed, whatever is wrong with it (THREATS.md A7)")
{
    static const char *const wrong[] = {"",
                                        ".",
                                        "..",
                                        "...",
                                        "a.b.c",
                                        "eyJhbGciOiJIUzI1NiJ9",
                                        "eyJhbGciOiJIUzI1NiJ9.e30",
                                        "eyJhbGciOiJIUzI1NiJ9.e30.a.b",
                                        "eyJhbGciOiJIUzI1NiJ9==.e30.AAAA",
                                        " eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
                                        "W10.e30.AAAA",
                                        "eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AAAA"};
    one_secret();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (check(text_of(wrong[i]), now_s) != JWT_MALFORMED)
            check_failed(__FILE__, __LINE__, "%s", wrong[i]);
    static char long_token[jwt_size_max + 1];
    memset(long_token, 'a', sizeof long_token);
    EXPECT(check((struct text){long_token, sizeof long_token}, now_s) == JWT_TOO_LONG);
    EXPECT(check((struct text){long_token, sizeof long_token - 1}, now_s) == JWT_MALFORMED);
    EXPECT(check_payload("[1]") == JWT_MALFORMED);
    EXPECT(check_payload("{\"exp\":1900000000,\"sub\":\"a\",\"sub\":\"b\"}") == JWT_MALFORMED);
}

TEST("exp must be there, a number, and ahead; nbf and iat must be past (THREATS.md A8)")
{
    one_secret();
    EXPECT(check_payload("{}") == JWT_NO_EXPIRY);
    EXPECT(check_payload("{\"exp\":\"1900000000\"}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":null}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":-1}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":1e18}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":1900000000.5}") == JWT_OK);
    EXPECT(check_payload("{\"exp\":1.9e9}") == JWT_OK && claims.expires_s == 1'900'000'000);
    EXPECT(check_payload("{\"exp\":1799999970}") == JWT_EXPIRED);
    EXPECT(check_payload("{\"exp\":1799999971}") == JWT_OK);
    EXPECT(check_payload("{\"exp\":1900000000,\"nbf\":1800000030}") == JWT_OK);
    EXPECT(check_payload("{\"exp\":1900000000,\"nbf\":1800000031}") == JWT_NOT_YET);
    EXPECT(check_payload("{\"exp\":1900000000,\"iat\":1800000031}") == JWT_NOT_YET);
    EXPECT(check_payload("{\"exp\":1900000000,\"nbf\":\"0\"}") == JWT_BAD_CLAIMS);
}

TEST("iss and aud must be what is asked for, when something is (THREATS.md A11)")
{
    one_secret();
    EXPECT(check_payload("{\"exp\":1900000000,\"aud\":\"other\",\"iss\":\"other\"}") == JWT_OK);
    policy.issuer = TEXT("us");
    EXPECT(check_payload("{\"exp\":1900000000}") == JWT_BAD_ISSUER);
    EXPECT(check_payload("{\"exp\":1900000000,\"iss\":\"US\"}") == JWT_BAD_ISSUER);
    EXPECT(check_payload("{\"exp\":1900000000,\"iss\":1}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":1900000000,\"iss\":\"us\"}") == JWT_OK);
    policy = (struct jwt_policy){.keys = &keys, .audience = TEXT("game"), .leeway_s = 30};
    EXPECT(check_payload("{\"exp\":1900000000}") == JWT_BAD_AUDIENCE);
    EXPECT(check_payload("{\"exp\":1900000000,\"aud\":\"games\"}") == JWT_BAD_AUDIENCE);
    EXPECT(check_payload("{\"exp\":1900000000,\"aud\":[\"x\",\"game\"]}") == JWT_OK);
    EXPECT(check_payload("{\"exp\":1900000000,\"aud\":[\"game\",1]}") == JWT_BAD_CLAIMS);
    EXPECT(check_payload("{\"exp\":1900000000,\"aud\":{}}") == JWT_BAD_CLAIMS);
}

TEST("what is written is read back, by each HS algorithm, with its claims")
{
    for (uint8_t i = 0; i <= JWT_HS512; i++) {
        static uint8_t memory[1024];
        struct writer out = writer_over(memory, sizeof memory);
        no_keys();
        EXPECT_TEXT(auth_keys_add_secret(&keys, (enum jwt_algorithm)i, text_of(secret), false), "");
        jwt_write(&out, &keys.keys[0], TEXT("{\"sub\":\"ann\",\"exp\":1900000000,\"room\":\"r\"}"));
        EXPECT(check(text_from(writer_bytes(&out)), now_s) == JWT_OK);
        EXPECT_TEXT(claims.subject, "ann");
        struct text room;
        EXPECT(json_to_text(json_member(claims.root, TEXT("room")), &room));
        EXPECT_TEXT(room, "r");
    }
}

/* --- Signatures that are remembered (auth/cache.h) ------------------------------------------- */

static struct jwt_cache cache;

static const struct {
    const char *key, *token;
} slow_examples[] = {{rfc_rs256_key, rfc_rs256}, {rfc_es256_key, rfc_es256}};

static void one_key_and_cache(const char *jwk)
{
    one_key(jwk);
    memset(&cache, 0, sizeof cache);
    policy.cache = &cache;
}

TEST("a signature is computed once, and what the token says is judged each time (A8, A10, A11)")
{
    for (size_t i = 0; i < 2; i++) {
        struct text token = text_of(slow_examples[i].token);
        one_key_and_cache(slow_examples[i].key);
        EXPECT(check(token, rfc_expiry - 1) == JWT_OK);
        EXPECT(check(token, rfc_expiry - 1) == JWT_OK);
        EXPECT(claims.expires_s == rfc_expiry);
        EXPECT_EQ(cache.misses, 1);
        EXPECT_EQ(cache.hits, 1);
        EXPECT(check(token, rfc_expiry + 29) == JWT_OK);
        EXPECT(check(token, rfc_expiry + 30) == JWT_EXPIRED);
        EXPECT(check(token, rfc_expiry - 1) == JWT_OK);
        policy.issuer = TEXT("jim");
        EXPECT(check(token, rfc_expiry - 1) == JWT_BAD_ISSUER);
        policy.issuer = TEXT("joe");
        EXPECT(check(token, rfc_expiry - 1) == JWT_OK);
        policy.audience = TEXT("us");
        EXPECT(check(token, rfc_expiry - 1) == JWT_BAD_AUDIENCE);
    }
}

TEST("any byte of a remembered token that is different makes another token of it (A10)")
{
    for (size_t i = 0; i < 2; i++) {
        char token[1024];
        size_t size = strlen(slow_examples[i].token);
        one_key_and_cache(slow_examples[i].key);
        memcpy(token, slow_examples[i].token, size);
        EXPECT(check((struct text){token, size}, rfc_expiry - 1) == JWT_OK);
        for (size_t at = 0; at < size; at += 16) {
            token[at] = token[at] == 'A' ? 'B' : 'A';
            EXPECT(check((struct text){token, size}, rfc_expiry - 1) != JWT_OK);
            EXPECT(check((struct text){token, size}, rfc_expiry - 1) != JWT_OK);
            token[at] = slow_examples[i].token[at];
        }
        EXPECT_EQ(cache.hits, 0); /* what is wrong is not remembered */
        EXPECT(check((struct text){token, size - 1}, rfc_expiry - 1) == JWT_BAD_SIGNATURE);
    }
}

TEST("a remembered token is nothing by other keys, also of the same name (A2, A10, O3)")
{
    one_key_and_cache(rfc_es256_key);
    EXPECT(check(text_of(rfc_es256), rfc_expiry - 1) == JWT_OK);
    one_key(rfc_rs256_key); /* the key is gone */
    policy.cache = &cache;
    EXPECT(check(text_of(rfc_es256), rfc_expiry - 1) == JWT_BAD_ALG);
    /* another one without a name, of RFC 7517 A.1 */
    one_key(
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}");
    policy.cache = &cache;
    keys.generation += 1;
    EXPECT(check(text_of(rfc_es256), rfc_expiry - 1) == JWT_BAD_SIGNATURE);
    EXPECT_EQ(cache.hits, 0);
    keys.generation = 0;
}

TEST("a token that is refused for what it says is not remembered, nor one of an HS algorithm")
{
    one_key_and_cache(rfc_es256_key);
    EXPECT(check(text_of(rfc_es256), rfc_expiry + 100) == JWT_EXPIRED);
    EXPECT(check(text_of(rfc_es256), rfc_expiry + 100) == JWT_EXPIRED);
    EXPECT_EQ(cache.hits, 0);
    one_key_and_cache(rfc_hs256_key);
    EXPECT(check(text_of(rfc_hs256), rfc_expiry - 1) == JWT_OK);
    EXPECT(check(text_of(rfc_hs256), rfc_expiry - 1) == JWT_OK);
    EXPECT_EQ(cache.hits + cache.misses, 0);
}
