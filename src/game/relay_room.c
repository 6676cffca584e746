#include "game/relay_room.h"
#include "game/canonical.h"
#include "game/games.h"
#include <assert.h>

struct participant *relay_find(struct relay *relay, struct text id)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(participant_id(&relay->participants[i]), id)) return &relay->participants[i];
    return nullptr;
}

struct participant *relay_find_member(struct relay *relay, uint32_t member)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (relay->participants[i].member == member) return &relay->participants[i];
    return nullptr;
}

bool relay_is_kicked(const struct relay *relay, struct text id)
{
    for (uint32_t i = 0; i < relay->kicked_count; i++)
        if (text_equal((struct text){relay->kicked[i].id, relay->kicked[i].id_size}, id))
            return true;
    return false;
}

/* --- What it says ---------------------------------------------------------------------------- */

void relay_say_state(const struct relay *relay, struct game_words *words,
                     enum game_audience audience, uint32_t member, struct text correlation)
{
    struct writer *out = canonical_begin(words, audience, member, TEXT("state"), (struct text){});
    write_text(out, (struct text){relay->state, relay->state_size});
    canonical_end(words, correlation, relay->sequence);
}

void relay_write_members(struct writer *out, const struct relay *relay)
{
    write_text(out, TEXT("\"members\":["));
    for (uint32_t i = 0; i < relay->count; i++) {
        const struct participant *participant = &relay->participants[i];
        write_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        canonical_write(out, "player_id", participant_id(participant));
        write_byte(out, ',');
        canonical_write(out, "display_name", participant_name(participant));
        write_byte(out, ',');
        canonical_write_flag(out, "present", participant->visible);
        write_byte(out, '}');
    }
    write_byte(out, ']');
}

void relay_say_members(const struct relay *relay, struct game_words *words, uint32_t member,
                       struct text correlation)
{
    struct writer *out =
        canonical_begin(words, GAME_TO_ONE, member, TEXT("event"), TEXT("members"));
    write_byte(out, '{');
    relay_write_members(out, relay);
    write_byte(out, ',');
    canonical_write_number(out, "members_max", relay->members_max);
    write_byte(out, ',');
    canonical_write_flag(out, "locked", relay->locked);
    write_byte(out, ',');
    canonical_write_flag(out, "chat", relay->chat);
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}

void relay_say_presence(struct relay *relay, struct game_words *words, struct text event,
                        const struct participant *participant, enum game_audience audience)
{
    relay->sequence += 1;
    canonical_presence(words, audience, participant->member, event, participant_id(participant),
                       participant_name(participant), relay->sequence);
}

/* --- Time ------------------------------------------------------------------------------------ */

void relay_set_state(struct relay *relay, struct text state)
{
    assert(state.size <= sizeof relay->state);
    memcpy(relay->state, state.data, state.size);
    relay->state_size = (uint32_t)state.size;
}

void relay_open(void *state, const struct game_opening *opening)
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
    relay_set_state(relay, TEXT("{}"));
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

uint64_t relay_due(const void *state)
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

void relay_disconnect(struct relay *relay, struct participant *participant, uint64_t at_ms)
{
    assert(relay->connected > 0 && participant->member != game_nobody);
    participant->member = game_nobody;
    participant->away_ms = at_ms;
    relay->connected -= 1;
    if (relay->connected == 0) relay->empty_since_ms = at_ms;
}

void relay_free_place(struct relay *relay, struct participant *participant)
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
        relay_disconnect(relay, participant, due_ms);
        return;
    }
    participant->visible = false;
    relay_say_presence(relay, words, TEXT("participant_left"), participant, GAME_TO_ALL);
    if (!relay->locked) relay_free_place(relay, participant);
}

/* In the order in which things are due, so that it does not matter how often this is called. What
 * the words do not hold waits for the next call, which is due at once. */
bool relay_advance(void *state, struct game_time now, struct game_words *words)
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

enum game_admission relay_admits(const void *state, const struct game_guest *guest)
{
    const struct relay *relay = state;
    if (relay_is_kicked(relay, guest->player)) return GAME_BANNED; /* THREATS.md A15 */
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(participant_id(&relay->participants[i]), guest->player))
            return GAME_ADMITTED;
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

void relay_arrive(void *state, uint32_t member, const struct game_guest *guest,
                  struct game_time now, struct game_words *words)
{
    struct relay *relay = state;
    struct participant *participant = relay_find(relay, guest->player);
    if (participant == nullptr) participant = add_participant(relay, guest->player);
    if (participant->member != game_nobody) { // the newer connection wins (C12)
        words_dismiss(words, participant->member, GAME_DISMISS_REPLACED);
        relay_disconnect(relay, participant, now.ms);
    }
    name_participant(participant, guest->name);
    bool appears = !participant->visible;
    participant->member = member;
    participant->visible = true;
    participant->until_ms = guest->until_ms;
    participant->replies.count = 0;
    relay->connected += 1;
    if (appears)
        relay_say_presence(relay, words, TEXT("participant_joined"), participant, GAME_TO_OTHERS);
    canonical_welcome(words, member, (struct text){relay->id, relay->id_size}, game_relay.name,
                      participant_id(participant), participant_name(participant));
    relay_say_members(relay, words, member, (struct text){});
    relay_say_state(relay, words, GAME_TO_ONE, member, (struct text){});
}

void relay_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct participant *participant = relay_find_member(state, member);
    if (participant != nullptr)
        relay_disconnect(state, participant, now.ms); // else it was dismissed
}
