/* http/extension.h: reads the extensions that a request offers and decides on permessage-deflate.
 * RFC 6455 §9.1, RFC 7692 §5 and §7.1.
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: compresses anything; ws/deflate.h does.
 *
 * What is agreed to is always the same in one thing: neither side keeps its window from one message
 * to the next. So one compressor and one inflater serve all connections of a worker, a broadcast is
 * compressed once for everybody, and no message's size tells of another's text (THREATS.md Z7). */
#pragma once
#include "base/bytes.h"
#include "http/request.h"

/* Windows are 2^bits bytes. RFC 7692 allows 8, too; zlib makes 9 of 8 in a raw stream, which a peer
 * that asked for 8 could not read: so who wants 8 of us is declined (THREATS.md Z6). */
constexpr uint8_t http_deflate_bits_min = 9;
constexpr uint8_t http_deflate_bits_max = 15;

/* An accepted offer of permessage-deflate; all zeros: none. */
struct http_deflate {
    uint8_t server_bits; /* we may compress with a window of that at most: 9 to 15; 0: not at all */
    uint8_t client_bits; /* the client has said that it compresses with that at most: 8 to 15 */
    bool server_named;   /* the offer named ours, so the answer must (RFC 7692 §7.1.2.1) */
};

/* The first acceptable offer of all Sec-WebSocket-Extensions headers, in the client's order,
 * goes to *deflate; all zeros when there is none. An offer of permessage-deflate with a
 * parameter that is unknown, doubled, has a value where none belongs, or is out of its range, is
 * passed over like any other extension: by silence. False when a header is not a list of
 * extensions (RFC 6455 §9.1): the handshake must fail. Takes each byte once (THREATS.md H11). */
[[nodiscard]] bool http_deflate_choose(const struct http_request *request,
                                       struct http_deflate *deflate);

/* Writes what the 101's Sec-WebSocket-Extensions says of an accepted offer. Both sides are held to
 * no context takeover, whether it was offered or not (RFC 7692 §7.1.1.1, §7.1.1.2). The client's
 * window is not bounded: we can read every one. */
void http_deflate_write(struct writer *out, const struct http_deflate *deflate);
