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

void frame_pool_add_large(struct frame_pool *frames, struct arena *arena, uint32_t payload_max,
                          uint32_t count)
{
    struct pool *large = &frames->classes[frame_class_large];
    frames->large_size = ws_header_size_max_server + payload_max;
    pool_init(large, arena, sizeof(struct frame) + frames->large_size, count);
    frames->bytes_capacity += large->object_size * large->capacity;
}

static void count(struct frame_pool *frames, const struct frame *frame, int sign)
{
    uint64_t size = frame_memory(frames, frame) * (uint64_t)sign;
    frames->live += (uint32_t)sign;
    frames->bytes_in_use += size;
    if (frame->lane == FRAME_REPLY) frames->reply_bytes += size;
}

static struct frame *take_from(struct frame_pool *frames, uint32_t class, enum frame_lane lane,
                               size_t wire_size)
{
    if (frames->classes[class].capacity == 0) return nullptr;
    struct frame *frame = pool_take(&frames->classes[class]);
    if (frame == nullptr) return nullptr;
    *frame = (struct frame){.refs = 1,
                            .wire_size = (uint32_t)wire_size,
                            .wire = frame->own,
                            .lane = lane,
                            .size_class = (uint8_t)class};
    count(frames, frame, 1);
    return frame;
}

/* The smallest class that fits; a larger one when that is dry, but not the large one. */
static struct frame *frame_take(struct frame_pool *frames, enum frame_lane lane, size_t wire_size)
{
    struct frame *frame = nullptr;
    for (uint32_t i = 0; i < frame_size_classes && frame == nullptr; i++)
        if (wire_size <= frame_class_sizes[i]) frame = take_from(frames, i, lane, wire_size);
    return frame;
}

static struct frame *make(struct frame_pool *frames, enum frame_lane lane, enum ws_opcode opcode,
                          bool compressed, struct bytes payload)
{
    uint8_t header[ws_header_size_max_server];
    size_t header_size = ws_header_write(header, opcode, true, compressed, payload.size);
    struct frame *frame = frame_take(frames, lane, header_size + payload.size);
    if (frame == nullptr) return nullptr;
    memcpy(frame->wire, header, header_size);
    if (payload.size > 0) memcpy(frame->wire + header_size, payload.data, payload.size);
    return frame;
}

struct frame *frame_reserve(struct frame_pool *frames, uint32_t size)
{
    size_t wire_size = (size_t)ws_header_size_max_server + size;
    if (wire_size <= frame_class_sizes[frame_size_classes - 1])
        return frame_take(frames, FRAME_REPLY, wire_size);
    if (wire_size > frames->large_size) return nullptr;
    return take_from(frames, frame_class_large, FRAME_REPLY, wire_size);
}

struct bytes frame_space(const struct frame_pool *frames, struct frame *frame)
{
    bool large = frame->size_class == frame_class_large;
    uint32_t size = large ? frames->large_size : frame_class_sizes[frame->size_class];
    return (struct bytes){frame->own + ws_header_size_max_server, size - ws_header_size_max_server};
}

struct frame *frame_of_space(uint8_t *space)
{
    return (struct frame *)(space - ws_header_size_max_server - offsetof(struct frame, own));
}

void frame_finish(struct frame *frame, enum ws_opcode opcode, uint32_t size)
{
    uint8_t header[ws_header_size_max_server];
    uint32_t header_size = (uint32_t)ws_header_write(header, opcode, true, false, size);
    frame->wire = frame->own + ws_header_size_max_server - header_size;
    frame->wire_size = header_size + size;
    memcpy(frame->wire, header, header_size);
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
    if (twin->lane != FRAME_REPLY) frames->bytes_of_twins += frame_memory(frames, twin);
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
    struct frame *frame = frame_take(frames, FRAME_CONTROL, wire.size);
    if (frame == nullptr) return nullptr;
    memcpy(frame->wire, wire.data, wire.size);
    return frame;
}

struct frame *frame_borrow(struct frame_pool *frames, struct frame_loan *loan)
{
    assert(loan->frame->lane != FRAME_REPLY);
    struct frame *frame = frame_take(frames, loan->frame->lane, 0);
    if (frame == nullptr) return nullptr;
    frame->wire = loan->frame->wire;
    frame->wire_size = loan->frame->wire_size;
    frame->state_key = loan->frame->state_key;
    frame->loan = loan;
    return frame;
}

static void give(struct frame_pool *frames, struct frame *frame)
{
    assert(frames->live > 0 && frame->twins == nullptr);
    count(frames, frame, -1);
    if (frame->loan != nullptr) mailbox_return(frame->loan->home, &frame->loan->back);
    if (frame->size_class == frame_class_large)
        pool_give_pages(&frames->classes[frame_class_large], frame);
    else
        pool_give(&frames->classes[frame->size_class], frame);
}

static void let_go_of_twins(struct frame_pool *frames, struct frame *frame)
{
    for (struct frame *twin; (twin = frame->twins) != nullptr;) {
        frame->twins = twin->twins;
        twin->twins = nullptr;
        if (twin->lane != FRAME_REPLY) frames->bytes_of_twins -= frame_memory(frames, twin);
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
