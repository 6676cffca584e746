/* perf/load/usage.h: CPU time and memory of the server and of this client, as the kernel tells.
 * Reads /proc and other processes' CPU clocks (exact to the nanosecond, all threads). */
#pragma once
#include <sched.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

constexpr size_t softirq_threads_max = 256;

/* The kernel's softirq threads on the CPUs that one process may use. Network work moves there when
 * there is much of it, and then it is in no process's own time. */
struct softirq_clocks {
    clockid_t clocks[softirq_threads_max];
    size_t count;
};

struct usage_source {
    pid_t server_pid; /* 0: the server is not measured */
    clockid_t server;
    struct softirq_clocks server_softirq;
    struct softirq_clocks client_softirq;
    bool shared_cpu; /* the two may run on the same CPU */
};

struct usage {
    uint64_t wall_ns;
    uint64_t server_ns;
    uint64_t server_user_ns; /* of server_ns; in whole clock ticks, as the kernel reckons them */
    uint64_t server_softirq_ns;
    uint64_t client_ns;
    uint64_t client_softirq_ns;
    uint64_t server_waited_ns; /* ready to run, and something else had the core */
    uint64_t client_waited_ns;
    uint64_t server_resident; /* bytes */
};

/* Ends the program when there is no such server. */
void usage_open(struct usage_source *source, pid_t server_pid);

/* False when the server has ended since; then its figures are 0. */
[[nodiscard]] bool usage_read(const struct usage_source *source, struct usage *usage);

/* What was used from one reading to a later one; the resident bytes are the later one's. */
struct usage usage_between(const struct usage *from, const struct usage *to);
