#include "send_report.h"
#include "figures.h"
#include <inttypes.h>

uint32_t senders_count_in(const struct senders *senders, enum client_phase phase)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < senders->count; i++)
        count += senders->clients[i].phase == phase;
    return count;
}

bool senders_are_waiting(const struct senders *senders)
{
    for (uint32_t i = 0; i < senders->count; i++) {
        const struct client *client = &senders->clients[i];
        const struct sender *sender = &senders->senders[i];
        bool echoed = !senders->options->echo || client->sequence == sender->number;
        if (client->phase == CLIENT_OPEN && (sender->probed || !echoed)) return true;
    }
    return false;
}

/* What this run counts: echoes, messages that were taken, or pings that were answered. */
static uint64_t delivered(const struct senders *senders)
{
    if (senders->options->every_ns == 0) return senders->pings;
    return senders->options->echo ? senders->tally.delivered : senders->said;
}

static bool is_kept(const struct senders *senders)
{
    const struct tally *tally = &senders->tally;
    bool all = senders->options->every_ns == 0 || delivered(senders) == senders->due;
    return all && tally->ended == 0 && tally_fault_sum(tally) == 0 && !senders->server_ended &&
           !senders_are_waiting(senders) &&
           senders_count_in(senders, CLIENT_OPEN) == senders->count;
}

void send_report_window(const struct senders *senders, FILE *out)
{
    const struct send_options *options = senders->options;
    struct usage used = usage_between(&senders->begin, &senders->end);
    double seconds = (double)used.wall_ns / 1e9;
    size_t frame_size = options->size + (options->size < 126 ? 6 : 8);
    uint64_t count = delivered(senders), pings_only = options->every_ns == 0;
    uint64_t bytes = options->echo ? senders->tally.bytes : senders->said * frame_size;
    fprintf(out,
            "{\n  \"clients\": %" PRIu32 ",\n  \"every_ns\": %" PRIu64 ",\n  \"size\": %" PRIu32
            ",\n  \"at_once\": %" PRIu32 ",\n  \"window_ns\": %" PRIu64 ",\n",
            senders->count, options->every_ns, options->size, options->at_once, used.wall_ns);
    fprintf(out,
            "  \"due\": %" PRIu64 ",\n  \"said\": %" PRIu64 ",\n  \"said_ever\": %" PRIu64
            ",\n  \"delivered\": %" PRIu64 ",\n  \"heard_ever\": %" PRIu64
            ",\n  \"pings_answered\": %" PRIu64 ",\n",
            pings_only ? count : senders->due, senders->said, senders->said_ever, count,
            senders->heard, senders->pings);
    fprintf(out, "  \"frames_per_second\": %.1f,\n  \"bytes_per_second\": %.1f,\n",
            (double)count / seconds, (double)bytes / seconds);
    figures_histogram("latency_ns", &senders->tally.from_encode, out);
    figures_histogram("lateness_ns", &senders->tally.from_due, out);
    figures_histogram("said_late_ns", &senders->late, out);
    figures_histogram("client_pass_ns", &senders->tally.pass, out);
    figures_usage(&used, options->server_pid != 0 && !senders->server_ended, "delivered", count,
                  out);
    figures_lists(&senders->tally, out);
    fprintf(out, "  \"kept\": %s\n}\n", is_kept(senders) ? "true" : "false");
    fflush(out);
}

void send_report_progress(const struct senders *senders, uint64_t seconds, FILE *out)
{
    const struct tally *tally = &senders->tally;
    fprintf(out,
            "  %3" PRIu64 " s  open %" PRIu32 "/%" PRIu32 "  said %" PRIu64 "  back %" PRIu64
            "  p50 %.2f ms  p99 %.2f ms  pings %" PRIu64 "  closed %" PRIu64 "  faults %" PRIu64
            "\n",
            seconds, senders_count_in(senders, CLIENT_OPEN), senders->count, senders->said,
            tally->delivered, (double)histogram_at(&tally->from_due, 0.5) / 1e6,
            (double)histogram_at(&tally->from_due, 0.99) / 1e6, tally->pings_answered, tally->ended,
            tally_fault_sum(tally));
}
