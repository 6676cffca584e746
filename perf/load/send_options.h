/* perf/load/send_options.h: what the command line of `ringcast-bench send` asks for. */
#pragma once
#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

struct send_options {
    struct sockaddr_in server;
    const char *path;    /* without targets */
    const char *targets; /* a line for each client: PATH TOKEN; nullptr: none */
    uint32_t clients;    /* with targets as many as they are */
    uint32_t rate;       /* connections opened per second */
    uint64_t every_ns;   /* from one message of a client to its next; 0: nobody says anything */
    uint32_t size;       /* bytes of a message */
    uint32_t at_once;    /* echo: messages of a client under way, at any time; 0: by the clock */
    uint32_t probe;      /* one message of so many is followed by a ping; 0: none */
    uint64_t window_ns;
    pid_t server_pid; /* 0: not given */
    bool echo;        /* each message comes back */
};

/* Ends the program where the line makes no sense, and after --help. */
struct send_options send_options_read(int argc, char **argv);
