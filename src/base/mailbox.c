#include "base/mailbox.h"
#include <assert.h>

/* Why this order of memory is enough.
 *
 * A mail is written and read between two changes of its cell's `turn`, each stored with release and
 * loaded with acquire by the other side. So a receiver that sees 2n + 1 sees the mail, and a sender
 * that sees 2n + 2 knows that the mail before it has been copied out. `tail` only hands out
 * positions: it orders nothing, so relaxed will do.
 *
 * The doorbell is changed by exchanges only, and all exchanges of one variable have one order. Take
 * a sender S that has put its mail, and a receiver R at mailbox_quiet.
 *   S before R: R's exchange reads what S, or an exchange after S, has stored. Those are reads and
 *       writes at once, so they pass the release of S on, and R acquires it: the mail was put
 *       before R's drain, which takes it.
 *   S after R: the first sender after R reads 0 and rings. The eventfd was read before R, so that
 *       ring wakes the receiver again, and the next drain takes the mail.
 * A plain store of 0, or a sender that looks at `rung` before it exchanges, would save a little and
 * break the first case: neither reads what the other has written.
 *
 * A sender that has claimed a cell and is not done holds back the mails behind it: mailbox_take
 * says false. They are not forgotten, because that sender has yet to do its exchange: S after R. */

void mailbox_init(struct mailbox *box, struct arena *arena, uint32_t capacity)
{
    assert(capacity > 1);
    assert((capacity & (capacity - 1)) == 0);
    box->cells = arena_take(arena, capacity * sizeof(struct mailbox_cell));
    box->mask = capacity - 1;
    box->lap_shift = (uint32_t)__builtin_ctz(capacity);
    box->head = 0;
    atomic_init(&box->tail, 0);
    atomic_init(&box->rung, 0);
}

static struct mailbox_cell *mailbox_cell(const struct mailbox *box, uint64_t position)
{
    assert(box->cells != nullptr);
    return &box->cells[position & box->mask];
}

/* The turn at which the cell of a position is free for it; one more while it holds the mail. */
static uint64_t mailbox_free_turn(const struct mailbox *box, uint64_t position)
{
    return 2 * (position >> box->lap_shift);
}

/* Claims the next position for this thread. False when its cell still belongs to the lap before. */
static bool mailbox_claim(struct mailbox *box, uint64_t *position)
{
    *position = atomic_load_explicit(&box->tail, memory_order_relaxed);
    while (true) {
        struct mailbox_cell *cell = mailbox_cell(box, *position);
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        uint64_t free_turn = mailbox_free_turn(box, *position);
        if (turn < free_turn) return false;
        if (turn > free_turn) { // another sender was faster
            *position = atomic_load_explicit(&box->tail, memory_order_relaxed);
            continue;
        }
        if (atomic_compare_exchange_weak_explicit(&box->tail, position, *position + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}

enum mailbox_result mailbox_post(struct mailbox *box, struct mail mail)
{
    uint64_t position;
    if (!mailbox_claim(box, &position)) return MAILBOX_FULL;
    struct mailbox_cell *cell = mailbox_cell(box, position);
    cell->mail = mail;
    uint64_t full_turn = mailbox_free_turn(box, position) + 1;
    atomic_store_explicit(&cell->turn, full_turn, memory_order_release);
    bool rung = atomic_exchange_explicit(&box->rung, 1, memory_order_acq_rel) != 0;
    return rung ? MAILBOX_POSTED : MAILBOX_POSTED_RING;
}

void mailbox_quiet(struct mailbox *box)
{
    (void)atomic_exchange_explicit(&box->rung, 0, memory_order_acq_rel);
}

bool mailbox_take(struct mailbox *box, struct mail *mail)
{
    struct mailbox_cell *cell = mailbox_cell(box, box->head);
    uint64_t full_turn = mailbox_free_turn(box, box->head) + 1;
    if (atomic_load_explicit(&cell->turn, memory_order_acquire) != full_turn) return false;
    *mail = cell->mail;
    atomic_store_explicit(&cell->turn, full_turn + 1, memory_order_release);
    box->head += 1;
    return true;
}

/* Release: what the borrower read and wrote comes before the lender's use. The lender takes the
 * whole list at once, so there is no window in which one is popped and pushed again (ABA). */
void mailbox_return(struct mailbox_returns *returns, struct mailbox_return *back)
{
    struct mailbox_return *newest = atomic_load_explicit(&returns->newest, memory_order_relaxed);
    do {
        back->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&returns->newest, &newest, back,
                                                    memory_order_release, memory_order_relaxed));
}

struct mailbox_return *mailbox_take_returns(struct mailbox_returns *returns)
{
    /* Most of the time nothing is there: a look costs less than an exchange. */
    if (atomic_load_explicit(&returns->newest, memory_order_relaxed) == nullptr) return nullptr;
    return atomic_exchange_explicit(&returns->newest, nullptr, memory_order_acquire);
}

/* Bounds need no order; workers that wait for each other do (quota_is_used_up). */
bool quota_take(struct quota *quota)
{
    uint32_t taken = atomic_load_explicit(&quota->taken, memory_order_relaxed);
    do {
        if (taken >= quota->most) return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->taken, &taken, taken + 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    return true;
}

void quota_give(struct quota *quota)
{
    uint32_t before = atomic_fetch_sub_explicit(&quota->taken, 1, memory_order_relaxed);
    assert(before > 0);
}

bool quota_is_used_up(struct quota *quota)
{
    return atomic_load_explicit(&quota->taken, memory_order_acquire) >= quota->most;
}
