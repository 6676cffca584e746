#include "json.h"
#include <string.h>

constexpr size_t depth_max = 16, path_max = 64;

/* Where the reader stands; `path` has the keys of the objects around, with dots between. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
    struct json_wanted *wanted;
    size_t wanted_count;
    const char *fault;
    size_t depth;
    bool in_object[depth_max];
    size_t path_sizes[depth_max]; /* of the path when the container began */
    size_t path_size;
    char path[path_max];
    bool lost; /* the path is longer than any that can be wanted, or in an array */
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && memchr(" \t\r\n", *scan->at, 4) != nullptr)
        scan->at += 1;
}

static bool take(struct scan *scan, uint8_t byte)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at += 1;
    return true;
}

static bool fail(struct scan *scan, const char *fault)
{
    if (scan->fault == nullptr) scan->fault = fault;
    return false;
}

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* §7. The quotes are outside *data. */
static bool take_string(struct scan *scan, const uint8_t **data, size_t *size)
{
    if (!take(scan, '"')) return fail(scan, "a string is missing");
    *data = scan->at;
    for (; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        if (*scan->at < 0x20) return fail(scan, "a control character in a string");
        if (*scan->at != '\\') continue;
        if (++scan->at == scan->end) break;
        if (*scan->at == 'u') {
            if (scan->end - scan->at < 5) return fail(scan, "a string that does not end");
            for (int i = 1; i <= 4; i++)
                if (!is_hex(scan->at[i])) return fail(scan, "an escape that is none");
            scan->at += 4;
        } else if (memchr("\"\\/bfnrt", *scan->at, 8) == nullptr) {
            return fail(scan, "an escape that is none");
        }
    }
    if (scan->at >= scan->end) return fail(scan, "a string that does not end");
    *size = (size_t)(scan->at - *data);
    scan->at += 1;
    return true;
}

static bool take_digits(struct scan *scan)
{
    const uint8_t *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at += 1;
    return scan->at > start;
}

static bool skip_one_of(struct scan *scan, const char *bytes)
{
    if (scan->at == scan->end || memchr(bytes, *scan->at, strlen(bytes)) == nullptr) return false;
    scan->at += 1;
    return true;
}

/* §6 */
static bool take_number(struct scan *scan)
{
    (void)skip_one_of(scan, "-");
    if (!skip_one_of(scan, "0") && !take_digits(scan)) return fail(scan, "no value");
    if (skip_one_of(scan, ".") && !take_digits(scan)) return fail(scan, "a number that is none");
    if (skip_one_of(scan, "eE")) {
        (void)skip_one_of(scan, "+-");
        if (!take_digits(scan)) return fail(scan, "a number that is none");
    }
    return true;
}

static bool take_word(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, words[i], size) != 0)
            continue;
        scan->at += size;
        return true;
    }
    return false;
}

static bool note(struct scan *scan, enum json_kind kind, const uint8_t *data, size_t size)
{
    if (scan->lost) return true;
    for (size_t i = 0; i < scan->wanted_count; i++) {
        struct json_wanted *wanted = &scan->wanted[i];
        if (strlen(wanted->path) != scan->path_size ||
            memcmp(wanted->path, scan->path, scan->path_size) != 0)
            continue;
        if (wanted->kind != JSON_ABSENT) return fail(scan, "a key twice");
        wanted->kind = kind;
        wanted->data = data;
        wanted->size = size;
    }
    return true;
}

/* "key": of the next member. */
static bool take_key(struct scan *scan)
{
    const uint8_t *key;
    size_t size, begin = scan->path_sizes[scan->depth - 1];
    if (!take_string(scan, &key, &size)) return false;
    if (!take(scan, ':')) return fail(scan, "a colon is missing");
    size_t dot = begin > 0 ? 1 : 0;
    scan->lost = begin + dot + size > path_max;
    for (size_t i = 0; i < scan->depth; i++)
        scan->lost |= !scan->in_object[i];
    if (scan->lost) return true;
    if (dot == 1) scan->path[begin] = '.';
    memcpy(scan->path + begin + dot, key, size);
    scan->path_size = begin + dot + size;
    return true;
}

static bool enter(struct scan *scan, bool object)
{
    if (scan->depth == depth_max) return fail(scan, "too deep");
    if (!note(scan, JSON_OTHER, scan->at, 0)) return false;
    scan->in_object[scan->depth] = object;
    scan->path_sizes[scan->depth++] = scan->path_size;
    if (!object) scan->lost = true;
    return true;
}

/* A value that is no container. */
static bool take_plain(struct scan *scan)
{
    const uint8_t *start = scan->at;
    size_t size = 0;
    if (scan->at == scan->end) return fail(scan, "no value");
    if (*scan->at == '"')
        return take_string(scan, &start, &size) && note(scan, JSON_STRING, start, size);
    if (take_word(scan)) return note(scan, JSON_OTHER, start, 0);
    return take_number(scan) && note(scan, JSON_NUMBER, start, (size_t)(scan->at - start));
}

/* A value, up to the first that is no container or is an empty one. */
static bool take_value(struct scan *scan)
{
    for (;;) {
        skip_space(scan);
        bool object = scan->at < scan->end && *scan->at == '{';
        bool array = scan->at < scan->end && *scan->at == '[';
        if (!object && !array) return take_plain(scan);
        scan->at += 1;
        if (!enter(scan, object)) return false;
        skip_space(scan);
        if (scan->at < scan->end && *scan->at == (object ? '}' : ']')) return true;
        if (object && !take_key(scan)) return false;
    }
}

/* What may follow a value: the ends of containers. False with another member or element still to
 * come, or at the end of all. */
static bool take_ends(struct scan *scan)
{
    while (scan->depth > 0 && take(scan, scan->in_object[scan->depth - 1] ? '}' : ']')) {
        scan->depth -= 1;
        scan->path_size = scan->path_sizes[scan->depth];
    }
    return scan->depth == 0;
}

const char *json_read(const uint8_t *text, size_t size, struct json_wanted *wanted, size_t count)
{
    struct scan scan = {.at = text, .end = text + size, .wanted = wanted, .wanted_count = count};
    for (size_t i = 0; i < count; i++)
        wanted[i].kind = JSON_ABSENT;
    if (size == 0 || text[0] != '{') return "not a JSON object";
    while (take_value(&scan) && !take_ends(&scan)) {
        if (!take(&scan, ',')) return "a comma or an end is missing";
        if (scan.in_object[scan.depth - 1] && !take_key(&scan)) break;
    }
    if (scan.fault != nullptr) return scan.fault;
    return scan.at == scan.end ? nullptr : "something behind the JSON object";
}

bool json_is(const struct json_wanted *value, const char *string)
{
    return value->kind == JSON_STRING && value->size == strlen(string) &&
           memcmp(value->data, string, value->size) == 0;
}
