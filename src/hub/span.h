/* hub/span.h: a room that spans workers: home lends each frame to those who have members.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   a replica gets its first member, or one for whom it has nothing fresh:
 *       > MAIL_SUBSCRIBE > home lends the state as it is (MAIL_FRAME), and then each tick's frame
 *   the last member leaves: > MAIL_UNSUBSCRIBE
 *   a command changes the state: home > MAIL_STALE > the next joiner's replica asks again
 *
 * Mail between two workers keeps its order, so a member never sees an older state after a newer.
 * A frame that finds a mailbox full is not lent: the next tick's takes its place. */
#pragma once
#include "hub/worker.h"

/* Home: lends the room's last frame to every worker that has members. */
void span_lend_all(struct worker *worker, struct hub_room *room);

/* Home: tells them that the state has changed. */
void span_tell_stale(struct worker *worker, struct hub_room *room);

/* Home: mail from a replica. */
void span_on_subscribe(struct worker *worker, enum game_kind kind, uint32_t from);
void span_on_unsubscribe(struct worker *worker, enum game_kind kind, uint32_t from);

/* Home: a loan has come back. */
void span_on_return(struct worker *worker, struct frame_loan *loan);

/* Replica: asks home for its state, unless that has been done. */
void span_ask(struct worker *worker, struct hub_room *room);

/* Replica: its last member has left. */
void span_leave(struct worker *worker, struct hub_room *room);

/* Replica: the frame of a snapshot has come: for all, or when they have it already, for those
 * who were shown nothing yet. */
void span_on_frame(struct worker *worker, enum game_kind kind, struct frame_loan *loan,
                   uint64_t sequence);

/* Replica: what it has to show is no longer the state. */
void span_on_stale(struct worker *worker, enum game_kind kind);

/* Sends again what found home's mailbox full. True while something is left to send. */
bool span_retry(struct worker *worker);
