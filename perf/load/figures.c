#include "figures.h"
#include <inttypes.h>

const double figure_share[figure_shares] = {0.5, 0.9, 0.99, 0.999};
static const char *const share_names[figure_shares] = {"p50", "p90", "p99", "p99_9"};

/* The kernel's softirq thread on the same core works for the process; waiting for it is no harm of
 * others. */
static double waited_share(uint64_t waited_ns, uint64_t softirq_ns, double wall_ns)
{
    return waited_ns > softirq_ns ? (double)(waited_ns - softirq_ns) / wall_ns : 0;
}

struct figures_load figures_load(const struct usage *used, bool with_server)
{
    double wall = (double)used->wall_ns;
    struct figures_load load = {
        .client = (double)(used->client_ns + used->client_softirq_ns) / wall,
        .client_waited = waited_share(used->client_waited_ns, used->client_softirq_ns, wall),
    };
    if (!with_server) return load;
    load.server = (double)(used->server_ns + used->server_softirq_ns) / wall;
    load.server_waited = waited_share(used->server_waited_ns, used->server_softirq_ns, wall);
    return load;
}

/* As the inside of a JSON string; what a server may put into a close reason is valid UTF-8, but the
 * table may have cut it, so only ASCII goes through. */
static void write_text(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') fputc('\\', out);
        fputc(byte >= 0x20 && byte < 0x7F ? byte : '?', out);
    }
}

static void write_curve(const struct histogram *histogram, FILE *out)
{
    constexpr double step = 0.840896415253714543; /* four of them are a half */
    fputs(", \"curve\": [", out);
    const char *comma = "";
    for (double rest = 1; rest * (double)histogram->count >= 1; rest *= step) {
        fprintf(out, "%s[%.9f, %" PRIu64 "]", comma, 1 - rest, histogram_at(histogram, 1 - rest));
        comma = ", ";
    }
    fputs("]", out);
}

void figures_histogram(const char *name, const struct histogram *histogram, FILE *out)
{
    fprintf(out, "  \"%s\": {\"count\": %" PRIu64 ", \"mean\": %" PRIu64, name, histogram->count,
            histogram->count > 0 ? histogram->sum / histogram->count : 0);
    for (size_t i = 0; i < figure_shares; i++)
        fprintf(out, ", \"%s\": %" PRIu64, share_names[i],
                histogram_at(histogram, figure_share[i]));
    fprintf(out, ", \"max\": %" PRIu64, histogram->max);
    write_curve(histogram, out);
    fputs("},\n", out);
}

void figures_lists(const struct tally *tally, FILE *out)
{
    fputs("  \"closed\": [", out);
    for (size_t i = 0; i < tally->ending_count; i++) {
        const struct ending *ending = &tally->endings[i];
        fprintf(out, "%s{\"code\": %u, \"count\": %" PRIu64 ", \"reason\": \"", i > 0 ? ", " : "",
                ending->code, ending->count);
        write_text(ending->reason, out);
        fputs("\"}", out);
    }
    fputs("],\n  \"faults\": [", out);
    const char *comma = "";
    for (size_t i = 0; i < fault_count; i++) {
        if (tally->faults[i] == 0) continue;
        fprintf(out, "%s{\"fault\": \"%s\", \"count\": %" PRIu64 ", \"first\": \"", comma,
                fault_sentence((enum fault)i), tally->faults[i]);
        write_text(tally->first_fault[i], out);
        fputs("\"}", out);
        comma = ", ";
    }
    fputs("],\n", out);
}

void figures_usage(const struct usage *used, bool with_server, const char *what, uint64_t count,
                   FILE *out)
{
    struct figures_load load = figures_load(used, with_server);
    fprintf(out, "  \"client_load\": %.4f,\n  \"client_waited\": %.4f,\n", load.client,
            load.client_waited);
    fprintf(out, "  \"client_is_bottleneck\": %s,\n",
            load.client > figures_client_load_max ? "true" : "false");
    if (!with_server) return;
    uint64_t server_ns = used->server_ns + used->server_softirq_ns;
    fprintf(out,
            "  \"server_load\": %.4f,\n  \"server_waited\": %.4f,\n  \"server_cpu_ns\": %" PRIu64
            ",\n  \"server_user_ns\": %" PRIu64 ",\n  \"server_ksoftirqd_ns\": %" PRIu64
            ",\n  \"server_cpu_us_per_%s\": %.4f,\n",
            load.server, load.server_waited, used->server_ns, used->server_user_ns,
            used->server_softirq_ns, what, count > 0 ? (double)server_ns / 1e3 / (double)count : 0);
}
