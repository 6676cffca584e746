/* Connections whose every message is answered: what stops their reading, and that nothing is lost
 * meanwhile (THREATS R1). What a peer hears is checked byte by byte in conn_hearing.c. */
#include "check.h"
#include "conn/inside.h"
#include "conn_peers.h"

static struct peer *peer;

static void begin(struct peers_options options)
{
    options.answered = true;
    peers_begin(options);
    peer = peer_open();
}

static void end(void)
{
    everything_arrives();
    peers_end();
}

/* The peer asks and does not read, until it is not read either. */
static void stop_it(uint32_t size)
{
    for (uint32_t i = 0; i < 4000 && !peer->conn->paused; i++) {
        peer_asks(peer, size);
        turn();
    }
    for (uint32_t i = 0; i < 100; i++)
        turn();
    EXPECT(peer->conn->paused && !peer->conn->recv_armed);
}

TEST("an answered message comes back as it came, in one piece or many, small or large")
{
    const uint32_t sizes[] = {8, 125, 126, 1000, 1020, 4096, 65535, 65536, 131'030, 131'072};
    begin((struct peers_options){});
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        peer_asks(peer, sizes[i]);
        everything_arrives();
        peer_asks_in_pieces(peer, sizes[i], 7);
        everything_arrives();
    }
    EXPECT_EQ(frames.reply_bytes, 0);
    end();
}

TEST("who does not read its replies is not read on: a bounded amount is owed, and then all comes")
{
    begin((struct peers_options){});
    stop_it(1000);
    EXPECT(peer->conn->outbox.bytes < outbox_reply_bytes + 2000);
    uint64_t received = shared.counters.bytes_received;
    for (uint32_t i = 0; i < 50; i++)
        peer_asks(peer, 1000);
    for (uint32_t i = 0; i < 20; i++)
        turn();
    EXPECT_EQ(shared.counters.bytes_received, received);
    end();
    EXPECT_EQ(shared.counters.dropped_for_goodbye + outboxes.counters.dropped_gone, 0);
}

TEST("what came in one piece with the message that was one too many is kept, and read first")
{
    begin((struct peers_options){});
    peer_stuff(peer);
    for (uint32_t i = 0; i < 1000; i++)
        peer_asks(peer, 8);
    for (uint32_t i = 0; i < 50; i++)
        turn();
    EXPECT(peer->conn->paused && peer->conn->kept > 0);
    EXPECT_EQ(shared.kept_buffers.in_use, 1);
    EXPECT_EQ(peer->conn->outbox.count, outbox_reply_frames);
    end();
}

TEST("a stopped peer is not timed out, and has the whole time again once it is read")
{
    begin((struct peers_options){});
    stop_it(1000);
    struct conn *conn = peer->conn;
    shared.now.ns += (uint64_t)shared.config.ping_ms * 1'000'000;
    conn_on_timer(conn);
    EXPECT(conn->pong_by_ms > 0);
    conn->message_by_ms = instant_ms(shared.now) + 1;
    for (uint32_t i = 0; i < 5; i++) {
        shared.now.ns += (uint64_t)shared.config.pong_ms * 1'000'000 * 2;
        conn_on_timer(conn);
        EXPECT(conn->phase == CONN_OPEN && conn->paused);
    }
    conn->message_by_ms = 0;
    uint64_t was_by_ms = conn->pong_by_ms = 1;
    shared.now = ring_now(&ring);
    conn_give_time(conn, instant_ms(shared.now));
    EXPECT(conn->pong_by_ms > was_by_ms && conn->message_by_ms == 0);
    conn_close(conn, CLOSE_RESTART);
    while (peer->fd >= 0 && !peer->ended) {
        turn();
        peer->broken = true; /* the server's ping is none of ours */
        peer_reads(peer, UINT32_MAX);
        if (conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox)) peer_leaves(peer);
    }
    peers_end();
}

TEST("a goodbye to a stopped peer comes behind its replies, and its input is read on")
{
    begin((struct peers_options){});
    stop_it(1000);
    uint32_t owed = peer->conn->outbox.count;
    conn_close_retry(peer->conn, CLOSE_RESTART, 5);
    EXPECT_EQ(peer->conn->phase, CONN_CLOSING);
    EXPECT_EQ(peer->conn->outbox.count, owed + 1);
    turn();
    EXPECT(peer->conn->recv_armed && !peer->conn->paused);
    peer->pushed_end = peer->pushed_first; /* what was not read is not answered */
    peers_end();
}

TEST("a stopped peer that vanishes leaves nothing")
{
    begin((struct peers_options){});
    stop_it(1000);
    peer_leaves(peer);
    peers_end();
    begin((struct peers_options){});
    stop_it(500);
    conn_drain(peer->conn, CLOSE_RECV_ERROR);
    peers_end();
}

TEST("a stopped peer that is closed counts until its slot is free: so long it holds what it kept")
{
    begin((struct peers_options){.answered_max = 1});
    EXPECT(!conn_can_answer_all(&shared));
    stop_it(1000);
    conn_drain(peer->conn, CLOSE_RECV_ERROR);
    EXPECT_EQ(shared.kept_buffers.in_use, 1);
    EXPECT(!conn_can_answer_all(&shared));
    while (peer->conn != nullptr)
        turn();
    EXPECT(conn_can_answer_all(&shared) && shared.kept_buffers.in_use == 0);
    peers_end();
}

TEST("large messages beyond the frames for them wait, and each gets its turn")
{
    begin((struct peers_options){});
    struct peer *others[3];
    for (uint32_t i = 0; i < 3; i++) {
        others[i] = peer_open();
        peer_asks(others[i], 131'072);
    }
    peer_asks(peer, 131'072);
    for (uint32_t i = 0; i < 600; i++)
        turn();
    EXPECT_EQ(frames.classes[frame_class_large].in_use, 2);
    end();
}

TEST("beyond the memory for replies each peer owes one at a time")
{
    begin((struct peers_options){.replies = 1});
    for (uint32_t i = 0; i < 20; i++)
        peer_asks(peer, 100);
    peer_stuff(peer);
    for (uint32_t i = 0; i < 20; i++)
        turn();
    EXPECT(peer->conn->outbox.count <= 1);
    end();
}

TEST("of many who may be read on each gets its turn, and no turn is longer than it may be")
{
    begin((struct peers_options){.replies = 1});
    struct peer *all[4] = {peer, peer_open(), peer_open(), peer_open()};
    for (uint32_t i = 0; i < 4; i++) {
        peer_stuff(all[i]);
        for (uint32_t asked = 0; asked < 60; asked++)
            peer_asks(all[i], 100);
    }
    for (uint32_t i = 0; i < 20; i++)
        turn();
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(all[i]->conn->paused && all[i]->conn->kept != nullptr);
    shared.config.reply_memory = UINT64_MAX;
    for (uint32_t read = 1; read <= 4; read++) {
        EXPECT_EQ(conn_read_stopped(&shared, 0), read < 4);
        uint32_t paused = 0;
        for (uint32_t i = 0; i < 4; i++)
            paused += all[i]->conn->paused;
        EXPECT_EQ(paused, 4 - read);
    }
    end();
}

TEST("with the fast path off replies come all the same, also where the kernel is slow to take them")
{
    begin((struct peers_options){.plain = true});
    handover = (struct handover){.each = 1, .queue = 4};
    for (uint32_t i = 0; i < 60; i++)
        peer_asks(peer, 3000);
    handover = (struct handover){.each = UINT32_MAX, .queue = 256};
    end();
}

TEST("pings of an answered peer are each answered, in their place between the messages")
{
    begin((struct peers_options){});
    peer_asks(peer, 20);
    uint32_t ping = peer_pings(peer);
    peer_asks(peer, 20);
    everything_arrives();
    EXPECT_EQ(peer->pong, ping);
    EXPECT_TEXT(heard(peer), "101 1 p2 3");
    end();
}
