#include "check.h"
#include "game/words.h"

constexpr size_t text_size = 256;
alignas(struct game_message) static uint8_t memory[words_list_size + text_size];

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
    EXPECT_EQ(words.out.size, text_size);
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

/* --- Saying much ------------------------------------------------------------------------------ */

constexpr struct words_size much = {.bytes = 64, .messages = 4, .numbers = 10, .gatherings = 2};
alignas(struct game_message) static uint8_t much_memory[1024];

/* What was delivered meanwhile: "text>1,2;" for each message. */
static char heard[512];

static void hear(struct game_words *words)
{
    char *end = heard + strlen(heard);
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        end += sprintf(end, "%.*s>", TEXT_ARG(words_text(words, message)));
        for (uint32_t n = 0; n < message->member; n++)
            end += sprintf(end, "%u,", words->numbers[message->list + n]);
        end += sprintf(end, ";");
    }
}

static struct game_words much_to_say(void)
{
    EXPECT(words_memory_size(much) <= sizeof much_memory);
    struct game_words words =
        words_over_much((struct bytes){much_memory, sizeof much_memory}, much);
    words.deliver = hear;
    heard[0] = '\0';
    return words;
}

static void say_to(struct game_words *words, uint32_t first, uint32_t count, const char *text)
{
    uint32_t *room = words_room(words, count);
    for (uint32_t i = 0; i < count; i++)
        room[i] = first + i;
    write_text(words_begin_some(words, count, strlen(text)), text_of(text));
    words_end(words);
}

TEST("a message to a list goes to those in it, and so does the one said again to the same")
{
    struct game_words words = much_to_say();
    say_to(&words, 5, 2, "one");
    write_text(words_begin_again(&words, 3), TEXT("two"));
    words_end(&words);
    say_to(&words, 9, 1, "three");
    hear(&words);
    EXPECT_TEXT(text_of(heard), "one>5,6,;two>5,6,;three>9,;");
}

TEST("when texts, messages or members fill the memory what was said is delivered, all in order")
{
    struct game_words words = much_to_say();
    const char *thirty = "123456789012345678901234567890";
    say_to(&words, 1, 1, thirty);
    say_to(&words, 2, 1, thirty);
    say_to(&words, 3, 1, thirty); /* no bytes left */
    EXPECT_EQ(words.count, 1);
    for (uint32_t i = 0; i < 4; i++)
        say_to(&words, 4 + i, 1, "x"); /* no messages left */
    EXPECT_EQ(words.count, 1);
    say_to(&words, 20, 9, "y");
    say_to(&words, 30, 2, "z"); /* no numbers left */
    hear(&words);
    EXPECT_TEXT(text_of(heard),
                "123456789012345678901234567890>1,;123456789012345678901234567890>2,;"
                "123456789012345678901234567890>3,;x>4,;x>5,;x>6,;x>7,;"
                "y>20,21,22,23,24,25,26,27,28,;z>30,31,;");
}

TEST("those of the last message are still known when it was delivered before it is said again")
{
    struct game_words words = much_to_say();
    say_to(&words, 1, 1, "first");
    say_to(&words, 7, 3, "123456789012345678901234567890");
    write_text(words_begin_again(&words, 60), TEXT("again"));
    words_end(&words);
    hear(&words);
    EXPECT_TEXT(text_of(heard), "first>1,;123456789012345678901234567890>7,8,9,;again>7,8,9,;");
}

TEST("parts wait for those who gather them, each with its key, in the order that is wanted")
{
    struct game_words words = much_to_say();
    say_to(&words, 1, 1, "before");
    words_begin_parts(&words);
    EXPECT_TEXT(text_of(heard), "before>1,;");
    uint32_t places[2];
    for (uint32_t i = 0; i < 2; i++) {
        places[1 - i] = words.count;
        write_text(words_begin_part(&words, 40 + i), TEXT("part"));
        words_end(&words);
    }
    words_room(&words, 3)[0] = 77;
    words_gather(&words, 1, places, 2);
    words_room(&words, 3)[0] = 88;
    words_gather(&words, 1, places, 1);
    EXPECT_EQ(words.messages[1].audience, GAME_TO_GATHERERS);
    EXPECT_EQ(words.messages[1].member, 41);
    EXPECT_EQ(words.gathering_count, 2);
    const struct game_gathering *first = &words.gatherings[0], *second = &words.gatherings[1];
    EXPECT_EQ(words.numbers[first->members], 77);
    EXPECT(first->part_count == 2 && words.numbers[first->parts] == 1 &&
           words.numbers[first->parts + 1] == 0);
    EXPECT_EQ(words.numbers[second->members], 88);
    EXPECT(second->part_count == 1 && words.numbers[second->parts] == 1);
}
