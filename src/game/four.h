/* game/four.h: four in a row: the board and its rules. Two take turns to drop a disc into one of
 * seven columns, where it falls onto what lies there; who first has four in a line, across, up or
 * slanting, has won.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *   row 5  . . . . . . .
 *   row 0  . . x o . . .
 *          0 1 2 3 4 5 6  column */
#pragma once
#include <stdint.h>

constexpr uint32_t four_columns = 7, four_rows = 6, four_line_size = 4;

enum four_disc : uint8_t { FOUR_NONE, FOUR_FIRST, FOUR_SECOND };

/* A board; zero is an empty one. */
struct four {
    enum four_disc cells[four_columns][four_rows];
    uint8_t heights[four_columns]; /* discs in each column */
    uint8_t moves;                 /* discs on the board */
};

struct four_cell {
    uint8_t column, row;
};

struct four_line {
    struct four_cell cells[four_line_size];
};

/* True when the column, which is one of the board, takes another disc. */
[[nodiscard]] bool four_has_room(const struct four *four, uint32_t column);

/* Drops a disc into a column that has room. True when it completes a line: then *line is that one,
 * or one of those. */
[[nodiscard]] bool four_drop(struct four *four, uint32_t column, enum four_disc disc,
                             struct four_line *line);

/* True when no column takes another disc. */
[[nodiscard]] bool four_is_full(const struct four *four);
