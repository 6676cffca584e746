#include "hub/worker.h"
#include "hub/rooms.h"
#include "hub/wiring.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

constexpr uint32_t drain_step_ms = 20;
constexpr uint32_t goodbye_ms = 2000;               /* THREATS.md U7 */
constexpr uint32_t goodbye_bytes = 4 * 1024 * 1024; /* U8 */
constexpr uint64_t turn_ns_max = 1'000'000;         /* of events; then timers and flushes */
constexpr uint32_t turn_bytes_a_look = 16 * 1024;   /* after so much work the clock is looked at */
constexpr uint32_t turn_bytes_an_event = 512;       /* what an event costs beside its bytes */

/* ---- memory ---- */

static uint32_t message_size_largest(void)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < game_kinds; i++)
        if (games[i]->message_size_max > largest) largest = games[i]->message_size_max;
    return largest;
}

static size_t state_size_largest(void)
{
    size_t largest = 0;
    for (size_t i = 0; i < game_kinds; i++)
        if (games[i]->state_size > largest) largest = games[i]->state_size;
    return largest;
}

static struct conn_config conn_config_of(const struct config *config)
{
    return (struct conn_config){.connections_max =
                                    config->connections + refusal_slots + admin_slots,
                                .handshake_ms = config->handshake_ms,
                                .ping_ms = config->ping_ms,
                                .pong_ms = config->pong_ms,
                                .message_ms = config->message_ms,
                                .goodbye_ms = goodbye_ms,
                                .goodbye_bytes = goodbye_bytes,
                                .restart_retry_ms = config->drain_ms,
                                .message_size_max = message_size_largest()};
}

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct worker *worker, struct arena *arena, const struct config *config)
{
    constexpr size_t frame_budget = 32 * 1024 * 1024; /* of each size class */
    constexpr uint32_t long_outboxes_max = 16 * 1024; /* that hold more than four frames at once */
    constexpr uint32_t mails_max = 1024;
    const struct ring_config ring = {.entries = ring_entries,
                                     .receive_buffers = ring_receive_buffers,
                                     .receive_buffer_size = ring_receive_buffer_size};
    uint32_t static_rooms = game_kinds, long_outboxes = config->connections;
    if (long_outboxes > long_outboxes_max) long_outboxes = long_outboxes_max;
    worker->conns.config = conn_config_of(config);
    ring_reserve_uring(&worker->ring, arena, &ring);
    frame_pool_init(&worker->frames, arena, frame_budget);
    outbox_set_init(&worker->outboxes, arena, &worker->frames, long_outboxes);
    conn_reserve(&worker->conns, arena);
    pool_init(&worker->members, arena, sizeof(struct member), config->connections);
    pool_init(&worker->room_pool, arena, sizeof(struct hub_room) + state_size_largest(),
              config->rooms + static_rooms);
    table_init(&worker->rooms_by_name, arena, config->rooms + static_rooms, worker->hash_key);
    mailbox_init(&worker->inbox, arena, mails_max);
}

static size_t measure(const struct config *config)
{
    static thread_local struct worker measured; /* only its sizes matter */
    struct arena arena = arena_measure();
    arena_take(&arena, sizeof measured);
    reserve(&measured, &arena, config);
    return arena.used;
}

size_t worker_memory(const struct config *config, size_t *per_connection)
{
    /* Some pools are capped, so the price of one more is that of the uncapped parts. */
    *per_connection = sizeof(struct conn) + sizeof(struct member);
    return measure(config);
}

struct worker *worker_make(const struct config *config, uint16_t index)
{
    struct arena arena;
    if (!arena_open(&arena, measure(config))) return nullptr;
    struct worker *worker = arena_take(&arena, sizeof *worker);
    worker->config = config;
    worker->index = index;
    reserve(worker, &arena, config);
    worker->arena = arena;
    return worker;
}

void worker_free(struct worker *worker)
{
    struct arena arena = worker->arena;
    arena_close(&arena);
}

void worker_post_drain(struct worker *worker)
{
    if (mailbox_post(&worker->inbox, (struct mail){.kind = MAIL_DRAIN}) != MAILBOX_POSTED)
        ring_wake(&worker->ring);
}

/* ---- start ---- */

static void ready_parts(struct worker *worker)
{
    const struct config *config = worker->config;
    bool json = config->log_format == LOG_FORMAT_JSON;
    log_init(&worker->log, config->log_level, json, worker->index, config->log_burst);
    worker->now = ring_now(&worker->ring);
    wheel_init(&worker->wheel, instant_ms(worker->now));
    ring_entropy(&worker->ring, (struct bytes){(uint8_t *)&worker->random, sizeof worker->random});
    ring_entropy(&worker->ring,
                 (struct bytes){(uint8_t *)&worker->hash_key, sizeof worker->hash_key});
    worker->rooms_by_name.hash_key = worker->hash_key;
    worker->conns.ring = &worker->ring;
    worker->conns.wheel = &worker->wheel;
    worker->conns.log = &worker->log;
    worker->conns.outboxes = &worker->outboxes;
    worker->conns.random = &worker->random;
    worker->conns.hooks = &wiring_hooks;
    worker->conns.hub = worker;
    worker->conns.timer_kind = TIMER_CONN;
    worker->conns.now = worker->now;
    worker->drain_timer.kind = TIMER_DRAIN;
    worker->game_options[GAME_KART] = (struct game_options){.autostart = config->kart_autostart,
                                                            .stamp = config->kart_stamp,
                                                            .payload_size = config->kart_payload};
    worker->tick_ms[GAME_KART] = config->kart_tick_ms;
    for (size_t i = 0; i < game_kinds; i++)
        worker->ws_limits[i] = (struct ws_limits){.message_size_max = games[i]->message_size_max,
                                                  .tiny_fragments_max = 256};
}

/* -errno as one sentence with the remedy, and the exit code that sysexits.h has for it. */
static int say_bind_failed(const struct address *address, int error, const char *option)
{
    uint8_t memory[address_text_max];
    struct writer text = writer_over(memory, sizeof memory);
    write_address(&text, address, true);
    const char *remedy =
        error == -EADDRINUSE ? "something else listens there; stop it or choose another port"
        : error == -EACCES   ? "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one"
        : error == -EADDRNOTAVAIL ? "this machine has no such address"
                                  : strerror(-error);
    fprintf(stderr, "ringcast: cannot listen on %.*s (--%s): %s\n", (int)text.size,
            (char *)text.data, option, remedy);
    return error == -EACCES ? 77 : 71;
}

static int open_listeners(struct worker *worker)
{
    const struct config *config = worker->config;
    const struct ring_listen_options options = {.not_sent_low_bytes = config->not_sent_low,
                                                .user_timeout_ms =
                                                    config->ping_ms + config->pong_ms,
                                                .send_buffer = config->send_buffer};
    const struct address *addresses[listener_kinds] = {&config->listen, &config->admin};
    static const char *const names[listener_kinds] = {"listen", "admin"};
    for (uint32_t i = 0; i < listener_kinds; i++) {
        worker->listeners[i].timer.kind = TIMER_LISTENER;
        int error = listener_open(&worker->listeners[i], &worker->ring, i, addresses[i], &options);
        if (error < 0) return say_bind_failed(addresses[i], error, names[i]);
    }
    return 0;
}

static void arm_wake(struct worker *worker)
{
    worker->wake_armed = ring_wake_arm(&worker->ring, (struct ring_token){.op = RING_WAKE});
}

static void log_start(struct worker *worker)
{
    uint8_t listen_memory[address_text_max], admin_memory[address_text_max];
    struct writer listen = writer_over(listen_memory, sizeof listen_memory);
    struct writer admin = writer_over(admin_memory, sizeof admin_memory);
    write_address(&listen, &worker->config->listen, true);
    write_address(&admin, &worker->config->admin, true);
    size_t per_connection = 0;
    size_t memory = worker_memory(worker->config, &per_connection);
    LOG(&worker->log, worker->now, LOG_INFO, "starting", LOG_T("version", TEXT(RINGCAST_VERSION)),
        LOG_T("commit", TEXT(RINGCAST_COMMIT)),
        LOG_T("backend", text_of(worker->ring.backend->name)),
        LOG_T("send_path", worker->conns.send_now ? TEXT("fast") : TEXT("plain")));
    LOG(&worker->log, worker->now, LOG_INFO, "limits",
        LOG_U("connections", worker->config->connections), LOG_U("rooms", worker->config->rooms),
        LOG_U("reserved_mib", memory >> 20), LOG_U("connection_bytes", per_connection),
        LOG_U("outbox_frames", outbox_frames_max), LOG_U("outbox_bytes", outbox_bytes_max));
    if (worker->config->dev)
        LOG(&worker->log, worker->now, LOG_WARN, "dev_mode",
            LOG_T("meaning", TEXT("any origin may connect and the API key is \"dev\" unless "
                                  "RINGCAST_API_KEY is set; not for production")));
    LOG(&worker->log, worker->now, LOG_INFO, "listening",
        LOG_T("listen", text_from(writer_bytes(&listen))),
        LOG_T("admin", text_from(writer_bytes(&admin))));
}

static int start(struct worker *worker)
{
    struct text why;
    if (!ring_open(&worker->ring, &why)) {
        fprintf(stderr, "ringcast: %.*s\n", TEXT_ARG(why));
        return 71;
    }
    ready_parts(worker);
    int code = open_listeners(worker);
    if (code != 0) {
        ring_close(&worker->ring);
        return code;
    }
    bool opened = conn_shared_open(&worker->conns) &&
                  rooms_open(worker, GAME_KART, TEXT("kart"), true) != nullptr;
    assert(opened); /* the pools are empty: this cannot fail */
    worker->conns.send_now = worker->config->send_past && ring_send_now_works(&worker->ring);
    arm_wake(worker);
    log_start(worker);
    return 0;
}

/* ---- draining ---- */

static bool any_left(const struct worker *worker)
{
    return worker->listener_conns[LISTENER_PUBLIC] > 0 ||
           worker->listeners[LISTENER_PUBLIC].phase != LISTENER_CLOSED;
}

/* Goodbyes are spread evenly at random; the last are early enough to be answered before the end. */
static void spread_goodbyes(struct worker *worker)
{
    uint64_t now_ms = instant_ms(worker->now);
    uint32_t drain_ms = worker->config->drain_ms;
    uint32_t spread_ms = drain_ms > 2 * goodbye_ms ? drain_ms - goodbye_ms : drain_ms / 2;
    list_each (link, &worker->conns.all) {
        struct conn *conn = list_entry(link, struct conn, link);
        if (conn->phase == CONN_OPEN)
            conn_restart_at(conn, now_ms + random_below(&worker->random, (uint64_t)spread_ms + 1));
    }
}

static void begin_drain(struct worker *worker)
{
    if (worker->phase != WORKER_RUNNING) return;
    uint64_t now_ms = instant_ms(worker->now);
    LOG(&worker->log, worker->now, LOG_INFO, "draining",
        LOG_U("connections", worker->conns.conns.in_use),
        LOG_U("drain_ms", worker->config->drain_ms));
    worker->phase = WORKER_DRAINING;
    worker->drain_end_ms = now_ms + worker->config->drain_ms;
    spread_goodbyes(worker);
    wheel_set(&worker->wheel, &worker->drain_timer, now_ms);
}

/* What waited in the accept queue is answered, not reset. */
static void empty_accept_queue(struct worker *worker)
{
    struct listener *listener = &worker->listeners[LISTENER_PUBLIC];
    for (;;) {
        int fd = listener_take(listener, &worker->ring);
        if (fd >= 0) wiring_on_accept(worker, LISTENER_PUBLIC, fd);
        if (listener->phase == LISTENER_CLOSED) return;
    }
}

static void drop_everybody(struct worker *worker)
{
    list_each (link, &worker->conns.all)
        conn_drain(list_entry(link, struct conn, link), CLOSE_RESTART);
}

static void on_drain_timer(struct worker *worker)
{
    struct listener *public = &worker->listeners[LISTENER_PUBLIC];
    bool was_paused = public->phase == LISTENER_PAUSED;
    if (public->phase == LISTENER_ARMED || was_paused) {
        if (listener_end(public, &worker->ring, &worker->wheel) && was_paused)
            empty_accept_queue(worker);
    }
    uint64_t now_ms = instant_ms(worker->now);
    bool over = now_ms >= worker->drain_end_ms;
    if (over && worker->listener_conns[LISTENER_PUBLIC] > 0) drop_everybody(worker);
    if (over || !any_left(worker))
        worker->phase = WORKER_STOPPED;
    else
        wheel_set(&worker->wheel, &worker->drain_timer, now_ms + drain_step_ms);
}

/* ---- the loop's parts ---- */

static void take_mail(struct worker *worker)
{
    struct mail mail;
    mailbox_quiet(&worker->inbox);
    while (mailbox_take(&worker->inbox, &mail)) {
        switch ((enum mail_kind)mail.kind) {
        case MAIL_DRAIN: begin_drain(worker); break;
        }
    }
}

static void on_accept(struct worker *worker, struct ring_event event)
{
    assert(event.token.slot < listener_kinds);
    struct listener *listener = &worker->listeners[event.token.slot];
    uint64_t pauses = listener->pauses;
    int fd =
        listener_on_accept(listener, &worker->ring, &worker->wheel, instant_ms(worker->now), event);
    if (fd >= 0) wiring_on_accept(worker, (enum listener_kind)event.token.slot, fd);
    if (listener->pauses > pauses && pauses % 100 == 0)
        LOG(&worker->log, worker->now, LOG_WARN, "accept_paused", LOG_I("errno", -event.result),
            LOG_U("pauses", listener->pauses));
    if (event.last && listener->phase == LISTENER_ENDING) empty_accept_queue(worker);
}

static void on_log_written(struct worker *worker, int32_t result)
{
    worker->log_armed = false;
    if (result > 0)
        log_consume(&worker->log, (size_t)result);
    else if (result == -EAGAIN || result == -EINTR)
        worker->log_again_ms = instant_ms(worker->now) + 100;
    else /* nobody will ever read it */
        log_consume(&worker->log, log_pending(&worker->log).size);
}

static void on_event(struct worker *worker, struct ring_event event)
{
    struct conn *conn = nullptr;
    switch (event.token.op) {
    case RING_ACCEPT: on_accept(worker, event); break;
    case RING_RECV:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_recv(conn, event);
        break;
    case RING_SEND:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_send(conn, event);
        break;
    case RING_SEND_NOW:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_send_now(conn, event);
        break;
    case RING_WRITE: on_log_written(worker, event.result); break;
    case RING_WAKE:
        worker->wake_armed = false;
        take_mail(worker);
        break;
    case RING_CANCEL: break; /* the cancelled operation tells its own end */
    }
}

static void on_timer(struct worker *worker, struct timer *timer)
{
    switch ((enum timer_kind)timer->kind) {
    case TIMER_CONN: conn_on_timer(list_entry(timer, struct conn, timer)); break;
    case TIMER_ROOM:
        rooms_tick(worker, list_entry(timer, struct hub_room, room.tick));
        conn_flush_dirty(
            &worker->conns); /* each room's sends go out before the next one is built */
        break;
    case TIMER_LISTENER:
        listener_on_timer(list_entry(timer, struct listener, timer), &worker->ring, &worker->wheel,
                          instant_ms(worker->now));
        break;
    case TIMER_DRAIN: on_drain_timer(worker); break;
    }
}

static void set_now(struct worker *worker, struct instant now)
{
    worker->now = now;
    worker->conns.now = now;
}

/* What the log holds goes to stderr by one write at a time. */
static void write_log(struct worker *worker)
{
    struct bytes pending = log_pending(&worker->log);
    if (worker->log_armed || pending.size == 0 || instant_ms(worker->now) < worker->log_again_ms)
        return;
    constexpr int stderr_fd = 2;
    worker->log_armed =
        ring_write(&worker->ring, (struct ring_token){.op = RING_WRITE}, stderr_fd, pending);
}

static void worker_wait(struct worker *worker)
{
    write_log(worker);
    if (!worker->wake_armed) arm_wake(worker);
    uint64_t next_ms = wheel_next_ms(&worker->wheel);
    bool again = worker->event_next < worker->event_count ||
                 !list_is_empty(&worker->outboxes.dirty) ||
                 !list_is_empty(&worker->outboxes.held) || !list_is_empty(&worker->conns.drained) ||
                 !list_is_empty(&worker->conns.waiting) || !worker->wake_armed;
    uint64_t until_ns = again                              ? 0
                        : next_ms < UINT64_MAX / 1'000'000 ? next_ms * 1'000'000
                                                           : UINT64_MAX;
    set_now(worker, ring_wait(&worker->ring, until_ns));
}

/* Handles events until none is there or the turn's time is up; a flood from one client then waits
 * for the timers and sends of all others (THREATS.md F13). What was taken is kept for the next
 * turn. */
static void worker_take_events(struct worker *worker)
{
    uint64_t until_ns = worker->now.ns + turn_ns_max;
    uint32_t bytes = 0; /* since the clock was last read */
    for (;;) {
        if (worker->event_next == worker->event_count) {
            conn_arm_waiting(&worker->conns);
            worker->event_next = 0;
            worker->event_count = ring_take(&worker->ring, worker->events, worker_events_max);
            if (worker->event_count == 0) return;
        }
        struct ring_event event = worker->events[worker->event_next++];
        on_event(worker, event);
        ring_give(&worker->ring, &event);
        bytes += turn_bytes_an_event + (uint32_t)event.data.size;
        if (bytes < turn_bytes_a_look) continue;
        bytes = 0;
        if (ring_now(&worker->ring).ns >= until_ns) return;
    }
}

static void worker_settle(struct worker *worker)
{
    if (worker->event_next == worker->event_count && ring_settled(&worker->ring))
        conn_settle(&worker->conns);
}

static void worker_run_timers(struct worker *worker)
{
    set_now(worker, ring_now(&worker->ring));
    wheel_advance(&worker->wheel, instant_ms(worker->now));
    for (struct timer *timer; (timer = wheel_take(&worker->wheel)) != nullptr;)
        on_timer(worker, timer);
}

/* ---- the end ---- */

static bool is_home(const struct worker *worker)
{
    return worker->conns.conns.in_use == 0 && worker->members.in_use == 0 &&
           worker->frames.live == 0 && worker->outboxes.storage.in_use == 0 &&
           worker->conns.message_buffers.in_use == 0 && worker->conns.request_buffers.in_use == 0 &&
           worker->ring.stats.buffers_out == 0;
}

/* A turn without timers, for what must still come home. */
static void last_turn(struct worker *worker, uint64_t until_ns)
{
    conn_flush_dirty(&worker->conns);
    write_log(worker);
    set_now(worker, ring_wait(&worker->ring, until_ns));
    worker_take_events(worker);
    worker_settle(worker);
    conn_reap(&worker->conns);
}

static int stop(struct worker *worker)
{
    constexpr uint64_t patience_ns = 1'000'000'000;
    uint64_t until_ns = worker->now.ns + patience_ns;
    drop_everybody(worker);
    conn_reap(&worker->conns);
    while (!list_is_empty(&worker->conns.all) && worker->now.ns < until_ns)
        last_turn(worker, until_ns);
    bool all_left = list_is_empty(&worker->conns.all);
    if (all_left) {
        rooms_close_all(worker);
        conn_shared_close(&worker->conns);
    }
    bool home = all_left && is_home(worker);
    LOG(&worker->log, worker->now, home ? LOG_INFO : LOG_ERROR, "stopped",
        LOG_U("accepted", worker->conns.counters.accepted),
        LOG_U("bytes_sent", worker->outboxes.bytes_sent),
        LOG_U("bytes_received", worker->conns.counters.bytes_received),
        LOG_U("connections", worker->conns.conns.in_use), LOG_U("frames", worker->frames.live),
        LOG_T("everything_home", home ? TEXT("yes") : TEXT("no")));
    until_ns = worker->now.ns + patience_ns;
    while ((worker->log_armed || log_pending(&worker->log).size > 0) && worker->now.ns < until_ns)
        last_turn(worker, until_ns);
    ring_close(&worker->ring);
    return home ? 0 : 1;
}

int worker_run(struct worker *worker)
{
    int code = start(worker);
    if (code != 0) return code;
    while (worker->phase != WORKER_STOPPED) {
        worker_wait(worker);        /* one system call: submit, then sleep */
        worker_take_events(worker); /* bytes in: requests, messages, rooms' inputs */
        worker_settle(worker);      /* what was sent past outboxes is over */
        worker_run_timers(worker);  /* deadlines; rooms tick: rules, snapshots, shared frames */
        conn_flush_dirty(&worker->conns); /* frames out: one send per dirty outbox */
        conn_reap(&worker->conns);        /* drained connections become free slots */
    }
    return stop(worker);
}
