/* outbox/shed.c: who owes how much, and who goes when all together owe too much.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 *   ranked[8]   1 MiB and more     A
 *   ranked[7]   512 KiB            -
 *     ...                                      the worst: the first of the highest list
 *   ranked[0]   below 8 KiB        B > C > D       that is not empty
 *
 * An outbox is ranked while it holds storage, and that keeps the link: so those whom frames only
 * pass through have no place for one, and cost nothing here. */
#include "outbox/inside.h"
#include <assert.h>

static uint8_t rank_of(uint32_t bytes)
{
    if (bytes < 2 * outbox_rank_bytes) return 1;
    uint32_t rank = 0;
    for (uint32_t owed = bytes / outbox_rank_bytes; owed > 0; owed /= 2)
        rank += 1;
    return (uint8_t)(rank < outbox_ranks ? rank : outbox_ranks);
}

static void enter(struct outbox_set *set, struct outbox *box, uint8_t rank)
{
    list_push(&set->ranked[rank - 1], &box->rank_link);
    box->rank = rank;
}

void outbox_rank_begin(struct outbox_set *set, struct outbox *box)
{
    box->rank_link = (struct list){};
    enter(set, box, rank_of(box->bytes));
}

void outbox_rank_end(struct outbox_set *set, struct outbox *box)
{
    if (is_shed(box)) {
        set->storage_leaving -= 1;
        set->memory_leaving -= box->memory_leaving;
    } else if (!is_unranked(box)) {
        list_remove(&box->rank_link);
    }
}

void outbox_rank(struct outbox_set *set, struct outbox *box)
{
    if (box->slots == nullptr) {
        /* Without storage it cannot be named, but then it holds four frames at most. */
        if (box->bytes >= outbox_rank_bytes) (void)!outbox_grow(set, box);
        return;
    }
    if (is_unranked(box)) return;
    uint8_t rank = rank_of(box->bytes);
    if (rank == box->rank) return;
    list_remove(&box->rank_link);
    enter(set, box, rank);
}

bool outbox_is_over(const struct outbox_set *set)
{
    uint32_t capacity = set->storage.capacity;
    return set->bytes_owed > set->bytes_owed_max ||
           set->storage.in_use - set->storage_leaving > capacity - capacity / 16;
}

struct outbox *outbox_worst(struct outbox_set *set)
{
    for (uint32_t i = outbox_ranks; i > 0; i--)
        if (!list_is_empty(&set->ranked[i - 1]))
            return list_entry(set->ranked[i - 1].next, struct outbox, rank_link);
    return nullptr;
}

void outbox_spare(struct outbox_set *, struct outbox *box)
{
    assert(box->slots != nullptr && !is_unranked(box));
    list_remove(&box->rank_link);
    box->rank = outbox_rank_spared;
}

void outbox_shed(struct outbox_set *set, struct outbox *box)
{
    assert(box->slots != nullptr && !is_unranked(box));
    list_remove(&box->rank_link);
    box->rank = outbox_rank_shed;
    set->bytes_owed -= box->bytes;
    set->bytes_leaving += box->bytes;
    set->storage_leaving += 1;
    set->counters.dropped_shed += outbox_drop_unsent(set, box);
    if (box->slots == nullptr) return; /* nothing was pinned: it has left already */
    box->memory_leaving = 0;
    for (uint32_t i = 0; i < box->count; i++)
        if ((*slot_at(box, i))->refs == 1)
            box->memory_leaving += frame_memory(set->frames, *slot_at(box, i));
    set->memory_leaving += box->memory_leaving;
}

void outbox_set_trim(struct outbox_set *set)
{
    (void)!pool_trim(&set->storage);
    frame_pool_trim(set->frames);
}
