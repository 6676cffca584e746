/* game/limits.h: how often members may do what others pay for: by the type of what they say, for
 * each of them and for the room (THREATS.md R9, R11).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     allowed > refused, and told when to go on > went on before that, again and again: it must go
 *
 * Who obeys stays, however often it is refused. Who does not wait as it was told is remembered
 * for a second each time, and some are forgiven: they may have been under way. This is beside
 * what a connection may say at all (--message-rate), of which nothing is refused: there it ends
 * at once. */
#pragma once
#include "base/bucket.h"
#include "game/words.h"

/* What an operator chose; a rate of 0 is no limit. */
struct game_rates {
    struct rate chat;      /* messages of one member */
    struct rate room_chat; /* messages of all members of a room */
    struct rate state;     /* bytes of state that one member asks for */
};

/* how often a member may go on before its time, at once; and one is forgotten each second */
constexpr uint32_t game_defiances_most = 20;

/* What a member has used up. It lives as long as its place, so coming again forgives nothing.
 * Zeros: nothing. */
struct member_limits {
    uint32_t chat, state, defiances; /* buckets */
    uint64_t until_ms[game_limits];  /* what it was told by its last refusal of each kind */
};

struct limit_verdict {
    enum game_limit limit; /* what is over; GAME_LIMIT_NONE: it is allowed, and counted */
    uint32_t retry_ms;     /* when it would be allowed, if nobody else does it first */
    bool last;             /* it must go */
};

/* A member says something to others. `room_chat` is the room's bucket. Who is refused because of
 * the room has used up nothing of its own. */
[[nodiscard]] struct limit_verdict limits_chat(struct member_limits *member, uint32_t *room_chat,
                                               const struct game_rates *rates, uint64_t now_ms);

/* A member asks for so many bytes of state. What is larger than a burst takes a whole one. */
[[nodiscard]] struct limit_verdict limits_state(struct member_limits *member,
                                                const struct game_rates *rates, uint64_t now_ms,
                                                uint32_t size);

/* What who was refused is told. */
struct text limits_sentence(enum game_limit limit);
