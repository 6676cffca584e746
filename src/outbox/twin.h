/* outbox/twin.h: a frame's compressed twins: made when a send first wants one, once for each
 * window in use, and shared by all who want the same.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 *     room > frame > outboxes of all members              one push, whoever compresses
 *              |  conn_flush of one who agreed to a window of 2^12
 *              v
 *            twin/12 > twin/15 > ...                      in the outbox it takes the frame's place
 *
 * At the send, and not at the push: a state that a newer one replaces in the queue of a slow
 * peer is never compressed, and those who did not agree cost nothing but one look at a byte. A
 * worker that has a frame on loan compresses it by itself: nobody waits for another's
 * compression, or shares a compressor. RFC 7692 §7.2.1. */
#pragma once
#include "base/arena.h"
#include "outbox/frame.h"
#include "ws/deflate.h"

/* Since start; nothing but 64-bit counts, so that workers' add up. */
struct twin_counters {
    uint64_t deflates;  /* frames compressed, by frame and window */
    uint64_t dense;     /* of them, those that did not shrink and are sent as they are */
    uint64_t bytes_in;  /* payloads that were compressed */
    uint64_t bytes_out; /* what became of those that shrank */
};

/* One worker's. */
struct twin_maker {
    struct bytes memory;          /* for the compressor; untouched until the first frame */
    struct ws_deflater *deflater; /* nullptr until then */
    struct bytes scratch;         /* one payload at a time */
    uint32_t threshold;           /* payloads below this many bytes are sent as they are */
    struct twin_counters counters;
};

/* May run on a measuring arena. The threshold is 0 until somebody sets it. */
void twin_maker_init(struct twin_maker *maker, struct arena *arena);

/* What a peer gets who agreed to a window of 2^bits bytes: the twin, made now if need be, or
 * `frame` itself where compression is not worth it (below the threshold, or it would not
 * shrink), is not possible (no memory for the twin, or a reply too large for an ordinary frame),
 * or is not for it (control frames, HTTP answers, a twin). The reference is the frame's: valid as
 * long as that. */
[[nodiscard]] struct frame *twin_of(struct twin_maker *maker, struct frame_pool *frames,
                                    struct frame *frame, uint8_t bits);
