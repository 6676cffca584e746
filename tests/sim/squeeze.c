/* tests/sim/squeeze.c: for a while a worker's pools have next to nothing left to give, as if
 * somebody else had it all. */
#include "sim_run.h"

constexpr uint32_t pools = frame_size_classes + 6;

static uint32_t capacities[sim_rings_max][pools];

static struct pool *pool_of(struct worker *worker, uint32_t index)
{
    struct pool *const others[] = {&worker->outboxes.storage,
                                   &worker->conns.message_buffers,
                                   &worker->conns.request_buffers,
                                   &worker->loans,
                                   &worker->parcels,
                                   &worker->errands};
    static_assert(pools == frame_size_classes + sizeof others / sizeof others[0]);
    return index < frame_size_classes ? &worker->frames.classes[index]
                                      : others[index - frame_size_classes];
}

void squeeze_begin(struct run *run)
{
    const struct plan *plan = &run->plan;
    sim_note(run->sim, "pools %x have no more than %u left", plan->squeezes & ((1u << pools) - 1),
             plan->squeeze_spare);
    run->squeezed = true;
    for (uint32_t i = 0; i < run->hub.worker_count * pools; i++) {
        struct pool *pool = pool_of(run->hub.workers[i / pools], i % pools);
        capacities[i / pools][i % pools] = pool->capacity;
        uint32_t left = pool->touched + plan->squeeze_spare;
        bool chosen = (plan->squeezes >> (i % pools) & 1) != 0;
        if (chosen && left < pool->capacity) pool->capacity = left;
    }
}

void squeeze_end(struct run *run)
{
    sim_note(run->sim, "pools have what they had");
    for (uint32_t i = 0; i < run->hub.worker_count * pools; i++)
        pool_of(run->hub.workers[i / pools], i % pools)->capacity =
            capacities[i / pools][i % pools];
}
