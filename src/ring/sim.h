/* ring/sim.h: a ring without a kernel, and the world around it: time, sockets, peers, and faults
 * that are drawn from a seed.
 * You are here: [ring] > tls > http > ws > hub > room > game > outbox > conn > [ring]
 *
 * One simulation holds the rings of all workers. Nothing in it makes a system call or reads a
 * clock: time stands still while somebody computes (but for a few microseconds that reading it
 * costs), and leaps to the next happening when nobody does. Whoever drives it asks for one
 * happening after the other:
 *
 *     sim_next: a completion is due > the simulation makes it, and goes on
 *               SIM_RUN, a ring's owner may go on > the driver lets that worker run until it waits
 *               SIM_TIMER, set by sim_at           > the driver lets that peer act
 *
 * A worker that waits calls `pause`, and the driver runs somebody else meanwhile: workers are
 * coroutines on one thread. Without `pause` (one ring, no driver) waiting itself moves the time.
 *
 *     worker                              peer
 *     ring_send > [ operation ] > [ out: bytes of the kernel ] > sim_peer_read
 *     event of ring_recv < [ receive buffer ] < [ in: the same ] < sim_peer_write
 *
 * What the kernel would hold is held by address, read as late as may be, and must then be what it
 * was when it was handed over. A broken rule of ring/ring.h ends the run by `fail`.
 *
 * ring/sim.c is what a worker asks for, sim_kernel.c what becomes of it, sim_world.c sockets and
 * their peers, sim_time.c what happens next. */
#pragma once
#include "base/random.h"
#include "ring/ring.h"

struct sim;

/* How likely each fault is, in 65536ths, wherever it could happen. */
struct sim_faults {
    uint32_t split;           /* a receive gives less than has come */
    uint32_t short_send;      /* a send takes less than would fit */
    uint32_t short_now;       /* a send past an outbox, too; there is room right afterwards */
    uint32_t no_buffers;      /* a receive ends with -ENOBUFS although there are some */
    uint32_t ends;            /* a multishot operation ends by itself */
    uint32_t submit_none;     /* a submission takes nothing: -EINTR, -EAGAIN, -EBUSY */
    uint32_t shortage_us_max; /* microseconds that the like may last: none then takes anything */
    uint32_t submit_fewer;    /* or only some */
    uint32_t accept_fails;    /* -EMFILE, -ENFILE, -ECONNABORTED, -EINTR */
    uint32_t reset_loses;     /* a reset overtakes what had come before it */
    uint32_t late_cancel;     /* a cancel comes when its target is nearly done: -EALREADY */
    uint32_t cancel_us_max;   /* microseconds until a cancel looks for its target */
    uint32_t spurious_wake;   /* a wait ends early */
    uint32_t few_events;      /* a take gives one event, and more when asked again */
    uint32_t log_fails;       /* a write to the log: -EAGAIN, -EINTR, a part of it */
    uint32_t hiccup;          /* a worker is not run for up to hiccup_us_max */
    uint32_t hiccup_us_max;   /* microseconds */
    uint32_t complete_us_max; /* from what makes an operation complete to its completion */
};

struct sim_options {
    uint64_t seed;
    struct sim_faults faults;
    uint32_t entries;         /* of a submission queue; 0: as many as were asked for */
    uint32_t completions;     /* of a completion queue; 0: four times those */
    uint32_t receive_buffers; /* of a ring; 0: as many as were asked for */
    uint32_t descriptors;     /* that can be open; 0: as many as there are */
    uint32_t in_size;         /* bytes that the kernel holds for us, sim_pipe_max at most */
    uint32_t out_size;        /* and for the peer; what not_sent_low and its window would let in */
};
constexpr uint32_t sim_pipe_max = 64 * 1024;
constexpr uint32_t sim_rings_max = 8;
constexpr uint32_t sim_timers_max = 1024;

/* The driver's. `context` is handed back. */
struct sim_hooks {
    void *context;
    /* The owner of this ring waits; returns once SIM_RUN came for it. nullptr: no driver. */
    void (*pause)(void *context, uint32_t ring);
    /* A rule was broken; does not return. */
    void (*fail)(void *context, const char *sentence);
    /* One line of the trace; nullptr: nobody reads it. */
    void (*trace)(void *context, const char *line);
};

/* The one simulation of this process, made empty by each open: its memory is kept. nullptr when
 * there is no memory. ring_reserve_sim is about it. */
[[nodiscard]] struct sim *sim_open(const struct sim_options *options,
                                   const struct sim_hooks *hooks);

/* A ring of the simulation, in the order of reservation. Measuring reserves none. */
void ring_reserve_sim(struct ring *ring, struct arena *arena, const struct ring_config *config);

enum sim_kind : uint8_t { SIM_NOTHING, SIM_RUN, SIM_TIMER };
struct sim_happening {
    enum sim_kind kind; /* SIM_NOTHING: nothing will ever happen again */
    uint32_t index;     /* the ring, or the timer */
};

/* What happens next for the driver. Time is then what it says. */
struct sim_happening sim_next(struct sim *sim);

/* Nanoseconds since the simulated machine was started. */
uint64_t sim_now_ns(const struct sim *sim);

/* Sets a timer, earlier or later than before. UINT64_MAX: never. */
void sim_at(struct sim *sim, uint32_t timer, uint64_t at_ns);

/* From now on there are no faults, and everything is as fast as it can be. */
void sim_end_faults(struct sim *sim);

/* The wall clock leaps. */
void sim_jump_wall(struct sim *sim, int64_t ms);

/* Something worth a line of the trace. */
[[gnu::format(printf, 2, 3)]] void sim_note(struct sim *sim, const char *format, ...);

/* A number goes into the hash of all that has happened; and that hash. */
void sim_mix(struct sim *sim, uint64_t value);
uint64_t sim_hash(const struct sim *sim);

/* How often faults were made and things happened. */
struct sim_counts {
    uint64_t happenings, splits, short_sends, short_nows, no_buffers, ends, submits_short,
        accepts_failed, late_cancels, overflows, resets, timeouts;
};
const struct sim_counts *sim_counts(const struct sim *sim);

/* --- Peers. A peer is known by a number that no other has while either side is open. ---------- */

constexpr int32_t sim_refused = -1; /* nobody listens there, or too many wait */

/* Connects to a port from an address; `timer` fires when something has come for the peer. */
[[nodiscard]] int32_t sim_connect(struct sim *sim, const struct address *from, uint16_t port,
                                  uint32_t timer);

/* Returns how many bytes found room; 0 also once the connection is broken. */
uint32_t sim_peer_write(struct sim *sim, int32_t peer, const uint8_t *data, uint32_t size);

constexpr int32_t sim_ended = -1;  /* the end of the stream */
constexpr int32_t sim_broken = -2; /* it was reset */

/* Bytes, 0 when none have come, or one of the above. */
int32_t sim_peer_read(struct sim *sim, int32_t peer, uint8_t *data, uint32_t size);

/* Sends nothing more; goes away politely; goes away with a reset; is cut off, so that nothing
 * comes and goes any more and nobody is told. After leave and reset the number is no longer the
 * peer's. */
void sim_peer_end(struct sim *sim, int32_t peer);
void sim_peer_leave(struct sim *sim, int32_t peer);
void sim_peer_reset(struct sim *sim, int32_t peer);
void sim_peer_vanish(struct sim *sim, int32_t peer);

/* Descriptors that are open, listeners included. */
uint32_t sim_open_fds(const struct sim *sim);

/* Operations that the kernel holds of one ring, and one of them: also when it has not taken it yet.
 * The next one at *place or behind, which moves on; false when there is none. */
struct sim_held {
    struct ring_token token, target; /* the latter of a RING_CANCEL */
    int fd;                          /* -1: none */
};
uint32_t sim_operations(const struct sim *sim, uint32_t ring);
[[nodiscard]] bool sim_operation_behind(const struct sim *sim, uint32_t ring, uint32_t *place,
                                        struct sim_held *held);

/* The events that ring_take would give, from 0 on; nullptr behind the last. */
const struct ring_event *sim_event_at(const struct sim *sim, uint32_t ring, uint32_t index);
