/* game/lobby.c: two play four in a row and the room is the judge; others watch, and all chat (S3).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Who comes takes a free seat, else watches; with both seats taken a match begins (game/match.h). A
 * player who is away keeps the seat: during a match for seat_ms, and then has lost it; else, as
 * everybody's place, until the others are told:
 *
 *     connected --leave--> away --leave_ms--> out of sight --(playing: seat_ms)--> forgotten
 *         ^                  |                     |
 *         +------arrive------+-------arrive--------+
 *
 * Everybody is told everything, under one number for each message (game/canonical.h). An action or
 * a chat that comes again under its correlation_id is not done again (game/replies.h). The room is
 * over when nobody has been connected for empty_ms. */
#include "game/canonical.h"
#include "game/chat.h"
#include "game/envelope.h"
#include "game/games.h"
#include "game/match.h"
#include "game/replies.h"
#include "game/strikes.h"
#include "game/token.h"
#include <assert.h>

constexpr uint32_t people_most = 32;
constexpr uint8_t free_seat = UINT8_MAX;
static_assert(people_most < free_seat);

#define VERDICTS(X) /* name, code, sentence: why something is not done; a match's come first */ \
    MATCH_REFUSALS(X)                                                                           \
    CHAT_FAULTS(X)                                                                              \
    X(NOT_PLAYING, "forbidden", "Only the two who play may do this; you are watching.")         \
    X(NO_SEAT, "forbidden", "Both seats are taken.")                                            \
    X(NO_MOVE, "illegal_move", "A move is a column, \"resign\", \"rematch\" or \"sit\".")       \
    X(TO_SOME, "unsupported", "Chat goes to everybody here; send it without payload.to.")

/* What becomes of an action, or of what is said. */
enum verdict : uint8_t {
    DONE,
#define X(name, code, sentence) name,
    VERDICTS(X)
#undef X
};

static const struct {
    struct text code, sentence;
} verdicts[] = {
#define X(name, c, s) [name] = {TEXT(c), TEXT(s)},
    VERDICTS(X)
#undef X
};

static_assert((int)DONE == (int)MATCH_DONE && (int)NOT_OVER == (int)MATCH_NOT_OVER);

struct person {
    uint32_t member; /* game_nobody while it is away */
    bool visible;    /* the others think that it is here */
    uint8_t id_size; /* 0: this place is free */
    uint16_t name_size;
    char id[game_player_size_max];
    char name[game_name_size_max];
    struct token token; /* while connected: what let it in, or came later */
    uint64_t away_ms;   /* while away: since when */
    struct strikes strikes;
    struct replies replies; /* of this connection */
};

struct lobby {
    const struct game_options *options;
    uint64_t empty_since_ms; /* while nobody is connected */
    uint64_t sequence;       /* of the last message to everybody */
    uint32_t connected;
    uint32_t count;             /* of people */
    uint8_t seats[match_seats]; /* who sits there, as a place in `people` */
    uint8_t winner_size, id_size;
    char winner[game_player_size_max]; /* who has won, also when it has left; or empty */
    char id[room_id_size_max];
    struct match match;
    struct token_query query;
    struct person people[people_most]; /* as many as options->players_max are in use */
};

static struct text person_id(const struct person *person)
{
    return (struct text){person->id, person->id_size};
}

static struct text person_name(const struct person *person)
{
    return (struct text){person->name, person->name_size};
}

static struct person *find_id(struct lobby *lobby, struct text id)
{
    for (uint32_t i = 0; i < lobby->options->players_max; i++)
        if (lobby->people[i].id_size > 0 && text_equal(person_id(&lobby->people[i]), id))
            return &lobby->people[i];
    return nullptr;
}

static struct person *find_member(struct lobby *lobby, uint32_t member)
{
    for (uint32_t i = 0; i < lobby->options->players_max; i++)
        if (lobby->people[i].id_size > 0 && lobby->people[i].member == member)
            return &lobby->people[i];
    return nullptr;
}

static uint8_t place_of(const struct lobby *lobby, const struct person *person)
{
    return (uint8_t)(person - lobby->people);
}

/* The seat of a person, or match_seats: it has none. */
static uint32_t seat_of(const struct lobby *lobby, const struct person *person)
{
    uint32_t seat = 0;
    while (seat < match_seats && lobby->seats[seat] != place_of(lobby, person))
        seat += 1;
    return seat;
}

/* --- What it says ---------------------------------------------------------------------------- */

static struct text sitting(const struct lobby *lobby, uint32_t seat)
{
    uint8_t place = lobby->seats[seat];
    return place == free_seat ? (struct text){} : person_id(&lobby->people[place]);
}

static void write_people(struct writer *out, const struct lobby *lobby)
{
    bool first = true;
    write_text(out, TEXT(",\"people\":["));
    for (uint32_t i = 0; i < lobby->options->players_max; i++) {
        const struct person *person = &lobby->people[i];
        if (person->id_size == 0) continue;
        write_text(out, first ? TEXT("{") : TEXT(",{"));
        canonical_write(out, "player_id", person_id(person));
        write_byte(out, ',');
        canonical_write(out, "display_name", person_name(person));
        write_text(out, person->visible ? TEXT(",\"present\":true}") : TEXT(",\"present\":false}"));
        first = false;
    }
    write_byte(out, ']');
}

static void say_state(const struct lobby *lobby, struct game_words *words,
                      enum game_audience audience, uint32_t member, struct text correlation)
{
    struct writer *out = canonical_begin(words, audience, member, TEXT("state"), (struct text){});
    const struct text players[match_seats] = {sitting(lobby, 0), sitting(lobby, 1)};
    write_byte(out, '{');
    write_match(out, &lobby->match, players, (struct text){lobby->winner, lobby->winner_size});
    write_people(out, lobby);
    write_byte(out, '}');
    canonical_end(words, correlation, lobby->sequence);
}

/* The state has changed. */
static void tell_all(struct lobby *lobby, struct game_words *words)
{
    lobby->sequence += 1;
    say_state(lobby, words, GAME_TO_ALL, 0, (struct text){});
}

static void say_presence(struct lobby *lobby, struct game_words *words, struct text event,
                         const struct person *person, enum game_audience audience)
{
    lobby->sequence += 1;
    canonical_presence(words, audience, person->member, event, person_id(person),
                       person_name(person), lobby->sequence);
}

/* --- The game -------------------------------------------------------------------------------- */

/* After anything that may end a match: its winner is known also when it has left. */
static void note_winner(struct lobby *lobby)
{
    const struct match *match = &lobby->match;
    bool won = match->phase == MATCH_OVER && match->winner < match_seats;
    struct text id = won ? sitting(lobby, match->winner) : (struct text){};
    lobby->winner_size = (uint8_t)id.size;
    if (id.size > 0) memcpy(lobby->winner, id.data, id.size);
}

/* True when there is a free seat: then it is the person's, who has none yet, and a game may begin.
 */
static bool take_seat(struct lobby *lobby, const struct person *person)
{
    uint32_t seat = 0;
    while (seat < match_seats && lobby->seats[seat] != free_seat)
        seat += 1;
    if (seat == match_seats) return false;
    lobby->seats[seat] = place_of(lobby, person);
    if (lobby->seats[match_seats - 1 - seat] != free_seat) match_begin(&lobby->match);
    return true;
}

static enum verdict sit(struct lobby *lobby, const struct person *person, bool *changed)
{
    if (seat_of(lobby, person) < match_seats) return DONE;
    *changed = take_seat(lobby, person);
    return *changed ? DONE : NO_SEAT;
}

/* Judges a move: a number or a text. */
static enum verdict act(struct lobby *lobby, const struct person *person, const struct json *move,
                        bool *changed)
{
    uint32_t seat = seat_of(lobby, person);
    struct match *match = &lobby->match;
    enum match_verdict verdict = MATCH_NO_COLUMN; // so is a number that is no whole one
    struct text word = {};
    int64_t column;
    bool is_word = json_to_text(move, &word);
    if (is_word && text_equal(word, TEXT("sit"))) return sit(lobby, person, changed);
    if (seat == match_seats) return NOT_PLAYING;
    bool opposed = lobby->seats[match_seats - 1 - seat] != free_seat;
    if (json_to_integer(move, &column))
        verdict = match_drop(match, seat, column, changed);
    else if (text_equal(word, TEXT("resign")))
        verdict = match_resign(match, seat, changed);
    else if (text_equal(word, TEXT("rematch")))
        verdict = match_rematch(match, seat, opposed, changed);
    else if (is_word)
        return NO_MOVE;
    if (*changed) note_winner(lobby);
    return (enum verdict)verdict;
}

/* --- Time ------------------------------------------------------------------------------------ */

static void lobby_open(void *state, const struct game_opening *opening)
{
    struct lobby *lobby = state;
    assert(opening->id.size <= sizeof lobby->id && opening->options->players_max <= people_most);
    *lobby = (struct lobby){.options = opening->options,
                            .empty_since_ms = opening->now.ms,
                            .id_size = (uint8_t)opening->id.size,
                            .seats = {free_seat, free_seat}};
    if (lobby->id_size > 0) memcpy(lobby->id, opening->id.data, lobby->id_size);
}

/* True of who plays: it is waited for. */
static bool holds_game(const struct lobby *lobby, const struct person *person)
{
    return lobby->match.phase == MATCH_PLAYING && seat_of(lobby, person) < match_seats;
}

static uint64_t person_due(const struct lobby *lobby, const struct person *person)
{
    if (person->member != game_nobody) return token_due(&person->token);
    if (person->visible) return person->away_ms + lobby->options->leave_ms;
    return person->away_ms + (holds_game(lobby, person) ? lobby->options->seat_ms : 0);
}

/* Who is due first, or nullptr: nobody is here. */
static struct person *next_person(struct lobby *lobby)
{
    struct person *next = nullptr;
    for (uint32_t i = 0; i < lobby->options->players_max; i++) {
        struct person *person = &lobby->people[i];
        if (person->id_size == 0) continue;
        if (next == nullptr || person_due(lobby, person) < person_due(lobby, next)) next = person;
    }
    return next;
}

static uint64_t lobby_due(const void *state)
{
    const struct lobby *lobby = state;
    uint64_t due_ms = game_never_ms;
    if (lobby->connected == 0) due_ms = lobby->empty_since_ms + lobby->options->empty_ms;
    for (uint32_t i = 0; i < lobby->options->players_max; i++) {
        if (lobby->people[i].id_size == 0) continue;
        uint64_t person_ms = person_due(lobby, &lobby->people[i]);
        if (person_ms < due_ms) due_ms = person_ms;
    }
    return due_ms;
}

/* Its connection is not its own any more. */
static void disconnect(struct lobby *lobby, struct person *person, uint64_t at_ms)
{
    assert(lobby->connected > 0 && person->member != game_nobody);
    person->member = game_nobody;
    person->away_ms = at_ms;
    lobby->connected -= 1;
    if (lobby->connected == 0) lobby->empty_since_ms = at_ms;
}

/* It has gone. True when the state shows more than that: a seat is free. */
static bool forget(struct lobby *lobby, struct person *person)
{
    uint32_t seat = seat_of(lobby, person);
    if (seat < match_seats) {
        bool playing = lobby->match.phase == MATCH_PLAYING;
        match_leave(&lobby->match, seat);
        if (playing) note_winner(lobby);
        lobby->seats[seat] = free_seat;
    }
    *person = (struct person){.member = game_nobody};
    lobby->count -= 1;
    return seat < match_seats;
}

/* What is due of a person. At most one message. True as for forget. */
static bool advance_person(struct lobby *lobby, struct person *person, uint64_t due_ms,
                           struct game_words *words)
{
    if (person->member != game_nobody && token_warns(&person->token, due_ms)) {
        canonical_expiry(words, person->member, TEXT("auth_expiring"),
                         person->token.expires_wall_ms, (struct text){});
        return false;
    }
    if (person->member != game_nobody) {
        canonical_error(words, person->member, TEXT("token_expired"),
                        TEXT("Your token has expired; come again with a new one."),
                        (struct text){});
        words_dismiss(words, person->member, GAME_DISMISS_EXPIRED);
        disconnect(lobby, person, due_ms);
        return false;
    }
    if (person->visible) {
        person->visible = false;
        say_presence(lobby, words, TEXT("participant_left"), person, GAME_TO_ALL);
        if (holds_game(lobby, person)) return false;
    }
    return forget(lobby, person);
}

/* In the order in which things are due, so that it does not matter how often this is called. What
 * the words do not hold waits for the next call, which is due at once. */
static bool lobby_advance(void *state, struct game_time now, struct game_words *words)
{
    struct lobby *lobby = state;
    bool changed = false;
    if (now.ms < lobby_due(lobby)) return false;
    while (words->count < game_messages_max - 1) { // the state is the last one
        struct person *next = next_person(lobby);
        uint64_t due_ms = next != nullptr ? person_due(lobby, next) : game_never_ms;
        if (due_ms > now.ms) break;
        if (advance_person(lobby, next, due_ms, words)) changed = true;
    }
    if (changed) tell_all(lobby, words);
    bool empty = lobby->connected == 0;
    if (empty && now.ms >= lobby->empty_since_ms + lobby->options->empty_ms) words->over = true;
    return true;
}

/* --- Coming and going ------------------------------------------------------------------------ */

static enum game_admission lobby_admits(const void *state, const struct game_guest *guest)
{
    const struct lobby *lobby = state;
    if (lobby->count < lobby->options->players_max) return GAME_ADMITTED;
    for (uint32_t i = 0; i < lobby->options->players_max; i++)
        if (text_equal(person_id(&lobby->people[i]), guest->player)) return GAME_ADMITTED;
    return GAME_FULL;
}

static struct person *add_person(struct lobby *lobby, struct text id)
{
    struct person *person = lobby->people;
    assert(lobby->count < lobby->options->players_max);
    assert(id.size > 0 && id.size <= sizeof person->id);
    while (person->id_size > 0)
        person += 1;
    *person = (struct person){.member = game_nobody, .id_size = (uint8_t)id.size};
    memcpy(person->id, id.data, id.size);
    lobby->count += 1;
    return person;
}

/* True when it had another name. */
static bool rename_person(struct person *person, struct text name)
{
    assert(name.size > 0 && name.size <= sizeof person->name);
    if (text_equal(person_name(person), name)) return false;
    memcpy(person->name, name.data, name.size);
    person->name_size = (uint16_t)name.size;
    return true;
}

static void lobby_arrive(void *state, uint32_t member, const struct game_guest *guest,
                         struct game_time now, struct game_words *words)
{
    struct lobby *lobby = state;
    struct person *person = find_id(lobby, guest->player);
    if (person == nullptr) person = add_person(lobby, guest->player);
    if (person->member != game_nobody) { // the newer connection wins (C12)
        words_dismiss(words, person->member, GAME_DISMISS_REPLACED);
        disconnect(lobby, person, now.ms);
    }
    bool renamed = rename_person(person, guest->name), appears = !person->visible;
    person->member = member;
    person->visible = true;
    token_take(&person->token, lobby->options, guest, now);
    person->replies = (struct replies){};
    lobby->connected += 1;
    bool seated = seat_of(lobby, person) == match_seats && take_seat(lobby, person);
    if (appears) say_presence(lobby, words, TEXT("participant_joined"), person, GAME_TO_OTHERS);
    canonical_welcome(words, member, (struct text){lobby->id, lobby->id_size}, "lobby",
                      person_id(person), person_name(person));
    if (seated || (renamed && !appears))
        tell_all(lobby, words);
    else
        say_state(lobby, words, GAME_TO_ONE, member, (struct text){});
}

static void lobby_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct person *person = find_member(state, member);
    if (person != nullptr) disconnect(state, person, now.ms); // else it was dismissed
}

/* --- What a member says ---------------------------------------------------------------------- */

static void answer(struct game_words *words, const struct person *person, enum verdict verdict,
                   uint64_t sequence, struct text correlation)
{
    if (verdict == DONE)
        canonical_ack(words, person->member, sequence, correlation);
    else
        canonical_error(words, person->member, verdicts[verdict].code, verdicts[verdict].sentence,
                        correlation);
}

/* The answer comes before what everybody is told because of it. */
static void answer_once(struct game_words *words, struct person *person, enum verdict verdict,
                        uint64_t sequence, struct text correlation)
{
    answer(words, person, verdict, sequence, correlation);
    replies_add(&person->replies, correlation, verdict, sequence);
}

/* Each of these returns what is wrong with the message, or nothing when it was handled. */

static struct text receive_action(struct lobby *lobby, struct person *person,
                                  const struct envelope *envelope, struct game_time,
                                  struct game_words *words)
{
    const struct json *move = json_member(envelope->payload, TEXT("move"));
    bool changed = false;
    double number;
    struct text word;
    if (!json_to_number(move, &number) && !json_to_text(move, &word))
        return TEXT("has no payload.move, a column or a word");
    enum verdict verdict = act(lobby, person, move, &changed);
    answer_once(words, person, verdict, changed ? lobby->sequence + 1 : 0, envelope->correlation);
    if (changed) tell_all(lobby, words);
    return (struct text){};
}

static void tell_chat(struct lobby *lobby, const struct person *from, struct text message,
                      struct game_time now, struct game_words *words)
{
    struct writer *out = canonical_begin(words, GAME_TO_ALL, 0, TEXT("event"), TEXT("chat"));
    write_byte(out, '{');
    canonical_write(out, "player_id", person_id(from));
    write_byte(out, ',');
    canonical_write(out, "display_name", person_name(from));
    write_byte(out, ',');
    canonical_write(out, "message", message);
    write_text(out, TEXT(",\"ts\":"));
    write_u64(out, now.wall_ms);
    write_byte(out, '}');
    lobby->sequence += 1;
    canonical_end(words, (struct text){}, lobby->sequence);
}

static struct text receive_chat(struct lobby *lobby, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    uint8_t memory[4096]; // message_size_max: cleaning makes nothing longer
    struct writer clean = writer_over(memory, sizeof memory);
    struct text message;
    enum chat_fault fault;
    struct text problem =
        chat_read(envelope->payload, lobby->options->chat_max, &clean, &message, &fault);
    if (problem.size > 0) return problem;
    enum verdict verdict = DONE;
    if (fault != CHAT_FINE) verdict = fault == CHAT_EMPTY ? EMPTY : TOO_LONG;
    /* Who means some must not be heard by all; and what only some hear would leave gaps in seq. */
    if (json_member(envelope->payload, TEXT("to")) != nullptr) verdict = TO_SOME;
    bool told = verdict == DONE;
    answer_once(words, person, verdict, told ? lobby->sequence + 1 : 0, envelope->correlation);
    if (told) tell_chat(lobby, person, message, now, words);
    return (struct text){};
}

static struct text receive_sync(struct lobby *lobby, struct person *person,
                                const struct envelope *envelope, struct game_time,
                                struct game_words *words)
{
    say_state(lobby, words, GAME_TO_ONE, person->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_ping(struct lobby *, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    int64_t t0;
    if (!json_to_integer(json_member(envelope->payload, TEXT("t0")), &t0))
        return TEXT("has no payload.t0, a whole number");
    canonical_pong(words, person->member, t0, now.wall_ms, envelope->correlation);
    return (struct text){};
}

/* It sends tokens that are not its own, or too many. */
static void expel(struct lobby *lobby, struct person *person, enum token_fault fault,
                  struct text correlation, struct game_time now, struct game_words *words)
{
    const struct token_fault_info *info = token_fault_info(fault);
    canonical_error(words, person->member, info->code, info->sentence, correlation);
    words_dismiss(words, person->member, info->dismissal);
    disconnect(lobby, person, now.ms);
}

/* A new token on the connection that an older one has opened (C16, THREATS.md A16). */
static struct text receive_auth(struct lobby *lobby, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    struct text token, problem = token_read(envelope->payload, &token);
    if (problem.size > 0) return problem;
    if (token_may_check(&person->token, now.ms))
        token_ask(&lobby->query, words, person->member, token, envelope->correlation);
    else
        expel(lobby, person, TOKEN_FLOOD, envelope->correlation, now, words);
    return (struct text){};
}

static const struct {
    struct text name;
    bool once; /* done once, however often it is sent under one correlation_id */
    struct text (*receive)(struct lobby *, struct person *, const struct envelope *,
                           struct game_time, struct game_words *);
} types[] = {
    {TEXT("action"), true, receive_action},    {TEXT("chat"), true, receive_chat},
    {TEXT("sync_state"), false, receive_sync}, {TEXT("ping"), false, receive_ping},
    {TEXT("auth"), false, receive_auth},
};
constexpr size_t type_count = sizeof types / sizeof types[0];

static struct text receive(struct lobby *lobby, struct person *person,
                           const struct envelope *envelope, struct game_time now,
                           struct game_words *words)
{
    size_t i = 0;
    while (i < type_count && !text_equal(envelope->type, types[i].name))
        i += 1;
    if (i == type_count) {
        canonical_error(words, person->member, TEXT("unsupported"),
                        TEXT("This type is not understood here; action, chat, sync_state, "
                             "ping and auth are."),
                        envelope->correlation);
        return (struct text){};
    }
    const struct reply *reply =
        types[i].once ? replies_find(&person->replies, envelope->correlation) : nullptr;
    if (reply == nullptr) return types[i].receive(lobby, person, envelope, now, words);
    answer(words, person, reply->verdict, reply->sequence, envelope->correlation);
    return (struct text){};
}

/* Something that means nothing has come; the ninth within a minute is the last. */
static void count_strike(struct lobby *lobby, struct person *person, struct game_time now,
                         struct game_words *words)
{
    if (!strikes_add(&person->strikes, now.ms)) return;
    words_dismiss(words, person->member, GAME_DISMISS_MISBEHAVED);
    disconnect(lobby, person, now.ms);
}

/* A message that means nothing. */
static void strike(struct lobby *lobby, struct person *person, struct text problem,
                   struct text correlation, struct game_time now, struct game_words *words)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    canonical_error(words, person->member, TEXT("bad_message"), text_from(writer_bytes(&sentence)),
                    correlation);
    count_strike(lobby, person, now, words);
}

/* A token that is bad leaves everything as it was; a good one never shortens the time. */
static void lobby_verified(void *state, uint32_t member, const struct game_guest *guest,
                           struct text code, struct text sentence, struct game_time now,
                           struct game_words *words)
{
    struct lobby *lobby = state;
    struct person *person = find_member(lobby, member);
    const struct text correlation = token_correlation(&lobby->query);
    if (person == nullptr) return; // dismissed: it is not listened to any more
    if (guest == nullptr) {
        canonical_error(words, member, code, sentence, correlation);
        count_strike(lobby, person, now, words);
    } else if (guest->room.size > 0 &&
               !text_equal(guest->room, (struct text){lobby->id, lobby->id_size})) {
        expel(lobby, person, TOKEN_OTHER_ROOM, correlation, now, words);
    } else if (!text_equal(guest->player, person_id(person))) {
        expel(lobby, person, TOKEN_OTHER_PLAYER, correlation, now, words);
    } else {
        token_renew(&person->token, lobby->options, guest, now);
        canonical_expiry(words, member, TEXT("auth_refreshed"), person->token.expires_wall_ms,
                         correlation);
    }
}

static void lobby_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    struct lobby *lobby = state;
    struct person *person = find_member(lobby, member);
    struct envelope envelope;
    if (person == nullptr) return; // dismissed: it is not listened to any more
    struct text problem = envelope_read(memory, text, &envelope);
    if (problem.size == 0) problem = receive(lobby, person, &envelope, now, words);
    if (problem.size > 0) strike(lobby, person, problem, envelope.correlation, now, words);
}

const struct game game_lobby = {
    .name = "lobby",
    .protocol = CANONICAL_PROTOCOL,
    .state_size = sizeof(struct lobby),
    .message_size_max = 4096,
    .acquired = true,
    .open = lobby_open,
    .advance = lobby_advance,
    .due = lobby_due,
    .admits = lobby_admits,
    .arrive = lobby_arrive,
    .leave = lobby_leave,
    .receive = lobby_receive,
    .verified = lobby_verified,
};
