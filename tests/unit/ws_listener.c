#include "ws_listener.h"
#include "check.h"
#include <stdlib.h>

/* --- A growing run of bytes ----------------------------------------------------------------- */

void pile_put(struct pile *pile, const void *bytes, size_t size)
{
    if (size == 0) return;
    if (pile->size + size + 1 > pile->capacity) {
        pile->capacity = pile->capacity * 2 + size + 32;
        pile->data = realloc(pile->data, pile->capacity);
    }
    memcpy(pile->data + pile->size, bytes, size);
    pile->size += size;
    pile->data[pile->size] = 0; // so that a failure can print it
}

void pile_byte(struct pile *pile, uint64_t byte)
{
    pile_put(pile, &(uint8_t){(uint8_t)byte}, 1);
}

void pile_free(struct pile *pile)
{
    free(pile->data);
    *pile = (struct pile){};
}

/* --- Transcripts ---------------------------------------------------------------------------- */

static const char *const error_names[] = {[WS_OK] = "OK",
#define X(name, code, token, sentence) [WS_##name] = #name,
                                          WS_ERRORS(X)
#undef X
};

void transcript_note(struct transcript *transcript, const struct ws_message *message, size_t at)
{
    static const char *const names[] = {[WS_TEXT] = "text",
                                        [WS_BINARY] = "binary",
                                        [WS_CLOSE] = "close",
                                        [WS_PING] = "ping",
                                        [WS_PONG] = "pong"};
    char words[40];
    struct pile *events = &transcript->events;
    if (events->size > 0) pile_byte(events, ' ');
    pile_put(events, names[message->opcode], strlen(names[message->opcode]));
    pile_byte(events, '(');
    int size = snprintf(words, sizeof words, "%u ", message->close_code);
    if (message->opcode == WS_CLOSE) pile_put(events, words, (size_t)size);
    pile_put(events, message->payload.data, message->payload.size);
    size = snprintf(words, sizeof words, ")@%zu", at);
    pile_put(events, words, (size_t)size);
}

void transcript_error(struct transcript *transcript, enum ws_error error, size_t at)
{
    if (transcript->events.size > 0) pile_byte(&transcript->events, ' ');
    pile_byte(&transcript->events, '!');
    pile_put(&transcript->events, error_names[error], strlen(error_names[error]));
    transcript->error_at = at;
}

/* --- The wire ------------------------------------------------------------------------------- */

void wire_frame(struct pile *wire, uint64_t first, const void *payload, size_t size,
                const uint8_t key[static 4])
{
    int extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
    pile_byte(wire, first);
    pile_byte(wire, 0x80 | (extended == 0 ? size : extended == 2 ? 126 : 127));
    for (int i = extended - 1; i >= 0; i--)
        pile_byte(wire, (uint64_t)size >> 8 * i);
    pile_put(wire, key, 4);
    size_t start = wire->size;
    pile_put(wire, payload, size);
    for (size_t i = 0; i < size; i++)
        wire->data[start + i] ^= key[i % 4];
}

/* --- A listener: a connection that lends exactly what is needed and not one byte more --------- */

void listener_init(struct listener *listener, const struct ws_limits *limits)
{
    *listener = (struct listener){};
    ws_reader_init(&listener->reader, limits);
}

void listener_free(struct listener *listener)
{
    free(ws_reader_reclaim(&listener->reader, true).data);
    pile_free(&listener->heard.events);
}

static void lend_exactly(struct listener *listener)
{
    const struct ws_limits *limits = listener->reader.limits;
    uint32_t need = ws_reader_need(&listener->reader);
    EXPECT(need > listener->reader.buffer_capacity);
    EXPECT(need <= listener->fed); // what has come, not what was declared (THREATS F5)
    EXPECT(need <= limits->message_size_max + ws_control_payload_max);
    struct bytes buffer = {.data = malloc(need), .size = need};
    free(ws_reader_lend(&listener->reader, buffer).data);
    listener->lends += 1;
}

enum ws_step listener_feed(struct listener *listener, const uint8_t *piece, size_t size)
{
    uint8_t *memory = malloc(size > 0 ? size : 1);
    if (size > 0) memcpy(memory, piece, size);
    struct bytes input = {.data = memory, .size = size};
    size_t before = listener->fed;
    listener->fed += size;
    enum ws_step step;
    struct ws_message message;
    while ((step = ws_reader_feed(&listener->reader, &input, &message)) == WS_MESSAGE ||
           step == WS_NEED_BUFFER) {
        if (step == WS_NEED_BUFFER) {
            lend_exactly(listener);
            continue;
        }
        EXPECT(message.payload.size <= listener->reader.limits->message_size_max ||
               ws_opcode_is_control(message.opcode));
        transcript_note(&listener->heard, &message, listener->fed - input.size);
    }
    if (step == WS_NEED_MORE) {
        EXPECT_EQ(input.size, 0);
        free(ws_reader_reclaim(&listener->reader, false).data);
    } else if (listener->heard.error_at == 0) {
        transcript_error(&listener->heard, listener->reader.error, listener->fed);
        listener->error_after = before;
    }
    free(memory);
    return step;
}

/* Feeds the rest of the wire in one piece after the error too: it must change nothing. */
static void expect_broken_is_final(struct listener *listener, struct pile wire)
{
    if (listener->heard.error_at == 0) return;
    enum ws_error error = listener->reader.error;
    EXPECT_EQ(listener_feed(listener, wire.data, wire.size), WS_BROKEN);
    EXPECT_EQ(listener_feed(listener, nullptr, 0), WS_BROKEN);
    EXPECT_EQ(listener->reader.error, error);
    EXPECT(!ws_reader_is_midway(&listener->reader));
    free(ws_reader_reclaim(&listener->reader, false).data);
    EXPECT_EQ(listener->reader.buffer_capacity, 0);
}

/* Bytes that two piles have in common at their beginning. */
static size_t common_size(const struct pile *left, const struct pile *right)
{
    size_t size = left->size < right->size ? left->size : right->size, at = 0;
    if (size > 0 && memcmp(left->data, right->data, size) == 0) return size;
    while (at < size && left->data[at] == right->data[at])
        at += 1;
    return at;
}

static void expect_same(const char *who, const struct listener *listener,
                        const struct transcript *wanted)
{
    const struct pile *heard = &listener->heard.events;
    size_t same = common_size(heard, &wanted->events);
    if (same < heard->size || same < wanted->events.size)
        check_failed(__FILE__, __LINE__, "%s: after %zu bytes, heard \"%.60s\", wanted \"%.60s\"",
                     who, same, same < heard->size ? (const char *)heard->data + same : "",
                     same < wanted->events.size ? (const char *)wanted->events.data + same : "");
    bool in_time = wanted->error_at > listener->error_after;
    bool not_before = wanted->error_at <= listener->heard.error_at;
    if (wanted->error_at > 0 && !(in_time && not_before))
        check_failed(__FILE__, __LINE__, "%s: the error came in bytes %zu to %zu, wanted at %zu",
                     who, listener->error_after + 1, listener->heard.error_at, wanted->error_at);
}

uint64_t dice_next(uint64_t *seed)
{
    *seed += 0x9E3779B97F4A7C15;
    uint64_t mixed = (*seed ^ *seed >> 29) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 32) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
}

size_t dice_below(uint64_t *seed, size_t bound)
{
    return dice_next(seed) % bound;
}

void expect_heard_in_pieces(const char *who, struct pile wire, size_t piece_max, uint64_t seed,
                            const struct ws_limits *limits, const struct transcript *wanted)
{
    struct listener listener;
    listener_init(&listener, limits);
    while (listener.fed < wire.size && listener.heard.error_at == 0) {
        size_t left = wire.size - listener.fed, size = 1 + dice_below(&seed, piece_max);
        (void)listener_feed(&listener, wire.data + listener.fed, size < left ? size : left);
    }
    expect_same(who, &listener, wanted);
    expect_broken_is_final(&listener, wire);
    listener_free(&listener);
}

static void expect_heard_in_two(const char *who, struct pile wire, size_t split,
                                const struct ws_limits *limits, const struct transcript *wanted)
{
    struct listener listener;
    listener_init(&listener, limits);
    (void)listener_feed(&listener, wire.data, split);
    if (listener.heard.error_at == 0)
        (void)listener_feed(&listener, wire.data + split, wire.size - split);
    expect_same(who, &listener, wanted);
    expect_broken_is_final(&listener, wire);
    listener_free(&listener);
}

void expect_heard(const char *who, struct pile wire, const struct ws_limits *limits,
                  const struct transcript *wanted)
{
    expect_heard_in_pieces(who, wire, 1, 0, limits, wanted);
    for (size_t split = 0; split <= wire.size; split++)
        expect_heard_in_two(who, wire, split, limits, wanted);
    for (uint64_t seed = 0; seed < 16; seed++)
        expect_heard_in_pieces(who, wire, 2 + seed * 3, seed, limits, wanted);
}

/* --- A reference: the whole wire at once, by the letter of the RFC, with all the memory it
 * likes */

struct reference {
    const struct ws_limits *limits;
    struct transcript transcript;
    struct pile message;
    unsigned opcode; /* of the unfinished message, else 0 */
    unsigned tiny;
    struct utf8 utf8;
};

/* Notes the error when it holds and the wire is long enough to show it. */
static bool reference_error(struct reference *reference, bool holds, enum ws_error error, size_t at)
{
    if (holds) transcript_error(&reference->transcript, error, at);
    return holds;
}

/* What two bytes at `at` show. True when it is an error. */
static bool reference_refuses_kind(struct reference *reference, const uint8_t *two, size_t at)
{
    unsigned opcode = two[0] % 16, length = two[1] % 128;
    bool control = opcode >= 8, reserved = opcode % 8 > 2;
    size_t end = at + 2;
    return reference_error(reference, two[1] < 0x80, WS_UNMASKED, end) ||
           reference_error(reference, two[0] / 16 % 8 != 0, WS_RESERVED_BIT, end) ||
           reference_error(reference, reserved, WS_RESERVED_OPCODE, end) ||
           reference_error(reference, control && length > 125, WS_CONTROL_TOO_LONG, end) ||
           reference_error(reference, control && two[0] < 0x80, WS_CONTROL_FRAGMENTED, end) ||
           reference_error(reference, opcode == 0 && reference->opcode == 0, WS_CONTINUATION_ALONE,
                           end) ||
           reference_error(reference, !control && opcode != 0 && reference->opcode != 0,
                           WS_MESSAGE_INTERRUPTED, end) ||
           reference_error(reference, opcode == 8 && length == 1, WS_CLOSE_MALFORMED, end);
}

static bool reference_refuses_length(struct reference *reference, const uint8_t *two,
                                     uint64_t length, size_t end)
{
    unsigned form = two[1] % 128;
    bool control = two[0] % 16 >= 8, fragment = !control && (two[0] < 0x80 || two[0] % 16 == 0);
    bool longer = (form == 126 && length <= 125) || (form == 127 && length <= 65535);
    bool tiny = fragment && length < 16;
    reference->tiny += tiny;
    return reference_error(reference, longer, WS_LENGTH_NOT_MINIMAL, end) ||
           reference_error(reference, length >> 63 != 0, WS_LENGTH_TOO_LONG, end) ||
           reference_error(reference,
                           tiny && reference->tiny > reference->limits->tiny_fragments_max,
                           WS_TOO_MANY_FRAGMENTS, end) ||
           reference_error(reference,
                           !control && length > reference->limits->message_size_max -
                                                    reference->message.size,
                           WS_TOO_BIG, end);
}

/* A whole control frame that ends at byte `end`. */
static bool reference_refuses_control(struct reference *reference, unsigned opcode,
                                      struct pile payload, size_t end)
{
    struct ws_message message = {.opcode = (enum ws_opcode)opcode,
                                 .payload = {.data = payload.data, .size = payload.size}};
    if (opcode == WS_CLOSE) {
        message.close_code = 1005;
        if (payload.size > 0) {
            message.close_code = (uint16_t)(payload.data[0] * 256 + payload.data[1]);
            message.payload = bytes_skip(message.payload, 2);
        }
        uint16_t code = message.close_code;
        bool forbidden = code < 1000 || code == 1004 || (code == 1005 && payload.size > 0) ||
                         code == 1006 || (code > 1014 && code < 3000) || code > 4999;
        if (reference_error(reference, forbidden, WS_CLOSE_MALFORMED, end)) return true;
        if (reference_error(reference, !utf8_valid(message.payload), WS_BAD_UTF8, end)) return true;
    }
    transcript_note(&reference->transcript, &message, end);
    return false;
}

/* One frame from `at`. Returns where the next begins, or 0 when the wire ends first or is bad. */
static size_t reference_frame(struct reference *reference, struct pile wire, size_t at)
{
    const uint8_t *two = wire.data + at;
    if (wire.size - at < 2 || reference_refuses_kind(reference, two, at)) return 0;
    size_t extended = two[1] % 128 == 127 ? 8 : two[1] % 128 == 126 ? 2 : 0;
    if (wire.size - at < 2 + extended) return 0;
    uint64_t length = extended == 0 ? two[1] % 128 : 0;
    for (size_t i = 0; i < extended; i++)
        length = length * 256 + two[2 + i];
    if (reference_refuses_length(reference, two, length, at + 2 + extended)) return 0;
    size_t start = at + 2 + extended + 4;
    if (wire.size < start) return 0;

    bool control = two[0] % 16 >= 8, final = two[0] >= 0x80;
    if (two[0] % 16 == 1 || two[0] % 16 == 2) reference->opcode = two[0] % 16;
    struct pile frame = {}, *into = control ? &frame : &reference->message;
    for (size_t i = 0; i < length; i++) {
        if (start + i == wire.size) {
            pile_free(&frame);
            return 0;
        }
        uint8_t byte = wire.data[start + i] ^ wire.data[start - 4 + i % 4];
        pile_byte(into, byte);
        if (!control && reference->opcode == WS_TEXT &&
            reference_error(reference,
                            !utf8_feed(&reference->utf8, (struct bytes){.data = &byte, .size = 1}),
                            WS_BAD_UTF8, start + i + 1))
            return 0;
    }
    size_t end = start + (size_t)length;
    if (control) {
        bool refused = reference_refuses_control(reference, two[0] % 16, frame, end);
        pile_free(&frame);
        return refused ? 0 : end;
    }
    if (!final) return end;
    if (reference_error(reference, !utf8_complete(&reference->utf8), WS_BAD_UTF8, end)) return 0;
    transcript_note(&reference->transcript,
                    &(struct ws_message){.opcode = (enum ws_opcode)reference->opcode,
                                         .payload = {.data = into->data, .size = into->size}},
                    end);
    pile_free(into);
    reference->opcode = reference->tiny = 0;
    return end;
}

struct transcript reference_read(struct pile wire, const struct ws_limits *limits)
{
    struct reference reference = {.limits = limits};
    for (size_t at = 0; at < wire.size;) {
        at = reference_frame(&reference, wire, at);
        if (at == 0) break;
    }
    pile_free(&reference.message);
    return reference.transcript;
}
