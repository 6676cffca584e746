#include "http/extension.h"
#include <assert.h>

/* The grammar (RFC 6455 §9.1), with white space between any two of its words (RFC 2616 §2.1):
 *
 *     1#( token *( ";" token [ "=" ( token | quoted-string ) ] ) )
 */

/* --- Words ----------------------------------------------------------------------------------- */

static bool is_token_character(char c)
{
    return http_is_token((struct text){&c, 1});
}

static void skip_space(struct text *rest)
{
    size_t size = 0;
    while (size < rest->size && (rest->data[size] == ' ' || rest->data[size] == '\t'))
        size += 1;
    *rest = text_skip(*rest, size);
}

/* Takes `character` when it comes next, white space before and after it as well. */
static bool take(struct text *rest, char character)
{
    skip_space(rest);
    if (rest->size == 0 || rest->data[0] != character) return false;
    *rest = text_skip(*rest, 1);
    skip_space(rest);
    return true;
}

static bool take_token(struct text *rest, struct text *token)
{
    size_t size = 0;
    while (size < rest->size && is_token_character(rest->data[size]))
        size += 1;
    *token = (struct text){rest->data, size};
    *rest = text_skip(*rest, size);
    return size > 0;
}

/* A parameter's value as it is meant: without quotes and escapes. What does not fit is cut off, and
 * longer than any value that is understood. */
struct value {
    char data[4];
    size_t size; /* of all of it */
};

static void value_add(struct value *value, char c)
{
    if (value->size < sizeof value->data) value->data[value->size] = c;
    value->size += 1;
}

/* §9.1: what a quoted string means must be a token, too, so it is not empty. */
static bool take_quoted(struct text *rest, struct value *value)
{
    for (size_t i = 1; i < rest->size; i++) {
        if (rest->data[i] == '"') {
            *rest = text_skip(*rest, i + 1);
            return value->size > 0;
        }
        if (rest->data[i] == '\\' && ++i == rest->size) return false;
        if (!is_token_character(rest->data[i])) return false;
        value_add(value, rest->data[i]);
    }
    return false;
}

static bool take_value(struct text *rest, struct value *value)
{
    *value = (struct value){};
    if (rest->size > 0 && rest->data[0] == '"') return take_quoted(rest, value);
    struct text token;
    if (!take_token(rest, &token)) return false;
    for (size_t i = 0; i < token.size; i++)
        value_add(value, token.data[i]);
    return true;
}

/* --- permessage-deflate ---------------------------------------------------------------------- */

enum parameter : uint8_t {
    SERVER_NO_CONTEXT_TAKEOVER,
    CLIENT_NO_CONTEXT_TAKEOVER,
    SERVER_MAX_WINDOW_BITS,
    CLIENT_MAX_WINDOW_BITS,
};
static const struct text parameters[] = {
    [SERVER_NO_CONTEXT_TAKEOVER] = TEXT("server_no_context_takeover"),
    [CLIENT_NO_CONTEXT_TAKEOVER] = TEXT("client_no_context_takeover"),
    [SERVER_MAX_WINDOW_BITS] = TEXT("server_max_window_bits"),
    [CLIENT_MAX_WINDOW_BITS] = TEXT("client_max_window_bits"),
};
constexpr size_t parameter_count = sizeof parameters / sizeof parameters[0];

/* One offer while it is read. */
struct offer {
    bool acceptable;
    bool seen[parameter_count];
    struct http_deflate deflate;
};

/* RFC 7692 §7.1.2: a decimal number from 8 to 15 without leading zeros. 0 when it is none. */
static uint8_t bits_of(const struct value *value)
{
    const char *data = value->data;
    if (value->size == 1 && (data[0] == '8' || data[0] == '9')) return (uint8_t)(data[0] - '0');
    bool two = value->size == 2 && data[0] == '1' && data[1] >= '0' && data[1] <= '5';
    return two ? (uint8_t)(10 + data[1] - '0') : 0;
}

static bool set_window(struct offer *offer, enum parameter parameter, const struct value *value)
{
    uint8_t bits = bits_of(value);
    if (bits == 0) return false;
    if (parameter == CLIENT_MAX_WINDOW_BITS) {
        offer->deflate.client_bits = bits; /* 8 is no trouble for who only reads it */
        return true;
    }
    offer->deflate.server_bits = bits;
    offer->deflate.server_named = true;
    return bits >= http_deflate_bits_min;
}

/* False when the offer cannot be accepted with it (RFC 7692 §7.1). `value` is nullptr when it has
 * none. */
static bool set_parameter(struct offer *offer, struct text name, const struct value *value)
{
    size_t i = 0;
    while (i < parameter_count && !text_equal(name, parameters[i]))
        i += 1;
    if (i == parameter_count || offer->seen[i]) return false;
    offer->seen[i] = true;
    bool may_be_bare = i != SERVER_MAX_WINDOW_BITS, may_have_value = i >= SERVER_MAX_WINDOW_BITS;
    if (value == nullptr) return may_be_bare;
    return may_have_value && set_window(offer, (enum parameter)i, value);
}

/* Reads one extension with its parameters. False when the syntax is broken. */
static bool take_extension(struct text *rest, struct offer *offer)
{
    struct text name;
    if (!take_token(rest, &name)) return false;
    *offer = (struct offer){.acceptable = text_equal(name, TEXT("permessage-deflate")),
                            .deflate = {http_deflate_bits_max, http_deflate_bits_max, false}};
    while (take(rest, ';')) {
        struct text parameter;
        struct value value;
        if (!take_token(rest, &parameter)) return false;
        bool has_value = take(rest, '=');
        if (has_value && !take_value(rest, &value)) return false;
        if (offer->acceptable)
            offer->acceptable = set_parameter(offer, parameter, has_value ? &value : nullptr);
    }
    return true;
}

/* One header's list. Empty elements are allowed, but not a list without any other. */
static bool read_list(struct text rest, struct http_deflate *deflate)
{
    size_t count = 0;
    while (take(&rest, ','))
        continue;
    while (rest.size > 0) {
        struct offer offer;
        if (!take_extension(&rest, &offer)) return false;
        if (offer.acceptable && deflate->server_bits == 0) *deflate = offer.deflate;
        count += 1;
        if (rest.size > 0 && !take(&rest, ',')) return false;
        while (take(&rest, ','))
            continue;
    }
    return count > 0;
}

bool http_deflate_choose(const struct http_request *request, struct http_deflate *deflate)
{
    *deflate = (struct http_deflate){};
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (!text_equal_nocase(header->name, TEXT("Sec-WebSocket-Extensions"))) continue;
        if (!read_list(header->value, deflate)) return false;
    }
    return true;
}

void http_deflate_write(struct writer *out, const struct http_deflate *deflate)
{
    assert(deflate->server_bits >= http_deflate_bits_min);
    write_text(out, TEXT("permessage-deflate; server_no_context_takeover; "
                         "client_no_context_takeover"));
    if (!deflate->server_named) return;
    write_text(out, TEXT("; server_max_window_bits="));
    write_u64(out, deflate->server_bits);
}
