#include "base/json.h"
#include "check.h"

constexpr size_t document_max = 4096;

static uint8_t memory[json_memory_per_byte * document_max + json_memory_fixed];
static struct text value;

static const struct json *read_json(struct text document)
{
    struct text problem = {};
    const struct json *root = json_read((struct bytes){memory, sizeof memory}, document, &problem);
    EXPECT((root == nullptr) == (problem.size > 0));
    return root;
}

static bool accepts(struct text document)
{
    value = (struct text){};
    return json_read_string_member((struct bytes){memory, sizeof memory}, document, TEXT("command"),
                                   &value)
               .size == 0;
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

TEST("what lies beside each other is not deep, however much of it there is")
{
    char text[64];
    EXPECT(json_is_shallow(TEXT("")));
    for (size_t pairs = 1; pairs < sizeof text / 2; pairs++) {
        for (size_t i = 0; i < pairs; i++)
            memcpy(text + 2 * i, i % 2 == 0 ? "[]" : "{}", 2);
        EXPECT(json_is_shallow((struct text){text, 2 * pairs}));
        memset(text, pairs % 2 == 0 ? '[' : '{', pairs);
        EXPECT_EQ(json_is_shallow((struct text){text, pairs}), pairs <= json_depth_max);
    }
}

TEST("the largest document, made of the smallest values, is read without running out of memory")
{
    static char document[document_max];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, TEXT("{\"command\":\"a\",\"x\":[0"));
    while (out.size + 4 <= sizeof document)
        write_text(&out, TEXT(",0"));
    write_text(&out, TEXT("]}"));
    EXPECT(accepts(text_from(writer_bytes(&out))));
    EXPECT_TEXT(value, "a");
}

TEST("a key that comes twice is found at any depth (THREATS.md J2)")
{
    EXPECT(read_json(TEXT("{\"a\":[{\"b\":{\"c\":1,\"d\":2}},{\"c\":1}],\"c\":0}")) != nullptr);
    EXPECT(read_json(TEXT("{\"a\":[{\"b\":{\"c\":1,\"c\":2}}]}")) == nullptr);
    EXPECT(read_json(TEXT("[{\"\":1,\"\":2}]")) == nullptr);
}

TEST("an object has 256 members at most: more are refused, for each is compared with each")
{
    static char document[document_max];
    for (uint32_t count = json_members_max; count <= json_members_max + 1; count++) {
        struct writer out = writer_over(document, sizeof document);
        for (uint32_t i = 0; i < count; i++)
            write_format(&out, "%s\"%u\":0", i == 0 ? "{" : ",", i);
        write_text(&out, TEXT("}"));
        EXPECT((read_json(text_from(writer_bytes(&out))) != nullptr) ==
               (count <= json_members_max));
    }
}

TEST("values say what they are, and nothing that they are not")
{
    const struct json *root = read_json(TEXT("{\"t\":\"x\",\"i\":-5,\"f\":2.5,\"b\":true,\"a\":[1,"
                                             "\"2\"],\"n\":null,\"u\":18446744073709551615}"));
    struct text text;
    int64_t integer = 0;
    double number = 0;
    bool truth = false;
    EXPECT(json_is_object(root) && json_count(root) == 7 && !json_is_array(root));
    EXPECT(json_to_text(json_member(root, TEXT("t")), &text));
    EXPECT_TEXT(text, "x");
    EXPECT(json_to_integer(json_member(root, TEXT("i")), &integer) && integer == -5);
    EXPECT(!json_to_integer(json_member(root, TEXT("f")), &integer));
    EXPECT(!json_to_integer(json_member(root, TEXT("u")), &integer));
    EXPECT(json_to_number(json_member(root, TEXT("f")), &number) && number == 2.5);
    EXPECT(json_to_number(json_member(root, TEXT("i")), &number) && number == -5);
    EXPECT(json_to_bool(json_member(root, TEXT("b")), &truth) && truth);
    EXPECT(!json_to_bool(json_member(root, TEXT("n")), &truth));
    const struct json *array = json_member(root, TEXT("a"));
    EXPECT(json_is_array(array) && json_count(array) == 2);
    EXPECT(json_to_integer(json_element(array, 0), &integer) && integer == 1);
    EXPECT(json_to_text(json_element(array, 1), &text));
    EXPECT(json_member(root, TEXT("none")) == nullptr && json_member(array, TEXT("t")) == nullptr);
    EXPECT(!json_to_text(nullptr, &text) && !json_is_object(nullptr) && json_count(nullptr) == 0);
}

TEST("a document over the limit is refused")
{
    static char document[document_max + 16];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, TEXT("{\"command\":\"a\""));
    write_fill(&out, ' ', document_max);
    EXPECT(!accepts((struct text){document, document_max + 1}));
}
