#include "http/respond.h"
#include <assert.h>

constexpr size_t error_body_size_max = 2048;

static const struct {
    uint16_t status;
    struct text phrase;
} phrases[] = {
#define PHRASE(status, words) {status, {words, sizeof(words) - 1}}
    PHRASE(101, "Switching Protocols"),
    PHRASE(200, "OK"),
    PHRASE(201, "Created"),
    PHRASE(400, "Bad Request"),
    PHRASE(401, "Unauthorized"),
    PHRASE(403, "Forbidden"),
    PHRASE(404, "Not Found"),
    PHRASE(405, "Method Not Allowed"),
    PHRASE(408, "Request Timeout"),
    PHRASE(409, "Conflict"),
    PHRASE(410, "Gone"),
    PHRASE(413, "Content Too Large"),
    PHRASE(415, "Unsupported Media Type"),
    PHRASE(417, "Expectation Failed"),
    PHRASE(422, "Unprocessable Content"),
    PHRASE(423, "Locked"),
    PHRASE(426, "Upgrade Required"),
    PHRASE(429, "Too Many Requests"),
    PHRASE(431, "Request Header Fields Too Large"),
    PHRASE(500, "Internal Server Error"),
    PHRASE(501, "Not Implemented"),
    PHRASE(503, "Service Unavailable"),
    PHRASE(505, "HTTP Version Not Supported"),
#undef PHRASE
};

/* What a status owes its reader: RFC 9110 §15.5.2 (401), §15.5.6 (405), §15.5.22 (426),
 * RFC 6455 §4.2.2 item 4 (the version), RFC 6585 §4 (429), RFC 9110 §15.6.4 (503). */
static const struct {
    uint16_t status;
    struct text name;
    struct text value;
} owed[] = {
#define OWED(status, name, value) {status, {name, sizeof(name) - 1}, {value, sizeof(value) - 1}}
    OWED(401, "WWW-Authenticate", "Bearer"), OWED(405, "Allow", "GET"),
    OWED(426, "Upgrade", "websocket"),       OWED(426, "Sec-WebSocket-Version", "13"),
    OWED(429, "Retry-After", "1"),           OWED(503, "Retry-After", "1"),
#undef OWED
};

static void write_header(struct writer *out, struct text name, struct text value)
{
    write_text(out, name);
    write_text(out, TEXT(": "));
    write_text(out, value);
    write_text(out, TEXT("\r\n"));
}

static void write_status_line(struct writer *out, uint16_t status)
{
    write_text(out, TEXT("HTTP/1.1 "));
    write_u64(out, status);
    write_byte(out, ' ');
    write_text(out, http_status_phrase(status));
    write_text(out, TEXT("\r\n"));
}

/* True when one of the lines begins with `name` (any case) and a colon. */
static bool has_line(struct text lines, struct text name)
{
    while (lines.size > 0) {
        if (lines.size > name.size && lines.data[name.size] == ':' &&
            text_equal_nocase((struct text){lines.data, name.size}, name))
            return true;
        const char *end = memchr(lines.data, '\n', lines.size);
        if (end == nullptr) return false;
        lines = text_skip(lines, (size_t)(end - lines.data) + 1);
    }
    return false;
}

static void write_owed(struct writer *out, uint16_t status, struct text extra_headers)
{
    for (size_t i = 0; i < sizeof owed / sizeof owed[0]; i++)
        if (owed[i].status == status && !has_line(extra_headers, owed[i].name))
            write_header(out, owed[i].name, owed[i].value);
}

void http_write_response(struct writer *out, const struct http_response *response)
{
    struct text extra = response->extra_headers;
    assert(response->status >= 200 && response->status != 204 && response->status != 304);
    assert(extra.size == 0 || extra.data[extra.size - 1] == '\n');
    write_status_line(out, response->status);
    if (response->content_type.size > 0)
        write_header(out, TEXT("Content-Type"), response->content_type);
    write_text(out, TEXT("Content-Length: "));
    write_u64(out, response->body.size);
    write_text(out, TEXT("\r\nCache-Control: no-store\r\n"));
    // RFC 9110 §7.8: who sends Upgrade names it in Connection too.
    write_header(out, TEXT("Connection"),
                 response->status == 426 ? TEXT("Upgrade, close") : TEXT("close"));
    write_owed(out, response->status, extra);
    write_text(out, extra);
    write_text(out, TEXT("\r\n"));
    write_text(out, response->body);
}

void http_write_error(struct writer *out, uint16_t status, struct text code, struct text message,
                      struct text extra_headers)
{
    char memory[error_body_size_max];
    struct writer body = writer_over(memory, sizeof memory);
    write_text(&body, TEXT("{\"error\":{\"code\":\""));
    write_json_escaped(&body, code);
    write_text(&body, TEXT("\",\"message\":\""));
    write_json_escaped(&body, message);
    write_text(&body, TEXT("\"}}"));
    if (body.overflow) {
        out->overflow = true;
        return;
    }
    http_write_response(out, &(struct http_response){
                                 .status = status,
                                 .content_type = TEXT("application/json"),
                                 .extra_headers = extra_headers,
                                 .body = text_from(writer_bytes(&body)),
                             });
}

void http_write_upgrade(struct writer *out, const struct http_upgrade *upgrade)
{
    write_status_line(out, 101);
    write_text(out, TEXT("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    write_header(out, TEXT("Sec-WebSocket-Accept"),
                 (struct text){upgrade->accept, sizeof upgrade->accept});
    if (upgrade->protocol.size > 0)
        write_header(out, TEXT("Sec-WebSocket-Protocol"), upgrade->protocol);
    if (upgrade->deflate.server_bits != 0) {
        write_text(out, TEXT("Sec-WebSocket-Extensions: "));
        http_deflate_write(out, &upgrade->deflate);
        write_text(out, TEXT("\r\n"));
    }
    write_text(out, TEXT("\r\n"));
}

struct text http_status_phrase(uint16_t status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return TEXT("Unknown");
}

size_t http_head_size(struct text answer)
{
    const char *end = memmem(answer.data, answer.size, "\r\n\r\n", 4);
    return end != nullptr ? (size_t)(end - answer.data) + 4 : answer.size;
}
