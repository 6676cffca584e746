/* game/relay.c: a room whose rules live in somebody's backend: it holds a state, who is here and
 * what everybody has been told, and leaves the meaning to the backend (S3-3, S3-4).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *   backend --publish, state--> room --event, state--> everybody      (by HTTP: game/relay.h)
 *   member --chat--> everybody;  member --sync_state, presence, ping--> itself
 *
 * Who comes has a place from then on:
 *
 *     connected --leave--> away --leave_ms--> out of sight: the place is free,
 *         ^                  |                unless the room is locked: then who was
 *         +------arrive------+-----arrive---- here may still come back
 *
 * seq numbers what everybody is told (game/canonical.h). The room is over when its backend closes
 * it, or when nobody has been connected for empty_ms. */
#include "game/relay.h"
#include "base/plain.h"
#include "base/random.h"
#include "game/canonical.h"
#include "game/chat.h"
#include "game/envelope.h"
#include "game/games.h"
#include "game/strikes.h"
#include <assert.h>
#include <stddef.h>

constexpr uint32_t kicked_most = 64;
constexpr uint32_t acks_max = 8; /* of chat, that are remembered for a connection */
static_assert(relay_to_most <= game_messages_max, "a message may go to each of them by itself");

struct ack {
    uint64_t correlation; /* its hash: who makes two of its own meet deceives itself */
    uint64_t sequence;    /* of what everybody was told */
};

struct participant {
    uint32_t member; /* game_nobody while it is away */
    bool visible;    /* the others think that it is here */
    uint8_t id_size;
    uint16_t name_size;
    char id[game_player_size_max];
    char name[game_name_size_max];
    uint64_t until_ms; /* while connected: when its token expires */
    uint64_t away_ms;  /* while away: since when */
    struct strikes strikes;
    struct ack acks[acks_max]; /* in a ring; of this connection */
    uint32_t ack_count;
};

struct kicked {
    uint8_t id_size;
    char id[game_player_size_max];
};

struct relay {
    const struct game_options *options;
    uint64_t created_wall_ms;
    uint64_t empty_since_ms; /* while nobody is connected */
    uint64_t sequence;       /* of the last message to everybody */
    uint64_t state_sequence; /* of the one that told of the state as it is */
    uint32_t connected, count, kicked_count;
    uint32_t members_max, empty_ms;
    bool locked, chat;
    uint8_t id_size, epoch_size;
    uint32_t state_size;
    char id[room_id_size_max];
    char epoch[game_id_size_max]; /* tells this room from another of its name */
    /* Of each of these only so much is ever looked at as has been written. */
    struct participant participants[relay_members_most]; /* in the order of coming */
    struct kicked kicked[kicked_most];
    char state[relay_state_size_max]; /* a JSON object */
};

static struct text id_of(const struct participant *participant)
{
    return (struct text){participant->id, participant->id_size};
}

static struct text name_of(const struct participant *participant)
{
    return (struct text){participant->name, participant->name_size};
}

static struct participant *find_id(struct relay *relay, struct text id)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(id_of(&relay->participants[i]), id)) return &relay->participants[i];
    return nullptr;
}

static struct participant *find_member(struct relay *relay, uint32_t member)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (relay->participants[i].member == member) return &relay->participants[i];
    return nullptr;
}

static bool is_kicked(const struct relay *relay, struct text id)
{
    for (uint32_t i = 0; i < relay->kicked_count; i++)
        if (text_equal((struct text){relay->kicked[i].id, relay->kicked[i].id_size}, id))
            return true;
    return false;
}

/* --- What it says ---------------------------------------------------------------------------- */

static void write_flag(struct writer *out, const char *key, bool value)
{
    write_byte(out, '"');
    write_text(out, text_of(key));
    write_text(out, value ? TEXT("\":true") : TEXT("\":false"));
}

static void write_number(struct writer *out, const char *key, uint64_t value)
{
    write_byte(out, '"');
    write_text(out, text_of(key));
    write_text(out, TEXT("\":"));
    write_u64(out, value);
}

static void say_state(const struct relay *relay, struct game_words *words,
                      enum game_audience audience, uint32_t member, struct text correlation)
{
    struct writer *out = canonical_begin(words, audience, member, TEXT("state"), (struct text){});
    write_text(out, (struct text){relay->state, relay->state_size});
    canonical_end(words, correlation, relay->sequence);
}

static void write_members(struct writer *out, const struct relay *relay)
{
    write_text(out, TEXT("\"members\":["));
    for (uint32_t i = 0; i < relay->count; i++) {
        const struct participant *participant = &relay->participants[i];
        write_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        canonical_write(out, "player_id", id_of(participant));
        write_byte(out, ',');
        canonical_write(out, "display_name", name_of(participant));
        write_byte(out, ',');
        write_flag(out, "present", participant->visible);
        write_byte(out, '}');
    }
    write_byte(out, ']');
}

/* To one member: who is here, and what may be done. */
static void say_members(const struct relay *relay, struct game_words *words, uint32_t member,
                        struct text correlation)
{
    struct writer *out =
        canonical_begin(words, GAME_TO_ONE, member, TEXT("event"), TEXT("members"));
    write_byte(out, '{');
    write_members(out, relay);
    write_byte(out, ',');
    write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    write_flag(out, "locked", relay->locked);
    write_byte(out, ',');
    write_flag(out, "chat", relay->chat);
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}

static void say_presence(struct relay *relay, struct game_words *words, struct text event,
                         const struct participant *participant, enum game_audience audience)
{
    relay->sequence += 1;
    canonical_presence(words, audience, participant->member, event, id_of(participant),
                       name_of(participant), relay->sequence);
}

/* --- Time ------------------------------------------------------------------------------------ */

static void set_state(struct relay *relay, struct text state)
{
    assert(state.size <= sizeof relay->state);
    memcpy(relay->state, state.data, state.size);
    relay->state_size = (uint32_t)state.size;
}

static void relay_open(void *state, const struct game_opening *opening)
{
    struct relay *relay = state;
    assert(opening->id.size <= sizeof relay->id && opening->secret.size <= sizeof relay->epoch);
    assert(opening->options->players_max <= relay_members_most);
    relay->options = opening->options;
    relay->created_wall_ms = opening->now.wall_ms;
    relay->empty_since_ms = opening->now.ms;
    relay->members_max = opening->options->players_max;
    relay->empty_ms = opening->options->empty_ms;
    relay->id_size = (uint8_t)opening->id.size;
    relay->epoch_size = (uint8_t)opening->secret.size;
    if (relay->id_size > 0) memcpy(relay->id, opening->id.data, relay->id_size);
    if (relay->epoch_size > 0) memcpy(relay->epoch, opening->secret.data, relay->epoch_size);
    set_state(relay, TEXT("{}"));
}

static uint64_t participant_due(const struct relay *relay, const struct participant *participant)
{
    if (participant->member != game_nobody) return participant->until_ms;
    if (participant->visible) return participant->away_ms + relay->options->leave_ms;
    return game_never_ms; /* the room is locked */
}

/* Who is due first, or nullptr: nobody has a place. */
static struct participant *next_participant(struct relay *relay)
{
    struct participant *next = nullptr;
    for (uint32_t i = 0; i < relay->count; i++) {
        struct participant *participant = &relay->participants[i];
        if (next == nullptr || participant_due(relay, participant) < participant_due(relay, next))
            next = participant;
    }
    return next;
}

static uint64_t relay_due(const void *state)
{
    const struct relay *relay = state;
    uint64_t due_ms = game_never_ms;
    if (relay->connected == 0) due_ms = relay->empty_since_ms + relay->empty_ms;
    for (uint32_t i = 0; i < relay->count; i++) {
        uint64_t participant_ms = participant_due(relay, &relay->participants[i]);
        if (participant_ms < due_ms) due_ms = participant_ms;
    }
    return due_ms;
}

/* Its connection is not its own any more. */
static void disconnect(struct relay *relay, struct participant *participant, uint64_t at_ms)
{
    assert(relay->connected > 0 && participant->member != game_nobody);
    participant->member = game_nobody;
    participant->away_ms = at_ms;
    relay->connected -= 1;
    if (relay->connected == 0) relay->empty_since_ms = at_ms;
}

static void free_place(struct relay *relay, struct participant *participant)
{
    size_t behind = (size_t)(relay->participants + relay->count - (participant + 1));
    memmove(participant, participant + 1, behind * sizeof *participant);
    relay->count -= 1;
}

/* What is due of a participant. At most one message. */
static void advance_participant(struct relay *relay, struct participant *participant,
                                uint64_t due_ms, struct game_words *words)
{
    if (participant->member != game_nobody) {
        canonical_error(words, participant->member, TEXT("token_expired"),
                        TEXT("Your token has expired; come again with a new one."),
                        (struct text){});
        words_dismiss(words, participant->member, GAME_DISMISS_EXPIRED);
        disconnect(relay, participant, due_ms);
        return;
    }
    participant->visible = false;
    say_presence(relay, words, TEXT("participant_left"), participant, GAME_TO_ALL);
    if (!relay->locked) free_place(relay, participant);
}

/* In the order in which things are due, so that it does not matter how often this is called. What
 * the words do not hold waits for the next call, which is due at once. */
static bool relay_advance(void *state, struct game_time now, struct game_words *words)
{
    struct relay *relay = state;
    if (now.ms < relay_due(relay)) return false;
    while (words->count < game_messages_max) {
        struct participant *next = next_participant(relay);
        uint64_t due_ms = next != nullptr ? participant_due(relay, next) : game_never_ms;
        if (due_ms > now.ms) break;
        advance_participant(relay, next, due_ms, words);
    }
    bool empty = relay->connected == 0;
    if (empty && now.ms >= relay->empty_since_ms + relay->empty_ms) words->over = true;
    return true;
}

/* --- Coming and going ------------------------------------------------------------------------ */

static enum game_admission relay_admits(const void *state, const struct game_guest *guest)
{
    const struct relay *relay = state;
    if (is_kicked(relay, guest->player)) return GAME_BANNED; /* THREATS.md A15 */
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(id_of(&relay->participants[i]), guest->player)) return GAME_ADMITTED;
    if (relay->locked) return GAME_LOCKED;
    return relay->count < relay->members_max ? GAME_ADMITTED : GAME_FULL;
}

static struct participant *add_participant(struct relay *relay, struct text id)
{
    assert(relay->count < relay->members_max && relay->members_max <= relay_members_most);
    struct participant *participant = &relay->participants[relay->count++];
    assert(id.size > 0 && id.size <= sizeof participant->id);
    *participant = (struct participant){.member = game_nobody, .id_size = (uint8_t)id.size};
    memcpy(participant->id, id.data, id.size);
    return participant;
}

/* While others see it, it keeps the name that they know. */
static void name_participant(struct participant *participant, struct text name)
{
    assert(name.size > 0 && name.size <= sizeof participant->name);
    if (participant->visible) return;
    memcpy(participant->name, name.data, name.size);
    participant->name_size = (uint16_t)name.size;
}

static void relay_arrive(void *state, uint32_t member, const struct game_guest *guest,
                         struct game_time now, struct game_words *words)
{
    struct relay *relay = state;
    struct participant *participant = find_id(relay, guest->player);
    if (participant == nullptr) participant = add_participant(relay, guest->player);
    if (participant->member != game_nobody) { // the newer connection wins (C12)
        words_dismiss(words, participant->member, GAME_DISMISS_REPLACED);
        disconnect(relay, participant, now.ms);
    }
    name_participant(participant, guest->name);
    bool appears = !participant->visible;
    participant->member = member;
    participant->visible = true;
    participant->until_ms = guest->until_ms;
    participant->ack_count = 0;
    relay->connected += 1;
    if (appears)
        say_presence(relay, words, TEXT("participant_joined"), participant, GAME_TO_OTHERS);
    canonical_welcome(words, member, (struct text){relay->id, relay->id_size}, game_relay.name,
                      id_of(participant), name_of(participant));
    say_members(relay, words, member, (struct text){});
    say_state(relay, words, GAME_TO_ONE, member, (struct text){});
}

static void relay_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct participant *participant = find_member(state, member);
    if (participant != nullptr) disconnect(state, participant, now.ms); // else it was dismissed
}

/* --- What a member says ---------------------------------------------------------------------- */

static void tell_chat(struct relay *relay, const struct participant *from, struct text message,
                      struct game_time now, struct game_words *words)
{
    struct writer *out = canonical_begin(words, GAME_TO_ALL, 0, TEXT("event"), TEXT("chat"));
    write_byte(out, '{');
    canonical_write(out, "player_id", id_of(from));
    write_byte(out, ',');
    canonical_write(out, "display_name", name_of(from));
    write_byte(out, ',');
    canonical_write(out, "message", message);
    write_byte(out, ',');
    write_number(out, "ts", now.wall_ms);
    write_byte(out, '}');
    relay->sequence += 1;
    canonical_end(words, (struct text){}, relay->sequence);
}

static uint64_t hash_correlation(struct text correlation)
{
    return hash_text((struct hash_key){}, correlation);
}

/* What the same chat was answered before: it is not said twice (FIELD T11). */
static const struct ack *find_ack(const struct participant *participant, struct text correlation)
{
    uint64_t hash = hash_correlation(correlation);
    for (uint32_t i = 0; i < acks_max && i < participant->ack_count; i++)
        if (participant->acks[i].correlation == hash) return &participant->acks[i];
    return nullptr;
}

/* The answer comes before what everybody is told because of it. */
static void acknowledge(struct game_words *words, struct participant *participant,
                        uint64_t sequence, struct text correlation)
{
    canonical_ack(words, participant->member, sequence, correlation);
    if (correlation.size == 0) return;
    participant->acks[participant->ack_count++ % acks_max] =
        (struct ack){.correlation = hash_correlation(correlation), .sequence = sequence};
}

/* Each of these returns what is wrong with the message, or nothing when it was handled. */

static struct text receive_chat(struct relay *relay, struct participant *participant,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    uint8_t memory[4096]; // message_size_max: cleaning makes nothing longer
    struct writer clean = writer_over(memory, sizeof memory);
    struct text message, correlation = envelope->correlation;
    enum chat_fault fault;
    struct text problem =
        chat_read(envelope->payload, relay->options->chat_max, &clean, &message, &fault);
    if (problem.size > 0) return problem;
    const struct ack *ack = correlation.size > 0 ? find_ack(participant, correlation) : nullptr;
    if (ack != nullptr) {
        canonical_ack(words, participant->member, ack->sequence, correlation);
    } else if (!relay->chat) {
        canonical_error(words, participant->member, TEXT("chat_off"),
                        TEXT("There is no chat in this room."), correlation);
    } else if (json_member(envelope->payload, TEXT("to")) != nullptr) {
        canonical_error(words, participant->member, TEXT("unsupported"),
                        TEXT("Chat goes to everybody here; send it without payload.to."),
                        correlation);
    } else if (fault != CHAT_FINE) {
        canonical_error(words, participant->member, chat_code(fault), chat_sentence(fault),
                        correlation);
    } else {
        acknowledge(words, participant, relay->sequence + 1, correlation);
        tell_chat(relay, participant, message, now, words);
    }
    return (struct text){};
}

static struct text receive_sync(struct relay *relay, struct participant *participant,
                                const struct envelope *envelope, struct game_time,
                                struct game_words *words)
{
    say_state(relay, words, GAME_TO_ONE, participant->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_presence(struct relay *relay, struct participant *participant,
                                    const struct envelope *envelope, struct game_time,
                                    struct game_words *words)
{
    say_members(relay, words, participant->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_ping(struct relay *, struct participant *participant,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    int64_t t0;
    if (!json_to_integer(json_member(envelope->payload, TEXT("t0")), &t0))
        return TEXT("has no payload.t0, a whole number");
    canonical_pong(words, participant->member, t0, now.wall_ms, envelope->correlation);
    return (struct text){};
}

static const struct {
    struct text name;
    struct text (*receive)(struct relay *, struct participant *, const struct envelope *,
                           struct game_time, struct game_words *);
} types[] = {
    {TEXT("chat"), receive_chat},
    {TEXT("sync_state"), receive_sync},
    {TEXT("presence"), receive_presence},
    {TEXT("ping"), receive_ping},
};
constexpr size_t type_count = sizeof types / sizeof types[0];

static struct text receive(struct relay *relay, struct participant *participant,
                           const struct envelope *envelope, struct game_time now,
                           struct game_words *words)
{
    for (size_t i = 0; i < type_count; i++)
        if (text_equal(envelope->type, types[i].name))
            return types[i].receive(relay, participant, envelope, now, words);
    canonical_error(words, participant->member, TEXT("unsupported"),
                    TEXT("The rules of this room live in its game's backend: send it there. Here "
                         "are chat, sync_state, presence and ping."),
                    envelope->correlation);
    return (struct text){};
}

/* A message that means nothing. */
static void strike(struct relay *relay, struct participant *participant, struct text problem,
                   struct text correlation, struct game_time now, struct game_words *words)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    canonical_error(words, participant->member, TEXT("bad_message"),
                    text_from(writer_bytes(&sentence)), correlation);
    if (!strikes_add(&participant->strikes, now.ms)) return;
    words_dismiss(words, participant->member, GAME_DISMISS_MISBEHAVED);
    disconnect(relay, participant, now.ms);
}

static void relay_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    struct relay *relay = state;
    struct participant *participant = find_member(relay, member);
    struct envelope envelope;
    if (participant == nullptr) return; // dismissed: it is not listened to any more
    struct text problem = envelope_read(memory, text, &envelope);
    if (problem.size == 0) problem = receive(relay, participant, &envelope, now, words);
    if (problem.size > 0) strike(relay, participant, problem, envelope.correlation, now, words);
}

/* --- What the backend asks ------------------------------------------------------------------- */

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
    canonical_write(out, "id", (struct text){relay->id, relay->id_size});
    write_byte(out, ',');
    canonical_write(out, "kind", text_of(game_relay.name));
    write_byte(out, ',');
    canonical_write(out, "epoch", (struct text){relay->epoch, relay->epoch_size});
    write_byte(out, ',');
    write_number(out, "seq", relay->sequence);
    write_byte(out, ',');
    write_number(out, "members", relay->connected);
    write_byte(out, ',');
    write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    write_flag(out, "locked", relay->locked);
    write_byte(out, ',');
    write_flag(out, "chat", relay->chat);
    write_byte(out, ',');
    write_number(out, "empty_ttl_ms", relay->empty_ms);
    write_byte(out, ',');
    write_number(out, "created_at", relay->created_wall_ms);
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
        set_state(relay, state);
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
    write_members(wish->reply, relay);
    write_byte(wish->reply, '}');
    return GAME_UNCHANGED;
}

/* Says it once, for those of `event->to` who are connected. Returns how many that are. */
static uint32_t publish_to_some(struct relay *relay, const struct relay_event *event,
                                struct text payload, struct game_words *words)
{
    uint32_t reached = 0;
    for (uint32_t i = 0; i < event->to_count; i++) {
        const struct participant *participant = find_id(relay, event->to[i]);
        if (participant == nullptr || participant->member == game_nobody) continue;
        if (reached++ > 0) {
            words_also(words, participant->member);
            continue;
        }
        write_text(
            canonical_begin(words, GAME_TO_ONE, participant->member, TEXT("event"), event->name),
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
    uint32_t reached = relay->connected;
    write_byte(wish->reply, '{');
    if (event.to_count > 0) {
        reached = publish_to_some(relay, &event, payload, wish->words);
    } else {
        relay->sequence += 1;
        write_text(canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), event.name),
                   payload);
        canonical_end(wish->words, (struct text){}, relay->sequence);
        write_number(wish->reply, "seq", relay->sequence);
        write_byte(wish->reply, ',');
    }
    write_number(wish->reply, "members", reached);
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
    bool is_stale = change.if_seq < relay->state_sequence || change.if_seq > relay->sequence;
    if (change.has_if_seq && is_stale) return refuse(wish, RELAY_SEQ_MISMATCH);
    struct text state =
        change.merges ? merge(relay, wish, change.value) : write_value(wish, change.value);
    if (state.size == 0) return refuse(wish, RELAY_STATE_TOO_LARGE);
    bool is_same = text_equal(state, (struct text){relay->state, relay->state_size});
    if (!is_same) {
        set_state(relay, state);
        relay->state_sequence = relay->sequence += 1;
        say_state(relay, wish->words, GAME_TO_ALL, 0, (struct text){});
    }
    write_byte(wish->reply, '{');
    write_number(wish->reply, "seq", relay->state_sequence);
    write_byte(wish->reply, '}');
    return is_same ? GAME_UNCHANGED : GAME_DONE;
}

/* It is told why, the others that it has left, and it goes. */
static void send_away(struct relay *relay, struct participant *participant, struct text reason,
                      struct wish *wish)
{
    struct game_words *words = wish->words;
    uint32_t member = participant->member;
    bool is_here = member != game_nobody;
    if (is_here) {
        struct writer *out =
            canonical_begin(words, GAME_TO_ONE, member, TEXT("system"), TEXT("kicked"));
        write_byte(out, '{');
        if (reason.size > 0) canonical_write(out, "reason", reason);
        write_byte(out, '}');
        canonical_end(words, (struct text){}, 0);
    }
    if (participant->visible)
        say_presence(relay, words, TEXT("participant_left"), participant,
                     is_here ? GAME_TO_OTHERS : GAME_TO_ALL);
    if (is_here) {
        words_dismiss(words, member, GAME_DISMISS_KICKED);
        disconnect(relay, participant, wish->now.ms);
    }
    free_place(relay, participant);
}

static enum game_answer kick(struct relay *relay, struct wish *wish)
{
    struct relay_kick kick;
    if (!relay_read_kick(wish->root, &kick, wish->reply)) return GAME_NOT_UNDERSTOOD;
    bool already = is_kicked(relay, kick.player);
    if (!already && relay->kicked_count == kicked_most) return refuse(wish, RELAY_TOO_MANY_KICKED);
    struct participant *participant = find_id(relay, kick.player);
    bool was_present = participant != nullptr && participant->visible;
    if (!already) {
        struct kicked *kicked = &relay->kicked[relay->kicked_count++];
        kicked->id_size = (uint8_t)kick.player.size;
        memcpy(kicked->id, kick.player.data, kick.player.size);
    }
    if (participant != nullptr) send_away(relay, participant, kick.reason, wish);
    write_byte(wish->reply, '{');
    canonical_write(wish->reply, "player_id", kick.player);
    write_byte(wish->reply, ',');
    write_flag(wish->reply, "present", was_present);
    write_byte(wish->reply, '}');
    return already ? GAME_UNCHANGED : GAME_DONE;
}

/* Who is out of sight has kept a place only while nobody else could have it. */
static void free_unseen(struct relay *relay)
{
    for (uint32_t i = relay->count; i-- > 0;) // from the end: places become free
        if (!relay->participants[i].visible) free_place(relay, &relay->participants[i]);
}

static enum game_answer lock(struct relay *relay, struct wish *wish)
{
    bool locked;
    if (!relay_read_lock(wish->root, &locked, wish->reply)) return GAME_NOT_UNDERSTOOD;
    write_byte(wish->reply, '{');
    write_flag(wish->reply, "locked", locked);
    write_byte(wish->reply, '}');
    if (locked == relay->locked) return GAME_UNCHANGED;
    relay->locked = locked;
    if (!locked) free_unseen(relay);
    relay->sequence += 1;
    struct writer *out =
        canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), TEXT("room_status"));
    write_byte(out, '{');
    write_flag(out, "locked", locked);
    write_byte(out, '}');
    canonical_end(wish->words, (struct text){}, relay->sequence);
    return GAME_DONE;
}

static enum game_answer close_room(struct relay *relay, struct wish *wish)
{
    relay->sequence += 1;
    write_text(canonical_begin(wish->words, GAME_TO_ALL, 0, TEXT("event"), TEXT("room_closed")),
               TEXT("{}"));
    canonical_end(wish->words, (struct text){}, relay->sequence);
    wish->words->over = true;
    write_text(wish->reply, TEXT("{\"closed\":true,"));
    write_number(wish->reply, "members", relay->connected);
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

static enum game_answer relay_request(void *state, const struct game_request *request,
                                      struct game_time now, struct writer *reply,
                                      struct game_words *words)
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

static void relay_describe(const void *state, struct writer *out)
{
    const struct relay *relay = state;
    write_byte(out, ',');
    write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    write_flag(out, "locked", relay->locked);
}

const struct game game_relay = {
    .name = "relay",
    .protocol = CANONICAL_PROTOCOL,
    .state_size = sizeof(struct relay),
    .fresh_size = offsetof(struct relay, participants),
    .message_size_max = 4096,
    .acquired = true,
    .open = relay_open,
    .advance = relay_advance,
    .due = relay_due,
    .admits = relay_admits,
    .arrive = relay_arrive,
    .leave = relay_leave,
    .receive = relay_receive,
    .request = relay_request,
    .describe = relay_describe,
};
