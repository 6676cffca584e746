/* fuzz/game_avalon.c: a room of avalon by any inputs in any order, as the hub would give them.
 * Input: steps of a byte each, with what the step needs behind it (see `steps` below).
 *
 * The target keeps its own book of who sits where, as the hub does. Every message is JSON that has
 * the envelope's keys, goes to members who sit there, and is at its end; who is dismissed sits
 * there, once, and is not spoken to afterwards; who never left or was dismissed is heard; a player
 * is connected once; and the game never wants the clock at a time that it was given already. */
#include "base/json.h"
#include "game/games.h"
#include "script.h"

constexpr uint32_t players = 20; /* ids from "a" on: more than there are places */
constexpr uint32_t steps_max = 300;

struct tabletop {
    void *state;
    struct game_options options;
    struct game_time now;
    bool is_over;
    uint32_t next_member;
    uint32_t member_of[players]; /* by the target's own book; game_nobody: not connected */
    uint8_t *said;
};

constexpr size_t said_max = 128 * 1024;

static bool sits(const struct tabletop *table, uint32_t member)
{
    for (uint32_t i = 0; i < players; i++)
        if (table->member_of[i] == member) return member != game_nobody;
    return false;
}

static void check_message(struct text text)
{
    struct text problem, type;
    struct bytes memory = {.data = malloc(json_memory_size(text.size)),
                           .size = json_memory_size(text.size)};
    const struct json *root = json_read(memory, text, &problem);
    MUST(root != nullptr && json_is_object(root));
    MUST(json_to_text(json_member(root, TEXT("type")), &type));
    MUST(text_equal(type, TEXT("event")) || text_equal(type, TEXT("state")) ||
         text_equal(type, TEXT("error")));
    MUST(json_to_text(json_member(root, TEXT("event")), &type));
    MUST(json_is_object(json_member(root, TEXT("payload"))));
    free(memory.data);
}

/* What was said because of one input; those who are dismissed leave. */
static void take_words(struct tabletop *table, struct game_words *words)
{
    MUST(!words->out.overflow);
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        if (message->audience != GAME_TO_ALL) MUST(sits(table, message->member));
        check_message(words_text(words, message));
    }
    for (uint32_t i = 0; i < words->dismissed_count; i++) {
        uint32_t member = words->dismissed[i].member;
        MUST(sits(table, member));
        for (uint32_t player = 0; player < players; player++)
            if (table->member_of[player] == member) table->member_of[player] = game_nobody;
        struct game_words more = words_over((struct bytes){table->said, said_max});
        game_avalon.leave(table->state, member, table->now, &more);
        MUST(more.dismissed_count == 0);
    }
    if (words->over) table->is_over = true;
}

static struct game_words begin(struct tabletop *table)
{
    return words_over((struct bytes){table->said, said_max});
}

static void advance(struct tabletop *table)
{
    for (uint32_t calls = 0; game_avalon.due(table->state) <= table->now.ms; calls++) {
        struct game_words words = begin(table);
        MUST(calls < 100);
        game_avalon.advance(table->state, table->now, &words);
        take_words(table, &words);
        if (table->is_over) return;
    }
}

static struct text id_of(uint8_t player, char memory[static 1])
{
    memory[0] = (char)('a' + player % players);
    return (struct text){memory, 1};
}

static void step_time(struct tabletop *table, struct script *script)
{
    table->now.ms += script_number(script) * 4;
}

static void step_join(struct tabletop *table, struct script *script)
{
    char memory[1];
    uint8_t reply_memory[8192];
    uint8_t player = script_byte(script);
    struct script part = script_part(script, script_byte(script));
    struct bytes name = bytes_exact(part.data, part.size);
    struct text id = id_of(player, memory);
    struct writer reply = writer_over(reply_memory, sizeof reply_memory);
    struct game_words words = begin(table);
    bool known =
        game_avalon.knows(table->state, &(struct game_guest){.room = TEXT("r"), .player = id});
    bool is_name = true; /* the hub's JSON reader lets no other text through */
    for (struct text rest = text_from(name); rest.size > 0;) {
        uint32_t code_point;
        size_t size = text_code_point(rest, &code_point);
        is_name = is_name && size > 0;
        rest = text_skip(rest, size > 0 ? size : 1);
    }
    const struct game_request request = {
        .verb = TEXT("join"), .body = text_from(name), .token = id};
    if (!known && is_name) {
        enum game_answer answer =
            game_avalon.request(table->state, &request, table->now, &reply, &words);
        MUST(!reply.overflow && reply.size > 0 && words.count == 0);
        MUST(
            (answer == GAME_DONE) ==
            game_avalon.knows(table->state, &(struct game_guest){.room = TEXT("r"), .player = id}));
    }
    free(name.data);
}

static void step_arrive(struct tabletop *table, struct script *script)
{
    char memory[1];
    uint8_t player = script_byte(script) % players;
    const struct game_guest guest = {.room = TEXT("r"),
                                     .player = id_of(player, memory),
                                     .until_ms = table->now.ms + script_number(script)};
    if (!game_avalon.knows(table->state, &guest)) return;
    struct game_words words = begin(table);
    uint32_t old = table->member_of[player], member = table->next_member++;
    game_avalon.arrive(table->state, member, &guest, table->now, &words);
    MUST(words.dismissed_count == (old != game_nobody));
    MUST(words.count > 0 && words.messages[0].member == member);
    for (uint32_t i = 0; i < words.dismissed_count; i++)
        MUST(words.dismissed[i].member == old);
    words.dismissed_count = 0;
    table->member_of[player] = member;
    take_words(table, &words);
    if (old == game_nobody) return;
    words = begin(table);
    game_avalon.leave(table->state, old, table->now, &words);
    MUST(words.count == 0);
}

static void step_leave(struct tabletop *table, struct script *script)
{
    uint32_t *member = &table->member_of[script_byte(script) % players];
    if (*member == game_nobody) return;
    struct game_words words = begin(table);
    uint32_t left = *member;
    *member = game_nobody;
    game_avalon.leave(table->state, left, table->now, &words);
    take_words(table, &words);
}

/* A token that a player has sent has been checked: it is its own, bad, another player's or for
 * another room. */
static void tell_verdict(struct tabletop *table, struct script *script, uint8_t player)
{
    enum { OWN, BAD, OF_ANOTHER, ELSEWHERE } verdict = script_byte(script) % 4;
    char memory[1];
    uint32_t member = table->member_of[player];
    const struct game_guest guest = {.room = verdict == ELSEWHERE ? TEXT("s") : TEXT("r"),
                                     .player =
                                         id_of(verdict == OF_ANOTHER ? player + 1 : player, memory),
                                     .until_ms = table->now.ms + script_number(script)};
    struct game_words words = begin(table);
    game_avalon.verified(table->state, member, verdict == BAD ? nullptr : &guest, TEXT("bad_alg"),
                         TEXT("It is bad."), table->now, &words);
    MUST(words.count == 1 && words.messages[0].member == member && !words.asked.is_asked);
    MUST(words.dismissed_count <= 1);
    if (verdict != BAD) MUST((words.dismissed_count == 0) == (verdict == OWN));
    take_words(table, &words);
}

static void step_receive(struct tabletop *table, struct script *script)
{
    uint8_t player = script_byte(script) % players;
    uint32_t member = table->member_of[player];
    struct script part = script_part(script, script_byte(script));
    if (member == game_nobody) return;
    struct bytes text = bytes_exact(part.data, part.size);
    struct bytes memory = {.data = malloc(json_memory_size(text.size)),
                           .size = json_memory_size(text.size)};
    struct game_words words = begin(table);
    game_avalon.receive(table->state, member, text_from(text), table->now, memory, &words);
    bool asks = words.asked.is_asked;
    /* nobody is left without an answer; the echo is on */
    MUST((words.count == 0) == asks);
    if (asks) MUST(words.asked.member == member && words.asked.token.size > 0);
    take_words(table, &words);
    if (asks) tell_verdict(table, script, player);
    free(memory.data);
    free(text.data);
}

static void show(struct tabletop *table)
{
    uint8_t memory[8192];
    struct writer reply = writer_over(memory, sizeof memory);
    struct game_words words = begin(table);
    const struct game_request request = {.verb = TEXT("show")};
    game_avalon.request(table->state, &request, table->now, &reply, &words);
    MUST(!reply.overflow && reply.size <= 6 * 1024); /* hub/errand.h */
    struct text problem;
    struct bytes json = {.data = malloc(json_memory_size(reply.size)),
                         .size = json_memory_size(reply.size)};
    MUST(json_read(json, text_from(writer_bytes(&reply)), &problem) != nullptr);
    free(json.data);
}

/* The room is looked at, and everybody who has a place renews it; the others cannot. */
static void step_show(struct tabletop *table, struct script *)
{
    show(table);
    for (uint8_t player = 0; player < players; player++) {
        char memory[1];
        uint8_t name[1024];
        struct text id = id_of(player, memory);
        struct writer reply = writer_over(name, sizeof name);
        struct game_words words = begin(table);
        const struct game_request request = {
            .verb = TEXT("refresh"), .body = TEXT("r"), .token = id};
        enum game_answer answer =
            game_avalon.request(table->state, &request, table->now, &reply, &words);
        bool known =
            game_avalon.knows(table->state, &(struct game_guest){.room = TEXT("r"), .player = id});
        MUST(answer == (known ? GAME_DONE : GAME_FORBIDDEN));
        MUST((reply.size > 0) == known && !reply.overflow && words.count == 0);
    }
}

static void (*const steps[])(struct tabletop *, struct script *) = {
    step_time, step_join, step_arrive, step_leave, step_receive, step_show,
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
    struct tabletop table = {.state = calloc(1, game_avalon.state_size),
                             .options = {.players_max = 16,
                                         .chat_max = 500,
                                         .chat_echo = true,
                                         .place_ms = 100'000,
                                         .warning_ms = 700,
                                         .leeway_ms = 50,
                                         .leave_ms = 500,
                                         .empty_ms = 60'000},
                             .now = {.ms = 1000},
                             .said = malloc(said_max)};
    for (uint32_t i = 0; i < players; i++)
        table.member_of[i] = game_nobody;
    game_avalon.open(table.state, &(struct game_opening){.options = &table.options,
                                                         .id = TEXT("ABC234"),
                                                         .secret = TEXT("r"),
                                                         .now = table.now});
    run(&table, &script);
    free(table.state);
    free(table.said);
    return 0;
}
