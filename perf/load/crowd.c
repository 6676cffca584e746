#include "crowd.h"
#include "trouble.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t patience_ns = 10 * second_ns; /* for a handshake, for goodbyes */
constexpr uint64_t settle_ticks = 4;

/* The path with the room's number, from 1, in place of its #. */
static void on_wish(void *run, const struct client *client, struct handshake_wish *wish)
{
    const struct crowd *crowd = run;
    const char *path = crowd->options->path, *mark = strchr(path, '#');
    wish->deflate = crowd->options->deflate;
    if (mark == nullptr)
        snprintf(wish->path, sizeof wish->path, "%s", path);
    else
        snprintf(wish->path, sizeof wish->path, "%.*s%" PRIu32 "%s", (int)(mark - path), path,
                 client->room + 1, mark + 1);
}

static void on_message(void *run, struct client *client, const struct wire_frame *frame,
                       uint64_t now_ns)
{
    struct crowd *crowd = run;
    struct tally *tally = &crowd->tally;
    struct state_stamp stamp = {};
    const char *fault = frame->opcode != WIRE_TEXT
                            ? "a binary message"
                            : state_read(frame->payload, frame->payload_size, &stamp);
    if (fault == nullptr && stamp.sequence == 0) fault = "a state with the number 0";
    if (fault != nullptr) {
        tally_fault(tally, FAULT_STATE, "client %" PRIu32 ": %s", client->index, fault);
        return;
    }
    client->delivered += tally_state(tally, &crowd->rooms[client->room], stamp, client->sequence,
                                     frame->size, now_ns);
    if (stamp.sequence > client->sequence) client->sequence = stamp.sequence;
}

static const struct net_hooks hooks = {.wish = on_wish, .on_message = on_message};

void crowd_init(struct crowd *crowd, const struct options *options)
{
    *crowd = (struct crowd){.options = options};
    crowd->clients = net_memory(options->clients, sizeof *crowd->clients);
    crowd->rooms = net_memory(options->rooms, sizeof *crowd->rooms);
    for (uint32_t i = 0; i < options->clients; i++)
        crowd->clients[i] = (struct client){.fd = -1, .index = i, .room = i % options->rooms};
    for (uint32_t i = 0; i < options->rooms; i++)
        grid_init(&crowd->rooms[i].grid, options->tick_ns);
    net_open(&crowd->net, &options->server, options->clients);
    crowd->net.hooks = &hooks;
    crowd->net.run = crowd;
    crowd->net.tally = &crowd->tally;
    usage_open(&crowd->source, options->server_pid);
    if (options->steered) net_steer(&crowd->net);
}

void crowd_deinit(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->options->clients; i++)
        client_drop(&crowd->clients[i]);
    for (uint32_t i = 0; i < crowd->options->rooms; i++)
        grid_deinit(&crowd->rooms[i].grid);
    net_close(&crowd->net);
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
    tally->delivered = tally->bytes = tally->inflated = tally->inflated_bytes = 0;
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
        room->after = 0;
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
    if (crowd->net.told && is_between_ticks(&crowd->rooms[0].grid, now_ns)) {
        crowd->net.told = false;
        begin_window(crowd, now_ns);
    } else if (crowd->net.told_to_end && !crowd->net.told) {
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

/* Who has a state from after the window gets none of the window's any more. */
static bool is_over_for_all(const struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->options->clients; i++) {
        const struct client *client = &crowd->clients[i];
        const struct room *room = &crowd->rooms[client->room];
        bool is_past = room->after > 0 && client->sequence >= room->after;
        if (client->phase == CLIENT_OPEN && !is_past) return false;
    }
    return true;
}

static void trail_step(struct crowd *crowd, uint64_t now_ns)
{
    bool complete = crowd->tally.delivered >= due_count(crowd) || is_over_for_all(crowd);
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

/* The figures are those of the window, also while the next one is waited for. */
static void show_progress(struct crowd *crowd, uint64_t now_ns)
{
    if (now_ns < crowd->progress_ns || crowd->phase == CROWD_ASKING) return;
    crowd->progress_ns = now_ns + second_ns;
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

/* Until the next step may be due. */
static uint64_t step_ns(const struct crowd *crowd)
{
    if (crowd->phase != CROWD_MEASURING) return 1'000'000;
    uint64_t now_ns = net_now_ns();
    uint64_t left_ns = crowd->end_ns > now_ns ? crowd->end_ns - now_ns : 0;
    return left_ns < second_ns / 10 ? left_ns : second_ns / 10;
}

void crowd_run(struct crowd *crowd)
{
    crowd->started_ns = net_now_ns();
    crowd->progress_ns = crowd->started_ns + second_ns;
    note_usage(crowd, &crowd->before);
    enter(crowd, CROWD_OPENING, crowd->started_ns);
    while (crowd->phase != CROWD_OVER) {
        bool measuring = crowd->phase == CROWD_MEASURING;
        uint64_t pass_ns = net_turn(&crowd->net, step_ns(crowd));
        if (measuring && pass_ns > 0) histogram_add(&crowd->tally.pass, pass_ns);
        uint64_t now_ns = net_now_ns();
        advance(crowd, now_ns);
        show_progress(crowd, now_ns);
    }
}
