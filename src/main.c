/* main.c: reads the command line, starts the workers, passes signals on. The only file that
 * exits. */
#include "hub/reload.h"
#include "hub/tokens.h"
#include "hub/worker.h"
#include "hub/world_door.h"
#include "hub/world_log.h"
#include "hub/world_replay.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

constexpr int exit_usage = 2;
constexpr int exit_os = 71;
constexpr int exit_config = 78;

static const char usage[] =
    "usage: ringcast serve [OPTION]...   run the server; --dev for a demo on 127.0.0.1:8080\n"
    "       ringcast gen-token --sub ID [--name TEXT] [--room ID] [--expires TIME]\n"
    "                                    print a token, signed with RINGCAST_JWT_SECRET\n"
    "       ringcast check-token [OPTION]... TOKEN\n"
    "                                    print what a token says, or why serve would refuse it;\n"
    "                                    TOKEN may be -, for standard input\n"
    "       ringcast replay-world [--ticks] FILE\n"
    "                                    play what serve --world-log wrote again, and say whether\n"
    "                                    it comes to the same; --ticks: with the hash of each\n"
    "       ringcast version             what this is\n"
    "       ringcast help                this text and every option of serve\n";

static const char help_of_environment[] =
    "\nRINGCAST_API_KEY is the key for host commands; without it they are off (--dev: \"dev\").\n"
    "RINGCAST_JWT_SECRET (or SUPABASE_JWT_SECRET) is the secret of HS256 tokens, 32 bytes\n"
    "or more. PORT=8080 is short for --listen :8080.\n";

static int print_help(void)
{
    static uint8_t memory[16 * 1024];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, text_of(usage));
    write_text(&out, TEXT("\nOptions of serve; each also as RINGCAST_NAME in the environment, "));
    write_text(&out, TEXT("and flags win:\n"));
    config_write_help(&out);
    write_text(&out, text_of(help_of_environment));
    fwrite(out.data, 1, out.size, stdout);
    return EXIT_SUCCESS;
}

static int print_version(void)
{
    printf("ringcast %s (%s)\n", RINGCAST_VERSION, RINGCAST_COMMIT);
    return EXIT_SUCCESS;
}

/* Descriptors 0 to 2 must be something, or the first sockets would be taken for them. */
static void fill_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
}

static uint32_t cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    uint32_t count = (uint32_t)CPU_COUNT(&set); /* this thread runs on one of them */
    return count < workers_max ? count : workers_max;
}

/* As many descriptors as the system permits, and as many connections as those allow. */
static bool fit_descriptors(struct config *config)
{
    struct rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_max = 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    constexpr uint64_t most = 1'000'000; /* address space, not memory, is what more would cost */
    uint64_t reserved = descriptors_reserved(config->workers);
    uint64_t possible = limit.rlim_max > reserved ? limit.rlim_max - reserved : 0;
    if (possible > most) possible = most;
    if (config->connections == 0) config->connections = (uint32_t)possible;
    if (config->connections > 0 && config->connections <= possible) return true;
    uint64_t wanted = config->connections > 0 ? config->connections : 1;
    fprintf(stderr,
            "ringcast: %llu clients need %llu descriptors; raise the limit with `ulimit -n` (now "
            "%llu)\n",
            (unsigned long long)wanted, (unsigned long long)(wanted + reserved),
            (unsigned long long)limit.rlim_max);
    return false;
}

struct worker_thread {
    struct worker *worker;
    pthread_t thread;
    pthread_t main_thread;
    sem_t started; /* posted once worker_start has set `code` */
    int code;      /* of the start, then of the end; main reads it after `started`, or joined */
    bool joined;
};

/* Tells the main thread by SIGRTMIN that a worker has ended. */
static void *run_thread(void *argument)
{
    struct worker_thread *thread = argument;
    thread->code = worker_start(thread->worker);
    bool started = thread->code == 0;
    sem_post(&thread->started);
    if (!started) return nullptr;
    thread->code = worker_run(thread->worker);
    pthread_kill(thread->main_thread, SIGRTMIN);
    return nullptr;
}

static void drain_all(struct hub *hub, uint32_t count)
{
    /* A mailbox that is full is being emptied: this is the only mail that waits for its place. */
    for (uint32_t i = 0; i < count; i++)
        while (!hub_post(hub, i, (struct mail){.kind = MAIL_DRAIN}))
            sched_yield();
}

/* Joins those that have ended. True while some have not. */
static bool any_running(struct worker_thread *threads, uint32_t count)
{
    bool running = false;
    for (uint32_t i = 0; i < count; i++) {
        if (!threads[i].joined)
            threads[i].joined = pthread_tryjoin_np(threads[i].thread, nullptr) == 0;
        running = running || !threads[i].joined;
    }
    return running;
}

/* Sleeps until all workers have ended. SIGHUP has keys read again; the first SIGTERM or SIGINT
 * starts a drain, the second one ends the process at once. */
static void pass_signals(struct hub *hub, struct worker_thread *threads, uint32_t count,
                         const sigset_t *signals)
{
    static struct reload reload;
    reload_init(&reload, hub);
    bool draining = count < hub->worker_count; /* a start that failed has begun it */
    while (any_running(threads, count)) {
        /* A thread that said it has ended may take a moment more to be joined. */
        const struct timespec moment = {.tv_nsec = 10'000'000};
        int signal =
            draining ? sigtimedwait(signals, nullptr, &moment) : sigwaitinfo(signals, nullptr);
        if (signal < 0 || signal == SIGRTMIN) continue;
        if (signal == SIGHUP) {
            if (!draining) reload_files(&reload);
            continue;
        }
        if (draining) _exit(EXIT_SUCCESS);
        draining = true;
        drain_all(hub, count);
    }
}

/* Starts the workers one after the other. Returns how many run; when not all do, *code says why. */
static uint32_t start_workers(struct hub *hub, struct worker_thread *threads, int *code)
{
    for (uint32_t i = 0; i < hub->worker_count; i++) {
        threads[i] =
            (struct worker_thread){.worker = hub->workers[i], .main_thread = pthread_self()};
        sem_init(&threads[i].started, 0, 0);
        int error = pthread_create(&threads[i].thread, nullptr, run_thread, &threads[i]);
        if (error != 0) {
            fprintf(stderr, "ringcast: no thread could be started: %s\n", strerror(error));
            *code = exit_os;
            return i;
        }
        while (sem_wait(&threads[i].started) != 0)
            continue;
        if (threads[i].code == 0) continue;
        *code = threads[i].code;
        pthread_join(threads[i].thread, nullptr);
        return i;
    }
    return hub->worker_count;
}

static bool make_workers(struct hub *hub)
{
    for (uint32_t i = 0; i < hub->worker_count; i++) {
        hub->workers[i] = worker_make(hub, i);
        if (hub->workers[i] == nullptr) return false;
    }
    return true;
}

static int run(struct hub *hub)
{
    static struct worker_thread threads[workers_max];
    int code = 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGHUP, SIG_DFL); /* nohup has it ignored, and it would never be seen */
    signal(SIGPIPE, SIG_IGN);

    uint32_t running = start_workers(hub, threads, &code);
    if (running < hub->worker_count) drain_all(hub, running);
    pass_signals(hub, threads, running, &signals);
    for (uint32_t i = 0; i < running; i++)
        if (threads[i].code > code) code = threads[i].code;
    return code;
}

/* The keys that tokens are signed and checked with. False when they are wrong; it has said why. */
static bool ready_keys(struct hub *hub, struct config *config)
{
    uint8_t entropy[32];
    char memory[512];
    struct writer why = writer_over(memory, sizeof memory);
    if (config->dev && config->jwt_secret.size == 0 &&
        getrandom(entropy, sizeof entropy, 0) == sizeof entropy)
        config->jwt_secret = tokens_make_secret((struct bytes){entropy, sizeof entropy});
    if (tokens_load_keys(&hub->key_sets[0].keys, config, &why)) return true;
    fprintf(stderr, "ringcast: %.*s\n", (int)why.size, (char *)why.data);
    return false;
}

static int serve(int count, char **words)
{
    static struct config config;
    static struct hub hub;
    char memory[512];
    struct writer why = writer_over(memory, sizeof memory);
    if (!config_read(&config, count, words, environ, &why)) {
        fprintf(stderr, "ringcast: %.*s\n", (int)why.size, (char *)why.data);
        return exit_usage;
    }
    if (!ready_keys(&hub, &config)) return exit_config;
    if (!world_door_load(&config, &why)) {
        fprintf(stderr, "ringcast: %.*s\n", (int)why.size, (char *)why.data);
        return exit_config;
    }
    hub.world_log = world_log_make(&config, &why);
    if (hub.world_log == nullptr && why.size > 0) {
        fprintf(stderr, "ringcast: %.*s\n", (int)why.size, (char *)why.data);
        return exit_config;
    }
    if (config.log_format == LOG_FORMAT_AUTO)
        config.log_format = isatty(STDERR_FILENO) ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON;
    if (config.workers == 0) config.workers = cores();
    if (!fit_descriptors(&config)) return exit_os;
    struct hash_key hash_key;
    if (getrandom(&hash_key, sizeof hash_key, 0) != sizeof hash_key) return exit_os;
    if (!hub_init(&hub, &config, hash_key) || !make_workers(&hub)) {
        fprintf(stderr,
                "ringcast: the memory for %u connections cannot be reserved; lower --connections\n",
                config.connections);
        return exit_os;
    }
    int code = run(&hub);
    for (uint32_t i = 0; i < hub.worker_count; i++)
        worker_free(hub.workers[i]);
    world_log_free(hub.world_log);
    hub_deinit(&hub);
    return code;
}

int main(int count, char **words)
{
    fill_standard_descriptors();
    const char *command = count > 1 ? words[1] : "";
    for (int i = 1; i < count; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) return print_help();
    if (strcmp(command, "help") == 0) return print_help();
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
        return print_version();
    if (strcmp(command, "serve") == 0) return serve(count - 2, words + 2);
    if (strcmp(command, "gen-token") == 0) return tokens_generate(count - 2, words + 2, environ);
    if (strcmp(command, "check-token") == 0) return tokens_check(count - 2, words + 2, environ);
    if (strcmp(command, "replay-world") == 0) return world_replay_command(count - 2, words + 2);
    if (command[0] != '\0') fprintf(stderr, "ringcast: unknown command \"%s\"\n", command);
    fputs(usage, stderr);
    return exit_usage;
}
