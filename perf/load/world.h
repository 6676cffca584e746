/* perf/load/world.h: `ringcast-bench world`: players who walk about in the world, and check all
 * that they are told of it. With --room they are members of a room of states instead, who say the
 * same and are told as much, for comparison.
 *
 *   OPENING > SPREADING > ASKING > WARMING > MEASURING > TRAILING > ASKING > ... > CLOSING > OVER
 *   OPENING    connections are opened at a steady rate; each shows its token and is let in
 *   SPREADING  everybody flies to a place of its own
 *   ASKING     silence, until a line comes on stdin
 *   WARMING    a second of walking (or of standing still) before the window
 *   MEASURING  the window: ticks of now count
 *   TRAILING   what was told in the window may still arrive
 *   CLOSING    everybody says goodbye and waits for the answer
 *
 * An update is what one tick brings one client: all the cells in its sight, or one state. Times are
 * CLOCK_MONOTONIC; those of the world's ticks are given in milliseconds since 1970 and are brought
 * to that clock, so they are up to a millisecond early. */
#pragma once
#include "client.h"
#include "state.h"
#include "usage.h"
#include "world_options.h"
#include "world_sight.h"
#include <stdio.h>

enum world_phase : uint8_t {
    WORLD_OPENING,
    WORLD_SPREADING,
    WORLD_ASKING,
    WORLD_WARMING,
    WORLD_MEASURING,
    WORLD_TRAILING,
    WORLD_CLOSING,
    WORLD_OVER,
};

/* The messages that let a player in come in this order. */
enum world_stage : uint8_t { WORLD_STRANGER, WORLD_LET_IN, WORLD_HERE };

struct world_pilot {
    struct client client; /* the first member: the program knows the pilot by it */
    enum world_stage stage;
    struct world_view view;
    struct world_walk walk;
    uint64_t phase_ns; /* when in each step it says where it is */
};

/* A room's state as it came first: who gets it later must get the same bytes. */
struct world_state {
    struct state_stamp stamp;
    uint8_t *bytes;
    size_t size;
};
constexpr size_t world_states = 8; /* that are kept */

struct world_run {
    const struct world_options *options;
    struct net net;
    struct tally tally;
    struct world_sight sight;
    struct world_pilot *pilots;
    struct world_state states[world_states];
    enum world_phase phase;
    bool walks; /* in this window */
    uint32_t asked, here, landed;
    uint64_t started_ns;
    uint64_t phase_ns;  /* when this phase began */
    uint64_t epoch_ns;  /* what CLOCK_MONOTONIC's 0 is since 1970 */
    uint64_t newest_ns; /* the latest tick that anybody was told of */
    uint64_t talk_ns;   /* when the first step of this phase began */
    uint64_t spoken;    /* messages since then */
    uint64_t begin_ns;  /* the window: ticks from here */
    uint64_t end_ns;    /* to before here count */
    /* of the window: */
    uint64_t ticks_seen, said, entities, cells, short_of;
    uint64_t short_ever;   /* updates that left somebody out, in all windows and between */
    struct histogram late; /* from the due time until it was said */
    struct usage_source source;
    struct usage begin;
    struct usage end;
    bool server_ended;
};

/* world_hear.c: a message has come. */
void world_hear(struct world_run *run, struct world_pilot *pilot, const struct wire_frame *frame,
                uint64_t now_ns);
void world_hear_room(struct world_run *run, struct world_pilot *pilot,
                     const struct wire_frame *frame, uint64_t now_ns);

/* A player is at its spawn point. */
void world_appear(struct world_run *run, struct world_pilot *pilot, struct world_place spawn);

/* world_report.c: writes the figures of a window; the last line is a brace alone. */
void world_report(const struct world_run *run, FILE *out);

/* Updates that were to come: one to each client in each tick that anybody was told of. */
uint64_t world_made_count(const struct world_run *run);

/* How many clients are in that phase. */
uint32_t world_count_in(const struct world_run *run, enum client_phase phase);

/* The whole program; returns its exit code. */
int world_main(int argc, char **argv);
