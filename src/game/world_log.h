/* game/world_log.h: a world's inputs, written down one behind the other so that it can be played
 * again. Pure: bytes in, values out.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * What a world does follows from how it was opened and from its inputs with their times. That is
 * what a log holds, and after each tick the hash of all that the world is (world_hash): who plays
 * it again finds the same hashes, or where the two part.
 *
 *     ringcast-world-log 1
 *     open NS WALL SEED PLAYERS MEMBERS STRANGERS AUTH LEAVE WARNING LEEWAY WALKERS SIZE
 *     (the world's file, SIZE bytes)
 *     join NS WALL MEMBER
 *     say NS WALL MEMBER SIZE
 *     (the message)
 *     token NS WALL MEMBER GOOD UNTIL EXPIRES SIZE SIZE SIZE
 *     (the room that it is for, whose it is, and the name; or why it is not good: a code)
 *     tick NS WALL NUMBER HASH
 *     leave NS WALL MEMBER
 *     map NS WALL SIZE
 *     (another file, which was taken)
 *     end NS WALL INPUTS HASH
 *
 * An entry is a line: what it is, the two clocks (game.h: nanoseconds, and milliseconds since
 * 1970), its numbers, and the sizes of its texts, which follow one behind the other, and then a
 * newline. All numbers are decimal. Who stopped writing in the middle of one leaves a log that is
 * good up to there.
 *
 * No token is in it: what could be one is hidden (world_log_hide), and only what came of it is
 * told. */
#pragma once
#include "base/random.h"
#include "game/game.h"

#define WORLD_ENTRIES(X) /* name, word, how many numbers, how many texts */ \
    X(OPEN, "open", 9, 1)                                                   \
    X(JOIN, "join", 1, 0)                                                   \
    X(LEAVE, "leave", 1, 0)                                                 \
    X(SAY, "say", 1, 1)                                                     \
    X(TOKEN, "token", 4, 3)                                                 \
    X(TICK, "tick", 2, 0)                                                   \
    X(MAP, "map", 0, 1)                                                     \
    X(END, "end", 2, 0)

#define WORLD_ENTRY_NAME(name, word, numbers, texts) WORLD_ENTRY_##name,
enum world_entry_kind : uint8_t { WORLD_ENTRIES(WORLD_ENTRY_NAME) };
#undef WORLD_ENTRY_NAME

constexpr size_t world_entry_numbers_max = 9;
constexpr size_t world_entry_texts_max = 3;
constexpr size_t world_entry_line_max = 384; /* bytes of the line, its end included */

/* The numbers of WORLD_ENTRY_OPEN that are the room's options, behind the seed. */
constexpr size_t world_entry_options = 8;

struct world_entry {
    enum world_entry_kind kind;
    uint64_t ns, wall_ms;
    uint64_t numbers[world_entry_numbers_max]; /* as listed above, without clocks and sizes */
    struct text texts[world_entry_texts_max];
};

/* The first line of a log, its end included. */
extern const struct text world_log_head;

/* Writes an entry whole, or sets out->overflow. */
void world_entry_write(struct writer *out, const struct world_entry *entry);

enum world_entry_step : uint8_t {
    WORLD_ENTRY_READ,
    WORLD_ENTRY_NONE,   /* nothing is left */
    WORLD_ENTRY_CUT,    /* the rest is the beginning of one */
    WORLD_ENTRY_BROKEN, /* the rest is none */
};

/* Reads the first entry of *rest, and goes on behind it; its texts lie in there. */
[[nodiscard]] enum world_entry_step world_entry_read(struct text *rest, struct world_entry *entry);

/* How a room was opened, as the numbers of an entry, and back. False when some are beyond what a
 * server may be told (hub/config.c); *options is without a map. */
void world_entry_from_options(struct world_entry *entry, uint64_t seed,
                              const struct game_options *options);
[[nodiscard]] bool world_entry_to_options(const struct world_entry *entry, uint64_t *seed,
                                          struct game_options *options);

/* The message with everything hidden that could be a token: inside of strings, what has
 * world_hidden_least or more letters, digits and -._ without anything between. In its place are as
 * many others, which follow from it and the key alone: what was equal is equal, what differed
 * differs, and the message means what it meant to a world. `memory` is for the answer, as large as
 * the message. */
constexpr size_t world_hidden_least = 48;
struct text world_log_hide(uint8_t *memory, struct text message, struct hash_key key);
