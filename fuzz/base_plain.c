/* fuzz/base_plain.c: what strangers write for people to read. Input: code points, written so that
 * few bytes reach the edges of every range (take_code_point), and what is no UTF-8 as it is.
 *
 * Length, trimming, judging and cleaning are what they are code point by code point, by a second
 * list of what cannot be seen; what was cleaned is clean, stays so, and is never longer. */
#include "base/plain.h"
#include "script.h"

constexpr size_t points_max = 512;

static uint32_t take_code_point(struct script *script)
{
    static const uint32_t edges[] = {0x00,   0x09,   0x0d,   0x1f,    0x20,    0x7f,    0x85,
                                     0x9f,   0xa0,   0x1680, 0x1fff,  0x2000,  0x200a,  0x200b,
                                     0x200d, 0x200e, 0x2028, 0x202a,  0x202e,  0x202f,  0x205f,
                                     0x2060, 0x206f, 0x2070, 0x3000,  0xd7ff,  0xe000,  0xfeff,
                                     0xfff9, 0xfffb, 0xffff, 0xdffff, 0xe0001, 0xe0fff, 0x10ffff};
    uint8_t byte = script_byte(script);
    if (byte < 128) return byte;
    if (byte >= 224) return (uint32_t)(byte - 224) << 16 | script_number(script);
    uint32_t edge = edges[(byte - 128) % (sizeof edges / sizeof edges[0])];
    return edge + script_byte(script) % 3 - 1;
}

static void put_utf8(struct pot *pot, uint32_t point)
{
    uint8_t four[] = {(uint8_t)(0xf0 | point >> 18), (uint8_t)(0x80 | (point >> 12 & 63)),
                      (uint8_t)(0x80 | (point >> 6 & 63)), (uint8_t)(0x80 | (point & 63))};
    uint8_t three = (uint8_t)(0xe0 | point >> 12), two = (uint8_t)(0xc0 | point >> 6);
    uint8_t one = (uint8_t)point;
    if (point >= 0x10000) {
        pot_add(pot, four, 4);
    } else if (point >= 0x800) {
        pot_add(pot, &three, 1);
        pot_add(pot, four + 2, 2);
    } else if (point >= 0x80) {
        pot_add(pot, &two, 1);
        pot_add(pot, four + 3, 1);
    } else {
        pot_add(pot, &one, 1);
    }
}

/* Unicode's White_Space (PropList.txt). */
static bool is_white(uint32_t point)
{
    if (point < 0x100) return strchr("\t\n\v\f\r \x85\xa0", (int)point) != nullptr && point != 0;
    return (point >= 0x2000 && point <= 0x200a) || point == 0x1680 || point == 0x2028 ||
           point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}

/* What base/plain.h promises away: controls (Cc, Zl, Zp), Bidi_Control, and what has no width but
 * the joiners U+200C and U+200D. */
static bool is_unseen(uint32_t point)
{
    bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    bool separator = point == 0x2028 || point == 0x2029;
    bool direction = point == 0x200e || point == 0x200f ||
                     (point >> 4 == 0x202 && point % 16 > 9 && point % 16 < 15);
    bool no_width = point == 0x200b || point >> 4 == 0x206 || point == 0xfeff;
    bool note = point == 0xfff9 || point == 0xfffa || point == 0xfffb;
    return control || separator || direction || no_width || note || point >> 12 == 0xe0;
}

struct line {
    uint32_t points[points_max];
    size_t count;
    struct pot wanted; /* cleaned */
    struct bytes text; /* as UTF-8 */
};

static void check_clean(const struct line *line, struct text text)
{
    bool clean = true;
    for (size_t i = 0; i < line->count; i++)
        clean = clean && !is_unseen(line->points[i]);
    struct bytes memory = {malloc(text.size + 1), text.size};
    struct writer out = writer_over(memory.data, memory.size);
    write_plain(&out, text);
    struct text cleaned = text_from(writer_bytes(&out));
    MUST(plain_is_clean(text) == clean);
    MUST(!out.overflow && cleaned.size == line->wanted.size);
    MUST(cleaned.size == 0 || memcmp(cleaned.data, line->wanted.data, cleaned.size) == 0);
    MUST(plain_is_clean(cleaned));
    struct writer again = writer_over(memory.data, cleaned.size);
    struct bytes copy = bytes_exact(cleaned.data, cleaned.size);
    write_plain(&again, text_from(copy));
    MUST(!again.overflow && again.size == copy.size);
    MUST(copy.size == 0 || memcmp(again.data, copy.data, copy.size) == 0);
    free(copy.data);
    free(memory.data);
}

static void check_trim(const struct line *line, struct text text)
{
    size_t first = 0, behind = line->count;
    while (first < behind && is_white(line->points[first]))
        first += 1;
    while (behind > first && is_white(line->points[behind - 1]))
        behind -= 1;
    struct text trimmed = plain_trim(text);
    struct pot wanted = {};
    for (size_t i = first; i < behind; i++)
        put_utf8(&wanted, line->points[i]);
    MUST(trimmed.size == wanted.size && plain_length(trimmed) == behind - first);
    MUST(wanted.size == 0 || memcmp(trimmed.data, wanted.data, wanted.size) == 0);
    MUST(trimmed.size == 0 ||
         (trimmed.data >= text.data && trimmed.data + trimmed.size <= text.data + text.size));
    free(wanted.data);
}

static void read_line(struct line *line, struct script *script)
{
    struct pot pot = {};
    while (script->size > 0 && line->count < points_max) {
        uint32_t point = take_code_point(script);
        if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) continue;
        line->points[line->count++] = point;
        put_utf8(&pot, point);
        if (!is_unseen(point))
            put_utf8(&line->wanted, point);
        else if (is_white(point))
            put_utf8(&line->wanted, ' ');
    }
    line->text = bytes_exact(pot.data, pot.size);
    free(pot.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct bytes raw = bytes_exact(data, size);
    (void)!plain_is_clean(text_from(raw)); /* the one that takes anything */
    struct line line = {};
    read_line(&line, &script);
    struct text text = text_from(line.text);
    MUST(plain_length(text) == line.count);
    check_trim(&line, text);
    check_clean(&line, text);
    free(line.text.data);
    free(line.wanted.data);
    free(raw.data);
    return 0;
}
