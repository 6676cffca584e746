#include "memory_ring.h"
#include "limits.h"
#include <errno.h>

constexpr uint32_t events_max = 1024;
constexpr uint32_t inbox_max = 16 * 1024;

/* A send past an outbox that has not been handed over. */
struct sending {
    struct ring_token token;
    int fd;
    struct bytes data;
};

struct socket {
    bool used;
    bool recv_armed, recv_once, send_armed;
    struct ring_token recv_token, send_token;
    struct iovec pieces[outbox_gather_max];
    uint32_t piece_count;
    uint8_t inbox[inbox_max]; /* what the peer has sent and nobody has received */
    uint32_t inbox_size;
    size_t received;
    bool peer_ended, peer_reset;
    bool shut_send, shut_both; /* by us */
    uint32_t room;             /* bytes that the peer still takes */
};

static struct socket sockets[memory_sockets_max];
static struct ring_event events[events_max];
static uint32_t event_first, event_end;
static struct sending queued[64];
static uint32_t queued_count;
static uint32_t shortfalls; /* events of sends past outboxes that nobody has taken */
static uint32_t queue_max, queue_used;
static uint64_t now_ns;
static struct ring *ring;
static void (*hear)(int fd, const uint8_t *data, size_t size);

static struct socket *socket_of(int fd)
{
    MUST(fd >= 0 && fd < memory_sockets_max && sockets[fd].used);
    return &sockets[fd];
}

static void post(struct ring_event event)
{
    MUST(event_end - event_first < events_max);
    events[event_end++ % events_max] = event;
    if (event.token.op == RING_SEND_NOW) shortfalls += 1;
}

static bool enter_queue(void)
{
    if (queue_used >= queue_max) return false;
    queue_used += 1;
    return true;
}

/* ---- what the worker asks for ---- */

static bool ask_recv(struct ring *, struct ring_token token, int fd, bool once)
{
    struct socket *socket = socket_of(fd);
    MUST(!socket->recv_armed);
    if (!enter_queue()) return false;
    socket->recv_armed = true;
    socket->recv_once = once;
    socket->recv_token = token;
    return true;
}

static uint32_t sending_on(int fd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < queued_count; i++)
        count += queued[i].fd == fd;
    return count;
}

static bool ask_send(struct ring *, struct ring_token token, int fd, const struct iovec *pieces,
                     uint32_t count)
{
    struct socket *socket = socket_of(fd);
    MUST(!socket->send_armed && sending_on(fd) == 0);
    MUST(count > 0 && count <= outbox_gather_max);
    if (!enter_queue()) return false;
    memcpy(socket->pieces, pieces, count * sizeof *pieces);
    socket->piece_count = count;
    socket->send_armed = true;
    socket->send_token = token;
    return true;
}

static bool ask_send_now(struct ring *, struct ring_token token, int fd, struct bytes data)
{
    struct socket *socket = socket_of(fd);
    MUST(!socket->send_armed && sending_on(fd) == 0 && data.size > 0);
    if (queued_count == sizeof queued / sizeof queued[0] || !enter_queue()) return false;
    queued[queued_count++] = (struct sending){token, fd, data};
    return true;
}

static bool ask_cancel(struct ring *, struct ring_token token, struct ring_token target)
{
    if (!enter_queue()) return false;
    bool found = false;
    for (int fd = 0; fd < memory_sockets_max; fd++) {
        struct socket *socket = &sockets[fd];
        if (!socket->used || !socket->recv_armed || target.op != RING_RECV ||
            socket->recv_token.slot != target.slot ||
            socket->recv_token.generation != (target.generation & ring_generation_mask))
            continue;
        socket->recv_armed = false;
        post((struct ring_event){.token = socket->recv_token, .result = -ECANCELED, .last = true});
        found = true;
    }
    post((struct ring_event){.token = token, .result = found ? 0 : -ENOENT, .last = true});
    return true;
}

static void give(struct ring *, const struct ring_event *event)
{
    MUST(ring->stats.buffers_out > 0);
    ring->stats.buffers_out -= 1;
    free(event->data.data);
}

static void do_shutdown(struct ring *, int fd, bool both)
{
    struct socket *socket = socket_of(fd);
    socket->shut_send = true;
    socket->shut_both = socket->shut_both || both;
}

static void do_close(struct ring *, int fd, bool)
{
    struct socket *socket = socket_of(fd);
    MUST(!socket->recv_armed && !socket->send_armed && sending_on(fd) == 0);
    socket->used = false;
}

static bool peer(struct ring *, int fd, struct address *address)
{
    *address = (struct address){.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
                                .port = (uint16_t)(1000 + fd),
                                .is_v4 = true};
    return !socket_of(fd)->peer_reset;
}

/* ---- the kernel ---- */

static bool broken(const struct socket *socket)
{
    return socket->peer_reset || socket->shut_send;
}

/* Sends past outboxes are over as soon as they are handed over. */
static void hand_over(void)
{
    for (uint32_t i = 0; i < queued_count; i++) {
        struct sending *sending = &queued[i];
        struct socket *socket = socket_of(sending->fd);
        uint32_t size = (uint32_t)sending->data.size;
        uint32_t taken = size < socket->room ? size : socket->room;
        struct ring_event event = {.token = sending->token, .result = -EPIPE, .last = true};
        if (!broken(socket)) {
            hear(sending->fd, sending->data.data, taken);
            if (socket->room != UINT32_MAX) socket->room -= taken;
            event.result = taken > 0 ? (int32_t)taken : -EAGAIN;
        }
        if (event.result < 0 || taken < size) post(event);
    }
    queued_count = queue_used = 0;
}

static void submit(struct ring *)
{
    hand_over();
}

static void wait(struct ring *, uint64_t)
{
    hand_over();
}

static bool settled(struct ring *)
{
    return queued_count == 0 && shortfalls == 0;
}

static uint32_t take(struct ring *, struct ring_event *out, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && event_first < event_end) {
        out[count] = events[event_first++ % events_max];
        if (out[count++].token.op == RING_SEND_NOW) shortfalls -= 1;
    }
    return count;
}

static struct instant now(struct ring *)
{
    return (struct instant){.ns = now_ns, .wall_ms = 1'700'000'000'000 + now_ns / 1'000'000};
}

static void end_receive(struct socket *socket, int32_t result)
{
    socket->recv_armed = false;
    post((struct ring_event){.token = socket->recv_token, .result = result, .last = true});
}

static bool receive(struct socket *socket, struct memory_receive how)
{
    uint32_t size = socket->inbox_size < how.size_max ? socket->inbox_size : how.size_max;
    if (size > ring_receive_buffer_size) size = ring_receive_buffer_size;
    if (socket->peer_reset) {
        end_receive(socket, -ECONNRESET);
    } else if (size > 0 && (how.no_buffers || ring->stats.buffers_out == ring_receive_buffers)) {
        end_receive(socket, -ENOBUFS);
    } else if (size > 0) {
        struct bytes data = bytes_exact(socket->inbox, size);
        bool last = socket->recv_once || how.ends;
        socket->inbox_size -= size;
        socket->received += size;
        memmove(socket->inbox, socket->inbox + size, socket->inbox_size);
        if (last) socket->recv_armed = false;
        ring->stats.buffers_out += 1;
        post((struct ring_event){
            .token = socket->recv_token, .result = (int32_t)size, .last = last, .data = data});
    } else if (socket->inbox_size == 0 && (socket->peer_ended || socket->shut_both)) {
        end_receive(socket, 0);
    } else {
        return false;
    }
    return true;
}

static bool send(int fd, struct socket *socket)
{
    uint32_t taken = 0;
    struct ring_event event = {.token = socket->send_token, .result = -EPIPE, .last = true};
    if (!broken(socket)) {
        for (uint32_t i = 0; i < socket->piece_count && socket->room > 0; i++) {
            uint32_t size = (uint32_t)socket->pieces[i].iov_len;
            if (size > socket->room) size = socket->room;
            hear(fd, socket->pieces[i].iov_base, size);
            if (socket->room != UINT32_MAX) socket->room -= size;
            taken += size;
            if (size < socket->pieces[i].iov_len) break;
        }
        if (taken == 0) return false; /* it waits */
        event.result = (int32_t)taken;
    }
    socket->send_armed = false;
    post(event);
    return true;
}

bool memory_ring_works(int fd, struct memory_receive how)
{
    struct socket *socket = &sockets[fd];
    if (!socket->used) return false;
    bool received = socket->recv_armed && receive(socket, how);
    bool sent = socket->send_armed && send(fd, socket);
    return received || sent;
}

/* ---- the script ---- */

static const struct ring_backend backend = {
    .name = "memory",
    .recv = ask_recv,
    .give = give,
    .send = ask_send,
    .send_now = ask_send_now,
    .settled = settled,
    .cancel = ask_cancel,
    .shutdown = do_shutdown,
    .close_fd = do_close,
    .peer = peer,
    .submit = submit,
    .wait = wait,
    .take = take,
    .now = now,
};

void memory_ring_open(struct ring *opened,
                      void (*on_sent)(int fd, const uint8_t *data, size_t size))
{
    *opened = (struct ring){.backend = &backend};
    ring = opened;
    hear = on_sent;
    for (int fd = 0; fd < memory_sockets_max; fd++)
        sockets[fd].used = false;
    event_first = event_end = queued_count = shortfalls = queue_used = 0;
    queue_max = UINT32_MAX;
    now_ns = 1'000'000'000;
}

void memory_ring_close(void)
{
    while (event_first < event_end) {
        struct ring_event event = events[event_first++ % events_max];
        ring_give(ring, &event);
    }
    MUST(ring->stats.buffers_out == 0);
}

int memory_ring_connect(void)
{
    for (int fd = 0; fd < memory_sockets_max; fd++) {
        if (sockets[fd].used) continue;
        memset(&sockets[fd], 0, offsetof(struct socket, inbox));
        sockets[fd].inbox_size = 0;
        sockets[fd].received = 0;
        sockets[fd].peer_ended = sockets[fd].peer_reset = false;
        sockets[fd].shut_send = sockets[fd].shut_both = false;
        sockets[fd].room = UINT32_MAX;
        sockets[fd].used = true;
        return fd;
    }
    return -1;
}

bool memory_ring_is_open(int fd)
{
    return sockets[fd].used;
}

uint32_t memory_ring_peer_may_say(int fd)
{
    const struct socket *socket = socket_of(fd);
    return socket->peer_ended || socket->peer_reset ? 0 : inbox_max - socket->inbox_size;
}

uint32_t memory_ring_peer_says(int fd, struct script bytes)
{
    struct socket *socket = socket_of(fd);
    uint32_t room = memory_ring_peer_may_say(fd);
    uint32_t size = bytes.size < room ? (uint32_t)bytes.size : room;
    if (size > 0) memcpy(socket->inbox + socket->inbox_size, bytes.data, size);
    socket->inbox_size += size;
    return size;
}

size_t memory_ring_received(int fd)
{
    return socket_of(fd)->received;
}

void memory_ring_peer_ends(int fd)
{
    socket_of(fd)->peer_ended = true;
}

void memory_ring_peer_resets(int fd)
{
    socket_of(fd)->peer_reset = true;
}

void memory_ring_peer_takes(int fd, uint32_t size)
{
    socket_of(fd)->room = size;
}

void memory_ring_set_queue(uint32_t operations)
{
    queue_max = operations;
}

void memory_ring_pass_ms(uint32_t ms)
{
    now_ns += (uint64_t)ms * 1'000'000;
}
