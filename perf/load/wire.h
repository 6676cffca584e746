/* perf/load/wire.h: the client's side of RFC 6455 framing, written without a look at src/ws: a
 * server that breaks a rule must not be forgiven by a client of the same hand.
 * Pure: bytes in, values out. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum wire_opcode : uint8_t {
    WIRE_CONTINUATION = 0x0,
    WIRE_TEXT = 0x1,
    WIRE_BINARY = 0x2,
    WIRE_CLOSE = 0x8,
    WIRE_PING = 0x9,
    WIRE_PONG = 0xA,
};

enum wire_step : uint8_t {
    WIRE_NEED_MORE, /* the frame is not whole yet */
    WIRE_FRAME,
    WIRE_BROKEN, /* `broken` says what no server may send; the rest of the stream means nothing */
};

struct wire_frame {
    enum wire_opcode opcode;
    const uint8_t *payload; /* into the bytes that were given */
    size_t payload_size;
    size_t size;     /* header and payload */
    bool compressed; /* the payload is yet to be inflated, and what it holds is unchecked */
    const char *broken;
};

/* The largest payload that the client takes. */
constexpr size_t wire_payload_max = 1U << 20;

/* Reads the frame that `data` starts with. Every frame must be whole (FIN), unmasked (§5.1), with
 * no reserved bit or opcode (§5.2), its length in the fewest bytes (§5.2); a control frame holds at
 * most 125 bytes (§5.5), a text is UTF-8 (§8.1), a close frame is well formed (§5.5.1, §7.4). Where
 * permessage-deflate was agreed on a text or binary frame may have RSV1 (RFC 7692 §6). */
[[nodiscard]] enum wire_step wire_take(const uint8_t *data, size_t size, bool deflate,
                                       struct wire_frame *frame);

/* What is wrong with a frame's payload; nullptr when nothing. For one that was inflated since. */
[[nodiscard]] const char *wire_fault_of_payload(const struct wire_frame *frame);

constexpr uint16_t wire_code_none = 1005; /* a close frame without a code (§7.1.5) */
constexpr uint16_t wire_code_lost = 1006; /* the stream ended without a close frame */

/* The code of a close frame that wire_take has accepted. */
uint16_t wire_close_code(const struct wire_frame *frame);

/* A client's control frame: 2 bytes of header, 4 of key, at most 125 of payload. */
constexpr size_t wire_control_max = 131;

/* Writes a masked control frame into `out`, of wire_control_max bytes; returns its size. */
size_t wire_write_control(uint8_t *out, enum wire_opcode opcode, const uint8_t *payload,
                          size_t payload_size, uint32_t key);

/* A client's text header: 4 bytes for up to 65,535 of payload, and the key. */
constexpr size_t wire_header_max = 8;

/* Writes a masked text frame, of at most 65,535 bytes, into `out`, which has wire_header_max more;
 * returns its size. */
size_t wire_write_text(uint8_t *out, const uint8_t *payload, size_t payload_size, uint32_t key);
