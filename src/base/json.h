/* base/json.h: JSON from strangers (RFC 8259), read by yyjson behind a check of its depth, with
 * duplicate keys refused at every level: parsers differ about which of the two counts, and what one
 * has checked another must not read differently (THREATS.md J1 to J5). And what was read, written
 * again, as it is or with a merge patch applied (RFC 7396). */
#pragma once
#include "base/bytes.h"

constexpr uint32_t json_depth_max = 16;
constexpr uint32_t json_members_max = 256; /* of one object */

/* A value of a document that was read: an object, array, string, number, true, false or null.
 * Lives in the memory given to json_read, until that is used again. */
struct json;

/* Reading a document takes so many bytes of memory for each of its own, and so many more. */
constexpr size_t json_memory_per_byte = 16;
constexpr size_t json_memory_fixed = 1024;

/* What reading a document of `size` bytes takes at most. */
static inline size_t json_memory_size(size_t size)
{
    return json_memory_per_byte * size + json_memory_fixed;
}

/* True when no array or object in `document` lies deeper than json_depth_max. Counts brackets
 * outside strings; the document need not be valid. */
[[nodiscard]] bool json_is_shallow(struct text document);

/* The root of `document`, or nullptr and in *problem what is wrong with it: words that continue
 * "The body " or "The message " ("is not valid JSON"). `memory` is borrowed for as long as the
 * value is used, and holds at least json_memory_size(document.size) bytes; the document itself may
 * go at once. Nothing is allocated. */
[[nodiscard]] const struct json *json_read(struct bytes memory, struct text document,
                                           struct text *problem);

/* What is wrong with a document, and where: for files, which people mend. */
struct json_fault {
    struct text what;   /* as json_read's problem */
    struct text detail; /* more of the same ("trailing comma is not allowed"), or empty; a constant,
                         * or the key that comes twice, which lives as long as the memory */
    size_t offset;      /* of the byte that it is about; the document's size: its end */
};

/* json_read for such a file. */
[[nodiscard]] const struct json *json_read_file(struct bytes memory, struct text document,
                                                struct json_fault *fault);

/* The offset at which a value of the document begins. The document is what was read, and `root` its
 * root. Takes time in proportion to the offset. */
[[nodiscard]] size_t json_offset(struct text document, const struct json *root,
                                 const struct json *value);

/* An offset as editors say it: both from 1, columns in code points. */
struct json_place {
    uint32_t line, column;
};
[[nodiscard]] struct json_place json_place(struct text document, size_t offset);

[[nodiscard]] bool json_is_object(const struct json *value);
[[nodiscard]] bool json_is_array(const struct json *value);

/* The member of an object, or nullptr when there is none or `value` is no object (nullptr is
 * none). */
[[nodiscard]] const struct json *json_member(const struct json *value, struct text name);

/* How many elements an array has, or members an object; 0 for anything else. */
[[nodiscard]] size_t json_count(const struct json *value);

/* The element of an array at `index`, which is below json_count. Takes time in proportion to the
 * index unless all elements are plain values. */
[[nodiscard]] const struct json *json_element(const struct json *value, size_t index);

/* The member of an object at `index`, which is below json_count, in the order of the document, and
 * its name, which lives as long as the value. Takes time in proportion to the index unless all
 * members are plain values. */
[[nodiscard]] const struct json *json_member_at(const struct json *value, size_t index,
                                                struct text *name);

/* The name of an object's member at `index`, which is below json_count: a string. Takes time in
 * proportion to the index. */
[[nodiscard]] const struct json *json_key(const struct json *object, size_t index);

/* Each of these says whether the value (nullptr is none) is of that type, and then sets *out. */

/* A string, unescaped, valid UTF-8; it may hold NUL. Lives as long as the value. */
[[nodiscard]] bool json_to_text(const struct json *value, struct text *out);
/* Any number, as the double that is nearest to it: always finite. */
[[nodiscard]] bool json_to_number(const struct json *value, double *out);
/* A number without fraction and exponent, within int64_t. */
[[nodiscard]] bool json_to_integer(const struct json *value, int64_t *out);
[[nodiscard]] bool json_to_bool(const struct json *value, bool *out);
[[nodiscard]] bool json_is_null(const struct json *value);

/* Writes a value without white space. A number is written as the 64-bit integer or the double that
 * it was read as. What does not fit sets out->overflow, and nothing is written. `memory` is
 * borrowed for the call, apart from the value's own: json_memory_size bytes for the size of the
 * value's document are enough. */
void json_write(struct writer *out, const struct json *value, struct bytes memory);

/* What json_merge takes at most for two documents of `size` bytes together. */
constexpr size_t json_merge_memory_per_byte = 72;
constexpr size_t json_merge_memory_fixed = 8 * 1024;
static inline size_t json_merge_memory_size(size_t size)
{
    return json_merge_memory_per_byte * size + json_merge_memory_fixed;
}

/* Writes `target` (nullptr: nothing) with the merge patch `patch` applied, as RFC 7396 §2 has it:
 * what the patch does not name stays, null takes away, all else takes the place of what was there.
 * Written as by json_write. It is nested no deeper than the deeper of the two, but an object may
 * have more members than json_members_max: what is to be read again must be tried. `memory` is
 * borrowed for the call, apart from both values' own: json_merge_memory_size bytes for the sum of
 * the sizes of their documents are enough. */
void json_merge(struct writer *out, const struct json *target, const struct json *patch,
                struct bytes memory);

/* Reads an object and finds its string member `name`: json_read, and what nearly every request
 * needs behind it. An empty text and *value set, or words that continue "The body ". The string is
 * not allowed to hold NUL. */
[[nodiscard]] struct text json_read_string_member(struct bytes memory, struct text document,
                                                  struct text name, struct text *value);
