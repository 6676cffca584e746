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

/* Block after block. *whole_block: it stopped between two. */
static int inflate_blocks(bool *whole_block)
{
    int result;
    do {
        result = inflate(&stream, Z_BLOCK);
        *whole_block = (stream.data_type & 128) != 0 && (stream.data_type & 63) == 0;
    } while (result == Z_OK && stream.avail_in > 0);
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
        stream.next_out = output.data + inflated.size;
        stream.avail_out = (unsigned)(output.size - inflated.size);
        result = inflate_blocks(&whole_block);
        at = input.size - stream.avail_in;
        inflated.size = output.size - stream.avail_out;
        inflated.over = stream.avail_out == 0;
    }
    /* A stream that ends with the payload needs no tail; one that ends within the tail took some of
     * it for its own. */
    bool ended = result == Z_STREAM_END && at == payload.size;
    inflated.deflate = payload.size == 0 || ended || (result == Z_OK && whole_block);
    if (result == Z_STREAM_END && at > payload.size) inflated.deflate = false;
    free(input.data);
    return inflated;
}
