#include "usage.h"
#include "trouble.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_clock(clockid_t clock, uint64_t *ns)
{
    struct timespec time;
    *ns = 0;
    if (clock_gettime(clock, &time) != 0) return false;
    *ns = (uint64_t)time.tv_sec * 1'000'000'000 + (uint64_t)time.tv_nsec;
    return true;
}

static bool read_line(const char *path, char *line, int capacity)
{
    FILE *file = fopen(path, "re");
    if (file == nullptr) return false;
    bool read = fgets(line, capacity, file) != nullptr;
    fclose(file);
    return read;
}

/* The CPU whose softirq thread `pid` is; -1 when it is something else. */
static int softirq_cpu(int pid)
{
    char path[64], name[64];
    int cpu;
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    if (!read_line(path, name, sizeof name)) return -1;
    return sscanf(name, "ksoftirqd/%d", &cpu) == 1 ? cpu : -1;
}

static void add_clock(struct softirq_clocks *clocks, const cpu_set_t *cpus, int cpu, int pid)
{
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, cpus)) return;
    if (clocks->count == softirq_threads_max) return;
    if (clock_getcpuclockid(pid, &clocks->clocks[clocks->count]) == 0) clocks->count += 1;
}

static void find_softirq_threads(struct usage_source *source, const cpu_set_t *server_cpus,
                                 const cpu_set_t *client_cpus)
{
    DIR *processes = opendir("/proc");
    if (processes == nullptr) give_up("/proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(processes)) != nullptr;) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        int pid = atoi(entry->d_name);
        int cpu = softirq_cpu(pid);
        if (cpu < 0) continue;
        if (source->server_pid != 0) add_clock(&source->server_softirq, server_cpus, cpu, pid);
        add_clock(&source->client_softirq, client_cpus, cpu, pid);
    }
    closedir(processes);
}

void usage_open(struct usage_source *source, pid_t server_pid)
{
    *source = (struct usage_source){.server_pid = server_pid};
    cpu_set_t server_cpus, client_cpus, both;
    CPU_ZERO(&server_cpus);
    if (sched_getaffinity(0, sizeof client_cpus, &client_cpus) != 0)
        give_up("sched_getaffinity: %s", strerror(errno));
    if (server_pid != 0 && (clock_getcpuclockid(server_pid, &source->server) != 0 ||
                            sched_getaffinity(server_pid, sizeof server_cpus, &server_cpus) != 0))
        give_up("--server-pid %d: there is no such process", (int)server_pid);
    CPU_AND(&both, &server_cpus, &client_cpus);
    source->shared_cpu = CPU_COUNT(&both) > 0;
    find_softirq_threads(source, &server_cpus, &client_cpus);
}

static uint64_t sum_of(const struct softirq_clocks *clocks)
{
    uint64_t sum = 0, ns;
    for (size_t i = 0; i < clocks->count; i++)
        if (read_clock(clocks->clocks[i], &ns)) sum += ns;
    return sum;
}

/* The second number of a thread's schedstat, summed; 0 where the kernel does not keep it. */
static uint64_t waited_ns(pid_t pid)
{
    char path[300], line[128];
    uint64_t sum = 0, ns;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (threads == nullptr) return 0;
    for (struct dirent *entry; (entry = readdir(threads)) != nullptr;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        bool read = entry->d_name[0] != '.' && read_line(path, line, sizeof line);
        if (read && sscanf(line, "%*u %" SCNu64, &ns) == 1) sum += ns;
    }
    closedir(threads);
    return sum;
}

/* The second number of statm is in pages. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[64], line[128];
    uint64_t pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (read_line(path, line, sizeof line)) (void)sscanf(line, "%*u %" SCNu64, &pages);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* utime, the twelfth number behind the name, which is in brackets. */
static uint64_t user_ns(pid_t pid)
{
    char path[64], line[512];
    uint64_t ticks = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *rest = read_line(path, line, sizeof line) ? strrchr(line, ')') : nullptr;
    if (rest != nullptr)
        (void)sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64, &ticks);
    return ticks * (1'000'000'000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

bool usage_read(const struct usage_source *source, struct usage *usage)
{
    *usage = (struct usage){.server_softirq_ns = sum_of(&source->server_softirq),
                            .client_softirq_ns = sum_of(&source->client_softirq),
                            .client_waited_ns = waited_ns(getpid())};
    bool read = read_clock(CLOCK_MONOTONIC, &usage->wall_ns) &&
                read_clock(CLOCK_PROCESS_CPUTIME_ID, &usage->client_ns);
    if (source->server_pid == 0) return read;
    usage->server_waited_ns = waited_ns(source->server_pid);
    usage->server_resident = resident_bytes(source->server_pid);
    usage->server_user_ns = user_ns(source->server_pid);
    return read && read_clock(source->server, &usage->server_ns) && usage->server_resident > 0;
}

static uint64_t difference(uint64_t from, uint64_t to)
{
    return to > from ? to - from : 0; /* a process that has ended reads as 0 */
}

struct usage usage_between(const struct usage *from, const struct usage *to)
{
    return (struct usage){
        .wall_ns = difference(from->wall_ns, to->wall_ns),
        .server_ns = difference(from->server_ns, to->server_ns),
        .server_user_ns = difference(from->server_user_ns, to->server_user_ns),
        .server_softirq_ns = difference(from->server_softirq_ns, to->server_softirq_ns),
        .client_ns = difference(from->client_ns, to->client_ns),
        .client_softirq_ns = difference(from->client_softirq_ns, to->client_softirq_ns),
        .server_waited_ns = difference(from->server_waited_ns, to->server_waited_ns),
        .client_waited_ns = difference(from->client_waited_ns, to->client_waited_ns),
        .server_resident = to->server_resident,
    };
}
