/* tests/unit/game_limits.c: what members may do how often, and who must go (THREATS.md R9, R11). */
#include "check.h"
#include "game/limits.h"

static struct member_limits ann, bob;
static uint32_t room_chat;
static struct game_rates rates;

static void begin(void)
{
    ann = bob = (struct member_limits){};
    room_chat = 0;
    rates =
        (struct game_rates){.chat = rate_of(5), .room_chat = rate_of(8), .state = rate_of(4096)};
}

/* How many of `tries` messages are allowed at this time. */
static uint32_t chatting(struct member_limits *member, uint64_t now_ms, uint32_t tries)
{
    uint32_t allowed = 0;
    for (uint32_t i = 0; i < tries; i++)
        allowed += limits_chat(member, &room_chat, &rates, now_ms).limit == GAME_LIMIT_NONE;
    return allowed;
}

TEST("a member says as much as its own rate lets pass, and is told when it may go on (R9)")
{
    begin();
    EXPECT_EQ(chatting(&ann, 1'000, 10), 10);
    struct limit_verdict verdict = limits_chat(&ann, &room_chat, &rates, 1'000);
    EXPECT_EQ(verdict.limit, GAME_LIMIT_CHAT);
    EXPECT_EQ(verdict.retry_ms, 200);
    EXPECT(!verdict.last);
    EXPECT_EQ(chatting(&ann, 1'199, 1), 0);
    EXPECT_EQ(chatting(&ann, 1'200, 5), 1);
}

TEST("a room says as much as its rate lets pass, whoever speaks; who is refused for it keeps its "
     "own")
{
    begin();
    EXPECT_EQ(chatting(&ann, 1'000, 10), 10);
    EXPECT_EQ(chatting(&bob, 1'000, 9), 6);
    struct limit_verdict verdict = limits_chat(&bob, &room_chat, &rates, 1'000);
    EXPECT_EQ(verdict.limit, GAME_LIMIT_ROOM_CHAT);
    EXPECT_EQ(verdict.retry_ms, 125);
    EXPECT_EQ(bucket_level(bob.chat, rates.chat, 1'000), 6);
    EXPECT_EQ(chatting(&bob, 1'125, 5), 1);
}

TEST("state costs its bytes: small ones often, large ones seldom, any one at least once (R11)")
{
    begin();
    for (uint32_t i = 0; i < 8; i++)
        EXPECT_EQ(limits_state(&ann, &rates, 1'000, 1'000).limit, GAME_LIMIT_NONE);
    struct limit_verdict verdict = limits_state(&ann, &rates, 1'000, 1'000);
    EXPECT_EQ(verdict.limit, GAME_LIMIT_STATE);
    EXPECT(verdict.retry_ms > 0 && verdict.retry_ms < 250);
    EXPECT_EQ(limits_state(&ann, &rates, 1'000 + verdict.retry_ms, 1'000).limit, GAME_LIMIT_NONE);
    EXPECT_EQ(limits_state(&bob, &rates, 1'000, 100'000).limit, GAME_LIMIT_NONE);
    verdict = limits_state(&bob, &rates, 1'000, 1);
    EXPECT_EQ(verdict.limit, GAME_LIMIT_STATE);
    EXPECT_EQ(limits_state(&bob, &rates, 1'000, 100'000).retry_ms, 2'000);
    EXPECT_EQ(chatting(&bob, 1'000, 3), 3); /* chat is another matter */
}

TEST("who waits as long as it is told is never let go; who goes on is, after twenty times (R9)")
{
    begin();
    uint64_t now_ms = 1'000;
    for (uint32_t i = 0; i < 1'000; i++) {
        struct limit_verdict verdict = limits_chat(&ann, &room_chat, &rates, now_ms);
        EXPECT(!verdict.last);
        now_ms += verdict.retry_ms;
    }
    now_ms += 60'000;
    EXPECT_EQ(chatting(&bob, now_ms, 11), 10);
    for (uint32_t i = 0; i < game_defiances_most; i++)
        EXPECT(!limits_chat(&bob, &room_chat, &rates, now_ms).last);
    EXPECT(limits_chat(&bob, &room_chat, &rates, now_ms).last);
    EXPECT(limits_state(&bob, &rates, now_ms, 1).limit == GAME_LIMIT_NONE);
}

TEST("what was defied adds up, and is forgotten by the time that who was let go may return")
{
    begin();
    EXPECT_EQ(chatting(&ann, 1'000, 21), 10); /* told once, and ten times too early */
    EXPECT_EQ(limits_state(&ann, &rates, 1'000, 100'000).limit, GAME_LIMIT_NONE);
    for (uint32_t i = 0; i < 11; i++)
        EXPECT(!limits_state(&ann, &rates, 1'000, 1).last);
    EXPECT(limits_state(&ann, &rates, 1'000, 1).last);
    uint64_t back_ms = 1'000 + game_flood_retry_ms;
    EXPECT_EQ(chatting(&ann, back_ms, 11), 10);
    for (uint32_t i = 0; i < game_defiances_most; i++)
        EXPECT(!limits_chat(&ann, &room_chat, &rates, back_ms).last);
    EXPECT(limits_chat(&ann, &room_chat, &rates, back_ms).last);
}

TEST("a second a defiance: who is a little early each time is let go only when it does so often")
{
    begin();
    uint64_t now_ms = 1'000;
    EXPECT_EQ(chatting(&ann, now_ms, 10), 10);
    for (uint32_t i = 0; i < 1'000; i++) {
        EXPECT(!limits_chat(&ann, &room_chat, &rates, now_ms).last);
        now_ms += 100;
        EXPECT(!limits_chat(&ann, &room_chat, &rates, now_ms).last); /* 100 ms too early */
        now_ms += 2'000;
    }
}

TEST("a rate of 0 is no limit")
{
    begin();
    rates = (struct game_rates){};
    EXPECT_EQ(chatting(&ann, 1'000, 100'000), 100'000);
    EXPECT_EQ(limits_state(&ann, &rates, 1'000, UINT32_MAX).limit, GAME_LIMIT_NONE);
}
