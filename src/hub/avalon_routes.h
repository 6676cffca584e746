/* hub/avalon_routes.h: avalon's rooms by HTTP: made, joined, looked at (S2-24).
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   POST /api/rooms              {"kind":"avalon","display_name":"Ann"}     201, a room and a place
 *   POST /api/rooms/{code}/join  {"display_name":"Bob"}                     200, a place in it
 *   POST /api/rooms/{code}/refresh   with the token as Authorization: Bearer   200, a newer one
 *   GET  /api/rooms/{code}                                                  200, who is in
 *
 * A place is
 * {"room":{"id","code","kind"},"room_player":{"id","display_name"},"token","expires_at"},
 * expires_at in ms since 1970. Its token opens the WebSocket (hub/door.h). Errors are
 * {"error":{"code","message"}}. All of this is off without a secret to sign tokens with. */
#pragma once
#include "hub/worker.h"

/* A code is 30 random bits in Crockford's base 32, which has no I, L, O and U. */
constexpr size_t avalon_code_size = 6;

/* What a request wants of a room. Borrowed for the call. */
struct avalon_wish {
    struct text verb;   /* "join", "refresh", "show"; static text */
    struct text room;   /* its name, "avalon/CODE" */
    struct text body;   /* join: the display name; refresh: the room's id, as the token has it */
    struct text player; /* join: the id that it gets; refresh: whose token it was */
    struct text origin; /* the request's, where that is allowed, or empty */
    bool created;       /* join: the room was made for it */
};

/* Answers what is avalon's under /api/rooms; false: it is somebody else's, and nothing was
 * answered. `tail` is what follows /api/rooms. */
[[nodiscard]] bool avalon_routes_on_request(struct worker *worker, struct conn *conn,
                                            const struct http_request *request, struct text tail);

/* What a room answered to a wish, here or by an errand. */
void avalon_routes_answer(struct worker *worker, struct conn *conn, const struct avalon_wish *wish,
                          bool found, enum game_answer result, struct text reply);

/* Reads a code as people type it: any case, O for 0, I and L for 1. False when it is none. */
[[nodiscard]] bool avalon_read_code(struct text text, char code[static avalon_code_size]);

/* True when avalon's paths are served. */
bool avalon_is_on(const struct worker *worker);
