#include "hub.h"
#include "base/log.h"
#include "say.h"
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

constexpr uint32_t state_key = 1;
constexpr uint32_t events_max = 256; /* the worker's */

static void on_close(void *, struct conn *)
{
    give_up("a connection was closed; the figures would mean nothing");
}

static void on_release(void *, struct conn *)
{
}

static const struct conn_hooks hooks = {.on_close = on_close, .on_release = on_release};

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct hub *hub, struct arena *arena, uint32_t members_max)
{
    constexpr size_t frame_budget = 4 * 1024 * 1024; /* of each size class */
    const struct ring_config ring = {.entries = ring_entries,
                                     .receive_buffers = ring_receive_buffers,
                                     .receive_buffer_size = ring_receive_buffer_size};
    hub->conns.config = (struct conn_config){.connections_max = members_max,
                                             .handshake_ms = 5000,
                                             .ping_ms = 25'000,
                                             .pong_ms = 10'000,
                                             .message_ms = 15'000,
                                             .goodbye_ms = 2000,
                                             .goodbye_bytes = 4096,
                                             .message_size_max = 4096,
                                             .inflated_size_max = 4096};
    ring_reserve_uring(&hub->ring, arena, &ring);
    frame_pool_init(&hub->frames, arena, frame_budget);
    outbox_set_init(&hub->outboxes, arena, &hub->frames, members_max);
    conn_reserve(&hub->conns, arena);
    hub->members = arena_take(arena, members_max * sizeof *hub->members);
}

static size_t measure(uint32_t members_max)
{
    static struct hub measured; /* only its sizes matter */
    struct arena arena = arena_measure();
    arena_take(&arena, sizeof measured);
    reserve(&measured, &arena, members_max);
    return arena.used;
}

static void ready(struct hub *hub)
{
    struct instant now = ring_now(&hub->ring);
    wheel_init(&hub->wheel, instant_ms(now));
    log_init(&hub->log, LOG_ERROR, false, 0, 0);
    ring_entropy(&hub->ring, (struct bytes){(uint8_t *)&hub->random, sizeof hub->random});
    hub->conns.ring = &hub->ring;
    hub->conns.wheel = &hub->wheel;
    hub->conns.log = &hub->log;
    hub->conns.outboxes = &hub->outboxes;
    hub->conns.random = &hub->random;
    hub->conns.hooks = &hooks;
    hub->conns.hub = hub;
    hub->conns.now = now;
    hub->limits = (struct ws_limits){.message_size_max = 4096, .tiny_fragments_max = 256};
    room_init(&hub->room, TEXT("kart"), 0, state_key, 1000, 0, instant_ms(now));
    if (!conn_shared_open(&hub->conns)) give_up("no frame could be had");
}

struct hub *hub_open(uint32_t members_max)
{
    const struct address loopback = {.ip = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, .is_v4 = true};
    const struct ring_listen_options options = {.not_sent_low_bytes = 16 * 1024,
                                                .user_timeout_ms = 35'000};
    struct arena arena;
    struct text why;
    if (!arena_open(&arena, measure(members_max))) give_up("no memory");
    struct hub *hub = arena_take(&arena, sizeof *hub);
    reserve(hub, &arena, members_max);
    hub->arena = arena;
    if (!ring_open(&hub->ring, &why)) give_up("%.*s", TEXT_ARG(why));
    ready(hub);
    hub->send_now_works = ring_send_now_works(&hub->ring);
    hub->listener = ring_listen(&hub->ring, &loopback, &options);
    if (hub->listener < 0) give_up("cannot listen on 127.0.0.1");
    return hub;
}

uint16_t hub_port(const struct hub *hub)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(hub->listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void on_event(struct hub *hub, struct ring_event event)
{
    struct conn *conn = conn_of_token(&hub->conns, event.token);
    if (conn == nullptr) return;
    switch (event.token.op) {
    case RING_RECV: conn_on_recv(conn, event); break;
    case RING_SEND: conn_on_send(conn, event); break;
    case RING_SEND_NOW: conn_on_send_now(conn, event); break;
    default: break;
    }
}

/* The turn that follows, as in hub/worker.c, until nothing is dirty or unknown any more. */
static void turn(struct hub *hub)
{
    static struct ring_event events[events_max];
    bool settled = false;
    while (!settled || !list_is_empty(&hub->outboxes.dirty)) {
        hub->conns.now = ring_wait(&hub->ring, 0);
        for (uint32_t count; (count = ring_take(&hub->ring, events, events_max)) > 0;) {
            for (uint32_t i = 0; i < count; i++) {
                on_event(hub, events[i]);
                ring_give(&hub->ring, &events[i]);
            }
        }
        settled = ring_settled(&hub->ring);
        if (settled) conn_settle(&hub->conns);
        conn_flush_dirty(&hub->conns);
        conn_reap(&hub->conns);
    }
}

static int accept_one(struct hub *hub)
{
    constexpr int patience_ms = 5000;
    struct pollfd waiting = {.fd = hub->listener, .events = POLLIN};
    if (poll(&waiting, 1, patience_ms) <= 0) give_up("a member did not connect");
    return ring_accept_now(&hub->ring, hub->listener);
}

static const struct http_upgrade upgrade = {.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"};

static uint64_t answer_size(void)
{
    uint8_t memory[512];
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, &upgrade);
    return out.size;
}

static void seat(struct hub *hub, int fd)
{
    struct conn *conn = fd < 0 ? nullptr : conn_accept(&hub->conns, fd, 0, &(struct address){});
    if (conn == nullptr) give_up("a member could not be accepted");
    conn_upgrade(conn, &upgrade, &hub->limits);
    struct hub_member *member = &hub->members[hub->member_count++];
    member->conn = conn;
    room_join(&hub->room, &member->seat, &conn->outbox);
}

uint64_t hub_seat_all(struct hub *hub, uint32_t members_max)
{
    while (hub->member_count < members_max) {
        seat(hub, accept_one(hub));
        conn_flush_dirty(&hub->conns);
        turn(hub);
    }
    return members_max * answer_size();
}

static void broadcast(struct hub *hub, struct frame *frame)
{
    struct list left_behind;
    list_init(&left_behind);
    room_broadcast(&hub->room, &hub->outboxes, frame, &left_behind);
    if (!list_is_empty(&left_behind)) give_up("a member's outbox is full");
}

void hub_send_state(struct hub *hub, struct bytes payload, bool past)
{
    hub->conns.send_now = past;
    struct frame *frame = frame_make(&hub->frames, FRAME_STATE, WS_TEXT, payload);
    assert(frame != nullptr);
    frame->state_key = state_key;
    room_show(&hub->room, &hub->frames, frame);
    broadcast(hub, frame);
    conn_flush_dirty(&hub->conns);
    turn(hub);
}

void hub_send_events(struct hub *hub, struct bytes payload, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = frame_make(&hub->frames, FRAME_EVENT, WS_TEXT, payload);
        assert(frame != nullptr);
        broadcast(hub, frame);
        frame_unref(&hub->frames, frame);
    }
    conn_flush_dirty(&hub->conns);
    turn(hub);
}
