/* fuzz/offers.h: what Sec-WebSocket-Extensions says of permessage-deflate, worked out a second
 * time, from lexemes. RFC 6455 §9.1, RFC 7692 §7.1. */
#pragma once
#include "script.h"

/* One offer: a name, then parameters. */
struct offer {
    bool ours, good;
    unsigned server, client;                                       /* bits */
    bool server_context, client_context, server_bits, client_bits; /* came */
};

/* A header's value. False when it is no list. The first good offer goes to *chosen unless one is
 * there. */
bool offers_hear(struct text list, struct offer *chosen);
