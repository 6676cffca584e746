/* tests/sim/main.c: the simulator as a program.
 *
 *     sim SEED               one run, with its trace
 *     sim FIRST COUNT        that many seeds from there on, until one finds something
 *     sim FIRST COUNT hashes and the hash of each */
#include "sim_run.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct run run;

/* Whatever ends the program names the one command that shows it again. */
static void on_end(int number)
{
    char line[128];
    int size = snprintf(line, sizeof line, "sim: again: ./zigw build sim -- 0x%llx\n",
                        (unsigned long long)run.seed);
    (void)!write(STDERR_FILENO, line, (size_t)size);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_ends(void)
{
    const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGPROF};
    static uint8_t memory[64 * 1024];
    sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = sizeof memory}, nullptr);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = on_end, .sa_flags = SA_ONSTACK};
        sigaction(numbers[i], &action, nullptr);
    }
}

/* A run that computes for so long will not end. A machine that is busy does not count. */
static void set_patience(void)
{
    constexpr time_t patience_s = 60;
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = patience_s}, nullptr);
}

static void run_many(uint64_t first, uint64_t count, bool hashes)
{
    struct timespec begin, end;
    uint64_t virtual_ns = 0, happenings = 0, messages = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t i = 0; i < count; i++) {
        set_patience();
        struct outcome outcome = run_seed(&run, first + i, false);
        virtual_ns += outcome.virtual_ns;
        happenings += outcome.happenings;
        messages += outcome.messages;
        if (hashes)
            printf("0x%llx %016llx\n", (unsigned long long)(first + i),
                   (unsigned long long)outcome.hash);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%llu seeds from 0x%llx: %.2f s, %.1f virtual hours, %llu happenings, %llu messages\n",
           (unsigned long long)count, (unsigned long long)first, took, (double)virtual_ns / 3.6e12,
           (unsigned long long)happenings, (unsigned long long)messages);
}

int main(int count, char **words)
{
    if (count < 2 || count > 4) {
        fputs("usage: sim SEED | sim FIRST COUNT [hashes]\n", stderr);
        return 2;
    }
    uint64_t first = strtoull(words[1], nullptr, 0);
    catch_ends();
    if (count > 2) {
        run_many(first, strtoull(words[2], nullptr, 0), count > 3);
        return 0;
    }
    set_patience();
    struct outcome outcome = run_seed(&run, first, true);
    printf("trace hash: %016llx\n", (unsigned long long)outcome.hash);
    return 0;
}
