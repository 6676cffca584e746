#include "game/match.h"
#include <assert.h>

static uint32_t other_seat(uint32_t seat)
{
    assert(seat < match_seats);
    return match_seats - 1 - seat;
}

void match_begin(struct match *match)
{
    *match = (struct match){.phase = MATCH_PLAYING, .first = match->first, .turn = match->first};
}

static void end(struct match *match, uint32_t winner, enum match_ending ending)
{
    assert(match->phase == MATCH_PLAYING);
    match->phase = MATCH_OVER;
    match->ending = ending;
    match->winner = (uint8_t)winner;
}

enum match_verdict match_drop(struct match *match, uint32_t seat, int64_t column, bool *changed)
{
    if (match->phase == MATCH_WAITING) return MATCH_NOT_STARTED;
    if (match->phase == MATCH_OVER) return MATCH_GAME_OVER;
    if (match->turn != seat) return MATCH_NOT_YOUR_TURN;
    if (column < 0 || column >= four_columns) return MATCH_NO_COLUMN;
    if (!four_has_room(&match->four, (uint32_t)column)) return MATCH_COLUMN_FULL;
    enum four_disc disc = seat == match->first ? FOUR_FIRST : FOUR_SECOND;
    match->turn = (uint8_t)other_seat(seat);
    if (four_drop(&match->four, (uint32_t)column, disc, &match->line))
        end(match, seat, MATCH_BY_LINE);
    else if (four_is_full(&match->four))
        end(match, match_seats, MATCH_BY_DRAW);
    *changed = true;
    return MATCH_DONE;
}

enum match_verdict match_resign(struct match *match, uint32_t seat, bool *changed)
{
    if (match->phase == MATCH_WAITING) return MATCH_NOT_STARTED;
    if (match->phase == MATCH_OVER) return MATCH_GAME_OVER;
    end(match, other_seat(seat), MATCH_BY_RESIGNATION);
    *changed = true;
    return MATCH_DONE;
}

enum match_verdict match_rematch(struct match *match, uint32_t seat, bool opposed, bool *changed)
{
    if (match->phase == MATCH_PLAYING) return MATCH_NOT_OVER;
    if (match->phase == MATCH_WAITING || !opposed) return MATCH_NOT_STARTED;
    *changed = !match->rematch[seat];
    match->rematch[seat] = true;
    if (!match->rematch[other_seat(seat)]) return MATCH_DONE;
    match->first = (uint8_t)other_seat(match->first);
    match_begin(match);
    return MATCH_DONE;
}

void match_leave(struct match *match, uint32_t seat)
{
    if (match->phase == MATCH_PLAYING) end(match, other_seat(seat), MATCH_BY_FORFEIT);
    match->rematch[seat] = false;
}

/* --- As clients see it ----------------------------------------------------------------------- */

static void write_id(struct writer *out, struct text id)
{
    if (id.size == 0) {
        write_text(out, TEXT("null"));
        return;
    }
    write_byte(out, '"');
    write_json_escaped(out, id);
    write_byte(out, '"');
}

/* The rows from the top down, as one would print them. */
static void write_board(struct writer *out, const struct four *four)
{
    static const char letters[] = {[FOUR_NONE] = '.', [FOUR_FIRST] = 'x', [FOUR_SECOND] = 'o'};
    write_text(out, TEXT(",\"board\":["));
    for (uint32_t row = four_rows; row-- > 0;) {
        write_byte(out, '"');
        for (uint32_t column = 0; column < four_columns; column++)
            write_byte(out, (uint8_t)letters[four->cells[column][row]]);
        write_text(out, row > 0 ? TEXT("\",") : TEXT("\"]"));
    }
    write_text(out, TEXT(",\"moves\":"));
    write_u64(out, four->moves);
}

static void write_line(struct writer *out, const struct four_line *line)
{
    for (uint32_t i = 0; i < four_line_size; i++) {
        write_text(out, i == 0 ? TEXT(",\"line\":[[") : TEXT(",["));
        write_u64(out, line->cells[i].column);
        write_byte(out, ',');
        write_u64(out, line->cells[i].row);
        write_byte(out, ']');
    }
    write_byte(out, ']');
}

static void write_result(struct writer *out, const struct match *match, struct text winner)
{
    static const struct text endings[] = {[MATCH_BY_LINE] = TEXT("line"),
                                          [MATCH_BY_DRAW] = TEXT("draw"),
                                          [MATCH_BY_RESIGNATION] = TEXT("resignation"),
                                          [MATCH_BY_FORFEIT] = TEXT("forfeit")};
    write_text(out, TEXT(",\"result\":"));
    if (match->phase != MATCH_OVER) {
        write_text(out, TEXT("null"));
        return;
    }
    write_text(out, TEXT("{\"winner\":"));
    write_id(out, winner);
    write_text(out, TEXT(",\"by\":\""));
    write_text(out, endings[match->ending]);
    write_byte(out, '"');
    if (match->ending == MATCH_BY_LINE) write_line(out, &match->line);
    write_byte(out, '}');
}

void write_match(struct writer *out, const struct match *match,
                 const struct text players[static match_seats], struct text winner)
{
    static const struct text phases[] = {[MATCH_WAITING] = TEXT("waiting"),
                                         [MATCH_PLAYING] = TEXT("playing"),
                                         [MATCH_OVER] = TEXT("over")};
    bool playing = match->phase == MATCH_PLAYING, begun = false;
    write_text(out, TEXT("\"game\":\"four_in_a_row\",\"phase\":\""));
    write_text(out, phases[match->phase]);
    write_byte(out, '"');
    write_board(out, &match->four);
    write_text(out, TEXT(",\"players\":{\"x\":"));
    write_id(out, players[match->first]);
    write_text(out, TEXT(",\"o\":"));
    write_id(out, players[other_seat(match->first)]);
    write_text(out, TEXT("},\"turn\":"));
    write_id(out, playing ? players[match->turn] : (struct text){});
    write_result(out, match, winner);
    write_text(out, TEXT(",\"rematch\":["));
    for (uint32_t seat = 0; seat < match_seats; seat++) {
        if (!match->rematch[seat]) continue;
        if (begun) write_byte(out, ',');
        write_id(out, players[seat]);
        begun = true;
    }
    write_byte(out, ']');
}
