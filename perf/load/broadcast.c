#include "broadcast.h"
#include "bare.h"
#include "net.h"
#include "options.h"
#include "trouble.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

constexpr size_t buffer_size = 64 * 1024;
constexpr uint32_t listener_number = UINT32_MAX;
constexpr uint32_t burst_max = 16;
constexpr uint32_t rooms_max = 100'000; /* as many as ringcast-bench asks for */
constexpr size_t state_head_max = 160;  /* all but the pad, and a frame's header */

struct member {
    int fd;        /* -1: gone */
    uint8_t *rest; /* what the kernel has not taken of the last states */
    size_t rest_size;
};

struct bare_room {
    uint32_t *members; /* their indices, in the order of coming */
    uint32_t count;
    uint32_t capacity;
    uint64_t due_ns;
    uint64_t sequence;
};

struct broadcast {
    int epoll_fd, listener;
    uint64_t tick_ns;
    size_t payload_size;
    uint32_t burst; /* states a tick */
    struct member *members;
    uint32_t member_count, member_capacity;
    bool *upgraded;
    struct bare_room *rooms; /* by the number in their path; without members: not there */
    uint32_t *order;         /* the rooms that are there, by when they are due, from `next` on */
    uint32_t room_count, next;
    uint64_t heard;
    uint8_t *wire; /* the states of one tick, with their headers */
    size_t wire_size;
    uint8_t buffer[buffer_size + 1];
};

static volatile sig_atomic_t told_to_end;

static void on_signal(int)
{
    told_to_end = 1;
}

/* ---- out ---- */

/* One state of the room's, behind those that `wire` holds already. */
static void make_state(struct broadcast *broadcast, struct bare_room *room)
{
    constexpr size_t header = 4;
    static const char pad[] = ",\"pad\":\"";
    char *text = (char *)broadcast->wire + broadcast->wire_size + header;
    room->sequence += 1;
    size_t size = (size_t)sprintf(
        text,
        "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"t\":%" PRIu64 ",\"s\":%" PRIu64,
        net_now_ns(), room->sequence);
    if (size + sizeof pad - 1 + 2 <= broadcast->payload_size) {
        memcpy(text + size, pad, sizeof pad - 1);
        size += sizeof pad - 1;
        memset(text + size, 'x', broadcast->payload_size - 2 - size);
        size = broadcast->payload_size - 2;
        text[size++] = '"';
    }
    text[size++] = '}';
    uint8_t *payload = (uint8_t *)text, *begin = bare_header(payload, 0x80 | WIRE_TEXT, size);
    size_t frame_size = (size_t)(payload + size - begin);
    memmove(broadcast->wire + broadcast->wire_size, begin, frame_size);
    broadcast->wire_size += frame_size;
}

/* What the kernel has not taken is the member's own from here. */
static void keep_rest(const struct broadcast *broadcast, struct member *member, const uint8_t *data,
                      size_t size)
{
    size_t capacity = broadcast->burst * (broadcast->payload_size + state_head_max);
    if (member->rest == nullptr) member->rest = net_memory(capacity, 1);
    memmove(member->rest, data, size);
    member->rest_size = size;
}

static void leave(struct member *member)
{
    close(member->fd);
    free(member->rest);
    *member = (struct member){.fd = -1};
}

/* The states of this tick, or, in their place, what was left of earlier ones. */
static void show(const struct broadcast *broadcast, struct member *member)
{
    bool behind = member->rest_size > 0;
    const uint8_t *data = behind ? member->rest : broadcast->wire;
    size_t size = behind ? member->rest_size : broadcast->wire_size;
    ssize_t sent = send(member->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN)
        leave(member);
    else if (sent == (ssize_t)size)
        member->rest_size = 0;
    else if (sent > 0)
        keep_rest(broadcast, member, data + sent, size - (size_t)sent);
}

static void tick(struct broadcast *broadcast, struct bare_room *room, uint64_t now_ns)
{
    room->due_ns += ((now_ns - room->due_ns) / broadcast->tick_ns + 1) * broadcast->tick_ns;
    broadcast->wire_size = 0;
    for (uint32_t i = 0; i < broadcast->burst; i++)
        make_state(broadcast, room);
    for (uint32_t i = 0; i < room->count; i++) {
        struct member *member = &broadcast->members[room->members[i]];
        if (member->fd >= 0) show(broadcast, member);
    }
}

/* All rooms have the same period, so who was due first will be due last: their order stays. Each at
 * most once, so that what comes in waits no longer than that. */
static void tick_due(struct broadcast *broadcast)
{
    for (uint32_t i = 0; i < broadcast->room_count; i++) {
        struct bare_room *room = &broadcast->rooms[broadcast->order[broadcast->next]];
        uint64_t now_ns = net_now_ns();
        if (room->due_ns > now_ns) return;
        tick(broadcast, room, now_ns);
        broadcast->next = (broadcast->next + 1) % broadcast->room_count;
    }
}

/* ---- in ---- */

/* A room that somebody has come to first: its ticks lie between those of the others, as ringcast's
 * do, and as spread as the golden ratio spreads them. */
static void open_room(struct broadcast *broadcast, uint32_t number)
{
    constexpr double golden = 0.6180339887498949;
    struct bare_room *room = &broadcast->rooms[number];
    double turns = broadcast->room_count * golden;
    double phase = turns - (double)(uint64_t)turns;
    uint64_t now_ns = net_now_ns(), grid_ns = now_ns - now_ns % broadcast->tick_ns;
    room->due_ns = grid_ns + (uint64_t)(phase * (double)broadcast->tick_ns);
    while (room->due_ns <= now_ns)
        room->due_ns += broadcast->tick_ns;
    uint32_t count = broadcast->room_count, at = 0, *order = broadcast->order;
    uint32_t *turned = net_memory(count + 1, sizeof *turned); /* `next` is the first again */
    for (; at < count; at++) {
        uint32_t other = order[(broadcast->next + at) % count];
        if (broadcast->rooms[other].due_ns > room->due_ns) break;
        turned[at] = other;
    }
    turned[at] = number;
    for (; at < count; at++)
        turned[at + 1] = order[(broadcast->next + at) % count];
    memcpy(order, turned, (count + 1) * sizeof *order);
    free(turned);
    broadcast->room_count += 1;
    broadcast->next = 0;
}

static void enter(struct broadcast *broadcast, uint32_t index, const char *path)
{
    size_t size = strlen(path), digits = 0;
    while (digits < size && path[size - digits - 1] >= '0' && path[size - digits - 1] <= '9')
        digits += 1;
    uint32_t number = (uint32_t)strtoul(path + size - digits, nullptr, 10);
    if (number >= rooms_max) give_up("%s: too high a number for a room", path);
    struct bare_room *room = &broadcast->rooms[number];
    if (room->members == nullptr) open_room(broadcast, number);
    if (room->count == room->capacity) {
        room->capacity = room->capacity * 2 + 16;
        room->members = realloc(room->members, room->capacity * sizeof *room->members);
        if (room->members == nullptr) give_up("no memory");
    }
    room->members[room->count++] = index;
}

static void accept_all(struct broadcast *broadcast)
{
    for (int fd; (fd = bare_accept(broadcast->listener)) >= 0;) {
        if (broadcast->member_count == broadcast->member_capacity)
            give_up("more than --clients have come");
        uint32_t index = broadcast->member_count++;
        broadcast->members[index] = (struct member){.fd = fd};
        bare_watch(broadcast->epoll_fd, fd, index, EPOLLIN | EPOLLET); /* a look an arrival */
    }
}

/* One frame from the start of `data`; returns its size. */
static size_t serve_frame(struct broadcast *broadcast, struct member *member, uint8_t *data,
                          size_t size)
{
    struct bare_frame frame = bare_take(data, size);
    if (bare_opcode(&frame) == WIRE_TEXT) broadcast->heard += 1;
    bool closes = bare_opcode(&frame) == WIRE_CLOSE;
    if (!closes && bare_opcode(&frame) != WIRE_PING) return frame.size;
    uint8_t first = closes ? frame.first : 0x80 | WIRE_PONG;
    uint8_t *wire = bare_header(frame.payload, first, frame.payload_size);
    if (member->rest_size == 0) /* else it would stand inside a state */
        bare_send(member->fd, wire, (size_t)(frame.payload + frame.payload_size - wire));
    if (closes) leave(member);
    return frame.size;
}

static void serve(struct broadcast *broadcast, uint32_t index)
{
    struct member *member = &broadcast->members[index];
    if (member->fd < 0) return;
    ssize_t size = recv(member->fd, broadcast->buffer, buffer_size, 0);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN) leave(member);
        return;
    }
    if (size == (ssize_t)buffer_size) give_up("more came at once than this loop reads");
    if (!broadcast->upgraded[index]) {
        broadcast->upgraded[index] = true;
        enter(broadcast, index, bare_upgrade(member->fd, (char *)broadcast->buffer, (size_t)size));
        return;
    }
    for (size_t at = 0; at < (size_t)size && member->fd >= 0;)
        at += serve_frame(broadcast, member, broadcast->buffer + at, (size_t)size - at);
}

/* ---- the program ---- */

static const char help[] =
    "usage: ringcast-bench broadcast [OPTION]...   a bare loop that sends rooms' states\n"
    "\n"
    "  --server ADDR  where to listen [127.0.0.1:8080]\n"
    "  --tick TIME    from one state of a room to the next, as in 500ms [500ms]\n"
    "  --payload N    bytes of a state; 0: as it comes [0]\n"
    "  --burst N      states a tick, sent at once [1]\n"
    "  --clients N    that may come [15000]\n";

static struct sockaddr_in read_options(struct broadcast *broadcast, int argc, char **argv)
{
    static const struct option known[] = {{"server", required_argument, nullptr, 's'},
                                          {"tick", required_argument, nullptr, 't'},
                                          {"payload", required_argument, nullptr, 'p'},
                                          {"burst", required_argument, nullptr, 'b'},
                                          {"clients", required_argument, nullptr, 'c'},
                                          {"help", no_argument, nullptr, 'h'},
                                          {}};
    struct sockaddr_in address = address_of("127.0.0.1:8080");
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 's': address = address_of(optarg); break;
        case 't':
            broadcast->tick_ns = number_of("tick", optarg, 1, 60'000, "ms") * 1'000'000;
            break;
        case 'p': broadcast->payload_size = number_of("payload", optarg, 0, 65'535, ""); break;
        case 'b': broadcast->burst = (uint32_t)number_of("burst", optarg, 1, burst_max, ""); break;
        case 'c':
            broadcast->member_capacity = (uint32_t)number_of("clients", optarg, 1, 1'000'000, "");
            break;
        case 'h': fputs(help, stdout); exit(0);
        default: give_up("broadcast --help lists the options");
        }
    }
    return address;
}

static void open_broadcast(struct broadcast *broadcast, const struct sockaddr_in *address)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, nullptr);
    broadcast->members = net_memory(broadcast->member_capacity, sizeof *broadcast->members);
    broadcast->upgraded = net_memory(broadcast->member_capacity, sizeof *broadcast->upgraded);
    broadcast->rooms = net_memory(rooms_max, sizeof *broadcast->rooms);
    broadcast->order = net_memory(rooms_max, sizeof *broadcast->order);
    broadcast->wire = net_memory(broadcast->burst, broadcast->payload_size + state_head_max);
    broadcast->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    broadcast->listener = bare_listen(address);
    bare_watch(broadcast->epoll_fd, broadcast->listener, listener_number, EPOLLIN);
}

/* Until a room is due. */
static struct timespec patience(const struct broadcast *broadcast)
{
    uint64_t now_ns = net_now_ns(), wait_ns = 1'000'000'000;
    if (broadcast->room_count > 0) {
        uint64_t due_ns = broadcast->rooms[broadcast->order[broadcast->next]].due_ns;
        wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    }
    return (struct timespec){.tv_sec = (time_t)(wait_ns / 1'000'000'000),
                             .tv_nsec = (long)(wait_ns % 1'000'000'000)};
}

int broadcast_main(int argc, char **argv)
{
    constexpr int events_max = 512;
    static struct broadcast broadcast = {
        .tick_ns = 500'000'000, .burst = 1, .member_capacity = 15'000};
    struct sockaddr_in address = read_options(&broadcast, argc, argv);
    open_broadcast(&broadcast, &address);
    fputs("ringcast-bench: listening\n", stderr);
    while (!told_to_end) {
        struct epoll_event events[events_max];
        struct timespec timeout = patience(&broadcast);
        int count = epoll_pwait2(broadcast.epoll_fd, events, events_max, &timeout, nullptr);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == listener_number)
                accept_all(&broadcast);
            else
                serve(&broadcast, events[i].data.u32);
        }
        tick_due(&broadcast);
    }
    fprintf(stderr, "heard %" PRIu64 "\n", broadcast.heard);
    return 0;
}
