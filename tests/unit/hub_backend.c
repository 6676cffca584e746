/* tests/unit/hub_backend.c: what is done for backends on a room's home: a whole worker whose loop
 * does not turn before the end (THREATS.md R7, R9, R12). */
#include "check.h"
#include "hub/backend.h"
#include "hub/rooms.h"
#include "hub/stop.h"
#include <stdlib.h>

static struct config config;
static struct hub hub;
static struct worker *worker;
static uint8_t answer_memory[relay_reply_size_max];
static struct writer body;

static void begin(char *rooms)
{
    char memory[256], *environment[] = {nullptr};
    struct writer why = writer_over(memory, sizeof memory);
    char *words[] = {"--connections=64",  rooms,
                     "--workers=1",       "--drain=100ms",
                     "--log-level=error", "--listen=127.0.0.1:1"};
    if (!config_read(&config, 6, words, environment, &why)) abort();
    config.listen.port = config.admin.port = 0; /* whichever is free */
    hub = (struct hub){};
    if (!hub_init(&hub, &config, (struct hash_key){1, 2})) abort();
    worker = hub.workers[0] = worker_make(&hub, 0);
    if (worker == nullptr || worker_start(worker) != 0) abort();
}

static void end(void)
{
    stop_begin(worker);
    EXPECT_EQ(worker_run(worker), 0);
    worker_free(worker);
    hub_deinit(&hub);
}

static enum backend_refusal ask(const char *verb, const char *name, const char *key,
                                const char *text)
{
    const struct backend_request request = {text_of(verb), text_of(name), text_of(key),
                                            text_of(text)};
    body = writer_over(answer_memory, sizeof answer_memory);
    struct backend_answer answer = {.body = &body};
    backend_do(worker, &request, &answer);
    EXPECT(answer.refusal != BACKEND_DONE ||
           answer.status == (strcmp(verb, "open") == 0 ? 201 : 200));
    return answer.refusal;
}

static bool answer_holds(const char *piece)
{
    return memmem(body.data, body.size, piece, strlen(piece)) != nullptr;
}

TEST("a room that is opened wrongly is not there, and its place is free")
{
    begin("--rooms=1");
    EXPECT_EQ(ask("open", "lobby/a", "", "{\"members_max\":0}"), BACKEND_BAD_REQUEST);
    EXPECT_EQ(ask("open", "lobby/a", "", "{"), BACKEND_BAD_REQUEST);
    EXPECT_EQ(ask("show", "lobby/a", "", ""), BACKEND_NO_ROOM);
    EXPECT_EQ(ask("open", "lobby/a", "", ""), BACKEND_DONE);
    EXPECT_EQ(ask("open", "lobby/b", "", ""), BACKEND_ROOMS);
    EXPECT_EQ(ask("open", "", "", ""), BACKEND_ROOMS);
    EXPECT_EQ(ask("open", "lobby/a", "", ""), BACKEND_EXISTS);
    EXPECT_EQ(ask("close", "lobby/a", "", ""), BACKEND_DONE);
    EXPECT_EQ(ask("open", "", "", "{}"), BACKEND_DONE);
    EXPECT(answer_holds("\"room\":{\"id\":\""));
    end();
}

TEST(
    "a worker that is going down makes no room that nobody would close, and answers for the others")
{
    begin("--rooms=8");
    EXPECT_EQ(ask("open", "lobby/a", "", ""), BACKEND_DONE);
    worker->phase = WORKER_DRAINING;
    EXPECT_EQ(ask("open", "lobby/b", "", ""), BACKEND_BUSY);
    EXPECT_EQ(ask("show", "lobby/a", "", ""), BACKEND_DONE);
    worker->phase = WORKER_RUNNING;
    end();
}

TEST("what was done is done once under its key, and what was refused may be tried again")
{
    begin("--rooms=8");
    EXPECT_EQ(ask("open", "lobby/a", "k", "{}"), BACKEND_DONE);
    EXPECT_EQ(ask("open", "lobby/a", "k", "{}"), BACKEND_DONE);
    EXPECT_EQ(ask("open", "lobby/a", "k", "{ }"), BACKEND_KEY_REUSED);
    EXPECT_EQ(ask("publish", "lobby/a", "k", "{}"), BACKEND_KEY_REUSED);
    EXPECT_EQ(ask("publish", "lobby/b", "p", "{\"event\":\"x\"}"), BACKEND_NO_ROOM);
    EXPECT_EQ(ask("open", "lobby/b", "", "{}"), BACKEND_DONE);
    EXPECT_EQ(ask("publish", "lobby/b", "p", "{\"event\":\"x\"}"), BACKEND_DONE);
    EXPECT(answer_holds("{\"seq\":1,"));
    EXPECT_EQ(ask("publish", "lobby/b", "p", "{\"event\":\"x\"}"), BACKEND_DONE);
    EXPECT(answer_holds("{\"seq\":1,"));
    EXPECT_EQ(ask("publish", "lobby/b", "", "{\"event\":\"x\"}"), BACKEND_DONE);
    EXPECT(answer_holds("{\"seq\":2,"));
    end();
}

TEST("the longest that is answered under a key is remembered")
{
    begin("--rooms=8");
    char name[7 + 64] = "lobby/", player[160] = "{\"player\":\"";
    memset(name + 6, 'x', 64);
    EXPECT_EQ(ask("open", name, "k", "{\"members_max\":100,\"empty_ttl_ms\":86400000}"),
              BACKEND_DONE);
    for (size_t i = 0; i < 64; i++)
        memcpy(player + 11 + 2 * i, "\\\"", 2);
    strcpy(player + 11 + 128, "\"}");
    EXPECT_EQ(ask("kick", name, "l", player), BACKEND_DONE);
    EXPECT_EQ(ask("kick", name, "l", player), BACKEND_DONE);
    EXPECT(answer_holds("\\\"\\\"\",\"present\":false}"));
    end();
}

/* --- The list -------------------------------------------------------------------------------- */

static uint32_t seen[256]; /* how often each room was listed */

/* Lists rooms called "lobby/N", `limit` a page. Between two pages one room goes and one comes.
 * Returns how many pages there were. */
static uint32_t list_all(uint32_t limit, bool churns)
{
    static uint8_t memory[backend_page_most * backend_room_size_max];
    struct backend_page page = {};
    uint32_t pages = 0, next = 200;
    memset(seen, 0, sizeof seen);
    for (bool all = false; !all; pages++) {
        struct writer out = writer_over(memory, sizeof memory);
        page.left = limit;
        page.written = 0;
        all = backend_list(worker, &page, &out);
        EXPECT(!out.overflow && page.written <= limit);
        for (const char *at = (const char *)out.data, *stop = at + out.size;
             (at = memmem(at, (size_t)(stop - at), "\"id\":\"", 6)) != nullptr; at += 6)
            seen[strtoul(at + 6, nullptr, 10)] += 1;
        if (!churns || next > 250) continue;
        char gone[16], come[16];
        snprintf(gone, sizeof gone, "lobby/%u", next - 1);
        snprintf(come, sizeof come, "lobby/%u", next++);
        (void)ask("close", gone, "", "");
        EXPECT_EQ(ask("open", come, "", ""), BACKEND_DONE);
    }
    char last[16];
    snprintf(last, sizeof last, "lobby/%u", next - 1);
    (void)ask("close", last, "", "");
    return pages;
}

static void open_rooms(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "lobby/%u", i);
        EXPECT_EQ(ask("open", name, "", ""), BACKEND_DONE);
    }
}

static bool each_was_seen_once(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (seen[i] != 1) return false;
    return true;
}

TEST("a room that is there all the while is listed once, however small the pages (R12)")
{
    begin("--rooms=100"); /* in 128 buckets: some hold several */
    EXPECT_EQ(list_all(1, false), 1);
    open_rooms(60);
    for (uint32_t limit = 1; limit <= 61; limit += 4) {
        EXPECT_EQ(list_all(limit, false), (60 + limit - 1) / limit);
        EXPECT(each_was_seen_once(60));
        (void)list_all(limit, true);
        EXPECT(each_was_seen_once(60));
    }
    end();
}

TEST("a table that is nearly empty is looked through in several steps (R7)")
{
    begin("--rooms=200000");
    open_rooms(3);
    /* Each step but the first looks at the last bucket of the one before again. */
    EXPECT_EQ(list_all(200, false), 262'144 / (64 * 1024) + 1);
    EXPECT(each_was_seen_once(3));
    end();
}
