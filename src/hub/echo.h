/* hub/echo.h: GET /echo: what a client says comes back, byte for byte; for conformance tests and
 * for measuring. Only with --enable-echo.
 * You are here: ring > tls > http > ws > [hub] > outbox > conn > ring
 *
 * It is no room: a client talks to itself, on the worker that accepted it, by replies that are
 * never dropped (conn/reply.c). */
#pragma once
#include "hub/worker.h"

/* What this configuration lets it have, per worker; all 0 when it is off. */
struct echo_limits {
    uint32_t message_size_max; /* bytes */
    uint32_t clients;
    uint32_t large_frames; /* messages over the largest ordinary frame, being read or sent back */
    uint64_t reply_memory; /* bytes of replies; beyond it each client may owe one at a time */
    uint64_t small_memory; /* bytes of all that is not large: the above, and one for each client */
};
struct echo_limits echo_limits_of(const struct config *config);

/* From on_request: upgrades, or answers why not. */
void echo_open(struct worker *worker, struct conn *conn, const struct http_upgrade *upgrade);

/* Sends a message of an echo's connection back. Its payload need not outlive the call. */
void echo_on_message(struct worker *worker, struct conn *conn, const struct ws_message *message);

/* An echo's connection has left OPEN: its place is free. */
void echo_on_close(struct worker *worker);
