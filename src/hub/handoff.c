#include "hub/handoff.h"
#include "hub/entrance.h"
#include "hub/routes.h"
#include <assert.h>

void handoff_send(struct worker *worker, struct conn *conn, uint32_t target, enum game_kind kind,
                  struct text name, const struct http_upgrade *upgrade, struct bytes rest)
{
    struct parcel *parcel = pool_take(&worker->parcels);
    assert(name.size <= room_name_size_max && rest.size <= sizeof parcel->rest);
    if (parcel != nullptr) {
        /* Not by a compound literal: that would clear the whole of `rest`. */
        parcel->back.kind = RETURN_PARCEL;
        parcel->home = &worker->returns;
        parcel->counted = conn->counted;
        parcel->address_counted = conn->address_counted;
        parcel->kind = kind;
        parcel->upgrade = *upgrade;
        parcel->name_size = (uint8_t)name.size;
        memcpy(parcel->name, name.data, name.size);
        parcel->rest_size = (uint32_t)rest.size;
        if (rest.size > 0) memcpy(parcel->rest, rest.data, rest.size);
        parcel->passport =
            (struct conn_passport){conn->fd, conn->peer, conn->opened_ms, conn->listener};
        if (hub_post(worker->hub, target, (struct mail){.kind = MAIL_CONN, .pointer = parcel})) {
            (void)conn_part(conn); /* the descriptor is the other worker's already */
            return;
        }
        pool_give(&worker->parcels, parcel);
    }
    conn_answer_error(conn, 503, TEXT("overloaded"),
                      TEXT("Too many handshakes at once; try again."), (struct text){});
}

void handoff_receive(struct worker *worker, struct parcel *parcel)
{
    struct conn *conn = nullptr;
    if (worker->phase == WORKER_STOPPED)
        ring_close_fd(&worker->ring, parcel->passport.fd, false);
    else
        conn = conn_adopt(&worker->conns, parcel->passport);
    if (conn == nullptr) {
        entrance_give_back(worker->hub, &parcel->passport.peer, parcel->counted,
                           parcel->address_counted);
    } else {
        conn->counted = parcel->counted;
        conn->address_counted = parcel->address_counted;
        worker->listener_conns[conn->listener] += 1;
        struct text name = {parcel->name, parcel->name_size};
        if (worker->phase == WORKER_RUNNING)
            routes_enter(worker, conn, parcel->kind, name, &parcel->upgrade);
        else
            routes_refuse_draining(conn);
        conn_resume(conn, (struct bytes){parcel->rest, parcel->rest_size});
    }
    mailbox_return(parcel->home, &parcel->back);
}
