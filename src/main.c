/* main.c: reads the command line, starts the worker, passes signals on. The only file that
 * exits. */
#include "hub/worker.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

constexpr int exit_usage = 2;
constexpr int exit_os = 71;

static const char usage[] =
    "usage: ringcast serve [OPTION]...   run the server; --dev for a demo on 127.0.0.1:8080\n"
    "       ringcast version             what this is\n"
    "       ringcast help                this text and every option of serve\n";

static int print_help(void)
{
    static uint8_t memory[16 * 1024];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, text_of(usage));
    write_text(
        &out,
        TEXT("\nOptions of serve (each also as RINGCAST_NAME in the environment, flags win):\n"));
    config_write_help(&out);
    write_text(&out, TEXT("\nRINGCAST_API_KEY is the key for host commands; without it they are "
                          "off (--dev: \"dev\").\n"
                          "PORT=8080 is short for --listen :8080.\n"));
    fwrite(out.data, 1, out.size, stdout);
    return EXIT_SUCCESS;
}

static int print_version(void)
{
    printf("ringcast %s (%s)\n", RINGCAST_VERSION, RINGCAST_COMMIT);
    return EXIT_SUCCESS;
}

/* As many descriptors as the system permits, and as many connections as those allow. */
static bool fit_descriptors(struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    constexpr uint64_t most = 1'000'000; /* address space, not memory, is what more would cost */
    uint64_t possible =
        limit.rlim_max > descriptors_reserved ? limit.rlim_max - descriptors_reserved : 0;
    if (possible > most) possible = most;
    if (config->connections == 0) config->connections = (uint32_t)possible;
    if (config->connections <= possible) return config->connections > 0;
    fprintf(stderr,
            "ringcast: --connections %u needs %u descriptors; raise the limit with `ulimit -n` "
            "(now %llu)\n",
            config->connections, config->connections + descriptors_reserved,
            (unsigned long long)limit.rlim_max);
    return false;
}

struct worker_thread {
    struct worker *worker;
    pthread_t thread;
    pthread_t main_thread;
    int code;
};

/* Tells the main thread that a worker has ended; the program uses SIGRTMIN for nothing else. */
static void *run_thread(void *argument)
{
    struct worker_thread *thread = argument;
    thread->code = worker_run(thread->worker);
    pthread_kill(thread->main_thread, SIGRTMIN);
    return nullptr;
}

/* Sleeps until the worker has ended. The first SIGTERM or SIGINT starts a drain, the second one
 * ends the process at once. */
static void pass_signals(struct worker_thread *thread, const sigset_t *signals)
{
    bool draining = false;
    for (;;) {
        int signal = 0;
        if (sigwait(signals, &signal) != 0) continue;
        if (signal == SIGRTMIN) return;
        if (draining) _exit(EXIT_SUCCESS);
        draining = true;
        worker_post_drain(thread->worker);
    }
}

static int serve(int count, char **words)
{
    static struct config config;
    char memory[512];
    struct writer why = writer_over(memory, sizeof memory);
    if (!config_read(&config, count, words, environ, &why)) {
        fprintf(stderr, "ringcast: %.*s\n", (int)why.size, (char *)why.data);
        return exit_usage;
    }
    if (config.log_format == LOG_FORMAT_AUTO)
        config.log_format = isatty(STDERR_FILENO) ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON;
    if (!fit_descriptors(&config)) return exit_os;

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);

    struct worker_thread thread = {.worker = worker_make(&config, 0),
                                   .main_thread = pthread_self()};
    if (thread.worker == nullptr) {
        fprintf(stderr,
                "ringcast: the memory for %u connections cannot be reserved; lower --connections\n",
                config.connections);
        return exit_os;
    }
    int error = pthread_create(&thread.thread, nullptr, run_thread, &thread);
    if (error != 0) {
        fprintf(stderr, "ringcast: no thread could be started: %s\n", strerror(error));
        return exit_os;
    }
    pass_signals(&thread, &signals);
    pthread_join(thread.thread, nullptr);
    worker_free(thread.worker);
    return thread.code;
}

int main(int count, char **words)
{
    const char *command = count > 1 ? words[1] : "";
    for (int i = 1; i < count; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) return print_help();
    if (strcmp(command, "help") == 0) return print_help();
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
        return print_version();
    if (strcmp(command, "serve") == 0) return serve(count - 2, words + 2);
    if (command[0] != '\0') fprintf(stderr, "ringcast: unknown command \"%s\"\n", command);
    fputs(usage, stderr);
    return exit_usage;
}
