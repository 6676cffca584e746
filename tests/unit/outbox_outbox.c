#include "outbox/outbox.h"
#include "check.h"
#include "outboxes.h"
#include <stdlib.h>

static struct outbox box;

/* A worker's outboxes, `storages` of which may be long, and one empty outbox. */
static void begin(uint32_t storages)
{
    outboxes_begin(4 << 20, storages);
    outbox_init(&box);
}

/* Everything must have come home. */
static void end(void)
{
    outbox_clear(&set, &box);
    EXPECT_EQ(box.bytes, 0);
    outboxes_end();
}

/* A frame of `size` wire bytes, each of them `mark`. */
static struct frame *make(enum frame_lane lane, uint32_t key, char mark, uint32_t size)
{
    static uint8_t wire[130'000];
    memset(wire, mark, size);
    struct frame *frame = frame_make_raw(&frames, (struct bytes){wire, size});
    if (frame == nullptr) abort();
    frame->lane = lane;
    frame->state_key = key;
    return frame;
}

static enum outbox_answer push(enum frame_lane lane, uint32_t key, char mark, uint32_t size)
{
    struct frame *frame = make(lane, key, mark, size);
    enum outbox_answer answer = outbox_push(&set, &box, frame);
    frame_unref(&frames, frame);
    return answer;
}

/* The marks of what the next send would carry, one for each piece, and how long each is. */
static struct text gathered(uint32_t max)
{
    static char marks[outbox_gather_max];
    struct iovec pieces[outbox_gather_max];
    uint32_t count = outbox_gather(&box, pieces, max);
    for (uint32_t i = 0; i < count; i++)
        marks[i] = ((char *)pieces[i].iov_base)[0];
    return (struct text){marks, count};
}

TEST("frames leave in the order in which they came, and the last one lets the storage go")
{
    begin(1);
    for (char mark = 'a'; mark <= 'j'; mark++)
        EXPECT_EQ(push(FRAME_EVENT, 0, mark, 10), OUTBOX_QUEUED);
    EXPECT_EQ(set.storage.in_use, 1);
    EXPECT_EQ(box.bytes, 100);
    EXPECT_TEXT(gathered(outbox_gather_max), "abcdefghij");
    outbox_sent(&set, &box, 100);
    EXPECT(outbox_is_empty(&box));
    EXPECT_EQ(set.storage.in_use, 0);
    EXPECT_EQ(set.counters.frames_sent[FRAME_EVENT], 10);
    EXPECT_EQ(set.counters.bytes_sent, 100);
    end();
}

TEST("a partly sent frame goes on at its next byte")
{
    begin(1);
    (void)!push(FRAME_EVENT, 0, 'a', 10);
    (void)!push(FRAME_EVENT, 0, 'b', 10);
    EXPECT_TEXT(gathered(8), "ab");
    outbox_sent(&set, &box, 13);
    struct iovec pieces[8];
    EXPECT_EQ(outbox_gather(&box, pieces, 8), 1);
    EXPECT_EQ(pieces[0].iov_len, 7);
    outbox_sent(&set, &box, 7);
    EXPECT(outbox_is_empty(&box));
    end();
}

TEST("a send of one byte at a time delivers every byte once")
{
    begin(1);
    (void)!push(FRAME_EVENT, 0, 'a', 3);
    (void)!push(FRAME_STATE, 1, 'b', 2);
    char received[8];
    uint32_t count = 0;
    struct iovec pieces[8];
    while (outbox_gather(&box, pieces, 8) > 0) {
        received[count++] = *(char *)pieces[0].iov_base;
        outbox_sent(&set, &box, 1);
    }
    EXPECT_TEXT(((struct text){received, count}), "aaabb");
    end();
}

TEST("the unsent snapshot of its key makes way for a newer one, which comes behind all others")
{
    begin(1);
    EXPECT_EQ(push(FRAME_STATE, 1, 'a', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_STATE, 2, 'x', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 30), OUTBOX_REPLACED);
    EXPECT_EQ(box.bytes, 50);
    EXPECT_EQ(set.counters.conflated, 1);
    EXPECT_TEXT(gathered(8), "xeb");
    outbox_sent(&set, &box, 50);
    end();
}

/* Frames of the lanes and keys that the words name: "e" an event, a digit the snapshot of its key.
 * They are pushed one by one, or at once where that is possible. */
static void push_words(const char *words, bool at_once)
{
    struct frame *made[16];
    uint32_t count = 0;
    for (; words[count] != '\0'; count++) {
        bool event = words[count] == 'e';
        made[count] = make(event ? FRAME_EVENT : FRAME_STATE, event ? 0 : (uint32_t)words[count],
                           words[count], 10);
    }
    if (!at_once || !outbox_append_all(&set, &box, made, count))
        for (uint32_t i = 0; i < count; i++)
            (void)!outbox_offer(&set, &box, made[i], OUTBOX_CONFLATE);
    for (uint32_t i = 0; i < count; i++)
        frame_unref(&frames, made[i]);
}

TEST("several frames pushed at once leave what they leave one by one")
{
    const char *const firsts[] = {"", "e", "ee", "1", "e12", "eeeee", "12345"};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        char left[2][32];
        size_t counts[2];
        for (int at_once = 0; at_once < 2; at_once++) {
            begin(1);
            push_words(firsts[i], false);
            push_words("1234567", at_once != 0);
            struct text words = gathered(32);
            memcpy(left[at_once], words.data, words.size);
            counts[at_once] = words.size;
            EXPECT_EQ(box.bytes, 10 * words.size);
            EXPECT_EQ(set.bytes_owed, 10 * words.size);
            outbox_sent(&set, &box, box.bytes);
            EXPECT(!list_is_linked(&box.dirty_link));
            end();
        }
        EXPECT(counts[0] == counts[1] && memcmp(left[0], left[1], counts[0]) == 0);
    }
}

TEST("several frames are pushed at once only where all of them fit and none has an older version")
{
    begin(1);
    struct frame *state = make(FRAME_STATE, 7, 's', 10);
    struct frame *event = make(FRAME_EVENT, 0, 'e', 10);
    struct frame *const both[] = {state, event};
    EXPECT(outbox_append_all(&set, &box, both, 2));
    EXPECT(!outbox_append_all(&set, &box, both, 2));
    EXPECT_EQ(box.count, 2);
    EXPECT_TEXT(gathered(8), "se");
    outbox_sent(&set, &box, 20);
    for (uint32_t i = 0; i + 1 < outbox_frames_max; i++)
        EXPECT_EQ(outbox_push(&set, &box, event), OUTBOX_QUEUED);
    EXPECT(!outbox_append_all(&set, &box, both, 2));
    EXPECT_EQ(box.count, outbox_frames_max - 1);
    EXPECT(outbox_append_all(&set, &box, both, 1));
    frame_unref(&frames, state);
    frame_unref(&frames, event);
    end();
}

TEST("a snapshot in flight is never replaced: the newer one waits behind it")
{
    begin(1);
    (void)!push(FRAME_STATE, 1, 'a', 10);
    EXPECT_TEXT(gathered(8), "a");
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_STATE, 1, 'c', 10), OUTBOX_REPLACED);
    outbox_sent(&set, &box, 10);
    EXPECT_TEXT(gathered(8), "c");
    outbox_sent(&set, &box, 10);
    end();
}

TEST("a partly sent snapshot is never replaced, armed send or not")
{
    begin(1);
    (void)!push(FRAME_STATE, 1, 'a', 10);
    (void)gathered(8);
    outbox_sent(&set, &box, 4);
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 10), OUTBOX_QUEUED);
    struct iovec pieces[8];
    EXPECT_EQ(outbox_gather(&box, pieces, 8), 2);
    EXPECT_EQ(pieces[0].iov_len, 6);
    EXPECT_EQ(*(char *)pieces[0].iov_base, 'a');
    outbox_sent(&set, &box, 16);
    end();
}

TEST("a snapshot that a failed send gave back untouched may be replaced again")
{
    begin(1);
    (void)!push(FRAME_STATE, 1, 'a', 10);
    (void)gathered(8);
    outbox_sent(&set, &box, 0);
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 10), OUTBOX_REPLACED);
    EXPECT_TEXT(gathered(8), "b");
    outbox_sent(&set, &box, 10);
    end();
}

TEST("a send that fell short gives back a second version of a snapshot, which gives way at once")
{
    begin(1);
    (void)!push(FRAME_EVENT, 0, 'e', 10);
    (void)!push(FRAME_STATE, 1, 'a', 10);
    (void)!push(FRAME_EVENT, 0, 'f', 10);
    EXPECT_TEXT(gathered(8), "eaf");
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 10), OUTBOX_QUEUED);
    outbox_sent(&set, &box, 4);
    EXPECT_EQ(set.counters.conflated, 1);
    EXPECT_EQ(push(FRAME_STATE, 1, 'c', 10), OUTBOX_REPLACED);
    EXPECT_EQ(set.counters.conflated, 2);
    EXPECT_EQ(box.bytes, 26);
    EXPECT_TEXT(gathered(8), "efc");
    outbox_sent(&set, &box, 26);
    end();
}

TEST("a peer that takes a few bytes of each send has one newer snapshot and one pong waiting")
{
    begin(1);
    for (uint32_t i = 0; i < 95; i++) {
        enum outbox_answer answer = push(FRAME_STATE, 1, (char)('a' + i % 26), 100);
        EXPECT(!outbox_refused(answer));
        answer = push(FRAME_PONG, 0, 'p', 10);
        EXPECT(!outbox_refused(answer));
        EXPECT(box.count <= 5);
        EXPECT(gathered(8).size <= 3);
        EXPECT(!outbox_refused(push(FRAME_STATE, 1, 'z', 100)));
        EXPECT(!outbox_refused(push(FRAME_PONG, 0, 'q', 10)));
        outbox_sent(&set, &box, 1);
        EXPECT_EQ(box.count, 3);
    }
    EXPECT_TEXT(gathered(8), "azq");
    outbox_sent(&set, &box, 5 + 100 + 10);
    EXPECT_EQ(set.counters.conflated, 2 * 95 - 2);
    EXPECT_EQ(set.counters.pongs_replaced, 2 * 95 - 1);
    end();
}

TEST("at most one pong waits, and it is the latest (RFC 6455 §5.5.3)")
{
    begin(1);
    EXPECT_EQ(push(FRAME_PONG, 0, 'a', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_PONG, 0, 'b', 10), OUTBOX_REPLACED);
    EXPECT_TEXT(gathered(8), "b");
    EXPECT_EQ(push(FRAME_PONG, 0, 'c', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_PONG, 0, 'd', 10), OUTBOX_REPLACED);
    EXPECT_EQ(box.count, 2);
    outbox_sent(&set, &box, 10);
    EXPECT_EQ(set.counters.pongs_replaced, 2);
    end();
}

TEST("the 257th event finds the outbox full, and nothing changes (S1-15, S2-18)")
{
    begin(1);
    for (uint32_t i = 0; i < outbox_frames_max; i++)
        EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'f', 10), OUTBOX_FULL);
    EXPECT_EQ(box.count, outbox_frames_max);
    EXPECT_EQ(box.bytes, 10 * outbox_frames_max);
    end();
}

TEST("a snapshot finds its older version in a full outbox")
{
    begin(1);
    (void)!push(FRAME_STATE, 1, 'a', 10);
    for (uint32_t i = 1; i < outbox_frames_max; i++)
        (void)!push(FRAME_EVENT, 0, 'e', 10);
    EXPECT_EQ(push(FRAME_STATE, 1, 'b', 10), OUTBOX_REPLACED);
    EXPECT_EQ(push(FRAME_STATE, 2, 'x', 10), OUTBOX_FULL);
    end();
}

TEST("bytes are bounded, too, but what is larger than the bound may enter an empty outbox")
{
    begin(1);
    while (box.bytes + 100'000 <= outbox_bytes_max)
        EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 100'000), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'f', 100'000), OUTBOX_FULL);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'g', 1000), OUTBOX_QUEUED);
    end();
}

TEST("a fifth frame needs storage from the pool, and says so when it is dry")
{
    begin(0);
    for (uint32_t i = 0; i < outbox_inline_frames; i++)
        EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 10), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'f', 10), OUTBOX_NO_SPACE);
    EXPECT_EQ(box.count, outbox_inline_frames);
    end();
}

TEST("growing keeps the order, wherever the inline ring had its head and whatever is in flight")
{
    for (uint32_t sent = 0; sent <= outbox_inline_frames; sent++) {
        begin(1);
        for (uint32_t i = 0; i < outbox_inline_frames; i++)
            (void)!push(FRAME_EVENT, 0, 'x', 1);
        (void)gathered(8);
        outbox_sent(&set, &box, sent);
        for (uint32_t i = box.count; i < outbox_inline_frames; i++)
            (void)!push(FRAME_EVENT, 0, 'y', 1);
        (void)gathered(1);
        EXPECT_EQ(push(FRAME_EVENT, 0, 'z', 1), OUTBOX_QUEUED);
        outbox_sent(&set, &box, 0);
        struct text marks = gathered(8);
        EXPECT_EQ(marks.size, outbox_inline_frames + 1);
        EXPECT_EQ(marks.data[outbox_inline_frames], 'z');
        for (uint32_t i = 0; i < outbox_inline_frames; i++)
            EXPECT_EQ(marks.data[i], i < outbox_inline_frames - sent ? 'x' : 'y');
        outbox_sent(&set, &box, outbox_inline_frames + 1);
        end();
    }
}

TEST("making room for a last word spares the answer that opens the stream, and clearing nothing")
{
    begin(1);
    EXPECT_EQ(push(FRAME_CONTROL, 0, 'a', 10), OUTBOX_QUEUED);
    for (char mark = 'b'; mark <= 'h'; mark++)
        (void)!push(FRAME_EVENT, 0, mark, 10);
    EXPECT_EQ(outbox_drop_unsent(&set, &box), 7);
    EXPECT_EQ(outbox_drop_unsent(&set, &box), 0);
    EXPECT_EQ(push(FRAME_CONTROL, 0, 'z', 10), OUTBOX_QUEUED);
    EXPECT_TEXT(gathered(8), "az");
    outbox_sent(&set, &box, 0);
    outbox_clear(&set, &box);
    EXPECT(outbox_is_empty(&box));
    end();
}

TEST("making room for a last word spares what the kernel or the peer has part of")
{
    begin(1);
    for (char mark = 'a'; mark <= 'h'; mark++)
        (void)!push(FRAME_EVENT, 0, mark, 10);
    (void)gathered(3);
    EXPECT_EQ(outbox_drop_unsent(&set, &box), 5);
    EXPECT_EQ(box.bytes, 30);
    EXPECT_EQ(push(FRAME_CONTROL, 0, 'z', 10), OUTBOX_QUEUED);
    outbox_sent(&set, &box, 25);
    EXPECT_TEXT(gathered(8), "cz");
    outbox_sent(&set, &box, 15);
    end();
}

TEST("a dirty outbox is listed once, and not while a send carries all of it")
{
    begin(1);
    (void)!push(FRAME_EVENT, 0, 'a', 10);
    (void)!push(FRAME_EVENT, 0, 'b', 10);
    EXPECT(set.dirty.next == &box.dirty_link && set.dirty.previous == &box.dirty_link);
    (void)gathered(8);
    EXPECT(list_is_empty(&set.dirty));
    outbox_sent(&set, &box, 5);
    EXPECT(!list_is_empty(&set.dirty));
    end();
}

TEST("random pushes and sends never lose, repeat or reorder a byte of what was queued")
{
    begin(1);
    uint64_t state = 1;
    uint32_t queued = 0, received = 0;
    for (uint32_t step = 0; step < 20'000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t dice = (uint32_t)(state >> 33);
        if (dice % 2 == 0) {
            uint32_t size = 1 + dice % 300;
            uint8_t wire[300];
            for (uint32_t i = 0; i < size; i++)
                wire[i] = (uint8_t)(queued + i);
            struct frame *frame = frame_make_raw(&frames, (struct bytes){wire, size});
            if (outbox_push(&set, &box, frame) == OUTBOX_QUEUED) queued += size;
            frame_unref(&frames, frame);
            continue;
        }
        struct iovec pieces[outbox_gather_max];
        uint32_t count = outbox_gather(&box, pieces, 1 + dice % outbox_gather_max), size = 0;
        for (uint32_t i = 0; i < count; i++)
            size += (uint32_t)pieces[i].iov_len;
        uint32_t taken = size > 0 ? dice / 7 % (size + 1) : 0, left = taken;
        for (uint32_t i = 0; i < count && left > 0; i++)
            for (size_t j = 0; j < pieces[i].iov_len && left > 0; j++, left--)
                if (((uint8_t *)pieces[i].iov_base)[j] != (uint8_t)received++) EXPECT(false);
        outbox_sent(&set, &box, taken);
    }
    EXPECT(received > 100'000);
    EXPECT_EQ(queued - received, box.bytes);
    end();
}

/* ---- frames sent past the outbox ---- */

/* A frame with one reference, the test's, that has passed the empty outbox. */
static struct frame *pass(enum frame_lane lane, uint32_t key, char mark, uint32_t size)
{
    struct frame *frame = make(lane, key, mark, size);
    EXPECT_EQ(outbox_push(&set, &box, frame), OUTBOX_QUEUED);
    EXPECT(outbox_single(&box) == frame);
    outbox_pass(&set, &box);
    EXPECT(outbox_is_empty(&box) && box.bytes == 0);
    EXPECT_EQ(frame->refs, 1);
    return frame;
}

/* The kernel took only `size` bytes of it. */
static bool put_back(struct frame *frame, uint32_t size)
{
    bool fits = outbox_put_back(&set, &box, frame, size);
    frame_unref(&frames, frame);
    return fits;
}

TEST("only a frame that is alone and untouched may be sent past the outbox")
{
    begin(1);
    EXPECT(outbox_single(&box) == nullptr);
    (void)!push(FRAME_EVENT, 0, 'a', 10);
    EXPECT(outbox_single(&box) != nullptr && outbox_single(&box)->wire[0] == 'a');
    (void)gathered(8);
    EXPECT(outbox_single(&box) == nullptr); /* in flight */
    outbox_sent(&set, &box, 4);
    EXPECT(outbox_single(&box) == nullptr); /* the peer has part of it */
    (void)gathered(8);
    outbox_sent(&set, &box, 6);
    (void)!push(FRAME_EVENT, 0, 'b', 10);
    EXPECT(outbox_single(&box) != nullptr && outbox_single(&box)->wire[0] == 'b');
    (void)!push(FRAME_PONG, 0, 'c', 10);
    EXPECT(outbox_single(&box) == nullptr); /* not alone */
    end();
}

TEST("a single frame that came behind others does not pass: its peer has just fallen behind")
{
    for (uint32_t sent = 0; sent < 2 * outbox_inline_frames; sent++) {
        begin(1);
        for (uint32_t i = 0; i <= sent; i++)
            (void)!push(FRAME_EVENT, 0, (char)('a' + i), 1);
        (void)gathered(outbox_gather_max);
        outbox_sent(&set, &box, sent);
        EXPECT_EQ(outbox_single(&box) != nullptr, sent == 0);
        EXPECT_EQ(gathered(outbox_gather_max).size, 1);
        outbox_sent(&set, &box, 1);
        (void)!push(FRAME_EVENT, 0, 'z', 1);
        EXPECT(outbox_single(&box) != nullptr && outbox_single(&box)->wire[0] == 'z');
        EXPECT_EQ(set.storage.in_use, 0);
        end();
    }
}

TEST("a frame that passes leaves the outbox empty and clean, and counts as sent")
{
    begin(1);
    struct frame *frame = pass(FRAME_STATE, 1, 'a', 10);
    EXPECT(list_is_empty(&set.dirty));
    EXPECT_EQ(set.counters.bytes_sent, 10);
    EXPECT_EQ(set.counters.frames_sent[FRAME_STATE], 1);
    frame_unref(&frames, frame);
    end();
}

TEST("what fell short goes on at its next byte, before everything that was pushed since")
{
    begin(1);
    struct frame *frame = pass(FRAME_EVENT, 0, 'a', 10);
    (void)!push(FRAME_EVENT, 0, 'b', 10);
    (void)!push(FRAME_PONG, 0, 'p', 10);
    EXPECT(put_back(frame, 3));
    EXPECT_EQ(set.counters.bytes_sent, 3);
    EXPECT_EQ(set.counters.frames_sent[FRAME_EVENT], 0);
    EXPECT_EQ(box.bytes, 27);
    struct iovec pieces[8];
    EXPECT_EQ(outbox_gather(&box, pieces, 8), 3);
    EXPECT_EQ(pieces[0].iov_len, 7);
    EXPECT(((char *)pieces[0].iov_base)[0] == 'a' && ((char *)pieces[1].iov_base)[0] == 'b');
    outbox_sent(&set, &box, 27);
    EXPECT_EQ(set.counters.bytes_sent, 30);
    EXPECT_EQ(set.counters.frames_sent[FRAME_EVENT], 2);
    end();
}

TEST("what fell short makes an empty outbox dirty again")
{
    begin(1);
    EXPECT(put_back(pass(FRAME_EVENT, 0, 'a', 10), 0));
    EXPECT(set.dirty.next == &box.dirty_link);
    EXPECT_EQ(set.counters.frames_sent[FRAME_EVENT], 0);
    EXPECT_EQ(set.counters.bytes_sent, 0);
    EXPECT_TEXT(gathered(8), "a");
    outbox_sent(&set, &box, 10);
    end();
}

TEST("a snapshot of which nothing was sent gives way to a newer one of its key, and to no other")
{
    begin(1);
    struct frame *frame = pass(FRAME_STATE, 1, 'a', 10);
    (void)!push(FRAME_STATE, 2, 'x', 10);
    (void)!push(FRAME_STATE, 1, 'b', 10);
    EXPECT(put_back(frame, 0));
    EXPECT_EQ(set.counters.conflated, 1);
    EXPECT_EQ(box.bytes, 20);
    EXPECT_EQ(set.counters.frames_sent[FRAME_STATE], 0);
    EXPECT_TEXT(gathered(8), "xb");
    outbox_sent(&set, &box, 20);
    frame = pass(FRAME_STATE, 1, 'c', 10);
    (void)!push(FRAME_STATE, 2, 'y', 10);
    (void)!push(FRAME_EVENT, 1, 'e', 10);
    EXPECT(put_back(frame, 0));
    EXPECT_EQ(set.counters.conflated, 1);
    EXPECT_TEXT(gathered(8), "cye");
    outbox_sent(&set, &box, 30);
    end();
}

TEST("a pong of which nothing was sent gives way to a newer one (RFC 6455 §5.5.3)")
{
    begin(1);
    struct frame *frame = pass(FRAME_PONG, 0, 'a', 10);
    (void)!push(FRAME_PONG, 0, 'b', 10);
    EXPECT(put_back(frame, 0));
    EXPECT_EQ(set.counters.pongs_replaced, 1);
    EXPECT_TEXT(gathered(8), "b");
    outbox_sent(&set, &box, 10);
    end();
}

TEST("a snapshot of which the peer has a byte is put back though a newer one waits, and is pinned")
{
    begin(1);
    struct frame *frame = pass(FRAME_STATE, 1, 'a', 10);
    (void)!push(FRAME_STATE, 1, 'b', 10);
    EXPECT(put_back(frame, 1));
    EXPECT_EQ(set.counters.conflated, 0);
    EXPECT_EQ(push(FRAME_STATE, 1, 'c', 10), OUTBOX_REPLACED);
    EXPECT_EQ(outbox_drop_unsent(&set, &box), 1);
    EXPECT_EQ(push(FRAME_STATE, 1, 'd', 10), OUTBOX_QUEUED);
    EXPECT_TEXT(gathered(8), "ad");
    outbox_sent(&set, &box, 19);
    end();
}

TEST("what fell short finds its place however much was pushed since, or says that there is none")
{
    for (uint32_t since = 0; since <= outbox_frames_max; since++) {
        begin(1);
        struct frame *frame = pass(FRAME_EVENT, 0, 'a', 10);
        for (uint32_t i = 0; i < since; i++)
            EXPECT_EQ(push(FRAME_EVENT, 0, (char)('b' + i % 25), 10), OUTBOX_QUEUED);
        EXPECT_EQ(put_back(frame, 4), since < outbox_frames_max);
        EXPECT_EQ(set.counters.bytes_sent, 4);
        EXPECT_EQ(set.counters.frames_sent[FRAME_EVENT], 0);
        for (uint32_t i = since < outbox_frames_max ? 0 : 1; i <= since; i++) {
            struct iovec piece;
            EXPECT_EQ(outbox_gather(&box, &piece, 1), 1);
            EXPECT_EQ(piece.iov_len, i == 0 ? 6 : 10);
            EXPECT_EQ(*(char *)piece.iov_base, i == 0 ? 'a' : (char)('b' + (i - 1) % 25));
            outbox_sent(&set, &box, (uint32_t)piece.iov_len);
        }
        end();
    }
}

TEST("what fell short is refused when it would be the fifth frame and the pool is dry")
{
    begin(0);
    struct frame *frame = pass(FRAME_EVENT, 0, 'a', 10);
    for (uint32_t i = 0; i < outbox_inline_frames; i++)
        EXPECT_EQ(push(FRAME_EVENT, 0, 'b', 10), OUTBOX_QUEUED);
    EXPECT(!put_back(frame, 4));
    EXPECT_EQ(box.count, outbox_inline_frames);
    EXPECT_EQ(box.head_sent, 0);
    end();
}

TEST("a held outbox is not listed for a flush, whatever is pushed, until it is released")
{
    begin(1);
    struct outbox other = {};
    struct frame *frame = make(FRAME_EVENT, 0, 'o', 10);
    (void)!push(FRAME_EVENT, 0, 'a', 10);
    outbox_hold(&set, &box);
    EXPECT_EQ(outbox_push(&set, &other, frame), OUTBOX_QUEUED);
    outbox_hold(&set, &other);
    (void)!push(FRAME_EVENT, 0, 'b', 10);
    outbox_mark_dirty(&set, &box);
    EXPECT(list_is_empty(&set.dirty) && !list_is_empty(&set.held));
    outbox_release_held(&set);
    EXPECT(list_is_empty(&set.held));
    EXPECT(set.dirty.next == &box.dirty_link && set.dirty.previous == &other.dirty_link);
    outbox_release_held(&set); /* nothing is held: nothing happens */
    frame_unref(&frames, frame);
    outbox_clear(&set, &other);
    end();
}

TEST("an outbox that was taken off the list by the flush can be held, and cleared while it is held")
{
    begin(1);
    (void)!push(FRAME_EVENT, 0, 'a', 10);
    EXPECT(list_take(&set.dirty) == &box.dirty_link);
    outbox_hold(&set, &box);
    outbox_clear(&set, &box);
    EXPECT(list_is_empty(&set.held));
    end();
}

static enum outbox_answer push_reply(uint32_t size)
{
    struct frame *frame = frame_reserve(&frames, size);
    if (frame == nullptr) abort();
    frame_finish(frame, WS_BINARY, size);
    enum outbox_answer answer = outbox_push_reply(&set, &box, frame);
    frame_unref(&frames, frame);
    return answer;
}

TEST("replies are taken until much is owed, and the last of them may be of any size")
{
    begin(1);
    uint32_t count = 0;
    for (; outbox_takes_reply(&box, nullptr); count++)
        EXPECT_EQ(push_reply(1000), OUTBOX_QUEUED);
    EXPECT(box.bytes >= outbox_reply_bytes && box.bytes < outbox_reply_bytes + 1004);
    outbox_clear(&set, &box);
    for (count = 0; outbox_takes_reply(&box, nullptr); count++)
        EXPECT_EQ(push_reply(0), OUTBOX_QUEUED);
    EXPECT_EQ(count, outbox_reply_frames);
    outbox_clear(&set, &box);
    struct frame *frame = make(FRAME_EVENT, 0, 'p', outbox_reply_bytes);
    EXPECT(outbox_takes_reply(&box, nullptr) && !outbox_takes_reply(&box, frame));
    frame_unref(&frames, frame);
    end();
}

TEST("a control frame finds a place behind replies that are over the bound, and nothing else does")
{
    begin(1);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT_EQ(push_reply(130'000), OUTBOX_QUEUED);
    EXPECT(box.bytes > outbox_bytes_max);
    EXPECT_EQ(push(FRAME_CONTROL, 0, 'c', 20), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 20), OUTBOX_FULL);
    outbox_clear(&set, &box);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 10'000), OUTBOX_QUEUED);
    while (box.bytes + 100'000 <= outbox_bytes_max)
        EXPECT_EQ(push(FRAME_EVENT, 0, 'e', 100'000), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_EVENT, 0, 'e', outbox_bytes_max - box.bytes), OUTBOX_QUEUED);
    EXPECT_EQ(push(FRAME_CONTROL, 0, 'c', 20), OUTBOX_FULL);
    end();
}
