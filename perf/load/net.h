/* perf/load/net.h: what all clients of one program share: epoll, memory, and what is to be done
 * with what they hear. */
#pragma once
#include "handshake.h"
#include "inflate.h"
#include "tally.h"
#include "wire.h"
#include <netinet/in.h>

struct client;

/* What one kind of run does with its clients. `run` is net.run. */
struct net_hooks {
    /* Where this client asks to come in. */
    void (*wish)(void *run, const struct client *client, struct handshake_wish *wish);
    /* It is in. nullptr: there is nothing to do then. */
    void (*on_open)(void *run, struct client *client);
    /* A text or binary message has come, whole and checked as far as RFC 6455 goes. */
    void (*on_message)(void *run, struct client *client, const struct wire_frame *frame,
                       uint64_t now_ns);
    /* A pong has come; false when nobody asked for it. nullptr: nobody ever asks. */
    bool (*on_pong)(void *run, struct client *client, const struct wire_frame *frame,
                    uint64_t now_ns);
};

struct net {
    int epoll_fd;
    struct sockaddr_in server;
    const struct net_hooks *hooks;
    void *run;
    struct tally *tally;
    uint64_t random;
    struct inflater inflater;
    uint8_t *scratch; /* scratch_size bytes; what one recv brings, after the client's rest */
    /* steered by stdin: */
    bool told;        /* a line has come; who obeys it clears this */
    char line[32];    /* the beginning of it, without its end */
    bool told_to_end; /* stdin has ended */
};

/* A rest is never as long as the largest frame, so there is always room to receive. */
constexpr size_t scratch_size = 2 * wire_payload_max;

uint64_t net_now_ns(void);

/* Zeroed memory, or the end of the program. */
void *net_memory(size_t count, size_t size);

/* With descriptors for so many clients at once; ends the program where they cannot be had. The
 * pointers in *net are the caller's to set. */
void net_open(struct net *net, const struct sockaddr_in *server, uint32_t clients);
void net_close(struct net *net);

/* Listens to stdin. */
void net_steer(struct net *net);

/* Waits until a client can be read or written, or `step_ns` is over, and serves all that can.
 * Returns how long the serving took: 0 when there was nothing to do. */
uint64_t net_turn(struct net *net, uint64_t step_ns);

/* A masking key need only be unpredictable to others (§5.3); here nobody attacks. */
uint32_t net_key(struct net *net);
