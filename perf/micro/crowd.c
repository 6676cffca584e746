#include "crowd.h"
#include "cost.h"
#include "say.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char request[] = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const uint8_t pong[] = {0x8A, 0x80, 1, 2, 3, 4}; /* empty, masked (RFC 6455 §5.3) */

struct crowd {
    uint16_t port;
    uint32_t count;
    bool bare; /* no handshake: the other end is no WebSocket server */
    int core;
    int *fds;
    uint64_t *answered; /* pings; in a file that others look at */
};

static uint64_t *map_counter(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0) give_up("%s: %s", path, strerror(errno));
    void *memory = mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) give_up("%s: %s", path, strerror(errno));
    close(fd);
    return memory;
}

static int connect_one(const struct crowd *crowd)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(crowd->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        give_up("cannot connect: %s", strerror(errno));
    if (!crowd->bare && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        give_up("cannot ask: %s", strerror(errno));
    return fd;
}

/* The 101 and, behind it, the first state; nobody sends anything else for now. */
static void await_answer(int fd)
{
    static char text[64 * 1024];
    size_t size = 0;
    for (;;) {
        ssize_t got = recv(fd, text + size, sizeof text - 1 - size, 0);
        if (got <= 0) give_up("no answer to the handshake");
        size += (size_t)got;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end == nullptr) continue;
        if (strncmp(text, "HTTP/1.1 101", 12) != 0) give_up("refused: %.40s", text);
        if ((size_t)(end + 4 - text) < size) return;
    }
}

static void connect_all(struct crowd *crowd)
{
    constexpr uint32_t at_once = 100; /* handshakes under way */
    crowd->fds = calloc(crowd->count, sizeof *crowd->fds);
    if (crowd->fds == nullptr) give_up("no memory");
    uint32_t answered = 0;
    for (uint32_t i = 0; i < crowd->count; i++) {
        crowd->fds[i] = connect_one(crowd);
        bool last = i + 1 == crowd->count;
        while (!crowd->bare && answered <= i && (last || i - answered >= at_once))
            await_answer(crowd->fds[answered++]);
    }
}

/* Pings are empty and come one at a time; everything else is a state, which is thrown away. */
static void answer(struct crowd *crowd, int fd)
{
    static uint8_t bytes[64 * 1024];
    ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN)) give_up("the server has ended a connection");
    for (ssize_t at = 0; at + 1 < size; at += 2) {
        if (bytes[at] != 0x89 || bytes[at + 1] != 0) return;
        if (send(fd, pong, sizeof pong, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof pong)
            give_up("cannot answer: %s", strerror(errno));
        *crowd->answered += 1;
    }
}

static void serve(struct crowd *crowd)
{
    constexpr int events_max = 1024;
    static struct epoll_event events[events_max];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < crowd->count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = crowd->fds[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, crowd->fds[i], &event) != 0) give_up("epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, events_max, -1);
        for (int i = 0; i < count; i++)
            answer(crowd, events[i].data.fd);
    }
}

int crowd_main(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, nullptr, 'p'}, {"count", required_argument, nullptr, 'n'},
        {"core", required_argument, nullptr, 'c'}, {"answered", required_argument, nullptr, 'a'},
        {"bare", no_argument, nullptr, 'b'},       {}};
    struct crowd crowd = {.count = 1000, .core = -1};
    uint64_t nobody_looks = 0;
    crowd.answered = &nobody_looks;
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 'p': crowd.port = (uint16_t)number_of(optarg, 1, UINT16_MAX); break;
        case 'n': crowd.count = number_of(optarg, 1, 1'000'000); break;
        case 'c': crowd.core = (int)number_of(optarg, 0, 1023); break;
        case 'a': crowd.answered = map_counter(optarg); break;
        case 'b': crowd.bare = true; break;
        default: return 2;
        }
    }
    if (crowd.core >= 0) cost_pin(crowd.core);
    connect_all(&crowd);
    serve(&crowd);
    return 0;
}
