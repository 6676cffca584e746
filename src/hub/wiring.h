/* hub/wiring.h: what connections and rooms have to say to each other.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring */
#pragma once
#include "hub/worker.h"

/* The hub's side of conn/: requests to routes and api, messages to rooms, farewells to seats.
 * `hub` is the worker. */
extern const struct conn_hooks wiring_hooks;
