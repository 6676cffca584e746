#include "floor.h"
#include "handshake.h"
#include "net.h"
#include "options.h"
#include "trouble.h"
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

constexpr size_t buffer_size = 16 * 1024;
constexpr uint32_t listener_number = UINT32_MAX;

struct floor {
    int epoll_fd, listener;
    uint32_t members; /* of a group */
    uint32_t capacity;
    uint32_t count; /* who has come, ever */
    int *fds;       /* by the order of coming; -1: gone */
    bool *upgraded;
    uint64_t ping_ns;    /* from one ping of a client to the next; 0: none */
    uint64_t looked_ns;  /* when pings were last looked after */
    uint64_t elapsed_ns; /* while it was not stopped */
    uint64_t pinged;     /* pings, ever */
    uint8_t buffer[buffer_size + 1];
};

static void watch(struct floor *floor, int fd, uint32_t number, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = number};
    if (epoll_ctl(floor->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

static void accept_all(struct floor *floor)
{
    int fd;
    while ((fd = accept4(floor->listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (floor->count == floor->capacity) give_up("more than --clients have come");
        floor->fds[floor->count] = fd;
        watch(floor, fd, floor->count++, EPOLLIN | EPOLLET); /* one look for each arrival */
    }
    if (errno != EAGAIN) give_up("accept4: %s", strerror(errno));
}

static void send_all(int fd, const void *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        give_up("a client did not take what it was sent: %s", strerror(errno));
}

static void leave(struct floor *floor, uint32_t number)
{
    close(floor->fds[number]);
    floor->fds[number] = -1;
}

/* §4.2.2, for a request that comes whole and has its key where ringcast-bench puts it. */
static void upgrade(struct floor *floor, uint32_t number, size_t size)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char key[25], accept[handshake_accept_size], answer[256];
    floor->buffer[size] = '\0';
    const char *at = strstr((const char *)floor->buffer, name);
    if (at == nullptr || strstr(at, "\r\n\r\n") == nullptr) give_up("a request came in pieces");
    snprintf(key, sizeof key, "%s", at + sizeof name - 1);
    handshake_accept(accept, key);
    int written = snprintf(answer, sizeof answer,
                           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                           accept);
    send_all(floor->fds[number], answer, (size_t)written);
    floor->upgraded[number] = true;
}

static void unmask(uint8_t *payload, size_t size, const uint8_t key[static 4])
{
    uint64_t wide, eight;
    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    size_t i = 0;
    for (; i + sizeof eight <= size; i += sizeof eight) {
        memcpy(&eight, payload + i, sizeof eight);
        eight ^= wide;
        memcpy(payload + i, &eight, sizeof eight);
    }
    for (; i < size; i++)
        payload[i] ^= key[i % 4];
}

/* A server's header is 4 bytes shorter than a client's, so it fits right before the payload.
 * Returns where it begins. */
static uint8_t *write_header(uint8_t *payload, uint8_t first, size_t size)
{
    if (size < 126) {
        payload[-2] = first;
        payload[-1] = (uint8_t)size;
        return payload - 2;
    }
    payload[-4] = first;
    payload[-3] = 126;
    payload[-2] = (uint8_t)(size >> 8);
    payload[-1] = (uint8_t)size;
    return payload - 4;
}

static void tell_group(struct floor *floor, uint32_t number, const uint8_t *wire, size_t size)
{
    const int *group = &floor->fds[number - number % floor->members];
    for (uint32_t i = 0; i < floor->members; i++)
        if (group[i] >= 0) send_all(group[i], wire, size);
}

/* One frame from the start of `data`; returns its size. */
static size_t serve_frame(struct floor *floor, uint32_t number, uint8_t *data, size_t size)
{
    size_t header = size >= 2 && (data[1] & 0x7F) == 126 ? 8 : 6;
    if (size < header) give_up("a frame came in pieces");
    size_t payload_size = header == 8 ? (size_t)data[2] << 8 | data[3] : data[1] & 0x7Fu;
    if ((data[1] & 0x7F) == 127 || size - header < payload_size) give_up("a frame came in pieces");
    uint8_t first = data[0], *payload = data + header;
    unmask(payload, payload_size, payload - 4);
    uint8_t *wire = write_header(payload, first, payload_size);
    size_t wire_size = (size_t)(payload + payload_size - wire);
    if ((first & 0x0F) == WIRE_TEXT) tell_group(floor, number, wire, wire_size);
    if ((first & 0x0F) == WIRE_CLOSE) {
        send_all(floor->fds[number], wire, wire_size);
        leave(floor, number);
    }
    return header + payload_size;
}

static void serve(struct floor *floor, uint32_t number)
{
    int fd = floor->fds[number];
    ssize_t size = fd >= 0 ? recv(fd, floor->buffer, buffer_size, 0) : -1;
    if (size <= 0) {
        if (fd >= 0 && (size == 0 || errno != EAGAIN)) leave(floor, number);
        return;
    }
    if (size == (ssize_t)buffer_size) give_up("more came at once than this loop reads");
    if (!floor->upgraded[number]) {
        upgrade(floor, number, (size_t)size);
        return;
    }
    for (size_t at = 0; at < (size_t)size && floor->fds[number] >= 0;)
        at += serve_frame(floor, number, floor->buffer + at, (size_t)size - at);
}

/* By turns, those who are due at once, as ringcast does. While the program was stopped nothing fell
 * due. */
static void ping_due(struct floor *floor)
{
    constexpr uint64_t grid_ns = 16'000'000, stopped_ns = 200'000'000;
    static const uint8_t ping[] = {0x89, 0};
    uint64_t now_ns = net_now_ns(), turn_ns = now_ns - floor->looked_ns;
    if (turn_ns < grid_ns) return;
    floor->looked_ns = now_ns;
    floor->elapsed_ns += turn_ns < stopped_ns ? turn_ns : 0;
    uint64_t due = floor->elapsed_ns / 1000 * floor->count / (floor->ping_ns / 1000);
    for (; floor->pinged < due; floor->pinged++) {
        uint32_t number = (uint32_t)(floor->pinged % floor->count);
        if (floor->fds[number] >= 0 && floor->upgraded[number])
            send_all(floor->fds[number], ping, sizeof ping);
    }
}

static void open_floor(struct floor *floor, const struct sockaddr_in *address)
{
    constexpr int backlog = 4096, one = 1;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    floor->fds = net_memory(floor->capacity + floor->members, sizeof *floor->fds);
    floor->upgraded = net_memory(floor->capacity, sizeof *floor->upgraded);
    memset(floor->fds, -1, (floor->capacity + floor->members) * sizeof *floor->fds);
    floor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    floor->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(floor->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(floor->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(floor->listener, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(floor->listener, backlog) != 0)
        give_up("floor cannot listen: %s", strerror(errno));
    watch(floor, floor->listener, listener_number, EPOLLIN);
}

static const char help[] =
    "usage: ringcast-bench floor [OPTION]...   a bare loop that does what a chat server must\n"
    "\n"
    "  --server ADDR  where to listen [127.0.0.1:8080]\n"
    "  --members N    of a group: who comes is grouped in the order of coming [10]\n"
    "  --clients N    that may come [15000]\n"
    "  --ping TIME    ping each client so often, as in 25000ms [0ms: never]\n";

int floor_main(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, nullptr, 's'},  {"members", required_argument, nullptr, 'm'},
        {"clients", required_argument, nullptr, 'c'}, {"ping", required_argument, nullptr, 'p'},
        {"help", no_argument, nullptr, 'h'},          {}};
    constexpr int events_max = 512;
    static struct floor floor = {.members = 10, .capacity = 15'000};
    struct sockaddr_in address = address_of("127.0.0.1:8080");
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 's': address = address_of(optarg); break;
        case 'm': floor.members = (uint32_t)number_of("members", optarg, 2, 1000, ""); break;
        case 'c': floor.capacity = (uint32_t)number_of("clients", optarg, 2, 1'000'000, ""); break;
        case 'p': floor.ping_ns = number_of("ping", optarg, 0, 86'400'000, "ms") * 1'000'000; break;
        case 'h': fputs(help, stdout); return 0;
        default: give_up("floor --help lists the options");
        }
    }
    open_floor(&floor, &address);
    fputs("ringcast-bench: listening\n", stderr);
    for (;;) {
        struct epoll_event events[events_max];
        int count = epoll_wait(floor.epoll_fd, events, events_max, floor.ping_ns > 0 ? 16 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == listener_number)
                accept_all(&floor);
            else
                serve(&floor, events[i].data.u32);
        }
        if (floor.ping_ns > 0) ping_due(&floor);
    }
}
