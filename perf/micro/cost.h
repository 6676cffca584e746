/* perf/micro/cost.h: what a piece of work costs in CPU time: of the calling thread, and of the
 * kernel thread that does part of its network work on the same core. */
#pragma once
#include <stdint.h>

struct cost_clock {
    int ksoftirqd; /* its /proc/PID/schedstat; -1: not to be had */
};

/* Two cores this process may use, and the clock for the first. The calling thread moves there.
 * With one core only, both are that one. */
struct cost_cores {
    int server, peer;
};
struct cost_cores cost_cores_pick(void);
void cost_pin(int core);

/* ksoftirqd of that core is found by name. */
struct cost_clock cost_clock_open(int core);

/* Nanoseconds that the calling thread has run. Softirq work done in its system calls is part of
 * it, unless the kernel was built with CONFIG_IRQ_TIME_ACCOUNTING. */
uint64_t cost_thread_ns(void);

/* Nanoseconds that the core's ksoftirqd has run; 0 when it is not to be had. */
uint64_t cost_ksoftirqd_ns(const struct cost_clock *clock);
