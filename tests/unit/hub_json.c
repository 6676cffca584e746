#include "check.h"
#include "hub/json.h"

static struct text value;

static bool accepts(struct text document)
{
    value = (struct text){};
    return json_read_string_member(document, TEXT("command"), &value).size == 0;
}

TEST("the string is found among other members, unescaped")
{
    EXPECT(accepts(TEXT("{\"a\":[1,{}],\"command\":\"/host \\u0041\\n\",\"b\":null}")));
    EXPECT_TEXT(value, "/host A\n");
}

TEST("what is no such object is refused with a sentence (THREATS.md J1 to J5)")
{
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "[]",
        "\"command\"",
        "{\"command\":1}",
        "{\"command\":null}",
        "{\"Command\":\"x\"}",
        "{}",
        "{\"command\":\"a\",\"command\":\"b\"}",
        "{\"x\":1,\"command\":\"a\",\"x\":1}",
        "{\"command\":\"a\"} {}",
        "{\"command\":\"a\",}",
        "{\"command\":'a'}",
        "{command:\"a\"}",
        "{\"command\":\"\\u0000\"}",
        "{\"command\":\"\\ud800\"}",
        "{\"command\":\"\xff\"}",
        "{\"command\":\"a\"}//",
        "\xEF\xBB\xBF{\"command\":\"a\"}",
        "{\"command\":\"a\",\"n\":01}",
        "{\"command\":\"a\",\"n\":NaN}",
        "{\"command\":\"a\",\"n\":1e999}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (accepts(text_of(wrong[i]))) check_failed(__FILE__, __LINE__, "accepted: %s", wrong[i]);
}

TEST("a key is the same however it is escaped")
{
    EXPECT(!accepts(TEXT("{\"command\":\"a\",\"comm\\u0061nd\":\"b\"}")));
}

TEST("sixteen levels are read, seventeen are refused before the parser sees them")
{
    EXPECT(accepts(TEXT("{\"command\":\"a\",\"x\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}")));
    EXPECT(!accepts(TEXT("{\"command\":\"a\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}")));
    EXPECT(json_is_shallow(TEXT("{\"a\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\"}")));
}

TEST("the largest document, made of the smallest values, is read without running out of memory")
{
    static char document[json_document_max];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, TEXT("{\"command\":\"a\",\"x\":[0"));
    while (out.size + 4 <= sizeof document)
        write_text(&out, TEXT(",0"));
    write_text(&out, TEXT("]}"));
    EXPECT(accepts(text_from(writer_bytes(&out))));
    EXPECT_TEXT(value, "a");
}

TEST("a document over the limit is refused")
{
    static char document[json_document_max + 16];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, TEXT("{\"command\":\"a\""));
    write_fill(&out, ' ', json_document_max);
    EXPECT(!accepts((struct text){document, json_document_max + 1}));
}
