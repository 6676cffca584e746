/* perf/load/senders.h: `ringcast-bench send`: clients that say something by the clock, and a server
 * that hears it, or gives it back (--echo); or clients that say nothing and are pinged.
 *
 *   OPENING > ASKING > TALKING > MEASURING > TRAILING > ASKING > ... > CLOSING > OVER
 *   OPENING    connections are opened at a steady rate
 *   ASKING     silence, until a line comes on stdin
 *   TALKING    a quarter of a second before the window
 *   MEASURING  the window: what was due now counts
 *   TRAILING   what was said in the window may still come back
 *   CLOSING    everybody says goodbye and waits for the answer
 *
 * Clients speak by turns, evenly over the time from one message of a client to its next; nobody
 * waits for an answer. With --at-once there is no clock: each echo is followed by another message.
 *
 * How late a server hears what is not answered cannot be seen from outside. A probe is a ping right
 * behind a message: its pong was sent after the message was read, so the way there and back is an
 * upper bound, by the way back and by this client's own queue. */
#pragma once
#include "client.h"
#include "said.h"
#include "send_options.h"
#include "target.h"
#include "usage.h"

enum send_phase : uint8_t {
    SENDERS_OPENING,
    SENDERS_ASKING,
    SENDERS_TALKING,
    SENDERS_MEASURING,
    SENDERS_TRAILING,
    SENDERS_CLOSING,
    SENDERS_OVER,
};

/* What one client has said. */
struct sender {
    uint64_t number;   /* of its last message; client.sequence is that of its last echo */
    bool probed;       /* its ping is under way: */
    struct said probe; /* behind this message */
};

struct senders {
    const struct send_options *options;
    struct net net;
    struct tally tally; /* from_encode: from when it was sent; from_due */
    struct targets targets;
    uint32_t count; /* of both: */
    struct client *clients;
    struct sender *senders;
    enum send_phase phase;
    uint32_t asked; /* clients that were told to open */
    uint64_t started_ns;
    uint64_t phase_ns;     /* when this phase began */
    uint64_t progress_ns;  /* when the next line is due */
    uint64_t heard;        /* messages that answer nothing, ever */
    uint64_t talk_ns;      /* when the first turn began */
    uint64_t spoken;       /* messages since then */
    uint64_t begin_ns;     /* the window: what is due from here */
    uint64_t end_ns;       /* to before here counts */
    uint64_t due;          /* messages of the window */
    uint64_t said;         /* of those */
    uint64_t said_ever;    /* of all windows, and before them */
    uint64_t pings_before; /* of the server, answered before the window */
    uint64_t pings;        /* in it */
    struct histogram late; /* from the due time until it was said */
    struct usage_source source;
    struct usage begin;
    struct usage end;
    bool server_ended;
};

/* The whole program; returns its exit code. */
int senders_main(int argc, char **argv);
