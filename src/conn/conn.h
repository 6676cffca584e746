/* conn/conn.h: one peer's life, from accept to the last completion.
 * You are here: ring > tls > http > ws > hub > room > game > outbox > [conn] > ring
 * Never: knows what a room is. What a peer asks for goes to the hub through conn_hooks.
 *
 *   FREE > HTTP > OPEN > CLOSING > DRAINING > FREE
 *          HTTP ------> CLOSING                     (an HTTP answer is a goodbye, too)
 *          any phase ------------> DRAINING         (a reason without a code: no goodbye)
 *
 *   conn_accept   FREE to HTTP        fd valid, receive armed or waiting to be
 *   conn_part     HTTP to DRAINING    the descriptor has gone to another worker, which does
 *   conn_adopt    FREE to HTTP        this: fd valid, nothing armed until conn_resume
 *   conn_upgrade  HTTP to OPEN        the 101 is queued, the outbox is the room's to use
 *   conn_answer   HTTP to CLOSING     the answer is queued
 *   conn_close    OPEN to CLOSING     the hub has let go, a close frame is queued; input is read
 *                                     for the peer's close frame and else not delivered
 *   conn_drain    any to DRAINING     the socket is shut down; what is armed comes home
 *   conn_reap     DRAINING to FREE    nothing armed: the kernel holds none of our memory
 *
 * Within OPEN, input may stand still: paused until the hub has its first frame (conn_pause), or
 * stopped until the peer has taken its replies (conn_answer_all, conn/reply.c).
 *
 * Within CLOSING, our side is shut down once the goodbye is sent when the peer has nothing more
 * to say that we could read (an HTTP answer, broken framing); then what it still sends is thrown
 * away, so that no reset destroys the goodbye before it is read (RFC 6455 §7.1.1, RFC 9112
 * §9.6). */
#pragma once
#include "base/address.h"
#include "base/random.h"
#include "base/wheel.h"
#include "conn/reasons.h"
#include "http/proxy.h"
#include "http/request.h"
#include "http/respond.h"
#include "http/upgrade.h"
#include "outbox/outbox.h"
#include "ring/ring.h"
#include "ws/deflate.h"

enum conn_phase : uint8_t { CONN_FREE, CONN_HTTP, CONN_OPEN, CONN_CLOSING, CONN_DRAINING };

struct conn;

/* News for the hub. `hub` is conn_shared.hub. */
struct conn_hooks {
    /* The PROXY header of a connection that is `prefaced` has come: whose it is. May call
     * conn_answer. */
    void (*on_proxy)(void *hub, struct conn *conn, const struct http_proxy *proxy);
    /* A whole request has come. Must call conn_upgrade, conn_answer, conn_hold or conn_part
     * before it returns. The request, and the bytes that came behind it, are valid during the
     * call. */
    void (*on_request)(void *hub, struct conn *conn, const struct http_request *request,
                       struct bytes rest);
    /* A text or binary message of an OPEN connection, inflated and checked; its payload is valid
     * during the call. */
    void (*on_message)(void *hub, struct conn *conn, const struct ws_message *message);
    /* The connection leaves HTTP or OPEN: once for each accepted one. conn->reason and
     * close_code are set; the outbox may not be used any more. */
    void (*on_close)(void *hub, struct conn *conn);
    /* Its socket is closed and its slot is about to be free: once for each accepted one, last. */
    void (*on_release)(void *hub, struct conn *conn);
};

struct conn_config {
    uint32_t connections_max;    /* slots */
    uint32_t handshake_ms;       /* from accept to a whole request */
    uint32_t ping_ms;            /* from one ping to the next, less a jitter of up to a fifth and
                                * what brings many together, 15 ms at most; 100 or more */
    uint32_t pong_ms;            /* from a ping to its answer */
    uint32_t message_ms;         /* from the first byte of a message to its last */
    uint32_t goodbye_ms;         /* from a goodbye to its answer (2 s) */
    uint32_t goodbye_bytes;      /* what is read and thrown away meanwhile, at most */
    uint32_t restart_retry_ms;   /* the hints of when to come back are spread from 0 to this */
    uint32_t wide_body_size_max; /* of a request to wide_listener, in place of http_body_size_max;
                                  * 0: no listener is wide */
    uint8_t wide_listener;
    uint32_t message_size_max;  /* the largest of all kinds: the size of a message buffer */
    uint32_t inflated_size_max; /* the same of inflated ones, those of answered ones included */
    uint32_t answered_max;      /* connections that conn_answer_all may be called for at once */
    uint64_t reply_memory;      /* bytes; beyond it each of those may owe one frame at a time */
    struct rate control; /* pings and unasked pongs of one peer; see also ws_limits.messages */
};

/* Counts since start. */
struct conn_counters {
    uint64_t accepted;
    uint64_t refused; /* accepted sockets for which no slot was left */
    uint64_t bytes_received;
    uint64_t pings_sent;
    uint64_t pongs_received;
    uint64_t unsolicited_pongs;
    uint64_t sends_partial;       /* sends that the kernel took in part */
    uint64_t sends_now;           /* frames sent past an outbox */
    uint64_t sends_now_short;     /* of them, those that the kernel did not take whole */
    uint64_t control_limited;     /* closed for too many pings or unasked pongs */
    uint64_t messages_limited;    /* closed for too many messages */
    uint64_t dropped_for_goodbye; /* frames let go of to make room for a goodbye */
    uint64_t goodbyes_unsent;     /* close frames that a peer did not take in time */
    uint64_t stops;               /* times reading stopped until a peer had taken replies */
    uint64_t messages_inflated;   /* compressed messages that were inflated and delivered */
    uint64_t bytes_inflated;      /* of them, inflated */
};

/* How often requests were answered with one error code. */
struct conn_refusal {
    struct text code; /* static text */
    uint64_t count;
};
constexpr uint32_t conn_refusals_max = 128; /* codes; they all come from tables in the source */

/* What all connections of one worker share. */
struct conn_shared {
    struct ring *ring;
    struct wheel *wheel;
    struct log *log;
    struct outbox_set *outboxes;
    struct random *random;
    const struct conn_hooks *hooks;
    void *hub;
    uint8_t timer_kind; /* what conn.timer.kind shall be */
    struct conn_config config;
    struct instant now; /* of this turn of the loop */
    struct pool conns;
    /* each holds one request; lent from its first byte to its answer */
    struct pool request_buffers;
    struct pool wide_request_buffers; /* the same for config.wide_listener */
    struct pool message_buffers;      /* each holds one message that did not come whole */
    struct pool kept_buffers; /* each holds what a stopped one has received and not yet read */
    struct list stopped;      /* connections that are not read until they owe less */
    uint32_t answered;        /* connections that are `answered`, until their slots are free */
    /* one inflater for all, and one message as it comes out; untouched until somebody compresses */
    struct bytes inflater_memory;
    struct ws_inflater *inflater; /* nullptr until then */
    struct pool inflated;         /* one, of config.inflated_size_max */
    struct list waiting;          /* those whose receive could not be armed */
    struct list drained;          /* DRAINING, nothing armed: for conn_reap */
    bool send_now;                /* frames may be sent past an empty outbox; see conn/send.c */
    uint32_t round;               /* counts conn_settle; from 1 */
    /* frames that were sent past outboxes in this round, a reference each */
    struct frame **retained;
    uint32_t retained_count;
    uint32_t unsubmitted;  /* sends since the ring was last told to submit */
    uint64_t held_back;    /* the ring's count, when it was last looked at */
    uint64_t held_back_ms; /* when it was found to have grown; not before it had */
    struct frame *ping;    /* the one ping frame */
    struct http_limits http_limits, wide_http_limits;
    struct http_request request; /* scratch for one at a time */
    struct conn_counters counters;
    struct conn_refusal refusals[conn_refusals_max];
    uint32_t refusal_count;
};

struct conn {
    /* What a send past the outbox touches stands together. The first bytes are the pool's while
     * FREE. */
    struct conn_shared *shared;
    struct frame *passing; /* what was sent past the outbox in round `passed` */
    uint32_t passed;       /* the round of that; its outcome is unknown while it is shared.round */
    int fd;
    uint32_t number;     /* the worker's count of connections, modulo 2^32: its name in logs, and
                          * as far as a token holds it what tells the uses of a slot apart */
    uint32_t slot;       /* its place in shared.conns; to work it out takes a division */
    uint16_t close_code; /* what was sent or, for PEER_CLOSED, received; 0 or 1006: none */
    enum conn_phase phase;
    enum close_reason reason; /* the first one wins */
    uint8_t listener;         /* the hub's: which listener accepted it */
    uint8_t window_bits;      /* frames are compressed with a window of 2^this; 0: they are not */
    bool counted : 1;         /* the hub's: holds one of the places of --connections */
    bool address_counted : 1; /* the hub's: and one of its address's */
    bool prefaced : 1;        /* the hub's, from accept: a PROXY header must come first. Not since
                               * it has come */
    bool paused : 1;          /* its input is not read; what of it has come is in `kept` */
    bool answered : 1;        /* each of its messages is answered: see conn_answer_all */
    bool held : 1;            /* its request is being answered elsewhere */
    bool bodiless : 1;        /* the request was a HEAD: the answer is only its head */
    bool upgraded : 1;        /* was OPEN once */
    bool recv_armed : 1;      /* true exactly while the kernel holds a receive */
    bool send_armed : 1;      /* true exactly while the kernel holds a send */
    bool read_anything : 1;   /* at least one byte has come */
    bool behind : 1;          /* a send fell short: frames go by the outbox until it is empty */
    bool deaf : 1;            /* its input can no longer be understood, or needs not to be */
    bool peer_done : 1;       /* the peer sent its close frame, or ended its side */
    bool given_up : 1;        /* the peer did not take or answer our goodbye: reset it */
    bool shut : 1;            /* our side of the socket is shut down */
    struct outbox outbox;
    struct list turn;   /* in shared.waiting or shared.drained */
    struct timer timer; /* the earliest of the deadlines below */
    union {
        struct http_reader http; /* while HTTP; its buffer is from (wide_)request_buffers, or
                                  * none */
        struct ws_reader ws;     /* from OPEN on */
    };
    uint8_t *kept;        /* while paused: what came and was not read; from request_buffers or, when
                           * `answered`, from kept_buffers; nullptr: nothing */
    void *member;         /* the hub's: whose connection this is; nullptr when nobody's */
    uint64_t opened_ms;   /* when it was accepted */
    uint64_t deadline_ms; /* HTTP: for the request; OPEN: when to close for a restart, or 0;
                           * CLOSING: for the peer to take the goodbye and answer it */
    union {
        struct {                    /* OPEN; 0 before it */
            uint64_t ping_due_ms;   /* when to ping next */
            uint64_t pong_by_ms;    /* when the answer is due; 0: none is awaited */
            uint64_t message_by_ms; /* when the begun message must be whole; 0: none is begun */
        };
        struct {                 /* CLOSING */
            uint64_t closing_ms; /* since when */
            uint32_t discarded;  /* bytes thrown away */
        };
    };
    uint32_t control_bucket; /* OPEN: of conn_config.control */
    uint32_t message_bucket; /* OPEN: of the limits' messages */
    uint16_t kept_size;      /* bytes in `kept` */
    struct address peer;
};
static_assert(sizeof(struct conn) <= 312, "every idle client pays for it");

/* Reserves the pools. `arena` may be measuring. The pointers and the configuration in *shared
 * must be set before. */
void conn_reserve(struct conn_shared *shared, struct arena *arena);

/* Makes the lists and the ping frame. False when no frame could be had. */
[[nodiscard]] bool conn_shared_open(struct conn_shared *shared);

/* Gives the ping frame back. No connection may be left. */
void conn_shared_close(struct conn_shared *shared);

/* Takes over an accepted descriptor. nullptr when no slot is left: then the descriptor is
 * closed. */
[[nodiscard]] struct conn *conn_accept(struct conn_shared *shared, int fd, uint8_t listener,
                                       const struct address *peer);

/* What a connection is between two workers. */
struct conn_passport {
    int fd; /* nothing is armed on it */
    struct address peer;
    uint64_t opened_ms;
    uint8_t listener;
};

/* HTTP to DRAINING, from on_request: gives the descriptor away; the slot is freed at the turn's
 * end. */
[[nodiscard]] struct conn_passport conn_part(struct conn *conn);

/* Takes over a connection from another worker: HTTP, nothing armed; conn_upgrade or an answer, and
 * then conn_resume, must follow. nullptr when no slot is left: then the descriptor is closed. */
[[nodiscard]] struct conn *conn_adopt(struct conn_shared *shared, struct conn_passport passport);

/* Handles the bytes that came with an adopted connection, which are borrowed, then receives. */
void conn_resume(struct conn *conn, struct bytes rest);

/* HTTP, from on_request: the answer comes later, by conn_answer, unless the peer or the handshake
 * deadline ends it before. */
void conn_hold(struct conn *conn);

/* OPEN, from on_request: what the peer sends is not read until conn_unpause, so that nothing of
 * ours comes before what the hub wants to be first. What came behind the request is kept. */
void conn_pause(struct conn *conn);

/* Reads on. Does nothing unless it is paused and OPEN. */
void conn_unpause(struct conn *conn);

/* HTTP to OPEN: queues the 101; frames may be pushed to conn->outbox from now on, and follow it.
 * `limits` is borrowed for the connection's life. When no frame can be had the connection is
 * closed instead: look at conn->phase. */
void conn_upgrade(struct conn *conn, const struct http_upgrade *upgrade,
                  const struct ws_limits *limits);

/* OPEN, from on_request: every message of this connection is answered by conn_reply, each ping has
 * its pong, and none of that is dropped: while the peer owes us the reading of earlier replies,
 * nothing more is read from it (conn/reply.c). Only while conn_can_answer_all. */
void conn_answer_all(struct conn *conn);

/* True while fewer than config.answered_max hold what such a connection may need. One that is
 * closing still does: until its slot is free. */
[[nodiscard]] bool conn_can_answer_all(const struct conn_shared *shared);

/* From on_message of such a connection, once: sends a message back. `payload` may be the message's
 * own, and then it is not copied when it came in pieces. */
void conn_reply(struct conn *conn, enum ws_opcode opcode, struct bytes payload);

/* Once a turn, at its end: connections that were stopped and owe less by now are read again, one at
 * least, until `duration_ns` is over: what each has kept may be the end of a large message. True
 * when another turn is needed for some of them. */
bool conn_read_stopped(struct conn_shared *shared, uint64_t duration_ns);

/* HTTP to CLOSING: queues a whole HTTP answer, which is copied. */
void conn_answer(struct conn *conn, struct bytes answer);

/* conn_answer with an error body; see http_write_error. Counted and logged by `code`, which must
 * be static text. */
void conn_answer_error(struct conn *conn, uint16_t status, struct text code, struct text message,
                       struct text extra_headers);

/* conn_answer with a refusal that the caller has written, counted and logged in the same way. */
void conn_refuse(struct conn *conn, uint16_t status, struct text code, struct bytes answer);

/* Whatever goes wrong with a connection is one call. Says goodbye when the reason has a code.
 * Does nothing when it is closing already: the first reason wins. */
void conn_close(struct conn *conn, enum close_reason reason);

/* The same, with a hint in the close reason: "restart;retry_ms=1234". */
void conn_close_retry(struct conn *conn, enum close_reason reason, uint32_t retry_ms);

/* It owes so much that it must go, for the memory's sake: drops what it can and closes as
 * TOO_SLOW. */
void conn_shed(struct conn *conn);

/* OPEN: closes it for a restart once `due_ms` has come, with a random hint of when to come back. */
void conn_restart_at(struct conn *conn, uint64_t due_ms);

/* Gives up on the peer without another word. conn->reason must be set already, by a goodbye that
 * was not answered, or is set to `reason` now. */
void conn_drain(struct conn *conn, enum close_reason reason);

/* A frame found no place in the outbox: closes as TOO_SLOW, or as OVERLOADED where `answer` says
 * that the shortage is ours. */
void conn_left_behind(struct conn *conn, enum outbox_answer answer);

/* Completions of this connection's operations. The caller has checked the generation. The data of
 * a receive is the connection's until it returns; the caller then gives the buffer back. */
void conn_on_recv(struct conn *conn, struct ring_event event);
void conn_on_send(struct conn *conn, struct ring_event event);
void conn_on_send_now(struct conn *conn, struct ring_event event); /* it fell short */

/* The ring is settled and all its events are handled: what was sent past outboxes is over. */
void conn_settle(struct conn_shared *shared);

/* Its timer expired. */
void conn_on_timer(struct conn *conn);

/* Submits one send for what waits in the outbox: past it or gathered, compressed for who agreed to
 * that (conn/send.c). Does nothing while one is armed, or the outcome of one past it is unknown.
 * False when the kernel takes no more operations now: then the caller marks the outbox dirty. */
[[nodiscard]] bool conn_flush(struct conn *conn);

/* Once a turn, after the events: flushes every dirty outbox that need not linger, and those that
 * have lingered; arms receives that wait for buffers; frees what has drained, and says whether
 * there was any. */
void conn_flush_dirty(struct conn_shared *shared);
void conn_arm_waiting(struct conn_shared *shared);
bool conn_reap(struct conn_shared *shared);

/* Each connection that is not FREE, in the order of slots: the first one at or behind a slot, or
 * nullptr. */
[[nodiscard]] struct conn *conn_at_or_behind(struct conn_shared *shared, uint32_t slot);

/* The connection of a completion, or nullptr when its slot has moved on. */
[[nodiscard]] struct conn *conn_of_token(struct conn_shared *shared, struct ring_token token);

/* Asserts what the drawing says. */
void conn_check(const struct conn *conn);
