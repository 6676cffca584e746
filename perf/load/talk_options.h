/* perf/load/talk_options.h: what the command line of `ringcast-bench talk` asks for. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

struct talk_options {
    struct sockaddr_in server;
    const char *targets;
    uint32_t members; /* of a room */
    uint32_t rate;    /* connections opened per second */
    uint64_t period_ns;
    uint32_t periods; /* of a window */
    uint32_t text_size;
    pid_t server_pid; /* 0: not given */
    bool bare;        /* the server is a bare loop (floor.h) */
};

/* Ends the program where the line makes no sense, and after --help. */
struct talk_options talk_options_read(int argc, char **argv);
