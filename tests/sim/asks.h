/* tests/sim/asks.h: what a client has asked under a correlation_id, and whether it was answered.
 *
 * Each question has one answer: it comes once, to who has asked, and before long. */
#pragma once
#include "client.h"

constexpr uint32_t asks_max = 64; /* of one connection; more are asked without a correlation_id */
constexpr uint32_t ask_text_max = 40;

struct ask {
    uint8_t what;          /* the kind's own */
    uint8_t says, answers; /* how often it was asked, and the answers that have come */
    uint32_t about;        /* the kind's own */
    uint64_t sent_ns, value;
    char answer[24]; /* what the first one was */
};

/* A connection's; zeros: none yet. */
struct asks {
    uint32_t count;
    struct ask list[asks_max];
};

/* One more, and its correlation_id in `text`. nullptr when there are too many. */
struct ask *asks_add(struct asks *asks, const struct client *client, uint8_t what,
                     char text[static ask_text_max]);

/* It was not said after all. */
void asks_drop(struct asks *asks);

/* What a message that has come answers; nullptr when it has no correlation_id. One of somebody
 * else's fails the run. */
struct ask *asks_find(struct asks *asks, struct client *client, const uint8_t *data, uint32_t size);

/* Counts an answer. More than were asked for fail the run. */
void asks_answer(struct ask *ask, struct client *client);

/* Everything that was asked a while ago has its answer. */
void asks_check(const struct asks *asks, struct client *client);
