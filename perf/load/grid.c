#include "grid.h"
#include "trouble.h"
#include <assert.h>
#include <stdlib.h>

constexpr size_t ahead_max = 1U << 20;

void grid_init(struct grid *grid, uint64_t tick_ns)
{
    assert(tick_ns > 0);
    *grid = (struct grid){.tick_ns = tick_ns};
}

void grid_deinit(struct grid *grid)
{
    free(grid->ticks);
    *grid = (struct grid){};
}

void grid_restart(struct grid *grid)
{
    free(grid->ticks);
    grid_init(grid, grid->tick_ns);
}

static void grow(struct grid *grid, size_t count)
{
    if (count > grid->capacity) {
        size_t capacity = count * 2 + 64;
        struct grid_tick *ticks = realloc(grid->ticks, capacity * sizeof *ticks);
        if (ticks == nullptr) give_up("no memory for the ticks");
        grid->ticks = ticks;
        grid->capacity = capacity;
    }
    while (grid->count < count)
        grid->ticks[grid->count++] = (struct grid_tick){};
}

/* Whole ticks from the anchor to a time, rounded down; negative before the anchor. */
static int64_t slot_at(const struct grid *grid, uint64_t time_ns)
{
    if (time_ns >= grid->anchor_ns) return (int64_t)((time_ns - grid->anchor_ns) / grid->tick_ns);
    return -1 - (int64_t)((grid->anchor_ns - time_ns - 1) / grid->tick_ns);
}

static uint64_t time_of(const struct grid *grid, int64_t slot)
{
    return grid->anchor_ns + (uint64_t)slot * grid->tick_ns;
}

/* A new latest state. It fills the slot in which it was encoded, unless it came a little before the
 * slot that follows its predecessor's: then that one is meant, and the whole grid was late. */
static int64_t slot_of_latest(struct grid *grid, const struct grid_tick *before, size_t steps,
                              uint64_t encoded_ns)
{
    int64_t slot = slot_at(grid, encoded_ns);
    int64_t expected = before->slot + (int64_t)steps;
    if (slot != expected - 1) return slot;
    uint64_t early_ns = time_of(grid, expected) - encoded_ns;
    if (early_ns > grid->tick_ns / 2) return slot;
    grid->anchor_ns -= early_ns;
    grid->moved_ns += early_ns;
    return expected;
}

/* The latest tick that is known before `index`. */
static size_t known_before(const struct grid *grid, size_t index)
{
    assert(index > 0);
    do {
        index -= 1;
    } while (grid->ticks[index].encoded_ns == 0);
    return index;
}

enum grid_answer grid_note(struct grid *grid, uint64_t sequence, uint64_t encoded_ns)
{
    if (grid->count == 0) {
        grow(grid, 1);
        grid->first_sequence = sequence;
        grid->anchor_ns = encoded_ns;
        grid->ticks[0] = (struct grid_tick){.encoded_ns = encoded_ns};
        return GRID_KNOWN;
    }
    if (sequence < grid->first_sequence) return GRID_BEFORE;
    if (sequence - grid->first_sequence >= grid->count + ahead_max) return GRID_FAR_AHEAD;
    size_t index = (size_t)(sequence - grid->first_sequence);
    bool latest = index >= grid->count;
    if (latest) grow(grid, index + 1);
    struct grid_tick *tick = &grid->ticks[index];
    if (tick->encoded_ns != 0) return tick->encoded_ns == encoded_ns ? GRID_KNOWN : GRID_CONFLICT;
    size_t before = known_before(grid, index);
    tick->encoded_ns = encoded_ns;
    tick->slot = latest ? slot_of_latest(grid, &grid->ticks[before], index - before, encoded_ns)
                        : slot_at(grid, encoded_ns);
    return GRID_KNOWN;
}

uint64_t grid_due_ns(const struct grid *grid, uint64_t sequence)
{
    assert(sequence >= grid->first_sequence && sequence - grid->first_sequence < grid->count);
    return time_of(grid, grid->ticks[sequence - grid->first_sequence].slot);
}

uint64_t grid_gap_ns(const struct grid *grid, uint64_t time_ns)
{
    uint64_t gap = time_of(grid, slot_at(grid, time_ns)) + grid->tick_ns / 2;
    return gap >= time_ns ? gap : gap + grid->tick_ns;
}

uint64_t grid_count(const struct grid *grid, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t count = 0;
    for (size_t i = 0; i < grid->count; i++)
        count += grid->ticks[i].encoded_ns >= begin_ns && grid->ticks[i].encoded_ns < end_ns;
    return count;
}
