/* base/bytes.h: the two slices that the whole program passes around, and a bounded appender.
 * A slice never owns what it points to; each declaration that takes or gives one says who does. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that may be changed in place: receive buffers, lent storage. `data` may be nullptr when
 * `size` is 0. */
struct bytes {
    uint8_t *data;
    size_t size;
};

/* Characters that nobody changes; not terminated by a zero. `data` may be nullptr when `size` is
 * 0. */
struct text {
    const char *data;
    size_t size;
};

/* A string literal as a text, at compile time. */
#define TEXT(literal) ((struct text){.data = (literal), .size = sizeof(literal) - 1})

/* For printf's "%.*s". */
#define TEXT_ARG(text) (int)(text).size, (text).data

/* A zero-terminated string as a text; the string must outlive it. nullptr gives the empty text. */
static inline struct text text_of(const char *string)
{
    return (struct text){.data = string, .size = string != nullptr ? strlen(string) : 0};
}

/* The same bytes, seen as text. */
static inline struct text text_from(struct bytes bytes)
{
    return (struct text){.data = (const char *)bytes.data, .size = bytes.size};
}

/* Byte for byte; not constant time, so never for secrets (base/random.h has secret_equal). */
static inline bool text_equal(struct text left, struct text right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* ASCII letters compare without case, everything else byte for byte: HTTP's rule for names and
 * tokens. */
bool text_equal_nocase(struct text left, struct text right);

static inline bool text_starts(struct text text, struct text prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/* Without the first `count` bytes; `count` must not exceed the size. */
static inline struct text text_skip(struct text text, size_t count)
{
    if (count == 0) return text; // nothing may be added to nullptr, not even 0
    return (struct text){.data = text.data + count, .size = text.size - count};
}

static inline struct bytes bytes_skip(struct bytes bytes, size_t count)
{
    if (count == 0) return bytes;
    return (struct bytes){.data = bytes.data + count, .size = bytes.size - count};
}

/* Without spaces and tabs at both ends. */
struct text text_trim(struct text text);

/* Reads a whole decimal number: digits only, no sign, no spaces, at most 2^64-1. False when it is
 * anything else. */
[[nodiscard]] bool text_to_u64(struct text text, uint64_t *value);

/* The same with an optional '-' in front, within int64_t. */
[[nodiscard]] bool text_to_i64(struct text text, int64_t *value);

/* The code point that a text, which is not empty, starts with, and the bytes it takes; 0 when they
 * are not valid UTF-8 (RFC 3629). */
[[nodiscard]] size_t text_code_point(struct text text, uint32_t *code_point);

/* How many bytes at the start are printable ASCII, 0x20 to 0x7E: all of most texts, and found
 * many at a time, so that only the others are looked at one by one. */
[[nodiscard]] size_t text_printable(struct text text);

/* Appends to memory that somebody else owns. What does not fit is left out whole and `overflow` is
 * set; it stays set, so one check at the end is enough. */
struct writer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool overflow;
};

static inline struct writer writer_over(void *memory, size_t capacity)
{
    return (struct writer){.data = memory, .capacity = capacity};
}

/* What has been written so far; valid as long as the memory under the writer. */
static inline struct bytes writer_bytes(const struct writer *writer)
{
    return (struct bytes){.data = writer->data, .size = writer->size};
}

void write_text(struct writer *writer, struct text text);
void write_byte(struct writer *writer, uint8_t byte);
void write_fill(struct writer *writer, uint8_t byte, size_t count);
void write_u64(struct writer *writer, uint64_t value);
void write_i64(struct writer *writer, int64_t value);
/* printf into the writer; for cold paths. Needs one byte of room more than it writes. */
[[gnu::format(printf, 2, 3)]] void write_format(struct writer *writer, const char *format, ...);
/* `text` as the inside of a JSON string, always valid: quotes, backslashes and control characters
 * are escaped (RFC 8259 §7), also U+007F to U+009F, U+2028 and U+2029; a byte that is not UTF-8
 * becomes \ufffd. No quotes around. */
void write_json_escaped(struct writer *writer, struct text text);
