#include "base/random.h"
#include "check.h"
#include "outboxes.h"

constexpr uint64_t window_ns = 8000; /* a slice is 1000 */
constexpr uint32_t boxes_max = 32;

static struct outbox boxes[boxes_max];
static uint64_t now_ns;

static void begin(void)
{
    outboxes_begin(4 << 20, boxes_max);
    set.window.size_ns = window_ns;
    set.window.open = true;
    now_ns = 1'000'000;
    for (uint32_t i = 0; i < boxes_max; i++)
        outbox_init(&boxes[i]);
}

static void end(void)
{
    for (uint32_t i = 0; i < boxes_max; i++)
        outbox_clear(&set, &boxes[i]);
    EXPECT(list_is_empty(&set.due));
    for (uint32_t i = 0; i < outbox_slices; i++)
        EXPECT(list_is_empty(&set.window.slices[i]));
    outboxes_end();
}

static void push(uint32_t box, enum frame_lane lane, char mark)
{
    uint8_t wire[] = {(uint8_t)mark};
    struct frame *frame = frame_make_raw(&frames, (struct bytes){wire, 1});
    if (frame == nullptr) abort();
    frame->lane = lane;
    EXPECT(!outbox_refused(outbox_push(&set, &boxes[box], frame)));
    frame_unref(&frames, frame);
}

/* What one flush sends, in the order of sending: "0ab 3c" is two frames of the first outbox, and
 * one of the fourth. */
static struct text flushed(void)
{
    static char memory[1024];
    struct writer out = writer_over((uint8_t *)memory, sizeof memory);
    outbox_linger(&set, now_ns);
    list_move_all(&set.due, &set.dirty);
    for (struct list *link; (link = list_take(&set.due)) != nullptr;) {
        struct outbox *box = list_entry(link, struct outbox, dirty_link);
        struct iovec pieces[outbox_gather_max];
        uint32_t count = outbox_gather(box, pieces, outbox_gather_max);
        if (out.size > 0) write_byte(&out, ' ');
        write_u64(&out, (uint64_t)(box - boxes));
        for (uint32_t i = 0; i < count; i++)
            write_byte(&out, *(uint8_t *)pieces[i].iov_base);
        outbox_sent(&set, box, count);
    }
    return text_from(writer_bytes(&out));
}

TEST("while the window is closed nobody lingers")
{
    begin();
    set.window.open = false;
    push(0, FRAME_EVENT, 'a');
    EXPECT_EQ(outbox_due_ns(&set), UINT64_MAX);
    EXPECT_TEXT(flushed(), "0a");
    EXPECT_EQ(set.counters.lingered, 0);
    end();
}

TEST("events linger until the window is over, and go in one piece")
{
    begin();
    push(0, FRAME_EVENT, 'a');
    EXPECT_TEXT(flushed(), "");
    EXPECT_EQ(outbox_due_ns(&set), now_ns + window_ns);
    now_ns += window_ns - 1;
    push(0, FRAME_EVENT, 'b');
    EXPECT_TEXT(flushed(), "");
    now_ns += 1;
    EXPECT_TEXT(flushed(), "0ab");
    EXPECT_EQ(outbox_due_ns(&set), UINT64_MAX);
    EXPECT_EQ(set.counters.lingered, 1);
    end();
}

TEST("each lingers for as long as it began to: an eighth of the window less at most")
{
    begin();
    push(0, FRAME_EVENT, 'a');
    EXPECT_TEXT(flushed(), "");
    now_ns += window_ns / 8 - 1;
    push(1, FRAME_EVENT, 'b');
    EXPECT_TEXT(flushed(), "");
    now_ns += 1;
    push(2, FRAME_EVENT, 'c');
    EXPECT_TEXT(flushed(), "");
    now_ns += window_ns - window_ns / 8;
    EXPECT_TEXT(flushed(), "0a 1b");
    EXPECT_EQ(outbox_due_ns(&set), now_ns + window_ns / 8);
    now_ns += window_ns / 8;
    EXPECT_TEXT(flushed(), "2c");
    end();
}

TEST("what must not wait takes along what lingers before it, and waits itself for nothing")
{
    static const enum frame_lane lanes[] = {FRAME_STATE, FRAME_PONG, FRAME_CONTROL, FRAME_REPLY};
    for (size_t i = 0; i < sizeof lanes / sizeof lanes[0]; i++) {
        begin();
        push(0, FRAME_EVENT, 'a');
        push(1, FRAME_EVENT, 'b');
        EXPECT_TEXT(flushed(), "");
        push(0, lanes[i], 'c');
        EXPECT_TEXT(flushed(), "0ac");
        push(2, lanes[i], 'd');
        push(2, FRAME_EVENT, 'e');
        EXPECT_TEXT(flushed(), "2de");
        end();
    }
}

TEST("an outbox with no place left of its own is due, so that nobody takes storage for lingering")
{
    begin();
    for (char mark = 'a'; mark < 'a' + (char)outbox_inline_frames; mark++) {
        EXPECT_TEXT(flushed(), "");
        push(0, FRAME_EVENT, mark);
    }
    EXPECT_TEXT(flushed(), "0abcd");
    EXPECT_EQ(set.storage.in_use, 0);
    struct frame *made[2];
    for (uint32_t i = 0; i < 2; i++)
        made[i] = frame_make_raw(&frames, (struct bytes){(uint8_t *)"xy" + i, 1});
    made[0]->lane = made[1]->lane = FRAME_EVENT;
    EXPECT(outbox_append_all(&set, &boxes[1], made, 2));
    EXPECT_TEXT(flushed(), "");
    EXPECT(outbox_append_all(&set, &boxes[1], made, 2));
    EXPECT_TEXT(flushed(), "1xyxy");
    frame_unref(&frames, made[0]);
    frame_unref(&frames, made[1]);
    end();
}

TEST("when the window closes all who linger are due, the oldest first")
{
    begin();
    for (uint32_t i = 0; i < 5; i++) {
        push(i, FRAME_EVENT, 'a');
        EXPECT_TEXT(flushed(), "");
        now_ns += window_ns / 8;
    }
    set.window.open = false;
    push(7, FRAME_EVENT, 'b');
    EXPECT_TEXT(flushed(), "0a 1a 2a 3a 4a 7b");
    end();
}

TEST("what was put back after it had gone past the outbox does not linger again")
{
    begin();
    push(0, FRAME_EVENT, 'a');
    EXPECT_TEXT(flushed(), "");
    struct frame *frame = frame_ref(outbox_single(&boxes[0]));
    outbox_pass(&set, &boxes[0]);
    push(0, FRAME_EVENT, 'b'); /* it lingers */
    EXPECT_TEXT(flushed(), "");
    EXPECT(outbox_put_back(&set, &boxes[0], frame, 0));
    frame_unref(&frames, frame);
    EXPECT_TEXT(flushed(), "0ab");
    end();
}

TEST("what waited for the outcome of a send past it does not linger afterwards")
{
    begin();
    push(0, FRAME_EVENT, 'a');
    outbox_hold(&set, &boxes[0]);
    outbox_release_held(&set);
    EXPECT_TEXT(flushed(), "0a");
    end();
}

TEST("an outbox that is cleared while it lingers leaves nothing behind")
{
    begin();
    push(0, FRAME_EVENT, 'a');
    push(1, FRAME_EVENT, 'b');
    EXPECT_TEXT(flushed(), "");
    outbox_clear(&set, &boxes[0]);
    now_ns += window_ns;
    EXPECT_TEXT(flushed(), "1b");
    end();
}

/* The marks of one outbox's events rise; `since` is when the oldest that it holds was pushed. */
static uint64_t since_ns[boxes_max];

static void flush_and_check(void)
{
    outbox_linger(&set, now_ns);
    list_move_all(&set.due, &set.dirty);
    for (struct list *link; (link = list_take(&set.due)) != nullptr;) {
        struct outbox *box = list_entry(link, struct outbox, dirty_link);
        struct iovec pieces[outbox_gather_max];
        uint32_t count = outbox_gather(box, pieces, outbox_gather_max);
        since_ns[box - boxes] = 0;
        outbox_sent(&set, box, count);
    }
    for (uint32_t i = 0; i < boxes_max; i++) {
        EXPECT(since_ns[i] == 0 || now_ns - since_ns[i] < window_ns);
        EXPECT(since_ns[i] == 0 || outbox_due_ns(&set) <= since_ns[i] + window_ns);
        EXPECT_EQ(since_ns[i] == 0, outbox_is_empty(&boxes[i]));
    }
}

TEST("a window of a nanosecond has room for all that is pushed in it")
{
    begin();
    set.window.size_ns = 1;
    for (uint32_t i = 0; i < boxes_max; i++) {
        push(i, FRAME_EVENT, 'a');
        outbox_linger(&set, now_ns);
    }
    now_ns += 1;
    EXPECT(flushed().size > boxes_max);
    end();
}

TEST("whatever is pushed and however often is flushed, nobody lingers for longer than the window")
{
    struct random chance = {.state = 7};
    begin();
    for (uint32_t step = 0; step < 20'000; step++) {
        uint32_t pushes = (uint32_t)random_below(&chance, 6);
        for (uint32_t i = 0; i < pushes; i++) {
            uint32_t box = (uint32_t)random_below(&chance, boxes_max);
            push(box, random_below(&chance, 50) == 0 ? FRAME_CONTROL : FRAME_EVENT, 'a');
            if (since_ns[box] == 0) since_ns[box] = now_ns;
        }
        if (random_below(&chance, 100) == 0) set.window.open = !set.window.open;
        flush_and_check();
        uint64_t due_ns = outbox_due_ns(&set);
        now_ns += random_below(&chance, random_below(&chance, 4) == 0 ? 3000 : 300);
        if (now_ns > due_ns) now_ns = due_ns; /* a worker wakes up for it */
    }
    EXPECT(set.counters.lingered > 1000);
    EXPECT_EQ(set.storage.in_use, 0);
    set.window.open = false;
    flush_and_check();
    end();
}
