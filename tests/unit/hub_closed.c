/* tests/unit/hub_closed.c: a room that is over is remembered, for a while, and others are not. */
#include "check.h"
#include "hub/closed.h"
#include <stdlib.h>

constexpr uint32_t places = 8, kept_ms = 1000;

static struct arena arena;
static struct closed_rooms closed;

static void begin(uint32_t count)
{
    struct arena measuring = arena_measure();
    closed_init(&closed, &measuring, count, kept_ms);
    if (!arena_open(&arena, measuring.used)) abort();
    closed_init(&closed, &arena, count, kept_ms);
    closed_set_key(&closed, (struct hash_key){1, 2});
}

TEST("a room that was closed is known for as long as that is kept, and no other one")
{
    begin(places);
    EXPECT(!closed_knows(&closed, TEXT("lobby/a"), 5000));
    closed_remember(&closed, TEXT("lobby/a"), 5000);
    EXPECT(closed_knows(&closed, TEXT("lobby/a"), 5000));
    EXPECT(closed_knows(&closed, TEXT("lobby/a"), 5000 + kept_ms - 1));
    EXPECT(!closed_knows(&closed, TEXT("lobby/a"), 5000 + kept_ms));
    EXPECT(!closed_knows(&closed, TEXT("lobby/b"), 5000));
    EXPECT(!closed_knows(&closed, TEXT("lobby/"), 5000));
    arena_close(&arena);
}

TEST("a room that was closed again is known from then on, and takes no second place")
{
    begin(4);
    for (uint64_t at = 1; at <= 10; at++)
        closed_remember(&closed, TEXT("lobby/a"), at * 100);
    EXPECT(closed_knows(&closed, TEXT("lobby/a"), 1000 + kept_ms - 1));
    uint32_t taken = 0;
    for (uint32_t i = 0; i < closed.count; i++)
        taken += closed.places[i].name != 0;
    EXPECT_EQ(taken, 1);
    arena_close(&arena);
}

TEST("a room that is there again is not known as closed, whatever else is")
{
    begin(places);
    closed_remember(&closed, TEXT("lobby/a"), 0);
    closed_remember(&closed, TEXT("lobby/b"), 0);
    closed_forget(&closed, TEXT("lobby/a"));
    closed_forget(&closed, TEXT("lobby/c"));
    EXPECT(!closed_knows(&closed, TEXT("lobby/a"), 1));
    EXPECT(closed_knows(&closed, TEXT("lobby/b"), 1));
    arena_close(&arena);
}

TEST("when all places are taken the oldest is forgotten, and the newest never")
{
    begin(4);
    char name[] = "lobby/a";
    for (uint32_t i = 0; i < 20; i++) {
        name[6] = (char)('a' + i);
        closed_remember(&closed, text_of(name), i);
        for (uint32_t j = 0; j < 20; j++) {
            name[6] = (char)('a' + j);
            EXPECT_EQ(closed_knows(&closed, text_of(name), 20), j <= i && i - j < 4);
        }
    }
    arena_close(&arena);
}
