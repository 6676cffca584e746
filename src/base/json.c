#include "base/json.h"
#include <yyjson.h>

static const struct json *value_of(yyjson_val *value)
{
    return (const struct json *)value;
}

static yyjson_val *inner(const struct json *value)
{
    return (yyjson_val *)(uintptr_t)value; /* yyjson's readers take no const, and change nothing */
}

static inline bool opens(char c)
{
    return (c | 0x20) == '{'; /* '[' is 0x5B, '{' is 0x7B */
}

/* Many documents have fewer brackets than may lie in each other. A block's are counted in a byte
 * and without a branch, so that the compiler takes it in one piece. */
static bool has_few_brackets(struct text document)
{
    constexpr size_t block = 32;
    uint32_t count = 0;
    size_t at = 0;
    for (; document.size - at >= block; at += block) {
        uint8_t here = 0;
        for (size_t i = 0; i < block; i++)
            here += opens(document.data[at + i]);
        count += here;
    }
    for (; at < document.size; at++)
        count += opens(document.data[at]);
    return count <= json_depth_max;
}

/* How much of the document lies before the bracket that opens one level too many: all of it when
 * there is none. */
static size_t shallow_size(struct text document)
{
    if (has_few_brackets(document)) return document.size;
    uint32_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < document.size; i++) {
        char c = document.data[i];
        if (in_string) {
            if (c == '\\') i += 1;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > json_depth_max) return i;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth -= 1;
        }
    }
    return document.size;
}

bool json_is_shallow(struct text document)
{
    return shallow_size(document) == document.size;
}

static bool same_key(yyjson_val *left, yyjson_val *right)
{
    size_t size = yyjson_get_len(left);
    return size == yyjson_get_len(right) &&
           memcmp(yyjson_get_str(left), yyjson_get_str(right), size) == 0;
}

/* The key that came before already, or nullptr. Comparing each pair is bounded by
 * json_members_max. */
static yyjson_val *find_doubled_key(yyjson_val *object)
{
    yyjson_val *keys[json_members_max];
    size_t count = 0, index, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, max, key, value)
    {
        for (size_t i = 0; i < count; i++)
            if (same_key(keys[i], key)) return key;
        keys[count++] = key;
    }
    return nullptr;
}

static void fault_at(struct json_fault *fault, struct text what, yyjson_val *root, yyjson_val *at,
                     struct text document)
{
    fault->what = what;
    fault->offset = json_offset(document, value_of(root), value_of(at));
}

/* yyjson keeps a document's values one behind the other, containers before what they hold: all
 * objects of any depth are met without recursion. */
static void check_objects(yyjson_doc *parsed, struct text document, struct json_fault *fault)
{
    yyjson_val *root = yyjson_doc_get_root(parsed);
    size_t count = yyjson_doc_get_val_count(parsed);
    for (size_t i = 0; i < count && fault->what.size == 0; i++) {
        if (!yyjson_is_obj(root + i)) continue;
        if (yyjson_obj_size(root + i) > json_members_max) {
            fault_at(fault, TEXT("has too many keys"), root, root + i, document);
            return;
        }
        yyjson_val *doubled = find_doubled_key(root + i);
        if (doubled == nullptr) continue;
        fault->detail = (struct text){yyjson_get_str(doubled), yyjson_get_len(doubled)};
        fault_at(fault, TEXT("has a key twice"), root, doubled, document);
    }
}

const struct json *json_read_file(struct bytes memory, struct text document,
                                  struct json_fault *fault)
{
    yyjson_alc allocator;
    yyjson_read_err error;
    *fault = (struct json_fault){};
    if (document.size == 0) {
        fault->what = TEXT("is empty");
        return nullptr;
    }
    if (memory.size < json_memory_size(document.size) ||
        !yyjson_alc_pool_init(&allocator, memory.data, memory.size)) {
        fault->what = TEXT("is too large");
        return nullptr;
    }
    fault->offset = shallow_size(document);
    if (fault->offset < document.size) {
        fault->what = TEXT("is nested too deeply");
        return nullptr;
    }
    /* Without YYJSON_READ_INSITU the document is only read, in spite of the parameter's type. */
    yyjson_doc *parsed = yyjson_read_opts((char *)(uintptr_t)document.data, document.size,
                                          YYJSON_READ_NOFLAG, &allocator, &error);
    if (parsed == nullptr) {
        /* 1e999 is JSON, but no double holds it (THREATS.md J3). */
        bool is_number = error.code == YYJSON_READ_ERROR_INVALID_NUMBER;
        *fault = (struct json_fault){is_number ? TEXT("has a number that is malformed or too large")
                                               : TEXT("is not valid JSON"),
                                     text_of(error.msg), error.pos};
        return nullptr;
    }
    check_objects(parsed, document, fault);
    return fault->what.size == 0 ? value_of(yyjson_doc_get_root(parsed)) : nullptr;
}

const struct json *json_read(struct bytes memory, struct text document, struct text *problem)
{
    struct json_fault fault;
    const struct json *root = json_read_file(memory, document, &fault);
    *problem = fault.what;
    return root;
}

static bool stands_between_values(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ':' || c == ']' ||
           c == '}';
}

/* Where the string, number, word or opening bracket that begins at `at` ends. */
static size_t token_end(struct text document, size_t at)
{
    char first = document.data[at++];
    if (first == '[' || first == '{') return at;
    if (first == '"') {
        while (at < document.size && document.data[at] != '"')
            at += document.data[at] == '\\' ? 2 : 1;
        return at + 1;
    }
    while (at < document.size && !stands_between_values(document.data[at]))
        at += 1;
    return at;
}

/* The same order as yyjson's (above), so that the value's number there is its number here. */
size_t json_offset(struct text document, const struct json *root, const struct json *value)
{
    size_t before = (size_t)(inner(value) - inner(root)), at = 0;
    for (;; before--) {
        while (at < document.size && stands_between_values(document.data[at]))
            at += 1;
        if (before == 0 || at >= document.size) return at;
        at = token_end(document, at);
    }
}

struct json_place json_place(struct text document, size_t offset)
{
    struct json_place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < document.size; i++) {
        bool line_ends = document.data[i] == '\n';
        bool continues = ((uint8_t)document.data[i] & 0xC0) == 0x80; // UTF-8 behind the first byte
        place.line += line_ends;
        place.column = line_ends ? 1 : place.column + !continues;
    }
    return place;
}

bool json_is_object(const struct json *value)
{
    return yyjson_is_obj(inner(value));
}

bool json_is_array(const struct json *value)
{
    return yyjson_is_arr(inner(value));
}

const struct json *json_member(const struct json *value, struct text name)
{
    return value_of(yyjson_obj_getn(inner(value), name.data, name.size));
}

size_t json_count(const struct json *value)
{
    yyjson_val *val = inner(value);
    return yyjson_is_arr(val) ? yyjson_arr_size(val) : yyjson_obj_size(val);
}

const struct json *json_element(const struct json *value, size_t index)
{
    return value_of(yyjson_arr_get(inner(value), index));
}

const struct json *json_member_at(const struct json *value, size_t index, struct text *name)
{
    yyjson_obj_iter members = yyjson_obj_iter_with(inner(value));
    yyjson_val *key = yyjson_obj_iter_next(&members);
    while (key != nullptr && index-- > 0)
        key = yyjson_obj_iter_next(&members);
    if (key == nullptr) return nullptr;
    *name = (struct text){.data = yyjson_get_str(key), .size = yyjson_get_len(key)};
    return value_of(yyjson_obj_iter_get_val(key));
}

const struct json *json_key(const struct json *object, size_t index)
{
    yyjson_obj_iter members = yyjson_obj_iter_with(inner(object));
    for (size_t i = 0; i < index; i++)
        yyjson_obj_iter_next(&members);
    return value_of(yyjson_obj_iter_next(&members));
}

bool json_to_text(const struct json *value, struct text *out)
{
    yyjson_val *val = inner(value);
    if (!yyjson_is_str(val)) return false;
    *out = (struct text){.data = yyjson_get_str(val), .size = yyjson_get_len(val)};
    return true;
}

bool json_to_number(const struct json *value, double *out)
{
    yyjson_val *val = inner(value);
    if (!yyjson_is_num(val)) return false;
    *out = yyjson_get_num(val);
    return true;
}

bool json_to_integer(const struct json *value, int64_t *out)
{
    yyjson_val *val = inner(value);
    if (!yyjson_is_int(val)) return false;
    if (yyjson_is_uint(val) && yyjson_get_uint(val) > INT64_MAX) return false;
    *out = yyjson_get_sint(val);
    return true;
}

bool json_to_bool(const struct json *value, bool *out)
{
    if (!yyjson_is_bool(inner(value))) return false;
    *out = yyjson_get_bool(inner(value));
    return true;
}

bool json_is_null(const struct json *value)
{
    return yyjson_is_null(inner(value));
}

/* `text` is what yyjson wrote, or nullptr: its memory was too small. */
static void write_or_overflow(struct writer *out, const char *text, size_t size)
{
    if (text == nullptr)
        out->overflow = true;
    else
        write_text(out, (struct text){text, size});
}

void json_write(struct writer *out, const struct json *value, struct bytes memory)
{
    yyjson_alc allocator;
    size_t size = 0;
    const char *text = nullptr;
    if (yyjson_alc_pool_init(&allocator, memory.data, memory.size))
        text = yyjson_val_write_opts(inner(value), YYJSON_WRITE_NOFLAG, &allocator, &size, nullptr);
    write_or_overflow(out, text, size);
}

/* yyjson merges by recursion, as deep as the patch is: json_depth_max at most. */
void json_merge(struct writer *out, const struct json *target, const struct json *patch,
                struct bytes memory)
{
    yyjson_alc allocator;
    yyjson_mut_doc *document = nullptr;
    yyjson_mut_val *merged = nullptr;
    size_t size = 0;
    const char *text = nullptr;
    if (yyjson_alc_pool_init(&allocator, memory.data, memory.size))
        document = yyjson_mut_doc_new(&allocator);
    if (document != nullptr) merged = yyjson_merge_patch(document, inner(target), inner(patch));
    if (merged != nullptr)
        text = yyjson_mut_val_write_opts(merged, YYJSON_WRITE_NOFLAG, &allocator, &size, nullptr);
    write_or_overflow(out, text, size);
}

struct text json_read_string_member(struct bytes memory, struct text document, struct text name,
                                    struct text *value)
{
    struct text problem;
    const struct json *object = json_read(memory, document, &problem);
    if (object == nullptr) return problem;
    if (!json_is_object(object)) return TEXT("is not a JSON object");
    if (!json_to_text(json_member(object, name), value))
        return TEXT("has no string member of the name that is needed here");
    if (value->size > 0 && memchr(value->data, '\0', value->size) != nullptr)
        return TEXT("has a NUL in its string");
    return (struct text){};
}
