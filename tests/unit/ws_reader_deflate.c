#include "check.h"
#include "ws/reader.h"

/* What a reader says of compressed messages; what is in them is ws_deflate.c's. */

static const struct ws_limits limits = {.message_size_max = 64, .tiny_fragments_max = 100};

struct wire {
    uint8_t bytes[512];
    size_t size;
};

/* A client's frame; the key is zeros in every other one. */
static void add(struct wire *wire, uint8_t first, struct text payload)
{
    static uint32_t count;
    static const uint8_t keys[][4] = {{}, {0x37, 0xFA, 0x21, 0x3D}};
    const uint8_t *key = keys[count++ % 2];
    wire->bytes[wire->size++] = first;
    wire->bytes[wire->size++] = (uint8_t)(0x80 | payload.size);
    for (size_t i = 0; i < 4; i++)
        wire->bytes[wire->size++] = key[i];
    for (size_t i = 0; i < payload.size; i++)
        wire->bytes[wire->size++] = (uint8_t)payload.data[i] ^ key[i % 4];
}

/* "+abc" for a compressed message, "abc" for another, "!3" for the error of that number. */
static void hear(const struct wire *wire, size_t cut, bool deflate, struct writer *heard)
{
    struct ws_reader reader;
    struct ws_message message;
    uint8_t bytes[512], buffer[512];
    memcpy(bytes, wire->bytes, wire->size);
    ws_reader_init(&reader, &limits);
    if (deflate) ws_reader_expect_deflate(&reader);
    for (size_t from = 0; from < wire->size; from += cut) {
        size_t left = wire->size - from;
        struct bytes input = {bytes + from, left < cut ? left : cut};
        for (;;) {
            enum ws_step step = ws_reader_feed(&reader, &input, &message);
            if (step == WS_NEED_MORE) break;
            if (step == WS_NEED_BUFFER) {
                (void)!ws_reader_lend(&reader, (struct bytes){buffer, sizeof buffer}).size;
                continue;
            }
            if (step == WS_BROKEN) {
                write_byte(heard, '!');
                write_u64(heard, reader.error);
                return;
            }
            write_text(heard, message.compressed ? TEXT("+") : TEXT(""));
            write_text(heard, text_from(message.payload));
            write_byte(heard, ' ');
        }
    }
}

static void expect(const struct wire *wire, bool deflate, const char *wanted)
{
    for (size_t cut = 1; cut <= wire->size; cut++) {
        uint8_t memory[1024];
        struct writer heard = writer_over(memory, sizeof memory);
        hear(wire, cut, deflate, &heard);
        if (text_equal(text_from(writer_bytes(&heard)), text_of(wanted))) continue;
        check_failed(__FILE__, __LINE__, "cut %zu: heard \"%.*s\", wanted \"%s\"", cut,
                     (int)heard.size, (char *)heard.data, wanted);
    }
}

static void expect_error(uint8_t first_of_all, uint8_t then, bool deflate, enum ws_error error)
{
    struct wire wire = {};
    char wanted[8];
    if (first_of_all != 0) add(&wire, first_of_all, TEXT("ab"));
    add(&wire, then, TEXT("cd"));
    snprintf(wanted, sizeof wanted, "!%d", error);
    expect(&wire, deflate, wanted);
}

TEST("RSV1 on a message's first frame marks it as compressed, once it was agreed on (RFC 7692 §6)")
{
    struct wire wire = {};
    add(&wire, 0xC1, TEXT("one"));
    add(&wire, 0x81, TEXT("two"));
    add(&wire, 0xC2, TEXT("three"));
    expect(&wire, true, "+one two +three ");
}

TEST("a compressed message may come in fragments, with control frames in between (RFC 7692 §6.1)")
{
    struct wire wire = {};
    add(&wire, 0x41, TEXT("on"));
    add(&wire, 0x89, TEXT("ping"));
    add(&wire, 0x00, TEXT(""));
    add(&wire, 0x80, TEXT("e"));
    add(&wire, 0x01, TEXT("tw"));
    add(&wire, 0x80, TEXT("o"));
    expect(&wire, true, "ping +one two ");
}

TEST("what a compressed text holds is not checked as text, an uncompressed one is (RFC 6455 §8.1)")
{
    struct wire wire = {};
    add(&wire, 0x41, TEXT("\xff\xc3"));
    add(&wire, 0x80, TEXT("\xc3"));
    add(&wire, 0xC1, TEXT("\xfe"));
    add(&wire, 0x81, TEXT("\xff"));
    char wanted[32];
    snprintf(wanted, sizeof wanted, "+\xff\xc3\xc3 +\xfe !%d", WS_BAD_UTF8);
    expect(&wire, true, wanted);
}

TEST("RSV1 without an agreement is refused (RFC 6455 §5.2, THREATS.md F2)")
{
    expect_error(0, 0xC1, false, WS_RESERVED_BIT);
    expect_error(0, 0xC2, false, WS_RESERVED_BIT);
}

TEST("RSV1 on a continuation or a control frame is refused (RFC 7692 §6.1, THREATS.md Z4)")
{
    expect_error(0x41, 0xC0, true, WS_RESERVED_BIT);
    expect_error(0x41, 0x40, true, WS_RESERVED_BIT);
    expect_error(0x01, 0xC0, true, WS_RESERVED_BIT);
    expect_error(0, 0xC8, true, WS_RESERVED_BIT);
    expect_error(0, 0xC9, true, WS_RESERVED_BIT);
    expect_error(0, 0xCA, true, WS_RESERVED_BIT);
    expect_error(0, 0xC0, true, WS_RESERVED_BIT);
    expect_error(0, 0xC3, true, WS_RESERVED_BIT);
}

TEST("RSV2 and RSV3 are refused also with an agreement (RFC 6455 §5.2, THREATS.md F2)")
{
    expect_error(0, 0xA1, true, WS_RESERVED_BIT);
    expect_error(0, 0x91, true, WS_RESERVED_BIT);
    expect_error(0, 0xE1, true, WS_RESERVED_BIT);
    expect_error(0, 0xD1, true, WS_RESERVED_BIT);
}

TEST("a compressed payload is bounded like any other, over its fragments (THREATS.md Z2)")
{
    struct wire wire = {};
    char payload[65] = {}, wanted[8];
    snprintf(wanted, sizeof wanted, "!%d", WS_TOO_BIG);
    add(&wire, 0xC1, (struct text){payload, 65});
    expect(&wire, true, wanted);
    wire.size = 0;
    add(&wire, 0x41, (struct text){payload, 60});
    add(&wire, 0x80, (struct text){payload, 5});
    expect(&wire, true, wanted);
}
