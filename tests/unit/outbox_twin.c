#include "check.h"
#include "outbox/outbox.h"
#include "outboxes.h"

static void begin(size_t budget)
{
    outboxes_begin(budget, 8);
}

/* Everything has come home. */
static void end(void)
{
    outboxes_end();
}

/* Compressible by its repetitions, which are 600 bytes apart. */
static struct frame *make(enum frame_lane lane, size_t size)
{
    static uint8_t memory[100'000];
    uint32_t noise = 1;
    for (size_t i = 0; i < size; i++) {
        noise = noise * 1'664'525 + 1'013'904'223;
        memory[i] = i < 600 ? (uint8_t)(noise >> 24) : memory[i - 600];
    }
    struct frame *frame = frame_make(&frames, lane, WS_TEXT, (struct bytes){memory, size});
    EXPECT(frame != nullptr);
    frame->state_key = 7;
    return frame;
}

static struct frame *twin(struct frame *frame, uint8_t bits)
{
    return twin_of(&set.twins, &frames, frame, bits);
}

TEST("a frame's twin says the same in fewer bytes, with RSV1 (RFC 7692 §6.1, §7.2.1)")
{
    begin(1 << 20);
    struct frame *frame = make(FRAME_STATE, 5000), *small = twin(frame, 15);
    EXPECT(small != frame && small->wire_size < 1000);
    EXPECT_EQ(small->wire[0], 0xC1);
    EXPECT_EQ(small->lane, FRAME_STATE);
    EXPECT_EQ(small->state_key, 7);
    EXPECT_EQ(small->bits, 15);
    alignas(64) static uint8_t memory[ws_inflater_size];
    static uint8_t output[5000];
    struct ws_inflater *inflater = ws_inflater_make((struct bytes){memory, sizeof memory});
    struct bytes message = {}, payload = frame_payload(small);
    ws_inflater_begin(inflater, WS_BINARY, payload.size, (struct bytes){output, sizeof output});
    EXPECT_EQ(ws_inflater_feed(inflater, payload), WS_OK);
    EXPECT_EQ(ws_inflater_end(inflater, &message), WS_OK);
    EXPECT(message.size == 5000 && memcmp(message.data, frame_payload(frame).data, 5000) == 0);
    frame_unref(&frames, frame);
    end();
}

TEST("a frame is compressed once for each window, however many ask")
{
    begin(1 << 20);
    struct frame *frame = make(FRAME_EVENT, 5000), *of[16] = {};
    for (uint8_t bits = 9; bits <= 15; bits++)
        of[bits] = twin(frame, bits);
    uint64_t deflates = set.twins.counters.deflates;
    for (uint32_t round = 0; round < 10; round++)
        for (uint8_t bits = 9; bits <= 15; bits++)
            EXPECT(twin(frame, bits) == of[bits]);
    EXPECT_EQ(set.twins.counters.deflates, deflates);
    /* 5000 bytes fit into 2^13, so from there on one is as good as another */
    EXPECT(of[13] == of[15] && of[14] == of[15] && of[12] != of[15] && of[12] != of[11]);
    EXPECT(of[9] != frame && of[9] != of[10]);
    EXPECT_EQ(deflates, 5);
    frame_unref(&frames, frame);
    end();
}

TEST("what is below the threshold, or does not shrink, is sent as it is")
{
    begin(1 << 20);
    set.twins.threshold = 1000;
    struct frame *below = make(FRAME_STATE, 999), *at = make(FRAME_STATE, 1000);
    EXPECT(twin(below, 15) == below);
    EXPECT(twin(at, 15) != at);
    set.twins.threshold = 0;
    struct frame *noise = make(FRAME_STATE, 600), *empty = make(FRAME_STATE, 0);
    EXPECT(twin(noise, 15) == noise);
    EXPECT(twin(noise, 15) == noise);
    EXPECT(twin(empty, 15) == empty);
    EXPECT_EQ(set.twins.counters.deflates, 2);
    EXPECT_EQ(set.twins.counters.dense, 1);
    frame_unref(&frames, below);
    frame_unref(&frames, at);
    frame_unref(&frames, noise);
    frame_unref(&frames, empty);
    end();
}

TEST("control frames, HTTP answers and twins have no twin (RFC 7692 §6.1)")
{
    begin(1 << 20);
    static uint8_t spaces[2000] = {};
    struct bytes payload = {spaces, 100}, answer = {spaces, sizeof spaces};
    struct frame *table[] = {
        frame_make(&frames, FRAME_CONTROL, WS_PING, payload),
        frame_make(&frames, FRAME_PONG, WS_PONG, payload),
        frame_make_raw(&frames, answer),
        make(FRAME_EVENT, 5000),
    };
    EXPECT(twin(table[3], 15) != table[3]);
    EXPECT(twin(table[3]->twins, 9) == table[3]->twins);
    for (size_t i = 0; i < 4; i++) {
        if (i < 3) EXPECT(twin(table[i], 15) == table[i]);
        frame_unref(&frames, table[i]);
    }
    end();
}

TEST("the largest frame that there can be is compressed, too")
{
    begin(1 << 20);
    struct frame *frame = make(FRAME_EVENT, 100'000);
    EXPECT(twin(frame, 15) != frame && twin(frame, 10) != frame);
    frame_unref(&frames, frame);
    size_t size = frame_class_sizes[frame_size_classes - 1] - ws_header_size_max_server;
    uint8_t *payload = calloc(1, size);
    frame = frame_make(&frames, FRAME_EVENT, WS_BINARY, (struct bytes){payload, size});
    EXPECT(twin(frame, 15) != frame);
    frame_unref(&frames, frame);
    free(payload);
    end();
}

TEST("without memory for a twin the frame goes as it is, and is not compressed again")
{
    begin(16 * 1024); // one of 8 KiB twice, none of 32 KiB
    struct frame *held[200], *frame = make(FRAME_EVENT, 5000);
    uint32_t count = 0;
    while ((held[count] = frame_make(&frames, FRAME_EVENT, WS_TEXT, (struct bytes){})) != nullptr)
        count += 1;
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(twin(frame, 15) == frame);
    EXPECT_EQ(set.twins.counters.deflates, 1);
    for (uint32_t i = 0; i < count; i++)
        frame_unref(&frames, held[i]);
    frame_unref(&frames, frame);
    end();
}

TEST("a twin outlives its frame while somebody sends it")
{
    begin(1 << 20);
    struct frame *frame = make(FRAME_EVENT, 5000), *small = frame_ref(twin(frame, 15));
    EXPECT_EQ(frames.bytes_of_twins, frame_memory(&frames, small));
    frame_unref(&frames, frame);
    EXPECT_EQ(frames.live, 1);
    EXPECT_EQ(frames.bytes_of_twins, 0);
    EXPECT_EQ(small->refs, 1);
    EXPECT(small->twins == nullptr);
    frame_unref(&frames, small);
    end();
}

TEST("a frame on loan is compressed where it is sent, and the loan goes home")
{
    begin(1 << 20);
    struct mailbox_returns home = {};
    struct frame *frame = make(FRAME_STATE, 5000);
    struct frame_loan loan = {.home = &home, .frame = frame};
    struct frame *borrowed = frame_borrow(&frames, &loan);
    struct frame *small = frame_ref(twin(borrowed, 12));
    EXPECT(small != borrowed && frame->twins == nullptr);
    frame_unref(&frames, borrowed);
    EXPECT(mailbox_take_returns(&home) == &loan.back);
    EXPECT_EQ(small->state_key, 7);
    frame_unref(&frames, small);
    frame_unref(&frames, frame);
    end();
}

TEST("in an outbox the twin takes the frame's place, also in what is owed, but not a pinned one's")
{
    begin(1 << 20);
    struct outbox box = {};
    struct iovec pieces[8];
    struct frame *first = make(FRAME_EVENT, 5000), *second = make(FRAME_EVENT, 5001);
    EXPECT_EQ(outbox_push(&set, &box, first), OUTBOX_QUEUED);
    EXPECT_EQ(outbox_gather(&box, pieces, 8), 1);
    outbox_sent(&set, &box, 10); // the peer has ten bytes of the first
    EXPECT_EQ(outbox_push(&set, &box, second), OUTBOX_QUEUED);
    outbox_deflate(&set, &box, 15);
    EXPECT_EQ(outbox_gather(&box, pieces, 8), 2);
    EXPECT_EQ(pieces[0].iov_len, first->wire_size - 10);
    EXPECT_EQ(pieces[1].iov_len, second->twins->wire_size);
    EXPECT_EQ(box.bytes, pieces[0].iov_len + pieces[1].iov_len);
    EXPECT_EQ(set.bytes_owed, box.bytes);
    EXPECT_EQ(second->refs, 1);
    EXPECT_EQ(second->twins->refs, 2);
    outbox_deflate(&set, &box, 15); // nothing more to do
    EXPECT_EQ(set.bytes_owed, box.bytes);
    outbox_sent(&set, &box, box.bytes);
    frame_unref(&frames, first);
    frame_unref(&frames, second);
    end();
}

TEST(
    "a newer state takes the place of a twin of an older one, and a twin that fell short gives way")
{
    begin(1 << 20);
    struct outbox box = {};
    struct frame *older = make(FRAME_STATE, 5000), *newer = make(FRAME_STATE, 5001);
    EXPECT_EQ(outbox_push(&set, &box, older), OUTBOX_QUEUED);
    outbox_deflate(&set, &box, 15);
    struct frame *passing = frame_ref(outbox_single(&box));
    EXPECT(passing == older->twins);
    EXPECT_EQ(outbox_push(&set, &box, newer), OUTBOX_REPLACED);
    EXPECT(outbox_single(&box) == newer);
    EXPECT(outbox_put_back(&set, &box, passing, 0)); // as if it had passed, and nothing was taken
    EXPECT_EQ(box.count, 1);
    EXPECT_EQ(set.bytes_owed, newer->wire_size);
    frame_unref(&frames, passing);
    outbox_clear(&set, &box);
    frame_unref(&frames, older);
    frame_unref(&frames, newer);
    end();
}

TEST("an outbox with storage of many frames is compressed as far as one send goes")
{
    begin(4 << 20);
    struct outbox box = {};
    struct iovec pieces[outbox_gather_max];
    struct frame *frame = make(FRAME_EVENT, 2000);
    for (uint32_t i = 0; i < 100; i++)
        EXPECT_EQ(outbox_push(&set, &box, frame), OUTBOX_QUEUED);
    outbox_deflate(&set, &box, 15);
    EXPECT_EQ(set.bytes_owed, 64 * frame->twins->wire_size + 36 * frame->wire_size);
    EXPECT_EQ(set.bytes_owed, box.bytes);
    EXPECT_EQ(outbox_gather(&box, pieces, outbox_gather_max), 64);
    outbox_sent(&set, &box, 64 * frame->twins->wire_size);
    EXPECT_EQ(box.count, 36);
    outbox_clear(&set, &box);
    frame_unref(&frames, frame);
    end();
}
