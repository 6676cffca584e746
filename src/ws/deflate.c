#include "ws/deflate.h"
#include <assert.h>
#include <stddef.h>
#include <zlib.h>

/* --- Memory ---------------------------------------------------------------------------------- */

/* What zlib asks for when it begins is taken from one run of memory, from front to back, and never
 * given back piece by piece. */
struct run {
    struct bytes memory;
    size_t used;
};

static void *run_take(void *opaque, unsigned count, unsigned size)
{
    struct run *run = opaque;
    constexpr size_t alignment = alignof(max_align_t);
    size_t bytes = ((size_t)count * size + alignment - 1) / alignment * alignment;
    if (bytes > run->memory.size - run->used) return nullptr;
    void *piece = run->memory.data + run->used;
    run->used += bytes;
    return piece;
}

static void run_give(void *, void *)
{
}

/* The memory behind the first `size` bytes. */
static struct run run_behind(struct bytes memory, size_t size)
{
    constexpr size_t alignment = alignof(max_align_t);
    assert((uintptr_t)memory.data % alignment == 0);
    return (struct run){.memory =
                            bytes_skip(memory, (size + alignment - 1) / alignment * alignment)};
}

static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
static_assert(sizeof tail == ws_deflate_tail_size);

/* --- Compressing ----------------------------------------------------------------------------- */

struct ws_deflater {
    z_stream stream;
    struct run run;
    uint8_t bits; /* of the window that it is made for now; 0: none */
};

struct ws_deflater *ws_deflater_make(struct bytes memory)
{
    assert(memory.size >= ws_deflater_size);
    struct ws_deflater *deflater = (struct ws_deflater *)memory.data;
    *deflater = (struct ws_deflater){.run = run_behind(memory, sizeof *deflater)};
    return deflater;
}

/* zlib cannot change a stream's window, but to make one anew in the same memory costs no more
 * than a reset, measured with windows in turns: both clear the hash table, 64 KiB. So there is
 * one stream and not one for each window.
 *
 * Level 4 is the first that looks for better matches: a JSON of 64 KiB takes 0.8 ms and
 * comes to 21 %; level 6 takes 1.4 ms for 19 %, and meanwhile the worker does nothing else. */
static void deflater_begin(struct ws_deflater *deflater, uint8_t bits)
{
    constexpr int level = 4, memory_level = 8;
    if (deflater->bits == bits) {
        int result = deflateReset(&deflater->stream);
        assert(result == Z_OK);
        return;
    }
    deflater->run.used = 0;
    deflater->bits = bits;
    deflater->stream = (z_stream){.zalloc = run_take, .zfree = run_give, .opaque = &deflater->run};
    int result =
        deflateInit2(&deflater->stream, level, Z_DEFLATED, -bits, memory_level, Z_DEFAULT_STRATEGY);
    assert(result == Z_OK);
}

size_t ws_deflate(struct ws_deflater *deflater, uint8_t bits, struct bytes message,
                  struct bytes output)
{
    assert(bits >= ws_deflate_bits_min && bits <= ws_deflate_bits_max);
    assert(message.size <= ws_message_size_limit && output.size <= UINT32_MAX);
    if (output.size <= ws_deflate_spare) return 0;
    deflater_begin(deflater, bits);
    z_stream *stream = &deflater->stream;
    stream->next_in = message.data;
    stream->avail_in = (unsigned)message.size;
    stream->next_out = output.data;
    stream->avail_out = (unsigned)output.size;
    int result = deflate(stream, Z_SYNC_FLUSH);
    assert(result == Z_OK);
    if (stream->avail_out == 0) return 0; // a flush is complete only when it leaves some
    size_t size = output.size - stream->avail_out;
    assert(stream->avail_in == 0 && size > sizeof tail);
    assert(memcmp(output.data + size - sizeof tail, tail, sizeof tail) == 0);
    return size - sizeof tail; // RFC 7692 §7.2.1
}

/* --- Inflating ------------------------------------------------------------------------------- */

struct ws_inflater {
    z_stream stream;
    struct run run;
    struct bytes output;
    size_t limit; /* bytes of the message, at most output.size */
    size_t used;  /* how many have come out */
    size_t fed;   /* bytes of the payload so far */
    struct utf8 utf8;
    bool text;
    bool between_blocks; /* what has come ends with a block, and with a byte */
    bool ended;          /* that block had BFINAL */
};

struct ws_inflater *ws_inflater_make(struct bytes memory)
{
    assert(memory.size >= ws_inflater_size);
    struct ws_inflater *inflater = (struct ws_inflater *)memory.data;
    *inflater = (struct ws_inflater){.run = run_behind(memory, sizeof *inflater)};
    inflater->stream = (z_stream){.zalloc = run_take, .zfree = run_give, .opaque = &inflater->run};
    int result = inflateInit2(&inflater->stream, -ws_deflate_bits_max);
    assert(result == Z_OK);
    return inflater;
}

static void restart_stream(struct ws_inflater *inflater)
{
    int result = inflateReset(&inflater->stream);
    assert(result == Z_OK);
}

void ws_inflater_begin(struct ws_inflater *inflater, enum ws_opcode opcode, size_t payload_size,
                       struct bytes output)
{
    assert(payload_size <= ws_message_size_limit && output.size <= ws_message_size_limit);
    uint64_t limit = (uint64_t)payload_size * ws_inflate_ratio_max;
    if (limit < ws_inflate_ratio_from) limit = ws_inflate_ratio_from;
    inflater->output = output;
    inflater->limit = limit < output.size ? (size_t)limit : output.size;
    inflater->used = 0;
    inflater->fed = 0;
    inflater->utf8 = (struct utf8){};
    inflater->text = opcode == WS_TEXT;
    inflater->between_blocks = false;
    inflater->ended = false;
    restart_stream(inflater);
}

/* Takes note of what inflate answered. Only an answer with progress tells where the stream is. */
static enum ws_error note(struct ws_inflater *inflater, int result)
{
    constexpr int unused_bits = 63, after_block = 128; // of data_type, as zlib.h describes it
    int where = inflater->stream.data_type;
    switch (result) {
    case Z_STREAM_END:
        inflater->ended = inflater->between_blocks = true;
        restart_stream(inflater);
        return WS_OK;
    case Z_OK:
        inflater->ended = false;
        inflater->between_blocks = (where & after_block) != 0 && (where & unused_bits) == 0;
        return WS_OK;
    case Z_BUF_ERROR: return WS_OK;
    default: assert(result == Z_DATA_ERROR); return WS_BAD_DEFLATE;
    }
}

/* Inflates once, into the next KiB of the output or, when that is full, into a byte that must
 * not be needed. */
static enum ws_error inflate_some(struct ws_inflater *inflater)
{
    constexpr size_t step = 4096;
    z_stream *stream = &inflater->stream;
    uint8_t beyond;
    size_t left = inflater->limit - inflater->used, space = left < step ? left : step;
    uint8_t *start = left > 0 ? inflater->output.data + inflater->used : &beyond;
    stream->next_out = start;
    stream->avail_out = left > 0 ? (unsigned)space : 1;
    int result = inflate(stream, Z_SYNC_FLUSH);
    size_t size = (size_t)(stream->next_out - start);
    if (size > left) return inflater->limit < inflater->output.size ? WS_RATIO : WS_TOO_BIG;
    inflater->used += size;
    if (inflater->text && !utf8_feed(&inflater->utf8, (struct bytes){start, size}))
        return WS_BAD_UTF8;
    return note(inflater, result);
}

/* Until the input is used up and nothing more comes out, which an output that is not full shows. */
static enum ws_error take(struct ws_inflater *inflater, struct bytes piece)
{
    z_stream *stream = &inflater->stream;
    stream->next_in = piece.data;
    stream->avail_in = (unsigned)piece.size;
    do {
        enum ws_error error = inflate_some(inflater);
        if (error != WS_OK) return error;
    } while (stream->avail_in > 0 || stream->avail_out == 0);
    return WS_OK;
}

enum ws_error ws_inflater_feed(struct ws_inflater *inflater, struct bytes piece)
{
    if (piece.size == 0) return WS_OK;
    assert(piece.size <= ws_message_size_limit);
    inflater->fed += piece.size;
    return take(inflater, piece);
}

enum ws_error ws_inflater_end(struct ws_inflater *inflater, struct bytes *message)
{
    /* Behind a block with BFINAL there is no unfinished block that the tail could complete. */
    if (inflater->fed > 0 && !inflater->ended) {
        uint8_t appended[sizeof tail];
        memcpy(appended, tail, sizeof tail);
        enum ws_error error = take(inflater, (struct bytes){appended, sizeof appended});
        if (error != WS_OK) return error;
        if (!inflater->between_blocks) return WS_BAD_DEFLATE;
    }
    if (!utf8_complete(&inflater->utf8)) return WS_BAD_UTF8;
    *message = (struct bytes){inflater->output.data, inflater->used};
    return WS_OK;
}
