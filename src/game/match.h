/* game/match.h: a match of two seats at four in a row: whose turn it is, what may be done, how it
 * ends, and the next one.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     WAITING --match_begin--> PLAYING --a line, a full board, somebody gives up--> OVER
 *                                 ^                                                  |
 *                                 +------both want a rematch, or match_begin---------+
 *
 * A seat is 0 or 1; who sits there is not known here. */
#pragma once
#include "base/bytes.h"
#include "game/four.h"

constexpr uint32_t match_seats = 2;

enum match_phase : uint8_t { MATCH_WAITING, MATCH_PLAYING, MATCH_OVER };
enum match_ending : uint8_t {
    MATCH_BY_LINE,
    MATCH_BY_DRAW,
    MATCH_BY_RESIGNATION,
    MATCH_BY_FORFEIT
};

/* A match; zero before the first. */
struct match {
    enum match_phase phase;
    enum match_ending ending;  /* OVER: how it came to that */
    uint8_t first;             /* the seat that has x and begins */
    uint8_t turn;              /* PLAYING: a seat */
    uint8_t winner;            /* OVER: a seat, or match_seats: nobody */
    bool rematch[match_seats]; /* OVER: who wants one */
    struct four four;
    struct four_line line; /* OVER, BY_LINE */
};

#define MATCH_REFUSALS(X) /* name, code, sentence: why something may not be done */ \
    X(NOT_STARTED, "not_started", "The game waits for a second player.")            \
    X(GAME_OVER, "game_over", "The game is over; ask for a rematch.")               \
    X(NOT_YOUR_TURN, "not_your_turn", "It is the other player's turn.")             \
    X(NO_COLUMN, "illegal_move", "A column is a number from 0 to 6.")               \
    X(COLUMN_FULL, "illegal_move", "This column is full.")                          \
    X(NOT_OVER, "illegal_move", "The game is still on.")

enum match_verdict : uint8_t {
    MATCH_DONE,
#define X(name, code, sentence) MATCH_##name,
    MATCH_REFUSALS(X)
#undef X
};

/* Both seats are taken: a new match, on an empty board. */
void match_begin(struct match *match);

/* Each of these judges what a seat wants; MATCH_DONE: it has been done, and *changed is set unless
 * it was so already. */

[[nodiscard]] enum match_verdict match_drop(struct match *match, uint32_t seat, int64_t column,
                                            bool *changed);
[[nodiscard]] enum match_verdict match_resign(struct match *match, uint32_t seat, bool *changed);

/* When both have said so the next one begins, and the other seat has x. `opposed`: somebody sits in
 * the other seat. */
[[nodiscard]] enum match_verdict match_rematch(struct match *match, uint32_t seat, bool opposed,
                                               bool *changed);

/* Nobody sits there any more: who did has lost, if it was playing. */
void match_leave(struct match *match, uint32_t seat);

/* Writes members of a JSON object, from "game" to "rematch". `players` are the ids of who sits
 * where, empty where nobody does; `winner` is that of who has won, or empty. */
void write_match(struct writer *out, const struct match *match,
                 const struct text players[static match_seats], struct text winner);
