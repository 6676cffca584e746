#include "outbox/twin.h"
#include "outbox/inside.h"
#include <assert.h>

void twin_maker_init(struct twin_maker *maker, struct arena *arena)
{
    size_t scratch_size = frame_class_sizes[frame_size_classes - 1] + ws_deflate_spare;
    *maker = (struct twin_maker){
        .memory = {arena_take(arena, ws_deflater_size), ws_deflater_size},
        .scratch = {arena_take(arena, scratch_size), scratch_size},
    };
}

/* A distance is at most the message's size, so a message that fits into the window is the same with
 * a larger one: all who ask for enough share a twin. */
static uint8_t shared_bits(uint8_t bits, size_t size)
{
    return size <= (size_t)1 << bits ? ws_deflate_bits_max : bits;
}

/* The compressed payload, smaller than it was; of size 0 when it does not shrink. */
static struct bytes deflate_payload(struct twin_maker *maker, struct bytes payload, uint8_t bits)
{
    if (maker->deflater == nullptr) maker->deflater = ws_deflater_make(maker->memory);
    struct bytes output = maker->scratch;
    assert(payload.size > 0 && payload.size - 1 + ws_deflate_spare <= output.size);
    output.size = payload.size - 1 + ws_deflate_spare;
    output.size = ws_deflate(maker->deflater, bits, payload, output);
    maker->counters.deflates += 1;
    maker->counters.bytes_in += payload.size;
    maker->counters.bytes_out += output.size;
    return output;
}

/* Once for each frame and window, whatever becomes of it. */
static struct frame *make_twin(struct twin_maker *maker, struct frame_pool *frames,
                               struct frame *frame, uint8_t bits)
{
    uint8_t bit = (uint8_t)(1 << (bits - ws_deflate_bits_min));
    if ((frame->dense & bit) != 0) return frame;
    struct bytes payload = deflate_payload(maker, frame_payload(frame), bits);
    struct frame *twin = nullptr;
    if (payload.size > 0) twin = frame_make_twin(frames, frame, bits, payload);
    if (twin != nullptr) return twin;
    maker->counters.dense += 1;
    frame->dense |= bit;
    return frame;
}

/* Bytes: what the largest ordinary class holds. A larger reply is not worth the wait of others. */
static size_t payload_max(void)
{
    return frame_class_sizes[frame_size_classes - 1] - ws_header_size_max_server;
}

/* Among replies are pongs, and control frames are never compressed (RFC 7692 §6). */
static bool is_message(const struct frame *frame)
{
    return frame->lane == FRAME_EVENT || frame->lane == FRAME_STATE ||
           (frame->lane == FRAME_REPLY && frame_opcode(frame) < WS_CLOSE);
}

struct frame *twin_of(struct twin_maker *maker, struct frame_pool *frames, struct frame *frame,
                      uint8_t bits)
{
    if (!is_message(frame) || frame->bits != 0) return frame;
    size_t size = frame_payload(frame).size;
    if (size < maker->threshold || size == 0 || size > payload_max()) return frame;
    bits = shared_bits(bits, size);
    for (struct frame *twin = frame->twins; twin != nullptr; twin = twin->twins)
        if (twin->bits == bits) return twin;
    return make_twin(maker, frames, frame, bits);
}

void outbox_deflate(struct outbox_set *set, struct outbox *box, uint8_t bits)
{
    uint32_t end = box->count < outbox_gather_max ? box->count : outbox_gather_max;
    for (uint32_t i = pinned(box); i < end; i++) {
        struct frame **slot = slot_at(box, i), *frame = *slot;
        struct frame *twin = twin_of(&set->twins, set->frames, frame, bits);
        if (twin == frame) continue;
        owe_no_more(set, box, frame->wire_size);
        *slot = frame_ref(twin);
        owe(set, box, twin->wire_size);
        frame_unref(set->frames, frame);
    }
    if (box->slots != nullptr) outbox_rank(set, box);
}
