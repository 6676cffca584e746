/* fuzz/game_vote.c: a room of vote by any inputs in any order, as the hub would give them,
 * beside a second one that is nothing but the contract's sentences (S1). Input: a byte that says
 * whether there is a host, then steps of a byte each, with what the step needs behind it (see
 * `steps`).
 *
 * Both say the same to the same members, answer requests alike, want the clock at the same time
 * and are over at the same time. That somebody joined is told twenty times at once, and ten
 * times a second after that; of those who come faster all are told together (THREATS.md R8).
 * Whether a body is {"text":string} is base/json.h's word, which fuzz/base_json.c is about. */
#include "base/json.h"
#include "game/games.h"
#include "script.h"

constexpr uint32_t steps_max = 200, members_max = 30;
constexpr uint64_t lobby_ms = 3000, voting_ms = 9000;
constexpr uint32_t told_at_once = 20;
constexpr uint64_t told_each_ms = 100; /* beyond that */
#define HOST "k7rYaGVsbG8gaGVsbG8gaGVsbG8gaGVs"

/* What must have been said. */
struct wanted {
    char text[256];
    enum game_audience audience;
    uint32_t member;
};

struct tabletop {
    void *state;
    uint8_t *said;
    struct game_options options;
    struct game_time now;
    uint64_t touched_ms;
    uint64_t told_tick;   /* of told_each_ms: when `told` was right */
    uint32_t told;        /* how many tellings are still held against the room */
    uint64_t together_ms; /* when those who came too fast are told of; 0: there are none */
    bool is_voting, is_over;
    uint32_t members[members_max], count, next; /* who is here, by numbers that never come again */
    struct wanted wanted[4];
    uint32_t wanted_count;
};

static void want(struct tabletop *table, enum game_audience audience, uint32_t member,
                 const char *type, const char *data)
{
    struct wanted *wanted = &table->wanted[table->wanted_count++];
    wanted->audience = audience;
    wanted->member = member;
    snprintf(wanted->text, sizeof wanted->text,
             "{\"type\":\"%s\",\"room_id\":\"123456\",\"data\":{%s}}", type, data);
}

static void want_status(struct tabletop *table, enum game_audience audience, uint32_t member,
                        const char *status)
{
    char data[100];
    snprintf(data, sizeof data, "\"status\":\"%s\",\"participants_count\":%u", status,
             table->count);
    want(table, audience, member, "room_status", data);
}

static struct game_words begin(struct tabletop *table)
{
    table->wanted_count = 0;
    return words_over((struct bytes){table->said, 4096});
}

static void compare(struct tabletop *table, struct game_words *words)
{
    MUST(!words->out.overflow && words->dismissed_count == 0);
    MUST(words->over == table->is_over && words->count == table->wanted_count);
    for (uint32_t i = 0; i < words->count; i++) {
        const struct wanted *wanted = &table->wanted[i];
        const struct game_message *message = &words->messages[i];
        MUST(text_equal(words_text(words, message), text_of(wanted->text)));
        MUST(message->audience == wanted->audience);
        if (wanted->audience != GAME_TO_ALL) MUST(message->member == wanted->member);
    }
}

static uint64_t end_ms(const struct tabletop *table)
{
    return table->touched_ms + (table->is_voting ? voting_ms : lobby_ms);
}

static uint64_t due_ms(const struct tabletop *table)
{
    uint64_t end = end_ms(table), together = table->together_ms;
    return together != 0 && together < end ? together : end;
}

static void want_joined(struct tabletop *table, enum game_audience audience, uint32_t member)
{
    char data[100];
    snprintf(data, sizeof data, "\"message\":\"participant joined\",\"participants_count\":%u",
             table->count);
    want(table, audience, member, "participant_joined", data);
    table->told += 1;
    table->together_ms = 0; /* the number is of all */
}

/* One telling is forgiven with each tick that has passed. */
static void forgive(struct tabletop *table)
{
    uint64_t tick = table->now.ms / told_each_ms, passed = tick - table->told_tick;
    table->told -= (uint32_t)(passed < table->told ? passed : table->told);
    table->told_tick = tick;
}

static void finish(struct tabletop *table)
{
    table->is_over = true;
    want_status(table, GAME_TO_ALL, 0, "FINISHED");
}

/* Before every other input, as hub/events.c does. */
static void advance(struct tabletop *table)
{
    struct game_words words = begin(table);
    bool due = table->now.ms >= due_ms(table);
    bool together = table->together_ms != 0 && table->now.ms >= table->together_ms;
    forgive(table);
    if (together) want_joined(table, GAME_TO_ALL, 0);
    if (table->now.ms >= end_ms(table)) finish(table);
    MUST(game_vote.advance(table->state, table->now, &words) == due);
    compare(table, &words);
}

static void step_time(struct tabletop *table, struct script *script)
{
    table->now.ms += script_number(script) % 10'000;
    advance(table);
}

static void step_join(struct tabletop *table, struct script *)
{
    if (table->count == members_max) return;
    struct game_words words = begin(table);
    uint32_t member = table->next++;
    table->members[table->count++] = member;
    table->touched_ms = table->now.ms;
    want_status(table, GAME_TO_ONE, member, table->is_voting ? "VOTING" : "LOBBY");
    forgive(table);
    if (table->told < told_at_once)
        want_joined(table, GAME_TO_OTHERS, member);
    else if (table->together_ms == 0)
        table->together_ms = table->now.ms + told_each_ms;
    game_vote.join(table->state, member, table->now, &words);
    compare(table, &words);
}

static void step_leave(struct tabletop *table, struct script *script)
{
    uint8_t which = script_byte(script);
    if (table->count == 0) return;
    struct game_words words = begin(table);
    uint32_t *place = &table->members[which % table->count], member = *place;
    *place = table->members[--table->count];
    table->touched_ms = table->now.ms;
    game_vote.leave(table->state, member, table->now, &words);
    compare(table, &words);
}

static bool is_body(struct text body)
{
    struct bytes memory = {malloc(json_memory_size(body.size)), json_memory_size(body.size)};
    struct text text;
    bool is = json_read_string_member(memory, body, TEXT("text"), &text).size == 0;
    free(memory.data);
    return is;
}

/* By the contract: who may, what is understood, and whether it is too late, in that order. */
static enum game_answer judge(const struct tabletop *table, struct text verb, struct text body,
                              struct text token)
{
    bool participates = text_equal(verb, TEXT("participate"));
    bool starts = text_equal(verb, TEXT("start")), releases = text_equal(verb, TEXT("release"));
    if (!participates && !starts && !releases) return GAME_NOT_UNDERSTOOD;
    if (!participates && table->options.require_host && !text_equal(token, TEXT(HOST)))
        return GAME_FORBIDDEN;
    if (participates && !is_body(body)) return GAME_NOT_UNDERSTOOD;
    return !releases && table->is_voting ? GAME_REFUSED : GAME_DONE;
}

static void do_it(struct tabletop *table, struct text verb)
{
    table->touched_ms = table->now.ms;
    if (text_equal(verb, TEXT("participate"))) {
        want(table, GAME_TO_ALL, 0, "participant_ready", "\"message\":\"participant ready\"");
    } else if (text_equal(verb, TEXT("start"))) {
        table->is_voting = true;
        want(table, GAME_TO_ALL, 0, "voting_started",
             "\"message\":\"voting started\",\"redirect_url\":\"/voting\"");
        want_status(table, GAME_TO_ALL, 0, "VOTING");
    } else {
        finish(table);
    }
}

static void request(struct tabletop *table, struct text verb, struct text body, struct text token)
{
    struct bytes memory = {malloc(json_memory_size(body.size)), json_memory_size(body.size)};
    char reply_memory[64];
    struct writer reply = writer_over(reply_memory, sizeof reply_memory);
    struct game_words words = begin(table);
    const struct game_request request = {
        .verb = verb, .body = body, .token = token, .memory = memory};
    enum game_answer wanted = judge(table, verb, body, token);
    if (wanted == GAME_DONE) do_it(table, verb);
    MUST(game_vote.request(table->state, &request, table->now, &reply, &words) == wanted);
    MUST(!reply.overflow && (reply.size == 0) == (wanted == GAME_DONE));
    compare(table, &words);
    free(memory.data);
}

static void step_request(struct tabletop *table, struct script *script)
{
    static const struct text verbs[] = {TEXT("participate"), TEXT("start"), TEXT("release"),
                                        TEXT("vote")};
    uint8_t which = script_byte(script), size = script_byte(script);
    struct script part = script_part(script, size);
    struct bytes sent = bytes_exact(part.data, part.size);
    const struct text given = text_from(sent);
    bool knows = (which & 4) != 0, is_good = (which & 8) != 0;
    struct text token = knows ? TEXT(HOST) : given;
    request(table, verbs[which % 4], is_good ? TEXT("{\"text\":\"x\"}") : given, token);
    free(sent.data);
}

static void (*const steps[])(struct tabletop *, struct script *) = {step_time, step_join,
                                                                    step_leave, step_request};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct tabletop table = {.state = calloc(1, game_vote.state_size),
                             .said = malloc(4096),
                             .now = {.ms = 1000},
                             .touched_ms = 1000};
    table.options = (struct game_options){.require_host = script_byte(&script) % 2 == 1,
                                          .lobby_ms = lobby_ms,
                                          .voting_ms = voting_ms};
    game_vote.open(table.state, &(struct game_opening){.options = &table.options,
                                                       .id = TEXT("123456"),
                                                       .secret = TEXT(HOST),
                                                       .now = table.now});
    for (uint32_t i = 0; i < steps_max && script.size > 0 && !table.is_over; i++) {
        MUST(game_vote.due(table.state) == due_ms(&table));
        steps[script_byte(&script) % 4](&table, &script);
    }
    MUST(!table.is_over || game_vote.due(table.state) == game_never_ms);
    free(table.state);
    free(table.said);
    return 0;
}
