#include "token.h"
#include <bearssl.h>
#include <string.h>

/* RFC 4648 §5, without padding. Returns where it ends. */
static char *write_base64url(char *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < size; i += 3) {
        size_t count = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16;
        if (count > 1) bits |= (uint32_t)data[i + 1] << 8;
        if (count > 2) bits |= data[i + 2];
        for (size_t digit = 0; digit <= count; digit++)
            *out++ = digits[bits >> (18 - 6 * digit) & 63];
    }
    return out;
}

void token_sign(char token[static token_size_max], const char *claims, const char *secret)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    br_hmac_key_context key;
    br_hmac_context context;
    uint8_t signature[br_sha256_SIZE];
    char *end = write_base64url(token, (const uint8_t *)header, sizeof header - 1);
    *end++ = '.';
    end = write_base64url(end, (const uint8_t *)claims, strlen(claims));
    br_hmac_key_init(&key, &br_sha256_vtable, secret, strlen(secret));
    br_hmac_init(&context, &key, 0);
    br_hmac_update(&context, token, (size_t)(end - token));
    br_hmac_out(&context, signature);
    *end++ = '.';
    *write_base64url(end, signature, sizeof signature) = '\0';
}
