/* base/pool.h: equal objects, taken and given back, lazily touched: what was never taken costs no
 * memory. The last one given is the next one taken, so a small load stays in few pages. */
#pragma once
#include "base/arena.h"

struct pool {
    uint8_t *memory;
    size_t object_size;  /* bytes, a multiple of 16 */
    uint32_t capacity;   /* objects */
    uint32_t touched;    /* objects that were ever taken */
    uint32_t in_use;     /* objects out now */
    uint32_t free_first; /* index of the first free touched object, or pool_none */
    uint32_t trim_below; /* pool_trim looks again when no more than this are out */
};
constexpr uint32_t pool_none = UINT32_MAX;

/* Reserves room for `capacity` objects of at least `object_size` bytes. May run on a measuring
 * arena; then the pool is unusable. */
void pool_init(struct pool *pool, struct arena *arena, size_t object_size, uint32_t capacity);

/* An object, or nullptr when all are out. Its first 8 bytes are undefined; the rest is zero at
 * first, later what it last held or, after pool_trim, zero again. */
[[nodiscard]] void *pool_take(struct pool *pool);

/* Gives an object back; its first 8 bytes now belong to the pool. */
void pool_give(struct pool *pool, void *object);

/* The same for a large object that is not soon taken again: all its pages but the first go back to
 * the kernel. */
void pool_give_pages(struct pool *pool, void *object);

/* Gives the memory behind the last object in use back to the kernel, when no more than a quarter of
 * what was touched is in use and it is worth a system call. It looks at every touched object, but
 * asks of the same crowd only a few times, so it may be called whenever something has come home.
 * True when memory was given back. */
bool pool_trim(struct pool *pool);

/* An object's number, below capacity, and the object of a number. */
static inline uint32_t pool_index(const struct pool *pool, const void *object)
{
    return (uint32_t)((size_t)((const uint8_t *)object - pool->memory) / pool->object_size);
}

static inline void *pool_at(const struct pool *pool, uint32_t index)
{
    return pool->memory + (size_t)index * pool->object_size;
}
