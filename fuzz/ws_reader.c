/* fuzz/ws_reader.c: however the same bytes are split, the same messages come out, and the same
 * error at the same byte, as the reference of the tests hears; and what was heard, written
 * again, is heard again.
 *
 * Input: 1 byte of limits, 2 bytes of seed for the pieces, 1 byte: bit 0 says what follows,
 *   0   the wire itself
 *   1   frames, which are given their masks here: first byte, size, payload. Sizes from 250 on
 *       stand for the borders of the three length forms (those of the third in mode 255 only), and
 *       then the payload is repeated. */
#include "check.h"
#include "script.h"
#include "ws_listener.h"
#include <stdarg.h>

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "MUST: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (%s:%d)\n", file, line);
    va_end(arguments);
    abort();
}

static const struct ws_limits all_limits[] = {
    {.message_size_max = 0, .tiny_fragments_max = 0},
    {.message_size_max = 5, .tiny_fragments_max = 2},
    {.message_size_max = 125, .tiny_fragments_max = 3},
    {.message_size_max = 4096, .tiny_fragments_max = 16},
    {.message_size_max = 66000, .tiny_fragments_max = 65535},
};
constexpr size_t limits_count = sizeof all_limits / sizeof all_limits[0];

static size_t frame_size(uint8_t byte)
{
    static const size_t borders[] = {125, 126, 127, 65535, 65536, 65537};
    return byte < 250 ? byte : borders[byte - 250];
}

/* The fuzzer learns nothing from what loops over a payload's bytes here. */
#define UNTRACED __attribute__((no_sanitize("coverage"), noinline))

UNTRACED static void fill(uint8_t *payload, size_t size, struct script part)
{
    size_t done = part.size < size ? part.size : size;
    memset(payload, 'x', size);
    if (part.size == 0) return;
    memcpy(payload, part.data, done);
    for (size_t more; done < size; done += more) {
        more = done < size - done ? done : size - done;
        memcpy(payload + done, payload, more);
    }
}

UNTRACED static void mask(uint8_t *payload, size_t size, const uint8_t key[static 4])
{
    for (size_t i = 0; i < size; i++)
        payload[i] ^= key[i % 4];
}

static struct pile wire_of(struct script script)
{
    struct pile wire = {};
    uint8_t mode = script_byte(&script);
    bool large = mode == 0xFF; /* costs as much as a thousand others, so seldom, and once */
    if ((mode & 1) == 0) {
        pile_put(&wire, script.data, script.size);
        return wire;
    }
    while (script.size >= 2) {
        static uint8_t payload[65537];
        uint8_t first = script_byte(&script), form = script_byte(&script);
        if (form > 252 && !large) form -= 3;
        large = large && form <= 252;
        size_t size = frame_size(form);
        struct script part = script_part(&script, form < 250 ? size : 16);
        if (form < 250) size = part.size;
        fill(payload, size, part);
        wire_frame(&wire, first, payload, size, (const uint8_t[4]){first, 0x55, form, 0xFF});
    }
    return wire;
}

/* Hears the whole wire and notes every message, and with `again` writes each as one frame, by the
 * server's own writer, with a mask added. */
static struct pile hear(struct pile wire, const struct ws_limits *limits, struct pile *again)
{
    struct ws_reader reader;
    struct ws_message message;
    struct pile notes = {};
    struct bytes memory = bytes_exact(wire.data, wire.size), input = memory;
    struct bytes buffer = {};
    ws_reader_init(&reader, limits);
    for (;;) {
        enum ws_step step = ws_reader_feed(&reader, &input, &message);
        if (step == WS_NEED_MORE || step == WS_BROKEN) break;
        if (step == WS_NEED_BUFFER) {
            buffer = (struct bytes){malloc(ws_reader_need(&reader)), ws_reader_need(&reader)};
            free(ws_reader_lend(&reader, buffer).data);
            continue;
        }
        struct pile payload = {};
        if (message.opcode == WS_CLOSE && message.close_code != 1005) {
            pile_byte(&payload, message.close_code >> 8);
            pile_byte(&payload, message.close_code);
        }
        pile_put(&payload, message.payload.data, message.payload.size);
        pile_byte(&notes, message.opcode);
        pile_put(&notes, &payload.size, sizeof payload.size);
        pile_put(&notes, payload.data, payload.size);
        if (again != nullptr) {
            uint8_t header[ws_header_size_max_server], key[4] = {1, message.opcode, 0xAA, 0x80};
            size_t size = ws_header_write(header, message.opcode, true, false, payload.size);
            MUST(header[1] < 0x80);
            header[1] |= 0x80;
            pile_put(again, header, size);
            pile_put(again, key, sizeof key);
            pile_put(again, payload.data, payload.size);
            mask(again->data + again->size - payload.size, payload.size, key);
        }
        pile_free(&payload);
    }
    free(ws_reader_reclaim(&reader, true).data);
    free(memory.data);
    return notes;
}

static void write_and_read_again(struct pile wire, const struct ws_limits *limits)
{
    struct pile again = {};
    struct pile notes = hear(wire, limits, &again), notes_again = hear(again, limits, nullptr);
    MUST(notes.size == notes_again.size);
    MUST(notes.size == 0 || memcmp(notes.data, notes_again.data, notes.size) == 0);
    pile_free(&again);
    pile_free(&notes);
    pile_free(&notes_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    const struct ws_limits *limits = &all_limits[script_byte(&script) % limits_count];
    uint32_t seed = script_number(&script);
    struct pile wire = wire_of(script);
    struct transcript wanted = reference_read(wire, limits);
    expect_heard_in_pieces("whole", wire, 1'000'000, seed, limits, &wanted);
    expect_heard_in_pieces("pieces", wire, wire.size < 200 ? 1 + seed % 16 : wire.size / 8, seed,
                           limits, &wanted);
    if (wire.size < 200) expect_heard_in_pieces("bytes", wire, 1, 0, limits, &wanted);
    write_and_read_again(wire, limits);
    pile_free(&wanted.events);
    pile_free(&wire);
    return 0;
}
