/* ring/ring.h: the seam between this program and the kernel.
 * You are here: [ring] > tls > http > ws > hub > room > game > outbox > conn > [ring]
 *
 * Everything a worker asks of the world goes through here: operations are submitted, completions
 * are taken as values, and the time is told. Nothing above the seam makes a system call or reads
 * a clock, so that another backend can stand in for the kernel. One ring belongs to one thread;
 * only ring_wake may be called from another. */
#pragma once
#include "base/address.h"
#include "base/arena.h"
#include "base/clock.h"
#include <assert.h>
#include <sys/uio.h>

enum ring_op : uint8_t {
    RING_ACCEPT, /* result: a new connection's descriptor */
    RING_RECV,   /* result: bytes in `data`, 0 at the end of the stream */
    RING_SEND,   /* result: bytes that the kernel has taken, maybe fewer than asked */
    /* a ring_send_now fell short: result is what the kernel took, or -EAGAIN when it took nothing;
     * one that was taken whole posts no event */
    RING_SEND_NOW,
    RING_WRITE,  /* result: bytes written */
    RING_WAKE,   /* another thread called ring_wake, once or more */
    RING_CANCEL, /* result: 0 or -errno; the cancelled operation tells its own end */
};

/* Who an operation belongs to; comes back with each of its completions. A slot that is used
 * again has another generation, so a late completion is recognised. */
struct ring_token {
    enum ring_op op;
    uint32_t generation; /* 24 bits are kept */
    uint32_t slot;
};
constexpr uint32_t ring_generation_mask = 0xFFFFFF;

struct ring_event {
    struct ring_token token;
    int32_t result;    /* what the operation says, or -errno */
    bool last;         /* the operation is over: nothing more comes with this token */
    struct bytes data; /* RING_RECV with a result above 0: a receive buffer, ours until ring_give */
};

struct ring_config {
    uint32_t entries;             /* submission queue; a power of two */
    uint32_t receive_buffers;     /* a power of two */
    uint32_t receive_buffer_size; /* bytes */
    /* microseconds; a wait may go on for so long, for many completions to be had at once, and ends
     * then if there is any; 0, or on kernels before 6.12: it ends with the first */
    uint32_t batch_us;
};

/* Counts since the ring was opened. */
struct ring_stats {
    uint64_t waits;          /* times the thread went to the kernel to wait */
    uint64_t submits;        /* further times it went there only to hand over operations */
    uint64_t queue_full;     /* operations that found the submission queue full */
    uint64_t held_back;      /* times the kernel took fewer operations than there were */
    uint64_t overflows;      /* times completions had overflowed into the kernel's own list */
    uint64_t out_of_buffers; /* receives that ended for want of a receive buffer */
    uint32_t buffers_out;    /* receive buffers that are ours now */
};

struct ring {
    const struct ring_backend *backend;
    void *state; /* the backend's */
    struct ring_stats stats;
};

/* How a listening socket, and every connection accepted from it, behaves. */
struct ring_listen_options {
    /* TCP_NOTSENT_LOWAT: more unsent than this stays in our queue, where it can be replaced */
    uint32_t not_sent_low_bytes;
    /* TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone */
    uint32_t user_timeout_ms;
    bool shared;          /* SO_REUSEPORT: other sockets of ours listen on the same address */
    uint32_t send_buffer; /* SO_SNDBUF in bytes; 0: the kernel's own choice */
};

/* What a backend implements; the functions below say what each one promises. */
struct ring_backend {
    const char *name;
    bool (*open)(struct ring *ring, struct text *why);
    void (*close)(struct ring *ring);
    void (*free)(struct ring *ring);
    int (*listen)(struct ring *ring, const struct address *address,
                  const struct ring_listen_options *options);
    bool (*accept)(struct ring *ring, struct ring_token token, int fd);
    int (*accept_now)(struct ring *ring, int fd);
    bool (*recv)(struct ring *ring, struct ring_token token, int fd, bool once);
    void (*give)(struct ring *ring, const struct ring_event *event);
    void (*trim)(struct ring *ring);
    bool (*send)(struct ring *ring, struct ring_token token, int fd, const struct iovec *pieces,
                 uint32_t count);
    bool (*send_now)(struct ring *ring, struct ring_token token, int fd, struct bytes data);
    bool (*send_now_works)(struct ring *ring);
    bool (*settled)(struct ring *ring);
    bool (*write)(struct ring *ring, struct ring_token token, int fd, struct bytes data);
    bool (*cancel)(struct ring *ring, struct ring_token token, struct ring_token target);
    void (*shutdown)(struct ring *ring, int fd, bool both);
    void (*close_fd)(struct ring *ring, int fd, bool reset);
    bool (*peer)(struct ring *ring, int fd, struct address *address);
    bool (*wake_arm)(struct ring *ring, struct ring_token token);
    void (*wake)(struct ring *ring);
    void (*submit)(struct ring *ring);
    void (*wait)(struct ring *ring, uint64_t until_ns);
    uint32_t (*take)(struct ring *ring, struct ring_event *events, uint32_t max);
    struct instant (*now)(struct ring *ring);
    uint64_t (*cpu_ns)(const struct ring *ring);
    void (*entropy)(struct ring *ring, struct bytes out);
};

/* The kernel's io_uring (ring/uring.c). Reserves what it needs from `arena`, which may be
 * measuring; when it is not, ring_wake may be called from now on. */
void ring_reserve_uring(struct ring *ring, struct arena *arena, const struct ring_config *config);

/* Opens the ring on the calling thread, which is its owner from now on. False with one sentence
 * that names the remedy in *why (static text). */
[[nodiscard]] static inline bool ring_open(struct ring *ring, struct text *why)
{
    return ring->backend->open(ring, why);
}

/* Closes the ring. The kernel holds none of our memory afterwards. Its doorbell stays, for
 * others may still ring it. */
static inline void ring_close(struct ring *ring)
{
    ring->backend->close(ring);
}

/* The end, once nobody can call ring_wake any more. Also for a ring that was never open. */
static inline void ring_free(struct ring *ring)
{
    ring->backend->free(ring);
}

/* A bound, listening TCP socket, or -errno. Port 0 lets the kernel choose. */
[[nodiscard]] static inline int ring_listen(struct ring *ring, const struct address *address,
                                            const struct ring_listen_options *options)
{
    return ring->backend->listen(ring, address, options);
}

/* The submitting functions below return false when the kernel takes no more operations now:
 * nothing has happened, try again after the next ring_take. */

/* Accepts connections on `fd` until an event with `last` (-EMFILE and the like end it: arm it
 * again later). */
[[nodiscard]] static inline bool ring_accept(struct ring *ring, struct ring_token token, int fd)
{
    return ring->backend->accept(ring, token, fd);
}

/* One connection that is already waiting, without waiting for another: a descriptor, or -EAGAIN
 * when there is none. */
[[nodiscard]] static inline int ring_accept_now(struct ring *ring, int fd)
{
    return ring->backend->accept_now(ring, fd);
}

/* Receives into the ring's own buffers until an event with `last`; with `once` that is the first
 * one, so that nothing is armed while its bytes are handled. -ENOBUFS means that all buffers are
 * out: arm it again when some have come home. */
[[nodiscard]] static inline bool ring_recv(struct ring *ring, struct ring_token token, int fd,
                                           bool once)
{
    return ring->backend->recv(ring, token, fd, once);
}

/* Gives an event's receive buffer back; does nothing for events without one. Once for each event
 * that was taken. */
static inline void ring_give(struct ring *ring, const struct ring_event *event)
{
    if (event->data.data != nullptr) ring->backend->give(ring, event);
}

/* Gives the memory of the receive buffers back to the operating system, when enough of it was used
 * since the last time to be worth a system call. No receive may be armed, and no buffer ours: then
 * nobody else can be writing to one. They stay as usable as before. */
static inline void ring_trim(struct ring *ring)
{
    assert(ring->stats.buffers_out == 0);
    ring->backend->trim(ring);
}

/* Sends the pieces in order, waiting in the kernel while the peer takes nothing. `pieces` is
 * only read during the call; what it points to belongs to the kernel until the event. At most
 * outbox_gather_max pieces, at most one send to a socket at a time. */
[[nodiscard]] static inline bool ring_send(struct ring *ring, struct ring_token token, int fd,
                                           const struct iovec *pieces, uint32_t count)
{
    return ring->backend->send(ring, token, fd, pieces, count);
}

/* Sends what the peer's socket takes at once, and never waits. When that is all of it, nothing
 * is posted: the cheapest send there is. `data` belongs to the kernel until ring_settled. One
 * such send to a socket at a time, and none beside an armed ring_send: their order would be
 * lost. */
[[nodiscard]] static inline bool ring_send_now(struct ring *ring, struct ring_token token, int fd,
                                               struct bytes data)
{
    return ring->backend->send_now(ring, token, fd, data);
}

/* True when the outcome of every ring_send_now so far is known: the kernel has taken all that was
 * submitted, and each shortfall is among the events that ring_take has given. */
[[nodiscard]] static inline bool ring_settled(struct ring *ring)
{
    return ring->backend->settled(ring);
}

/* False when ring_send_now does not account for every byte as promised above; then it must not be
 * used. Asks the running kernel (ring_preflight), which takes a few milliseconds at most. The
 * ring must be idle. */
[[nodiscard]] static inline bool ring_send_now_works(struct ring *ring)
{
    return ring->backend->send_now_works(ring);
}

/* preflight.c: tries ring_send_now on a connection to ourselves: whole, in part and not at all. */
[[nodiscard]] bool ring_preflight(struct ring *ring);

/* Writes to a file or pipe. `data` belongs to the kernel until the event. */
[[nodiscard]] static inline bool ring_write(struct ring *ring, struct ring_token token, int fd,
                                            struct bytes data)
{
    return ring->backend->write(ring, token, fd, data);
}

/* Asks for the end of an operation, which then tells it by its own last event (unless it had
 * ended already). */
[[nodiscard]] static inline bool ring_cancel(struct ring *ring, struct ring_token token,
                                             struct ring_token target)
{
    return ring->backend->cancel(ring, token, target);
}

/* Ends our sending (the peer sees the end of the stream after what was sent), with `both` also
 * our receiving: every operation on the socket then completes soon. */
static inline void ring_shutdown(struct ring *ring, int fd, bool both)
{
    ring->backend->shutdown(ring, fd, both);
}

/* Closes a descriptor. No operation on it may be armed. With `reset` the kernel forgets what it
 * has not yet sent and tells the peer so: for a peer that was given up, whom the kernel would else
 * go on serving. */
static inline void ring_close_fd(struct ring *ring, int fd, bool reset)
{
    ring->backend->close_fd(ring, fd, reset);
}

/* Who is at the other end. False when the connection is already gone. */
[[nodiscard]] static inline bool ring_peer(struct ring *ring, int fd, struct address *address)
{
    return ring->backend->peer(ring, fd, address);
}

/* Asks for one RING_WAKE event when another thread calls ring_wake, also when it has done so
 * since the last event. */
[[nodiscard]] static inline bool ring_wake_arm(struct ring *ring, struct ring_token token)
{
    return ring->backend->wake_arm(ring, token);
}

/* Wakes the ring's owner; from any thread. */
static inline void ring_wake(struct ring *ring)
{
    ring->backend->wake(ring);
}

/* Hands over what was submitted without waiting. */
static inline void ring_submit(struct ring *ring)
{
    ring->backend->submit(ring);
}

/* Hands over what was submitted and sleeps until a completion comes or the monotonic clock
 * reaches `until_ns` (UINT64_MAX: no such time). With ring_config.batch_us it sleeps on after the
 * first completion, but never beyond `until_ns`, nor when completions were left from before.
 * Returns the time. */
static inline struct instant ring_wait(struct ring *ring, uint64_t until_ns)
{
    ring->backend->wait(ring, until_ns);
    return ring->backend->now(ring);
}

/* The completions that are there, at most `max`; 0 when there is none. Each one is to be given
 * back with ring_give. */
[[nodiscard]] static inline uint32_t ring_take(struct ring *ring, struct ring_event *events,
                                               uint32_t max)
{
    return ring->backend->take(ring, events, max);
}

static inline struct instant ring_now(struct ring *ring)
{
    return ring->backend->now(ring);
}

/* The CPU time that the calling thread, its owner, has used: the kernel's work for it, too. */
static inline uint64_t ring_cpu_ns(const struct ring *ring)
{
    return ring->backend->cpu_ns(ring);
}

/* Fills `out` with random bytes fit for secrets. */
static inline void ring_entropy(struct ring *ring, struct bytes out)
{
    ring->backend->entropy(ring, out);
}
