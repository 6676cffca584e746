/* hub/stop.h: how a worker ends: goodbyes spread over the drain, then whatever must still come
 * home. */
#pragma once
#include "hub/worker.h"

constexpr uint32_t goodbye_ms = 2000; /* for the answer to a close frame; THREATS.md U7 */

/* The process is going down: stops accepting, spreads the goodbyes. */
void stop_begin(struct worker *worker);

/* The drain timer expired: is everybody gone, or the time over? Then the worker is STOPPED. */
void stop_on_timer(struct worker *worker);

/* After an accept's last event while its listener is ENDING: those who waited are not reset. */
void stop_accepting(struct worker *worker, struct listener *listener);

/* STOPPED: drops who is left, waits a second at most for the kernel and other workers, closes the
 * ring. Returns the exit code: 0 when everything came home. */
int stop_end(struct worker *worker);
