#include "hub/json.h"
#include <yyjson.h>

bool json_is_shallow(struct text document)
{
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
            if (++depth > json_depth_max) return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth -= 1;
        }
    }
    return true;
}

/* Two members of one name are read differently by different parsers, so nobody may send them
 * (THREATS.md J2). Documents are small: comparing each pair is bounded by json_document_max. */
static bool has_duplicate_keys(yyjson_val *object)
{
    size_t outer_index, outer_max, inner_index, inner_max;
    yyjson_val *outer_key, *inner_key, *outer_value, *inner_value;
    yyjson_obj_foreach(object, outer_index, outer_max, outer_key, outer_value)
    {
        yyjson_obj_foreach(object, inner_index, inner_max, inner_key, inner_value)
        {
            if (inner_index >= outer_index) break;
            if (yyjson_get_len(outer_key) == yyjson_get_len(inner_key) &&
                memcmp(yyjson_get_str(outer_key), yyjson_get_str(inner_key),
                       yyjson_get_len(outer_key)) == 0)
                return true;
        }
    }
    return false;
}

struct text json_read_string_member(struct text document, struct text name, struct text *value)
{
    /* yyjson needs about twelve times the document at most (yyjson_read_max_memory_usage); no
     * malloc. */
    static thread_local char memory[json_document_max * 16];
    if (document.size == 0) return TEXT("The body is empty.");
    if (document.size > json_document_max) return TEXT("The body is too large.");
    if (!json_is_shallow(document)) return TEXT("The body is nested too deeply.");
    yyjson_alc allocator;
    yyjson_alc_pool_init(&allocator, memory, sizeof memory);
    /* Without YYJSON_READ_INSITU the document is only read, in spite of the parameter's type. */
    yyjson_doc *parsed = yyjson_read_opts((char *)document.data, document.size, YYJSON_READ_NOFLAG,
                                          &allocator, nullptr);
    if (parsed == nullptr) return TEXT("The body is not valid JSON.");
    yyjson_val *object = yyjson_doc_get_root(parsed);
    if (!yyjson_is_obj(object)) return TEXT("The body is not a JSON object.");
    if (has_duplicate_keys(object)) return TEXT("The body has a key twice.");
    yyjson_val *member = yyjson_obj_getn(object, name.data, name.size);
    if (!yyjson_is_str(member))
        return TEXT("The body has no string member of the name that is needed here.");
    *value = (struct text){.data = yyjson_get_str(member), .size = yyjson_get_len(member)};
    if (value->size > 0 && memchr(value->data, '\0', value->size) != nullptr)
        return TEXT("The string holds a NUL.");
    return (struct text){};
}
