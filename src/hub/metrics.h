/* hub/metrics.h: what a worker counts, and how it is told to Prometheus. */
#pragma once
#include "conn/reasons.h"
#include "game/games.h"

struct worker;

/* The close codes that a peer may have chosen, each with a count of its own; the rest by
 * thousands. */
constexpr size_t peer_code_buckets = 20;

struct kind_metrics {
    uint64_t accepted;        /* connections upgraded into a room of this kind */
    uint32_t connections;     /* now */
    uint32_t rooms;           /* now */
    uint64_t encodes;         /* snapshots encoded into frames */
    uint64_t ticks;           /* ticks of rooms with members */
    uint64_t tick_overruns;   /* ticks that were missed because the worker was late */
    uint64_t commands;        /* of hosts, accepted */
    uint64_t texts, binaries; /* messages received */
};

struct metrics {
    struct kind_metrics kinds[game_kinds];
    uint64_t closed[close_reason_count]; /* upgraded connections, by reason; PEER_CLOSED is below */
    uint64_t closed_by_peer[peer_code_buckets];
    uint64_t never_upgraded[close_reason_count]; /* connections that ended as HTTP */
    uint64_t snapshots_failed;                   /* no memory for a frame: that tick was skipped */
};

/* Counts the end of an upgraded connection. `code` is the peer's for CLOSE_PEER_CLOSED. */
void metrics_count_close(struct metrics *metrics, enum close_reason reason, uint16_t code);

/* Prometheus text exposition, version 0.0.4. */
void metrics_write(const struct worker *worker, struct writer *out);
