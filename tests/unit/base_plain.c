/* tests/unit/base_plain.c: what people will read has nothing in it that they cannot see
 * (THREATS.md J8). */
#include "base/plain.h"
#include "check.h"

static uint8_t memory[256];

static struct text cleaned(struct text text)
{
    struct writer out = writer_over(memory, sizeof memory);
    write_plain(&out, text);
    return text_from(writer_bytes(&out));
}

TEST("length counts code points, not bytes (J8)")
{
    EXPECT_EQ(plain_length(TEXT("")), 0);
    EXPECT_EQ(plain_length(TEXT("Ann")), 3);
    EXPECT_EQ(plain_length(TEXT("\xc3\x84nn")), 3);
    EXPECT_EQ(plain_length(TEXT("\xf0\x9f\x90\x88\xf0\x9f\x90\x88")), 2);
}

TEST("white space at both ends goes, Unicode's, too; that inside stays")
{
    EXPECT_TEXT(plain_trim(TEXT("  Ann B \t\r\n")), "Ann B");
    EXPECT_TEXT(plain_trim(TEXT("\xc2\xa0\xe3\x80\x80"
                                "Ann\xe2\x80\x83")),
                "Ann");
    EXPECT_EQ(plain_trim(TEXT("\xe3\x80\x80 \n")).size, 0);
    EXPECT_EQ(plain_trim(TEXT("")).size, 0);
    EXPECT_TEXT(plain_trim(TEXT("\xf0\x9f\x90\x88")), "\xf0\x9f\x90\x88");
}

TEST("a text is cut behind a code point, never within one")
{
    EXPECT_TEXT(plain_cut(TEXT("abc"), 2), "ab");
    EXPECT_TEXT(plain_cut(TEXT("abc"), 3), "abc");
    EXPECT_TEXT(plain_cut(TEXT("abc"), 4), "abc");
    EXPECT_TEXT(plain_cut(TEXT("a\xf0\x9f\x90\x88\xc3\xa9z"), 2), "a\xf0\x9f\x90\x88");
    EXPECT_TEXT(plain_cut(TEXT("a\xf0\x9f\x90\x88\xc3\xa9z"), 3), "a\xf0\x9f\x90\x88\xc3\xa9");
    EXPECT_EQ(plain_cut(TEXT("a"), 0).size, 0);
    EXPECT_EQ(plain_cut(TEXT(""), 5).size, 0);
}

TEST("names and chat of all scripts are clean, also emoji that joiners make (J8)")
{
    EXPECT(plain_is_clean(TEXT("Ann \"} <script> \\")));
    EXPECT(plain_is_clean(TEXT("\xd8\xa7\xd9\x8e\xd9\x84")));
    EXPECT(plain_is_clean(TEXT("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80")));
    EXPECT(plain_is_clean(TEXT("")));
}

TEST("control characters, overrides of direction and invisible ones are not clean, and are left "
     "out (J8)")
{
    static const struct text dirty[] = {
        TEXT("a\0b"),          TEXT("a\x1b[31mb"),
        TEXT("a\x7f"),         TEXT("a\xc2\x9b"),
        TEXT("a\xe2\x80\xae"), TEXT("\xe2\x80\x8b"),
        TEXT("\xe2\x81\xa6x"), TEXT("\xef\xbb\xbfx"),
        TEXT("x\xe2\x80\xa8"), TEXT("\xf3\xa0\x81\xa1"),
        TEXT("\xe2\x80\x8f"),
    };
    for (size_t i = 0; i < sizeof dirty / sizeof dirty[0]; i++) {
        EXPECT(!plain_is_clean(dirty[i]));
        EXPECT(plain_is_clean(cleaned(dirty[i])));
    }
    EXPECT_TEXT(cleaned(TEXT("\xe2\x80\xaegnp.\xe2\x80\xac"
                             "exe")),
                "gnp.exe");
    EXPECT_TEXT(cleaned(TEXT("one\r\ntwo\tthree")), "one  two three");
    EXPECT(!plain_is_clean(TEXT("not UTF-8: \xff")));
}
