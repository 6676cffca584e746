/* tests/unit/game_avalon.c: avalon's rooms: their exact words (S2-11), who has a place and who is
 * seen, and what is said to whom. */
#include "base/json.h"
#include "check.h"
#include "game/games.h"
#include "limits.h"
#include <stdalign.h>

constexpr uint32_t place_ms = 3'600'000, unclaimed_ms = 90'000, leave_ms = 5000, empty_ms = 60'000;

/* A room on a table, the clock that the test moves, and what was said last. */
struct table_room {
    alignas(16) uint8_t state[16 * 1024];
    struct game_options options;
    uint64_t now_ms;
    struct game_words words;
    uint8_t said[64 * 1024];
    char reply[6 * 1024];
    size_t reply_size;
};

static struct table_room room;
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

static void open_room(void)
{
    memset(&room, 0, sizeof room);
    room.options = (struct game_options){.players_max = 3,
                                         .chat_max = 500,
                                         .chat_echo = true,
                                         .place_ms = place_ms,
                                         .unclaimed_ms = unclaimed_ms,
                                         .leave_ms = leave_ms,
                                         .empty_ms = empty_ms};
    room.now_ms = 1000;
    EXPECT(game_avalon.state_size <= sizeof room.state);
    game_avalon.open(room.state, &(struct game_opening){.options = &room.options,
                                                        .seed = 1,
                                                        .id = TEXT("ABC234"),
                                                        .secret = TEXT("room-1"),
                                                        .now = now()});
}

static struct text reply(void)
{
    return (struct text){room.reply, room.reply_size};
}

static enum game_answer ask(struct text verb, struct text name, struct text id)
{
    struct writer out = writer_over(room.reply, sizeof room.reply);
    const struct game_request request = {.verb = verb, .body = name, .token = id};
    enum game_answer answer = game_avalon.request(room.state, &request, now(), &out, hear());
    room.reply_size = out.size;
    EXPECT(!out.overflow);
    return answer;
}
#define TAKE(name, id) ask(TEXT("join"), TEXT(name), TEXT(id))

static bool knows(struct text room_id, struct text player)
{
    return game_avalon.knows(room.state, &(struct game_guest){.room = room_id, .player = player});
}

static bool advance(void)
{
    return game_avalon.advance(room.state, now(), hear());
}

static void advance_to(uint64_t ms)
{
    room.now_ms = ms;
    (void)advance();
}

static void arrive_until(uint32_t member, struct text player, uint64_t until_ms)
{
    const struct game_guest guest = {
        .room = TEXT("room-1"), .player = player, .until_ms = until_ms};
    EXPECT(game_avalon.knows(room.state, &guest));
    game_avalon.arrive(room.state, member, &guest, now(), hear());
}
#define ARRIVE(member, player) arrive_until(member, TEXT(player), room.now_ms + place_ms)

static void leave(uint32_t member)
{
    game_avalon.leave(room.state, member, now(), hear());
}

static void receive(uint32_t member, struct text text)
{
    game_avalon.receive(room.state, member, text, now(),
                        (struct bytes){json_memory, sizeof json_memory}, hear());
}
#define SAY(member, message) receive(member, TEXT(message))

/* The one message, whole, and for whom it is. */
static struct text only(enum game_audience audience, uint32_t member)
{
    EXPECT_EQ(room.words.count, 1);
    EXPECT_EQ(room.words.messages[0].audience, audience);
    if (audience != GAME_TO_ALL) EXPECT_EQ(room.words.messages[0].member, member);
    return words_text(&room.words, &room.words.messages[0]);
}

static bool only_holds(uint32_t member, const char *piece)
{
    struct text text = only(GAME_TO_ONE, member);
    return memmem(text.data, text.size, piece, strlen(piece)) != nullptr;
}

/* Ann is member 1, Bob member 2. */
static void open_with_two(void)
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_EQ(TAKE("Bob", "p2"), GAME_DONE);
    ARRIVE(1, "p1");
    ARRIVE(2, "p2");
}

/* --- Places ---------------------------------------------------------------------------------- */

TEST("a place is taken under a name, and answered with the room's id (S2-24)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_TEXT(reply(), "room-1");
    EXPECT_EQ(room.words.count, 0);
    EXPECT(knows(TEXT("room-1"), TEXT("p1")));
    EXPECT(!knows(TEXT("room-1"), TEXT("p2")));
    EXPECT(!knows(TEXT("room-2"), TEXT("p1"))); /* an earlier room of the same code (A11) */
}

TEST("a name is given once, whatever its case, and the room fills up (G4)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_EQ(TAKE("aNN", "p2"), GAME_REFUSED);
    EXPECT_TEXT(reply(), "name_taken");
    EXPECT_EQ(TAKE("Bob", "p2"), GAME_DONE);
    EXPECT_EQ(TAKE("Cid", "p3"), GAME_DONE);
    EXPECT_EQ(TAKE("Dan", "p4"), GAME_REFUSED);
    EXPECT_TEXT(reply(), "room_full");
    EXPECT_EQ(TAKE("Ann", "p4"), GAME_REFUSED);
    EXPECT_TEXT(reply(), "name_taken");
}

TEST("a name is 1 to 64 code points that can be seen (J8)")
{
    open_room();
    EXPECT_EQ(TAKE("", "p1"), GAME_NOT_UNDERSTOOD);
    EXPECT_TEXT(reply(), "bad_display_name");
    EXPECT_EQ(TAKE("a\nb", "p1"), GAME_NOT_UNDERSTOOD);
    EXPECT_EQ(TAKE("\xe2\x80\xae", "p1"), GAME_NOT_UNDERSTOOD);
    EXPECT_EQ(TAKE("01234567890123456789012345678901234567890123456789012345678901234", "p1"),
              GAME_NOT_UNDERSTOOD);
    char cats[64 * 4];
    for (size_t i = 0; i < sizeof cats; i++)
        cats[i] = "\xf0\x9f\x90\x88"[i % 4];
    EXPECT_EQ(ask(TEXT("join"), (struct text){cats, sizeof cats}, TEXT("p1")), GAME_DONE);
}

TEST("who is in is told with names, and without the ids by which players are addressed (G13)")
{
    open_with_two();
    leave(2);
    advance_to(room.now_ms + leave_ms);
    EXPECT_EQ(ask(TEXT("show"), (struct text){}, (struct text){}), GAME_UNCHANGED);
    EXPECT_TEXT(reply(),
                "{\"room\":{\"id\":\"room-1\",\"code\":\"ABC234\",\"kind\":\"avalon\"},"
                "\"players_max\":3,\"players\":[{\"display_name\":\"Ann\",\"present\":true}"
                ",{\"display_name\":\"Bob\",\"present\":false}]}");
}

TEST("a place whose token has expired is free again, with its name (A15)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_EQ(TAKE("Bob", "p2"), GAME_DONE);
    ARRIVE(1, "p1");
    ARRIVE(2, "p2");
    leave(1);
    advance_to(1000 + leave_ms);
    EXPECT_EQ(game_avalon.due(room.state), 1000 + place_ms);
    advance_to(1000 + place_ms - 1);
    EXPECT(knows(TEXT("room-1"), TEXT("p1")));
    advance_to(1000 + place_ms);
    EXPECT(!knows(TEXT("room-1"), TEXT("p1")));
    EXPECT_EQ(TAKE("Ann", "p3"), GAME_DONE);
}

TEST("a place that nobody ever comes to is free again soon, so that who knows the code cannot fill "
     "the room with nobody (G4)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    ARRIVE(1, "p1");
    room.now_ms = 2000;
    EXPECT_EQ(TAKE("x", "p2"), GAME_DONE);
    room.now_ms = 3000;
    EXPECT_EQ(TAKE("y", "p3"), GAME_DONE);
    EXPECT_EQ(TAKE("Bob", "p4"), GAME_REFUSED);
    ARRIVE(3, "p3");
    leave(3); // once is enough
    EXPECT_EQ(game_avalon.due(room.state), 3000 + leave_ms);
    advance_to(3000 + leave_ms);
    EXPECT_EQ(game_avalon.due(room.state), 2000 + unclaimed_ms);
    advance_to(2000 + unclaimed_ms - 1);
    EXPECT(knows(TEXT("room-1"), TEXT("p2")));
    EXPECT_EQ(TAKE("Bob", "p4"), GAME_REFUSED);
    advance_to(2000 + unclaimed_ms);
    EXPECT_EQ(room.words.count, 0); // nobody has seen it
    EXPECT(!knows(TEXT("room-1"), TEXT("p2")));
    EXPECT_EQ(TAKE("x", "p4"), GAME_DONE);
    advance_to(3000 + place_ms - 1);
    EXPECT(knows(TEXT("room-1"), TEXT("p3")));
}

TEST("a place is never kept for longer than its token is valid")
{
    open_room();
    room.options.unclaimed_ms = 10 * place_ms;
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    ARRIVE(1, "p1");
    EXPECT_EQ(TAKE("Bob", "p2"), GAME_DONE);
    advance_to(1000 + place_ms);
    EXPECT(!knows(TEXT("room-1"), TEXT("p2")));
}

/* --- Coming and going ------------------------------------------------------------------------ */

TEST("who comes first learns who is here, and then the others learn of it (D2)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_EQ(TAKE("Bob", "p2"), GAME_DONE);
    ARRIVE(1, "p1");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(words_text(&room.words, &room.words.messages[0]),
                "{\"type\":\"state\",\"event\":\"room\",\"payload\":{\"room\":{\"id\":\"room-1\","
                "\"code\":\"ABC234\",\"kind\":\"avalon\"},\"you\":\"p1\",\"players\":["
                "{\"player_id\":\"p1\",\"display_name\":\"Ann\",\"present\":true},"
                "{\"player_id\":\"p2\",\"display_name\":\"Bob\",\"present\":false}]}}");
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[0].member, 1);
    ARRIVE(2, "p2");
    EXPECT_TEXT(words_text(&room.words, &room.words.messages[1]),
                "{\"type\":\"event\",\"event\":\"participant_joined\",\"payload\":{\"player_id\":"
                "\"p2\",\"display_name\":\"Bob\"}}");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_OTHERS);
    EXPECT_EQ(room.words.messages[1].member, 2);
}

TEST("who is away for long has left for the others, and joins again")
{
    open_with_two();
    leave(2);
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(game_avalon.due(room.state), 1000 + leave_ms);
    advance_to(1000 + leave_ms);
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"participant_left\","
                "\"payload\":{\"player_id\":\"p2\",\"display_name\":\"Bob\"}}");
    EXPECT(!advance());
    ARRIVE(7, "p2");
    EXPECT_EQ(room.words.count, 2);
}

TEST("a blip is not told: who is back in time was never gone (G5)")
{
    open_with_two();
    leave(2);
    advance_to(1000 + leave_ms - 1);
    EXPECT_EQ(room.words.count, 0);
    ARRIVE(7, "p2");
    EXPECT_EQ(room.words.count, 1);
    advance_to(1000 + 2 * leave_ms);
    EXPECT_EQ(room.words.count, 0);
}

TEST(
    "a second connection of a player takes the place of the first, and nobody else is told (S2-25, "
    "G5)")
{
    open_with_two();
    ARRIVE(3, "p2");
    EXPECT_EQ(room.words.count, 1);
    EXPECT_EQ(room.words.messages[0].member, 3);
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 2);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_REPLACED);
    leave(2);
    advance_to(1000 + 2 * leave_ms);
    EXPECT_EQ(room.words.count, 0);
    SAY(2, "{\"type\":\"sync_state\"}"); /* what was under way when it was dismissed */
    EXPECT_EQ(room.words.count, 0);
    SAY(3, "{\"type\":\"sync_state\"}");
    EXPECT_EQ(room.words.count, 1);
}

TEST("a token that expires ends its connection, and the place is free (A15)")
{
    open_with_two();
    room.now_ms = 2000;
    EXPECT_EQ(TAKE("Cid", "p3"), GAME_DONE);
    arrive_until(3, TEXT("p3"), 2500);
    EXPECT_EQ(game_avalon.due(room.state), 2500);
    advance_to(2500);
    EXPECT_TEXT(only(GAME_TO_ONE, 3),
                "{\"type\":\"error\",\"event\":\"token_expired\",\"payload\":{\"code\":"
                "\"token_expired\",\"message\":\"Your token has expired; join again.\"}}");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_EXPIRED);
    leave(3);
    advance_to(2500 + leave_ms);
    EXPECT_EQ(room.words.count, 1);
    advance_to(2000 + place_ms);
    EXPECT(!knows(TEXT("room-1"), TEXT("p3")));
}

TEST("a room is over when nobody has been connected for long, and not while somebody is (S2-8)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    EXPECT_EQ(game_avalon.due(room.state), 1000 + empty_ms);
    room.now_ms = 1000 + empty_ms - 1;
    ARRIVE(1, "p1");
    advance_to(room.now_ms + 10 * empty_ms);
    EXPECT(!room.words.over);
    leave(1);
    uint64_t left_ms = room.now_ms;
    advance_to(left_ms + empty_ms - 1);
    EXPECT(!room.words.over);
    advance_to(left_ms + empty_ms);
    EXPECT(room.words.over);
}

/* --- Tokens on an open connection (C16) ------------------------------------------------------ */

constexpr uint32_t warning_ms = 60'000, leeway_ms = 30'000;
constexpr uint64_t wall_ms = 1'700'000'000'000;

/* Member 1 is Ann, whose token expires so long after 1000, and is good for the leeway beyond. */
static void open_with_token(uint64_t valid_ms)
{
    open_room();
    room.options.warning_ms = warning_ms;
    room.options.leeway_ms = leeway_ms;
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    const struct game_guest guest = {.room = TEXT("room-1"),
                                     .player = TEXT("p1"),
                                     .until_ms = 1000 + valid_ms + leeway_ms,
                                     .expires_wall_ms = wall_ms + valid_ms};
    game_avalon.arrive(room.state, 1, &guest, now(), hear());
}

/* What the hub found out about the token that member 1 has sent. */
static void verified(struct text room_id, struct text player, uint64_t until_ms)
{
    const struct game_guest guest = {.room = room_id,
                                     .player = player,
                                     .until_ms = until_ms,
                                     .expires_wall_ms = wall_ms + until_ms - leeway_ms - 1000};
    game_avalon.verified(room.state, 1, &guest, (struct text){}, (struct text){}, now(), hear());
}

static void refused(const char *code)
{
    game_avalon.verified(room.state, 1, nullptr, text_of(code), TEXT("It is bad."), now(), hear());
}

#define AUTH "{\"type\":\"auth\",\"correlation_id\":\"c1\",\"payload\":{\"token\":\"a.b.c\"}}"

TEST("a player is warned before its token expires, once (A16)")
{
    open_with_token(600'000);
    EXPECT_EQ(game_avalon.due(room.state), 1000 + 600'000 - warning_ms);
    advance_to(1000 + 600'000 - warning_ms - 1);
    EXPECT_EQ(room.words.count, 0);
    advance_to(1000 + 600'000 - warning_ms);
    EXPECT_TEXT(only(GAME_TO_ONE, 1), "{\"type\":\"event\",\"event\":\"auth_expiring\","
                                      "\"payload\":{\"expires_at\":1700000600000}}");
    EXPECT_EQ(game_avalon.due(room.state), 1000 + 600'000 + leeway_ms);
    advance_to(1000 + 600'000 + leeway_ms - 1);
    EXPECT_EQ(room.words.count + room.words.dismissed_count, 0);
    advance_to(1000 + 600'000 + leeway_ms);
    EXPECT(only_holds(1, "token_expired"));
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_EXPIRED);
}

TEST("the warning comes when half the time is left, where that is later; or never (A16)")
{
    open_with_token(10'000);
    EXPECT_EQ(game_avalon.due(room.state), 1000 + 5000);
    advance_to(1000 + 5000);
    EXPECT(only_holds(1, "auth_expiring"));
    open_with_token(0); /* expired, and within the leeway */
    EXPECT_EQ(game_avalon.due(room.state), 1000);
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    arrive_until(1, TEXT("p1"), 11'000);
    EXPECT_EQ(game_avalon.due(room.state), 11'000);
}

TEST("a token that a player sends is put forward, and a good one gives it more time (C16, A16)")
{
    open_with_token(100'000);
    advance_to(1000 + 50'000);
    EXPECT(only_holds(1, "auth_expiring"));
    SAY(1, AUTH);
    EXPECT_EQ(room.words.count, 0);
    EXPECT(room.words.asked.is_asked);
    EXPECT_EQ(room.words.asked.member, 1);
    EXPECT_TEXT(room.words.asked.token, "a.b.c");
    uint64_t until_ms = 1000 + 2 * place_ms;
    verified(TEXT("room-1"), TEXT("p1"), until_ms);
    EXPECT_TEXT(only(GAME_TO_ONE, 1),
                "{\"type\":\"event\",\"event\":\"auth_refreshed\",\"payload\":"
                "{\"expires_at\":1700007170000},\"correlation_id\":\"c1\"}");
    EXPECT_EQ(game_avalon.due(room.state), until_ms - leeway_ms - warning_ms);
    leave(1); /* and the place is kept for as long, too */
    room.options.empty_ms = 4 * place_ms;
    advance_to(until_ms - 1);
    EXPECT(knows(TEXT("room-1"), TEXT("p1")));
    advance_to(until_ms);
    EXPECT(!knows(TEXT("room-1"), TEXT("p1")));
}

TEST("a token that expires sooner than the one before shortens nothing")
{
    open_with_token(600'000);
    uint64_t due_ms = game_avalon.due(room.state);
    SAY(1, "{\"type\":\"auth\",\"payload\":{\"token\":\"a.b.c\"}}");
    verified(TEXT("room-1"), TEXT("p1"), 61'000);
    EXPECT_TEXT(only(GAME_TO_ONE, 1), "{\"type\":\"event\",\"event\":\"auth_refreshed\","
                                      "\"payload\":{\"expires_at\":1700000600000}}");
    EXPECT_EQ(game_avalon.due(room.state), due_ms);
}

TEST("a bad token is answered and counted, and changes nothing else (A16, J5)")
{
    open_with_token(600'000);
    uint64_t due_ms = game_avalon.due(room.state);
    for (uint32_t i = 0; i < 9; i++) {
        EXPECT_EQ(room.words.dismissed_count, 0);
        SAY(1, AUTH);
        EXPECT(room.words.asked.is_asked);
        refused("bad_signature");
        EXPECT_TEXT(only(GAME_TO_ONE, 1),
                    "{\"type\":\"error\",\"event\":\"bad_signature\",\"payload\":{\"code\":"
                    "\"bad_signature\",\"message\":\"It is bad.\"},\"correlation_id\":\"c1\"}");
        if (i < 8) EXPECT_EQ(game_avalon.due(room.state), due_ms);
        room.now_ms += 1000;
    }
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
}

TEST("a good token of another player or for another room ends the connection (A11, A16)")
{
    open_with_token(600'000);
    SAY(1, AUTH);
    verified(TEXT("room-1"), TEXT("p2"), 2 * place_ms);
    EXPECT(only_holds(1, "\"code\":\"wrong_player\""));
    EXPECT(only_holds(1, "\"correlation_id\":\"c1\""));
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_FORBIDDEN);
    open_with_token(600'000);
    SAY(1, AUTH);
    verified(TEXT("room-2"), TEXT("p1"), 2 * place_ms);
    EXPECT(only_holds(1, "\"code\":\"wrong_room\""));
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_FORBIDDEN);
    SAY(1, AUTH); /* what was under way when it was dismissed */
    EXPECT(!room.words.asked.is_asked);
    verified(TEXT("room-1"), TEXT("p1"), 2 * place_ms);
    EXPECT_EQ(room.words.count, 0);
}

TEST("tokens that come too fast are not looked at, and end the connection (A16)")
{
    open_with_token(600'000);
    for (uint32_t i = 0; i < game_token_rate.burst; i++) {
        SAY(1, AUTH);
        EXPECT(room.words.asked.is_asked);
        verified(TEXT("room-1"), TEXT("p1"), 2 * place_ms);
    }
    SAY(1, AUTH);
    EXPECT(!room.words.asked.is_asked);
    EXPECT(only_holds(1, "\"code\":\"rate_limited\""));
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_FLOODED);
    arrive_until(2, TEXT("p1"), place_ms); /* coming again does not help */
    SAY(2, AUTH);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_FLOODED);
    room.now_ms += 1000 * game_token_rate.burst / game_token_rate.per_second;
    arrive_until(3, TEXT("p1"), place_ms); /* but waiting does */
    SAY(3, AUTH);
    EXPECT(room.words.asked.is_asked);
}

TEST("an auth without a token means nothing (J5)")
{
    static const char *const messages[] = {"{\"type\":\"auth\"}",
                                           "{\"type\":\"auth\",\"payload\":{}}",
                                           "{\"type\":\"auth\",\"payload\":{\"token\":1}}",
                                           "{\"type\":\"auth\",\"payload\":{\"token\":\"\"}}"};
    open_with_token(600'000);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        receive(1, text_of(messages[i]));
        EXPECT(only_holds(1, "The message has no payload.token, a text."));
        EXPECT(!room.words.asked.is_asked);
    }
}

TEST(
    "a place is renewed for whose it is, in this room, and kept for as long as the new token (A15)")
{
    open_room();
    room.options.empty_ms = 4 * place_ms;
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    ARRIVE(1, "p1");
    leave(1);
    advance_to(1000 + place_ms - 1);
    EXPECT_EQ(ask(TEXT("refresh"), TEXT("room-2"), TEXT("p1")), GAME_FORBIDDEN);
    EXPECT_EQ(ask(TEXT("refresh"), TEXT("room-1"), TEXT("p2")), GAME_FORBIDDEN);
    EXPECT_EQ(reply().size, 0);
    EXPECT_EQ(ask(TEXT("refresh"), TEXT("room-1"), TEXT("p1")), GAME_DONE);
    EXPECT_TEXT(reply(), "Ann");
    EXPECT_EQ(room.words.count, 0);
    advance_to(1000 + 2 * place_ms - 2);
    EXPECT(knows(TEXT("room-1"), TEXT("p1")));
    advance_to(1000 + 2 * place_ms - 1);
    EXPECT(!knows(TEXT("room-1"), TEXT("p1")));
}

TEST("a newer token does not keep a place that nobody has come to (G4)")
{
    open_room();
    EXPECT_EQ(TAKE("Ann", "p1"), GAME_DONE);
    ARRIVE(1, "p1");
    EXPECT_EQ(TAKE("x", "p2"), GAME_DONE);
    EXPECT_EQ(ask(TEXT("refresh"), TEXT("room-1"), TEXT("p2")), GAME_DONE);
    advance_to(1000 + unclaimed_ms);
    EXPECT(!knows(TEXT("room-1"), TEXT("p2")));
}

/* --- What is said ---------------------------------------------------------------------------- */

TEST("chat reaches the others without, and its sender with the correlation_id (S2-13, S2-21)")
{
    open_with_two();
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\"hi\"}}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(words_text(&room.words, &room.words.messages[0]),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p1\","
                "\"display_name\":\"Ann\",\"message\":\"hi\",\"ts\":1700000000000}}");
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_OTHERS);
    EXPECT_EQ(room.words.messages[0].member, 1);
    EXPECT_TEXT(words_text(&room.words, &room.words.messages[1]),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p1\","
                "\"display_name\":\"Ann\",\"message\":\"hi\",\"ts\":1700000000000},"
                "\"correlation_id\":\"c1\"}");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[1].member, 1);
}

TEST("chat without a correlation_id is one message for all")
{
    open_with_two();
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}");
    (void)only(GAME_TO_ALL, 0);
}

TEST("without an echo chat reaches the others only (C11)")
{
    open_with_two();
    room.options.chat_echo = false;
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\"hi\"}}");
    (void)only(GAME_TO_OTHERS, 1);
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"to\":[\"p2\"]}}");
    (void)only(GAME_TO_ONE, 2);
}

TEST("chat to some reaches those and its sender, in one frame but for the sender's (S2-9)")
{
    open_with_two();
    EXPECT_EQ(TAKE("Cid", "p3"), GAME_DONE);
    ARRIVE(3, "p3");
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"to\":[\"p3\",\"p1\",\"p3\"]}}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_EQ(room.words.messages[0].member, 3);
    EXPECT_EQ(room.words.messages[1].member, 1);
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"to\":[\"p3\",\"p2\"]}}");
    EXPECT_EQ(room.words.count, 3);
    EXPECT_EQ(room.words.messages[0].start, room.words.messages[1].start);
    EXPECT_EQ(room.words.messages[0].member + room.words.messages[1].member, 5);
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"hi\",\"to\":"
           "[\"p3\",\"p2\"]}}");
    EXPECT_TEXT(words_text(&room.words, &room.words.messages[2]),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p1\","
                "\"display_name\":\"Ann\",\"message\":\"hi\",\"ts\":1700000000000},"
                "\"correlation_id\":\"c\"}");
    leave(3);
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"hi\",\"to\":"
           "[\"p3\"]}}");
    EXPECT(only_holds(1, "\"ts\":1700000000000},\"correlation_id\":\"c\"}"));
}

TEST("chat to somebody who is not of the room reaches nobody")
{
    open_with_two();
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"hi\",\"to\":"
           "[\"p2\",\"p9\"]}}");
    EXPECT(only_holds(1, "\"event\":\"no_such_player\""));
    EXPECT(only_holds(1, "},\"correlation_id\":\"c\"}"));
}

TEST("what comes as text goes out as text: markup, quotes and separators are only escaped (J8, J9)")
{
    open_room();
    EXPECT_EQ(TAKE("A\"}n", "p1"), GAME_DONE);
    ARRIVE(1, "p1");
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"<b>\\\"}\\\\ \\u202e\\u0007x\\ny \"}}");
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p1\","
                "\"display_name\":\"A\\\"}n\",\"message\":\"<b>\\\"}\\\\ x y\",\"ts\":1700000000000"
                "}}");
}

/* A chat message of `count` times `piece`. */
static void say_long(const char *piece, uint32_t count)
{
    static char message[8192];
    struct writer out = writer_over(message, sizeof message);
    write_text(&out, TEXT("{\"type\":\"chat\",\"payload\":{\"message\":\""));
    for (uint32_t i = 0; i < count; i++)
        write_text(&out, text_of(piece));
    write_text(&out, TEXT("\"}}"));
    receive(1, text_from(writer_bytes(&out)));
}

TEST("chat has a length in code points and in bytes, and is not empty (S2-12, J8)")
{
    open_with_two();
    say_long("a", 500);
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ALL);
    say_long("a", 501);
    EXPECT(only_holds(1, "\"event\":\"too_long\""));
    say_long("\xf0\x9f\x90\x88", 300);
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ALL);
    say_long("\xf0\x9f\x90\x88", 301);
    EXPECT(only_holds(1, "\"event\":\"too_long\""));
    say_long(" \\n\\u200b", 3);
    EXPECT(only_holds(1, "\"event\":\"empty\""));
}

TEST("what is not handled yet is unsupported, with its correlation_id, and the ninth within a "
     "minute "
     "is the last (S2-23)")
{
    open_with_two();
    SAY(1, "{\"type\":\"vote\",\"correlation_id\":\"c2\",\"payload\":{}}");
    EXPECT_TEXT(
        only(GAME_TO_ONE, 1),
        "{\"type\":\"error\",\"event\":\"unsupported\",\"payload\":{\"code\":\"unsupported\","
        "\"message\":\"This type is not understood here; chat, sync_state and auth are.\"},"
        "\"correlation_id\":\"c2\"}");
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(room.words.dismissed_count, 0);
        SAY(1, "{\"type\":\"action\"}");
        EXPECT(only_holds(1, "unsupported"));
    }
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
}

TEST("sync_state answers with the state and the correlation_id")
{
    open_with_two();
    SAY(2, "{\"type\":\"sync_state\",\"correlation_id\":\"s\"}");
    EXPECT(only_holds(2, "{\"type\":\"state\",\"event\":\"room\",\"payload\":{\"room\":"));
    EXPECT(only_holds(2, "]},\"correlation_id\":\"s\"}"));
}

TEST("a message that means nothing is answered, and the ninth within a minute is the last (J5)")
{
    static const struct text bad[] = {
        TEXT("hello"),
        TEXT(""),
        TEXT("{\"type\":\"chat\"}"),
        TEXT("{\"type\":\"chat\",\"payload\":{}}"),
        TEXT("{\"type\":\"chat\",\"payload\":{\"message\":1}}"),
        TEXT("{\"type\":\"chat\",\"payload\":{\"message\":\"a\\u0000b\"}}"),
        TEXT("{\"type\":\"chat\",\"payload\":{\"message\":\"a\",\"to\":\"p2\"}}"),
        TEXT("{\"type\":\"chat\",\"payload\":{\"message\":\"a\",\"to\":[]}}"),
    };
    open_with_two();
    for (size_t i = 0; i < 8; i++) {
        receive(1, bad[i]);
        EXPECT(only_holds(1, "\"event\":\"bad_message\""));
        EXPECT_EQ(room.words.dismissed_count, 0);
    }
    SAY(1,
        "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"a\",\"to\":[7]}}");
    EXPECT(only_holds(1, "\"correlation_id\":\"c\""));
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
}

TEST("eight bad messages a minute are forgiven for ever (J5)")
{
    open_with_two();
    for (int i = 0; i < 80; i++) {
        SAY(1, "x");
        EXPECT_EQ(room.words.dismissed_count, 0);
        room.now_ms += 7500;
    }
}

TEST("the same inputs give the same bytes")
{
    static uint8_t first[64 * 1024];
    for (int round = 0; round < 2; round++) {
        open_with_two();
        SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}");
        size_t size = room.words.out.size;
        if (round == 0) memcpy(first, room.said, size);
        EXPECT(memcmp(first, room.said, size) == 0);
    }
}

TEST("avalon is in the list of kinds and speaks the event dialect")
{
    EXPECT(games[GAME_AVALON] == &game_avalon);
    EXPECT_TEXT(game_avalon.protocol, "ringcast.event");
    EXPECT(game_avalon.acquired);
    EXPECT(game_avalon.message_size_max <= http_body_size_max); /* the memory for JSON */
}

/* --- How often ------------------------------------------------------------------------------- */

static void limit_rates(uint32_t chat, uint32_t room_chat, uint32_t state)
{
    room.options.rates = (struct game_rates){
        .chat = rate_of(chat), .room_chat = rate_of(room_chat), .state = rate_of(state)};
}

#define CHAT "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"hi\"}}"

TEST(
    "too much chat is refused with its correlation_id and when to go on, and the player stays (R9)")
{
    open_with_two();
    limit_rates(2, 100, 0);
    for (uint32_t i = 0; i < 4; i++) {
        SAY(1, CHAT);
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
    }
    SAY(1, CHAT);
    EXPECT_TEXT(only(GAME_TO_ONE, 1),
                "{\"type\":\"error\",\"event\":\"rate_limited\",\"payload\":{\"code\":"
                "\"rate_limited\",\"message\":\"You say too much at once; wait.\","
                "\"retry_ms\":500},\"correlation_id\":\"c\"}");
    EXPECT_EQ(room.words.limit, GAME_LIMIT_CHAT);
    EXPECT_EQ(room.words.dismissed_count, 0);
    SAY(2, CHAT);
    EXPECT_EQ(room.words.count, 2);
    room.now_ms += 500;
    SAY(1, CHAT);
    EXPECT_EQ(room.words.count, 2);
}

TEST("a room has a rate of its own, and chat to some counts like chat to all (R9)")
{
    open_with_two();
    limit_rates(100, 2, 0);
    for (uint32_t i = 0; i < 4; i++)
        SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"to\":[\"p2\"]}}");
    SAY(2, CHAT);
    EXPECT(
        only_holds(2, "\"message\":\"The room says too much at once; wait.\",\"retry_ms\":500}"));
    EXPECT_EQ(room.words.limit, GAME_LIMIT_ROOM_CHAT);
}

TEST("what is refused for itself costs nothing, and what is not understood is no chat")
{
    open_with_two();
    limit_rates(1, 1, 0);
    for (uint32_t i = 0; i < 4; i++) {
        SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"\"}}");
        SAY(1, "{\"type\":\"vote\"}");
        SAY(1, "{\"type\":\"chat\",\"payload\":{}}");
    }
    SAY(1, CHAT);
    EXPECT_EQ(room.words.count, 2);
}

TEST("sync_state costs what its answer has: who asks in a loop is refused (R11)")
{
    open_with_two();
    limit_rates(0, 0, 1024);
    uint32_t answered = 0;
    uint64_t bytes = 0;
    SAY(1, "{\"type\":\"sync_state\",\"correlation_id\":\"s\"}");
    for (; room.words.limit == GAME_LIMIT_NONE && answered < 100; answered++) {
        bytes += room.words.messages[0].size;
        SAY(1, "{\"type\":\"sync_state\",\"correlation_id\":\"s\"}");
    }
    EXPECT(answered >= 5 && bytes <= 2048 + 512);
    EXPECT_EQ(room.words.limit, GAME_LIMIT_STATE);
    EXPECT(only_holds(1, "\"event\":\"rate_limited\""));
    EXPECT(only_holds(1, ",\"retry_ms\":"));
    EXPECT(only_holds(1, "},\"correlation_id\":\"s\"}"));
    SAY(2, "{\"type\":\"sync_state\"}");
    EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
    room.now_ms += 1000;
    SAY(1, "{\"type\":\"sync_state\"}");
    EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
}

TEST("who goes on whatever it is told is let go, and coming again does not forgive (R9)")
{
    open_with_two();
    limit_rates(1, 0, 0);
    for (uint32_t i = 0; i < 3; i++) /* the third is refused */
        SAY(1, CHAT);
    for (uint32_t i = 0; i < game_defiances_most; i++) {
        SAY(1, CHAT);
        EXPECT_EQ(room.words.dismissed_count, 0);
    }
    SAY(1, CHAT);
    EXPECT(only_holds(1, "\"event\":\"rate_limited\""));
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_FLOODED);
    leave(1);
    ARRIVE(5, "p1");
    SAY(5, CHAT);
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 5);
}

TEST("the types that are understood are told apart, all others are one (R9)")
{
    open_with_two();
    SAY(1, CHAT);
    EXPECT_TEXT(game_avalon.types[room.words.heard], "chat");
    SAY(1, "{\"type\":\"sync_state\"}");
    EXPECT_TEXT(game_avalon.types[room.words.heard], "sync_state");
    for (uint32_t i = 0; i < 500; i++) {
        char text[64];
        int size = snprintf(text, sizeof text, "{\"type\":\"type-%u\"}", i);
        receive(1, (struct text){text, (size_t)size});
        EXPECT_EQ(room.words.heard, game_type_unknown);
    }
    SAY(1, "nonsense");
    EXPECT_EQ(room.words.heard, game_type_unknown);
}

TEST("a player that comes and goes all the time is no news to the others within the grace (R8)")
{
    open_with_two();
    uint32_t told = 0;
    for (uint32_t member = 10; member < 1'010; member++) {
        leave(member == 10 ? 2 : member - 1);
        told += room.words.count;
        advance_to(room.now_ms + leave_ms / 2);
        told += room.words.count;
        ARRIVE(member, "p2");
        told += room.words.count - 1; /* its own state */
    }
    EXPECT_EQ(told, 0);
    for (uint32_t member = 2'010; member < 2'020; member++) { /* slower, so each is seen */
        leave(member == 2'010 ? 1'009 : member - 1);
        advance_to(room.now_ms + leave_ms);
        told += room.words.count;
        ARRIVE(member, "p2");
        told += room.words.count - 1;
    }
    EXPECT_EQ(told, 20);
}
