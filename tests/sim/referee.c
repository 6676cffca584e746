#include "referee.h"
#include "wire.h"
#include <string.h>

static bool read_board(struct referee *now, const uint8_t *data, uint32_t size)
{
    const uint8_t *at = memmem(data, size, "\"board\":[\"", 10);
    if (at == nullptr || (uint32_t)(data + size - at) < 10 + 6 * 10) return false;
    at += 10;
    for (uint32_t row = 0; row < 6; row++, at += 10) {
        memcpy(now->cells[row], at, 7);
        for (uint32_t column = 0; column < 7; column++)
            if (memchr(".xo", now->cells[row][column], 3) == nullptr) return false;
        if (memcmp(at + 7, row < 5 ? "\",\"" : "\"],", 3) != 0) return false;
    }
    return true;
}

static uint32_t count_of(const struct referee *now, char disc)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < 42; i++)
        count += now->cells[i / 7][i % 7] == disc;
    return count;
}

static bool hangs(const struct referee *now)
{
    for (uint32_t i = 0; i < 35; i++)
        if (now->cells[i / 7][i % 7] != '.' && now->cells[i / 7 + 1][i % 7] == '.') return true;
    return false;
}

static bool four_from(const struct referee *now, int row, int column, int down, int right)
{
    char disc = now->cells[row][column];
    for (int i = 1; i < 4; i++) {
        int r = row + i * down, c = column + i * right;
        if (r < 0 || r > 5 || c < 0 || c > 6 || now->cells[r][c] != disc) return false;
    }
    return disc != '.';
}

static bool has_four(const struct referee *now)
{
    for (int row = 0; row < 6; row++)
        for (int column = 0; column < 7; column++)
            if (four_from(now, row, column, 0, 1) || four_from(now, row, column, 1, 0) ||
                four_from(now, row, column, 1, 1) || four_from(now, row, column, 1, -1))
                return true;
    return false;
}

/* A board by itself. */
static const char *judge_board(const struct referee *now, const uint8_t *data, uint32_t size)
{
    uint32_t x = count_of(now, 'x'), o = count_of(now, 'o');
    bool by_line = wire_contains(data, size, "\"by\":\"line\"");
    if (x + o != now->moves) return "not as many discs as moves";
    if (x != o && x != o + 1) return "somebody has moved twice";
    if (hangs(now)) return "a disc hangs in the air";
    if (by_line != has_four(now)) return by_line ? "a line of none" : "a line that nobody sees";
    if (wire_contains(data, size, "\"by\":\"draw\"") && now->moves != 42) return "an early draw";
    if (now->phase == GAME_PLAYS && strcmp(now->turn, x == o ? now->x : now->o) != 0)
        return "it is the other one's turn";
    if (now->phase != GAME_PLAYS && now->turn[0] != '\0') return "a turn where nobody plays";
    return nullptr;
}

static uint32_t differences(const struct referee *left, const struct referee *right)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < 42; i++)
        count += left->cells[i / 7][i % 7] != right->cells[i / 7][i % 7];
    return count;
}

/* A board after another one: the same, one more disc, or a new game. */
static const char *judge_step(const struct referee *was, const struct referee *now)
{
    uint32_t differ = differences(was, now);
    if (differ == 0) return nullptr;
    bool adds = now->moves == was->moves + 1 && differ == 1 && was->phase == GAME_PLAYS;
    bool anew = now->moves == 0 && was->phase != GAME_PLAYS;
    return adds || anew ? nullptr : "a board that does not follow from the one before";
}

const char *referee_read(struct referee *referee, const uint8_t *data, uint32_t size)
{
    struct referee now = {.seen = true};
    uint64_t moves = 0;
    char phase[16];
    if (!wire_json_text(data, size, "\"phase\":", phase, sizeof phase) ||
        !read_board(&now, data, size) || !wire_json_number(data, size, "\"moves\":", &moves))
        return "a state without phase, board or moves";
    now.moves = (uint32_t)moves;
    now.phase = strcmp(phase, "playing") == 0 ? GAME_PLAYS
                : strcmp(phase, "over") == 0  ? GAME_OVER
                                              : GAME_WAITS;
    (void)!wire_json_text(data, size, "\"players\":{\"x\":", now.x, sizeof now.x);
    (void)!wire_json_text(data, size, "\"o\":", now.o, sizeof now.o);
    (void)!wire_json_text(data, size, "\"turn\":", now.turn, sizeof now.turn);
    const char *wrong = judge_board(&now, data, size);
    if (wrong == nullptr && referee->seen) wrong = judge_step(referee, &now);
    *referee = now;
    return wrong;
}
