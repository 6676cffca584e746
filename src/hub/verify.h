/* hub/verify.h: who a token says that somebody is: at the door, and on a connection that is open.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 * Keys, issuer, audience and leeway are those of the installation, whatever the kind. Which claims
 * name the player, and the room that the token is for, is the kind's:
 *
 *              player           room
 *     avalon   room_player_id   room_id; and the room's code, where there is a claim `code`
 *     others   sub              room, where there is such a claim; else it is for any
 *
 * Others see the claim `name`, where there is one, as far as it can be seen, else sub; avalon's
 * rooms know names already. */
#pragma once
#include "hub/worker.h"

/* What is wrong with a token, as it is told to who sent it: static text. An empty code: nothing. */
struct verdict {
    struct text code, sentence;
};

/* Checks a token. `id` is what members call the room that it must be for, where it says so;
 * empty: guest->room is what it says, of at most room_id_size_max bytes, and the caller
 * compares. `token` may lie anywhere but in the worker's memory for tokens, where *guest, set
 * for a good token alone, lives until the next one is checked or made. */
[[nodiscard]] struct verdict verify_token(struct worker *worker, enum game_kind kind,
                                          struct text id, struct text token,
                                          struct game_guest *guest);
