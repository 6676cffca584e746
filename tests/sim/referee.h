/* tests/sim/referee.h: four in a row, as somebody sees it who only reads states. */
#pragma once
#include <stdint.h>

constexpr uint32_t referee_id_max = 16;

/* What a state says of the game. */
struct referee {
    bool seen; /* there was a state before */
    enum : uint8_t { GAME_WAITS, GAME_PLAYS, GAME_OVER } phase;
    uint32_t moves;
    char cells[6][7]; /* the top row first: '.', 'x' and 'o' */
    char x[referee_id_max], o[referee_id_max], turn[referee_id_max]; /* ids; empty: null */
};

/* Reads the next state of the game that *referee has seen so far. Returns nullptr, or what is
 * wrong with it, or with what it follows. */
const char *referee_read(struct referee *referee, const uint8_t *data, uint32_t size);
