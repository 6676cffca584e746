/* Who owes how much, and who is named first; src/outbox/shed.c. */
#include "base/random.h"
#include "check.h"
#include "outbox/inside.h"
#include "outboxes.h"
#include <stdlib.h>

constexpr uint32_t box_count = 64;
static struct outbox boxes[box_count];

static void begin_with(uint32_t storages)
{
    outboxes_begin(16 << 20, storages);
    for (uint32_t i = 0; i < box_count; i++)
        outbox_init(&boxes[i]);
}

static void begin(void)
{
    begin_with(box_count);
}

static void clear(struct outbox *box)
{
    if (box->in_flight > 0) outbox_sent(&set, box, 0);
    outbox_clear(&set, box);
}

/* Everything must have come home, and nothing may be owed or ranked. */
static void end(void)
{
    for (uint32_t i = 0; i < box_count; i++)
        clear(&boxes[i]);
    EXPECT(outbox_worst(&set) == nullptr);
    EXPECT_EQ(set.storage_leaving, 0);
    EXPECT_EQ(set.bytes_leaving, 0);
    outboxes_end();
}

static struct frame *make(uint32_t size)
{
    static uint8_t wire[131'072];
    struct frame *frame = frame_make_raw(&frames, (struct bytes){wire, size});
    if (frame == nullptr) abort();
    frame->lane = FRAME_EVENT;
    return frame;
}

static void push(struct outbox *box, uint32_t size)
{
    struct frame *frame = make(size);
    EXPECT_EQ(outbox_push(&set, box, frame), OUTBOX_QUEUED);
    frame_unref(&frames, frame);
}

static uint32_t gather(struct outbox *box, uint32_t max)
{
    struct iovec pieces[outbox_gather_max];
    return outbox_gather(box, pieces, max);
}

/* As a send past it does, which holds the frame until its outcome is known. */
static void pass(struct outbox *box)
{
    struct frame *frame = frame_ref(outbox_single(box));
    outbox_pass(&set, box);
    frame_unref(&frames, frame);
}

TEST("a single frame of any size, and a few small ones, pass without storage and without a rank")
{
    begin();
    push(&boxes[0], 100'000);
    for (uint32_t i = 0; i < outbox_inline_frames; i++)
        push(&boxes[1], 1000);
    EXPECT_EQ(set.storage.in_use, 0);
    EXPECT(outbox_worst(&set) == nullptr);
    EXPECT_EQ(set.bytes_owed, 104'000);
    pass(&boxes[0]);
    EXPECT_EQ(set.bytes_owed, 4000);
    end();
}

TEST("who owes most is named first, whoever came first")
{
    begin();
    static const uint32_t sizes[] = {2100, 40'000, 4200, 60'000, 8400, 33'000};
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t j = 0; j < 2; j++)
            push(&boxes[i], sizes[i]);
    static const uint32_t order[] = {1, 3, 5, 4, 2, 0}; /* the first three are alike */
    for (uint32_t i = 0; i < 6; i++) {
        EXPECT(outbox_worst(&set) == &boxes[order[i]]);
        outbox_clear(&set, &boxes[order[i]]);
    }
    push(&boxes[0], 60'000);
    push(&boxes[0], 60'000);
    for (uint32_t j = 0; j < 12; j++)
        push(&boxes[1], j * 10'000 + 1);
    EXPECT(outbox_worst(&set) == &boxes[1]);
    end();
}

TEST("of those who owe alike, the one that has owed it for longest is named first")
{
    begin();
    for (uint32_t i = 3; i > 0; i--)
        for (uint32_t j = 0; j < 2; j++)
            push(&boxes[i], 10'000);
    EXPECT(outbox_worst(&set) == &boxes[3]);
    outbox_clear(&set, &boxes[3]);
    EXPECT(outbox_worst(&set) == &boxes[2]);
    end();
}

TEST("who catches up is named no more")
{
    begin();
    for (uint32_t j = 0; j < 3; j++)
        push(&boxes[0], 50'000);
    push(&boxes[1], 5000);
    push(&boxes[1], 5000);
    EXPECT(outbox_worst(&set) == &boxes[0]);
    EXPECT_EQ(gather(&boxes[0], 8), 3);
    outbox_sent(&set, &boxes[0], 149'000);
    EXPECT(outbox_worst(&set) == &boxes[1]);
    EXPECT_EQ(gather(&boxes[0], 8), 1);
    outbox_sent(&set, &boxes[0], 1000);
    EXPECT_EQ(gather(&boxes[1], 8), 2);
    outbox_sent(&set, &boxes[1], 10'000);
    EXPECT(outbox_worst(&set) == nullptr);
    EXPECT_EQ(set.storage.in_use, 0);
    end();
}

TEST("a large frame of which a peer took only a part is ranked though it is alone")
{
    begin();
    push(&boxes[0], 100'000);
    EXPECT_EQ(gather(&boxes[0], 8), 1);
    outbox_sent(&set, &boxes[0], 10);
    EXPECT(outbox_worst(&set) == &boxes[0]);
    struct frame *passed = make(50'000);
    push(&boxes[1], 10);
    pass(&boxes[1]);
    EXPECT(outbox_put_back(&set, &boxes[1], passed, 1));
    EXPECT_EQ(boxes[1].rank, boxes[0].rank - 1);
    frame_unref(&frames, passed);
    end();
}

TEST("a shared frame is owed once for every outbox, and is over the watermark when one byte is")
{
    begin();
    struct frame *frame = make(1000);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT_EQ(outbox_push(&set, &boxes[i], frame), OUTBOX_QUEUED);
    EXPECT_EQ(set.bytes_owed, 10'000);
    set.bytes_owed_max = 10'000;
    EXPECT(!outbox_is_over(&set));
    set.bytes_owed_max = 9999;
    EXPECT(outbox_is_over(&set));
    frame_unref(&frames, frame);
    end();
}

TEST("shedding the worst ends when the rest is under the watermark, and spares the others (R2)")
{
    begin();
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t j = 0; j < 1 + i; j++)
            push(&boxes[i], 100'000);
    set.bytes_owed_max = 2'000'000; /* of 3600000 */
    uint32_t shed = 0;
    while (outbox_is_over(&set)) {
        struct outbox *worst = outbox_worst(&set);
        EXPECT(worst >= &boxes[5]);
        outbox_shed(&set, worst);
        shed += 1;
    }
    EXPECT(shed == 2 || shed == 3);
    EXPECT_EQ(set.bytes_leaving, 0);
    EXPECT_EQ(boxes[4].count, 5);
    EXPECT(set.counters.dropped_shed >= 14);
    end();
}

TEST("what is shed but still in flight counts as leaving, is not named again and takes a goodbye")
{
    begin();
    for (uint32_t j = 0; j < 5; j++)
        push(&boxes[0], 100'000);
    set.bytes_owed_max = 100'000;
    EXPECT_EQ(gather(&boxes[0], 2), 2);
    outbox_shed(&set, &boxes[0]);
    EXPECT_EQ(boxes[0].count, 2);
    EXPECT_EQ(set.bytes_owed, 0);
    EXPECT_EQ(set.bytes_leaving, 200'000);
    EXPECT_EQ(set.counters.dropped_shed, 3);
    EXPECT(!outbox_is_over(&set));
    EXPECT(outbox_worst(&set) == nullptr);
    push(&boxes[0], 20);
    EXPECT_EQ(set.bytes_leaving, 200'020);
    outbox_sent(&set, &boxes[0], 150'000);
    EXPECT_EQ(set.bytes_leaving, 50'020);
    EXPECT_EQ(gather(&boxes[0], 8), 2);
    outbox_sent(&set, &boxes[0], 50'020);
    EXPECT(outbox_is_empty(&boxes[0]));
    EXPECT_EQ(set.storage_leaving, 1);
    outbox_clear(&set, &boxes[0]);
    EXPECT_EQ(set.storage_leaving, 0);
    EXPECT_EQ(set.storage.in_use, 0);
    end();
}

TEST("storage that is nearly used up is a reason to shed, too, and what is shed does not count")
{
    begin_with(16);
    for (uint32_t i = 0; i < 15; i++)
        for (uint32_t j = 0; j < 5; j++)
            push(&boxes[i], 10);
    EXPECT(!outbox_is_over(&set));
    for (uint32_t j = 0; j < 5; j++)
        push(&boxes[15], 10);
    EXPECT(outbox_is_over(&set));
    EXPECT(outbox_worst(&set) == &boxes[0]);
    EXPECT_EQ(gather(&boxes[0], 1), 1);
    outbox_shed(&set, &boxes[0]);
    EXPECT(!outbox_is_over(&set));
    end();
}

TEST("who owes much while there is no storage is not named, and is again when there is")
{
    begin_with(1);
    for (uint32_t j = 0; j < 5; j++)
        push(&boxes[0], 10);
    for (uint32_t j = 0; j < 3; j++)
        push(&boxes[1], 100'000);
    EXPECT(outbox_worst(&set) == &boxes[0]);
    outbox_clear(&set, &boxes[0]);
    push(&boxes[1], 10);
    EXPECT(outbox_worst(&set) == &boxes[1]);
    end();
}

static bool books_agree(void)
{
    uint64_t owed = 0, leaving = 0;
    uint32_t most = 0, storage_leaving = 0;
    for (uint32_t i = 0; i < box_count; i++) {
        const struct outbox *box = &boxes[i];
        bool shed = is_shed(box);
        *(shed ? &leaving : &owed) += box->bytes;
        storage_leaving += shed;
        if (box->slots != nullptr && !shed && box->bytes > most) most = box->bytes;
    }
    const struct outbox *worst = outbox_worst(&set);
    return owed == set.bytes_owed && leaving == set.bytes_leaving &&
           storage_leaving == set.storage_leaving &&
           (most < 2 * outbox_rank_bytes ? worst == nullptr || worst->rank == 1
                                         : worst != nullptr && worst->bytes > most / 2);
}

static void one_step(struct random *random)
{
    struct outbox *box = &boxes[random_below(random, box_count)];
    uint64_t dice = random_below(random, 100);
    if (dice < 60) {
        struct frame *frame = make(1 + (uint32_t)random_below(random, dice < 5 ? 60'000 : 300));
        frame->lane = dice < 20 ? FRAME_STATE : FRAME_EVENT;
        (void)!outbox_offer(&set, box, frame, (enum outbox_policy)(dice % outbox_policies));
        frame_unref(&frames, frame);
    } else if (dice < 80 && box->in_flight == 0) {
        if (outbox_single(box) != nullptr && dice < 70)
            pass(box);
        else
            (void)gather(box, 16);
    } else if (dice < 95 && box->in_flight > 0) {
        uint32_t size = 0;
        for (uint32_t i = 0; i < box->in_flight; i++)
            size += (*slot_at(box, i))->wire_size - (i == 0 ? box->head_sent : 0);
        outbox_sent(&set, box, (uint32_t)random_below(random, (uint64_t)size + 1));
    } else if (dice < 97) {
        clear(box);
    } else if (outbox_is_over(&set) && outbox_worst(&set) != nullptr) {
        outbox_shed(&set, outbox_worst(&set));
    }
}

TEST("after any number of random steps the books agree with a count of everything")
{
    begin_with(box_count / 2);
    set.bytes_owed_max = 300'000;
    struct random random = {.state = 7};
    uint32_t wrong = 0;
    for (uint32_t step = 0; step < 60'000 && wrong == 0; step++) {
        one_step(&random);
        wrong += !books_agree();
    }
    EXPECT_EQ(wrong, 0);
    EXPECT(set.counters.dropped_shed > 100);
    end();
}

TEST("when a crowd has left, storage and frames give their pages back")
{
    begin();
    for (uint32_t i = 0; i < box_count; i++)
        for (uint32_t j = 0; j < 8; j++)
            push(&boxes[i], 3000);
    EXPECT_EQ(set.storage.touched, box_count);
    for (uint32_t i = 0; i < box_count; i++)
        clear(&boxes[i]);
    outbox_set_trim(&set);
    EXPECT_EQ(set.storage.touched, 0);
    EXPECT_EQ(frames.classes[3].touched, 0);
    push(&boxes[0], 3000);
    end();
}

TEST("a spared outbox is not named again until it has been empty, and what it owes still counts")
{
    begin();
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < 2; j++)
            push(&boxes[i], 60'000 - 30'000 * i);
    EXPECT(outbox_worst(&set) == &boxes[0]);
    outbox_spare(&set, &boxes[0]);
    EXPECT(outbox_worst(&set) == &boxes[1]);
    push(&boxes[0], 60'000);
    EXPECT(outbox_worst(&set) == &boxes[1]);
    EXPECT_EQ(set.bytes_owed, 240'000);
    EXPECT_EQ(set.bytes_leaving, 0);
    outbox_clear(&set, &boxes[0]);
    for (uint32_t j = 0; j < 2; j++)
        push(&boxes[0], 60'000);
    EXPECT(outbox_worst(&set) == &boxes[0]);
    end();
}
