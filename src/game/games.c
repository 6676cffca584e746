/* game/games.c: every room kind, at its number. */
#include "game/games.h"

const struct game *const games[game_kinds] = {
    [GAME_KART] = &game_kart,   [GAME_VOTE] = &game_vote,   [GAME_AVALON] = &game_avalon,
    [GAME_LOBBY] = &game_lobby, [GAME_RELAY] = &game_relay, [GAME_WORLD] = &game_world,
};
