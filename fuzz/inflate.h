/* fuzz/inflate.h: a plain use of zlib, with all the memory it likes: what to compare with. RFC 7692
 * §7.2. */
#pragma once
#include "script.h"

struct inflated {
    bool deflate; /* it is one stream or several, and ends where one may */
    bool over;    /* it did not fit into the output; then `deflate` says nothing */
    size_t size;  /* of what came out before the end or the error */
};

/* The payload of a compressed message and its tail, one stream after the other, inflated with a
 * window of 2^bits into `output`. */
struct inflated plain_inflate(struct bytes payload, int bits, struct bytes output);
