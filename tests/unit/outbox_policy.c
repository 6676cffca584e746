#include "base/random.h"
#include "check.h"
#include "outbox/inside.h"
#include "outbox/policy.h"
#include "outboxes.h"
#include <stdlib.h>

static struct outbox box;

/* A worker's outboxes, `storages` of which may be long, and one empty outbox. */
static void begin(uint32_t storages)
{
    outboxes_begin(8 << 20, storages);
    outbox_init(&box);
}

/* Everything must have come home. */
static void end(void)
{
    if (box.in_flight > 0) outbox_sent(&set, &box, 0);
    outbox_clear(&set, &box);
    outboxes_end();
}

/* A frame of `size` wire bytes that begin with `mark`. */
static struct frame *make(enum frame_lane lane, uint32_t key, uint32_t mark, uint32_t size)
{
    static uint8_t wire[131'072];
    memcpy(wire, &mark, sizeof mark);
    struct frame *frame = frame_make_raw(&frames, (struct bytes){wire, size});
    if (frame == nullptr) abort();
    frame->lane = lane;
    frame->state_key = key;
    return frame;
}

static enum outbox_answer offer(enum outbox_policy policy, enum frame_lane lane, uint32_t mark,
                                uint32_t size)
{
    struct frame *frame = make(lane, 1, mark, size);
    enum outbox_answer answer = outbox_offer(&set, &box, frame, policy);
    frame_unref(&frames, frame);
    return answer;
}

static enum outbox_answer push(enum frame_lane lane, uint32_t mark, uint32_t size)
{
    struct frame *frame = make(lane, 1, mark, size);
    enum outbox_answer answer = outbox_push(&set, &box, frame);
    frame_unref(&frames, frame);
    return answer;
}

static uint32_t mark_at(uint32_t position)
{
    uint32_t mark;
    memcpy(&mark, (*slot_at(&box, position))->wire, sizeof mark);
    return mark;
}

/* Offers events of ten bytes, marked from 0 on, until one is not simply queued. */
static enum outbox_answer fill(enum outbox_policy policy)
{
    enum outbox_answer answer = OUTBOX_QUEUED;
    for (uint32_t mark = 0; answer == OUTBOX_QUEUED; mark++)
        answer = offer(policy, FRAME_EVENT, mark, 10);
    return answer;
}

static uint32_t gather(uint32_t max)
{
    struct iovec pieces[outbox_gather_max];
    return outbox_gather(&box, pieces, max);
}

static uint64_t dropped(enum outbox_policy policy, enum outbox_bound bound)
{
    return set.counters.dropped[policy][bound];
}

/* Places that a policy that drops leaves to control frames. */
constexpr uint32_t kept_free = 4;
constexpr uint32_t droppable_max = outbox_frames_max - kept_free;

TEST("closing and conflating give a peer up at the 257th event, and count that one (S1-15, S2-18)")
{
    static const enum outbox_policy policies[] = {OUTBOX_CLOSE, OUTBOX_CONFLATE};
    for (size_t i = 0; i < 2; i++) {
        begin(1);
        EXPECT_EQ(fill(policies[i]), OUTBOX_FULL);
        EXPECT_EQ(box.count, outbox_frames_max);
        EXPECT_EQ(mark_at(0), 0);
        EXPECT_EQ(dropped(policies[i], OUTBOX_BOUND_FRAMES), 1);
        EXPECT_EQ(box.untold, 0);
        end();
    }
}

TEST("an outbox full of events has no place for a first snapshot, whoever conflates (C8)")
{
    begin(1);
    (void)!fill(OUTBOX_CONFLATE);
    EXPECT_EQ(offer(OUTBOX_CONFLATE, FRAME_STATE, 7, 10), OUTBOX_FULL);
    EXPECT_EQ(dropped(OUTBOX_CONFLATE, OUTBOX_BOUND_FRAMES), 2);
    end();
}

TEST("a snapshot's older version makes way for it under every policy")
{
    for (size_t i = 0; i < outbox_policies; i++) {
        begin(1);
        enum outbox_policy policy = (enum outbox_policy)i;
        EXPECT_EQ(offer(policy, FRAME_STATE, 1, 10), OUTBOX_QUEUED);
        EXPECT_EQ(offer(policy, FRAME_STATE, 2, 10), OUTBOX_REPLACED);
        EXPECT_EQ(mark_at(0), 2);
        EXPECT_EQ(box.untold, 0);
        end();
    }
}

TEST("only conflation makes snapshots that a newer one may replace")
{
    EXPECT_EQ(outbox_snapshot_lane(OUTBOX_CONFLATE), FRAME_STATE);
    EXPECT_EQ(outbox_snapshot_lane(OUTBOX_CLOSE), FRAME_EVENT);
    EXPECT_EQ(outbox_snapshot_lane(OUTBOX_DROP_OLDEST), FRAME_EVENT);
    EXPECT_EQ(outbox_snapshot_lane(OUTBOX_DROP_NEWEST), FRAME_EVENT);
}

TEST("drop_oldest lets the oldest event go for the new one, counts it and owes the peer that news")
{
    begin(1);
    EXPECT_EQ(fill(OUTBOX_DROP_OLDEST), OUTBOX_MADE_ROOM);
    EXPECT_EQ(box.count, droppable_max);
    EXPECT_EQ(mark_at(0), 1);
    EXPECT_EQ(mark_at(droppable_max - 1), droppable_max);
    for (uint32_t i = 0; i < 1000; i++)
        EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 1000 + i, 10), OUTBOX_MADE_ROOM);
    EXPECT_EQ(mark_at(droppable_max - 1), 1999);
    EXPECT_EQ(mark_at(0), 2000 - droppable_max);
    EXPECT_EQ(dropped(OUTBOX_DROP_OLDEST, OUTBOX_BOUND_FRAMES), 1001);
    EXPECT_EQ(box.untold, 1001);
    EXPECT_EQ(box.bytes, droppable_max * 10);
    end();
}

TEST("drop_newest lets the new event go, keeps the others and the peer")
{
    begin(1);
    EXPECT_EQ(fill(OUTBOX_DROP_NEWEST), OUTBOX_DROPPED);
    EXPECT_EQ(offer(OUTBOX_DROP_NEWEST, FRAME_STATE, 5, 10), OUTBOX_DROPPED);
    EXPECT_EQ(box.count, droppable_max);
    EXPECT_EQ(mark_at(0), 0);
    EXPECT_EQ(mark_at(droppable_max - 1), droppable_max - 1);
    EXPECT_EQ(dropped(OUTBOX_DROP_NEWEST, OUTBOX_BOUND_FRAMES), 2);
    EXPECT_EQ(box.untold, 2);
    end();
}

TEST("drop_oldest lets as many events go as the bytes of the new one need, and no more")
{
    begin(1);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, i, 100'000), OUTBOX_QUEUED);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 10, 40'000), OUTBOX_QUEUED);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 11, 130'000), OUTBOX_MADE_ROOM);
    EXPECT_EQ(dropped(OUTBOX_DROP_OLDEST, OUTBOX_BOUND_BYTES), 2);
    EXPECT_EQ(mark_at(0), 2);
    EXPECT_EQ(box.bytes, 8 * 100'000 + 40'000 + 130'000);
    end();
}

TEST("the bound on bytes drops the newest and refuses where a policy says so")
{
    static const struct {
        enum outbox_policy policy;
        enum outbox_answer answer;
    } cases[] = {{OUTBOX_CONFLATE, OUTBOX_FULL},
                 {OUTBOX_CLOSE, OUTBOX_FULL},
                 {OUTBOX_DROP_NEWEST, OUTBOX_DROPPED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(1);
        for (uint32_t mark = 0; mark < 8; mark++)
            EXPECT_EQ(offer(cases[i].policy, FRAME_EVENT, mark, 130'000), OUTBOX_QUEUED);
        EXPECT_EQ(offer(cases[i].policy, FRAME_EVENT, 8, 130'000), cases[i].answer);
        EXPECT_EQ(dropped(cases[i].policy, OUTBOX_BOUND_BYTES), 1);
        EXPECT_EQ(box.count, 8);
        end();
    }
}

TEST("what is in flight is never dropped: the oldest behind it goes")
{
    begin(1);
    (void)!fill(OUTBOX_DROP_OLDEST); /* 1 and on */
    EXPECT_EQ(gather(10), 10);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 999, 10), OUTBOX_MADE_ROOM);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT_EQ(mark_at(i), 1 + i);
    EXPECT_EQ(mark_at(10), 12);
    outbox_sent(&set, &box, 105);
    EXPECT_EQ(mark_at(0), 12);
    EXPECT_EQ(box.head_sent, 5);
    end();
}

TEST("a partly sent event is never dropped, armed send or not")
{
    begin(1);
    (void)!offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 1'000'000, 10);
    (void)gather(1);
    outbox_sent(&set, &box, 4);
    (void)!fill(OUTBOX_DROP_OLDEST);
    EXPECT_EQ(mark_at(0), 1'000'000);
    EXPECT_EQ(mark_at(1), 1);
    EXPECT_EQ(box.head_sent, 4);
    end();
}

TEST("drop_oldest passes over control frames, pongs and snapshots, which keep their order")
{
    begin(1);
    EXPECT_EQ(push(FRAME_CONTROL, 1001, 10), OUTBOX_QUEUED);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 2000, 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_PONG, 1002, 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_STATE, 1003, 10), OUTBOX_QUEUED);
    EXPECT_EQ(fill(OUTBOX_DROP_OLDEST), OUTBOX_MADE_ROOM);
    EXPECT_EQ(mark_at(0), 1001);
    EXPECT_EQ(mark_at(1), 1002);
    EXPECT_EQ(mark_at(2), 1003);
    EXPECT_EQ(mark_at(3), 0);
    (void)!offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 9, 10);
    EXPECT_EQ(mark_at(2), 1003);
    EXPECT_EQ(mark_at(3), 1);
    end();
}

TEST("when everything is on its way, drop_oldest drops the new event and the peer stays")
{
    begin(1);
    for (uint32_t mark = 0; mark < 8; mark++)
        (void)!offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, mark, 130'000);
    EXPECT_EQ(gather(8), 8);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 8, 130'000), OUTBOX_DROPPED);
    EXPECT_EQ(box.count, 8);
    EXPECT_EQ(box.untold, 1);
    end();
}

TEST("no event is dropped for one that would find no place even then")
{
    begin(1);
    for (uint32_t mark = 0; mark < 7; mark++)
        (void)!offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, mark, 130'000);
    EXPECT_EQ(gather(7), 7);
    EXPECT_EQ(push(FRAME_STATE, 7, 100'000), OUTBOX_QUEUED);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 8, 10'000), OUTBOX_QUEUED);
    EXPECT_EQ(offer(OUTBOX_DROP_OLDEST, FRAME_EVENT, 9, 60'000), OUTBOX_DROPPED);
    EXPECT_EQ(box.count, 9);
    EXPECT_EQ(mark_at(8), 8);
    EXPECT_EQ(dropped(OUTBOX_DROP_OLDEST, OUTBOX_BOUND_BYTES), 1);
    end();
}

TEST("a peer that a dropping policy keeps full can still be pinged, answered and said goodbye to")
{
    for (size_t i = OUTBOX_DROP_OLDEST; i <= OUTBOX_DROP_NEWEST; i++) {
        begin(1);
        (void)!fill((enum outbox_policy)i);
        EXPECT_EQ(push(FRAME_PONG, 1, 127), OUTBOX_QUEUED);
        for (uint32_t j = 1; j < kept_free; j++)
            EXPECT_EQ(push(FRAME_CONTROL, 1, 127), OUTBOX_QUEUED);
        EXPECT_EQ(push(FRAME_CONTROL, 1, 127), OUTBOX_FULL);
        EXPECT_EQ(offer((enum outbox_policy)i, FRAME_CONTROL, 1, 127), OUTBOX_FULL);
        end();
        begin(1); /* and by bytes */
        while (offer((enum outbox_policy)i, FRAME_EVENT, 0, 130'000) == OUTBOX_QUEUED)
            ;
        while (offer((enum outbox_policy)i, FRAME_STATE, 0, 100'000) == OUTBOX_QUEUED)
            ;
        while (box.untold < 4)
            (void)!offer((enum outbox_policy)i, FRAME_EVENT, 0, 400);
        for (uint32_t j = 0; j < kept_free; j++)
            EXPECT_EQ(push(FRAME_CONTROL, 1, 127), OUTBOX_QUEUED);
        EXPECT(box.bytes <= outbox_bytes_max);
        end();
    }
}

TEST("where the worker has no storage left, a fifth frame is treated as the policy says")
{
    static const struct {
        enum outbox_policy policy;
        enum outbox_answer answer;
        uint32_t first;
    } cases[] = {{OUTBOX_CONFLATE, OUTBOX_NO_SPACE, 0},
                 {OUTBOX_CLOSE, OUTBOX_NO_SPACE, 0},
                 {OUTBOX_DROP_OLDEST, OUTBOX_MADE_ROOM, 1},
                 {OUTBOX_DROP_NEWEST, OUTBOX_DROPPED, 0}};
    for (size_t i = 0; i < outbox_policies; i++) {
        begin(0);
        EXPECT_EQ(fill(cases[i].policy), cases[i].answer);
        EXPECT_EQ(box.count, outbox_inline_frames);
        EXPECT_EQ(mark_at(0), cases[i].first);
        EXPECT_EQ(dropped(cases[i].policy, OUTBOX_BOUND_STORAGE), 1);
        end();
    }
}

TEST("what is larger than the bound on bytes enters an empty outbox, or one that can be emptied")
{
    begin(1);
    struct frame *giant = make(FRAME_EVENT, 0, 77, 100);
    giant->wire_size = outbox_bytes_max + 1; /* nobody reads it here */
    for (size_t i = 0; i < outbox_policies; i++) {
        EXPECT_EQ(outbox_offer(&set, &box, giant, (enum outbox_policy)i), OUTBOX_QUEUED);
        outbox_clear(&set, &box);
    }
    EXPECT_EQ(offer(OUTBOX_CLOSE, FRAME_EVENT, 1, 10), OUTBOX_QUEUED);
    EXPECT_EQ(outbox_offer(&set, &box, giant, OUTBOX_CLOSE), OUTBOX_FULL);
    EXPECT_EQ(outbox_offer(&set, &box, giant, OUTBOX_DROP_NEWEST), OUTBOX_DROPPED);
    EXPECT_EQ(outbox_offer(&set, &box, giant, OUTBOX_DROP_OLDEST), OUTBOX_MADE_ROOM);
    EXPECT_EQ(box.count, 1);
    EXPECT_EQ(mark_at(0), 77);
    frame_unref(&frames, giant);
    end();
}

TEST("a policy is found by the name that configuration and metrics use")
{
    for (size_t i = 0; i < outbox_policies; i++) {
        enum outbox_policy policy = OUTBOX_CONFLATE;
        EXPECT(outbox_policy_of_name(outbox_policy_names[i], &policy));
        EXPECT_EQ(policy, i);
    }
    enum outbox_policy policy = OUTBOX_CLOSE;
    EXPECT(!outbox_policy_of_name(TEXT("drop"), &policy));
    EXPECT_EQ(policy, OUTBOX_CLOSE);
    EXPECT_TEXT(outbox_policy_names[OUTBOX_DROP_OLDEST], "drop_oldest");
    EXPECT_TEXT(outbox_bound_names[OUTBOX_BOUND_BYTES], "bytes");
}

/* ---- a naive model: an array, and every rule written out ---- */

struct entry {
    enum frame_lane lane;
    uint32_t key, mark, size;
};

static struct {
    struct entry entries[outbox_frames_max + 1];
    uint32_t count, in_flight, head_sent, untold;
    uint64_t replaced, dropped;
} model;

static uint32_t model_bytes(void)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < model.count; i++)
        bytes += model.entries[i].size;
    return bytes - model.head_sent;
}

static void model_remove(uint32_t at)
{
    model.count -= 1;
    memmove(&model.entries[at], &model.entries[at + 1], (model.count - at) * sizeof(struct entry));
}

static bool model_is_free(uint32_t at)
{
    return at >= model.in_flight && !(at == 0 && model.head_sent > 0);
}

static bool model_fits(struct entry entry, enum outbox_policy policy)
{
    bool less = policy >= OUTBOX_DROP_OLDEST && entry.lane <= FRAME_STATE;
    uint32_t frames_max = outbox_frames_max - (less ? 4 : 0);
    uint32_t bytes_max = outbox_bytes_max - (less ? 4 * 127 : 0);
    return model.count < frames_max &&
           (model.count == 0 || model_bytes() + entry.size <= bytes_max);
}

static bool model_is_older(struct entry older, struct entry entry)
{
    return older.lane == entry.lane &&
           (entry.lane == FRAME_PONG || (entry.lane == FRAME_STATE && older.key == entry.key));
}

static bool model_replace(struct entry entry)
{
    for (uint32_t i = 0; i < model.count; i++) {
        if (!model_is_free(i) || !model_is_older(model.entries[i], entry)) continue;
        model.replaced += 1;
        model_remove(i);
        model.entries[model.count++] = entry;
        return true;
    }
    return false;
}

/* What is not pinned waits in its latest version only. */
static void model_let_go_of_older(void)
{
    for (uint32_t i = 0; i < model.count; i++) {
        bool older = false;
        for (uint32_t j = i + 1; j < model.count; j++)
            older = older || model_is_older(model.entries[i], model.entries[j]);
        if (!older || !model_is_free(i)) continue;
        model_remove(i--);
        model.replaced += 1;
    }
}

static enum outbox_answer model_offer(struct entry entry, enum outbox_policy policy)
{
    static struct entry before[outbox_frames_max + 1];
    if (model_replace(entry)) return OUTBOX_REPLACED;
    uint32_t count = model.count, gone = 0;
    memcpy(before, model.entries, sizeof before);
    for (uint32_t i = 0; policy == OUTBOX_DROP_OLDEST && entry.lane <= FRAME_STATE &&
                         i < model.count && !model_fits(entry, policy);) {
        if (!model_is_free(i) || model.entries[i].lane != FRAME_EVENT) {
            i += 1;
            continue;
        }
        model_remove(i);
        gone += 1;
    }
    if (model_fits(entry, policy)) {
        model.entries[model.count++] = entry;
        model.dropped += gone;
        model.untold += gone;
        return gone > 0 ? OUTBOX_MADE_ROOM : OUTBOX_QUEUED;
    }
    memcpy(model.entries, before, sizeof before);
    model.count = count;
    model.dropped += 1;
    if (policy < OUTBOX_DROP_OLDEST || entry.lane > FRAME_STATE) return OUTBOX_FULL;
    model.untold += 1;
    return OUTBOX_DROPPED;
}

static void model_sent(uint32_t size)
{
    model.in_flight = 0;
    while (size > 0) {
        uint32_t left = model.entries[0].size - model.head_sent;
        if (size < left) {
            model.head_sent += size;
            return;
        }
        size -= left;
        model.head_sent = 0;
        model_remove(0);
    }
}

static bool model_agrees(void)
{
    bool agrees = box.count == model.count && box.bytes == model_bytes() &&
                  box.head_sent == model.head_sent && box.in_flight == model.in_flight &&
                  box.untold == model.untold && set.bytes_owed == box.bytes;
    for (uint32_t i = 0; agrees && i < model.count; i++)
        agrees = mark_at(i) == model.entries[i].mark;
    uint64_t all = 0;
    for (size_t i = 0; i < outbox_policies * outbox_bounds; i++)
        all += set.counters.dropped[i / outbox_bounds][i % outbox_bounds];
    return agrees && all == model.dropped &&
           set.counters.conflated + set.counters.pongs_replaced == model.replaced;
}

static struct entry random_entry(struct random *random, uint32_t mark)
{
    static const enum frame_lane lanes[] = {FRAME_EVENT, FRAME_EVENT, FRAME_EVENT, FRAME_EVENT,
                                            FRAME_EVENT, FRAME_STATE, FRAME_PONG,  FRAME_CONTROL};
    struct entry entry = {lanes[random_below(random, 8)], 0, mark, 0};
    if (entry.lane == FRAME_STATE) entry.key = (uint32_t)random_below(random, 3);
    bool large = entry.lane <= FRAME_STATE && random_below(random, 100) < 5;
    entry.size = 4 + (uint32_t)random_below(random, large ? 120'000 : 100);
    return entry;
}

/* Some bytes of a gathered send, often all, sometimes none. */
static void send_some(struct random *random)
{
    uint32_t size = 0;
    for (uint32_t i = 0; i < model.in_flight; i++)
        size += model.entries[i].size - (i == 0 ? model.head_sent : 0);
    if (random_below(random, 3) > 0) size = (uint32_t)random_below(random, (uint64_t)size + 1);
    outbox_sent(&set, &box, size);
    model_sent(size);
    model_let_go_of_older();
}

/* `eagerness`: of a hundred steps, how many send. */
static void compare(enum outbox_policy policy, uint64_t seed, uint32_t eagerness)
{
    begin(1);
    memset(&model, 0, sizeof model);
    struct random random = {.state = seed};
    uint32_t disagreements = 0;
    for (uint32_t step = 1; step < 6000 && disagreements == 0; step++) {
        if (random_below(&random, 100) >= eagerness) {
            struct entry entry = random_entry(&random, step);
            struct frame *frame = make(entry.lane, entry.key, entry.mark, entry.size);
            enum outbox_answer answer = outbox_offer(&set, &box, frame, policy);
            frame_unref(&frames, frame);
            disagreements += answer != model_offer(entry, policy);
        } else if (model.in_flight > 0) {
            send_some(&random);
        } else {
            model.in_flight = gather(1 + (uint32_t)random_below(&random, outbox_gather_max));
        }
        disagreements += !model_agrees();
    }
    EXPECT_EQ(disagreements, 0);
    end();
}

TEST("random offers and sends leave what a naive model leaves, under every policy")
{
    for (uint32_t i = 0; i < outbox_policies; i++)
        for (uint32_t eagerness = 5; eagerness <= 45; eagerness += 20)
            compare((enum outbox_policy)i, 0x51f3 + i, eagerness);
}
