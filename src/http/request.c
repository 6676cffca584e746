#include "http/request.h"
#include <assert.h>

static const struct {
    uint16_t status;
    struct text code;
    struct text sentence;
} errors[] = {
#define X(name, status, code, sentence) \
    [HTTP_##name] = {status, {code, sizeof(code) - 1}, {sentence, sizeof(sentence) - 1}},
    HTTP_ERRORS(X)
#undef X
};
constexpr size_t error_count = sizeof errors / sizeof errors[0];

static bool is_one_of(uint8_t character, struct text set)
{
    return memchr(set.data, character, set.size) != nullptr;
}

static bool is_digit(uint8_t character)
{
    return character >= '0' && character <= '9';
}

static bool is_alphanumeric(uint8_t character)
{
    uint8_t lower = character | 0x20;
    return is_digit(character) || (lower >= 'a' && lower <= 'z');
}

static bool is_token_character(uint8_t character)
{
    return is_alphanumeric(character) || is_one_of(character, TEXT("!#$%&'*+-.^_`|~"));
}

/* RFC 3986 §3.3, without the '%' of an escape. */
static bool is_path_character(uint8_t character)
{
    return is_alphanumeric(character) || is_one_of(character, TEXT("-._~!$&'()*+,;=:@/"));
}

/* More than RFC 3986 §3.4: browsers leave []{}|^` and the backslash as they are in a query. */
static bool is_query_character(uint8_t character)
{
    return character > ' ' && character < 0x7F && character != '#';
}

static bool is_host_character(uint8_t character)
{
    return is_alphanumeric(character) || is_one_of(character, TEXT("-._~"));
}

static bool is_address_character(uint8_t character)
{
    return is_digit(character) || is_one_of(character, TEXT("abcdefABCDEF:."));
}

/* True when the predicate holds for every character; also when there is none. */
static bool all(struct text text, bool (*predicate)(uint8_t))
{
    for (size_t i = 0; i < text.size; i++)
        if (!predicate((uint8_t)text.data[i])) return false;
    return true;
}

/* The index of the first `character`, or the size when there is none. */
static size_t find(struct text text, char character)
{
    if (text.size == 0) return 0;
    const char *found = memchr(text.data, character, text.size);
    return found != nullptr ? (size_t)(found - text.data) : text.size;
}

static struct text first(struct text text, size_t size)
{
    return (struct text){.data = text.data, .size = size};
}

/* Takes what stands before `end`, and `end` itself, off `rest`. False when `end` is not there. */
static bool take_until(struct text *rest, char end, struct text *part)
{
    size_t size = find(*rest, end);
    if (size == rest->size) return false;
    *part = first(*rest, size);
    *rest = text_skip(*rest, size + 1);
    return true;
}

bool http_is_token(struct text text)
{
    return text.size > 0 && all(text, is_token_character);
}

bool http_list_next(struct text *list, struct text *element)
{
    while (list->size > 0) {
        size_t size = find(*list, ',');
        *element = text_trim(first(*list, size));
        *list = text_skip(*list, size < list->size ? size + 1 : size);
        if (element->size > 0) return true;
    }
    return false;
}

static int hex_value(char digit)
{
    uint8_t lower = (uint8_t)digit | 0x20;
    if (is_digit((uint8_t)digit)) return digit - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that the escape at the start of `text` stands for. 0 when it is %00 or no escape:
 * neither is allowed anywhere. */
static uint8_t escaped_byte(struct text text)
{
    if (text.size < 3) return 0;
    int high = hex_value(text.data[1]), low = hex_value(text.data[2]);
    return high < 0 || low < 0 ? 0 : (uint8_t)(high * 16 + low);
}

/* Decodes once: %252e becomes %2e and stays that. `room` is as large as any line. */
static bool decode_path(struct text encoded, uint8_t *room, struct text *path)
{
    if (encoded.size == 0 || encoded.data[0] != '/') return false;
    size_t size = 0;
    for (size_t i = 0; i < encoded.size; i++) {
        uint8_t byte = (uint8_t)encoded.data[i];
        if (byte == '%') {
            byte = escaped_byte(text_skip(encoded, i));
            if (byte == 0) return false;
            i += 2;
        } else if (!is_path_character(byte)) {
            return false;
        }
        room[size++] = byte;
    }
    *path = (struct text){.data = (const char *)room, .size = size};
    return true;
}

static bool query_valid(struct text query)
{
    for (size_t i = 0; i < query.size; i++) {
        if (!is_query_character((uint8_t)query.data[i])) return false;
        if (query.data[i] == '%' && escaped_byte(text_skip(query, i)) == 0) return false;
    }
    return true;
}

static enum http_error read_version(struct text version, uint8_t *minor)
{
    if (version.size != sizeof "HTTP/1.1" - 1 || !text_starts(version, TEXT("HTTP/")) ||
        !is_digit((uint8_t)version.data[5]) || version.data[6] != '.' ||
        !is_digit((uint8_t)version.data[7]))
        return HTTP_BAD_REQUEST_LINE;
    if (version.data[5] != '1') return HTTP_BAD_VERSION;
    *minor = (uint8_t)(version.data[7] - '0');
    return HTTP_OK;
}

/* RFC 9112 §3. The decoded path goes to the end of the lent buffer, behind head and body. */
static enum http_error read_request_line(const struct http_reader *reader, struct text line,
                                         struct http_request *request)
{
    if (!take_until(&line, ' ', &request->method) || !http_is_token(request->method) ||
        !take_until(&line, ' ', &request->target))
        return HTTP_BAD_REQUEST_LINE;
    enum http_error error = read_version(line, &request->version_minor);
    if (error != HTTP_OK) return error;
    size_t path_size = find(request->target, '?');
    bool has_query = path_size < request->target.size;
    request->query = text_skip(request->target, has_query ? path_size + 1 : path_size);
    uint8_t *room =
        reader->buffer.data + reader->limits->head_size_max + reader->limits->body_size_max;
    bool valid = decode_path(first(request->target, path_size), room, &request->path) &&
                 query_valid(request->query);
    return valid ? HTTP_OK : HTTP_BAD_TARGET;
}

/* RFC 9112 §5. A folded line (§5.2) begins with white space and a space before the colon (§5.1)
 * ends the name with it; neither is a token. */
static enum http_error read_header(struct text line, struct http_header *header)
{
    if (!take_until(&line, ':', &header->name) || !http_is_token(header->name))
        return HTTP_BAD_HEADER;
    header->value = text_trim(line);
    return HTTP_OK;
}

/* RFC 3986 §3.2.2 and §3.2.3, narrowed as request.h says. */
static bool host_valid(struct text value)
{
    bool bracketed = value.size > 0 && value.data[0] == '[';
    size_t host_size = find(value, bracketed ? ']' : ':');
    struct text host = first(value, host_size);
    struct text rest = text_skip(value, host_size);
    if (bracketed) {
        if (rest.size == 0) return false;
        host = text_skip(host, 1);
        rest = text_skip(rest, 1);
    }
    if (host.size == 0 || !all(host, bracketed ? is_address_character : is_host_character))
        return false;
    return rest.size == 0 || (rest.data[0] == ':' && all(text_skip(rest, 1), is_digit));
}

/* RFC 9112 §3.2: exactly one, and valid. HTTP/1.0 may go without. */
static enum http_error check_host(const struct http_request *request)
{
    size_t count;
    const struct http_header *host = http_find(request, TEXT("Host"), &count);
    if (count == 0 && request->version_minor == 0) return HTTP_OK;
    return count == 1 && host_valid(host->value) ? HTTP_OK : HTTP_BAD_HOST;
}

/* RFC 9112 §6.3. Equal duplicates would be allowed there; no honest client sends them. */
static enum http_error read_length(const struct http_request *request, uint32_t body_size_max,
                                   uint32_t *body_size)
{
    size_t encodings, lengths;
    uint64_t size;
    (void)http_find(request, TEXT("Transfer-Encoding"), &encodings);
    const struct http_header *length = http_find(request, TEXT("Content-Length"), &lengths);
    *body_size = 0;
    bool get = text_equal(request->method, TEXT("GET"));
    if (encodings > 0 && lengths > 0) return HTTP_BAD_LENGTH;
    if (encodings > 0) return get ? HTTP_GET_BODY : HTTP_NOT_IMPLEMENTED;
    if (lengths == 0) return HTTP_OK;
    if (lengths > 1 || length->value.size == 0 || !all(length->value, is_digit))
        return HTTP_BAD_LENGTH;
    // Digits that are no u64 are too many of them.
    if (!text_to_u64(length->value, &size) || size > body_size_max) return HTTP_BODY_TOO_BIG;
    *body_size = (uint32_t)size;
    return get && size > 0 ? HTTP_GET_BODY : HTTP_OK; // a proxy may take it for the next request
}

/* RFC 9110 §10.1.1: an expectation of HTTP/1.0 MUST be ignored. */
static enum http_error check_expect(const struct http_request *request)
{
    bool expects = http_find(request, TEXT("Expect"), nullptr) != nullptr;
    return expects && request->version_minor > 0 ? HTTP_EXPECTATION : HTTP_OK;
}

/* The next whole line of a head, without its CRLF; both are known to be there. */
static struct text take_line(struct text *rest)
{
    struct text line = {};
    bool found = take_until(rest, '\n', &line);
    assert(found && line.size > 0);
    return first(line, line.size - 1);
}

/* Reads the whole head again, every line of which was found valid when it came. */
static void fill_head(const struct http_reader *reader, struct http_request *request)
{
    struct text rest = {.data = (const char *)reader->buffer.data,
                        .size = reader->head_size - 2}; // without the empty line
    *request = (struct http_request){};
    enum http_error error = read_request_line(reader, take_line(&rest), request);
    assert(error == HTTP_OK);
    while (rest.size > 0) {
        assert(request->header_count < http_headers_max);
        error = read_header(take_line(&rest), &request->headers[request->header_count++]);
        assert(error == HTTP_OK);
    }
}

static enum http_error end_head(struct http_reader *reader, struct http_request *request)
{
    reader->head_size = reader->used;
    fill_head(reader, request);
    enum http_error error = check_host(request);
    if (error == HTTP_OK)
        error = read_length(request, reader->limits->body_size_max, &reader->body_size);
    return error == HTTP_OK ? check_expect(request) : error;
}

static enum http_error end_line(struct http_reader *reader, struct http_request *request)
{
    struct text line = {.data = (const char *)reader->buffer.data + reader->line_start,
                        .size = reader->used - reader->line_start - 2};
    reader->line_start = reader->used;
    reader->line_count += 1;
    if (reader->line_count == 1) return read_request_line(reader, line, request);
    if (line.size == 0) return end_head(reader, request);
    if (reader->line_count > 1 + http_headers_max) return HTTP_HEAD_TOO_BIG;
    struct http_header header;
    return read_header(line, &header);
}

/* RFC 9110 §5.5 for a value: visible characters, space, tab, and bytes that are not ASCII. Where
 * less is allowed, the end of the line finds it; but a peer whose very first byte cannot begin a
 * method speaks something else, and is told so at once. */
static enum http_error check_byte(const struct http_reader *reader, uint8_t byte)
{
    if ((byte < ' ' && byte != '\t') || byte == 0x7F) return HTTP_BAD_CHARACTER;
    if (reader->used == 0 && !is_token_character(byte)) return HTTP_BAD_REQUEST_LINE;
    bool line_full = reader->used - reader->line_start == reader->limits->line_size_max;
    return line_full ? HTTP_HEAD_TOO_BIG : HTTP_OK;
}

/* Adds one byte of the head. A line ends with CR LF; either alone is refused (RFC 9112 §2.2). */
static enum http_error take_byte(struct http_reader *reader, uint8_t byte,
                                 struct http_request *request)
{
    uint8_t *data = reader->buffer.data;
    bool after_cr = reader->used > reader->line_start && data[reader->used - 1] == '\r';
    if (after_cr != (byte == '\n')) return HTTP_BAD_CHARACTER;
    if (reader->used == reader->limits->head_size_max) return HTTP_HEAD_TOO_BIG;
    if (byte == '\r' && reader->used == 0) return HTTP_BAD_REQUEST_LINE;
    enum http_error error = after_cr || byte == '\r' ? HTTP_OK : check_byte(reader, byte);
    if (error != HTTP_OK) return error;
    data[reader->used++] = byte;
    return after_cr ? end_line(reader, request) : HTTP_OK;
}

/* True when the head is whole. Each byte is looked at when it comes, once more at its line's end,
 * and once more at the head's end: never per feed (THREATS.md H10). */
static bool feed_head(struct http_reader *reader, struct bytes *input, struct http_request *request)
{
    while (reader->head_size == 0 && reader->error == HTTP_OK && input->size > 0) {
        uint8_t byte = input->data[0];
        *input = bytes_skip(*input, 1);
        reader->error = take_byte(reader, byte, request);
    }
    return reader->head_size > 0;
}

/* True when the body is whole. */
static bool feed_body(struct http_reader *reader, struct bytes *input)
{
    size_t missing = reader->head_size + reader->body_size - reader->used;
    size_t size = input->size < missing ? input->size : missing;
    if (size == 0) return missing == 0;
    memcpy(reader->buffer.data + reader->used, input->data, size);
    reader->used += (uint32_t)size;
    *input = bytes_skip(*input, size);
    return size == missing;
}

void http_reader_init(struct http_reader *reader, const struct http_limits *limits,
                      struct bytes buffer)
{
    assert(buffer.size >= http_buffer_size(limits));
    assert(http_buffer_size(limits) <= UINT32_MAX); // the reader counts in 32 bits
    *reader = (struct http_reader){.limits = limits, .buffer = buffer};
}

size_t http_buffer_size(const struct http_limits *limits)
{
    return (size_t)limits->head_size_max + limits->body_size_max + limits->line_size_max;
}

enum http_step http_reader_feed(struct http_reader *reader, struct bytes *input,
                                struct http_request *request)
{
    assert(reader->error == HTTP_OK);
    bool resumed = reader->head_size > 0; // then *request is not what the head's end left in it
    bool head_whole = feed_head(reader, input, request);
    if (reader->error != HTTP_OK) return HTTP_BROKEN;
    if (!head_whole || !feed_body(reader, input)) return HTTP_NEED_MORE;
    if (resumed) fill_head(reader, request);
    request->body = (struct text){.data = (const char *)reader->buffer.data + reader->head_size,
                                  .size = reader->body_size};
    return HTTP_REQUEST;
}

const struct http_header *http_find(const struct http_request *request, struct text name,
                                    size_t *count)
{
    const struct http_header *found = nullptr;
    size_t matches = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!text_equal_nocase(request->headers[i].name, name)) continue;
        if (matches++ == 0) found = &request->headers[i];
    }
    if (count != nullptr) *count = matches;
    return found;
}

struct text http_bearer(const struct http_request *request)
{
    const struct text scheme = TEXT("Bearer ");
    size_t count = 0;
    const struct http_header *header = http_find(request, TEXT("Authorization"), &count);
    if (header == nullptr || count != 1 || header->value.size <= scheme.size)
        return (struct text){};
    if (!text_equal_nocase((struct text){header->value.data, scheme.size}, scheme))
        return (struct text){};
    return text_trim(text_skip(header->value, scheme.size));
}

bool http_has_token(const struct http_request *request, struct text name, struct text token)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (!text_equal_nocase(request->headers[i].name, name)) continue;
        struct text list = request->headers[i].value, element;
        while (http_list_next(&list, &element))
            if (text_equal_nocase(element, token)) return true;
    }
    return false;
}

uint16_t http_error_status(enum http_error error)
{
    assert(error != HTTP_OK && error < error_count);
    return errors[error].status;
}

struct text http_error_code(enum http_error error)
{
    assert(error != HTTP_OK && error < error_count);
    return errors[error].code;
}

struct text http_error_sentence(enum http_error error)
{
    assert(error != HTTP_OK && error < error_count);
    return errors[error].sentence;
}
