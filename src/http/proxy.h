/* http/proxy.h: the header that a load balancer puts before a connection's first byte, to say whose
 * connection it is: PROXY protocol, version 2 (the binary one), as haproxy defines it.
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: reads a socket, allocates, logs, or believes the sender: that it is a proxy is the
 * caller's to know.
 *
 *     12 bytes   signature
 *      1         version (2), command (LOCAL, PROXY)
 *      1         family, transport
 *      2         size of what follows, in network order
 *      .         source, destination, their ports; then type, size and value of what else it knows
 *
 * What it may say beyond the source is measured and skipped, its checksum too. */
#pragma once
#include "base/address.h"

constexpr size_t http_proxy_fixed_size = 16;
/* A header of more bytes is refused. Addresses, a host name and what is known of a certificate take
 * some hundreds. */
constexpr size_t http_proxy_size_max = 1024;

enum http_proxy_step : uint8_t {
    HTTP_PROXY_NEED_MORE, /* proxy->size says how many bytes are worth waiting for, in all */
    HTTP_PROXY_WHOLE,     /* *proxy is filled; what follows proxy->size bytes is the client's */
    HTTP_PROXY_BROKEN,    /* this is no such header, at the first byte that shows it */
};

struct http_proxy {
    size_t size; /* bytes */
    /* false: the proxy speaks for itself (LOCAL, its health check), or for somebody who has no IP
     * address that it could tell: the socket's address is all that is known */
    bool has_client;
    struct address client;
};

/* Looks at all that has come so far, from the connection's first byte. */
[[nodiscard]] enum http_proxy_step http_proxy_read(struct bytes data, struct http_proxy *proxy);
