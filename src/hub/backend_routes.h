/* hub/backend_routes.h: backends' rooms on the internal listener (hub/backend.h).
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   POST   /v1/rooms               {"id","state","members_max","locked","chat","empty_ttl_ms"}: 201
 *   GET    /v1/rooms?after=&limit= rooms of all kinds, a page of them
 *   GET    /v1/rooms/{id}          the room, its state and its members
 *   POST   /v1/rooms/{id}/publish  {"event","payload","to"}
 *   POST   /v1/rooms/{id}/state    {"replace"} or {"merge"}, "if_seq"
 *   POST   /v1/rooms/{id}/kick     {"player","reason"}
 *   POST   /v1/rooms/{id}/lock     {"locked"}
 *   DELETE /v1/rooms/{id}
 *
 * With the header Idempotency-Key, what changes something is done once (hub/idempotency.h). Errors
 * are {"error":{"code","message"}}. */
#pragma once
#include "hub/backend.h"

/* Answers, or holds the connection until the room's home has. The asker has shown the key. `tail`
 * is what follows /v1/rooms: empty, or begins with '/'. */
void backend_routes_on_request(struct worker *worker, struct conn *conn,
                               const struct http_request *request, struct text tail);

/* The answers to what this worker, or another (hub/errand.c), has done. `body` is copied. */
void backend_routes_answer(struct worker *worker, struct conn *conn, enum backend_refusal refusal,
                           uint16_t status, struct text body);
void backend_routes_answer_list(struct worker *worker, struct conn *conn,
                                const struct backend_page *page, struct text rooms);
