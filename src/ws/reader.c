#include "ws/reader.h"
#include "ws/mask.h"
#include <assert.h>
#include <stdckdint.h>

/* Two machines in one. Frames, `phase`:
 *
 *                       header whole and allowed
 *      +--------+ ----------------------------------> +---------+
 *      | HEADER |                                     | PAYLOAD |
 *      +--------+ <---------------------------------- +---------+
 *          |       payload whole: deliver, or go on        |
 *          | a rule broken                                 | not UTF-8, or a bad close
 *          +---------------------> OVER <------------------+
 *
 *   HEADER    header[0..header_used) has come of a frame's header; 0 between two frames
 *   PAYLOAD   frame_read of frame_size bytes have been taken; key, frame_opcode, frame_final hold
 *   OVER      error holds; nothing is read any more
 *
 * And messages (§5.4), `message_opcode`; control frames pass by without touching it:
 *
 *      +------+ -------- text or binary, not FIN --------> +-----------+ <--+ continuation, not
 *      |  0   |                                            | the first |    | FIN: bytes, utf8,
 *      | idle | <------- continuation with FIN: deliver -- |  opcode   | ---+ tiny_fragments
 *      +------+                                            +-----------+      add up
 *        | ^
 *        +-+ text or binary with FIN: deliver
 *
 * Where a payload is kept:
 *
 *      whole in `input`   it stays there and is delivered from there: no copy, no buffer
 *      otherwise          the lent buffer:  [ message_used | frame_read of a control frame | free ]
 */

bool ws_close_code_allowed(uint16_t code)
{
    if (code >= 3000) return code <= 4999;          // §7.4.2: registered, and private
    if (code >= 1004 && code <= 1006) return false; // §7.4.1: reserved, or never sent
    return code >= 1000 && code <= 1014;            // 1015 and up: never sent, unassigned
}

/* --- A reader's life ------------------------------------------------------------------------- */

void ws_reader_init(struct ws_reader *reader, const struct ws_limits *limits)
{
    assert(limits->message_size_max <= ws_message_size_limit);
    *reader = (struct ws_reader){.limits = limits, .phase = WS_READING_HEADER};
}

void ws_reader_expect_deflate(struct ws_reader *reader)
{
    reader->deflate = true;
}

/* Ends the reading. Nothing is kept any more, so the buffer can be reclaimed. */
static void reader_end(struct ws_reader *reader, enum ws_error error)
{
    reader->phase = WS_READING_OVER;
    reader->error = error;
    reader->header_used = 0;
    reader->message_opcode = 0;
    reader->message_used = 0;
}

static enum ws_step reader_break(struct ws_reader *reader, enum ws_error error)
{
    reader_end(reader, error);
    return WS_BROKEN;
}

static bool in_control_frame(const struct ws_reader *reader)
{
    return reader->phase == WS_READING_PAYLOAD && ws_opcode_is_control(reader->frame_opcode);
}

/* Bytes of the lent buffer that hold something. */
static uint32_t buffer_used(const struct ws_reader *reader)
{
    return reader->message_used + (in_control_frame(reader) ? reader->frame_read : 0);
}

static void reader_check(const struct ws_reader *reader)
{
    assert(reader->frame_read <= reader->frame_size);
    assert(reader->message_used <= reader->limits->message_size_max);
    assert(buffer_used(reader) <= reader->buffer_capacity);
    assert(reader->message_opcode != 0 || reader->message_used == 0);
}

struct bytes ws_reader_lend(struct ws_reader *reader, struct bytes buffer)
{
    reader_check(reader);
    uint32_t used = buffer_used(reader);
    assert(buffer.data != nullptr);
    assert(buffer.size >= used && buffer.size >= reader->need);
    assert(buffer.size <= UINT32_MAX);
    struct bytes old = {.data = reader->buffer, .size = reader->buffer_capacity};
    if (used > 0) memcpy(buffer.data, old.data, used);
    reader->buffer = buffer.data;
    reader->buffer_capacity = (uint32_t)buffer.size;
    reader->need = 0;
    return old;
}

struct bytes ws_reader_reclaim(struct ws_reader *reader, bool even_if_used)
{
    bool used = buffer_used(reader) > 0;
    if (used && !even_if_used) return (struct bytes){};
    if (used) reader_end(reader, WS_OK);
    struct bytes buffer = {.data = reader->buffer, .size = reader->buffer_capacity};
    reader->buffer = nullptr;
    reader->buffer_capacity = 0;
    return buffer;
}

bool ws_reader_is_midway(const struct ws_reader *reader)
{
    return reader->header_used > 0 || reader->phase == WS_READING_PAYLOAD ||
           reader->message_opcode != 0;
}

/* --- Headers --------------------------------------------------------------------------------- */

/* A piece of a message that did not come in one frame; the last piece is one too. */
static bool is_fragment(const struct ws_header *header)
{
    if (ws_opcode_is_control(header->opcode)) return false;
    return !header->final || header->opcode == WS_CONTINUATION;
}

static bool is_tiny_fragment(const struct ws_header *header)
{
    return is_fragment(header) && header->payload_size < ws_tiny_fragment_size;
}

/* §5.5: control frames carry at most 125 bytes, which two bytes of header can say, and have FIN.
 * §5.5.1: a close carries nothing, or begins with a code of two bytes. */
static enum ws_error judge_control(const struct ws_header *header)
{
    constexpr size_t short_form = 2 + 4;
    if (header->size != short_form) return WS_CONTROL_TOO_LONG;
    if (!header->final) return WS_CONTROL_FRAGMENTED;
    if (header->opcode == WS_CLOSE && header->payload_size == 1) return WS_CLOSE_MALFORMED;
    return WS_OK;
}

/* §5.2. RFC 7692 §6: RSV1 tells of a compressed message on its first frame; control frames are
 * never compressed, and continuations do not say it again. */
static bool bits_are_allowed(const struct ws_reader *reader, const struct ws_header *header)
{
    if (header->rsv2 || header->rsv3) return false;
    bool begins = header->opcode == WS_TEXT || header->opcode == WS_BINARY;
    return !header->rsv1 || (reader->deflate && begins);
}

/* What a header's first two bytes show. */
static enum ws_error judge_kind(const struct ws_reader *reader, const struct ws_header *header)
{
    bool midway = reader->message_opcode != 0;
    if (!header->masked) return WS_UNMASKED; // §5.1
    if (!bits_are_allowed(reader, header)) return WS_RESERVED_BIT;
    switch (header->opcode) {
    case WS_CONTINUATION: return midway ? WS_OK : WS_CONTINUATION_ALONE; // §5.4
    case WS_TEXT:
    case WS_BINARY: return midway ? WS_MESSAGE_INTERRUPTED : WS_OK; // §5.4
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG: return judge_control(header);
    default: return WS_RESERVED_OPCODE; // §5.2
    }
}

/* What a data frame's length shows. The message so far counts, so a message can not grow past its
 * limit by fragments, and no fragment is stored that can not be delivered. */
static enum ws_error judge_length(const struct ws_reader *reader, const struct ws_header *header)
{
    if (ws_opcode_is_control(header->opcode)) return WS_OK;
    if (is_tiny_fragment(header) && reader->tiny_fragments >= reader->limits->tiny_fragments_max)
        return WS_TOO_MANY_FRAGMENTS;
    uint64_t message_size;
    if (ckd_add(&message_size, header->payload_size, reader->message_used)) return WS_TOO_BIG;
    return message_size > reader->limits->message_size_max ? WS_TOO_BIG : WS_OK;
}

/* Judges as much of a header as has come. Depends on nothing but these bytes and the frames before
 * them, so the verdict falls at the same byte however they are split. */
static enum ws_error judge_header(const struct ws_reader *reader, const struct ws_header *header,
                                  enum ws_header_step step)
{
    if (header->size == 0) return WS_OK;
    enum ws_error error = judge_kind(reader, header);
    if (error != WS_OK) return error;
    if (step == WS_HEADER_NOT_MINIMAL) return WS_LENGTH_NOT_MINIMAL;
    if (step == WS_HEADER_TOO_LONG) return WS_LENGTH_TOO_LONG;
    return header->length_known ? judge_length(reader, header) : WS_OK;
}

/* Makes one run of a header that came in pieces: what was kept, and as much of `input` as could
 * belong to it. */
static struct bytes header_join(const struct ws_reader *reader, struct bytes input,
                                uint8_t joined[static ws_header_size_max])
{
    size_t room = ws_header_size_max - reader->header_used;
    size_t more = input.size < room ? input.size : room;
    memcpy(joined, reader->header, reader->header_used);
    memcpy(joined + reader->header_used, input.data, more);
    return (struct bytes){.data = joined, .size = reader->header_used + more};
}

/* Keeps all of `input`, the beginning of a header, for the next feed. */
static void header_keep(struct ws_reader *reader, struct bytes *input)
{
    assert(reader->header_used + input->size <= sizeof reader->header);
    memcpy(reader->header + reader->header_used, input->data, input->size);
    reader->header_used += (uint8_t)input->size;
    *input = bytes_skip(*input, input->size);
}

static void frame_begin(struct ws_reader *reader, const struct ws_header *header)
{
    reader->phase = WS_READING_PAYLOAD;
    reader->header_used = 0;
    reader->frame_size = (uint32_t)header->payload_size; // judged: within message_size_max, or 125
    reader->frame_read = 0;
    reader->frame_opcode = header->opcode;
    reader->frame_final = header->final;
    memcpy(reader->key, header->key, sizeof reader->key);
    if (header->opcode == WS_TEXT || header->opcode == WS_BINARY) {
        reader->message_opcode = header->opcode;
        reader->compressed = header->rsv1;
    }
    if (is_tiny_fragment(header)) reader->tiny_fragments += 1;
}

/* HEADER to PAYLOAD, or to OVER, or all of `input` is kept. */
static enum ws_step take_header(struct ws_reader *reader, struct bytes *input)
{
    uint8_t joined[ws_header_size_max];
    struct bytes bytes = reader->header_used == 0 ? *input : header_join(reader, *input, joined);
    struct ws_header header;
    enum ws_header_step step = ws_header_read(bytes, &header);
    enum ws_error error = judge_header(reader, &header, step);
    if (error != WS_OK) return reader_break(reader, error);
    if (step == WS_HEADER_NEED_MORE) {
        header_keep(reader, input);
        return WS_NEED_MORE;
    }
    *input = bytes_skip(*input, header.size - reader->header_used);
    frame_begin(reader, &header);
    return WS_NEED_MORE;
}

/* --- Payloads -------------------------------------------------------------------------------- */

/* §5.5.1, §7.4: a code, then a reason in UTF-8, or nothing at all. */
static enum ws_step deliver_close(struct ws_reader *reader, struct bytes payload,
                                  struct ws_message *message)
{
    constexpr uint16_t no_status = 1005; // §7.1.5
    *message = (struct ws_message){.opcode = WS_CLOSE, .close_code = no_status, .payload = payload};
    if (payload.size == 0) return WS_MESSAGE;
    assert(payload.size >= 2); // judge_control
    message->close_code = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
    message->payload = bytes_skip(payload, 2);
    if (!ws_close_code_allowed(message->close_code))
        return reader_break(reader, WS_CLOSE_MALFORMED);
    if (!utf8_valid(message->payload)) return reader_break(reader, WS_BAD_UTF8);
    return WS_MESSAGE;
}

/* The message is whole; the next may begin. Its bytes stay where they are until the next feed. */
static enum ws_step deliver_message(struct ws_reader *reader, struct bytes payload,
                                    struct ws_message *message)
{
    if (!utf8_complete(&reader->utf8)) return reader_break(reader, WS_BAD_UTF8); // §8.1
    *message = (struct ws_message){
        .opcode = reader->message_opcode, .compressed = reader->compressed, .payload = payload};
    reader->message_opcode = 0;
    reader->message_used = 0;
    reader->tiny_fragments = 0;
    return WS_MESSAGE;
}

/* PAYLOAD to HEADER. `payload` is the control frame's, or the whole message's when this was its
 * last frame. */
static enum ws_step frame_end(struct ws_reader *reader, struct bytes payload,
                              struct ws_message *message)
{
    reader->phase = WS_READING_HEADER;
    if (reader->frame_opcode == WS_CLOSE) return deliver_close(reader, payload, message);
    if (ws_opcode_is_control(reader->frame_opcode)) {
        *message = (struct ws_message){.opcode = reader->frame_opcode, .payload = payload};
        return WS_MESSAGE;
    }
    if (!reader->frame_final) return WS_NEED_MORE;
    return deliver_message(reader, payload, message);
}

/* As much of the current frame's payload as `input` begins with. */
static struct bytes chunk_of(const struct ws_reader *reader, struct bytes input)
{
    uint32_t left = reader->frame_size - reader->frame_read;
    return (struct bytes){.data = input.data, .size = input.size < left ? input.size : left};
}

/* True when the chunk is all there is to deliver: nothing came before it, nothing comes after. */
static bool chunk_is_whole(const struct ws_reader *reader, struct bytes chunk)
{
    if (chunk.size < reader->frame_size) return false;
    return ws_opcode_is_control(reader->frame_opcode) ||
           (reader->frame_final && reader->message_used == 0);
}

/* §8.1: text is checked as it comes, so that a bad byte is answered at once; compressed text is not
 * text yet. Ping, pong and binary carry anything; a close's reason is checked when it is whole. */
static bool chunk_is_allowed(struct ws_reader *reader, struct bytes chunk)
{
    if (ws_opcode_is_control(reader->frame_opcode) || reader->message_opcode != WS_TEXT)
        return true;
    if (reader->compressed) return true;
    return utf8_feed(&reader->utf8, chunk);
}

/* Appends the chunk to what the buffer holds; there is room. Gives the bytes so far of the control
 * frame, else of the message. */
static struct bytes chunk_store(struct ws_reader *reader, struct bytes chunk)
{
    uint32_t used = buffer_used(reader);
    assert(chunk.size <= reader->buffer_capacity - used);
    if (chunk.size > 0) memcpy(reader->buffer + used, chunk.data, chunk.size);
    uint32_t start = in_control_frame(reader) ? reader->message_used : 0;
    if (!in_control_frame(reader)) reader->message_used += (uint32_t)chunk.size;
    size_t size = used + chunk.size - start;
    return (struct bytes){.data = size > 0 ? reader->buffer + start : nullptr, .size = size};
}

/* Takes what `input` has of the payload. Sees to its room first, so that WS_NEED_BUFFER leaves all
 * as it was; then unmasks, checks and keeps it. */
static enum ws_step take_payload(struct ws_reader *reader, struct bytes *input,
                                 struct ws_message *message)
{
    struct bytes chunk = chunk_of(reader, *input);
    bool whole = chunk_is_whole(reader, chunk);
    uint32_t need = buffer_used(reader) + (uint32_t)chunk.size;
    if (!whole && need > reader->buffer_capacity) {
        reader->need = need;
        return WS_NEED_BUFFER;
    }
    *input = bytes_skip(*input, chunk.size);
    ws_unmask(chunk, reader->key, reader->frame_read); // §5.3
    if (!chunk_is_allowed(reader, chunk)) return reader_break(reader, WS_BAD_UTF8);
    struct bytes payload = whole ? chunk : chunk_store(reader, chunk);
    reader->frame_read += (uint32_t)chunk.size;
    if (reader->frame_read < reader->frame_size) return WS_NEED_MORE;
    return frame_end(reader, payload, message);
}

enum ws_step ws_reader_feed(struct ws_reader *reader, struct bytes *input,
                            struct ws_message *message)
{
    reader_check(reader);
    if (reader->phase == WS_READING_OVER) return WS_BROKEN;
    while (input->size > 0) {
        enum ws_step step = WS_NEED_MORE;
        if (reader->phase == WS_READING_HEADER) step = take_header(reader, input);
        if (reader->phase == WS_READING_PAYLOAD) step = take_payload(reader, input, message);
        if (step != WS_NEED_MORE) return step;
    }
    return WS_NEED_MORE;
}
