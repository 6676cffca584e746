/* conn/inside.h: what the files of conn/ share with each other and with nobody else. */
#pragma once
#include "conn/conn.h"

/* recv.c: arms the receive, or puts the connection into shared.waiting. */
void conn_arm_recv(struct conn *conn);

/* recv.c: asks for the end of the receive of a DRAINING connection, now or when the kernel takes
 * operations again. */
void conn_cancel_recv(struct conn *conn);

/* conn.c: sets the timer to the earliest deadline of the phase. */
void conn_schedule(struct conn *conn);

/* conn.c: part of a goodbye has left: the rest gets as long again, up to a bound. */
void conn_extend_goodbye(struct conn *conn);

constexpr uint32_t conn_retained_max = 4096; /* frames sent past outboxes in one round */

/* True while a frame was sent past the outbox and the outcome is not known. */
static inline bool conn_is_passing(const struct conn *conn)
{
    return conn->passed == conn->shared->round;
}

/* conn.c: the last frame of a goodbye has left; decides what to wait for. */
void conn_on_goodbye_sent(struct conn *conn);

/* conn.c: the peer's close frame came; `code` is 1005 when it carried none. */
void conn_on_peer_close(struct conn *conn, uint16_t code);

/* conn.c: DRAINING and perhaps nothing armed any more. */
void conn_drain_join(struct conn *conn);

/* recv.c: a paused connection is closing: it receives again. */
void conn_stop_pause(struct conn *conn);

/* reply.c: true when the next message of an answered connection may be read: unless the peer has
 * too much to take before. */
bool conn_may_read(const struct conn *conn);

/* reply.c: nothing more is received; `input` is kept until conn_read_stopped reads on. */
void conn_stop(struct conn *conn, struct bytes input);

/* reply.c: a connection was not heard until `since_ms`, and that was not its peer's doing: its
 * deadlines begin there, unless they have begun later. */
void conn_give_time(struct conn *conn, uint64_t since_ms);

/* reply.c: lends the reader a frame to assemble a message in, so that it need not be copied to be
 * sent back. False when there is none now. */
[[nodiscard]] bool conn_lend_frame(struct conn *conn);

/* recv.c: gives back what the readers had been lent. */
void conn_return_buffers(struct conn *conn);
