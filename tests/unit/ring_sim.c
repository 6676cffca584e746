/* What the simulated ring's receives do is what the running kernel's do. */
#include "ring_sim_worlds.h"
#include <errno.h>

static void receive_until_the_end(void)
{
    arm_receive(3, false);
    for (int i = 0; i < 3; i++) {
        far_write(stage.peer, "hello");
        (void)next();
        give_all();
    }
    far_end(stage.peer);
    (void)next();
    quiet();
}

TEST("simulated as on the kernel: a multishot receive gives every piece, and the end")
{
    COMPARE(receive_until_the_end);
}

static void receive_what_waits(void)
{
    far_write(stage.peer, "one, ");
    far_write(stage.peer, "two, ");
    far_write(stage.peer, "three, four");
    arm_receive(3, false);
    (void)next();
    (void)next();
    quiet();
    give_all();
    cancel_receive(3);
}

TEST("simulated as on the kernel: pieces that wait are received as one run, a buffer at a time")
{
    COMPARE(receive_what_waits);
}

static void receive_once(void)
{
    arm_receive(3, true);
    far_write(stage.peer, "0123456789abcdefXYZ");
    (void)next();
    quiet();
    arm_receive(4, true);
    (void)next();
    arm_receive(5, true);
    give_all();
    quiet();
    far_end(stage.peer);
    (void)next();
}

TEST("simulated as on the kernel: a receive that is armed once takes a buffer's worth and ends")
{
    COMPARE(receive_once);
}

/* --- Receive buffers -------------------------------------------------------------------------- */

static void run_out_of_buffers(void)
{
    far_write(stage.peer, "0123456789abcdef0123456789abcdef0123456789");
    arm_receive(3, false);
    while (next().result > 0)
        continue;
    arm_receive(3, false); /* at arm time, too */
    (void)next();
    say("%u out, %u ended", stage.ring.stats.buffers_out,
        (unsigned)stage.ring.stats.out_of_buffers);
    give_all();
    arm_receive(3, true);
    (void)next();
}

TEST("simulated as on the kernel: without a receive buffer there is -ENOBUFS, then it goes on")
{
    COMPARE(run_out_of_buffers);
}

static void arm_without_buffers(void)
{
    far_write(stage.peer, "0123456789abcdef0123456789abcdef");
    arm_receive(3, false);
    (void)next();
    (void)next();
    quiet(); /* it needs no buffer before something comes */
    cancel_receive(3);
    arm_receive(3, false); /* but it does to begin with (romange's liburing#1275) */
    (void)next();
    arm_receive(3, true);
    (void)next();
}

TEST("simulated as on the kernel: a receive that is armed without a buffer fails, and has no bytes")
{
    COMPARE(arm_without_buffers);
}

static void end_without_buffers(void)
{
    far_write(stage.peer, "0123456789abcdef0123456789abcdef");
    arm_receive(3, false);
    (void)next();
    (void)next();
    far_end(stage.peer);
    (void)next();
    give_all();
    arm_receive(3, false);
    (void)next();
}

TEST("simulated as on the kernel: without a buffer the end of the stream is -ENOBUFS at first")
{
    COMPARE(end_without_buffers);
}

static void reset_without_buffers(void)
{
    far_write(stage.peer, "0123456789abcdef0123456789abcdef");
    arm_receive(3, false);
    (void)next();
    (void)next();
    far_reset(stage.peer);
    (void)next();
    give_all();
    arm_receive(3, false);
    (void)next();
}

TEST("simulated as on the kernel: without a buffer a reset is -ENOBUFS at first")
{
    COMPARE(reset_without_buffers);
}

static void shut_down_without_buffers(void)
{
    far_write(stage.peer, "0123456789abcdef0123456789abcdef");
    arm_receive(3, false);
    (void)next();
    (void)next();
    ring_shutdown(&stage.ring, stage.near_fd, true);
    (void)next();
}

TEST("simulated as on the kernel: without a buffer a shutdown ends a receive with -ENOBUFS")
{
    COMPARE(shut_down_without_buffers);
}

/* Receives four pieces and says which buffers they are in, by when each was first seen. */
static void receive_four(struct ring_event *events, const uint8_t **seen)
{
    for (uint32_t i = 0; i < 4; i++) {
        far_write(stage.peer, "x");
        events[i] = next();
        uint32_t buffer = 0;
        while (seen[buffer] != nullptr && seen[buffer] != events[i].data.data)
            buffer += 1;
        seen[buffer] = events[i].data.data;
        say("buffer %u", buffer);
    }
}

static void rotate_buffers(void)
{
    struct ring_event events[4];
    const uint8_t *seen[5] = {};
    arm_receive(3, false);
    receive_four(events, seen);
    static const uint32_t order[4] = {2, 0, 3, 1};
    for (uint32_t i = 0; i < 4; i++)
        ring_give(&stage.ring, &events[order[i]]);
    receive_four(events, seen);
    for (uint32_t i = 0; i < 4; i++)
        ring_give(&stage.ring, &events[i]);
    forget_held();
    cancel_receive(3);
}

TEST("simulated as on the kernel: buffers are used in the order in which they were given back")
{
    COMPARE(rotate_buffers, .receive_buffers = 4);
}

static void trim_buffers(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        arm_receive(3, true);
        far_write(stage.peer, "some bytes");
        (void)next();
        give_all();
        ring_trim(&stage.ring);
    }
}

TEST("simulated as on the kernel: receive buffers that were trimmed are received into as before")
{
    COMPARE(trim_buffers);
}

/* --- Ends ------------------------------------------------------------------------------------- */

static void cancel_a_receive(void)
{
    arm_receive(3, false);
    quiet();
    cancel_receive(3);
    far_write(stage.peer, "still there");
    quiet();
    arm_receive(4, false);
    (void)next();
    give_all();
    cancel_receive(4);
}

TEST("simulated as on the kernel: a receive that is cancelled tells its end and takes nothing more")
{
    COMPARE(cancel_a_receive);
}

static void shut_down(void)
{
    arm_receive(3, false);
    ring_shutdown(&stage.ring, stage.near_fd, true);
    (void)next();
    arm_receive(4, false);
    (void)next();
    send_text(3, "late");
    (void)next();
    far_hears(stage.peer, 1);
}

TEST("simulated as on the kernel: a shutdown ends a receive with 0, and a send behind it is -EPIPE")
{
    COMPARE(shut_down);
}

static void shut_down_over_bytes(void)
{
    far_write(stage.peer, "unread");
    ring_shutdown(&stage.ring, stage.near_fd, true);
    arm_receive(3, false);
    (void)next();
    (void)next();
}

TEST("simulated as on the kernel: bytes that came before a shutdown can still be received")
{
    COMPARE(shut_down_over_bytes);
}

static void write_to_the_shut(void)
{
    ring_shutdown(&stage.ring, stage.near_fd, true);
    far_hears(stage.peer, 1);
    far_write_into_nothing(stage.peer);
    arm_receive(3, false);
    (void)next();
    arm_receive(3, false);
    (void)next();
}

TEST("simulated as on the kernel: what comes after a shutdown of both sides is answered by a reset")
{
    COMPARE(write_to_the_shut);
}

static void half_close(void)
{
    arm_receive(3, false);
    send_text(3, "our last words");
    (void)next();
    ring_shutdown(&stage.ring, stage.near_fd, false);
    far_hears(stage.peer, 99);
    far_write(stage.peer, "yours");
    (void)next();
    send_text(3, "late");
    (void)next();
    far_end(stage.peer);
    (void)next();
}

TEST("simulated as on the kernel: who has ended its sending still receives, until the peer ends")
{
    COMPARE(half_close);
}

/* --- Whatever the simulation draws ------------------------------------------------------------ */

/* Receives `size` bytes as the hub does: armed again whenever that is over. */
static void receive_all(uint32_t size)
{
    char heard[512];
    uint32_t count = 0, tries = 0;
    arm_receive(3, false);
    for (bool armed = true; (count < size || armed) && tries < 5000; tries++) {
        struct ring_event event = next_unsaid();
        bool fits = event.result >= -1 && count + event.data.size <= sizeof heard;
        if (fits && event.data.size > 0) memcpy(heard + count, event.data.data, event.data.size);
        if (fits) count += (uint32_t)event.data.size;
        if (event.result < 0 && event.result != -ENOBUFS) say("failed with %d", event.result);
        give_all();
        armed = !event.last || event.result != 0;
        if (event.last && armed) arm_receive(3, false);
    }
    say("%.*s", (int)count, heard);
}

static void receive_through_faults(void)
{
    for (uint32_t i = 0; i < 30; i++)
        far_write(stage.peer, "every byte, once");
    far_end(stage.peer);
    receive_all(30 * 16);
}

TEST("whatever the simulation draws, the same bytes are received as on the kernel")
{
    COMPARE(receive_through_faults, .faults = {.split = 30'000,
                                               .no_buffers = 20'000,
                                               .ends = 20'000,
                                               .submit_none = 20'000,
                                               .few_events = 30'000,
                                               .spurious_wake = 20'000,
                                               .complete_us_max = 500});
}
