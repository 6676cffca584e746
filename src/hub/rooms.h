/* hub/rooms.h: a worker's rooms: found by name, opened, entered, ticked, commanded, closed.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 * This is where a game's state becomes one shared frame. */
#pragma once
#include "hub/worker.h"

/* The room of that name, or nullptr. "kart" is the race at /ws, "kart/ID" a further one. */
[[nodiscard]] struct hub_room *rooms_find(struct worker *worker, struct text name);

/* Makes a room. nullptr when the bound on rooms is reached (a static room does not count). */
[[nodiscard]] struct hub_room *rooms_open(struct worker *worker, enum game_kind kind,
                                          struct text name, bool is_static);

/* Closes every room; nobody may be seated. For the worker's end. */
void rooms_close_all(struct worker *worker);

/* Seats an OPEN connection and queues the current state for it, as its first frame. False when
 * it could not be (no memory): the connection is closed as OVERLOADED then. */
bool rooms_enter(struct worker *worker, struct hub_room *room, struct conn *conn);

/* Unseats a member; a further room that becomes empty is closed. */
void rooms_leave(struct worker *worker, struct member *member);

/* The room's tick is due: one snapshot, one encode, one reference for each member. */
void rooms_tick(struct worker *worker, struct hub_room *room);

/* A host's command. The new state is written to `state` (JSON) when it was accepted, a sentence
 * to `reply` when the game has one. Members see the change at the next tick, a joiner at once. */
enum game_answer rooms_command(struct worker *worker, struct hub_room *room, struct text command,
                               struct writer *state, struct writer *reply);
