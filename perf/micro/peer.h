/* perf/micro/peer.h: the other end of all connections: a process on another core that reads and
 * throws away, a quarter of a millisecond after the last time, so that it wakes seldom. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct peer_shared {
    _Atomic uint64_t received; /* bytes, of all connections */
    atomic_bool failed;
};

struct peer {
    pid_t pid;
    struct peer_shared *shared; /* between the two processes */
};

/* Starts the process: it connects `count` times to 127.0.0.1:port, one after the other, and then
 * reads until it is stopped. */
struct peer peer_start(uint16_t port, uint32_t count, int core);

/* Waits until `bytes` in all have come. False when they do not within some seconds. */
bool peer_await(const struct peer *peer, uint64_t bytes);

void peer_stop(const struct peer *peer);
