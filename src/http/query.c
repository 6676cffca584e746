#include "http/query.h"

static uint8_t digit(char character)
{
    if (character >= '0' && character <= '9') return (uint8_t)(character - '0');
    return (uint8_t)((character | 0x20) - 'a' + 10);
}

/* Takes one character, escaped or not, off a text that is not empty. The request reader has seen to
 * it that escapes are whole. */
static uint8_t take_character(struct text *text)
{
    if (text->data[0] != '%' || text->size < 3) {
        uint8_t plain = (uint8_t)text->data[0];
        *text = text_skip(*text, 1);
        return plain;
    }
    uint8_t byte = (uint8_t)(digit(text->data[1]) << 4 | digit(text->data[2]));
    *text = text_skip(*text, 3);
    return byte;
}

static bool is_named(struct text escaped, struct text name)
{
    while (escaped.size > 0 && name.size > 0) {
        if (take_character(&escaped) != (uint8_t)name.data[0]) return false;
        name = text_skip(name, 1);
    }
    return escaped.size == 0 && name.size == 0;
}

/* What stands before the first `end`; *rest is what stands behind it, or empty. */
static struct text cut(struct text text, char end, struct text *rest)
{
    const char *found = text.size > 0 ? memchr(text.data, end, text.size) : nullptr;
    size_t size = found != nullptr ? (size_t)(found - text.data) : text.size;
    *rest = text_skip(text, found != nullptr ? size + 1 : size);
    return (struct text){text.data, size};
}

enum http_query_answer http_query(struct text query, struct text name, struct writer *value)
{
    enum http_query_answer answer = HTTP_QUERY_NONE;
    while (query.size > 0) {
        struct text escaped, pair = cut(query, '&', &query);
        if (!is_named(cut(pair, '=', &escaped), name)) continue;
        if (answer != HTTP_QUERY_NONE) return HTTP_QUERY_TWICE;
        answer = HTTP_QUERY_FOUND;
        while (escaped.size > 0)
            write_byte(value, take_character(&escaped));
    }
    return answer;
}
