/* game/words.h: what a game says because of one input: messages in order, and for whom each is.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Each message is whole, in the kind's dialect, and written once however many get it: the hub makes
 * one frame of it. The bytes lie one behind the other in memory that the hub lends.
 *
 * Most kinds say a few messages. One that says hundreds in a tick asks for more memory
 * (game.needs), and then has two further ways:
 *
 *   words_begin_some   a message to a list of members; when the memory is full, what has been said
 *                      so far is delivered, and the game goes on
 *   words_begin_part   a part of what members are shown: the newest of its key counts, so an unsent
 *                      older one makes way for it. It goes to nobody by itself: words_gather says
 *                      who gets which parts, in which order, in one send */
#pragma once
#include "base/bytes.h"

constexpr uint32_t game_messages_max = 16; /* because of one input, of most kinds */

enum game_audience : uint8_t {
    GAME_TO_ALL,
    GAME_TO_OTHERS, /* all but one */
    GAME_TO_ONE,
    GAME_TO_SOME,      /* a list */
    GAME_TO_GATHERERS, /* a part */
    GAME_TO_LOG,       /* the operator; a line of `key=value` words */
};

struct game_message {
    uint32_t start, size; /* in words.out */
    /* TO_OTHERS: who does not get it; TO_ONE: who gets it; TO_SOME: how many do; TO_GATHERERS: the
     * part's key, from 1 */
    uint32_t member;
    uint32_t list; /* TO_SOME: where in words.numbers they begin */
    enum game_audience audience;
};

/* What was too much of an input, for the hub to count. */
enum game_limit : uint8_t {
    GAME_LIMIT_NONE,
    GAME_LIMIT_CHAT,
    GAME_LIMIT_ROOM_CHAT,
    GAME_LIMIT_STATE,
};
constexpr size_t game_limits = 4;

/* The input was of none of the kind's types of messages. */
constexpr uint32_t game_type_unknown = UINT32_MAX;

/* Members who get the same parts. All four are about words.numbers: where those members begin, and
 * where the parts do, each a place in words.messages. */
struct game_gathering {
    uint32_t members, member_count;
    uint32_t parts, part_count;
};
constexpr uint32_t game_gather_max = 64; /* parts for one member */

/* How much a game may say at once. */
struct words_size {
    size_t bytes; /* of all messages together */
    /* of one that is begun with words_begin: what was said before is delivered when less is
     * left; 0: that never is */
    size_t message_bytes;
    uint32_t messages, numbers, gatherings;
};

/* Why a game wants a member gone; each is a close code (conn/reasons.h). */
enum game_dismissal : uint8_t {
    GAME_DISMISS_MISBEHAVED, /* it sent too much that means nothing */
    GAME_DISMISS_EXPIRED,    /* what let it in is no longer valid */
    GAME_DISMISS_REPLACED,   /* whoever it is has come again, on another connection */
    GAME_DISMISS_FORBIDDEN,  /* it showed a token of somebody else */
    /* it went on after it had been refused for its rate, again and again, or had tokens checked too
     * often (game_token_rate) */
    GAME_DISMISS_FLOODED,
    GAME_DISMISS_KICKED,  /* whoever keeps the rules does not want it here */
    GAME_DISMISS_UNKNOWN, /* it showed no good token when that was wanted */
    GAME_DISMISS_SILENT,  /* it showed none in time */
    GAME_DISMISS_CROWDED, /* there is no place for it now */
    GAME_DISMISS_CHEATED, /* it did what the rules forbid, too often */
};
constexpr size_t game_dismissals = 10;
constexpr uint32_t game_flood_retry_ms = 20'000; /* when who FLOODED should come back */
constexpr size_t game_dismissed_max = 16;        /* because of one input */

/* What words_verify asks for. */
struct words_token {
    bool is_asked;
    uint32_t member;
    struct text token;
};

struct game_words {
    struct writer out;
    uint32_t count; /* messages */
    uint32_t dismissed_count;
    uint32_t heard;        /* the input's place among the kind's types, or game_type_unknown */
    enum game_limit limit; /* what the input was refused for */
    bool over; /* the game is at its end: once all is said the hub closes members and room */
    uint32_t ticks, overruns; /* how often its clock has ticked by this input, and has failed to */
    struct words_token asked;
    struct game_message *messages;
    uint32_t *numbers; /* of members, and of messages */
    struct game_gathering *gatherings;
    uint32_t number_count, gathering_count;
    struct words_size most;
    /* Delivers what has been said so far, none of it parts; then nothing is said again. nullptr:
     * the memory is enough for whatever the game says. */
    void (*deliver)(struct game_words *words);
    void *hub; /* for that */
    struct {
        uint32_t member;
        enum game_dismissal why;
    } dismissed[game_dismissed_max]; /* once all is said the hub closes them, and has them leave */
};

/* Of `memory` so many bytes are for the list of messages, the rest is for their text. */
constexpr size_t words_list_size = game_messages_max * sizeof(struct game_message);

/* Nothing is said yet, and there may be game_messages_max messages. `memory` is lent for as long as
 * the words are used; a uint32_t may begin where it does. */
struct game_words words_over(struct bytes memory);

/* The same for a game that says much; how much memory that takes. */
struct game_words words_over_much(struct bytes memory, struct words_size size);
size_t words_memory_size(struct words_size size);

/* Begins a message; its text is written to the writer that is returned, up to words_end. `member`
 * means nothing for TO_ALL. More messages than there may be are a mistake of the game. */
struct writer *words_begin(struct game_words *words, enum game_audience audience, uint32_t member);

/* Room for the numbers of up to `count` members; what is written there counts for the next
 * words_begin_some or words_gather. Delivers what has been said when there is too little, unless
 * parts have been. */
uint32_t *words_room(struct game_words *words, uint32_t count);

/* Begins a message to the first `count` members in words_room, of `size` bytes at most. Where that
 * does not fit delivers what was said before. */
struct writer *words_begin_some(struct game_words *words, uint32_t count, size_t size);

/* The same for one more message to those whom the last one was for; nothing may have been said
 * since that was begun. */
struct writer *words_begin_again(struct game_words *words, size_t size);

/* From here on parts are said: delivers everything else. */
void words_begin_parts(struct game_words *words);

/* Begins a part with a key from 1 on; the caller's bounds keep all parts within the memory.
 * Messages are counted from words.count at this call. */
struct writer *words_begin_part(struct game_words *words, uint32_t key);

/* The first `count` members in words_room get the parts at these places in words.messages,
 * game_gather_max at most, in this order; `parts` is copied. */
void words_gather(struct game_words *words, uint32_t count, const uint32_t *parts,
                  uint32_t part_count);

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
