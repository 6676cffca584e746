/* http/query.h: what stands behind the '?' of a request (WHATWG URL §5.1, without '+' for a space:
 * what is looked up here has none).
 * You are here: ring > tls > [http] > ws > hub > room > game > outbox > conn > ring
 * Never: logs what it reads; a query may carry a token (THREATS.md H24). */
#pragma once
#include "base/bytes.h"

enum http_query_answer : uint8_t {
    HTTP_QUERY_NONE,  /* there is no parameter of that name */
    HTTP_QUERY_FOUND, /* its value has been written, decoded */
    HTTP_QUERY_TWICE, /* there are several: none of them counts */
};

/* Looks up a parameter of http_request.query and writes its value to `value`, percent-decoded.
 * `name` needs no escapes and compares byte for byte with the decoded name. Whoever cares must look
 * at value->overflow. */
[[nodiscard]] enum http_query_answer http_query(struct text query, struct text name,
                                                struct writer *value);
