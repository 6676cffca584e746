/* game/replies.h: what a connection was answered last, so that what comes again under the same
 * correlation_id is answered again, and not done again.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#pragma once
#include "base/bytes.h"

constexpr uint32_t replies_max = 16; /* that are remembered; a newer one takes the oldest's place */

struct reply {
    uint64_t correlation; /* its hash: who makes two of its own meet deceives only itself */
    uint64_t sequence;    /* of what everybody was told because of it, or 0 */
    uint8_t verdict;      /* the game's number of what was said */
};

/* Of one connection; zero before the first. */
struct replies {
    struct reply last[replies_max]; /* in a ring */
    uint64_t count;
};

/* What was answered under this correlation_id, or nullptr; also when that is empty. Valid until the
 * next replies_add. */
[[nodiscard]] const struct reply *replies_find(const struct replies *replies,
                                               struct text correlation);

/* An answer was given; without a correlation_id it is not remembered. */
void replies_add(struct replies *replies, struct text correlation, uint8_t verdict,
                 uint64_t sequence);
