#include "ws/header.h"
#include <assert.h>

/*     byte 0   FIN RSV1 RSV2 RSV3 | opcode, 4 bits
 *     byte 1   MASK | length, 7 bits: 0 to 125, or
 *                     126: 2 bytes of length follow, or
 *                     127: 8 bytes of length follow, big endian, highest bit clear
 *     then     4 bytes of key, when MASK is set */
constexpr uint8_t final_bit = 0x80, rsv1_bit = 0x40, rsv2_bit = 0x20, rsv3_bit = 0x10;
constexpr uint8_t opcode_bits = 0x0F;
constexpr uint8_t mask_bit = 0x80, length_bits = 0x7F;
constexpr uint8_t length_in_2 = 126, length_in_8 = 127;
constexpr size_t key_size = 4;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lengths on the wire are turned round");

static void big_endian_write(uint8_t *bytes, size_t size, uint64_t value)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

/* The bytes of length that follow the second byte. */
static size_t extended_size(uint8_t length)
{
    if (length == length_in_8) return 8;
    return length == length_in_2 ? 2 : 0;
}

/* §5.2: "the minimal number of bytes MUST be used to encode the length". */
static bool is_minimal(uint8_t length, uint64_t payload_size)
{
    if (length == length_in_8) return payload_size > UINT16_MAX;
    return length != length_in_2 || payload_size >= length_in_2;
}

/* The length that a header says, all of which is there. The three forms are all computed and one is
 * picked: which one a client's next frame has can not be foretold, and a wrong guess of the
 * processor's costs more than everything here. */
static uint64_t payload_size_at(const uint8_t *header, uint8_t length)
{
    uint64_t big_endian;
    memcpy(&big_endian, header + 2, sizeof big_endian);
    uint64_t in_8 = __builtin_bswap64(big_endian), in_2 = in_8 >> 48;
    return length == length_in_8 ? in_8 : length == length_in_2 ? in_2 : length;
}

enum ws_header_step ws_header_read(struct bytes input, struct ws_header *header)
{
    *header = (struct ws_header){};
    if (input.size < 2) return WS_HEADER_NEED_MORE;
    uint8_t whole[ws_header_size_max] = {}; // so that what has not come can be read, and is zero
    const uint8_t *bytes = input.data;
    if (input.size < sizeof whole) bytes = memcpy(whole, input.data, input.size);

    uint8_t first = bytes[0], second = bytes[1];
    header->final = (first & final_bit) != 0;
    header->rsv1 = (first & rsv1_bit) != 0;
    header->rsv2 = (first & rsv2_bit) != 0;
    header->rsv3 = (first & rsv3_bit) != 0;
    header->opcode = first & opcode_bits;
    header->masked = (second & mask_bit) != 0;

    uint8_t length = second & length_bits;
    size_t key_at = 2 + extended_size(length);
    header->size = (uint8_t)(key_at + (header->masked ? key_size : 0));
    if (input.size < key_at) return WS_HEADER_NEED_MORE;
    header->payload_size = payload_size_at(bytes, length);
    header->length_known = true;
    if (!is_minimal(length, header->payload_size)) return WS_HEADER_NOT_MINIMAL;
    if (header->payload_size > INT64_MAX) return WS_HEADER_TOO_LONG;

    if (input.size < header->size) return WS_HEADER_NEED_MORE;
    if (header->masked) memcpy(header->key, bytes + key_at, key_size);
    return WS_HEADER_DONE;
}

size_t ws_header_write(uint8_t out[static ws_header_size_max_server], enum ws_opcode opcode,
                       bool final, bool rsv1, uint64_t payload_size)
{
    assert(opcode <= opcode_bits);
    assert(payload_size <= INT64_MAX);
    assert(final || !ws_opcode_is_control(opcode));
    assert(payload_size <= ws_control_payload_max || !ws_opcode_is_control(opcode));
    out[0] = (uint8_t)((final ? final_bit : 0) | (rsv1 ? rsv1_bit : 0) | opcode);
    if (payload_size < length_in_2) {
        out[1] = (uint8_t)payload_size;
        return 2;
    }
    out[1] = payload_size <= UINT16_MAX ? length_in_2 : length_in_8;
    size_t extended = extended_size(out[1]);
    big_endian_write(out + 2, extended, payload_size);
    return 2 + extended;
}
