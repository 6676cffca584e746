/* tests/unit/game_match.c: a match: turns, ends, and the next one (THREATS.md G1, G3). */
#include "check.h"
#include "game/match.h"

static struct match match;
static bool changed;

static void begin(void)
{
    match = (struct match){};
    match_begin(&match);
}

static enum match_verdict drop(uint32_t seat, int64_t column)
{
    changed = false;
    return match_drop(&match, seat, column, &changed);
}

static enum match_verdict rematch(uint32_t seat)
{
    changed = false;
    return match_rematch(&match, seat, true, &changed);
}

/* Drops into these columns by turns, `first` beginning. */
static void play(const char *columns, uint32_t first)
{
    for (size_t i = 0; columns[i] != '\0'; i++) {
        EXPECT_EQ(drop(i % 2 == 0 ? first : 1 - first, columns[i] - '0'), MATCH_DONE);
        EXPECT(changed);
    }
}

static struct text shown(struct text winner)
{
    static char memory[1024];
    struct writer out = writer_over(memory, sizeof memory);
    const struct text players[] = {TEXT("a\""), TEXT("b")};
    write_match(&out, &match, players, winner);
    return text_from(writer_bytes(&out));
}

TEST("before both are there nothing can be done (G1)")
{
    match = (struct match){};
    EXPECT_EQ(drop(0, 0), MATCH_NOT_STARTED);
    EXPECT_EQ(rematch(0), MATCH_NOT_STARTED);
    EXPECT_EQ(match_resign(&match, 0, &changed), MATCH_NOT_STARTED);
    match_leave(&match, 0);
    EXPECT_EQ(match.phase, MATCH_WAITING);
}

TEST("seats take turns, and a move that is none does not end one (G1)")
{
    begin();
    EXPECT_EQ(drop(1, 0), MATCH_NOT_YOUR_TURN);
    EXPECT_EQ(drop(0, -1), MATCH_NO_COLUMN);
    EXPECT_EQ(drop(0, 7), MATCH_NO_COLUMN);
    EXPECT_EQ(drop(0, INT64_MIN), MATCH_NO_COLUMN);
    EXPECT_EQ(drop(0, (1ll << 32) + 3), MATCH_NO_COLUMN);
    EXPECT(!changed);
    play("000000", 0);
    EXPECT_EQ(drop(0, 0), MATCH_COLUMN_FULL);
    EXPECT_EQ(drop(0, 6), MATCH_DONE);
    EXPECT_EQ(drop(0, 6), MATCH_NOT_YOUR_TURN);
}

TEST("a line wins, and the end is the end (G3)")
{
    begin();
    play("0011223", 0);
    EXPECT_EQ(match.phase, MATCH_OVER);
    EXPECT_EQ(match.winner, 0);
    EXPECT_EQ(match.ending, MATCH_BY_LINE);
    EXPECT_EQ(drop(1, 4), MATCH_GAME_OVER);
    EXPECT_EQ(match_resign(&match, 1, &changed), MATCH_GAME_OVER);
    match_leave(&match, 0);
    EXPECT_EQ(match.winner, 0);
    EXPECT_EQ(match.ending, MATCH_BY_LINE);
}

TEST("a full board without a line is nobody's")
{
    begin();
    play("114233422562342465101534411626660030530055", 0);
    EXPECT_EQ(match.phase, MATCH_OVER);
    EXPECT_EQ(match.winner, match_seats);
    EXPECT_EQ(match.ending, MATCH_BY_DRAW);
}

TEST("who leaves during a match has lost it")
{
    begin();
    match_leave(&match, 0);
    EXPECT_EQ(match.phase, MATCH_OVER);
    EXPECT_EQ(match.winner, 1);
    EXPECT_EQ(match.ending, MATCH_BY_FORFEIT);
}

TEST("when both want it the next one begins with the other seat, and again (G3)")
{
    begin();
    EXPECT_EQ(rematch(0), MATCH_NOT_OVER);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t first = round % 2;
        EXPECT_EQ(match.first, first);
        EXPECT_EQ(match.four.moves, 0);
        play("0011223", first);
        EXPECT_EQ(match.winner, first);
        EXPECT_EQ(rematch(0), MATCH_DONE);
        EXPECT(changed);
        EXPECT_EQ(rematch(0), MATCH_DONE);
        EXPECT(!changed);
        EXPECT_EQ(match.phase, MATCH_OVER);
        EXPECT_EQ(rematch(1), MATCH_DONE);
        EXPECT(changed);
        EXPECT_EQ(match.phase, MATCH_PLAYING);
    }
}

TEST("nobody has a rematch alone, and who leaves wants none")
{
    begin();
    play("0011223", 0);
    EXPECT_EQ(match_rematch(&match, 0, false, &changed), MATCH_NOT_STARTED);
    EXPECT_EQ(rematch(0), MATCH_DONE);
    match_leave(&match, 0);
    EXPECT_EQ(rematch(1), MATCH_DONE);
    EXPECT_EQ(match.phase, MATCH_OVER);
}

TEST("a match is shown with the ids of who plays, x first")
{
    begin();
    match_leave(&match, 1);
    EXPECT_EQ(rematch(0), MATCH_DONE);
    EXPECT_TEXT(shown(TEXT("a\"")),
                "\"game\":\"four_in_a_row\",\"phase\":\"over\",\"board\":[\".......\",\".......\","
                "\".......\",\".......\",\".......\",\".......\"],\"moves\":0,\"players\":{\"x\":"
                "\"a\\\"\",\"o\":\"b\"},\"turn\":null,\"result\":{\"winner\":\"a\\\"\",\"by\":"
                "\"forfeit\"},\"rematch\":[\"a\\\"\"]");
    EXPECT_EQ(rematch(1), MATCH_DONE);
    play("33406", 1);
    EXPECT_TEXT(
        shown((struct text){}),
        "\"game\":\"four_in_a_row\",\"phase\":\"playing\",\"board\":[\".......\",\".......\","
        "\".......\",\".......\",\"...o...\",\"o..xx.x\"],\"moves\":5,\"players\":{\"x\":"
        "\"b\",\"o\":\"a\\\"\"},\"turn\":\"a\\\"\",\"result\":null,\"rematch\":[]");
}
