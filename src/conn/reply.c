/* conn/reply.c: connections whose every message is answered, with nothing lost.
 *
 *   bytes > reader > [ a frame, lent as the message's buffer ] > header put before it > outbox
 *
 * Backpressure is TCP's: while a peer owes us the reading of replies, it is not read either.
 *
 *   reading > (too much is owed, or no frame can be had) > stopped > (less is owed) > reading
 *
 * A stopped connection has no receive armed. What had come and was not yet parsed lies in a buffer
 * of its own: receives are single here, so that is no more than one receive buffer. What all of
 * them owe together is bounded by config.reply_memory, beyond which each may owe one frame at a
 * time, and large frames are bounded by their count. */
#include "conn/inside.h"
#include <assert.h>

bool conn_can_answer_all(const struct conn_shared *shared)
{
    return shared->answered < shared->config.answered_max;
}

void conn_answer_all(struct conn *conn)
{
    assert(conn->phase == CONN_OPEN && !conn->paused && !conn->recv_armed);
    assert(conn_can_answer_all(conn->shared));
    conn->answered = true;
    conn->shared->answered += 1;
}

/* What a compressed message inflates to is not known before; so nobody reads on in one unless it
 * could be as large as it may: in a frame that is free, or in the one that it was lent, which is
 * given back before. */
static bool lacks_frame(const struct conn *conn)
{
    if (conn->window_bits == 0) return false;
    const struct pool *large = &conn->shared->outboxes->frames->classes[frame_class_large];
    if (large->in_use < large->capacity) return false;
    uint8_t *lent = conn->ws.buffer;
    return lent == nullptr || frame_of_space(lent)->size_class != frame_class_large;
}

bool conn_may_read(const struct conn *conn)
{
    if (conn->phase != CONN_OPEN) return true;
    const struct conn_shared *shared = conn->shared;
    const struct frame *passing = conn_is_passing(conn) ? conn->passing : nullptr;
    if (lacks_frame(conn)) return false;
    if (outbox_is_empty(&conn->outbox) && passing == nullptr) return true;
    return outbox_takes_reply(&conn->outbox, passing) &&
           frame_small_reply_bytes(shared->outboxes->frames) < shared->config.reply_memory;
}

void conn_stop(struct conn *conn, struct bytes input)
{
    struct conn_shared *shared = conn->shared;
    assert(conn->answered && !conn->paused && conn->kept == nullptr);
    assert(!conn->recv_armed && input.size <= shared->kept_buffers.object_size);
    if (input.size > 0) {
        conn->kept = pool_take(&shared->kept_buffers);
        assert(conn->kept != nullptr); /* each has one: conn_can_answer_all */
        memcpy(conn->kept, input.data, input.size);
    }
    conn->kept_size = (uint16_t)input.size;
    conn->paused = true;
    shared->counters.stops += 1;
    list_push(&shared->stopped, &conn->turn);
}

static void postpone(uint64_t *deadline_ms, uint64_t to_ms)
{
    if (*deadline_ms != 0 && *deadline_ms < to_ms) *deadline_ms = to_ms;
}

void conn_give_time(struct conn *conn, uint64_t since_ms)
{
    if (conn->phase != CONN_OPEN) return;
    const struct conn_config *config = &conn->shared->config;
    postpone(&conn->pong_by_ms, since_ms + config->pong_ms);
    postpone(&conn->message_by_ms, since_ms + config->message_ms);
}

/* What is kept may stop it again, so its buffer is free only afterwards: there is one more than
 * there are connections. */
static void read_on(struct conn *conn)
{
    struct bytes kept = {conn->kept, conn->kept_size};
    conn->kept = nullptr;
    conn->kept_size = 0;
    conn->paused = false;
    conn_give_time(conn, instant_ms(conn->shared->now));
    conn_resume(conn, kept);
    if (kept.data != nullptr) pool_give(&conn->shared->kept_buffers, kept.data);
}

bool conn_read_stopped(struct conn_shared *shared, uint64_t duration_ns)
{
    if (list_is_empty(&shared->stopped)) return false;
    uint64_t until_ns = ring_now(shared->ring).ns + duration_ns;
    struct list stopped;
    list_init(&stopped);
    list_move_all(&stopped, &shared->stopped);
    for (struct list *link; (link = list_take(&stopped)) != nullptr;) {
        struct conn *conn = list_entry(link, struct conn, turn);
        if (!conn_may_read(conn)) {
            list_push(&shared->stopped, link);
            continue;
        }
        read_on(conn);
        if (list_is_empty(&stopped) || ring_now(shared->ring).ns < until_ns) continue;
        /* who was not looked at is first the next time */
        list_move_all(&stopped, &shared->stopped);
        list_move_all(&shared->stopped, &stopped);
        return true;
    }
    /* Frames sent past outboxes come home without an event. */
    return !list_is_empty(&shared->stopped) && shared->retained_count > 0;
}

bool conn_lend_frame(struct conn *conn)
{
    struct frame_pool *frames = conn->shared->outboxes->frames;
    struct frame *frame = frame_reserve(frames, ws_reader_need(&conn->ws));
    if (frame == nullptr) return false;
    struct bytes old = ws_reader_lend(&conn->ws, frame_space(frames, frame));
    if (old.data != nullptr) frame_unref(frames, frame_of_space(old.data));
    return true;
}

/* The lent frame when the message lies in it: the reader needs it no more. */
static struct frame *take_lent(struct conn *conn, struct bytes payload)
{
    if (payload.size == 0 || payload.data != conn->ws.buffer) return nullptr;
    struct bytes buffer = ws_reader_reclaim(&conn->ws, false);
    assert(buffer.data == payload.data);
    return frame_of_space(buffer.data);
}

/* A message that came whole in one receive buffer, or compressed. In the second case what it was
 * inflated from is needed no more, and its frame may be the last of its size. */
static struct frame *copy_reply(struct conn *conn, struct bytes payload)
{
    struct frame_pool *frames = conn->shared->outboxes->frames;
    struct bytes buffer = ws_reader_reclaim(&conn->ws, false);
    if (buffer.data != nullptr) frame_unref(frames, frame_of_space(buffer.data));
    struct frame *frame = frame_reserve(frames, (uint32_t)payload.size);
    if (frame != nullptr && payload.size > 0)
        memcpy(frame_space(frames, frame).data, payload.data, payload.size);
    return frame;
}

void conn_reply(struct conn *conn, enum ws_opcode opcode, struct bytes payload)
{
    assert(conn->answered && conn->phase == CONN_OPEN);
    struct outbox_set *outboxes = conn->shared->outboxes;
    struct frame *frame = take_lent(conn, payload);
    if (frame == nullptr) frame = copy_reply(conn, payload);
    enum outbox_answer answer = OUTBOX_NO_SPACE;
    if (frame != nullptr) {
        frame_finish(frame, opcode, (uint32_t)payload.size);
        answer = outbox_push_reply(outboxes, &conn->outbox, frame);
        frame_unref(outboxes->frames, frame);
    }
    if (outbox_refused(answer)) conn_left_behind(conn, answer);
}
