/* hub/api.h: the internal listener: what operators, load balancers and trusted backends ask.
 *   GET  /metrics                          Prometheus text
 *   GET  /healthz, /health                 200 while the loop turns
 *   GET  /readyz                           200, or 503 while draining
 *   POST /v1/rooms/kart/commands           {"command":"/host bonus 500"}, with the API key
 *   POST /v1/rooms/kart/{id}/commands      the same for a further race
 *   /v1/rooms...                           backends' rooms (hub/backend_routes.h)
 *
 * What a page can make a browser send is refused: with an Origin everywhere, and under /v1, where
 * things are changed, also to a Host that somebody else's name server may have made up (THREATS.md
 * A19). All of /v1 takes the key. */
#pragma once
#include "hub/worker.h"

/* From on_request: answers, or holds the connection until another worker has. */
void api_on_request(struct worker *worker, struct conn *conn, const struct http_request *request);

/* A whole answer; `body` may be what api_body holds. */
void api_answer(struct worker *worker, struct conn *conn, uint16_t status, struct text type,
                struct text body);

/* Where a body may be written, snapshot_size_max bytes; for one answer at a time. */
struct writer api_body(struct worker *worker);

/* The answers to what this worker, or another (hub/errand.c), has found out. `state` and `reply`
 * are copied; `state` may lie in the worker's scratch memory. */
void api_answer_metrics(struct worker *worker, struct conn *conn, const struct tally *tally);
void api_answer_command(struct worker *worker, struct conn *conn, enum game_answer result,
                        struct text state, struct text reply);
void api_answer_no_room(struct conn *conn);
