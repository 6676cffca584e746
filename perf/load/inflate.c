#include "inflate.h"
#include "net.h"
#include "trouble.h"
#include "wire.h"
#include <stdlib.h>

void inflater_open(struct inflater *inflater)
{
    *inflater = (struct inflater){.text = net_memory(1, wire_payload_max)};
    if (inflateInit2(&inflater->stream, -15) != Z_OK) give_up("zlib cannot inflate");
}

void inflater_close(struct inflater *inflater)
{
    inflateEnd(&inflater->stream);
    free(inflater->text);
}

/* Takes a piece. A block may be the last of its stream (§7.2.3.4); then another stream begins. */
static const char *take(struct inflater *inflater, const uint8_t *data, size_t size)
{
    z_stream *stream = &inflater->stream;
    stream->next_in = (uint8_t *)data;
    stream->avail_in = (uInt)size;
    while (stream->avail_in > 0) {
        int answer = inflate(stream, Z_SYNC_FLUSH);
        if (answer == Z_STREAM_END)
            inflateReset(stream);
        else if (answer != Z_OK)
            return stream->avail_out == 0 ? "a message larger than this client takes"
                                          : "a message that cannot be inflated (RFC 7692)";
    }
    return nullptr;
}

const char *inflater_run(struct inflater *inflater, const uint8_t *data, size_t size,
                         size_t *text_size)
{
    static const uint8_t tail[] = {0x00, 0x00, 0xFF, 0xFF}; /* which the server has left out */
    inflateReset(&inflater->stream);
    inflater->stream.next_out = inflater->text;
    inflater->stream.avail_out = (uInt)wire_payload_max;
    const char *fault = take(inflater, data, size);
    if (fault == nullptr) fault = take(inflater, tail, sizeof tail);
    *text_size = wire_payload_max - inflater->stream.avail_out;
    return fault;
}
