/* game/company.h: the people of a room in the canonical dialect (game/canonical.h): who is
 * connected and until when, and what they say that means the same in each such kind.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     a message > envelope > its type in the kind's `struct company_types`
 *                    |          > company_chat, company_auth, company_ping, or the kind's own
 *                    +- it means nothing: a strike
 *
 * Where people sit, and what becomes of who is away, is the kind's. Who breaks a bound in here is
 * dismissed, and disconnected at once: it is not listened to any more. */
#pragma once
#include "game/envelope.h"
#include "game/game.h"
#include "game/replies.h"
#include "game/strikes.h"
#include "game/token.h"
#include "limits.h"

struct person {
    uint32_t member; /* game_nobody while it is away */
    bool visible;    /* the others think that it is here */
    uint8_t id_size; /* 0: nobody has this place */
    uint16_t name_size;
    char id[game_player_size_max];
    char name[game_name_size_max];
    uint64_t away_ms;   /* while away: since when */
    struct token token; /* while connected: what let it in, or came later */
    struct member_limits limits;
    struct strikes strikes;
    struct replies replies; /* of this connection */
};

struct company {
    const struct game_options *options;
    uint64_t empty_since_ms; /* while nobody is connected */
    uint64_t sequence;       /* of the last message to everybody */
    uint32_t connected;
    uint32_t chat_limit; /* a bucket: what all have said */
    uint8_t id_size;
    char id[room_id_size_max];
    struct token_query query;
};

static inline struct text person_id(const struct person *person)
{
    return (struct text){person->id, person->id_size};
}

static inline struct text person_name(const struct person *person)
{
    return (struct text){person->name, person->name_size};
}

/* {"player_id":"p1","display_name":"Ann","present":true} */
void person_write(struct writer *out, const struct person *person);

/* Bytes that person_write takes, or nearly. */
static inline uint32_t person_size(const struct person *person)
{
    return 64u + person->id_size + person->name_size;
}

static inline struct text company_id(const struct company *company)
{
    return (struct text){company->id, company->id_size};
}

/* Nobody is here yet. */
void company_open(struct company *company, const struct game_opening *opening);

/* A connection of the person's own; the one that it had is dismissed, the newer one wins (C12). */
void company_connect(struct company *company, struct person *person, uint32_t member,
                     const struct game_guest *guest, struct game_time now,
                     struct game_words *words);

/* Its connection is not its own any more. */
void company_disconnect(struct company *company, struct person *person, uint64_t at_ms);

/* The token of somebody who is connected is due (token_due): it is warned, or told that its time is
 * over, and goes. One message. */
void company_heed_token(struct company *company, struct person *person, uint64_t due_ms,
                        struct game_words *words);

/* participant_joined or participant_left, under the next number. */
void company_say_presence(struct company *company, struct game_words *words, struct text event,
                          const struct person *person, enum game_audience audience);

/* --- What people say ------------------------------------------------------------------------- */

/* reply.verdict of what was done; of what was not it is the kind's own. */
constexpr uint8_t company_done = 0;

/* One type of messages. */
struct company_type {
    struct text name;
    bool once; /* what person.replies has is repeated, and not done again */
    /* Handles a message, or returns what is wrong with it, in words that continue "The message ".
     * `company` is the first field of the kind's room, which it finds by that. */
    struct text (*receive)(struct company *company, struct person *person,
                           const struct envelope *envelope, struct game_time now,
                           struct game_words *words);
};

/* What a kind understands; in the order of its game.types. */
struct company_types {
    const struct company_type *list;
    uint32_t count;
    struct text unsupported; /* a sentence for who says something else */
    /* Answers what comes again, as `reply` says. */
    void (*repeat)(struct game_words *words, uint32_t member, const struct reply *reply,
                   struct text correlation);
};

/* game.receive; `person` is nullptr when it was dismissed. */
void company_receive(struct company *company, const struct company_types *types,
                     struct person *person, struct text text, struct game_time now,
                     struct bytes memory, struct game_words *words);

/* game.verified; `person` is nullptr when it was dismissed. */
void company_verified(struct company *company, struct person *person,
                      const struct game_guest *guest, struct text code, struct text sentence,
                      struct game_time now, struct game_words *words);

/* True when the person may ask for so many bytes of state now; else it has been told that it may
 * not, and when (THREATS.md R11). */
[[nodiscard]] bool company_may_ask(struct company *company, struct person *person, uint32_t size,
                                   struct text correlation, struct game_time now,
                                   struct game_words *words);

/* Types that mean the same in each kind (company_type.receive). */

/* To everybody. Who is refused was not heard, and may say it again under its correlation_id; who
 * was heard gets an ack before everybody gets the message, and the same ack when it comes again. */
struct text company_chat(struct company *company, struct person *person,
                         const struct envelope *envelope, struct game_time now,
                         struct game_words *words);
struct text company_ping(struct company *company, struct person *person,
                         const struct envelope *envelope, struct game_time now,
                         struct game_words *words);
/* A new token on the connection that an older one has opened (C16, THREATS.md A16). */
struct text company_auth(struct company *company, struct person *person,
                         const struct envelope *envelope, struct game_time now,
                         struct game_words *words);
