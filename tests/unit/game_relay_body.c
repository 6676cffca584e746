/* tests/unit/game_relay_body.c: what backends ask is read strictly, and the answer says what is
 * wrong (THREATS.md J2, J5, X1). */
#include "check.h"
#include "game/relay_body.h"

static uint8_t json_memory[json_memory_per_byte * 8192 + json_memory_fixed];
static uint8_t problem_memory[512];
static struct writer problem;

static const struct json *root_of(struct text document)
{
    struct text words = {};
    const struct json *root =
        json_read((struct bytes){json_memory, sizeof json_memory}, document, &words);
    EXPECT(root != nullptr);
    problem = writer_over(problem_memory, sizeof problem_memory);
    return root;
}

/* The words for what is wrong with it; "" when nothing is. */
#define WORDS(read)                                                \
    ({                                                             \
        bool right = (read);                                       \
        EXPECT(right == (problem.size == 0) && !problem.overflow); \
        text_from(writer_bytes(&problem));                         \
    })

static struct relay_opening opening;
static struct relay_event event;
static struct relay_change change;
static struct relay_kick kick;
static bool locked;
#define OPENING(document) WORDS(relay_read_opening(root_of(TEXT(document)), &opening, &problem))
#define EVENT(document) WORDS(relay_read_event(root_of(TEXT(document)), &event, &problem))
#define CHANGE(document) WORDS(relay_read_change(root_of(TEXT(document)), &change, &problem))
#define KICK(document) WORDS(relay_read_kick(root_of(TEXT(document)), &kick, &problem))
#define LOCK(document) WORDS(relay_read_lock(root_of(TEXT(document)), &locked, &problem))

TEST("a room is opened with all there is to say, or with nothing")
{
    EXPECT_TEXT(OPENING("{}"), "");
    EXPECT(opening.state == nullptr && opening.members_max == 0 && opening.empty_ms == 0);
    EXPECT(!opening.locked && !opening.chat);
    EXPECT_TEXT(OPENING("{\"id\":\"a\",\"state\":{\"x\":1},\"members_max\":100,\"locked\":true,"
                        "\"chat\":true,\"empty_ttl_ms\":86400000}"),
                "");
    EXPECT(json_is_object(opening.state) && opening.locked && opening.chat);
    EXPECT_EQ(opening.members_max, 100);
    EXPECT_EQ(opening.empty_ms, 86'400'000);
}

TEST("what is no number, flag or object of an opening is named, with what it may be")
{
    EXPECT_TEXT(OPENING("{\"members_max\":0}"),
                "has a member \"members_max\" that is not a whole number from 1 to 100");
    EXPECT_TEXT(OPENING("{\"members_max\":101}"),
                "has a member \"members_max\" that is not a whole number from 1 to 100");
    EXPECT_TEXT(OPENING("{\"members_max\":2.0}"),
                "has a member \"members_max\" that is not a whole number from 1 to 100");
    EXPECT_TEXT(OPENING("{\"members_max\":\"2\"}"),
                "has a member \"members_max\" that is not a whole number from 1 to 100");
    EXPECT_TEXT(OPENING("{\"empty_ttl_ms\":99}"),
                "has a member \"empty_ttl_ms\" that is not a whole number from 100 to 86400000");
    EXPECT_TEXT(OPENING("{\"empty_ttl_ms\":18446744073709551615}"),
                "has a member \"empty_ttl_ms\" that is not a whole number from 100 to 86400000");
    EXPECT_TEXT(OPENING("{\"locked\":1}"),
                "has a member \"locked\" that is neither true nor false");
    EXPECT_TEXT(OPENING("{\"chat\":null}"), "has a member \"chat\" that is neither true nor false");
    EXPECT_TEXT(OPENING("{\"state\":[]}"), "has a member \"state\" that is not an object");
    EXPECT_TEXT(OPENING("{\"state\":null}"), "has a member \"state\" that is not an object");
    EXPECT_TEXT(OPENING("[]"), "is not a JSON object");
}

TEST("a key that is not known is named, and a long one only so far as a sentence bears it")
{
    EXPECT_TEXT(OPENING("{\"state\":{},\"member_max\":3}"),
                "has a key that is not known here: \"member_max\"");
    EXPECT_TEXT(OPENING("{\"\":3}"), "has a key that is not known here: \"\"");
    EXPECT_TEXT(LOCK("{\"locked\":true,\"Locked\":true}"),
                "has a key that is not known here: \"Locked\"");
    EXPECT_TEXT(KICK("{\"player\":\"p\","
                     "\"012345678901234567890123456789012345678901234567890123456789012"
                     "\xf0\x9f\x90\x88"
                     "4\":1}"),
                "has a key that is not known here: "
                "\"012345678901234567890123456789012345678901234567890123456789012"
                "\xf0\x9f\x90\x88...\"");
}

TEST("an event has a name, and at will a payload and those for whom it is")
{
    EXPECT_TEXT(EVENT("{\"event\":\"go\"}"), "");
    EXPECT_TEXT(event.name, "go");
    EXPECT(event.payload == nullptr && event.to_count == 0);
    EXPECT_TEXT(EVENT("{\"event\":\"go\",\"payload\":{},\"to\":[\"p1\",\"p2\"]}"), "");
    EXPECT(json_is_object(event.payload));
    EXPECT_EQ(event.to_count, 2);
    EXPECT_TEXT(event.to[1], "p2");
    EXPECT_TEXT(EVENT("{}"), "has no event, the event's name");
    EXPECT_TEXT(
        EVENT("{\"event\":\"\"}"),
        "has a member \"event\" that is not a text of 1 to 64 bytes, all of them to be seen");
    EXPECT_TEXT(
        EVENT("{\"event\":\"a\\u0000b\"}"),
        "has a member \"event\" that is not a text of 1 to 64 bytes, all of them to be seen");
    EXPECT_TEXT(
        EVENT("{\"event\":7}"),
        "has a member \"event\" that is not a text of 1 to 64 bytes, all of them to be seen");
    EXPECT_TEXT(EVENT("{\"event\":\"go\",\"payload\":7}"),
                "has a member \"payload\" that is not an object");
}

TEST("an event is for 1 to 16 players, each of them once")
{
    const char *words =
        "has a member \"to\" that is not a list of 1 to 16 player ids, none of them twice";
    static const char *const wrong[] = {
        "[]",
        "\"p1\"",
        "null",
        "{}",
        "[1]",
        "[\"\"]",
        "[\"p1\",\"p2\",\"p1\"]",
        "[\"a\\nb\"]",
        "[\"01234567890123456789012345678901234567890123456789012345678901234\"]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char document[512];
        int size = snprintf(document, sizeof document, "{\"event\":\"x\",\"to\":%s}", wrong[i]);
        EXPECT(!relay_read_event(root_of((struct text){document, (size_t)size}), &event, &problem));
        EXPECT(text_equal(text_from(writer_bytes(&problem)), text_of(words)));
    }
    (void)EVENT("{\"event\":\"x\",\"to\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
                "\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]}");
    EXPECT(text_equal(text_from(writer_bytes(&problem)), text_of(words)));
    EXPECT_TEXT(EVENT("{\"event\":\"x\",\"to\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
                      "\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\"]}"),
                "");
}

TEST("a state is either replaced or merged")
{
    EXPECT_TEXT(CHANGE("{\"replace\":{}}"), "");
    EXPECT(!change.merges && !change.has_if_seq && json_is_object(change.value));
    EXPECT_TEXT(CHANGE("{\"merge\":{\"a\":null},\"if_seq\":0}"), "");
    EXPECT(change.merges && change.has_if_seq);
    EXPECT_EQ(change.if_seq, 0);
    EXPECT_TEXT(CHANGE("{}"), "must have either replace or merge, an object");
    EXPECT_TEXT(CHANGE("{\"if_seq\":1}"), "must have either replace or merge, an object");
    EXPECT_TEXT(CHANGE("{\"merge\":{},\"replace\":{}}"),
                "must have either replace or merge, an object");
    EXPECT_TEXT(CHANGE("{\"merge\":null}"), "has a member \"merge\" that is not an object");
    EXPECT_TEXT(CHANGE("{\"merge\":{},\"if_seq\":-1}"),
                "has a member \"if_seq\" that is not a whole number from 0 to 9223372036854775807");
}

TEST("who is kicked is named, and why may be told")
{
    EXPECT_TEXT(KICK("{\"player\":\"p1\"}"), "");
    EXPECT_TEXT(kick.player, "p1");
    EXPECT_EQ(kick.reason.size, 0);
    EXPECT_TEXT(KICK("{\"player\":\"p1\",\"reason\":\"too loud\"}"), "");
    EXPECT_TEXT(kick.reason, "too loud");
    EXPECT_TEXT(KICK("{}"), "has no player, a player's id");
    EXPECT_TEXT(
        KICK("{\"player\":\"p1\",\"reason\":\"\"}"),
        "has a member \"reason\" that is not a text of 1 to 200 bytes, all of them to be seen");
    EXPECT_TEXT(
        KICK("{\"player\":\"p\\u202e1\"}"),
        "has a member \"player\" that is not a text of 1 to 64 bytes, all of them to be seen");
}

TEST("a lock is on or off")
{
    EXPECT_TEXT(LOCK("{\"locked\":true}"), "");
    EXPECT(locked);
    EXPECT_TEXT(LOCK("{\"locked\":false}"), "");
    EXPECT(!locked);
    EXPECT_TEXT(LOCK("{}"), "has no locked, true or false");
    EXPECT_TEXT(LOCK("{\"locked\":\"true\"}"),
                "has a member \"locked\" that is neither true nor false");
}
