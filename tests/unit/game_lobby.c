/* tests/unit/game_lobby.c: lobbies: their exact words (PROTOCOL ringcast.v1), who plays and who
 * watches, what the judge says, and what time does (S3-3, S3-4). What every kind of this dialect
 * does with what people say is in game_company.c. */
#include "base/json.h"
#include "check.h"
#include "game/games.h"
#include "limits.h"
#include <stdalign.h>
#include <stdlib.h>

constexpr uint32_t leave_ms = 5000, seat_ms = 60'000, empty_ms = 90'000, token_ms = 3'600'000;

/* A room on a table, the clock that the test moves, and what was said last. */
struct table_room {
    alignas(16) uint8_t state[64 * 1024];
    struct game_options options;
    uint64_t now_ms;
    struct game_words words;
    uint8_t said[128 * 1024];
};

static struct table_room room;
static uint8_t json_memory[json_memory_per_byte * 32 * 1024 + json_memory_fixed];

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
    room.options = (struct game_options){.players_max = 4,
                                         .chat_max = 500,
                                         .leave_ms = leave_ms,
                                         .seat_ms = seat_ms,
                                         .empty_ms = empty_ms};
    room.now_ms = 1000;
    EXPECT(game_lobby.state_size <= sizeof room.state);
    game_lobby.open(room.state,
                    &(struct game_opening){
                        .options = &room.options, .seed = 1, .id = TEXT("g1"), .now = now()});
}

static void advance_to(uint64_t ms)
{
    room.now_ms = ms;
    (void)game_lobby.advance(room.state, now(), hear());
}

static void come(uint32_t member, struct text player, struct text name, uint64_t until_ms)
{
    const struct game_guest guest = {.player = player, .name = name, .until_ms = until_ms};
    EXPECT_EQ(game_lobby.admits(room.state, &guest), GAME_ADMITTED);
    game_lobby.arrive(room.state, member, &guest, now(), hear());
}
#define COME(member, player, name) come(member, TEXT(player), TEXT(name), room.now_ms + token_ms)

static void leave(uint32_t member)
{
    game_lobby.leave(room.state, member, now(), hear());
}

static void receive(uint32_t member, struct text text)
{
    game_lobby.receive(room.state, member, text, now(),
                       (struct bytes){json_memory, sizeof json_memory}, hear());
}
#define SAY(member, message) receive(member, TEXT(message))

/* An action without a correlation_id. */
static void act(uint32_t member, const char *move)
{
    char memory[128];
    struct writer out = writer_over(memory, sizeof memory);
    write_format(&out, "{\"type\":\"action\",\"payload\":{\"move\":%s}}", move);
    receive(member, text_from(writer_bytes(&out)));
}

static struct text message(uint32_t i)
{
    EXPECT(i < room.words.count);
    return i < room.words.count ? words_text(&room.words, &room.words.messages[i]) : TEXT("-");
}

/* The one message, whole, and for whom it is. */
static struct text only(enum game_audience audience, uint32_t member)
{
    EXPECT_EQ(room.words.count, 1);
    EXPECT_EQ(room.words.messages[0].audience, audience);
    if (audience != GAME_TO_ALL) EXPECT_EQ(room.words.messages[0].member, member);
    return message(0);
}

static bool holds(struct text text, const char *piece)
{
    return memmem(text.data, text.size, piece, strlen(piece)) != nullptr;
}

static void expect_error(uint32_t member, const char *code)
{
    char memory[64];
    struct writer out = writer_over(memory, sizeof memory - 1);
    write_format(&out, "{\"type\":\"error\",\"event\":\"%s\"", code);
    EXPECT(text_starts(only(GAME_TO_ONE, member), text_from(writer_bytes(&out))));
    EXPECT_EQ(room.words.dismissed_count, 0);
}

/* Everybody was told a state that has this in it. */
static void expect_state(const char *piece)
{
    struct text text = only(GAME_TO_ALL, 0);
    EXPECT(text_starts(text, TEXT("{\"type\":\"state\",\"payload\":{\"game\":\"four_in_a_row\"")));
    EXPECT(holds(text, piece));
}

/* Ann is member 1 and has x, Bob member 2, Cid member 3 and watches. */
static void open_with_three(void)
{
    open_room();
    COME(1, "p1", "Ann");
    COME(2, "p2", "Bob");
    COME(3, "p3", "Cid");
}

static void play(const char *columns, uint32_t first, uint32_t second)
{
    for (size_t i = 0; columns[i] != '\0'; i++)
        act(i % 2 == 0 ? first : second, (char[]){columns[i], '\0'});
}

/* What everybody must be able to read now. */
static struct text current_state(void)
{
    SAY(3, "{\"type\":\"sync_state\"}");
    return only(GAME_TO_ONE, 3);
}

#define EMPTY_BOARD \
    "\"board\":[\".......\",\".......\",\".......\",\".......\",\".......\",\".......\"]"

/* --- Coming ---------------------------------------------------------------------------------- */

TEST("the first who comes is welcomed, has x, and waits")
{
    open_room();
    COME(1, "p1", "Ann");
    EXPECT_EQ(room.words.count, 3); /* the first is for nobody yet */
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_OTHERS);
    EXPECT_EQ(room.words.messages[0].member, 1);
    EXPECT_TEXT(message(1),
                "{\"type\":\"system\",\"event\":\"welcome\",\"payload\":{\"room\":\"g1\","
                "\"kind\":\"lobby\",\"you\":{\"player_id\":\"p1\","
                "\"display_name\":\"Ann\"}}}");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[1].member, 1);
    EXPECT_TEXT(message(2), "{\"type\":\"state\",\"payload\":{\"game\":\"four_in_a_row\",\"phase\":"
                            "\"waiting\"," EMPTY_BOARD
                            ",\"moves\":0,\"players\":{\"x\":\"p1\",\"o\":null},\"turn\":null,"
                            "\"result\":null,\"rematch\":[],\"people\":[{\"player_id\":\"p1\","
                            "\"display_name\":\"Ann\",\"present\":true}]},\"seq\":2}");
    EXPECT_EQ(room.words.messages[2].audience, GAME_TO_ALL);
}

TEST("with the second the game begins, and all are told so")
{
    open_room();
    COME(1, "p1", "Ann");
    COME(2, "p2", "Bob");
    EXPECT_TEXT(message(0),
                "{\"type\":\"event\",\"event\":\"participant_joined\",\"payload\":{\"player_id\":"
                "\"p2\",\"display_name\":\"Bob\"},\"seq\":3}");
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_OTHERS);
    EXPECT_EQ(room.words.messages[0].member, 2);
    EXPECT(holds(message(1), "welcome"));
    EXPECT(holds(message(2), "\"phase\":\"playing\""));
    EXPECT(holds(message(2), "\"players\":{\"x\":\"p1\",\"o\":\"p2\"},\"turn\":\"p1\""));
    EXPECT_EQ(room.words.messages[2].audience, GAME_TO_ALL);
}

TEST("the third watches: it gets the state by itself, with the number that it includes")
{
    open_with_three();
    EXPECT_EQ(room.words.count, 3);
    EXPECT(holds(message(0), "\"seq\":5}"));
    EXPECT_EQ(room.words.messages[2].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[2].member, 3);
    EXPECT(holds(message(2), "\"present\":true}]},\"seq\":5}"));
}

TEST("a room that is full admits those whom it knows, and nobody else (G4)")
{
    open_with_three();
    COME(4, "p4", "Dan");
    const struct game_guest fifth = {.player = TEXT("p5"), .name = TEXT("Eve")};
    const struct game_guest known = {.player = TEXT("p3"), .name = TEXT("Cid")};
    EXPECT_EQ(game_lobby.admits(room.state, &fifth), GAME_FULL);
    EXPECT_EQ(game_lobby.admits(room.state, &known), GAME_ADMITTED);
    leave(4);
    EXPECT_EQ(game_lobby.admits(room.state, &fifth), GAME_FULL); /* Dan may be back at once */
    advance_to(1000 + leave_ms);
    EXPECT_EQ(game_lobby.admits(room.state, &fifth), GAME_ADMITTED);
}

TEST("a second connection of a player takes the place of the first, and nobody is told (C12, G5)")
{
    open_with_three();
    COME(9, "p1", "Ann");
    EXPECT_EQ(room.words.count, 2);
    EXPECT(holds(message(0), "welcome"));
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[1].member, 9);
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_REPLACED);
    leave(1);
    act(1, "3"); /* what was under way when it was dismissed */
    EXPECT_EQ(room.words.count, 0);
    act(9, "3");
    expect_state("\"moves\":1");
}

TEST("who comes again under another name is shown under that one")
{
    open_with_three();
    COME(9, "p1", "Anna");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ALL);
    EXPECT(holds(message(1), "\"display_name\":\"Anna\""));
    EXPECT(!holds(message(1), "\"display_name\":\"Ann\""));
}

TEST("ids and names are only escaped (J9)")
{
    open_room();
    COME(1, "a\"}\\", "<\xe2\x80\xa6\">");
    EXPECT(holds(message(2), "{\"x\":\"a\\\"}\\\\\",\"o\":null}"));
    EXPECT(holds(message(2), "\"display_name\":\"<\xe2\x80\xa6\\\">\""));
}

/* --- The judge ------------------------------------------------------------------------------- */

TEST("a move is acknowledged to who made it, and everybody gets the state (S3-3, S3-4)")
{
    open_with_three();
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a1\",\"payload\":{\"move\":3}}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(message(0),
                "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":6},\"correlation_id\":\"a1\"}");
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[0].member, 1);
    EXPECT_TEXT(
        message(1),
        "{\"type\":\"state\",\"payload\":{\"game\":\"four_in_a_row\",\"phase\":\"playing\","
        "\"board\":"
        "[\".......\",\".......\",\".......\",\".......\",\".......\",\"...x...\"],\"moves\":1,"
        "\"players\":{\"x\":\"p1\",\"o\":\"p2\"},\"turn\":\"p2\",\"result\":null,\"rematch\":[],"
        "\"people\":[{\"player_id\":\"p1\",\"display_name\":\"Ann\",\"present\":true},"
        "{\"player_id\":\"p2\",\"display_name\":\"Bob\",\"present\":true},"
        "{\"player_id\":\"p3\",\"display_name\":\"Cid\",\"present\":true}]},\"seq\":6}");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ALL);
}

TEST("an error has the code, a sentence and the correlation_id, and only its sender gets it")
{
    open_with_three();
    SAY(2, "{\"type\":\"action\",\"correlation_id\":\"a1\",\"payload\":{\"move\":3}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 2),
                "{\"type\":\"error\",\"event\":\"not_your_turn\",\"payload\":{\"code\":"
                "\"not_your_turn\",\"message\":\"It is the other player's turn.\"},"
                "\"correlation_id\":\"a1\"}");
}

TEST("who may not move is told why, and the board stays (G1)")
{
    open_room();
    COME(1, "p1", "Ann");
    act(1, "3");
    expect_error(1, "not_started");
    act(1, "\"resign\"");
    expect_error(1, "not_started");
    act(1, "\"rematch\"");
    expect_error(1, "not_started");
    COME(2, "p2", "Bob");
    COME(3, "p3", "Cid");
    struct text before = current_state();
    static char kept[4096];
    memcpy(kept, before.data, before.size);
    size_t size = before.size;
    act(2, "3");
    expect_error(2, "not_your_turn");
    act(3, "3");
    expect_error(3, "forbidden");
    act(3, "\"resign\"");
    expect_error(3, "forbidden");
    act(3, "\"rematch\"");
    expect_error(3, "forbidden");
    act(3, "\"sit\"");
    expect_error(3, "forbidden");
    for (size_t i = 0; i < 7; i++) {
        static const char *const moves[] = {"7",      "-1",  "9223372036854775807", "3.5", "1e3",
                                            "\"up\"", "\"\""};
        act(1, moves[i]);
        expect_error(1, "illegal_move");
    }
    act(1, "\"rematch\"");
    expect_error(1, "illegal_move");
    struct text after = current_state();
    EXPECT(text_equal((struct text){kept, size}, after));
}

TEST("a full column takes no more (G1)")
{
    open_with_three();
    play("000000", 1, 2);
    act(1, "0");
    expect_error(1, "illegal_move");
    act(1, "1");
    expect_state("\"moves\":7");
}

TEST("a line ends the game, and shows which it is; then no move is taken (G3)")
{
    open_with_three();
    play("0011223", 1, 2);
    expect_state("\"phase\":\"over\"");
    EXPECT(holds(message(0), "\"turn\":null,\"result\":{\"winner\":\"p1\",\"by\":\"line\","
                             "\"line\":[[0,0],[1,0],[2,0],[3,0]]},\"rematch\":[]"));
    act(2, "4");
    expect_error(2, "game_over");
    act(2, "\"resign\"");
    expect_error(2, "game_over");
}

TEST("a full board without a line is a draw")
{
    open_with_three();
    play("114233422562342465101534411626660030530055", 1, 2);
    expect_state("\"phase\":\"over\"");
    EXPECT(holds(message(0), "\"result\":{\"winner\":null,\"by\":\"draw\"},"));
}

TEST("who resigns has lost, also out of turn")
{
    open_with_three();
    act(2, "\"resign\"");
    expect_state("\"result\":{\"winner\":\"p1\",\"by\":\"resignation\"}");
}

TEST("when both want a rematch it begins, and who had o has x (G3)")
{
    open_with_three();
    play("0011223", 1, 2);
    act(1, "\"rematch\"");
    expect_state("\"rematch\":[\"p1\"]");
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"r\",\"payload\":{\"move\":\"rematch\"}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 1),
                "{\"type\":\"ack\",\"payload\":{\"ok\":true},\"correlation_id\":\"r\"}");
    act(2, "\"rematch\"");
    expect_state("\"phase\":\"playing\"," EMPTY_BOARD);
    EXPECT(holds(message(0), "\"players\":{\"x\":\"p2\",\"o\":\"p1\"},\"turn\":\"p2\""));
    EXPECT(holds(message(0), "\"result\":null,\"rematch\":[]"));
    act(1, "0");
    expect_error(1, "not_your_turn");
    play("0011223", 2, 1);
    expect_state("\"winner\":\"p2\"");
}

/* --- The same again -------------------------------------------------------------------------- */

TEST("what comes twice under one correlation_id is done once, and answered twice")
{
    open_with_three();
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a1\",\"payload\":{\"move\":3}}");
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a1\",\"payload\":{\"move\":3}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 1),
                "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":6},\"correlation_id\":\"a1\"}");
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a2\",\"payload\":{\"move\":3}}");
    expect_error(1, "not_your_turn");
    act(2, "3");
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a2\",\"payload\":{\"move\":3}}");
    expect_error(1, "not_your_turn"); /* as it was */
    SAY(1, "{\"type\":\"action\",\"correlation_id\":\"a3\",\"payload\":{\"move\":3}}");
    EXPECT_EQ(room.words.count, 2);
    SAY(2, "{\"type\":\"chat\",\"correlation_id\":\"a3\",\"payload\":{\"message\":\"hi\"}}");
    EXPECT_EQ(room.words.count, 2); /* somebody else's a3 */
    SAY(2, "{\"type\":\"chat\",\"correlation_id\":\"a3\",\"payload\":{\"message\":\"hi\"}}");
    (void)only(GAME_TO_ONE, 2);
}

/* A chat message under the correlation_id `number`. True when it was told to all. */
static bool chat_under(uint32_t member, uint32_t number)
{
    char memory[128];
    struct writer out = writer_over(memory, sizeof memory);
    write_format(&out,
                 "{\"type\":\"chat\",\"correlation_id\":\"%u\",\"payload\":{\"message\":\"a\"}}",
                 number);
    receive(member, text_from(writer_bytes(&out)));
    EXPECT(room.words.count > 0 && room.words.messages[0].audience == GAME_TO_ONE);
    return room.words.count == 2;
}

TEST("sixteen correlation_ids are remembered, of one connection")
{
    open_with_three();
    for (uint32_t i = 0; i < 17; i++)
        EXPECT(chat_under(1, i));
    for (uint32_t i = 1; i < 17; i++)
        EXPECT(!chat_under(1, i));
    EXPECT(chat_under(1, 0));
    EXPECT(!chat_under(1, 16));
    COME(9, "p1", "Ann");
    EXPECT(chat_under(9, 16));
}

/* --- Chat and the rest ----------------------------------------------------------------------- */

TEST("chat reaches all in one message, its sender with an ack before it (S3-3)")
{
    open_with_three();
    SAY(3,
        "{\"type\":\"chat\",\"correlation_id\":\"c1\",\"payload\":{\"message\":\" hi\\u202e \"}}");
    EXPECT_EQ(room.words.count, 2);
    EXPECT_TEXT(message(0),
                "{\"type\":\"ack\",\"payload\":{\"ok\":true,\"seq\":6},\"correlation_id\":\"c1\"}");
    EXPECT_TEXT(message(1),
                "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{\"player_id\":\"p3\","
                "\"display_name\":\"Cid\",\"message\":\"hi\",\"ts\":1700000000000},\"seq\":6}");
    EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ALL);
    SAY(3, "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}");
    EXPECT(holds(only(GAME_TO_ALL, 0), "\"seq\":7}"));
}

TEST("chat that is too long, empty, or for some, is told to nobody (J8)")
{
    open_with_three();
    room.options.chat_max = 3;
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"abcd\"}}");
    expect_error(1, "too_long");
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"\\u200b\"}}");
    expect_error(1, "empty");
    SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"abc\",\"to\":[\"p2\"]}}");
    expect_error(1, "unsupported");
}

TEST("a ping is answered with its time and ours")
{
    open_with_three();
    SAY(3, "{\"type\":\"ping\",\"correlation_id\":\"p\",\"payload\":{\"t0\":5}}");
    EXPECT_TEXT(only(GAME_TO_ONE, 3),
                "{\"type\":\"event\",\"event\":\"pong\",\"payload\":{\"t0\":5,"
                "\"t1\":1700000000000},\"correlation_id\":\"p\"}");
}

TEST("sync_state answers with the state as it is, and takes no number")
{
    open_with_three();
    SAY(3, "{\"type\":\"sync_state\",\"correlation_id\":\"s\"}");
    EXPECT(holds(only(GAME_TO_ONE, 3), "]},\"correlation_id\":\"s\",\"seq\":5}"));
    act(1, "3");
    EXPECT(holds(message(0), "\"seq\":6}"));
}

TEST("types that nobody knows are unsupported, with the correlation_id, and the ninth within a "
     "minute is the last (J7)")
{
    open_with_three();
    for (int i = 0; i < 8; i++) {
        SAY(1, "{\"type\":\"vote\",\"correlation_id\":\"v\",\"payload\":{}}");
        expect_error(1, "unsupported");
        EXPECT(holds(message(0), "\"correlation_id\":\"v\""));
    }
    SAY(1, "{\"type\":\"vote\"}");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
}

TEST("a message that means nothing is answered, and the ninth within a minute is the last (J1 to "
     "J5)")
{
    static const struct text bad[] = {
        TEXT("hello"),
        TEXT("[[[[[[[[[[[[[[[[[[[["),
        TEXT("{\"type\":\"action\",\"type\":\"chat\"}"),
        TEXT("{\"type\":\"action\",\"payload\":{\"move\":1e999}}"),
        TEXT("{\"type\":\"action\",\"payload\":{\"move\":\"\\ud800\"}}"),
        TEXT("{\"type\":\"action\"}"),
        TEXT("{\"type\":\"action\",\"payload\":{\"move\":[3]}}"),
        TEXT("{\"type\":\"ping\",\"payload\":{\"t0\":1.5}}"),
    };
    open_with_three();
    for (size_t i = 0; i < 8; i++) {
        receive(1, bad[i]);
        expect_error(1, "bad_message");
    }
    SAY(1, "{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":7}}");
    EXPECT(holds(only(GAME_TO_ONE, 1), "\"correlation_id\":\"c\""));
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 1);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_MISBEHAVED);
    SAY(1, "{\"type\":\"sync_state\"}");
    EXPECT_EQ(room.words.count, 0);
}

/* --- Going ----------------------------------------------------------------------------------- */

TEST("a blip is not told, and the board is as it was (G5)")
{
    open_with_three();
    act(1, "3");
    leave(2);
    EXPECT_EQ(room.words.count, 0);
    EXPECT_EQ(game_lobby.due(room.state), 1000 + leave_ms);
    advance_to(1000 + leave_ms - 1);
    EXPECT_EQ(room.words.count, 0);
    COME(7, "p2", "Bob");
    EXPECT_EQ(room.words.count, 2);
    EXPECT(holds(message(1), "\"moves\":1,"));
    act(7, "3");
    expect_state("\"moves\":2,");
}

TEST("a spectator who stays away has left")
{
    open_with_three();
    leave(3);
    advance_to(1000 + leave_ms);
    EXPECT_TEXT(only(GAME_TO_ALL, 0),
                "{\"type\":\"event\",\"event\":\"participant_left\",\"payload\":{\"player_id\":"
                "\"p3\",\"display_name\":\"Cid\"},\"seq\":6}");
    COME(4, "p3", "Cid");
    EXPECT_EQ(room.words.count, 3);
}

TEST("a player who stays away has left for the others, and keeps the seat until the time is over")
{
    open_with_three();
    leave(1);
    advance_to(1000 + leave_ms);
    EXPECT(holds(only(GAME_TO_ALL, 0), "participant_left"));
    EXPECT(holds(current_state(), "\"players\":{\"x\":\"p1\",\"o\":\"p2\"},\"turn\":\"p1\""));
    EXPECT(holds(current_state(), "\"display_name\":\"Ann\",\"present\":false}"));
    EXPECT_EQ(game_lobby.due(room.state), 1000 + seat_ms);
    advance_to(1000 + seat_ms - 1);
    EXPECT_EQ(room.words.count, 0);
    advance_to(1000 + seat_ms);
    expect_state("\"players\":{\"x\":null,\"o\":\"p2\"}");
    EXPECT(holds(message(0), "\"result\":{\"winner\":\"p2\",\"by\":\"forfeit\"}"));
    EXPECT(!holds(message(0), "Ann"));
}

TEST("a player who is back before that plays on, and joins again for the others")
{
    open_with_three();
    leave(1);
    advance_to(1000 + leave_ms);
    advance_to(1000 + seat_ms - 1);
    COME(8, "p1", "Ann");
    EXPECT(holds(message(0), "participant_joined"));
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_OTHERS);
    act(8, "3");
    expect_state("\"moves\":1");
    advance_to(1000 + 10 * seat_ms);
    EXPECT_EQ(room.words.count, 0);
}

TEST("of two who stay away the first to go has lost, however late the clock is looked at")
{
    for (int round = 0; round < 2; round++) {
        open_with_three();
        leave(2);
        room.now_ms += 10;
        leave(1);
        if (round == 0) advance_to(1000 + seat_ms);
        advance_to(1000 + seat_ms + 10);
        EXPECT(holds(current_state(), "\"result\":{\"winner\":\"p1\",\"by\":\"forfeit\"}"));
        EXPECT(holds(current_state(), "\"players\":{\"x\":null,\"o\":null}"));
    }
}

TEST("outside a game a seat is free when its player has left, and the next one begins with another")
{
    open_with_three();
    act(1, "\"resign\"");
    act(2, "\"rematch\"");
    leave(2);
    advance_to(1000 + leave_ms);
    EXPECT_EQ(room.words.count, 2);
    EXPECT(holds(message(0), "participant_left"));
    EXPECT(holds(message(1), "\"players\":{\"x\":\"p1\",\"o\":null}"));
    EXPECT(
        holds(message(1), "\"result\":{\"winner\":\"p2\",\"by\":\"resignation\"},\"rematch\":[]"));
    act(1, "\"rematch\"");
    expect_error(1, "not_started");
    act(3, "\"sit\"");
    expect_state("\"phase\":\"playing\"");
    EXPECT(holds(message(0), "\"players\":{\"x\":\"p1\",\"o\":\"p3\"},\"turn\":\"p1\""));
    SAY(3, "{\"type\":\"action\",\"correlation_id\":\"s\",\"payload\":{\"move\":\"sit\"}}");
    EXPECT(holds(only(GAME_TO_ONE, 3), "\"ok\":true}"));
}

TEST("the seat of who waited alone is free when it has left")
{
    open_room();
    COME(1, "p1", "Ann");
    leave(1);
    advance_to(1000 + leave_ms);
    COME(2, "p2", "Bob");
    EXPECT(holds(message(2), "\"players\":{\"x\":\"p2\",\"o\":null}"));
}

TEST("who is away when its game ends is forgotten")
{
    open_with_three();
    leave(1);
    advance_to(1000 + leave_ms);
    act(2, "\"resign\"");
    expect_state("\"winner\":\"p1\"");
    EXPECT(game_lobby.due(room.state) <= room.now_ms);
    advance_to(room.now_ms);
    expect_state("\"players\":{\"x\":null,\"o\":\"p2\"}");
    EXPECT(holds(message(0), "\"winner\":\"p1\""));
    leave(2);
    advance_to(room.now_ms + leave_ms);
    EXPECT(holds(message(1), "\"winner\":\"p1\"")); /* also when nobody of that game is left */
}

TEST("a token that expires ends its connection, and its player is away from then on (A15)")
{
    open_with_three();
    come(4, TEXT("p4"), TEXT("Dan"), 2500);
    EXPECT_EQ(game_lobby.due(room.state), 2500);
    advance_to(2500);
    EXPECT_TEXT(only(GAME_TO_ONE, 4),
                "{\"type\":\"error\",\"event\":\"token_expired\",\"payload\":{\"code\":"
                "\"token_expired\",\"message\":\"Your token has expired; come again with a new "
                "one.\"}}");
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, 4);
    EXPECT_EQ(room.words.dismissed[0].why, GAME_DISMISS_EXPIRED);
    leave(4);
    advance_to(2500 + leave_ms);
    EXPECT(holds(only(GAME_TO_ALL, 0), "participant_left"));
}

TEST("a room is over when nobody has been connected for long, and not while somebody is")
{
    open_room();
    EXPECT_EQ(game_lobby.due(room.state), 1000 + empty_ms);
    COME(1, "p1", "Ann");
    advance_to(1000 + 10 * empty_ms);
    EXPECT(!room.words.over);
    leave(1);
    uint64_t left_ms = room.now_ms;
    advance_to(left_ms + empty_ms - 1);
    EXPECT(!room.words.over);
    advance_to(left_ms + empty_ms);
    EXPECT(room.words.over);
}

TEST("many who go at once are told in several turns, and each is told")
{
    open_room();
    room.options.players_max = 32;
    for (uint32_t i = 0; i < 32; i++)
        come(i, (struct text){&"0123456789abcdefghijklmnopqrstuv"[i], 1}, TEXT("x"), 5000);
    uint32_t told = 0, turns = 0;
    room.now_ms = 5000;
    for (; game_lobby.due(room.state) <= room.now_ms && turns < 100; turns++) {
        advance_to(room.now_ms);
        EXPECT(room.words.count <= game_messages_max);
        told += room.words.dismissed_count;
    }
    EXPECT_EQ(told, 32);
    EXPECT_EQ(turns, 3);
}

/* --- The whole ------------------------------------------------------------------------------- */

TEST("seq has no gap, whatever happens")
{
    uint64_t expected = 0;
    open_room();
    uint64_t state = 7;
    for (uint32_t i = 0; i < 5000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t who = 1 + (state >> 40) % 3;
        char id[] = {'p', (char)('0' + who), '\0'};
        switch ((state >> 50) % 8) {
        case 0: come(who, text_of(id), text_of(id), room.now_ms + token_ms); break;
        case 1: leave(who); break;
        case 2: advance_to(room.now_ms + (state >> 20) % 30'000); break;
        case 3: act(who, "\"rematch\""); break;
        case 4: act(who, "\"sit\""); break;
        default: act(who, (char[]){(char)('0' + (state >> 30) % 7), '\0'}); break;
        }
        for (uint32_t m = 0; m < room.words.count; m++) {
            struct text problem, said = message(m);
            const struct json *root =
                json_read((struct bytes){json_memory, sizeof json_memory}, said, &problem);
            int64_t sequence = 0;
            if (root == nullptr) abort();
            bool numbered = json_to_integer(json_member(root, TEXT("seq")), &sequence);
            bool to_one = room.words.messages[m].audience == GAME_TO_ONE;
            if (!to_one) expected += 1;
            EXPECT(to_one || numbered);
            if (numbered) EXPECT_EQ((uint64_t)sequence, expected);
        }
    }
    EXPECT(expected > 500);
}

TEST("the same inputs give the same bytes")
{
    static uint8_t first[64 * 1024];
    for (int round = 0; round < 2; round++) {
        open_with_three();
        play("3342", 1, 2);
        (void)current_state();
        size_t size = room.words.out.size;
        if (round == 0) memcpy(first, room.said, size);
        EXPECT(memcmp(first, room.said, size) == 0);
    }
}

TEST("lobby is in the list of kinds and speaks the canonical dialect")
{
    EXPECT(games[GAME_LOBBY] == &game_lobby);
    EXPECT_TEXT(game_lobby.protocol, "ringcast.v1");
    EXPECT(game_lobby.acquired);
    EXPECT(game_lobby.message_size_max <= http_body_size_max); /* the memory for JSON */
}
