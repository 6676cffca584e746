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
