/* hub/entrance.h: who may come in: what a new socket meets before a byte of it is read.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   no slot at all                           closed, counted
 *   --proxy-protocol, and no trusted proxy   closed, counted, in the log (H21)
 *   its address holds too many, or comes     429, as long as few are being told so; else closed
 *     too often (THREATS.md H23, R13)
 *   the server is going down                 503
 *   --connections are taken                  503
 *
 * Only the listeners of clients count. An address is counted once for each socket, from accept to
 * close, whichever workers have it meanwhile. A socket of a trusted proxy is its client's, and
 * counted with that one's address once it is known:
 *
 *     accept > (PROXY header: conn->peer is whom it names) > request (X-Forwarded-For: the same)
 *       |               |                                       |
 *       counted here, at the first place where conn->peer is no trusted proxy; at the last, whoever
 *       it is. Until then only --connections and the handshake's deadline bound it. */
#pragma once
#include "hub/worker.h"

/* A listener has accepted `fd`. */
void entrance_on_accept(struct worker *worker, enum listener_kind listener, int fd);

/* A connection's PROXY header has come. Its address may be refused now. */
void entrance_on_proxy(struct worker *worker, struct conn *conn, const struct http_proxy *proxy);

/* A connection's request has come: whose it is is known now. False when that address was refused:
 * then it is answered (THREATS.md H22). */
[[nodiscard]] bool entrance_on_request(struct worker *worker, struct conn *conn,
                                       const struct http_request *request);

/* A connection's slot is about to be free. One that was handed over takes its places along. */
void entrance_on_release(struct worker *worker, struct conn *conn);

/* A client asks for a room (THREATS.md R7, X4): how its address stands with that. COUNTED: *key is
 * what hub.acquirers knows it by, and it must leave there when the room is gone. */
enum turnstile_answer entrance_acquire(struct worker *worker, const struct address *peer,
                                       uint64_t *key);

/* Somebody asks for a room by a name that could be guessed (THREATS.md A17, G13). 0: it may;
 * else it has asked in vain too often, and how many seconds to wait. Whatever there is must not
 * be told then. */
[[nodiscard]] uint32_t entrance_look_wait_s(struct worker *worker, const struct address *peer);

/* There is no such room: that counts with its address, but for when it asks for the same one again:
 * many who share an address come back to a room that is over, which is no guessing. */
void entrance_missed(struct worker *worker, const struct address *peer, struct text name);

/* Writes the header Retry-After. */
void entrance_write_retry(struct writer *headers, uint32_t seconds);

/* Gives back what a connection held that another worker has parted with and nobody could take. */
void entrance_give_back(struct hub *hub, const struct address *peer, bool counted,
                        bool address_counted);
