/* hub/events.h: rooms whose game says things: each input goes to the game, and what it says
 * because of it becomes one frame a message, in order, whoever is to get it.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   input > game > words > a frame each > outboxes > who cannot take it is closed
 *             ^                                          |
 *             +------------------ leave <----------------+    (and so on, until nobody is left to
 *                                                             close; then the room may end)
 *
 * Nothing is left out for a member who stays: where a frame cannot be had, those for whom it was
 * are closed, and learn the state when they come back. A game may also have a member go
 * (words_dismiss). Rooms of events have their home on one worker. */
#pragma once
#include "hub/worker.h"

/* What one turn may say before it sends what was said: as much as one gathered send takes, so that
 * a member who reads is never found with a full outbox for our own haste. */
constexpr uint32_t events_a_turn_max = outbox_gather_max;

/* The room of that name with its clock brought up to now, or nullptr: there is none, or it just
 * ended. Of any kind. */
[[nodiscard]] struct hub_room *events_find(struct worker *worker, struct text name);

/* A member has been seated; `guest` says who it is in kinds that know. Afterwards it may have been
 * closed, and the room gone with it: conn->member tells. */
void events_join(struct worker *worker, struct hub_room *room, struct member *member,
                 const struct game_guest *guest);

/* A member says something, in a kind that listens; when that is a token, what came of checking it
 * is told to the game as a second input. Afterwards it may have been closed, and the room
 * gone with it. */
void events_receive(struct worker *worker, struct hub_room *room, struct conn *conn,
                    struct text text);

/* A member was unseated, `number` was its. Closes the room when it is over, or made by its members
 * and empty. */
void events_leave(struct worker *worker, struct hub_room *room, uint32_t number);

/* Its game is due. */
void events_on_timer(struct worker *worker, struct hub_room *room);

/* A request for the room of that name, which lives here. False when there is no such room, or its
 * kind takes no requests. With an empty verb that is all that is asked. `reply` may not lie in
 * worker->scratch. */
[[nodiscard]] bool events_request(struct worker *worker, struct text name,
                                  const struct game_request *request, struct writer *reply,
                                  enum game_answer *answer);

/* Sets the timer for when the game wants to be asked again. */
void events_schedule(struct worker *worker, struct hub_room *room);
