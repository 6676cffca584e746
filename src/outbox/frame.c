#include "outbox/frame.h"
#include <assert.h>

const uint32_t frame_class_sizes[frame_size_classes] = {
    128 - sizeof(struct frame),       512 - sizeof(struct frame),
    2 * 1024 - sizeof(struct frame),  8 * 1024 - sizeof(struct frame),
    32 * 1024 - sizeof(struct frame), 128 * 1024 - sizeof(struct frame),
};

void frame_pool_init(struct frame_pool *frames, struct arena *arena, size_t budget)
{
    *frames = (struct frame_pool){};
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        size_t object_size = sizeof(struct frame) + frame_class_sizes[i];
        pool_init(&frames->classes[i], arena, object_size, (uint32_t)(budget / object_size));
        frames->bytes_capacity += frames->classes[i].object_size * frames->classes[i].capacity;
    }
}

/* The smallest class that fits; a larger one when that is dry. */
static struct frame *frame_take(struct frame_pool *frames, size_t wire_size)
{
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        if (wire_size > frame_class_sizes[i]) continue;
        struct frame *frame = pool_take(&frames->classes[i]);
        if (frame == nullptr) continue;
        *frame = (struct frame){.refs = 1,
                                .wire_size = (uint32_t)wire_size,
                                .wire = frame->own,
                                .size_class = (uint8_t)i};
        frames->live += 1;
        frames->bytes_in_use += frames->classes[i].object_size;
        return frame;
    }
    return nullptr;
}

static struct frame *make(struct frame_pool *frames, enum frame_lane lane, enum ws_opcode opcode,
                          bool compressed, struct bytes payload)
{
    uint8_t header[ws_header_size_max_server];
    size_t header_size = ws_header_write(header, opcode, true, compressed, payload.size);
    struct frame *frame = frame_take(frames, header_size + payload.size);
    if (frame == nullptr) return nullptr;
    frame->lane = lane;
    memcpy(frame->wire, header, header_size);
    if (payload.size > 0) memcpy(frame->wire + header_size, payload.data, payload.size);
    return frame;
}

struct frame *frame_make(struct frame_pool *frames, enum frame_lane lane, enum ws_opcode opcode,
                         struct bytes payload)
{
    return make(frames, lane, opcode, false, payload);
}

struct frame *frame_make_twin(struct frame_pool *frames, struct frame *frame, uint8_t bits,
                              struct bytes payload)
{
    assert(frame->bits == 0 && bits != 0);
    struct frame *twin = make(frames, frame->lane, frame_opcode(frame), true, payload);
    if (twin == nullptr) return nullptr;
    twin->state_key = frame->state_key;
    twin->bits = bits;
    twin->twins = frame->twins;
    frame->twins = twin;
    frames->bytes_of_twins += frame_memory(twin);
    return twin;
}

struct bytes frame_payload(const struct frame *frame)
{
    /* RFC 6455 §5.2: a server's header, without a mask, by its second byte. */
    size_t header_size = frame->wire[1] == 127 ? 10 : frame->wire[1] == 126 ? 4 : 2;
    return bytes_skip((struct bytes){frame->wire, frame->wire_size}, header_size);
}

struct frame *frame_make_raw(struct frame_pool *frames, struct bytes wire)
{
    assert(wire.size > 0);
    struct frame *frame = frame_take(frames, wire.size);
    if (frame == nullptr) return nullptr;
    frame->lane = FRAME_CONTROL;
    memcpy(frame->wire, wire.data, wire.size);
    return frame;
}

struct frame *frame_borrow(struct frame_pool *frames, struct frame_loan *loan)
{
    struct frame *frame = frame_take(frames, 0);
    if (frame == nullptr) return nullptr;
    frame->wire = loan->frame->wire;
    frame->wire_size = loan->frame->wire_size;
    frame->lane = loan->frame->lane;
    frame->state_key = loan->frame->state_key;
    frame->loan = loan;
    return frame;
}

static void give(struct frame_pool *frames, struct frame *frame)
{
    assert(frames->live > 0 && frame->twins == nullptr);
    frames->live -= 1;
    frames->bytes_in_use -= frames->classes[frame->size_class].object_size;
    if (frame->loan != nullptr) mailbox_return(frame->loan->home, &frame->loan->back);
    pool_give(&frames->classes[frame->size_class], frame);
}

static void let_go_of_twins(struct frame_pool *frames, struct frame *frame)
{
    for (struct frame *twin; (twin = frame->twins) != nullptr;) {
        frame->twins = twin->twins;
        twin->twins = nullptr;
        frames->bytes_of_twins -= frame_memory(twin);
        twin->refs -= 1;
        if (twin->refs == 0) give(frames, twin);
    }
}

void frame_unref(struct frame_pool *frames, struct frame *frame)
{
    assert(frame->refs > 0);
    frame->refs -= 1;
    if (frame->refs > 0) return;
    if (frame->twins != nullptr) let_go_of_twins(frames, frame);
    give(frames, frame);
}

bool frame_pool_is_tight(const struct frame_pool *frames, size_t wire_size)
{
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        const struct pool *class = &frames->classes[i];
        if (wire_size > frame_class_sizes[i]) continue;
        if (class->in_use <= class->capacity - class->capacity / 8) return false;
    }
    return true;
}

void frame_pool_trim(struct frame_pool *frames)
{
    for (uint32_t i = 0; i < frame_size_classes; i++)
        (void)!pool_trim(&frames->classes[i]);
}
