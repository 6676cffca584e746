/* perf/micro/hub.h: the server's own parts with as little around them as they need to send: one
 * room, its members' connections, frames, outboxes, the ring. No HTTP request is read: connections
 * are upgraded as soon as they are accepted. */
#pragma once
#include "conn/conn.h"
#include "room/room.h"

struct hub_member {
    struct seat seat;
    struct conn *conn;
};

struct hub {
    struct arena arena;
    struct ring ring;
    struct wheel wheel;
    struct random random;
    struct log log;
    struct frame_pool frames;
    struct outbox_set outboxes;
    struct conn_shared conns;
    struct room room;
    struct hub_member *members;
    uint32_t member_count;
    struct ws_limits limits;
    int listener;
    bool send_now_works; /* the preflight's answer */
};

/* With room for `members_max` members. Ends the program with a sentence where that fails. */
struct hub *hub_open(uint32_t members_max);

/* Where it listens, on loopback. */
uint16_t hub_port(const struct hub *hub);

/* Accepts, upgrades and seats `members_max` members, and sends each its 101. Returns how many
 * bytes that were. */
uint64_t hub_seat_all(struct hub *hub, uint32_t members_max);

/* One tick as the worker does it: a snapshot is framed, shown, queued for every member, flushed;
 * and the next turn, in which the outcome becomes known. With `past` by the fast path. */
void hub_send_state(struct hub *hub, struct bytes payload, bool past);

/* `count` events of the same turn, each framed and queued for every member, then flushed. */
void hub_send_events(struct hub *hub, struct bytes payload, uint32_t count);
