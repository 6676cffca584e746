/* hub/start.c: a worker's memory, and everything between that and its first turn. */
#include "game/relay.h"
#include "hub/echo.h"
#include "hub/errand.h"
#include "hub/handoff.h"
#include "hub/rooms.h"
#include "hub/stop.h"
#include "hub/wiring.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

constexpr uint32_t goodbye_bytes = 4 * 1024 * 1024; /* THREATS.md U8 */

static uint32_t message_size_largest(void)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < game_kinds; i++)
        if (games[i]->message_size_max > largest) largest = games[i]->message_size_max;
    return largest;
}

static uint32_t inflated_size_largest(const struct config *config)
{
    uint32_t largest = message_size_largest();
    bool echoes = config->enable_echo && config->echo_deflate;
    return echoes && config->echo_message > largest ? config->echo_message : largest;
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
    struct echo_limits echo = echo_limits_of(config);
    return (struct conn_config){.connections_max =
                                    config->connections + refusal_slots + admin_slots,
                                .handshake_ms = config->handshake_ms,
                                .ping_ms = config->ping_ms,
                                .pong_ms = config->pong_ms,
                                .message_ms = config->message_ms,
                                .goodbye_ms = goodbye_ms,
                                .goodbye_bytes = goodbye_bytes,
                                .restart_retry_ms = config->drain_ms,
                                .wide_listener = LISTENER_ADMIN,
                                .wide_body_size_max = backend_body_size_max,
                                .message_size_max = message_size_largest(),
                                .inflated_size_max = inflated_size_largest(config),
                                .answered_max = echo.clients,
                                .reply_memory = echo.reply_memory,
                                .control = rate_of(config->control_rate)};
}

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct worker *worker, struct arena *arena, const struct hub *hub)
{
    const struct config *config = hub->config;
    constexpr size_t frame_budget = 256 * 1024 * 1024; /* of each size class */
    constexpr uint32_t mails_max = 4096;
    constexpr uint32_t loans_max = 1024;
    constexpr uint32_t parcels_max = 1024;
    constexpr uint32_t errands_max = 4 * workers_max;
    constexpr uint32_t gathers_max = 8;
    const struct ring_config ring = {.entries = ring_entries,
                                     .receive_buffers = ring_receive_buffers,
                                     .receive_buffer_size = ring_receive_buffer_size,
                                     .batch_us = config->wake_batch_us};
    uint32_t static_rooms = game_kinds;
    worker->conns.config = conn_config_of(config);
    /* Every outbox may be long, and then some are left: shedding is for memory that is really
     * kept. */
    uint32_t slots = worker->conns.config.connections_max, long_outboxes = slots + slots / 8 + 64;
    hub->reserve_ring(&worker->ring, arena, &ring);
    struct echo_limits echo = echo_limits_of(config);
    /* What echoes may hold comes on top: rooms' frames would else find a class used up. */
    frame_pool_init(&worker->frames, arena, frame_budget + echo.small_memory);
    if (config->enable_echo)
        frame_pool_add_large(&worker->frames, arena,
                             echo.message_size_max + (uint32_t)ws_control_payload_max,
                             echo.large_frames);
    outbox_set_init(&worker->outboxes, arena, &worker->frames, long_outboxes);
    conn_reserve(&worker->conns, arena);
    pool_init(&worker->members, arena, sizeof(struct member), config->connections);
    pool_init(&worker->room_pool, arena, sizeof(struct hub_room) + state_size_largest(),
              config->rooms + static_rooms);
    table_init(&worker->rooms_by_name, arena, config->rooms + static_rooms, (struct hash_key){});
    mailbox_init(&worker->inbox, arena, mails_max);
    pool_init(&worker->loans, arena, sizeof(struct frame_loan), loans_max);
    pool_init(&worker->parcels, arena, sizeof(struct parcel), parcels_max);
    pool_init(&worker->errands, arena, sizeof(struct errand), errands_max);
    pool_init(&worker->gathers, arena, sizeof(struct gather), gathers_max);
    idempotency_init(&worker->done, arena, idempotency_records, idempotency_kept_ms);
    closed_init(&worker->closed, arena, closed_rooms_kept, closed_kept_ms);
    worker->backend_memory =
        (struct bytes){arena_take(arena, relay_memory_size), relay_memory_size};
    worker->backend_reply =
        (struct bytes){arena_take(arena, relay_reply_size_max), relay_reply_size_max};
}

static size_t measure(const struct hub *hub)
{
    static thread_local struct worker measured; /* only its sizes matter */
    struct arena arena = arena_measure();
    arena_take(&arena, sizeof measured);
    reserve(&measured, &arena, hub);
    return arena.used;
}

size_t worker_memory(const struct hub *hub, size_t *per_connection)
{
    /* Some pools are capped, so the price of one more is that of the uncapped parts. */
    *per_connection = sizeof(struct conn) + sizeof(struct member);
    return measure(hub);
}

struct worker *worker_make(struct hub *hub, uint32_t index)
{
    struct arena arena;
    if (!arena_open(&arena, measure(hub))) return nullptr;
    struct worker *worker = arena_take(&arena, sizeof *worker);
    worker->hub = hub;
    worker->config = hub->config;
    worker->index = index;
    worker->key_set = &hub->key_sets[0];
    reserve(worker, &arena, hub);
    worker->arena = arena;
    return worker;
}

void worker_free(struct worker *worker)
{
    struct arena arena = worker->arena;
    ring_free(&worker->ring);
    arena_close(&arena);
}

constexpr uint16_t tiny_fragments_max = 256; /* THREATS.md F11 */

/* What the operator chose for each kind. */
static void ready_kinds(struct worker *worker)
{
    const struct config *config = worker->config;
    for (size_t i = 0; i < game_kinds; i++)
        worker->game_options[i] = hub_game_options(config, (enum game_kind)i);
    worker->tick_ms[GAME_KART] = config->kart_tick_ms;
    worker->tick_burst = config->kart_burst;
    worker->policies[GAME_KART] = config->kart_slow;
    worker->policies[GAME_VOTE] = OUTBOX_CLOSE;   /* an event is never left out (S1-15) */
    worker->policies[GAME_AVALON] = OUTBOX_CLOSE; /* the same (S2-18) */
    worker->policies[GAME_LOBBY] = OUTBOX_CLOSE;
    worker->policies[GAME_RELAY] = OUTBOX_CLOSE;
    worker->policies[GAME_WORLD] = OUTBOX_CONFLATE; /* of each cell only the newest update waits */
    worker->deflate[GAME_KART] = config->kart_deflate;
    worker->deflate[GAME_VOTE] = config->vote_deflate;
    worker->deflate[GAME_WORLD] = config->world_deflate;
}

static void ready_parts(struct worker *worker)
{
    const struct config *config = worker->config;
    bool json = config->log_format == LOG_FORMAT_JSON;
    log_init(&worker->log, config->log_level, json, (uint16_t)worker->index, config->log_burst);
    worker->now = ring_now(&worker->ring);
    worker->weighed_ns = worker->now.ns;
    worker->weighed_cpu_ns = ring_cpu_ns(&worker->ring);
    wheel_init(&worker->wheel, instant_ms(worker->now));
    wheel_init(&worker->ticks, worker->now.ns / tick_step_ns);
    ring_entropy(&worker->ring, (struct bytes){(uint8_t *)&worker->random, sizeof worker->random});
    worker->rooms_by_name.hash_key = worker->hub->hash_key;
    idempotency_set_key(&worker->done, worker->hub->hash_key);
    closed_set_key(&worker->closed, worker->hub->hash_key);
    worker->state_keys = game_kinds; /* the first ones are the static rooms' */
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
    worker->outboxes.window.size_ns = config->flush_window_us * 1000ULL;
    worker->outboxes.twins.threshold = config->deflate_threshold;
    ready_kinds(worker);
    for (size_t i = 0; i < game_kinds; i++)
        worker->ws_limits[i] = (struct ws_limits){
            .message_size_max = games[i]->message_size_max,
            .tiny_fragments_max = tiny_fragments_max,
            .messages = rate_of(games[i]->messages_unlimited ? 0 : config->message_rate)};
    /* No rate: a peer that must take its replies first is held back by them. */
    worker->echo_limits =
        (struct ws_limits){.message_size_max = echo_limits_of(config).message_size_max,
                           .tiny_fragments_max = tiny_fragments_max};
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

/* Sockets that share an address would share it with a second ringcast, too: the first worker asks
 * for it alone before it shares. */
static int probe(struct worker *worker, const struct address *address,
                 const struct ring_listen_options *options)
{
    if (!options->shared || worker->index > 0) return 0;
    struct ring_listen_options alone = *options;
    alone.shared = false;
    int fd = ring_listen(&worker->ring, address, &alone);
    if (fd >= 0) ring_close_fd(&worker->ring, fd, false);
    return fd < 0 ? fd : 0;
}

/* A process that has just ended may hold its sockets for some milliseconds more. */
static int listen_patiently(struct worker *worker, enum listener_kind kind,
                            const struct address *address,
                            const struct ring_listen_options *options)
{
    constexpr uint64_t patience_ns = 500'000'000, pause_ns = 20'000'000;
    uint64_t now_ns = ring_now(&worker->ring).ns, until_ns = now_ns + patience_ns;
    for (;;) {
        int error = probe(worker, address, options);
        if (error == 0)
            error = listener_open(&worker->listeners[kind], &worker->ring, kind, address, options);
        if (error != -EADDRINUSE || now_ns >= until_ns) return error;
        now_ns = ring_wait(&worker->ring, now_ns + pause_ns).ns;
    }
}

static int open_listeners(struct worker *worker)
{
    const struct config *config = worker->config;
    struct ring_listen_options options = {
        .not_sent_low_bytes = config->not_sent_low,
        .user_timeout_ms = config->ping_ms + config->pong_ms,
        .shared = worker->hub->worker_count > 1,
        .send_buffer = config->send_buffer,
    };
    for (uint32_t i = 0; i < listener_kinds; i++)
        worker->listeners[i].timer.kind = TIMER_LISTENER;
    int error = listen_patiently(worker, LISTENER_PUBLIC, &config->listen, &options);
    if (error < 0) return say_bind_failed(&config->listen, error, "listen");
    if (config->world_listen.port != 0) {
        error = listen_patiently(worker, LISTENER_WORLD, &config->world_listen, &options);
        if (error < 0) return say_bind_failed(&config->world_listen, error, "world-listen");
    }
    options.shared = false;
    if (worker->index > 0) return 0;
    error = listen_patiently(worker, LISTENER_ADMIN, &config->admin, &options);
    return error < 0 ? say_bind_failed(&config->admin, error, "admin") : 0;
}

static void log_start(struct worker *worker)
{
    uint8_t listen_memory[address_text_max], admin_memory[address_text_max];
    struct writer listen = writer_over(listen_memory, sizeof listen_memory);
    struct writer admin = writer_over(admin_memory, sizeof admin_memory);
    write_address(&listen, &worker->config->listen, true);
    write_address(&admin, &worker->config->admin, true);
    size_t per_connection = 0;
    size_t memory = worker_memory(worker->hub, &per_connection);
    if (worker->index > 0) return;
    LOG(&worker->log, worker->now, LOG_NOTICE, "starting", LOG_T("version", TEXT(RINGCAST_VERSION)),
        LOG_T("commit", TEXT(RINGCAST_COMMIT)),
        LOG_T("backend", text_of(worker->ring.backend->name)),
        LOG_T("send_path", worker->conns.send_now ? TEXT("fast") : TEXT("plain")));
    LOG(&worker->log, worker->now, LOG_NOTICE, "limits",
        LOG_U("connections", worker->config->connections), LOG_U("rooms", worker->config->rooms),
        LOG_U("workers", worker->hub->worker_count),
        LOG_U("reserved_mib", (memory * worker->hub->worker_count + worker->hub->arena.used) >> 20),
        LOG_U("connection_bytes", per_connection), LOG_U("outbox_frames", outbox_frames_max),
        LOG_U("outbox_bytes", outbox_bytes_max));
    if (worker->config->dev)
        LOG(&worker->log, worker->now, LOG_WARN, "dev_mode",
            LOG_T("meaning", TEXT("any origin may connect and the API key is \"dev\" unless "
                                  "RINGCAST_API_KEY is set; not for production")));
    if (worker->config->avalon && !hub_signs(worker->hub))
        LOG(&worker->log, worker->now, LOG_NOTICE, "avalon_off",
            LOG_T("meaning", TEXT("there is no secret for players' tokens; set "
                                  "RINGCAST_JWT_SECRET to 32 bytes or more, or --avalon=off")));
    if (worker->config->lobby && worker->key_set->keys.count == 0)
        LOG(&worker->log, worker->now, LOG_NOTICE, "lobby_off",
            LOG_T("meaning", TEXT("there is no key to check tokens with; set RINGCAST_JWT_SECRET "
                                  "or --jwt-keys, or --lobby=off")));
    LOG(&worker->log, worker->now, LOG_NOTICE, "listening",
        LOG_T("listen", text_from(writer_bytes(&listen))),
        LOG_T("admin", text_from(writer_bytes(&admin))));
}

/* The race at /ws lives on the first worker; the others have its replica. The world has none. */
static bool open_static_rooms(struct worker *worker)
{
    const struct text name = TEXT("kart");
    bool has_world = worker->config->world != nullptr &&
                     worker->index == hub_home_world(worker->hub->worker_count);
    if (has_world) worker->world_log = worker->hub->world_log;
    if (has_world && rooms_open(worker, GAME_WORLD, TEXT("world"), true) == nullptr) return false;
    if (worker->index == hub_home_static)
        return rooms_open(worker, GAME_KART, name, true) != nullptr;
    return rooms_open_replica(worker, GAME_KART, name) != nullptr;
}

int worker_start(struct worker *worker)
{
    struct text why;
    if (!ring_open(&worker->ring, &why)) {
        fprintf(stderr, "ringcast: %.*s\n", TEXT_ARG(why));
        return 71;
    }
    ready_parts(worker);
    worker->conns.send_now = worker->config->send_past && ring_send_now_works(&worker->ring);
    int code = open_listeners(worker);
    if (code != 0) {
        ring_close(&worker->ring);
        return code;
    }
    bool opened = conn_shared_open(&worker->conns) && open_static_rooms(worker);
    assert(opened); /* the pools are empty: this cannot fail */
    log_start(worker);
    return 0;
}
