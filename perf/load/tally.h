/* perf/load/tally.h: all that is counted in one run, and the rules by which it is judged. */
#pragma once
#include "grid.h"
#include "histogram.h"
#include "state.h"

/* What a correct server never does. */
#define FAULTS(X) /* name, sentence */                                                    \
    X(UPGRADE, "the upgrade failed")                                                      \
    X(FRAME, "a frame broke RFC 6455")                                                    \
    X(STATE, "a message was not a stamped state")                                         \
    X(TALK, "a message was not what was to be heard")                                     \
    X(REPEATED, "a state came twice to one client")                                       \
    X(BACKWARDS, "an older state followed a newer one")                                   \
    X(ENCODED_TWICE, "one sequence number was encoded at two times")                      \
    X(FROM_THE_FUTURE, "a state was stamped later than it arrived, or numbered absurdly") \
    X(AFTER_CLOSE, "a frame followed the close frame")                                    \
    X(UNASKED_PONG, "a pong came that nobody asked for")                                  \
    X(WORLD, "a message was not what the world may say")                                  \
    X(NOT_ENTERED, "an update told of an entity that had not entered, or had left")       \
    X(ENTERED_TWICE, "an entity entered that was in sight already")                       \
    X(NOT_THERE, "an entity left that was not in sight")                                  \
    X(ASTRAY, "a player was told of where it has not been")                               \
    X(CORRECTED, "an honest player was put back, or refused")                             \
    X(DOES_NOT_READ, "the server did not take what a client sent")

enum fault : uint8_t {
#define X(name, sentence) FAULT_##name,
    FAULTS(X)
#undef X
        fault_count
};

const char *fault_sentence(enum fault fault);

constexpr size_t detail_size = 160;

/* One way in which connections ended, and what the first of them said. */
struct ending {
    uint16_t code;
    uint64_t count;
    char reason[detail_size];
};

constexpr size_t endings_max = 32;

struct room {
    struct grid grid;
    uint64_t begin_ns; /* the window: states encoded from here */
    uint64_t end_ns;   /* to before here count; 0: not open yet */
    uint64_t after;    /* the lowest number of a state that was encoded later than that; 0: none */
};

struct tally {
    uint64_t faults[fault_count];
    char first_fault[fault_count][detail_size];
    struct ending endings[endings_max]; /* while they should have stayed */
    size_t ending_count;
    uint64_t ended;
    uint64_t opened;
    uint64_t goodbyes_answered;
    uint64_t pings_answered;
    uint64_t gaps;           /* how often a client's sequence jumped, at any time */
    uint64_t states_missed;  /* how many numbers were left out in these gaps */
    uint64_t delivered;      /* states of the window */
    uint64_t bytes;          /* of their frames, headers included */
    uint64_t inflated;       /* compressed messages since the window began */
    uint64_t inflated_bytes; /* what they came to */
    struct histogram from_encode;
    struct histogram from_due;
    struct histogram pass; /* time the client took for what one wait brought it */
};

[[gnu::format(printf, 3, 4)]] void tally_fault(struct tally *tally, enum fault fault,
                                               const char *format, ...);

/* `reason` may be nullptr when `size` is 0. */
void tally_ending(struct tally *tally, uint16_t code, const uint8_t *reason, size_t size);

/* A state that followed `previous`, which is 0 for the one that greeted the client. True when it is
 * one of the window's. */
bool tally_state(struct tally *tally, struct room *room, struct state_stamp stamp,
                 uint64_t previous, size_t frame_size, uint64_t now_ns);

uint64_t tally_fault_sum(const struct tally *tally);
