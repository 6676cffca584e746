/* What the simulated ring's queues, cancels, waits, wakes and writes do is what the running
 * kernel's do. */
#include "ring_sim_worlds.h"
#include <errno.h>

constexpr uint64_t ms_ns = 1'000'000;
constexpr uint64_t long_ns = 20'000 * ms_ns; /* a busy machine may be late, but not so much */

/* --- Submission ------------------------------------------------------------------------------- */

static void hand_over_later(void)
{
    struct ring_event event;
    far_write(stage.peer, "here");
    EXPECT(ring_recv(&stage.ring, token(RING_RECV, 3), stage.near_fd, true));
    say("before %u", ring_take(&stage.ring, &event, 1));
    send_text(3, "there");
    say("%u sent", far_takes(stage.peer));
    ring_submit(&stage.ring);
    next_in_any_order(2);
    far_hears(stage.peer, 5);
}

TEST("simulated as on the kernel: nothing happens before it is submitted")
{
    COMPARE(hand_over_later);
}

static void hand_over_much(void)
{
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_WRITE, 3)));
        if (i % 16 == 15) next_in_any_order(16);
    }
    next_in_any_order(4);
    say("full %u", (unsigned)stage.ring.stats.queue_full);
    quiet();
}

TEST("simulated as on the kernel: a queue that is full hands itself over")
{
    COMPARE(hand_over_much);
}

/* What the kernel does not take it takes another time, or is asked again; once each. */
static void be_refused(void)
{
    uint32_t asked = 0, told = 0;
    struct ring_event event;
    for (uint32_t tries = 0; told < 60 && tries < 10'000; tries++) {
        if (asked < 60)
            asked += ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_WRITE, 3));
        if (tries % 3 == 0) ring_wait(&stage.ring, 0);
        while (ring_take(&stage.ring, &event, 1) > 0)
            told += event.token.op == RING_CANCEL && event.result == -ENOENT && event.last;
    }
    say("%u asked, %u told", asked, told);
    quiet();
}

TEST("whatever the simulation refuses, each operation is told once, as on the kernel")
{
    COMPARE(be_refused, .faults = {.submit_none = 30'000,
                                   .submit_fewer = 30'000,
                                   .few_events = 30'000,
                                   .complete_us_max = 500});
}

/* --- Completions ------------------------------------------------------------------------------ */

/* Takes so many of the crowd in this slot. */
static void take_crowd(uint32_t slot, uint32_t count)
{
    uint32_t right = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct ring_event event = next_unsaid();
        right += event.token.op == RING_CANCEL && event.token.slot == slot && event.last &&
                 event.result == -ENOENT;
    }
    say("%u of the crowd", right);
}

/* Those that are due, into a queue that is full already: such a wait asks the kernel for them. */
static void make_completions(void)
{
    for (uint32_t i = 0; i < 3; i++)
        ring_wait(&stage.ring, 0);
}

static void overflow(void)
{
    crowd(1, queue_size);
    crowd(2, 50);
    take_crowd(1, queue_size);
    take_crowd(2, 50);
    say("overflowed %d", stage.ring.stats.overflows > 0);
    quiet();
}

TEST("simulated as on the kernel: completions that do not fit are kept, in order")
{
    COMPARE(overflow);
}

static void overflow_a_receive(void)
{
    arm_receive(3, false);
    far_write(stage.peer, "while there is room");
    (void)next();
    (void)next();
    give_all();
    crowd(1, queue_size);
    far_write(stage.peer, "over");
    make_completions();
    take_crowd(1, queue_size);
    (void)next();
    give_all();
    far_write(stage.peer, "later");
    quiet();
    arm_receive(4, false);
    (void)next();
    give_all();
    cancel_receive(4);
}

TEST("simulated as on the kernel: a multishot receive whose completion does not fit ends with it")
{
    COMPARE(overflow_a_receive);
}

static void overflow_an_accept(void)
{
    EXPECT(ring_accept(&stage.ring, token(RING_ACCEPT, 3), stage.listening));
    ring_submit(&stage.ring);
    crowd(1, queue_size);
    (void)far_connect();
    make_completions();
    take_crowd(1, queue_size);
    int fd = next().result;
    ring_close_fd(&stage.ring, fd, false);
    (void)far_connect();
    quiet();
}

TEST("simulated as on the kernel: a multishot accept whose completion does not fit ends with it")
{
    COMPARE(overflow_an_accept);
}

static void overflow_a_shortfall(void)
{
    fill();
    crowd(1, queue_size);
    send_text_now(3, "no room");
    say("settled %d", ring_settled(&stage.ring));
    take_crowd(1, queue_size);
    say("settled %d", ring_settled(&stage.ring));
    (void)next();
    say("settled %d", ring_settled(&stage.ring));
}

TEST("simulated as on the kernel: a shortfall that does not fit is told before all is settled")
{
    COMPARE(overflow_a_shortfall);
}

/* More are ready than one visit to the kernel makes (twenty, since 6.13): however many each take
 * gives, they come without another wait. */
static void take_many(void)
{
    constexpr uint32_t count = 30;
    int fds[count], peers[count];
    bool told[count] = {};
    for (uint32_t i = 0; i < count; i++) {
        peers[i] = far_connect();
        fds[i] = accept_soon();
        EXPECT(ring_recv(&stage.ring, token(RING_RECV, i), fds[i], true));
    }
    ring_submit(&stage.ring);
    quiet();
    for (uint32_t i = 0; i < count; i++)
        far_write(peers[i], "x");
    struct ring_event events[64];
    uint32_t taken = 0, once = 0;
    ring_wait(&stage.ring, ring_now(&stage.ring).ns + 1000 * ms_ns);
    for (uint32_t got; (got = ring_take(&stage.ring, events, 64)) > 0; taken += got)
        for (uint32_t i = 0; i < got; i++) {
            once += !told[events[i].token.slot];
            told[events[i].token.slot] = true;
            ring_give(&stage.ring, &events[i]);
        }
    say("%u taken, %u different", taken, once);
    for (uint32_t i = 0; i < count; i++)
        ring_close_fd(&stage.ring, fds[i], false);
}

TEST("simulated as on the kernel: what is ready is taken in one go, in however many parts")
{
    COMPARE(take_many, .receive_buffers = 64);
    COMPARE(take_many, .receive_buffers = 64, .faults = {.few_events = 40'000});
}

static void take_few(void)
{
    struct ring_event events[4];
    crowd(1, 7);
    uint32_t first = ring_take(&stage.ring, events, 4);
    say("%u, %u, %u", first, ring_take(&stage.ring, events, 4), ring_take(&stage.ring, events, 4));
}

TEST("simulated as on the kernel: a take gives no more than it was asked for, and keeps the rest")
{
    COMPARE(take_few);
}

/* --- Cancels ---------------------------------------------------------------------------------- */

static void cancel_nobody(void)
{
    arm_receive(3, false);
    const struct ring_token others[3] = {{RING_RECV, 8, 3}, {RING_RECV, 7, 4}, {RING_SEND, 7, 3}};
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, i), others[i]));
        (void)next();
    }
    far_write(stage.peer, "still armed");
    (void)next();
    give_all();
    cancel_receive(3);
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_RECV, 3)));
    (void)next();
}

TEST("simulated as on the kernel: a cancel finds only the very same token, and else is -ENOENT")
{
    COMPARE(cancel_nobody);
}

static void cancel_at_once(void)
{
    EXPECT(ring_recv(&stage.ring, token(RING_RECV, 3), stage.near_fd, false));
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_RECV, 3)));
    next_in_any_order(2);
}

TEST("simulated as on the kernel: what was asked for just before can be cancelled")
{
    COMPARE(cancel_at_once);
}

/* They may come before it is over, or are left for the next one. */
static void cancel_what_is_due(void)
{
    uint32_t heard = 0, lasts = 0;
    arm_receive(3, false);
    quiet();
    far_write(stage.peer, "kept");
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_RECV, 3)));
    ring_submit(&stage.ring);
    while (lasts < 2) {
        struct ring_event event = next_unsaid();
        lasts += event.last;
        heard += (uint32_t)event.data.size;
    }
    if (heard == 0) arm_receive(4, true);
    if (heard == 0) heard = (uint32_t)next_unsaid().data.size;
    say("%u bytes", heard);
    quiet();
}

TEST("simulated as on the kernel: bytes that came before a cancel are not lost to the next receive")
{
    COMPARE(cancel_what_is_due);
}

/* --- Waits ------------------------------------------------------------------------------------ */

static void wait_for_nothing(void)
{
    struct ring_event event;
    uint64_t start_ns = ring_now(&stage.ring).ns;
    uint64_t end_ns = ring_wait(&stage.ring, start_ns + 3 * ms_ns).ns;
    say("not before %d, not long after %d", end_ns >= start_ns + 3 * ms_ns,
        end_ns < start_ns + long_ns);
    say("at once %d", ring_wait(&stage.ring, 0).ns < end_ns + long_ns);
    say("%u came", ring_take(&stage.ring, &event, 1));
    uint64_t before_ns = ring_now(&stage.ring).ns, after_ns = ring_now(&stage.ring).ns;
    say("forward %d", before_ns >= end_ns && after_ns >= before_ns);
}

TEST("simulated as on the kernel: a wait ends at its deadline, and time goes forward")
{
    COMPARE(wait_for_nothing);
}

static void wait_for_something(void)
{
    struct ring_event event;
    far_write(stage.peer, "here");
    arm_receive(3, true);
    uint64_t start_ns = ring_now(&stage.ring).ns;
    uint64_t end_ns = ring_wait(&stage.ring, start_ns + 2 * long_ns).ns;
    say("early %d", end_ns < start_ns + long_ns);
    end_ns = ring_wait(&stage.ring, UINT64_MAX).ns; /* it is still there */
    say("early %d", end_ns < start_ns + long_ns);
    say("%u came", ring_take(&stage.ring, &event, 1));
    ring_give(&stage.ring, &event);
}

TEST("simulated as on the kernel: a wait ends when something comes, and not before that is taken")
{
    COMPARE(wait_for_something);
}

static void wait_in_vain(void)
{
    struct ring_event event;
    disturb(true);
    uint64_t start_ns = ring_now(&stage.ring).ns;
    uint64_t end_ns = ring_wait(&stage.ring, start_ns + 2 * long_ns).ns;
    disturb(false);
    say("early %d", end_ns < start_ns + long_ns);
    say("%u came", ring_take(&stage.ring, &event, 1));
}

TEST("simulated as on the kernel: a wait may end early and with nothing, as by a signal (-EINTR)")
{
    COMPARE(wait_in_vain, .faults = {.spurious_wake = 65'536});
}

/* --- Wakes ------------------------------------------------------------------------------------ */

static void wake(void)
{
    EXPECT(ring_wake_arm(&stage.ring, token(RING_WAKE, 1)));
    ring_submit(&stage.ring);
    quiet();
    ring_wake(&stage.ring);
    (void)next();
    ring_wake(&stage.ring);
    ring_wake(&stage.ring);
    quiet(); /* nobody asks */
    EXPECT(ring_wake_arm(&stage.ring, token(RING_WAKE, 2)));
    (void)next();
    EXPECT(ring_wake_arm(&stage.ring, token(RING_WAKE, 3)));
    quiet(); /* both were told by one event */
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_WAKE, 3)));
    next_in_any_order(2);
}

TEST("simulated as on the kernel: many wakes are one event, also before somebody asks for it")
{
    COMPARE(wake);
}

/* --- Writes ----------------------------------------------------------------------------------- */

static uint8_t line[5000];

static struct ring_event write_line(int fd, uint32_t size)
{
    EXPECT(ring_write(&stage.ring, token(RING_WRITE, 3), fd, (struct bytes){line, size}));
    return next_unsaid();
}

static void write_a_line(void)
{
    struct ring_event event = write_line(open_log(), 80);
    say("%d, last %d", event.result, event.last);
}

TEST("simulated as on the kernel: a write tells its size")
{
    COMPARE(write_a_line);
}

/* The kernel's has room for less. What else the simulation draws is the kernel's, too (write(2)),
 * but not of a pipe. */
static void write_in_part(void)
{
    int fd = open_log();
    struct ring_event event = {.result = -EAGAIN};
    for (uint32_t i = 0; i < 1000 && (event.result == -EAGAIN || event.result == -EINTR); i++)
        event = write_line(fd, sizeof line);
    say("in part %d, last %d", event.result > 0 && event.result < (int32_t)sizeof line, event.last);
}

TEST("simulated as on the kernel: a write may take a part")
{
    COMPARE(write_in_part, .faults = {.log_fails = 65'536});
}

/* --- Randomness ------------------------------------------------------------------------------- */

static void draw_secrets(void)
{
    uint8_t drawn[3][64] = {};
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < 2; i++)
        ring_entropy(&stage.ring, (struct bytes){drawn[i], 63});
    for (uint32_t i = 0; i < 63; i++)
        zeros += drawn[0][i] == 0;
    say("other %d, filled %d, no further %d", memcmp(drawn[0], drawn[1], 63) != 0, zeros < 16,
        drawn[0][63] == 0 && drawn[1][63] == 0);
}

TEST("simulated as on the kernel: randomness fills what it is given, no more, and differs")
{
    COMPARE(draw_secrets);
}
