#include "knock.h"
#include "figures.h"
#include "json.h"
#include "options.h"
#include "token.h"
#include "trouble.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t warm_ns = second_ns / 2;
constexpr uint64_t patience_ns = 10 * second_ns; /* for one client's whole life */
constexpr uint64_t token_s = 3600;
constexpr uint32_t descriptors = knock_at_once_max;

/* ---- one client ---- */

static void on_wish(void *run, const struct client *client, struct handshake_wish *wish)
{
    const struct knock *knock = run;
    if (knock->targets.count == 0) {
        snprintf(wish->path, sizeof wish->path, "%s", knock->options->path);
        return;
    }
    const struct target *target = &knock->targets.all[client->index % knock->targets.count];
    snprintf(wish->path, sizeof wish->path, "%s", target->path);
    const struct token_claims claims = {.room = target->words[0],
                                        .player = target->words[1],
                                        .name = target->words[2],
                                        .expires_s = knock->expires_s,
                                        .id = client->index};
    token_write(wish->token, knock->options->secret, &claims);
}

static void on_message(void *run, struct client *client, const struct wire_frame *frame, uint64_t)
{
    struct knock *knock = run;
    struct knocker *knocker = (struct knocker *)client; /* its first member */
    struct json_wanted type = {.path = "type"};
    if (knocker->greeted) return; /* what else happens there */
    const char *why = frame->opcode != WIRE_TEXT
                          ? "a binary message"
                          : json_read(frame->payload, frame->payload_size, &type, 1);
    if (why == nullptr && knock->targets.count > 0 && !json_is(&type, "state"))
        why = "the first message does not tell who is in the room";
    if (why != nullptr)
        tally_fault(&knock->tally, FAULT_TALK, "client %" PRIu32 ": %s", client->index, why);
    knocker->greeted = true;
    knock->greeted += 1;
    if (knock->phase == KNOCK_MEASURING)
        histogram_add(&knock->tally.from_due, net_now_ns() - knocker->since_ns);
    if (client->phase == CLIENT_OPEN) client_leave(client, &knock->net);
}

static const struct net_hooks hooks = {.wish = on_wish, .on_message = on_message};

/* When the next one is to come; at once, unless there is a rate. */
static uint64_t next_due_ns(const struct knock *knock)
{
    if (knock->options->rate == 0) return 0;
    return knock->come_ns + (knock->came - knock->came_before) * second_ns / knock->options->rate;
}

static void come(struct knock *knock, struct knocker *knocker, uint64_t now_ns)
{
    if (knock->phase != KNOCK_WARMING && knock->phase != KNOCK_MEASURING) return;
    uint64_t due_ns = next_due_ns(knock);
    if (due_ns > now_ns) return;
    *knocker = (struct knocker){.client = {.fd = -1, .index = (uint32_t)knock->came++},
                                .since_ns = due_ns > 0 ? due_ns : net_now_ns()};
    client_open(&knocker->client, &knock->net);
}

/* Who has gone makes room for another; while nobody is to come, nobody does. */
static void serve(struct knock *knock, struct knocker *knocker, uint64_t now_ns)
{
    struct client *client = &knocker->client;
    if (client->phase == CLIENT_GONE) {
        knock->left += client->asked && client->close_seen;
        client->phase = CLIENT_IDLE;
    }
    if (client->phase == CLIENT_IDLE) {
        come(knock, knocker, now_ns);
    } else if (now_ns - knocker->since_ns > patience_ns) {
        tally_fault(&knock->tally, FAULT_UPGRADE, "client %" PRIu32 " waited for too long",
                    client->index);
        client_drop(client);
    }
}

static bool is_anybody_here(const struct knock *knock)
{
    for (uint32_t i = 0; i < knock->options->at_once; i++)
        if (knock->all[i].client.phase != CLIENT_IDLE) return true;
    return false;
}

/* ---- the run's course ---- */

static void note_usage(struct knock *knock, struct usage *usage)
{
    if (!usage_read(&knock->source, usage)) knock->server_ended = true;
}

static void enter(struct knock *knock, enum knock_phase phase, uint64_t now_ns)
{
    static const char *const names[] = {"asking", "warming", "measuring", "over"};
    knock->phase = phase;
    knock->phase_ns = now_ns;
    fprintf(stderr, "ringcast-bench: %s\n", names[phase]);
}

/* Every client that came was greeted and answered. */
static bool is_kept(const struct knock *knock)
{
    return tally_fault_sum(&knock->tally) == 0 && knock->tally.ended == 0 &&
           knock->greeted == knock->came && knock->left == knock->came && !knock->server_ended;
}

static void write_window(const struct knock *knock, FILE *out)
{
    const struct knock_options *options = knock->options;
    struct usage used = usage_between(&knock->begin, &knock->end);
    fprintf(out,
            "{\n  \"tokens\": %s,\n  \"at_once\": %" PRIu32 ",\n  \"window_ns\": %" PRIu64
            ",\n  \"handshakes\": %" PRIu64 ",\n  \"per_second\": %.1f,\n",
            knock->targets.count > 0 ? "true" : "false", options->at_once, used.wall_ns,
            knock->left_in, (double)knock->left_in * 1e9 / (double)used.wall_ns);
    fprintf(out,
            "  \"came\": %" PRIu64 ",\n  \"greeted\": %" PRIu64 ",\n  \"left\": %" PRIu64 ",\n",
            knock->came, knock->greeted, knock->left);
    figures_histogram("greeted_ns", &knock->tally.from_due, out);
    figures_usage(&used, options->server_pid != 0 && !knock->server_ended, "handshake",
                  knock->left_in, out);
    figures_lists(&knock->tally, out);
    fprintf(out, "  \"kept\": %s\n}\n", is_kept(knock) ? "true" : "false");
    fflush(out);
}

static void ask_step(struct knock *knock, uint64_t now_ns)
{
    if (is_anybody_here(knock)) return;
    if (knock->end_ns != 0) write_window(knock, stdout);
    knock->end_ns = 0;
    if (knock->net.told) {
        knock->net.told = false;
        knock->expires_s = (uint64_t)time(nullptr) + token_s;
        knock->tally.from_due = (struct histogram){};
        knock->come_ns = now_ns;
        knock->came_before = knock->came;
        enter(knock, KNOCK_WARMING, now_ns);
    } else if (knock->net.told_to_end) {
        enter(knock, KNOCK_OVER, now_ns);
    }
}

static void advance(struct knock *knock, uint64_t now_ns)
{
    switch (knock->phase) {
    case KNOCK_ASKING: ask_step(knock, now_ns); break;
    case KNOCK_WARMING:
        if (now_ns - knock->phase_ns < warm_ns) break;
        note_usage(knock, &knock->begin);
        knock->left_before = knock->left;
        knock->end_ns = now_ns + knock->options->window_ns;
        enter(knock, KNOCK_MEASURING, now_ns);
        break;
    case KNOCK_MEASURING:
        if (now_ns < knock->end_ns) break;
        note_usage(knock, &knock->end);
        knock->left_in = knock->left - knock->left_before;
        enter(knock, KNOCK_ASKING, now_ns);
        break;
    case KNOCK_OVER: break;
    }
}

static void run(struct knock *knock)
{
    enter(knock, KNOCK_ASKING, net_now_ns());
    while (knock->phase != KNOCK_OVER) {
        net_turn(&knock->net, 1'000'000);
        uint64_t now_ns = net_now_ns();
        for (uint32_t i = 0; i < knock->options->at_once; i++)
            serve(knock, &knock->all[i], now_ns);
        advance(knock, now_ns);
    }
}

/* ---- its beginning ---- */

static const char help[] =
    "usage: ringcast-bench knock [OPTION]...   come, be greeted, leave; a window for each line on\n"
    "                                          stdin\n"
    "\n"
    "  --server ADDR     the server's IPv4 address and port [127.0.0.1:8080]\n"
    "  --path PATH       where to connect without a token [/ws]\n"
    "  --targets FILE    with tokens: a line for each place, PATH ROOM_ID PLAYER_ID NAME; the "
    "secret\n"
    "                    is RINGCAST_JWT_SECRET\n"
    "  --at-once N       clients under way, at most [16]\n"
    "  --rate N          clients that come a second; 0: as fast as they are let in [0]\n"
    "  --seconds N       of a window [5]\n"
    "  --server-pid PID  also measure the CPU time of that process\n";

static struct knock_options read_options(int argc, char **argv)
{
    static const struct option known[] = {{"server", required_argument, nullptr, 's'},
                                          {"path", required_argument, nullptr, 'p'},
                                          {"targets", required_argument, nullptr, 't'},
                                          {"at-once", required_argument, nullptr, 'n'},
                                          {"rate", required_argument, nullptr, 'r'},
                                          {"seconds", required_argument, nullptr, 'w'},
                                          {"server-pid", required_argument, nullptr, 'i'},
                                          {"help", no_argument, nullptr, 'h'},
                                          {}};
    struct knock_options options = {.server = address_of("127.0.0.1:8080"),
                                    .path = "/ws",
                                    .secret = getenv("RINGCAST_JWT_SECRET"),
                                    .at_once = 16,
                                    .window_ns = 5 * second_ns};
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 's': options.server = address_of(optarg); break;
        case 'p': options.path = optarg; break;
        case 't': options.targets = optarg; break;
        case 'n':
            options.at_once = (uint32_t)number_of("at-once", optarg, 1, knock_at_once_max, "");
            break;
        case 'r': options.rate = (uint32_t)number_of("rate", optarg, 0, 100'000, ""); break;
        case 'w':
            options.window_ns = number_of("seconds", optarg, 1, 86'400, "") * second_ns;
            break;
        case 'i':
            options.server_pid = (pid_t)number_of("server-pid", optarg, 1, INT32_MAX, "");
            break;
        case 'h': fputs(help, stdout); exit(0);
        default: give_up("knock --help lists the options");
        }
    }
    if (optind < argc) give_up("%s: not an option; knock --help lists them", argv[optind]);
    if (options.targets != nullptr && options.secret == nullptr)
        give_up("knock --targets makes tokens: set RINGCAST_JWT_SECRET to the server's secret");
    return options;
}

int knock_main(int argc, char **argv)
{
    static struct knock knock; /* its histograms are too large for a stack */
    struct knock_options options = read_options(argc, argv);
    knock.options = &options;
    if (options.targets != nullptr) targets_read(&knock.targets, options.targets, 3);
    net_open(&knock.net, &options.server, descriptors);
    knock.net.hooks = &hooks;
    knock.net.run = &knock;
    knock.net.tally = &knock.tally;
    net_steer(&knock.net);
    usage_open(&knock.source, options.server_pid);
    run(&knock);
    bool kept = is_kept(&knock);
    net_close(&knock.net);
    targets_free(&knock.targets);
    return kept ? 0 : 1;
}
