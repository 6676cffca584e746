/* perf/load/talkers.h: `ringcast-bench talk`: rooms in which somebody says something once a
 * period, and all hear it.
 *
 *   OPENING > ASKING > TALKING > MEASURING > TRAILING > ASKING > ... > CLOSING > OVER
 *   OPENING    connections are opened at a steady rate; everybody is greeted
 *   ASKING     silence, until a line comes on stdin
 *   TALKING    one period of talk before the window
 *   MEASURING  the window: what was due now counts
 *   TRAILING   what was said in the window may still arrive
 *   CLOSING    everybody says goodbye and waits for the answer
 *
 * Clients are numbered by their line of the targets: the first `members` are the first room. In
 * each room they speak by turns, at a time in the period that is the room's own, drawn from its
 * number. Nobody waits for an answer, so a late server makes nothing less. */
#pragma once
#include "client.h"
#include "talk_options.h"
#include "target.h"
#include "usage.h"

enum talk_phase : uint8_t {
    TALKERS_OPENING,
    TALKERS_ASKING,
    TALKERS_TALKING,
    TALKERS_MEASURING,
    TALKERS_TRAILING,
    TALKERS_CLOSING,
    TALKERS_OVER,
};

constexpr uint32_t talkers_dues = 16; /* messages of a room whose due times are kept */

/* A room, at its place in the order in which rooms speak. */
struct talk_room {
    uint32_t index;
    uint64_t phase_ns; /* when in each period */
};

struct talkers {
    const struct talk_options *options;
    struct net net;
    struct tally tally;
    struct targets targets;
    struct client *clients;
    uint32_t room_count;
    struct talk_room *rooms;
    /* of each room, by its index: */
    uint64_t *said;                    /* how often it has spoken */
    uint64_t (*last_ns)[talkers_dues]; /* when its last messages were due, by their numbers */
    enum talk_phase phase;
    uint32_t asked; /* clients that were told to open */
    uint64_t started_ns;
    uint64_t phase_ns;     /* when this phase began */
    uint64_t greeted;      /* clients that were shown their room */
    uint64_t news;         /* who came and went */
    uint64_t heard_ns;     /* when anything came last */
    uint64_t talk_ns;      /* when the first period began */
    uint64_t spoken;       /* messages since then */
    uint64_t begin_ns;     /* the window: what is due from here */
    uint64_t end_ns;       /* to before here counts */
    struct histogram late; /* from the due time until it was said */
    struct usage_source source;
    struct usage begin;
    struct usage end;
    bool server_ended;
};

/* The whole program; returns its exit code. */
int talkers_main(int argc, char **argv);
