/* hub/avalon_door.h: the way into avalon's rooms: who shows a good token gets a WebSocket (S2-1 to
 * S2-5).
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   GET /ws/rooms/{code}  GET /ws/rooms/{code}/connect
 *
 * The token comes as Authorization: Bearer TOKEN, else as a subprotocol bearer.TOKEN beside a
 * dialect, else as ?token=TOKEN. It is the only word on who comes: a player_id in the query must be
 * its own (D21). What is wrong is answered with 401 and {"error":{"code","message"}} before the
 * upgrade, or with --avalon-auth-fail=close after it, by an error message and close code 4401. */
#pragma once
#include "hub/worker.h"

/* Answers, upgrades, or hands the connection over. `tail` is what follows /ws/rooms/; false when
 * that is no such path, and nothing was answered. */
[[nodiscard]] bool avalon_door_on_request(struct worker *worker, struct conn *conn,
                                          const struct http_request *request, struct text tail,
                                          struct bytes rest);

/* At the room's home: a guest whose token is good enters the room of that name; or learns why
 * not. */
void avalon_door_enter(struct worker *worker, struct conn *conn, struct text name,
                       const struct http_upgrade *upgrade, const struct game_guest *guest);
