/* hub/metrics.h: what a worker counts, and how it is told to Prometheus. */
#pragma once
#include "base/mailbox.h"
#include "conn/conn.h"
#include "conn/reasons.h"
#include "game/games.h"

struct worker;

/* The close codes that a peer may have chosen, each with a count of its own; the rest by
 * thousands. */
constexpr size_t peer_code_buckets = 16;

/* How long ticks take: up to 0.1 ms, and so on; see tick_bounds in metrics.c. */
constexpr size_t tick_buckets = 12;

struct kind_metrics {
    uint64_t accepted;      /* connections upgraded into a room of this kind */
    uint64_t connections;   /* now */
    uint64_t rooms;         /* now */
    uint64_t encodes;       /* snapshots and events encoded into frames */
    uint64_t ticks;         /* ticks of rooms with members */
    uint64_t tick_overruns; /* ticks that were missed because the worker was late */
    uint64_t tick_ns;       /* what all ticks took together: rules, encoding, queueing */
    uint64_t tick_counts[tick_buckets]; /* ticks by what they took; the last: longer than all */
    uint64_t commands;                  /* of hosts, accepted */
    uint64_t requests;                  /* by HTTP, accepted by rooms */
    uint64_t texts;                     /* text messages received */
    uint64_t binaries;                  /* binary messages received */
    uint64_t types[game_types_max];     /* of the texts, those of each type that the kind knows */
};

/* What a worker counts while it runs; nothing but 64-bit counts, so that workers' add up. */
struct metrics {
    struct kind_metrics kinds[game_kinds];
    struct kind_metrics echo;            /* no room kind: connections and messages only */
    uint64_t closed[close_reason_count]; /* upgraded connections, by reason; PEER_CLOSED is below */
    uint64_t cut_off[close_reason_count]; /* of them, those that got no close frame although their
                                           * reason has a code */
    uint64_t closed_by_peer[peer_code_buckets];
    uint64_t never_upgraded[close_reason_count]; /* connections that ended as HTTP */
    uint64_t snapshots_failed;                   /* no memory for a frame: a tick was skipped, or
                                                  * those for whom an event was were closed */
    uint64_t snapshots_not_lent;                 /* a worker's mailbox or the loans were used up */
    uint64_t loans;                              /* frames lent to other workers now */
    uint64_t conns_shed;                         /* closed to win back memory */
    uint64_t addresses[turnstile_answers];       /* sockets, by what their address met */
    uint64_t limited[game_limits];               /* inputs that rooms refused, by what was over */
    uint64_t strangers;                          /* sockets of no trusted proxy, closed at once */
    uint64_t looks_limited;                      /* questions for rooms not answered: the address
                                                  * has asked in vain too often */
    uint64_t acquires[turnstile_answers];        /* wishes for rooms, in the same way */
    uint64_t tokens_refused;                     /* by themselves; not for whose they are */
};

/* One worker's figures, or several workers' sum. All but `refusals` are 64-bit counts. */
struct tally {
    struct metrics metrics;
    struct conn_counters conns;
    struct outbox_counters outboxes;
    struct twin_counters twins;
    uint64_t connections_open, connections_max;
    uint64_t frames_live, frame_bytes, reply_bytes, bytes_owed, storage_in_use, message_buffers,
        request_buffers, receive_buffers_free;
    uint64_t ring_out_of_buffers, ring_queue_full, ring_overflows, ring_waits;
    uint64_t cpu_ns, windows_open;
    uint64_t accept_pauses, log_dropped, timers, memory;
    uint64_t token_hits, token_misses; /* of tokens whose signature takes long to check */
    uint64_t refusal_count;
    struct conn_refusal refusals[conn_refusals_max];
};

/* Counts the end of an upgraded connection. `code` is what its close frame says, the peer's for
 * CLOSE_PEER_CLOSED; 0: there is none. */
void metrics_count_close(struct metrics *metrics, enum close_reason reason, uint16_t code);

/* Counts a tick that took so long. */
void metrics_count_tick(struct kind_metrics *metrics, uint64_t took_ns);

/* A worker's figures as they are; on that worker's thread. */
void metrics_collect(const struct worker *worker, struct tally *tally);

/* Adds another worker's figures to a sum. */
void metrics_add(struct tally *sum, const struct tally *other);

/* Prometheus text exposition, version 0.0.4. */
void metrics_write(const struct tally *tally, uint32_t workers, const char *backend,
                   struct writer *out);
