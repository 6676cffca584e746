/* hub/worker.h: one thread and everything it owns. Nothing here is shared with another worker.
 * The loop in worker.c is the program; the other files of hub/ are its parts:
 *   wiring.c    what connections and rooms have to say to each other
 *   routes.c    the public listener's paths       api.c      the internal listener's
 *   rooms.c     rooms found, opened, ticked, closed   metrics.c  what it all amounts to */
#pragma once
#include "base/mailbox.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "game/games.h"
#include "hub/config.h"
#include "hub/metrics.h"
#include "room/room.h"

enum timer_kind : uint8_t { TIMER_CONN, TIMER_ROOM, TIMER_LISTENER, TIMER_DRAIN };
enum listener_kind : uint8_t { LISTENER_PUBLIC, LISTENER_ADMIN, listener_kinds };
enum mail_kind : uint32_t { MAIL_DRAIN };
enum worker_phase : uint8_t { WORKER_RUNNING, WORKER_DRAINING, WORKER_STOPPED };

constexpr uint32_t worker_events_max = 256;

/* Whose connection this is. Lives in worker.members. */
struct member {
    struct seat seat;
    struct conn *conn;
};

/* A room with its game behind it. Lives in worker.room_pool. */
struct hub_room {
    struct room room;
    alignas(16) uint8_t state[]; /* of the kind's state_size */
};

struct worker {
    const struct config *config;
    uint16_t index;
    enum worker_phase phase;
    struct instant now; /* read once a turn */
    struct arena arena;
    struct ring ring;
    struct wheel wheel;
    struct random random;
    struct log log;
    struct frame_pool frames;
    struct outbox_set outboxes;
    struct conn_shared conns;
    struct listener listeners[listener_kinds];
    uint32_t listener_conns[listener_kinds]; /* sockets of each that are not yet closed */
    struct pool members;
    struct pool room_pool;
    struct table rooms_by_name;
    struct hash_key hash_key;
    uint32_t further_rooms; /* rooms that are not static */
    uint32_t state_keys;    /* the last state_key that was given out */
    struct game_options game_options[game_kinds];
    struct ws_limits ws_limits[game_kinds];
    uint32_t tick_ms[game_kinds];
    struct timer drain_timer;
    uint64_t drain_end_ms;
    bool wake_armed;
    bool log_armed;        /* the kernel holds a write of the log's bytes */
    uint64_t log_again_ms; /* after a full pipe: when to try again */
    struct mailbox inbox;
    struct metrics metrics;
    struct ring_event events[worker_events_max];
    uint32_t event_next, event_count;       /* those of `events` that are still to be handled */
    uint8_t scratch[snapshot_size_max * 2]; /* for one snapshot or one answer at a time */
};

/* How much memory a worker reserves under this configuration, bytes; with `per_connection`, how
 * much of it one more connection adds. Address space: pages are only touched as they are used. */
size_t worker_memory(const struct config *config, size_t *per_connection);

/* Takes the memory and readies everything that needs no kernel but memory. On the main thread.
 * nullptr when the memory cannot be had. */
[[nodiscard]] struct worker *worker_make(const struct config *config, uint16_t index);

/* Opens the ring and the listeners and runs until told to stop by MAIL_DRAIN. On the worker's
 * own thread. Returns the process's exit code, 0 when everything came home; a start that failed
 * has said why on stderr. */
[[nodiscard]] int worker_run(struct worker *worker);

/* Tells a worker to drain; from any thread. */
void worker_post_drain(struct worker *worker);

/* Gives the memory back. */
void worker_free(struct worker *worker);

/* Slots beyond the configured connections: for saying 503, and for the internal listener. */
constexpr uint32_t refusal_slots = 64;
constexpr uint32_t admin_slots = 16;

/* How many descriptors beside clients the process needs: the slots above, ring, listeners, stderr
 * and the like. */
constexpr uint32_t descriptors_reserved = 128;
