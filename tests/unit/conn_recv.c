#include "check.h"
#include "conn_peers.h"
#include <errno.h>

/* The kernel says this instead of bytes; the receive stays armed. */
static void receive_fails(struct peer *peer, int error)
{
    conn_on_recv(peer->conn, (struct ring_event){.result = error});
}

TEST("a receive for which the kernel has no memory costs one connection, and no other (R5)")
{
    peers_begin((struct peers_options){});
    struct peer *unlucky = peer_open(), *other = peer_open();
    push_new(unlucky, 0, 100, OUTBOX_QUEUED);
    receive_fails(unlucky, -ENOMEM);
    EXPECT(unlucky->conn->phase == CONN_DRAINING);
    EXPECT(unlucky->conn->reason == CLOSE_RECV_ERROR);
    unlucky->cut = true;
    push_new(other, 0, 100, OUTBOX_QUEUED);
    everything_arrives();
    EXPECT(unlucky->conn == nullptr);
    EXPECT_TEXT(heard(other), "101 2");
    peers_end();
}

/* Its receive ends for want of a receive buffer: it waits for one. */
static void starve(struct peer *peer)
{
    const struct conn *conn = peer->conn;
    struct ring_token token = {RING_CANCEL, conn->number, conn->slot}, target = token;
    target.op = RING_RECV;
    EXPECT(ring_cancel(&ring, token, target));
    struct ring_event event = {.token.op = RING_CANCEL};
    while (event.token.op != RING_RECV)
        if (ring_take(&ring, &event, 1) == 0) ring_wait(&ring, UINT64_MAX);
    EXPECT_EQ(event.result, -ECANCELED);
    event.result = -ENOBUFS;
    conn_on_recv(peer->conn, event);
    EXPECT(!conn->recv_armed && !list_is_empty(&shared.waiting));
}

static void pass(uint32_t ms)
{
    shared.now.ns += (uint64_t)ms * 1'000'000;
}

TEST("who is not heard for want of a receive buffer is not timed out; who is heard again is (R6)")
{
    peers_begin((struct peers_options){});
    struct peer *peer = peer_open();
    struct conn *conn = peer->conn;
    pass(shared.config.ping_ms);
    conn_on_timer(conn);
    EXPECT(conn->pong_by_ms > 0);
    conn->message_by_ms = instant_ms(shared.now) + 1;
    starve(peer);
    EXPECT(conn->message_by_ms > instant_ms(shared.now) + 1);
    for (uint32_t i = 0; i < 3; i++) {
        pass(shared.config.pong_ms * 2);
        conn_on_timer(conn);
        EXPECT(conn->phase == CONN_OPEN);
    }
    conn_arm_waiting(&shared);
    EXPECT(conn->recv_armed);
    pass(shared.config.pong_ms + 1);
    conn_on_timer(conn);
    EXPECT(conn->reason == CLOSE_PONG_TIMEOUT);
    peer->cut = true;
    peers_end();
}

TEST("who is not asked because the kernel takes no sends is not timed out; who is asked then is "
     "(R6)")
{
    peers_begin((struct peers_options){});
    struct peer *peer = peer_open();
    struct conn *conn = peer->conn;
    pass(shared.config.ping_ms);
    handover.each = 0;
    conn_on_timer(conn);
    EXPECT(conn->pong_by_ms > 0);
    conn_flush_dirty(&shared);
    for (uint32_t i = 0; i < 3; i++) {
        ring_submit(&ring);
        pass(shared.config.pong_ms * 2);
        conn_on_timer(conn);
        EXPECT(conn->phase == CONN_OPEN);
    }
    handover.each = UINT32_MAX;
    ring_submit(&ring);
    pass(shared.config.pong_ms - 1);
    conn_on_timer(conn);
    EXPECT(conn->phase == CONN_OPEN);
    pass(1);
    conn_on_timer(conn);
    EXPECT(conn->reason == CLOSE_PONG_TIMEOUT);
    peer->cut = true;
    peers_end();
}
