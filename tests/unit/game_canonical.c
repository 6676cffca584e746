/* tests/unit/game_canonical.c: the canonical envelope, byte by byte (PROTOCOL ringcast.v1). */
#include "check.h"
#include "game/canonical.h"

static uint8_t memory[4096];
static struct game_words words;

static struct game_words *begin(void)
{
    words = words_over((struct bytes){memory, sizeof memory});
    return &words;
}

/* The one message that was said. */
static struct text said(void)
{
    EXPECT_EQ(words.count, 1);
    return words_text(&words, &words.messages[0]);
}

TEST("an envelope has its keys in one order, and without those that mean nothing")
{
    write_text(canonical_begin(begin(), GAME_TO_ALL, 0, TEXT("event"), TEXT("x")), TEXT("{}"));
    canonical_end(&words, TEXT("c"), 7);
    EXPECT_TEXT(said(), "{\"type\":\"event\",\"event\":\"x\",\"payload\":{},"
                        "\"correlation_id\":\"c\",\"seq\":7}");
    EXPECT_EQ(words.messages[0].audience, GAME_TO_ALL);
    write_text(canonical_begin(begin(), GAME_TO_OTHERS, 3, TEXT("state"), (struct text){}),
               TEXT("{\"a\":1}"));
    canonical_end(&words, (struct text){}, 0);
    EXPECT_TEXT(said(), "{\"type\":\"state\",\"payload\":{\"a\":1}}");
    EXPECT_EQ(words.messages[0].audience, GAME_TO_OTHERS);
    EXPECT_EQ(words.messages[0].member, 3);
}

TEST("who comes is welcomed by name, in that room")
{
    canonical_welcome(begin(), 5, TEXT("g1"), "lobby", TEXT("p\"1"), TEXT("Ann"));
    EXPECT_TEXT(said(), "{\"type\":\"system\",\"event\":\"welcome\",\"payload\":{\"room\":\"g1\","
                        "\"kind\":\"lobby\",\"you\":{\"player_id\":\"p\\\"1\","
                        "\"display_name\":\"Ann\"}}}");
    EXPECT_EQ(words.messages[0].audience, GAME_TO_ONE);
    EXPECT_EQ(words.messages[0].member, 5);
}

TEST("presence tells who, under a number")
{
    canonical_presence(begin(), GAME_TO_OTHERS, 5, TEXT("participant_joined"), TEXT("p1"),
                       TEXT("Ann"), 2);
    EXPECT_TEXT(said(), "{\"type\":\"event\",\"event\":\"participant_joined\",\"payload\":"
                        "{\"player_id\":\"p1\",\"display_name\":\"Ann\"},\"seq\":2}");
}

TEST("an ack repeats the correlation_id, and without one nothing is said")
{
    canonical_ack(begin(), 5, 0, TEXT("c"));
    EXPECT_TEXT(said(), "{\"type\":\"ack\",\"payload\":{\"ok\":true},\"correlation_id\":\"c\"}");
    canonical_ack(begin(), 5, 9, TEXT("c"));
    EXPECT_TEXT(said(),
                "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":9},\"correlation_id\":\"c\"}");
    canonical_ack(begin(), 5, 9, (struct text){});
    EXPECT_EQ(words.count, 0);
}

TEST("an error has its code twice, as event and in the payload")
{
    canonical_error(begin(), 5, TEXT("too_long"), TEXT("Say \"less\"."), TEXT("c\\"));
    EXPECT_TEXT(said(), "{\"type\":\"error\",\"event\":\"too_long\",\"payload\":"
                        "{\"code\":\"too_long\",\"message\":\"Say \\\"less\\\".\"},"
                        "\"correlation_id\":\"c\\\\\"}");
}

TEST("a pong has the ping's time and ours")
{
    canonical_pong(begin(), 5, -12, 1'700'000'000'000, (struct text){});
    EXPECT_TEXT(said(), "{\"type\":\"event\",\"event\":\"pong\",\"payload\":"
                        "{\"t0\":-12,\"t1\":1700000000000}}");
}
