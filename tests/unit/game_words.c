#include "check.h"
#include "game/words.h"

static uint8_t memory[256];

static struct game_words none(void)
{
    return words_over((struct bytes){memory, sizeof memory});
}

static void add(struct game_words *words, const char *text, enum game_audience audience,
                uint32_t member)
{
    write_text(words_begin(words, audience, member), text_of(text));
    words_end(words);
}

TEST("nothing is said until something is")
{
    struct game_words words = none();
    EXPECT_EQ(words.count, 0);
    EXPECT(!words.over);
}

TEST("messages keep their order, their bytes and for whom they are")
{
    struct game_words words = none();
    add(&words, "to all", GAME_TO_ALL, 0);
    add(&words, "", GAME_TO_OTHERS, 7);
    add(&words, "to seven", GAME_TO_ONE, 7);
    EXPECT_EQ(words.count, 3);
    EXPECT_TEXT(words_text(&words, &words.messages[0]), "to all");
    EXPECT_TEXT(words_text(&words, &words.messages[1]), "");
    EXPECT_TEXT(words_text(&words, &words.messages[2]), "to seven");
    EXPECT_EQ(words.messages[0].audience, GAME_TO_ALL);
    EXPECT_EQ(words.messages[1].audience, GAME_TO_OTHERS);
    EXPECT_EQ(words.messages[1].member, 7);
    EXPECT_EQ(words.messages[2].audience, GAME_TO_ONE);
    EXPECT_EQ(words.messages[2].member, 7);
}

TEST("as many messages as one input may cause fill the list, and as many bytes the memory")
{
    struct game_words words = none();
    for (size_t i = 0; i < game_messages_max; i++)
        add(&words, "0123456789abcdef", GAME_TO_ONE, (uint32_t)i);
    EXPECT_EQ(words.count, game_messages_max);
    EXPECT_EQ(words.out.size, sizeof memory);
    for (size_t i = 0; i < game_messages_max; i++) {
        EXPECT_TEXT(words_text(&words, &words.messages[i]), "0123456789abcdef");
        EXPECT_EQ(words.messages[i].member, i);
    }
}

TEST("one text may go to several members by name, and members may be told to go")
{
    struct game_words words = none();
    add(&words, "to some", GAME_TO_ONE, 3);
    words_also(&words, 5);
    add(&words, "to all", GAME_TO_ALL, 0);
    words_dismiss(&words, 5, GAME_DISMISS_REPLACED);
    EXPECT_EQ(words.count, 3);
    EXPECT_TEXT(words_text(&words, &words.messages[1]), "to some");
    EXPECT_EQ(words.messages[1].start, words.messages[0].start);
    EXPECT_EQ(words.messages[1].member, 5);
    EXPECT_TEXT(words_text(&words, &words.messages[2]), "to all");
    EXPECT_EQ(words.dismissed_count, 1);
    EXPECT_EQ(words.dismissed[0].member, 5);
    EXPECT_EQ(words.dismissed[0].why, GAME_DISMISS_REPLACED);
}

TEST("a token that a member has sent may be put forward to be checked")
{
    struct game_words words = none();
    EXPECT(!words.asked.is_asked);
    words_verify(&words, 7, TEXT("a.b.c"));
    EXPECT(words.asked.is_asked);
    EXPECT_EQ(words.asked.member, 7);
    EXPECT_TEXT(words.asked.token, "a.b.c");
    EXPECT_EQ(words.count, 0);
}
