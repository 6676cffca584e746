/* tests/conn_peers.h: a worker's connections without the worker. Ring, frames, outboxes and
 * connections are the real ones, over loopback TCP with small buffers; the test is the peers, and
 * says when each part of a turn happens.
 *
 * Each frame has a number, and a payload that follows from it. A peer checks every byte it hears:
 * whole frames, each as it was made, in the order in which they were pushed; a gap only where a
 * newer snapshot of the same key was pushed; a close frame last, which it answers. It notes what it
 * heard:
 *
 *     101 1 2 p3 4 close(4508) end      frames by number, pongs with a p
 */
#pragma once
#include "conn/conn.h"

struct peers_options {
    uint32_t entries;      /* of the ring; 0: 64 */
    int send_buffer;       /* SO_SNDBUF of the worker's ends, in bytes; 0: 8 KiB */
    int receive_buffer;    /* SO_RCVBUF of the peers' ends, in bytes; 0: 8 KiB */
    uint32_t spoil_every;  /* free frames are written over every so many settles; 0: 1 */
    bool plain;            /* conn_shared.send_now is off */
    bool answered;         /* each message is sent back (conn/reply.c) */
    uint32_t answered_max; /* conn_config's; 0: all peers */
    uint64_t replies;      /* conn_config.reply_memory; 0: as much as there are frames */
    bool deflate; /* every second peer offers permessage-deflate, with one window or another */
};

/* A frame that was pushed to a peer, and that it has not heard. */
struct pushed {
    uint32_t number;
    uint32_t key; /* of a snapshot, from 1; 0: an event */
};
constexpr uint32_t peer_pushed_max = 8192;

struct peer {
    int fd;            /* the peer's end; -1 once closed */
    struct conn *conn; /* the worker's end; nullptr before it is accepted and after its release */
    bool upgraded;     /* it heard the 101 */
    bool answered;     /* it heard another answer, or the close frame: nothing may follow */
    bool ended;        /* it heard the end of the stream */
    bool broken;       /* it heard what it must not; the rest is not looked at */
    bool cut;          /* it got no goodbye: its last frame may be in part, and some missing */
    uint8_t bits;      /* the window that it has offered; 0: none */
    uint32_t pong;     /* number of the last pong heard */
    uint32_t ping;     /* number of the last ping sent */
    uint64_t bytes;    /* heard in all, stuffing not counted */
    uint64_t skipped;  /* snapshots not heard because newer ones came */
    struct pushed pushed[peer_pushed_max];
    uint32_t pushed_first, pushed_end;
    char heard[512];
    uint32_t heard_size;
    uint8_t input[160 * 1024]; /* not yet understood */
    uint32_t input_size;
};
constexpr uint32_t peers_max = 128;

extern struct peer peers[peers_max];
extern uint32_t peer_count; /* of this test so far */
extern struct ring ring;
extern struct conn_shared shared;
extern struct outbox_set outboxes;
extern struct frame_pool frames;

/* How the ring behaves: it keeps operations to itself and hands a few to the kernel by each submit
 * and wait, as a kernel does that is short of memory. */
struct handover {
    uint32_t each;  /* operations by each submit; UINT32_MAX: all of them, the default */
    uint32_t queue; /* how many it keeps before it takes no more */
};
extern struct handover handover;

/* What the worker has heard from the ring. */
struct tally {
    uint32_t send_events;
    uint32_t short_events;
    int32_t last_short; /* its result */
};
extern struct tally tally;

void peers_begin(struct peers_options options);

/* All peers leave; everything must come home. */
void peers_end(void);

/* ---- peers */

/* A peer that has connected and asked for a WebSocket, or else for a page that is not there; the
 * worker has not accepted it. */
struct peer *peer_connect(bool upgrade);

/* The worker accepts the oldest peer that waits. */
void peer_admit(struct peer *peer);

/* A peer that has heard its 101. */
struct peer *peer_open(void);

/* Takes at most `max` bytes from the kernel, as many as there are, and checks them. */
uint32_t peer_reads(struct peer *peer, uint32_t max);

/* Sends a message of at least 8 bytes, which is to come back, and the same in `pieces` fragments of
 * equal size. */
void peer_asks(struct peer *peer, uint32_t size);
void peer_asks_in_pieces(struct peer *peer, uint32_t size, uint32_t pieces);

/* Returns the ping's number once the worker has queued the pong. */
uint32_t peer_pings(struct peer *peer);

void peer_closes(struct peer *peer); /* sends a close frame */
void peer_ends(struct peer *peer);   /* ends its side of the stream, and goes on reading */
void peer_leaves(struct peer *peer); /* closes its end */

/* Fills its connection until the kernel takes no more; the peer knows what is stuffing. Nothing may
 * be armed, passing or queued. */
void peer_stuff(struct peer *peer);

/* What it has heard, for EXPECT_TEXT. */
struct text heard(const struct peer *peer);

/* ---- frames */

/* A frame with one reference, the caller's. `key`: of a snapshot, from 1; 0 makes an event. The
 * size is that of its payload, at least 8. */
struct frame *make_frame(uint32_t key, uint32_t size);

enum outbox_answer push(struct peer *peer, struct frame *frame);

/* Makes a frame, pushes it, and lets go of it. The answer must be as wanted. */
void push_new(struct peer *peer, uint32_t key, uint32_t size, enum outbox_answer wanted);

/* ---- the parts of a turn, as hub/worker.c has them */

/* Handles at most `max` events. Returns how many there were. */
uint32_t take_events(uint32_t max);
void settle(void);

/* Hands over, then takes events until none is left, settles, flushes and reaps. */
void turn(void);

/* Turns and reads until nothing more comes, for some seconds at most; then every peer that is OPEN
 * must have heard everything that was pushed to it. */
void everything_arrives(void);

/* ---- between conn_peers.c and conn_hearing.c */

/* It will hear an event with this number. */
void peer_expects(struct peer *peer, uint32_t number, uint32_t key);

constexpr uint8_t peer_stuffing = 0xFF; /* no frame starts so */

/* Frames are numbered from 1. */
void peers_hear_nothing(void);

/* A payload that follows from its number, which is the next one. Valid until the next call. */
struct bytes next_payload(uint32_t size, uint32_t *number);
