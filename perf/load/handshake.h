/* perf/load/handshake.h: the client's side of the opening handshake, RFC 6455 §4.1. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Base64 of 20 bytes and a zero. */
constexpr size_t handshake_accept_size = 29;
constexpr size_t handshake_path_max = 256;   /* with its zero */
constexpr size_t handshake_token_max = 1024; /* with its zero */
constexpr size_t handshake_request_max = 512 + handshake_path_max + handshake_token_max;
constexpr size_t handshake_response_max = 4096;

/* Where to, and what to show there. */
struct handshake_wish {
    char path[handshake_path_max];
    char token[handshake_token_max]; /* of Authorization: Bearer; empty: none */
    bool deflate; /* offer permessage-deflate (RFC 7692), neither side keeping a window */
};

/* Writes a request with the key that `nonce` makes, and into `accept` what the server must answer
 * to it. Returns the request's size. */
size_t handshake_write(char request[static handshake_request_max], const char *host,
                       const struct handshake_wish *wish, const uint8_t nonce[static 16],
                       char accept[static handshake_accept_size]);

/* What a server answers to a key (§4.2.2). */
void handshake_accept(char accept[static handshake_accept_size], const char *key);

enum handshake_step : uint8_t { HANDSHAKE_NEED_MORE, HANDSHAKE_DONE, HANDSHAKE_REFUSED };

struct handshake_answer {
    size_t size;     /* DONE: where the frames begin */
    bool deflate;    /* DONE: permessage-deflate was offered and accepted */
    const char *why; /* REFUSED: what is wrong */
    unsigned status; /* 0: not even that could be read */
};

/* §4.1: status 101, Upgrade, Connection and the accept value must be there; no subprotocol, because
 * none was asked for, and no extension but permessage-deflate where `offered`, once, without what
 * was not offered (RFC 7692 §7.1). */
[[nodiscard]] enum handshake_step handshake_read(const uint8_t *data, size_t size,
                                                 const char *accept, bool offered,
                                                 struct handshake_answer *answer);
