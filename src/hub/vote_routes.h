/* hub/vote_routes.h: vote's paths on the public listener (S1-1 to S1-8).
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   GET, POST /api/rooms                a room is acquired: {"room_id":R}, and with
 *                                       --vote-require-host the host's token
 *   GET   /api/rooms/{id}/acquired      200 or 404
 *   PATCH /api/rooms/{id}/participate   {"text":...}
 *   PATCH /api/rooms/{id}/start         the host's
 *   PATCH /api/rooms/{id}/release       the host's
 *   GET   /api/rooms/{id}/ws            the WebSocket; 404 before it, when nobody acquired the room
 *   OPTIONS on all but the last         what a browser asks before (CORS)
 *
 * Errors are {"error":"..."}: the seed's clients read a string there. */
#pragma once
#include "hub/worker.h"

/* An Origin that a held request came from is kept for its answer; a longer one is none. */
constexpr size_t vote_origin_size_max = 300;

/* Answers, upgrades, or hands the connection over. `tail` is what follows /api/rooms: empty, or
 * begins with '/'. */
void vote_routes_on_request(struct worker *worker, struct conn *conn,
                            const struct http_request *request, struct text tail,
                            struct bytes rest);

/* The answer to a request for a room, here or by an errand. `origin` is what the request said, when
 * that is allowed, or empty. */
void vote_routes_answer(struct conn *conn, enum game_answer result, struct text reply,
                        struct text origin);

/* There is no room of that name, which counts with the address that asked. */
void vote_routes_answer_no_room(struct worker *worker, struct conn *conn, struct text name,
                                struct text origin);
