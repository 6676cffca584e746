/* hub/worker.h: one thread and everything it owns. Others touch only the mailbox, the
 * returns and the doorbell of its ring.
 *
 * The loop in worker.c is the program; the other files of hub/ are its parts:
 *   start.c     memory, listeners, rooms          stop.c     goodbyes, and all comes home
 *   entrance.c  who may come in                   wiring.c   news of connections, for rooms
 *   routes.c    the public listener's paths       api.c      the internal listener's
 *   vote_routes.c   of it, vote's /api/rooms      echo.c     /echo, which is no room
 *   backend_routes.c backends' /v1/rooms          backend.c  what is done for them
 *   avalon_routes.c avalon's                      door.c     who gets in where tokens are shown
 *   verify.c    who a token says that it is
 *   rooms.c     rooms found, ticked, closed       events.c   what their games say
 *   config.c    what an operator chose            metrics.c  what it all amounts to
 * and between workers:
 *   hub.c       mail                              span.c     frames lent, for a room of all workers
 *   handoff.c   connections moved                 errand.c   questions put
 *   reload.c    keys read again
 * and of the world:
 *   world_door.c  the way in             world_log.c  its inputs, written down */
#pragma once
#include "auth/jwt.h"
#include "base/json.h"
#include "base/mailbox.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "game/games.h"
#include "hub/closed.h"
#include "hub/hub.h"
#include "hub/idempotency.h"
#include "hub/metrics.h"
#include "room/room.h"

enum timer_kind : uint8_t { TIMER_CONN, TIMER_ROOM, TIMER_LISTENER, TIMER_DRAIN };
enum listener_kind : uint8_t { LISTENER_PUBLIC, LISTENER_WORLD, LISTENER_ADMIN, listener_kinds };
enum worker_phase : uint8_t { WORKER_RUNNING, WORKER_DRAINING, WORKER_STOPPED };

constexpr uint64_t tick_step_ns = 1'000'000 / tick_steps_a_ms;

/* Taken and not yet handled; as many as the completion queue holds. */
constexpr uint32_t worker_events_max = 4 * ring_entries;

/* Whose connection this is. Lives in worker.members. */
struct member {
    struct seat seat;
};
static_assert(sizeof(struct member) <= 32, "every idle client pays for it");

/* A seat's outbox is always that of a connection. */
static inline struct conn *conn_of_seat(const struct seat *seat)
{
    return list_entry(seat->outbox, struct conn, outbox);
}

/* A room with its game behind it. Lives in worker.room_pool. */
struct hub_room {
    struct room room;
    uint32_t home; /* worker; where it is not this one, this is a replica without a game */
    uint64_t created_wall_ms; /* since 1970 */
    uint64_t subscribers;     /* home: a bit for each other worker that has members */
    struct list waiting;      /* replica: seats that were shown nothing yet, not in room.seats */
    bool asked;               /* replica: a state has been asked for and has not come */
    bool must_ask;            /* replica: the question found home's mailbox full */
    bool must_leave;          /* replica: so did the farewell */
    /* Of a kind that says things (hub/events.c): */
    bool busy;      /* an input is being handled, and those that it leads to */
    bool over;      /* its game is at its end: nothing is told to it any more */
    bool is_owned;  /* `owner` counts it as one of its own */
    uint64_t owner; /* in hub.acquirers: who asked for the room */
    struct list dismissed[game_dismissals]; /* while busy: seats that the game wants gone */
    struct list left_behind;                /* while busy: seats whose outbox was full */
    struct list unserved;                   /* and those for whom no frame could be had */
    alignas(16) uint8_t state[];            /* of the kind's state_size */
};

struct worker {
    struct hub *hub;
    const struct config *config;
    uint32_t index; /* in hub.workers */
    enum worker_phase phase;
    struct instant now; /* read once a turn */
    struct arena arena;
    struct ring ring;
    struct wheel wheel; /* deadlines, by milliseconds */
    struct wheel ticks; /* of rooms that tick, by steps */
    struct random random;
    struct log log;
    struct frame_pool frames;
    struct outbox_set outboxes;
    struct conn_shared conns;
    struct listener listeners[listener_kinds];
    uint32_t listener_conns[listener_kinds]; /* sockets of each that are not yet closed */
    uint32_t turned_away; /* of the public one: sockets that hold no place of --connections */
    struct pool members;
    struct pool room_pool;
    struct table rooms_by_name;
    struct hub_room *spanning[game_kinds]; /* the static room of each kind, or its replica */
    uint64_t shown_bytes;                  /* memory of the rooms' last frames */
    uint32_t state_keys;                   /* the last state_key that was given out */
    struct pool loans;                     /* frames lent to other workers */
    struct pool parcels;                   /* connections on their way to other workers */
    struct pool errands;                   /* questions put to other workers */
    struct pool gathers;                   /* metrics questions under way */
    struct idempotency done;               /* what backends had done in rooms that live here */
    struct closed_rooms closed;            /* rooms of theirs that lived here */
    struct bytes backend_memory;           /* for one request of theirs at a time */
    struct bytes backend_reply;            /* and its answer */
    struct mailbox_returns returns;        /* those of the four that have come home */
    struct game_options game_options[game_kinds];
    struct ws_limits ws_limits[game_kinds];
    struct ws_limits echo_limits;
    uint32_t tick_ms[game_kinds];
    uint32_t tick_burst;                     /* states at each tick; 1, except for load tests */
    enum outbox_policy policies[game_kinds]; /* outbox/policy.h */
    bool deflate[game_kinds];                /* permessage-deflate may be agreed on */
    struct timer drain_timer;
    uint64_t drain_end_ms;
    /* its load is weighed from time to time; see hub/worker.c */
    uint64_t weighed_ns, weighed_cpu_ns; /* when it last was, and what it had used by then */
    bool busy;                           /* then: the flush window may be open */
    bool counted_empty;                  /* in hub.empty */
    bool more_stopped;             /* connections may be read on after the next turn's events */
    bool more_mail;                /* the mailbox was left with some in it */
    uint32_t said;                 /* events in this turn; see events_a_turn_max */
    struct world_file *world_file; /* the world that is on, once another was read; at its home */
    struct hub_room *saying;       /* whose game says much just now */
    struct world_log *world_log;   /* where the world's inputs are written down; at its home */
    bool wake_armed;
    bool log_armed;          /* the kernel holds a write of the log's bytes */
    uint64_t log_again_ms;   /* after a full pipe: when to try again */
    struct key_set *key_set; /* of hub.key_sets; what tokens are checked and signed with */
    struct jwt_cache token_cache;
    struct mailbox inbox;
    struct metrics metrics;
    struct ring_event events[worker_events_max];
    uint32_t event_next, event_count; /* those of `events` that are still to be handled */
    /* for one document at a time */
    uint8_t json_memory[json_memory_per_byte * http_body_size_max + json_memory_fixed];
    uint8_t token_memory[jwt_scratch_size]; /* for one token at a time */
    uint8_t guest_name[game_name_size_max]; /* and the name that others see of whose it is */
    /* for one snapshot, one answer or what a game says, one at a time */
    alignas(16) uint8_t scratch[snapshot_size_max * 2];
};

/* How much memory one worker of this hub reserves, bytes; with `per_connection`,
 * how much of it one more connection adds. Address space: pages are only touched as they are
 * used. */
size_t worker_memory(const struct hub *hub, size_t *per_connection);

/* Takes the memory and readies everything that needs no kernel but memory. On the main thread.
 * nullptr when the memory cannot be had. */
[[nodiscard]] struct worker *worker_make(struct hub *hub, uint32_t index);

/* Opens the ring, the listeners and the static rooms. On the worker's own thread, the first worker
 * before the others. 0, or the process's exit code, and then it has said why on stderr. */
[[nodiscard]] int worker_start(struct worker *worker);

/* After a start that succeeded: runs until told to stop by MAIL_DRAIN. Returns the process's exit
 * code, 0 when everything came home. */
[[nodiscard]] int worker_run(struct worker *worker);

/* For hub/stop.c: a turn without timers, for what must still come home. */
void worker_last_turn(struct worker *worker, uint64_t until_ns);

/* Gives the memory back. After all workers have ended: they borrow from each other. */
void worker_free(struct worker *worker);

/* Slots of each worker beyond the configured connections: for saying 503, and for the internal
 * listener. */
constexpr uint32_t refusal_slots = 64;
constexpr uint32_t admin_slots = 16;

/* How many descriptors beside clients the process needs: the slots above, ring, doorbell and
 * listeners of each worker, stderr and the like. */
static inline uint32_t descriptors_reserved(uint32_t workers)
{
    return 32 + workers * (refusal_slots + admin_slots + 8);
}
