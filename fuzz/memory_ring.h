/* fuzz/memory_ring.h: a ring without a kernel. Sockets are memory, and a script is the kernel
 * and the network: it says when an operation completes, by how many bytes, and with which error.
 *
 *     ring_send > queued > ring_submit, ring_wait > armed > memory_ring_works > event > ring_take
 *
 * What the kernel would hold is held by address and read as late as it may be: a frame that is
 * freed too early is seen in what the peer hears. Each receive buffer is its own allocation of
 * exactly its size. It ends the run (MUST) when a rule of ring/ring.h is broken. */
#pragma once
#include "ring/ring.h"
#include "script.h"

constexpr int memory_sockets_max = 8;

/* Opens an empty ring: nothing is armed, no socket is open. `on_sent` hears every byte that a
 * socket has sent, in order. */
void memory_ring_open(struct ring *ring, void (*on_sent)(int fd, const uint8_t *data, size_t size));

/* Frees what was left of it. Every receive buffer must have come home. */
void memory_ring_close(void);

/* A connection that has come, with the lowest free descriptor; -1: there are as many as can be. */
int memory_ring_connect(void);

/* False once the socket is closed. */
bool memory_ring_is_open(int fd);

/* The peer sends. Returns how many bytes have found room: none when it has ended. */
uint32_t memory_ring_peer_says(int fd, struct script bytes);

/* How many more it could. */
uint32_t memory_ring_peer_may_say(int fd);

/* Bytes that the peer has sent and that were received, since it came. */
size_t memory_ring_received(int fd);

/* The peer ends its stream, resets the connection, or takes so many more bytes (UINT32_MAX: all
 * that will come). */
void memory_ring_peer_ends(int fd);
void memory_ring_peer_resets(int fd);
void memory_ring_peer_takes(int fd, uint32_t size);

/* How much the ring takes before it is handed over (operations), and the time. */
void memory_ring_set_queue(uint32_t operations);
void memory_ring_pass_ms(uint32_t ms);

/* How the kernel completes a receive. */
struct memory_receive {
    uint32_t size_max; /* bytes at most */
    bool ends;         /* a multishot one ends with this */
    bool no_buffers;   /* it ends with -ENOBUFS */
};

/* The kernel completes what it can of one socket's armed operations, at most one receive and one
 * send. True when there was something. */
bool memory_ring_works(int fd, struct memory_receive how);
