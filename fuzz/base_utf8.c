/* fuzz/base_utf8.c: in whatever pieces a text comes, the validator says what arithmetic says,
 * and at the same byte. Input: a seed for the pieces (2 bytes), then the text. RFC 3629. */
#include "base/cpu.h"
#include "base/utf8.h"
#include "script.h"

/* How many bytes a code point takes that begins so; 0: none does. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first < 0xC0 || first > 0xF7) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* True when some code point is encoded in `length` bytes that begin with these `size`: the values
 * that are still possible are a range, which must hold one that is allowed. */
static bool can_become(const uint8_t *bytes, size_t size, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < size; i++) {
        if (bytes[i] / 64 != 2) return false;
        value = value * 64 + bytes[i] % 64;
    }
    uint32_t width = 1;
    for (size_t i = size; i < length; i++)
        width *= 64;
    uint32_t from = value * width, to = from + width - 1;
    if (from < least[length]) from = least[length];
    if (to > 0x10FFFF) to = 0x10FFFF;
    if (from > to) return false;
    return from < 0xD800 || to > 0xDFFF;
}

/* The index of the first byte that no continuation can mend, or the size. *complete: whether the
 * text before it ends with a code point. */
static size_t first_wrong(const uint8_t *text, size_t size, bool *complete)
{
    size_t start = 0;
    *complete = true;
    for (size_t i = 0; i < size; i++) {
        size_t length = length_of(text[start]);
        if (length == 0 || !can_become(text + start, i - start + 1, length)) return i;
        *complete = i - start + 1 == length;
        if (*complete) start = i + 1;
    }
    return size;
}

/* Pieces of exact size. */
static void feed(struct script text, uint32_t seed, size_t wrong, bool complete)
{
    struct utf8 state = {};
    struct cutter cutter = {seed};
    for (size_t at = 0; at < text.size;) {
        size_t size = cutter_next(&cutter, text.size - at);
        struct bytes piece = bytes_exact(text.data + at, size);
        bool good = utf8_feed(&state, piece);
        free(piece.data);
        at += size;
        MUST(good == (wrong >= at));
        if (!good) return;
    }
    MUST(utf8_complete(&state) == complete);
}

/* base/bytes.h decodes one code point at a time, and must agree. */
static void decode(struct script text, bool valid)
{
    struct text rest = {(const char *)text.data, text.size};
    uint32_t code_point;
    while (rest.size > 0) {
        size_t size = text_code_point(rest, &code_point);
        if (size == 0) break;
        MUST(size <= rest.size && code_point <= 0x10FFFF);
        rest = text_skip(rest, size);
    }
    MUST((rest.size == 0) == valid);
}

/* Whatever the text is, as the inside of a JSON string it is valid and has nothing to escape. */
static void escape(struct script text)
{
    size_t room = text.size * 6 + 1;
    uint8_t *memory = malloc(room);
    struct writer out = writer_over(memory, room);
    write_json_escaped(&out, (struct text){(const char *)text.data, text.size});
    MUST(!out.overflow && utf8_valid(writer_bytes(&out)));
    for (size_t i = 0; i < out.size; i++) {
        MUST(out.data[i] >= ' ' && out.data[i] != '"' && out.data[i] != 0x7F);
        if (out.data[i] == '\\') i += 1;
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    uint32_t seed = script_number(&script);
    bool complete;
    size_t wrong = first_wrong(script.data, script.size, &complete);
    bool valid = wrong == script.size && complete;
    /* All ways that a processor may choose. */
    for (uint8_t level = CPU_BASELINE; level <= cpu_best(); level++) {
        cpu_use((enum cpu_level)level);
        struct bytes whole = bytes_exact(script.data, script.size);
        MUST(utf8_valid(whole) == valid);
        free(whole.data);
        feed(script, 0, wrong, complete);
        feed(script, seed | 1, wrong, complete);
        feed(script, seed + 77, wrong, complete);
    }
    decode(script, valid);
    escape(script);
    return 0;
}
