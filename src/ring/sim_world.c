/* ring/sim_world.c: sockets as pairs of byte pipes, and the peers at their other ends. */
#include "ring/sim_inside.h"
#include <errno.h>

/* --- Pipes ------------------------------------------------------------------------------------ */

uint32_t sim_pipe_write(struct sim_pipe *pipe, const uint8_t *data, uint32_t size)
{
    uint32_t room = pipe->size - pipe->used;
    if (size > room) size = room;
    for (uint32_t done = 0; done < size;) {
        uint32_t end = (pipe->first + pipe->used) % pipe->size;
        uint32_t piece = pipe->size - end < size - done ? pipe->size - end : size - done;
        memcpy(pipe->data + end, data + done, piece);
        pipe->used += piece;
        done += piece;
    }
    return size;
}

uint32_t sim_pipe_read(struct sim_pipe *pipe, uint8_t *data, uint32_t size)
{
    if (size > pipe->used) size = pipe->used;
    for (uint32_t done = 0; done < size;) {
        uint32_t piece = pipe->size - pipe->first;
        if (piece > size - done) piece = size - done;
        memcpy(data + done, pipe->data + pipe->first, piece);
        pipe->first = (pipe->first + piece) % pipe->size;
        pipe->used -= piece;
        done += piece;
    }
    return size;
}

/* --- Sockets ---------------------------------------------------------------------------------- */

static uint32_t index_of(const struct sim *sim, const struct sim_socket *socket)
{
    return (uint32_t)(socket - sim->sockets);
}

static struct sim_socket *new_socket(struct sim *sim)
{
    uint32_t i = 0;
    while (i < sim->sockets_touched && sim->sockets[i].used)
        i += 1;
    if (i == sim_sockets_max) return nullptr;
    if (i == sim->sockets_touched) sim->sockets_touched += 1;
    struct sim_socket *socket = &sim->sockets[i];
    struct sim_pipe in = {.data = socket->in.data, .size = sim->options.in_size};
    struct sim_pipe out = {.data = socket->out.data, .size = sim->options.out_size};
    *socket = (struct sim_socket){.used = true,
                                  .fd = -1,
                                  .generation = socket->generation + 1,
                                  .receiving = sim_none,
                                  .sending = sim_none,
                                  .timer = sim_none,
                                  .in = in,
                                  .out = out};
    return socket;
}

void sim_release(struct sim *, struct sim_socket *socket)
{
    if (socket->open || socket->peer_here || socket->listening) return;
    socket->used = false;
    socket->generation += 1;
}

uint32_t sim_free_fd(const struct sim *sim)
{
    uint32_t asked = sim->options.descriptors;
    uint32_t most = asked > 0 && asked < sim_fds_max ? asked : sim_fds_max;
    for (uint32_t i = 0; i < most; i++)
        if (sim->fds[i] == sim_none) return i + sim_fd_first;
    return sim_none;
}

void sim_use_fd(struct sim *sim, uint32_t fd, uint32_t socket)
{
    sim->fds[fd - sim_fd_first] = socket;
    sim->sockets[socket].fd = (int)fd;
}

struct sim_socket *sim_socket_of(struct sim *sim, int fd)
{
    bool known = fd >= sim_fd_first && fd < sim_fd_first + (int)sim_fds_max &&
                 sim->fds[fd - sim_fd_first] != sim_none;
    SIM_MUST(sim, known, "an operation on a descriptor that is closed");
    return &sim->sockets[sim->fds[fd - sim_fd_first]];
}

uint32_t sim_open_fds(const struct sim *sim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim_fds_max; i++)
        count += sim->fds[i] != sim_none;
    return count;
}

static void kick_both(struct sim *sim, struct sim_socket *socket)
{
    if (socket->receiving != sim_none) sim_kick(sim, socket->receiving);
    if (socket->sending != sim_none) sim_kick(sim, socket->sending);
}

/* What was on its way to the peer is lost; what has come from it can still be received, unless the
 * network has lost that, too. Who has had the end of the stream is not told of a reset: its
 * receives are at the end all the same, and its sends -EPIPE (as tcp_reset in CLOSE_WAIT). */
void sim_break(struct sim *sim, struct sim_socket *socket, int32_t error)
{
    if (socket->broken != 0) return;
    bool half_closed = socket->peer_ended && !socket->we_ended;
    socket->broken = error == -ECONNRESET && half_closed ? -EPIPE : error;
    socket->out.used = 0;
    if (sim_chance(sim, sim->options.faults.reset_loses)) socket->in.used = 0;
    kick_both(sim, socket);
    sim_wake_timer(sim, socket->timer);
}

uint32_t sim_take_waiting(struct sim_socket *listener)
{
    if (listener->backlog_count == 0) return sim_none;
    uint32_t socket = listener->backlog[0];
    listener->backlog_count -= 1;
    memmove(listener->backlog, listener->backlog + 1,
            listener->backlog_count * sizeof *listener->backlog);
    return socket;
}

/* TCP_USER_TIMEOUT: a peer that is cut off acknowledges nothing, and for one that has left no room
 * nothing can be sent (tcp(7)). */
static bool is_stuck(const struct sim_socket *socket)
{
    return socket->out.used > 0 && (socket->vanished || socket->out.used == socket->out.size);
}

static void watch(struct sim *sim, struct sim_socket *socket, uint64_t since_ns)
{
    if (!is_stuck(socket) || socket->timeout_set || socket->timeout_ms == 0) return;
    socket->timeout_set = true;
    sim_push(sim, DUE_TIMEOUT, index_of(sim, socket), socket->generation,
             since_ns + (uint64_t)socket->timeout_ms * 1'000'000);
}

void sim_time_out(struct sim *sim, struct sim_socket *socket)
{
    uint64_t due_ns = socket->heard_ns + (uint64_t)socket->timeout_ms * 1'000'000;
    socket->timeout_set = false;
    if (socket->broken != 0 || !is_stuck(socket)) return;
    if (due_ns > sim->now_ns) { /* it has taken something meanwhile */
        watch(sim, socket, socket->heard_ns);
        return;
    }
    sim->counts.timeouts += 1;
    sim_break(sim, socket, -ETIMEDOUT);
}

uint32_t sim_to_peer(struct sim *sim, struct sim_socket *socket, const uint8_t *data, uint32_t size)
{
    uint32_t taken = sim_pipe_write(&socket->out, data, size);
    socket->sent += taken;
    watch(sim, socket, sim->now_ns);
    if (!socket->vanished) sim_wake_timer(sim, socket->timer);
    return taken;
}

/* --- What a worker does with them at once ----------------------------------------------------- */

static bool is_taken(const struct sim *sim, uint16_t port, bool shared)
{
    for (uint32_t i = 0; i < sim->sockets_touched; i++) {
        const struct sim_socket *socket = &sim->sockets[i];
        if (socket->used && socket->listening && socket->port == port &&
            !(shared && socket->shared))
            return true;
    }
    return false;
}

int sim_do_listen(struct ring *, const struct address *address,
                  const struct ring_listen_options *options)
{
    struct sim *sim = sim_current();
    uint32_t fd = sim_free_fd(sim);
    if (fd == sim_none) return -EMFILE;
    if (is_taken(sim, address->port, options->shared)) return -EADDRINUSE;
    struct sim_socket *socket = new_socket(sim);
    SIM_MUST(sim, socket != nullptr, "the simulation has too few sockets");
    socket->listening = true;
    socket->port = address->port;
    socket->shared = options->shared;
    socket->timeout_ms = options->user_timeout_ms;
    sim_use_fd(sim, fd, index_of(sim, socket));
    return socket->fd;
}

void sim_do_shutdown(struct ring *, int fd, bool both)
{
    struct sim *sim = sim_current();
    struct sim_socket *socket = sim_socket_of(sim, fd);
    sim_note(sim, "fd %d: shut down%s", fd, both ? " both ways" : "");
    socket->we_ended = true;
    socket->shut_both = socket->shut_both || both;
    kick_both(sim, socket);
    if (!socket->vanished) sim_wake_timer(sim, socket->timer);
}

static void close_listener(struct sim *sim, struct sim_socket *socket)
{
    for (uint32_t waiting; (waiting = sim_take_waiting(socket)) != sim_none;) {
        sim->sockets[waiting].open = false;
        sim_break(sim, &sim->sockets[waiting], -ECONNRESET);
        sim_release(sim, &sim->sockets[waiting]);
    }
    socket->listening = false;
}

/* A close with bytes that nobody has read is a reset, too (RFC 1122 §4.2.2.13). */
void sim_do_close(struct ring *, int fd, bool reset)
{
    struct sim *sim = sim_current();
    struct sim_socket *socket = sim_socket_of(sim, fd);
    SIM_MUST(sim,
             socket->receiving == sim_none && socket->sending == sim_none &&
                 socket->queued_now == 0,
             "a descriptor is closed on which an operation is armed");
    sim_note(sim, "fd %d: closed%s", fd, reset ? " with a reset" : "");
    sim_mix(sim, (uint64_t)fd << 1 | reset);
    sim->fds[fd - sim_fd_first] = sim_none;
    socket->fd = -1;
    if (socket->listening) close_listener(sim, socket);
    socket->open = false;
    socket->we_ended = true;
    if (reset || socket->in.used > 0) sim_break(sim, socket, -ECONNRESET);
    if (!socket->vanished) sim_wake_timer(sim, socket->timer);
    sim_release(sim, socket);
}

bool sim_do_peer(struct ring *, int fd, struct address *address)
{
    struct sim_socket *socket = sim_socket_of(sim_current(), fd);
    if (socket->broken != 0) return false;
    *address = socket->from;
    return true;
}

/* --- Peers ------------------------------------------------------------------------------------ */

static struct sim_socket *draw_listener(struct sim *sim, uint16_t port)
{
    struct sim_socket *drawn = nullptr;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < sim->sockets_touched; i++) {
        struct sim_socket *socket = &sim->sockets[i];
        if (!socket->used || !socket->listening || socket->port != port) continue;
        seen += 1;
        if (random_below(&sim->network, seen) == 0) drawn = socket;
    }
    return drawn;
}

int32_t sim_connect(struct sim *sim, const struct address *from, uint16_t port, uint32_t timer)
{
    struct sim_socket *listener = draw_listener(sim, port);
    if (listener == nullptr || listener->backlog_count == sim_backlog_max) return sim_refused;
    struct sim_socket *socket = new_socket(sim);
    if (socket == nullptr) return sim_refused;
    socket->open = socket->peer_here = true;
    socket->timer = timer;
    socket->from = *from;
    socket->timeout_ms = listener->timeout_ms;
    listener->backlog[listener->backlog_count++] = index_of(sim, socket);
    if (listener->receiving != sim_none) sim_kick(sim, listener->receiving);
    return (int32_t)index_of(sim, socket);
}

static struct sim_socket *socket_of_peer(struct sim *sim, int32_t peer)
{
    SIM_MUST(sim,
             peer >= 0 && peer < (int32_t)sim_sockets_max && sim->sockets[peer].used &&
                 sim->sockets[peer].peer_here,
             "the driver uses a peer that has left");
    return &sim->sockets[peer];
}

uint32_t sim_peer_write(struct sim *sim, int32_t peer, const uint8_t *data, uint32_t size)
{
    struct sim_socket *socket = socket_of_peer(sim, peer);
    if (socket->broken != 0 || socket->peer_ended || socket->vanished) return 0;
    if (!socket->open || socket->shut_both) { /* nobody listens any more: the answer is a reset */
        sim_break(sim, socket, -ECONNRESET);
        return 0;
    }
    uint32_t taken = sim_pipe_write(&socket->in, data, size);
    if (taken > 0 && socket->receiving != sim_none) sim_kick(sim, socket->receiving);
    return taken;
}

int32_t sim_peer_read(struct sim *sim, int32_t peer, uint8_t *data, uint32_t size)
{
    struct sim_socket *socket = socket_of_peer(sim, peer);
    if (socket->broken != 0) return sim_broken;
    if (socket->vanished) return 0;
    uint32_t taken = sim_pipe_read(&socket->out, data, size);
    if (taken > 0) socket->heard_ns = sim->now_ns;
    if (taken > 0 && socket->sending != sim_none) sim_kick(sim, socket->sending);
    if (taken == 0 && socket->we_ended) return sim_ended;
    return (int32_t)taken;
}

void sim_peer_end(struct sim *sim, int32_t peer)
{
    struct sim_socket *socket = socket_of_peer(sim, peer);
    if (socket->vanished) return;
    socket->peer_ended = true;
    if (socket->receiving != sim_none) sim_kick(sim, socket->receiving);
}

static void forget_peer(struct sim *sim, struct sim_socket *socket)
{
    socket->peer_here = false;
    socket->timer = sim_none;
    sim_release(sim, socket);
}

/* What comes for a peer that has left is answered with a reset. What it has not read is, too, and
 * then that is the end of the stream (RFC 1122 §4.2.2.13). */
void sim_peer_leave(struct sim *sim, int32_t peer)
{
    struct sim_socket *socket = socket_of_peer(sim, peer);
    if (socket->out.used == 0)
        sim_peer_end(sim, peer);
    else if (!socket->vanished)
        sim_break(sim, socket, -ECONNRESET);
    forget_peer(sim, socket);
}

void sim_peer_reset(struct sim *sim, int32_t peer)
{
    struct sim_socket *socket = socket_of_peer(sim, peer);
    sim->counts.resets += 1;
    if (!socket->vanished) sim_break(sim, socket, -ECONNRESET);
    forget_peer(sim, socket);
}

void sim_peer_vanish(struct sim *sim, int32_t peer)
{
    socket_of_peer(sim, peer)->vanished = true;
}
