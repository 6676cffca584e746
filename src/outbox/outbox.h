/* outbox/outbox.h: what is waiting to go to one peer: a bounded ring of references to shared
 * frames.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 *      head                                   head + count
 *        v                                         v
 *   [ A | B | C ][ D ... E ]         A was sent up to `head_sent`; A to C are in the armed send
 *     in_flight    unsent
 *
 * Frames in flight, and a frame of which some bytes are sent, are pinned: they are never
 * replaced or dropped, because the peer would lose its place in the stream. Storage beyond four
 * frames comes from a pool and is held only while needed.
 *
 * Events may wait in it for a moment, for others to go in the same send (outbox/linger.c).
 *
 * What one peer may owe is bounded here, by frames and bytes, and its room's policy says who pays
 * (outbox/policy.h). What all peers of a worker owe together is bounded by shedding those who owe
 * most (outbox/shed.c). */
#pragma once
#include "base/list.h"
#include "base/pool.h"
#include "limits.h"
#include "outbox/frame.h"
#include "outbox/policy.h"
#include "outbox/twin.h"
#include <assert.h>
#include <sys/uio.h>

/* a snapshot kind never has more: one in flight, one newer, a ping, a pong */
constexpr uint32_t outbox_inline_frames = 4;

struct outbox {
    /* in outbox_set.dirty, .due or a slice of .window while it has something that no send carries
     * yet */
    struct list dirty_link;
    /* outbox_frames_max references from the pool, or nullptr: `few` is used */
    struct frame **slots;
    union {
        struct frame *few[outbox_inline_frames];
        struct { /* while `slots` is not nullptr */
            union {
                struct list rank_link;   /* in outbox_set.ranked, unless spared or shed */
                uint64_t memory_leaving; /* shed: bytes of frames that only it holds */
            };
            uint8_t rank; /* its place there plus 1, or outbox_rank_spared or _shed */
        };
    };
    uint32_t bytes;     /* unsent bytes in all */
    uint32_t head_sent; /* bytes of the oldest frame that the kernel has taken */
    uint32_t untold;    /* frames dropped by policy since the peer was last told how many */
    uint16_t count;     /* frames */
    uint8_t head;       /* index of the oldest frame in its storage; wraps by itself */
    uint8_t in_flight;  /* oldest frames that the armed send points at */
};
static_assert(outbox_frames_max == 256, "`head` wraps at the end of the storage");
static_assert(outbox_gather_max < 256, "`in_flight` holds it");
static_assert(sizeof(struct outbox) == 72, "every idle client pays for it");

/* Outboxes are ranked by what they owe: rank 1 has those below 8 KiB, each further one those that
 * owe up to twice as much, the last one 1 MiB and more. */
constexpr uint32_t outbox_rank_bytes = 4096; /* from here on an outbox is ranked */
constexpr uint8_t outbox_ranks = 9;
constexpr uint8_t outbox_rank_spared = UINT8_MAX - 1;
constexpr uint8_t outbox_rank_shed = UINT8_MAX;
static_assert(outbox_rank_bytes << (outbox_ranks - 1) == outbox_bytes_max);

/* How long frames may linger, and those that do, by when they began: a slice is an eighth of the
 * window, and its end is counted from its begin, so nothing lingers longer than the window. */
constexpr uint32_t outbox_slices_a_window = 8;
constexpr uint32_t outbox_slices = 16; /* a power of two; there are never more than 9 */
struct outbox_window {
    uint64_t size_ns; /* set by its owner */
    bool open;        /* set by its owner: who becomes dirty now may linger */
    uint32_t first, count;
    uint64_t begun_ns[outbox_slices];
    struct list slices[outbox_slices];
};

/* Since start; nothing but 64-bit counts, so that workers' add up. */
struct outbox_counters {
    uint64_t frames_sent[frame_lanes];
    uint64_t bytes_sent;
    uint64_t conflated; /* snapshots replaced by newer ones before they were sent */
    uint64_t pongs_replaced;
    uint64_t dropped_gone; /* frames still queued when their connection ended */
    uint64_t dropped_shed; /* frames let go of by outbox_shed */
    uint64_t lingered;     /* times that an outbox was kept back for the window */
    /* frames that their policy dropped, or whose peer it gave up, by what there was too much of */
    uint64_t dropped[outbox_policies][outbox_bounds];
};

/* What all outboxes of one worker share. */
struct outbox_set {
    struct pool storage; /* of outbox_frames_max pointers each */
    struct frame_pool *frames;
    struct twin_maker twins;
    struct list held;  /* outboxes that wait for the outcome of a send past them */
    struct list dirty; /* outboxes to flush, in the order in which they were pushed to */
    struct list due;   /* those that must not linger any more: to be flushed before them */
    struct outbox_window window;
    struct list ranked[outbox_ranks]; /* outboxes with storage, in the order in which they came */
    uint64_t bytes_owed_max;          /* the watermark; UINT64_MAX until somebody sets it */
    uint64_t bytes_owed;              /* unsent bytes, a shared frame's once for every outbox */
    uint64_t bytes_leaving;           /* the same of outboxes that are shed and not yet cleared */
    uint64_t memory_leaving;          /* of frames that only such outboxes hold */
    uint32_t storage_leaving;         /* how many of them hold storage */
    struct outbox_counters counters;
};

/* `frames` is borrowed. `capacity`: how many outboxes may hold more than four frames at once.
 * May run on a measuring arena. */
void outbox_set_init(struct outbox_set *set, struct arena *arena, struct frame_pool *frames,
                     uint32_t capacity);

/* An empty outbox. All zeros is the same. */
void outbox_init(struct outbox *box);

enum outbox_answer : uint8_t {
    OUTBOX_QUEUED, /* a reference was added */
    /* an unsent snapshot of the same key, or an unsent pong, made way for it; the count of frames
     * has not grown */
    OUTBOX_REPLACED,
    OUTBOX_MADE_ROOM, /* a reference was added, for which older frames were dropped */
    OUTBOX_DROPPED,   /* nothing was added, and the peer may stay: its policy drops this frame */
    /* nothing was added: over outbox_frames_max or outbox_bytes_max; the caller decides who pays */
    OUTBOX_FULL,
    OUTBOX_NO_SPACE, /* nothing was added: the worker's storage pool is dry */
};

/* True when the peer cannot stay: it would miss something that it must not miss. */
static inline bool outbox_refused(enum outbox_answer answer)
{
    return answer >= OUTBOX_FULL;
}

/* Adds a reference to `frame`, behind all others, and marks the outbox dirty. The unsent snapshot
 * of its key makes way for a FRAME_STATE, an unsent pong for a FRAME_PONG. A frame larger than
 * outbox_bytes_max enters only an empty outbox. Never MADE_ROOM or DROPPED. */
[[nodiscard]] enum outbox_answer outbox_push(struct outbox_set *set, struct outbox *box,
                                             struct frame *frame);

/* True while one more reply may be pushed, however large: little is owed. With what has been sent
 * past the outbox and may come back (`passing`, or nullptr) an outbox owes less than
 * outbox_reply_bytes in less than outbox_reply_frames before the last reply. */
[[nodiscard]] bool outbox_takes_reply(const struct outbox *box, const struct frame *passing);

/* Adds a reference to a FRAME_REPLY; the caller has asked outbox_takes_reply since the last one, so
 * only NO_SPACE can refuse it. Control frames find a place behind replies however large those
 * are. */
[[nodiscard]] enum outbox_answer outbox_push_reply(struct outbox_set *set, struct outbox *box,
                                                   struct frame *frame);

/* Lists the outbox for the next flush, unless it is listed already. */
static inline void outbox_mark_dirty(struct outbox_set *set, struct outbox *box)
{
    if (!list_is_linked(&box->dirty_link)) list_push(&set->dirty, &box->dirty_link);
}

/* True while it may wait for more to be sent in one piece: it holds a few events and nothing else,
 * and nobody waits for their end. */
[[nodiscard]] bool outbox_may_linger(const struct outbox *box);

/* linger.c, before each flush: dirty outboxes that may linger do, while the window is open; those
 * that have lingered for as long as it allows are due, and when it is closed all of them. */
void outbox_linger(struct outbox_set *set, uint64_t now_ns);

/* When the next of those that linger are due; UINT64_MAX: nobody lingers. */
[[nodiscard]] uint64_t outbox_due_ns(const struct outbox_set *set);

/* The way of most frames to most peers, kept short: nothing waits, so no bound and no rank is met.
 * False, and nothing done, when something does. */
[[nodiscard]] static inline bool outbox_enter_empty(struct outbox_set *set, struct outbox *box,
                                                    struct frame *frame)
{
    assert(frame->refs > 0);
    if (box->count > 0 || box->slots != nullptr) return false;
    box->few[0] = frame_ref(frame);
    box->head = 0;
    box->count = 1;
    box->bytes = frame->wire_size;
    set->bytes_owed += frame->wire_size;
    outbox_mark_dirty(set, box);
    return true;
}

/* policy.c: outbox_offer to an outbox that is not empty. */
[[nodiscard]] enum outbox_answer outbox_offer_behind(struct outbox_set *set, struct outbox *box,
                                                     struct frame *frame,
                                                     enum outbox_policy policy);

/* The same for a room's frame: what finds no place is dealt with by the kind's policy and
 * counted. */
[[nodiscard]] static inline enum outbox_answer outbox_offer(struct outbox_set *set,
                                                            struct outbox *box, struct frame *frame,
                                                            enum outbox_policy policy)
{
    if (outbox_enter_empty(set, box, frame)) return OUTBOX_QUEUED;
    return outbox_offer_behind(set, box, frame, policy);
}

/* outbox.c: outbox_offer of several frames at once, each another's version of nothing: cheap where
 * no snapshot waits in the outbox. Adds all of them, or nothing: then offer them one by one. */
[[nodiscard]] bool outbox_append_all(struct outbox_set *set, struct outbox *box,
                                     struct frame *const *frames, uint32_t count);

/* twin.c: the frames that the next send may take are replaced by their twins, where they have any,
 * for a peer that agreed to a window of 2^bits bytes. Pinned ones stay. */
void outbox_deflate(struct outbox_set *set, struct outbox *box, uint8_t bits);

/* Where the next send's bytes are: up to `max` pieces from the oldest unsent byte on. Marks
 * those frames as in flight and the outbox as clean. Returns how many pieces; 0 when it is
 * empty. None may be in flight already. The pieces point into the frames and are valid until
 * outbox_sent. */
[[nodiscard]] uint32_t outbox_gather(struct outbox *box, struct iovec *pieces, uint32_t max);

/* The armed send is over and the kernel took `size` bytes of it (0 after an error): frames that
 * are wholly sent are let go, the rest is unsent again, gives way to newer versions of itself and,
 * when any is left, the outbox is dirty. */
void outbox_sent(struct outbox_set *set, struct outbox *box, uint32_t size);

/* The only frame in it, when there is just one, where the first of an empty outbox is put, and
 * nothing of it is sent or in flight; else nullptr. */
[[nodiscard]] static inline struct frame *outbox_single(const struct outbox *box)
{
    bool single = box->count == 1 && box->head == 0 && box->in_flight == 0 && box->head_sent == 0 &&
                  box->slots == nullptr;
    return single ? box->few[0] : nullptr;
}

/* The frame of outbox_single is handed to the kernel whole; the outbox lets go of it and is
 * empty and clean. The caller holds a reference of its own until the outcome is known. */
static inline void outbox_pass(struct outbox_set *set, struct outbox *box)
{
    struct frame *frame = box->few[0];
    assert(box->count == 1 && box->slots == nullptr && frame->refs > 1);
    if (list_is_linked(&box->dirty_link)) list_remove(&box->dirty_link);
    set->counters.bytes_sent += frame->wire_size;
    set->counters.frames_sent[frame->lane] += 1;
    set->bytes_owed -= frame->wire_size;
    box->bytes = 0;
    box->count = 0;
    frame->refs -= 1;
}

/* The kernel took only `size` bytes of a frame that had passed: it goes back to the front, before
 * whatever has been pushed since, unless none of it was sent and a newer version of it is here.
 * False when there is no room: the peer has lost its place in the stream. */
[[nodiscard]] bool outbox_put_back(struct outbox_set *set, struct outbox *box, struct frame *frame,
                                   uint32_t size);

/* Takes a dirty outbox off the list until outbox_release_held: it may not be flushed now. */
void outbox_hold(struct outbox_set *set, struct outbox *box);

/* Every held outbox is dirty again, or due where there is a window. */
void outbox_release_held(struct outbox_set *set);

/* Lets go of everything that is not pinned, so that a last word fits in; but not of a control frame
 * at the front: without the answer that opens its stream a peer could make nothing of that word.
 * Returns how many frames were dropped. */
uint32_t outbox_drop_unsent(struct outbox_set *set, struct outbox *box);

/* Lets go of everything. No send may be armed. Afterwards the outbox holds nothing of the
 * worker's. */
void outbox_clear(struct outbox_set *set, struct outbox *box);

/* True while the worker's outboxes owe more than bytes_owed_max, or its storage is nearly used up.
 * What is shed already does not count. */
[[nodiscard]] bool outbox_is_over(const struct outbox_set *set);

/* Who owes most, within a factor of two, and of several the one that has done so for longest;
 * nullptr when nobody owes anything worth mentioning. Takes as long however many there are. */
[[nodiscard]] struct outbox *outbox_worst(struct outbox_set *set);

/* outbox_worst shall not name this ranked outbox again until it has been empty. */
void outbox_spare(struct outbox_set *set, struct outbox *box);

/* Lets go of what is not pinned in a ranked outbox and counts the rest as leaving: outbox_worst
 * does not name it again, and its connection must be closed. */
void outbox_shed(struct outbox_set *set, struct outbox *box);

/* Gives memory back to the kernel after a crowd has left; see pool_trim. */
void outbox_set_trim(struct outbox_set *set);

static inline bool outbox_is_empty(const struct outbox *box)
{
    return box->count == 0;
}

/* Asserts what the drawing says. */
void outbox_check(const struct outbox *box);
