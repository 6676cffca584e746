/* tests/unit/game_relay.c: rooms whose rules live in a backend: what it asks, who gets in, what is
 * said to whom under which number (S3-3, S3-4; THREATS.md A15, G4, G16, J2, R9). */
#include "check.h"
#include "game/games.h"
#include "game/relay.h"
#include <stdalign.h>

constexpr uint32_t leave_ms = 5000, empty_ms = 60'000, token_ms = 3'600'000;

/* A room on a table, the clock that the test moves, and what was said last. */
struct table_room {
    alignas(16) uint8_t state[128 * 1024];
    struct game_options options;
    uint64_t now_ms;
    struct game_words words;
    uint8_t said[128 * 1024];
    char reply[relay_reply_size_max];
    size_t reply_size;
};

static struct table_room room;
static uint8_t memory[relay_memory_size];
static uint8_t json_memory[json_memory_per_byte * 4096 + json_memory_fixed];

static struct game_time now(void)
{
    return (struct game_time){
        .ms = room.now_ms, .ns = room.now_ms * 1000 * 1000, .wall_ms = 1'700'000'000'000};
}

static struct game_words *hear(void)
{
    room.words = words_over((struct bytes){room.said, sizeof room.said});
    return &room.words;
}

static enum game_answer ask_for(struct text verb, struct text body)
{
    struct writer out = writer_over(room.reply, sizeof room.reply);
    const struct game_request request = {
        .verb = verb, .body = body, .memory = {memory, sizeof memory}};
    enum game_answer answer = game_relay.request(room.state, &request, now(), &out, hear());
    room.reply_size = out.size;
    EXPECT(!out.overflow);
    return answer;
}
#define ASK(verb, body) ask_for(TEXT(verb), TEXT(body))

static struct text reply(void)
{
    return (struct text){room.reply, room.reply_size};
}

/* Of what is behind fresh_size nothing may be looked at: it is not zero. */
static void open_with(struct text body)
{
    memset(&room, 0xA5, sizeof room);
    EXPECT(game_relay.state_size <= sizeof room.state);
    memset(room.state, 0, game_relay.fresh_size);
    room.options = (struct game_options){
        .players_max = 3, .chat_max = 500, .leave_ms = leave_ms, .empty_ms = empty_ms};
    room.now_ms = 1000;
    game_relay.open(room.state, &(struct game_opening){.options = &room.options,
                                                       .seed = 1,
                                                       .id = TEXT("table-7"),
                                                       .secret = TEXT("epoch-1"),
                                                       .now = now()});
    EXPECT_EQ(ask_for(TEXT("open"), body), GAME_DONE);
}
#define OPEN(body) open_with(TEXT(body))

static enum game_admission admits(const char *player)
{
    return game_relay.admits(room.state, &(struct game_guest){.player = text_of(player)});
}

static void arrive_until(uint32_t member, const char *player, const char *name, uint64_t until_ms)
{
    EXPECT_EQ(admits(player), GAME_ADMITTED);
    const struct game_guest guest = {
        .player = text_of(player), .name = text_of(name), .until_ms = until_ms};
    game_relay.arrive(room.state, member, &guest, now(), hear());
}

static void arrive(uint32_t member, const char *player, const char *name)
{
    arrive_until(member, player, name, room.now_ms + token_ms);
}

static void leave(uint32_t member)
{
    game_relay.leave(room.state, member, now(), hear());
}

static void advance_to(uint64_t ms)
{
    room.now_ms = ms;
    (void)game_relay.advance(room.state, now(), hear());
}

static void receive(uint32_t member, struct text text)
{
    game_relay.receive(room.state, member, text, now(),
                       (struct bytes){json_memory, sizeof json_memory}, hear());
}
#define SAY(member, message) receive(member, TEXT(message))

static struct text said(uint32_t index, enum game_audience audience, uint32_t member)
{
    EXPECT(index < room.words.count);
    if (index >= room.words.count) return (struct text){};
    EXPECT_EQ(room.words.messages[index].audience, audience);
    if (audience != GAME_TO_ALL) EXPECT_EQ(room.words.messages[index].member, member);
    return words_text(&room.words, &room.words.messages[index]);
}

static struct text only(enum game_audience audience, uint32_t member)
{
    EXPECT_EQ(room.words.count, 1);
    return said(0, audience, member);
}

static bool holds(struct text text, const char *piece)
{
    return memmem(text.data, text.size, piece, strlen(piece)) != nullptr;
}

/* Ann is member 1, Bob member 2; nobody has been told anything but that they came: seq is 2. */
static void open_with_two(const char *body)
{
    open_with(text_of(body));
    arrive(1, "p1", "Ann");
    arrive(2, "p2", "Bob");
}

/* --- Opening --------------------------------------------------------------------------------- */

TEST("a room is opened as its backend wants it, else as the operator does")
{
    OPEN("{}");
    EXPECT_TEXT(reply(), "{\"room\":{\"id\":\"table-7\",\"kind\":\"relay\",\"epoch\":\"epoch-1\","
                         "\"seq\":0,\"members\":0,\"members_max\":3,\"locked\":false,"
                         "\"chat\":false,\"empty_ttl_ms\":60000,\"created_at\":1700000000000}}");
    EXPECT_EQ(room.words.count, 0);
    OPEN("{\"state\":{ \"a\" : [1, 2] },\"members_max\":9,\"locked\":true,\"chat\":true,"
         "\"empty_ttl_ms\":100}");
    EXPECT(holds(reply(), "\"members_max\":9,\"locked\":true,\"chat\":true,\"empty_ttl_ms\":100,"));
    EXPECT_EQ(ASK("show", ""), GAME_UNCHANGED);
    EXPECT(holds(reply(), "},\"state\":{\"a\":[1,2]},\"members\":[]}"));
}

TEST("a body that is wrong is refused with words for it, and nothing is changed (J2)")
{
    OPEN("{}");
    EXPECT_EQ(ASK("publish", "{\"event\":\"a\",\"event\":\"b\"}"), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "has a key twice");
    EXPECT_EQ(ASK("publish", ""), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "is empty");
    EXPECT_EQ(ASK("state", "{\"replace\":{\"x\":{\"y\":1,\"y\":2}}}"), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "has a key twice");
    EXPECT_EQ(ASK("state", "{\"replace\":{}"), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "is not valid JSON");
    EXPECT_EQ(ASK("state", "{\"relpace\":{}}"), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "has a key that is not known here: \"relpace\"");
    EXPECT_EQ(ASK("kick", "[]"), GAME_NOT_UNDERSTOOD);
    EXPECT_EQ(ASK("lock", "7"), GAME_NOT_UNDERSTOOD);
    EXPECT_EQ(ASK("show", ""), GAME_UNCHANGED);
    EXPECT(holds(reply(), "\"seq\":0,"));
}

/* --- Coming and going ------------------------------------------------------------------------ */

TEST("who comes hears who it is, who is here and the state; the others hear of it, numbered")
{
    OPEN("{\"state\":{\"round\":1},\"chat\":true}");
    arrive(1, "p1", "Ann");
    EXPECT_EQ(room.words.count, 4);
    EXPECT_TEXT(said(0, GAME_TO_OTHERS, 1),
                "{\"type\":\"event\",\"event\":\"participant_joined\",\"payload\":{"
                "\"player_id\":\"p1\",\"display_name\":\"Ann\"},\"seq\":1}");
    EXPECT_TEXT(said(1, GAME_TO_ONE, 1),
                "{\"type\":\"system\",\"event\":\"welcome\",\"payload\":{\"room\":\"table-7\","
                "\"kind\":\"relay\",\"you\":{\"player_id\":\"p1\",\"display_name\":\"Ann\"}}}");
    EXPECT_TEXT(said(2, GAME_TO_ONE, 1),
                "{\"type\":\"event\",\"event\":\"members\",\"payload\":{\"members\":[{"
                "\"player_id\":\"p1\",\"display_name\":\"Ann\",\"present\":true}],"
                "\"members_max\":3,\"locked\":false,\"chat\":true}}");
    EXPECT_TEXT(said(3, GAME_TO_ONE, 1),
                "{\"type\":\"state\",\"payload\":{\"round\":1},\"seq\":1}");
    arrive(2, "p2", "Bob");
    EXPECT(holds(said(0, GAME_TO_OTHERS, 2), "\"seq\":2}"));
    EXPECT(holds(said(2, GAME_TO_ONE, 2), "\"Ann\",\"present\":true},{\"player_id\":\"p2\""));
}

TEST("a blip is not told; who stays away has left, and the place is free")
{
    open_with_two("{\"members_max\":2}");
    leave(2);
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(admits("p3"), GAME_FULL);
    EXPECT_EQ(game_relay.due(room.state), room.now_ms + leave_ms);
    advance_to(room.now_ms + leave_ms - 1);
    EXPECT_EQ(room.words.count, 0);
    arrive(3, "p2", "Bob");
    EXPECT_EQ(room.words.count, 3); /* only to itself */
    EXPECT_EQ(room.words.dismissed_count, 0);
    leave(3);
    advance_to(room.now_ms + leave_ms);
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"participant_left\",\"payload\":{"
                "\"player_id\":\"p2\",\"display_name\":\"Bob\"},\"seq\":3}");
    EXPECT_EQ(admits("p3"), GAME_ADMITTED);
}

TEST("the newer connection of a player wins, and the older one's leaving changes nothing (G5)")
{
    open_with_two("{}");
    arrive(3, "p1", "Ann");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_REPLACED);
    leave(1);
    EXPECT_EQ(ASK("publish", "{\"event\":\"x\",\"to\":[\"p1\"]}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"members\":1}");
    EXPECT(holds(only(GAME_TO_ONE, 3), "\"event\":\"x\""));
}

TEST("a player who comes back under another name keeps the one that the others know")
{
    open_with_two("{}");
    leave(2);
    arrive(3, "p2", "Robert");
    EXPECT(holds(said(0, GAME_TO_ONE, 3), "\"display_name\":\"Bob\""));
    leave(3);
    advance_to(room.now_ms + leave_ms);
    arrive(4, "p2", "Robert");
    EXPECT(holds(said(0, GAME_TO_OTHERS, 4), "\"display_name\":\"Robert\""));
}

TEST("a room takes as many as it has places for, whoever asks how often (G4)")
{
    OPEN("{\"members_max\":2}");
    arrive(1, "p1", "Ann");
    EXPECT_EQ(admits("p2"), GAME_ADMITTED);
    arrive(2, "p2", "Bob");
    EXPECT_EQ(admits("p3"), GAME_FULL);
    EXPECT_EQ(admits("p1"), GAME_ADMITTED); /* on another connection */
}

TEST("a token that expires ends its connection, and the player may come back")
{
    OPEN("{}");
    arrive_until(1, "p1", "Ann", room.now_ms + 100);
    EXPECT_EQ(game_relay.due(room.state), room.now_ms + 100);
    advance_to(room.now_ms + 100);
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"token_expired\""));
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_EXPIRED);
    leave(1);
    arrive(2, "p1", "Ann");
    EXPECT_EQ(room.words.count, 3);
}

TEST("a room in which nobody has been for its time is over, whatever its backend did there (G16)")
{
    OPEN("{\"empty_ttl_ms\":1000}");
    EXPECT_EQ(game_relay.due(room.state), 2000);
    room.now_ms = 1500;
    EXPECT_EQ(ASK("publish", "{\"event\":\"x\"}"), GAME_DONE);
    arrive(1, "p1", "Ann");
    leave(1);
    EXPECT_EQ(game_relay.due(room.state), 2500);
    advance_to(2499);
    EXPECT(!room.words.over);
    advance_to(2500);
    EXPECT(room.words.over);
}

TEST("many who are away at once leave in turns, each of them told")
{
    OPEN("{\"members_max\":100}");
    char id[8];
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "p%u", i);
        arrive(i, id, id);
    }
    EXPECT_EQ(admits("another"), GAME_FULL);
    for (uint32_t i = 0; i < 99; i++)
        leave(i);
    uint32_t told = 0;
    room.now_ms += leave_ms;
    while (game_relay.due(room.state) <= room.now_ms) {
        advance_to(room.now_ms);
        told += room.words.count;
    }
    EXPECT_EQ(told, 99);
    EXPECT_EQ(ASK("show", ""), GAME_UNCHANGED);
    EXPECT(holds(reply(), "\"members\":[{\"player_id\":\"p99\",\"display_name\":\"p99\","
                          "\"present\":true}]}"));
}

/* --- Events ---------------------------------------------------------------------------------- */

TEST("an event goes to all under a number, in one text")
{
    open_with_two("{}");
    EXPECT_EQ(ASK("publish", "{\"event\":\"deal\",\"payload\":{\"card\" : \"7\"}}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"seq\":3,\"members\":2}");
    EXPECT_TEXT(only(GAME_TO_ALL, 0), "{\"type\":\"event\",\"event\":\"deal\",\"payload\":{"
                                      "\"card\":\"7\"},\"seq\":3}");
    EXPECT_EQ(ASK("publish", "{\"event\":\"a\\\"b\"}"), GAME_DONE);
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"a\\\"b\",\"payload\":{},\"seq\":4}");
}

TEST("an event to some goes to those who are here, and has no number")
{
    open_with_two("{}");
    arrive(3, "p3", "Cid");
    leave(1);
    EXPECT_EQ(ASK("publish", "{\"event\":\"hand\",\"to\":[\"p3\",\"p1\",\"nobody\",\"p2\"]}"),
              GAME_DONE);
    EXPECT_TEXT(reply(), "{\"members\":2}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(said(0, GAME_TO_ONE, 3), "{\"type\":\"event\",\"event\":\"hand\",\"payload\":{}}");
    EXPECT_EQ(said(1, GAME_TO_ONE, 2).data - said(0, GAME_TO_ONE, 3).data, 0); /* one frame */
    EXPECT_EQ(ASK("publish", "{\"event\":\"hand\",\"to\":[\"p1\"]}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"members\":0}");
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(ASK("publish", "{\"event\":\"x\"}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"seq\":4,\"members\":2}");
}

/* {"KEY":{"a":[ITEM,ITEM,...]}} of about so many bytes. */
static struct text filled(const char *head, const char *item, size_t size)
{
    static char document[backend_body_size_max];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, text_of(head));
    write_text(&out, TEXT("{\"a\":["));
    write_text(&out, text_of(item));
    while (out.size + strlen(item) + 4 <= size) {
        write_byte(&out, ',');
        write_text(&out, text_of(item));
    }
    write_text(&out, TEXT("]}}"));
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

TEST("a payload has 16 KiB, and one that grows beyond that as it is written has not")
{
    open_with_two("{}");
    const char *head = "{\"event\":\"x\",\"payload\":";
    EXPECT_EQ(ask_for(TEXT("publish"), filled(head, "[[]]", relay_state_size_max)), GAME_DONE);
    EXPECT_EQ(ask_for(TEXT("publish"), filled(head, "0", backend_body_size_max)), GAME_REFUSED);
    EXPECT_TEXT(reply(), "payload_too_large");
    EXPECT_EQ(ask_for(TEXT("publish"), filled(head, "1e20", 12'000)), GAME_REFUSED);
    EXPECT_EQ(room.words.count, 0);
}

/* --- The state ------------------------------------------------------------------------------- */

TEST("a change of the state is told to all at once: replaced, or merged as RFC 7396 has it")
{
    open_with_two("{\"state\":{\"a\":1}}");
    EXPECT_EQ(ASK("state", "{\"replace\":{\"b\":{\"c\":1,\"d\":2}}}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"seq\":3}");
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"state\",\"payload\":{\"b\":{\"c\":1,\"d\":2}},\"seq\":3}");
    EXPECT_EQ(ASK("state", "{\"merge\":{\"b\":{\"c\":null},\"e\":[null]}}"), GAME_DONE);
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"state\",\"payload\":{\"b\":{\"d\":2},\"e\":[null]},\"seq\":4}");
    SAY(2, "{\"type\":\"sync_state\",\"correlation_id\":\"s1\"}");
    EXPECT_TEXT(only(GAME_TO_ONE, 2), "{\"type\":\"state\",\"payload\":{\"b\":{\"d\":2},"
                                      "\"e\":[null]},\"correlation_id\":\"s1\",\"seq\":4}");
}

TEST("a change that changes nothing is accepted and not told")
{
    open_with_two("{\"state\":{\"a\":1}}");
    EXPECT_EQ(ASK("state", "{\"merge\":{}}"), GAME_UNCHANGED);
    EXPECT_TEXT(reply(), "{\"seq\":0}");
    EXPECT_EQ(ASK("state", "{\"replace\":{ \"a\" : 1 }}"), GAME_UNCHANGED);
    EXPECT_EQ(room.words.count, 0);
}

TEST("with if_seq a state is changed only while it is the one that the backend has seen")
{
    open_with_two("{}");
    EXPECT_EQ(ASK("state", "{\"replace\":{\"a\":1},\"if_seq\":0}"), GAME_DONE); /* now at 3 */
    EXPECT_EQ(ASK("state", "{\"replace\":{\"a\":2},\"if_seq\":2}"), GAME_REFUSED);
    EXPECT_TEXT(reply(), "seq_mismatch");
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(ASK("publish", "{\"event\":\"x\"}"), GAME_DONE); /* 4: the state is the same */
    EXPECT_EQ(ASK("state", "{\"replace\":{\"a\":2},\"if_seq\":5}"), GAME_REFUSED);
    EXPECT_EQ(ASK("state", "{\"replace\":{\"a\":2},\"if_seq\":4}"), GAME_DONE); /* 5 */
    EXPECT_EQ(ASK("state", "{\"merge\":{\"a\":3},\"if_seq\":4}"), GAME_REFUSED);
    EXPECT_EQ(ASK("state", "{\"merge\":{\"a\":3},\"if_seq\":5}"), GAME_DONE);
}

TEST("a state that grows too large, by one change or by many, is refused and stays as it was")
{
    OPEN("{}");
    const char *head = "{\"replace\":";
    EXPECT_EQ(ask_for(TEXT("state"), filled(head, "0", backend_body_size_max)), GAME_REFUSED);
    EXPECT_TEXT(reply(), "state_too_large");
    EXPECT_EQ(ask_for(TEXT("state"), filled(head, "[[]]", relay_state_size_max)), GAME_DONE);
    EXPECT_EQ(ASK("state", "{\"merge\":{\"b\":\"0123456789012345678901234567890123456789\"}}"),
              GAME_REFUSED);
    EXPECT_TEXT(reply(), "state_too_large");
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(ASK("state", "{\"merge\":{\"a\":null}}"), GAME_DONE);
    EXPECT(holds(only(GAME_TO_ALL, 0), "\"payload\":{},"));
}

TEST("whatever two documents are merged, the memory for it is enough")
{
    static const char *const items[] = {"0", "1e20", "[]", "{\"a\":0}", "\"\\u0001\"", "\"\""};
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        OPEN("{}");
        /* numbers may be written longer than they were read */
        size_t size = strcmp(items[i], "1e20") == 0 ? 3000 : relay_state_size_max - 16;
        EXPECT_EQ(ask_for(TEXT("state"), filled("{\"replace\":", items[i], size)), GAME_DONE);
        EXPECT_EQ(ask_for(TEXT("state"), filled("{\"merge\":", items[i], size - 64)), GAME_DONE);
        EXPECT_EQ(ASK("state", "{\"merge\":{\"a\":1}}"), GAME_DONE);
        EXPECT(holds(only(GAME_TO_ALL, 0), "\"payload\":{\"a\":1}"));
    }
}

/* {"merge":{"kN":N,...}} of `count` keys from `first` on. */
static struct text keys(uint32_t first, uint32_t count)
{
    static char document[8192];
    struct writer out = writer_over(document, sizeof document);
    write_text(&out, TEXT("{\"merge\":{"));
    for (uint32_t i = first; i < first + count; i++)
        write_format(&out, "%s\"k%u\":%u", i > first ? "," : "", i, i);
    write_text(&out, TEXT("}}"));
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

TEST("a state whose object would have more keys than can be read again is refused")
{
    OPEN("{}");
    EXPECT_EQ(ask_for(TEXT("state"), keys(0, 200)), GAME_DONE);
    EXPECT_EQ(ask_for(TEXT("state"), keys(200, 57)), GAME_REFUSED);
    EXPECT_TEXT(reply(), "state_too_large");
    EXPECT_EQ(ask_for(TEXT("state"), keys(200, 56)), GAME_DONE);
    EXPECT_EQ(ASK("state", "{\"merge\":{\"k0\":null}}"), GAME_DONE);
}

/* --- Sending away and locking ---------------------------------------------------------------- */

TEST("who is kicked is told why, goes, and does not get in again while the room lives (A15)")
{
    open_with_two("{}");
    EXPECT_EQ(ASK("kick", "{\"player\":\"p2\",\"reason\":\"too \\\"loud\\\"\"}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"player_id\":\"p2\",\"present\":true}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(said(0, GAME_TO_ONE, 2), "{\"type\":\"system\",\"event\":\"kicked\",\"payload\":{"
                                         "\"reason\":\"too \\\"loud\\\"\"}}");
    EXPECT_TEXT(said(1, GAME_TO_OTHERS, 2),
                "{\"type\":\"event\",\"event\":\"participant_left\",\"payload\":{"
                "\"player_id\":\"p2\",\"display_name\":\"Bob\"},\"seq\":3}");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 2);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_KICKED);
    leave(2);
    EXPECT_EQ(admits("p2"), GAME_BANNED);
    advance_to(room.now_ms + leave_ms); /* nothing more is heard of it */
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(ASK("kick", "{\"player\":\"p2\"}"), GAME_UNCHANGED);
    EXPECT_TEXT(reply(), "{\"player_id\":\"p2\",\"present\":false}");
    EXPECT_EQ(room.words.count, 0);
    SAY(2, "{\"type\":\"sync_state\"}"); /* what it had sent meanwhile */
    EXPECT_EQ(room.words.count, 0);
}

TEST("who is away, or was never here, can be kicked as well")
{
    open_with_two("{}");
    leave(2);
    EXPECT_EQ(ASK("kick", "{\"player\":\"p2\"}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"player_id\":\"p2\",\"present\":true}");
    EXPECT(holds(only(GAME_TO_ALL, 0), "participant_left"));
    EXPECT_EQ(room.words.dismissed_count, 0);
    EXPECT_EQ(ASK("kick", "{\"player\":\"p9\"}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"player_id\":\"p9\",\"present\":false}");
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(admits("p2"), GAME_BANNED);
    EXPECT_EQ(admits("p9"), GAME_BANNED);
    EXPECT_EQ(admits("p"), GAME_ADMITTED);
}

TEST("64 kicked players are remembered, and none is forgotten for a further one (R9)")
{
    OPEN("{}");
    char body[64];
    for (uint32_t i = 0; i < 64; i++) {
        int size = snprintf(body, sizeof body, "{\"player\":\"p%u\"}", i);
        EXPECT_EQ(ask_for(TEXT("kick"), (struct text){body, (size_t)size}), GAME_DONE);
    }
    EXPECT_EQ(ASK("kick", "{\"player\":\"another\"}"), GAME_REFUSED);
    EXPECT_TEXT(reply(), "too_many_kicked");
    EXPECT_EQ(ASK("kick", "{\"player\":\"p63\"}"), GAME_UNCHANGED);
    EXPECT_EQ(admits("p0"), GAME_BANNED);
    EXPECT_EQ(admits("another"), GAME_ADMITTED);
}

TEST("a locked room takes only who was there, however long away, and is told of (G4)")
{
    open_with_two("{}");
    EXPECT_EQ(ASK("lock", "{\"locked\":true}"), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"locked\":true}");
    EXPECT_TEXT(only(GAME_TO_ALL, 0), "{\"type\":\"event\",\"event\":\"room_status\",\"payload\":{"
                                      "\"locked\":true},\"seq\":3}");
    EXPECT_EQ(ASK("lock", "{\"locked\":true}"), GAME_UNCHANGED);
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(admits("p3"), GAME_LOCKED);
    leave(2);
    advance_to(room.now_ms + leave_ms);
    EXPECT(holds(only(GAME_TO_ALL, 0), "participant_left"));
    EXPECT(game_relay.due(room.state) > room.now_ms);
    EXPECT_EQ(ASK("show", ""), GAME_UNCHANGED);
    EXPECT(holds(reply(), "\"display_name\":\"Bob\",\"present\":false}"));
    arrive(3, "p2", "Bob");
    EXPECT(holds(said(0, GAME_TO_OTHERS, 3), "participant_joined"));
}

TEST("with the lock the places of those who have left are given up")
{
    open_with_two("{\"members_max\":2}");
    EXPECT_EQ(ASK("lock", "{\"locked\":true}"), GAME_DONE);
    leave(1);
    advance_to(room.now_ms + leave_ms);
    EXPECT_EQ(ASK("lock", "{\"locked\":false}"), GAME_DONE);
    EXPECT(holds(only(GAME_TO_ALL, 0), "\"locked\":false"));
    EXPECT_EQ(admits("p3"), GAME_ADMITTED);
    arrive(3, "p3", "Cid");
    EXPECT_EQ(admits("p1"), GAME_FULL);
}

TEST("a room that is closed says so, and is over (G16)")
{
    open_with_two("{}");
    EXPECT_EQ(ASK("close", ""), GAME_DONE);
    EXPECT_TEXT(reply(), "{\"closed\":true,\"members\":2}");
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"room_closed\",\"payload\":{},\"seq\":3}");
    EXPECT(room.words.over);
}

/* --- What members say ------------------------------------------------------------------------ */

TEST("chat goes to all under a number, its sender gets an ack, and again the same for the same")
{
    open_with_two("{\"chat\":true}");
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\" hi\\n\"}}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(said(0, GAME_TO_ONE, 1), "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":3},"
                                         "\"correlation_id\":\"c1\"}");
    EXPECT_TEXT(said(1, GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p1\","
                "\"display_name\":\"Ann\",\"message\":\"hi\",\"ts\":1700000000000},\"seq\":3}");
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\" hi\\n\"}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 1), "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":3},"
                                      "\"correlation_id\":\"c1\"}");
    SAY(2, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\"yo\"}}");
    EXPECT_EQ(room.words.count, 2);
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}");
    EXPECT(holds(only(GAME_TO_ALL, 0), "\"seq\":5}"));
}

TEST("so many acks are remembered and no more (R9)")
{
    open_with_two("{\"chat\":true}");
    char text[128];
    for (uint32_t i = 0; i < 17; i++) {
        int size = snprintf(text, sizeof text,
                            "{\"type\":\"chat\",\"correlation_id\":\"c%u\",\"payload\":"
                            "{\"message\":\"x\"}}",
                            i);
        receive(1, (struct text){text, (size_t)size});
        EXPECT_EQ(room.words.count, 2);
    }
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c16\",\"payload\":{\"message\":\"x\"}}");
    EXPECT_EQ(room.words.count, 1);
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c0\",\"payload\":{\"message\":\"x\"}}");
    EXPECT_EQ(room.words.count, 2);
}

TEST("chat that cannot be is answered, and not told: off, to some, empty, too long")
{
    open_with_two("{}");
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\"hi\"}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 1),
                "{\"type\":\"error\",\"event\":\"chat_off\",\"payload\":{\"code\":\"chat_off\","
                "\"message\":\"There is no chat in this room.\"},\"correlation_id\":\"c1\"}");
    open_with_two("{\"chat\":true}");
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"to\":[\"p2\"]}}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"unsupported\""));
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"  \"}}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"empty\""));
    SAY(1, "{\"type\":\"chat\",\"payload\":{}}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"bad_message\""));
}

TEST("members ask who is here and for the time, and for what is the game's are sent elsewhere")
{
    open_with_two("{}");
    SAY(1, "{\"type\":\"presence\",\"correlation_id\":\"w\"}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"event\":\"members\""));
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"chat\":false},\"correlation_id\":\"w\"}"));
    SAY(1, "{\"type\":\"ping\",\"payload\":{\"t0\":7}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 1), "{\"type\":\"event\",\"event\":\"pong\",\"payload\":{"
                                      "\"t0\":7,\"t1\":1700000000000}}");
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a1\",\"payload\":{\"move\":1}}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"unsupported\""));
    EXPECT(holds(only(GAME_TO_ONE, 1), "its game's backend: send it there"));
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"correlation_id\":\"a1\"}"));
    EXPECT_EQ(room.words.dismissed_count, 0);
}

TEST("the ninth message within a minute that means nothing is the last (J5)")
{
    open_with_two("{}");
    for (uint32_t i = 0; i < 8; i++) {
        SAY(1, "[]");
        EXPECT(holds(only(GAME_TO_ONE, 1), "\"code\":\"bad_message\""));
        EXPECT_EQ(room.words.dismissed_count, 0);
    }
    SAY(1, "{\"type\":7}");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
    leave(1);
    SAY(1, "{\"type\":\"presence\"}");
    EXPECT_EQ(room.words.count, 0);
}

TEST("the longest names of a full room fit into the answer that shows it")
{
    static char body[backend_body_size_max];
    struct text state = filled("{\"replace\":", "[[]]", relay_state_size_max);
    OPEN("{\"members_max\":100}");
    memcpy(body, state.data, state.size);
    EXPECT_EQ(ask_for(TEXT("state"), (struct text){body, state.size}), GAME_DONE);
    char id[65] = {}, name[257] = {};
    for (size_t i = 0; i < 256; i++)
        name[i] = "\xf0\x9f\x90\x88"[i % 4];
    memset(id, '"', 64); /* each takes two bytes in JSON */
    for (uint32_t i = 0; i < 100; i++) {
        id[0] = (char)('0' + i / 10);
        id[1] = (char)('0' + i % 10);
        arrive(i, id, name);
    }
    EXPECT(room.words.out.size < sizeof room.said);
    EXPECT_EQ(ASK("show", ""), GAME_UNCHANGED);
    EXPECT(room.reply_size > 40'000 && room.reply_size <= relay_reply_size_max);
}
