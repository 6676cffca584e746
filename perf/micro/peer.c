#include "peer.h"
#include "cost.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void sleep_us(long microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, nullptr);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool connect_all(int epoll, uint16_t port, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int fd = connect_to(port);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return false;
    }
    return true;
}

/* What has come to some connections; 0 when nothing has, -1 at an end of stream. */
static ssize_t drain_some(int epoll)
{
    constexpr int events_max = 512;
    static uint8_t bytes[256 * 1024];
    static struct epoll_event events[events_max];
    ssize_t total = 0;
    int count = epoll_wait(epoll, events, events_max, 0);
    for (int i = 0; i < count; i++) {
        ssize_t size = recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size == 0) return -1;
        if (size > 0) total += size;
    }
    return total;
}

static void read_for_ever(struct peer_shared *shared, uint16_t port, uint32_t count)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bool going = epoll >= 0 && connect_all(epoll, port, count);
    while (going) {
        ssize_t size;
        while ((size = drain_some(epoll)) > 0)
            atomic_fetch_add(&shared->received, (uint64_t)size);
        going = size == 0;
        sleep_us(250);
    }
    atomic_store(&shared->failed, true);
}

struct peer peer_start(uint16_t port, uint32_t count, int core)
{
    struct peer peer = {.shared = mmap(nullptr, sizeof *peer.shared, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    if (peer.shared == MAP_FAILED) return (struct peer){.pid = -1};
    peer.pid = fork();
    if (peer.pid != 0) return peer;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cost_pin(core);
    read_for_ever(peer.shared, port, count);
    _exit(1);
}

bool peer_await(const struct peer *peer, uint64_t bytes)
{
    constexpr uint32_t looks_max = 20'000;
    for (uint32_t i = 0; i < looks_max; i++) {
        if (atomic_load(&peer->shared->received) >= bytes) return true;
        if (atomic_load(&peer->shared->failed)) return false;
        sleep_us(300);
    }
    return false;
}

void peer_stop(const struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, nullptr, 0);
}
