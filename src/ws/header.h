/* ws/header.h: the first bytes of a frame, read and written. RFC 6455 §5.2.
 * You are here: ring > tls > http > [ws] > hub > room > game > outbox > conn > ring
 * Never: looks at the payload, or knows what a message is. */
#pragma once
#include "base/bytes.h"

enum ws_opcode : uint8_t {
    WS_CONTINUATION = 0x0,
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
};

constexpr size_t ws_header_size_max = 14;        /* a client's: 2, 8 of length, 4 of key */
constexpr size_t ws_header_size_max_server = 10; /* a server's frames carry no key (§5.1) */
constexpr size_t ws_control_payload_max = 125;   /* §5.5 */

/* §5.2: 8 to 15 are control frames, the reserved ones among them included. */
static inline bool ws_opcode_is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

/* What the header says, not yet judged against the message it belongs to. */
struct ws_header {
    uint64_t payload_size; /* bytes, below 2^63; 0 while not length_known */
    uint8_t key[4];        /* wire order; zeros when not masked */
    uint8_t size;          /* bytes of the header itself: 2 to 14 */
    uint8_t opcode;        /* 0 to 15, reserved ones included */
    bool final;
    bool rsv1, rsv2, rsv3;
    bool masked;
    bool length_known; /* the bytes of payload_size have all come */
};

enum ws_header_step : uint8_t {
    WS_HEADER_NEED_MORE,   /* `input` is the beginning of a header */
    WS_HEADER_DONE,        /* the payload starts header->size bytes into `input` */
    WS_HEADER_NOT_MINIMAL, /* a longer length form than needed (§5.2) */
    WS_HEADER_TOO_LONG,    /* a 64-bit length with its highest bit set (§5.2) */
};

/* Reads one header from the start of `input`, which is only read. *header is filled as far as the
 * bytes go, whatever the answer, so that a bad frame can be refused before its header is whole:
 *     below 2 bytes   nothing: header->size is 0
 *     from 2          everything but payload_size and key
 *     the length      payload_size; NOT_MINIMAL and TOO_LONG are answered here
 *     the key         DONE */
[[nodiscard]] enum ws_header_step ws_header_read(struct bytes input, struct ws_header *header);

/* Writes a server's header, unmasked, in the shortest form, for a payload of `payload_size` bytes
 * (below 2^63; a control frame's at most 125, and final: §5.5). Returns how many bytes of `out` it
 * used: 2, 4 or 10. */
size_t ws_header_write(uint8_t out[static ws_header_size_max_server], enum ws_opcode opcode,
                       bool final, bool rsv1, uint64_t payload_size);
