#include "base/pool.h"
#include <assert.h>
#include <stdckdint.h>

/* What the first bytes of a free object hold. */
struct pool_free {
    uint32_t next; /* index, or pool_none */
    uint32_t mark; /* ~ its own index: an object that is given and bears it may be free already */
};
static_assert(sizeof(struct pool_free) == 8, "the header promises 8 bytes");

static struct pool_free free_read(const struct pool *pool, uint32_t index)
{
    struct pool_free entry;
    memcpy(&entry, pool_at(pool, index), sizeof entry);
    return entry;
}

/* Walks the whole list, so it is asked only when the mark is there: by a bug, or once in 2^32. */
static bool pool_is_free(const struct pool *pool, uint32_t index)
{
    uint32_t at = pool->free_first;
    while (at != pool_none && at != index)
        at = free_read(pool, at).next;
    return at == index;
}

void pool_init(struct pool *pool, struct arena *arena, size_t object_size, uint32_t capacity)
{
    assert(object_size > 0);
    assert(capacity < pool_none);
    size_t rounded = (object_size + 15) & ~(size_t)15;
    size_t total;
    bool too_large = ckd_mul(&total, rounded, (size_t)capacity);
    assert(!too_large);
    *pool = (struct pool){.memory = arena_take(arena, total),
                          .object_size = rounded,
                          .capacity = capacity,
                          .free_first = pool_none};
}

void *pool_take(struct pool *pool)
{
    assert(pool->memory != nullptr);
    uint32_t index = pool->free_first;
    if (index != pool_none) {
        pool->free_first = free_read(pool, index).next;
    } else {
        if (pool->touched == pool->capacity) return nullptr;
        index = pool->touched++;
    }
    pool->in_use += 1;
    return pool_at(pool, index);
}

void pool_give(struct pool *pool, void *object)
{
    assert(pool->in_use > 0);
    assert((uint8_t *)object >= pool->memory);
    uint32_t index = pool_index(pool, object);
    assert(index < pool->touched);
    assert(object == pool_at(pool, index)); // not a pointer into the middle of one
    assert(free_read(pool, index).mark != ~index || !pool_is_free(pool, index)); // given twice
    struct pool_free entry = {.next = pool->free_first, .mark = ~index};
    memcpy(object, &entry, sizeof entry);
    pool->free_first = index;
    pool->in_use -= 1;
}
