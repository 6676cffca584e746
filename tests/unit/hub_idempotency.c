/* tests/unit/hub_idempotency.c: what was done is answered again, not done again. */
#include "check.h"
#include "hub/idempotency.h"
#include <stdlib.h>

constexpr uint32_t records = 3, kept_ms = 1000;

static struct arena arena;
static struct idempotency store;
static struct idempotent_answer told;

static void begin(void)
{
    struct arena measuring = arena_measure();
    idempotency_init(&store, &measuring, records, kept_ms);
    if (!arena_open(&arena, measuring.used)) abort();
    idempotency_init(&store, &arena, records, kept_ms);
    idempotency_set_key(&store, (struct hash_key){1, 2});
}

static enum idempotency_finding find(struct idempotent_request request, uint64_t now_ms)
{
    told = (struct idempotent_answer){};
    return idempotency_find(&store, &request, now_ms, &told);
}

static void keep(struct idempotent_request request, uint64_t now_ms, struct text body)
{
    EXPECT_EQ(find(request, now_ms), IDEMPOTENT_NEW);
    idempotency_keep(&store, &request, now_ms, &(struct idempotent_answer){200, body});
}

#define REQUEST(s, k, v, b)       \
    ((struct idempotent_request){ \
        .scope = TEXT(s), .key = TEXT(k), .verb = TEXT(v), .body = TEXT(b)})

TEST("the same request under the same key is answered as before, another one is told apart")
{
    begin();
    keep(REQUEST("lobby/a", "k1", "publish", "{1}"), 0, TEXT("first"));
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "publish", "{1}"), 1), IDEMPOTENT_AGAIN);
    EXPECT_EQ(told.status, 200);
    EXPECT_TEXT(told.body, "first");
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "publish", "{2}"), 1), IDEMPOTENT_OTHER);
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "state", "{1}"), 1), IDEMPOTENT_OTHER);
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "publish", ""), 1), IDEMPOTENT_OTHER);
    arena_close(&arena);
}

TEST("a key belongs to its room, and where one ends and the other begins is not mistaken")
{
    begin();
    keep(REQUEST("lobby/a", "bk", "publish", ""), 0, TEXT(""));
    EXPECT_EQ(find(REQUEST("lobby/b", "bk", "publish", ""), 0), IDEMPOTENT_NEW);
    EXPECT_EQ(find(REQUEST("lobby/ab", "k", "publish", ""), 0), IDEMPOTENT_NEW);
    EXPECT_EQ(find(REQUEST("", "bk", "publish", ""), 0), IDEMPOTENT_NEW);
    EXPECT_EQ(find(REQUEST("lobby/a", "bk", "publish", ""), 0), IDEMPOTENT_AGAIN);
    EXPECT_EQ(told.body.size, 0);
    arena_close(&arena);
}

TEST("a request is remembered for its time, and then it is new")
{
    begin();
    keep(REQUEST("lobby/a", "k1", "lock", "{}"), 100, TEXT("x"));
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "lock", "{}"), 100 + kept_ms - 1), IDEMPOTENT_AGAIN);
    EXPECT_EQ(find(REQUEST("lobby/a", "k1", "lock", "{}"), 100 + kept_ms), IDEMPOTENT_NEW);
    EXPECT_EQ(store.records.in_use, 0);
    EXPECT_EQ(store.by_key.count, 0);
    keep(REQUEST("lobby/a", "k1", "lock", "{other}"), 100 + kept_ms, TEXT("y"));
    arena_close(&arena);
}

TEST("when the places are taken the oldest is forgotten (THREATS.md R9)")
{
    begin();
    keep(REQUEST("r", "k1", "v", ""), 0, TEXT("1"));
    keep(REQUEST("r", "k2", "v", ""), 1, TEXT("2"));
    keep(REQUEST("r", "k3", "v", ""), 2, TEXT("3"));
    EXPECT_EQ(find(REQUEST("r", "k1", "v", ""), 3), IDEMPOTENT_AGAIN); /* asking does not refresh */
    keep(REQUEST("r", "k4", "v", ""), 3, TEXT("4"));
    EXPECT_EQ(store.records.in_use, records);
    EXPECT_EQ(find(REQUEST("r", "k1", "v", ""), 3), IDEMPOTENT_NEW);
    EXPECT_EQ(find(REQUEST("r", "k2", "v", ""), 3), IDEMPOTENT_AGAIN);
    EXPECT_TEXT(told.body, "2");
    EXPECT_EQ(find(REQUEST("r", "k4", "v", ""), 3), IDEMPOTENT_AGAIN);
    EXPECT_TEXT(told.body, "4");
    arena_close(&arena);
}

TEST("the longest scope, key and body find their places")
{
    begin();
    static char scope[81], key[idempotency_key_size_max], body[idempotency_body_size_max];
    memset(scope, 's', sizeof scope);
    memset(key, 'k', sizeof key);
    memset(body, 'b', sizeof body);
    const struct idempotent_request request = {.scope = {scope, sizeof scope},
                                               .key = {key, sizeof key},
                                               .verb = TEXT("state"),
                                               .body = {body, sizeof body}};
    keep(request, 0, (struct text){body, sizeof body});
    EXPECT_EQ(find(request, 0), IDEMPOTENT_AGAIN);
    EXPECT_EQ(told.body.size, sizeof body);
    arena_close(&arena);
}
