#include "inflate.h"
#include <zlib.h>

static z_stream stream;

static void restart(int bits)
{
    static bool made;
    int result = made ? inflateReset2(&stream, -bits) : inflateInit2(&stream, -bits);
    MUST(result == Z_OK);
    made = true;
}

/* zlib sees a distance that is too far only behind its window, and what one call writes is not
 * behind it: so the output of a small window is had in small pieces. */
static size_t piece_of(int bits, size_t room)
{
    constexpr size_t small = 64;
    return bits < 15 && room > small ? small : room;
}

/* Block after block into what is left of the output; *size is what is used of it. *whole_block: it
 * stopped between two. */
static int inflate_blocks(int bits, struct bytes output, size_t *size, bool *whole_block)
{
    int result = Z_OK;
    while (result == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0)) {
        size_t piece = piece_of(bits, output.size - *size);
        if (piece == 0) break;
        stream.next_out = output.data + *size;
        stream.avail_out = (unsigned)piece;
        bool again = stream.avail_in == 0; /* perhaps there was nothing more to be had */
        result = inflate(&stream, Z_BLOCK);
        *size += piece - stream.avail_out;
        if (again && result == Z_BUF_ERROR) return Z_OK;
        int unused = stream.data_type & 63; /* bits, which behind a last block (64) are padding */
        bool padded = (stream.data_type & 64) != 0 && unused < 8;
        *whole_block = (stream.data_type & 128) != 0 && (unused == 0 || padded);
    }
    return result;
}

struct inflated plain_inflate(struct bytes payload, int bits, struct bytes output)
{
    struct inflated inflated = {};
    struct bytes input = {malloc(payload.size + 4), payload.size + 4};
    if (payload.size > 0) memcpy(input.data, payload.data, payload.size);
    memcpy(input.data + payload.size, "\0\0\xff\xff", 4);
    size_t at = 0;
    int result = Z_STREAM_END;
    bool whole_block = false;
    while (result == Z_STREAM_END && at < payload.size && !inflated.over) {
        restart(bits);
        stream.next_in = input.data + at;
        stream.avail_in = (unsigned)(input.size - at);
        stream.avail_out = 1; /* so it is not taken for a full one */
        result = inflate_blocks(bits, output, &inflated.size, &whole_block);
        at = input.size - stream.avail_in;
        inflated.over = inflated.size == output.size;
    }
    /* A stream that ends with the payload needs no tail; one that takes the tail for its own must
     * end with it: what would be left of it is the beginning of none. */
    bool ended = result == Z_STREAM_END && (at == payload.size || at == input.size);
    inflated.deflate = payload.size == 0 || ended || (result == Z_OK && whole_block);
    free(input.data);
    return inflated;
}
