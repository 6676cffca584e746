/* ws/deflate.h: messages compressed and inflated, each by itself. RFC 7692 §7.2.
 * You are here: ring > tls > http > [ws] > hub > room > game > outbox > conn > ring
 * Never: keeps anything of one message for the next, or touches memory that it was not given.
 *
 *     message > deflate > 00 00 ff ff cut off the end > payload, its first frame with RSV1 (§7.2.1)
 *     payload > 00 00 ff ff appended > inflate > message                                   (§7.2.2)
 */
#pragma once
#include "base/bytes.h"
#include "ws/reader.h"

/* Windows are 2^bits bytes. zlib makes 9 of 8. */
constexpr uint8_t ws_deflate_bits_min = 9;
constexpr uint8_t ws_deflate_bits_max = 15;

/* What is cut off and appended: an empty stored block but for its first bits. */
constexpr size_t ws_deflate_tail_size = 4;

/* --- Compressing ------------------------------------------------------------------------------ */

/* One compressor, for message after message. */
struct ws_deflater;
constexpr size_t ws_deflater_size = 280 * 1024; /* a smaller window touches less of it */

/* Makes a compressor in `memory`, which it holds for its life and which is aligned for anything: at
 * least ws_deflater_size bytes. There is nothing to give back. */
[[nodiscard]] struct ws_deflater *ws_deflater_make(struct bytes memory);

/* Bytes that the output of ws_deflate must have beside those of the payload. */
constexpr size_t ws_deflate_spare = ws_deflate_tail_size + 1;

/* Compresses `message` with a window of 2^bits bytes and writes the payload to `output`. Returns
 * how many bytes that are: at least 1, at most output.size - ws_deflate_spare. 0 when they would
 * be more; `output` is spoiled then. */
[[nodiscard]] size_t ws_deflate(struct ws_deflater *deflater, uint8_t bits, struct bytes message,
                                struct bytes output);

/* --- Inflating -------------------------------------------------------------------------------- */

/* One inflater, for message after message, whatever window the peers compress with. */
struct ws_inflater;
constexpr size_t ws_inflater_size = 48 * 1024;

/* A message may be this many times its payload, or ws_inflate_ratio_from bytes, whichever is more:
 * text is 3 to 20 times its payload, a bomb up to 1032 times (THREATS.md Z1, Z2). */
constexpr uint32_t ws_inflate_ratio_max = 200;
constexpr uint32_t ws_inflate_ratio_from = 16 * 1024;

/* As ws_deflater_make, with at least ws_inflater_size bytes. */
[[nodiscard]] struct ws_inflater *ws_inflater_make(struct bytes memory);

/* Begins a message of `opcode`, WS_TEXT or WS_BINARY, whose payload is `payload_size` bytes;
 * whatever was begun before is forgotten. It will be written to `output`, whose size is the limit
 * for it, and which is borrowed until ws_inflater_end. */
void ws_inflater_begin(struct ws_inflater *inflater, enum ws_opcode opcode, size_t payload_size,
                       struct bytes output);

/* The next piece of the payload. However it is split, the message is the same, and so is the
 * first answer that is not WS_OK:
 *     WS_OK            go on
 *     WS_TOO_BIG       the message would be larger than `output`; nothing is written beyond that
 *     WS_RATIO         the message would be larger than ws_inflate_ratio_max allows
 *     WS_BAD_DEFLATE   this is no DEFLATE stream
 *     WS_BAD_UTF8      a text is not UTF-8 (RFC 6455 §8.1): seen as it comes out, KiB by KiB
 * After such an answer the message is over. The work is bounded by the piece and by output.size. */
[[nodiscard]] enum ws_error ws_inflater_feed(struct ws_inflater *inflater, struct bytes piece);

/* The payload is whole: appends the tail. WS_OK: *message is the message, in `output`. Else as
 * above; WS_BAD_DEFLATE also when the payload stops within a block, WS_BAD_UTF8 also when a text
 * stops within a code point. A block with BFINAL (RFC 7692 §7.2.3.4) ends one stream, and what
 * follows it is another of the same message. A payload of no bytes is a message of none. */
[[nodiscard]] enum ws_error ws_inflater_end(struct ws_inflater *inflater, struct bytes *message);
