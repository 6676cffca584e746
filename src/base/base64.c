#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 0 to 63, or 64 for what is no digit. */
static uint32_t digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : 64;
}

bool write_base64url_decoded(struct writer *out, struct text digits)
{
    size_t size = base64url_decoded_size(digits.size);
    if (digits.size % 4 == 1 || out->overflow) return false;
    if (size > out->capacity - out->size) {
        out->overflow = true;
        return false;
    }
    uint8_t *to = out->data + out->size;
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < digits.size; i++) {
        uint32_t value = digit_value(digits.data[i]);
        if (value > 63) return false;
        bits = (bits << 6 | value) & 0xffff;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        *to++ = (uint8_t)(bits >> held);
    }
    if ((bits & ((1u << held) - 1)) != 0) return false;
    out->size += size;
    return true;
}

void write_base64url(struct writer *out, struct bytes bytes)
{
    uint32_t bits = 0, held = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = (bits << 8 | bytes.data[i]) & 0xffff;
        held += 8;
        for (; held >= 6; held -= 6)
            write_byte(out, (uint8_t)alphabet[bits >> (held - 6) & 63]);
    }
    if (held > 0) write_byte(out, (uint8_t)alphabet[bits << (6 - held) & 63]);
}
