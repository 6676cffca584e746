/* outbox/frame.h: bytes that go to many peers and are encoded once.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 * A frame is immutable from the moment it is made: header and payload, ready for the wire. Every
 * outbox that will send it holds a reference; the last one to let go gives the memory back.
 * Counts are plain integers: a frame never leaves its worker. */
#pragma once
#include "base/arena.h"
#include "base/pool.h"
#include "ws/header.h"

/* What a frame is for: decides what may replace or pass it in an outbox. */
enum frame_lane : uint8_t {
    FRAME_EVENT,   /* something that happened: never replaced */
    FRAME_STATE,   /* a whole snapshot: a newer one of the same key makes it worthless */
    FRAME_PONG,    /* the answer to a ping: only the newest matters (RFC 6455 §5.5.3) */
    FRAME_CONTROL, /* ping, close, and HTTP answers */
};
constexpr size_t frame_lanes = 4;

struct frame {
    uint32_t refs;      /* holders; 0 only while it lies in its pool */
    uint32_t wire_size; /* bytes on the wire, header included */
    uint32_t retained;  /* conn/'s: the round in which it was last sent past an outbox */
    uint32_t state_key; /* FRAME_STATE: which snapshot this is a version of */
    enum frame_lane lane;
    uint8_t size_class; /* index into frame_pool.classes */
    uint16_t kind;      /* the room kind that made it, for the counters */
    uint8_t wire[];     /* wire_size bytes */
};

constexpr uint32_t frame_size_classes = 6;
extern const uint32_t frame_class_sizes
    [frame_size_classes]; /* bytes of `wire`: 112, 496, 2032, 8176, 32752, 131056 */

/* One worker's frames. */
struct frame_pool {
    struct pool classes[frame_size_classes];
    uint32_t live;    /* frames with references */
    uint64_t encodes; /* frames made, in all */
};

/* `budget` bytes of address space for each size class. May run on a measuring arena. */
void frame_pool_init(struct frame_pool *frames, struct arena *arena, size_t budget);

/* A frame with one reference, the caller's, holding a server's WebSocket frame around a copy of
 * `payload`. nullptr when the pool is dry or the payload is larger than the largest class. */
[[nodiscard]] struct frame *frame_make(struct frame_pool *frames, enum frame_lane lane,
                                       enum ws_opcode opcode, struct bytes payload);

/* The same without a WebSocket header: HTTP answers. */
[[nodiscard]] struct frame *frame_make_raw(struct frame_pool *frames, struct bytes wire);

/* One more holder. Returns its argument. */
static inline struct frame *frame_ref(struct frame *frame)
{
    frame->refs += 1;
    return frame;
}

/* One holder less; the last gives the memory back. */
void frame_unref(struct frame_pool *frames, struct frame *frame);
