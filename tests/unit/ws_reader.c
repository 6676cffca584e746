#include "check.h"
#include "ws/reader.h"
#include "ws_listener.h"
#include <stdlib.h>

static const struct ws_limits limits_small = {.message_size_max = 1000, .tiny_fragments_max = 4};

/* The frames of a table's row take turns, so that all of these are used in each test (THREATS
 * F14). */
static const uint8_t keys[][4] = {
    {0x37, 0xFA, 0x21, 0x3D}, {0, 0, 0, 0}, {0xFF, 0xFF, 0xFF, 0xFF}, {0x80, 0x00, 0x7F, 0x01}};

/* --- Conversations, row by row -------------------------------------------------------------- */

constexpr int RAW = -1; /* bytes of the wire as they are */

struct conversation {
    const char *name;
    struct {
        int first;
        const char *payload;
        size_t size;
    } frames[8];
    const char *events;
    size_t events_size;
    size_t error_at;
};

#define FRAME(first, payload) {first, payload, sizeof(payload) - 1}
#define HEARD(events) events, sizeof(events) - 1
#define TEN(x) x x x x x x x x x x
#define HUNDRED(x) TEN(TEN(x))
#define KOSME "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"

static const struct conversation good[] = {
    {"one text", {FRAME(0x81, "Hello")}, HEARD("text(Hello)@11"), 0},
    {"one binary, any bytes", {FRAME(0x82, "\xFF\0\xC0")}, HEARD("binary(\xFF\0\xC0)@9"), 0},
    {"F17 empty messages",
     {FRAME(0x81, ""), FRAME(0x82, ""), FRAME(0x81, "")},
     HEARD("text()@6 binary()@12 text()@18"),
     0},
    {"F14 every kind of key",
     {FRAME(0x81, "one"), FRAME(0x81, "two"), FRAME(0x81, "three"), FRAME(0x81, "four")},
     HEARD("text(one)@9 text(two)@18 text(three)@29 text(four)@39"),
     0},
    {"F13 tiny frames in one segment",
     {FRAME(0x81, "a"), FRAME(0x82, "b"), FRAME(0x89, ""), FRAME(0x81, ""), FRAME(0x8A, "c"),
      FRAME(0x81, "d"), FRAME(0x81, "e"), FRAME(0x81, "f")},
     HEARD("text(a)@7 binary(b)@14 ping()@20 text()@26 pong(c)@33 text(d)@40 text(e)@47 "
           "text(f)@54"),
     0},
    {"a message in three fragments",
     {FRAME(0x01, "Hel"), FRAME(0x00, "lo "), FRAME(0x80, "you")},
     HEARD("text(Hello you)@27"),
     0},
    {"F9 control frames between fragments (§5.4)",
     {FRAME(0x01, "Hel"), FRAME(0x89, "a ping"), FRAME(0x00, "lo"), FRAME(0x8A, "a pong"),
      FRAME(0x89, ""), FRAME(0x80, "!")},
     HEARD("ping(a ping)@21 pong(a pong)@41 ping()@47 text(Hello!)@54"),
     0},
    {"F9 a close between fragments, and what comes after (U6)",
     {FRAME(0x02, "be"),
      FRAME(0x88, "\x03\xE8"
                  "bye"),
      FRAME(0x88, "\x03\xE8"), FRAME(0x80, "ta")},
     HEARD("close(1000 bye)@19 close(1000 )@27 binary(beta)@35"),
     0},
    {"F11 empty fragments around the bytes",
     {FRAME(0x01, ""), FRAME(0x89, "x"), FRAME(0x00, ""), FRAME(0x80, "end")},
     HEARD("ping(x)@13 text(end)@28"),
     0},
    {"F11 only empty fragments",
     {FRAME(0x02, ""), FRAME(0x00, ""), FRAME(0x80, ""), FRAME(0x81, "next")},
     HEARD("binary()@18 text(next)@28"),
     0},
    {"F11 as many tiny fragments as allowed, twice, with large ones and controls uncounted",
     {FRAME(0x01, "1"), FRAME(0x00, TEN("large ")), FRAME(0x00, "2"), FRAME(0x8A, ""),
      FRAME(0x00, "3"), FRAME(0x80, "4"), FRAME(0x01, "1"), FRAME(0x80, "2")},
     HEARD("pong()@86 text(1" TEN("large ") "234)@100 text(12)@114"),
     0},
    {"U1 a text of two to four byte code points",
     {FRAME(0x81, KOSME "\xF0\x9F\x98\x80")},
     HEARD("text(" KOSME "\xF0\x9F\x98\x80)@21"),
     0},
    {"U2 a code point over fragments, with a ping in between",
     {FRAME(0x01, "\xF0\x9F"), FRAME(0x89, "\xFF"), FRAME(0x00, "\x98"), FRAME(0x80, "\x80")},
     HEARD("ping(\xFF)@15 text(\xF0\x9F\x98\x80)@29"),
     0},
    {"F7 control frames of 125 bytes",
     {FRAME(0x89, HUNDRED("p") TEN("q") TEN("r") "12345")},
     HEARD("ping(" HUNDRED("p") TEN("q") TEN("r") "12345)@131"),
     0},
    {"U5 a close with the longest reason",
     {FRAME(0x88, "\x0F\xA0" HUNDRED("p") TEN("q") TEN("r") "123")},
     HEARD("close(4000 " HUNDRED("p") TEN("q") TEN("r") "123)@131"),
     0},
    {"a close with nothing in it (§7.1.5)", {FRAME(0x88, "")}, HEARD("close(1005 )@6"), 0},
    {"a close whose reason is Greek",
     {FRAME(0x88, "\x03\xE9" KOSME)},
     HEARD("close(1001 " KOSME ")@19"),
     0},
    {"F18 a message of exactly the limit",
     {FRAME(0x81, TEN(HUNDRED("x")))},
     HEARD("text(" TEN(HUNDRED("x")) ")@1008"),
     0},
    {"F18 the same in fragments",
     {FRAME(0x01, HUNDRED("x")), FRAME(0x00, TEN("yyyyyyyyy")),
      FRAME(0x80, TEN(TEN("12345678") "9"))},
     HEARD("text(" HUNDRED("x") TEN("yyyyyyyyy") TEN(TEN("12345678") "9") ")@1020"),
     0},
    {"the beginning of a frame",
     {FRAME(0x81, "Hi"), FRAME(RAW, "\x81\x85key!Hell")},
     HEARD("text(Hi)@8"),
     0},
};

static const struct conversation bad[] = {
    {"F1 unmasked (§5.1)", {FRAME(RAW, "\x81\x05Hello")}, HEARD("!UNMASKED"), 2},
    {"F1 unmasked and empty",
     {FRAME(0x81, "a"), FRAME(RAW, "\x81\0")},
     HEARD("text(a)@7 !UNMASKED"),
     9},
    {"F1 something else altogether", {FRAME(RAW, "GET / HTTP/1.1\r\n\r\n")}, HEARD("!UNMASKED"), 2},
    {"F2 RSV1 (§5.2)", {FRAME(0xC1, "a")}, HEARD("!RESERVED_BIT"), 2},
    {"F2 RSV2", {FRAME(0xA1, "a")}, HEARD("!RESERVED_BIT"), 2},
    {"F2 RSV3 after a good frame",
     {FRAME(0x81, "a"), FRAME(0x92, "a")},
     HEARD("text(a)@7 !RESERVED_BIT"),
     9},
    {"F2 RSV1 on a control frame", {FRAME(0xC9, "")}, HEARD("!RESERVED_BIT"), 2},
    {"F2 RSV1 on a continuation", {FRAME(0x01, "a"), FRAME(0xC0, "b")}, HEARD("!RESERVED_BIT"), 9},
    {"F3 a reserved opcode (§5.2)", {FRAME(0x83, "")}, HEARD("!RESERVED_OPCODE"), 2},
    {"F3 a reserved control opcode, too long and in a message",
     {FRAME(0x01, "a"), FRAME(RAW, "\x0B\xFE")},
     HEARD("!RESERVED_OPCODE"),
     9},
    {"F4 the highest bit of a length (§5.2)",
     {FRAME(RAW, "\x82\xFF\x80\0\0\0\0\0\0\x01key!")},
     HEARD("!LENGTH_TOO_LONG"),
     10},
    {"F4 all bits of a length",
     {FRAME(RAW, "\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")},
     HEARD("!LENGTH_TOO_LONG"),
     10},
    {"F5 the largest length there is",
     {FRAME(RAW, "\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF")},
     HEARD("!TOO_BIG"),
     10},
    {"F5 the largest length in a message, where sizes would wrap",
     {FRAME(0x02, "0123456789012345"), FRAME(RAW, "\x80\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF")},
     HEARD("!TOO_BIG"),
     32},
    {"F5 4 GiB and a little, which would fit when cut to 32 bits",
     {FRAME(RAW, "\x82\xFF\0\0\0\x01\0\0\0\x05key!12345")},
     HEARD("!TOO_BIG"),
     10},
    {"F6 a short length in two bytes (§5.2)",
     {FRAME(RAW, "\x81\xFE\0\x7D")},
     HEARD("!LENGTH_NOT_MINIMAL"),
     4},
    {"F6 a short length in eight bytes",
     {FRAME(RAW, "\x81\xFF\0\0\0\0\0\0\xFF\xFFkey!")},
     HEARD("!LENGTH_NOT_MINIMAL"),
     10},
    {"F7 a ping of 126 bytes (§5.5)",
     {FRAME(RAW, "\x89\xFE\0\x7Ekey!")},
     HEARD("!CONTROL_TOO_LONG"),
     2},
    {"F7 a close with a length in eight bytes",
     {FRAME(RAW, "\x88\xFF")},
     HEARD("!CONTROL_TOO_LONG"),
     2},
    {"F7 a pong of 5 bytes with a length in two",
     {FRAME(RAW, "\x8A\xFE\0\x05key!12345")},
     HEARD("!CONTROL_TOO_LONG"),
     2},
    {"F7 a fragmented ping (§5.5)",
     {FRAME(0x09, "a"), FRAME(0x80, "b")},
     HEARD("!CONTROL_FRAGMENTED"),
     2},
    {"F8 a continuation of nothing (§5.4)", {FRAME(0x80, "a")}, HEARD("!CONTINUATION_ALONE"), 2},
    {"F8 a continuation after the last one",
     {FRAME(0x01, "a"), FRAME(0x80, "b"), FRAME(0x00, "c")},
     HEARD("text(ab)@14 !CONTINUATION_ALONE"),
     16},
    {"F8 a text within a text (§5.4)",
     {FRAME(0x01, "a"), FRAME(0x81, "b")},
     HEARD("!MESSAGE_INTERRUPTED"),
     9},
    {"F8 a binary within an empty text, after a ping",
     {FRAME(0x01, ""), FRAME(0x89, ""), FRAME(0x02, "b")},
     HEARD("ping()@12 !MESSAGE_INTERRUPTED"),
     14},
    {"F10 fragments that add up",
     {FRAME(0x02, TEN(TEN("1234"))), FRAME(0x00, TEN(TEN("1234"))), FRAME(0x8A, ""),
      FRAME(0x00, TEN(TEN("12")) "3")},
     HEARD("pong()@822 !TOO_BIG"),
     826},
    {"F11 one tiny fragment too many",
     {FRAME(0x01, "1"), FRAME(0x00, "2"), FRAME(0x00, "3"), FRAME(0x00, ""), FRAME(0x80, "5")},
     HEARD("!TOO_MANY_FRAGMENTS"),
     29},
    {"F11 empty fragments count",
     {FRAME(0x02, ""), FRAME(0x00, ""), FRAME(0x00, ""), FRAME(0x00, ""), FRAME(0x00, "")},
     HEARD("!TOO_MANY_FRAGMENTS"),
     26},
    {"F18 a message one byte over the limit",
     {FRAME(RAW, "\x82\xFE\x03\xE9key!abc")},
     HEARD("!TOO_BIG"),
     4},
    {"U1 a continuation byte alone (§8.1)",
     {FRAME(0x81, "ab\x80"
                  "cd")},
     HEARD("!BAD_UTF8"),
     9},
    {"U1 an overlong form of two bytes", {FRAME(0x81, "\xC0\xAF")}, HEARD("!BAD_UTF8"), 7},
    {"U1 an overlong form of three bytes", {FRAME(0x81, "\xE0\x80\xAF")}, HEARD("!BAD_UTF8"), 8},
    {"U1 a surrogate",
     {FRAME(0x81, KOSME "\xED\xA0\x80"
                        "edited")},
     HEARD("!BAD_UTF8"),
     19},
    {"U1 above U+10FFFF", {FRAME(0x81, KOSME "\xF4\x90\x80\x80")}, HEARD("!BAD_UTF8"), 19},
    {"U1 cut off at the end of the message", {FRAME(0x81, "ab\xE2\x82")}, HEARD("!BAD_UTF8"), 10},
    {"U1 cut off, with an empty fragment at the end",
     {FRAME(0x01, "\xC3"), FRAME(0x80, "")},
     HEARD("!BAD_UTF8"),
     13},
    {"U1 bad in the second fragment, before it has ended (Autobahn 6.4)",
     {FRAME(0x01, KOSME), FRAME(0x00, "\xF4\x90\x80\x80"), FRAME(0x80, "edited")},
     HEARD("!BAD_UTF8"),
     25},
    {"U1 bad in a frame that never ends (Autobahn 6.4)",
     {FRAME(RAW, "\x81\xFE\x01\0\0\0\0\0ok \xFF")},
     HEARD("!BAD_UTF8"),
     12},
    {"U2 a code point over fragments that goes wrong",
     {FRAME(0x01, "\xE2\x82"), FRAME(0x89, "hi"), FRAME(0x80, "a")},
     HEARD("ping(hi)@16 !BAD_UTF8"),
     23},
    {"U3 a close of one byte (§5.5.1)", {FRAME(0x88, "\x03")}, HEARD("!CLOSE_MALFORMED"), 2},
    {"U4 a close with a code that is never sent (§7.4.1)",
     {FRAME(0x81, "bye"), FRAME(0x88, "\x03\xEE")},
     HEARD("text(bye)@9 !CLOSE_MALFORMED"),
     17},
    {"U5 a close reason that is not UTF-8 (§5.5.1)",
     {FRAME(0x88, "\x03\xE8"
                  "a\xFF"
                  "b")},
     HEARD("!BAD_UTF8"),
     11},
    {"U5 a close reason that is cut off", {FRAME(0x88, "\x03\xE8\xC3")}, HEARD("!BAD_UTF8"), 9},
    {"U5 a bad code comes before a bad reason",
     {FRAME(0x88, "\0\0\xFF")},
     HEARD("!CLOSE_MALFORMED"),
     9},
    {"U5 a close of 126 bytes", {FRAME(RAW, "\x88\xFE\0\x7E")}, HEARD("!CONTROL_TOO_LONG"), 2},
};

static struct pile conversation_wire(const struct conversation *conversation, size_t turn)
{
    struct pile wire = {};
    for (size_t i = 0; i < 8 && conversation->frames[i].payload != nullptr; i++) {
        const char *payload = conversation->frames[i].payload;
        size_t size = conversation->frames[i].size;
        if (conversation->frames[i].first == RAW)
            pile_put(&wire, payload, size);
        else
            wire_frame(&wire, (uint64_t)conversation->frames[i].first, payload, size,
                       keys[(i + turn) % 4]);
    }
    return wire;
}

static void expect_conversation(const struct conversation *conversation)
{
    struct transcript wanted = {.error_at = conversation->error_at};
    pile_put(&wanted.events, conversation->events, conversation->events_size);
    for (size_t turn = 0; turn < 4; turn++) {
        struct pile wire = conversation_wire(conversation, turn);
        expect_heard(conversation->name, wire, &limits_small, &wanted);
        struct transcript reference = reference_read(wire, &limits_small);
        if (reference.error_at != wanted.error_at || reference.events.size != wanted.events.size ||
            memcmp(reference.events.data, wanted.events.data, wanted.events.size) != 0)
            check_failed(__FILE__, __LINE__, "%s: the reference differs", conversation->name);
        pile_free(&reference.events);
        pile_free(&wire);
    }
    pile_free(&wanted.events);
}

TEST("well-formed conversations are heard the same however they are split (RFC 6455 §5; THREATS F, "
     "U)")
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        expect_conversation(&good[i]);
}

TEST("malformed conversations end with the right error at its first byte, however they are split")
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_conversation(&bad[i]);
}

TEST("every pair of first bytes is judged as the reference judges it (F1 to F4, F6 to F8; §5.2, "
     "§5.5)")
{
    static const struct ws_limits limits = {.message_size_max = 100, .tiny_fragments_max = 1};
    for (unsigned pair = 0; pair < 1 << 16; pair++)
        for (unsigned midway = 0; midway < 2; midway++) {
            struct pile wire = {};
            if (midway) wire_frame(&wire, 0x01, "a", 1, keys[0]);
            pile_byte(&wire, pair >> 8);
            pile_byte(&wire, pair);
            pile_put(&wire, "\0\0\0\0\0\x01\0\0\x03\xE8\0\0\0", 13);
            struct transcript wanted = reference_read(wire, &limits);
            expect_heard_in_pieces("whole", wire, 1000, 1, &limits, &wanted);
            if (pair % 7 == 0) expect_heard_in_pieces("bytes", wire, 1, 1, &limits, &wanted);
            pile_free(&wanted.events);
            pile_free(&wire);
        }
}

/* --- Codes and names ------------------------------------------------------------------------ */

TEST("close codes are allowed as RFC 6455 §7.4 and IANA say (Autobahn 7.7, 7.9; THREATS U4)")
{
    static const uint16_t forbidden[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                         1016, 1100, 2000, 2999, 5000, 65535};
    static const uint16_t allowed[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011,
                                       1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999};
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        EXPECT(!ws_close_code_allowed(forbidden[i]));
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        EXPECT(ws_close_code_allowed(allowed[i]));
    size_t count = 0;
    for (unsigned code = 0; code <= UINT16_MAX; code++)
        count += ws_close_code_allowed((uint16_t)code);
    EXPECT_EQ(count, 4 + 8 + 2000);
}

TEST("each close code that is allowed is delivered, and each other breaks the reader (U4)")
{
    for (unsigned code = 0; code < 5100; code++) {
        struct pile wire = {};
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        wire_frame(&wire, 0x88, payload, sizeof payload, keys[0]);
        struct ws_reader reader;
        ws_reader_init(&reader, &limits_small);
        struct bytes input = {.data = wire.data, .size = wire.size};
        struct ws_message message;
        enum ws_step step = ws_reader_feed(&reader, &input, &message);
        bool allowed = ws_close_code_allowed((uint16_t)code);
        EXPECT_EQ(step, allowed ? WS_MESSAGE : WS_BROKEN);
        EXPECT_EQ(reader.error, allowed ? WS_OK : WS_CLOSE_MALFORMED);
        if (allowed) EXPECT_EQ(message.close_code, code);
        pile_free(&wire);
    }
}

/* --- Where bytes are kept ------------------------------------------------------------------- */

/* A reader, a wire with one frame (or its beginning), and the memory lent to it. */
struct desk {
    struct ws_reader reader;
    struct ws_message message;
    struct pile wire;
    struct bytes input;
    uint8_t lent[2][512];
};

static void desk_init(struct desk *desk, const struct ws_limits *limits)
{
    *desk = (struct desk){};
    ws_reader_init(&desk->reader, limits);
}

static enum ws_step desk_feed(struct desk *desk)
{
    return ws_reader_feed(&desk->reader, &desk->input, &desk->message);
}

/* Puts the first `size` bytes of a frame on the wire and feeds them; all of it for SIZE_MAX. */
static enum ws_step desk_frame(struct desk *desk, uint8_t first, const char *payload, size_t size)
{
    pile_free(&desk->wire);
    wire_frame(&desk->wire, first, payload, strlen(payload), keys[0]);
    desk->input = (struct bytes){.data = desk->wire.data,
                                 .size = size < desk->wire.size ? size : desk->wire.size};
    return desk_feed(desk);
}

static struct bytes desk_lend(struct desk *desk, size_t which, size_t size)
{
    return ws_reader_lend(&desk->reader, (struct bytes){.data = desk->lent[which], .size = size});
}

static bool within(const void *at, const void *start, size_t size)
{
    return (const uint8_t *)at >= (const uint8_t *)start &&
           (const uint8_t *)at < (const uint8_t *)start + size;
}

TEST("what lies whole in the input is delivered from there, without a buffer")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x81, "whole", SIZE_MAX), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.wire.data + 6);
    EXPECT_TEXT(desk.message.payload, "whole");
    EXPECT_EQ(desk_frame(&desk, 0x01, "", SIZE_MAX), WS_NEED_MORE);
    EXPECT_EQ(desk_frame(&desk, 0x89, "ping", SIZE_MAX), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.wire.data + 6);
    EXPECT_EQ(desk_frame(&desk, 0x80, "only the last had any", SIZE_MAX), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.wire.data + 6);
    EXPECT_EQ(desk.message.opcode, WS_TEXT);
    pile_free(&desk.wire);
}

TEST("a header that came in pieces does not make a whole payload need a buffer")
{
    for (size_t split = 1; split <= 6; split++) {
        struct desk desk;
        desk_init(&desk, &limits_small);
        EXPECT_EQ(desk_frame(&desk, 0x82, "payload", split), WS_NEED_MORE);
        EXPECT(ws_reader_is_midway(&desk.reader));
        desk.input.size = desk.wire.size - split;
        EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
        EXPECT(desk.message.payload.data == desk.wire.data + 6);
        EXPECT_TEXT(desk.message.payload, "payload");
        EXPECT(!ws_reader_is_midway(&desk.reader));
        pile_free(&desk.wire);
    }
}

TEST("a buffer is asked for by what has come, not by what was declared (THREATS F5)")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    desk.input = (struct bytes){.data = (uint8_t[]){0x82, 0xFE, 0x03, 0xE8, 0, 0, 0, 0, 1, 2, 3},
                                .size = 11};
    EXPECT_EQ(desk_feed(&desk), WS_NEED_BUFFER);
    EXPECT_EQ(ws_reader_need(&desk.reader), 3);
    EXPECT(desk_lend(&desk, 0, 3).data == nullptr);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    desk.input = (struct bytes){.data = (uint8_t[]){4, 5}, .size = 2};
    EXPECT_EQ(desk_feed(&desk), WS_NEED_BUFFER);
    EXPECT_EQ(ws_reader_need(&desk.reader), 5);
    EXPECT(desk_lend(&desk, 1, 64).data == desk.lent[0]);
    EXPECT(memcmp(desk.lent[1], "\1\2\3", 3) == 0);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    EXPECT(memcmp(desk.lent[1], "\1\2\3\4\5", 5) == 0);
}

TEST("asking for a buffer loses nothing, however often the same bytes are fed again")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x01, "Hello ", SIZE_MAX), WS_NEED_BUFFER);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(desk_feed(&desk), WS_NEED_BUFFER);
    EXPECT_EQ(ws_reader_need(&desk.reader), 6);
    EXPECT_EQ(desk.input.size, 6);
    EXPECT(desk_lend(&desk, 0, 6).data == nullptr);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    EXPECT_EQ(desk_frame(&desk, 0x80, "you", SIZE_MAX), WS_NEED_BUFFER);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_BUFFER);
    EXPECT(desk_lend(&desk, 1, 9).data == desk.lent[0]);
    EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.lent[1]);
    EXPECT_TEXT(desk.message.payload, "Hello you");
    pile_free(&desk.wire);
}

TEST("a ping in pieces is put together behind the unfinished message, which stays as it is (§5.4)")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x01, "Hello ", SIZE_MAX), WS_NEED_BUFFER);
    (void)desk_lend(&desk, 0, 8);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    EXPECT_EQ(desk_frame(&desk, 0x89, "ping", 6 + 2), WS_NEED_MORE);
    desk.input.size = 2;
    EXPECT_EQ(desk_feed(&desk), WS_NEED_BUFFER);
    EXPECT_EQ(ws_reader_need(&desk.reader), 6 + 4);
    EXPECT(desk_lend(&desk, 1, 10).data == desk.lent[0]);
    EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.lent[1] + 6);
    EXPECT_TEXT(desk.message.payload, "ping");
    EXPECT_EQ(desk_frame(&desk, 0x80, "you", SIZE_MAX), WS_MESSAGE);
    EXPECT_TEXT(desk.message.payload, "Hello you");
    EXPECT_EQ(desk_frame(&desk, 0x82, "in the input again", SIZE_MAX), WS_MESSAGE);
    EXPECT(!within(desk.message.payload.data, desk.lent, sizeof desk.lent));
    pile_free(&desk.wire);
}

TEST("a buffer that is kept serves the next message too")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x81, "first", 8), WS_NEED_BUFFER);
    (void)desk_lend(&desk, 0, sizeof desk.lent[0]);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    desk.input.size = 3;
    EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
    EXPECT_TEXT(desk.message.payload, "first");
    EXPECT_EQ(desk_frame(&desk, 0x82, "the second", 8), WS_NEED_MORE);
    desk.input.size = 8;
    EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
    EXPECT(desk.message.payload.data == desk.lent[0]);
    EXPECT_TEXT(desk.message.payload, "the second");
    pile_free(&desk.wire);
}

TEST("a buffer is given back when it holds nothing, else only when the connection ends")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT(ws_reader_reclaim(&desk.reader, false).data == nullptr);
    EXPECT_EQ(desk_frame(&desk, 0x89, "ping", 8), WS_NEED_BUFFER);
    (void)desk_lend(&desk, 0, 100);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    EXPECT(ws_reader_reclaim(&desk.reader, false).data == nullptr);
    desk.input.size = 2;
    EXPECT_EQ(desk_feed(&desk), WS_MESSAGE);
    struct bytes back = ws_reader_reclaim(&desk.reader, false);
    EXPECT(back.data == desk.lent[0]);
    EXPECT_EQ(back.size, 100);
    EXPECT(ws_reader_reclaim(&desk.reader, true).data == nullptr);

    EXPECT_EQ(desk_frame(&desk, 0x02, "unfinished", SIZE_MAX), WS_NEED_BUFFER);
    (void)desk_lend(&desk, 1, 50);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    EXPECT(ws_reader_reclaim(&desk.reader, false).data == nullptr);
    EXPECT(ws_reader_reclaim(&desk.reader, true).data == desk.lent[1]);
    EXPECT_EQ(desk_frame(&desk, 0x81, "too late", SIZE_MAX), WS_BROKEN);
    EXPECT_EQ(desk.reader.error, WS_OK);
    pile_free(&desk.wire);
}

TEST("a reader is midway from a frame's first byte to its message's last")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT(!ws_reader_is_midway(&desk.reader));
    EXPECT_EQ(desk_frame(&desk, 0x89, "", SIZE_MAX), WS_MESSAGE);
    EXPECT(!ws_reader_is_midway(&desk.reader));
    EXPECT_EQ(desk_frame(&desk, 0x89, "", 1), WS_NEED_MORE);
    EXPECT(ws_reader_is_midway(&desk.reader));
    pile_free(&desk.wire);
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x01, "", SIZE_MAX), WS_NEED_MORE);
    EXPECT(ws_reader_is_midway(&desk.reader));
    EXPECT_EQ(desk_frame(&desk, 0x8A, "", SIZE_MAX), WS_MESSAGE);
    EXPECT(ws_reader_is_midway(&desk.reader));
    EXPECT_EQ(desk_frame(&desk, 0x80, "", SIZE_MAX), WS_MESSAGE);
    EXPECT(!ws_reader_is_midway(&desk.reader));
    EXPECT_EQ(desk_frame(&desk, 0x81, "payload", 6), WS_NEED_MORE);
    EXPECT(ws_reader_is_midway(&desk.reader));
    pile_free(&desk.wire);
}

TEST("a reader may be moved in memory between two feeds, as when a connection changes its worker")
{
    struct desk desk;
    desk_init(&desk, &limits_small);
    EXPECT_EQ(desk_frame(&desk, 0x81, "moved", 9), WS_NEED_BUFFER);
    (void)desk_lend(&desk, 0, 16);
    EXPECT_EQ(desk_feed(&desk), WS_NEED_MORE);
    struct ws_reader elsewhere = desk.reader;
    memset(&desk.reader, 0xA5, sizeof desk.reader);
    desk.input.size = 2;
    EXPECT_EQ(ws_reader_feed(&elsewhere, &desk.input, &desk.message), WS_MESSAGE);
    EXPECT_TEXT(desk.message.payload, "moved");
    pile_free(&desk.wire);
}

/* --- Limits --------------------------------------------------------------------------------- */

TEST("a limit of nothing lets empty messages and control frames pass")
{
    static const struct ws_limits nothing = {};
    struct desk desk;
    desk_init(&desk, &nothing);
    EXPECT_EQ(desk_frame(&desk, 0x81, "", SIZE_MAX), WS_MESSAGE);
    EXPECT_EQ(desk_frame(&desk, 0x89, "ping", SIZE_MAX), WS_MESSAGE);
    struct desk second = desk;
    EXPECT_EQ(desk_frame(&desk, 0x81, "x", 2), WS_BROKEN);
    EXPECT_EQ(desk.reader.error, WS_TOO_BIG);
    second.wire = (struct pile){};
    EXPECT_EQ(desk_frame(&second, 0x01, "", 2), WS_BROKEN);
    EXPECT_EQ(second.reader.error, WS_TOO_MANY_FRAGMENTS);
    pile_free(&desk.wire);
    pile_free(&second.wire);
}

TEST("the largest limit of tiny fragments is counted to its end and no further (F11)")
{
    static const struct ws_limits limits = {.message_size_max = 10,
                                            .tiny_fragments_max = UINT16_MAX};
    struct desk desk;
    desk_init(&desk, &limits);
    EXPECT_EQ(desk_frame(&desk, 0x02, "", SIZE_MAX), WS_NEED_MORE);
    for (unsigned count = 1; count < UINT16_MAX; count++)
        EXPECT_EQ(desk_frame(&desk, 0x00, "", SIZE_MAX), WS_NEED_MORE);
    EXPECT_EQ(desk_frame(&desk, 0x80, "", 2), WS_BROKEN);
    EXPECT_EQ(desk.reader.error, WS_TOO_MANY_FRAGMENTS);
    pile_free(&desk.wire);
}

/* Lends in size classes, as a connection does, and hears one message of `size` bytes in
 * fragments of `fragment`, by receives of `receive` bytes. Gives the number of buffers it took. */
static size_t hear_large(size_t size, size_t fragment, size_t receive)
{
    static const struct ws_limits limits = {.message_size_max = 16 * 1024 * 1024,
                                            .tiny_fragments_max = 256};
    struct pile wire = {};
    uint8_t *payload = malloc(size);
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)('a' + i % 23);
    wire.data = malloc(size + (size / fragment + 1) * 14 + 1);
    for (size_t at = 0; at < size; at += fragment) {
        bool last = at + fragment >= size;
        uint8_t header[2] = {(uint8_t)((last ? 0x80 : 0) | (at == 0 ? WS_TEXT : 0)), 0x80};
        size_t part = last ? size - at : fragment;
        int extended = part < 126 ? 0 : part < 65536 ? 2 : 8;
        header[1] |= (uint8_t)(extended == 0 ? part : extended == 2 ? 126 : 127);
        memcpy(wire.data + wire.size, header, 2);
        wire.size += 2;
        for (int i = extended - 1; i >= 0; i--)
            wire.data[wire.size++] = (uint8_t)(part >> 8 * i);
        memset(wire.data + wire.size, 0, 4);
        memcpy(wire.data + wire.size + 4, payload + at, part);
        wire.size += 4 + part;
    }
    struct ws_reader reader;
    ws_reader_init(&reader, &limits);
    struct ws_message message = {};
    size_t lends = 0;
    enum ws_step step = WS_NEED_MORE;
    for (size_t at = 0; at < wire.size && step == WS_NEED_MORE; at += receive) {
        struct bytes input = {.data = wire.data + at,
                              .size = wire.size - at < receive ? wire.size - at : receive};
        while ((step = ws_reader_feed(&reader, &input, &message)) == WS_NEED_BUFFER) {
            size_t class = 4096;
            while (class < ws_reader_need(&reader))
                class *= 2;
            lends += 1;
            free(
                ws_reader_lend(&reader, (struct bytes){.data = malloc(class), .size = class}).data);
        }
    }
    EXPECT_EQ(step, WS_MESSAGE);
    EXPECT_EQ(message.payload.size, size);
    EXPECT(step != WS_MESSAGE || memcmp(message.payload.data, payload, size) == 0);
    free(ws_reader_reclaim(&reader, false).data);
    free(payload);
    pile_free(&wire);
    return lends;
}

TEST("large messages arrive whole, at every form of length and in size classes of buffers")
{
    EXPECT_EQ(hear_large(125, 125, 4096), 0);
    EXPECT_EQ(hear_large(126, 126, 4096), 0);
    EXPECT_EQ(hear_large(65535, 65535, 1 << 20), 0);
    EXPECT_EQ(hear_large(65536, 65536, 1 << 20), 0);
    EXPECT_EQ(hear_large(65535, 65535, 4096), 5);
    EXPECT_EQ(hear_large(65536, 65536, 997), 5);
    EXPECT_EQ(hear_large(16 * 1024 * 1024, 16 * 1024 * 1024, 4096), 13);
}

TEST("65536 fragments of 64 bytes are one message of 4 MiB (Autobahn 9.3.1)")
{
    EXPECT_EQ(hear_large(4 * 1024 * 1024, 64, 4096), 11);
}
