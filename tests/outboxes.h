/* tests/outboxes.h: a worker's frames and outboxes without the worker: what tests of outbox/ and
 * room/ begin with, each file with its own. */
#pragma once
#include "check.h"
#include "outbox/outbox.h"
#include <stdlib.h>

static struct arena arena;
static struct frame_pool frames;
static struct outbox_set set;

static inline void outboxes_reserve(struct arena *from, size_t budget, uint32_t storages)
{
    frame_pool_init(&frames, from, budget);
    outbox_set_init(&set, from, &frames, storages);
}

/* `budget` bytes of frames of each size; `storages` outboxes may be long. */
static inline void outboxes_begin(size_t budget, uint32_t storages)
{
    struct arena measured = arena_measure();
    outboxes_reserve(&measured, budget, storages);
    if (!arena_open(&arena, measured.used)) abort();
    outboxes_reserve(&arena, budget, storages);
}

/* Everything must have come home. */
static inline void outboxes_end(void)
{
    EXPECT_EQ(frames.live, 0);
    EXPECT_EQ(frames.bytes_in_use, 0);
    EXPECT_EQ(frames.bytes_of_twins, 0);
    EXPECT_EQ(set.storage.in_use, 0);
    EXPECT_EQ(set.bytes_owed, 0);
    EXPECT(list_is_empty(&set.dirty));
    arena_close(&arena);
}
