/* fuzz/base_json.c: documents from strangers. Input: a document.
 *
 * One is read exactly when a second reader, which has nothing but the grammar of RFC 8259 and the
 * limits of base/json.h, finds it to be JSON without doubled keys; and each of its values is the
 * one that the second reader finds there, at that offset. */
#include "base/json.h"
#include "base/utf8.h"
#include "script.h"

/* An object or array that has begun. */
struct level {
    bool object;
    const struct json *value;
    size_t count;     /* of members or elements so far */
    size_t first_key; /* in `keys` */
};

/* The second reader. When `root` is there, its values are compared. */
struct second {
    struct text document, rest;
    const struct json *root;
    struct level levels[json_depth_max];
    size_t depth;
    struct text *keys; /* of all objects that are open */
    size_t key_count;
    struct pot decoded; /* memory of all strings; never moves */
    bool compares;
};

static char peek(const struct second *second)
{
    return second->rest.size > 0 ? second->rest.data[0] : 0;
}

static bool take(struct second *second, char c)
{
    if (second->rest.size == 0 || second->rest.data[0] != c) return false;
    second->rest = text_skip(second->rest, 1);
    return true;
}

static void skip_space(struct second *second)
{
    while (take(second, ' ') || take(second, '\t') || take(second, '\n') || take(second, '\r'))
        continue;
}

static bool take_hex(struct second *second, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(second);
        uint32_t value = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (value == 16) return false;
        *unit = *unit * 16 + value;
        second->rest = text_skip(second->rest, 1);
    }
    return true;
}

static void add_code_point(struct pot *pot, uint32_t point)
{
    uint8_t bytes[4] = {(uint8_t)point};
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size; size > 1 && i > 0; i--, point >>= 6)
        bytes[i - 1] = (uint8_t)(i == 1 ? point | (0xF00u >> size & 0xFF) : 0x80 | (point & 0x3F));
    pot_add(pot, bytes, size);
}

/* Behind a backslash. A surrogate must have its other half: alone it is no character. */
static bool take_escape(struct second *second)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = peek(second);
    const char *at = c != 0 ? strchr(names, c) : nullptr;
    if (second->rest.size > 0) second->rest = text_skip(second->rest, 1);
    if (at != nullptr) pot_add(&second->decoded, &meanings[at - names], 1);
    if (at != nullptr) return true;
    uint32_t unit, low;
    if (c != 'u' || !take_hex(second, &unit) || (unit >= 0xDC00 && unit < 0xE000)) return false;
    if (unit >= 0xD800 && unit < 0xDC00) {
        if (!take(second, '\\') || !take(second, 'u') || !take_hex(second, &low)) return false;
        if (low < 0xDC00 || low >= 0xE000) return false;
        unit = 0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00);
    }
    add_code_point(&second->decoded, unit);
    return true;
}

/* The opening quote is taken. */
static bool take_string(struct second *second, struct text *string)
{
    size_t start = second->decoded.size;
    while (!take(second, '"')) {
        if (second->rest.size == 0 || (uint8_t)peek(second) < ' ') return false;
        if (take(second, '\\')) {
            if (!take_escape(second)) return false;
            continue;
        }
        pot_add(&second->decoded, second->rest.data, 1);
        second->rest = text_skip(second->rest, 1);
    }
    struct bytes bytes = {second->decoded.data + start, second->decoded.size - start};
    *string = text_from(bytes);
    return utf8_valid(bytes);
}

static bool take_digits(struct second *second)
{
    struct text before = second->rest;
    while (peek(second) >= '0' && peek(second) <= '9')
        second->rest = text_skip(second->rest, 1);
    return second->rest.size < before.size;
}

/* A number, and what it is. What no double can hold is refused. */
static bool take_number(struct second *second, const struct json *value)
{
    struct text start = second->rest;
    bool whole = true;
    (void)take(second, '-');
    if (!take(second, '0') && !take_digits(second)) return false;
    if (take(second, '.')) {
        whole = false;
        if (!take_digits(second)) return false;
    }
    if (take(second, 'e') || take(second, 'E')) {
        whole = false;
        if (!take(second, '+')) (void)take(second, '-');
        if (!take_digits(second)) return false;
    }
    size_t size = start.size - second->rest.size;
    char *copy = strndup(start.data, size);
    double wanted = strtod(copy, nullptr), number = 0;
    bool finite = wanted - wanted == 0;
    free(copy);
    if (!second->compares || !finite) return finite;
    int64_t integer, wanted_integer;
    bool fits = text_to_i64((struct text){start.data, size}, &wanted_integer);
    MUST(json_to_number(value, &number) && number == wanted);
    MUST(json_to_integer(value, &integer) == (whole && fits));
    MUST(!whole || !fits || integer == wanted_integer);
    return true;
}

static bool take_word(struct second *second, struct text word)
{
    if (!text_starts(second->rest, word)) return false;
    second->rest = text_skip(second->rest, word.size);
    return true;
}

/* A container begins. */
static bool enter(struct second *second, bool object, const struct json *value)
{
    if (second->depth == json_depth_max) return false;
    if (second->compares) MUST(object ? json_is_object(value) : json_is_array(value));
    second->levels[second->depth++] = (struct level){object, value, 0, second->key_count};
    return true;
}

/* A value, or the beginning of one. */
static bool take_value(struct second *second, const struct json *value)
{
    struct text string, found;
    bool flag;
    if (second->compares) {
        char first = peek(second);
        MUST(value != nullptr && json_to_text(value, &found) == (first == '"'));
        size_t offset = second->document.size - second->rest.size;
        if (second->document.size <= 1024) /* each search begins at the document's start */
            MUST(json_offset(second->document, second->root, value) == offset);
        MUST(json_is_object(value) == (first == '{') && json_is_array(value) == (first == '['));
        MUST(json_to_bool(value, &flag) == (first == 't' || first == 'f'));
    }
    if (take(second, '{')) return enter(second, true, value);
    if (take(second, '[')) return enter(second, false, value);
    if (take(second, '"')) {
        if (!take_string(second, &string)) return false;
        if (second->compares) MUST(text_equal(string, found));
        return true;
    }
    if (take_word(second, TEXT("true"))) {
        if (second->compares) MUST(flag);
        return true;
    }
    if (take_word(second, TEXT("false"))) {
        if (second->compares) MUST(!flag);
        return true;
    }
    return take_word(second, TEXT("null")) || take_number(second, value);
}

/* The key of the next member, and its colon; it must be the first of its name. */
static bool take_key(struct second *second, const struct level *level, const struct json **member)
{
    struct text key;
    if (!take(second, '"') || !take_string(second, &key)) return false;
    skip_space(second);
    if (!take(second, ':')) return false;
    for (size_t i = level->first_key; i < second->key_count; i++)
        if (text_equal(second->keys[i], key)) return false;
    second->keys[second->key_count++] = key;
    *member = second->compares ? json_member(level->value, key) : nullptr;
    return level->count < json_members_max;
}

static void leave(struct second *second)
{
    const struct level *level = &second->levels[--second->depth];
    if (second->compares) MUST(json_count(level->value) == level->count);
    second->key_count = level->first_key;
}

/* What comes next in the innermost container. */
static bool take_next(struct second *second)
{
    struct level *level = &second->levels[second->depth - 1];
    const struct json *value = nullptr;
    skip_space(second);
    if (take(second, level->object ? '}' : ']')) {
        leave(second);
        return true;
    }
    if (level->count > 0 && !take(second, ',')) return false;
    skip_space(second);
    if (level->object) {
        if (!take_key(second, level, &value)) return false;
        skip_space(second);
    } else if (second->compares) {
        MUST(level->count < json_count(level->value));
        value = json_element(level->value, level->count);
    }
    level->count += 1;
    return take_value(second, value);
}

static bool second_reads(struct text document, const struct json *root)
{
    struct second second = {
        .document = document, .rest = document, .root = root, .compares = root != nullptr};
    second.keys = malloc((document.size + 1) * sizeof *second.keys);
    second.decoded = (struct pot){malloc(document.size + 1), 0, document.size + 1};
    skip_space(&second);
    bool valid = take_value(&second, root);
    while (valid && second.depth > 0)
        valid = take_next(&second);
    skip_space(&second);
    valid = valid && second.rest.size == 0;
    free(second.keys);
    free(second.decoded.data);
    return valid;
}

/* What a request handler asks: the string of one name in an object. */
static void check_string_member(struct bytes memory, struct text document)
{
    struct text value = {}, found = {}, problem;
    bool answered = json_read_string_member(memory, document, TEXT("a"), &value).size == 0;
    struct bytes copy = bytes_exact(value.data, answered ? value.size : 0);
    const struct json *root = json_read(memory, document, &problem);
    bool there = root != nullptr && json_is_object(root) &&
                 json_to_text(json_member(root, TEXT("a")), &found);
    bool has_nul = there && found.size > 0 && memchr(found.data, 0, found.size) != nullptr;
    MUST(answered == (there && !has_nul));
    if (answered) MUST(text_equal(found, text_from(copy)));
    free(copy.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_exact(data, size);
    struct bytes memory = {malloc(json_memory_size(size)), json_memory_size(size)};
    struct text document = text_from(input), problem = {};
    const struct json *root = json_read(memory, document, &problem);
    MUST((root == nullptr) == (problem.size > 0));
    MUST(!text_equal(problem, TEXT("is too large")));
    MUST(second_reads(document, root) == (root != nullptr));
    struct json_fault fault;
    MUST((json_read_file(memory, document, &fault) != nullptr) == (problem.size == 0));
    MUST(text_equal(fault.what, problem) && fault.offset <= size);
    if (root != nullptr) MUST(json_is_shallow(document));
    check_string_member(memory, document);
    free(memory.data);
    free(input.data);
    return 0;
}
