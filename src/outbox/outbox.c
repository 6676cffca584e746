#include "outbox/outbox.h"
#include "outbox/inside.h"
#include <assert.h>

void outbox_set_init(struct outbox_set *set, struct arena *arena, struct frame_pool *frames,
                     uint32_t capacity)
{
    *set = (struct outbox_set){.frames = frames, .bytes_owed_max = UINT64_MAX};
    pool_init(&set->storage, arena, outbox_frames_max * sizeof(struct frame *), capacity);
    twin_maker_init(&set->twins, arena);
    list_init(&set->dirty);
    list_init(&set->due);
    list_init(&set->held);
    for (uint32_t i = 0; i < outbox_slices; i++)
        list_init(&set->window.slices[i]);
    for (uint32_t i = 0; i < outbox_ranks; i++)
        list_init(&set->ranked[i]);
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

static_assert((outbox_inline_frames & (outbox_inline_frames - 1)) == 0, "the index is masked");

static void mark_clean(struct outbox *box)
{
    if (list_is_linked(&box->dirty_link)) list_remove(&box->dirty_link);
}

bool outbox_grow(struct outbox_set *set, struct outbox *box)
{
    struct frame **slots = pool_take(&set->storage);
    if (slots == nullptr) return false;
    for (uint32_t i = 0; i < box->count; i++)
        slots[i] = *slot_at(box, i);
    box->slots = slots;
    box->head = 0;
    outbox_rank_begin(set, box);
    return true;
}

static void give_storage(struct outbox_set *set, struct outbox *box)
{
    outbox_rank_end(set, box);
    pool_give(&set->storage, box->slots);
    box->slots = nullptr;
}

/* A shed outbox keeps its storage, where it says that it is shed. */
static void shrink_when_empty(struct outbox_set *set, struct outbox *box)
{
    if (box->count > 0) return;
    box->head = 0;
    if (box->slots != nullptr && !is_shed(box)) give_storage(set, box);
}

static bool is_newer_version(const struct frame *queued, const struct frame *frame)
{
    if (queued->lane != frame->lane) return false;
    if (frame->lane == FRAME_PONG) return true;
    return frame->lane == FRAME_STATE && queued->state_key == frame->state_key;
}

static void count_replaced(struct outbox_set *set, const struct frame *frame)
{
    struct outbox_counters *counters = &set->counters;
    *(frame->lane == FRAME_STATE ? &counters->conflated : &counters->pongs_replaced) += 1;
}

/* A single frame may be about to pass at once; then a rank would be for nothing. */
static void rank_if_it_waits(struct outbox_set *set, struct outbox *box)
{
    if (box->count > 1 || box->slots != nullptr) outbox_rank(set, box);
}

static void remove_at(struct outbox *box, uint32_t position)
{
    for (uint32_t i = position + 1; i < box->count; i++)
        *slot_at(box, i - 1) = *slot_at(box, i);
    box->count -= 1;
}

static bool has_versions(const struct frame *frame)
{
    return frame->lane == FRAME_STATE || frame->lane == FRAME_PONG;
}

/* Lets go of an unsent older version of `frame`, of which there is one at most, and adds the newer
 * one behind all others: it may speak of what an event between them has told. */
static bool replace(struct outbox_set *set, struct outbox *box, struct frame *frame)
{
    if (!has_versions(frame)) return false;
    for (uint32_t i = box->count; i > pinned(box); i--) {
        struct frame *older = *slot_at(box, i - 1);
        if (!is_newer_version(older, frame)) continue;
        owe_no_more(set, box, older->wire_size);
        frame_unref(set->frames, older);
        count_replaced(set, frame);
        remove_at(box, i - 1);
        outbox_append(set, box, frame);
        return true;
    }
    return false;
}

/* A send that fell short gives frames back behind which newer versions have been queued. They must
 * go before the next send carries both: a peer to whom each send brings a part of one frame would
 * else have one more version waiting after each, and not the newest but the oldest of them next. */
static void let_go_of_older_versions(struct outbox_set *set, struct outbox *box)
{
    for (uint32_t i = box->count; i > pinned(box) + 1; i--) {
        struct frame *newest = *slot_at(box, i - 1);
        if (!has_versions(newest)) continue;
        for (uint32_t j = i - 1; j > pinned(box); j--) {
            struct frame *frame = *slot_at(box, j - 1);
            if (!is_newer_version(frame, newest)) continue;
            owe_no_more(set, box, frame->wire_size);
            frame_unref(set->frames, frame);
            count_replaced(set, newest);
            remove_at(box, j - 1);
            i -= 1;
        }
    }
}

void outbox_append(struct outbox_set *set, struct outbox *box, struct frame *frame)
{
    *slot_at(box, box->count) = frame_ref(frame);
    box->count += 1;
    owe(set, box, frame->wire_size);
    rank_if_it_waits(set, box);
    outbox_mark_dirty(set, box);
    outbox_end_linger(set, box);
}

static bool holds_reply(struct outbox *box)
{
    for (uint32_t i = 0; i < box->count; i++)
        if ((*slot_at(box, i))->lane == FRAME_REPLY) return true;
    return false;
}

enum outbox_answer outbox_push_within(struct outbox_set *set, struct outbox *box,
                                      struct frame *frame, struct outbox_limit limit)
{
    outbox_check(box);
    if (replace(set, box, frame)) return OUTBOX_REPLACED;
    if (box->count >= limit.frames) return OUTBOX_FULL;
    bool over = box->count > 0 && box->bytes + frame->wire_size > limit.bytes;
    if (over && (frame->lane != FRAME_CONTROL || !holds_reply(box))) return OUTBOX_FULL;
    if (box->slots == nullptr && box->count == outbox_inline_frames && !outbox_grow(set, box))
        return OUTBOX_NO_SPACE;
    outbox_append(set, box, frame);
    return OUTBOX_QUEUED;
}

/* True when nothing unsent has versions: then no new frame takes another's place. */
static bool has_no_versions(struct outbox *box)
{
    for (uint32_t i = pinned(box); i < box->count; i++)
        if (has_versions(*slot_at(box, i))) return false;
    return true;
}

bool outbox_append_all(struct outbox_set *set, struct outbox *box, struct frame *const *frames,
                       uint32_t count)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += frames[i]->wire_size;
    if (box->count + count > outbox_frames_max || box->bytes + bytes > outbox_bytes_max)
        return false;
    if (!has_no_versions(box)) return false;
    if (box->slots == nullptr && box->count + count > outbox_inline_frames &&
        !outbox_grow(set, box))
        return false;
    for (uint32_t i = 0; i < count; i++)
        *slot_at(box, box->count + i) = frame_ref(frames[i]);
    box->count += (uint16_t)count;
    owe(set, box, bytes);
    rank_if_it_waits(set, box);
    outbox_mark_dirty(set, box);
    outbox_end_linger(set, box);
    return true;
}

enum outbox_answer outbox_push(struct outbox_set *set, struct outbox *box, struct frame *frame)
{
    if (outbox_enter_empty(set, box, frame)) return OUTBOX_QUEUED;
    return outbox_push_within(set, box, frame, outbox_limit_whole);
}

bool outbox_takes_reply(const struct outbox *box, const struct frame *passing)
{
    uint32_t bytes = box->bytes + (passing != nullptr ? passing->wire_size : 0);
    return bytes < outbox_reply_bytes && box->count < outbox_reply_frames;
}

enum outbox_answer outbox_push_reply(struct outbox_set *set, struct outbox *box,
                                     struct frame *frame)
{
    constexpr struct outbox_limit unbounded = {outbox_frames_max, UINT32_MAX};
    assert(frame->lane == FRAME_REPLY);
    if (outbox_enter_empty(set, box, frame)) return OUTBOX_QUEUED;
    return outbox_push_within(set, box, frame, unbounded);
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
    box->in_flight = (uint8_t)count;
    mark_clean(box);
    return count;
}

static void let_go_of_oldest(struct outbox_set *set, struct outbox *box)
{
    struct frame *frame = *slot_at(box, 0);
    set->counters.frames_sent[frame->lane] += 1;
    frame_unref(set->frames, frame);
    box->head += 1;
    box->count -= 1;
    box->head_sent = 0;
}

void outbox_sent(struct outbox_set *set, struct outbox *box, uint32_t size)
{
    assert(size <= box->bytes);
    box->in_flight = 0;
    owe_no_more(set, box, size);
    set->counters.bytes_sent += size;
    while (size > 0) {
        uint32_t left = (*slot_at(box, 0))->wire_size - box->head_sent;
        if (size < left) {
            box->head_sent += size;
            break;
        }
        size -= left;
        let_go_of_oldest(set, box);
    }
    let_go_of_older_versions(set, box);
    shrink_when_empty(set, box);
    if (box->count > 0) {
        outbox_rank(set, box);
        outbox_mark_dirty(set, box);
    }
    outbox_check(box);
}

/* Of those that may have lingered before: not again. */
static struct list *again_list(struct outbox_set *set)
{
    return set->window.size_ns > 0 ? &set->due : &set->dirty;
}

bool outbox_put_back(struct outbox_set *set, struct outbox *box, struct frame *frame, uint32_t size)
{
    assert(size < frame->wire_size && box->in_flight == 0 && box->head_sent == 0);
    set->counters.bytes_sent -= frame->wire_size - size;
    set->counters.frames_sent[frame->lane] -= 1;
    for (uint32_t i = 0; i < box->count && size == 0; i++) {
        if (!is_newer_version(frame, *slot_at(box, i))) continue;
        count_replaced(set, frame);
        return true;
    }
    if (box->count == outbox_frames_max) return false;
    if (box->slots == nullptr && box->count == outbox_inline_frames && !outbox_grow(set, box))
        return false;
    box->head -= 1;
    box->count += 1;
    *slot_at(box, 0) = frame_ref(frame);
    box->head_sent = size;
    owe(set, box, frame->wire_size - size);
    outbox_rank(set, box);
    if (set->window.size_ns > 0) mark_clean(box);
    if (!list_is_linked(&box->dirty_link)) list_push(again_list(set), &box->dirty_link);
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
        list_push(again_list(set), link);
}

static uint32_t drop_behind(struct outbox_set *set, struct outbox *box, uint32_t kept)
{
    uint32_t dropped = 0;
    while (box->count > kept) {
        struct frame *frame = *slot_at(box, box->count - 1u);
        owe_no_more(set, box, frame->wire_size);
        box->count -= 1;
        dropped += 1;
        frame_unref(set->frames, frame);
    }
    shrink_when_empty(set, box);
    if (box->count == 0)
        mark_clean(box);
    else
        outbox_rank(set, box);
    return dropped;
}

uint32_t outbox_drop_unsent(struct outbox_set *set, struct outbox *box)
{
    uint32_t kept = pinned(box);
    if (kept == 0 && box->count > 0 && (*slot_at(box, 0))->lane == FRAME_CONTROL) kept = 1;
    return drop_behind(set, box, kept);
}

void outbox_clear(struct outbox_set *set, struct outbox *box)
{
    assert(box->in_flight == 0);
    owe(set, box, box->head_sent);
    box->head_sent = 0;
    set->counters.dropped_gone += drop_behind(set, box, 0);
    assert(box->count == 0 && box->bytes == 0);
    if (box->slots != nullptr) give_storage(set, box);
}
