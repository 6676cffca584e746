/* perf/micro/fanout: what the server's own sending costs beside a bare loop of send(2), on the same
 * sockets in the same process.
 *
 * Methods take turns, tick by tick, in a random order within each round; between two ticks the
 * other end reads everything and this one sleeps, so that all start alike. What slows the machine
 * down slows them together: the ratio of their medians resolves a percent where two runs differ by
 * twenty. CPU is that of this thread and of its core's ksoftirqd, to which big batches of sends
 * push their receiving half. */
#include "fanout.h"
#include "cost.h"
#include "hub.h"
#include "peer.h"
#include "sample.h"
#include "say.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

constexpr uint32_t burst = 4;        /* frames due at once */
constexpr uint32_t burst_every = 4;  /* rounds to one round of bursts */
constexpr uint32_t warm_rounds = 20; /* not counted */

struct bench {
    struct hub *hub;
    struct peer peer;
    struct cost_clock clock;
    struct random random;
    uint32_t members, rounds;
    size_t payload_size;
    uint8_t payload[16 * 1024];
    uint8_t wire[burst][16 * 1024 + ws_header_size_max_server];
    size_t wire_size;
    uint64_t sent;        /* bytes, in all, which the peer is to have received */
    uint64_t short_sends; /* bare ones that the kernel did not take whole */
};

/* ---- the methods ---- */

static void encode_bare(struct bench *bench, uint32_t index)
{
    uint8_t *wire = bench->wire[index];
    size_t size = ws_header_write(wire, WS_TEXT, true, false, bench->payload_size);
    memcpy(wire + size, bench->payload, bench->payload_size);
    bench->wire_size = size + bench->payload_size;
}

static void send_bare(struct bench *bench, int fd, uint32_t index)
{
    ssize_t size = send(fd, bench->wire[index], bench->wire_size, MSG_NOSIGNAL | MSG_DONTWAIT);
    bench->short_sends += size != (ssize_t)bench->wire_size;
}

static void bare_loop(struct bench *bench)
{
    encode_bare(bench, 0);
    for (uint32_t i = 0; i < bench->members; i++)
        send_bare(bench, bench->hub->members[i].conn->fd, 0);
}

static void ours_fast(struct bench *bench)
{
    hub_send_state(bench->hub, (struct bytes){bench->payload, bench->payload_size}, true);
}

static void ours_plain(struct bench *bench)
{
    hub_send_state(bench->hub, (struct bytes){bench->payload, bench->payload_size}, false);
}

static void burst_loops(struct bench *bench)
{
    for (uint32_t i = 0; i < burst; i++)
        bare_loop(bench);
}

static void burst_sends(struct bench *bench)
{
    for (uint32_t i = 0; i < burst; i++)
        encode_bare(bench, i);
    for (uint32_t i = 0; i < bench->members; i++)
        for (uint32_t j = 0; j < burst; j++)
            send_bare(bench, bench->hub->members[i].conn->fd, j);
}

static void burst_sendmsg(struct bench *bench)
{
    struct iovec pieces[burst];
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = burst};
    for (uint32_t i = 0; i < burst; i++) {
        encode_bare(bench, i);
        pieces[i] = (struct iovec){bench->wire[i], bench->wire_size};
    }
    for (uint32_t i = 0; i < bench->members; i++) {
        ssize_t size =
            sendmsg(bench->hub->members[i].conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        bench->short_sends += size != (ssize_t)(burst * bench->wire_size);
    }
}

static void ours_burst(struct bench *bench)
{
    bench->hub->conns.send_now = true;
    hub_send_events(bench->hub, (struct bytes){bench->payload, bench->payload_size}, burst);
}

struct method {
    const char *name;
    void (*run)(struct bench *bench);
    uint32_t frames; /* to each member */
    double goal;     /* at most this times the first of its contest; 0: none */
    double *costs;   /* microseconds for a frame to a member, of each round */
};

struct contest {
    const char *title;
    struct method *methods; /* the first is what the others are compared with */
    uint32_t method_count;
    uint32_t rounds;
};

static struct method singles[] = {
    {.name = "send(2) loop", .run = bare_loop, .frames = 1},
    {.name = "ours, fast path", .run = ours_fast, .frames = 1, .goal = 1.03},
    {.name = "ours, plain: gathered, with completion", .run = ours_plain, .frames = 1},
};

static struct method bursts[] = {
    {.name = "four send(2) loops, one for each frame", .run = burst_loops, .frames = burst},
    {.name = "one loop of four send(2) for each member", .run = burst_sends, .frames = burst},
    {.name = "one loop of one sendmsg(2)", .run = burst_sendmsg, .frames = burst},
    {.name = "ours: one gathered send", .run = ours_burst, .frames = burst, .goal = 0.30},
};

/* ---- measuring ---- */

static void sleep_us(long microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, nullptr);
}

static double tick(struct bench *bench, const struct method *method)
{
    uint64_t kernel_ns = cost_ksoftirqd_ns(&bench->clock);
    uint64_t thread_ns = cost_thread_ns();
    method->run(bench);
    thread_ns = cost_thread_ns() - thread_ns;
    bench->sent += (uint64_t)bench->members * method->frames * bench->wire_size;
    if (!peer_await(&bench->peer, bench->sent))
        give_up("%s: the other end did not get all bytes", method->name);
    sleep_us(500);
    kernel_ns = cost_ksoftirqd_ns(&bench->clock) - kernel_ns;
    return (double)(thread_ns + kernel_ns) / 1000 / bench->members / method->frames;
}

/* One tick of each method, in a random order. */
static void run_round(struct bench *bench, const struct contest *contest, double *costs)
{
    uint32_t order[8];
    for (uint32_t i = 0; i < contest->method_count; i++) {
        uint32_t j = (uint32_t)random_below(&bench->random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < contest->method_count; i++)
        costs[order[i]] = tick(bench, &contest->methods[order[i]]);
}

static void play(struct bench *bench, struct contest *contest, bool counts)
{
    double costs[8];
    run_round(bench, contest, costs);
    if (!counts) return;
    for (uint32_t i = 0; i < contest->method_count; i++)
        contest->methods[i].costs[contest->rounds] = costs[i];
    contest->rounds += 1;
}

static void ready_costs(struct contest *contest, uint32_t rounds)
{
    for (uint32_t i = 0; i < contest->method_count; i++) {
        contest->methods[i].costs = calloc(rounds, sizeof(double));
        if (contest->methods[i].costs == nullptr) give_up("no memory");
    }
}

/* ---- telling ---- */

static struct interval ratio_interval(struct bench *bench, const struct contest *contest,
                                      const struct method *method)
{
    return sample_ratio_interval(method->costs, contest->methods[0].costs, contest->rounds,
                                 &bench->random);
}

static const char *verdict(double goal, double ratio)
{
    return goal == 0 ? "" : ratio <= goal ? "  held" : "  MISSED";
}

static void print_method(struct bench *bench, const struct contest *contest,
                         const struct method *method, FILE *json)
{
    double median = sample_median(method->costs, contest->rounds);
    double low = sample_quantile(method->costs, contest->rounds, 0.1);
    double ratio = median / sample_median(contest->methods[0].costs, contest->rounds);
    struct interval interval = ratio_interval(bench, contest, method);
    char goal[32] = "";
    if (method->goal > 0) snprintf(goal, sizeof goal, "<= %.2f", method->goal);
    printf("  %-42s %6.3f %6.3f  %6.4f [%.4f, %.4f] %s%s\n", method->name, median, low, ratio,
           interval.low, interval.high, goal, verdict(method->goal, ratio));
    if (json == nullptr) return;
    fprintf(json,
            "%s\n  {\"method\": \"%s\", \"frames\": %u, \"rounds\": %u, \"us_median\": %.4f, "
            "\"us_p10\": %.4f, \"ratio\": %.4f, \"low\": %.4f, \"high\": %.4f, \"goal\": %.2f}",
            contest->methods == singles && method == singles ? "" : ",", method->name,
            method->frames, contest->rounds, median, low, ratio, interval.low, interval.high,
            method->goal);
}

static void print_contest(struct bench *bench, const struct contest *contest, FILE *json)
{
    printf("\n%s, %u rounds\n  %-42s %6s %6s  %6s %s\n", contest->title, contest->rounds, "",
           "median", "p10", "ratio", "[95 % interval]   goal");
    for (uint32_t i = 0; i < contest->method_count; i++)
        print_method(bench, contest, &contest->methods[i], json);
}

static void print_head(const struct bench *bench, struct cost_cores cores, FILE *json)
{
    struct utsname system;
    double load[1] = {0};
    uname(&system);
    (void)!getloadavg(load, 1);
    printf("%u members, %zu bytes of payload, Linux %s, "
           "server on core %d, reader on core %d, load %.2f\n",
           bench->members, bench->payload_size, system.release, cores.server, cores.peer, load[0]);
    printf("microseconds of CPU for a frame to a member: this thread%s\n",
           bench->clock.ksoftirqd >= 0 ? " and its core's ksoftirqd"
                                       : " (ksoftirqd not to be had)");
    if (cores.server == cores.peer) printf("note: one core only; the reader disturbs the server\n");
    if (json != nullptr)
        fprintf(json,
                "{\"members\": %u, \"payload\": %zu, \"kernel\": \"%s\", \"load\": %.2f, "
                "\"methods\": [",
                bench->members, bench->payload_size, system.release, load[0]);
}

static void print_tail(const struct bench *bench, FILE *json)
{
    const struct conn_counters *counters = &bench->hub->conns.counters;
    printf("\nsends that fell short (should be none): %llu bare, %llu fast, %llu plain\n",
           (unsigned long long)bench->short_sends, (unsigned long long)counters->sends_now_short,
           (unsigned long long)counters->sends_partial);
    if (json != nullptr) fprintf(json, "\n]}\n");
}

/* ---- the program ---- */

static const char help[] =
    "usage: micro fanout [OPTION]...   the server's sending beside a bare send(2) loop\n\n"
    "  --members N    connections [1000]\n"
    "  --payload N    bytes of a frame's payload [512]\n"
    "  --rounds N     ticks of each method [3000]; a quarter of it for four frames at once\n"
    "  --json FILE    write the figures there, too\n";

static const char *read_options(struct bench *bench, int argc, char **argv)
{
    static const struct option known[] = {
        {"members", required_argument, nullptr, 'm'}, {"payload", required_argument, nullptr, 'p'},
        {"rounds", required_argument, nullptr, 'r'},  {"json", required_argument, nullptr, 'j'},
        {"help", no_argument, nullptr, 'h'},          {}};
    const char *json = nullptr;
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 'm': bench->members = number_of(optarg, 1, 15'000); break;
        case 'p': bench->payload_size = number_of(optarg, 1, sizeof bench->payload); break;
        case 'r': bench->rounds = number_of(optarg, 10, 1'000'000); break;
        case 'j': json = optarg; break;
        case 'h': printf("%s", help); exit(0);
        default: exit(2);
        }
    }
    return json;
}

static void meet(struct bench *bench, struct cost_cores cores)
{
    bench->hub = hub_open(bench->members);
    if (!bench->hub->send_now_works)
        give_up("this kernel does not pass the preflight of the fast path");
    bench->peer = peer_start(hub_port(bench->hub), bench->members, cores.peer);
    bench->sent = hub_seat_all(bench->hub, bench->members);
    if (!peer_await(&bench->peer, bench->sent)) give_up("the members did not connect");
    memset(bench->payload, 'x', bench->payload_size);
    ring_entropy(&bench->hub->ring,
                 (struct bytes){(uint8_t *)&bench->random, sizeof bench->random});
}

int fanout_main(int argc, char **argv)
{
    static struct bench bench = {.members = 1000, .payload_size = 512, .rounds = 3000};
    struct contest single = {"one frame to each member", singles, 3, 0};
    struct contest four = {"four frames due to each member at once", bursts, 4, 0};
    const char *path = read_options(&bench, argc, argv);
    FILE *json = path != nullptr ? fopen(path, "w") : nullptr;
    struct cost_cores cores = cost_cores_pick();
    cost_pin(cores.server);
    bench.clock = cost_clock_open(cores.server);
    meet(&bench, cores);
    ready_costs(&single, bench.rounds);
    ready_costs(&four, bench.rounds / burst_every + 1);
    print_head(&bench, cores, json);
    for (uint32_t i = 0; i < bench.rounds + warm_rounds; i++) {
        play(&bench, &single, i >= warm_rounds);
        if (i % burst_every == 0) play(&bench, &four, i >= warm_rounds);
    }
    print_contest(&bench, &single, json);
    print_contest(&bench, &four, json);
    print_tail(&bench, json);
    if (json != nullptr) fclose(json);
    peer_stop(&bench.peer);
    return 0;
}
