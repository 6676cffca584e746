/* hub/rooms.h: a worker's rooms: found by name, opened, entered, ticked, commanded, closed.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 * This is where a game's state becomes one shared frame.
 *
 * A room lives on one worker, its home, which has the game and encodes. A static room spans all
 * workers: members stay where they were accepted, and every other worker has a replica of it, which
 * has members and shows them the frames that home lends it (hub/span.c). */
#pragma once
#include "hub/worker.h"

/* The room of that name that lives here or has its replica here, or nullptr. "kart" is the race at
 * /ws, "kart/ID" a further one, "vote/ID" a vote's, and so on. */
[[nodiscard]] struct hub_room *rooms_find(struct worker *worker, struct text name);

/* Makes a room whose home is here. nullptr when the bound on rooms is reached (a static room
 * does not count). */
[[nodiscard]] struct hub_room *rooms_open(struct worker *worker, enum game_kind kind,
                                          struct text name, bool is_static);

/* The same for a room that somebody asked for. `secret` shows who its host is; copied. */
[[nodiscard]] struct hub_room *rooms_acquire(struct worker *worker, enum game_kind kind,
                                             struct text name, struct text secret);

/* The kind, '/' and the id, in `memory`, as the name of a room; the result points there. The id is
 * valid: [A-Za-z0-9_-]{1,64}. */
struct text rooms_name(uint8_t memory[static room_name_size_max], enum game_kind kind,
                       struct text id);

/* Makes the replica of a static room whose home is elsewhere. */
[[nodiscard]] struct hub_room *rooms_open_replica(struct worker *worker, enum game_kind kind,
                                                  struct text name);

/* Makes `frame` what joiners get, taking over the caller's reference; or lets go of it. */
void rooms_show(struct worker *worker, struct hub_room *room, struct frame *frame);
void rooms_hide(struct worker *worker, struct hub_room *room);

/* Closes a room that its members made when nobody is in it. True when it is closed. */
bool rooms_close_if_empty(struct worker *worker, struct hub_room *room);

/* Closes a room; nobody may be seated. */
void rooms_close(struct worker *worker, struct hub_room *room);

/* Closes every room; nobody may be seated. For the worker's end. */
void rooms_close_all(struct worker *worker);

/* Seats an OPEN connection and queues the current state for it, as its first frame; in a replica
 * that has none, the frame follows as soon as home has lent it. In a room of events the game greets
 * it; `guest` says who it is where that is known, else nullptr. False when it could not be (no
 * memory): the connection is closed then, and the room may be gone. */
bool rooms_enter(struct worker *worker, struct hub_room *room, struct conn *conn,
                 const struct game_guest *guest);

/* Unseats a member; a room that its members made and that becomes empty is closed. */
void rooms_leave(struct worker *worker, struct member *member);

/* The room's timer: what its game wants done, or a tick: one snapshot, one encode, one reference
 * for each member here and one loan for each other worker that has some. */
void rooms_on_timer(struct worker *worker, struct hub_room *room);

/* Queues the room's last frame for every member. */
void rooms_show_all(struct worker *worker, struct hub_room *room);

/* Makes the room's last frame show the state as it is. True also when it does so already; false
 * when no memory was left. Only at home. */
[[nodiscard]] bool rooms_refresh(struct worker *worker, struct hub_room *room);

/* Has the room tick while somebody watches, here or elsewhere. Only at home. */
void rooms_watch(struct worker *worker, struct hub_room *room);

/* A host's command. The new state is written to `state` (JSON) when it was accepted, a sentence to
 * `reply` when the game has one. Members see the change at the next tick, a joiner at once. */
enum game_answer rooms_command(struct worker *worker, struct hub_room *room, struct text command,
                               struct writer *state, struct writer *reply);
