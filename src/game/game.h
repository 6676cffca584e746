/* game/game.h: what a room kind is: a value with functions.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * A game's state is a function of its seed and its inputs with their times. It never meets a
 * socket, a frame, a clock, malloc or libm; time and randomness are arguments, so the same
 * inputs give the same bytes on every machine. */
#pragma once
#include "base/bytes.h"
#include "room/room.h"

/* Time inside a game: the hub's monotonic clock, in both units. Only differences mean anything. */
struct game_time {
    uint64_t ms;
    uint64_t ns; /* for what must be stamped more finely than a rule needs */
};

/* What an operator chose for a kind; read by its open. Lives as long as the room. */
struct game_options {
    bool autostart;        /* kart: a race starts by itself and another follows it */
    bool stamp;            /* kart: add "t" and "s" to the state, for load tests */
    uint32_t payload_size; /* kart: pad the state to this many bytes; 0: do not */
};

/* What a snapshot is made for. */
struct game_view {
    struct game_time now;
    uint64_t sequence; /* the room's number of this snapshot, from 1 */
};

enum game_answer : uint8_t {
    /* accepted; the state may have changed: encode it again before anybody else is shown it */
    GAME_DONE,
    GAME_UNCHANGED, /* accepted, and nothing is different (it was so already) */
    /* no such command, or its argument is wrong; `reply` says what is understood */
    GAME_NOT_UNDERSTOOD,
    GAME_REFUSED, /* understood, but the rules forbid it now; `reply` says why */
};

/* One room kind. Every function is called on one thread; `state` is `state_size` bytes, zero
 * before open. */
struct game {
    const char *name;          /* as in /metrics and logs */
    struct text protocol;      /* the WebSocket subprotocol of its dialect */
    size_t state_size;         /* bytes */
    uint32_t message_size_max; /* bytes of one inbound message */
    bool messages_unlimited; /* its members may say as much as they like, whatever --message-rate */

    /* A new room. `seed` is its only source of chance. `options` is borrowed for the room's
     * life. */
    void (*open)(void *state, const struct game_options *options, uint64_t seed,
                 struct game_time now);

    /* The room's clock moved: rules that depend on time run up to `now`. Called at every tick,
     * and before every command and snapshot, so that the answer never depends on when the last
     * tick was. True when more has changed than what passing time changes by itself: then a joiner
     * must not be shown an older snapshot. */
    bool (*advance)(void *state, struct game_time now);

    /* A trusted producer's command, one line of text ("/host bonus 500"). `reply` takes a
     * sentence for the answers that want one; plain text, the caller escapes it. */
    enum game_answer (*command)(void *state, struct text command, struct game_time now,
                                struct writer *reply);

    /* Writes which commands are understood, as one sentence. */
    void (*help)(struct writer *out);

    /* The whole state as this kind's dialect shows it, after advance. What does not fit sets
     * out->overflow. */
    void (*snapshot)(const void *state, const struct game_view *view, struct writer *out);
};
