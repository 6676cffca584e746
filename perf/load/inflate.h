/* perf/load/inflate.h: the client's side of RFC 7692: inflates a message that stands alone
 * (server_no_context_takeover). zlib does it; nothing of src/ws/deflate.c is in here. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct inflater {
    z_stream stream;
    uint8_t *text; /* wire_payload_max bytes: the last message */
};

/* Memory is taken here, for all messages, and given back by inflater_close. */
void inflater_open(struct inflater *inflater);
void inflater_close(struct inflater *inflater);

/* Inflates one message (§7.2.2) into inflater->text and writes its size to *text_size. nullptr, or
 * what is wrong with it. */
[[nodiscard]] const char *inflater_run(struct inflater *inflater, const uint8_t *data, size_t size,
                                       size_t *text_size);
