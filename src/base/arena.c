#include "base/arena.h"
#include <assert.h>
#include <stdckdint.h>
#include <sys/mman.h>

/* False when the rounded size is not a size any more. */
static bool page_up(size_t size, size_t *rounded)
{
    if (ckd_add(rounded, size, arena_page - 1)) return false;
    *rounded &= ~(arena_page - 1);
    return true;
}

struct arena arena_measure(void)
{
    return (struct arena){.capacity = SIZE_MAX};
}

bool arena_open(struct arena *arena, size_t capacity)
{
    *arena = (struct arena){};
    size_t size;
    if (!page_up(capacity > 0 ? capacity : 1, &size)) return false;
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    (void)!madvise(memory, size,
                   MADV_NOHUGEPAGE); /* a kernel without huge pages refuses: as well */
    *arena = (struct arena){.memory = memory, .capacity = size};
    return true;
}

void arena_close(struct arena *arena)
{
    if (arena->memory != nullptr) {
        int refused = munmap(arena->memory, arena->capacity);
        assert(refused == 0);
    }
    *arena = (struct arena){};
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded;
    bool fits = page_up(size, &rounded);
    assert(fits);
    assert(rounded <= arena->capacity - arena->used);
    uint8_t *taken = arena->memory != nullptr ? arena->memory + arena->used : nullptr;
    arena->used += rounded;
    return taken;
}
