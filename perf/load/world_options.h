/* perf/load/world_options.h: what the command line of `ringcast-bench world` asks for. */
#pragma once
#include "world_walk.h"
#include <netinet/in.h>
#include <sys/types.h>

struct world_options {
    struct sockaddr_in server;
    const char *path;
    const char *secret; /* from the environment; of the world's tokens */
    bool room;          /* it is a room of stamped states, which hears nobody */
    uint32_t clients;
    uint32_t walkers; /* that the server has */
    uint32_t share;   /* entities in one cell's update, at most */
    uint32_t rate;    /* connections opened per second */
    uint64_t tick_ns;
    uint64_t window_ns; /* a whole number of ticks */
    struct world_ground ground;
    pid_t server_pid; /* 0: not given */
};

/* Ends the program where the line makes no sense, and after --help. */
struct world_options world_options_read(int argc, char **argv);
