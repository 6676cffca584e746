#include "ring/sim.h"
#include "ring/sim_inside.h"
#include <assert.h>
#include <errno.h>

static struct sim *current;

struct sim *sim_current(void)
{
    return current;
}

static struct sim_ring *ring_of(struct ring *ring)
{
    return ring->state;
}

/* --- Asking ----------------------------------------------------------------------------------- */

static void sim_submit(struct ring *ring)
{
    ring->stats.submits += 1;
    sim_hand_over(current, ring_of(ring));
}

static struct sim_operation *take_entry(struct ring *ring, struct ring_token token, int fd)
{
    struct sim *sim = current;
    struct sim_ring *own = ring_of(ring);
    SIM_MUST(sim, own->is_open, "an operation on a ring that is closed");
    if (own->queue_count == own->entries) sim_submit(ring);
    if (own->queue_count == own->entries) {
        ring->stats.queue_full += 1;
        return nullptr;
    }
    struct sim_operation *operation = sim_new_operation(sim);
    operation->queued = true;
    operation->token = token;
    operation->token.generation &= ring_generation_mask;
    operation->ring = sim_index_of_ring(own);
    operation->fd = fd;
    if (fd >= sim_fd_first) operation->socket = (uint32_t)(sim_socket_of(sim, fd) - sim->sockets);
    own->held += 1;
    own->queue[(own->queue_first + own->queue_count++) % sim_queue_max] = sim_index_of(operation);
    return operation;
}

static bool sim_accept(struct ring *ring, struct ring_token token, int fd)
{
    struct sim_socket *socket = sim_socket_of(current, fd);
    SIM_MUST(current, socket->listening && socket->receiving == sim_none,
             "two accepts on one listener");
    struct sim_operation *operation = take_entry(ring, token, fd);
    if (operation != nullptr) socket->receiving = sim_index_of(operation);
    return operation != nullptr;
}

static int sim_accept_now(struct ring *, int fd)
{
    return sim_take_connection(current, sim_socket_of(current, fd));
}

static bool sim_recv(struct ring *ring, struct ring_token token, int fd, bool once)
{
    struct sim_socket *socket = sim_socket_of(current, fd);
    SIM_MUST(current, socket->receiving == sim_none, "two receives on one socket");
    struct sim_operation *operation = take_entry(ring, token, fd);
    if (operation == nullptr) return false;
    operation->once = once;
    socket->receiving = sim_index_of(operation);
    return true;
}

static bool sim_send(struct ring *ring, struct ring_token token, int fd, const struct iovec *pieces,
                     uint32_t count)
{
    struct sim_socket *socket = sim_socket_of(current, fd);
    SIM_MUST(current, count > 0 && count <= outbox_gather_max, "a send of too many pieces");
    SIM_MUST(current, socket->sending == sim_none && socket->queued_now == 0,
             "two sends on one socket");
    struct sim_operation *operation = take_entry(ring, token, fd);
    if (operation == nullptr) return false;
    memcpy(operation->pieces, pieces, count * sizeof *pieces);
    operation->piece_count = count;
    operation->checksum = sim_checksum(pieces, count);
    SIM_MUST(current, sim_size_of(operation) > 0, "a send of nothing");
    socket->sending = sim_index_of(operation);
    return true;
}

static bool sim_send_now(struct ring *ring, struct ring_token token, int fd, struct bytes data)
{
    struct sim_socket *socket = sim_socket_of(current, fd);
    SIM_MUST(current, data.size > 0, "a send of nothing");
    SIM_MUST(current, socket->sending == sim_none && socket->queued_now == 0,
             "two sends on one socket");
    struct sim_operation *operation = take_entry(ring, token, fd);
    if (operation == nullptr) return false;
    operation->pieces[0] = (struct iovec){data.data, data.size};
    operation->piece_count = 1;
    operation->checksum = sim_checksum(operation->pieces, 1);
    socket->queued_now += 1;
    ring_of(ring)->now_queued = true;
    return true;
}

static bool sim_send_now_works(struct ring *)
{
    return true;
}

static bool sim_settled(struct ring *ring)
{
    const struct sim_ring *own = ring_of(ring);
    return !own->now_queued && own->event_first >= own->now_until;
}

static bool sim_write(struct ring *ring, struct ring_token token, int fd, struct bytes data)
{
    struct sim_operation *operation = take_entry(ring, token, fd);
    if (operation == nullptr) return false;
    operation->pieces[0] = (struct iovec){data.data, data.size};
    operation->piece_count = 1;
    operation->checksum = sim_checksum(operation->pieces, 1);
    return true;
}

static bool sim_cancel(struct ring *ring, struct ring_token token, struct ring_token target)
{
    struct sim_operation *operation = take_entry(ring, token, -1);
    if (operation != nullptr) operation->target = target;
    return operation != nullptr;
}

static bool sim_wake_arm(struct ring *ring, struct ring_token token)
{
    struct sim_ring *own = ring_of(ring);
    SIM_MUST(current, own->wake == sim_none, "the doorbell is armed twice");
    struct sim_operation *operation = take_entry(ring, token, -1);
    if (operation != nullptr) own->wake = sim_index_of(operation);
    return operation != nullptr;
}

static void sim_wake(struct ring *ring)
{
    struct sim_ring *own = ring_of(ring);
    own->rung = true;
    if (own->wake != sim_none) sim_kick(current, own->wake);
}

/* --- Waiting and taking ----------------------------------------------------------------------- */

/* When its owner may go on: at once when something is there, and then never in no time. */
static uint64_t next_run_ns(struct sim *sim, const struct sim_ring *ring, uint64_t until_ns)
{
    constexpr uint64_t turn_ns_max = 20'000;
    uint64_t soon_ns = sim->now_ns + 1000 + random_below(&sim->network, turn_ns_max);
    uint64_t at_ns = until_ns > soon_ns ? until_ns : soon_ns;
    if (ring->event_end > ring->event_first) at_ns = soon_ns;
    /* A kernel that takes no more is short of something, and everything takes longer then. */
    constexpr uint64_t shortage_ns_max = 2'000'000;
    if (ring->queue_count > 0) at_ns = soon_ns + random_below(&sim->faults, shortage_ns_max);
    if (sim_chance(sim, sim->options.faults.spurious_wake)) at_ns = soon_ns;
    if (at_ns != UINT64_MAX && sim_chance(sim, sim->options.faults.hiccup))
        at_ns += random_below(&sim->faults, sim->options.faults.hiccup_us_max) * 1000;
    return at_ns;
}

/* Few completions do not end a wait before this. */
static uint64_t batch_until_ns(const struct sim *sim, const struct sim_ring *ring,
                               uint64_t until_ns)
{
    if (ring->event_end > ring->event_first) return 0;
    uint64_t batch_ns = sim->now_ns + ring->batch_us * 1000ULL;
    return batch_ns < until_ns ? batch_ns : until_ns;
}

static void sim_wait(struct ring *ring, uint64_t until_ns)
{
    struct sim *sim = current;
    struct sim_ring *own = ring_of(ring);
    uint32_t index = sim_index_of_ring(own);
    ring->stats.waits += 1;
    own->batch_until_ns = batch_until_ns(sim, own, until_ns);
    sim_hand_over(sim, own);
    own->waiting = true;
    own->run_at_ns = UINT64_MAX;
    sim_plan_run(sim, own, next_run_ns(sim, own, until_ns));
    if (sim->hooks.pause != nullptr) {
        sim->hooks.pause(sim->hooks.context, index);
        SIM_MUST(sim, !own->waiting, "a worker runs that was not told to");
        return;
    }
    while (own->waiting) {
        struct sim_happening happening = sim_next(sim);
        SIM_MUST(sim, happening.kind != SIM_NOTHING, "a wait for what never comes");
    }
}

static uint32_t sim_take(struct ring *ring, struct ring_event *events, uint32_t max)
{
    struct sim *sim = current;
    struct sim_ring *own = ring_of(ring);
    uint64_t there = own->event_end - own->event_first;
    if (there > own->completions) {
        ring->stats.overflows += 1;
        sim->counts.overflows += 1;
    }
    if (there > 1 && sim_chance(sim, sim->options.faults.few_events)) there = 1;
    uint32_t count = there < max ? (uint32_t)there : max;
    for (uint32_t i = 0; i < count; i++) {
        events[i] = own->events[own->event_first++ % sim_events_max];
        if (events[i].data.data != nullptr) ring->stats.buffers_out += 1;
    }
    return count;
}

/* --- Receive buffers -------------------------------------------------------------------------- */

static void take_home(struct sim_ring *ring, uint32_t buffer)
{
    constexpr uint8_t nobodys = 0xDB;
    memset(ring->buffers + (size_t)buffer * sim_buffer_size_max, nobodys, ring->buffer_size);
    ring->is_out[buffer] = false;
    ring->free_buffers[(ring->free_first + ring->free_count++) % ring->buffer_count] = buffer;
}

static void sim_give(struct ring *ring, const struct ring_event *event)
{
    struct sim_ring *own = ring_of(ring);
    size_t buffer = (size_t)(event->data.data - own->buffers) / sim_buffer_size_max;
    SIM_MUST(current, buffer < own->buffer_count && own->is_out[buffer],
             "a receive buffer is given back that was not out");
    ring->stats.buffers_out -= 1;
    take_home(own, (uint32_t)buffer);
}

static void sim_trim(struct ring *ring)
{
    struct sim_ring *own = ring_of(ring);
    for (uint32_t i = 0; i < sim_fds_max; i++) {
        if (current->fds[i] == sim_none) continue;
        const struct sim_socket *socket = &current->sockets[current->fds[i]];
        bool receives = socket->receiving != sim_none && !socket->listening &&
                        sim_operation_at(socket->receiving)->ring == sim_index_of_ring(own);
        SIM_MUST(current, !receives, "receive buffers are trimmed while one may be written to");
    }
}

/* --- Opening and closing ---------------------------------------------------------------------- */

static bool sim_do_open(struct ring *ring, struct text *)
{
    struct sim_ring *own = ring_of(ring);
    own->ring = ring;
    own->is_open = true;
    own->wake = sim_none;
    for (uint32_t i = 0; i < own->buffer_count; i++)
        take_home(own, i);
    return true;
}

static void sim_do_close_ring(struct ring *ring)
{
    struct sim *sim = current;
    struct sim_ring *own = ring_of(ring);
    own->is_open = false;
    own->waiting = false;
    own->run_generation += 1;
    for (uint32_t i = 0; i < sim->operations_touched; i++)
        if (sim->operations[i].used && sim->operations[i].ring == sim_index_of_ring(own))
            sim_free_operation(sim, &sim->operations[i]);
}

static void sim_free(struct ring *)
{
}

/* Reading a clock takes a moment, too. */
static struct instant sim_now(struct ring *)
{
    constexpr uint64_t epoch_ms = 1'700'000'000'000;
    struct sim *sim = current;
    sim->now_ns += random_below(&sim->network, 2000);
    int64_t wall_ms = (int64_t)(epoch_ms + sim->now_ns / 1'000'000) + sim->wall_jump_ms;
    return (struct instant){.ns = sim->now_ns, .wall_ms = (uint64_t)wall_ms};
}

/* Computing takes next to no time here. So that busy workers are met, all are busy in every other
 * tenth of a second. */
static uint64_t sim_cpu_ns(const struct ring *)
{
    constexpr uint64_t tenth_ns = 100'000'000;
    uint64_t rest_ns = current->now_ns % (2 * tenth_ns);
    return current->now_ns / (2 * tenth_ns) * tenth_ns + (rest_ns < tenth_ns ? rest_ns : tenth_ns);
}

static void sim_entropy(struct ring *, struct bytes out)
{
    for (size_t i = 0; i < out.size; i++)
        out.data[i] = (uint8_t)random_u64(&current->secrets);
}

static const struct ring_backend sim_backend = {
    .name = "simulation",
    .open = sim_do_open,
    .close = sim_do_close_ring,
    .free = sim_free,
    .listen = sim_do_listen,
    .accept = sim_accept,
    .accept_now = sim_accept_now,
    .recv = sim_recv,
    .give = sim_give,
    .trim = sim_trim,
    .send = sim_send,
    .send_now = sim_send_now,
    .send_now_works = sim_send_now_works,
    .settled = sim_settled,
    .write = sim_write,
    .cancel = sim_cancel,
    .shutdown = sim_do_shutdown,
    .close_fd = sim_do_close,
    .peer = sim_do_peer,
    .wake_arm = sim_wake_arm,
    .wake = sim_wake,
    .submit = sim_submit,
    .wait = sim_wait,
    .take = sim_take,
    .now = sim_now,
    .cpu_ns = sim_cpu_ns,
    .entropy = sim_entropy,
};

static uint32_t or_else(uint32_t chosen, uint32_t standard, uint32_t most)
{
    uint32_t value = chosen > 0 ? chosen : standard;
    return value < most ? value : most;
}

void ring_reserve_sim(struct ring *ring, struct arena *arena, const struct ring_config *config)
{
    *ring = (struct ring){.backend = &sim_backend};
    if (arena_take(arena, 1) == nullptr) return; /* it only measures */
    struct sim *sim = current;
    SIM_MUST(sim, sim->ring_count < sim_rings_max, "the simulation has too few rings");
    struct sim_ring *own = &sim->rings[sim->ring_count++];
    const struct sim_options *options = &sim->options;
    ring->state = own;
    own->ring = ring;
    own->entries = or_else(options->entries, config->entries, sim_queue_max);
    own->completions = or_else(options->completions, 4 * own->entries, sim_events_max / 2);
    own->buffer_count = or_else(options->receive_buffers, config->receive_buffers, sim_buffers_max);
    own->buffer_size = or_else(0, config->receive_buffer_size, sim_buffer_size_max);
    own->batch_us = config->batch_us;
}

/* --- The simulation --------------------------------------------------------------------------- */

/* Runs twice: over a measuring arena and over the real one. */
static struct sim *reserve(struct arena *arena)
{
    struct sim *sim = arena_take(arena, sizeof *sim);
    constexpr size_t pipes = (size_t)sim_sockets_max * 2 * sim_pipe_max;
    constexpr size_t buffers = (size_t)sim_buffers_max * sim_buffer_size_max;
    uint8_t *memory = arena_take(arena, pipes + sim_rings_max * buffers);
    if (sim == nullptr) return nullptr;
    for (uint32_t i = 0; i < sim_sockets_max; i++) {
        sim->sockets[i].in.data = memory + (size_t)(2 * i) * sim_pipe_max;
        sim->sockets[i].out.data = memory + (size_t)(2 * i + 1) * sim_pipe_max;
    }
    for (uint32_t i = 0; i < sim_rings_max; i++)
        sim->rings[i].buffers = memory + pipes + i * buffers;
    return sim;
}

static struct sim *make(void)
{
    struct arena measuring = arena_measure(), arena;
    (void)!reserve(&measuring);
    return arena_open(&arena, measuring.used) ? reserve(&arena) : nullptr;
}

static void clear_ring(struct sim_ring *ring)
{
    uint8_t *buffers = ring->buffers;
    memset(ring, 0, offsetof(struct sim_ring, events));
    memset(&ring->event_first, 0, sizeof *ring - offsetof(struct sim_ring, event_first));
    ring->buffers = buffers;
    ring->wake = sim_none;
}

/* Only what was used is cleared: there is much more. */
static void clear(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->operations_touched; i++)
        memset(&sim->operations[i], 0, offsetof(struct sim_operation, pieces));
    for (uint32_t i = 0; i < sim->sockets_touched; i++)
        sim->sockets[i].used = sim->sockets[i].listening = false;
    for (uint32_t i = 0; i < sim_rings_max; i++)
        clear_ring(&sim->rings[i]);
    for (uint32_t i = 0; i < sim_timers_max; i++)
        sim->timers[i] = (struct sim_timer){.at_ns = UINT64_MAX};
    memset(sim, 0, offsetof(struct sim, fds));
    memset(sim->fds, 0xFF, sizeof sim->fds);
    sim->free_operation = sim_none;
}

struct sim *sim_open(const struct sim_options *options, const struct sim_hooks *hooks)
{
    if (current == nullptr) current = make();
    if (current == nullptr) return nullptr;
    struct sim *sim = current;
    clear(sim);
    sim->options = *options;
    sim->hooks = *hooks;
    sim->now_ns = 1'000'000'000;
    struct random draw = {.state = options->seed};
    sim->faults.state = random_u64(&draw);
    sim->network.state = random_u64(&draw);
    sim->secrets.state = random_u64(&draw);
    return sim;
}

/* --- Looking on ------------------------------------------------------------------------------- */

uint32_t sim_operations(const struct sim *sim, uint32_t ring)
{
    return sim->rings[ring].held;
}

bool sim_operation_behind(const struct sim *sim, uint32_t ring, uint32_t *place,
                          struct sim_held *held)
{
    for (; *place < sim->operations_touched; *place += 1) {
        const struct sim_operation *operation = &sim->operations[*place];
        if (!operation->used || operation->ring != ring) continue;
        *held = (struct sim_held){operation->token, operation->target, operation->fd};
        *place += 1;
        return true;
    }
    return false;
}

const struct ring_event *sim_event_at(const struct sim *sim, uint32_t ring, uint32_t index)
{
    const struct sim_ring *own = &sim->rings[ring];
    bool there = index < own->event_end - own->event_first;
    return there ? &own->events[(own->event_first + index) % sim_events_max] : nullptr;
}
