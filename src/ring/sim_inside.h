/* ring/sim_inside.h: what the files of the simulation share. Nobody else includes it. */
#pragma once
#include "limits.h"
#include "ring/sim.h"

constexpr uint32_t sim_sockets_max = 1024;
constexpr uint32_t sim_fds_max = 512;
constexpr int sim_fd_first = 3;
constexpr uint32_t sim_operations_max = 8 * 1024;
constexpr uint32_t sim_events_max = 16 * 1024; /* of one ring; a power of two */
constexpr uint32_t sim_queue_max = 1024;       /* submitted and not taken, of one ring */
constexpr uint32_t sim_buffers_max = 256;
constexpr uint32_t sim_buffer_size_max = 1024;
constexpr uint32_t sim_heap_max = 64 * 1024;
constexpr uint32_t sim_backlog_max = 64;
constexpr uint32_t sim_none = UINT32_MAX;

/* --- What happens when (sim_time.c) ----------------------------------------------------------- */

enum sim_due_kind : uint8_t { DUE_OPERATION, DUE_RING, DUE_TIMER, DUE_TIMEOUT };

/* Something that will happen, unless `generation` has moved on. */
struct sim_due {
    uint64_t at_ns;     /* when it is looked at */
    uint64_t wanted_ns; /* when it happens */
    uint64_t sequence;  /* of those at the same time the oldest comes first */
    uint32_t index;
    uint32_t generation;
    enum sim_due_kind kind;
};

struct sim_timer {
    uint64_t at_ns;
    uint32_t generation;
};

/* --- Sockets (sim_world.c) -------------------------------------------------------------------- */

struct sim_pipe {
    uint8_t *data; /* sim_pipe_max bytes */
    uint32_t first, used;
    uint32_t size; /* how many of them there are to use */
};

struct sim_socket {
    bool used;
    bool open; /* our side; false also while it waits to be accepted */
    bool listening;
    bool peer_here;            /* the peer has not left */
    bool peer_ended, we_ended; /* nothing more is sent by it, by us */
    bool shut_both;            /* we receive nothing more, either */
    bool vanished;
    bool told; /* our side has had the error of a broken connection */
    bool timeout_set;
    int32_t broken;              /* 0, -ECONNRESET or -ETIMEDOUT: how our side learns of it */
    int fd;                      /* ours, or -1 */
    uint32_t generation;         /* of its timeout */
    uint32_t receiving, sending; /* operations, or sim_none; of a listener: accepting */
    uint32_t queued_now;         /* sends past outboxes that the kernel has not taken */
    uint32_t timer;              /* the driver's */
    uint16_t port;
    bool shared;
    uint32_t timeout_ms;
    uint64_t heard_ns; /* when the peer last took bytes */
    struct address from;
    struct sim_pipe in, out;
    uint64_t sent; /* bytes that it took of us */
    uint32_t backlog[sim_backlog_max];
    uint32_t backlog_count;
};

/* --- Operations and rings (sim_kernel.c) ------------------------------------------------------ */

struct sim_operation {
    bool used;
    bool queued;    /* not yet taken by the kernel */
    bool scheduled; /* its completion is due */
    bool once;
    bool cancelled; /* too late to stop its completion, which then is its last */
    struct ring_token token, target;
    uint32_t ring;
    uint32_t generation;
    uint32_t socket; /* or sim_none */
    int fd;
    uint32_t piece_count;
    uint64_t checksum; /* of the bytes that it points to, when it was asked for */
    uint32_t next_free;
    struct iovec pieces[outbox_gather_max];
};

struct sim_ring {
    struct ring *ring;
    bool is_open;
    bool waiting;
    uint64_t run_at_ns;
    uint32_t run_generation;
    uint32_t entries, completions, buffer_count, buffer_size, batch_us;
    uint64_t batch_until_ns;       /* while it waits: few completions do not end that before */
    uint32_t queue[sim_queue_max]; /* operations, in order */
    uint32_t queue_first, queue_count;
    struct ring_event events[sim_events_max];
    uint64_t event_first, event_end;
    uint64_t short_until_ns; /* the kernel takes nothing before */
    uint64_t now_until;      /* ring_settled: events before this are to be taken first */
    bool now_queued;
    bool rung;
    uint32_t wake;                          /* the operation, or sim_none */
    uint32_t held;                          /* operations of it */
    uint32_t free_buffers[sim_buffers_max]; /* given back in this order, and used in it */
    uint32_t free_first, free_count;
    bool is_out[sim_buffers_max];
    uint8_t *buffers;
};

struct sim {
    struct sim_options options;
    struct sim_hooks hooks;
    uint64_t now_ns;
    int64_t wall_jump_ms;
    struct random faults, network, secrets;
    uint64_t hash;
    struct sim_counts counts;
    uint64_t sequence;
    uint32_t heap_count;
    uint32_t ring_count;
    uint32_t free_operation, operations_touched;
    uint32_t sockets_touched;
    uint32_t fds[sim_fds_max]; /* the socket, or sim_none */
    struct sim_timer timers[sim_timers_max];
    struct sim_due heap[sim_heap_max];
    struct sim_ring rings[sim_rings_max];
    struct sim_operation operations[sim_operations_max];
    struct sim_socket sockets[sim_sockets_max];
};

[[noreturn]] void sim_fail(struct sim *sim, const char *sentence);
#define SIM_MUST(sim, condition, sentence)             \
    do {                                               \
        if (!(condition)) sim_fail((sim), (sentence)); \
    } while (0)

/* True with a chance in 65536ths. */
bool sim_chance(struct sim *sim, uint32_t chance);

/* sim_time.c */
void sim_push(struct sim *sim, enum sim_due_kind kind, uint32_t index, uint32_t generation,
              uint64_t at_ns);
void sim_wake_timer(struct sim *sim, uint32_t timer); /* soon, unless it is sooner already */
uint64_t sim_soon_ns(struct sim *sim);                /* when what is possible now happens */

/* sim_kernel.c: an operation may complete; it does; the owner of a ring may run then. */
void sim_kick(struct sim *sim, uint32_t operation);
void sim_work(struct sim *sim, uint32_t operation);
void sim_plan_run(struct sim *sim, struct sim_ring *ring, uint64_t at_ns);
void sim_hand_over(struct sim *sim, struct sim_ring *ring); /* as much as the kernel takes */
int sim_take_connection(struct sim *sim, struct sim_socket *listener); /* or -errno */
struct sim_operation *sim_new_operation(struct sim *sim);
void sim_free_operation(struct sim *sim, struct sim_operation *operation);
uint32_t sim_size_of(const struct sim_operation *operation); /* bytes that it points to */
uint64_t sim_checksum(const struct iovec *pieces, uint32_t count);

/* sim_world.c */
struct sim_socket *sim_socket_of(struct sim *sim, int fd);
uint32_t sim_free_fd(const struct sim *sim); /* the lowest, as the kernel; or sim_none */
void sim_use_fd(struct sim *sim, uint32_t fd, uint32_t socket);
void sim_break(struct sim *sim, struct sim_socket *socket, int32_t error);
void sim_release(struct sim *sim, struct sim_socket *socket);
uint32_t sim_pipe_write(struct sim_pipe *pipe, const uint8_t *data, uint32_t size);
uint32_t sim_pipe_read(struct sim_pipe *pipe, uint8_t *data, uint32_t size);
uint32_t sim_take_waiting(struct sim_socket *listener);
int sim_do_listen(struct ring *ring, const struct address *address,
                  const struct ring_listen_options *options);
void sim_do_shutdown(struct ring *ring, int fd, bool both);
void sim_do_close(struct ring *ring, int fd, bool reset);
bool sim_do_peer(struct ring *ring, int fd, struct address *address);
uint32_t sim_to_peer(struct sim *sim, struct sim_socket *socket, const uint8_t *data,
                     uint32_t size);
void sim_time_out(struct sim *sim, struct sim_socket *socket); /* it has come, or is looked at */

/* The simulation of this process. */
struct sim *sim_current(void);

static inline uint32_t sim_index_of_ring(const struct sim_ring *ring)
{
    return (uint32_t)(ring - sim_current()->rings);
}

static inline struct sim_operation *sim_operation_at(uint32_t index)
{
    return &sim_current()->operations[index];
}

static inline uint32_t sim_index_of(const struct sim_operation *operation)
{
    return (uint32_t)(operation - sim_current()->operations);
}
