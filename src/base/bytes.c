#include "base/bytes.h"
#include <assert.h>
#include <stdarg.h>
#include <stdckdint.h>
#include <stdio.h>

static uint8_t lower(char character)
{
    uint8_t byte = (uint8_t)character;
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool text_equal_nocase(struct text left, struct text right)
{
    if (left.size != right.size) return false;
    for (size_t i = 0; i < left.size; i++)
        if (lower(left.data[i]) != lower(right.data[i])) return false;
    return true;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

struct text text_trim(struct text text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = text_skip(text, 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size -= 1;
    return text;
}

bool text_to_u64(struct text text, uint64_t *value)
{
    if (text.size == 0) return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        if (ckd_mul(&sum, sum, 10u)) return false;
        if (ckd_add(&sum, sum, (uint64_t)(text.data[i] - '0'))) return false;
    }
    *value = sum;
    return true;
}

bool text_to_i64(struct text text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;
    if (!text_to_u64(negative ? text_skip(text, 1) : text, &magnitude)) return false;
    if (magnitude > (uint64_t)INT64_MAX + negative) return false;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* The bytes after a lead byte, or 0 for a byte that cannot lead several. */
static size_t continuation_count(uint8_t lead)
{
    if (lead >= 0xC2 && lead <= 0xDF) return 1;
    if (lead >= 0xE0 && lead <= 0xEF) return 2;
    if (lead >= 0xF0 && lead <= 0xF4) return 3;
    return 0;
}

size_t text_code_point(struct text text, uint32_t *code_point)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000}; // anything below is overlong
    assert(text.size > 0);
    uint8_t lead = (uint8_t)text.data[0];
    *code_point = lead;
    if (lead < 0x80) return 1;
    size_t more = continuation_count(lead);
    if (more == 0 || more >= text.size) return 0;
    uint32_t value = lead & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if ((byte & 0xC0) != 0x80) return 0;
        value = value << 6 | (byte & 0x3Fu);
    }
    bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < smallest[more] || value > 0x10FFFF || surrogate) return 0;
    *code_point = value;
    return more + 1;
}

static inline bool is_printable(uint8_t byte)
{
    return (uint8_t)(byte - 0x20) <= 0x7E - 0x20;
}

/* How many bytes at the start are of a kind. Without an early end in the inner loop the compiler
 * makes one comparison of all its bytes. */
[[gnu::always_inline]] static inline size_t size_of_run(struct text text, bool (*is)(uint8_t byte))
{
    constexpr size_t block = 16;
    const uint8_t *data = (const uint8_t *)text.data;
    size_t at = 0;
    for (; text.size - at >= block; at += block) {
        bool all = true;
        for (size_t i = 0; i < block; i++)
            all &= is(data[at + i]);
        if (!all) break;
    }
    while (at < text.size && is(data[at]))
        at += 1;
    return at;
}

size_t text_printable(struct text text)
{
    return size_of_run(text, is_printable);
}

/* Room for `count` more bytes, or nullptr and the overflow is noted. */
static uint8_t *writer_grow(struct writer *writer, size_t count)
{
    assert(writer->size <= writer->capacity);
    if (count > writer->capacity - writer->size) {
        writer->overflow = true;
        return nullptr;
    }
    uint8_t *start = writer->data + writer->size;
    writer->size += count;
    return start;
}

void write_text(struct writer *writer, struct text text)
{
    if (text.size == 0) return;
    uint8_t *start = writer_grow(writer, text.size);
    if (start != nullptr) memcpy(start, text.data, text.size);
}

void write_byte(struct writer *writer, uint8_t byte)
{
    uint8_t *start = writer_grow(writer, 1);
    if (start != nullptr) *start = byte;
}

void write_fill(struct writer *writer, uint8_t byte, size_t count)
{
    if (count == 0) return;
    uint8_t *start = writer_grow(writer, count);
    if (start != nullptr) memset(start, byte, count);
}

/* Writes the number, with a '-' in front when it is negative, as one piece. */
static void write_number(struct writer *writer, uint64_t magnitude, bool negative)
{
    char digits[21]; // 2^64-1 has 20
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (negative) digits[--first] = '-';
    write_text(writer, (struct text){.data = digits + first, .size = sizeof digits - first});
}

void write_u64(struct writer *writer, uint64_t value)
{
    write_number(writer, value, false);
}

void write_i64(struct writer *writer, int64_t value)
{
    write_number(writer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

void write_format(struct writer *writer, const char *format, ...)
{
    assert(writer->size <= writer->capacity);
    size_t room = writer->capacity - writer->size;
    char *start = room > 0 ? (char *)writer->data + writer->size : nullptr;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(start, room, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= room) // the terminating zero needs a byte too
        writer->overflow = true;
    else
        writer->size += (size_t)count;
}

/* True for what a JSON string must not hold as it is, and for what no reader of ours should meet:
 * U+007F to U+009F steer terminals, U+2028 and U+2029 end a line in older JavaScript. */
static bool json_needs_escape(uint32_t code_point)
{
    return code_point < 0x20 || code_point == '"' || code_point == '\\' ||
           (code_point >= 0x7F && code_point <= 0x9F) || code_point == 0x2028 ||
           code_point == 0x2029;
}

/* RFC 8259 §7: the short forms where there are some. */
static void write_json_escape(struct writer *writer, uint32_t code_point)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u'};
    switch (code_point) {
    case '"': write_text(writer, TEXT("\\\"")); return;
    case '\\': write_text(writer, TEXT("\\\\")); return;
    case '\b': write_text(writer, TEXT("\\b")); return;
    case '\f': write_text(writer, TEXT("\\f")); return;
    case '\n': write_text(writer, TEXT("\\n")); return;
    case '\r': write_text(writer, TEXT("\\r")); return;
    case '\t': write_text(writer, TEXT("\\t")); return;
    }
    for (uint32_t digit = 0; digit < 4; digit++)
        escape[2 + digit] = hex[code_point >> (12 - 4 * digit) & 15];
    write_text(writer, (struct text){.data = escape, .size = sizeof escape});
}

/* ASCII that goes out as it is. */
static inline bool is_json_plain(uint8_t byte)
{
    return is_printable(byte) && byte != '"' && byte != '\\';
}

/* The size of the longest start of `text` that goes out as it is. */
static size_t json_plain_size(struct text text)
{
    size_t at = 0;
    while ((at += size_of_run(text_skip(text, at), is_json_plain)) < text.size) {
        uint32_t code_point;
        size_t step = text_code_point(text_skip(text, at), &code_point);
        if (step == 0 || json_needs_escape(code_point)) break;
        at += step;
    }
    return at;
}

void write_json_escaped(struct writer *writer, struct text text)
{
    struct writer trial = *writer; // committed only when all of it fits
    trial.overflow = false;
    while (text.size > 0 && !trial.overflow) {
        size_t plain = json_plain_size(text);
        write_text(&trial, (struct text){.data = text.data, .size = plain});
        text = text_skip(text, plain);
        if (text.size == 0) break;
        uint32_t code_point;
        size_t step = text_code_point(text, &code_point);
        write_json_escape(&trial, step > 0 ? code_point : 0xFFFD);
        text = text_skip(text, step > 0 ? step : 1);
    }
    if (trial.overflow)
        writer->overflow = true;
    else
        writer->size = trial.size;
}
