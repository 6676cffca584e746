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
 * a chat that comes again under its correlation_id is not done again (game/replies.h). What people
 * do here that they do in every room of this dialect is in game/company.c. The room is over when
 * nobody has been connected for empty_ms. */
#include "game/canonical.h"
#include "game/company.h"
#include "game/games.h"
#include "game/match.h"
#include <assert.h>
#include <stddef.h>

constexpr uint32_t people_most = 32;
constexpr uint8_t free_seat = UINT8_MAX;
static_assert(people_most < free_seat);

#define VERDICTS(X) /* name, code, sentence: why something is not done; a match's come first */ \
    MATCH_REFUSALS(X)                                                                           \
    X(NOT_PLAYING, "forbidden", "Only the two who play may do this; you are watching.")         \
    X(NO_SEAT, "forbidden", "Both seats are taken.")                                            \
    X(NO_MOVE, "illegal_move", "A move is a column, \"resign\", \"rematch\" or \"sit\".")

/* What becomes of an action. */
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

struct lobby {
    struct company company;
    uint32_t count;             /* of people */
    uint8_t seats[match_seats]; /* who sits there, as a place in `people` */
    uint8_t winner_size;
    char winner[game_player_size_max]; /* who has won, also when it has left; or empty */
    struct match match;
    struct person people[people_most]; /* as many as options->players_max are in use */
};
static_assert(offsetof(struct lobby, company) == 0, "a lobby is found by its company");

static struct person *find_id(struct lobby *lobby, struct text id)
{
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++)
        if (lobby->people[i].id_size > 0 && text_equal(person_id(&lobby->people[i]), id))
            return &lobby->people[i];
    return nullptr;
}

static struct person *find_member(struct lobby *lobby, uint32_t member)
{
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++)
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
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++) {
        const struct person *person = &lobby->people[i];
        if (person->id_size == 0) continue;
        if (!first) write_byte(out, ',');
        person_write(out, person);
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
    canonical_end(words, correlation, lobby->company.sequence);
}

/* The state has changed. */
static void tell_all(struct lobby *lobby, struct game_words *words)
{
    lobby->company.sequence += 1;
    say_state(lobby, words, GAME_TO_ALL, 0, (struct text){});
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
    assert(opening->options->players_max <= people_most);
    *lobby = (struct lobby){.seats = {free_seat, free_seat}};
    company_open(&lobby->company, opening);
}

/* True of who plays: it is waited for. */
static bool holds_game(const struct lobby *lobby, const struct person *person)
{
    return lobby->match.phase == MATCH_PLAYING && seat_of(lobby, person) < match_seats;
}

static uint64_t person_due(const struct lobby *lobby, const struct person *person)
{
    if (person->member != game_nobody) return token_due(&person->token);
    if (person->visible) return person->away_ms + lobby->company.options->leave_ms;
    return person->away_ms + (holds_game(lobby, person) ? lobby->company.options->seat_ms : 0);
}

/* Who is due first, or nullptr: nobody is here. */
static struct person *next_person(struct lobby *lobby)
{
    struct person *next = nullptr;
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++) {
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
    if (lobby->company.connected == 0)
        due_ms = lobby->company.empty_since_ms + lobby->company.options->empty_ms;
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++) {
        if (lobby->people[i].id_size == 0) continue;
        uint64_t person_ms = person_due(lobby, &lobby->people[i]);
        if (person_ms < due_ms) due_ms = person_ms;
    }
    return due_ms;
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
    if (person->member != game_nobody) {
        company_heed_token(&lobby->company, person, due_ms, words);
        return false;
    }
    if (person->visible) {
        person->visible = false;
        company_say_presence(&lobby->company, words, TEXT("participant_left"), person, GAME_TO_ALL);
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
    bool empty = lobby->company.connected == 0;
    if (empty && now.ms >= lobby->company.empty_since_ms + lobby->company.options->empty_ms)
        words->over = true;
    return true;
}

/* --- Coming and going ------------------------------------------------------------------------ */

static enum game_admission lobby_admits(const void *state, const struct game_guest *guest)
{
    const struct lobby *lobby = state;
    if (lobby->count < lobby->company.options->players_max) return GAME_ADMITTED;
    for (uint32_t i = 0; i < lobby->company.options->players_max; i++)
        if (text_equal(person_id(&lobby->people[i]), guest->player)) return GAME_ADMITTED;
    return GAME_FULL;
}

static struct person *add_person(struct lobby *lobby, struct text id)
{
    struct person *person = lobby->people;
    assert(lobby->count < lobby->company.options->players_max);
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
    bool renamed = rename_person(person, guest->name), appears = !person->visible;
    company_connect(&lobby->company, person, member, guest, now, words);
    person->visible = true;
    bool seated = seat_of(lobby, person) == match_seats && take_seat(lobby, person);
    if (appears)
        company_say_presence(&lobby->company, words, TEXT("participant_joined"), person,
                             GAME_TO_OTHERS);
    canonical_welcome(words, member, company_id(&lobby->company), game_lobby.name,
                      person_id(person), person_name(person));
    if (seated || (renamed && !appears))
        tell_all(lobby, words);
    else
        say_state(lobby, words, GAME_TO_ONE, member, (struct text){});
}

static void lobby_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct lobby *lobby = state;
    struct person *person = find_member(lobby, member);
    if (person != nullptr) // else it was dismissed
        company_disconnect(&lobby->company, person, now.ms);
}

/* --- What a member says ---------------------------------------------------------------------- */

static_assert(DONE == company_done, "so an answer to chat is told from one to an action");

/* Of chat it is only remembered that it was said, of an action whatever became of it. */
static void answer(struct game_words *words, uint32_t member, const struct reply *reply,
                   struct text correlation)
{
    enum verdict verdict = (enum verdict)reply->verdict;
    if (verdict == DONE)
        canonical_ack(words, member, reply->sequence, correlation);
    else
        canonical_error(words, member, verdicts[verdict].code, verdicts[verdict].sentence,
                        correlation);
}

/* The answer comes before what everybody is told because of it. */
static struct text receive_action(struct company *company, struct person *person,
                                  const struct envelope *envelope, struct game_time,
                                  struct game_words *words)
{
    struct lobby *lobby = (struct lobby *)company;
    const struct json *move = json_member(envelope->payload, TEXT("move"));
    bool changed = false;
    double number;
    struct text word;
    if (!json_to_number(move, &number) && !json_to_text(move, &word))
        return TEXT("has no payload.move, a column or a word");
    struct reply reply = {.verdict = act(lobby, person, move, &changed)};
    if (changed) reply.sequence = company->sequence + 1;
    answer(words, person->member, &reply, envelope->correlation);
    replies_add(&person->replies, envelope->correlation, reply.verdict, reply.sequence);
    if (changed) tell_all(lobby, words);
    return (struct text){};
}

/* Costs as many bytes of the member's as the state has, or nearly (THREATS.md R11). */
static struct text receive_sync(struct company *company, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    const struct lobby *lobby = (const struct lobby *)company;
    uint32_t size = 512; /* what is around the people: the board, the players, the result */
    for (uint32_t i = 0; i < company->options->players_max; i++)
        if (lobby->people[i].id_size > 0) size += person_size(&lobby->people[i]);
    if (company_may_ask(company, person, size, envelope->correlation, now, words))
        say_state(lobby, words, GAME_TO_ONE, person->member, envelope->correlation);
    return (struct text){};
}

#define TYPES(X) /* name, once, what handles it */ \
    X("action", true, receive_action)              \
    X("chat", true, company_chat)                  \
    X("sync_state", false, receive_sync)           \
    X("ping", false, company_ping)                 \
    X("auth", false, company_auth)

static const struct company_type type_list[] = {
#define X(name, once, receive) {TEXT(name), once, receive},
    TYPES(X)
#undef X
};

static const struct company_types types = {
    .list = type_list,
    .count = sizeof type_list / sizeof type_list[0],
    .unsupported = TEXT("This type is not understood here; action, chat, sync_state, ping and auth "
                        "are."),
    .repeat = answer,
};

static void lobby_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    struct lobby *lobby = state;
    company_receive(&lobby->company, &types, find_member(lobby, member), text, now, memory, words);
}

static void lobby_verified(void *state, uint32_t member, const struct game_guest *guest,
                           struct text code, struct text sentence, struct game_time now,
                           struct game_words *words)
{
    struct lobby *lobby = state;
    company_verified(&lobby->company, find_member(lobby, member), guest, code, sentence, now,
                     words);
}

const struct game game_lobby = {
    .name = "lobby",
    .protocol = CANONICAL_PROTOCOL,
    .state_size = sizeof(struct lobby),
    .message_size_max = 4096,
    .types =
        {
#define X(name, once, receive) TEXT(name),
            TYPES(X)
#undef X
        },
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
