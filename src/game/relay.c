/* game/relay.c: a room whose rules live in somebody's backend: it holds a state, who is here and
 * what everybody has been told, and leaves the meaning to the backend (S3-3, S3-4).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *   backend --publish, state--> room --event, state--> everybody           relay_request.c
 *   member --chat--> everybody;  member --ping, auth--> itself             company.c
 *   member --sync_state, presence--> itself                                here
 *   who has a place, and for how long                                      relay_room.c
 *
 * seq numbers what everybody is told (game/canonical.h). The room is over when its backend closes
 * it, or when nobody has been connected for empty_ms. */
#include "game/relay.h"
#include "game/canonical.h"
#include "game/games.h"
#include "game/relay_room.h"

static struct text receive_chat(struct company *company, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    const struct relay *relay = (const struct relay *)company;
    if (relay->chat) return company_chat(company, person, envelope, now, words);
    canonical_error(words, person->member, TEXT("chat_off"), TEXT("There is no chat in this room."),
                    envelope->correlation);
    return (struct text){};
}

/* What is around a state, or a list of who is here; in bytes, or nearly. */
constexpr uint32_t frame_size = 96;

/* This and the next cost as many bytes of the member's as their answer has (THREATS.md R11). */
static struct text receive_sync(struct company *company, struct person *person,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    const struct relay *relay = (const struct relay *)company;
    uint32_t size = frame_size + relay->state_size;
    if (company_may_ask(company, person, size, envelope->correlation, now, words))
        relay_say_state(relay, words, GAME_TO_ONE, person->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_presence(struct company *company, struct person *person,
                                    const struct envelope *envelope, struct game_time now,
                                    struct game_words *words)
{
    const struct relay *relay = (const struct relay *)company;
    uint32_t size = frame_size;
    for (uint32_t i = 0; i < relay->count; i++)
        size += person_size(&relay->people[i]);
    if (company_may_ask(company, person, size, envelope->correlation, now, words))
        relay_say_members(relay, words, person->member, envelope->correlation);
    return (struct text){};
}

/* Of what members say only chat is remembered, and only that it was said (FIELD T11). */
static void answer_again(struct game_words *words, uint32_t member, const struct reply *reply,
                         struct text correlation)
{
    canonical_ack(words, member, reply->sequence, correlation);
}

#define TYPES(X) /* name, once, what handles it */ \
    X("chat", true, receive_chat)                  \
    X("sync_state", false, receive_sync)           \
    X("presence", false, receive_presence)         \
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
    .unsupported = TEXT("The rules of this room live in its game's backend: send it there. Here "
                        "are chat, sync_state, presence, ping and auth."),
    .repeat = answer_again,
};

static void relay_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    struct relay *relay = state;
    company_receive(&relay->company, &types, relay_find_member(relay, member), text, now, memory,
                    words);
}

static void relay_verified(void *state, uint32_t member, const struct game_guest *guest,
                           struct text code, struct text sentence, struct game_time now,
                           struct game_words *words)
{
    struct relay *relay = state;
    company_verified(&relay->company, relay_find_member(relay, member), guest, code, sentence, now,
                     words);
}

const struct game game_relay = {
    .name = "relay",
    .protocol = CANONICAL_PROTOCOL,
    .state_size = sizeof(struct relay),
    .fresh_size = offsetof(struct relay, state),
    .message_size_max = 4096,
    .types =
        {
#define X(name, once, receive) TEXT(name),
            TYPES(X)
#undef X
        },
    .acquired = true,
    .open = relay_open,
    .advance = relay_advance,
    .due = relay_due,
    .admits = relay_admits,
    .arrive = relay_arrive,
    .leave = relay_leave,
    .receive = relay_receive,
    .verified = relay_verified,
    .request = relay_request,
    .describe = relay_describe,
};
