#include "report.h"
#include "figures.h"
#include <inttypes.h>

constexpr double waited_max = 0.01; /* of the window; above it others were in the way */

static uint64_t ticks_seen(const struct crowd *crowd)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < crowd->options->rooms; i++) {
        const struct room *room = &crowd->rooms[i];
        count += grid_count(&room->grid, room->begin_ns, room->end_ns);
    }
    return count;
}

static uint64_t grid_moved_ns(const struct crowd *crowd)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < crowd->options->rooms; i++)
        if (crowd->rooms[i].grid.moved_ns > most) most = crowd->rooms[i].grid.moved_ns;
    return most;
}

static uint32_t fewest_delivered(const struct crowd *crowd)
{
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        if (crowd->clients[i].delivered < fewest) fewest = crowd->clients[i].delivered;
    return fewest;
}

static bool with_server(const struct crowd *crowd)
{
    return crowd->options->server_pid != 0 && !crowd->server_ended;
}

static void add_usage(struct verdict *verdict, const struct crowd *crowd)
{
    struct usage used = usage_between(&crowd->begin, &crowd->end);
    struct figures_load load = figures_load(&used, with_server(crowd));
    verdict->client_load = load.client;
    verdict->client_waited = load.client_waited;
    verdict->server_load = load.server;
    verdict->server_waited = load.server_waited;
    if (with_server(crowd) && crowd->tally.delivered > 0)
        verdict->cost_us = (double)(used.server_ns + used.server_softirq_ns) / 1e3 /
                           (double)crowd->tally.delivered;
}

struct verdict report_verdict(const struct crowd *crowd)
{
    const struct options *options = crowd->options;
    const struct tally *tally = &crowd->tally;
    uint64_t ticks = options->window_ns / options->tick_ns;
    struct verdict verdict = {
        .ticks_due = ticks * options->rooms,
        .ticks_seen = ticks_seen(crowd),
        .due = ticks * options->clients,
        .fewest = fewest_delivered(crowd),
        .seconds = (double)options->window_ns / 1e9,
        .grid_moved_ns = grid_moved_ns(crowd),
    };
    verdict.reach = (double)tally->delivered / (double)verdict.due;
    bool said_goodbye = tally->goodbyes_answered == options->clients;
    verdict.kept = tally->delivered == verdict.due && tally->gaps == 0 && tally->ended == 0 &&
                   tally->opened == options->clients && crowd->stayed == options->clients &&
                   (said_goodbye || crowd->phase != CROWD_OVER) && tally_fault_sum(tally) == 0 &&
                   verdict.ticks_seen == verdict.ticks_due && !crowd->server_ended;
    add_usage(&verdict, crowd);
    return verdict;
}

static void table_histogram(const char *name, const struct histogram *histogram, FILE *out)
{
    fprintf(out, "  %-32s", name);
    for (size_t i = 0; i < figure_shares; i++)
        fprintf(out, " %9.3f", (double)histogram_at(histogram, figure_share[i]) / 1e6);
    fprintf(out, " %9.3f\n", (double)histogram->max / 1e6);
}

static void table_latencies(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    fprintf(out, "\n  %-32s %9s %9s %9s %9s %9s\n", /* as table_histogram writes */
            "milliseconds", "p50", "p90", "p99", "p99.9", "max");
    table_histogram("latency from the encode", &crowd->tally.from_encode, out);
    table_histogram("lateness from the due time", &crowd->tally.from_due, out);
    table_histogram("one reading pass of the client", &crowd->tally.pass, out);
    if (verdict->grid_moved_ns > 0)
        fprintf(out, "  (due times may be %.3f ms early or late)\n",
                (double)verdict->grid_moved_ns / 1e6);
}

static void table_server(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    if (crowd->server_ended) fputs("  the server's process ended during the run\n", out);
    if (!with_server(crowd)) return;
    struct usage used = usage_between(&crowd->begin, &crowd->end);
    fprintf(out, "  %-32s %.2f us (ksoftirqd: %.2f us)\n", "server CPU per delivered state",
            verdict->cost_us,
            crowd->tally.delivered > 0
                ? (double)used.server_softirq_ns / 1e3 / (double)crowd->tally.delivered
                : 0.0);
    fprintf(out, "  %-32s %.1f %% of a core, waited for it %.1f %% of the time\n", "server CPU",
            verdict->server_load * 100, verdict->server_waited * 100);
    fprintf(out, "  %-32s %.1f MiB, %.1f MiB before the first client\n", "server memory, resident",
            (double)crowd->end.server_resident / 1048576,
            (double)crowd->before.server_resident / 1048576);
}

static void table_notes(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    const struct tally *tally = &crowd->tally;
    for (size_t i = 0; i < fault_count; i++)
        if (tally->faults[i] > 0)
            fprintf(out, "  FAULT %s: %" PRIu64 " times; the first: %s\n",
                    fault_sentence((enum fault)i), tally->faults[i], tally->first_fault[i]);
    for (size_t i = 0; i < tally->ending_count; i++)
        fprintf(out, "  CLOSED with code %u: %" PRIu64 " clients; the first: \"%s\"\n",
                tally->endings[i].code, tally->endings[i].count, tally->endings[i].reason);
    if (verdict->ticks_seen > 0 && verdict->ticks_seen * 20 < verdict->ticks_due * 19)
        fprintf(out,
                "  NOTE the server ticked every %.1f ms: "
                "it cannot keep up, or --tick is not its --kart-tick\n",
                (double)crowd->options->tick_ns / 1e6 * (double)verdict->ticks_due /
                    (double)verdict->ticks_seen);
    if (verdict->client_load > figures_client_load_max)
        fputs("  NOTE the client is the bottleneck: it used more than 80 % of a core, so latencies "
              "are partly its own\n",
              out);
    if (verdict->server_waited > waited_max || verdict->client_waited > waited_max)
        fputs("  NOTE something else was running on these cores: what is late may not be the "
              "server's doing\n",
              out);
    if (crowd->options->server_pid != 0 && crowd->source.shared_cpu)
        fputs("  NOTE server and client may run on the same CPU: pin them (taskset) to tell their "
              "softirq time apart\n",
              out);
    if (crowd->options->server_pid != 0 && crowd->source.server_softirq.count == 0)
        fputs("  NOTE the kernel's ksoftirqd threads cannot be seen from here; the server's CPU "
              "time lacks theirs\n",
              out);
}

static void table_counts(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    const struct options *options = crowd->options;
    const struct tally *tally = &crowd->tally;
    fprintf(out, "  %-32s %" PRIu32 " / %" PRIu64 " / %" PRIu32 "\n",
            "clients asked / opened / stayed", options->clients, tally->opened, crowd->stayed);
    fprintf(out, "  %-32s %" PRIu64 " / %" PRIu64 "\n", "ticks due / seen", verdict->ticks_due,
            verdict->ticks_seen);
    fprintf(out, "  %-32s %" PRIu64 " / %" PRIu64 "\n", "states due / delivered", verdict->due,
            tally->delivered);
    fprintf(out, "  %-32s %.6f, the worst client %.6f\n", "reach", verdict->reach,
            (double)verdict->fewest / (double)(options->window_ns / options->tick_ns));
    fprintf(out, "  %-32s %" PRIu64 " (%" PRIu64 " states)\n", "sequence gaps", tally->gaps,
            tally->states_missed);
    fprintf(out, "  %-32s %" PRIu64 "\n", "closed by the server", tally->ended);
    fprintf(out, "  %-32s %" PRIu64 "\n", "faults of the server", tally_fault_sum(tally));
    fprintf(out, "  %-32s %" PRIu64 " / %" PRIu64 "\n", "pings / goodbyes answered",
            tally->pings_answered, tally->goodbyes_answered);
}

void report_table(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    const struct options *options = crowd->options;
    const struct tally *tally = &crowd->tally;
    fprintf(out, "\n  %" PRIu32 " clients in %" PRIu32 " room(s), a tick every %.0f ms, %.1f s\n\n",
            options->clients, options->rooms, (double)options->tick_ns / 1e6, verdict->seconds);
    table_counts(crowd, verdict, out);
    fprintf(out, "  %-32s %.0f frames/s, %.3f MB/s\n", "delivered",
            (double)tally->delivered / verdict->seconds,
            (double)tally->bytes / verdict->seconds / 1e6);
    table_latencies(crowd, verdict, out);
    fputc('\n', out);
    table_server(crowd, verdict, out);
    fprintf(out, "  %-32s %.1f %% of a core, waited for it %.1f %% of the time\n\n", "client CPU",
            verdict->client_load * 100, verdict->client_waited * 100);
    table_notes(crowd, verdict, out);
    fprintf(out, "  %s\n\n",
            verdict->kept ? "kept: every state reached every client in order, and none was closed"
                          : "NOT KEPT: see above what is missing");
}

static void json_usage(const struct crowd *crowd, FILE *out)
{
    struct usage used = usage_between(&crowd->begin, &crowd->end);
    figures_usage(&used, with_server(crowd), "delivered", crowd->tally.delivered, out);
    if (with_server(crowd))
        fprintf(out,
                "  \"server_resident_before\": %" PRIu64 ",\n  \"server_resident_end\": %" PRIu64
                ",\n",
                crowd->before.server_resident, crowd->end.server_resident);
}

void report_json(const struct crowd *crowd, const struct verdict *verdict, FILE *out)
{
    const struct options *options = crowd->options;
    const struct tally *tally = &crowd->tally;
    fprintf(out,
            "{\n  \"clients\": %" PRIu32 ",\n  \"rooms\": %" PRIu32 ",\n  \"tick_ns\": %" PRIu64
            ",\n  \"window_ns\": %" PRIu64 ",\n  \"opened\": %" PRIu64 ",\n  \"stayed\": %" PRIu32
            ",\n",
            options->clients, options->rooms, options->tick_ns, options->window_ns, tally->opened,
            crowd->stayed);
    fprintf(out,
            "  \"ticks_due\": %" PRIu64 ",\n  \"ticks_seen\": %" PRIu64 ",\n  \"due\": %" PRIu64
            ",\n  \"delivered\": %" PRIu64 ",\n  \"reach\": %.9f,\n  \"fewest\": %" PRIu32 ",\n",
            verdict->ticks_due, verdict->ticks_seen, verdict->due, tally->delivered, verdict->reach,
            verdict->fewest);
    fprintf(out,
            "  \"gaps\": %" PRIu64 ",\n  \"states_missed\": %" PRIu64
            ",\n  \"pings_answered\": %" PRIu64 ",\n  \"goodbyes_answered\": %" PRIu64 ",\n",
            tally->gaps, tally->states_missed, tally->pings_answered, tally->goodbyes_answered);
    fprintf(out, "  \"inflated\": %" PRIu64 ",\n  \"inflated_bytes\": %" PRIu64 ",\n",
            tally->inflated, tally->inflated_bytes);
    fprintf(out, "  \"frames_per_second\": %.1f,\n  \"bytes_per_second\": %.1f,\n",
            (double)tally->delivered / verdict->seconds, (double)tally->bytes / verdict->seconds);
    figures_histogram("latency_ns", &tally->from_encode, out);
    figures_histogram("lateness_ns", &tally->from_due, out);
    figures_histogram("client_pass_ns", &tally->pass, out);
    fprintf(out, "  \"due_error_ns\": %" PRIu64 ",\n", verdict->grid_moved_ns);
    json_usage(crowd, out);
    figures_lists(tally, out);
    fprintf(out, "  \"kept\": %s\n}\n", verdict->kept ? "true" : "false");
}
