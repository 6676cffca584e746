/* outbox/frame.h: bytes that go to many peers and are encoded once.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 * A frame is immutable from the moment it is made: header and payload, ready for the wire. Every
 * outbox that will send it holds a reference; the last one to let go gives the memory back.
 * Counts are plain integers: only its own worker counts a frame, others have it on loan.
 *
 *     frame_make                  room, outboxes, conn/'s round       > frame_unref
 *       twin_of (outbox/twin.h)     outboxes of who agreed to it      > frame_unref
 *     frame_borrow, of a loan     another worker's room and outboxes  > frame_unref, loan goes home
 *     frame_reserve, _finish      one outbox: a reply                 > frame_unref */
#pragma once
#include "base/arena.h"
#include "base/mailbox.h"
#include "base/pool.h"
#include "ws/header.h"

/* What a frame is for: decides what may replace or pass it in an outbox. */
enum frame_lane : uint8_t {
    FRAME_EVENT,   /* something that happened: never replaced */
    FRAME_STATE,   /* a whole snapshot: a newer one of the same key makes it worthless */
    FRAME_PONG,    /* the answer to a ping: only the newest matters (RFC 6455 §5.5.3) */
    FRAME_CONTROL, /* ping, close, and HTTP answers */
    FRAME_REPLY,   /* the answer to one peer's message: never replaced, dropped or shed, because its
                    * maker reads no more messages instead; its memory is counted apart */
};
constexpr size_t frame_lanes = 5;

struct frame {
    uint32_t refs;           /* holders; 0 only while it lies in its pool */
    uint32_t wire_size;      /* bytes on the wire, header included */
    uint8_t *wire;           /* them: `own`, or the lender's */
    struct frame_loan *loan; /* of a borrowed frame: goes home with the last reference */
    struct frame *twins; /* its compressed twins, a reference held to each; in a twin: the next */
    uint32_t retained;   /* conn/'s: the round in which it was last sent past an outbox */
    uint32_t state_key;  /* FRAME_STATE: which snapshot this is a version of */
    enum frame_lane lane;
    uint8_t size_class; /* index into frame_pool.classes */
    uint8_t bits;       /* of a twin: the window that it needs, 9 to 15; 0: not compressed */
    uint8_t dense;      /* windows with which it does not shrink: a bit each, from 9 bits on */
    uint8_t own[];
};

/* A frame of one worker that another one sends, too. The lender holds a reference until the loan
 * comes home; the borrower makes a frame of its own around the same bytes. */
struct frame_loan {
    struct mailbox_return back; /* takes it home; carries its own place, so that cannot fail */
    struct mailbox_returns *home;
    struct frame *frame; /* the lender's */
};

constexpr uint32_t frame_size_classes = 6;
/* bytes of `own`: 128, 512, 2048, ... 131072, less the header above */
extern const uint32_t frame_class_sizes[frame_size_classes];
/* the index of one further class, which is only for replies, and is empty unless added */
constexpr uint32_t frame_class_large = frame_size_classes;

/* One worker's frames. */
struct frame_pool {
    struct pool classes[frame_size_classes + 1];
    uint32_t large_size;     /* bytes of `own` in the last class */
    uint32_t live;           /* frames with references */
    uint64_t bytes_in_use;   /* memory of those, whole objects */
    uint64_t reply_bytes;    /* of them, those of replies and of their twins */
    uint64_t bytes_of_twins; /* of them, what other frames hold as their twins */
    uint64_t bytes_capacity; /* of all that there could be */
};

/* `budget` bytes of address space for each size class. May run on a measuring arena. */
void frame_pool_init(struct frame_pool *frames, struct arena *arena, size_t budget);

/* Makes the large class: `count` frames for payloads of up to `payload_max` bytes. Their pages are
 * touched as far as they are used, and go back to the kernel with the last reference. May run on a
 * measuring arena. */
void frame_pool_add_large(struct frame_pool *frames, struct arena *arena, uint32_t payload_max,
                          uint32_t count);

/* A frame with one reference, the caller's, holding a server's WebSocket frame around a copy of
 * `payload`. nullptr when the pool is dry or the payload is larger than the largest class. */
[[nodiscard]] struct frame *frame_make(struct frame_pool *frames, enum frame_lane lane,
                                       enum ws_opcode opcode, struct bytes payload);

/* A FRAME_REPLY that is built in place: one reference, the caller's, and space for a payload of at
 * least `size` bytes; nobody may be given it before frame_finish. nullptr when no class has one. */
[[nodiscard]] struct frame *frame_reserve(struct frame_pool *frames, uint32_t size);

/* Where the payload of a reserved frame belongs: behind what the longest header takes; valid as
 * long as the frame. And the frame of such a place. */
struct bytes frame_space(const struct frame_pool *frames, struct frame *frame);
struct frame *frame_of_space(uint8_t *space);

/* The payload is whole, `size` bytes: puts the header right before it. */
void frame_finish(struct frame *frame, enum ws_opcode opcode, uint32_t size);

/* A FRAME_CONTROL around a copy of `wire` as it is: HTTP answers. nullptr as for frame_make. */
[[nodiscard]] struct frame *frame_make_raw(struct frame_pool *frames, struct bytes wire);

/* The twin of `frame` for a window of 2^bits bytes, with its lane and key: `payload`,
 * compressed, is copied. The frame holds the only reference and lets go of it when it is given
 * back itself; the twin may outlive it. nullptr when the pool is dry. */
struct frame *frame_make_twin(struct frame_pool *frames, struct frame *frame, uint8_t bits,
                              struct bytes payload);

/* The opcode and the payload of a frame that frame_make has made, or that was borrowed of one. */
static inline enum ws_opcode frame_opcode(const struct frame *frame)
{
    return (enum ws_opcode)(frame->wire[0] & 0x0F);
}
struct bytes frame_payload(const struct frame *frame);

/* A frame around the bytes of a loan, with one reference, the caller's. nullptr when the pool is
 * dry: then the caller still has the loan. */
[[nodiscard]] struct frame *frame_borrow(struct frame_pool *frames, struct frame_loan *loan);

/* One more holder. Returns its argument. */
static inline struct frame *frame_ref(struct frame *frame)
{
    frame->refs += 1;
    return frame;
}

/* Bytes of memory that it takes, as they count in frame_pool.bytes_in_use. */
static inline size_t frame_memory(const struct frame_pool *frames, const struct frame *frame)
{
    return frames->classes[frame->size_class].object_size;
}

/* Memory of the replies that are not large: those are bounded by their count. */
static inline uint64_t frame_small_reply_bytes(const struct frame_pool *frames)
{
    const struct pool *large = &frames->classes[frame_class_large];
    return frames->reply_bytes - (uint64_t)large->in_use * large->object_size;
}

/* One holder less; the last lets go of the twins, gives a loan back to its lender and the memory to
 * the pool. */
void frame_unref(struct frame_pool *frames, struct frame *frame);

/* True when every class that could hold a frame of `wire_size` bytes is nearly used up: then nobody
 * should be let in who will need one. */
[[nodiscard]] bool frame_pool_is_tight(const struct frame_pool *frames, size_t wire_size);

/* Gives memory back to the kernel after a crowd has left; see pool_trim. */
void frame_pool_trim(struct frame_pool *frames);
