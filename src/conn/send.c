/* conn/send.c: what waits in an outbox on its way out: one gathered send at a time.
 *
 *   dirty > conn_flush > [send armed] > conn_on_send > clean, or dirty again with the rest */
#include "conn/inside.h"
#include <assert.h>

bool conn_flush(struct conn *conn)
{
    if (conn->send_armed || conn->phase == CONN_DRAINING || outbox_is_empty(&conn->outbox))
        return true;
    struct conn_shared *shared = conn->shared;
    struct iovec pieces[outbox_gather_max];
    uint32_t count = outbox_gather(&conn->outbox, pieces, outbox_gather_max);
    struct ring_token token = {RING_SEND, conn->generation, pool_index(&shared->conns, conn)};
    if (!ring_send(shared->ring, token, conn->fd, pieces, count)) {
        outbox_sent(shared->outboxes, &conn->outbox, 0);
        return false;
    }
    conn->send_armed = true;
    return true;
}

void conn_flush_dirty(struct conn_shared *shared)
{
    for (struct list *link; (link = list_take(&shared->outboxes->dirty)) != nullptr;) {
        struct outbox *box = list_entry(link, struct outbox, dirty_link);
        if (!conn_flush(list_entry(box, struct conn, outbox))) return;
    }
}

void conn_on_send(struct conn *conn, struct ring_event event)
{
    assert(conn->send_armed && event.last);
    struct conn_shared *shared = conn->shared;
    conn->send_armed = false;
    uint32_t wanted = conn->outbox.bytes;
    outbox_sent(shared->outboxes, &conn->outbox, event.result > 0 ? (uint32_t)event.result : 0);
    if (event.result > 0 && (uint32_t)event.result < wanted) shared->counters.sends_partial += 1;
    if (conn->phase == CONN_DRAINING) {
        conn_drain_join(conn);
        return;
    }
    conn_check(conn);
    if (event.result < 0) {
        conn_drain(conn, CLOSE_SEND_ERROR);
        return;
    }
    if (conn->phase == CONN_CLOSING) conn_extend_goodbye(conn);
    if (conn->phase == CONN_CLOSING && outbox_is_empty(&conn->outbox)) conn_on_goodbye_sent(conn);
}
