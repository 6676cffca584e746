/* ring/sim_time.c: what happens next, and what has happened. */
#include "ring/sim_inside.h"
#include <stdarg.h>
#include <stdio.h>

/* --- A heap of what is due, by time and then by age ------------------------------------------- */

static bool is_before(const struct sim_due *left, const struct sim_due *right)
{
    if (left->at_ns != right->at_ns) return left->at_ns < right->at_ns;
    return left->sequence < right->sequence;
}

/* What is far off is looked at again on the way: most of it is moved before, and would else lie in
 * the heap until its time. */
static uint64_t no_later(const struct sim *sim, uint64_t at_ns)
{
    constexpr uint64_t far_ns = 50'000'000;
    return at_ns > sim->now_ns + far_ns ? sim->now_ns + far_ns : at_ns;
}

void sim_push(struct sim *sim, enum sim_due_kind kind, uint32_t index, uint32_t generation,
              uint64_t at_ns)
{
    SIM_MUST(sim, sim->heap_count < sim_heap_max, "the simulation has too much to do");
    struct sim_due due = {.at_ns = no_later(sim, at_ns),
                          .wanted_ns = at_ns,
                          .sequence = sim->sequence++,
                          .index = index,
                          .generation = generation,
                          .kind = kind};
    uint32_t place = sim->heap_count++;
    while (place > 0 && is_before(&due, &sim->heap[(place - 1) / 2])) {
        sim->heap[place] = sim->heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    sim->heap[place] = due;
}

static struct sim_due pop(struct sim *sim)
{
    struct sim_due first = sim->heap[0], last = sim->heap[--sim->heap_count];
    uint32_t place = 0;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= sim->heap_count) break;
        if (child + 1 < sim->heap_count && is_before(&sim->heap[child + 1], &sim->heap[child]))
            child += 1;
        if (!is_before(&sim->heap[child], &last)) break;
        sim->heap[place] = sim->heap[child];
        place = child;
    }
    sim->heap[place] = last;
    return first;
}

/* --- Timers of the driver --------------------------------------------------------------------- */

void sim_at(struct sim *sim, uint32_t timer, uint64_t at_ns)
{
    struct sim_timer *set = &sim->timers[timer];
    set->generation += 1;
    set->at_ns = at_ns;
    if (at_ns != UINT64_MAX) sim_push(sim, DUE_TIMER, timer, set->generation, at_ns);
}

uint64_t sim_soon_ns(struct sim *sim)
{
    uint64_t most = 1 + (uint64_t)sim->options.faults.complete_us_max * 1000;
    return sim->now_ns + 1 + random_below(&sim->network, most);
}

void sim_wake_timer(struct sim *sim, uint32_t timer)
{
    uint64_t at_ns = sim_soon_ns(sim);
    if (timer < sim_timers_max && sim->timers[timer].at_ns > at_ns) sim_at(sim, timer, at_ns);
}

/* --- One after the other ---------------------------------------------------------------------- */

static bool is_stale(const struct sim *sim, const struct sim_due *due)
{
    switch (due->kind) {
    case DUE_OPERATION: return sim->operations[due->index].generation != due->generation;
    case DUE_RING: return sim->rings[due->index].run_generation != due->generation;
    case DUE_TIMER: return sim->timers[due->index].generation != due->generation;
    case DUE_TIMEOUT: return sim->sockets[due->index].generation != due->generation;
    }
    return true;
}

struct sim_happening sim_next(struct sim *sim)
{
    while (sim->heap_count > 0) {
        struct sim_due due = pop(sim);
        if (is_stale(sim, &due)) continue;
        if (due.at_ns > sim->now_ns) sim->now_ns = due.at_ns;
        if (due.wanted_ns > sim->now_ns) {
            sim_push(sim, due.kind, due.index, due.generation, due.wanted_ns);
            continue;
        }
        sim->counts.happenings += 1;
        switch (due.kind) {
        case DUE_OPERATION: sim_work(sim, due.index); break;
        case DUE_TIMEOUT: sim_time_out(sim, &sim->sockets[due.index]); break;
        case DUE_RING:
            sim->rings[due.index].waiting = false;
            sim->rings[due.index].run_generation += 1;
            return (struct sim_happening){SIM_RUN, due.index};
        case DUE_TIMER:
            sim->timers[due.index].at_ns = UINT64_MAX;
            return (struct sim_happening){SIM_TIMER, due.index};
        }
    }
    return (struct sim_happening){};
}

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

void sim_jump_wall(struct sim *sim, int64_t ms)
{
    sim->wall_jump_ms += ms;
}

void sim_end_faults(struct sim *sim)
{
    sim->options.faults = (struct sim_faults){.complete_us_max = 50};
}

bool sim_chance(struct sim *sim, uint32_t chance)
{
    return chance > 0 && random_below(&sim->faults, 65536) < chance;
}

/* --- What has happened ------------------------------------------------------------------------ */

void sim_mix(struct sim *sim, uint64_t value)
{
    sim->hash = (sim->hash ^ value) * 0x9E3779B97F4A7C15;
    sim->hash ^= sim->hash >> 29;
}

uint64_t sim_hash(const struct sim *sim)
{
    return sim->hash;
}

const struct sim_counts *sim_counts(const struct sim *sim)
{
    return &sim->counts;
}

void sim_note(struct sim *sim, const char *format, ...)
{
    if (sim->hooks.trace == nullptr) return;
    char line[512];
    int size = snprintf(line, sizeof line, "%9.6f  ", (double)sim->now_ns / 1e9);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
    va_end(arguments);
    sim->hooks.trace(sim->hooks.context, line);
}

void sim_fail(struct sim *sim, const char *sentence)
{
    sim->hooks.fail(sim->hooks.context, sentence);
    __builtin_unreachable();
}
