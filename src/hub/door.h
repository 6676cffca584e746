/* hub/door.h: the way into rooms whose members show a token: who has a good one gets a WebSocket
 * (S2-1 to S2-5, S3-6).
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   GET /ws/rooms/{code}  GET /ws/rooms/{code}/connect      avalon's: the room has been made before
 *   GET /ws/games/{id}                                      a lobby's: the first who comes makes it
 *
 * The token comes as Authorization: Bearer TOKEN, else as a subprotocol bearer.TOKEN beside a
 * dialect, else as ?token=TOKEN. It is the only word on who comes: a player_id in the query must be
 * its own (D21); hub/verify.h says which claims name the player.
 *
 * What is wrong with a token is answered with 401 and {"error":{"code","message"}} before the
 * upgrade, or with --avalon-auth-fail=close and --lobby-auth-fail=close after it, by an error
 * message and close code 4401.
 *
 * A room of that name may be of another kind than the path's own: who comes is seated in it by the
 * kind that it has. */
#pragma once
#include "hub/worker.h"

/* Each answers, upgrades, or hands the connection over. `tail` is what follows /ws/rooms/ or
 * /ws/games/; false when that is no such path, and nothing was answered. `rest` is what came behind
 * the request. */
[[nodiscard]] bool door_avalon(struct worker *worker, struct conn *conn,
                               const struct http_request *request, struct text tail,
                               struct bytes rest);
[[nodiscard]] bool door_lobby(struct worker *worker, struct conn *conn,
                              const struct http_request *request, struct text tail,
                              struct bytes rest);

/* At the room's home: a guest whose token is good enters the room of that name; or learns why
 * not. `kind` is that of the path. */
void door_enter(struct worker *worker, struct conn *conn, enum game_kind kind, struct text name,
                const struct http_upgrade *upgrade, const struct game_guest *guest);
