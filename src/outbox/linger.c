/* outbox/linger.c: events that wait a moment in their outboxes, so that several go in one send: the
 * one big lever on what a delivery costs.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 *   dirty > [ slice | slice | slice ] > due > flushed
 *     |       newest        oldest       ^
 *     |     a frame that must not wait   |
 *     +----------------------------------+
 *
 * Nothing waits for longer than the window, and what must not wait takes along what does: a
 * snapshot (a newer one would take its place), a control frame, a reply. An outbox that is full of
 * events as far as its own places go is due, too: so nobody takes storage or a rank for lingering,
 * and nobody is shed for it. */
#include "outbox/inside.h"
#include <assert.h>

static_assert((outbox_slices & (outbox_slices - 1)) == 0, "the index is masked");
static_assert(outbox_slices > outbox_slices_a_window + 1);

bool outbox_may_linger(const struct outbox *box)
{
    if (box->slots != nullptr || box->in_flight > 0 || box->head_sent > 0) return false;
    if (box->count >= outbox_inline_frames) return false;
    for (uint32_t i = 0; i < box->count; i++)
        if (box->few[(box->head + i) % outbox_inline_frames]->lane != FRAME_EVENT) return false;
    return true;
}

void outbox_hurry(struct outbox_set *set, struct outbox *box)
{
    if (outbox_may_linger(box)) return;
    list_remove(&box->dirty_link);
    list_push(&set->due, &box->dirty_link);
}

static uint32_t index_at(const struct outbox_window *window, uint32_t position)
{
    return (window->first + position) & (outbox_slices - 1);
}

static void end_first(struct outbox_set *set)
{
    struct outbox_window *window = &set->window;
    list_move_all(&set->due, &window->slices[window->first]);
    window->first = index_at(window, 1);
    window->count -= 1;
}

/* For those who begin to linger now. */
static struct list *slice_of(struct outbox_window *window, uint64_t now_ns)
{
    constexpr uint32_t parts = outbox_slices_a_window;
    uint64_t slice_ns = (window->size_ns + parts - 1) / parts;
    uint32_t last = index_at(window, window->count - 1);
    if (window->count == 0 || now_ns - window->begun_ns[last] >= slice_ns) {
        assert(window->count < outbox_slices); /* those that were due are gone */
        last = index_at(window, window->count++);
        window->begun_ns[last] = now_ns;
    }
    return &window->slices[last];
}

void outbox_linger(struct outbox_set *set, uint64_t now_ns)
{
    struct outbox_window *window = &set->window;
    while (window->count > 0 &&
           (!window->open || now_ns >= window->begun_ns[window->first] + window->size_ns))
        end_first(set);
    if (!window->open || list_is_empty(&set->dirty)) return;
    struct list *slice = slice_of(window, now_ns);
    list_each (link, &set->dirty) {
        if (!outbox_may_linger(list_entry(link, struct outbox, dirty_link))) continue;
        list_remove(link);
        list_push(slice, link);
        set->counters.lingered += 1;
    }
}

uint64_t outbox_due_ns(const struct outbox_set *set)
{
    const struct outbox_window *window = &set->window;
    for (uint32_t i = 0; i < window->count; i++) {
        uint32_t index = index_at(window, i);
        if (!list_is_empty(&window->slices[index]))
            return window->begun_ns[index] + window->size_ns;
    }
    return UINT64_MAX;
}
