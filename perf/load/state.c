#include "state.h"
#include <stdckdint.h>
#include <string.h>

struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

struct word {
    const uint8_t *data;
    size_t size;
};

static bool take_byte(struct scan *scan, uint8_t byte)
{
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at += 1;
    return true;
}

/* A string without escapes; RFC 8259 §7 has no raw control characters either. */
static bool take_string(struct scan *scan, struct word *word)
{
    if (!take_byte(scan, '"')) return false;
    const uint8_t *close = memchr(scan->at, '"', (size_t)(scan->end - scan->at));
    if (close == nullptr) return false;
    *word = (struct word){.data = scan->at, .size = (size_t)(close - scan->at)};
    for (size_t i = 0; i < word->size; i++)
        if (word->data[i] == '\\' || word->data[i] < 0x20) return false;
    scan->at = close + 1;
    return true;
}

/* Digits without a leading zero (RFC 8259 §6), within 64 bits. */
static bool take_number(struct scan *scan, uint64_t *value)
{
    const uint8_t *start = scan->at;
    *value = 0;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++)
        if (ckd_mul(value, *value, 10) || ckd_add(value, *value, (uint64_t)(*scan->at - '0')))
            return false;
    size_t digits = (size_t)(scan->at - start);
    return digits == 1 || (digits > 1 && *start != '0');
}

static bool is_name(struct word word, uint8_t letter)
{
    return word.size == 1 && word.data[0] == letter;
}

struct found {
    unsigned encoded;
    unsigned sequence;
};

static bool take_member(struct scan *scan, struct state_stamp *stamp, struct found *found)
{
    struct word name, string;
    uint64_t number;
    if (!take_string(scan, &name) || !take_byte(scan, ':') || scan->at == scan->end) return false;
    if (*scan->at == '"') return take_string(scan, &string);
    if (!take_number(scan, &number)) return false;
    if (is_name(name, 't')) {
        stamp->encoded_ns = number;
        found->encoded += 1;
    } else if (is_name(name, 's')) {
        stamp->sequence = number;
        found->sequence += 1;
    }
    return true;
}

const char *state_read(const uint8_t *text, size_t size, struct state_stamp *stamp)
{
    static const char malformed[] = "not a flat JSON object of strings and whole numbers";
    struct scan scan = {.at = text, .end = text + size};
    struct found found = {};
    if (!take_byte(&scan, '{')) return malformed;
    do {
        if (!take_member(&scan, stamp, &found)) return malformed;
    } while (take_byte(&scan, ','));
    if (!take_byte(&scan, '}') || scan.at != scan.end) return malformed;
    if (found.encoded != 1 || found.sequence != 1)
        return "without one \"t\" and one \"s\"; start the server with --kart-stamp";
    return nullptr;
}
