#include "outbox/policy.h"
#include "outbox/inside.h"
#include <assert.h>

const struct text outbox_policy_names[outbox_policies] = {
    [OUTBOX_CONFLATE] = TEXT("conflate"),
    [OUTBOX_CLOSE] = TEXT("close"),
    [OUTBOX_DROP_OLDEST] = TEXT("drop_oldest"),
    [OUTBOX_DROP_NEWEST] = TEXT("drop_newest"),
};

const struct text outbox_bound_names[outbox_bounds] = {
    [OUTBOX_BOUND_FRAMES] = TEXT("frames"),
    [OUTBOX_BOUND_BYTES] = TEXT("bytes"),
    [OUTBOX_BOUND_STORAGE] = TEXT("storage"),
};

bool outbox_policy_of_name(struct text name, enum outbox_policy *policy)
{
    for (size_t i = 0; i < outbox_policies; i++) {
        if (!text_equal(name, outbox_policy_names[i])) continue;
        *policy = (enum outbox_policy)i;
        return true;
    }
    return false;
}

/* What a policy that drops keeps free: a ping, two pongs of which one is on its way, a goodbye. */
constexpr uint32_t control_frames = 4;
constexpr uint32_t control_bytes = control_frames * (2 + ws_control_payload_max);
constexpr struct outbox_limit limit_of_droppable = {
    outbox_frames_max - control_frames,
    outbox_bytes_max - control_bytes,
};

/* Control frames and pongs are never dropped. */
static bool is_droppable(const struct frame *frame, enum outbox_policy policy)
{
    return (policy == OUTBOX_DROP_OLDEST || policy == OUTBOX_DROP_NEWEST) &&
           (frame->lane == FRAME_EVENT || frame->lane == FRAME_STATE);
}

static enum outbox_bound bound_of(const struct outbox *box, enum outbox_answer answer,
                                  struct outbox_limit limit)
{
    if (answer == OUTBOX_NO_SPACE) return OUTBOX_BOUND_STORAGE;
    return box->count >= limit.frames ? OUTBOX_BOUND_FRAMES : OUTBOX_BOUND_BYTES;
}

/* How far from the front events must go so that `size` bytes find a place; 0 when even all of them
 * would not be enough. */
static uint32_t find_room(struct outbox *box, uint32_t size, struct outbox_limit limit)
{
    uint32_t count = box->count, bytes = box->bytes;
    for (uint32_t end = pinned(box); end < box->count;) {
        const struct frame *frame = *slot_at(box, end++);
        if (frame->lane != FRAME_EVENT) continue;
        count -= 1;
        bytes -= frame->wire_size;
        if (count < limit.frames && (count == 0 || bytes + size <= limit.bytes)) return end;
    }
    return 0;
}

/* Lets go of the events before `end` that are not pinned; what stays moves up to `end`. Returns how
 * many went. */
static uint32_t drop_events_before(struct outbox_set *set, struct outbox *box, uint32_t end)
{
    uint32_t to = end, first = pinned(box);
    for (uint32_t from = end; from > 0; from--) {
        struct frame *frame = *slot_at(box, from - 1);
        if (from > first && frame->lane == FRAME_EVENT) {
            owe_no_more(set, box, frame->wire_size);
            frame_unref(set->frames, frame);
        } else {
            *slot_at(box, --to) = frame;
        }
    }
    box->head += (uint8_t)to;
    box->count -= (uint16_t)to;
    return to;
}

/* Out of line also where the whole program is optimized: it would cost room_broadcast its
 * registers. */
[[gnu::noinline]] enum outbox_answer outbox_offer_behind(struct outbox_set *set, struct outbox *box,
                                                         struct frame *frame,
                                                         enum outbox_policy policy)
{
    bool droppable = is_droppable(frame, policy);
    struct outbox_limit limit = droppable ? limit_of_droppable : outbox_limit_whole;
    enum outbox_answer answer = outbox_push_within(set, box, frame, limit);
    if (!outbox_refused(answer)) return answer;

    enum outbox_bound bound = bound_of(box, answer, limit);
    uint64_t *dropped = &set->counters.dropped[policy][bound];
    uint32_t end = 0;
    if (droppable && policy == OUTBOX_DROP_OLDEST) end = find_room(box, frame->wire_size, limit);
    uint32_t count = end > 0 ? drop_events_before(set, box, end) : 1;
    *dropped += count;
    if (!droppable) return answer;
    box->untold += count;
    if (end == 0) return OUTBOX_DROPPED;
    outbox_append(set, box, frame);
    return OUTBOX_MADE_ROOM;
}
