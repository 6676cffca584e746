/* base/arena.h: all of a worker's memory, taken once at start. The same code runs twice: first over
 * a measuring arena that only adds up sizes, then over the real one. */
#pragma once
#include "base/bytes.h"

struct arena {
    uint8_t *memory; /* nullptr while measuring */
    size_t used;     /* bytes */
    size_t capacity; /* bytes */
};

/* Every piece starts on its own page, so what two owners touch never shares one. */
constexpr size_t arena_page = 4096;

/* An arena that gives nullptr and counts: its `used` is what arena_open must be asked for. */
struct arena arena_measure(void);

/* Reserves address space of `capacity` bytes, all zeros; the kernel gives pages only as they are
 * touched, and small ones, so that the first touch does not cost 2 MiB. False when it refuses. */
[[nodiscard]] bool arena_open(struct arena *arena, size_t capacity);

/* Gives the memory back to the kernel; nothing from it may be used afterwards. */
void arena_close(struct arena *arena);

/* `size` zero bytes aligned to a page, or nullptr while measuring. Never fails: the arena was
 * measured. */
void *arena_take(struct arena *arena, size_t size);
