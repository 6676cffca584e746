/* fuzz/base_base64.c: base64url in both directions. Input: 1 byte that says how much too small a
 * writer is, then bytes, taken as such and as digits.
 *
 * What is encoded comes back; digits are taken exactly when they are what some bytes encode to,
 * and stand for what bit by bit they are; a writer that is too small is not written to. RFC 4648
 * §5. */
#include "base/base64.h"
#include "script.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The bit of a text of digits, from the front; -1: the digit is none. */
static int bit_of(struct text text, size_t bit)
{
    char c = text.data[bit / 6];
    const char *at = c != 0 ? strchr(digits, c) : nullptr;
    return at == nullptr ? -1 : (int)((at - digits) >> (5 - bit % 6) & 1);
}

/* All bits, those of the last digit that are no byte's must be 0. */
static bool is_encoding(struct text text)
{
    if (text.size % 4 == 1) return false;
    size_t whole = text.size * 6 / 8 * 8;
    for (size_t bit = 0; bit < text.size * 6; bit++) {
        int value = bit_of(text, bit);
        if (value < 0 || (bit >= whole && value != 0)) return false;
    }
    return true;
}

static void check_decoded(struct text text, struct bytes bytes)
{
    MUST(bytes.size == text.size * 6 / 8);
    for (size_t bit = 0; bit < bytes.size * 8; bit++)
        MUST((bytes.data[bit / 8] >> (7 - bit % 8) & 1) == bit_of(text, bit));
}

/* With `room` bytes for it behind `before` others. */
static void decode(struct text text, size_t room, size_t before)
{
    struct bytes memory = {malloc(before + room + 1), before + room};
    struct writer out = {.data = memory.data, .size = before, .capacity = memory.size};
    size_t size = base64url_decoded_size(text.size);
    bool valid = is_encoding(text);
    bool taken = write_base64url_decoded(&out, text);
    MUST(taken == (valid && size <= room));
    MUST(out.size == (taken ? before + size : before) && out.size <= memory.size);
    if (text.size % 4 != 1) MUST(out.overflow == (size > room));
    if (taken) check_decoded(text, bytes_skip(writer_bytes(&out), before));
    free(memory.data);
}

static void encode(struct bytes bytes)
{
    size_t size = (bytes.size * 8 + 5) / 6;
    struct bytes memory = {malloc(size + 1), size};
    struct writer out = writer_over(memory.data, size);
    write_base64url(&out, bytes);
    MUST(!out.overflow && out.size == size);
    struct text text = text_from(writer_bytes(&out));
    MUST(is_encoding(text));
    check_decoded(text, bytes);
    decode(text, bytes.size, 3);
    free(memory.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    size_t missing = script_byte(&script) % 8;
    struct bytes bytes = bytes_exact(script.data, script.size);
    size_t decoded = bytes.size * 6 / 8;
    encode(bytes);
    decode(text_from(bytes), decoded, 0);
    decode(text_from(bytes), decoded - (missing < decoded ? missing : decoded), 2);
    free(bytes.data);
    return 0;
}
