#include "world.h"
#include "token.h"
#include "trouble.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t patience_ns = 20 * second_ns; /* for tokens, for goodbyes */
constexpr uint64_t token_s = 24 * 3600;

static struct world_pilot *pilot_of(struct client *client)
{
    return (struct world_pilot *)client;
}

/* ---- coming in ---- */

static void on_wish(void *context, const struct client *, struct handshake_wish *wish)
{
    const struct world_run *run = context;
    snprintf(wish->path, sizeof wish->path, "%s", run->options->path);
}

static void on_open(void *context, struct client *client)
{
    struct world_run *run = context;
    char id[world_id_size + 1], token[handshake_token_max], text[handshake_token_max + 64];
    if (run->options->room) {
        world_appear(run, pilot_of(client), (struct world_place){});
        return;
    }
    world_id_write(id, client->index);
    const struct token_claims claims = {.subject = id,
                                        .expires_s = (uint64_t)time(nullptr) + token_s};
    token_write(token, run->options->secret, &claims);
    int size =
        snprintf(text, sizeof text, "{\"type\":\"auth\",\"payload\":{\"token\":\"%s\"}}", token);
    client_say(client, &run->net, (const uint8_t *)text, (size_t)size);
}

/* ---- what is told ---- */

static void on_message(void *context, struct client *client, const struct wire_frame *frame,
                       uint64_t now_ns)
{
    struct world_run *run = context;
    if (frame->opcode != WIRE_TEXT)
        tally_fault(&run->tally, FAULT_WORLD, "client %" PRIu32 ": a binary message",
                    client->index);
    else if (run->options->room)
        world_hear_room(run, pilot_of(client), frame, now_ns);
    else
        world_hear(run, pilot_of(client), frame, now_ns);
}

static const struct net_hooks hooks = {
    .wish = on_wish, .on_open = on_open, .on_message = on_message};

/* ---- what is said ---- */

static uint64_t step_ns(const struct world_run *run)
{
    return run->options->ground.step_ms * 1'000'000ULL;
}

static bool is_talking(const struct world_run *run)
{
    bool window = run->phase == WORLD_WARMING || run->phase == WORLD_MEASURING;
    return run->phase == WORLD_SPREADING || (window && run->walks);
}

/* When somebody has to say where it is; UINT64_MAX: in this phase nobody any more. */
static uint64_t next_due_ns(const struct world_run *run)
{
    uint32_t clients = run->options->clients;
    if (!is_talking(run)) return UINT64_MAX;
    const struct world_pilot *pilot = &run->pilots[run->spoken % clients];
    uint64_t due_ns = run->talk_ns + run->spoken / clients * step_ns(run) + pilot->phase_ns;
    return run->phase == WORLD_SPREADING || due_ns < run->end_ns ? due_ns : UINT64_MAX;
}

static void say_one(struct world_run *run, uint64_t due_ns, uint64_t now_ns)
{
    char text[world_step_size_max];
    struct world_pilot *pilot = &run->pilots[run->spoken++ % run->options->clients];
    bool window = run->phase != WORLD_SPREADING && due_ns >= run->begin_ns;
    if (pilot->client.phase != CLIENT_OPEN) return; /* counted where it ended */
    if (run->phase == WORLD_SPREADING && pilot->walk.has_landed) return;
    size_t size = world_walk_step(&pilot->walk, &run->options->ground, text);
    if (run->phase == WORLD_SPREADING) run->landed += pilot->walk.has_landed;
    if (window) histogram_add(&run->late, now_ns - due_ns);
    run->said += window;
    client_say(&pilot->client, &run->net, (const uint8_t *)text, size);
}

/* A bounded number at once: who is late with talking must still listen. */
static void say_due(struct world_run *run)
{
    uint64_t now_ns = net_now_ns();
    for (uint32_t i = 0; i < 256; i++) {
        uint64_t due_ns = next_due_ns(run);
        if (due_ns > now_ns) return;
        say_one(run, due_ns, now_ns);
        now_ns = net_now_ns();
    }
}

/* ---- the run's course ---- */

static void enter(struct world_run *run, enum world_phase phase, uint64_t now_ns)
{
    static const char *const names[] = {"opening",   "spreading", "asking",  "warming",
                                        "measuring", "trailing",  "closing", "over"};
    run->phase = phase;
    run->phase_ns = run->talk_ns = now_ns;
    run->spoken = 0;
    fprintf(stderr, "ringcast-bench: %s\n", names[phase]);
}

static void note_usage(struct world_run *run, struct usage *usage)
{
    if (!usage_read(&run->source, usage)) run->server_ended = true;
}

static void open_step(struct world_run *run, uint64_t now_ns)
{
    const struct world_options *options = run->options;
    uint64_t allowed = (now_ns - run->started_ns) * options->rate / second_ns + 1;
    for (uint32_t burst = 0; burst < 64 && run->asked < options->clients; burst++)
        if (run->asked < allowed) client_open(&run->pilots[run->asked++].client, &run->net);
    if (run->asked < options->clients) {
        run->phase_ns = now_ns; /* patience counts from the last one */
        return;
    }
    if (run->here == options->clients)
        enter(run, options->room ? WORLD_ASKING : WORLD_SPREADING, now_ns);
    else if (now_ns - run->phase_ns > patience_ns)
        give_up("of %" PRIu32 " clients %" PRIu64 " connected and %" PRIu32 " came in; %s %s %s",
                options->clients, run->tally.opened, run->here,
                run->tally.first_fault[FAULT_UPGRADE], run->tally.first_fault[FAULT_WORLD],
                run->tally.first_fault[FAULT_CORRECTED]);
}

/* The rest of a phase begins with the step after the last one of WARMING. */
static void begin_window(struct world_run *run, uint64_t now_ns)
{
    const struct world_options *options = run->options;
    struct tally *tally = &run->tally;
    tally->delivered = tally->bytes = 0;
    tally->from_encode = tally->pass = run->late = (struct histogram){};
    run->ticks_seen = run->said = run->entities = run->cells = run->short_of = 0;
    enter(run, WORLD_WARMING, now_ns);
    uint64_t first_ns = run->newest_ns + options->tick_ns / 2, ready_ns = now_ns + second_ns;
    uint64_t ticks = ready_ns > first_ns ? (ready_ns - first_ns) / options->tick_ns + 1 : 0;
    run->begin_ns = first_ns + ticks * options->tick_ns;
    run->end_ns = run->begin_ns + options->window_ns;
    run->sight.unseen_ms = 0;
    run->sight.begin_ms = (run->begin_ns + run->epoch_ns) / 1'000'000;
}

static void close_all(struct world_run *run, uint64_t now_ns)
{
    enter(run, WORLD_CLOSING, now_ns);
    for (uint32_t i = 0; i < run->options->clients; i++)
        if (run->pilots[i].client.phase == CLIENT_OPEN)
            client_leave(&run->pilots[i].client, &run->net);
}

static void ask_step(struct world_run *run, uint64_t now_ns)
{
    if (run->net.told) {
        run->net.told = false;
        run->walks = strcmp(run->net.line, "walk") == 0;
        if (!run->walks && strcmp(run->net.line, "still") != 0)
            give_up("a line says walk or still, not %s", run->net.line);
        begin_window(run, now_ns);
    } else if (run->net.told_to_end) {
        close_all(run, now_ns);
    }
}

/* From here on it is not another phase as far as talking goes: due times go on. */
static void pass_on(struct world_run *run, enum world_phase phase, struct usage *usage,
                    uint64_t now_ns)
{
    uint64_t talk_ns = run->talk_ns, spoken = run->spoken;
    note_usage(run, usage);
    enter(run, phase, now_ns);
    run->talk_ns = talk_ns;
    run->spoken = spoken;
}

/* A tick is complete at a client when the next one begins there. */
static void trail_step(struct world_run *run, uint64_t now_ns)
{
    uint64_t waited_ns = now_ns - run->phase_ns;
    bool complete = run->tally.delivered >= world_made_count(run);
    if (waited_ns < 3 * run->options->tick_ns || (!complete && waited_ns < 2 * second_ns)) return;
    world_report(run, stdout);
    enter(run, WORLD_ASKING, now_ns);
}

static void advance(struct world_run *run, uint64_t now_ns)
{
    switch (run->phase) {
    case WORLD_OPENING: open_step(run, now_ns); break;
    case WORLD_SPREADING:
        if (run->landed == run->options->clients || world_count_in(run, CLIENT_OPEN) == 0)
            enter(run, WORLD_ASKING, now_ns);
        break;
    case WORLD_ASKING: ask_step(run, now_ns); break;
    case WORLD_WARMING:
        if (now_ns >= run->begin_ns) pass_on(run, WORLD_MEASURING, &run->begin, now_ns);
        break;
    case WORLD_MEASURING:
        if (now_ns >= run->end_ns) pass_on(run, WORLD_TRAILING, &run->end, now_ns);
        break;
    case WORLD_TRAILING: trail_step(run, now_ns); break;
    case WORLD_CLOSING:
        if (world_count_in(run, CLIENT_LEAVING) == 0 || now_ns - run->phase_ns > patience_ns)
            enter(run, WORLD_OVER, now_ns);
        break;
    case WORLD_OVER: break;
    }
}

/* Until the next message or the next step may be due. */
static uint64_t wait_ns(const struct world_run *run)
{
    uint64_t now_ns = net_now_ns(), until_ns = now_ns + 1'000'000;
    if (run->phase == WORLD_ASKING) until_ns = now_ns + second_ns;
    if (run->phase == WORLD_WARMING) until_ns = run->begin_ns;
    if (run->phase == WORLD_MEASURING) until_ns = run->end_ns;
    uint64_t due_ns = next_due_ns(run);
    if (due_ns < until_ns) until_ns = due_ns;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

static void run_all(struct world_run *run)
{
    run->started_ns = net_now_ns();
    enter(run, WORLD_OPENING, run->started_ns);
    while (run->phase != WORLD_OVER) {
        uint64_t pass_ns = net_turn(&run->net, wait_ns(run));
        if (run->phase == WORLD_MEASURING && pass_ns > 0) histogram_add(&run->tally.pass, pass_ns);
        say_due(run);
        advance(run, net_now_ns());
    }
}

/* ---- its beginning ---- */

static uint64_t epoch_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * second_ns + (uint64_t)time.tv_nsec - net_now_ns();
}

/* Each has a time of its own in a step, evenly apart. */
static void make_pilots(struct world_run *run)
{
    uint32_t clients = run->options->clients;
    run->pilots = net_memory(clients, sizeof *run->pilots);
    for (uint32_t i = 0; i < clients; i++) {
        struct world_pilot *pilot = &run->pilots[i];
        pilot->client = (struct client){.fd = -1, .index = i};
        pilot->phase_ns = i * step_ns(run) / clients;
        world_view_open(&pilot->view, &run->sight);
    }
}

static void begin(struct world_run *run, const struct world_options *options)
{
    *run = (struct world_run){.options = options, .epoch_ns = epoch_ns()};
    world_sight_open(&run->sight, &run->tally, options->clients, options->walkers, options->share);
    make_pilots(run);
    net_open(&run->net, &options->server, options->clients);
    run->net.hooks = &hooks;
    run->net.run = run;
    run->net.tally = &run->tally;
    net_steer(&run->net);
    usage_open(&run->source, options->server_pid);
}

static void end(struct world_run *run)
{
    for (uint32_t i = 0; i < run->options->clients; i++) {
        client_drop(&run->pilots[i].client);
        world_view_close(&run->pilots[i].view);
    }
    for (size_t i = 0; i < world_states; i++)
        free(run->states[i].bytes);
    world_sight_close(&run->sight);
    net_close(&run->net);
    free(run->pilots);
}

int world_main(int argc, char **argv)
{
    static struct world_run run; /* its histograms are too large for a stack */
    struct world_options options = world_options_read(argc, argv);
    begin(&run, &options);
    run_all(&run);
    const struct tally *tally = &run.tally;
    bool kept = tally->gaps == 0 && tally->ended == 0 && run.short_ever == 0 &&
                tally_fault_sum(tally) == 0 && tally->goodbyes_answered == options.clients &&
                !run.server_ended;
    for (size_t i = 0; i < fault_count; i++)
        if (tally->faults[i] > 0)
            fprintf(stderr, "ringcast-bench: FAULT %s: %" PRIu64 " times; the first: %s\n",
                    fault_sentence((enum fault)i), tally->faults[i], tally->first_fault[i]);
    end(&run);
    return kept ? 0 : 1;
}
