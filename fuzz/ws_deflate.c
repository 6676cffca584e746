/* fuzz/ws_deflate.c: messages inflated, in whatever pieces their payload comes, and compressed.
 * Input: 1 byte of settings, 2 bytes of seed for the pieces, then by bit 0 of the settings
 *   0   a payload, as a peer may send it
 *   1   4 bytes, and a message that is compressed (and must come back); then the payload is changed
 *       as the bytes say, which makes something that begins as a stream should
 *
 * Inflated is what a second use of zlib inflates at once, with all the memory it likes; errors are
 * the same in any pieces, and there is one exactly when there must be; nothing is written beyond
 * the limit. RFC 7692 §7.2. */
#include "inflate.h"
#include "ws/deflate.h"

constexpr size_t reference_max = 4 << 20; /* bytes: more than any input here inflates to */
static const size_t limits[] = {0, 1, 100, 4096, 4097, 20'000, 65536, 1 << 20};

static struct ws_inflater *inflater(void)
{
    static struct ws_inflater *made;
    if (made == nullptr)
        made = ws_inflater_make((struct bytes){malloc(ws_inflater_size), ws_inflater_size});
    return made;
}

static struct ws_deflater *deflater(void)
{
    static struct ws_deflater *made;
    if (made == nullptr)
        made = ws_deflater_make((struct bytes){malloc(ws_deflater_size), ws_deflater_size});
    return made;
}

static uint8_t referred[reference_max];

static struct inflated refer(struct bytes payload, int bits)
{
    struct inflated inflated =
        plain_inflate(payload, bits, (struct bytes){referred, sizeof referred});
    MUST(!inflated.over);
    return inflated;
}

/* ---- ours ---- */

struct outcome {
    enum ws_error error;
    struct bytes message, memory;
};

static struct outcome inflate_in_pieces(struct bytes payload, enum ws_opcode opcode, size_t limit,
                                        uint32_t seed)
{
    struct outcome outcome = {.memory = {malloc(limit > 0 ? limit : 1), limit}};
    struct cutter cutter = {seed};
    ws_inflater_begin(inflater(), opcode, payload.size, outcome.memory);
    for (size_t at = 0; at < payload.size && outcome.error == WS_OK;) {
        size_t size = cutter_next(&cutter, payload.size - at);
        struct bytes piece = bytes_exact(payload.data + at, size);
        outcome.error = ws_inflater_feed(inflater(), piece);
        free(piece.data);
        at += size;
    }
    if (outcome.error == WS_OK) outcome.error = ws_inflater_end(inflater(), &outcome.message);
    return outcome;
}

static void check_outcome(const struct outcome *outcome, const struct inflated *reference,
                          enum ws_opcode opcode, size_t payload_size)
{
    size_t ratio = payload_size * ws_inflate_ratio_max;
    if (ratio < ws_inflate_ratio_from) ratio = ws_inflate_ratio_from;
    bool text = opcode == WS_TEXT;
    bool big = reference->size > outcome->memory.size, far = reference->size > ratio;
    bool bad_text = text && !utf8_valid((struct bytes){referred, reference->size});
    bool good = reference->deflate && !big && !far && !bad_text;
    MUST((outcome->error == WS_OK) == good);
    switch (outcome->error) {
    case WS_OK:
        MUST(outcome->message.size == reference->size);
        MUST(reference->size == 0 || memcmp(outcome->message.data, referred, reference->size) == 0);
        break;
    case WS_TOO_BIG: MUST(big); break;
    case WS_RATIO: MUST(far); break;
    case WS_BAD_DEFLATE: MUST(!reference->deflate); break;
    case WS_BAD_UTF8: MUST(bad_text); break;
    default: MUST(!"an error of inflating");
    }
}

static void take(struct bytes payload, enum ws_opcode opcode, size_t limit, uint32_t seed)
{
    struct inflated reference = refer(payload, ws_deflate_bits_max);
    struct outcome whole = inflate_in_pieces(payload, opcode, limit, 0);
    struct outcome pieces = inflate_in_pieces(payload, opcode, limit, seed | 1);
    MUST(whole.error == pieces.error);
    check_outcome(&whole, &reference, opcode, payload.size);
    check_outcome(&pieces, &reference, opcode, payload.size);
    free(whole.memory.data);
    free(pieces.memory.data);
}

/* Compressed and inflated by the reference, with no larger a window, it is the same. Gives the
 * payload, for free(). */
static struct bytes compress_and_back(struct bytes message, uint8_t bits, size_t room)
{
    struct bytes output = {malloc(room), room};
    output.size = ws_deflate(deflater(), bits, message, output);
    if (output.size == 0) {
        /* There was no room; in twice as much as a stored message takes there is. */
        MUST(room < message.size + 64);
        return output;
    }
    MUST(output.size + ws_deflate_spare <= room);
    struct inflated reference = refer(output, bits);
    MUST(reference.deflate && reference.size == message.size);
    MUST(message.size == 0 || memcmp(referred, message.data, message.size) == 0);
    return output;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    uint8_t choice = script_byte(&script);
    uint32_t seed = script_number(&script);
    enum ws_opcode opcode = (choice & 2) != 0 ? WS_TEXT : WS_BINARY;
    size_t limit = limits[choice >> 2 & 7];
    if ((choice & 1) == 0) {
        struct bytes payload = bytes_exact(script.data, script.size);
        take(payload, opcode, limit, seed);
        free(payload.data);
        return 0;
    }
    uint8_t change[4];
    for (size_t i = 0; i < sizeof change; i++)
        change[i] = script_byte(&script);
    struct bytes message = bytes_exact(script.data, script.size);
    uint8_t bits = (uint8_t)(ws_deflate_bits_min + change[0] % 7);
    struct bytes payload =
        compress_and_back(message, bits, message.size + (choice >= 128 ? 64 : 6));
    take(payload, opcode, limit, seed);
    if (payload.size > 0) {
        payload.data[change[1] % payload.size] ^= change[2];
        payload.data[seed % payload.size] ^= change[3];
        take(payload, opcode, limit, seed);
    }
    free(payload.data);
    free(message.data);
    return 0;
}
