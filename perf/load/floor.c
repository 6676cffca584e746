#include "floor.h"
#include "bare.h"
#include "net.h"
#include "options.h"
#include "trouble.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

static void accept_all(struct floor *floor)
{
    for (int fd; (fd = bare_accept(floor->listener)) >= 0;) {
        if (floor->count == floor->capacity) give_up("more than --clients have come");
        floor->fds[floor->count] = fd;
        bare_watch(floor->epoll_fd, fd, floor->count++, EPOLLIN | EPOLLET); /* a look an arrival */
    }
}

static void leave(struct floor *floor, uint32_t number)
{
    close(floor->fds[number]);
    floor->fds[number] = -1;
}

static void tell_group(struct floor *floor, uint32_t number, const uint8_t *wire, size_t size)
{
    const int *group = &floor->fds[number - number % floor->members];
    for (uint32_t i = 0; i < floor->members; i++)
        if (group[i] >= 0) bare_send(group[i], wire, size);
}

/* One frame from the start of `data`; returns its size. */
static size_t serve_frame(struct floor *floor, uint32_t number, uint8_t *data, size_t size)
{
    struct bare_frame frame = bare_take(data, size);
    uint8_t *wire = bare_header(frame.payload, frame.first, frame.payload_size);
    size_t wire_size = (size_t)(frame.payload + frame.payload_size - wire);
    if (bare_opcode(&frame) == WIRE_TEXT) tell_group(floor, number, wire, wire_size);
    if (bare_opcode(&frame) == WIRE_CLOSE) {
        bare_send(floor->fds[number], wire, wire_size);
        leave(floor, number);
    }
    return frame.size;
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
        (void)bare_upgrade(fd, (char *)floor->buffer, (size_t)size);
        floor->upgraded[number] = true;
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
            bare_send(floor->fds[number], ping, sizeof ping);
    }
}

static void open_floor(struct floor *floor, const struct sockaddr_in *address)
{
    floor->fds = net_memory(floor->capacity + floor->members, sizeof *floor->fds);
    floor->upgraded = net_memory(floor->capacity, sizeof *floor->upgraded);
    memset(floor->fds, -1, (floor->capacity + floor->members) * sizeof *floor->fds);
    floor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    floor->listener = bare_listen(address);
    bare_watch(floor->epoll_fd, floor->listener, listener_number, EPOLLIN);
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
