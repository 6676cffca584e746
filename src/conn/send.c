/* conn/send.c: what waits in an outbox on its way out. Two ways, after as long a wait for more as
 * the flush window allows (outbox/linger.c):
 *
 *   gathered   outbox dirty > [send armed] > conn_on_send > clean, or dirty again with the rest
 *   past it    a single frame, and the peer keeps up: one send that never waits and, taken whole,
 *              posts no event > conn_settle
 *                                    fell short > conn_on_send_now > back to the outbox's front
 *
 * The second is for the many who keep up, and as cheap as the kernel lets it be. What makes it
 * sound: one such send to a connection a round (a round ends by conn_settle, when the outcome of
 * all is known); none while a send is armed, while more than that frame is queued, after a
 * shortfall until the outbox has been emptied, or when a goodbye is under way. Until then what is
 * pushed stays in the outbox, which is held. The frames live until the round's end, and so do the
 * descriptors. */
#include "conn/inside.h"
#include <assert.h>
#include <errno.h>

static struct ring_token token_of(const struct conn *conn, enum ring_op op)
{
    return (struct ring_token){op, conn->number, conn->slot};
}

/* The round holds one reference to each frame, however many peers it went to. */
static bool retain(struct conn_shared *shared, struct frame *frame)
{
    if (frame->retained == shared->round) return true;
    if (shared->retained_count == conn_retained_max) return false;
    frame->retained = shared->round;
    shared->retained[shared->retained_count++] = frame_ref(frame);
    return true;
}

/* In line in both its callers: out of line it costs a tenth of a delivery. */
[[gnu::always_inline]] static inline bool send_past(struct conn *conn, struct frame *frame)
{
    struct conn_shared *shared = conn->shared;
    struct bytes wire = {frame->wire, frame->wire_size};
    outbox_pass(shared->outboxes, &conn->outbox);
    if (!ring_send_now(shared->ring, token_of(conn, RING_SEND_NOW), conn->fd, wire)) {
        bool placed = outbox_put_back(shared->outboxes, &conn->outbox, frame, 0);
        assert(placed); /* it is empty */
        return false;
    }
    conn->passing = frame;
    conn->passed = shared->round;
    shared->counters.sends_now += 1;
    return true;
}

static bool send_gathered(struct conn *conn)
{
    struct conn_shared *shared = conn->shared;
    if (conn->window_bits != 0) outbox_deflate(shared->outboxes, &conn->outbox, conn->window_bits);
    struct iovec pieces[outbox_gather_max];
    uint32_t count = outbox_gather(&conn->outbox, pieces, outbox_gather_max);
    if (!ring_send(shared->ring, token_of(conn, RING_SEND), conn->fd, pieces, count)) {
        outbox_sent(shared->outboxes, &conn->outbox, 0);
        return false;
    }
    conn->send_armed = true;
    return true;
}

/* True when nothing of the above but the outbox itself can stand in the way: that is not single
 * while a send is armed. */
static inline bool may_pass(const struct conn *conn)
{
    return conn->shared->send_now && conn->phase == CONN_OPEN && !conn->behind &&
           !conn_is_passing(conn);
}

/* Of one who agreed to compression. */
static bool pass_deflated(struct conn *conn, bool *sent)
{
    struct outbox *box = &conn->outbox;
    if (!may_pass(conn) || outbox_single(box) == nullptr) return false;
    outbox_deflate(conn->shared->outboxes, box, conn->window_bits);
    struct frame *frame = outbox_single(box);
    if (!retain(conn->shared, frame)) return false;
    *sent = send_past(conn, frame);
    return true;
}

[[gnu::noinline]] static bool flush_waiting(struct conn *conn)
{
    bool sent;
    if (conn->window_bits != 0 && pass_deflated(conn, &sent)) return sent;
    if (conn->send_armed || conn->phase == CONN_DRAINING || outbox_is_empty(&conn->outbox))
        return true;
    if (conn_is_passing(conn)) {
        outbox_hold(conn->shared->outboxes, &conn->outbox);
        return true;
    }
    return send_gathered(conn);
}

/* Who agreed to compression passes by the other way: so it costs the many others one look at a
 * byte. */
bool conn_flush(struct conn *conn)
{
    bool may = conn->window_bits == 0 && may_pass(conn);
    struct frame *frame = may ? outbox_single(&conn->outbox) : nullptr;
    if (frame != nullptr && retain(conn->shared, frame)) return send_past(conn, frame);
    return flush_waiting(conn);
}

/* False when the kernel takes no more operations now: the rest stays in the list. */
static bool flush_all(struct conn_shared *shared, struct list *outboxes)
{
    constexpr uint32_t sends_a_submit = 128; /* so the first peers need not wait for the last */
    for (struct list *link; (link = list_take(outboxes)) != nullptr;) {
        struct outbox *box = list_entry(link, struct outbox, dirty_link);
        struct conn *conn = list_entry(box, struct conn, outbox);
        if (!conn_flush(conn)) {
            if (list_is_linked(link)) list_remove(link);
            list_push(outboxes, link);
            return false;
        }
        if (++shared->unsubmitted < sends_a_submit) continue;
        shared->unsubmitted = 0;
        ring_submit(shared->ring);
    }
    return true;
}

void conn_flush_dirty(struct conn_shared *shared)
{
    struct outbox_set *outboxes = shared->outboxes;
    if (outboxes->window.size_ns > 0) outbox_linger(outboxes, shared->now.ns);
    if (flush_all(shared, &outboxes->due)) (void)!flush_all(shared, &outboxes->dirty);
}

void conn_on_send(struct conn *conn, struct ring_event event)
{
    assert(conn->send_armed && event.last);
    struct conn_shared *shared = conn->shared;
    conn->send_armed = false;
    outbox_sent(shared->outboxes, &conn->outbox, event.result > 0 ? (uint32_t)event.result : 0);
    if (conn->outbox.head_sent > 0) shared->counters.sends_partial += 1;
    if (outbox_is_empty(&conn->outbox)) conn->behind = false;
    if (conn->phase == CONN_DRAINING) {
        conn_drain_join(conn);
        return;
    }
    conn_check(conn);
    if (event.result < 0) {
        conn_drain(conn, CLOSE_SEND_ERROR);
        return;
    }
    if (conn->phase == CONN_CLOSING) conn_extend_goodbye(conn);
    if (conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox)) conn_on_goodbye_sent(conn);
}

void conn_on_send_now(struct conn *conn, struct ring_event event)
{
    assert(conn_is_passing(conn) && !conn->send_armed && event.last);
    struct conn_shared *shared = conn->shared;
    conn->passed = 0; /* the outcome is known */
    conn->behind = true;
    shared->counters.sends_now_short += 1;
    uint32_t taken = event.result > 0 ? (uint32_t)event.result : 0;
    bool fits = outbox_put_back(shared->outboxes, &conn->outbox, conn->passing, taken);
    if (!fits) shared->outboxes->counters.dropped_gone += 1;
    if (conn->phase == CONN_DRAINING) return;
    conn_check(conn);
    if (event.result < 0 && event.result != -EAGAIN)
        conn_drain(conn, CLOSE_SEND_ERROR);
    else if (!fits)
        conn_drain(conn, CLOSE_TOO_SLOW); /* no goodbye: it would come inside a frame */
}

void conn_settle(struct conn_shared *shared)
{
    shared->round += 1;
    if (shared->round == 0) shared->round = 1; /* 0 is "never" */
    while (shared->retained_count > 0)
        frame_unref(shared->outboxes->frames, shared->retained[--shared->retained_count]);
    outbox_release_held(shared->outboxes);
}
