/* hub/routes.h: the public listener: which paths there are and who may open a WebSocket on them.
 *   GET /ws            the race
 *   GET /ws/kart/{id}  a race of its own, made by the first who comes, gone with the last
 *   /api/rooms...      vote's (hub/vote_routes.h); unless --vote=off
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
