#include "crowd.h"
#include "trouble.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t patience_ns = 10 * second_ns; /* for a handshake, for goodbyes */
constexpr uint64_t settle_ticks = 4;
constexpr int events_max = 512;

static void *take_memory(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == nullptr) give_up("no memory");
    return memory;
}

/* One descriptor a client, and a few more. */
static void raise_descriptor_limit(uint32_t clients)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < clients + 32ULL)
        give_up("%" PRIu32 " clients need more than the %" PRIu64 " descriptors that this process "
                "may have; raise them with ulimit -Hn as root",
                clients, (uint64_t)limit.rlim_max);
}

void crowd_init(struct crowd *crowd, const struct options *options)
{
    raise_descriptor_limit(options->clients);
    *crowd = (struct crowd){.options = options};
    crowd->clients = take_memory(options->clients, sizeof *crowd->clients);
    crowd->rooms = take_memory(options->rooms, sizeof *crowd->rooms);
    for (uint32_t i = 0; i < options->clients; i++)
        crowd->clients[i] = (struct client){.fd = -1, .index = i, .room = i % options->rooms};
    for (uint32_t i = 0; i < options->rooms; i++)
        grid_init(&crowd->rooms[i].grid, options->tick_ns);
    crowd->net = (struct net){.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                              .server = options->server,
                              .path = options->path,
                              .rooms = crowd->rooms,
                              .tally = &crowd->tally,
                              .scratch = take_memory(1, scratch_size)};
    if (crowd->net.epoll_fd < 0) give_up("epoll_create1: %s", strerror(errno));
    if (getrandom(&crowd->net.random, sizeof crowd->net.random, 0) < 0) give_up("getrandom failed");
    crowd->net.random |= 1; /* a xorshift must not start at 0 */
    usage_open(&crowd->source, options->server_pid);
    if (!options->steered) return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = crowd};
    if (epoll_ctl(crowd->net.epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        give_up("--steered: stdin is no pipe: %s", strerror(errno));
}

void crowd_deinit(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        client_drop(&crowd->clients[i]);
    for (uint32_t i = 0; i < crowd->options->rooms; i++)
        grid_deinit(&crowd->rooms[i].grid);
    close(crowd->net.epoll_fd);
    free(crowd->net.scratch);
    free(crowd->rooms);
    free(crowd->clients);
}

static uint32_t count_in(const struct crowd *crowd, enum client_phase phase)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        count += crowd->clients[i].phase == phase;
    return count;
}

static void note_usage(struct crowd *crowd, struct usage *usage)
{
    if (!usage_read(&crowd->source, usage)) crowd->server_ended = true;
}

static void enter(struct crowd *crowd, enum crowd_phase phase, uint64_t now_ns)
{
    static const char *const names[] = {"opening",  "settling", "asking", "measuring",
                                        "trailing", "closing",  "over"};
    crowd->phase = phase;
    crowd->phase_ns = now_ns;
    fprintf(stderr, "ringcast-bench: %s\n", names[phase]);
}

/* As many as the rate allows by now, and not so many at once that frames have to wait. */
static void open_more(struct crowd *crowd, uint64_t now_ns)
{
    const struct options *options = crowd->options;
    uint64_t allowed = (now_ns - crowd->started_ns) * options->rate / second_ns + 1;
    for (uint32_t burst = 0; burst < 64; burst++) {
        if (crowd->asked == options->clients || crowd->asked >= allowed) return;
        client_open(&crowd->clients[crowd->asked++], &crowd->net);
    }
}

static void open_step(struct crowd *crowd, uint64_t now_ns)
{
    open_more(crowd, now_ns);
    if (crowd->asked < crowd->options->clients) {
        crowd->phase_ns = now_ns; /* patience counts from the last one */
        return;
    }
    uint32_t waiting = count_in(crowd, CLIENT_CONNECTING) + count_in(crowd, CLIENT_UPGRADING);
    if (waiting > 0 && now_ns - crowd->phase_ns < patience_ns) return;
    if (crowd->tally.opened == 0)
        give_up("no client could connect: %s", crowd->tally.first_fault[FAULT_UPGRADE]);
    for (uint32_t i = 0; i < crowd->options->rooms; i++)
        grid_restart(&crowd->rooms[i].grid);
    enter(crowd, CROWD_SETTLING, now_ns);
}

/* The tick that a room really has, from its stamps; 0 while fewer than two states are known. */
static uint64_t real_tick_ns(const struct grid *grid)
{
    if (grid->count < 2) return 0;
    uint64_t first_ns = grid->ticks[0].encoded_ns;
    return (grid->ticks[grid->count - 1].encoded_ns - first_ns) / (grid->count - 1);
}

/* What is counted for one window, from nothing; what ever went wrong stays. */
static void forget_window(struct crowd *crowd)
{
    struct tally *tally = &crowd->tally;
    tally->delivered = tally->bytes = 0;
    tally->from_encode = tally->from_due = tally->pass = (struct histogram){};
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        crowd->clients[i].delivered = 0;
    crowd->end_ns = 0;
}

static void begin_window(struct crowd *crowd, uint64_t now_ns)
{
    const struct options *options = crowd->options;
    forget_window(crowd);
    for (uint32_t i = 0; i < options->rooms; i++) {
        struct room *room = &crowd->rooms[i];
        uint64_t real_ns = real_tick_ns(&room->grid);
        if (real_ns * 20 < options->tick_ns * 19) /* slower is what the run is to show */
            give_up("the server ticks every %.1f ms, not every %.0f ms: give the same --tick here "
                    "as its --kart-tick",
                    (double)real_ns / 1e6, (double)options->tick_ns / 1e6);
        room->grid.moved_ns = 0;
        room->begin_ns = grid_gap_ns(&room->grid, now_ns);
        room->end_ns = room->begin_ns + options->window_ns;
        if (room->end_ns > crowd->end_ns) crowd->end_ns = room->end_ns;
    }
    note_usage(crowd, &crowd->begin);
    enter(crowd, CROWD_MEASURING, now_ns);
}

/* In the second quarter after a tick of the first room, just before its window begins: no tick's
 * work is cut in two, so the CPU time of the window is that of its ticks. */
static bool is_between_ticks(const struct grid *grid, uint64_t now_ns)
{
    uint64_t phase_ns = (now_ns - grid->anchor_ns) % grid->tick_ns;
    return phase_ns >= grid->tick_ns / 4 && phase_ns < grid->tick_ns / 2;
}

static void settle_step(struct crowd *crowd, uint64_t now_ns)
{
    const struct grid *first = &crowd->rooms[0].grid;
    uint64_t waited_ns = now_ns - crowd->phase_ns;
    if (waited_ns < second_ns) return;
    if (crowd->tally.faults[FAULT_STATE] > 0)
        give_up("what the server sends cannot be measured: %s",
                crowd->tally.first_fault[FAULT_STATE]);
    for (uint32_t i = 0; i < crowd->options->rooms; i++) {
        if (crowd->rooms[i].grid.count >= settle_ticks) continue;
        if (waited_ns > patience_ns + 2 * settle_ticks * first->tick_ns)
            give_up("the clients are open, but states do not come");
        return;
    }
    if (crowd->options->steered)
        enter(crowd, CROWD_ASKING, now_ns);
    else if (is_between_ticks(first, now_ns))
        begin_window(crowd, now_ns);
}

static void close_all(struct crowd *crowd, uint64_t now_ns)
{
    enter(crowd, CROWD_CLOSING, now_ns);
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        if (crowd->clients[i].phase == CLIENT_OPEN) client_leave(&crowd->clients[i], &crowd->net);
}

static void ask_step(struct crowd *crowd, uint64_t now_ns)
{
    if (crowd->told && is_between_ticks(&crowd->rooms[0].grid, now_ns)) {
        crowd->told = false;
        begin_window(crowd, now_ns);
    } else if (crowd->told_to_end && !crowd->told) {
        close_all(crowd, now_ns);
    }
}

static void measure_step(struct crowd *crowd, uint64_t now_ns)
{
    if (now_ns < crowd->end_ns) return;
    note_usage(crowd, &crowd->end);
    crowd->stayed = count_in(crowd, CLIENT_OPEN);
    enter(crowd, CROWD_TRAILING, now_ns);
}

static uint64_t due_count(const struct crowd *crowd)
{
    return crowd->options->clients * (crowd->options->window_ns / crowd->options->tick_ns);
}

static void trail_step(struct crowd *crowd, uint64_t now_ns)
{
    bool complete = crowd->tally.delivered >= due_count(crowd);
    if (!complete && now_ns - crowd->phase_ns < 2 * second_ns + 2 * crowd->options->tick_ns) return;
    if (!crowd->options->steered) {
        close_all(crowd, now_ns);
        return;
    }
    crowd->on_window(crowd);
    enter(crowd, CROWD_ASKING, now_ns);
}

static void close_step(struct crowd *crowd, uint64_t now_ns)
{
    if (count_in(crowd, CLIENT_LEAVING) > 0 && now_ns - crowd->phase_ns < patience_ns) return;
    enter(crowd, CROWD_OVER, now_ns);
}

static void advance(struct crowd *crowd, uint64_t now_ns)
{
    switch (crowd->phase) {
    case CROWD_OPENING: open_step(crowd, now_ns); break;
    case CROWD_SETTLING: settle_step(crowd, now_ns); break;
    case CROWD_ASKING: ask_step(crowd, now_ns); break;
    case CROWD_MEASURING: measure_step(crowd, now_ns); break;
    case CROWD_TRAILING: trail_step(crowd, now_ns); break;
    case CROWD_CLOSING: close_step(crowd, now_ns); break;
    case CROWD_OVER: break;
    }
}

static void show_progress(struct crowd *crowd, uint64_t now_ns)
{
    if (now_ns < crowd->progress_ns || crowd->options->steered) return;
    crowd->progress_ns += second_ns;
    const struct tally *tally = &crowd->tally;
    fprintf(stderr,
            "  %3" PRIu64 " s  open %" PRIu32 "/%" PRIu32 "  delivered %" PRIu64 "/%" PRIu64
            "  p50 %.2f ms  p99 %.2f ms  gaps %" PRIu64 "  closed %" PRIu64 "  faults %" PRIu64
            "\n",
            (now_ns - crowd->started_ns) / second_ns, count_in(crowd, CLIENT_OPEN),
            crowd->options->clients, tally->delivered, due_count(crowd),
            (double)histogram_at(&tally->from_encode, 0.5) / 1e6,
            (double)histogram_at(&tally->from_encode, 0.99) / 1e6, tally->gaps, tally->ended,
            tally_fault_sum(tally));
}

/* Until something can be read, or the next step may be due. */
static int wait_for_events(const struct crowd *crowd, struct epoll_event *events)
{
    uint64_t step_ns = 1'000'000;
    if (crowd->phase == CROWD_MEASURING) {
        uint64_t now_ns = net_now_ns();
        step_ns = crowd->end_ns > now_ns ? crowd->end_ns - now_ns : 0;
        if (step_ns > second_ns / 10) step_ns = second_ns / 10;
    }
    struct timespec timeout = {.tv_nsec = (long)step_ns};
    int count = epoll_pwait2(crowd->net.epoll_fd, events, events_max, &timeout, nullptr);
    if (count < 0 && errno != EINTR) give_up("epoll_pwait2: %s", strerror(errno));
    return count;
}

/* A line asks for one window; how long it is does not matter. */
static void hear_stdin(struct crowd *crowd)
{
    char line[256];
    ssize_t size = read(STDIN_FILENO, line, sizeof line);
    if (size > 0) {
        crowd->told = memchr(line, '\n', (size_t)size) != nullptr;
        return;
    }
    crowd->told_to_end = true;
    epoll_ctl(crowd->net.epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
}

static void read_all(struct crowd *crowd, const struct epoll_event *events, int count)
{
    if (count <= 0) return;
    uint64_t begin_ns = net_now_ns();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == crowd)
            hear_stdin(crowd);
        else
            client_ready(events[i].data.ptr, &crowd->net);
    }
    if (crowd->phase == CROWD_MEASURING) histogram_add(&crowd->tally.pass, net_now_ns() - begin_ns);
}

void crowd_run(struct crowd *crowd)
{
    struct epoll_event events[events_max];
    crowd->started_ns = net_now_ns();
    crowd->progress_ns = crowd->started_ns + second_ns;
    note_usage(crowd, &crowd->before);
    enter(crowd, CROWD_OPENING, crowd->started_ns);
    while (crowd->phase != CROWD_OVER) {
        read_all(crowd, events, wait_for_events(crowd, events));
        uint64_t now_ns = net_now_ns();
        advance(crowd, now_ns);
        show_progress(crowd, now_ns);
    }
}
