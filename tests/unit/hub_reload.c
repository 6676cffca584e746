/* tests/unit/hub_reload.c: keys that are read again go to all workers, or stay as they were: real
 * workers on threads of their own, and this one as the main thread (THREATS.md O3, A3). */
#include "check.h"
#include "hub/reload.h"
#include "hub/tokens.h"
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

constexpr uint32_t workers = 3;
static struct config config;
static struct hub hub;
static struct reload reload;
static pthread_t threads[workers];
static sem_t started;
static char path[64];

#define KEY(kid, digits) \
    "{\"kty\":\"oct\",\"alg\":\"HS384\",\"kid\":\"" kid "\",\"k\":\"" digits "\"}"
#define DIGITS "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"

static void write_file(const char *document)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, document, strlen(document)) != (ssize_t)strlen(document)) abort();
    close(fd);
}

static void *run(void *worker)
{
    if (worker_start(worker) != 0) abort();
    sem_post(&started);
    return worker_run(worker) == 0 ? worker : nullptr;
}

static void begin(void)
{
    static char word[128]; /* the configuration points there */
    char memory[512], *environment[] = {nullptr};
    struct writer why = writer_over(memory, sizeof memory);
    snprintf(path, sizeof path, "/tmp/ringcast-keys-%d.json", (int)getpid());
    snprintf(word, sizeof word, "--jwt-keys=%s", path);
    char *words[] = {"--connections=64",     "--rooms=8", "--drain=100ms",
                     "--listen=127.0.0.1:1", word,        "--log-level=error"};
    if (!config_read(&config, 6, words, environment, &why)) abort();
    config.listen.port = config.admin.port = 0; /* whichever is free */
    config.workers = workers;
    hub = (struct hub){};
    if (!hub_init(&hub, &config, (struct hash_key){1, 2})) abort();
    write_file("{\"keys\":[" KEY("k1", DIGITS) "]}");
    if (!tokens_load_keys(&hub.key_sets[0].keys, &config, &why)) abort();
    for (uint32_t i = 0; i < workers; i++)
        if ((hub.workers[i] = worker_make(&hub, i)) == nullptr) abort();
    sem_init(&started, 0, 0);
    for (uint32_t i = 0; i < workers; i++) {
        if (pthread_create(&threads[i], nullptr, run, hub.workers[i]) != 0) abort();
        while (sem_wait(&started) != 0)
            continue;
    }
    reload_init(&reload, &hub);
}

/* All workers end; each must have had the keys of this kid at last. */
static void end(const char *kid)
{
    for (uint32_t i = 0; i < workers; i++)
        while (!hub_post(&hub, i, (struct mail){.kind = MAIL_DRAIN}))
            continue;
    for (uint32_t i = 0; i < workers; i++) {
        void *ended = nullptr;
        pthread_join(threads[i], &ended);
        EXPECT(ended != nullptr);
    }
    for (uint32_t i = 0; i < workers; i++) {
        const struct auth_keys *keys = &hub.workers[i]->key_set->keys;
        EXPECT_EQ(keys->count, 1);
        EXPECT(text_equal(keys->keys[0].kid, text_of(kid)));
    }
    for (uint32_t i = 0; i < workers; i++)
        worker_free(hub.workers[i]);
    hub_deinit(&hub);
    unlink(path);
}

TEST(
    "keys that are read again reach every worker, however often, and the older ones come home (O3)")
{
    begin();
    for (uint32_t i = 0; i < 8; i++) {
        write_file(i % 2 == 0 ? KEY("k2", DIGITS) : KEY("k3", DIGITS));
        reload_files(&reload);
        EXPECT_EQ(reload.away, 0);
        EXPECT_EQ(reload.shown, (i + 1) % 2);
        EXPECT_EQ(hub.key_sets[reload.shown].keys.generation, i + 1);
    }
    EXPECT_EQ(log_pending(&reload.log).size, 0);
    end("k3");
}

/* What is said is not to be seen among the tests' own lines. */
static void reload_quietly(void)
{
    int real = dup(STDERR_FILENO), ends[2];
    char said[2048];
    if (real < 0 || pipe(ends) != 0) abort();
    dup2(ends[1], STDERR_FILENO);
    reload_files(&reload);
    dup2(real, STDERR_FILENO);
    ssize_t size = read(ends[0], said, sizeof said);
    EXPECT(size > 0 && memmem(said, (size_t)size, "reload_failed", 13) != nullptr);
    EXPECT(size > 0 && memmem(said, (size_t)size, path, strlen(path)) != nullptr);
    close(real), close(ends[0]), close(ends[1]);
}

TEST("a file that is broken, weak, empty or gone changes nothing (O3)")
{
    static const char *const documents[] = {
        "",
        "{",
        "{\"keys\":[]}",
        "{\"keys\":[" KEY("k2", DIGITS) "," KEY("k2", DIGITS) "]}",
        KEY("k2", "c2hvcnQ"),
        "{\"keys\":[" KEY("k2", DIGITS) "," KEY("k3", "c2hvcnQ") "]}"};
    begin();
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        write_file(documents[i]);
        reload_quietly();
        EXPECT_EQ(reload.shown, 0);
    }
    unlink(path);
    reload_quietly();
    EXPECT_EQ(reload.shown, 0);
    write_file(KEY("k4", DIGITS));
    reload_files(&reload);
    EXPECT_EQ(reload.shown, 1);
    end("k4");
}
