/* tests/unit/game_chat.c: what may be told to others of what a member says (THREATS.md J8). */
#include "check.h"
#include "game/chat.h"

static uint8_t json_memory[json_memory_per_byte * 8192 + json_memory_fixed];
static char clean_memory[8192];
static struct text message;
static enum chat_fault fault;

static struct text read_payload(struct text document, uint32_t code_points_max)
{
    struct text problem;
    const struct json *payload =
        json_read((struct bytes){json_memory, sizeof json_memory}, document, &problem);
    struct writer clean = writer_over(clean_memory, sizeof clean_memory);
    EXPECT(payload != nullptr);
    return chat_read(payload, code_points_max, &clean, &message, &fault);
}
#define READ(document) read_payload(TEXT(document), 500)

TEST("a message comes without what cannot be seen, and trimmed (J8)")
{
    EXPECT_TEXT(READ("{\"message\":\" a\\u202eb\\n\\u200bc \"}"), "");
    EXPECT_TEXT(message, "ab c");
    EXPECT_EQ(fault, CHAT_FINE);
}

TEST("a message that is no text is none (J5)")
{
    EXPECT_TEXT(READ("{}"), "has no payload.message, a text");
    EXPECT_TEXT(READ("{\"message\":[\"a\"]}"), "has no payload.message, a text");
    EXPECT_TEXT(READ("{\"message\":\"a\\u0000\"}"), "has a NUL in its payload.message");
}

TEST("a message of nothing is told to nobody (J8)")
{
    EXPECT_TEXT(READ("{\"message\":\"\"}"), "");
    EXPECT_EQ(fault, CHAT_EMPTY);
    EXPECT_TEXT(READ("{\"message\":\" \\u200b\\t\"}"), "");
    EXPECT_EQ(fault, CHAT_EMPTY);
    EXPECT_TEXT(chat_code(fault), "empty");
}

/* {"message":"..."} with `count` times `piece`. */
static struct text repeated(const char *piece, uint32_t count)
{
    static char memory[8192];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, TEXT("{\"message\":\""));
    for (uint32_t i = 0; i < count; i++)
        write_text(&out, text_of(piece));
    write_text(&out, TEXT("\"}"));
    return text_from(writer_bytes(&out));
}

TEST("a message is bounded in code points and in bytes (S2-12, J8)")
{
    EXPECT_TEXT(read_payload(repeated("a", 20), 20), "");
    EXPECT_EQ(fault, CHAT_FINE);
    EXPECT_TEXT(read_payload(repeated("a", 21), 20), "");
    EXPECT_EQ(fault, CHAT_TOO_LONG);
    EXPECT_TEXT(chat_code(fault), "too_long");
    EXPECT_TEXT(read_payload(repeated("\xf0\x9f\x90\x88", 300), 500), "");
    EXPECT_EQ(fault, CHAT_FINE);
    EXPECT_TEXT(read_payload(repeated("\xf0\x9f\x90\x88", 301), 500), "");
    EXPECT_EQ(fault, CHAT_TOO_LONG);
}
