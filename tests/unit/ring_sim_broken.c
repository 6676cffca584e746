/* How the simulated ring's connections break is how the running kernel's do. */
#include "ring_sim_worlds.h"
#include <errno.h>

static void be_reset(void)
{
    arm_receive(3, false);
    far_reset(stage.peer);
    (void)next();
    send_text_now(3, "late");
    (void)next();
    say("settled %d", ring_settled(&stage.ring));
    arm_receive(4, false);
    (void)next();
    send_text(3, "later");
    (void)next();
}

TEST("simulated as on the kernel: a reset is told once, then receives are 0 and sends -EPIPE")
{
    COMPARE(be_reset);
}

static void be_reset_behind_bytes(void)
{
    far_write(stage.peer, "last words");
    far_reset(stage.peer);
    arm_receive(3, false);
    (void)next();
    (void)next();
}

TEST("simulated as on the kernel: bytes that came before a reset can still be received")
{
    COMPARE(be_reset_behind_bytes);
}

static void be_left(void)
{
    far_write(stage.peer, "bye");
    far_leave(stage.peer);
    arm_receive(3, false);
    (void)next();
    (void)next();
    send_text(3, "who is there?");
    (void)next();
    quiet();
    send_text(3, "late");
    (void)next();
    arm_receive(4, false);
    (void)next();
}

TEST("simulated as on the kernel: a peer that has left is written to once; then -EPIPE, not reset")
{
    COMPARE(be_left);
}

static void be_left_unheard(void)
{
    send_text(3, "unheard");
    (void)next();
    far_write(stage.peer, "bye");
    far_leave(stage.peer);
    arm_receive(3, false);
    (void)next();
    (void)next();
}

TEST("simulated as on the kernel: a peer that leaves with bytes unread resets the connection")
{
    COMPARE(be_left_unheard);
}

static void lose_a_peer(void)
{
    far_write(stage.peer, "before");
    far_vanish(stage.peer);
    send_text(3, "hello?");
    (void)next();
    arm_receive(3, false);
    (void)next();
    (void)next();
    arm_receive(3, false);
    (void)next();
    send_text(3, "hello?");
    (void)next();
}

TEST(
    "simulated as on the kernel: a peer that acknowledges nothing for too long is -ETIMEDOUT, once")
{
    COMPARE(lose_a_peer, .user_timeout_ms = 20);
}
