/* tests/unit/game_envelope.c: what a member says, taken apart (S2-10; THREATS.md J1 to J5). */
#include "check.h"
#include "game/envelope.h"

static uint8_t memory[json_memory_per_byte * 4096 + json_memory_fixed];
static struct envelope envelope;

static struct text take(const char *message)
{
    return envelope_read((struct bytes){memory, sizeof memory}, text_of(message), &envelope);
}

TEST("type, correlation_id and payload are found in any order, other keys are ignored (S2-10)")
{
    EXPECT_EQ(
        take("{\"x\":1,\"payload\":{\"a\":2},\"correlation_id\":\"c1\",\"type\":\"chat\"}").size,
        0);
    EXPECT_TEXT(envelope.type, "chat");
    EXPECT_TEXT(envelope.correlation, "c1");
    EXPECT_EQ(json_count(envelope.payload), 1);
    EXPECT_EQ(take("{\"type\":\"vote\"}").size, 0);
    EXPECT_EQ(envelope.correlation.size, 0);
    EXPECT(envelope.payload == nullptr);
}

TEST("what is no envelope is told from one, whatever is wrong with it (J1, J2, J3, J4, J5)")
{
    static const char *const wrong[] = {
        "",
        "chat",
        "[]",
        "null",
        "{",
        "{\"type\":\"a\"}{}",
        "{\"type\":\"a\",}",
        "{'type':'a'}",
        "\xef\xbb\xbf{\"type\":\"a\"}",
        "{\"type\":\"a\",\"type\":\"b\"}",
        "{\"type\":\"a\",\"payload\":{\"x\":1,\"x\":2}}",
        "{\"type\":\"a\",\"payload\":{\"x\":1e999}}",
        "{\"type\":\"a\",\"payload\":{\"x\":NaN}}",
        "{\"type\":\"a\",\"payload\":{\"x\":01}}",
        "{\"type\":\"a\",\"payload\":{\"x\":\"\\ud800\"}}",
        "{\"type\":1}",
        "{\"type\":[]}",
        "{\"type\":\"\"}",
        "{\"type\":\"012345678901234567890123456789012\"}",
        "{}",
        "{\"payload\":{}}",
        "{\"type\":\"a\",\"payload\":[]}",
        "{\"type\":\"a\",\"payload\":null}",
        "{\"type\":\"a\",\"correlation_id\":{}}",
        "{\"type\":\"a\",\"correlation_id\":\"\"}",
        "{\"type\":\"a\",\"correlation_id\":\"a\\u0000\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (take(wrong[i]).size == 0)
            check_failed(__FILE__, __LINE__, "taken for an envelope: %s", wrong[i]);
}

TEST("an answer can carry the correlation_id of a message with another fault, but no invalid one "
     "(J5)")
{
    EXPECT(take("{\"correlation_id\":\"c\",\"type\":7}").size > 0);
    EXPECT_TEXT(envelope.correlation, "c");
    EXPECT(
        take("{\"correlation_id\":\"0123456789012345678901234567890123456789012345678901234567890"
             "1234\",\"type\":\"a\"}")
            .size > 0);
    EXPECT_EQ(envelope.correlation.size, 0);
    EXPECT_EQ(
        take("{\"correlation_id\":\"012345678901234567890123456789012345678901234567890123456789"
             "0123\",\"type\":\"a\"}")
            .size,
        0);
    EXPECT_EQ(envelope.correlation.size, 64);
}
