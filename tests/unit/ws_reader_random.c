/* The reader beside the reference, over conversations drawn from a seed: good ones, whose
 * transcript the generator knows as well, and good ones with a few bytes changed. */
#include "check.h"
#include "ws_listener.h"
#include <stdlib.h>

/* --- Good conversations --------------------------------------------------------------------- */

static const struct ws_limits limits_wide = {.message_size_max = 100000,
                                             .tiny_fragments_max = 10000};

/* A conversation while it is being made, and what must be heard of it. */
struct talk {
    uint64_t seed;
    struct pile wire;
    struct transcript wanted;
};

static void talk_free(struct talk *talk)
{
    pile_free(&talk->wire);
    pile_free(&talk->wanted.events);
}

static void talk_frame(struct talk *talk, uint64_t first, const uint8_t *payload, size_t size)
{
    uint64_t bits = dice_next(&talk->seed);
    uint8_t key[4];
    memcpy(key, &bits, sizeof key);
    if (dice_below(&talk->seed, 4) == 0) memset(key, 0, sizeof key);
    wire_frame(&talk->wire, first, payload, size, key);
}

/* Mostly little, sometimes around the borders of the length forms, seldom large. */
static size_t talk_size(struct talk *talk)
{
    switch (dice_below(&talk->seed, 12)) {
    case 0: return 0;
    case 1: return 120 + dice_below(&talk->seed, 12);
    case 2: return dice_below(&talk->seed, 700);
    case 3: return dice_below(&talk->seed, 40) == 0 ? 65530 + dice_below(&talk->seed, 12) : 1;
    default: return dice_below(&talk->seed, 40);
    }
}

/* Any code point but a surrogate. */
static void put_code_point(struct pile *text, uint64_t *seed)
{
    static const uint32_t bounds[] = {0x80, 0x80, 0x800, 0xD800, 0x110000};
    uint32_t bound = bounds[dice_below(seed, 5)];
    uint32_t value = (uint32_t)dice_below(seed, bound);
    if (value >= 0xD800 && value < 0xE000) value -= 0x800;
    if (value < 0x80) {
        pile_byte(text, value);
        return;
    }
    unsigned more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    pile_byte(text, (0xF00u >> (more + 1) & 0xFF) | value >> 6 * more);
    while (more-- > 0)
        pile_byte(text, 0x80 | (value >> 6 * more & 0x3F));
}

static void talk_control(struct talk *talk)
{
    uint8_t payload[125];
    size_t size = dice_below(&talk->seed, 3) == 0 ? dice_below(&talk->seed, 126) : 3;
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)dice_next(&talk->seed);
    struct ws_message message = {.opcode = dice_below(&talk->seed, 2) == 0 ? WS_PING : WS_PONG,
                                 .payload = {.data = payload, .size = size}};
    talk_frame(talk, 0x80u | message.opcode, payload, size);
    transcript_note(&talk->wanted, &message, talk->wire.size);
}

/* Sends the payload in one frame or in fragments cut anywhere, with control frames in between. */
static void talk_fragments(struct talk *talk, enum ws_opcode opcode, struct pile payload)
{
    size_t at = 0;
    uint64_t opening = opcode;
    if (dice_below(&talk->seed, 2) == 0)
        for (size_t parts = dice_below(&talk->seed, 6); parts > 0; parts--) {
            size_t size = dice_below(&talk->seed, payload.size - at + 1);
            talk_frame(talk, opening, payload.data + at, size);
            at += size;
            opening = 0;
            while (dice_below(&talk->seed, 3) == 0)
                talk_control(talk);
        }
    talk_frame(talk, 0x80 | opening, payload.data + at, payload.size - at);
}

static void talk_message(struct talk *talk)
{
    enum ws_opcode opcode = dice_below(&talk->seed, 2) == 0 ? WS_TEXT : WS_BINARY;
    struct pile payload = {};
    pile_byte(&payload, 'm');
    for (size_t size = talk_size(talk); payload.size < size;) {
        if (opcode == WS_TEXT)
            put_code_point(&payload, &talk->seed);
        else
            pile_byte(&payload, dice_next(&talk->seed));
    }
    talk_fragments(talk, opcode, payload);
    transcript_note(&talk->wanted,
                    &(struct ws_message){.opcode = opcode,
                                         .payload = {.data = payload.data, .size = payload.size}},
                    talk->wire.size);
    pile_free(&payload);
}

static void talk_close(struct talk *talk)
{
    struct pile payload = {};
    struct ws_message message = {.opcode = WS_CLOSE, .close_code = 1005};
    if (dice_below(&talk->seed, 4) > 0) {
        message.close_code = (uint16_t)(3000 + dice_below(&talk->seed, 2000));
        pile_byte(&payload, message.close_code >> 8);
        pile_byte(&payload, message.close_code);
        for (size_t count = dice_below(&talk->seed, 30); count > 0; count--)
            put_code_point(&payload, &talk->seed);
        message.payload = bytes_skip((struct bytes){.data = payload.data, .size = payload.size}, 2);
    }
    talk_frame(talk, 0x88, payload.data, payload.size);
    transcript_note(&talk->wanted, &message, talk->wire.size);
    pile_free(&payload);
}

static struct talk talk_make(uint64_t seed)
{
    struct talk talk = {.seed = seed};
    for (size_t count = 1 + dice_below(&talk.seed, 5); count > 0; count--) {
        if (dice_below(&talk.seed, 4) == 0) talk_control(&talk);
        talk_message(&talk);
    }
    if (dice_below(&talk.seed, 2) == 0) talk_close(&talk);
    return talk;
}

static bool transcript_equal(const struct transcript *left, const struct transcript *right)
{
    return left->error_at == right->error_at && left->events.size == right->events.size &&
           (left->events.size == 0 ||
            memcmp(left->events.data, right->events.data, left->events.size) == 0);
}

TEST("conversations from a seed are heard as they were meant, in any pieces (RFC 6455 §5.4)")
{
    for (uint64_t seed = 1; seed <= 600; seed++) {
        char who[40];
        snprintf(who, sizeof who, "seed %" PRIu64, seed);
        struct talk talk = talk_make(seed);
        struct transcript reference = reference_read(talk.wire, &limits_wide);
        if (!transcript_equal(&reference, &talk.wanted))
            check_failed(__FILE__, __LINE__, "%s: the reference differs", who);
        pile_free(&reference.events);
        static const size_t piece_max[] = {1, 2, 3, 10, 100, 1000, 1 << 20};
        for (size_t i = talk.wire.size > 5000 ? 3 : 0; i < 7; i++)
            expect_heard_in_pieces(who, talk.wire, piece_max[i], seed, &limits_wide, &talk.wanted);
        talk_free(&talk);
    }
}

/* --- Conversations with mistakes ------------------------------------------------------------ */

/* Changes a few bytes; more often in the first, where a header is. */
static void spoil(struct pile *wire, uint64_t *seed)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x02, 0x08, 0x7E, 0x7F, 0x80, 0x81,
                                      0x82, 0x88, 0x89, 0x8A, 0xC1, 0xFE, 0xFF};
    for (size_t count = 1 + dice_below(seed, 3); count > 0; count--) {
        size_t at = dice_below(seed, dice_below(seed, 3) == 0 && wire->size > 12 ? 12 : wire->size);
        switch (dice_below(seed, 3)) {
        case 0: wire->data[at] = telling[dice_below(seed, sizeof telling)]; break;
        case 1: wire->data[at] ^= (uint8_t)(1u << dice_below(seed, 8)); break;
        default: wire->data[at] = (uint8_t)dice_next(seed); break;
        }
    }
    if (dice_below(seed, 4) == 0) wire->size = 1 + dice_below(seed, wire->size);
}

TEST("spoilt conversations are judged as the reference judges them, in any pieces, by every rule")
{
    static const struct ws_limits narrow = {.message_size_max = 600, .tiny_fragments_max = 3};
    static const char *const errors[] = {
#define X(name, code, token, sentence) "!" #name,
        WS_ERRORS(X)
#undef X
    };
    constexpr size_t error_count = sizeof errors / sizeof errors[0];
    size_t seen[error_count] = {};
    for (uint64_t seed = 1; seed <= 12000; seed++) {
        char who[40];
        snprintf(who, sizeof who, "seed %" PRIu64, seed);
        struct talk talk = talk_make(seed);
        if (talk.wire.size < 3000) {
            spoil(&talk.wire, &talk.seed);
            struct transcript wanted = reference_read(talk.wire, &narrow);
            expect_heard_in_pieces(who, talk.wire, 1 << 20, seed, &narrow, &wanted);
            expect_heard_in_pieces(who, talk.wire, 1 + dice_below(&talk.seed, 30), seed, &narrow,
                                   &wanted);
            if (seed % 4 == 0) expect_heard_in_pieces(who, talk.wire, 1, seed, &narrow, &wanted);
            for (size_t i = 0; i < error_count; i++) {
                size_t size = strlen(errors[i]);
                seen[i] +=
                    wanted.error_at > 0 && wanted.events.size >= size &&
                    memcmp(wanted.events.data + wanted.events.size - size, errors[i], size) == 0;
            }
            pile_free(&wanted.events);
        }
        talk_free(&talk);
    }
    /* a reader never answers these two: its messages are inflated elsewhere */
    seen[WS_BAD_DEFLATE - 1] = seen[WS_RATIO - 1] = 1;
    for (size_t i = 0; i < error_count; i++)
        if (seen[i] == 0) check_failed(__FILE__, __LINE__, "%s was never drawn", errors[i]);
}

TEST(
    "noise never delivers more than the limit nor asks for more, and is judged as by the reference")
{
    static const struct ws_limits narrow = {.message_size_max = 60, .tiny_fragments_max = 2};
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        uint64_t dice = seed;
        struct pile wire = {};
        for (size_t size = 1 + dice_below(&dice, 300); wire.size < size;) {
            pile_byte(&wire,
                      dice_below(&dice, 2) == 0 ? 0x80 | dice_below(&dice, 3) : dice_next(&dice));
            pile_byte(&wire, 0x80 | dice_below(&dice, 30));
        }
        struct transcript wanted = reference_read(wire, &narrow);
        expect_heard_in_pieces("noise", wire, 1 << 20, seed, &narrow, &wanted);
        expect_heard_in_pieces("noise", wire, 7, seed, &narrow, &wanted);
        pile_free(&wanted.events);
        pile_free(&wire);
    }
}
