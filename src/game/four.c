#include "game/four.h"
#include <assert.h>
#include <stddef.h>

bool four_has_room(const struct four *four, uint32_t column)
{
    assert(column < four_columns);
    return four->heights[column] < four_rows;
}

bool four_is_full(const struct four *four)
{
    return four->moves == four_columns * four_rows;
}

/* FOUR_NONE beyond the edges, too. */
static enum four_disc disc_at(const struct four *four, int column, int row)
{
    bool inside = column >= 0 && column < (int)four_columns && row >= 0 && row < (int)four_rows;
    return inside ? four->cells[column][row] : FOUR_NONE;
}

/* The line through a disc in the direction (right, up), if there is one. */
static bool find_line(const struct four *four, struct four_cell disc, int right, int up,
                      struct four_line *line)
{
    enum four_disc kind = four->cells[disc.column][disc.row];
    int column = disc.column, row = disc.row;
    while (disc_at(four, column - right, row - up) == kind) {
        column -= right;
        row -= up;
    }
    for (int i = 0; i < (int)four_line_size; i++) {
        if (disc_at(four, column + i * right, row + i * up) != kind) return false;
        line->cells[i] = (struct four_cell){.column = (uint8_t)(column + i * right),
                                            .row = (uint8_t)(row + i * up)};
    }
    return true;
}

bool four_drop(struct four *four, uint32_t column, enum four_disc disc, struct four_line *line)
{
    static const struct {
        int right, up;
    } directions[] = {{1, 0}, {0, 1}, {1, 1}, {1, -1}};
    assert(four_has_room(four, column) && disc != FOUR_NONE);
    struct four_cell cell = {.column = (uint8_t)column, .row = four->heights[column]};
    four->cells[cell.column][cell.row] = disc;
    four->heights[column] += 1;
    four->moves += 1;
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++)
        if (find_line(four, cell, directions[i].right, directions[i].up, line)) return true;
    return false;
}
