#include "cost.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct cost_cores cost_cores_pick(void)
{
    struct cost_cores cores = {.server = -1, .peer = -1};
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    (void)!sched_getaffinity(0, sizeof allowed, &allowed);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &allowed)) continue;
        if (cores.server < 0)
            cores.server = core;
        else if (cores.peer < 0)
            cores.peer = core;
    }
    if (cores.peer < 0) cores.peer = cores.server;
    return cores;
}

void cost_pin(int core)
{
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    CPU_SET(core, &wanted);
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) perror("micro: sched_setaffinity");
}

static bool is_named(const char *pid, const char *name)
{
    char path[300], found[32] = "";
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = read(fd, found, sizeof found - 1);
    close(fd);
    if (size > 0 && found[size - 1] == '\n') found[size - 1] = '\0';
    return strcmp(found, name) == 0;
}

struct cost_clock cost_clock_open(int core)
{
    struct cost_clock clock = {.ksoftirqd = -1};
    char name[32], path[300];
    snprintf(name, sizeof name, "ksoftirqd/%d", core);
    DIR *processes = opendir("/proc");
    if (processes == nullptr) return clock;
    for (struct dirent *entry; clock.ksoftirqd < 0 && (entry = readdir(processes)) != nullptr;) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        if (!is_named(entry->d_name, name)) continue;
        snprintf(path, sizeof path, "/proc/%s/schedstat", entry->d_name);
        clock.ksoftirqd = open(path, O_RDONLY | O_CLOEXEC);
    }
    closedir(processes);
    return clock;
}

uint64_t cost_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

uint64_t cost_ksoftirqd_ns(const struct cost_clock *clock)
{
    char text[128];
    if (clock->ksoftirqd < 0) return 0;
    ssize_t size = pread(clock->ksoftirqd, text, sizeof text - 1, 0);
    if (size <= 0) return 0;
    text[size] = '\0';
    return strtoull(text, nullptr, 10);
}
