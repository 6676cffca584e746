#include "net.h"
#include "client.h"
#include "trouble.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t net_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1'000'000'000 + (uint64_t)time.tv_nsec;
}

void *net_memory(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == nullptr) give_up("no memory");
    return memory;
}

/* One descriptor a client, and a few more. */
static void raise_descriptor_limit(uint32_t clients)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < clients + 32ULL)
        give_up("%" PRIu32 " clients need more than the %" PRIu64 " descriptors that this process "
                "may have; raise them with ulimit -Hn as root",
                clients, (uint64_t)limit.rlim_max);
}

void net_open(struct net *net, const struct sockaddr_in *server, uint32_t clients)
{
    raise_descriptor_limit(clients);
    *net = (struct net){.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                        .server = *server,
                        .scratch = net_memory(1, scratch_size)};
    if (net->epoll_fd < 0) give_up("epoll_create1: %s", strerror(errno));
    if (getrandom(&net->random, sizeof net->random, 0) < 0) give_up("getrandom failed");
    inflater_open(&net->inflater);
    net->random |= 1; /* a xorshift must not start at 0 */
}

void net_close(struct net *net)
{
    close(net->epoll_fd);
    inflater_close(&net->inflater);
    free(net->scratch);
}

uint32_t net_key(struct net *net)
{
    net->random ^= net->random << 13;
    net->random ^= net->random >> 7;
    net->random ^= net->random << 17;
    return (uint32_t)(net->random >> 32);
}

void net_steer(struct net *net)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = net};
    if (epoll_ctl(net->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        give_up("--steered: stdin is no pipe: %s", strerror(errno));
}

/* A line asks for one window; most programs do not care what it says. */
static void hear_stdin(struct net *net)
{
    char line[256];
    ssize_t size = read(STDIN_FILENO, line, sizeof line);
    if (size > 0) {
        const char *end = memchr(line, '\n', (size_t)size);
        net->told = end != nullptr;
        if (end != nullptr) snprintf(net->line, sizeof net->line, "%.*s", (int)(end - line), line);
        return;
    }
    net->told_to_end = true;
    epoll_ctl(net->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
}

uint64_t net_turn(struct net *net, uint64_t step_ns)
{
    constexpr int events_max = 512;
    struct epoll_event events[events_max];
    struct timespec timeout = {.tv_sec = (time_t)(step_ns / 1'000'000'000),
                               .tv_nsec = (long)(step_ns % 1'000'000'000)};
    int count = epoll_pwait2(net->epoll_fd, events, events_max, &timeout, nullptr);
    if (count < 0 && errno != EINTR) give_up("epoll_pwait2: %s", strerror(errno));
    if (count <= 0) return 0;
    uint64_t begin_ns = net_now_ns();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == net)
            hear_stdin(net);
        else
            client_ready(events[i].data.ptr, net);
    }
    return net_now_ns() - begin_ns;
}
