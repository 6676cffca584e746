/* perf/load/knock.h: `ringcast-bench knock`: clients that come, are greeted, and leave at once,
 * so many at a time, as fast as the server takes them. Each checks the 101, the first message,
 * and the answer to its goodbye.
 *
 *   ASKING > WARMING > MEASURING > ASKING > ... > OVER
 *
 * A line on stdin asks for a window; its end ends the run. With --targets each shows a token
 * that it has made itself and nobody has shown before. With --rate so many come a second, at even
 * times (open loop): who finds no place to come from is late, and its waiting counts. */
#pragma once
#include "client.h"
#include "target.h"
#include "usage.h"

enum knock_phase : uint8_t { KNOCK_ASKING, KNOCK_WARMING, KNOCK_MEASURING, KNOCK_OVER };

constexpr uint32_t knock_at_once_max = 1024;

struct knock_options {
    struct sockaddr_in server;
    const char *path;    /* without tokens */
    const char *targets; /* nullptr: without tokens */
    const char *secret;  /* from the environment */
    uint32_t at_once;
    uint32_t rate; /* comings a second; 0: as fast as the server takes them */
    uint64_t window_ns;
    pid_t server_pid; /* 0: not given */
};

/* A client and what becomes of it. */
struct knocker {
    struct client client;
    uint64_t since_ns; /* when it was to connect */
    bool greeted;
};

struct knock {
    const struct knock_options *options;
    struct net net;
    struct tally tally;
    struct targets targets;
    struct knocker all[knock_at_once_max];
    enum knock_phase phase;
    uint64_t phase_ns;    /* when this phase began */
    uint64_t end_ns;      /* of the window */
    uint64_t come_ns;     /* with a rate: when the first of them was to come */
    uint64_t came;        /* clients, ever */
    uint64_t came_before; /* this warming up and its window */
    uint64_t greeted;     /* whose first message came, ever */
    uint64_t left;        /* who were answered, ever */
    uint64_t left_before; /* the window */
    uint64_t left_in;     /* it */
    uint64_t expires_s;   /* of all tokens */
    struct usage_source source;
    struct usage begin;
    struct usage end;
    bool server_ended;
};

/* The whole program; returns its exit code. */
int knock_main(int argc, char **argv);
