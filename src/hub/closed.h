/* hub/closed.h: which rooms of backends are over, so that players who come back to one are told so
 * and do not open a lobby of its id in its place. Pure: no clock, no socket; the room's home keeps
 * it.
 *
 * A name is remembered as 64 bits under a key that nobody knows, in one of four places that those
 * bits choose. Bounded in number and in time: when all four are taken the oldest is forgotten. */
#pragma once
#include "base/arena.h"
#include "base/random.h"

struct closed_room {
    uint64_t name;      /* its hash; 0: the place is free */
    uint64_t closed_ms; /* when */
};

struct closed_rooms {
    struct hash_key key;
    struct closed_room *places;
    uint32_t count;
    uint32_t kept_ms;
};

/* `count` places, a power of two from 4 on, each for `kept_ms`. May run on a measuring arena. */
void closed_init(struct closed_rooms *closed, struct arena *arena, uint32_t count,
                 uint32_t kept_ms);

/* The key that hashes are made with; before the first use, after closed_init. */
void closed_set_key(struct closed_rooms *closed, struct hash_key key);

/* The room is over since `now_ms`. The name is not kept. */
void closed_remember(struct closed_rooms *closed, struct text name, uint64_t now_ms);

/* There is a room of that name again. */
void closed_forget(struct closed_rooms *closed, struct text name);

/* True when it was closed less than kept_ms ago, and is remembered. */
[[nodiscard]] bool closed_knows(const struct closed_rooms *closed, struct text name,
                                uint64_t now_ms);
