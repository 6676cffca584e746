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

/* Why an entry of a turnstile is never taken for another key's.
 *
 *   free > busy > in use > ... > free        each change is one exchange of `state`
 *
 * A key is only written while its entry is busy, and to make it busy begins a new turn. Whoever
 * changes an entry has read its state first, then its key, and exchanges the very state that it
 * has read: when that succeeds, no turn has begun in between, so the key was of this turn. (The
 * acquire keeps the two reads in order; the release that ends the busy time publishes the key.)
 * A thread that sleeps between the reads and the exchange for exactly 4,096 turns of one entry,
 * or a multiple of it, and then finds the same count and bucket, would be wrong; the damage is a
 * count that is off by one. */

constexpr uint32_t group_size = 16;
constexpr uint32_t inside_shift = 44, turn_shift = 32;
constexpr uint64_t inside_one = 1ull << inside_shift;
constexpr uint64_t turn_mask = 0xFFFull << turn_shift;
constexpr uint32_t inside_busy = 0xFFFFF; /* the key is being written */

static uint32_t inside_of(uint64_t state)
{
    return (uint32_t)(state >> inside_shift);
}

static uint64_t state_of(uint32_t inside, uint64_t turn, uint32_t bucket)
{
    return (uint64_t)inside << inside_shift | (turn & turn_mask) | bucket;
}

void turnstile_init(struct turnstile *turnstile, struct arena *arena, uint32_t keys)
{
    uint32_t capacity = group_size;
    while (capacity < 2ull * keys)
        capacity *= 2;
    turnstile->entries = arena_take(arena, (size_t)capacity * sizeof *turnstile->entries);
    turnstile->mask = capacity - 1;
}

/* What one look at a key's group has found. */
struct group_view {
    struct turnstile_entry *own, *free; /* nullptr: none */
    uint64_t own_state, free_state;
    uint32_t inside; /* of the key, in all its entries */
};

static struct turnstile_entry *group_of(struct turnstile *turnstile, uint64_t key)
{
    return &turnstile->entries[(key & turnstile->mask) & ~(uint64_t)(group_size - 1)];
}

static struct group_view look(struct turnstile *turnstile, uint64_t key, uint64_t now_ms)
{
    struct group_view view = {};
    struct turnstile_entry *group = group_of(turnstile, key);
    for (uint32_t i = 0; i < group_size; i++) {
        uint64_t state = atomic_load_explicit(&group[i].state, memory_order_acquire);
        if (inside_of(state) == inside_busy) continue;
        uint64_t found = atomic_load_explicit(&group[i].key, memory_order_relaxed);
        bool idle =
            inside_of(state) == 0 &&
            (found == 0 || bucket_drained_ms((uint32_t)state, turnstile->arrivals, now_ms) == 0);
        if (found == key) {
            view.inside += inside_of(state);
            if (view.own == nullptr) view.own = &group[i], view.own_state = state;
        } else if (idle && view.free == nullptr) {
            view.free = &group[i], view.free_state = state;
        }
    }
    return view;
}

static bool replace(struct turnstile_entry *entry, uint64_t seen, uint64_t state)
{
    return atomic_compare_exchange_strong_explicit(&entry->state, &seen, state,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* Makes a free entry the key's. False when another thread was faster. */
static bool claim(struct group_view *view, uint64_t key, uint32_t bucket)
{
    uint64_t turn = view->free_state + (1ull << turn_shift);
    if (!replace(view->free, view->free_state, state_of(inside_busy, turn, 0))) return false;
    atomic_store_explicit(&view->free->key, key, memory_order_relaxed);
    atomic_store_explicit(&view->free->state, state_of(1, turn, bucket), memory_order_release);
    return true;
}

static enum turnstile_answer enter(struct turnstile *turnstile, uint64_t key, uint64_t now_ms,
                                   uint32_t arrivals)
{
    if (key == 0) key = 1;
    uint32_t most = turnstile->inside_most;
    if (most == 0 || most >= inside_busy) most = inside_busy - 1;
    for (;;) {
        struct group_view view = look(turnstile, key, now_ms);
        if (view.inside >= most) return TURNSTILE_FULL;
        if (view.own == nullptr && view.free == nullptr) return TURNSTILE_UNCOUNTED;
        uint32_t bucket = view.own != nullptr ? (uint32_t)view.own_state : 0;
        if (!bucket_take(&bucket, turnstile->arrivals, now_ms, arrivals)) return TURNSTILE_TOO_FAST;
        bool entered =
            view.own == nullptr
                ? claim(&view, key, bucket)
                : replace(view.own, view.own_state,
                          state_of(inside_of(view.own_state) + 1, view.own_state, bucket));
        if (entered) return TURNSTILE_COUNTED;
    }
}

enum turnstile_answer turnstile_enter(struct turnstile *turnstile, uint64_t key, uint64_t now_ms)
{
    return enter(turnstile, key, now_ms, 1);
}

/* One of the key's entries counts at least one, but while we look at them in turn, others may take
 * from one and add to another: then we look again. */
void turnstile_leave(struct turnstile *turnstile, uint64_t key)
{
    if (key == 0) key = 1;
    struct turnstile_entry *group = group_of(turnstile, key);
    constexpr uint32_t looks_max = 1u << 20; /* see above: a count may be lost, a thread may not */
    for (uint32_t look = 0; look < looks_max; look++) {
        struct turnstile_entry *entry = &group[look % group_size];
        uint64_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
        if (inside_of(state) == 0 || inside_of(state) == inside_busy) continue;
        if (atomic_load_explicit(&entry->key, memory_order_relaxed) != key) continue;
        if (replace(entry, state, state - inside_one)) return;
    }
}

void turnstile_note(struct turnstile *turnstile, uint64_t key, uint64_t now_ms, uint32_t arrivals)
{
    if (enter(turnstile, key, now_ms, arrivals) == TURNSTILE_COUNTED)
        turnstile_leave(turnstile, key);
}

uint32_t turnstile_held(struct turnstile *turnstile, uint64_t key, uint64_t now_ms)
{
    struct group_view view = look(turnstile, key != 0 ? key : 1, now_ms);
    if (view.own == nullptr) return 0;
    return bucket_level((uint32_t)view.own_state, turnstile->arrivals, now_ms);
}
