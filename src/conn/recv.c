/* conn/recv.c: a peer's bytes on their way in: to the request reader, then to the frame reader. */
#include "conn/inside.h"
#include "limits.h"
#include <assert.h>
#include <errno.h>

void conn_arm_recv(struct conn *conn)
{
    assert(!conn->recv_armed && conn->phase != CONN_DRAINING);
    struct conn_shared *shared = conn->shared;
    struct ring_token token = {RING_RECV, conn->number, conn->slot};
    /* It may have to be handed over, or to be stopped, with nothing armed. */
    bool once = conn->phase == CONN_HTTP || conn->answered;
    conn->recv_armed = ring_recv(shared->ring, token, conn->fd, once);
    if (!conn->recv_armed && !list_is_linked(&conn->turn)) list_push(&shared->waiting, &conn->turn);
}

void conn_arm_waiting(struct conn_shared *shared)
{
    if (list_is_empty(&shared->waiting)) return;
    struct list waiting;
    list_init(&waiting);
    list_each (link, &shared->waiting) {
        list_remove(link);
        list_push(&waiting, link);
    }
    /* More receives than there are buffers would only fail again. */
    uint32_t free_buffers = ring_receive_buffers - shared->ring->stats.buffers_out;
    for (struct list *link; (link = list_take(&waiting)) != nullptr;) {
        struct conn *conn = list_entry(link, struct conn, turn);
        if (conn->phase != CONN_DRAINING && free_buffers == 0) {
            list_push(&shared->waiting, link);
        } else if (conn->phase != CONN_DRAINING) {
            free_buffers -= 1;
            conn_arm_recv(conn);
        } else {
            conn_cancel_recv(conn);
            conn_drain_join(conn);
        }
    }
}

/* A shutdown alone would not do: a receive goes on while bytes are waiting, and a peer that sends
 * without end would keep it armed. */
void conn_cancel_recv(struct conn *conn)
{
    assert(conn->phase == CONN_DRAINING);
    if (!conn->recv_armed) return;
    struct conn_shared *shared = conn->shared;
    struct ring_token token = {RING_CANCEL, conn->number, conn->slot};
    struct ring_token target = {RING_RECV, conn->number, conn->slot};
    if (!ring_cancel(shared->ring, token, target)) list_push(&shared->waiting, &conn->turn);
}

/* Takes back what the reader had been lent. */
static void reclaim(struct conn *conn, bool even_if_used)
{
    struct bytes buffer = ws_reader_reclaim(&conn->ws, even_if_used);
    if (buffer.data == nullptr) return;
    if (conn->answered)
        frame_unref(conn->shared->outboxes->frames, frame_of_space(buffer.data));
    else
        pool_give(&conn->shared->message_buffers, buffer.data);
}

static bool is_wide(const struct conn *conn)
{
    const struct conn_config *config = &conn->shared->config;
    return config->wide_body_size_max > 0 && conn->listener == config->wide_listener;
}

static struct pool *request_buffers(const struct conn *conn)
{
    return is_wide(conn) ? &conn->shared->wide_request_buffers : &conn->shared->request_buffers;
}

/* `data` may be nullptr: nothing was lent. */
static void give_request_buffer(struct conn *conn, uint8_t *data)
{
    if (data != nullptr) pool_give(request_buffers(conn), data);
}

void conn_return_buffers(struct conn *conn)
{
    struct conn_shared *shared = conn->shared;
    if (conn->kept != nullptr)
        pool_give(conn->answered ? &shared->kept_buffers : request_buffers(conn), conn->kept);
    conn->kept = nullptr;
    if (conn->upgraded) {
        reclaim(conn, true);
    } else {
        give_request_buffer(conn, conn->http.buffer.data);
        conn->http.buffer.data = nullptr;
    }
}

/* The request has been read, so its buffer is free for what came behind it, which is no more
 * than one receive buffer holds. */
static void keep(struct conn *conn, uint8_t *buffer, struct bytes *rest)
{
    static_assert(ring_receive_buffer_size <= http_head_size_max);
    memcpy(buffer, rest->data, rest->size);
    conn->kept = buffer;
    conn->kept_size = (uint16_t)rest->size;
    *rest = bytes_skip(*rest, rest->size);
}

static bool lend_request_buffer(struct conn *conn)
{
    struct conn_shared *shared = conn->shared;
    const struct http_limits *limits =
        is_wide(conn) ? &shared->wide_http_limits : &shared->http_limits;
    uint8_t *memory = pool_take(request_buffers(conn));
    if (memory == nullptr) return false;
    http_reader_init(&conn->http, limits, (struct bytes){memory, http_buffer_size(limits)});
    return true;
}

/* The answer may be the end of HTTP, so the buffer is out of the reader meanwhile. */
static void answer_request(struct conn *conn, enum http_step step, struct bytes *input)
{
    struct conn_shared *shared = conn->shared;
    const struct http_reader *reader = &conn->http;
    uint8_t *buffer = reader->buffer.data;
    conn->http.buffer.data = nullptr;
    if (step == HTTP_BROKEN) {
        conn->bodiless = text_starts((struct text){(char *)buffer, reader->used}, TEXT("HEAD "));
        conn_answer_error(conn, http_error_status(reader->error), http_error_code(reader->error),
                          http_error_sentence(reader->error), (struct text){});
    } else {
        conn->bodiless = text_equal(shared->request.method, TEXT("HEAD"));
        shared->hooks->on_request(shared->hub, conn, &shared->request, *input);
    }
    assert(conn->phase != CONN_HTTP || conn->held);
    if (conn->paused)
        keep(conn, buffer, input);
    else
        give_request_buffer(conn, buffer);
}

static void read_request(struct conn *conn, struct bytes *input)
{
    if (conn->http.buffer.data == nullptr && !lend_request_buffer(conn)) {
        conn_answer_error(conn, 503, TEXT("overloaded"),
                          TEXT("Too many handshakes at once; try again."), (struct text){});
        return;
    }
    enum http_step step = http_reader_feed(&conn->http, input, &conn->shared->request);
    if (step != HTTP_NEED_MORE) answer_request(conn, step, input);
}

/* Gathers a PROXY header where the request will be, no byte beyond it. */
static enum http_proxy_step gather(struct http_reader *reader, struct bytes *input,
                                   struct http_proxy *proxy)
{
    static_assert(http_proxy_size_max <= http_head_size_max);
    for (;;) {
        struct bytes gathered = {reader->buffer.data, reader->used};
        enum http_proxy_step step = http_proxy_read(gathered, proxy);
        if (step != HTTP_PROXY_NEED_MORE || input->size == 0) return step;
        size_t size = proxy->size - reader->used;
        if (size > input->size) size = input->size;
        memcpy(reader->buffer.data + reader->used, input->data, size);
        reader->used += (uint32_t)size;
        *input = bytes_skip(*input, size);
    }
}

/* Who is no proxy learns nothing (THREATS.md H21). */
static void read_proxy_header(struct conn *conn, struct bytes *input)
{
    struct conn_shared *shared = conn->shared;
    struct http_proxy proxy;
    if (conn->http.buffer.data == nullptr && !lend_request_buffer(conn)) {
        conn_drain(conn, CLOSE_OVERLOADED);
        return;
    }
    enum http_proxy_step step = gather(&conn->http, input, &proxy);
    if (step == HTTP_PROXY_BROKEN) conn_drain(conn, CLOSE_PROXY_HEADER);
    if (step != HTTP_PROXY_WHOLE) return;
    conn->prefaced = false;
    give_request_buffer(conn, conn->http.buffer.data); /* its client may be silent for long */
    conn->http.buffer.data = nullptr;
    shared->hooks->on_proxy(shared->hub, conn, &proxy);
}

static bool lend_message_buffer(struct conn *conn)
{
    if (conn->answered) return conn_lend_frame(conn);
    struct pool *pool = &conn->shared->message_buffers;
    assert(conn->ws.buffer == nullptr && ws_reader_need(&conn->ws) <= pool->object_size);
    uint8_t *memory = pool_take(pool);
    if (memory == nullptr) return false;
    struct bytes old = ws_reader_lend(&conn->ws, (struct bytes){memory, pool->object_size});
    assert(old.data == nullptr);
    return true;
}

static void send_pong(struct conn *conn, struct bytes payload)
{
    if (conn->answered) {
        conn_reply(conn, WS_PONG, payload);
        return;
    }
    struct outbox_set *outboxes = conn->shared->outboxes;
    struct frame *frame = frame_make(outboxes->frames, FRAME_PONG, WS_PONG, payload);
    enum outbox_answer answer = OUTBOX_NO_SPACE;
    if (frame != nullptr) {
        answer = outbox_push(outboxes, &conn->outbox, frame);
        frame_unref(outboxes->frames, frame);
    }
    if (outbox_refused(answer)) conn_left_behind(conn, answer);
}

/* False when it is over its rate, and then it is closed. The hint is when all would be
 * forgotten. */
static bool may_send(struct conn *conn, uint32_t *bucket, struct rate rate, uint32_t cost,
                     uint64_t *limited)
{
    uint64_t now_ms = instant_ms(conn->shared->now);
    if (bucket_take(bucket, rate, now_ms, cost)) return true;
    *limited += 1;
    conn_close_retry(conn, CLOSE_RATE_LIMITED, bucket_drained_ms(*bucket, rate, now_ms));
    return false;
}

/* THREATS.md F15. One whose replies wait for it to read them needs no rate beside. */
static bool may_control(struct conn *conn)
{
    if (conn->answered) return true;
    struct conn_shared *shared = conn->shared;
    return may_send(conn, &conn->control_bucket, shared->config.control, 1,
                    &shared->counters.control_limited);
}

/* By its size as the room gets it, whatever it was on the wire (THREATS.md Z8). */
static bool may_speak(struct conn *conn, size_t size)
{
    uint32_t cost = 1 + (uint32_t)(size / message_token_size);
    return may_send(conn, &conn->message_bucket, conn->ws.limits->messages, cost,
                    &conn->shared->counters.messages_limited);
}

static void on_pong(struct conn *conn)
{
    struct conn_counters *counters = &conn->shared->counters;
    bool asked = conn->pong_by_ms != 0;
    *(asked ? &counters->pongs_received : &counters->unsolicited_pongs) += 1;
    conn->pong_by_ms = 0; /* the timer finds nothing due when it comes, and moves on by itself */
    if (!asked) (void)!may_control(conn);
}

/* A compressed message is inflated when it is whole, into memory that all connections of the worker
 * share. Inflating it as it comes would take an inflater, 40 KiB, and a buffer of the inflated
 * size for every message that somebody has begun; so it takes one message buffer, like any other,
 * and only that. */
static enum ws_error inflate(struct conn *conn, uint8_t *memory, struct ws_message *message)
{
    struct conn_shared *shared = conn->shared;
    if (shared->inflater == nullptr) shared->inflater = ws_inflater_make(shared->inflater_memory);
    struct bytes output = {memory, conn->ws.limits->message_size_max};
    ws_inflater_begin(shared->inflater, message->opcode, message->payload.size, output);
    enum ws_error error = ws_inflater_feed(shared->inflater, message->payload);
    if (error == WS_OK) error = ws_inflater_end(shared->inflater, &message->payload);
    if (error != WS_OK) return error;
    message->compressed = false;
    shared->counters.messages_inflated += 1;
    shared->counters.bytes_inflated += message->payload.size;
    return WS_OK;
}

static void deliver(struct conn *conn, const struct ws_message *message)
{
    if (may_speak(conn, message->payload.size))
        conn->shared->hooks->on_message(conn->shared->hub, conn, message);
}

/* Who cannot be inflated is closed. */
static void deliver_inflated(struct conn *conn, struct ws_message *message)
{
    constexpr size_t large = 64 * 1024; /* what is not kept from one message to the next */
    struct pool *inflated = &conn->shared->inflated;
    uint8_t *memory = pool_take(inflated);
    assert(memory != nullptr); /* one message at a time */
    enum ws_error error = inflate(conn, memory, message);
    if (error == WS_OK) {
        deliver(conn, message);
    } else {
        conn->deaf = true;
        conn_close(conn, close_reason_of(error));
    }
    if (error == WS_OK && message->payload.size <= large)
        pool_give(inflated, memory);
    else
        pool_give_pages(inflated, memory);
}

static void on_message(struct conn *conn, struct ws_message *message)
{
    if (message->opcode == WS_CLOSE) {
        conn_on_peer_close(conn, message->close_code);
        return;
    }
    if (conn->phase != CONN_OPEN) return; /* after our goodbye only the peer's matters */
    switch (message->opcode) {
    case WS_PING:
        if (may_control(conn)) send_pong(conn, message->payload);
        break;
    case WS_PONG: on_pong(conn); break;
    case WS_TEXT:
    case WS_BINARY:
        conn->message_by_ms = 0; /* what comes next is another message, with a time of its own */
        message->compressed ? deliver_inflated(conn, message) : deliver(conn, message);
        break;
    case WS_CONTINUATION:
    case WS_CLOSE: assert(false);
    }
}

/* All input is consumed: gives the message buffer back when it is not needed, and watches a
 * message that was begun. */
static void rest(struct conn *conn)
{
    reclaim(conn, false);
    if (conn->phase != CONN_OPEN) return;
    if (!ws_reader_is_midway(&conn->ws)) {
        conn->message_by_ms = 0;
    } else if (conn->message_by_ms == 0) {
        conn->message_by_ms = instant_ms(conn->shared->now) + conn->shared->config.message_ms;
        conn_schedule(conn);
    }
}

static void read_messages(struct conn *conn, struct bytes *input)
{
    struct ws_message message;
    while (!conn->deaf && conn->phase != CONN_DRAINING) {
        if (conn->answered && !conn_may_read(conn)) {
            if (input->size == 0) rest(conn);
            conn_stop(conn, *input);
            return;
        }
        switch (ws_reader_feed(&conn->ws, input, &message)) {
        case WS_NEED_MORE: rest(conn); return;
        case WS_NEED_BUFFER:
            if (lend_message_buffer(conn)) break;
            if (conn->answered && conn->phase == CONN_OPEN) {
                conn_stop(conn, *input);
                return;
            }
            conn->deaf = true;
            conn_close(conn, CLOSE_OVERLOADED);
            return;
        case WS_MESSAGE: on_message(conn, &message); break;
        case WS_BROKEN:
            conn->deaf = true;
            conn_close(conn, close_reason_of(conn->ws.error));
            return;
        }
    }
}

/* After a goodbye: what comes is read for the peer's close frame at most, and not for ever. */
static void discard(struct conn *conn, size_t size)
{
    conn->discarded += (uint32_t)size;
    if (conn->discarded > conn->shared->config.goodbye_bytes) conn_drain(conn, CLOSE_NONE);
}

static void conn_read(struct conn *conn, struct bytes input)
{
    size_t size = input.size;
    if (conn->phase == CONN_HTTP && conn->prefaced) read_proxy_header(conn, &input);
    bool asks = conn->phase == CONN_HTTP && !conn->prefaced && !conn->held;
    if (asks && input.size > 0) read_request(conn, &input);
    if (conn->upgraded && input.size > 0) read_messages(conn, &input);
    if (conn->phase == CONN_CLOSING) discard(conn, size);
    /* A protocol error may have been met after the goodbye had left: nothing more can be read. */
    if (conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox)) conn_on_goodbye_sent(conn);
}

void conn_pause(struct conn *conn)
{
    assert(conn->phase == CONN_OPEN && !conn->recv_armed && !conn->answered);
    conn->paused = true;
}

void conn_unpause(struct conn *conn)
{
    if (!conn->paused || conn->phase != CONN_OPEN) return;
    uint8_t *kept = conn->kept; /* closing must not give it back while it is read */
    conn->kept = nullptr;
    conn->paused = false;
    conn_resume(conn, (struct bytes){kept, kept != nullptr ? conn->kept_size : 0});
    give_request_buffer(conn, kept);
}

/* After a goodbye its input is read for the peer's answer only; what was kept does not matter. */
void conn_stop_pause(struct conn *conn)
{
    if (!conn->paused || conn->answered) return; /* the latter is read on by conn_read_stopped */
    conn->paused = false;
    give_request_buffer(conn, conn->kept);
    conn->kept = nullptr;
    conn_arm_recv(conn);
}

void conn_resume(struct conn *conn, struct bytes rest)
{
    if (rest.size > 0 && conn->phase != CONN_DRAINING) conn_read(conn, rest);
    bool more = conn->phase != CONN_DRAINING && !conn->peer_done && !conn->paused;
    if (more) conn_arm_recv(conn);
}

/* The peer ended its side. A goodbye that is still on its way is let through: `nc` ends its side
 * right after its request. */
static void on_end_of_stream(struct conn *conn)
{
    conn->peer_done = true;
    if (conn->held && conn->phase == CONN_HTTP) return; /* its answer is on the way */
    if (conn->phase == CONN_CLOSING && !outbox_is_empty(&conn->outbox)) return;
    conn_drain(conn, CLOSE_PEER_LEFT);
}

void conn_on_recv(struct conn *conn, struct ring_event event)
{
    assert(conn->recv_armed);
    if (event.last) conn->recv_armed = false;
    if (conn->phase == CONN_DRAINING) {
        conn_drain_join(conn);
        return;
    }
    conn_check(conn);
    if (event.result == -ENOBUFS) { /* our shortage, not the peer's fault */
        conn_give_time(conn, instant_ms(conn->shared->now));
        list_push(&conn->shared->waiting, &conn->turn);
        return;
    }
    if (event.result < 0) {
        conn_drain(conn, CLOSE_RECV_ERROR);
        return;
    }
    if (event.result == 0) {
        on_end_of_stream(conn);
        return;
    }
    conn->shared->counters.bytes_received += event.data.size;
    conn->read_anything = true;
    conn_read(conn, event.data);
    bool more = conn->phase != CONN_DRAINING && !conn->peer_done && !conn->paused;
    if (event.last && more) conn_arm_recv(conn);
}
