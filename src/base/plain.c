#include "base/plain.h"
#include <assert.h>

struct range {
    uint32_t first, last;
};

static bool is_among(uint32_t code_point, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code_point >= ranges[i].first && code_point <= ranges[i].last) return true;
    return false;
}

static bool is_space(uint32_t code_point)
{
    static const struct range spaces[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
    };
    return is_among(code_point, spaces, sizeof spaces / sizeof spaces[0]);
}

static bool is_forbidden(uint32_t code_point)
{
    static const struct range forbidden[] = {
        {0x00, 0x1f},       // C0
        {0x7f, 0x9f},       // delete, C1
        {0x200b, 0x200b},   // zero width space; the two joiners behind it stay
        {0x200e, 0x200f},   // marks of direction
        {0x2028, 0x2029},   // separators of lines and paragraphs
        {0x202a, 0x202e},   // embeddings and overrides of direction
        {0x2060, 0x206f},   // word joiner, invisible operators, isolates, and what is deprecated
        {0xfeff, 0xfeff},   // byte order mark
        {0xfff9, 0xfffb},   // interlinear annotation
        {0xe0000, 0xe0fff}, // tags: invisible copies of ASCII
    };
    return is_among(code_point, forbidden, sizeof forbidden / sizeof forbidden[0]);
}

size_t plain_length(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) // each begins with a byte that continues none
        if (((uint8_t)text.data[i] & 0xc0) != 0x80) count += 1;
    return count;
}

struct text plain_cut(struct text text, size_t count)
{
    size_t size = 0;
    for (; size < text.size; size++) {
        if (((uint8_t)text.data[size] & 0xc0) == 0x80) continue;
        if (count == 0) break;
        count -= 1;
    }
    return (struct text){text.data, size};
}

/* How many bytes at the end are its last code point. */
static size_t last_size(struct text text)
{
    size_t size = 1;
    while (size < text.size && ((uint8_t)text.data[text.size - size] & 0xc0) == 0x80)
        size += 1;
    return size;
}

struct text plain_trim(struct text text)
{
    uint32_t code_point = 0;
    while (text.size > 0) {
        size_t size = text_code_point(text, &code_point);
        if (size == 0 || !is_space(code_point)) break;
        text = text_skip(text, size);
    }
    while (text.size > 0) {
        size_t size = last_size(text);
        struct text last = {text.data + text.size - size, size};
        if (text_code_point(last, &code_point) == 0 || !is_space(code_point)) break;
        text.size -= size;
    }
    return text;
}

bool plain_is_clean(struct text text)
{
    uint32_t code_point = 0;
    while (text.size > 0) {
        size_t size = text_code_point(text, &code_point);
        if (size == 0 || is_forbidden(code_point)) return false;
        text = text_skip(text, size);
    }
    return true;
}

void write_plain(struct writer *out, struct text text)
{
    uint32_t code_point = 0;
    while (text.size > 0) {
        size_t size = text_code_point(text, &code_point);
        assert(size > 0);
        if (!is_forbidden(code_point))
            write_text(out, (struct text){text.data, size});
        else if (is_space(code_point))
            write_byte(out, ' ');
        text = text_skip(text, size);
    }
}
