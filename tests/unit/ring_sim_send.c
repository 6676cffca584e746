/* What the simulated ring's sends do is what the running kernel's do. */
#include "ring_sim_worlds.h"
#include <errno.h>

static uint8_t large[8 * 1024 * 1024]; /* more than any buffer takes */

static void send_whole(void)
{
    static char letters[] = "abcdef";
    const struct iovec pieces[2] = {{letters, 3}, {letters + 3, 3}};
    EXPECT(ring_send(&stage.ring, token(RING_SEND, 3), stage.near_fd, pieces, 2));
    (void)next();
    EXPECT(ring_send_now(&stage.ring, token(RING_SEND_NOW, 3), stage.near_fd,
                         (struct bytes){(uint8_t *)letters, 6}));
    say("settled %d", ring_settled(&stage.ring));
    quiet(); /* taken whole, it says nothing */
    say("settled %d", ring_settled(&stage.ring));
    far_hears(stage.peer, 12);
}

TEST("simulated as on the kernel: a gathered send tells its size, one past the outbox nothing")
{
    COMPARE(send_whole);
}

static void say_in_part(const struct ring_event *event)
{
    say("slot %u is in part %d", event->token.slot,
        event->result > 0 && event->result < (int32_t)sizeof large && event->last);
}

static void send_large_now(void)
{
    EXPECT(ring_send_now(&stage.ring, token(RING_SEND_NOW, 3), stage.near_fd,
                         (struct bytes){large, sizeof large}));
    ring_submit(&stage.ring);
}

static void fall_short(void)
{
    send_large_now();
    struct ring_event event = next_unsaid();
    say_in_part(&event);
    for (int i = 0; i < 1000 && event.result != -EAGAIN; i++) {
        send_large_now();
        event = next_unsaid();
    }
    say("%d, settled %d", event.result, ring_settled(&stage.ring));
}

TEST("simulated as on the kernel: what is not taken at once is told, in part and then as -EAGAIN")
{
    COMPARE(fall_short);
}

/* --- Sends that wait -------------------------------------------------------------------------- */

static void arm_large_send(uint32_t slot)
{
    const struct iovec piece = {large, sizeof large};
    EXPECT(ring_send(&stage.ring, token(RING_SEND, slot), stage.near_fd, &piece, 1));
    ring_submit(&stage.ring);
}

static void send_in_part(void)
{
    arm_large_send(3);
    struct ring_event event = next_unsaid();
    say_in_part(&event);
    fill();
    arm_large_send(4);
    quiet();
    uint64_t until_ns = ring_now(&stage.ring).ns + 3'000'000'000;
    uint32_t count = 0;
    while (count == 0 && ring_now(&stage.ring).ns < until_ns) {
        (void)far_takes(stage.peer);
        ring_wait(&stage.ring, ring_now(&stage.ring).ns + 1'000'000);
        count = ring_take(&stage.ring, &event, 1);
    }
    say("%u events", count);
    say_in_part(&event);
}

TEST("simulated as on the kernel: an armed send takes what fits, waits for room, and goes on")
{
    COMPARE(send_in_part);
}

static void shut_down_a_send(void)
{
    fill();
    arm_large_send(3);
    quiet();
    ring_shutdown(&stage.ring, stage.near_fd, false);
    (void)next();
}

TEST("simulated as on the kernel: a send that waits ends with -EPIPE when our sending is shut")
{
    COMPARE(shut_down_a_send);
}

static void cancel_a_send(void)
{
    fill();
    arm_large_send(3);
    quiet();
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_SEND, 3)));
    next_in_any_order(2);
}

TEST("simulated as on the kernel: a send that waits and is cancelled has taken nothing")
{
    COMPARE(cancel_a_send);
}

static void reset_a_send(void)
{
    fill();
    arm_large_send(3);
    quiet();
    far_reset(stage.peer);
    (void)next();
    send_text(4, "late");
    (void)next();
    arm_receive(3, true);
    (void)next();
}

TEST("simulated as on the kernel: a send that waits is told of a reset, and then nobody else is")
{
    COMPARE(reset_a_send);
}

static void reset_both(void)
{
    fill();
    arm_receive(3, false);
    arm_large_send(3);
    quiet();
    far_reset(stage.peer);
    struct ring_event first = next_unsaid(), second = next_unsaid();
    bool sends_first = first.token.op == RING_SEND;
    const struct ring_event *send = sends_first ? &first : &second;
    const struct ring_event *receive = sends_first ? &second : &first;
    bool told_one = (send->result == -ECONNRESET) + (receive->result == -ECONNRESET) == 1;
    say("last %d %d, one was told %d, the other not %d", first.last, second.last, told_one,
        send->result == -EPIPE || receive->result == 0);
}

TEST("simulated as on the kernel: of a send and a receive that wait one is told of a reset")
{
    COMPARE(reset_both);
}

static void end_under_a_send(void)
{
    fill();
    arm_receive(3, false);
    arm_large_send(3);
    quiet();
    far_end(stage.peer);
    (void)next();
    quiet();
    ring_shutdown(&stage.ring, stage.near_fd, true);
    (void)next();
}

TEST("simulated as on the kernel: a peer that sends nothing more may still be sent to")
{
    COMPARE(end_under_a_send);
}

/* Linux 6.18 hands a send that waits to a thread once the peer ends its side, and such a thread is
 * only interrupted: -EALREADY, and -EINTR from the send. */
static void cancel_late(void)
{
    fill();
    arm_large_send(3);
    quiet();
    (void)far_takes(stage.peer);
    far_end(stage.peer);
    ring_wait(&stage.ring, 0);
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 3), token(RING_SEND, 3)));
    struct ring_event first = next_unsaid(), second = next_unsaid();
    bool sends_first = first.token.op == RING_SEND;
    int32_t answer = sends_first ? second.result : first.result;
    bool is_known = answer == 0 || answer == -EALREADY || answer == -ENOENT;
    say("last %d %d, a send and a cancel %d, known %d", first.last, second.last,
        sends_first != (second.token.op == RING_SEND), is_known);
    quiet();
}

TEST("whatever the answer to a cancel, its target tells its end, and once")
{
    COMPARE(cancel_late);
    COMPARE(cancel_late, .faults = {.late_cancel = 65'536});
}

static void never_be_heard(void)
{
    fill();
    arm_large_send(3);
    (void)next();
    arm_receive(3, true);
    (void)next();
}

TEST("simulated as on the kernel: a peer that takes nothing for too long is -ETIMEDOUT, too")
{
    COMPARE(never_be_heard, .user_timeout_ms = 20);
}

static void overtake(void)
{
    arm_receive(3, false);
    send_text(4, "asked for later");
    (void)next();
    far_hears(stage.peer, 15);
    far_write(stage.peer, "now");
    (void)next();
    cancel_receive(3);
}

TEST("simulated as on the kernel: what waits does not hold up what was asked for later")
{
    COMPARE(overtake);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static void close_behind_a_send(void)
{
    send_text(3, "our last words");
    (void)next();
    ring_close_fd(&stage.ring, stage.near_fd, false);
    stage.near_fd = -1;
    far_hears(stage.peer, 99);
}

TEST("simulated as on the kernel: after a close the peer gets what was sent, and the end")
{
    COMPARE(close_behind_a_send);
}

static void close_with_a_reset(void)
{
    ring_close_fd(&stage.ring, stage.near_fd, true);
    stage.near_fd = -1;
    far_hears(stage.peer, 99);
}

TEST("simulated as on the kernel: a close with a reset is one")
{
    COMPARE(close_with_a_reset);
}

static void close_over_bytes(void)
{
    far_write(stage.peer, "unread");
    arm_receive(3, true);
    (void)next();
    far_write(stage.peer, "unread");
    ring_close_fd(&stage.ring, stage.near_fd, false);
    stage.near_fd = -1;
    far_hears(stage.peer, 99);
}

TEST("simulated as on the kernel: a close with bytes unread is a reset (RFC 1122 §4.2.2.13)")
{
    COMPARE(close_over_bytes);
}

/* --- Whatever the simulation draws ------------------------------------------------------------ */

/* Past the outbox; what was taken. */
static uint32_t send_now_settled(uint8_t *data, uint32_t size)
{
    uint32_t taken = size;
    while (!ring_send_now(&stage.ring, token(RING_SEND_NOW, 3), stage.near_fd,
                          (struct bytes){data, size}))
        ring_wait(&stage.ring, 0);
    while (!ring_settled(&stage.ring)) {
        struct ring_event event;
        ring_wait(&stage.ring, 0);
        if (ring_take(&stage.ring, &event, 1) > 0)
            taken = event.result > 0 ? (uint32_t)event.result : 0;
    }
    return taken;
}

/* The rest of what fell short, gathered, and again until all of it is taken. */
static void send_rest(uint8_t *data, uint32_t size)
{
    while (size > 0) {
        uint32_t half = size / 2;
        const struct iovec pieces[2] = {{data, half}, {data + half, size - half}};
        const struct iovec *first = half > 0 ? pieces : pieces + 1;
        while (!ring_send(&stage.ring, token(RING_SEND, 3), stage.near_fd, first, half > 0 ? 2 : 1))
            ring_wait(&stage.ring, 0);
        int32_t taken = next_unsaid().result;
        if (taken <= 0) say("failed with %d", taken);
        if (taken <= 0) return;
        data += taken;
        size -= (uint32_t)taken;
    }
}

static void send_through_faults(void)
{
    static uint8_t text[] = "every byte, once. ";
    constexpr uint32_t size = sizeof text - 1, times = 14;
    for (uint32_t i = 0; i < times; i++) {
        uint32_t taken = send_now_settled(text, size);
        send_rest(text + taken, size - taken);
    }
    far_hears(stage.peer, times * size);
}

TEST("whatever the simulation draws, the peer gets the same bytes as from the kernel")
{
    COMPARE(send_through_faults, .faults = {.short_send = 30'000,
                                            .short_now = 30'000,
                                            .submit_none = 20'000,
                                            .submit_fewer = 20'000,
                                            .few_events = 30'000,
                                            .spurious_wake = 20'000,
                                            .complete_us_max = 500});
}
