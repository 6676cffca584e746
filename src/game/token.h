/* game/token.h: a member's token in kinds that ask for one: how long it is good, when its member is
 * warned of the end, and how often it may have another one checked (C16, THREATS.md A16).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     shown -------------- warned -------- exp -------- over      time >
 *       |  half of it or more  |  warning_ms  | leeway_ms |
 *                              |   or less    |
 *
 * The hub reads and checks tokens (hub/verify.h); this is what a game keeps of one. */
#pragma once
#include "game/envelope.h"
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

/* Why a token, or too many of them, end a connection: name, code, sentence, how its member goes. */
#define TOKEN_FAULTS(X)                                                                          \
    X(TOKEN_FLOOD, "rate_limited", "You send tokens too often; one is enough until it expires.", \
      GAME_DISMISS_FLOODED)                                                                      \
    X(TOKEN_OTHER_ROOM, "wrong_room", "The token is for another room.", GAME_DISMISS_FORBIDDEN)  \
    X(TOKEN_OTHER_PLAYER, "wrong_player", "The token is another player's.", GAME_DISMISS_FORBIDDEN)

enum token_fault : uint8_t {
#define X(name, code, sentence, close) name,
    TOKEN_FAULTS(X)
#undef X
};

/* What is told of it, and how its member goes. */
struct token_fault_info {
    struct text code, sentence;
    enum game_dismissal dismissal;
};
const struct token_fault_info *token_fault_info(enum token_fault fault);

/* A room's: of the message whose token is being checked, which is one at a time. */
struct token_query {
    uint8_t correlation_size;
    char correlation[envelope_correlation_size_max];
};

/* What a member has sent as {"type":"auth","payload":{"token":"..."}}. Returns what is wrong with
 * its form, in words that continue "The message "; or an empty text. */
[[nodiscard]] struct text token_read(const struct json *payload, struct text *token);

/* Has it checked: game.verified comes next. */
void token_ask(struct token_query *query, struct game_words *words, uint32_t member,
               struct text token, struct text correlation);

/* What the answer in game.verified must repeat; or empty. */
static inline struct text token_correlation(const struct token_query *query)
{
    return (struct text){query->correlation, query->correlation_size};
}
