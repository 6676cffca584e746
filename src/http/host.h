/* http/host.h: by what name a server was called (RFC 9110 §7.2). A page that had its name point to
 * somebody else's address can be recognized by that: its browser still calls the name (THREATS.md
 * A19).
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring */
#pragma once
#include "http/request.h"

/* Without the port: "localhost", "10.0.0.1", "[::1]". Empty when the request has no Host. */
struct text http_host(const struct http_request *request);

/* True for what no other name server can make point here: an address, or localhost. */
[[nodiscard]] bool http_host_is_own(struct text host);
