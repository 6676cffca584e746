/* ws/reader.h: turns a peer's bytes into messages.
 * You are here: ring > tls > http > [ws] > hub > room > game > outbox > conn > ring
 * Never: reads a socket, allocates, logs, or looks past `input`. RFC 6455 §5, §7. */
#pragma once
#include "base/bucket.h"
#include "base/bytes.h"
#include "base/utf8.h"
#include "ws/header.h"

/* Why a peer's bytes cannot be read on: name, close code (§7.4.1), reason token on the wire, and a
 * sentence for log and documentation. When a frame breaks several rules that are known at the same
 * byte, the first in this list is reported. */
#define WS_ERRORS(X)                                                                               \
    X(UNMASKED, 1002, "unmasked_frame", "a client's frame carried no mask (RFC 6455 §5.1)")        \
    X(RESERVED_BIT, 1002, "reserved_bit",                                                          \
      "a reserved bit was set that no extension gave a meaning (RFC 6455 §5.2)")                   \
    X(RESERVED_OPCODE, 1002, "reserved_opcode", "a reserved opcode was used (RFC 6455 §5.2)")      \
    X(LENGTH_NOT_MINIMAL, 1002, "length_not_minimal",                                              \
      "a length was not in its shortest form (RFC 6455 §5.2)")                                     \
    X(LENGTH_TOO_LONG, 1002, "length_too_long",                                                    \
      "a 64-bit length had its highest bit set (RFC 6455 §5.2)")                                   \
    X(CONTROL_TOO_LONG, 1002, "control_too_long",                                                  \
      "a control frame was longer than 125 bytes (RFC 6455 §5.5)")                                 \
    X(CONTROL_FRAGMENTED, 1002, "control_fragmented",                                              \
      "a control frame was fragmented (RFC 6455 §5.5)")                                            \
    X(CONTINUATION_ALONE, 1002, "continuation_alone",                                              \
      "a continuation came without a start (RFC 6455 §5.4)")                                       \
    X(MESSAGE_INTERRUPTED, 1002, "message_interrupted",                                            \
      "a message began inside another one (RFC 6455 §5.4)")                                        \
    X(CLOSE_MALFORMED, 1002, "close_malformed",                                                    \
      "a close frame carried one byte, or a code that must not be sent (§7.4)")                    \
    X(BAD_UTF8, 1007, "bad_utf8", "a text message or close reason was not UTF-8 (RFC 6455 §8.1)")  \
    X(BAD_DEFLATE, 1007, "bad_deflate",                                                            \
      "a compressed message could not be inflated (RFC 7692 §7.2.2)")                              \
    X(TOO_MANY_FRAGMENTS, 1008, "too_many_fragments", "a message came in too many tiny fragments") \
    X(TOO_BIG, 1009, "message_too_big", "a message was larger than this room takes")               \
    X(RATIO, 1009, "inflates_too_much", "a compressed message was far smaller than what it held")

enum ws_error : uint8_t {
    WS_OK,
#define X(name, code, token, sentence) WS_##name,
    WS_ERRORS(X)
#undef X
};

/* What one kind of room takes. Owned by the kind; outlives its readers. */
struct ws_limits {
    uint32_t message_size_max;   /* bytes of one assembled message, at most ws_message_size_limit; a
                                  * frame that would pass it is refused by its header alone */
    uint16_t tiny_fragments_max; /* fragments under ws_tiny_fragment_size within one message */
    struct rate messages;        /* of one peer; the reader's caller sees to it */
};
constexpr size_t ws_tiny_fragment_size = 16;
constexpr uint32_t ws_message_size_limit = 1024 * 1024 * 1024; /* so that sizes fit 32 bits */

enum ws_step : uint8_t {
    WS_NEED_MORE,   /* all of `input` is consumed; the state is kept */
    WS_NEED_BUFFER, /* lend a buffer of at least ws_reader_need() bytes, then feed what is left of
                     * `input` again; nothing is lost until then */
    WS_MESSAGE,     /* *message is a whole message or control frame */
    WS_BROKEN,      /* reader->error says why; feed no more */
};

struct ws_message {
    enum ws_opcode opcode; /* WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING or WS_PONG */
    bool compressed;       /* the payload is still to be inflated, and checked: ws/deflate.h */
    uint16_t close_code;   /* WS_CLOSE only: the peer's, or 1005 when it sent none (§7.1.5) */
    struct bytes payload;  /* unmasked; of a close, the reason without its code. Points into `input`
                            * when the message came whole, else into the lent buffer; valid until
                            * the next call on this reader */
};

/* Where a reader stands in the stream of frames; drawn on top of reader.c. */
enum ws_reader_phase : uint8_t { WS_READING_HEADER, WS_READING_PAYLOAD, WS_READING_OVER };

/* One peer's place in the stream, between two feeds. Zero is not valid: call ws_reader_init. May be
 * moved in memory. All but `error` and `limits` is the reader's own business. */
struct ws_reader {
    const struct ws_limits *limits;
    uint8_t *buffer;          /* lent: [message so far][control frame so far], or nullptr */
    uint32_t buffer_capacity; /* bytes */
    uint32_t message_used;    /* bytes of the unfinished message in the buffer */
    uint32_t frame_size;      /* the current frame's whole payload, bytes */
    uint32_t frame_read;      /* how much of it has been taken, bytes */
    uint32_t need;            /* answer of ws_reader_need */
    uint16_t tiny_fragments;  /* of the unfinished message */
    uint8_t key[4];           /* of the current frame */
    uint8_t header[ws_header_size_max - 1]; /* what has come of a header; never all of it */
    uint8_t header_used;
    uint8_t message_opcode; /* WS_TEXT or WS_BINARY while a message is unfinished, else 0 */
    uint8_t frame_opcode;
    bool frame_final : 1;
    bool deflate : 1;    /* permessage-deflate was agreed on: RSV1 may come */
    bool compressed : 1; /* the unfinished message began with it */
    enum ws_reader_phase phase;
    struct utf8 utf8; /* of the unfinished text message */
    enum ws_error error;
};
static_assert(sizeof(struct ws_reader) <= 64, "each connection has one: a cache line");

/* `limits` is borrowed for the reader's life. */
void ws_reader_init(struct ws_reader *reader, const struct ws_limits *limits);

/* Permessage-deflate was agreed on: a message whose first frame has RSV1 is compressed (RFC 7692
 * §6.1). It is delivered as it came; message_size_max counts its payload, and its text is not
 * checked. Before the first feed. */
void ws_reader_expect_deflate(struct ws_reader *reader);

/* Consumes from `input` (unmasking in place) up to the end of one message. Call again until
 * WS_NEED_MORE. However the same bytes are split over calls, the same messages come out, and the
 * same error at the same byte, namely:
 *     mask, reserved bits, opcode, order, control frame rules   with its header's second byte
 *     length and limits                                         with its length's last byte
 *     text that is not UTF-8      with the first byte that no continuation can mend (or, when it
 *                                 stops within a code point, with the message's last byte)
 *     a close's code and reason   with its last byte
 * Messages before the error are delivered first. A message that lies whole in `input` never needs a
 * buffer; control frames may come between fragments (§5.4). */
[[nodiscard]] enum ws_step ws_reader_feed(struct ws_reader *reader, struct bytes *input,
                                          struct ws_message *message);

/* After WS_NEED_BUFFER: how many bytes the next buffer must have at least. Grows with what has
 * come, never with a length that a header only declares; at most message_size_max +
 * ws_control_payload_max. */
static inline uint32_t ws_reader_need(const struct ws_reader *reader)
{
    return reader->need;
}

/* Gives the reader a larger buffer, which it holds until it is reclaimed; what the old one held is
 * copied over. Returns the old buffer (its data is nullptr when there was none), which the caller
 * owns again. */
[[nodiscard]] struct bytes ws_reader_lend(struct ws_reader *reader, struct bytes buffer);

/* Takes the buffer back if the reader does not need it now: call when a feed has ended with
 * WS_NEED_MORE, or when the connection ends with `even_if_used`. Returns it, or {nullptr} when
 * there is none or it is in use. A message of the last feed is void. A reader that loses a buffer
 * in use is over: it answers WS_BROKEN, without an error. */
[[nodiscard]] struct bytes ws_reader_reclaim(struct ws_reader *reader, bool even_if_used);

/* True while part of a message or frame has come and the rest has not: what an assembly deadline
 * watches. */
bool ws_reader_is_midway(const struct ws_reader *reader);

/* The codes an endpoint may send (§7.4.1, §7.4.2 and IANA's 1012 to 1014): 1000-1003, 1007-1014,
 * 3000-4999. */
bool ws_close_code_allowed(uint16_t code);
