/* perf/load/world_report.c: the figures of a window. */
#include "figures.h"
#include "world.h"
#include <inttypes.h>

uint32_t world_count_in(const struct world_run *run, enum client_phase phase)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->options->clients; i++)
        count += run->pilots[i].client.phase == phase;
    return count;
}

static uint64_t due_count(const struct world_run *run)
{
    return (uint64_t)run->options->clients * (run->options->window_ns / run->options->tick_ns);
}

uint64_t world_made_count(const struct world_run *run)
{
    return (uint64_t)run->options->clients * run->ticks_seen;
}

static bool is_kept(const struct world_run *run)
{
    const struct tally *tally = &run->tally;
    return tally->delivered == world_made_count(run) && tally->delivered > 0 &&
           run->short_of == 0 && tally->gaps == 0 && tally->ended == 0 &&
           tally_fault_sum(tally) == 0 && !run->server_ended &&
           world_count_in(run, CLIENT_OPEN) == run->options->clients;
}

void world_report(const struct world_run *run, FILE *out)
{
    const struct world_options *options = run->options;
    const struct tally *tally = &run->tally;
    struct usage used = usage_between(&run->begin, &run->end);
    fprintf(out,
            "{\n  \"clients\": %" PRIu32 ",\n  \"walks\": %s,\n  \"window_ns\": %" PRIu64
            ",\n  \"ticks_due\": %" PRIu64 ",\n  \"ticks_seen\": %" PRIu64 ",\n",
            options->clients, run->walks ? "true" : "false", options->window_ns,
            options->window_ns / options->tick_ns, run->ticks_seen);
    fprintf(out,
            "  \"due\": %" PRIu64 ",\n  \"made\": %" PRIu64 ",\n  \"delivered\": %" PRIu64
            ",\n  \"short\": %" PRIu64 ",\n  \"bytes\": %" PRIu64 ",\n",
            due_count(run), world_made_count(run), tally->delivered, run->short_of, tally->bytes);
    fprintf(out,
            "  \"entities\": %" PRIu64 ",\n  \"cells\": %" PRIu64 ",\n  \"said\": %" PRIu64
            ",\n  \"waited_for_turn_ms\": %" PRIu64 ",\n  \"gaps\": %" PRIu64 ",\n",
            run->entities, run->cells, run->said, run->sight.unseen_ms, tally->gaps);
    figures_histogram("latency_ns", &tally->from_encode, out);
    figures_histogram("said_late_ns", &run->late, out);
    figures_histogram("client_pass_ns", &tally->pass, out);
    figures_usage(&used, options->server_pid != 0 && !run->server_ended, "delivered",
                  tally->delivered, out);
    figures_lists(tally, out);
    fprintf(out, "  \"kept\": %s\n}\n", is_kept(run) ? "true" : "false");
    fflush(out);
}
