/* http/respond.h: the answers, as bytes. RFC 9112, RFC 6455 §4.2.2.
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: sends anything; the caller queues what was written. */
#pragma once
#include "base/bytes.h"
#include "http/upgrade.h"

/* An answer to one request. All texts are borrowed for the call. Every answer but the 101 says
 * Connection: close, because after a refused upgrade the byte stream must not be reused (THREATS.md
 * H20), and Cache-Control: no-store. None has a Date: there is no clock here (RFC 9110 §6.6.1), and
 * what is not stored needs no age. */
struct http_response {
    uint16_t status; /* 200 or above; not 204 or 304, which may not have a Content-Length */
    struct text content_type;  /* empty: no Content-Type (and then the body should be empty) */
    struct text extra_headers; /* whole lines with CRLF, or empty: "Allow: GET\r\n" */
    struct text body;          /* Content-Length is written from it, also when it is empty */
};

/* The headers that the status owes are added, unless extra_headers names them: 401
 * WWW-Authenticate: Bearer, 405 Allow: GET, 426 Upgrade: websocket and Sec-WebSocket-Version: 13
 * (and Upgrade in Connection), 429 and 503 Retry-After: 1. */
void http_write_response(struct writer *out, const struct http_response *response);

/* {"error":{"code":CODE,"message":MESSAGE}} as application/json. `extra_headers` as above. A body
 * over 2 KiB counts as overflow of `out`, and nothing is written. */
void http_write_error(struct writer *out, uint16_t status, struct text code, struct text message,
                      struct text extra_headers);

/* 101 with Sec-WebSocket-Accept, and Sec-WebSocket-Protocol and -Extensions when one was chosen. */
void http_write_upgrade(struct writer *out, const struct http_upgrade *upgrade);

/* How many bytes of an answer are its head, the empty line included: what HEAD is answered with. */
size_t http_head_size(struct text answer);

/* The reason phrase: "Not Found" for 404; "Unknown" for a status that this server never sends.
 * Static. */
struct text http_status_phrase(uint16_t status);
