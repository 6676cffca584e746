/* room/seat.h: a member's place in a room. It knows where the member's frames go, and nothing of
 * sockets.
 * You are here: ring > tls > http > ws > hub > [room] > game > outbox > conn > ring */
#pragma once
#include "base/list.h"
#include "outbox/outbox.h"

struct room;

struct seat {
    struct room *room;
    struct list link;      /* in room.seats, in the order of joining, or in a list of the hub's */
    struct outbox *outbox; /* the connection's; borrowed while seated */
};
