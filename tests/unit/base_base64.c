#include "base/base64.h"
#include "check.h"

static uint8_t memory[256];

static bool decodes(struct text digits, struct text *bytes)
{
    struct writer out = writer_over(memory, sizeof memory);
    bool decoded = write_base64url_decoded(&out, digits);
    *bytes = text_from(writer_bytes(&out));
    return decoded;
}

TEST("RFC 4648 §10's examples, without their padding, both ways")
{
    static const struct {
        const char *bytes, *digits;
    } examples[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct text bytes;
        EXPECT(decodes(text_of(examples[i].digits), &bytes));
        EXPECT(text_equal(bytes, text_of(examples[i].bytes)));
        struct writer out = writer_over(memory, sizeof memory);
        write_base64url(&out, (struct bytes){(uint8_t *)(uintptr_t)examples[i].bytes,
                                             strlen(examples[i].bytes)});
        EXPECT(text_equal(text_from(writer_bytes(&out)), text_of(examples[i].digits)));
    }
}

TEST("all bytes come back as they went, at every length")
{
    uint8_t bytes[64];
    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 77 + size * 31);
        uint8_t digits_memory[128];
        struct writer digits = writer_over(digits_memory, sizeof digits_memory);
        write_base64url(&digits, (struct bytes){bytes, size});
        EXPECT(base64url_decoded_size(digits.size) == size);
        struct text back;
        EXPECT(decodes(text_from(writer_bytes(&digits)), &back));
        EXPECT(back.size == size && memcmp(back.data, bytes, size) == 0);
    }
}

TEST("what encoding would not give is refused whole (THREATS.md A7)")
{
    static const char *const wrong[] = {"Z",    "Zg==", "Zg=", "Zm9v=", "Zm 9v", "Zm9v\n",  "Zm+v",
                                        "Zm/v", "Zh",   "Zm9", "Z.",    "Zm9vY", "\xff\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct text bytes;
        if (decodes(text_of(wrong[i]), &bytes) || bytes.size > 0)
            check_failed(__FILE__, __LINE__, "taken: %s", wrong[i]);
    }
}

TEST("a writer that is too small takes nothing and says so")
{
    struct writer out = writer_over(memory, 2);
    EXPECT(!write_base64url_decoded(&out, TEXT("Zm9v")));
    EXPECT(out.overflow && out.size == 0);
}
