#include "check.h"
#include "ws/header.h"
#include <stdlib.h>

/* A client's header, written out the long way round: `form` is the 7-bit length on the wire. */
struct wire {
    uint8_t bytes[ws_header_size_max];
    size_t size;
};

static void put(struct wire *wire, uint8_t byte)
{
    wire->bytes[wire->size++] = byte;
}

static struct wire wire_make(uint8_t first, uint8_t form, uint64_t length, const char *key)
{
    struct wire wire = {};
    put(&wire, first);
    put(&wire, (uint8_t)((key != nullptr ? 0x80 : 0) | form));
    int extended = form == 127 ? 8 : form == 126 ? 2 : 0;
    for (int i = extended - 1; i >= 0; i--)
        put(&wire, (uint8_t)(length >> 8 * i));
    for (int i = 0; key != nullptr && i < 4; i++)
        put(&wire, (uint8_t)key[i]);
    return wire;
}

/* Reads from memory of exactly `size` bytes, so that a sanitizer or valgrind sees a look past
 * it. */
static enum ws_header_step read_exactly(const struct wire *wire, size_t size,
                                        struct ws_header *header)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    memcpy(exact, wire->bytes, size);
    enum ws_header_step step = ws_header_read((struct bytes){.data = exact, .size = size}, header);
    free(exact);
    return step;
}

static uint8_t form_of(uint64_t length)
{
    return length < 126 ? (uint8_t)length : length < 65536 ? 126 : 127;
}

static const uint64_t boundaries[] = {
    0, 1, 125, 126, 127, 255, 256, 65535, 65536, UINT32_MAX, UINT32_MAX + 1ULL, INT64_MAX};
constexpr size_t boundary_count = sizeof boundaries / sizeof boundaries[0];

TEST("a length is read at every boundary of its three forms, masked or not (RFC 6455 §5.2)")
{
    for (size_t i = 0; i < boundary_count; i++)
        for (int masked = 0; masked < 2; masked++) {
            struct wire wire = wire_make(0x82, form_of(boundaries[i]), boundaries[i],
                                         masked ? "\x01\x02\x03\x04" : nullptr);
            struct ws_header header;
            EXPECT_EQ(read_exactly(&wire, wire.size, &header), WS_HEADER_DONE);
            EXPECT(header.payload_size == boundaries[i]);
            EXPECT_EQ(header.size, wire.size);
            EXPECT_EQ(header.masked, masked);
            EXPECT(header.length_known);
            EXPECT(memcmp(header.key, masked ? "\x01\x02\x03\x04" : "\0\0\0\0", 4) == 0);
        }
}

TEST("a header that is written is read back, with every flag, at every boundary")
{
    for (size_t i = 0; i < boundary_count; i++)
        for (unsigned flags = 0; flags < 4; flags++) {
            struct wire wire = {};
            bool final = (flags & 1) != 0, rsv1 = (flags & 2) != 0;
            wire.size = ws_header_write(wire.bytes, WS_TEXT, final, rsv1, boundaries[i]);
            EXPECT_EQ(wire.size, boundaries[i] < 126 ? 2 : boundaries[i] < 65536 ? 4 : 10);
            struct ws_header header;
            EXPECT_EQ(read_exactly(&wire, wire.size, &header), WS_HEADER_DONE);
            EXPECT(header.payload_size == boundaries[i]);
            EXPECT_EQ(header.size, wire.size);
            EXPECT_EQ(header.opcode, WS_TEXT);
            EXPECT_EQ(header.final, final);
            EXPECT_EQ(header.rsv1, rsv1);
            EXPECT(!header.rsv2 && !header.rsv3 && !header.masked);
        }
}

TEST("the examples of RFC 6455 §5.7 are written byte for byte")
{
    uint8_t out[ws_header_size_max_server];
    EXPECT_EQ(ws_header_write(out, WS_TEXT, true, false, 5), 2);
    EXPECT(memcmp(out, "\x81\x05", 2) == 0);
    EXPECT_EQ(ws_header_write(out, WS_TEXT, false, false, 3), 2);
    EXPECT(memcmp(out, "\x01\x03", 2) == 0);
    EXPECT_EQ(ws_header_write(out, WS_CONTINUATION, true, false, 2), 2);
    EXPECT(memcmp(out, "\x80\x02", 2) == 0);
    EXPECT_EQ(ws_header_write(out, WS_PONG, true, false, 5), 2);
    EXPECT(memcmp(out, "\x8A\x05", 2) == 0);
    EXPECT_EQ(ws_header_write(out, WS_BINARY, true, false, 256), 4);
    EXPECT(memcmp(out, "\x82\x7E\x01\x00", 4) == 0);
    EXPECT_EQ(ws_header_write(out, WS_BINARY, true, false, 65536), 10);
    EXPECT(memcmp(out, "\x82\x7F\0\0\0\0\0\x01\0\0", 10) == 0);
    EXPECT_EQ(ws_header_write(out, WS_TEXT, true, true, 0), 2);
    EXPECT(memcmp(out, "\xC1\x00", 2) == 0);
}

TEST("each bit of the first byte is read on its own, reserved opcodes included")
{
    for (unsigned first = 0; first < 256; first++) {
        struct wire wire = wire_make((uint8_t)first, 0, 0, "key!");
        struct ws_header header;
        EXPECT_EQ(read_exactly(&wire, wire.size, &header), WS_HEADER_DONE);
        EXPECT_EQ(header.final, first / 128);
        EXPECT_EQ(header.rsv1, first / 64 % 2);
        EXPECT_EQ(header.rsv2, first / 32 % 2);
        EXPECT_EQ(header.rsv3, first / 16 % 2);
        EXPECT_EQ(header.opcode, first % 16);
    }
}

TEST("a length in a longer form than needed is refused before its key (RFC 6455 §5.2; THREATS F6)")
{
    const struct {
        uint8_t form;
        uint64_t length;
        size_t known_at;
    } cases[] = {{126, 0, 4},  {126, 1, 4},    {126, 125, 4},  {127, 0, 10},
                 {127, 1, 10}, {127, 125, 10}, {127, 126, 10}, {127, 65535, 10}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire wire = wire_make(0x81, cases[i].form, cases[i].length, "key!");
        for (size_t size = 0; size <= wire.size; size++) {
            struct ws_header header;
            EXPECT_EQ(read_exactly(&wire, size, &header),
                      size < cases[i].known_at ? WS_HEADER_NEED_MORE : WS_HEADER_NOT_MINIMAL);
        }
    }
}

TEST("a 64-bit length with its highest bit set is refused before its key (§5.2; THREATS F4)")
{
    const uint64_t lengths[] = {1ULL << 63, (1ULL << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wire wire = wire_make(0x82, 127, lengths[i], "key!");
        for (size_t size = 0; size <= wire.size; size++) {
            struct ws_header header;
            EXPECT_EQ(read_exactly(&wire, size, &header),
                      size < 10 ? WS_HEADER_NEED_MORE : WS_HEADER_TOO_LONG);
        }
    }
}

TEST("the beginning of a header tells as much as it holds (THREATS F12)")
{
    const uint64_t lengths[] = {5, 300, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wire wire = wire_make(0x91, form_of(lengths[i]), lengths[i], "key!");
        for (size_t size = 0; size < wire.size; size++) {
            struct ws_header header;
            EXPECT_EQ(read_exactly(&wire, size, &header), WS_HEADER_NEED_MORE);
            EXPECT_EQ(header.size, size < 2 ? 0 : wire.size);
            EXPECT_EQ(header.opcode, size < 2 ? 0 : WS_TEXT);
            EXPECT_EQ(header.rsv3, size >= 2);
            EXPECT_EQ(header.masked, size >= 2);
            EXPECT_EQ(header.length_known, size >= wire.size - 4 && size >= 2);
            EXPECT_EQ(header.payload_size, header.length_known ? lengths[i] : 0);
        }
    }
}

TEST("control frames are opcodes 8 to 15 (RFC 6455 §5.2)")
{
    for (uint8_t opcode = 0; opcode < 16; opcode++)
        EXPECT_EQ(ws_opcode_is_control(opcode), opcode >= 8);
}
