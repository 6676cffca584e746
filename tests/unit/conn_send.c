/* The rules of conn/send.c, each with a test that fails when it is broken. What a peer hears is
 * checked byte by byte in conn_peers.c. */
#include "check.h"
#include "conn/inside.h"
#include "conn_peers.h"
#include <errno.h>

constexpr uint32_t small = 100;
constexpr uint32_t large = 60'000; /* more than the kernel takes at once */

static struct peer *peer;
static uint64_t fast_before;

/* A peer that keeps up so far. */
static void begin(void)
{
    peers_begin((struct peers_options){});
    peer = peer_open();
    EXPECT(outbox_is_empty(&peer->conn->outbox) && !conn_is_passing(peer->conn));
    fast_before = shared.counters.sends_now;
}

/* Everything has arrived, and nothing was sent but what arrived. */
static void end(void)
{
    everything_arrives();
    EXPECT(peer->cut || outboxes.counters.bytes_sent == peer->bytes);
    peers_end();
}

/* Sends past the outbox since begin. */
static uint64_t fast(void)
{
    return shared.counters.sends_now - fast_before;
}

/* A room's tick: one frame, and the flush that follows it. */
static void tick(uint32_t key, uint32_t size)
{
    push_new(peer, key, size, OUTBOX_QUEUED);
    conn_flush_dirty(&shared);
}

/* One frame falls short; its event is not yet taken, and the peer has made room. */
static void fall_short_and_make_room(uint32_t key)
{
    tick(key, large);
    ring_submit(&ring);
    EXPECT_EQ(fast(), 1);
    EXPECT(conn_is_passing(peer->conn));
    EXPECT(peer_reads(peer, UINT32_MAX) > 0);
}

/* The same, and the kernel takes nothing at all of the frame. */
static void take_nothing_and_make_room(uint32_t key)
{
    peer_stuff(peer);
    fall_short_and_make_room(key);
}

TEST("frames for a peer that keeps up go past its outbox, and nothing tells of them")
{
    begin();
    for (uint32_t i = 1; i <= 10; i++) {
        tick(i % 2, small);
        EXPECT(outbox_is_empty(&peer->conn->outbox) && conn_is_passing(peer->conn));
        turn();
        EXPECT(!conn_is_passing(peer->conn));
        EXPECT_EQ(fast(), i);
    }
    EXPECT_EQ(tally.send_events, 0);
    EXPECT_EQ(tally.short_events, 0);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3 4 5 6 7 8 9 10");
    end();
}

TEST("with the fast path off everything goes by the outbox")
{
    peers_begin((struct peers_options){.plain = true});
    peer = peer_open();
    tick(1, small);
    turn();
    tick(0, large);
    everything_arrives();
    EXPECT_EQ(shared.counters.sends_now, 0);
    EXPECT_TEXT(heard(peer), "101 1 2");
    end();
}

TEST("a frame that fell short is finished before the next, though there is room for that meanwhile")
{
    for (uint32_t next = small; next <= large; next += large - small) {
        begin();
        fall_short_and_make_room(0);
        tick(0, next);
        ring_submit(&ring);
        EXPECT_EQ(fast(), 1);
        everything_arrives();
        EXPECT_EQ(tally.short_events, 1);
        EXPECT(tally.last_short > 0);
        EXPECT_TEXT(heard(peer), "101 1 2");
        end();
    }
}

TEST("what is pushed while a frame is passing waits for the round's end, then goes in one send")
{
    begin();
    tick(0, small);
    tick(0, small);
    tick(0, small);
    EXPECT_EQ(fast(), 1);
    EXPECT_EQ(peer->conn->outbox.count, 2);
    turn();
    EXPECT(peer->conn->send_armed);
    everything_arrives();
    EXPECT_EQ(fast(), 1);
    EXPECT_EQ(tally.send_events, 1);
    EXPECT_TEXT(heard(peer), "101 1 2 3");
    end();
}

TEST("the round does not end while a shortfall is among the events that nobody has taken")
{
    begin();
    fall_short_and_make_room(0);
    settle();
    EXPECT(conn_is_passing(peer->conn));
    tick(0, small);
    EXPECT_EQ(fast(), 1);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2");
    end();
}

TEST("after a shortfall frames go by the outbox until it is empty, then past it again")
{
    begin();
    fall_short_and_make_room(0);
    turn();
    EXPECT(peer->conn->send_armed && peer->conn->behind);
    tick(0, small);
    turn();
    tick(0, small);
    EXPECT_EQ(fast(), 1);
    everything_arrives();
    EXPECT(!peer->conn->behind);
    EXPECT_EQ(fast(), 1);
    tick(0, small);
    EXPECT_EQ(fast(), 2);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3 4");
    end();
}

TEST("a frame of which nothing was taken is not tried past the outbox again: that would spin")
{
    for (uint32_t key = 0; key <= 1; key++) {
        begin();
        take_nothing_and_make_room(key);
        for (uint32_t i = 0; i < 3; i++) {
            turn();
            EXPECT_EQ(tally.last_short, -EAGAIN);
            EXPECT_EQ(fast(), 1);
        }
        everything_arrives();
        EXPECT_EQ(outboxes.counters.conflated, 0);
        EXPECT_TEXT(heard(peer), "101 1");
        end();
    }
}

TEST("no frame goes past an armed send")
{
    begin();
    push_new(peer, 0, large, OUTBOX_QUEUED);
    push_new(peer, 0, large, OUTBOX_QUEUED);
    conn_flush_dirty(&shared);
    EXPECT(peer->conn->send_armed);
    ring_submit(&ring);
    peer_reads(peer, UINT32_MAX);
    tick(0, small);
    ring_submit(&ring);
    EXPECT_EQ(fast(), 0);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3");
    end();
}

TEST("a pong queued between two frames stays between them, in one send")
{
    begin();
    push_new(peer, 1, small, OUTBOX_QUEUED);
    EXPECT_EQ(peer_pings(peer), 2);
    tick(2, small);
    EXPECT_EQ(fast(), 0);
    EXPECT(peer->conn->send_armed);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 p2 3");
    end();
}

TEST("a pong that is queued while a frame is passing comes after the whole frame")
{
    for (uint32_t size = small; size <= large; size += large - small) {
        begin();
        tick(0, size);
        EXPECT_EQ(peer_pings(peer), 2);
        tick(0, small);
        EXPECT_EQ(fast(), 1);
        everything_arrives();
        EXPECT_TEXT(heard(peer), "101 1 p2 3");
        end();
    }
}

TEST("a ping whose answer is queued before the shortfall is known waits for the frame's rest")
{
    begin();
    handover.each = 0; /* the kernel gets the frame after the ping has come */
    tick(0, large);
    EXPECT_EQ(peer_pings(peer), 2);
    handover.each = UINT32_MAX;
    ring_submit(&ring);
    peer_reads(peer, UINT32_MAX);
    tick(0, small);
    EXPECT(conn_is_passing(peer->conn));
    everything_arrives();
    EXPECT_EQ(tally.short_events, 1);
    EXPECT_TEXT(heard(peer), "101 1 p2 3");
    end();
}

TEST("a close frame that is queued while frames pass and wait comes last, and whole")
{
    for (uint32_t size = small; size <= large; size += large - small) {
        begin();
        tick(0, size);
        tick(0, size);
        conn_close(peer->conn, CLOSE_RESTART);
        EXPECT(peer->conn->phase == CONN_CLOSING);
        conn_flush_dirty(&shared);
        EXPECT_EQ(fast(), 1);
        everything_arrives();
        EXPECT(peer->conn == nullptr);
        EXPECT_TEXT(heard(peer), "101 1 2 close(1012) end");
        end();
    }
}

TEST("a goodbye never goes past the outbox: its end must be known to end the connection")
{
    begin();
    conn_close(peer->conn, CLOSE_OVERLOADED);
    conn_flush_dirty(&shared);
    EXPECT_EQ(fast(), 0);
    EXPECT(peer->conn->send_armed);
    struct peer *visitor = peer_connect(false);
    peer_admit(visitor);
    everything_arrives();
    EXPECT_TEXT(heard(visitor), "answer end");
    EXPECT_EQ(fast(), 0);
    peers_end();
}

TEST("a close frame finds room while a frame is passing, and what had to go was behind that frame")
{
    begin();
    fall_short_and_make_room(0);
    for (uint32_t i = 0; i < outbox_frames_max; i++)
        push_new(peer, 0, small, OUTBOX_QUEUED);
    conn_close(peer->conn, CLOSE_TOO_SLOW);
    EXPECT_EQ(shared.counters.dropped_for_goodbye, outbox_frames_max);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 close(4508) end");
    end();
}

TEST("a frame that fell short and finds no room any more ends the connection, without a goodbye")
{
    begin();
    fall_short_and_make_room(0);
    for (uint32_t i = 0; i < outbox_frames_max; i++)
        push_new(peer, 0, small, OUTBOX_QUEUED);
    take_events(UINT32_MAX);
    EXPECT(peer->conn->phase == CONN_DRAINING && peer->conn->reason == CLOSE_TOO_SLOW);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 end");
    EXPECT_EQ(outboxes.counters.dropped_gone, outbox_frames_max + 1);
    end();
}

TEST("a peer that is shed while a frame is passing hears that frame whole, and its goodbye")
{
    begin();
    fall_short_and_make_room(0);
    for (uint32_t i = 0; i < 2 * outbox_inline_frames; i++)
        push_new(peer, 0, small, OUTBOX_QUEUED);
    conn_shed(peer->conn);
    EXPECT(peer->conn->phase == CONN_CLOSING);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 close(4508) end");
    end();
}

/* A peer that was upgraded in this turn: its 101 is queued, and nothing of it is sent. */
static void begin_upgraded(void)
{
    peers_begin((struct peers_options){});
    peer = peer_connect(true);
    peer_admit(peer);
    while (peer->conn->phase == CONN_HTTP) {
        shared.now = ring_wait(&ring, UINT64_MAX);
        take_events(UINT32_MAX);
    }
    EXPECT(peer->conn->phase == CONN_OPEN && peer->conn->outbox.count == 1);
}

TEST(
    "a peer that is shed before its 101 is sent hears that, and then its goodbye (RFC 6455 §4.2.2)")
{
    begin_upgraded();
    for (uint32_t i = 0; i < 2 * outbox_inline_frames; i++)
        push_new(peer, 0, small, OUTBOX_QUEUED);
    conn_shed(peer->conn);
    EXPECT(peer->conn->phase == CONN_CLOSING);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 close(4508) end");
    peers_end();
}

TEST("a goodbye to who was upgraded and has too much to take comes behind the 101")
{
    begin_upgraded();
    for (uint32_t i = 0; i + 1 < outbox_frames_max; i++)
        push_new(peer, 0, small, OUTBOX_QUEUED);
    conn_close(peer->conn, CLOSE_TOO_SLOW);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 close(4508) end");
    peers_end();
}

TEST("several rooms' frames for one peer in one round: the first passes, the others follow it")
{
    for (uint32_t size = small; size <= large; size += large - small) {
        begin();
        for (uint32_t key = 1; key <= 3; key++)
            tick(key, size);
        tick(0, small);
        EXPECT_EQ(fast(), 1);
        everything_arrives();
        EXPECT_EQ(outboxes.counters.conflated, 0);
        EXPECT_TEXT(heard(peer), "101 1 2 3 4");
        end();
    }
}

TEST("several rooms' frames that are there before the flush go out as one send")
{
    begin();
    for (uint32_t key = 1; key <= 3; key++)
        push_new(peer, key, small, OUTBOX_QUEUED);
    conn_flush_dirty(&shared);
    EXPECT_EQ(fast(), 0);
    everything_arrives();
    EXPECT_EQ(tally.send_events, 1);
    EXPECT_TEXT(heard(peer), "101 1 2 3");
    end();
}

TEST("a snapshot of which nothing was taken gives way to a newer one, wherever that is queued")
{
    begin();
    take_nothing_and_make_room(1);
    tick(0, small);
    tick(1, small);
    everything_arrives();
    EXPECT_EQ(outboxes.counters.conflated, 1);
    EXPECT_TEXT(heard(peer), "101 2 3");
    end();
}

TEST("a snapshot of which nothing was taken goes before another room's until a newer one comes")
{
    begin();
    take_nothing_and_make_room(1);
    tick(2, small);
    ring_wait(&ring, 0);
    take_events(UINT32_MAX);
    push_new(peer, 1, small, OUTBOX_REPLACED);
    everything_arrives();
    EXPECT_EQ(outboxes.counters.conflated, 1);
    EXPECT_TEXT(heard(peer), "101 2 3");
    end();
}

TEST("an event of which nothing was taken gives way to nobody")
{
    begin();
    take_nothing_and_make_room(0);
    tick(0, small);
    tick(0, small);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1 2 3");
    end();
}

TEST("a snapshot of which the peer has some bytes is finished, then the newest comes")
{
    begin();
    fall_short_and_make_room(1);
    tick(1, small);
    push_new(peer, 1, small, OUTBOX_REPLACED);
    ring_wait(&ring, 0);
    take_events(UINT32_MAX);
    push_new(peer, 1, small, OUTBOX_REPLACED);
    everything_arrives();
    EXPECT_EQ(outboxes.counters.conflated, 2);
    EXPECT_TEXT(heard(peer), "101 1 4");
    end();
}

TEST("a frame that nobody else holds lives until the kernel has it, and its rest until it is sent")
{
    for (uint32_t size = small; size <= large; size += large - small) {
        begin();
        handover.each = 0;
        tick(1, size);
        for (uint32_t i = 0; i < 5; i++)
            turn();
        EXPECT(conn_is_passing(peer->conn));
        EXPECT_EQ(frames.live, 2); /* beside the ping */
        handover.each = UINT32_MAX;
        everything_arrives();
        EXPECT_EQ(frames.live, 1);
        EXPECT_TEXT(heard(peer), "101 1");
        end();
    }
}

/* The worker ends `peer`'s connection; another peer is waiting to be accepted. */
static struct peer *replace_peer(void)
{
    struct peer *next = peer_connect(true);
    conn_drain(peer->conn, CLOSE_RESTART);
    take_events(UINT32_MAX);
    (void)conn_reap(&shared);
    EXPECT(peer->conn != nullptr); /* neither its descriptor nor its slot may be used again */
    peer_admit(next);
    return next;
}

TEST("a descriptor is not used again while a send to it waits to be handed over")
{
    begin();
    handover.each = 0;
    tick(0, small);
    struct peer *next = replace_peer();
    for (uint32_t i = 0; i < 5; i++)
        turn();
    EXPECT(peer->conn != nullptr);
    handover.each = UINT32_MAX;
    everything_arrives();
    EXPECT(peer->conn == nullptr);
    EXPECT_TEXT(heard(peer), "101 end");
    EXPECT_TEXT(heard(next), "101");
    peers_end();
}

TEST("a slot is not used again while a shortfall of its connection may still be told")
{
    begin();
    peer_ends(peer);
    ring_wait(&ring, ring_now(&ring).ns + 1'000'000'000); /* its end has come, and is not taken */
    tick(0, large);
    ring_submit(&ring);
    EXPECT_EQ(take_events(1), 1);
    EXPECT(peer->conn->phase == CONN_DRAINING && !peer->conn->recv_armed);
    settle();
    (void)conn_reap(&shared);
    EXPECT(peer->conn != nullptr);
    struct peer *next = peer_connect(true);
    peer_admit(next);
    EXPECT_EQ(tally.short_events, 0);
    everything_arrives();
    EXPECT_EQ(tally.short_events, 1);
    EXPECT(peer->conn == nullptr);
    EXPECT_TEXT(heard(peer), "101 end");
    EXPECT_TEXT(heard(next), "101");
    peers_end();
}

TEST("an error of a send past the outbox ends the connection, and a peer that left does no harm")
{
    begin();
    peer_reads(peer, UINT32_MAX);
    ring_shutdown(&ring, peer->conn->fd, false);
    tick(0, small);
    ring_submit(&ring);
    EXPECT_EQ(take_events(1), 1);
    EXPECT_EQ(tally.last_short, -EPIPE);
    EXPECT(peer->conn->phase == CONN_DRAINING && peer->conn->reason == CLOSE_SEND_ERROR);
    everything_arrives();
    peers_end();
}

TEST("what a peer that was cut off did not get counts as dropped, not as sent")
{
    for (uint32_t handed_over = 0; handed_over <= 1; handed_over++) {
        begin();
        handover.each = handed_over * UINT32_MAX;
        tick(0, large);
        ring_submit(&ring);
        conn_drain(peer->conn, CLOSE_RESTART);
        handover.each = UINT32_MAX;
        everything_arrives();
        EXPECT_EQ(tally.short_events, 1);
        EXPECT_EQ(outboxes.counters.frames_sent[FRAME_EVENT], 0);
        EXPECT_EQ(outboxes.counters.dropped_gone, 1);
        uint64_t taken = handed_over > 0 ? (uint64_t)tally.last_short : 0;
        EXPECT_EQ(outboxes.counters.bytes_sent, peer->bytes + taken);
        peers_end();
    }
}

/* ---- crowds */

/* One frame to everybody; flushed. */
static void tick_all(uint32_t key, uint32_t size)
{
    struct frame *frame = make_frame(key, size);
    for (uint32_t i = 0; i < peer_count; i++)
        EXPECT(push(&peers[i], frame) <= OUTBOX_REPLACED);
    frame_unref(&frames, frame);
    conn_flush_dirty(&shared);
}

TEST("shortfalls that overflow the completion queue are all put back, and no frame is lost")
{
    peers_begin((struct peers_options){.entries = 8});
    for (uint32_t i = 0; i < 80; i++)
        peer_open();
    tick_all(0, large);
    ring_submit(&ring);
    for (uint32_t i = 0; i < peer_count; i++)
        peer_reads(&peers[i], UINT32_MAX);
    for (uint32_t i = 0; i < 80; i++) {
        EXPECT(i == 0 || take_events(1) == 1);
        settle(); /* too early until the last one */
        if (i % 20 == 0) tick_all(0, small);
        EXPECT_EQ(conn_is_passing(peers[0].conn), i == 0);
    }
    everything_arrives();
    EXPECT(ring.stats.overflows > 0);
    EXPECT_EQ(tally.short_events, 80);
    for (uint32_t i = 0; i < peer_count; i++)
        EXPECT_TEXT(heard(&peers[i]), "101 1 2 3 4 5");
    peers_end();
}

TEST(
    "a submit that takes fewer entries than asked delays what it has not taken, and breaks nothing")
{
    for (uint32_t each = 1; each <= 9; each += 4) {
        peers_begin((struct peers_options){});
        for (uint32_t i = 0; i < 20; i++)
            peer_open();
        uint64_t before = shared.counters.sends_now;
        handover.each = each;
        for (uint32_t i = 1; i <= 12; i++) {
            tick_all(i % 3, i % 4 == 1 ? large : small);
            EXPECT(i > 2 || shared.counters.sends_now - before == 20);
            turn();
            for (uint32_t j = i % 2; j < peer_count; j += 2)
                peer_reads(&peers[j], UINT32_MAX);
        }
        everything_arrives();
        EXPECT(tally.short_events > 0);
        peers_end();
    }
}

TEST("a ring that takes no more operations leaves the outboxes dirty, and the frames come later")
{
    peers_begin((struct peers_options){});
    for (uint32_t i = 0; i < 10; i++)
        peer_open();
    for (uint32_t room = 0; room < 4; room++) {
        handover = (struct handover){.each = 0, .queue = 3};
        tick_all(0, small);
        EXPECT(!list_is_empty(&outboxes.dirty));
        for (uint32_t i = 0; i < 3; i++)
            turn();
        handover = (struct handover){.each = UINT32_MAX, .queue = 2 + room};
        everything_arrives();
    }
    for (uint32_t i = 0; i < peer_count; i++)
        EXPECT_TEXT(heard(&peers[i]), "101 1 2 3 4");
    peers_end();
}

TEST("more different frames in one round than can be retained go by the outbox")
{
    begin();
    while (shared.retained_count < conn_retained_max)
        shared.retained[shared.retained_count++] = frame_ref(shared.ping);
    tick(0, small);
    EXPECT_EQ(fast(), 0);
    EXPECT(peer->conn->send_armed);
    everything_arrives();
    tick(0, small);
    EXPECT_EQ(fast(), 1);
    EXPECT_EQ(shared.ping->refs, 1);
    end();
}

TEST("when the count of rounds wraps nobody is taken for passing who is not")
{
    begin();
    struct peer *other = peer_open();
    other->conn->passed = 0; /* as if nothing had ever passed to it */
    shared.round = UINT32_MAX;
    tick(0, small);
    turn();
    EXPECT(!conn_is_passing(peer->conn) && !conn_is_passing(other->conn));
    EXPECT_EQ(shared.round, 1);
    everything_arrives();
    EXPECT_TEXT(heard(peer), "101 1");
    peers_end();
}
