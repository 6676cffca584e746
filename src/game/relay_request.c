/* game/relay_request.c: what a backend asks of its room (game/relay.h). */
#include "game/canonical.h"
#include "game/games.h"
#include "game/relay_room.h"
#include <assert.h>

static_assert(relay_to_most <= game_messages_max, "a message may go to each of them by itself");

/* A request under way. */
struct wish {
    const struct json *root; /* its body, where there is one */
    struct bytes memory;     /* what reading that has left */
    struct writer *reply;
    struct game_words *words;
    struct game_time now;
};

static struct bytes take(struct bytes *memory, size_t size)
{
    assert(size <= memory->size);
    struct bytes taken = {memory->data, size};
    *memory = bytes_skip(*memory, size);
    return taken;
}

static enum game_answer refuse(struct wish *wish, struct text code)
{
    write_text(wish->reply, code);
    return GAME_REFUSED;
}

static void write_room(struct writer *out, const struct relay *relay)
{
    write_text(out, TEXT("\"room\":{"));
    canonical_write(out, "id", company_id(&relay->company));
    write_byte(out, ',');
    canonical_write(out, "kind", text_of(game_relay.name));
    write_byte(out, ',');
    canonical_write(out, "epoch", (struct text){relay->epoch, relay->epoch_size});
    write_byte(out, ',');
    canonical_write_number(out, "seq", relay->company.sequence);
    write_byte(out, ',');
    canonical_write_number(out, "members", relay->company.connected);
    write_byte(out, ',');
    canonical_write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    canonical_write_flag(out, "locked", relay->locked);
    write_byte(out, ',');
    canonical_write_flag(out, "chat", relay->chat);
    write_byte(out, ',');
    canonical_write_number(out, "empty_ttl_ms", relay->empty_ms);
    write_byte(out, ',');
    canonical_write_number(out, "created_at", relay->created_wall_ms);
    write_byte(out, '}');
}

/* Writes a value as text that a state or a payload may be; its text is empty when it is larger. */
static struct text write_value(struct wish *wish, const struct json *value)
{
    struct bytes memory = take(&wish->memory, relay_state_size_max);
    struct writer out = writer_over(memory.data, memory.size);
    json_write(&out, value, wish->memory);
    return out.overflow ? (struct text){} : text_from(writer_bytes(&out));
}

static enum game_answer configure(struct relay *relay, struct wish *wish)
{
    struct relay_opening opening;
    if (!relay_read_opening(wish->root, &opening, wish->reply)) return GAME_NOT_UNDERSTOOD;
    if (opening.state != nullptr) {
        struct text state = write_value(wish, opening.state);
        if (state.size == 0) return refuse(wish, RELAY_STATE_TOO_LARGE);
        relay_set_state(relay, state);
    }
    if (opening.members_max > 0) relay->members_max = opening.members_max;
    if (opening.empty_ms > 0) relay->empty_ms = opening.empty_ms;
    relay->locked = opening.locked;
    relay->chat = opening.chat;
    write_byte(wish->reply, '{');
    write_room(wish->reply, relay);
    write_byte(wish->reply, '}');
    return GAME_DONE;
}

static enum game_answer show(struct relay *relay, struct wish *wish)
{
    write_byte(wish->reply, '{');
    write_room(wish->reply, relay);
    write_text(wish->reply, TEXT(",\"state\":"));
    write_text(wish->reply, (struct text){relay->state, relay->state_size});
    write_byte(wish->reply, ',');
    relay_write_members(wish->reply, relay);
    write_byte(wish->reply, '}');
    return GAME_UNCHANGED;
}

/* Says it once, for those of `event->to` who are connected. Returns how many that are. */
static uint32_t publish_to_some(struct relay *relay, const struct relay_event *event,
                                struct text payload, struct game_words *words)
{
    uint32_t reached = 0;
    for (uint32_t i = 0; i < event->to_count; i++) {
        const struct person *person = relay_find(relay, event->to[i]);
        if (person == nullptr || person->member == game_nobody) continue;
        if (reached++ > 0) {
            words_also(words, person->member);
            continue;
        }
        write_text(canonical_begin(words, GAME_TO_ONE, person->member, TEXT("event"), event->name),
                   payload);
        canonical_end(words, (struct text){}, 0);
    }
    return reached;
}

static enum game_answer publish(struct relay *relay, struct wish *wish)
{
    struct relay_event event;
    if (!relay_read_event(wish->root, &event, wish->reply)) return GAME_NOT_UNDERSTOOD;
    struct text payload = event.payload != nullptr ? write_value(wish, event.payload) : TEXT("{}");
    if (payload.size == 0) return refuse(wish, RELAY_PAYLOAD_TOO_LARGE);
    uint32_t reached = relay->company.connected;
    write_byte(wish->reply, '{');
    if (event.to_count > 0) {
        reached = publish_to_some(relay, &event, payload, wish->words);
    } else {
        relay->company.sequence += 1;
        write_text(canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), event.name),
                   payload);
        canonical_end(wish->words, (struct text){}, relay->company.sequence);
        canonical_write_number(wish->reply, "seq", relay->company.sequence);
        write_byte(wish->reply, ',');
    }
    canonical_write_number(wish->reply, "members", reached);
    write_byte(wish->reply, '}');
    return GAME_DONE;
}

/* The state with a patch applied; empty when that is no state that could be kept, and read again
 * for the next patch. */
static struct text merge(const struct relay *relay, struct wish *wish, const struct json *patch)
{
    struct text problem, state = {relay->state, relay->state_size};
    struct bytes target_memory = take(&wish->memory, json_memory_size(relay_state_size_max));
    struct bytes out_memory = take(&wish->memory, relay_state_size_max);
    struct writer out = writer_over(out_memory.data, out_memory.size);
    const struct json *target = json_read(target_memory, state, &problem);
    assert(target != nullptr); /* it was written by ourselves */
    json_merge(&out, target, patch, wish->memory);
    if (out.overflow) return (struct text){};
    struct text merged = text_from(writer_bytes(&out));
    return json_read(target_memory, merged, &problem) != nullptr ? merged : (struct text){};
}

static enum game_answer change_state(struct relay *relay, struct wish *wish)
{
    struct relay_change change;
    if (!relay_read_change(wish->root, &change, wish->reply)) return GAME_NOT_UNDERSTOOD;
    bool is_stale =
        change.if_seq < relay->state_sequence || change.if_seq > relay->company.sequence;
    if (change.has_if_seq && is_stale) return refuse(wish, RELAY_SEQ_MISMATCH);
    struct text state =
        change.merges ? merge(relay, wish, change.value) : write_value(wish, change.value);
    if (state.size == 0) return refuse(wish, RELAY_STATE_TOO_LARGE);
    bool is_same = text_equal(state, (struct text){relay->state, relay->state_size});
    if (!is_same) {
        relay_set_state(relay, state);
        relay->state_sequence = relay->company.sequence += 1;
        relay_say_state(relay, wish->words, GAME_TO_ALL, 0, (struct text){});
    }
    write_byte(wish->reply, '{');
    canonical_write_number(wish->reply, "seq", relay->state_sequence);
    write_byte(wish->reply, '}');
    return is_same ? GAME_UNCHANGED : GAME_DONE;
}

/* It is told why, the others that it has left, and it goes. */
static void send_away(struct relay *relay, struct person *person, struct text reason,
                      struct wish *wish)
{
    struct game_words *words = wish->words;
    uint32_t member = person->member;
    bool is_here = member != game_nobody;
    if (is_here) {
        struct writer *out =
            canonical_begin(words, GAME_TO_ONE, member, TEXT("system"), TEXT("kicked"));
        write_byte(out, '{');
        if (reason.size > 0) canonical_write(out, "reason", reason);
        write_byte(out, '}');
        canonical_end(words, (struct text){}, 0);
    }
    if (person->visible)
        company_say_presence(&relay->company, words, TEXT("participant_left"), person,
                             is_here ? GAME_TO_OTHERS : GAME_TO_ALL);
    if (is_here) {
        words_dismiss(words, member, GAME_DISMISS_KICKED);
        company_disconnect(&relay->company, person, wish->now.ms);
    }
    relay_free_place(relay, person);
}

static enum game_answer kick(struct relay *relay, struct wish *wish)
{
    struct relay_kick kick;
    if (!relay_read_kick(wish->root, &kick, wish->reply)) return GAME_NOT_UNDERSTOOD;
    bool already = relay_is_kicked(relay, kick.player);
    if (!already && relay->kicked_count == relay_kicked_most)
        return refuse(wish, RELAY_TOO_MANY_KICKED);
    struct person *person = relay_find(relay, kick.player);
    bool was_present = person != nullptr && person->visible;
    if (!already) {
        struct kicked *kicked = &relay->kicked[relay->kicked_count++];
        kicked->id_size = (uint8_t)kick.player.size;
        memcpy(kicked->id, kick.player.data, kick.player.size);
    }
    if (person != nullptr) send_away(relay, person, kick.reason, wish);
    write_byte(wish->reply, '{');
    canonical_write(wish->reply, "player_id", kick.player);
    write_byte(wish->reply, ',');
    canonical_write_flag(wish->reply, "present", was_present);
    write_byte(wish->reply, '}');
    return already ? GAME_UNCHANGED : GAME_DONE;
}

/* Who is out of sight has kept a place only while nobody else could have it. */
static void free_unseen(struct relay *relay)
{
    for (uint32_t i = relay->count; i-- > 0;) // from the end: places become free
        if (!relay->people[i].visible) relay_free_place(relay, &relay->people[i]);
}

static enum game_answer lock(struct relay *relay, struct wish *wish)
{
    bool locked;
    if (!relay_read_lock(wish->root, &locked, wish->reply)) return GAME_NOT_UNDERSTOOD;
    write_byte(wish->reply, '{');
    canonical_write_flag(wish->reply, "locked", locked);
    write_byte(wish->reply, '}');
    if (locked == relay->locked) return GAME_UNCHANGED;
    relay->locked = locked;
    if (!locked) free_unseen(relay);
    relay->company.sequence += 1;
    struct writer *out =
        canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), TEXT("room_status"));
    write_byte(out, '{');
    canonical_write_flag(out, "locked", locked);
    write_byte(out, '}');
    canonical_end(wish->words, (struct text){}, relay->company.sequence);
    return GAME_DONE;
}

static enum game_answer close_room(struct relay *relay, struct wish *wish)
{
    relay->company.sequence += 1;
    write_text(canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), TEXT("room_closed")),
               TEXT("{}"));
    canonical_end(wish->words, (struct text){}, relay->company.sequence);
    wish->words->over = true;
    write_text(wish->reply, TEXT("{\"closed\":true,"));
    canonical_write_number(wish->reply, "members", relay->company.connected);
    write_byte(wish->reply, '}');
    return GAME_DONE;
}

static const struct {
    struct text name;
    bool has_body;
    enum game_answer (*run)(struct relay *, struct wish *);
} verbs[] = {
    {TEXT("open"), true, configure},    {TEXT("show"), false, show},
    {TEXT("publish"), true, publish},   {TEXT("state"), true, change_state},
    {TEXT("kick"), true, kick},         {TEXT("lock"), true, lock},
    {TEXT("close"), false, close_room},
};
constexpr size_t verb_count = sizeof verbs / sizeof verbs[0];

enum game_answer relay_request(void *state, const struct game_request *request,
                               struct game_time now, struct writer *reply, struct game_words *words)
{
    struct wish wish = {.memory = request->memory, .reply = reply, .words = words, .now = now};
    size_t i = 0;
    while (i < verb_count && !text_equal(request->verb, verbs[i].name))
        i += 1;
    assert(i < verb_count);
    if (verbs[i].has_body) {
        struct text problem;
        struct bytes memory = take(&wish.memory, json_memory_size(backend_body_size_max));
        wish.root = json_read(memory, request->body, &problem);
        if (wish.root == nullptr) {
            write_text(reply, problem);
            return GAME_NOT_UNDERSTOOD;
        }
    }
    return verbs[i].run(state, &wish);
}

void relay_describe(const void *state, struct writer *out)
{
    const struct relay *relay = state;
    write_byte(out, ',');
    canonical_write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    canonical_write_flag(out, "locked", relay->locked);
}
