/* game/token.h: a member's token in kinds that ask for one: how long it is good, when its member is
 * warned of the end, and how often it may have another one checked (C16, THREATS.md A16).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     shown ---------------- warned ------- exp -------- over      time >
 *       |  half or more of it  |  warning_ms  |  leeway_ms |
 *
 * The hub reads and checks tokens (hub/verify.h); this is what a game keeps of one. */
#pragma once
#include "game/game.h"

struct token {
    uint64_t until_ms;        /* from when on it is good no more */
    uint64_t warn_ms;         /* when its member is told that the end is near; or game_never_ms */
    uint64_t expires_wall_ms; /* what it says itself; to be told */
    uint32_t checks;          /* a bucket: of those that were checked */
};

/* The member has shown one. `options` says how long before the end it is warned, and how long a
 * token is good beyond what it says. What was checked stays counted. */
void token_take(struct token *token, const struct game_options *options,
                const struct game_guest *guest, struct game_time now);

/* The same for one that a member sends while it is connected: time is never shortened by that. */
void token_renew(struct token *token, const struct game_options *options,
                 const struct game_guest *guest, struct game_time now);

/* When something must be done about it: its member is to be warned, or it is over. */
static inline uint64_t token_due(const struct token *token)
{
    return token->warn_ms < token->until_ms ? token->warn_ms : token->until_ms;
}

/* True when its member is to be warned now, which is once. */
[[nodiscard]] bool token_warns(struct token *token, uint64_t now_ms);

/* True when its member may have another one checked now. Counts. */
[[nodiscard]] bool token_may_check(struct token *token, uint64_t now_ms);
