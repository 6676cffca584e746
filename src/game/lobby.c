/* game/lobby.c: two play four in a row and the room is the judge; others watch, and all chat (S3).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     WAITING --both seats taken--> PLAYING --a line, a full board, somebody gives up--> OVER
 *                                      ^                                                  |
 *                                      +--both want a rematch, or a free seat is taken----+
 *
 * Who comes takes a free seat, else watches. A player who is away keeps the seat: during a game for
 * seat_ms, and then has lost it; else, as everybody's place, until the others are told:
 *
 *     connected --leave--> away --leave_ms--> out of sight --(playing: seat_ms)--> forgotten
 *         ^                  |                     |
 *         +------arrive------+-------arrive--------+
 *
 * Everybody is told everything, under one number for each message (game/canonical.h). Within a
 * connection the last correlation_ids of actions and chat are remembered: the same one again gets
 * the same answer, and nothing is done twice. The room is over when nobody has been connected for
 * empty_ms. */
#include "base/plain.h"
#include "base/random.h"
#include "game/canonical.h"
#include "game/chat.h"
#include "game/envelope.h"
#include "game/four.h"
#include "game/games.h"
#include "game/strikes.h"
#include <assert.h>

constexpr uint32_t people_most = 32, seat_count = 2;
constexpr uint8_t free_seat = UINT8_MAX;
constexpr uint32_t replies_max = 16; /* answers that are remembered for a connection */
static_assert(people_most < free_seat);

#define VERDICTS(X) /* name, code, sentence: why something is not done */                 \
    X(NOT_PLAYING, "forbidden", "Only the two who play may do this; you are watching.")   \
    X(NO_SEAT, "forbidden", "Both seats are taken.")                                      \
    X(NOT_STARTED, "not_started", "The game waits for a second player.")                  \
    X(GAME_OVER, "game_over", "The game is over; ask for a rematch.")                     \
    X(NOT_YOUR_TURN, "not_your_turn", "It is the other player's turn.")                   \
    X(NO_COLUMN, "illegal_move", "A column is a number from 0 to 6.")                     \
    X(COLUMN_FULL, "illegal_move", "This column is full.")                                \
    X(NO_MOVE, "illegal_move", "A move is a column, \"resign\", \"rematch\" or \"sit\".") \
    X(NOT_OVER, "illegal_move", "The game is still on.")                                  \
    X(TO_SOME, "unsupported", "Chat goes to everybody here; send it without payload.to.") \
    CHAT_FAULTS(X)

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

struct reply {
    uint64_t correlation; /* its hash: who makes two of its own meet deceives itself */
    uint64_t sequence;    /* DONE: of what everybody was told; 0: nothing was new */
    enum verdict verdict;
};

struct person {
    uint32_t member; /* game_nobody while it is away */
    bool visible;    /* the others think that it is here */
    uint8_t id_size; /* 0: this place is free */
    uint16_t name_size;
    char id[game_player_size_max];
    char name[game_name_size_max];
    uint64_t until_ms; /* while connected: when its token expires */
    uint64_t away_ms;  /* while away: since when */
    struct strikes strikes;
    struct reply replies[replies_max]; /* in a ring; of this connection */
    uint32_t reply_count;
};

enum phase : uint8_t { WAITING, PLAYING, OVER };
enum ending : uint8_t { BY_LINE, BY_DRAW, BY_RESIGNATION, BY_FORFEIT };

struct lobby {
    const struct game_options *options;
    uint64_t empty_since_ms; /* while nobody is connected */
    uint64_t sequence;       /* of the last message to everybody */
    uint32_t connected;
    uint32_t count;            /* of people */
    uint8_t seats[seat_count]; /* who sits there, as a place in `people`; the first one has x */
    bool rematch[seat_count];  /* OVER: who wants one */
    uint8_t turn;              /* PLAYING: a seat */
    enum phase phase;
    enum ending ending; /* OVER: how it came to that */
    uint8_t winner_size, id_size;
    char winner[game_player_size_max]; /* OVER: who has won, also when it has left; or empty */
    char id[room_id_size_max];
    struct four four;
    struct four_line line; /* OVER, BY_LINE */
    struct person people[people_most];
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
    for (uint32_t i = 0; i < people_most; i++)
        if (lobby->people[i].id_size > 0 && text_equal(person_id(&lobby->people[i]), id))
            return &lobby->people[i];
    return nullptr;
}

static struct person *find_member(struct lobby *lobby, uint32_t member)
{
    for (uint32_t i = 0; i < people_most; i++)
        if (lobby->people[i].id_size > 0 && lobby->people[i].member == member)
            return &lobby->people[i];
    return nullptr;
}

static uint8_t place_of(const struct lobby *lobby, const struct person *person)
{
    return (uint8_t)(person - lobby->people);
}

/* The seat of a person, or seat_count: it has none. */
static uint32_t seat_of(const struct lobby *lobby, const struct person *person)
{
    uint32_t seat = 0;
    while (seat < seat_count && lobby->seats[seat] != place_of(lobby, person))
        seat += 1;
    return seat;
}

/* --- What it says ---------------------------------------------------------------------------- */

static const char disc_letters[] = {[FOUR_NONE] = '.', [FOUR_FIRST] = 'x', [FOUR_SECOND] = 'o'};

static void write_id_or_null(struct writer *out, struct text id)
{
    if (id.size == 0) {
        write_text(out, TEXT("null"));
        return;
    }
    write_byte(out, '"');
    write_json_escaped(out, id);
    write_byte(out, '"');
}

static struct text sitting(const struct lobby *lobby, uint32_t seat)
{
    uint8_t place = lobby->seats[seat];
    return place == free_seat ? (struct text){} : person_id(&lobby->people[place]);
}

/* The rows from the top down, as one would print them. */
static void write_board(struct writer *out, const struct four *four)
{
    write_text(out, TEXT(",\"board\":["));
    for (uint32_t row = four_rows; row-- > 0;) {
        write_byte(out, '"');
        for (uint32_t column = 0; column < four_columns; column++)
            write_byte(out, (uint8_t)disc_letters[four->cells[column][row]]);
        write_text(out, row > 0 ? TEXT("\",") : TEXT("\"]"));
    }
}

static void write_result(struct writer *out, const struct lobby *lobby)
{
    static const struct text names[] = {[BY_LINE] = TEXT("line"),
                                        [BY_DRAW] = TEXT("draw"),
                                        [BY_RESIGNATION] = TEXT("resignation"),
                                        [BY_FORFEIT] = TEXT("forfeit")};
    if (lobby->phase != OVER) {
        write_text(out, TEXT(",\"result\":null"));
        return;
    }
    write_text(out, TEXT(",\"result\":{\"winner\":"));
    write_id_or_null(out, (struct text){lobby->winner, lobby->winner_size});
    write_byte(out, ',');
    canonical_write(out, "by", names[lobby->ending]);
    for (uint32_t i = 0; lobby->ending == BY_LINE && i < four_line_size; i++) {
        write_text(out, i == 0 ? TEXT(",\"line\":[[") : TEXT(",["));
        write_u64(out, lobby->line.cells[i].column);
        write_byte(out, ',');
        write_u64(out, lobby->line.cells[i].row);
        write_byte(out, ']');
    }
    write_text(out, lobby->ending == BY_LINE ? TEXT("]}") : TEXT("}"));
}

static void write_game(struct writer *out, const struct lobby *lobby)
{
    static const struct text phases[] = {
        [WAITING] = TEXT("waiting"), [PLAYING] = TEXT("playing"), [OVER] = TEXT("over")};
    bool playing = lobby->phase == PLAYING, first = true;
    write_text(out, TEXT("\"game\":\"four_in_a_row\","));
    canonical_write(out, "phase", phases[lobby->phase]);
    write_board(out, &lobby->four);
    write_text(out, TEXT(",\"moves\":"));
    write_u64(out, lobby->four.moves);
    write_text(out, TEXT(",\"players\":{\"x\":"));
    write_id_or_null(out, sitting(lobby, 0));
    write_text(out, TEXT(",\"o\":"));
    write_id_or_null(out, sitting(lobby, 1));
    write_text(out, TEXT("},\"turn\":"));
    write_id_or_null(out, playing ? sitting(lobby, lobby->turn) : (struct text){});
    write_result(out, lobby);
    write_text(out, TEXT(",\"rematch\":["));
    for (uint32_t seat = 0; seat < seat_count; seat++) {
        if (!lobby->rematch[seat]) continue;
        if (!first) write_byte(out, ',');
        write_id_or_null(out, sitting(lobby, seat));
        first = false;
    }
    write_byte(out, ']');
}

static void write_people(struct writer *out, const struct lobby *lobby)
{
    bool first = true;
    write_text(out, TEXT(",\"people\":["));
    for (uint32_t i = 0; i < people_most; i++) {
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
    write_byte(out, '{');
    write_game(out, lobby);
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

static void begin_game(struct lobby *lobby)
{
    lobby->four = (struct four){};
    lobby->phase = PLAYING;
    lobby->turn = 0;
    lobby->winner_size = 0;
    for (uint32_t seat = 0; seat < seat_count; seat++)
        lobby->rematch[seat] = false;
}

/* `winner` is a seat, or seat_count: nobody has won. */
static void end_game(struct lobby *lobby, uint32_t winner, enum ending ending)
{
    struct text id = winner < seat_count ? sitting(lobby, winner) : (struct text){};
    lobby->phase = OVER;
    lobby->ending = ending;
    lobby->winner_size = (uint8_t)id.size;
    if (id.size > 0) memcpy(lobby->winner, id.data, id.size);
}

/* True when there is a free seat: then it is the person's, who has none yet, and a game may begin.
 */
static bool take_seat(struct lobby *lobby, const struct person *person)
{
    uint32_t seat = 0;
    while (seat < seat_count && lobby->seats[seat] != free_seat)
        seat += 1;
    if (seat == seat_count) return false;
    lobby->seats[seat] = place_of(lobby, person);
    if (lobby->seats[seat_count - 1 - seat] != free_seat) begin_game(lobby);
    return true;
}

/* Each of these judges a wish; DONE with *changed false: it was so already. */

static enum verdict drop(struct lobby *lobby, uint32_t seat, int64_t column, bool *changed)
{
    if (seat == seat_count) return NOT_PLAYING;
    if (lobby->phase != PLAYING) return lobby->phase == OVER ? GAME_OVER : NOT_STARTED;
    if (lobby->turn != seat) return NOT_YOUR_TURN;
    if (column < 0 || column >= four_columns) return NO_COLUMN;
    if (!four_has_room(&lobby->four, (uint32_t)column)) return COLUMN_FULL;
    enum four_disc disc = seat == 0 ? FOUR_FIRST : FOUR_SECOND;
    lobby->turn = (uint8_t)(seat_count - 1 - seat);
    if (four_drop(&lobby->four, (uint32_t)column, disc, &lobby->line))
        end_game(lobby, seat, BY_LINE);
    else if (four_is_full(&lobby->four))
        end_game(lobby, seat_count, BY_DRAW);
    *changed = true;
    return DONE;
}

static enum verdict resign(struct lobby *lobby, uint32_t seat, bool *changed)
{
    if (seat == seat_count) return NOT_PLAYING;
    if (lobby->phase != PLAYING) return lobby->phase == OVER ? GAME_OVER : NOT_STARTED;
    end_game(lobby, seat_count - 1 - seat, BY_RESIGNATION);
    *changed = true;
    return DONE;
}

/* Both have said so: who had o begins. */
static enum verdict rematch(struct lobby *lobby, uint32_t seat, bool *changed)
{
    if (seat == seat_count) return NOT_PLAYING;
    uint32_t other = seat_count - 1 - seat;
    if (lobby->phase == PLAYING) return NOT_OVER;
    if (lobby->seats[other] == free_seat) return NOT_STARTED;
    *changed = !lobby->rematch[seat];
    lobby->rematch[seat] = true;
    if (!lobby->rematch[other]) return DONE;
    uint8_t first = lobby->seats[0];
    lobby->seats[0] = lobby->seats[1];
    lobby->seats[1] = first;
    begin_game(lobby);
    return DONE;
}

static enum verdict sit(struct lobby *lobby, const struct person *person, uint32_t seat,
                        bool *changed)
{
    if (seat < seat_count) return DONE;
    *changed = take_seat(lobby, person);
    return *changed ? DONE : NO_SEAT;
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
    return lobby->phase == PLAYING && seat_of(lobby, person) < seat_count;
}

static uint64_t person_due(const struct lobby *lobby, const struct person *person)
{
    if (person->member != game_nobody) return person->until_ms;
    if (person->visible) return person->away_ms + lobby->options->leave_ms;
    return person->away_ms + (holds_game(lobby, person) ? lobby->options->seat_ms : 0);
}

/* Who is due first, or nullptr: nobody is here. */
static struct person *next_person(struct lobby *lobby)
{
    struct person *next = nullptr;
    for (uint32_t i = 0; i < people_most; i++) {
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
    for (uint32_t i = 0; i < people_most; i++) {
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
    if (seat < seat_count && lobby->phase == PLAYING)
        end_game(lobby, seat_count - 1 - seat, BY_FORFEIT);
    if (seat < seat_count) {
        lobby->seats[seat] = free_seat;
        lobby->rematch[seat] = false;
    }
    *person = (struct person){.member = game_nobody};
    lobby->count -= 1;
    return seat < seat_count;
}

/* What is due of a person. At most one message. True as for forget. */
static bool advance_person(struct lobby *lobby, struct person *person, uint64_t due_ms,
                           struct game_words *words)
{
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
    for (uint32_t i = 0; i < people_most; i++)
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
    person->until_ms = guest->until_ms;
    person->reply_count = 0;
    lobby->connected += 1;
    bool seated = seat_of(lobby, person) == seat_count && take_seat(lobby, person);
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

static uint64_t hash_correlation(struct text correlation)
{
    return hash_text((struct hash_key){}, correlation);
}

/* What was answered under this correlation_id, or nullptr. */
static const struct reply *find_reply(const struct person *person, struct text correlation)
{
    uint64_t hash = hash_correlation(correlation);
    for (uint32_t i = 0; i < replies_max && i < person->reply_count; i++)
        if (person->replies[i].correlation == hash) return &person->replies[i];
    return nullptr;
}

/* The answer comes before what everybody is told because of it. */
static void answer_once(struct game_words *words, struct person *person, enum verdict verdict,
                        uint64_t sequence, struct text correlation)
{
    answer(words, person, verdict, sequence, correlation);
    if (correlation.size == 0) return;
    person->replies[person->reply_count++ % replies_max] = (struct reply){
        .correlation = hash_correlation(correlation), .sequence = sequence, .verdict = verdict};
}

/* Each of these returns what is wrong with the message, or nothing when it was handled. */

static struct text receive_action(struct lobby *lobby, struct person *person,
                                  const struct envelope *envelope, struct game_time,
                                  struct game_words *words)
{
    const struct json *move = json_member(envelope->payload, TEXT("move"));
    uint32_t seat = seat_of(lobby, person);
    enum verdict verdict = NO_MOVE;
    bool changed = false;
    struct text word;
    int64_t column;
    double number;
    if (json_to_integer(move, &column))
        verdict = drop(lobby, seat, column, &changed);
    else if (json_to_number(move, &number))
        verdict = NO_COLUMN;
    else if (!json_to_text(move, &word))
        return TEXT("has no payload.move, a column or a word");
    else if (text_equal(word, TEXT("resign")))
        verdict = resign(lobby, seat, &changed);
    else if (text_equal(word, TEXT("rematch")))
        verdict = rematch(lobby, seat, &changed);
    else if (text_equal(word, TEXT("sit")))
        verdict = sit(lobby, person, seat, &changed);
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

static const struct {
    struct text name;
    bool once; /* done once, however often it is sent under one correlation_id */
    struct text (*receive)(struct lobby *, struct person *, const struct envelope *,
                           struct game_time, struct game_words *);
} types[] = {
    {TEXT("action"), true, receive_action},
    {TEXT("chat"), true, receive_chat},
    {TEXT("sync_state"), false, receive_sync},
    {TEXT("ping"), false, receive_ping},
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
                        TEXT("This type is not understood here; action, chat, sync_state and "
                             "ping are."),
                        envelope->correlation);
        return (struct text){};
    }
    const struct reply *reply = types[i].once && envelope->correlation.size > 0
                                    ? find_reply(person, envelope->correlation)
                                    : nullptr;
    if (reply == nullptr) return types[i].receive(lobby, person, envelope, now, words);
    answer(words, person, reply->verdict, reply->sequence, envelope->correlation);
    return (struct text){};
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
    if (!strikes_add(&person->strikes, now.ms)) return;
    words_dismiss(words, person->member, GAME_DISMISS_MISBEHAVED);
    disconnect(lobby, person, now.ms);
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
};
