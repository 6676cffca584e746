#include "conn/conn.h"
#include "conn/inside.h"
#include <assert.h>

void conn_reserve(struct conn_shared *shared, struct arena *arena)
{
    const struct conn_config *config = &shared->config;
    constexpr uint32_t requests_max = 4096; /* handshakes under way at once */
    constexpr uint32_t wide_requests_max = 256;
    constexpr uint32_t messages_max = 8192; /* messages begun and not finished at once */
    uint32_t count = config->connections_max;
    shared->http_limits = (struct http_limits){.head_size_max = http_head_size_max,
                                               .line_size_max = http_line_size_max,
                                               .body_size_max = http_body_size_max};
    shared->wide_http_limits = shared->http_limits;
    shared->wide_http_limits.body_size_max = config->wide_body_size_max;
    shared->retained = arena_take(arena, conn_retained_max * sizeof *shared->retained);
    pool_init(&shared->conns, arena, sizeof(struct conn), count);
    pool_init(&shared->request_buffers, arena, http_buffer_size(&shared->http_limits),
              count < requests_max ? count : requests_max);
    if (config->wide_body_size_max > 0)
        pool_init(&shared->wide_request_buffers, arena, http_buffer_size(&shared->wide_http_limits),
                  count < wide_requests_max ? count : wide_requests_max);
    if (config->answered_max > 0)
        pool_init(&shared->kept_buffers, arena, ring_receive_buffer_size, config->answered_max + 1);
    pool_init(&shared->message_buffers, arena, config->message_size_max + ws_control_payload_max,
              count < messages_max ? count : messages_max);
    shared->inflater_memory = (struct bytes){arena_take(arena, ws_inflater_size), ws_inflater_size};
    pool_init(&shared->inflated, arena, config->inflated_size_max, 1);
}

bool conn_shared_open(struct conn_shared *shared)
{
    shared->round = 1;
    list_init(&shared->waiting);
    list_init(&shared->stopped);
    list_init(&shared->drained);
    shared->ping = frame_make(shared->outboxes->frames, FRAME_CONTROL, WS_PING, (struct bytes){});
    return shared->ping != nullptr;
}

void conn_shared_close(struct conn_shared *shared)
{
    assert(shared->conns.in_use == 0 && shared->retained_count == 0);
    frame_unref(shared->outboxes->frames, shared->ping);
}

void conn_check(const struct conn *conn)
{
    assert(conn->phase != CONN_FREE);
    assert(conn->fd >= 0 || conn->phase == CONN_DRAINING);
    assert((conn->reason != CLOSE_NONE) == (conn->phase >= CONN_CLOSING));
    assert(conn->member == nullptr || conn->phase <= CONN_OPEN);
    assert(!conn->paused || conn->answered || conn->phase == CONN_OPEN ||
           conn->phase == CONN_DRAINING);
    assert(conn->send_armed == (conn->outbox.in_flight > 0));
    outbox_check(&conn->outbox);
}

struct conn *conn_of_token(struct conn_shared *shared, struct ring_token token)
{
    if (token.slot >= shared->conns.touched) return nullptr;
    struct conn *conn = pool_at(&shared->conns, token.slot);
    if (conn->phase == CONN_FREE || (conn->number & ring_generation_mask) != token.generation)
        return nullptr;
    return conn;
}

struct conn *conn_at_or_behind(struct conn_shared *shared, uint32_t slot)
{
    for (; slot < shared->conns.touched; slot++) {
        struct conn *conn = pool_at(&shared->conns, slot);
        if (conn->phase != CONN_FREE) return conn;
    }
    return nullptr;
}

static struct conn *take_slot(struct conn_shared *shared, int fd)
{
    struct conn *conn = pool_take(&shared->conns);
    if (conn == nullptr) {
        shared->counters.refused += 1;
        ring_close_fd(shared->ring, fd, false);
        return nullptr;
    }
    uint64_t now_ms = instant_ms(shared->now);
    *conn = (struct conn){.shared = shared,
                          .timer.kind = shared->timer_kind,
                          .opened_ms = now_ms,
                          .deadline_ms = now_ms + shared->config.handshake_ms,
                          .fd = fd,
                          .number = (uint32_t)++shared->counters.accepted,
                          .slot = pool_index(&shared->conns, conn),
                          .phase = CONN_HTTP};
    conn_schedule(conn);
    conn_check(conn);
    return conn;
}

struct conn *conn_accept(struct conn_shared *shared, int fd, uint8_t listener,
                         const struct address *peer)
{
    struct conn *conn = take_slot(shared, fd);
    if (conn == nullptr) return nullptr;
    conn->listener = listener;
    conn->peer = *peer;
    conn_arm_recv(conn);
    return conn;
}

struct conn *conn_adopt(struct conn_shared *shared, struct conn_passport passport)
{
    struct conn *conn = take_slot(shared, passport.fd);
    if (conn == nullptr) return nullptr;
    conn->peer = passport.peer;
    conn->opened_ms = passport.opened_ms;
    conn->listener = passport.listener;
    return conn;
}

static uint64_t earlier(uint64_t deadline_ms, uint64_t other_ms)
{
    return other_ms != 0 && other_ms < deadline_ms ? other_ms : deadline_ms;
}

void conn_schedule(struct conn *conn)
{
    uint64_t due_ms = conn->deadline_ms;
    if (conn->phase == CONN_OPEN) {
        due_ms = earlier(conn->ping_due_ms, conn->deadline_ms);
        due_ms = earlier(earlier(due_ms, conn->pong_by_ms), conn->message_by_ms);
    }
    wheel_set(conn->shared->wheel, &conn->timer, due_ms);
}

/* Pings fall due together, on a grid of 16 ms: so their answers come together, and the thread wakes
 * up for many at once, which takes a fifth off what they cost. */
static uint64_t next_ping_ms(struct conn *conn)
{
    constexpr uint64_t grid_ms = 16;
    uint32_t ping_ms = conn->shared->config.ping_ms;
    uint64_t due_ms = instant_ms(conn->shared->now) + ping_ms -
                      random_below(conn->shared->random, ping_ms / 5 + 1);
    return due_ms - due_ms % grid_ms;
}

static void send_ping(struct conn *conn)
{
    struct conn_shared *shared = conn->shared;
    conn->ping_due_ms = next_ping_ms(conn);
    if (conn->pong_by_ms != 0) return; /* one at a time */
    conn->pong_by_ms = instant_ms(shared->now) + shared->config.pong_ms;
    shared->counters.pings_sent += 1;
    enum outbox_answer answer = outbox_push(shared->outboxes, &conn->outbox, shared->ping);
    if (outbox_refused(answer)) conn_left_behind(conn, answer);
}

static bool is_over(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms != 0 && now_ms >= deadline_ms;
}

/* When a kernel that is short of memory last held operations back, as far as it is known. */
static uint64_t held_back_ms(struct conn_shared *shared, uint64_t now_ms)
{
    uint64_t count = shared->ring->stats.held_back;
    if (count != shared->held_back) shared->held_back_ms = now_ms;
    shared->held_back = count;
    return shared->held_back_ms;
}

/* Whom we did not read, by our choice or for want of a receive buffer, is not late; nor is anybody
 * while our pings and receives may be among what a kernel short of memory does not take. */
static void excuse(struct conn *conn, uint64_t now_ms)
{
    uint64_t since_ms = held_back_ms(conn->shared, now_ms);
    if (conn->paused || list_is_linked(&conn->turn)) since_ms = now_ms;
    conn_give_time(conn, since_ms);
}

static void on_open_timer(struct conn *conn, uint64_t now_ms)
{
    excuse(conn, now_ms);
    if (is_over(conn->pong_by_ms, now_ms)) {
        conn_close(conn, CLOSE_PONG_TIMEOUT);
    } else if (is_over(conn->message_by_ms, now_ms)) {
        conn_close(conn, CLOSE_MESSAGE_TIMEOUT);
    } else if (is_over(conn->deadline_ms, now_ms)) {
        uint32_t spread_ms = conn->shared->config.restart_retry_ms;
        conn_close_retry(conn, CLOSE_RESTART,
                         (uint32_t)random_below(conn->shared->random, (uint64_t)spread_ms + 1));
    } else {
        if (now_ms >= conn->ping_due_ms) send_ping(conn);
        if (conn->phase == CONN_OPEN) conn_schedule(conn);
    }
}

void conn_on_timer(struct conn *conn)
{
    conn_check(conn);
    uint64_t now_ms = instant_ms(conn->shared->now);
    switch (conn->phase) {
    case CONN_HTTP:
        if (conn->read_anything && !conn->prefaced)
            conn_answer_error(conn, 408, TEXT("request_timeout"),
                              TEXT("The request did not come in time."), (struct text){});
        else
            conn_drain(conn, CLOSE_HANDSHAKE_TIMEOUT);
        break;
    case CONN_OPEN: on_open_timer(conn, now_ms); break;
    case CONN_CLOSING: conn_drain(conn, CLOSE_NONE); break;
    case CONN_DRAINING:
    case CONN_FREE: assert(false);
    }
}

/* The hub lets go; from here on the connection is only ours. */
static void leave(struct conn *conn, enum close_reason reason, uint16_t code)
{
    assert(reason != CLOSE_NONE && conn->phase <= CONN_OPEN);
    conn->reason = reason;
    conn->close_code = code;
    conn->shared->hooks->on_close(conn->shared->hub, conn);
    conn->member = nullptr;
}

static enum outbox_answer push_goodbye(struct conn *conn, struct frame *frame)
{
    struct outbox_set *outboxes = conn->shared->outboxes;
    enum outbox_answer answer = outbox_push(outboxes, &conn->outbox, frame);
    if (answer == OUTBOX_QUEUED) return answer;
    conn->shared->counters.dropped_for_goodbye += outbox_drop_unsent(outboxes, &conn->outbox);
    return outbox_push(outboxes, &conn->outbox, frame);
}

/* Queues the last frame, making room for it if need be; takes over the reference. `frame` is
 * nullptr when no memory was left. */
static void say_goodbye(struct conn *conn, struct frame *frame)
{
    enum outbox_answer answer = OUTBOX_NO_SPACE;
    if (frame != nullptr) {
        answer = push_goodbye(conn, frame);
        frame_unref(conn->shared->outboxes->frames, frame);
    }
    if (answer != OUTBOX_QUEUED) {
        conn_drain(conn, CLOSE_NONE);
        return;
    }
    conn->phase = CONN_CLOSING;
    conn_stop_pause(conn);
    conn->closing_ms = instant_ms(conn->shared->now);
    conn->discarded = 0;
    conn_extend_goodbye(conn);
    conn_check(conn);
}

void conn_extend_goodbye(struct conn *conn)
{
    /* A peer that takes a byte at a time is not waited for. */
    constexpr uint32_t extensions_max = 5;
    uint32_t goodbye_ms = conn->shared->config.goodbye_ms;
    uint64_t last_ms = conn->closing_ms + extensions_max * goodbye_ms;
    conn->deadline_ms = instant_ms(conn->shared->now) + goodbye_ms;
    if (conn->deadline_ms > last_ms) conn->deadline_ms = last_ms;
    conn_schedule(conn);
}

static struct frame *make_close_frame(struct conn *conn, uint16_t code, struct writer *reason)
{
    uint8_t payload[ws_control_payload_max];
    struct writer out = writer_over(payload, sizeof payload);
    if (code != 1005) { /* the peer's close frame was empty, so is the answer */
        write_byte(&out, (uint8_t)(code >> 8));
        write_byte(&out, (uint8_t)code);
        write_text(&out, text_from(writer_bytes(reason)));
    }
    return frame_make(conn->shared->outboxes->frames, FRAME_CONTROL, WS_CLOSE, writer_bytes(&out));
}

static void close_saying(struct conn *conn, enum close_reason reason, uint16_t code,
                         struct writer *text)
{
    bool can_say = conn->phase == CONN_OPEN && code != 0;
    struct frame *goodbye = can_say ? make_close_frame(conn, code, text) : nullptr;
    bool told =
        goodbye != nullptr || reason == CLOSE_PEER_CLOSED; /* or it is the peer's own code */
    leave(conn, reason, told ? code : 0);
    if (can_say)
        say_goodbye(conn, goodbye);
    else
        conn_drain(conn, CLOSE_NONE);
}

void conn_close(struct conn *conn, enum close_reason reason)
{
    if (conn->phase >= CONN_CLOSING) return;
    const struct close_info *info = close_info(reason);
    uint8_t memory[ws_control_payload_max - 2];
    struct writer text = writer_over(memory, sizeof memory);
    write_text(&text, info->token);
    close_saying(conn, reason, info->code, &text);
}

void conn_close_retry(struct conn *conn, enum close_reason reason, uint32_t retry_ms)
{
    if (conn->phase >= CONN_CLOSING) return;
    const struct close_info *info = close_info(reason);
    uint8_t memory[ws_control_payload_max - 2];
    struct writer text = writer_over(memory, sizeof memory);
    write_text(&text, info->token);
    write_text(&text, TEXT(";retry_ms="));
    write_u64(&text, retry_ms);
    close_saying(conn, reason, info->code, &text);
}

void conn_shed(struct conn *conn)
{
    outbox_shed(conn->shared->outboxes, &conn->outbox);
    if (conn->phase == CONN_OPEN)
        conn_close(conn, CLOSE_TOO_SLOW);
    else
        conn_drain(conn, CLOSE_NONE); /* even its goodbye is too much */
}

void conn_restart_at(struct conn *conn, uint64_t due_ms)
{
    assert(conn->phase == CONN_OPEN && due_ms > 0);
    conn->deadline_ms = due_ms;
    conn_schedule(conn);
}

void conn_left_behind(struct conn *conn, enum outbox_answer answer)
{
    conn_close(conn, answer == OUTBOX_NO_SPACE ? CLOSE_OVERLOADED : CLOSE_TOO_SLOW);
}

void conn_on_peer_close(struct conn *conn, uint16_t code)
{
    conn->deaf = true; /* what follows a close frame is ignored (RFC 6455 §5.5.1) */
    conn->peer_done = true;
    struct writer nothing = {};
    if (conn->phase == CONN_OPEN)
        close_saying(conn, CLOSE_PEER_CLOSED, code, &nothing);
    else if (conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox))
        conn_drain(conn, CLOSE_NONE); /* both have said it: the server closes TCP first (§7.1.1) */
}

void conn_on_goodbye_sent(struct conn *conn)
{
    assert(conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox));
    bool nothing_to_read = conn->deaf || !conn->upgraded;
    if (conn->peer_done) {
        conn_drain(conn, CLOSE_NONE);
    } else if (nothing_to_read && !conn->shut) {
        conn->shut = true;
        ring_shutdown(conn->shared->ring, conn->fd, false);
    }
}

void conn_upgrade(struct conn *conn, const struct http_upgrade *upgrade,
                  const struct ws_limits *limits)
{
    assert(conn->phase == CONN_HTTP);
    struct conn_shared *shared = conn->shared;
    uint8_t memory[512];
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, upgrade);
    assert(!out.overflow);
    struct frame *frame = frame_make_raw(shared->outboxes->frames, writer_bytes(&out));
    if (frame == nullptr || outbox_push(shared->outboxes, &conn->outbox, frame) != OUTBOX_QUEUED) {
        if (frame != nullptr) frame_unref(shared->outboxes->frames, frame);
        leave(conn, CLOSE_OVERLOADED, 0);
        conn_drain(conn, CLOSE_NONE);
        return;
    }
    frame_unref(shared->outboxes->frames, frame);
    conn->phase = CONN_OPEN;
    conn->upgraded = true;
    conn->deadline_ms = 0;
    ws_reader_init(&conn->ws, limits);
    conn->window_bits = upgrade->deflate.server_bits;
    if (conn->window_bits != 0) ws_reader_expect_deflate(&conn->ws);
    conn->ping_due_ms = next_ping_ms(conn);
    conn_schedule(conn);
    conn_check(conn);
}

void conn_answer(struct conn *conn, struct bytes answer)
{
    assert(conn->phase == CONN_HTTP);
    leave(conn, CLOSE_ANSWERED, 0);
    conn_return_buffers(conn);
    if (conn->bodiless) answer.size = http_head_size(text_from(answer)); /* RFC 9110 §9.3.2 */
    say_goodbye(conn, frame_make_raw(conn->shared->outboxes->frames, answer));
}

static void count_refusal(struct conn_shared *shared, struct text code)
{
    uint32_t i = 0;
    while (i < shared->refusal_count && !text_equal(shared->refusals[i].code, code))
        i += 1;
    assert(i < conn_refusals_max);
    if (i == shared->refusal_count)
        shared->refusals[shared->refusal_count++] = (struct conn_refusal){.code = code};
    shared->refusals[i].count += 1;
}

void conn_answer_error(struct conn *conn, uint16_t status, struct text code, struct text message,
                       struct text extra_headers)
{
    uint8_t memory[4096];
    struct writer out = writer_over(memory, sizeof memory);
    http_write_error(&out, status, code, message, extra_headers);
    assert(!out.overflow);
    conn_refuse(conn, status, code, writer_bytes(&out));
}

void conn_refuse(struct conn *conn, uint16_t status, struct text code, struct bytes answer)
{
    struct conn_shared *shared = conn->shared;
    uint8_t ip_memory[address_text_max];
    struct writer ip = writer_over(ip_memory, sizeof ip_memory);
    count_refusal(shared, code);
    write_address(&ip, &conn->peer, false);
    LOG(shared->log, shared->now, LOG_INFO, "refused", LOG_U("conn", conn->number),
        LOG_T("ip", text_from(writer_bytes(&ip))), LOG_U("status", status), LOG_T("reason", code));
    conn_answer(conn, answer);
}

void conn_drain(struct conn *conn, enum close_reason reason)
{
    if (conn->phase == CONN_DRAINING) return;
    if (conn->phase <= CONN_OPEN && conn->reason == CLOSE_NONE) leave(conn, reason, 0);
    struct conn_shared *shared = conn->shared;
    bool is_said = outbox_is_empty(&conn->outbox) && !conn_is_passing(conn);
    conn->given_up = conn->phase == CONN_CLOSING && (!conn->peer_done || !is_said);
    if (conn->phase == CONN_CLOSING && conn->upgraded && !is_said)
        shared->counters.goodbyes_unsent += 1;
    conn->phase = CONN_DRAINING;
    wheel_clear(shared->wheel, &conn->timer);
    if (list_is_linked(&conn->turn)) list_remove(&conn->turn);
    ring_shutdown(shared->ring, conn->fd, true);
    conn_cancel_recv(conn);
    conn_drain_join(conn);
}

struct conn_passport conn_part(struct conn *conn)
{
    assert(conn->phase == CONN_HTTP && !conn->recv_armed && outbox_is_empty(&conn->outbox));
    leave(conn, CLOSE_HANDED_OVER, 0);
    struct conn_passport passport = {conn->fd, conn->peer, conn->opened_ms, conn->listener};
    conn->fd = -1;
    conn->phase = CONN_DRAINING;
    wheel_clear(conn->shared->wheel, &conn->timer);
    conn_drain_join(conn);
    return passport;
}

void conn_hold(struct conn *conn)
{
    assert(conn->phase == CONN_HTTP);
    conn->held = true;
}

void conn_drain_join(struct conn *conn)
{
    if (conn->recv_armed || conn->send_armed || list_is_linked(&conn->turn)) return;
    list_push(&conn->shared->drained, &conn->turn);
}

static void release(struct conn *conn)
{
    struct conn_shared *shared = conn->shared;
    assert(conn->phase == CONN_DRAINING && !conn->recv_armed && !conn->send_armed);
    outbox_clear(shared->outboxes, &conn->outbox);
    conn_return_buffers(conn);
    if (conn->fd >= 0) ring_close_fd(shared->ring, conn->fd, conn->given_up);
    if (conn->answered) shared->answered -= 1;
    shared->hooks->on_release(shared->hub, conn);
    conn->phase = CONN_FREE;
    conn->fd = -1;
    pool_give(&shared->conns, conn);
}

/* A send past the outbox names the descriptor, so that must not be used again before its outcome
 * is known. */
bool conn_reap(struct conn_shared *shared)
{
    bool released = false;
    list_each (link, &shared->drained) {
        struct conn *conn = list_entry(link, struct conn, turn);
        if (conn_is_passing(conn)) continue;
        list_remove(link);
        release(conn);
        released = true;
    }
    return released;
}
