/* hub/idempotency.h: what has been done for whom, so that a backend whose answer got lost may ask
 * again without it being done twice (Idempotency-Key). Pure: no clock, no socket; the room's home
 * keeps it, so it knows in which order things were done.
 *
 * A key belongs to the room that it came with. Only what was done is remembered: what was refused
 * has changed nothing, and may be tried again. Bounded in number and in time: beyond either the
 * oldest is forgotten. */
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/table.h"
#include "limits.h"

/* A request, as far as it must be the same again. Borrowed for the call. */
struct idempotent_request {
    struct text scope; /* the room's name, 81 bytes at most */
    struct text key;   /* 1 to idempotency_key_size_max bytes */
    struct text verb;  /* what is to be done, and how: two texts that together with the body say */
    struct text body;  /* all that the answer depends on */
};

/* What was answered. */
struct idempotent_answer {
    uint16_t status;
    struct text body; /* lives until the store is used again */
};

struct idempotency {
    struct pool records;
    struct table by_key;
    struct list oldest; /* records in the order of their making */
    struct hash_key fingerprints[2];
    uint32_t kept_ms; /* how long one is remembered */
};

enum idempotency_finding : uint8_t {
    IDEMPOTENT_NEW,   /* not asked before, or forgotten */
    IDEMPOTENT_AGAIN, /* the same request: *answer is what it was answered */
    IDEMPOTENT_OTHER, /* the key was used for another request */
};

/* `count` records at most, each for `kept_ms`. May run on a measuring arena. */
void idempotency_init(struct idempotency *store, struct arena *arena, uint32_t count,
                      uint32_t kept_ms);

/* The key that hashes are made with; before the first use, after idempotency_init. */
void idempotency_set_key(struct idempotency *store, struct hash_key key);

/* Has this been done? What is too old at `now_ms` is forgotten first. */
[[nodiscard]] enum idempotency_finding idempotency_find(struct idempotency *store,
                                                        const struct idempotent_request *request,
                                                        uint64_t now_ms,
                                                        struct idempotent_answer *answer);

/* It has been done, and answered with this; the body is copied, idempotency_body_size_max bytes at
 * most. idempotency_find has said NEW to the request. */
void idempotency_keep(struct idempotency *store, const struct idempotent_request *request,
                      uint64_t now_ms, const struct idempotent_answer *answer);
