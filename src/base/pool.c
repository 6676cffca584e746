#include "base/pool.h"
#include <assert.h>
#include <stdckdint.h>
#include <sys/mman.h>

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
        struct pool_free entry = free_read(pool, index);
        pool->free_first = entry.next;
        entry.mark = 0; /* what is out does not look free, even while its owner has not written */
        memcpy(pool_at(pool, index), &entry, sizeof entry);
    } else {
        if (pool->touched == pool->capacity) return nullptr;
        index = pool->touched++;
        pool->trim_below = pool->touched / 4;
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

static bool has_mark(const struct pool *pool, uint32_t index)
{
    return free_read(pool, index).mark == ~index;
}

/* One more than the last object in use; `touched` when that cannot be told, because an owner's
 * bytes look like a mark: every free object has one, so then there are more marks than free
 * objects. */
static uint32_t used_end(const struct pool *pool)
{
    uint32_t marks = 0, end = 0;
    for (uint32_t i = 0; i < pool->touched; i++) {
        if (has_mark(pool, i))
            marks += 1;
        else
            end = i + 1;
    }
    return marks == pool->touched - pool->in_use ? end : pool->touched;
}

/* Makes the list of free objects anew from the marks before `end`, the lowest first. */
static void relink(struct pool *pool, uint32_t end)
{
    pool->free_first = pool_none;
    for (uint32_t i = end; i > 0; i--) {
        if (!has_mark(pool, i - 1)) continue;
        struct pool_free entry = {.next = pool->free_first, .mark = ~(i - 1)};
        memcpy(pool_at(pool, i - 1), &entry, sizeof entry);
        pool->free_first = i - 1;
    }
}

static size_t page_up(size_t size)
{
    return (size + arena_page - 1) & ~(arena_page - 1);
}

void pool_give_pages(struct pool *pool, void *object)
{
    pool_give(pool, object);
    size_t start = (size_t)((uint8_t *)object - pool->memory);
    size_t from = page_up(start + sizeof(struct pool_free));
    size_t to = (start + pool->object_size) & ~(arena_page - 1);
    if (from < to) (void)!madvise(pool->memory + from, to - from, MADV_DONTNEED);
}

bool pool_trim(struct pool *pool)
{
    constexpr size_t worth = 4 * arena_page;
    if (pool->in_use > pool->trim_below || pool->touched * pool->object_size <= worth) return false;
    uint32_t end = pool->in_use > 0 ? used_end(pool) : 0;
    pool->trim_below = pool->in_use / 2;
    size_t from = page_up(end * pool->object_size);
    size_t to = page_up(pool->touched * pool->object_size);
    if (to - from < worth) return false;
    relink(pool, end);
    pool->touched = end;
    /* Where pages are larger than arena_page the kernel may refuse: then the memory stays ours. */
    return madvise(pool->memory + from, to - from, MADV_DONTNEED) == 0;
}
