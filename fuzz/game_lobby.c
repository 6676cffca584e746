/* fuzz/game_lobby.c: a lobby by any inputs in any order, as the hub would give them.
 * Input: steps of a byte each, with what the step needs behind it (see `steps` below).
 *
 * The target keeps its own book of who sits where, as the hub does, and judges each state itself:
 * discs stand on each other, colours alternate, a game goes on while there is no line and ends with
 * the first. Every message is JSON, goes to members who sit there, and is at its end; what is told
 * to everybody is numbered without a gap; a wish with a correlation_id has one answer, and the same
 * one when it comes again, and then nothing is done; who is dismissed sits there, once. */
#include "base/json.h"
#include "base/plain.h"
#include "game/envelope.h"
#include "game/games.h"
#include "script.h"

constexpr uint32_t players = 20; /* ids from "a" on: more than may come in */
constexpr uint32_t people_max = 6;
constexpr uint32_t steps_max = 300;
constexpr uint32_t columns = 7, rows = 6;
constexpr uint32_t remembered_max = 16; /* answers of a connection that come again */
constexpr size_t said_max = 128 * 1024;

/* A state as a client sees it. */
struct sight {
    char cells[columns][rows]; /* from the bottom */
    uint32_t moves;
    bool playing;
};

/* An answer that a connection has had. */
struct answer {
    struct bytes text; /* malloc */
    char correlation[envelope_correlation_size_max];
    size_t correlation_size;
};

struct guest {
    uint32_t member; /* by the target's own book; game_nobody: not connected */
    struct answer answers[remembered_max];
    uint32_t answer_count;
};

struct tabletop {
    void *state;
    struct game_options options;
    struct game_time now;
    bool is_over;
    uint32_t next_member;
    int64_t sequence; /* of the last message to everybody */
    struct guest guests[players];
    struct sight seen; /* by the last state */
    uint8_t *said;
};

static struct guest *guest_of(struct tabletop *table, uint32_t member)
{
    for (uint32_t i = 0; i < players && member != game_nobody; i++)
        if (table->guests[i].member == member) return &table->guests[i];
    return nullptr;
}

static void forget_answers(struct guest *guest)
{
    for (uint32_t i = 0; i < remembered_max; i++) {
        free(guest->answers[i].text.data);
        guest->answers[i] = (struct answer){};
    }
    guest->answer_count = 0;
}

/* --- The second judge ------------------------------------------------------------------------ */

static bool line_from(const struct sight *sight, int column, int row, int right, int up)
{
    for (int i = 0; i < 4; i++) {
        int c = column + i * right, r = row + i * up;
        if (c < 0 || c >= (int)columns || r < 0 || r >= (int)rows) return false;
        if (sight->cells[c][r] != sight->cells[column][row]) return false;
    }
    return sight->cells[column][row] != '.';
}

static bool has_line(const struct sight *sight)
{
    static const int ways[][2] = {{1, 0}, {0, 1}, {1, 1}, {1, -1}};
    for (uint32_t i = 0; i < columns * rows * 4; i++)
        if (line_from(sight, (int)(i / 4 / rows), (int)(i / 4 % rows), ways[i % 4][0],
                      ways[i % 4][1]))
            return true;
    return false;
}

static struct text text_member(const struct json *object, const char *name)
{
    struct text text = {};
    (void)!json_to_text(json_member(object, text_of(name)), &text);
    return text;
}

static struct sight read_sight(const struct json *payload)
{
    struct sight sight = {};
    int64_t moves = -1;
    const struct json *board = json_member(payload, TEXT("board"));
    MUST(json_count(board) == rows);
    for (uint32_t row = 0; row < rows; row++) {
        struct text line;
        MUST(json_to_text(json_element(board, rows - 1 - row), &line) && line.size == columns);
        for (uint32_t column = 0; column < columns; column++)
            sight.cells[column][row] = line.data[column];
    }
    MUST(json_to_integer(json_member(payload, TEXT("moves")), &moves));
    sight.moves = (uint32_t)moves;
    sight.playing = text_equal(text_member(payload, "phase"), TEXT("playing"));
    return sight;
}

/* Discs stand on each other, and each colour has its share. */
static void check_discs(const struct sight *sight)
{
    uint32_t first = 0, second = 0;
    for (uint32_t i = 0; i < columns * rows; i++) {
        char cell = sight->cells[i / rows][i % rows];
        MUST(cell == '.' || cell == 'x' || cell == 'o');
        first += cell == 'x';
        second += cell == 'o';
        if (i % rows > 0 && cell != '.') MUST(sight->cells[i / rows][i % rows - 1] != '.');
    }
    MUST(first + second == sight->moves);
    MUST(first == second || first == second + 1);
}

static void check_result(const struct json *payload, const struct sight *sight)
{
    const struct json *result = json_member(payload, TEXT("result"));
    struct text by = text_member(result, "by");
    bool is_line = text_equal(by, TEXT("line")), is_draw = text_equal(by, TEXT("draw"));
    MUST(has_line(sight) == is_line);
    MUST(is_draw == (!is_line && sight->moves == columns * rows));
    if (by.size > 0) MUST((text_member(result, "winner").size > 0) != is_draw);
    if (is_line) MUST(json_count(json_member(result, TEXT("line"))) == 4);
}

/* Who plays is somebody of the people, and it is the turn of whose disc is next. */
static void check_players(const struct json *payload, const struct sight *sight)
{
    const struct json *seats = json_member(payload, TEXT("players"));
    const struct json *people = json_member(payload, TEXT("people"));
    const char *colours[] = {"x", "o"};
    MUST(json_count(people) <= people_max);
    for (size_t i = 0; i < 2; i++) {
        struct text id = text_member(seats, colours[i]);
        bool found = id.size == 0;
        for (size_t p = 0; p < json_count(people); p++)
            if (text_equal(text_member(json_element(people, p), "player_id"), id)) found = true;
        MUST(found);
        if (sight->playing) MUST(id.size > 0);
    }
    struct text turn = text_member(payload, "turn");
    if (sight->playing)
        MUST(text_equal(turn, text_member(seats, colours[sight->moves % 2])));
    else
        MUST(turn.size == 0);
}

static void check_state(struct tabletop *table, const struct json *payload)
{
    struct sight sight = read_sight(payload), *before = &table->seen;
    check_discs(&sight);
    check_result(payload, &sight);
    check_players(payload, &sight);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < columns * rows; i++)
        changed += sight.cells[i / rows][i % rows] != before->cells[i / rows][i % rows];
    if (sight.moves > 0) MUST(sight.moves == before->moves + changed && changed <= 1);
    *before = sight;
}

/* --- What is said ---------------------------------------------------------------------------- */

static void check_message(struct tabletop *table, const struct game_message *message,
                          struct text text)
{
    static const char *const types[] = {"event", "state", "ack", "error", "system"};
    struct text problem;
    struct bytes memory = {.data = malloc(json_memory_size(text.size)),
                           .size = json_memory_size(text.size)};
    const struct json *root = json_read(memory, text, &problem);
    MUST(root != nullptr && json_is_object(root));
    struct text type = text_member(root, "type");
    size_t i = 0;
    while (i < 5 && !text_equal(type, text_of(types[i])))
        i += 1;
    MUST(i < 5);
    MUST(json_is_object(json_member(root, TEXT("payload"))));
    int64_t sequence = 0;
    bool numbered = json_to_integer(json_member(root, TEXT("seq")), &sequence);
    if (message->audience != GAME_TO_ONE) table->sequence += 1;
    MUST(numbered == (message->audience != GAME_TO_ONE || text_equal(type, TEXT("state"))));
    if (numbered) MUST(sequence == table->sequence);
    if (text_equal(type, TEXT("state"))) check_state(table, json_member(root, TEXT("payload")));
    free(memory.data);
}

/* What was said because of one input; those who are dismissed leave. */
static void take_words(struct tabletop *table, struct game_words *words)
{
    MUST(!words->out.overflow);
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        if (message->audience == GAME_TO_ONE) MUST(guest_of(table, message->member) != nullptr);
        check_message(table, message, words_text(words, message));
    }
    for (uint32_t i = 0; i < words->dismissed_count; i++) {
        uint32_t member = words->dismissed[i].member;
        MUST(guest_of(table, member) != nullptr);
        forget_answers(guest_of(table, member));
        guest_of(table, member)->member = game_nobody;
        struct game_words more = words_over((struct bytes){table->said, said_max});
        game_lobby.leave(table->state, member, table->now, &more);
        MUST(more.count == 0 && more.dismissed_count == 0);
    }
    if (words->over) table->is_over = true;
}

static struct game_words begin(struct tabletop *table)
{
    return words_over((struct bytes){table->said, said_max});
}

static void advance(struct tabletop *table)
{
    for (uint32_t calls = 0; game_lobby.due(table->state) <= table->now.ms; calls++) {
        struct game_words words = begin(table);
        MUST(calls < 100);
        game_lobby.advance(table->state, table->now, &words);
        take_words(table, &words);
        if (table->is_over) return;
    }
}

/* --- Steps ----------------------------------------------------------------------------------- */

static void step_time(struct tabletop *table, struct script *script)
{
    table->now.ms += script_number(script) * 4;
}

/* A name as the hub lets it through: clean, and not empty. */
static struct text name_of(struct script part, char memory[static game_name_size_max])
{
    struct text raw = {(const char *)part.data, part.size};
    struct writer out = writer_over(memory, game_name_size_max);
    if (raw.size > 0 && plain_is_clean(raw)) write_text(&out, plain_trim(raw));
    if (out.size == 0) write_text(&out, TEXT("n"));
    return text_from(writer_bytes(&out));
}

static void step_arrive(struct tabletop *table, struct script *script)
{
    char name_memory[game_name_size_max];
    uint8_t player = script_byte(script) % players;
    const char id = (char)('a' + player);
    struct game_guest guest = {.player = {&id, 1},
                               .until_ms = table->now.ms + script_number(script)};
    guest.name = name_of(script_part(script, script_byte(script) % 16), name_memory);
    struct guest *place = &table->guests[player];
    if (game_lobby.admits(table->state, &guest) != GAME_ADMITTED) {
        MUST(place->member == game_nobody);
        return;
    }
    struct game_words words = begin(table);
    uint32_t old = place->member, member = table->next_member++;
    game_lobby.arrive(table->state, member, &guest, table->now, &words);
    MUST(words.dismissed_count == (old != game_nobody));
    MUST(old == game_nobody || words.dismissed[0].member == old);
    words.dismissed_count = 0;
    forget_answers(place);
    place->member = member;
    take_words(table, &words);
    if (old == game_nobody) return;
    words = begin(table);
    game_lobby.leave(table->state, old, table->now, &words);
    MUST(words.count == 0);
}

static void step_leave(struct tabletop *table, struct script *script)
{
    struct guest *guest = &table->guests[script_byte(script) % players];
    if (guest->member == game_nobody) return;
    struct game_words words = begin(table);
    uint32_t left = guest->member;
    guest->member = game_nobody;
    forget_answers(guest);
    game_lobby.leave(table->state, left, table->now, &words);
    take_words(table, &words);
}

static struct answer *find_answer(struct guest *guest, struct text correlation)
{
    for (uint32_t i = 0; i < remembered_max; i++) {
        struct answer *answer = &guest->answers[i];
        if (answer->text.data != nullptr &&
            text_equal(correlation, (struct text){answer->correlation, answer->correlation_size}))
            return answer;
    }
    return nullptr;
}

static bool says(struct text text, const char *piece)
{
    return memmem(text.data, text.size, piece, strlen(piece)) != nullptr;
}

/* A wish with a correlation_id was answered: once, and as before where it came before. */
static void check_answer(struct guest *guest, const struct envelope *envelope,
                         const struct game_words *words)
{
    struct text answer = {};
    for (uint32_t i = 0; i < words->count; i++) {
        if (words->messages[i].audience != GAME_TO_ONE) continue;
        MUST(words->messages[i].member == guest->member && answer.size == 0);
        answer = words_text(words, &words->messages[i]);
    }
    MUST(answer.size > 0 && says(answer, "\"correlation_id\":\""));
    bool once =
        text_equal(envelope->type, TEXT("action")) || text_equal(envelope->type, TEXT("chat"));
    if (!once) return;
    struct answer *before = find_answer(guest, envelope->correlation);
    if (before != nullptr) {
        MUST(words->count == 1 && text_equal(answer, text_from(before->text)));
        return;
    }
    if (says(answer, "\"code\":\"bad_message\"")) return; /* a strike, each time */
    struct answer *place = &guest->answers[guest->answer_count++ % remembered_max];
    free(place->text.data);
    place->text = bytes_exact(answer.data, answer.size);
    place->correlation_size = envelope->correlation.size;
    memcpy(place->correlation, envelope->correlation.data, envelope->correlation.size);
}

/* A token that a guest has sent has been checked, which is answered; the step's next byte says what
 * it is. */
static void tell_verdict(struct tabletop *table, struct script *script, struct guest *guest,
                         const struct envelope *envelope)
{
    enum { OWN, BAD, OF_ANOTHER, ELSEWHERE } verdict = script_byte(script) % 4;
    const char id = (char)('a' + (guest - table->guests) + (verdict == OF_ANOTHER));
    const struct game_guest token = {.player = {&id, 1},
                                     .room = verdict == ELSEWHERE ? TEXT("g2") : TEXT("g1"),
                                     .until_ms = table->now.ms + script_number(script)};
    struct game_words words = begin(table);
    game_lobby.verified(table->state, guest->member, verdict == BAD ? nullptr : &token,
                        TEXT("bad_alg"), TEXT("It is bad."), table->now, &words);
    MUST(words.count == 1 && words.messages[0].member == guest->member && !words.asked.is_asked);
    MUST(words.dismissed_count <= 1);
    if (verdict != BAD) MUST((words.dismissed_count == 0) == (verdict == OWN));
    if (envelope->correlation.size > 0) check_answer(guest, envelope, &words);
    take_words(table, &words);
}

static void receive(struct tabletop *table, struct script *script, struct guest *guest,
                    const void *data, size_t size)
{
    if (guest->member == game_nobody) return;
    struct bytes text = bytes_exact(data, size);
    struct bytes memory = {.data = malloc(json_memory_size(size)), .size = json_memory_size(size)};
    struct game_words words = begin(table);
    game_lobby.receive(table->state, guest->member, text_from(text), table->now, memory, &words);
    struct envelope envelope;
    struct text problem = envelope_read(memory, text_from(text), &envelope);
    if (problem.size > 0) MUST(words.count == 1);
    bool asks = words.asked.is_asked;
    if (asks) MUST(problem.size == 0 && words.count == 0 && words.asked.member == guest->member);
    if (problem.size == 0 && envelope.correlation.size > 0 && !asks)
        check_answer(guest, &envelope, &words);
    take_words(table, &words);
    if (asks) tell_verdict(table, script, guest, &envelope);
    free(memory.data);
    free(text.data);
}

static void step_receive(struct tabletop *table, struct script *script)
{
    struct guest *guest = &table->guests[script_byte(script) % players];
    struct script part = script_part(script, script_byte(script));
    receive(table, script, guest, part.data, part.size);
}

/* A move in the right form, of one of four who may be playing: what a fuzzer seldom finds. */
static void step_act(struct tabletop *table, struct script *script)
{
    static const char *const moves[] = {"0", "1", "2",          "3",           "4",
                                        "5", "6", "\"resign\"", "\"rematch\"", "\"sit\""};
    uint8_t choice = script_byte(script), correlation = script_byte(script);
    char memory[128];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, TEXT("{\"type\":\"action\","));
    if (correlation > 0) write_format(&out, "\"correlation_id\":\"%u\",", correlation);
    write_format(&out, "\"payload\":{\"move\":%s}}", moves[choice / 4 % 10]);
    receive(table, script, &table->guests[choice % 4], out.data, out.size);
}

static void (*const steps[])(struct tabletop *, struct script *) = {
    step_time, step_arrive, step_leave, step_receive, step_act, step_act,
};
constexpr size_t step_count = sizeof steps / sizeof steps[0];

static void run(struct tabletop *table, struct script *script)
{
    for (uint32_t i = 0; i < steps_max && script->size > 0 && !table->is_over; i++) {
        void (*step)(struct tabletop *, struct script *) = steps[script_byte(script) % step_count];
        step(table, script);
        advance(table);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct tabletop table = {.state = calloc(1, game_lobby.state_size),
                             .options = {.players_max = people_max,
                                         .chat_max = 500,
                                         .warning_ms = 700,
                                         .leeway_ms = 50,
                                         .leave_ms = 500,
                                         .seat_ms = 5000,
                                         .empty_ms = 60'000},
                             .now = {.ms = 1000},
                             .said = malloc(said_max)};
    memset(table.seen.cells, '.', sizeof table.seen.cells);
    for (uint32_t i = 0; i < players; i++)
        table.guests[i].member = game_nobody;
    game_lobby.open(
        table.state,
        &(struct game_opening){.options = &table.options, .id = TEXT("g1"), .now = table.now});
    run(&table, &script);
    for (uint32_t i = 0; i < players; i++)
        forget_answers(&table.guests[i]);
    free(table.state);
    free(table.said);
    return 0;
}
