/* tests/sim/wire.h: HTTP answers and WebSocket frames as a client reads and writes them (RFC 9112,
 * RFC 6455). Independent of the server's code on purpose: a mistake that both made would be seen by
 * nobody. */
#pragma once
#include <stdint.h>

/* A whole answer at the front of `data`. */
struct wire_answer {
    uint32_t status;
    const char *body; /* not terminated */
    uint32_t body_size;
    char accept[40];      /* Sec-WebSocket-Accept, or empty */
    char extensions[160]; /* Sec-WebSocket-Extensions, or empty */
};

/* Returns nullptr, with *used bytes (0: more must come first), or what is wrong. `ended`: no more
 * will come. */
const char *wire_read_answer(const uint8_t *data, uint32_t size, bool ended,
                             struct wire_answer *answer, uint32_t *used);

struct wire_frame {
    uint8_t opcode;
    bool compressed; /* RSV1: permessage-deflate (RFC 7692) */
    const uint8_t *payload;
    uint32_t size;
};

/* The same for a frame from a server that never fragments, and compresses only where `deflates`. */
const char *wire_read_frame(const uint8_t *data, uint32_t size, bool deflates,
                            struct wire_frame *frame, uint32_t *used);

/* Inflates a message that was compressed with a window of 2^bits bytes and without the ones before
 * (RFC 7692 §7.2.2): *frame then has it, in `out`. Returns nullptr, or what is wrong. */
const char *wire_inflate(struct wire_frame *frame, uint32_t bits, uint8_t *out, uint32_t out_size);

/* Compresses a message by itself (RFC 7692 §7.2.1); returns its size, 0 when that is more than
 * there is room for. */
uint32_t wire_deflate(const uint8_t *data, uint32_t size, uint8_t *out, uint32_t out_size);

/* What a client's frame may be, on purpose. */
struct wire_kind {
    uint8_t first; /* FIN, reserved bits, opcode */
    bool unmasked;
    uint8_t form; /* of the length: 0 the shortest, 2 or 8 bytes */
    uint32_t mask;
};

constexpr uint32_t wire_header_max = 14;

/* A frame in `out`, which has room for wire_header_max and the payload; returns its size. */
uint32_t wire_write_frame(uint8_t *out, struct wire_kind kind, const void *payload, uint32_t size);

/* A close code that a server may send. */
bool wire_code_is_valid(uint32_t code);

/* The number behind "key": in JSON text; false when there is none. */
bool wire_json_number(const uint8_t *data, uint32_t size, const char *key, uint64_t *value);
bool wire_contains(const uint8_t *data, uint32_t size, const char *text);

/* Copies the text behind "key":" up to the next quotation mark, and ends it with a zero. False, and
 * an empty text, when there is none or it is longer. */
bool wire_json_text(const uint8_t *data, uint32_t size, const char *key, char *text,
                    uint32_t text_size);
