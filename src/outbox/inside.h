/* outbox/inside.h: what the files of outbox/ share with each other and with nobody else. */
#pragma once
#include "outbox/outbox.h"

/* The reference at `position`, 0 being the oldest. Both storages are powers of two. */
static inline struct frame **slot_at(struct outbox *box, uint32_t position)
{
    struct frame **slots = box->slots != nullptr ? box->slots : box->few;
    uint32_t mask = (box->slots != nullptr ? outbox_frames_max : outbox_inline_frames) - 1;
    return &slots[(box->head + position) & mask];
}

/* Oldest frames that nobody may touch: the kernel reads them, or the peer has part of one. */
static inline uint32_t pinned(const struct outbox *box)
{
    return box->in_flight > 0 ? box->in_flight : box->head_sent > 0 ? 1 : 0;
}

static inline bool is_shed(const struct outbox *box)
{
    return box->slots != nullptr && box->rank == outbox_rank_shed;
}

/* Holds a rank no more, and is never named as the worst. */
static inline bool is_unranked(const struct outbox *box)
{
    return box->slots != nullptr && box->rank >= outbox_rank_spared;
}

/* The only ways in which what is owed changes. */
static inline void owe(struct outbox_set *set, struct outbox *box, uint32_t size)
{
    box->bytes += size;
    *(is_shed(box) ? &set->bytes_leaving : &set->bytes_owed) += size;
}

static inline void owe_no_more(struct outbox_set *set, struct outbox *box, uint32_t size)
{
    box->bytes -= size;
    *(is_shed(box) ? &set->bytes_leaving : &set->bytes_owed) -= size;
}

/* What an outbox may hold. */
struct outbox_limit {
    uint32_t frames;
    uint32_t bytes;
};
constexpr struct outbox_limit outbox_limit_whole = {outbox_frames_max, outbox_bytes_max};

/* outbox.c: outbox_push within other bounds. */
[[nodiscard]] enum outbox_answer outbox_push_within(struct outbox_set *set, struct outbox *box,
                                                    struct frame *frame, struct outbox_limit limit);

/* outbox.c: adds a reference behind all others; there must be a place for it. */
void outbox_append(struct outbox_set *set, struct outbox *box, struct frame *frame);

/* outbox.c: moves the references into the pool's storage. False when that is dry. */
[[nodiscard]] bool outbox_grow(struct outbox_set *set, struct outbox *box);

/* linger.c: of one that may linger no more because of what was just pushed: it is due. */
void outbox_hurry(struct outbox_set *set, struct outbox *box);
static inline void outbox_end_linger(struct outbox_set *set, struct outbox *box)
{
    if (set->window.count > 0) outbox_hurry(set, box);
}

/* shed.c: puts an outbox where what it owes says; one that owes much gets storage for it. Not for
 * those whom a frame only passes through: it costs a list operation for each. */
void outbox_rank(struct outbox_set *set, struct outbox *box);

/* shed.c: storage has been taken, or is about to be given back. */
void outbox_rank_begin(struct outbox_set *set, struct outbox *box);
void outbox_rank_end(struct outbox_set *set, struct outbox *box);
