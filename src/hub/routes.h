/* hub/routes.h: the public listener: which paths there are and who may open a WebSocket on them.
 *   GET /ws            the race
 *   GET /ws/kart/{id}  a race of its own, made by the first who comes, gone with the last
 *   /api/rooms...      vote's (hub/vote_routes.h), unless --vote=off, and avalon's
 *   /ws/rooms/...      avalon's (hub/door.h), where there is a secret for tokens
 *   /ws/games/{id}     a lobby's (the same), where there is a key for tokens
 *   GET /echo          what is said comes back; only with --enable-echo */
#pragma once
#include "hub/worker.h"

/* Answers, upgrades, or hands the connection to the worker where its room lives. `rest` is what
 * came behind the request. */
void routes_on_request(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct bytes rest);

/* Upgrades a connection into a room that lives here, or answers why not. */
void routes_enter(struct worker *worker, struct conn *conn, enum game_kind kind, struct text name,
                  const struct http_upgrade *upgrade);

/* Upgrades a connection into a room that was found, and seats it there; or answers why not. `guest`
 * says who it is, in kinds that ask. */
void routes_seat(struct worker *worker, struct conn *conn, struct hub_room *room,
                 const struct http_upgrade *upgrade, const struct game_guest *guest);

/* Judges the upgrade to a kind's dialect; false when it was refused. `protocol` is the subprotocol
 * that is spoken, nullptr: none is; `deflate`: permessage-deflate may be agreed on. */
[[nodiscard]] bool routes_read_upgrade(struct worker *worker, struct conn *conn,
                                       const struct http_request *request,
                                       const struct text *protocol, bool deflate,
                                       struct http_upgrade *upgrade);

/* The request's Origin, empty when there is none. False when it is not allowed. */
[[nodiscard]] bool routes_read_origin(const struct worker *worker,
                                      const struct http_request *request, struct text *origin);

/* With an allowed origin the page may read the answer: writes the headers that say so. */
void routes_write_origin(struct writer *headers, struct text origin);

/* Answers 503: the server is going down. */
void routes_refuse_draining(struct conn *conn);

/* Judges the upgrade, and enters the room of that name wherever it lives. */
void routes_open_websocket(struct worker *worker, struct conn *conn,
                           const struct http_request *request, struct bytes rest,
                           enum game_kind kind, struct text name);

/* Which origins may come. */
struct http_upgrade_policy routes_origins(const struct config *config);

/* True for [A-Za-z0-9_-]{1,64}: what may follow /ws/kart/. */
bool routes_is_room_id(struct text id);
