#include "base/random.h"
#include "check.h"
#include "ws/deflate.h"

constexpr size_t message_max = 160 * 1024;
alignas(64) static uint8_t deflater_memory[ws_deflater_size], inflater_memory[ws_inflater_size];
static uint8_t payload_memory[2 * message_max], output_memory[message_max + 64];

static struct ws_deflater *deflater(void)
{
    static struct ws_deflater *made;
    if (made == nullptr)
        made = ws_deflater_make((struct bytes){deflater_memory, sizeof deflater_memory});
    return made;
}

static struct ws_inflater *inflater(void)
{
    static struct ws_inflater *made;
    if (made == nullptr)
        made = ws_inflater_make((struct bytes){inflater_memory, sizeof inflater_memory});
    return made;
}

static struct bytes deflated(struct bytes message, uint8_t bits)
{
    struct bytes output = {payload_memory, sizeof payload_memory};
    output.size = ws_deflate(deflater(), bits, message, output);
    EXPECT(output.size > 0);
    return output;
}

/* Inflates with the payload cut into pieces of `cut` bytes, within a limit, and sees that nothing
 * was written beyond it. Pieces are fed from a copy, because a payload is not the inflater's. */
static enum ws_error inflated(struct bytes payload, size_t cut, enum ws_opcode opcode, size_t limit,
                              struct bytes *message)
{
    memset(output_memory + limit, 0xA5, 64);
    ws_inflater_begin(inflater(), opcode, payload.size, (struct bytes){output_memory, limit});
    enum ws_error error = WS_OK;
    for (size_t from = 0; from < payload.size && error == WS_OK; from += cut) {
        size_t left = payload.size - from;
        error = ws_inflater_feed(inflater(),
                                 (struct bytes){payload.data + from, left < cut ? left : cut});
    }
    if (error == WS_OK) error = ws_inflater_end(inflater(), message);
    for (size_t i = 0; i < 64; i++)
        EXPECT_EQ(output_memory[limit + i], 0xA5);
    return error;
}

/* The answer to a payload, the same however it is cut. */
static enum ws_error judge(struct bytes payload, enum ws_opcode opcode, size_t limit,
                           struct bytes *message)
{
    enum ws_error error = inflated(payload, payload.size + 1, opcode, limit, message);
    size_t step = payload.size < 300 ? 1 : payload.size / 50;
    for (size_t cut = 1; cut <= payload.size; cut += step) {
        struct bytes other = {};
        EXPECT_EQ(inflated(payload, cut, opcode, limit, &other), error);
        if (error == WS_OK) EXPECT_EQ(other.size, message->size);
    }
    return error;
}

#define JUDGE(literal, opcode, limit, message)                                            \
    judge((struct bytes){memcpy(payload_memory, literal, sizeof(literal)), /* writable */ \
                         sizeof(literal) - 1},                                            \
          opcode, limit, message)

static bool same(struct bytes left, struct bytes right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* --- Known vectors --------------------------------------------------------------------------- */

TEST("the examples of RFC 7692 §7.2.3 inflate to what they say")
{
    struct bytes message = {};
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9\xc9\x07\x00", WS_TEXT, 100, &message), WS_OK);
    EXPECT_TEXT(message, "Hello"); // §7.2.3.1
    EXPECT_EQ(JUDGE("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", WS_TEXT, 100, &message), WS_OK);
    EXPECT_TEXT(message, "Hello"); // §7.2.3.3: not compressed
    EXPECT_EQ(JUDGE("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", WS_TEXT, 100, &message), WS_OK);
    EXPECT_TEXT(message, "Hello"); // §7.2.3.4: BFINAL
    EXPECT_EQ(JUDGE("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", WS_TEXT, 100, &message),
              WS_OK);
    EXPECT_TEXT(message, "Hello"); // §7.2.3.5: two blocks
    EXPECT_EQ(JUDGE("\x00", WS_TEXT, 100, &message), WS_OK);
    EXPECT_EQ(message.size, 0); // §7.2.3.6: nothing
}

TEST("Hello is compressed as in RFC 7692 §7.2.3.1, and nothing as in §7.2.3.6, with every window")
{
    uint8_t hello[] = "Hello";
    for (uint8_t bits = ws_deflate_bits_min; bits <= ws_deflate_bits_max; bits++) {
        EXPECT_TEXT(deflated((struct bytes){hello, 5}, bits), "\xf2\x48\xcd\xc9\xc9\x07\x00");
        EXPECT_TEXT(deflated((struct bytes){}, bits), "\x00");
    }
}

TEST("no context is taken over: a reference to the message before is refused "
     "(RFC 7692 §7.2.3.2, THREATS.md Z1, Z7)")
{
    struct bytes message;
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9\xc9\x07\x00", WS_TEXT, 100, &message), WS_OK);
    EXPECT_EQ(JUDGE("\xf2\x00\x11\x00\x00", WS_TEXT, 100, &message), WS_BAD_DEFLATE);
    uint8_t hello[] = "Hello";
    struct bytes first = deflated((struct bytes){hello, 5}, 15);
    size_t size = first.size;
    EXPECT_EQ(deflated((struct bytes){hello, 5}, 15).size, size);
}

/* --- There and back -------------------------------------------------------------------------- */

/* Text-like, with far repetitions; `kind` 0: as compressible as JSON, 1: noise, 2: all the same. */
static struct bytes make_message(size_t size, uint32_t kind, uint64_t seed)
{
    static uint8_t memory[message_max];
    struct random random = {.state = seed};
    for (size_t i = 0; i < size; i++) {
        uint64_t chance = random_below(&random, 256);
        memory[i] = kind == 1                 ? (uint8_t)chance
                    : kind == 2               ? 'a'
                    : i > 700 && chance < 240 ? memory[i - 613]
                                              : (uint8_t)(' ' + chance % 64);
    }
    return (struct bytes){memory, size};
}

TEST("what was compressed inflates to itself, with every window and size")
{
    static const size_t sizes[] = {0,   1,   2,    15,     100,     511,
                                   512, 513, 4096, 40'000, 131'072, message_max};
    for (uint8_t bits = ws_deflate_bits_min; bits <= ws_deflate_bits_max; bits++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (uint32_t kind = 0; kind < 2; kind++) {
                struct bytes message = make_message(sizes[i], kind, bits * 100 + i), back = {};
                struct bytes payload = deflated(message, bits);
                EXPECT_EQ(inflated(payload, 1460, WS_BINARY, message_max, &back), WS_OK);
                EXPECT(same(message, back));
            }
}

TEST("a payload may be cut anywhere")
{
    struct bytes message = make_message(900, 0, 7), back = {};
    struct bytes payload = deflated(message, 15);
    for (size_t cut = 1; cut <= payload.size; cut++) {
        EXPECT_EQ(inflated(payload, cut, WS_TEXT, 900, &back), WS_OK);
        EXPECT(same(message, back));
    }
}

/* RFC 7692 §7.1.2.1. An independent look at the distances: the message repeats only what lies just
 * outside of the window, so with that window nothing can be saved. */
TEST("a window is never larger than agreed on (THREATS.md Z6)")
{
    for (uint8_t bits = ws_deflate_bits_min; bits < ws_deflate_bits_max; bits++) {
        size_t window = (size_t)1 << bits;
        struct bytes message = make_message(window * 2, 1, bits);
        memcpy(message.data + window, message.data, window); // distance: the whole window
        size_t narrow = deflated(message, bits).size;
        size_t wide = deflated(message, bits + 1).size;
        EXPECT(narrow >= message.size);
        EXPECT(wide < message.size * 3 / 4);
    }
}

TEST("what would not fit into the output is given up, and the next message is as good as ever")
{
    uint8_t small[64];
    struct bytes noise = make_message(2000, 1, 1),
                 hello = {(uint8_t[]){'H', 'e', 'l', 'l', 'o'}, 5};
    for (size_t room = 0; room < sizeof small; room++) {
        EXPECT_EQ(ws_deflate(deflater(), 15, noise, (struct bytes){small, room}), 0);
        size_t wanted = room >= 7 + ws_deflate_spare ? 7 : 0;
        EXPECT_EQ(ws_deflate(deflater(), 15, hello, (struct bytes){small, room}), wanted);
    }
}

/* --- Bounds ---------------------------------------------------------------------------------- */

TEST("a message may be exactly as large as the limit and not a byte larger (THREATS.md Z1)")
{
    struct bytes message = make_message(10'000, 0, 3), back = {};
    struct bytes payload = deflated(message, 15);
    EXPECT_EQ(judge(payload, WS_TEXT, 10'000, &back), WS_OK);
    EXPECT(same(message, back));
    EXPECT_EQ(judge(payload, WS_TEXT, 9'999, &back), WS_TOO_BIG);
    EXPECT_EQ(judge(payload, WS_TEXT, 0, &back), WS_TOO_BIG);
    EXPECT_EQ(JUDGE("\x00", WS_TEXT, 0, &back), WS_OK);
}

TEST("a bomb is stopped at the limit, whatever it holds (THREATS.md Z1)")
{
    struct bytes message = make_message(message_max, 2, 0), back = {};
    struct bytes payload = deflated(message, 15);
    EXPECT(payload.size < 200);
    EXPECT_EQ(judge(payload, WS_TEXT, 4096, &back), WS_TOO_BIG);
    EXPECT_EQ(judge(payload, WS_BINARY, 4096, &back), WS_TOO_BIG);
}

TEST("a message that grows two hundredfold is refused below the limit, a small one is not "
     "(THREATS.md Z2)")
{
    struct bytes back = {};
    struct bytes payload = deflated(make_message(message_max, 2, 0), 15);
    EXPECT_EQ(judge(payload, WS_TEXT, message_max, &back), WS_RATIO);
    payload = deflated(make_message(ws_inflate_ratio_from, 2, 0), 15);
    EXPECT(payload.size * ws_inflate_ratio_max < ws_inflate_ratio_from);
    EXPECT_EQ(judge(payload, WS_TEXT, message_max, &back), WS_OK);
    payload = deflated(make_message(ws_inflate_ratio_from + 1, 2, 0), 15);
    EXPECT_EQ(judge(payload, WS_TEXT, message_max, &back), WS_RATIO);
}

/* --- What is no message ---------------------------------------------------------------------- */

TEST("corrupt and cut payloads are refused (THREATS.md Z3)")
{
    struct bytes back;
    EXPECT_EQ(JUDGE("\xff\xff\xff\xff", WS_BINARY, 100, &back), WS_BAD_DEFLATE);
    EXPECT_EQ(JUDGE("\x07", WS_BINARY, 100, &back), WS_BAD_DEFLATE);             // block type 3
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9", WS_BINARY, 100, &back), WS_BAD_DEFLATE); // cut in a block
    EXPECT_EQ(JUDGE("\x00\x05\x00\xfa\xff\x48\x65", WS_BINARY, 100, &back), WS_BAD_DEFLATE);
    EXPECT_EQ(JUDGE("\x00\x05\x00\xfa", WS_BINARY, 100, &back), WS_BAD_DEFLATE);
    EXPECT_EQ(JUDGE("\x00\x05\x00\xfb\xff\x48", WS_BINARY, 100, &back), WS_BAD_DEFLATE);
    /* the whole output of a compressor, tail and all: the tail is not to be sent */
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x55", WS_BINARY, 100, &back),
              WS_BAD_DEFLATE);
}

TEST("what follows a block with BFINAL is another stream, and rubbish is not (THREATS.md Z3)")
{
    struct bytes back = {};
    EXPECT_EQ(
        JUDGE("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", WS_TEXT, 100, &back),
        WS_OK);
    EXPECT_TEXT(back, "HelloHello");
    EXPECT_EQ(JUDGE("\xf3\x48\xcd\xc9\xc9\x07\x00", WS_TEXT, 100, &back), WS_OK);
    EXPECT_TEXT(back, "Hello"); // without the padding of §7.2.3.4
    EXPECT_EQ(JUDGE("\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff", WS_TEXT, 100, &back),
              WS_BAD_DEFLATE);
}

TEST("a last block may end with what is appended to a payload, as the letter of RFC 7692 §7.2.2 "
     "has it (THREATS.md Z3)")
{
    static const uint8_t payload[] = {
        0xd2, 0xfd, 0x00, 0x68, 0x80, 0x3f, 0xff, 0xff, 0x00, 0xc0, 0xc0, 0x28, 0x28, 0x28,
        0x28, 0x28, 0x7c, 0x7c, 0x28, 0x28, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c,
        0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x7c, 0x28, 0x26, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0,
        0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0,
        0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0,
        0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0,
        0x28, 0x28, 0xfe, 0x0f, 0x00, 0x00, 0x00, 0x28,
    };
    struct bytes message = {};
    for (size_t cut = 1; cut <= sizeof payload; cut += 13)
        EXPECT_EQ(inflated((struct bytes){(uint8_t *)(uintptr_t)payload, sizeof payload}, cut,
                           WS_BINARY, 4096, &message),
                  WS_OK);
    EXPECT_EQ(message.size, 14);
    EXPECT_EQ(JUDGE("\xf9", WS_BINARY, 100, &message), WS_OK); // LEN and NLEN are the tail
    EXPECT_EQ(message.size, 0);
}

TEST("a payload of nothing is a message of nothing (THREATS.md Z3)")
{
    struct bytes back = {.size = 1};
    EXPECT_EQ(JUDGE("", WS_TEXT, 100, &back), WS_OK);
    EXPECT_EQ(back.size, 0);
}

TEST("empty blocks without end come to an end (THREATS.md Z3)")
{
    struct bytes back = {.size = 1};
    memset(payload_memory, 0, sizeof payload_memory);
    for (size_t i = 0; i + 5 <= 100'000; i += 5) /* stored, empty */
        memcpy(payload_memory + i, "\x00\x00\x00\xff\xff", 5);
    EXPECT_EQ(inflated((struct bytes){payload_memory, 100'001}, 4096, WS_TEXT, 10, &back), WS_OK);
    EXPECT_EQ(back.size, 0);
    for (size_t i = 0; i + 2 <= 100'000; i += 2) /* fixed codes, BFINAL, empty */
        memcpy(payload_memory + i, "\x03\x00", 2);
    EXPECT_EQ(inflated((struct bytes){payload_memory, 100'000}, 4096, WS_TEXT, 10, &back), WS_OK);
    EXPECT_EQ(back.size, 0);
}

TEST("text is checked as it comes out, and at its end (RFC 6455 §8.1)")
{
    struct bytes back;
    EXPECT_EQ(JUDGE("\x00\x02\x00\xfd\xff\xc3\xa4\x00", WS_TEXT, 100, &back), WS_OK);
    EXPECT_EQ(JUDGE("\x00\x01\x00\xfe\xff\xc3\x00", WS_TEXT, 100, &back), WS_BAD_UTF8);
    EXPECT_EQ(JUDGE("\x00\x01\x00\xfe\xff\xc3\x00", WS_BINARY, 100, &back), WS_OK);
    EXPECT_EQ(JUDGE("\x00\x02\x00\xfd\xff\xff\xff", WS_TEXT, 100, &back), WS_BAD_UTF8);
    /* a bad byte at the start of what would be too much is what is told */
    struct bytes message = make_message(100'000, 0, 4);
    message.data[0] = 0xff;
    EXPECT_EQ(judge(deflated(message, 15), WS_TEXT, 50'000, &back), WS_BAD_UTF8);
}

TEST("an inflater that refused a message takes the next one")
{
    struct bytes back;
    EXPECT_EQ(JUDGE("\xff\xff", WS_TEXT, 100, &back), WS_BAD_DEFLATE);
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9\xc9\x07\x00", WS_TEXT, 3, &back), WS_TOO_BIG);
    EXPECT_EQ(JUDGE("\xf2\x48\xcd\xc9\xc9\x07\x00", WS_TEXT, 5, &back), WS_OK);
    EXPECT_TEXT(back, "Hello");
}

TEST("whatever comes is answered, within the limit, the same at every cut (THREATS.md Z3)")
{
    struct random random = {.state = 0x5eed};
    for (uint32_t round = 0; round < 300; round++) {
        struct bytes message = make_message(random_below(&random, 400), 0, round), back = {};
        struct bytes payload = deflated(message, 15);
        for (uint64_t i = random_below(&random, 4); i > 0; i--) // some bits wrong
            payload.data[random_below(&random, payload.size)] ^=
                (uint8_t)(1 << random_below(&random, 8));
        payload.size -= random_below(&random, 3) % payload.size;
        (void)!judge(payload, WS_BINARY, 300, &back);
    }
}
