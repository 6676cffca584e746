#include "pinger.h"
#include "cost.h"
#include "say.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct pinger {
    uint32_t count;
    uint32_t period_ms; /* from one ping of a client to its next */
    bool waits;         /* for answers, by epoll, as a server must; else it knows when to look */
    int core;
    int *fds;
    int epoll;
    uint64_t sent, received;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0)
        give_up("cannot listen: %s", strerror(errno));
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(struct pinger *pinger)
{
    const int one = 1;
    int listener = listen_somewhere();
    pinger->fds = calloc(pinger->count, sizeof *pinger->fds);
    pinger->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < pinger->count; i++) {
        int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fd < 0 || (pinger->waits && epoll_ctl(pinger->epoll, EPOLL_CTL_ADD, fd, &event) != 0))
            give_up("cannot accept: %s", strerror(errno));
        pinger->fds[i] = fd;
    }
    puts("ready");
    fflush(stdout);
}

static void receive(struct pinger *pinger, int fd)
{
    uint8_t bytes[64];
    if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 0) exit(0); /* the crowd has gone */
    pinger->received += 1;
}

static void send_due(struct pinger *pinger, uint64_t due)
{
    static const uint8_t ping[] = {0x89, 0};
    for (; pinger->sent < due; pinger->sent++)
        (void)!send(pinger->fds[pinger->sent % pinger->count], ping, sizeof ping,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Looks for each answer 50 ms after its ping, when it has come. */
static void receive_known(struct pinger *pinger)
{
    uint64_t lag = (uint64_t)pinger->count * 50 / pinger->period_ms + 1;
    while (pinger->received + lag < pinger->sent)
        receive(pinger, pinger->fds[pinger->received % pinger->count]);
}

static void receive_ready(struct pinger *pinger)
{
    constexpr int events_max = 256;
    static struct epoll_event events[events_max];
    int count = epoll_wait(pinger->epoll, events, events_max, 1);
    for (int i = 0; i < count; i++)
        receive(pinger, events[i].data.fd);
}

static void ping_for_ever(struct pinger *pinger)
{
    uint64_t period_ns = (uint64_t)pinger->period_ms * 1'000'000;
    uint64_t last_ns = now_ns(), elapsed_ns = 0;
    for (;;) {
        uint64_t turn_ns = now_ns() - last_ns;
        last_ns += turn_ns;
        /* While it was stopped nothing fell due. */
        elapsed_ns += turn_ns < 100'000'000 ? turn_ns : 0;
        send_due(pinger, elapsed_ns / 1000 * pinger->count / (period_ns / 1000));
        if (pinger->waits) {
            receive_ready(pinger);
        } else {
            receive_known(pinger);
            nanosleep(&(struct timespec){.tv_nsec = 1'000'000}, nullptr);
        }
    }
}

int pinger_main(int argc, char **argv)
{
    static const struct option known[] = {{"count", required_argument, nullptr, 'n'},
                                          {"period", required_argument, nullptr, 'p'},
                                          {"core", required_argument, nullptr, 'c'},
                                          {"waits", no_argument, nullptr, 'w'},
                                          {}};
    struct pinger pinger = {.count = 1000, .period_ms = 900, .core = -1};
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 'n': pinger.count = number_of(optarg, 1, 1'000'000); break;
        case 'p': pinger.period_ms = number_of(optarg, 1, 1'000'000); break;
        case 'c': pinger.core = (int)number_of(optarg, 0, 1023); break;
        case 'w': pinger.waits = true; break;
        default: return 2;
        }
    }
    if (pinger.core >= 0) cost_pin(pinger.core);
    accept_all(&pinger);
    ping_for_ever(&pinger);
    return 0;
}
