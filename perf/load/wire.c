#include "wire.h"
#include <assert.h>
#include <string.h>

/* The size of the header that `data` starts with; 0 while that cannot be known. */
static size_t header_size(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    uint8_t length = data[1] & 0x7F;
    return length < 126 ? 2 : length == 126 ? 4 : 10;
}

static uint64_t payload_size_of(const uint8_t *data, size_t header)
{
    uint64_t value = 0;
    for (size_t i = 2; i < header; i++)
        value = value * 256 + data[i];
    return header == 2 ? data[1] : value;
}

static bool is_known(uint8_t opcode)
{
    return opcode <= WIRE_BINARY || (opcode >= WIRE_CLOSE && opcode <= WIRE_PONG);
}

/* What the first two bytes alone make wrong; nullptr when nothing. */
static const char *fault_of_first_two(const uint8_t *data, bool deflate)
{
    uint8_t opcode = data[0] & 0x0F;
    uint8_t agreed = deflate && opcode < WIRE_CLOSE ? 0x40 : 0;
    if ((data[0] & 0x70 & ~agreed) != 0)
        return "a reserved bit is set and no extension was agreed on (§5.2)";
    if (!is_known(opcode)) return "a reserved opcode (§5.2)";
    if ((data[1] & 0x80) != 0) return "a server's frame is masked (§5.1)";
    if ((data[0] & 0x80) == 0 || opcode == WIRE_CONTINUATION)
        return "a fragment; this server's messages are one frame each";
    if (opcode >= WIRE_CLOSE && (data[1] & 0x7F) > 125)
        return "a control frame of more than 125 bytes (§5.5)";
    return nullptr;
}

static const char *fault_of_length(size_t header, uint64_t payload_size)
{
    if ((header == 4 && payload_size < 126) || (header == 10 && payload_size <= UINT16_MAX))
        return "a length that is not in the fewest bytes (§5.2)";
    if (payload_size >> 63 != 0) return "a length with its highest bit set (§5.2)";
    if (payload_size > wire_payload_max) return "a payload larger than this client takes";
    return nullptr;
}

/* The bytes of the UTF-8 sequence at `text`; 0 when there is none (RFC 3629 §4). */
static size_t utf8_sequence(const uint8_t *text, size_t size)
{
    uint8_t first = text[0];
    if (first < 0x80) return 1;
    size_t need = first >= 0xC2 && first <= 0xDF   ? 2
                  : first >= 0xE0 && first <= 0xEF ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;
    if (need == 0 || need > size) return 0;
    for (size_t i = 1; i < need; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    bool overlong = (first == 0xE0 && text[1] < 0xA0) || (first == 0xF0 && text[1] < 0x90);
    bool surrogate = first == 0xED && text[1] >= 0xA0;
    bool beyond = first == 0xF4 && text[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : need;
}

static bool is_utf8(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t eight;
        if (size - at >= sizeof eight) { /* nearly all of what comes is ASCII */
            memcpy(&eight, text + at, sizeof eight);
            if ((eight & 0x8080808080808080) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t sequence = utf8_sequence(text + at, size - at);
        if (sequence == 0) return false;
        at += sequence;
    }
    return true;
}

/* §7.4: what may be on the wire. */
static bool is_sendable(uint16_t code)
{
    if (code >= 3000) return code < 5000;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

const char *wire_fault_of_payload(const struct wire_frame *frame)
{
    if (frame->opcode == WIRE_TEXT && !is_utf8(frame->payload, frame->payload_size))
        return "a text that is not UTF-8 (§8.1)";
    if (frame->opcode != WIRE_CLOSE || frame->payload_size == 0) return nullptr;
    if (frame->payload_size == 1) return "a close frame of one byte (§5.5.1)";
    if (!is_sendable(wire_close_code(frame))) return "a close code that may not be sent (§7.4)";
    if (!is_utf8(frame->payload + 2, frame->payload_size - 2))
        return "a close reason that is not UTF-8 (§5.5.1)";
    return nullptr;
}

static enum wire_step step_of(const struct wire_frame *frame)
{
    return frame->broken != nullptr ? WIRE_BROKEN : WIRE_FRAME;
}

enum wire_step wire_take(const uint8_t *data, size_t size, bool deflate, struct wire_frame *frame)
{
    *frame = (struct wire_frame){};
    size_t header = header_size(data, size);
    if (header == 0) return WIRE_NEED_MORE;
    frame->broken = fault_of_first_two(data, deflate);
    if (frame->broken != nullptr) return WIRE_BROKEN;
    if (size < header) return WIRE_NEED_MORE;
    uint64_t payload_size = payload_size_of(data, header);
    frame->broken = fault_of_length(header, payload_size);
    if (frame->broken != nullptr) return WIRE_BROKEN;
    if (size - header < payload_size) return WIRE_NEED_MORE;
    frame->opcode = (enum wire_opcode)(data[0] & 0x0F);
    frame->compressed = (data[0] & 0x40) != 0;
    frame->payload = data + header;
    frame->payload_size = (size_t)payload_size;
    frame->size = header + frame->payload_size;
    if (!frame->compressed) frame->broken = wire_fault_of_payload(frame);
    return step_of(frame);
}

uint16_t wire_close_code(const struct wire_frame *frame)
{
    assert(frame->opcode == WIRE_CLOSE && frame->payload_size != 1);
    if (frame->payload_size == 0) return wire_code_none;
    return (uint16_t)(frame->payload[0] << 8 | frame->payload[1]);
}

/* Behind the header; returns the bytes of key and payload. */
static size_t write_masked(uint8_t *out, const uint8_t *payload, size_t payload_size, uint32_t key)
{
    uint8_t mask[4];
    memcpy(mask, &key, sizeof mask);
    memcpy(out, mask, sizeof mask);
    for (size_t i = 0; i < payload_size; i++)
        out[4 + i] = payload[i] ^ mask[i % 4];
    return 4 + payload_size;
}

size_t wire_write_control(uint8_t *out, enum wire_opcode opcode, const uint8_t *payload,
                          size_t payload_size, uint32_t key)
{
    assert(opcode >= WIRE_CLOSE && payload_size <= 125);
    out[0] = (uint8_t)(0x80 | opcode);
    out[1] = (uint8_t)(0x80 | payload_size);
    return 2 + write_masked(out + 2, payload, payload_size, key);
}

size_t wire_write_text(uint8_t *out, const uint8_t *payload, size_t payload_size, uint32_t key)
{
    assert(payload_size <= UINT16_MAX);
    out[0] = 0x80 | WIRE_TEXT;
    if (payload_size < 126) {
        out[1] = (uint8_t)(0x80 | payload_size);
        return 2 + write_masked(out + 2, payload, payload_size, key);
    }
    out[1] = 0x80 | 126;
    out[2] = (uint8_t)(payload_size >> 8);
    out[3] = (uint8_t)payload_size;
    return 4 + write_masked(out + 4, payload, payload_size, key);
}
