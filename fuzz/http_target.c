/* fuzz/http_target.c: path and query of a request's target, against a decoder that is written
 * backwards from RFC 3986: what it takes it decodes the same, and what it refuses is refused.
 * Input: the target. */
#include "http/request.h"
#include "script.h"

static bool is_hex(uint8_t byte, uint32_t *value)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = byte == 0 ? nullptr : strchr(digits, byte);
    if (at != nullptr) *value = *value * 16 + (uint32_t)(at - digits) % 16;
    return at != nullptr;
}

/* True when `data` are characters of that set and whole escapes, none of them of a NUL; they are
 * written to `out`, decoded. */
static bool decode(const uint8_t *data, size_t size, bool (*allowed)(uint8_t), uint8_t *out,
                   size_t *out_size)
{
    *out_size = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t value = data[i];
        if (data[i] == '%') {
            value = 0;
            if (size - i < 3 || !is_hex(data[i + 1], &value) || !is_hex(data[i + 2], &value))
                return false;
            if (value == 0) return false;
            i += 2;
        } else if (!allowed(data[i])) {
            return false;
        }
        out[(*out_size)++] = (uint8_t)value;
    }
    return true;
}

/* RFC 3986 §3.3: pchar and "/". */
static bool in_path(uint8_t byte)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "-._~!$&'()*+,;=:@/";
    return byte != 0 && strchr(set, byte) != nullptr;
}

/* What http/request.h says of a query: all that is visible, but no fragment. */
static bool in_query(uint8_t byte)
{
    return byte >= '!' && byte <= '~' && byte != '#';
}

struct answer {
    enum http_step step;
    enum http_error error;
    struct bytes path, query; /* copies */
};

static struct answer ask(const uint8_t *data, size_t size)
{
    static const struct http_limits limits = {
        .head_size_max = 8192, .line_size_max = 4096, .body_size_max = 0};
    static const char before[] = "GET ", after[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_reader reader;
    struct http_request request;
    size_t whole = sizeof before - 1 + size + sizeof after - 1;
    struct bytes buffer = {malloc(http_buffer_size(&limits)), http_buffer_size(&limits)};
    struct bytes memory = {malloc(whole), whole}, input = memory;
    memcpy(memory.data, before, sizeof before - 1);
    if (size > 0) memcpy(memory.data + sizeof before - 1, data, size);
    memcpy(memory.data + sizeof before - 1 + size, after, sizeof after - 1);
    http_reader_init(&reader, &limits, buffer);
    struct answer answer = {.step = http_reader_feed(&reader, &input, &request)};
    answer.error = reader.error;
    if (answer.step == HTTP_REQUEST) {
        answer.path = bytes_exact(request.path.data, request.path.size);
        answer.query = bytes_exact(request.query.data, request.query.size);
        MUST(request.target.size == size && memcmp(request.target.data, data, size) == 0);
    }
    free(memory.data);
    free(buffer.data);
    return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 3000) return 0; /* the line's limit is another target's */
    const uint8_t *mark = size > 0 ? memchr(data, '?', size) : nullptr;
    size_t path_size = mark != nullptr ? (size_t)(mark - data) : size, decoded_size, ignored;
    uint8_t *decoded = malloc(size + 1), *scratch = malloc(size + 1);
    bool valid =
        path_size > 0 && data[0] == '/' &&
        decode(data, path_size, in_path, decoded, &decoded_size) &&
        (mark == nullptr || decode(mark + 1, size - path_size - 1, in_query, scratch, &ignored));
    struct answer answer = ask(data, size);
    MUST((answer.step == HTTP_REQUEST) == valid);
    if (valid) {
        MUST(answer.path.size == decoded_size);
        MUST(memcmp(answer.path.data, decoded, decoded_size) == 0);
        size_t query_size = mark != nullptr ? size - path_size - 1 : 0;
        MUST(answer.query.size == query_size);
        MUST(query_size == 0 || memcmp(answer.query.data, mark + 1, query_size) == 0);
        free(answer.path.data);
        free(answer.query.data);
    } else {
        MUST(answer.step == HTTP_BROKEN && answer.error != HTTP_OK);
    }
    free(decoded);
    free(scratch);
    return 0;
}
