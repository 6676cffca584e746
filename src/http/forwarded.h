/* http/forwarded.h: whose request this is, when it came by proxies that are trusted to say so
 * (THREATS.md H22).
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 *
 * Each proxy adds the address that it was spoken to from at the right end:
 *
 *     X-Forwarded-For: made up, 198.51.100.7, 10.0.0.2        and the socket's own: 10.0.0.1
 *                               ^ the client  ^---- trusted proxies -----------------^
 *
 * So the client is the first from the right that is no trusted proxy; what stands left of it is
 * its own word, and not looked at. Forwarded (RFC 7239), X-Real-IP and the like are never looked
 * at: two headers may disagree, and a proxy that writes one passes the others on as they came. */
#pragma once
#include "base/address.h"
#include "http/request.h"

enum http_forwarded_answer : uint8_t {
    HTTP_FORWARDED_NONE,   /* nothing is said: the client is who holds the socket */
    HTTP_FORWARDED_CLIENT, /* *client is who it is; the outermost proxy when all are trusted */
    HTTP_FORWARDED_BROKEN, /* a trusted proxy said something that is no address */
};

/* The caller knows that the socket's peer is trusted; `trusted` are all that are. Addresses may
 * have a port. */
[[nodiscard]] enum http_forwarded_answer http_forwarded(const struct http_request *request,
                                                        const struct address_blocks *trusted,
                                                        struct address *client);
