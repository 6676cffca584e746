/* game/avalon.c: rooms of people who know each other by name: who is here, and chat (S2).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * By HTTP somebody takes a place, under a name that nobody else in the room has, and gets a token;
 * with that it comes, goes and comes again:
 *
 *     taken --arrive--> connected --leave--> away --leave_ms--> gone from sight
 *       ^                   ^                 |                      |
 *       |                   +------arrive-----+----------arrive------+
 *       +-- the place is free again when its token has expired and nobody sits there; and after
 *           unclaimed_ms when nobody ever did: whoever knows the code could else fill the room
 *
 * A connection ends with its token, of which its player is warned; a new one that it sends, or
 * comes with, keeps connection and place for longer (C16).
 *
 * Others are told of who appears and who is gone from sight: what happens between is a blip. The
 * room is over when nobody has been connected for empty_ms. */
#include "base/plain.h"
#include "game/chat.h"
#include "game/envelope.h"
#include "game/games.h"
#include "game/strikes.h"
#include "game/token.h"
#include <assert.h>

constexpr uint32_t players_most = 16;
constexpr size_t id_size_max = game_id_size_max;
static_assert(players_most <= game_messages_max, "a message may go to each of them by itself");

struct player {
    uint32_t member; /* game_nobody while it is away */
    bool visible;    /* the others think that it is here */
    struct member_limits limits;
    uint8_t id_size;
    uint16_t name_size;
    char id[id_size_max];
    char name[game_name_size_max];
    uint64_t kept_ms;   /* how long the place is its own */
    uint64_t claim_ms;  /* until when somebody must come to it; 0: somebody has */
    uint64_t away_ms;   /* while away: since when */
    struct token token; /* while connected: what let it in, or came later */
    struct strikes strikes;
};

struct avalon {
    const struct game_options *options;
    uint64_t empty_since_ms; /* while nobody is connected */
    uint32_t connected;
    uint32_t count;
    uint32_t chat_limit; /* a bucket: what all have said */
    uint8_t code_size, id_size;
    char code[room_id_size_max];
    char id[id_size_max];
    struct token_query query;
    struct player players[players_most]; /* in the order in which places were taken */
};

static struct text player_id(const struct player *player)
{
    return (struct text){player->id, player->id_size};
}

static struct text player_name(const struct player *player)
{
    return (struct text){player->name, player->name_size};
}

static struct player *find_id(struct avalon *avalon, struct text id)
{
    for (uint32_t i = 0; i < avalon->count; i++)
        if (text_equal(player_id(&avalon->players[i]), id)) return &avalon->players[i];
    return nullptr;
}

static struct player *find_member(struct avalon *avalon, uint32_t member)
{
    for (uint32_t i = 0; i < avalon->count; i++)
        if (avalon->players[i].member == member) return &avalon->players[i];
    return nullptr;
}

/* --- What it says: {"type":T,"event":E,"payload":{...}}, and "correlation_id" behind it in an
 *     answer (S2-11) -------------------------------------------------------------------------- */

static void write_string(struct writer *out, const char *key, struct text value)
{
    write_byte(out, '"');
    write_text(out, text_of(key));
    write_text(out, TEXT("\":\""));
    write_json_escaped(out, value);
    write_byte(out, '"');
}

static struct writer *say(struct game_words *words, struct text type, struct text event,
                          enum game_audience audience, uint32_t member)
{
    struct writer *out = words_begin(words, audience, member);
    write_text(out, TEXT("{\"type\":\""));
    write_text(out, type);
    write_text(out, TEXT("\",\"event\":\""));
    write_text(out, event);
    write_text(out, TEXT("\",\"payload\":{"));
    return out;
}

static void said(struct game_words *words, struct text correlation)
{
    write_byte(&words->out, '}');
    if (correlation.size > 0) {
        write_byte(&words->out, ',');
        write_string(&words->out, "correlation_id", correlation);
    }
    write_byte(&words->out, '}');
    words_end(words);
}

static void say_error(struct game_words *words, uint32_t member, struct text code,
                      struct text sentence, struct text correlation)
{
    struct writer *out = say(words, TEXT("error"), code, GAME_TO_ONE, member);
    write_string(out, "code", code);
    write_byte(out, ',');
    write_string(out, "message", sentence);
    said(words, correlation);
}

/* Who appeared, or is gone from sight. */
static void say_presence(struct game_words *words, struct text event, const struct player *player,
                         enum game_audience audience, uint32_t member)
{
    struct writer *out = say(words, TEXT("event"), event, audience, member);
    write_string(out, "player_id", player_id(player));
    write_byte(out, ',');
    write_string(out, "display_name", player_name(player));
    said(words, (struct text){});
}

/* How long its token is good: as a warning, or as what a new one has brought. */
static void say_expiry(struct game_words *words, struct text event, const struct player *player,
                       struct text correlation)
{
    struct writer *out = say(words, TEXT("event"), event, GAME_TO_ONE, player->member);
    write_text(out, TEXT("\"expires_at\":"));
    write_u64(out, player->token.expires_wall_ms);
    said(words, correlation);
}

static void write_room(struct writer *out, const struct avalon *avalon)
{
    write_text(out, TEXT("\"room\":{"));
    write_string(out, "id", (struct text){avalon->id, avalon->id_size});
    write_byte(out, ',');
    write_string(out, "code", (struct text){avalon->code, avalon->code_size});
    write_text(out, TEXT(",\"kind\":\"avalon\"}"));
}

static void write_players(struct writer *out, const struct avalon *avalon, bool with_ids)
{
    write_text(out, TEXT("\"players\":["));
    for (uint32_t i = 0; i < avalon->count; i++) {
        const struct player *player = &avalon->players[i];
        write_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        if (with_ids) {
            write_string(out, "player_id", player_id(player));
            write_byte(out, ',');
        }
        write_string(out, "display_name", player_name(player));
        write_text(out, player->visible ? TEXT(",\"present\":true}") : TEXT(",\"present\":false}"));
    }
    write_byte(out, ']');
}

static void say_state(const struct avalon *avalon, struct game_words *words,
                      const struct player *you, struct text correlation)
{
    struct writer *out = say(words, TEXT("state"), TEXT("room"), GAME_TO_ONE, you->member);
    write_room(out, avalon);
    write_byte(out, ',');
    write_string(out, "you", player_id(you));
    write_byte(out, ',');
    write_players(out, avalon, true);
    said(words, correlation);
}

/* --- Time ------------------------------------------------------------------------------------ */

static void avalon_open(void *state, const struct game_opening *opening)
{
    struct avalon *avalon = state;
    assert(opening->id.size <= sizeof avalon->code && opening->secret.size <= sizeof avalon->id);
    assert(opening->options->players_max <= players_most);
    *avalon = (struct avalon){.options = opening->options,
                              .empty_since_ms = opening->now.ms,
                              .code_size = (uint8_t)opening->id.size,
                              .id_size = (uint8_t)opening->secret.size};
    if (avalon->code_size > 0) memcpy(avalon->code, opening->id.data, avalon->code_size);
    if (avalon->id_size > 0) memcpy(avalon->id, opening->secret.data, avalon->id_size);
}

/* When the place of one who is not connected is another's. */
static uint64_t place_end_ms(const struct player *player)
{
    bool waits = player->claim_ms != 0 && player->claim_ms < player->kept_ms;
    return waits ? player->claim_ms : player->kept_ms;
}

static uint64_t player_due(const struct avalon *avalon, const struct player *player)
{
    if (player->member != game_nobody) return token_due(&player->token);
    uint64_t sight_ms = player->away_ms + avalon->options->leave_ms, end_ms = place_end_ms(player);
    return player->visible && sight_ms < end_ms ? sight_ms : end_ms;
}

static uint64_t avalon_due(const void *state)
{
    const struct avalon *avalon = state;
    uint64_t due_ms = game_never_ms;
    if (avalon->connected == 0) due_ms = avalon->empty_since_ms + avalon->options->empty_ms;
    for (uint32_t i = 0; i < avalon->count; i++) {
        uint64_t player_ms = player_due(avalon, &avalon->players[i]);
        if (player_ms < due_ms) due_ms = player_ms;
    }
    return due_ms;
}

/* Its connection is not its own any more. */
static void disconnect(struct avalon *avalon, struct player *player, struct game_time now)
{
    assert(avalon->connected > 0 && player->member != game_nobody);
    player->member = game_nobody;
    player->away_ms = now.ms;
    avalon->connected -= 1;
    if (avalon->connected == 0) avalon->empty_since_ms = now.ms;
}

static void expire(struct avalon *avalon, struct player *player, struct game_time now,
                   struct game_words *words)
{
    uint32_t member = player->member;
    say_error(words, member, TEXT("token_expired"), TEXT("Your token has expired; join again."),
              (struct text){});
    words_dismiss(words, member, GAME_DISMISS_EXPIRED);
    disconnect(avalon, player, now);
}

/* The place is kept for as long as the player's token is good. */
static void keep_place(struct player *player, uint64_t until_ms)
{
    if (player->kept_ms < until_ms) player->kept_ms = until_ms;
}

/* It has not come back: nobody waits for it any more. */
static void lose_sight(struct player *player, struct game_words *words)
{
    player->visible = false;
    say_presence(words, TEXT("participant_left"), player, GAME_TO_ALL, 0);
}

static void free_place(struct avalon *avalon, struct player *player)
{
    size_t behind = (size_t)(avalon->players + avalon->count - (player + 1));
    memmove(player, player + 1, behind * sizeof *player);
    avalon->count -= 1;
}

/* One message at most for each player; more than the words hold wait for the next call, which is
 * due at once. */
static void advance_player(struct avalon *avalon, struct player *player, struct game_time now,
                           struct game_words *words)
{
    if (now.ms < player_due(avalon, player)) return;
    if (player->member != game_nobody) {
        if (now.ms >= player->token.until_ms)
            expire(avalon, player, now, words);
        else if (token_warns(&player->token, now.ms))
            say_expiry(words, TEXT("auth_expiring"), player, (struct text){});
        return;
    }
    if (player->visible) lose_sight(player, words);
    if (now.ms >= place_end_ms(player)) free_place(avalon, player);
}

static bool avalon_advance(void *state, struct game_time now, struct game_words *words)
{
    struct avalon *avalon = state;
    if (now.ms < avalon_due(avalon)) return false;
    for (uint32_t i = avalon->count; i-- > 0;) // from the end: a place may become free
        advance_player(avalon, &avalon->players[i], now, words);
    bool empty = avalon->connected == 0;
    if (empty && now.ms >= avalon->empty_since_ms + avalon->options->empty_ms) words->over = true;
    return true;
}

/* --- Coming and going ------------------------------------------------------------------------ */

static bool avalon_knows(const void *state, const struct game_guest *guest)
{
    const struct avalon *avalon = state;
    if (!text_equal(guest->room, (struct text){avalon->id, avalon->id_size})) return false;
    for (uint32_t i = 0; i < avalon->count; i++)
        if (text_equal(player_id(&avalon->players[i]), guest->player)) return true;
    return false;
}

static void avalon_arrive(void *state, uint32_t member, const struct game_guest *guest,
                          struct game_time now, struct game_words *words)
{
    struct avalon *avalon = state;
    struct player *player = find_id(avalon, guest->player);
    assert(player != nullptr);
    if (player->member != game_nobody) { // the newer connection wins (S2-25)
        words_dismiss(words, player->member, GAME_DISMISS_REPLACED);
        disconnect(avalon, player, now);
    }
    bool appears = !player->visible;
    player->member = member;
    token_take(&player->token, avalon->options, guest, now);
    keep_place(player, guest->until_ms);
    player->claim_ms = 0;
    player->visible = true;
    avalon->connected += 1;
    say_state(avalon, words, player, (struct text){});
    if (appears) say_presence(words, TEXT("participant_joined"), player, GAME_TO_OTHERS, member);
}

static void avalon_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct player *player = find_member(state, member);
    if (player != nullptr) disconnect(state, player, now); // else it was dismissed
}

/* --- How often -------------------------------------------------------------------------------- */

/* Too much of it, too fast. Who goes on nevertheless is let go (THREATS.md R9). */
static void refuse_rate(struct avalon *avalon, struct player *player, struct limit_verdict verdict,
                        struct text correlation, struct game_time now, struct game_words *words)
{
    const struct text code = TEXT("rate_limited");
    struct writer *out = say(words, TEXT("error"), code, GAME_TO_ONE, player->member);
    write_string(out, "code", code);
    write_byte(out, ',');
    write_string(out, "message", limits_sentence(verdict.limit));
    write_text(out, TEXT(",\"retry_ms\":"));
    write_u64(out, verdict.retry_ms);
    said(words, correlation);
    words->limit = verdict.limit;
    if (!verdict.last) return;
    words_dismiss(words, player->member, GAME_DISMISS_FLOODED);
    disconnect(avalon, player, now);
}

/* --- What a member says ---------------------------------------------------------------------- */

/* Something that means nothing has come; the ninth within a minute is the last. */
static void count_strike(struct avalon *avalon, struct player *player, struct game_time now,
                         struct game_words *words)
{
    if (!strikes_add(&player->strikes, now.ms)) return;
    words_dismiss(words, player->member, GAME_DISMISS_MISBEHAVED);
    disconnect(avalon, player, now);
}

/* A message that means nothing. */
static void strike(struct avalon *avalon, struct player *player, struct text problem,
                   struct text correlation, struct game_time now, struct game_words *words)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    say_error(words, player->member, TEXT("bad_message"), text_from(writer_bytes(&sentence)),
              correlation);
    count_strike(avalon, player, now, words);
}

/* Players by their place in the room, a bit each. */
static struct text read_audience(struct avalon *avalon, const struct json *list, uint32_t *places,
                                 bool *unknown)
{
    size_t count = json_count(list);
    if (!json_is_array(list) || count == 0 || count > players_most)
        return TEXT("has a payload.to that is not a list of 1 to 16 player ids");
    for (size_t i = 0; i < count; i++) {
        struct text id;
        if (!json_to_text(json_element(list, i), &id))
            return TEXT("has a payload.to that is not a list of 1 to 16 player ids");
        const struct player *player = find_id(avalon, id);
        if (player == nullptr)
            *unknown = true;
        else
            *places |= 1u << (player - avalon->players);
    }
    return (struct text){};
}

static void write_chat(struct game_words *words, const struct player *from, struct text message,
                       enum game_audience audience, uint32_t member, struct game_time now,
                       struct text correlation)
{
    struct writer *out = say(words, TEXT("event"), TEXT("chat"), audience, member);
    write_string(out, "player_id", player_id(from));
    write_byte(out, ',');
    write_string(out, "display_name", player_name(from));
    write_byte(out, ',');
    write_string(out, "message", message);
    write_text(out, TEXT(",\"ts\":"));
    write_u64(out, now.wall_ms);
    said(words, correlation);
}

/* What was just said, once more: to one member, as the answer to its own message. */
static void say_again(struct game_words *words, uint32_t member, struct text correlation)
{
    struct text last = words_text(words, &words->messages[words->count - 1]);
    last.size -= sizeof "}}" - 1; // said() ends it anew
    write_text(words_begin(words, GAME_TO_ONE, member), last);
    said(words, correlation);
}

/* To some: each that is there gets the same frame. */
static void chat_to_some(const struct avalon *avalon, struct game_words *words,
                         const struct player *from, struct text message, uint32_t places,
                         struct game_time now)
{
    bool first = true;
    for (uint32_t i = 0; i < avalon->count; i++) {
        const struct player *player = &avalon->players[i];
        bool wanted = (places & 1u << i) != 0 && player != from;
        if (!wanted || player->member == game_nobody) continue;
        if (first)
            write_chat(words, from, message, GAME_TO_ONE, player->member, now, (struct text){});
        else
            words_also(words, player->member);
        first = false;
    }
}

/* The sender's own copy carries its correlation_id, the others' does not (C11). */
static void deliver_chat(struct avalon *avalon, struct game_words *words, struct player *from,
                         struct text message, uint32_t places, struct game_time now,
                         struct text correlation)
{
    struct limit_verdict verdict =
        limits_chat(&from->limits, &avalon->chat_limit, &avalon->options->rates, now.ms);
    if (verdict.limit != GAME_LIMIT_NONE) {
        refuse_rate(avalon, from, verdict, correlation, now, words);
        return;
    }
    uint32_t before = words->count;
    bool one_for_all = places == 0 && correlation.size == 0 && avalon->options->chat_echo;
    if (places != 0)
        chat_to_some(avalon, words, from, message, places, now);
    else
        write_chat(words, from, message, one_for_all ? GAME_TO_ALL : GAME_TO_OTHERS, from->member,
                   now, (struct text){});
    if (!avalon->options->chat_echo || one_for_all) return;
    if (words->count > before)
        say_again(words, from->member, correlation);
    else // nobody else is there
        write_chat(words, from, message, GAME_TO_ONE, from->member, now, correlation);
}

/* Returns what is wrong with the message, or nothing when it was handled. */
static struct text receive_chat(struct avalon *avalon, struct player *player,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    uint8_t memory[4096]; // message_size_max: cleaning makes nothing longer
    struct writer clean = writer_over(memory, sizeof memory);
    struct text message;
    enum chat_fault fault;
    struct text problem =
        chat_read(envelope->payload, avalon->options->chat_max, &clean, &message, &fault);
    const struct json *to = json_member(envelope->payload, TEXT("to"));
    uint32_t places = 0;
    bool unknown = false;
    if (problem.size == 0 && to != nullptr) problem = read_audience(avalon, to, &places, &unknown);
    if (problem.size > 0) return problem;
    if (unknown)
        say_error(words, player->member, TEXT("no_such_player"),
                  TEXT("Somebody in payload.to is not of this room."), envelope->correlation);
    else if (fault != CHAT_FINE)
        say_error(words, player->member, chat_code(fault), chat_sentence(fault),
                  envelope->correlation);
    else
        deliver_chat(avalon, words, player, message, places, now, envelope->correlation);
    return (struct text){};
}

/* It sends tokens that are not its own, or too many. */
static void expel(struct avalon *avalon, struct player *player, enum token_fault fault,
                  struct text correlation, struct game_time now, struct game_words *words)
{
    const struct token_fault_info *info = token_fault_info(fault);
    say_error(words, player->member, info->code, info->sentence, correlation);
    words_dismiss(words, player->member, info->dismissal);
    disconnect(avalon, player, now);
}

/* A new token on the connection that an older one has opened (C16, THREATS.md A16). */
static struct text receive_auth(struct avalon *avalon, struct player *player,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    struct text token, problem = token_read(envelope->payload, &token);
    if (problem.size > 0) return problem;
    if (token_may_check(&player->token, now.ms))
        token_ask(&avalon->query, words, player->member, token, envelope->correlation);
    else
        expel(avalon, player, TOKEN_FLOOD, envelope->correlation, now, words);
    return (struct text){};
}

/* A token that is bad leaves everything as it was; a good one never shortens the time. */
static void avalon_verified(void *state, uint32_t member, const struct game_guest *guest,
                            struct text code, struct text sentence, struct game_time now,
                            struct game_words *words)
{
    struct avalon *avalon = state;
    struct player *player = find_member(avalon, member);
    const struct text correlation = token_correlation(&avalon->query);
    if (player == nullptr) return; // dismissed: it is not listened to any more
    if (guest == nullptr) {
        say_error(words, member, code, sentence, correlation);
        count_strike(avalon, player, now, words);
    } else if (!text_equal(guest->room, (struct text){avalon->id, avalon->id_size})) {
        expel(avalon, player, TOKEN_OTHER_ROOM, correlation, now, words);
    } else if (!text_equal(guest->player, player_id(player))) {
        expel(avalon, player, TOKEN_OTHER_PLAYER, correlation, now, words);
    } else {
        token_renew(&player->token, avalon->options, guest, now);
        keep_place(player, guest->until_ms);
        say_expiry(words, TEXT("auth_refreshed"), player, correlation);
    }
}

/* The whole state, which costs as many bytes of the player's as it has, or nearly (THREATS.md
 * R11). */
static void receive_sync(struct avalon *avalon, struct player *player, struct text correlation,
                         struct game_time now, struct game_words *words)
{
    constexpr uint32_t frame_bytes = 160, player_bytes = 64; /* what is around ids and names */
    size_t size = frame_bytes;
    for (uint32_t i = 0; i < avalon->count; i++)
        size += player_bytes + avalon->players[i].id_size + avalon->players[i].name_size;
    struct limit_verdict verdict =
        limits_state(&player->limits, &avalon->options->rates, now.ms, (uint32_t)size);
    if (verdict.limit != GAME_LIMIT_NONE)
        refuse_rate(avalon, player, verdict, correlation, now, words);
    else
        say_state(avalon, words, player, correlation);
}

enum avalon_type : uint32_t { TYPE_CHAT, TYPE_SYNC_STATE, TYPE_AUTH }; /* game_avalon.types */

static void avalon_receive(void *state, uint32_t member, struct text text, struct game_time now,
                           struct bytes memory, struct game_words *words)
{
    struct avalon *avalon = state;
    struct player *player = find_member(avalon, member);
    struct envelope envelope;
    if (player == nullptr) return; // dismissed: it is not listened to any more
    struct text problem = envelope_read(memory, text, &envelope);
    if (problem.size == 0) {
        if (text_equal(envelope.type, TEXT("chat"))) {
            words->heard = TYPE_CHAT;
            problem = receive_chat(avalon, player, &envelope, now, words);
        } else if (text_equal(envelope.type, TEXT("sync_state"))) {
            words->heard = TYPE_SYNC_STATE;
            receive_sync(avalon, player, envelope.correlation, now, words);
        } else if (text_equal(envelope.type, TEXT("auth"))) {
            words->heard = TYPE_AUTH;
            problem = receive_auth(avalon, player, &envelope, now, words);
        } else { // vote, action, system, and what nobody knows (S2-23)
            say_error(words, member, TEXT("unsupported"),
                      TEXT("This type is not understood here; chat, sync_state and auth are."),
                      envelope.correlation);
            count_strike(avalon, player, now, words);
        }
    }
    if (problem.size > 0) strike(avalon, player, problem, envelope.correlation, now, words);
}

/* --- What is asked by HTTP ------------------------------------------------------------------- */

static bool is_taken(const struct avalon *avalon, struct text name)
{
    for (uint32_t i = 0; i < avalon->count; i++)
        if (text_equal_nocase(player_name(&avalon->players[i]), name)) return true;
    return false;
}

/* A place for the player whose id is request->token, under the name in request->body. */
static enum game_answer take_place(struct avalon *avalon, const struct game_request *request,
                                   struct game_time now, struct writer *reply)
{
    struct text name = request->body, id = request->token;
    assert(id.size > 0 && id.size <= id_size_max);
    if (name.size == 0 || plain_length(name) > game_name_code_points_max || !plain_is_clean(name)) {
        write_text(reply, TEXT("bad_display_name"));
        return GAME_NOT_UNDERSTOOD;
    }
    bool taken = is_taken(avalon, name);
    if (taken || avalon->count >= avalon->options->players_max) {
        write_text(reply, taken ? TEXT("name_taken") : TEXT("room_full"));
        return GAME_REFUSED;
    }
    struct player *player = &avalon->players[avalon->count++];
    *player = (struct player){.member = game_nobody,
                              .id_size = (uint8_t)id.size,
                              .name_size = (uint16_t)name.size,
                              .kept_ms = now.ms + avalon->options->place_ms,
                              .claim_ms = now.ms + avalon->options->unclaimed_ms};
    memcpy(player->id, id.data, id.size);
    memcpy(player->name, name.data, name.size);
    write_text(reply, (struct text){avalon->id, avalon->id_size});
    return GAME_DONE;
}

/* The player whose id is request->token, in the room whose id is request->body, will get another
 * token. */
static enum game_answer renew_place(struct avalon *avalon, const struct game_request *request,
                                    struct game_time now, struct writer *reply)
{
    struct player *player = find_id(avalon, request->token);
    bool here = text_equal(request->body, (struct text){avalon->id, avalon->id_size});
    if (player == nullptr || !here) return GAME_FORBIDDEN;
    keep_place(player, now.ms + avalon->options->place_ms);
    write_text(reply, player_name(player));
    return GAME_DONE;
}

/* "join" takes a place; `reply` is the room's id, or why not in one word. "refresh" keeps one for
 * longer; `reply` is the player's name. "show" tells who is in, as JSON: names, but not the ids by
 * which players are addressed. */
static enum game_answer avalon_request(void *state, const struct game_request *request,
                                       struct game_time now, struct writer *reply,
                                       struct game_words *)
{
    struct avalon *avalon = state;
    if (text_equal(request->verb, TEXT("join"))) return take_place(avalon, request, now, reply);
    if (text_equal(request->verb, TEXT("refresh"))) return renew_place(avalon, request, now, reply);
    assert(text_equal(request->verb, TEXT("show")));
    write_byte(reply, '{');
    write_room(reply, avalon);
    write_text(reply, TEXT(",\"players_max\":"));
    write_u64(reply, avalon->options->players_max);
    write_byte(reply, ',');
    write_players(reply, avalon, false);
    write_byte(reply, '}');
    return GAME_UNCHANGED;
}

const struct game game_avalon = {
    .name = "avalon",
    .protocol = TEXT("ringcast.event"),
    .state_size = sizeof(struct avalon),
    .message_size_max = 4096,
    .types = {[TYPE_CHAT] = TEXT("chat"),
              [TYPE_SYNC_STATE] = TEXT("sync_state"),
              [TYPE_AUTH] = TEXT("auth")},
    .acquired = true,
    .open = avalon_open,
    .advance = avalon_advance,
    .due = avalon_due,
    .knows = avalon_knows,
    .arrive = avalon_arrive,
    .leave = avalon_leave,
    .receive = avalon_receive,
    .verified = avalon_verified,
    .request = avalon_request,
};
