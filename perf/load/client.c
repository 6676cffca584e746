#include "client.h"
#include "trouble.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

constexpr uint32_t source_addresses = 250;

void client_drop(struct client *client)
{
    if (client->phase == CLIENT_IDLE || client->phase == CLIENT_GONE) return;
    close(client->fd); /* epoll forgets it with that */
    free(client->rest);
    client->rest = nullptr;
    client->rest_size = client->rest_capacity = 0;
    client->phase = CLIENT_GONE;
}

/* Ends it and counts what that means for where it was. */
static void lose(struct client *client, struct net *net, uint16_t code, const char *why)
{
    if (client->phase == CLIENT_OPEN)
        tally_ending(net->tally, code, (const uint8_t *)why, strlen(why));
    else if (client->phase != CLIENT_LEAVING)
        tally_fault(net->tally, FAULT_UPGRADE, "client %" PRIu32 ": %s", client->index, why);
    client_drop(client);
}

static void watch(struct client *client, struct net *net, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(net->epoll_fd, operation, client->fd, &event) != 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

static void bind_source(const struct client *client, const struct net *net)
{
    if (ntohl(net->server.sin_addr.s_addr) >> 24 != 127) return;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(0x7F000002 + client->index % source_addresses);
    int yes = 1; /* the port is chosen by connect, which knows the whole four-tuple */
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(client->fd, (struct sockaddr *)&source, sizeof source) != 0)
        give_up("bind: %s", strerror(errno));
}

void client_open(struct client *client, struct net *net)
{
    assert(client->phase == CLIENT_IDLE);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) give_up("socket: %s", strerror(errno));
    client->phase = CLIENT_CONNECTING;
    int yes = 1; /* else a second small message waits for the server's delayed ACK of the first */
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    bind_source(client, net);
    const struct sockaddr *server = (const struct sockaddr *)&net->server;
    if (connect(client->fd, server, sizeof net->server) != 0 && errno != EINPROGRESS)
        lose(client, net, wire_code_lost, strerror(errno));
    else
        watch(client, net, EPOLL_CTL_ADD, EPOLLOUT);
}

/* The little that a client sends always fits into its socket's buffer, unless the server has
 * stopped reading. */
static bool send_whole(struct client *client, struct net *net, const void *data, size_t size)
{
    ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);
    if (sent == (ssize_t)size) return true;
    if (sent >= 0 || errno == EAGAIN) {
        tally_fault(net->tally, FAULT_DOES_NOT_READ, "client %" PRIu32, client->index);
        lose(client, net, wire_code_lost, "dropped by the client: it could not send");
    } else {
        lose(client, net, wire_code_lost, strerror(errno));
    }
    return false;
}

static bool send_control(struct client *client, struct net *net, enum wire_opcode opcode,
                         const uint8_t *payload, size_t size)
{
    uint8_t frame[wire_control_max];
    return send_whole(client, net, frame,
                      wire_write_control(frame, opcode, payload, size, net_key(net)));
}

bool client_say(struct client *client, struct net *net, const uint8_t *text, size_t size)
{
    assert(client->phase == CLIENT_OPEN && size <= client_text_max);
    uint8_t frame[wire_header_max + client_text_max];
    return send_whole(client, net, frame, wire_write_text(frame, text, size, net_key(net)));
}

bool client_ping(struct client *client, struct net *net, const uint8_t *payload, size_t size)
{
    assert(client->phase == CLIENT_OPEN && size <= 125);
    return send_control(client, net, WIRE_PING, payload, size);
}

static void on_connected(struct client *client, struct net *net)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        lose(client, net, wire_code_lost, strerror(error));
        return;
    }
    uint8_t nonce[16];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) give_up("getrandom failed");
    char host[32], request[handshake_request_max];
    struct handshake_wish wish = {};
    snprintf(host, sizeof host, "%s:%u", inet_ntoa(net->server.sin_addr),
             (unsigned)ntohs(net->server.sin_port));
    net->hooks->wish(net->run, client, &wish);
    client->deflate = wish.deflate;
    size_t request_size = handshake_write(request, host, &wish, nonce, client->accept);
    client->phase = CLIENT_UPGRADING;
    if (send_whole(client, net, request, request_size)) watch(client, net, EPOLL_CTL_MOD, EPOLLIN);
}

static void on_close_frame(struct client *client, struct net *net, const struct wire_frame *frame)
{
    client->close_seen = true;
    uint16_t code = wire_close_code(frame);
    size_t code_size = frame->payload_size > 0 ? 2 : 0;
    if (client->phase == CLIENT_LEAVING) {
        net->tally->goodbyes_answered += client->asked;
        return;
    }
    tally_ending(net->tally, code, frame->payload + code_size, frame->payload_size - code_size);
    client->phase = CLIENT_LEAVING;
    send_control(client, net, WIRE_CLOSE, frame->payload, code_size); /* §5.5.1: answer it */
}

static void on_pong(struct client *client, struct net *net, const struct wire_frame *frame,
                    uint64_t now_ns)
{
    bool asked =
        net->hooks->on_pong != nullptr && net->hooks->on_pong(net->run, client, frame, now_ns);
    if (!asked) tally_fault(net->tally, FAULT_UNASKED_PONG, "client %" PRIu32, client->index);
}

static void on_frame(struct client *client, struct net *net, const struct wire_frame *frame,
                     uint64_t now_ns)
{
    if (client->close_seen) {
        tally_fault(net->tally, FAULT_AFTER_CLOSE, "client %" PRIu32, client->index);
        return;
    }
    switch (frame->opcode) {
    case WIRE_TEXT:
    case WIRE_BINARY: net->hooks->on_message(net->run, client, frame, now_ns); break;
    case WIRE_CLOSE: on_close_frame(client, net, frame); break;
    case WIRE_PING:
        if (client->phase != CLIENT_OPEN) break; /* after a close frame nothing may follow */
        net->tally->pings_answered += 1;
        send_control(client, net, WIRE_PONG, frame->payload, frame->payload_size);
        break;
    case WIRE_PONG: on_pong(client, net, frame, now_ns); break;
    case WIRE_CONTINUATION: break; /* wire_take accepts none */
    }
}

static void on_broken(struct client *client, struct net *net, const char *why)
{
    tally_fault(net->tally, FAULT_FRAME, "client %" PRIu32 ": %s", client->index, why);
    lose(client, net, wire_code_lost, "dropped by the client: it could not read on");
}

/* Puts what a compressed frame holds in its place. nullptr, or what is wrong with it. */
static const char *inflate_frame(struct net *net, struct wire_frame *frame)
{
    if (!frame->compressed) return nullptr;
    size_t size;
    const char *why = inflater_run(&net->inflater, frame->payload, frame->payload_size, &size);
    if (why != nullptr) return why;
    net->tally->inflated += 1;
    net->tally->inflated_bytes += size;
    frame->payload = net->inflater.text;
    frame->payload_size = size;
    return wire_fault_of_payload(frame);
}

/* Takes all whole frames; returns the bytes taken. The client may be gone afterwards. */
static size_t take_frames(struct client *client, struct net *net, const uint8_t *data, size_t size,
                          uint64_t now_ns)
{
    size_t taken = 0;
    while (client->phase == CLIENT_OPEN || client->phase == CLIENT_LEAVING) {
        struct wire_frame frame;
        enum wire_step step = wire_take(data + taken, size - taken, client->deflate, &frame);
        if (step == WIRE_NEED_MORE) break;
        if (step == WIRE_FRAME) frame.broken = inflate_frame(net, &frame);
        if (frame.broken != nullptr) {
            on_broken(client, net, frame.broken);
            break;
        }
        taken += frame.size;
        on_frame(client, net, &frame, now_ns);
    }
    return taken;
}

/* The answer to the request; returns the bytes taken. */
static size_t take_answer(struct client *client, struct net *net, const uint8_t *data, size_t size)
{
    struct handshake_answer answer;
    switch (handshake_read(data, size, client->accept, client->deflate, &answer)) {
    case HANDSHAKE_NEED_MORE: return 0;
    case HANDSHAKE_DONE:
        client->deflate = answer.deflate;
        client->phase = CLIENT_OPEN;
        net->tally->opened += 1;
        if (net->hooks->on_open != nullptr) net->hooks->on_open(net->run, client);
        return answer.size;
    case HANDSHAKE_REFUSED: break;
    }
    char why[detail_size];
    snprintf(why, sizeof why, "%s (status %u)", answer.why, answer.status);
    lose(client, net, wire_code_lost, why);
    return 0;
}

static void keep_rest(struct client *client, const uint8_t *data, size_t size)
{
    if (size > client->rest_capacity) {
        client->rest = realloc(client->rest, size * 2);
        if (client->rest == nullptr) give_up("no memory for a client's unfinished frame");
        client->rest_capacity = size * 2;
    }
    if (size > 0) memcpy(client->rest, data, size);
    client->rest_size = size;
}

static void on_bytes(struct client *client, struct net *net, size_t size)
{
    uint64_t now_ns = net_now_ns();
    size_t taken = 0;
    if (client->phase == CLIENT_UPGRADING) taken = take_answer(client, net, net->scratch, size);
    taken += take_frames(client, net, net->scratch + taken, size - taken, now_ns);
    if (client->phase != CLIENT_GONE) keep_rest(client, net->scratch + taken, size - taken);
}

static void on_readable(struct client *client, struct net *net)
{
    size_t rest_size = client->rest_size;
    if (rest_size > 0) memcpy(net->scratch, client->rest, rest_size);
    ssize_t size = recv(client->fd, net->scratch + rest_size, scratch_size - rest_size, 0);
    if (size > 0)
        on_bytes(client, net, rest_size + (size_t)size);
    else if (size == 0)
        lose(client, net, wire_code_lost, "the stream ended without a close frame");
    else if (errno != EAGAIN)
        lose(client, net, wire_code_lost, strerror(errno));
}

void client_ready(struct client *client, struct net *net)
{
    if (client->phase == CLIENT_CONNECTING)
        on_connected(client, net);
    else if (client->phase != CLIENT_GONE)
        on_readable(client, net);
}

void client_leave(struct client *client, struct net *net)
{
    assert(client->phase == CLIENT_OPEN);
    static const uint8_t code[] = {1000 >> 8, 1000 & 0xFF};
    client->phase = CLIENT_LEAVING;
    client->asked = true;
    send_control(client, net, WIRE_CLOSE, code, sizeof code);
}
