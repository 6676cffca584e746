/* game/relay_body.h: what a backend asks of its room, read strictly: a key that is not known is
 * more likely a mistake than news, so it is named and refused.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Each takes the root of a body and returns whether it is one of its kind; else `problem` takes
 * words that continue "The body ". Texts and values live in the memory that it was read with. */
#pragma once
#include "base/json.h"

constexpr uint32_t relay_to_most = 16; /* players that an event is for, by name */
constexpr uint64_t relay_empty_least_ms = 100, relay_empty_most_ms = 86'400'000;
constexpr size_t relay_event_size_max = 64;   /* bytes of an event's name */
constexpr size_t relay_reason_size_max = 200; /* bytes: why somebody is sent away */

/* {"id","state","members_max","locked","chat","empty_ttl_ms"}, all of them optional. The id is not
 * looked at here. */
struct relay_opening {
    const struct json *state; /* an object; nullptr: there is none yet */
    uint32_t members_max;     /* 0: as the operator has it */
    bool locked, chat;
    uint32_t empty_ms; /* 0: as the operator has it */
};
[[nodiscard]] bool relay_read_opening(const struct json *root, struct relay_opening *opening,
                                      struct writer *problem);

/* {"event","payload"?,"to"?} */
struct relay_event {
    struct text name;
    const struct json *payload;    /* an object; nullptr: {} */
    uint32_t to_count;             /* 0: everybody */
    struct text to[relay_to_most]; /* players' ids, none of them twice */
};
[[nodiscard]] bool relay_read_event(const struct json *root, struct relay_event *event,
                                    struct writer *problem);

/* {"replace":{...}} or {"merge":{...}}, with "if_seq"? */
struct relay_change {
    const struct json *value; /* an object */
    bool merges;              /* it is a merge patch (RFC 7396), else the whole state */
    bool has_if_seq;
    uint64_t if_seq; /* only while the state is the one of this message */
};
[[nodiscard]] bool relay_read_change(const struct json *root, struct relay_change *change,
                                     struct writer *problem);

/* {"player","reason"?} */
struct relay_kick {
    struct text player;
    struct text reason; /* for the player to read; may be empty */
};
[[nodiscard]] bool relay_read_kick(const struct json *root, struct relay_kick *kick,
                                   struct writer *problem);

/* {"locked"} */
[[nodiscard]] bool relay_read_lock(const struct json *root, bool *locked, struct writer *problem);
