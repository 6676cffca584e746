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

TEST("a number that no double holds is told apart from what is no JSON (J3)")
{
    static uint8_t scratch[json_memory_per_byte * 64 + json_memory_fixed];
    const struct bytes lent = {scratch, sizeof scratch};
    struct text problem = {};
    EXPECT(json_read(lent, TEXT("{\"n\":1e999}"), &problem) == nullptr);
    EXPECT_TEXT(problem, "has a number that is malformed or too large");
    EXPECT(json_read(lent, TEXT("{\"n\":01}"), &problem) == nullptr);
    EXPECT_TEXT(problem, "has a number that is malformed or too large");
    EXPECT(json_read(lent, TEXT("{\"n\":nil}"), &problem) == nullptr);
    EXPECT_TEXT(problem, "is not valid JSON");
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

/* --- Writing --------------------------------------------------------------------------------- */

static uint8_t second_memory[json_memory_per_byte * document_max + json_memory_fixed];
static uint8_t work_memory[json_merge_memory_per_byte * 2 * document_max + json_merge_memory_fixed];
static uint8_t out_memory[8 * document_max];

static struct text rewrite(struct text document)
{
    struct writer out = writer_over(out_memory, sizeof out_memory);
    json_write(&out, read_json(document),
               (struct bytes){work_memory, json_memory_size(document.size)});
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

TEST("what was read is written without white space, strings escaped where they must be")
{
    EXPECT_TEXT(rewrite(TEXT(" { \"a\" : [ 1 , -2.5 , true , null ] , \"b\\n\" : {\n} } ")),
                "{\"a\":[1,-2.5,true,null],\"b\\n\":{}}");
    EXPECT_TEXT(rewrite(TEXT(" \"\\u0041\\u0000\\\"\" ")), "\"A\\u0000\\\"\"");
    EXPECT_TEXT(rewrite(TEXT("18446744073709551615")), "18446744073709551615");
    EXPECT_TEXT(rewrite(TEXT("[]")), "[]");
}

/* `piece` as often as it fits between two brackets. */
static struct text filled(uint8_t memory_of[static document_max], struct text piece, size_t size)
{
    struct writer out = writer_over(memory_of, document_max);
    write_byte(&out, '[');
    while (out.size + piece.size + 2 < size) {
        if (out.size > 1) write_byte(&out, ',');
        write_text(&out, piece);
    }
    write_byte(&out, ']');
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

static const char *const pieces[] = {
    "0", "1e20", "-1e-307", "[]", "\"\\u0001\"", "{\"a\":\"\\u0001\\u0002\"}", "\"\"", "[0,[0]]",
};

TEST("the memory that writing and merging are said to take is enough for any document")
{
    static uint8_t target_text[document_max], patch_text[document_max];
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct text target = filled(target_text, text_of(pieces[i]), document_max - 64);
        EXPECT(rewrite(target).size >= target.size / 2);
        struct writer patch = writer_over(patch_text, sizeof patch_text);
        write_text(&patch, TEXT("{\"a\":"));
        write_text(&patch, (struct text){target.data, target.size});
        write_byte(&patch, '}');
        struct text problem, document = text_from(writer_bytes(&patch));
        const struct json *value_read =
            json_read((struct bytes){second_memory, sizeof second_memory}, document, &problem);
        struct writer out = writer_over(out_memory, sizeof out_memory);
        json_merge(&out, read_json(TEXT("{\"b\":1}")), value_read,
                   (struct bytes){work_memory, json_merge_memory_size(document.size + 7)});
        EXPECT(!out.overflow && text_starts(text_from(writer_bytes(&out)), TEXT("{\"b\":1,\"a\"")));
    }
}

TEST("what does not fit is not written at all")
{
    struct writer out = writer_over(out_memory, 6);
    json_write(&out, read_json(TEXT("[1,2,3]")), (struct bytes){work_memory, 4096});
    EXPECT(out.overflow && out.size == 0);
    out = writer_over(out_memory, sizeof out_memory);
    json_write(&out, read_json(TEXT("[1,2,3]")), (struct bytes){work_memory, 64});
    EXPECT(out.overflow && out.size == 0);
    out = writer_over(out_memory, sizeof out_memory);
    json_merge(&out, nullptr, read_json(TEXT("[1,2,3]")), (struct bytes){work_memory, 512});
    EXPECT(out.overflow && out.size == 0);
}

TEST("members are met in the order of the document")
{
    struct text name = {};
    int64_t number = 0;
    const struct json *root = read_json(TEXT("{\"b\":{\"x\":[1]},\"a\":7,\"\":null}"));
    EXPECT(json_is_object(json_member_at(root, 0, &name)));
    EXPECT_TEXT(name, "b");
    EXPECT(json_to_integer(json_member_at(root, 1, &name), &number));
    EXPECT_TEXT(name, "a");
    EXPECT_EQ(number, 7);
    EXPECT(json_is_null(json_member_at(root, 2, &name)));
    EXPECT_EQ(name.size, 0);
    EXPECT(!json_is_null(root) && !json_is_null(nullptr));
}

static bool merges(const char *target, const char *patch, const char *wanted)
{
    struct text problem = {};
    const struct json *patch_value =
        json_read((struct bytes){second_memory, sizeof second_memory}, text_of(patch), &problem);
    struct writer out = writer_over(out_memory, sizeof out_memory);
    json_merge(&out, target != nullptr ? read_json(text_of(target)) : nullptr, patch_value,
               (struct bytes){work_memory, sizeof work_memory});
    bool right = !out.overflow && text_equal(text_from(writer_bytes(&out)), text_of(wanted));
    if (!right)
        check_failed(__FILE__, __LINE__, "%s with %s is %.*s, wanted %s", target, patch,
                     (int)out.size, (char *)out.data, wanted);
    return right;
}

TEST("a merge patch does what RFC 7396, appendix A, says for each of its cases")
{
    EXPECT(merges("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"));
    EXPECT(merges("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"));
    EXPECT(merges("{\"a\":\"b\"}", "{\"a\":null}", "{}"));
    EXPECT(merges("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"));
    EXPECT(merges("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"));
    EXPECT(merges("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"));
    EXPECT(merges("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
                  "{\"a\":{\"b\":\"d\"}}"));
    EXPECT(merges("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"));
    EXPECT(merges("[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"));
    EXPECT(merges("{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"));
    EXPECT(merges("{\"a\":\"foo\"}", "null", "null"));
    EXPECT(merges("{\"a\":\"foo\"}", "\"bar\"", "\"bar\""));
    EXPECT(merges("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"));
    EXPECT(merges("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"));
    EXPECT(merges("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"));
}

TEST("a merge patch is the example of RFC 7396 §3, and applies to nothing at all as to {}")
{
    EXPECT(merges("{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":"
                  "\"Doe\"},\"tags\":[\"example\",\"sample\"],\"content\":\"This will be "
                  "unchanged\"}",
                  "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{"
                  "\"familyName\":null},\"tags\":[\"example\"]}",
                  "{\"content\":\"This will be unchanged\",\"title\":\"Hello!\",\"phoneNumber\":"
                  "\"+01-123-456-7890\",\"author\":{\"givenName\":\"John\"},\"tags\":"
                  "[\"example\"]}"));
    EXPECT(merges(nullptr, "{\"a\":{\"b\":null,\"c\":1}}", "{\"a\":{\"c\":1}}"));
}

TEST("keys that mean something to somebody's language are keys like any other (THREATS.md J6)")
{
    EXPECT(merges("{\"__proto__\":{\"a\":1},\"b\":1}",
                  "{\"__proto__\":{\"a\":null,\"c\":2},\"constructor\":3}",
                  "{\"b\":1,\"__proto__\":{\"c\":2},\"constructor\":3}"));
    EXPECT(merges("{\"a\\u0000b\":1,\"a\":1}", "{\"a\\u0000b\":null}", "{\"a\":1}"));
}

/* A file's fault as "LINE:COLUMN what: detail". */
static struct text fault_of(struct text document)
{
    static char said[256];
    struct json_fault fault;
    struct writer out = writer_over(said, sizeof said);
    const struct json *root =
        json_read_file((struct bytes){memory, sizeof memory}, document, &fault);
    struct json_place place = json_place(document, fault.offset);
    EXPECT((root == nullptr) == (fault.what.size > 0));
    EXPECT(fault.offset <= document.size);
    write_format(&out, "%u:%u ", place.line, place.column);
    write_text(&out, fault.what);
    if (fault.detail.size > 0) write_text(&out, TEXT(": "));
    write_text(&out, fault.detail);
    return text_from(writer_bytes(&out));
}

TEST("what is wrong with a file is said with line, column and what people can mend")
{
    EXPECT_TEXT(fault_of(TEXT("{\n  \"a\": 1,\n  \"b\": 2,\n}\n")),
                "3:9 is not valid JSON: trailing comma is not allowed");
    EXPECT_TEXT(fault_of(TEXT("{\n  \"\u00e9\u00e9\": x}")),
                "2:9 is not valid JSON: unexpected character, expected a valid JSON value");
    EXPECT_TEXT(fault_of(TEXT("[1,\n 2")), "2:3 is not valid JSON: unexpected end of data");
    EXPECT_TEXT(fault_of(TEXT("{\"a\":[{\"b\":1,\n \"c\":\"]}\",\n  \"b\":2}]}")),
                "3:3 has a key twice: b");
    EXPECT_TEXT(fault_of(TEXT("\n [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]")),
                "2:18 is nested too deeply");
    EXPECT_TEXT(fault_of(TEXT("")), "1:1 is empty");
}

TEST("a value is found again in the file, whatever stands before it")
{
    const struct text document =
        TEXT("{ \"a\\\"{[\" : [ 1 , \"]\\\\\" ,\n{} , -2.5e3,[ ] ,true ] ,\n"
             "\t\"b\":{\"c\":null}}");
    const struct json *root = read_json(document);
    const struct json *array = json_member(root, TEXT("a\"{["));
    static const char *const begins[] = {"1 ,", "\"]\\\\\"", "{} ,", "-2.5e3", "[ ] ,", "true ]"};
    EXPECT_EQ(json_offset(document, root, root), 0);
    EXPECT_EQ(json_count(array), 6);
    for (size_t i = 0; i < json_count(array); i++) {
        size_t offset = json_offset(document, root, json_element(array, i));
        EXPECT(text_starts(text_skip(document, offset), text_of(begins[i])));
    }
    const struct json *last = json_member(json_member(root, TEXT("b")), TEXT("c"));
    EXPECT(text_starts(text_skip(document, json_offset(document, root, last)), TEXT("null}}")));
    struct json_place place = json_place(document, json_offset(document, root, last));
    EXPECT_EQ(place.line, 3);
    EXPECT_EQ(place.column, 11);
}

TEST("an object's names are met in their order")
{
    const struct json *root = read_json(TEXT("{\"first\":{\"x\":[1]},\"second\":2,\"\":3}"));
    static const char *const names[] = {"first", "second", ""};
    struct text name;
    EXPECT_EQ(json_count(root), 3);
    for (size_t i = 0; i < 3; i++)
        EXPECT(json_to_text(json_key(root, i), &name) && text_equal(name, text_of(names[i])));
}
