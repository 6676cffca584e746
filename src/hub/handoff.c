#include "hub/handoff.h"
#include "hub/door.h"
#include "hub/entrance.h"
#include "hub/routes.h"
#include <assert.h>

/* Copies a text into a field of a parcel. */
static size_t keep(char *field, size_t size_max, struct text text)
{
    assert(text.size <= size_max);
    if (text.size > 0) memcpy(field, text.data, text.size);
    return text.size;
}

static void pack_guest(struct parcel *parcel, const struct game_guest *guest)
{
    parcel->has_guest = guest != nullptr;
    if (guest == nullptr) return;
    parcel->guest_room_size = (uint8_t)keep(parcel->guest_room, game_id_size_max, guest->room);
    parcel->guest_player_size =
        (uint8_t)keep(parcel->guest_player, game_player_size_max, guest->player);
    parcel->guest_name_size = (uint16_t)keep(parcel->guest_name, game_name_size_max, guest->name);
    parcel->guest_until_ms = guest->until_ms;
    parcel->guest_expires_wall_ms = guest->expires_wall_ms;
}

static struct game_guest guest_of(const struct parcel *parcel)
{
    return (struct game_guest){.room = {parcel->guest_room, parcel->guest_room_size},
                               .player = {parcel->guest_player, parcel->guest_player_size},
                               .name = {parcel->guest_name, parcel->guest_name_size},
                               .until_ms = parcel->guest_until_ms,
                               .expires_wall_ms = parcel->guest_expires_wall_ms};
}

static void enter(struct worker *worker, struct conn *conn, const struct parcel *parcel)
{
    struct text name = {parcel->name, parcel->name_size};
    struct game_guest guest = guest_of(parcel);
    if (worker->phase != WORKER_RUNNING)
        routes_refuse_draining(conn);
    else if (parcel->has_guest)
        door_enter(worker, conn, parcel->kind, name, &parcel->upgrade, &guest);
    else
        routes_enter(worker, conn, parcel->kind, name, &parcel->upgrade);
}

void handoff_send(struct worker *worker, struct conn *conn, uint32_t target, enum game_kind kind,
                  struct text name, const struct http_upgrade *upgrade,
                  const struct game_guest *guest, struct bytes rest)
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
        pack_guest(parcel, guest);
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
        enter(worker, conn, parcel);
        conn_resume(conn, (struct bytes){parcel->rest, parcel->rest_size});
    }
    mailbox_return(parcel->home, &parcel->back);
}
