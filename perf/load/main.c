/* perf/load/main.c: ringcast-bench, crowds of clients that check all they receive and measure how
 * late it comes. One thread, epoll, no code shared with the server. Method: perf/README.md. */
#include "broadcast.h"
#include "crowd.h"
#include "floor.h"
#include "knock.h"
#include "report.h"
#include "senders.h"
#include "talkers.h"
#include "trouble.h"
#include "world.h"
#include <errno.h>
#include <string.h>

static void write_json(const struct crowd *crowd, const struct verdict *verdict, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == nullptr) give_up("%s: %s", path, strerror(errno));
    report_json(crowd, verdict, file);
    if (fclose(file) != 0) give_up("%s: %s", path, strerror(errno));
}

/* The last line of the figures is a brace alone. */
static void write_window(const struct crowd *crowd)
{
    struct verdict verdict = report_verdict(crowd);
    report_json(crowd, &verdict, stdout);
    fflush(stdout);
}

/* A crowd that receives states. */
static int receive_main(int argc, char **argv)
{
    static struct crowd crowd; /* its histograms are too large for a stack */
    struct options options = options_read(argc, argv);
    crowd_init(&crowd, &options);
    crowd.on_window = write_window;
    crowd_run(&crowd);
    struct verdict verdict = report_verdict(&crowd);
    if (!options.steered) report_table(&crowd, &verdict, stdout);
    if (options.json != nullptr) write_json(&crowd, &verdict, options.json);
    crowd_deinit(&crowd);
    return verdict.kept ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "talk") == 0) return talkers_main(argc - 1, argv + 1);
    if (strcmp(what, "knock") == 0) return knock_main(argc - 1, argv + 1);
    if (strcmp(what, "send") == 0) return senders_main(argc - 1, argv + 1);
    if (strcmp(what, "world") == 0) return world_main(argc - 1, argv + 1);
    if (strcmp(what, "floor") == 0) return floor_main(argc - 1, argv + 1);
    if (strcmp(what, "broadcast") == 0) return broadcast_main(argc - 1, argv + 1);
    return receive_main(argc, argv);
}
