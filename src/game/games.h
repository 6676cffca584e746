/* game/games.h: the list of room kinds. A new game adds its line here. */
#pragma once
#include "game/game.h"

/* Index into `games`: a kind's number everywhere (counters, routes, frames). */
enum game_kind : uint8_t {
    GAME_KART,
    GAME_VOTE,
    GAME_AVALON,
    GAME_LOBBY,
    GAME_RELAY,
    GAME_WORLD,
};
constexpr size_t game_kinds = 6;
extern const struct game *const games[game_kinds];

extern const struct game game_kart;   /* game/kart.c: a race dashboard pushed to phones */
extern const struct game game_vote;   /* game/vote.c: a lobby that a host sends off to vote */
extern const struct game game_avalon; /* game/avalon.c: people by name, who is here, and chat */
extern const struct game game_lobby;  /* game/lobby.c: a game of two, and who watches */
extern const struct game game_relay;  /* game/relay.c: rules that live in a backend */
extern const struct game game_world;  /* game/world.c: one place that all share */
