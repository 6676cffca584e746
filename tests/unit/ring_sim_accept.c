/* What the simulated ring's listeners and descriptors do is what the running kernel's do. */
#include "ring_sim_worlds.h"
#include <errno.h>

static void arm_accept(uint32_t slot)
{
    EXPECT(ring_accept(&stage.ring, token(RING_ACCEPT, slot), stage.listening));
    ring_submit(&stage.ring);
}

static void cancel_accept(uint32_t slot)
{
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, slot), token(RING_ACCEPT, slot)));
    next_in_any_order(2);
}

/* Accepts the next connection by the armed accept, and says it. */
static int accepted(void)
{
    return next().result;
}

static void close_fd(int fd)
{
    if (fd >= 0) ring_close_fd(&stage.ring, fd, false);
}

static void say_peer(int fd)
{
    struct address address;
    bool known = ring_peer(&stage.ring, fd, &address);
    say("known %d, of this machine %d", known, known && address_is_loopback(&address));
}

static void accept_many(void)
{
    int fds[4];
    (void)far_connect(); /* two wait already */
    (void)far_connect();
    arm_accept(1);
    fds[0] = accepted();
    fds[1] = accepted();
    quiet();
    for (int i = 2; i < 4; i++) {
        (void)far_connect();
        fds[i] = accepted();
        say_peer(fds[i]);
    }
    cancel_accept(1);
    for (int i = 0; i < 4; i++)
        close_fd(fds[i]);
}

TEST("simulated as on the kernel: one accept gives those that wait and those that come, until a "
     "cancel")
{
    COMPARE(accept_many);
}

static void accept_now(void)
{
    say("%d", ring_accept_now(&stage.ring, stage.listening));
    (void)far_connect();
    int fd = accept_soon();
    say("one %d", fd >= 0);
    say_peer(fd);
    say("%d", ring_accept_now(&stage.ring, stage.listening));
    close_fd(fd);
}

TEST("simulated as on the kernel: what waits can be accepted at once, and then there is -EAGAIN")
{
    COMPARE(accept_now);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

static void have_no_descriptor(void)
{
    (void)far_connect();
    (void)far_connect();
    limit_descriptors(true);
    arm_accept(1);
    (void)next();
    say("at once %d", ring_accept_now(&stage.ring, stage.listening));
    close_fd(stage.near_fd);
    arm_accept(2);
    stage.near_fd = accepted();
    (void)next(); /* of the other one, who still waits */
    close_fd(stage.near_fd);
    arm_accept(3);
    stage.near_fd = accepted();
    quiet(); /* until somebody comes nothing is wanted */
    cancel_accept(3);
    arm_accept(4); /* nobody waits, and it fails all the same */
    (void)next();
    say("at once %d", ring_accept_now(&stage.ring, stage.listening));
    limit_descriptors(false);
}

TEST("simulated as on the kernel: an accept wants a descriptor first; without one it is -EMFILE")
{
    COMPARE(have_no_descriptor, .descriptors = 2);
}

static void use_descriptors_again(void)
{
    int old = stage.near_fd;
    (void)far_connect();
    (void)far_connect();
    arm_accept(1);
    int first = accepted(), second = accepted();
    say("in order %d", old < first && first < second);
    cancel_accept(1);
    close_fd(first);
    close_fd(old);
    int peers[2] = {far_connect_above(second), far_connect_above(second)};
    arm_accept(2);
    int third = accepted(), fourth = accepted();
    say("the lowest first %d", third == old && fourth == first);
    cancel_accept(2);
    stage.near_fd = -1;
    close_fd(second);
    close_fd(third);
    close_fd(fourth);
    far_leave(peers[0]);
    far_leave(peers[1]);
}

TEST("simulated as on the kernel: a descriptor is used again at once, the lowest first")
{
    COMPARE(use_descriptors_again);
}

/* --- Connections that end before they are accepted -------------------------------------------- */

static void be_reset_while_waiting(void)
{
    far_reset(far_connect());
    int fd = accept_soon();
    say("accepted %d", fd >= 0);
    say_peer(fd);
    EXPECT(ring_recv(&stage.ring, token(RING_RECV, 5), fd, true));
    (void)next();
    close_fd(fd);
}

TEST("simulated as on the kernel: a connection that was reset while it waited is accepted, and "
     "says so")
{
    COMPARE(be_reset_while_waiting);
}

static void be_left_while_waiting(void)
{
    int peer = far_connect();
    far_write(peer, "bye");
    far_leave(peer);
    int fd = accept_soon();
    say_peer(fd);
    EXPECT(ring_recv(&stage.ring, token(RING_RECV, 5), fd, false));
    (void)next();
    (void)next();
    close_fd(fd);
}

TEST("simulated as on the kernel: who has left while it waited can be heard when it is accepted")
{
    COMPARE(be_left_while_waiting);
}

static void close_the_listener(void)
{
    int peer = far_connect();
    close_fd(stage.listening);
    stage.listening = -1;
    far_hears(peer, 1);
    say("refused %d", far_is_refused());
    send_text(3, "those that were accepted stay");
    (void)next();
    far_hears(stage.peer, 29);
}

TEST("simulated as on the kernel: a listener that is closed resets those that wait, and refuses "
     "others")
{
    COMPARE(close_the_listener);
}

/* --- Addresses -------------------------------------------------------------------------------- */

static void listen_twice(void)
{
    say("%d", listen_again(false));
    say("%d", listen_again(true));
    close_fd(stage.listening);
    stage.listening = listen_again(false);
    say("again %d", stage.listening >= 0);
    (void)far_connect();
    close_fd(accept_soon());
}

TEST("simulated as on the kernel: an address that is taken is -EADDRINUSE until it is given up")
{
    COMPARE(listen_twice);
}

/* Each connection comes to one of the two, whichever. */
static void share_an_address(void)
{
    int other = listen_again(true);
    say("shared %d, not %d", other >= 0, listen_again(false));
    arm_accept(1);
    EXPECT(ring_accept(&stage.ring, token(RING_ACCEPT, 2), other));
    int fds[8];
    for (int i = 0; i < 8; i++) {
        (void)far_connect();
        struct ring_event event = next_unsaid();
        fds[i] = event.result;
        say("one %d", event.result >= 0 && !event.last);
    }
    quiet();
    cancel_accept(1);
    cancel_accept(2);
    for (int i = 0; i < 8; i++)
        close_fd(fds[i]);
    close_fd(other);
}

TEST("simulated as on the kernel: listeners that share an address get each connection once")
{
    COMPARE(share_an_address, .shared = true);
}

/* --- Whatever the simulation draws ------------------------------------------------------------ */

static void accept_through_faults(void)
{
    uint32_t count = 0, failed = 0;
    for (uint32_t i = 0; i < 20; i++)
        (void)far_connect();
    arm_accept(1);
    while (count < 20) {
        struct ring_event event = next_unsaid();
        if (event.result >= 0) {
            count += 1;
            close_fd(event.result);
        } else {
            failed += 1;
        }
        if (event.last) arm_accept(1);
        if (failed > 1000) break;
    }
    say("%u came", count);
    for (bool ended = false; !ended;) {
        EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, 1), token(RING_ACCEPT, 1)));
        struct ring_event first = next_unsaid(), second = {};
        if (first.result != -ENOENT) second = next_unsaid();
        ended = first.result == -ENOENT || (first.last && second.last);
    }
    quiet();
}

TEST("whatever the simulation draws, each connection is accepted once, as on the kernel")
{
    COMPARE(accept_through_faults,
            .faults = {.accept_fails = 20'000, .ends = 20'000, .complete_us_max = 500});
}
