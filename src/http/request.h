/* http/request.h: turns a peer's bytes into one HTTP/1.1 request.
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: reads a socket, allocates, logs, or looks past the end of the request. RFC 9112, strict:
 * what an honest client never sends is refused, because a proxy in front may read it differently.
 *
 * Stricter than the RFC, on purpose:
 *   - an empty line before the request line is refused (§2.2 would skip it): a connection carries
 *     one request, so nothing can precede it, and the PROXY v2 signature begins like that;
 *   - only the origin form of a target is taken (§3.2.2 wants absolute-form as well): a second
 *     authority beside Host is how a proxy and a server come to disagree;
 *   - a target that is too long is answered 431 like any other line, not 414;
 *   - a Host is a name or an address of letters, digits and -._~, not all of RFC 3986's reg-name:
 *     a comma there is two Host headers that somebody merged. */
#pragma once
#include "base/bytes.h"

constexpr size_t http_headers_max = 64;

/* Why a request cannot be answered by its meaning.
 * name, status, code in the JSON body, sentence with the remedy */
#define HTTP_ERRORS(X)                                                                          \
    X(BAD_REQUEST_LINE, 400, "bad_request_line",                                                \
      "The request line must be: METHOD SP /path SP HTTP/1.1 CRLF.")                            \
    X(BAD_CHARACTER, 400, "bad_character",                                                      \
      "The request head has a control character, a bare CR or a bare LF.")                      \
    X(BAD_HEADER, 400, "bad_header",                                                            \
      "A header must be Name: value, no space before the colon, no folded lines.")              \
    X(BAD_HOST, 400, "bad_host",                                                                \
      "An HTTP/1.1 request carries exactly one Host header: a name or an address, then :port.") \
    X(BAD_TARGET, 400, "bad_target",                                                            \
      "The target must start with /, be percent-encoded correctly, and hold no # or %00.")      \
    X(BAD_LENGTH, 400, "bad_length",                                                            \
      "Content-Length must be one decimal number, and not beside Transfer-Encoding.")           \
    X(GET_BODY, 400, "body_not_allowed",                                                        \
      "A GET carries no body: send neither Content-Length nor Transfer-Encoding.")              \
    X(BODY_TOO_BIG, 413, "body_too_big", "The request body is larger than this server takes.")  \
    X(EXPECTATION, 417, "expectation", "Expect is not supported; send the request without it.") \
    X(HEAD_TOO_BIG, 431, "head_too_big",                                                        \
      "The request head is limited to 8 KiB, 64 headers and 4 KiB a line.")                     \
    X(NOT_IMPLEMENTED, 501, "not_implemented",                                                  \
      "Transfer-Encoding is not supported; send a Content-Length.")                             \
    X(BAD_VERSION, 505, "bad_version", "This server speaks HTTP/1.1.")

enum http_error : uint8_t {
    HTTP_OK,
#define X(name, status, code, sentence) HTTP_##name,
    HTTP_ERRORS(X)
#undef X
};

struct http_limits {
    uint32_t head_size_max; /* bytes, request line and headers with their ends */
    uint32_t line_size_max; /* bytes of one line, without its CRLF */
    uint32_t body_size_max; /* bytes */
};

struct http_header {
    struct text name;  /* as sent */
    struct text value; /* without the white space around it */
};

/* A whole request. Every text points into the buffer that was lent to the reader and lives as long
 * as that. `target` and `query` may carry a token: log `path`, never those (THREATS.md H24). */
struct http_request {
    struct text method;    /* as sent; a valid token */
    struct text target;    /* path and query as sent */
    struct text path;      /* up to '?', percent-decoded once; starts with '/', holds no NUL */
    struct text query;     /* behind '?', as sent, its escapes valid; empty when there is none */
    uint8_t version_minor; /* of HTTP/1.x */
    uint16_t header_count;
    struct http_header headers[http_headers_max];
    struct text body; /* empty when there is none */
};

enum http_step : uint8_t {
    HTTP_NEED_MORE, /* all of `input` is consumed; the state is kept */
    HTTP_REQUEST,   /* *request is filled; what follows the request is left in `input` */
    HTTP_BROKEN,    /* reader->error says why; feed no more */
};

/* One peer's place in its request. Zero is not valid: call http_reader_init. */
struct http_reader {
    const struct http_limits *limits;
    struct bytes buffer; /* lent: holds what has come of the request */
    uint32_t used;       /* bytes of it */
    uint32_t line_start; /* where the line that is being read begins */
    uint32_t head_size;  /* bytes of the head with its empty line, once it is whole; else 0 */
    uint32_t body_size;  /* bytes that must follow it */
    uint16_t line_count; /* whole lines so far */
    enum http_error error;
};

/* `buffer` is lent for the reader's life: at least http_buffer_size(limits) bytes. `limits` is
 * borrowed as long. */
void http_reader_init(struct http_reader *reader, const struct http_limits *limits,
                      struct bytes buffer);

/* How large a buffer these limits ask for, bytes: the head, the body, and the decoded path. */
size_t http_buffer_size(const struct http_limits *limits);

/* Copies from `input` until the request is whole. The work is linear in the bytes, however they are
 * split. A wrong byte is seen when it comes, a wrong line at its end, and what only the whole head
 * can tell at the empty line, before the body. `*request` is scratch until HTTP_REQUEST; after that
 * a further call gives the same request again and takes nothing from `input`. */
[[nodiscard]] enum http_step http_reader_feed(struct http_reader *reader, struct bytes *input,
                                              struct http_request *request);

/* The first header of that name (any case), or nullptr. With `count`, how many there are. */
const struct http_header *http_find(const struct http_request *request, struct text name,
                                    size_t *count);

/* The token of the one Authorization: Bearer header (any case; RFC 6750 §2.1), or empty: there is
 * none, another scheme, or more than one header. */
struct text http_bearer(const struct http_request *request);

/* True when one of the comma-separated tokens of any header `name` is `token` (any case):
 * Connection: keep-alive, Upgrade. */
bool http_has_token(const struct http_request *request, struct text name, struct text token);

/* Takes the next element off a comma-separated list, without the white space around it; empty ones
 * are skipped (RFC 9110 §5.6.1.2). False when none is left. */
[[nodiscard]] bool http_list_next(struct text *list, struct text *element);

/* True for one or more of the characters of RFC 9110 §5.6.2. */
bool http_is_token(struct text text);

/* What a line of the table says; `error` is not HTTP_OK. The texts are static. */
uint16_t http_error_status(enum http_error error);
struct text http_error_code(enum http_error error);
struct text http_error_sentence(enum http_error error);
