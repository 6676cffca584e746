/* The flush window seen from connections: what lingers comes, whole and in order, whatever becomes
 * of the connection meanwhile. When it comes is outbox/linger.c's. */
#include "check.h"
#include "conn/inside.h"
#include "conn_peers.h"

constexpr uint32_t small = 100;
constexpr uint64_t hour_ns = 3'600'000'000'000;

static struct peer *peer;
static uint64_t fast_before;

/* A peer, and a window that does not end by itself. */
static void begin(void)
{
    peers_begin((struct peers_options){});
    peer = peer_open();
    fast_before = shared.counters.sends_now;
    outboxes.window.size_ns = hour_ns;
    outboxes.window.open = true;
}

static void end(void)
{
    outboxes.window.open = false;
    everything_arrives();
    peers_end();
}

static void say(uint32_t key)
{
    push_new(peer, key, small, OUTBOX_QUEUED);
    turn();
}

TEST("events that linger go in one gathered send, in order")
{
    begin();
    say(0);
    say(0);
    say(0);
    EXPECT_EQ(peer->conn->outbox.count, 3);
    EXPECT(!peer->conn->send_armed);
    EXPECT_TEXT(heard(peer), "101");
    outboxes.window.open = false;
    everything_arrives();
    EXPECT_EQ(tally.send_events, 1);
    EXPECT_EQ(shared.counters.sends_now, fast_before);
    EXPECT_TEXT(heard(peer), "101 1 2 3");
    end();
}

TEST("one event that has lingered alone goes past the outbox as ever")
{
    begin();
    outboxes.window.size_ns = 1;
    say(0);
    everything_arrives();
    EXPECT_EQ(shared.counters.sends_now, fast_before + 1);
    EXPECT_TEXT(heard(peer), "101 1");
    end();
}

TEST("a snapshot and a pong are sent at once, behind what lingers")
{
    begin();
    say(0);
    say(1);
    EXPECT(outbox_is_empty(&peer->conn->outbox) || peer->conn->send_armed);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2");
    say(0);
    (void)peer_pings(peer);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3 p4");
    end();
}

TEST("a goodbye is sent at once, behind what lingers")
{
    begin();
    say(0);
    say(0);
    conn_close(peer->conn, CLOSE_RESTART);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 close(1012) end");
    end();
}

TEST("who leaves while events linger for it leaves nothing behind")
{
    begin();
    say(0);
    peer_leaves(peer);
    everything_arrives();
    EXPECT(peer->conn == nullptr);
    EXPECT_EQ(outboxes.counters.dropped_gone, 1);
    struct peer *other = peer_open();
    peer = other;
    say(0);
    conn_drain(peer->conn, CLOSE_RECV_ERROR);
    end();
}

TEST("a ring that takes no more operations keeps what is due due: it does not linger again")
{
    begin();
    say(0);
    say(0);
    say(0);
    handover = (struct handover){.each = 0, .queue = 0};
    push_new(peer, 0, small, OUTBOX_QUEUED); /* the outbox has no more place of its own */
    turn();
    EXPECT(!list_is_empty(&outboxes.due));
    EXPECT_EQ(peer->conn->outbox.count, 4);
    handover = (struct handover){.each = UINT32_MAX, .queue = 256};
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3 4");
    end();
}
