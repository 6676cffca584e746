/* fuzz/peer.h: a peer of a connection: what it says, what it hears, and a judge of both.
 *
 *   peer_says > memory_ring > the connection > the hub > peer_was_given
 *        |                         > wire > ear > heard
 *        v
 *      said > peer_judge: the messages that these bytes are, by the letter of RFC 6455 and 7692
 *
 * The hub is given these messages, in order, none of them changed or left out, as long as the
 * connection goes on; a peer whose messages are answered hears them and its pings in their order;
 * any other hears the newest of its pings at least. */
#pragma once
#include "wire.h"
#include "ws/reader.h"

/* Messages, each as a number that follows from opcode and payload. */
struct tale {
    uint64_t *messages;
    uint32_t count, capacity;
};

/* All zeros is a peer that has done nothing. */
struct peer {
    int fd;
    struct ear ear;
    struct pot said;   /* since it came */
    size_t first_byte; /* of what it said, after its request */
    bool upgraded;
    uint8_t window_bits; /* that it may compress at all; 0: it may not */
    const struct ws_limits *limits;
    struct tale given; /* to the hub */
    struct tale heard; /* answers; else pongs only */
};

/* A connection with this descriptor has come; what an earlier peer had is freed. */
void peer_begin(struct peer *peer, int fd);
void peer_free(struct peer *peer);

/* Its request was read, and `rest` bytes behind it have been received with it. */
void peer_upgrades(struct peer *peer, size_t rest, uint8_t window_bits,
                   const struct ws_limits *limits);
void peer_was_given(struct peer *peer, enum ws_opcode opcode, struct bytes payload);

/* What came is what was said. `whole`: nothing is under way, and nothing was closed. */
void peer_judge(const struct peer *peer, bool whole);

/* --- Saying ----------------------------------------------------------------------------------- */

void peer_says(struct peer *peer, struct script bytes);
void peer_handshakes(struct peer *peer, uint8_t form);

/* One frame or message as the script says. All masks do nothing. */
void peer_sends_frame(struct peer *peer, struct script *script);
void peer_sends_deflated(struct peer *peer, struct script *script);

/* Many that are alike, as far as they find room. */
void peer_sends_many(struct peer *peer, uint8_t count, uint8_t form);
