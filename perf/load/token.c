#include "token.h"
#include <assert.h>
#include <bearssl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* base64url without padding (RFC 7515 §2), and a zero. Returns the size without it. */
static size_t write_base64url(char *out, const void *memory, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *data = memory;
    const char *start = out;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | data[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    if (held > 0) *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
    return (size_t)(out - start);
}

static void sign(uint8_t signature[static br_sha256_SIZE], const char *secret, const char *text,
                 size_t size)
{
    br_hmac_key_context key;
    br_hmac_context context;
    br_hmac_key_init(&key, &br_sha256_vtable, secret, strlen(secret));
    br_hmac_init(&context, &key, 0);
    br_hmac_update(&context, text, size);
    br_hmac_out(&context, signature);
}

static int write_claims(char *text, size_t capacity, const struct token_claims *claims)
{
    if (claims->subject != nullptr)
        return snprintf(text, capacity, "{\"sub\":\"%s\",\"exp\":%" PRIu64 "}", claims->subject,
                        claims->expires_s);
    return snprintf(text, capacity,
                    "{\"room_id\":\"%s\",\"room_player_id\":\"%s\",\"display_name\":\"%s\","
                    "\"jti\":\"%" PRIu64 "\",\"exp\":%" PRIu64 "}",
                    claims->room, claims->player, claims->name, claims->id, claims->expires_s);
}

void token_write(char out[static handshake_token_max], const char *secret,
                 const struct token_claims *claims)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char text[512];
    uint8_t signature[br_sha256_SIZE];
    int text_size = write_claims(text, sizeof text, claims);
    assert(text_size > 0 && (size_t)text_size < sizeof text);
    size_t size = write_base64url(out, header, sizeof header - 1);
    out[size++] = '.';
    size += write_base64url(out + size, text, (size_t)text_size);
    sign(signature, secret, out, size);
    out[size++] = '.';
    write_base64url(out + size, signature, sizeof signature);
}
