/* fuzz/game_relay.c: a backend's room by any inputs in any order, as the hub would give them.
 * Input: steps of a byte each, with what the step needs behind it (see `steps` below).
 *
 * The target keeps its own book of who sits where, as the hub does. Every message is JSON in the
 * canonical envelope, goes to members who sit there, and is at its end; what everybody is told
 * is numbered without a gap; who joins and leaves does so by turns; who is dismissed sits there,
 * once; who was kicked is never let in again, nobody new while the room is locked, and never
 * more than there are places. Nobody who speaks is left without an answer; a room says no more
 * than its rate lets pass; a token of somebody else's ends a connection, and none of its own.
 * What a backend is answered is JSON, what it is refused has a reason; the state is one that the
 * next merge reads. */
#include "game/games.h"
#include "game/relay.h"
#include "script.h"

constexpr uint32_t players = 12; /* ids from "a" on */
constexpr uint32_t members_max = 4;
constexpr uint32_t steps_max = 200;
constexpr uint32_t chats_a_second = 2;
constexpr size_t said_max = 128 * 1024;

struct tabletop {
    void *state;
    struct game_options options;
    struct game_time now;
    bool is_over, locked;
    bool kicked[players];
    bool visible[players]; /* as the others were told */
    uint32_t next_member;
    uint32_t member_of[players]; /* by the target's own book; game_nobody: not connected */
    int64_t sequence;            /* of the last message to everybody */
    uint64_t chats;              /* messages of members that others were told */
};

static uint8_t said[said_max], request_memory[relay_memory_size],
    reply_memory[relay_reply_size_max];

static bool sits(const struct tabletop *table, uint32_t member)
{
    for (uint32_t i = 0; i < players; i++)
        if (table->member_of[i] == member) return member != game_nobody;
    return false;
}

/* Reads what must be JSON; the caller frees *memory. */
static const struct json *read_said(struct text text, struct bytes *memory)
{
    struct text problem;
    *memory = (struct bytes){malloc(json_memory_size(text.size)), json_memory_size(text.size)};
    const struct json *root = json_read(*memory, text, &problem);
    MUST(root != nullptr && json_is_object(root));
    return root;
}

/* Who has joined leaves before it joins again, and so on. */
static void check_presence(struct tabletop *table, const struct json *root)
{
    struct text event, id;
    if (!json_to_text(json_member(root, TEXT("event")), &event)) return;
    bool joins = text_equal(event, TEXT("participant_joined"));
    if (!joins && !text_equal(event, TEXT("participant_left"))) return;
    MUST(json_to_text(json_member(json_member(root, TEXT("payload")), TEXT("player_id")), &id));
    bool *visible = &table->visible[id.data[0] - 'a'];
    MUST(*visible != joins);
    *visible = joins;
}

static void check_message(struct tabletop *table, const struct game_message *message,
                          struct text text)
{
    struct bytes memory;
    struct text type;
    int64_t sequence;
    const struct json *root = read_said(text, &memory);
    MUST(json_to_text(json_member(root, TEXT("type")), &type));
    MUST(text_equal(type, TEXT("event")) || text_equal(type, TEXT("state")) ||
         text_equal(type, TEXT("error")) || text_equal(type, TEXT("ack")) ||
         text_equal(type, TEXT("system")));
    MUST(json_is_object(json_member(root, TEXT("payload"))));
    if (message->audience != GAME_TO_ONE) {
        MUST(json_to_integer(json_member(root, TEXT("seq")), &sequence));
        MUST(sequence == table->sequence + 1);
        table->sequence = sequence;
        check_presence(table, root);
    } else if (text_equal(type, TEXT("state"))) {
        MUST(json_to_integer(json_member(root, TEXT("seq")), &sequence));
        MUST(sequence == table->sequence);
    }
    free(memory.data);
}

/* Chat is what members say; a backend may publish an event of that name, without a bound. */
static void count_chats(struct tabletop *table, const struct game_words *words)
{
    const struct text chat = TEXT("{\"type\":\"event\",\"event\":\"chat\"");
    for (uint32_t i = 0; i < words->count; i++)
        if (text_starts(words_text(words, &words->messages[i]), chat)) table->chats += 1;
    MUST(table->chats <= 2 * chats_a_second + chats_a_second * (table->now.ms - 1000) / 1000 + 1);
}

static struct game_words begin(void)
{
    return words_over((struct bytes){said, sizeof said});
}

/* What was said because of one input; those who are dismissed leave. */
static void take_words(struct tabletop *table, struct game_words *words)
{
    MUST(!words->out.overflow);
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        bool names_one = message->audience != GAME_TO_ALL;
        if (names_one) MUST(sits(table, message->member) || message->audience == GAME_TO_OTHERS);
        check_message(table, message, words_text(words, message));
    }
    for (uint32_t i = 0; i < words->dismissed_count; i++) {
        uint32_t member = words->dismissed[i].member;
        MUST(sits(table, member));
        for (uint32_t player = 0; player < players; player++)
            if (table->member_of[player] == member) table->member_of[player] = game_nobody;
        struct game_words more = begin();
        game_relay.leave(table->state, member, table->now, &more);
        MUST(more.count == 0 && more.dismissed_count == 0);
    }
    if (words->over) table->is_over = true;
}

static void advance(struct tabletop *table)
{
    for (uint32_t calls = 0; game_relay.due(table->state) <= table->now.ms; calls++) {
        struct game_words words = begin();
        MUST(calls < 100);
        game_relay.advance(table->state, table->now, &words);
        take_words(table, &words);
        if (table->is_over) return;
    }
}

static void step_time(struct tabletop *table, struct script *script)
{
    table->now.ms += script_number(script) * 4;
}

static uint32_t connected(const struct tabletop *table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < players; i++)
        count += table->member_of[i] != game_nobody;
    return count;
}

static void step_arrive(struct tabletop *table, struct script *script)
{
    uint32_t player = script_byte(script) % players, old = table->member_of[player];
    char id = (char)('a' + player);
    const struct game_guest guest = {.player = {&id, 1},
                                     .name = script_byte(script) % 2 ? TEXT("\"\n") : TEXT("b"),
                                     .until_ms = table->now.ms + script_number(script)};
    enum game_admission admission = game_relay.admits(table->state, &guest);
    MUST((admission == GAME_BANNED) == table->kicked[player]);
    if (old != game_nobody) MUST(admission == GAME_ADMITTED);
    if (admission == GAME_LOCKED) MUST(table->locked);
    if (admission == GAME_FULL) MUST(!table->locked);
    if (admission != GAME_ADMITTED) return;
    struct game_words words = begin();
    uint32_t member = table->next_member++;
    table->member_of[player] = member;
    game_relay.arrive(table->state, member, &guest, table->now, &words);
    MUST(words.dismissed_count == (old != game_nobody));
    if (old != game_nobody) MUST(words.dismissed[0].member == old);
    words.dismissed_count = 0;
    take_words(table, &words);
    MUST(connected(table) <= members_max);
    if (old == game_nobody) return;
    words = begin();
    game_relay.leave(table->state, old, table->now, &words);
    MUST(words.count == 0);
}

static void step_leave(struct tabletop *table, struct script *script)
{
    uint32_t *member = &table->member_of[script_byte(script) % players];
    if (*member == game_nobody) return;
    struct game_words words = begin();
    uint32_t left = *member;
    *member = game_nobody;
    game_relay.leave(table->state, left, table->now, &words);
    take_words(table, &words);
}

/* A token that a player has sent has been checked, which is answered; the step's next byte says
 * what it is. */
static void tell_verdict(struct tabletop *table, struct script *script, uint32_t player)
{
    enum { OWN, BAD, OF_ANOTHER, ELSEWHERE } verdict = script_byte(script) % 4;
    const char id = (char)('a' + player + (verdict == OF_ANOTHER));
    uint32_t member = table->member_of[player];
    const struct game_guest token = {.player = {&id, 1},
                                     .room = verdict == ELSEWHERE ? TEXT("r2") : TEXT("r1"),
                                     .until_ms = table->now.ms + script_number(script)};
    struct game_words words = begin();
    game_relay.verified(table->state, member, verdict == BAD ? nullptr : &token, TEXT("bad_alg"),
                        TEXT("It is bad."), table->now, &words);
    MUST(words.count == 1 && words.messages[0].member == member && !words.asked.is_asked);
    MUST(words.dismissed_count <= 1);
    if (verdict != BAD) MUST((words.dismissed_count == 0) == (verdict == OWN));
    take_words(table, &words);
}

/* Whatever comes is answered, chat by what everybody hears. */
static void receive(struct tabletop *table, struct script *script, uint32_t player,
                    const void *data, size_t size)
{
    uint32_t member = table->member_of[player];
    if (member == game_nobody) return;
    struct bytes text = bytes_exact(data, size);
    struct bytes memory = {malloc(json_memory_size(text.size)), json_memory_size(text.size)};
    struct game_words words = begin();
    game_relay.receive(table->state, member, text_from(text), table->now, memory, &words);
    bool asks = words.asked.is_asked;
    MUST((words.count == 0) == asks);
    if (asks) MUST(words.asked.member == member && words.asked.token.size > 0);
    count_chats(table, &words);
    take_words(table, &words);
    if (asks) tell_verdict(table, script, player);
    free(memory.data);
    free(text.data);
}

static void step_receive(struct tabletop *table, struct script *script)
{
    uint32_t player = script_byte(script) % players;
    struct script part = script_part(script, script_byte(script));
    receive(table, script, player, part.data, part.size);
}

/* What a fuzzer seldom finds: chat, a question and a token in the right form. */
static void step_say(struct tabletop *table, struct script *script)
{
    static const struct text said_often[] = {
        TEXT("{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"m\"}}"),
        TEXT("{\"type\":\"chat\",\"payload\":{\"message\":\"m\"}}"),
        TEXT("{\"type\":\"presence\"}"),
        TEXT("{\"type\":\"auth\",\"payload\":{\"token\":\"t\"}}"),
    };
    uint8_t choice = script_byte(script);
    struct text text = said_often[choice % 4];
    receive(table, script, choice / 4 % players, text.data, text.size);
}

static enum game_answer request(struct tabletop *table, struct text verb, struct text body)
{
    struct writer reply = writer_over(reply_memory, sizeof reply_memory);
    struct game_words words = begin();
    const struct game_request wanted = {
        .verb = verb, .body = body, .memory = {request_memory, sizeof request_memory}};
    enum game_answer answer = game_relay.request(table->state, &wanted, table->now, &reply, &words);
    MUST(!reply.overflow && reply.size > 0);
    if (answer == GAME_DONE || answer == GAME_UNCHANGED) {
        struct bytes memory;
        (void)!read_said(text_from(writer_bytes(&reply)), &memory);
        free(memory.data);
    } else {
        MUST(words.count == 0 && words.dismissed_count == 0 && !words.over);
    }
    take_words(table, &words);
    return answer;
}

/* A body as it comes. */
static void step_ask(struct tabletop *table, struct script *script)
{
    static const struct text verbs[] = {TEXT("publish"), TEXT("state")};
    struct text verb = verbs[script_byte(script) % 2];
    struct script part = script_part(script, script_byte(script));
    struct bytes body = bytes_exact(part.data, part.size);
    (void)request(table, verb, text_from(body));
    free(body.data);
}

static void step_kick(struct tabletop *table, struct script *script)
{
    uint32_t player = script_byte(script) % players;
    char body[] = "{\"player\":\"a\",\"reason\":\"r\"}";
    body[11] = (char)('a' + player);
    MUST(request(table, TEXT("kick"), text_of(body)) ==
         (table->kicked[player] ? GAME_UNCHANGED : GAME_DONE));
    table->kicked[player] = true;
    MUST(table->member_of[player] == game_nobody);
}

static void step_lock(struct tabletop *table, struct script *script)
{
    bool locked = script_byte(script) % 2;
    struct text body = locked ? TEXT("{\"locked\":true}") : TEXT("{\"locked\":false}");
    MUST(request(table, TEXT("lock"), body) ==
         (locked == table->locked ? GAME_UNCHANGED : GAME_DONE));
    table->locked = locked;
}

static void step_show(struct tabletop *table, struct script *)
{
    MUST(request(table, TEXT("show"), (struct text){}) == GAME_UNCHANGED);
    MUST(request(table, TEXT("state"), TEXT("{\"merge\":{}}")) != GAME_NOT_UNDERSTOOD);
}

static void step_close(struct tabletop *table, struct script *script)
{
    if (script_byte(script) != 'c') return; /* else few would live for long */
    MUST(request(table, TEXT("close"), (struct text){}) == GAME_DONE && table->is_over);
}

static void (*const steps[])(struct tabletop *, struct script *) = {
    step_time, step_arrive, step_leave, step_receive, step_ask,
    step_kick, step_lock,   step_show,  step_close,   step_say,
};
constexpr size_t step_count = sizeof steps / sizeof steps[0];

static void run(struct tabletop *table, struct script *script)
{
    for (uint32_t i = 0; i < steps_max && script->size > 0 && !table->is_over; i++) {
        steps[script_byte(script) % step_count](table, script);
        if (!table->is_over) advance(table);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct tabletop table = {.state = malloc(game_relay.state_size),
                             .options = {.players_max = members_max,
                                         .chat_max = 500,
                                         .warning_ms = 700,
                                         .leeway_ms = 50,
                                         .leave_ms = 500,
                                         .empty_ms = 60'000,
                                         .rates = {.chat = rate_of(5),
                                                   .room_chat = rate_of(chats_a_second),
                                                   .state = rate_of(1024)}},
                             .now = {.ms = 1000}};
    for (uint32_t i = 0; i < players; i++)
        table.member_of[i] = game_nobody;
    memset(table.state, 0, game_relay.fresh_size);
    game_relay.open(table.state, &(struct game_opening){.options = &table.options,
                                                        .id = TEXT("r1"),
                                                        .secret = TEXT("e1"),
                                                        .now = table.now});
    MUST(request(&table, TEXT("open"), TEXT("{\"chat\":true}")) == GAME_DONE);
    run(&table, &script);
    free(table.state);
    return 0;
}
