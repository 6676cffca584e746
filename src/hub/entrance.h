/* hub/entrance.h: who may come in: what a new socket meets before a byte of it is read.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   no slot at all                           closed, counted
 *   its address holds too many, or comes     429, as long as few are being told so; else closed
 *     too often (THREATS.md H23, R13)
 *   the server is going down                 503
 *   --connections are taken                  503
 *
 * Only the listeners of clients count. An address is counted once for each socket, from accept to
 * close, whichever workers have it meanwhile. */
#pragma once
#include "hub/worker.h"

/* A listener has accepted `fd`. */
void entrance_on_accept(struct worker *worker, enum listener_kind listener, int fd);

/* A connection's slot is about to be free. One that was handed over takes its places along. */
void entrance_on_release(struct worker *worker, struct conn *conn);

/* A client asks for a room (THREATS.md R7, X4): how its address stands with that. COUNTED: *key is
 * what hub.acquirers knows it by, and it must leave there when the room is gone. */
enum turnstile_answer entrance_acquire(struct worker *worker, const struct address *peer,
                                       uint64_t *key);

/* Gives back what a connection held that another worker has parted with and nobody could take. */
void entrance_give_back(struct hub *hub, const struct address *peer, bool counted,
                        bool address_counted);
