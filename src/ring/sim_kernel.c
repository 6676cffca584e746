/* ring/sim_kernel.c: what the kernel does with what it was asked for. */
#include "ring/sim_inside.h"
#include <errno.h>

/* --- Completions ------------------------------------------------------------------------------ */

/* The owner of a ring may run at this time, or earlier if that is planned already. */
void sim_plan_run(struct sim *sim, struct sim_ring *ring, uint64_t at_ns)
{
    if (ring->run_at_ns <= at_ns) return;
    ring->run_at_ns = at_ns;
    ring->run_generation += 1;
    if (at_ns != UINT64_MAX)
        sim_push(sim, DUE_RING, sim_index_of_ring(ring), ring->run_generation, at_ns);
}

static bool queue_is_full(const struct sim_ring *ring)
{
    return ring->event_end - ring->event_first >= ring->completions;
}

static void post(struct sim *sim, struct sim_ring *ring, struct ring_event event, int fd)
{
    SIM_MUST(sim, ring->event_end - ring->event_first < sim_events_max,
             "far more completions than anybody takes");
    static const char *const names[] = {"accept", "recv", "send",  "send_now",
                                        "write",  "wake", "cancel"};
    sim_note(sim, "ring %u: %s slot %u/%u fd %d = %d%s", sim_index_of_ring(ring),
             names[event.token.op], event.token.slot, event.token.generation, fd, event.result,
             event.last ? "" : ", more");
    /* What the log says depends on the build, and nothing else does on that. */
    if (event.token.op != RING_WRITE) {
        sim_mix(sim, sim->now_ns);
        sim_mix(sim, (uint64_t)event.token.op << 56 | (uint64_t)event.token.generation << 32 |
                         event.token.slot);
        sim_mix(sim, (uint64_t)(uint32_t)event.result << 1 | event.last);
    }
    if (event.result == -ENOBUFS) ring->ring->stats.out_of_buffers += 1;
    ring->events[ring->event_end++ % sim_events_max] = event;
    if (!ring->waiting) return;
    constexpr uint64_t enough = 64; /* completions: they end a wait for more */
    uint64_t at_ns = sim_soon_ns(sim);
    bool waits_on = ring->event_end - ring->event_first < enough && at_ns < ring->batch_until_ns;
    sim_plan_run(sim, ring, waits_on ? ring->batch_until_ns : at_ns);
}

/* --- Operations ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9E3779B97F4A7C15;
    return sum ^ sum >> 32;
}

/* Four sums beside each other, for none has to wait for another: much is summed. */
uint64_t sim_checksum(const struct iovec *pieces, uint32_t count)
{
    uint64_t sums[4] = {1, 2, 3, 4}, words[4];
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *data = pieces[i].iov_base;
        size_t size = pieces[i].iov_len;
        for (; size >= sizeof words; data += sizeof words, size -= sizeof words) {
            memcpy(words, data, sizeof words);
            for (uint32_t lane = 0; lane < 4; lane++)
                sums[lane] = mix(sums[lane], words[lane]);
        }
        for (; size > 0; data += 1, size -= 1)
            sums[0] = mix(sums[0], *data);
    }
    return mix(mix(mix(sums[0], sums[1]), sums[2]), sums[3]);
}

struct sim_operation *sim_new_operation(struct sim *sim)
{
    uint32_t index = sim->free_operation;
    if (index != sim_none) {
        sim->free_operation = sim->operations[index].next_free;
    } else {
        SIM_MUST(sim, sim->operations_touched < sim_operations_max,
                 "far more operations than there are connections");
        index = sim->operations_touched++;
    }
    struct sim_operation *operation = &sim->operations[index];
    uint32_t generation = operation->generation + 1;
    memset(operation, 0, offsetof(struct sim_operation, pieces));
    operation->used = true;
    operation->generation = generation;
    operation->socket = sim_none;
    operation->fd = -1;
    return operation;
}

void sim_free_operation(struct sim *sim, struct sim_operation *operation)
{
    if (operation->socket != sim_none) {
        struct sim_socket *socket = &sim->sockets[operation->socket];
        if (socket->receiving == sim_index_of(operation)) socket->receiving = sim_none;
        if (socket->sending == sim_index_of(operation)) socket->sending = sim_none;
    }
    sim->rings[operation->ring].held -= 1;
    operation->used = false;
    operation->generation += 1;
    operation->next_free = sim->free_operation;
    sim->free_operation = sim_index_of(operation);
}

/* The last event of an operation. */
static void finish(struct sim *sim, struct sim_operation *operation, int32_t result)
{
    struct ring_event event = {.token = operation->token, .result = result, .last = true};
    struct sim_ring *ring = &sim->rings[operation->ring];
    int fd = operation->fd;
    sim_free_operation(sim, operation);
    post(sim, ring, event, fd);
}

void sim_kick(struct sim *sim, uint32_t index)
{
    struct sim_operation *operation = sim_operation_at(index);
    if (operation->scheduled || operation->queued) return;
    operation->scheduled = true;
    sim_push(sim, DUE_OPERATION, index, operation->generation, sim_soon_ns(sim));
}

/* --- What the kernel does when one is due ----------------------------------------------------- */

static void must_be_unchanged(struct sim *sim, const struct sim_operation *operation)
{
    SIM_MUST(sim, sim_checksum(operation->pieces, operation->piece_count) == operation->checksum,
             "memory has changed that the kernel was sending from");
}

/* How our side learns that the connection is no more: once the reason, then EPIPE. */
static int32_t error_of_send(struct sim_socket *socket)
{
    if (socket->broken == 0 && !socket->we_ended) return 0;
    if (socket->broken == 0 || socket->told) return -EPIPE;
    socket->told = true;
    return socket->broken;
}

/* Hands over at most `most` bytes. */
static uint32_t take_bytes(struct sim *sim, struct sim_operation *operation, uint32_t most)
{
    struct sim_socket *socket = &sim->sockets[operation->socket];
    uint32_t taken = 0;
    for (uint32_t i = 0; i < operation->piece_count && taken < most; i++) {
        uint32_t size = (uint32_t)operation->pieces[i].iov_len;
        if (size > most - taken) size = most - taken;
        uint32_t went = sim_to_peer(sim, socket, operation->pieces[i].iov_base, size);
        taken += went;
        if (went < size) break;
    }
    return taken;
}

uint32_t sim_size_of(const struct sim_operation *operation)
{
    size_t size = 0;
    for (uint32_t i = 0; i < operation->piece_count; i++)
        size += operation->pieces[i].iov_len;
    return (uint32_t)size;
}

/* Fewer than would fit, down to a single byte, and often less than a frame's header. */
static uint32_t draw_fewer(struct sim *sim, uint32_t size)
{
    uint64_t most = random_below(&sim->faults, 2) == 0 && size > 12 ? 12 : size - 1;
    return 1 + (uint32_t)random_below(&sim->faults, most);
}

/* A peer that has left answers with a reset. */
static bool refuses(struct sim *sim, struct sim_socket *socket)
{
    if (socket->peer_here || socket->vanished || socket->broken != 0) return false;
    sim_break(sim, socket, -ECONNRESET);
    return true;
}

static void work_send(struct sim *sim, struct sim_operation *operation)
{
    struct sim_socket *socket = &sim->sockets[operation->socket];
    must_be_unchanged(sim, operation);
    int32_t error = error_of_send(socket);
    if (error != 0) {
        finish(sim, operation, error);
        return;
    }
    uint32_t size = sim_size_of(operation), most = size;
    uint32_t room = socket->out.size - socket->out.used;
    if (room == 0) return; /* it waits */
    if (size > 1 && sim_chance(sim, sim->options.faults.short_send)) {
        most = draw_fewer(sim, size);
        sim->counts.short_sends += 1;
    }
    uint32_t taken = take_bytes(sim, operation, most);
    (void)refuses(sim, socket);
    finish(sim, operation, (int32_t)taken);
}

/* Never waits: what is not taken at once is told. */
static void do_send_now(struct sim *sim, struct sim_operation *operation)
{
    struct sim_socket *socket = &sim->sockets[operation->socket];
    must_be_unchanged(sim, operation);
    socket->queued_now -= 1;
    int32_t error = error_of_send(socket);
    uint32_t size = sim_size_of(operation), most = size;
    if (error == 0 && sim_chance(sim, sim->options.faults.short_now)) {
        most = size > 1 && random_below(&sim->faults, 3) > 0 ? draw_fewer(sim, size) : 0;
        sim->counts.short_nows += 1;
    }
    uint32_t taken = error == 0 && most > 0 ? take_bytes(sim, operation, most) : 0;
    if (error == 0) (void)refuses(sim, socket);
    sim_note(sim, "fd %d: %u of %u bytes sent at once", operation->fd, taken, size);
    if (taken == size)
        sim_free_operation(sim, operation);
    else
        finish(sim, operation, error != 0 ? error : taken > 0 ? (int32_t)taken : -EAGAIN);
}

static uint32_t draw_size(struct sim *sim, uint32_t size)
{
    if (size < 2 || !sim_chance(sim, sim->options.faults.split)) return size;
    sim->counts.splits += 1;
    return draw_fewer(sim, size);
}

static bool has_no_buffer(struct sim *sim, const struct sim_ring *ring)
{
    if (ring->free_count == 0) return true;
    if (!sim_chance(sim, sim->options.faults.no_buffers)) return false;
    sim->counts.no_buffers += 1;
    return true;
}

/* Bytes that have come go into the next buffer of the ring. */
static void receive_bytes(struct sim *sim, struct sim_operation *operation)
{
    struct sim_socket *socket = &sim->sockets[operation->socket];
    struct sim_ring *ring = &sim->rings[operation->ring];
    uint32_t size = socket->in.used < ring->buffer_size ? socket->in.used : ring->buffer_size;
    uint32_t buffer = ring->free_buffers[ring->free_first];
    ring->free_first = (ring->free_first + 1) % ring->buffer_count;
    ring->free_count -= 1;
    ring->is_out[buffer] = true;
    uint8_t *data = ring->buffers + (size_t)buffer * sim_buffer_size_max;
    size = sim_pipe_read(&socket->in, data, draw_size(sim, size));
    sim_wake_timer(sim, socket->timer); /* it may write on */
    /* A completion that does not fit ends a multishot operation, and so do other things. */
    bool last = operation->once || operation->cancelled || queue_is_full(ring);
    if (!last && sim_chance(sim, sim->options.faults.ends)) {
        last = true;
        sim->counts.ends += 1;
    }
    struct ring_event event = {.token = operation->token,
                               .result = (int32_t)size,
                               .last = last,
                               .data = {.data = data, .size = size}};
    int fd = operation->fd;
    if (last)
        sim_free_operation(sim, operation);
    else
        sim_kick(sim, sim_index_of(operation)); /* for more, or for the end */
    post(sim, ring, event, fd);
}

/* Nothing more comes: the end of the stream, or once why not. */
static int32_t end_of_receive(struct sim_socket *socket)
{
    if (socket->peer_ended || socket->broken == 0 || socket->told) return 0;
    socket->told = true;
    return socket->broken;
}

/* It wants a buffer before it looks what has come: without one, even the end is -ENOBUFS. */
static void work_receive(struct sim *sim, struct sim_operation *operation)
{
    struct sim_socket *socket = &sim->sockets[operation->socket];
    bool is_over = socket->broken != 0 || socket->peer_ended || socket->shut_both;
    if (socket->in.used == 0 && !is_over) return; /* it waits */
    if (has_no_buffer(sim, &sim->rings[operation->ring]))
        finish(sim, operation, -ENOBUFS);
    else if (socket->in.used > 0)
        receive_bytes(sim, operation);
    else
        finish(sim, operation, end_of_receive(socket));
}

static int draw_accept_error(struct sim *sim, bool somebody_waits)
{
    static const int errors[] = {-EMFILE, -ENFILE, -ECONNABORTED, -EINTR};
    sim->counts.accepts_failed += 1;
    return errors[random_below(&sim->faults, somebody_waits ? 4 : 2)];
}

/* The next connection's descriptor, or -errno. Like the kernel it wants a descriptor before it
 * looks who waits: without one it fails though nobody does. */
int sim_take_connection(struct sim *sim, struct sim_socket *listener)
{
    bool somebody_waits = listener->backlog_count > 0;
    uint32_t fd = sim_free_fd(sim);
    if (fd == sim_none) return -EMFILE;
    if (sim_chance(sim, sim->options.faults.accept_fails))
        return draw_accept_error(sim, somebody_waits);
    if (!somebody_waits) return -EAGAIN;
    uint32_t taken = sim_take_waiting(listener);
    sim_use_fd(sim, fd, taken);
    return (int)fd;
}

static void work_accept(struct sim *sim, struct sim_operation *operation)
{
    struct sim_socket *listener = &sim->sockets[operation->socket];
    struct sim_ring *ring = &sim->rings[operation->ring];
    int fd = sim_take_connection(sim, listener);
    if (fd == -EAGAIN) return;
    bool last = fd < 0 || operation->cancelled || queue_is_full(ring);
    if (last || sim_chance(sim, sim->options.faults.ends)) {
        finish(sim, operation, fd);
        return;
    }
    if (listener->backlog_count > 0) sim_kick(sim, sim_index_of(operation));
    post(sim, ring, (struct ring_event){.token = operation->token, .result = fd}, operation->fd);
}

static void work_write(struct sim *sim, struct sim_operation *operation)
{
    must_be_unchanged(sim, operation);
    int32_t size = (int32_t)sim_size_of(operation);
    if (sim_chance(sim, sim->options.faults.log_fails)) {
        static const int32_t errors[] = {-EAGAIN, -EINTR, 1};
        uint64_t drawn = random_below(&sim->faults, 3);
        if (errors[drawn] < 0 || size > 1) size = errors[drawn];
    }
    finish(sim, operation, size);
}

static bool is_same(struct ring_token left, struct ring_token right)
{
    return left.op == right.op && left.slot == right.slot &&
           ((left.generation ^ right.generation) & ring_generation_mask) == 0;
}

static struct sim_operation *target_of(struct sim *sim, const struct sim_operation *operation)
{
    for (uint32_t i = 0; i < sim->operations_touched; i++) {
        struct sim_operation *candidate = &sim->operations[i];
        if (candidate->used && !candidate->queued && candidate->ring == operation->ring &&
            candidate->token.op != RING_CANCEL && is_same(candidate->token, operation->target))
            return candidate;
    }
    return nullptr;
}

static void end_cancelled(struct sim *sim, struct sim_operation *target)
{
    if (target->token.op == RING_WAKE) sim->rings[target->ring].wake = sim_none;
    finish(sim, target, -ECANCELED);
}

/* One whose completion is being made can no longer be stopped. It ends with that all the same: also
 * a multishot operation goes on for nobody who cancelled it. */
static void work_cancel(struct sim *sim, struct sim_operation *operation)
{
    struct sim_operation *target = target_of(sim, operation);
    bool late =
        target != nullptr && target->scheduled && sim_chance(sim, sim->options.faults.late_cancel);
    int32_t result = target == nullptr ? -ENOENT : late ? -EALREADY : 0;
    bool ends = target != nullptr && !late;
    /* By the manual the target's end is told first; Linux 6.18 tells the cancel's first. */
    bool told_first = ends && random_below(&sim->network, 2) == 0;
    if (late) {
        sim->counts.late_cancels += 1;
        target->cancelled = true;
    }
    if (told_first) end_cancelled(sim, target);
    finish(sim, operation, result);
    if (ends && !told_first) end_cancelled(sim, target);
}

static void work_wake(struct sim *sim, struct sim_operation *operation)
{
    struct sim_ring *ring = &sim->rings[operation->ring];
    if (!ring->rung) return;
    ring->rung = false;
    ring->wake = sim_none;
    finish(sim, operation, (int32_t)sizeof(uint64_t));
}

void sim_work(struct sim *sim, uint32_t index)
{
    struct sim_operation *operation = sim_operation_at(index);
    uint32_t generation = operation->generation;
    operation->scheduled = false;
    switch (operation->token.op) {
    case RING_ACCEPT: work_accept(sim, operation); break;
    case RING_RECV: work_receive(sim, operation); break;
    case RING_SEND: work_send(sim, operation); break;
    case RING_SEND_NOW: break; /* over when it was taken */
    case RING_WRITE: work_write(sim, operation); break;
    case RING_WAKE: work_wake(sim, operation); break;
    case RING_CANCEL: work_cancel(sim, operation); break;
    }
    if (operation->generation == generation && operation->cancelled) end_cancelled(sim, operation);
}

/* --- Submission ------------------------------------------------------------------------------- */

/* Its target may end by itself before, and somebody else stand in its place. */
static void issue_cancel(struct sim *sim, struct sim_operation *operation)
{
    uint32_t most_us = sim->options.faults.cancel_us_max;
    if (most_us == 0) {
        work_cancel(sim, operation);
        return;
    }
    operation->scheduled = true;
    sim_push(sim, DUE_OPERATION, sim_index_of(operation), operation->generation,
             sim->now_ns + random_below(&sim->faults, most_us) * 1000);
}

/* The kernel takes an operation: what is possible at once happens soon. */
static void issue(struct sim *sim, struct sim_operation *operation)
{
    struct sim_ring *ring = &sim->rings[operation->ring];
    operation->queued = false;
    switch (operation->token.op) {
    case RING_SEND_NOW: do_send_now(sim, operation); break;
    case RING_RECV: /* it wants a buffer before it looks for bytes */
        if (has_no_buffer(sim, ring))
            finish(sim, operation, -ENOBUFS);
        else
            sim_kick(sim, sim_index_of(operation));
        break;
    case RING_CANCEL: issue_cancel(sim, operation); break;
    default: sim_kick(sim, sim_index_of(operation)); break;
    }
}

static uint32_t draw_taken(struct sim *sim, struct sim_ring *ring)
{
    const struct sim_faults *faults = &sim->options.faults;
    uint32_t count = ring->queue_count;
    if (count == 0) return 0;
    bool still = faults->shortage_us_max > 0 && sim->now_ns < ring->short_until_ns;
    bool none = still || sim_chance(sim, faults->submit_none);
    bool fewer = sim_chance(sim, faults->submit_fewer);
    sim->counts.submits_short += none || fewer;
    /* A kernel that is short of memory is so for a while, in which events come all the same. */
    if (none && !still && faults->shortage_us_max > 0)
        ring->short_until_ns =
            sim->now_ns + random_below(&sim->faults, faults->shortage_us_max) * 1000;
    return none ? 0 : fewer ? (uint32_t)random_below(&sim->faults, count) : count;
}

void sim_hand_over(struct sim *sim, struct sim_ring *ring)
{
    for (uint32_t left = draw_taken(sim, ring); left > 0; left--) {
        uint32_t index = ring->queue[ring->queue_first];
        ring->queue_first = (ring->queue_first + 1) % sim_queue_max;
        ring->queue_count -= 1;
        issue(sim, sim_operation_at(index));
    }
    if (ring->queue_count > 0) ring->ring->stats.held_back += 1;
    if (ring->queue_count > 0 || !ring->now_queued) return;
    ring->now_queued = false;
    ring->now_until = ring->event_end;
}
