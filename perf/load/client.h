/* perf/load/client.h: one connection to the server, from its socket to its last frame. */
#pragma once
#include "handshake.h"
#include "tally.h"
#include "wire.h"
#include <netinet/in.h>

/*   IDLE > CONNECTING > UPGRADING > OPEN > LEAVING > GONE
 *   client_open    IDLE to CONNECTING      the socket exists, watched for writing
 *   client_ready   CONNECTING to UPGRADING the request is out, watched for reading
 *                  UPGRADING to OPEN       the answer was right
 *                  OPEN to LEAVING         the server closes: its code counted, its frame answered
 *   client_leave   OPEN to LEAVING         our close frame is out
 *   any to GONE                            the socket is closed; counted when it should have stayed
 */
enum client_phase : uint8_t {
    CLIENT_IDLE,
    CLIENT_CONNECTING,
    CLIENT_UPGRADING,
    CLIENT_OPEN,
    CLIENT_LEAVING,
    CLIENT_GONE,
};

struct client {
    int fd;
    uint32_t index;
    enum client_phase phase;
    bool asked;         /* LEAVING: by our own wish */
    bool close_seen;    /* the server's close frame has come */
    uint32_t room;      /* index */
    uint32_t delivered; /* states of the window */
    uint64_t sequence;  /* of the last state; 0: none yet */
    uint8_t *rest;      /* the beginning of something that is not whole yet */
    size_t rest_size;
    size_t rest_capacity;
    char accept[handshake_accept_size];
};

/* What all clients share. */
struct net {
    int epoll_fd;
    struct sockaddr_in server;
    const char *path; /* with its # */
    struct room *rooms;
    struct tally *tally;
    uint64_t random;
    uint8_t *scratch; /* scratch_size bytes; what one recv brings, after the client's rest */
};

/* A rest is never as long as the largest frame, so there is always room to receive. */
constexpr size_t scratch_size = 2 * wire_payload_max;

uint64_t net_now_ns(void);

/* Starts to connect, from a source address of its own when the server is on loopback: 250 addresses
 * have ports for millions. */
void client_open(struct client *client, struct net *net);

/* Its socket can be read or written. */
void client_ready(struct client *client, struct net *net);

/* Says goodbye (1000). The server answers and ends the connection (§7.1.1). */
void client_leave(struct client *client, struct net *net);

/* Ends the connection at once; it is not counted as ended. */
void client_drop(struct client *client);
