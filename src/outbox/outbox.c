#include "outbox/outbox.h"
#include <assert.h>

void outbox_set_init(struct outbox_set *set, struct arena *arena, struct frame_pool *frames,
                     uint32_t capacity)
{
    *set = (struct outbox_set){.frames = frames};
    pool_init(&set->storage, arena, outbox_frames_max * sizeof(struct frame *), capacity);
    list_init(&set->dirty);
    list_init(&set->held);
}

void outbox_init(struct outbox *box)
{
    *box = (struct outbox){};
}

void outbox_check(const struct outbox *box)
{
    assert(box->count <= (box->slots != nullptr ? outbox_frames_max : outbox_inline_frames));
    assert(box->in_flight <= box->count);
    assert(box->count > 0 || (box->bytes == 0 && box->head_sent == 0));
}

/* The reference at `position`, 0 being the oldest. Both storages are powers of two. */
static struct frame **slot_at(struct outbox *box, uint32_t position)
{
    struct frame **slots = box->slots != nullptr ? box->slots : box->few;
    uint32_t mask = (box->slots != nullptr ? outbox_frames_max : outbox_inline_frames) - 1;
    return &slots[(box->head + position) & mask];
}

constexpr uint32_t few_mask = outbox_inline_frames - 1;
static_assert((outbox_inline_frames & few_mask) == 0, "the index is masked");

/* Oldest frames that nobody may touch: the kernel reads them, or the peer has part of one. */
static uint32_t pinned(const struct outbox *box)
{
    return box->in_flight > 0 ? box->in_flight : box->head_sent > 0 ? 1 : 0;
}

void outbox_mark_dirty(struct outbox_set *set, struct outbox *box)
{
    if (!list_is_linked(&box->dirty_link)) list_push(&set->dirty, &box->dirty_link);
}

static void mark_clean(struct outbox *box)
{
    if (list_is_linked(&box->dirty_link)) list_remove(&box->dirty_link);
}

/* Moves the references from the inline slots into the pool's storage. */
static bool grow(struct outbox_set *set, struct outbox *box)
{
    struct frame **slots = pool_take(&set->storage);
    if (slots == nullptr) return false;
    for (uint32_t i = 0; i < box->count; i++)
        slots[i] = *slot_at(box, i);
    box->slots = slots;
    box->head = 0;
    return true;
}

static void shrink_when_empty(struct outbox_set *set, struct outbox *box)
{
    if (box->count > 0) return;
    if (box->slots != nullptr) pool_give(&set->storage, box->slots);
    box->slots = nullptr;
    box->head = 0;
}

static bool is_newer_version(const struct frame *queued, const struct frame *frame)
{
    if (queued->lane != frame->lane) return false;
    if (frame->lane == FRAME_PONG) return true;
    return frame->lane == FRAME_STATE && queued->state_key == frame->state_key;
}

/* Puts `frame` in the place of an unsent older version of itself. */
static bool replace(struct outbox_set *set, struct outbox *box, struct frame *frame)
{
    if (frame->lane != FRAME_STATE && frame->lane != FRAME_PONG) return false;
    for (uint32_t i = box->count; i > pinned(box); i--) {
        struct frame **slot = slot_at(box, i - 1);
        if (!is_newer_version(*slot, frame)) continue;
        box->bytes += frame->wire_size - (*slot)->wire_size;
        frame_unref(set->frames, *slot);
        *slot = frame_ref(frame);
        *(frame->lane == FRAME_STATE ? &set->conflated : &set->pongs_replaced) += 1;
        return true;
    }
    return false;
}

enum outbox_answer outbox_push(struct outbox_set *set, struct outbox *box, struct frame *frame)
{
    assert(frame->refs > 0);
    outbox_check(box);
    if (replace(set, box, frame)) return OUTBOX_REPLACED;
    if (box->count == outbox_frames_max) return OUTBOX_FULL;
    if (box->count > 0 && box->bytes + frame->wire_size > outbox_bytes_max) return OUTBOX_FULL;
    if (box->slots == nullptr && box->count == outbox_inline_frames && !grow(set, box))
        return OUTBOX_NO_SPACE;
    *slot_at(box, box->count) = frame_ref(frame);
    box->count += 1;
    box->bytes += frame->wire_size;
    outbox_mark_dirty(set, box);
    return OUTBOX_QUEUED;
}

uint32_t outbox_gather(struct outbox *box, struct iovec *pieces, uint32_t max)
{
    assert(box->in_flight == 0);
    uint32_t count = box->count < max ? box->count : max;
    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = *slot_at(box, i);
        uint32_t sent = i == 0 ? box->head_sent : 0;
        pieces[i] =
            (struct iovec){.iov_base = frame->wire + sent, .iov_len = frame->wire_size - sent};
    }
    box->in_flight = (uint16_t)count;
    mark_clean(box);
    return count;
}

static void let_go_of_oldest(struct outbox_set *set, struct outbox *box)
{
    struct frame *frame = *slot_at(box, 0);
    set->frames_sent[frame->lane] += 1;
    frame_unref(set->frames, frame);
    box->head = (uint16_t)((box->head + 1) & (outbox_frames_max - 1));
    box->count -= 1;
    box->head_sent = 0;
}

void outbox_sent(struct outbox_set *set, struct outbox *box, uint32_t size)
{
    assert(size <= box->bytes);
    box->in_flight = 0;
    box->bytes -= size;
    set->bytes_sent += size;
    while (size > 0) {
        uint32_t left = (*slot_at(box, 0))->wire_size - box->head_sent;
        if (size < left) {
            box->head_sent += size;
            break;
        }
        size -= left;
        let_go_of_oldest(set, box);
    }
    shrink_when_empty(set, box);
    if (box->count > 0) outbox_mark_dirty(set, box);
    outbox_check(box);
}

struct frame *outbox_single(const struct outbox *box)
{
    if (box->count != 1 || box->head_sent > 0 || box->in_flight > 0) return nullptr;
    return box->slots != nullptr ? box->slots[box->head] : box->few[box->head & few_mask];
}

void outbox_pass(struct outbox_set *set, struct outbox *box)
{
    assert(outbox_single(box) != nullptr);
    mark_clean(box);
    set->bytes_sent += box->bytes;
    box->bytes = 0;
    let_go_of_oldest(set, box);
    shrink_when_empty(set, box);
}

bool outbox_put_back(struct outbox_set *set, struct outbox *box, struct frame *frame, uint32_t size)
{
    assert(size < frame->wire_size && box->in_flight == 0 && box->head_sent == 0);
    set->bytes_sent -= frame->wire_size - size;
    set->frames_sent[frame->lane] -= 1;
    for (uint32_t i = 0; i < box->count && size == 0; i++) {
        if (!is_newer_version(frame, *slot_at(box, i))) continue;
        *(frame->lane == FRAME_STATE ? &set->conflated : &set->pongs_replaced) += 1;
        return true;
    }
    if (box->count == outbox_frames_max) return false;
    if (box->slots == nullptr && box->count == outbox_inline_frames && !grow(set, box))
        return false;
    box->head = (uint16_t)((box->head - 1u) & (outbox_frames_max - 1));
    box->count += 1;
    *slot_at(box, 0) = frame_ref(frame);
    box->head_sent = size;
    box->bytes += frame->wire_size - size;
    outbox_mark_dirty(set, box);
    return true;
}

void outbox_hold(struct outbox_set *set, struct outbox *box)
{
    mark_clean(box);
    list_push(&set->held, &box->dirty_link);
}

void outbox_release_held(struct outbox_set *set)
{
    for (struct list *link; (link = list_take(&set->held)) != nullptr;)
        list_push(&set->dirty, link);
}

uint32_t outbox_drop_unsent(struct outbox_set *set, struct outbox *box)
{
    uint32_t dropped = 0;
    while (box->count > pinned(box)) {
        struct frame *frame = *slot_at(box, box->count - 1u);
        box->bytes -= frame->wire_size;
        box->count -= 1;
        dropped += 1;
        frame_unref(set->frames, frame);
    }
    shrink_when_empty(set, box);
    if (box->count == 0) mark_clean(box);
    return dropped;
}

void outbox_clear(struct outbox_set *set, struct outbox *box)
{
    assert(box->in_flight == 0);
    box->bytes += box->head_sent;
    box->head_sent = 0;
    set->dropped_gone += outbox_drop_unsent(set, box);
    assert(box->count == 0 && box->bytes == 0);
}
