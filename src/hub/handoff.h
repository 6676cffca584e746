/* hub/handoff.h: a connection moves to the worker where its room lives, so that a small room
 * never crosses threads. What moves is the descriptor, the judged upgrade and the bytes behind
 * it; nothing is armed and nothing queued meanwhile. */
#pragma once
#include "hub/worker.h"

struct parcel {
    struct mailbox_return back; /* RETURN_PARCEL */
    struct mailbox_returns *home;
    struct conn_passport passport;
    bool counted;         /* it holds a place of --connections */
    bool address_counted; /* and one of its address's */
    enum game_kind kind;
    struct http_upgrade upgrade; /* its protocol is static text */
    uint8_t name_size;
    char name[room_name_size_max];
    bool has_guest; /* who it is has been found out */
    uint8_t guest_room_size, guest_player_size;
    uint16_t guest_name_size;
    char guest_room[game_id_size_max], guest_player[game_player_size_max];
    char guest_name[game_name_size_max];
    uint64_t guest_until_ms, guest_expires_wall_ms;
    uint32_t rest_size;
    uint8_t rest[ring_receive_buffer_size]; /* what came behind the request in the same segment */
};

/* From on_request: sends the connection to `target`, or answers 503 when that is not possible
 * now. `guest` is what a token said, in kinds that ask for one, else nullptr. */
void handoff_send(struct worker *worker, struct conn *conn, uint32_t target, enum game_kind kind,
                  struct text name, const struct http_upgrade *upgrade,
                  const struct game_guest *guest, struct bytes rest);

/* A connection has come (MAIL_CONN): upgrades it into its room. */
void handoff_receive(struct worker *worker, struct parcel *parcel);
