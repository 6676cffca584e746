/* http/upgrade.h: decides whether a request opens a WebSocket, and what the 101 must say.
 * RFC 6455 §4.2.
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: decides who the peer is, or which room it meant; those are the hub's. */
#pragma once
#include "base/bytes.h"
#include "http/extension.h"

/* Why an upgrade is refused (THREATS.md H1 to H7, H14).
 * name, status, code in the JSON body, sentence with the remedy */
#define HTTP_REFUSALS(X)                                                                    \
    X(METHOD, 405, "method_not_allowed", "This path is a WebSocket: use GET.")              \
    X(VERSION_OLD, 400, "http_too_old", "A WebSocket needs HTTP/1.1.")                      \
    X(NO_UPGRADE, 426, "upgrade_required",                                                  \
      "This path is a WebSocket: send Connection: Upgrade and Upgrade: websocket.")         \
    X(WS_VERSION, 426, "websocket_version", "Send exactly one Sec-WebSocket-Version: 13.")  \
    X(KEY, 400, "websocket_key", "Send exactly one Sec-WebSocket-Key: 16 bytes in base64.") \
    X(ORIGIN, 403, "origin_not_allowed",                                                    \
      "This origin is not on the server's list; see --allow-origin.")                       \
    X(PROTOCOL, 400, "subprotocol", "None of the offered subprotocols is spoken here.")     \
    X(PROTOCOL_SYNTAX, 400, "subprotocol_syntax",                                           \
      "Sec-WebSocket-Protocol must be a list of at most 32 different tokens.")              \
    X(EXTENSION_SYNTAX, 400, "extension_syntax",                                            \
      "Sec-WebSocket-Extensions must be a list of extensions: name; parameter=value, ...")

enum http_refusal : uint8_t {
    HTTP_UPGRADE_OK,
#define X(name, status, code, sentence) HTTP_REFUSE_##name,
    HTTP_REFUSALS(X)
#undef X
};

/* More offers than this are PROTOCOL_SYNTAX: comparing each with each must stay cheap. */
constexpr size_t http_protocols_max = 32;

/* What a route allows. All of it is borrowed for the call.
 *
 * Without any_origin an Origin passes when it is on the list, or is the server's own: http:// or
 * https:// before the request's Host (TLS may end at a proxy in front). Scheme and host compare
 * without case, and a port that is the scheme's default counts as absent on both sides; nothing
 * else is forgiven. "null" never passes, even when it is listed, because every sandboxed page
 * sends it. A missing Origin passes: native clients send none (S0-16). Two are refused, always. */
struct http_upgrade_policy {
    bool any_origin;            /* true: every single Origin passes (--dev) */
    const struct text *origins; /* scheme://host[:port] each */
    size_t origin_count;
    const struct text *protocols; /* the subprotocols spoken on this route; case matters */
    size_t protocol_count;
    bool deflate; /* permessage-deflate may be agreed on */
};

struct http_upgrade {
    char accept[28];      /* Sec-WebSocket-Accept (§4.2.2), not zero-terminated */
    struct text protocol; /* the first offered one that the policy has (points into the policy), or
                           * empty: then none was offered and the 101 names none */
    struct http_deflate deflate; /* the accepted offer; all zeros: the 101 names no extension, which
                                  * declines all (RFC 6455 §9.1) */
};

/* Judges a request for a WebSocket route, in the order of the table above. *upgrade is filled when
 * HTTP_UPGRADE_OK. Extensions must be well-formed also where none is spoken (§9.1). */
[[nodiscard]] enum http_refusal http_upgrade_check(const struct http_request *request,
                                                   const struct http_upgrade_policy *policy,
                                                   struct http_upgrade *upgrade);

/* The policy's word about a request's Origin, for requests that are no upgrade. THREATS.md X3. */
[[nodiscard]] bool http_origin_allowed(const struct http_request *request,
                                       const struct http_upgrade_policy *policy);

/* What a line of the table says; `refusal` is not HTTP_UPGRADE_OK. The texts are static. */
uint16_t http_refusal_status(enum http_refusal refusal);
struct text http_refusal_code(enum http_refusal refusal);
struct text http_refusal_sentence(enum http_refusal refusal);
