/* game/world_replay.h: plays a world's log (game/world_log.h) again, and tells whether it comes to
 * the same.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     world_replay_begin    reads how it was opened: says how much memory a world takes
 *     world_replay_open     opens it again
 *     world_replay_next     plays one entry; and again, until it says that nothing is left
 *
 * A log may come from anybody: an input that no server would have written ends it as broken. */
#pragma once
#include "game/games.h"
#include "game/world_log.h"
#include "game/world_map.h"

struct world;

/* What it takes beside the world: all lent. */
struct world_replay_maps {
    struct world_map on, spare;
};

struct world_replay {
    struct text rest; /* of the log */
    struct game_options options;
    struct world_replay_maps *maps;
    struct bytes json; /* to read a world in: json_memory_size(world_file_size_max) bytes */
    /* What is said is told of, and nothing of it is kept; `listener` is for that. */
    void (*hear)(const struct world_replay *replay, const struct game_words *words);
    void *listener;
    struct game_needs needs; /* of the world, once it has begun */
    struct world *world;     /* and once it is open */
    struct bytes words_memory;
    struct world_entry entry; /* the last that was read */
    uint64_t seed;
    uint64_t inputs, ticks; /* so far, how it was opened not included */
    uint64_t differing;     /* hashes that were not those of the log */
    uint64_t first_tick;    /* the tick with which that began */
};

enum world_replay_step : uint8_t {
    WORLD_REPLAY_PLAYED, /* an input */
    WORLD_REPLAY_TICKED, /* a tick: entry.numbers are its own number, and the hash in the log */
    WORLD_REPLAY_ENDED,  /* the log says that nothing more was written down */
    WORLD_REPLAY_OVER,   /* it does not say so, but nothing is left */
    WORLD_REPLAY_CUT,    /* the same, in the middle of an entry */
    WORLD_REPLAY_BROKEN, /* what is left is no log */
};

/* Begins a log: `replay` is zeros but for what is lent and who listens, which stay. Returns
 * nothing, and replay->needs is set; or why it is none, with details in *problem (of 1 KiB). */
[[nodiscard]] struct text world_replay_begin(struct world_replay *replay, struct text log,
                                             struct writer *problem);

/* Opens the world. `memory` is zeros, needs.memory bytes; `words` has
 * words_memory_size(needs.words), and `state` game_world.state_size; all lent for as long as it is
 * played. */
void world_replay_open(struct world_replay *replay, struct bytes memory, struct bytes words,
                       void *state);

[[nodiscard]] enum world_replay_step world_replay_next(struct world_replay *replay);

/* The world's hash as it is now. */
[[nodiscard]] uint64_t world_replay_hash(const struct world_replay *replay);
