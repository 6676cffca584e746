#include "base/bytes.h"
#include "check.h"

static uint8_t memory[256];
static struct writer writer;

static void setup(size_t capacity)
{
    memset(memory, '#', sizeof memory);
    writer = writer_over(memory, capacity);
}

/* True when nothing was written behind the writer's capacity. */
static bool fenced(void)
{
    for (size_t i = writer.capacity; i < sizeof memory; i++)
        if (memory[i] != '#') return false;
    return true;
}

static struct bytes escaped(struct text text)
{
    setup(200);
    write_json_escaped(&writer, text);
    EXPECT(!writer.overflow);
    return writer_bytes(&writer);
}

TEST("texts compare byte for byte, or without the case of ASCII letters only")
{
    EXPECT(text_equal(TEXT("room"), text_of("room")));
    EXPECT(!text_equal(TEXT("room"), TEXT("Room")));
    EXPECT(!text_equal(TEXT("room"), TEXT("rooms")));
    EXPECT(text_equal((struct text){}, TEXT("")));
    EXPECT(text_equal_nocase(TEXT("WebSocket"), TEXT("wEBsOCKET")));
    EXPECT(!text_equal_nocase(TEXT("websocket"), TEXT("websockets")));
    EXPECT(!text_equal_nocase(TEXT("@"), TEXT("`"))); // 0x40 and 0x60: a case apart, not letters
    EXPECT(!text_equal_nocase(TEXT("["), TEXT("{")));
    EXPECT(!text_equal_nocase(TEXT("\xC4"), TEXT("\xE4")));
}

TEST("an empty text may have no memory at all")
{
    struct text nothing = text_of(nullptr);
    EXPECT_EQ(nothing.size, 0);
    EXPECT(text_starts(nothing, nothing));
    EXPECT(!text_starts(nothing, TEXT("a")));
    EXPECT(text_starts(TEXT("a"), nothing));
    EXPECT_EQ(text_skip(nothing, 0).size, 0);
    EXPECT_EQ(bytes_skip((struct bytes){}, 0).size, 0);
    EXPECT_EQ(text_trim(nothing).size, 0);
    EXPECT(text_equal_nocase(nothing, nothing));
    struct writer none = writer_over(nullptr, 0);
    write_text(&none, nothing);
    write_json_escaped(&none, nothing);
    write_fill(&none, 'x', 0);
    EXPECT(!none.overflow);
    write_byte(&none, 'x');
    EXPECT(none.overflow);
}

TEST("a text starts with its prefix and goes on behind it")
{
    EXPECT(text_starts(TEXT("/rooms/7"), TEXT("/rooms/")));
    EXPECT(!text_starts(TEXT("/room"), TEXT("/rooms")));
    EXPECT_TEXT(text_skip(TEXT("/rooms/7"), 7), "7");
}

TEST("trimming takes spaces and tabs from both ends and nothing else")
{
    EXPECT_TEXT(text_trim(TEXT(" \t a b\t ")), "a b");
    EXPECT_TEXT(text_trim(TEXT("\na\r")), "\na\r");
    EXPECT_TEXT(text_trim(TEXT(" \t ")), "");
}

TEST("a u64 is digits up to 2^64-1 and nothing else")
{
    uint64_t value = 5;
    EXPECT(text_to_u64(TEXT("0"), &value) && value == 0);
    EXPECT(text_to_u64(TEXT("18446744073709551615"), &value) && value == UINT64_MAX);
    EXPECT(text_to_u64(TEXT("00000000000000000000007"), &value) && value == 7);
    static const char *const wrong[] = {"",
                                        "+1",
                                        "-1",
                                        " 1",
                                        "1 ",
                                        "0x1",
                                        "1.0",
                                        "1e3",
                                        "18446744073709551616",
                                        "18446744073709551620",
                                        "99999999999999999999",
                                        "184467440737095516150"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        EXPECT(!text_to_u64(text_of(wrong[i]), &value));
    EXPECT(!text_to_u64((struct text){"1\0", 2}, &value));
    EXPECT_EQ(value, 7); // untouched by what it refused
}

TEST("an i64 is a u64 with an optional minus, from -2^63 to 2^63-1")
{
    int64_t value = 5;
    EXPECT(text_to_i64(TEXT("9223372036854775807"), &value) && value == INT64_MAX);
    EXPECT(text_to_i64(TEXT("-9223372036854775808"), &value) && value == INT64_MIN);
    EXPECT(text_to_i64(TEXT("-0"), &value) && value == 0);
    EXPECT(text_to_i64(TEXT("-42"), &value) && value == -42);
    static const char *const wrong[] = {"",
                                        "-",
                                        "--1",
                                        "+1",
                                        "- 1",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551615",
                                        "-18446744073709551616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        EXPECT(!text_to_i64(text_of(wrong[i]), &value));
    EXPECT_EQ(value, -42);
}

TEST("numbers are written as they are read, to both ends of their range")
{
    setup(200);
    write_u64(&writer, 0);
    write_byte(&writer, ' ');
    write_u64(&writer, UINT64_MAX);
    write_byte(&writer, ' ');
    write_i64(&writer, INT64_MIN);
    write_byte(&writer, ' ');
    write_i64(&writer, INT64_MAX);
    write_byte(&writer, ' ');
    write_i64(&writer, -7);
    EXPECT_TEXT(writer_bytes(&writer),
                "0 18446744073709551615 -9223372036854775808 9223372036854775807 -7");
    EXPECT(!writer.overflow);
}

TEST("what does not fit is left out whole, and the overflow stays")
{
    setup(5);
    write_text(&writer, TEXT("abc"));
    write_text(&writer, TEXT("def"));
    EXPECT(writer.overflow);
    EXPECT_TEXT(writer_bytes(&writer), "abc");
    write_u64(&writer, 123);
    write_i64(&writer, -12);
    write_fill(&writer, 'x', 3);
    write_fill(&writer, 'x', SIZE_MAX);
    write_format(&writer, "%d", 123);
    write_json_escaped(&writer, TEXT("a\n"));
    EXPECT_TEXT(writer_bytes(&writer), "abc");
    write_byte(&writer, 'd');
    write_byte(&writer, 'e');
    write_byte(&writer, 'f');
    EXPECT_TEXT(writer_bytes(&writer), "abcde");
    EXPECT(writer.overflow);
    EXPECT(fenced());
}

TEST("a writer can be filled to its last byte")
{
    setup(8);
    write_text(&writer, TEXT("ab"));
    write_fill(&writer, 'c', 3);
    write_u64(&writer, 456);
    EXPECT(!writer.overflow);
    EXPECT_TEXT(writer_bytes(&writer), "abccc456");
    EXPECT(fenced());
}

TEST("write_format needs one byte of room more than it writes")
{
    setup(4);
    write_format(&writer, "%s", "1234");
    EXPECT(writer.overflow);
    EXPECT_EQ(writer.size, 0);
    setup(5);
    write_format(&writer, "%s", "1234");
    EXPECT(!writer.overflow);
    EXPECT_TEXT(writer_bytes(&writer), "1234");
    EXPECT(fenced());
}

TEST("a JSON string escapes quotes, backslashes and control characters (RFC 8259 §7)")
{
    EXPECT_TEXT(escaped(TEXT("say \"hi\" \\ bye")), "say \\\"hi\\\" \\\\ bye");
    EXPECT_TEXT(escaped(TEXT("\b\f\n\r\t")), "\\b\\f\\n\\r\\t");
    EXPECT_TEXT(escaped((struct text){"\0\x01\x1B\x1F", 4}), "\\u0000\\u0001\\u001b\\u001f");
    EXPECT_TEXT(escaped(TEXT("a/b'c")), "a/b'c");
}

TEST("a JSON string hides what steers terminals and what ends lines elsewhere")
{
    EXPECT_TEXT(escaped(TEXT("\x7F\xC2\x85\xC2\x9B\xC2\xA0")), "\\u007f\\u0085\\u009b\xC2\xA0");
    EXPECT_TEXT(escaped(TEXT("\xE2\x80\xA7|\xE2\x80\xA8|\xE2\x80\xA9|\xE2\x80\xAA")),
                "\xE2\x80\xA7|\\u2028|\\u2029|\xE2\x80\xAA");
}

TEST("a JSON string passes UTF-8 through and replaces each byte that is none")
{
    EXPECT_TEXT(escaped(TEXT("h\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80")),
                "h\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
    EXPECT_TEXT(escaped(TEXT("a\xFF"
                             "b")),
                "a\\ufffdb");
    EXPECT_TEXT(escaped(TEXT("\xE2\x82")), "\\ufffd\\ufffd");
    EXPECT_TEXT(escaped(TEXT("\xC0\xAF")), "\\ufffd\\ufffd");            // overlong
    EXPECT_TEXT(escaped(TEXT("\xED\xA0\x80")), "\\ufffd\\ufffd\\ufffd"); // surrogate
}

TEST("escaped text that does not fit leaves nothing behind, at any capacity")
{
    struct text text = TEXT("ab\"\n\x01\xE2\x82\xAC\xFFz");
    size_t whole = escaped(text).size;
    for (size_t capacity = 0; capacity < whole; capacity++) {
        setup(capacity);
        write_json_escaped(&writer, text);
        EXPECT(writer.overflow);
        EXPECT_EQ(writer.size, 0);
        EXPECT(fenced());
    }
    setup(whole);
    write_json_escaped(&writer, text);
    EXPECT(!writer.overflow);
    EXPECT_EQ(writer.size, whole);
}

TEST("printable ASCII ends at the first byte of another kind, wherever that stands")
{
    char text[40];
    EXPECT_EQ(text_printable((struct text){}), 0);
    for (size_t at = 0; at < sizeof text; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(text, byte % 2 == 0 ? ' ' : '~', sizeof text);
            text[at] = (char)byte;
            bool printable = byte >= 0x20 && byte <= 0x7E;
            EXPECT_EQ(text_printable((struct text){text, sizeof text}),
                      printable ? sizeof text : at);
            EXPECT_EQ(text_printable((struct text){text, at}), at);
        }
    }
}

TEST("a JSON string escapes a byte wherever it stands")
{
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        for (unsigned byte = 0; byte < 128; byte++) {
            memset(text, 'x', sizeof text);
            text[at] = (char)byte;
            size_t alone = escaped((struct text){text + at, 1}).size;
            struct bytes whole = escaped((struct text){text, sizeof text});
            EXPECT_EQ(whole.size, sizeof text - 1 + alone);
            EXPECT(whole.data[at] == (alone == 1 ? byte : '\\'));
        }
    }
}

/* UTF-8 of any number below 2^21 in the shortest form that holds it, valid or not. */
static struct text encode(char *out, uint32_t code_point)
{
    static const uint8_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    size_t more = code_point < 0x80 ? 0 : code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, code_point >>= 6)
        out[i] = (char)(uint8_t)(0x80 | (code_point & 0x3F));
    out[0] = (char)(uint8_t)(leads[more] | code_point);
    return (struct text){.data = out, .size = more + 1};
}

TEST("every code point is read back, and no surrogate nor anything past U+10FFFF (RFC 3629 §3)")
{
    uint32_t wrong = 0;
    for (uint32_t code_point = 0; code_point < 0x200000; code_point++) {
        char memory_of_one[4];
        struct text text = encode(memory_of_one, code_point);
        bool valid = code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
        uint32_t read = 0;
        size_t size = text_code_point(text, &read);
        wrong += valid ? size != text.size || read != code_point : size != 0;
        text.size -= 1; // one byte short
        if (text.size > 0) wrong += text_code_point(text, &read) != 0;
    }
    EXPECT_EQ(wrong, 0);
}

TEST("overlong forms and stray bytes are not code points (RFC 3629 §3)")
{
    static const char *const wrong[] = {"\x80",
                                        "\xBF",
                                        "\xC0\x80",
                                        "\xC1\xBF",
                                        "\xE0\x80\x80",
                                        "\xE0\x9F\xBF",
                                        "\xF0\x80\x80\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF5\x80\x80\x80",
                                        "\xFE",
                                        "\xFF",
                                        "\xC3(",
                                        "\xE2\x82(",
                                        "\xF0\x9F\x98("};
    uint32_t code_point;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        EXPECT_EQ(text_code_point(text_of(wrong[i]), &code_point), 0);
}
