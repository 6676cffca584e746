/* The two worlds of tests/ring_sim_worlds.h: who is at the other end of a connection. */
#include "ring_sim_worlds.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

constexpr uint64_t ms_ns = 1'000'000;
constexpr uint32_t peers_max = 64;

/* --- The kernel's: loopback TCP with small buffers -------------------------------------------- */

static int kernel_peers[peers_max];
static uint32_t kernel_peer_count;
static int log_ends[2];
static struct rlimit descriptors;

static void kernel_begin(const struct script_options *)
{
    kernel_peer_count = 0;
    log_ends[0] = log_ends[1] = -1;
}

static void kernel_finish(void)
{
    for (uint32_t i = 0; i < kernel_peer_count; i++)
        close(kernel_peers[i]);
    for (uint32_t i = 0; i < 2; i++)
        if (log_ends[i] >= 0) close(log_ends[i]);
}

static int kernel_connect(void)
{
    const int small = 8 * 1024, segment = 1024;
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(stage.address.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        EXPECT_EQ(errno, ECONNREFUSED);
        close(fd);
        return -1;
    }
    if (kernel_peer_count == peers_max) abort();
    kernel_peers[kernel_peer_count++] = fd;
    return fd;
}

static bool kernel_write(int peer, const char *data, uint32_t size)
{
    return send(peer, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int32_t kernel_read(int peer, uint8_t *data, uint32_t size, bool waits)
{
    struct pollfd ready = {.fd = peer, .events = POLLIN};
    if (waits) (void)!poll(&ready, 1, (int)(patience_ns / ms_ns));
    ssize_t got = recv(peer, data, size, MSG_DONTWAIT);
    if (got > 0) return (int32_t)got;
    if (got == 0) return sim_ended;
    return errno == EAGAIN ? 0 : sim_broken;
}

static void kernel_end(int peer)
{
    shutdown(peer, SHUT_WR);
}

static void kernel_leave(int peer)
{
    for (uint32_t i = 0; i < kernel_peer_count; i++)
        if (kernel_peers[i] == peer) kernel_peers[i] = kernel_peers[--kernel_peer_count];
    close(peer);
}

static void kernel_reset(int peer)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    kernel_leave(peer);
}

/* Whatever comes for it is dropped, acknowledgements included, before TCP has seen it. */
static void kernel_vanish(int peer)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &nothing};
    EXPECT_EQ(setsockopt(peer, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

static void kernel_limit(bool limited)
{
    if (!limited) {
        setrlimit(RLIMIT_NOFILE, &descriptors);
        return;
    }
    getrlimit(RLIMIT_NOFILE, &descriptors);
    int lowest = fcntl(stage.listening, F_DUPFD_CLOEXEC, 0);
    close(lowest);
    const struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = descriptors.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void on_signal(int)
{
}

static void kernel_disturb(bool disturbed)
{
    struct sigaction action = {.sa_handler = on_signal};
    const struct timeval often = {.tv_usec = disturbed ? 2000 : 0};
    const struct itimerval timer = {.it_interval = often, .it_value = often};
    if (disturbed) sigaction(SIGALRM, &action, nullptr);
    setitimer(ITIMER_REAL, &timer, nullptr);
    action.sa_handler = SIG_DFL;
    if (!disturbed) sigaction(SIGALRM, &action, nullptr);
}

static int kernel_open_log(void)
{
    EXPECT_EQ(pipe2(log_ends, O_NONBLOCK | O_CLOEXEC), 0);
    EXPECT(fcntl(log_ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    return log_ends[1];
}

static bool kernel_is_acknowledged(void)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    EXPECT_EQ(getsockopt(stage.near_fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_unacked == 0;
}

const struct world world_kernel = {
    .name = "the kernel",
    .port = 0,
    .begin = kernel_begin,
    .finish = kernel_finish,
    .reserve = ring_reserve_uring,
    .connect = kernel_connect,
    .write = kernel_write,
    .read = kernel_read,
    .end = kernel_end,
    .leave = kernel_leave,
    .reset = kernel_reset,
    .vanish = kernel_vanish,
    .limit = kernel_limit,
    .disturb = kernel_disturb,
    .open_log = kernel_open_log,
    .is_acknowledged = kernel_is_acknowledged,
};

/* --- The simulated one ------------------------------------------------------------------------ */

static struct sim *sim;

static void simulated_begin(const struct script_options *asked)
{
    const struct sim_hooks hooks = {.fail = stage_fail};
    const struct sim_options options = {.seed = 1,
                                        .faults = asked->faults,
                                        .descriptors = asked->descriptors,
                                        .in_size = sim_pipe_max,
                                        .out_size = sim_pipe_max};
    sim = sim_open(&options, &hooks);
    if (sim == nullptr) abort();
}

static void simulated_finish(void)
{
    EXPECT_EQ(sim_open_fds(sim), 0);
    EXPECT_EQ(sim_operations(sim, 0), 0);
}

static int simulated_connect(void)
{
    const struct address from = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 4000, .is_v4 = true};
    return sim_connect(sim, &from, stage.address.port, sim_timers_max);
}

static bool simulated_write(int peer, const char *data, uint32_t size)
{
    return sim_peer_write(sim, peer, (const uint8_t *)data, size) == size;
}

static int32_t simulated_read(int peer, uint8_t *data, uint32_t size, bool)
{
    return sim_peer_read(sim, peer, data, size);
}

static void simulated_end(int peer)
{
    sim_peer_end(sim, peer);
}

static void simulated_leave(int peer)
{
    sim_peer_leave(sim, peer);
}

static void simulated_reset(int peer)
{
    sim_peer_reset(sim, peer);
}

static void simulated_vanish(int peer)
{
    sim_peer_vanish(sim, peer);
}

static void simulated_by_option(bool)
{
}

static int simulated_open_log(void)
{
    return STDERR_FILENO; /* nothing is written to it */
}

static bool simulated_is_acknowledged(void)
{
    return true;
}

const struct world world_simulated = {
    .name = "the simulation",
    .port = 80,
    .begin = simulated_begin,
    .finish = simulated_finish,
    .reserve = ring_reserve_sim,
    .connect = simulated_connect,
    .write = simulated_write,
    .read = simulated_read,
    .end = simulated_end,
    .leave = simulated_leave,
    .reset = simulated_reset,
    .vanish = simulated_vanish,
    .limit = simulated_by_option,
    .disturb = simulated_by_option,
    .open_log = simulated_open_log,
    .is_acknowledged = simulated_is_acknowledged,
};
