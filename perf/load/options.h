/* perf/load/options.h: what the command line asks for. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
    struct sockaddr_in server;
    const char *path; /* "#" in it stands for the room's number, from 1 */
    uint32_t clients;
    uint32_t rooms;
    uint32_t rate; /* connections opened per second */
    uint64_t tick_ns;
    uint64_t window_ns; /* a whole number of ticks */
    pid_t server_pid;   /* 0: not given */
    const char *json;   /* nullptr: not given */
    bool deflate;       /* offer permessage-deflate */
    bool steered;       /* windows are asked for on stdin */
};

/* The value of --NAME: a whole number within bounds and its unit ("" or "ms"), or the end of the
 * program with a sentence. */
uint64_t number_of(const char *name, const char *text, uint64_t min, uint64_t max,
                   const char *unit);

/* An IPv4 address and a port, or the end of the program. */
struct sockaddr_in address_of(const char *text);

/* Ends the program where the line makes no sense, and after --help. */
struct options options_read(int argc, char **argv);
