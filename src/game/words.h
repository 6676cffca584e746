/* game/words.h: what a game says because of one input: messages in order, and for whom each is.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Each message is whole, in the kind's dialect, and written once however many get it: the hub makes
 * one frame of it. The bytes lie one behind the other in memory that the hub lends. */
#pragma once
#include "base/bytes.h"

constexpr size_t game_messages_max = 16; /* because of one input */

enum game_audience : uint8_t {
    GAME_TO_ALL,
    GAME_TO_OTHERS, /* all but one */
    GAME_TO_ONE,
};

struct game_message {
    uint32_t start, size; /* in words.out */
    uint32_t member;      /* TO_OTHERS: who does not get it; TO_ONE: who gets it */
    enum game_audience audience;
};

/* Why a game wants a member gone; each is a close code (conn/reasons.h). */
enum game_dismissal : uint8_t {
    GAME_DISMISS_MISBEHAVED, /* it sent too much that means nothing */
    GAME_DISMISS_EXPIRED,    /* what let it in is no longer valid */
    GAME_DISMISS_REPLACED,   /* whoever it is has come again, on another connection */
    GAME_DISMISS_FORBIDDEN,  /* it showed a token of somebody else */
    GAME_DISMISS_FLOODED,    /* it had tokens checked too often; see game_token_rate */
};
constexpr size_t game_dismissals = 5;
constexpr size_t game_dismissed_max = 16; /* because of one input */

/* What words_verify asks for. */
struct words_token {
    bool is_asked;
    uint32_t member;
    struct text token;
};

struct game_words {
    struct writer out;
    uint32_t count;
    uint32_t dismissed_count;
    bool over; /* the game is at its end: once all is said the hub closes members and room */
    struct words_token asked;
    struct game_message messages[game_messages_max];
    struct {
        uint32_t member;
        enum game_dismissal why;
    } dismissed[game_dismissed_max]; /* once all is said the hub closes them, and has them leave */
};

/* Nothing is said yet. `memory` is lent for as long as the words are used. */
struct game_words words_over(struct bytes memory);

/* Begins a message; its text is written to the writer that is returned, up to words_end. `member`
 * means nothing for TO_ALL. More than game_messages_max is a mistake of the game. */
struct writer *words_begin(struct game_words *words, enum game_audience audience, uint32_t member);

/* The message is whole. That it did not fit into the memory is a mistake of the game: what one
 * input makes it say is bounded. */
void words_end(struct game_words *words);

/* The message that was just ended goes to one more member: the same bytes, in the same frame. */
void words_also(struct game_words *words, uint32_t member);

/* Has a member go. More than game_dismissed_max is a mistake of the game. */
void words_dismiss(struct game_words *words, uint32_t member, enum game_dismissal why);

/* Has a token checked that the member whose message this is about has sent; at most one because of
 * a message (game.receive), and none because of any other input. Once all is said the hub checks it
 * by the rules of the door (hub/verify.h), and game.verified is told what came of it, unless the
 * member is gone by then. `token` is borrowed up to there: it may lie in the message, or in the
 * memory to read it in. */
void words_verify(struct game_words *words, uint32_t member, struct text token);

/* The text of a message. */
struct text words_text(const struct game_words *words, const struct game_message *message);
