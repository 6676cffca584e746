/* tests/unit/game_vote.c: the lobby before a vote: its exact words (THREATS.md S1-9, S1-10), who
 * may do what (G2), what comes twice (G3), and when it ends by itself. */
#include "base/json.h"
#include "base/random.h"
#include "check.h"
#include "game/games.h"
#include "limits.h"
#include <stdalign.h>

/* A room on a table, the clock that the test moves, and what was said last. */
struct lobby {
    alignas(16) uint8_t state[512];
    struct game_options options;
    uint64_t now_ms;
    struct game_words words;
    uint8_t said[4096];
    char reply[256];
    size_t reply_size;
};

static uint8_t json_memory[json_memory_per_byte * http_body_size_max + json_memory_fixed];

#define TOKEN "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8g"

static struct game_time time_of(const struct lobby *lobby)
{
    return (struct game_time){.ms = lobby->now_ms, .ns = lobby->now_ms * 1000 * 1000};
}

static struct game_words *hear(struct lobby *lobby)
{
    lobby->words = words_over((struct bytes){lobby->said, sizeof lobby->said});
    return &lobby->words;
}

static void lobby_open(struct lobby *lobby, bool require_host)
{
    *lobby = (struct lobby){
        .options = {.require_host = require_host, .lobby_ms = 300'000, .voting_ms = 600'000},
        .now_ms = 1000};
    EXPECT(game_vote.state_size <= sizeof lobby->state);
    game_vote.open(lobby->state, &(struct game_opening){.options = &lobby->options,
                                                        .seed = 1,
                                                        .id = TEXT("123456"),
                                                        .secret = TEXT(TOKEN),
                                                        .now = time_of(lobby)});
}

static bool advance(struct lobby *lobby)
{
    return game_vote.advance(lobby->state, time_of(lobby), hear(lobby));
}

static void join(struct lobby *lobby, uint32_t member)
{
    game_vote.join(lobby->state, member, time_of(lobby), hear(lobby));
}

static void leave(struct lobby *lobby, uint32_t member)
{
    game_vote.leave(lobby->state, member, time_of(lobby), hear(lobby));
}

static enum game_answer ask(struct lobby *lobby, struct text verb, struct text body,
                            struct text token)
{
    struct writer reply = writer_over(lobby->reply, sizeof lobby->reply);
    const struct game_request request = {
        .verb = verb, .body = body, .token = token, .memory = {json_memory, sizeof json_memory}};
    enum game_answer answer =
        game_vote.request(lobby->state, &request, time_of(lobby), &reply, hear(lobby));
    lobby->reply_size = reply.size;
    return answer;
}
#define ASK(lobby, verb, body) ask(lobby, TEXT(verb), TEXT(body), TEXT(TOKEN))

static struct text reply_of(const struct lobby *lobby)
{
    return (struct text){lobby->reply, lobby->reply_size};
}

#define SAYS(lobby, index, literal) \
    EXPECT_TEXT(words_text(&(lobby)->words, &(lobby)->words.messages[index]), literal)

TEST("a joiner is told the status, and then the others that somebody joined (S1-11, S1-12)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    join(&lobby, 4);
    EXPECT_EQ(lobby.words.count, 2);
    SAYS(&lobby, 0,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"LOBBY\","
         "\"participants_count\":1}}");
    EXPECT_EQ(lobby.words.messages[0].audience, GAME_TO_ONE);
    EXPECT_EQ(lobby.words.messages[0].member, 4);
    SAYS(&lobby, 1,
         "{\"type\":\"participant_joined\",\"room_id\":\"123456\",\"data\":{\"message\":"
         "\"participant joined\",\"participants_count\":1}}");
    EXPECT_EQ(lobby.words.messages[1].audience, GAME_TO_OTHERS);
    EXPECT_EQ(lobby.words.messages[1].member, 4);
    join(&lobby, 5);
    SAYS(&lobby, 0,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"LOBBY\","
         "\"participants_count\":2}}");
    leave(&lobby, 4);
    EXPECT_EQ(lobby.words.count, 0);
    join(&lobby, 4);
    SAYS(&lobby, 0,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"LOBBY\","
         "\"participants_count\":2}}");
}

TEST("who participates is announced to all, in the seed's words, as often as it happens (S1-6, G3)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(ask(&lobby, TEXT("participate"), TEXT("{\"text\":\"x\"}"), (struct text){}),
                  GAME_DONE);
        EXPECT_EQ(lobby.reply_size, 0);
        EXPECT_EQ(lobby.words.count, 1);
        EXPECT_EQ(lobby.words.messages[0].audience, GAME_TO_ALL);
        SAYS(&lobby, 0,
             "{\"type\":\"participant_ready\",\"room_id\":\"123456\",\"data\":{\"message\":"
             "\"participant ready\"}}");
    }
}

TEST("a body that is no {\"text\":string} is an incorrect request and says nothing (S1-5, X2)")
{
    static const char *const bodies[] = {"",
                                         "{bad",
                                         "[]",
                                         "null",
                                         "\"text\"",
                                         "{}",
                                         "{\"text\":1}",
                                         "{\"text\":null}",
                                         "{\"text\":{}}",
                                         "{\"Text\":\"x\"}",
                                         "{\"text\":\"x\"} trailing",
                                         "{\"text\":\"x\"}{\"text\":\"y\"}",
                                         "{\"text\":\"x\",\"text\":\"y\"}",
                                         "{\"text\":\"\\ud800\"}",
                                         "{\"text\":\"\xff\"}",
                                         "{'text':'x'}"};
    struct lobby lobby;
    lobby_open(&lobby, true);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        EXPECT_EQ(ask(&lobby, TEXT("participate"), text_of(bodies[i]), (struct text){}),
                  GAME_NOT_UNDERSTOOD);
        EXPECT_TEXT(reply_of(&lobby), "incorrect request");
        EXPECT_EQ(lobby.words.count, 0);
    }
    EXPECT_EQ(ASK(&lobby, "participate", "{\"text\":\"\",\"more\":[1,{}]}"), GAME_DONE);
}

TEST("the host starts the voting once: all are sent off, then told the status (S1-7, G3)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    EXPECT_EQ(ASK(&lobby, "start", ""), GAME_DONE);
    EXPECT_EQ(lobby.words.count, 2);
    SAYS(&lobby, 0,
         "{\"type\":\"voting_started\",\"room_id\":\"123456\",\"data\":{\"message\":"
         "\"voting started\",\"redirect_url\":\"/voting\"}}");
    SAYS(&lobby, 1,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"VOTING\","
         "\"participants_count\":0}}");
    EXPECT_EQ(ASK(&lobby, "start", ""), GAME_REFUSED);
    EXPECT_EQ(lobby.words.count, 0);
    EXPECT_EQ(ASK(&lobby, "participate", "{\"text\":\"late\"}"), GAME_REFUSED);
    EXPECT_EQ(lobby.words.count, 0);
    EXPECT_EQ(ASK(&lobby, "participate", "late"), GAME_NOT_UNDERSTOOD);
    join(&lobby, 1);
    SAYS(&lobby, 0,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"VOTING\","
         "\"participants_count\":1}}");
}

TEST("only the host starts and releases, and a wrong token changes nothing (S1-21, D17, G2)")
{
    static const char *const wrong[] = {"", "x", TOKEN "x", "bGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8g"};
    struct lobby lobby;
    lobby_open(&lobby, true);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EXPECT_EQ(ask(&lobby, TEXT("start"), (struct text){}, text_of(wrong[i])), GAME_FORBIDDEN);
        EXPECT_EQ(ask(&lobby, TEXT("release"), (struct text){}, text_of(wrong[i])), GAME_FORBIDDEN);
        EXPECT_EQ(lobby.words.count, 0);
        EXPECT(!lobby.words.over);
    }
    EXPECT_EQ(ASK(&lobby, "start", ""), GAME_DONE);
    EXPECT_EQ(ask(&lobby, TEXT("start"), (struct text){}, (struct text){}), GAME_FORBIDDEN);
}

TEST("where no host is required anybody starts and releases")
{
    struct lobby lobby;
    lobby_open(&lobby, false);
    EXPECT_EQ(ask(&lobby, TEXT("start"), (struct text){}, (struct text){}), GAME_DONE);
    EXPECT_EQ(ask(&lobby, TEXT("release"), (struct text){}, TEXT("any")), GAME_DONE);
    EXPECT(lobby.words.over);
}

TEST("a released room says that it is finished, is over, and needs no clock")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    join(&lobby, 1);
    EXPECT_EQ(ASK(&lobby, "release", ""), GAME_DONE);
    EXPECT_EQ(lobby.words.count, 1);
    SAYS(&lobby, 0,
         "{\"type\":\"room_status\",\"room_id\":\"123456\",\"data\":{\"status\":\"FINISHED\","
         "\"participants_count\":1}}");
    EXPECT(lobby.words.over);
    EXPECT(game_vote.due(lobby.state) == game_never_ms);
}

TEST("an unknown request is not understood")
{
    struct lobby lobby;
    lobby_open(&lobby, false);
    EXPECT_EQ(ASK(&lobby, "Start", ""), GAME_NOT_UNDERSTOOD);
    EXPECT_EQ(ASK(&lobby, "starts", ""), GAME_NOT_UNDERSTOOD);
    EXPECT(lobby.reply_size > 0);
}

TEST("a lobby that nobody touches ends to the millisecond, and says so (G16)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    EXPECT_EQ(game_vote.due(lobby.state), 301'000);
    lobby.now_ms = 300'999;
    EXPECT(!advance(&lobby));
    EXPECT_EQ(lobby.words.count, 0);
    lobby.now_ms = 301'000;
    EXPECT(advance(&lobby));
    EXPECT_EQ(lobby.words.count, 1);
    EXPECT(lobby.words.over);
    EXPECT(!advance(&lobby));
    EXPECT_EQ(lobby.words.count, 0);
}

TEST("coming, leaving and what is accepted put the end off; what is refused does not")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    lobby.now_ms = 2000;
    join(&lobby, 1);
    EXPECT_EQ(game_vote.due(lobby.state), 302'000);
    lobby.now_ms = 3000;
    leave(&lobby, 1);
    EXPECT_EQ(game_vote.due(lobby.state), 303'000);
    lobby.now_ms = 4000;
    ASK(&lobby, "participate", "{\"text\":\"x\"}");
    EXPECT_EQ(game_vote.due(lobby.state), 304'000);
    lobby.now_ms = 5000;
    ASK(&lobby, "participate", "{bad");
    ask(&lobby, TEXT("start"), (struct text){}, TEXT("wrong"));
    EXPECT_EQ(game_vote.due(lobby.state), 304'000);
    ASK(&lobby, "start", "");
    EXPECT_EQ(game_vote.due(lobby.state), 605'000);
    lobby.now_ms = 6000;
    ASK(&lobby, "start", "");
    EXPECT_EQ(game_vote.due(lobby.state), 605'000);
    lobby.now_ms = 605'000;
    EXPECT(advance(&lobby) && lobby.words.over);
}

/* Draws an input from `random` and adds what was said and answered to `out`. */
static void play(struct lobby *lobby, struct random *random, struct writer *out)
{
    static const char *const verbs[] = {"participate", "participate", "start", "release", "x"};
    static const char *const bodies[] = {"{\"text\":\"x\"}", "{bad", ""};
    uint32_t member = (uint32_t)random_below(random, 8);
    lobby->now_ms += random_below(random, 1000);
    switch (random_below(random, 4)) {
    case 0: join(lobby, member); break;
    case 1: advance(lobby); break;
    default: {
        struct text token = random_below(random, 3) == 0 ? TEXT(TOKEN) : TEXT("wrong");
        struct text verb = text_of(verbs[random_below(random, 5)]);
        write_u64(out, ask(lobby, verb, text_of(bodies[random_below(random, 3)]), token));
        write_text(out, reply_of(lobby));
    }
    }
    write_text(out, text_from(writer_bytes(&lobby->words.out)));
    write_u64(out, game_vote.due(lobby->state));
}

TEST("the same inputs at the same times give the same bytes")
{
    static uint8_t memory[2][64 * 1024];
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct writer out[2];
        for (size_t run = 0; run < 2; run++) {
            struct lobby lobby;
            struct random random = {.state = seed};
            lobby_open(&lobby, true);
            out[run] = writer_over(memory[run], sizeof memory[run]);
            for (int i = 0; i < 60 && !lobby.words.over; i++)
                play(&lobby, &random, &out[run]);
        }
        EXPECT(!out[0].overflow && out[0].size > 100);
        EXPECT(text_equal(text_from(writer_bytes(&out[0])), text_from(writer_bytes(&out[1]))));
    }
}

TEST("vote is a kind whose rooms are asked for, speaks its dialect, and has no tick")
{
    EXPECT(games[GAME_VOTE] == &game_vote);
    EXPECT(game_vote.acquired);
    EXPECT_TEXT(game_vote.protocol, "ringcast.room");
    EXPECT(game_vote.snapshot == nullptr && game_vote.due != nullptr);
}

static bool says_joined(const struct lobby *lobby, uint32_t index, enum game_audience audience)
{
    const struct game_message *message = &lobby->words.messages[index];
    return lobby->words.count > index && message->audience == audience &&
           text_starts(words_text(&lobby->words, message),
                       TEXT("{\"type\":\"participant_joined\""));
}

TEST("of thousands who join at once the others hear twenty times, then together and with their "
     "number "
     "(R8)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    for (uint32_t member = 1; member <= 3'000; member++) {
        join(&lobby, member);
        EXPECT_EQ(lobby.words.messages[0].member, member); /* each learns the status */
        EXPECT(says_joined(&lobby, 1, GAME_TO_OTHERS) == (member <= 20));
    }
    EXPECT_EQ(game_vote.due(lobby.state), 1'100);
    lobby.now_ms = 1'099;
    EXPECT(!advance(&lobby));
    lobby.now_ms = 1'100;
    EXPECT(advance(&lobby));
    EXPECT_EQ(lobby.words.count, 1);
    EXPECT(says_joined(&lobby, 0, GAME_TO_ALL));
    SAYS(&lobby, 0,
         "{\"type\":\"participant_joined\",\"room_id\":\"123456\",\"data\":{\"message\":"
         "\"participant joined\",\"participants_count\":3000}}");
    EXPECT_EQ(game_vote.due(lobby.state), 1'000 + 300'000);
}

TEST("who come one after the other, all day, are told of at most ten times a second (R8)")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    uint32_t told = 0;
    for (uint32_t member = 1; member <= 10'000; member++) {
        lobby.now_ms += 1;
        (void)advance(&lobby);
        told += lobby.words.count;
        join(&lobby, member);
        told += lobby.words.count - 1;
        leave(&lobby, member);
    }
    EXPECT(told >= 100 && told <= 121);
    lobby.now_ms += 100;
    (void)advance(&lobby);
    lobby.now_ms += 10'000; /* it is calm again: each is told at once */
    for (uint32_t member = 1; member <= 20; member++) {
        join(&lobby, member);
        EXPECT(says_joined(&lobby, 1, GAME_TO_OTHERS));
    }
}

TEST("a room that ends while some were not told of ends, and says that alone")
{
    struct lobby lobby;
    lobby_open(&lobby, true);
    for (uint32_t member = 1; member <= 21; member++)
        join(&lobby, member);
    EXPECT_EQ(ASK(&lobby, "release", ""), GAME_DONE);
    EXPECT(lobby.words.over);
    EXPECT_EQ(lobby.words.count, 1);
    EXPECT_EQ(game_vote.due(lobby.state), game_never_ms);
    lobby_open(&lobby, true);
    lobby.options.lobby_ms = 100;
    for (uint32_t member = 1; member <= 21; member++)
        join(&lobby, member);
    lobby.now_ms = 1'100; /* both are due */
    EXPECT(advance(&lobby));
    EXPECT(lobby.words.over);
    EXPECT_EQ(lobby.words.count, 2);
}
