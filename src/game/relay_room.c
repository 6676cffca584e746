#include "game/relay_room.h"
#include "game/canonical.h"
#include "game/games.h"
#include <assert.h>

struct person *relay_find(struct relay *relay, struct text id)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(person_id(&relay->people[i]), id)) return &relay->people[i];
    return nullptr;
}

struct person *relay_find_member(struct relay *relay, uint32_t member)
{
    for (uint32_t i = 0; i < relay->count; i++)
        if (relay->people[i].member == member) return &relay->people[i];
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
    canonical_end(words, correlation, relay->company.sequence);
}

void relay_write_members(struct writer *out, const struct relay *relay)
{
    write_text(out, TEXT("\"members\":["));
    for (uint32_t i = 0; i < relay->count; i++) {
        if (i > 0) write_byte(out, ',');
        person_write(out, &relay->people[i]);
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
    company_open(&relay->company, opening);
    assert(opening->secret.size <= sizeof relay->epoch);
    assert(opening->options->players_max <= relay_members_most);
    relay->created_wall_ms = opening->now.wall_ms;
    relay->members_max = opening->options->players_max;
    relay->empty_ms = opening->options->empty_ms;
    relay->epoch_size = (uint8_t)opening->secret.size;
    if (relay->epoch_size > 0) memcpy(relay->epoch, opening->secret.data, relay->epoch_size);
    relay_set_state(relay, TEXT("{}"));
}

static uint64_t person_due(const struct relay *relay, const struct person *person)
{
    if (person->member != game_nobody) return token_due(&person->token);
    if (person->visible) return person->away_ms + relay->company.options->leave_ms;
    return game_never_ms; /* the room is locked */
}

/* Who is due first, or nullptr: nobody has a place. */
static struct person *next_person(struct relay *relay)
{
    struct person *next = nullptr;
    for (uint32_t i = 0; i < relay->count; i++) {
        struct person *person = &relay->people[i];
        if (next == nullptr || person_due(relay, person) < person_due(relay, next)) next = person;
    }
    return next;
}

uint64_t relay_due(const void *state)
{
    const struct relay *relay = state;
    uint64_t due_ms = game_never_ms;
    if (relay->company.connected == 0) due_ms = relay->company.empty_since_ms + relay->empty_ms;
    for (uint32_t i = 0; i < relay->count; i++) {
        uint64_t person_ms = person_due(relay, &relay->people[i]);
        if (person_ms < due_ms) due_ms = person_ms;
    }
    return due_ms;
}

void relay_free_place(struct relay *relay, struct person *person)
{
    size_t behind = (size_t)(relay->people + relay->count - (person + 1));
    memmove(person, person + 1, behind * sizeof *person);
    relay->count -= 1;
}

/* What is due of a person. At most one message. */
static void advance_person(struct relay *relay, struct person *person, uint64_t due_ms,
                           struct game_words *words)
{
    if (person->member != game_nobody) {
        company_heed_token(&relay->company, person, due_ms, words);
        return;
    }
    person->visible = false;
    company_say_presence(&relay->company, words, TEXT("participant_left"), person, GAME_TO_ALL);
    if (!relay->locked) relay_free_place(relay, person);
}

/* In the order in which things are due, so that it does not matter how often this is called. What
 * the words do not hold waits for the next call, which is due at once. */
bool relay_advance(void *state, struct game_time now, struct game_words *words)
{
    struct relay *relay = state;
    if (now.ms < relay_due(relay)) return false;
    while (words->count < game_messages_max) {
        struct person *next = next_person(relay);
        uint64_t due_ms = next != nullptr ? person_due(relay, next) : game_never_ms;
        if (due_ms > now.ms) break;
        advance_person(relay, next, due_ms, words);
    }
    bool empty = relay->company.connected == 0;
    if (empty && now.ms >= relay->company.empty_since_ms + relay->empty_ms) words->over = true;
    return true;
}

/* --- Coming and going ------------------------------------------------------------------------ */

enum game_admission relay_admits(const void *state, const struct game_guest *guest)
{
    const struct relay *relay = state;
    if (relay_is_kicked(relay, guest->player)) return GAME_BANNED; /* THREATS.md A15 */
    for (uint32_t i = 0; i < relay->count; i++)
        if (text_equal(person_id(&relay->people[i]), guest->player)) return GAME_ADMITTED;
    if (relay->locked) return GAME_LOCKED;
    return relay->count < relay->members_max ? GAME_ADMITTED : GAME_FULL;
}

static struct person *add_person(struct relay *relay, struct text id)
{
    assert(relay->count < relay->members_max && relay->members_max <= relay_members_most);
    struct person *person = &relay->people[relay->count++];
    assert(id.size > 0 && id.size <= sizeof person->id);
    *person = (struct person){.member = game_nobody, .id_size = (uint8_t)id.size};
    memcpy(person->id, id.data, id.size);
    return person;
}

/* While others see it, it keeps the name that they know. */
static void name_person(struct person *person, struct text name)
{
    assert(name.size > 0 && name.size <= sizeof person->name);
    if (person->visible) return;
    memcpy(person->name, name.data, name.size);
    person->name_size = (uint16_t)name.size;
}

void relay_arrive(void *state, uint32_t member, const struct game_guest *guest,
                  struct game_time now, struct game_words *words)
{
    struct relay *relay = state;
    struct person *person = relay_find(relay, guest->player);
    if (person == nullptr) person = add_person(relay, guest->player);
    name_person(person, guest->name);
    bool appears = !person->visible;
    person->visible = true;
    company_connect(&relay->company, person, member, guest, now, words);
    if (appears)
        company_say_presence(&relay->company, words, TEXT("participant_joined"), person,
                             GAME_TO_OTHERS);
    canonical_welcome(words, member, company_id(&relay->company), game_relay.name,
                      person_id(person), person_name(person));
    relay_say_members(relay, words, member, (struct text){});
    relay_say_state(relay, words, GAME_TO_ONE, member, (struct text){});
}

void relay_leave(void *state, uint32_t member, struct game_time now, struct game_words *)
{
    struct relay *relay = state;
    struct person *person = relay_find_member(relay, member);
    if (person != nullptr) // else it was dismissed
        company_disconnect(&relay->company, person, now.ms);
}
