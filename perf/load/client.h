/* perf/load/client.h: one connection to the server, from its socket to its last frame. */
#pragma once
#include "net.h"

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
    bool deflate;       /* permessage-deflate: offered, and from OPEN on agreed */
    uint32_t room;      /* index */
    uint32_t delivered; /* states or chat messages of the window */
    uint64_t sequence;  /* of the last one; 0: none yet */
    uint8_t *rest;      /* the beginning of something that is not whole yet */
    size_t rest_size;
    size_t rest_capacity;
    char accept[handshake_accept_size];
};

/* Starts to connect, from a source address of its own when the server is on loopback: 250 addresses
 * have ports for millions. */
void client_open(struct client *client, struct net *net);

/* Its socket can be read or written. */
void client_ready(struct client *client, struct net *net);

/* Sends a text message, of client_text_max bytes at most. False when that failed, and then the
 * connection is gone. */
constexpr size_t client_text_max = 4096;
bool client_say(struct client *client, struct net *net, const uint8_t *text, size_t size);

/* Sends a ping, of 125 bytes at most; its pong comes to net_hooks. False as with client_say. */
bool client_ping(struct client *client, struct net *net, const uint8_t *payload, size_t size);

/* Says goodbye (1000). The server answers and ends the connection (§7.1.1). */
void client_leave(struct client *client, struct net *net);

/* Ends the connection at once; it is not counted as ended. */
void client_drop(struct client *client);
