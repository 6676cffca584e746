/* tests/unit/game_company.c: what people may say in rooms of the canonical dialect, and how
 * often; how long their tokens let them stay. Each test is of every such kind (C16; THREATS.md
 * A11, A16, J5, R9, R11). */
#include "check.h"
#include "game/company.h"
#include "game/games.h"
#include "game/relay.h"
#include <stdalign.h>

/* A room on a table, the clock that the test moves, and what was said last. */
struct table_room {
    const struct game *game;
    alignas(16) uint8_t state[128 * 1024];
    struct game_options options;
    uint64_t now_ms;
    struct game_words words;
    uint8_t said[128 * 1024];
};

static struct table_room room;
static uint8_t json_memory[json_memory_per_byte * 4096 + json_memory_fixed];
static uint8_t request_memory[relay_memory_size];
static uint8_t reply_memory[relay_reply_size_max];

static const struct game *const kinds[] = {&game_lobby, &game_relay};
constexpr size_t kind_count = sizeof kinds / sizeof kinds[0];

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

static void allow_chat(void)
{
    struct writer reply = writer_over(reply_memory, sizeof reply_memory);
    const struct game_request request = {.verb = TEXT("open"),
                                         .body = TEXT("{\"chat\":true}"),
                                         .memory = {request_memory, sizeof request_memory}};
    EXPECT_EQ(game_relay.request(room.state, &request, now(), &reply, hear()), GAME_DONE);
}

/* Its token expires after 100 s, and is good for 30 s more. */
static void come(uint32_t member, const char *player)
{
    const struct game_guest guest = {.player = text_of(player),
                                     .name = text_of(player),
                                     .until_ms = 131'000,
                                     .expires_wall_ms = 1'700'000'100'000};
    room.game->arrive(room.state, member, &guest, now(), hear());
}

/* p1 is member 1, p2 member 2. Whoever is here has no token for longer than come says. */
static void open_with_two(const struct game *game)
{
    memset(&room, 0, sizeof room);
    EXPECT(game->state_size <= sizeof room.state);
    room.game = game;
    room.now_ms = 1000;
    room.options = (struct game_options){.players_max = 4,
                                         .chat_max = 500,
                                         .warning_ms = 60'000,
                                         .leeway_ms = 30'000,
                                         .leave_ms = 5000,
                                         .seat_ms = 5000,
                                         .empty_ms = 90'000};
    game->open(room.state,
               &(struct game_opening){
                   .options = &room.options, .seed = 1, .id = TEXT("g1"), .now = now()});
    if (game == &game_relay) allow_chat();
    come(1, "p1");
    come(2, "p2");
}

static void limit_rates(uint32_t chat, uint32_t room_chat, uint32_t state)
{
    room.options.rates = (struct game_rates){
        .chat = rate_of(chat), .room_chat = rate_of(room_chat), .state = rate_of(state)};
}

static void receive(uint32_t member, struct text text)
{
    room.game->receive(room.state, member, text, now(),
                       (struct bytes){json_memory, sizeof json_memory}, hear());
}
#define SAY(member, message) receive(member, TEXT(message))

#define CHAT "{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}"
#define CHAT_AS(correlation) \
    "{\"type\":\"chat\",\"correlation_id\":\"" correlation "\",\"payload\":{\"message\":\"hi\"}}"
#define ASK(type) "{\"type\":\"" type "\",\"correlation_id\":\"s\"}"

static struct text only(uint32_t member)
{
    EXPECT_EQ(room.words.count, 1);
    if (room.words.count == 0) return TEXT("");
    EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ONE);
    EXPECT_EQ(room.words.messages[0].member, member);
    return words_text(&room.words, &room.words.messages[0]);
}

static bool only_holds(uint32_t member, const char *piece)
{
    struct text text = only(member);
    return memmem(text.data, text.size, piece, strlen(piece)) != nullptr;
}

/* So does the input end for it, and nobody else goes. */
static void expect_gone(uint32_t member, enum game_dismissal why)
{
    EXPECT_EQ(room.words.dismissed_count, 1);
    EXPECT_EQ(room.words.dismissed[0].member, member);
    EXPECT_EQ(room.words.dismissed[0].why, why);
    room.game->leave(room.state, member, now(), hear());
    EXPECT_EQ(room.words.count, 0);
    SAY(member, CHAT);
    EXPECT_EQ(room.words.count, 0);
}

/* --- How often ------------------------------------------------------------------------------- */

TEST("too much chat is refused with its correlation_id and when to go on, and may be said again "
     "under that (R9)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        limit_rates(2, 100, 0);
        for (uint32_t n = 0; n < 4; n++) {
            SAY(1, CHAT);
            EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
            EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ALL);
        }
        SAY(1, CHAT_AS("c"));
        EXPECT_TEXT(only(1), "{\"type\":\"error\",\"event\":\"rate_limited\",\"payload\":{\"code\":"
                             "\"rate_limited\",\"message\":\"You say too much at once; wait.\","
                             "\"retry_ms\":500},\"correlation_id\":\"c\"}");
        EXPECT_EQ(room.words.limit, GAME_LIMIT_CHAT);
        EXPECT_EQ(room.words.dismissed_count, 0);
        SAY(2, CHAT);
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
        room.now_ms += 500;
        SAY(1, CHAT_AS("c"));
        EXPECT_EQ(room.words.count, 2); /* the ack, and the message */
        EXPECT_EQ(room.words.messages[1].audience, GAME_TO_ALL);
        SAY(1, CHAT_AS("c"));
        EXPECT(only_holds(1, "{\"type\":\"ack\""));
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
    }
}

TEST("a room has a rate of its own, and who is refused for it has used up nothing (R9)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        limit_rates(1, 1, 0);
        SAY(1, CHAT);
        SAY(1, CHAT);
        SAY(2, CHAT);
        EXPECT(only_holds(
            2, "\"message\":\"The room says too much at once; wait.\",\"retry_ms\":1000}"));
        EXPECT_EQ(room.words.limit, GAME_LIMIT_ROOM_CHAT);
        room.now_ms += 2000;
        SAY(2, CHAT);
        SAY(2, CHAT);
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
    }
}

TEST("what is refused for itself costs nothing, and what is not understood is no chat")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        limit_rates(1, 1, 0);
        for (uint32_t n = 0; n < 7; n++) {
            SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"\"}}");
            SAY(1, "{\"type\":\"chat\",\"payload\":{\"message\":\"x\",\"to\":[\"p2\"]}}");
            SAY(1, "{\"type\":\"chat\",\"payload\":{}}");
        }
        SAY(1, CHAT);
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
        EXPECT_EQ(room.words.messages[0].audience, GAME_TO_ALL);
    }
}

/* How many bytes a member gets that asks until it is refused; and how many answers that were. */
static uint64_t ask_until_refused(uint32_t member, struct text message, uint32_t *answers)
{
    uint64_t bytes = 0;
    for (*answers = 0; *answers < 100; *answers += 1) {
        receive(member, message);
        if (room.words.limit != GAME_LIMIT_NONE) break;
        bytes += only(member).size;
    }
    return bytes;
}

TEST("sync_state costs what its answer has: who asks in a loop is refused (R11)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        limit_rates(0, 0, 2048);
        uint32_t answers;
        uint64_t bytes = ask_until_refused(1, TEXT(ASK("sync_state")), &answers);
        EXPECT(answers >= 5 && answers < 100 && bytes <= 4096);
        EXPECT_EQ(room.words.limit, GAME_LIMIT_STATE);
        EXPECT(
            only_holds(1, "\"message\":\"You ask for the state too often; wait.\",\"retry_ms\":"));
        EXPECT(only_holds(1, "},\"correlation_id\":\"s\"}"));
        SAY(2, ASK("sync_state"));
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
        room.now_ms += 1000;
        SAY(1, ASK("sync_state"));
        EXPECT_EQ(room.words.limit, GAME_LIMIT_NONE);
    }
}

TEST("in a backend's room who is here is state, too, and a large state is asked for seldom (R11)")
{
    uint32_t answers;
    open_with_two(&game_relay);
    limit_rates(0, 0, 1024);
    EXPECT(ask_until_refused(1, TEXT(ASK("presence")), &answers) <= 2048);
    EXPECT(answers >= 5 && answers < 100);
    EXPECT(only_holds(1, "\"code\":\"rate_limited\""));
    char body[6000];
    struct writer out = writer_over(body, sizeof body), reply = writer_over(reply_memory, 1024);
    write_text(&out, TEXT("{\"replace\":{\"x\":\""));
    for (uint32_t i = 0; i < 5000; i++)
        write_byte(&out, 'x');
    write_text(&out, TEXT("\"}}"));
    const struct game_request request = {.verb = TEXT("state"),
                                         .body = text_from(writer_bytes(&out)),
                                         .memory = {request_memory, sizeof request_memory}};
    EXPECT_EQ(game_relay.request(room.state, &request, now(), &reply, hear()), GAME_DONE);
    (void)ask_until_refused(2, TEXT(ASK("sync_state")), &answers);
    EXPECT_EQ(answers, 1); /* larger than a burst: it takes a whole one */
}

TEST("who goes on whatever it is told is let go, and coming again does not forgive (R9)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        limit_rates(1, 0, 0);
        for (uint32_t n = 0; n < 3; n++) /* the third is refused */
            SAY(1, CHAT);
        for (uint32_t n = 0; n < game_defiances_most; n++) {
            SAY(1, CHAT);
            EXPECT_EQ(room.words.dismissed_count, 0);
        }
        SAY(1, CHAT);
        EXPECT(only_holds(1, "\"event\":\"rate_limited\""));
        expect_gone(1, GAME_DISMISS_FLOODED);
        come(5, "p1");
        SAY(5, CHAT);
        expect_gone(5, GAME_DISMISS_FLOODED);
    }
}

TEST("the types that are understood are told apart, all others are one (R9)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        uint32_t known = 0;
        for (; known < game_types_max && kinds[i]->types[known].size > 0; known++) {
            char text[64];
            int size = snprintf(text, sizeof text, "{\"type\":\"%.*s\",\"payload\":{\"t0\":1}}",
                                TEXT_ARG(kinds[i]->types[known]));
            receive(1, (struct text){text, (size_t)size});
            EXPECT_EQ(room.words.heard, known);
        }
        EXPECT_EQ(known, 5);
        SAY(1, "{\"type\":\"chatter\"}");
        EXPECT_EQ(room.words.heard, game_type_unknown);
        EXPECT(only_holds(1, "\"code\":\"unsupported\""));
        for (uint32_t n = 0; n < known; n++) { /* a newcomer learns which there are */
            char name[envelope_type_size_max + 1] = {};
            memcpy(name, kinds[i]->types[n].data, kinds[i]->types[n].size);
            EXPECT(only_holds(1, name));
        }
        SAY(1, "nonsense");
        EXPECT_EQ(room.words.heard, game_type_unknown);
    }
}

/* --- Tokens ---------------------------------------------------------------------------------- */

/* p1 sends a token, and this is what it is found to be. */
static void send_token(const struct game_guest *guest)
{
    SAY(1, "{\"type\":\"auth\",\"correlation_id\":\"c1\",\"payload\":{\"token\":\"a.b.c\"}}");
    EXPECT_EQ(room.words.count, 0);
    EXPECT(room.words.asked.is_asked);
    EXPECT_TEXT(room.words.asked.token, "a.b.c");
    room.game->verified(room.state, 1, guest, TEXT("bad_signature"), TEXT("It is bad."), now(),
                        hear());
}

static void advance_to(uint64_t ms)
{
    room.now_ms = ms;
    (void)room.game->advance(room.state, now(), hear());
}

TEST("a member is warned before its token expires, and a new one gives it more time (C16, A16)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        room.game->leave(room.state, 2, now(), hear());
        advance_to(6000);
        EXPECT_EQ(room.game->due(room.state), 51'000); /* half of it is less than a minute */
        advance_to(51'000);
        EXPECT_TEXT(only(1), "{\"type\":\"event\",\"event\":\"auth_expiring\","
                             "\"payload\":{\"expires_at\":1700000100000}}");
        EXPECT_EQ(room.game->due(room.state), 131'000);
        send_token(&(struct game_guest){
            .player = TEXT("p1"), .until_ms = 631'000, .expires_wall_ms = 1'700'000'600'000});
        EXPECT_TEXT(only(1),
                    "{\"type\":\"event\",\"event\":\"auth_refreshed\","
                    "\"payload\":{\"expires_at\":1700000600000},\"correlation_id\":\"c1\"}");
        EXPECT_EQ(room.game->due(room.state), 541'000);
        send_token(&(struct game_guest){.player = TEXT("p1"), .until_ms = 200'000});
        EXPECT(only_holds(1, "\"expires_at\":1700000600000")); /* none shortens it */
        advance_to(541'000);
        advance_to(631'000);
        EXPECT(only_holds(1, "\"code\":\"token_expired\""));
        expect_gone(1, GAME_DISMISS_EXPIRED);
    }
}

TEST("a bad token changes nothing, a token of another player ends the connection (A11, A16)")
{
    const struct game_guest other = {.player = TEXT("p2"), .until_ms = 631'000};
    const struct game_guest elsewhere = {
        .player = TEXT("p1"), .room = TEXT("g2"), .until_ms = 631'000};
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        send_token(nullptr);
        EXPECT(only_holds(1, "\"code\":\"bad_signature\",\"message\":\"It is bad.\"}"));
        EXPECT(only_holds(1, "\"correlation_id\":\"c1\""));
        EXPECT_EQ(room.words.dismissed_count, 0);
        EXPECT_EQ(room.game->due(room.state), 51'000);
        send_token(
            &(struct game_guest){.player = TEXT("p1"), .room = TEXT("g1"), .until_ms = 631'000});
        EXPECT(only_holds(1, "auth_refreshed"));
        send_token(&other);
        EXPECT(only_holds(1, "\"code\":\"wrong_player\""));
        expect_gone(1, GAME_DISMISS_FORBIDDEN);
        open_with_two(kinds[i]);
        send_token(&elsewhere);
        EXPECT(only_holds(1, "\"code\":\"wrong_room\""));
        expect_gone(1, GAME_DISMISS_FORBIDDEN);
    }
}

TEST("tokens that come too fast are not looked at, bad ones are strikes (A16, J5)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        for (uint32_t n = 0; n < game_token_rate.burst; n++)
            send_token(nullptr);
        SAY(1, "{\"type\":\"auth\",\"payload\":{\"token\":\"a.b.c\"}}");
        EXPECT(!room.words.asked.is_asked);
        EXPECT(only_holds(1, "\"code\":\"rate_limited\""));
        expect_gone(1, GAME_DISMISS_FLOODED);
        open_with_two(kinds[i]);
        for (uint32_t n = 0; n < 9; n++) {
            EXPECT_EQ(room.words.dismissed_count, 0);
            room.now_ms += 1000;
            send_token(nullptr);
        }
        expect_gone(1, GAME_DISMISS_MISBEHAVED);
    }
}

TEST("an auth without a token means nothing, and an answer for who is gone is for nobody (J5)")
{
    for (size_t i = 0; i < kind_count; i++) {
        open_with_two(kinds[i]);
        SAY(1, "{\"type\":\"auth\",\"correlation_id\":\"c1\",\"payload\":{\"token\":7}}");
        EXPECT(!room.words.asked.is_asked);
        EXPECT(only_holds(1, "The message has no payload.token, a text."));
        room.game->verified(room.state, 9, nullptr, TEXT("expired"), TEXT("It is."), now(), hear());
        EXPECT_EQ(room.words.count, 0);
    }
}
