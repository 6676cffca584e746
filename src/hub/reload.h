/* hub/reload.h: keys that are read again while the server runs, on SIGHUP.
 * You are here: the main thread, between the signal and the workers.
 *
 * There are two sets: one that the workers have, and one that is nobody's, into which keys are read
 * and in which they are checked. What is wrong with them leaves the other set in use (THREATS.md
 * O3). Good ones are lent to all workers, each of which gives back its share of the older set:
 *
 *     main: reads > hub_post(MAIL_KEYS) to each        worker: reload_take: uses the new set >
 *           waits <------------- hub.keys_home <-----------    mailbox_return of the old one
 *     all are home: the old set is nobody's, and the next reading may have it
 *
 * A worker uses one set or the other, and never looks again at one that it has given back, so there
 * is no lock and nothing is freed in use. Only SIGHUP reads keys: a token with a key that nobody
 * knows is refused, and cannot have files read (THREATS.md A3, A9). */
#pragma once
#include "hub/worker.h"

/* The main thread's. */
struct reload {
    struct hub *hub;
    uint32_t shown; /* of hub.key_sets: what workers have, or have been sent */
    uint32_t away;  /* workers that have not given the other set back */
    struct log log; /* the main thread's own lines; they say worker 0 */
};

void reload_init(struct reload *reload, struct hub *hub);

/* Reads --jwt-keys again, and gives every worker what is in it; or changes nothing. Then
 * --world, by world_door_reload. Either is told by a line on stderr. Tokens that let somebody in
 * before are good until they expire. Blocks while the file is read, and for a second at most
 * until all workers have the keys. */
void reload_files(struct reload *reload);

/* At a worker: newer keys have come (MAIL_KEYS). */
void reload_take(struct worker *worker, struct key_set *set);
