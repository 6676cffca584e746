/* tests/sim/squash.c: permessage-deflate as a client has it (RFC 7692), around the library that the
 * server uses, too: what is around it is ours twice. */
#include "wire.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const uint8_t tail[] = {0x00, 0x00, 0xFF, 0xFF};

/* Its memory is kept from message to message; its window is not. */
static z_stream *inflater(uint32_t bits)
{
    static z_stream stream;
    static bool made;
    int done = made ? inflateReset2(&stream, -(int)bits) : inflateInit2(&stream, -(int)bits);
    if (done != Z_OK) abort();
    made = true;
    return &stream;
}

static int feed(z_stream *stream, const uint8_t *data, uint32_t size)
{
    stream->next_in = (uint8_t *)data;
    stream->avail_in = size;
    return inflate(stream, Z_SYNC_FLUSH);
}

const char *wire_inflate(struct wire_frame *frame, uint32_t bits, uint8_t *out, uint32_t out_size)
{
    z_stream *stream = inflater(bits);
    stream->next_out = out;
    stream->avail_out = out_size;
    if (frame->size == 0) return "a compressed message of no bytes (RFC 7692 7.2.3.6)";
    if (feed(stream, frame->payload, frame->size) != Z_OK || stream->avail_in > 0)
        return "a compressed message cannot be inflated";
    int done = feed(stream, tail, sizeof tail);
    if ((done != Z_OK && done != Z_BUF_ERROR) || stream->avail_in > 0 || stream->avail_out == 0)
        return "a compressed message stops inside a block";
    frame->payload = out;
    frame->size = out_size - stream->avail_out;
    return nullptr;
}

uint32_t wire_deflate(const uint8_t *data, uint32_t size, uint8_t *out, uint32_t out_size)
{
    static z_stream stream;
    static bool made;
    int done = made ? deflateReset(&stream)
                    : deflateInit2(&stream, 1, Z_DEFLATED, -15, 5, Z_DEFAULT_STRATEGY);
    if (done != Z_OK) abort();
    made = true;
    stream.next_in = (uint8_t *)data;
    stream.avail_in = size;
    stream.next_out = out;
    stream.avail_out = out_size;
    if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK || stream.avail_out == 0) return 0;
    uint32_t written = out_size - stream.avail_out;
    return memcmp(out + written - sizeof tail, tail, sizeof tail) == 0
               ? written - (uint32_t)sizeof tail
               : 0;
}
