/* tests/unit/game_four.c: four in a row: what is a line, and what is not. */
#include "check.h"
#include "game/four.h"

static struct four board;
static struct four_line line;

/* Drops the discs of both into these columns by turns. True when the last one completes a line; no
 * other may. */
static bool play(const char *columns)
{
    bool won = false;
    board = (struct four){};
    for (size_t i = 0; columns[i] != '\0'; i++) {
        EXPECT(!won);
        won = four_drop(&board, (uint32_t)(columns[i] - '0'), i % 2 == 0 ? FOUR_FIRST : FOUR_SECOND,
                        &line);
    }
    return won;
}

static void expect_cell(size_t i, uint32_t column, uint32_t row)
{
    EXPECT_EQ(line.cells[i].column, column);
    EXPECT_EQ(line.cells[i].row, row);
}

TEST("a disc falls onto what lies in its column")
{
    EXPECT(!play("330"));
    EXPECT_EQ(board.cells[3][0], FOUR_FIRST);
    EXPECT_EQ(board.cells[3][1], FOUR_SECOND);
    EXPECT_EQ(board.cells[0][0], FOUR_FIRST);
    EXPECT_EQ(board.cells[3][2], FOUR_NONE);
    EXPECT_EQ(board.moves, 3);
}

TEST("four across win, wherever the last one is put")
{
    EXPECT(play("0011223"));
    expect_cell(0, 0, 0);
    expect_cell(3, 3, 0);
    EXPECT(play("0011332"));
    EXPECT(play("6655443"));
    expect_cell(0, 3, 0);
    expect_cell(3, 6, 0);
}

TEST("four up win, and three do not")
{
    EXPECT(play("0101010"));
    expect_cell(0, 0, 0);
    expect_cell(3, 0, 3);
    EXPECT(!play("01010"));
}

TEST("four slanting win, up and down")
{
    EXPECT(play("01122323363"));
    expect_cell(0, 0, 0);
    expect_cell(1, 1, 1);
    expect_cell(2, 2, 2);
    expect_cell(3, 3, 3);
    EXPECT(play("65544343303"));
    expect_cell(0, 3, 3);
    expect_cell(3, 6, 0);
}

TEST("discs of both, a gap, or an edge make no line")
{
    EXPECT(!play("0213546")); /* x on 0 1 5 6, o between them */
    EXPECT(!play("001144"));
    EXPECT(!play("0123456")); /* by turns */
    EXPECT(!play("405162"));  /* x on 4 5 6, and no column behind it */
}

TEST("five in a row are a line of four of them")
{
    EXPECT(play("001133442"));
    expect_cell(0, 0, 0);
    expect_cell(3, 3, 0);
}

TEST("a column of six is full, and so is a board of 42")
{
    EXPECT(!play("000000"));
    EXPECT(!four_has_room(&board, 0));
    EXPECT(four_has_room(&board, 1));
    EXPECT(!four_is_full(&board));
    EXPECT(!play("114233422562342465101534411626660030530055"));
    EXPECT_EQ(board.moves, 42);
    EXPECT(four_is_full(&board));
    for (uint32_t column = 0; column < four_columns; column++)
        EXPECT(!four_has_room(&board, column));
}

/* Every line there is, by counting cells: slow, and written the other way round. */
static uint32_t count_lines(enum four_disc disc)
{
    static const int rights[] = {1, 0, 1, 1}, ups[] = {0, 1, 1, -1};
    uint32_t count = 0;
    for (int i = 0; i < (int)(4 * four_columns * four_rows); i++) {
        int cell = i / 4, same = 0;
        for (int step = 0; step < 4; step++) {
            int column = cell / (int)four_rows + step * rights[i % 4];
            int row = cell % (int)four_rows + step * ups[i % 4];
            bool inside = column < (int)four_columns && row >= 0 && row < (int)four_rows;
            if (inside && board.cells[column][row] == disc) same += 1;
        }
        if (same == 4) count += 1;
    }
    return count;
}

TEST("of many games at random each ends with the first line, and never without one")
{
    uint64_t state = 1;
    uint32_t drawn = 0, won = 0;
    for (uint32_t game = 0; game < 2000; game++) {
        bool over = false;
        board = (struct four){};
        while (!over && !four_is_full(&board)) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint32_t column = (uint32_t)(state >> 33) % four_columns;
            if (!four_has_room(&board, column)) continue;
            enum four_disc disc = board.moves % 2 == 0 ? FOUR_FIRST : FOUR_SECOND;
            over = four_drop(&board, column, disc, &line);
            EXPECT_EQ(over, count_lines(disc) > 0);
            for (size_t i = 0; over && i < four_line_size; i++)
                EXPECT_EQ(board.cells[line.cells[i].column][line.cells[i].row], disc);
        }
        *(over ? &won : &drawn) += 1;
    }
    EXPECT(won > 1000);
    EXPECT(drawn > 0);
}
