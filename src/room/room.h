/* room/room.h: who is here, and what they were last shown.
 * You are here: ring > tls > http > ws > hub > [room] > game > outbox > conn > ring
 * Never: reads a clock, knows a connection or a game's rules. It answers; the hub acts.
 *
 * A room keeps the frame of its last snapshot. A joiner gets that very frame; it is encoded again
 * only when the state has changed since. So encodes = ticks with members + changes that somebody
 * came to see, whatever the number of members. */
#pragma once
#include "base/list.h"
#include "base/table.h"
#include "base/wheel.h"
#include "limits.h"
#include "room/seat.h"

constexpr size_t room_name_size_max = 16 + 1 + room_id_size_max; /* "kart" or "kart/ID" */

struct room {
    struct table_link by_name; /* in the hub's directory; its key is `name` */
    struct timer tick;         /* set while somebody is here; without a period: while it is due */
    struct list seats;         /* those who are shown frames, in the order of joining */
    uint32_t seat_count;
    uint8_t kind;              /* the hub's number of the game */
    enum outbox_policy policy; /* what becomes of frames that a member's outbox has no place for */
    bool is_static;            /* stays when it is empty */
    bool stale;                /* the state may have changed since `shown` was encoded */
    uint8_t name_size;
    char name[room_name_size_max];
    uint64_t sequence;    /* of the last snapshot: 1, 2, 3, ... */
    uint64_t tick_due;    /* when the next tick should be, in steps; moves by whole periods */
    uint32_t tick_period; /* in steps; 0: there is none */
    uint32_t state_key;   /* marks this room's snapshots, unique within the worker */
    struct frame *shown;  /* the last snapshot, one reference held; nullptr before the first */
};

/* An empty room; its policy is conflation until the hub sets another. `name` is copied (at most
 * room_name_size_max bytes). Ticks fall at `phase` plus whole periods after `now`, so that a
 * thousand rooms do not all fall due at once; where `period` is 0 there are none. All three count
 * steps of one size, which is the caller's choice. */
void room_init(struct room *room, struct text name, uint8_t kind, uint32_t state_key,
               uint32_t period, uint32_t phase, uint64_t now);

struct text room_name(const struct room *room);

/* Lets go of the last snapshot; there is nothing to show until the next room_show. */
void room_hide(struct room *room, struct frame_pool *frames);

/* The same for good. Nobody may be seated. */
void room_deinit(struct room *room, struct frame_pool *frames);

/* Seats a member at the end of the order; its frames go to `outbox`, which is borrowed until
 * room_leave. */
void room_join(struct room *room, struct seat *seat, struct outbox *outbox);

/* Takes a member out. */
void room_leave(struct seat *seat);

/* Makes `frame` the snapshot that joiners get; takes over the caller's reference. */
void room_show(struct room *room, struct frame_pool *frames, struct frame *frame);

/* Queues `frame` for every member, in the order of joining. Who has no place for it is dealt with
 * by the room's policy. A member who cannot stay by that policy is moved to `left_behind` by its
 * seat's `link`, and still counts as seated: the hub must take it from that list and have it
 * leave. */
void room_broadcast(struct room *room, struct outbox_set *outboxes, struct frame *frame,
                    struct list *left_behind);

/* The same for every member but one. */
void room_broadcast_others(struct room *room, struct outbox_set *outboxes, struct frame *frame,
                           const struct seat *but, struct list *left_behind);

/* The same for one member, who sits in this room. */
void room_tell(struct room *room, struct outbox_set *outboxes, struct frame *frame,
               struct seat *seat, struct list *left_behind);

/* Several frames for one member, each of another key: at most outbox_gather_max, in this order. */
void room_tell_all(struct room *room, struct outbox_set *outboxes, struct frame *const *frames,
                   uint32_t count, struct seat *seat, struct list *left_behind);

/* Moves tick_due to the first period after `now`; there is a period. Returns how many ticks
 * were missed (0 when the room is on time). */
uint64_t room_next_tick(struct room *room, uint64_t now);
