/* base/mailbox.h: small messages from many threads to one, and the counts that threads share,
 * without a lock and without a system call.
 * You are here: between workers, which are one thread each and share nothing else. This and
 * mailbox.c are the only files with atomics.
 * Never: wakes anybody. It says when a wake is due; the caller writes to the receiver's eventfd. */
#pragma once
#include "base/arena.h"
#include "base/bucket.h"
#include <stdatomic.h>

/* What it means is between the two sides: `kind` says which of the others are in use. A pointer
 * lends or hands over what it points to; posting it makes what was written before visible. */
struct mail {
    uint32_t kind;
    uint32_t value;
    void *pointer;
    uint64_t number;
};

/* One place in the queue. `turn` says whose it is: in lap n (positions n * capacity and on) it is
 * 2n while free and 2n + 1 while it holds a mail, so untouched zeros are an empty mailbox. */
struct mailbox_cell {
    _Atomic uint64_t turn;
    struct mail mail;
};

/* Each side writes to cache lines of its own. */
struct mailbox {
    struct mailbox_cell *cells;
    uint32_t mask;                     /* capacity - 1 */
    uint32_t lap_shift;                /* a position shifted by this is its lap */
    alignas(64) _Atomic uint64_t tail; /* the next position to be claimed by a sender */
    alignas(64) _Atomic uint32_t rung; /* the doorbell: 1 from the first mail until mailbox_quiet */
    alignas(64) uint64_t head;         /* the next position to be taken; the receiver's alone */
};

enum mailbox_result : uint8_t {
    MAILBOX_POSTED,      /* a wake is already on its way */
    MAILBOX_POSTED_RING, /* posted, and the caller must wake the receiver: one of a burst is told */
    MAILBOX_FULL         /* not posted; the caller keeps the mail and tries again later */
};

/* Room for `capacity` mails, a power of two above 1. Before any other thread knows the box. May run
 * on a measuring arena; then the box is unusable. */
void mailbox_init(struct mailbox *box, struct arena *arena, uint32_t capacity);

/* Any thread, at any time; it never waits. Mails of one thread arrive in the order it posted them.
 *
 * No wake is lost when the receiver keeps to this order:
 *
 *     sender                              receiver, woken by its eventfd
 *     1. puts the mail into its cell      1. reads the eventfd: the next write wakes again
 *     2. rung: exchange for 1             2. mailbox_quiet: rung, exchange for 0
 *     3. if it was 0: POSTED_RING,        3. mailbox_take until it says false
 *        writes to the eventfd            4. may sleep until the eventfd wakes it
 *
 * A receiver that stops at step 3 before the box is empty must come back without being woken. It
 * may also take mails at any other time, and may be woken and find nothing. */
[[nodiscard]] enum mailbox_result mailbox_post(struct mailbox *box, struct mail mail);

/* The receiver's thread: from now on the next sender is told to wake it. Take all mails after
 * that. */
void mailbox_quiet(struct mailbox *box);

/* The receiver's thread: the oldest mail; false when there is none, or when its sender is not done
 * (it will ring). */
[[nodiscard]] bool mailbox_take(struct mailbox *box, struct mail *mail);

/* --- What comes home ------------------------------------------------------------------------- */

/* Lives in something that was lent by mail. It is its own place in the list of returns, so giving
 * back never fails. */
struct mailbox_return {
    struct mailbox_return *next;
    uint32_t kind; /* the lender's: what this lives in */
};

/* The lender's list: pushed to by any thread, taken whole by the lender. Zeros: empty. */
struct mailbox_returns {
    alignas(64) struct mailbox_return *_Atomic newest;
};

/* Any thread: gives one back; the giver may not touch it afterwards. The lender is not woken. */
void mailbox_return(struct mailbox_returns *returns, struct mailbox_return *back);

/* The lender's thread: all that came home, newest first, linked by `next`; nullptr when none
 * did. */
[[nodiscard]] struct mailbox_return *mailbox_take_returns(struct mailbox_returns *returns);

/* --- What all workers have a share of -------------------------------------------------------- */

/* A number of things that there may be at once, whoever has them. */
struct quota {
    alignas(64) _Atomic uint32_t taken;
    uint32_t most;
};

/* Any thread: one more; false when there are as many as may be. */
[[nodiscard]] bool quota_take(struct quota *quota);

/* Any thread: one less. */
void quota_give(struct quota *quota);

/* Any thread: true when none is left to take. What others did before they took theirs is
 * visible. */
[[nodiscard]] bool quota_is_used_up(struct quota *quota);

/* --- What each of very many has a share of -------------------------------------------------- */

/* Counts by key, whichever worker asks: how many of a key are inside, and how fast they come. A key
 * is a keyed 64-bit hash of what strangers choose, an address for example; two that are alike are
 * not told apart.
 *
 * An entry is one of a group of 16, which the key's low bits choose. It is nobody's while none of
 * its key is inside and its bucket is empty, and then goes to whoever needs one. Where all 16 are
 * in use, more keys are let through without being counted: a limit must not lock out who has done
 * nothing. */
struct turnstile_entry {
    _Atomic uint64_t key;   /* 0: never used */
    _Atomic uint64_t state; /* [20 bits: how many are inside][12: whose turn it is][32: bucket] */
};

struct turnstile {
    struct turnstile_entry *entries;
    uint32_t mask;        /* capacity - 1 */
    uint32_t inside_most; /* of one key; 0: no limit */
    struct rate arrivals; /* of one key */
};

enum turnstile_answer : uint8_t {
    TURNSTILE_COUNTED,   /* inside; turnstile_leave must follow */
    TURNSTILE_UNCOUNTED, /* inside, but there was no entry for it */
    TURNSTILE_FULL,      /* as many of this key are inside as may be */
    TURNSTILE_TOO_FAST,  /* this key's arrivals are over their rate */
};
constexpr size_t turnstile_answers = 4;

/* Room for at least `keys` keys, if they spread evenly. Before any other thread knows it. May
 * run on a measuring arena; then it is unusable. */
void turnstile_init(struct turnstile *turnstile, struct arena *arena, uint32_t keys);

/* Any thread: one of this key comes. Refused ones change nothing. Two that come at the same
 * moment by two threads, and are the first of their key, may use two entries: their rates then
 * begin apart, the number inside is one all the same. */
[[nodiscard]] enum turnstile_answer turnstile_enter(struct turnstile *turnstile, uint64_t key,
                                                    uint64_t now_ms);

/* Any thread: one comes and is gone, and is remembered as so many arrivals, 1 or more; not at all
 * where they would be more than may be. */
void turnstile_note(struct turnstile *turnstile, uint64_t key, uint64_t now_ms, uint32_t arrivals);

/* Any thread: how many arrivals of this key are remembered. */
[[nodiscard]] uint32_t turnstile_held(struct turnstile *turnstile, uint64_t key, uint64_t now_ms);

/* Any thread: one that was COUNTED goes. */
void turnstile_leave(struct turnstile *turnstile, uint64_t key);
