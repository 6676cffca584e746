#include "senders.h"
#include "said.h"
#include "send_report.h"
#include "trouble.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t patience_ns = 10 * second_ns; /* for a handshake, for goodbyes */
constexpr uint64_t warm_ns = second_ns / 4;

/* ---- what is said ---- */

static bool is_talking(const struct senders *senders)
{
    return senders->phase == SENDERS_TALKING || senders->phase == SENDERS_MEASURING;
}

static bool is_in_window(const struct senders *senders, uint64_t due_ns)
{
    return due_ns >= senders->begin_ns && due_ns < senders->end_ns;
}

/* When the next message is due; UINT64_MAX when none is. */
static uint64_t next_due_ns(const struct senders *senders)
{
    const struct send_options *options = senders->options;
    if (!is_talking(senders) || options->every_ns == 0 || options->at_once > 0) return UINT64_MAX;
    uint64_t turn = senders->spoken / senders->count, place = senders->spoken % senders->count;
    uint64_t due_ns =
        senders->talk_ns + turn * options->every_ns + place * options->every_ns / senders->count;
    return due_ns < senders->end_ns ? due_ns : UINT64_MAX;
}

static void probe(struct senders *senders, uint32_t index, struct said said)
{
    uint32_t every = senders->options->probe;
    struct sender *sender = &senders->senders[index];
    if (every == 0 || (said.number + index) % every != 0 || sender->probed) return;
    uint8_t payload[said_probe_size];
    said_write_probe(payload, said);
    sender->probe = said;
    sender->probed = client_ping(&senders->clients[index], &senders->net, payload, sizeof payload);
}

static void say_one(struct senders *senders, uint32_t index, uint64_t due_ns)
{
    bool counts = is_in_window(senders, due_ns);
    senders->due += counts;
    if (senders->clients[index].phase != CLIENT_OPEN) return; /* counted where it ended */
    uint8_t text[said_size_max];
    struct said said = {.client = index,
                        .number = ++senders->senders[index].number,
                        .due_ns = due_ns,
                        .sent_ns = net_now_ns()};
    said_write(text, senders->options->size, said);
    if (!client_say(&senders->clients[index], &senders->net, text, senders->options->size)) return;
    senders->said_ever += 1;
    senders->said += counts;
    if (counts) histogram_add(&senders->late, said.sent_ns - due_ns);
    probe(senders, index, said);
}

/* No more at once than one wait of the clients may bring, so that what comes back is read. */
static void say_due(struct senders *senders)
{
    uint64_t due_ns;
    for (uint32_t burst = 0; burst < 512; burst++) {
        if ((due_ns = next_due_ns(senders)) > net_now_ns()) return;
        say_one(senders, (uint32_t)(senders->spoken++ % senders->count), due_ns);
    }
}

/* ---- what is heard ---- */

static void on_wish(void *run, const struct client *client, struct handshake_wish *wish)
{
    const struct senders *senders = run;
    if (senders->targets.count == 0) {
        snprintf(wish->path, sizeof wish->path, "%s", senders->options->path);
        return;
    }
    const struct target *target = &senders->targets.all[client->index];
    snprintf(wish->path, sizeof wish->path, "%s", target->path);
    snprintf(wish->token, sizeof wish->token, "%s", target->words[0]);
}

static const char *fault_of_echo(const struct senders *senders, const struct client *client,
                                 const struct wire_frame *frame, struct said *said, uint64_t now_ns)
{
    if (frame->opcode != WIRE_TEXT) return "an echo that is binary";
    if (frame->payload_size != senders->options->size) return "an echo of another size";
    const char *why = said_read(frame->payload, frame->payload_size, said);
    if (why != nullptr) return why;
    if (said->client != client->index) return "an echo of what another client said";
    if (said->number > senders->senders[client->index].number) return "an echo of what is to come";
    if (said->number != client->sequence + 1) return "an echo that is not the next";
    if (said->sent_ns > now_ns || said->due_ns > said->sent_ns) return "an echo of another time";
    return nullptr;
}

static void count_latency(struct senders *senders, const struct said *said, uint64_t now_ns)
{
    histogram_add(&senders->tally.from_encode, now_ns - said->sent_ns);
    histogram_add(&senders->tally.from_due, now_ns - said->due_ns);
}

static void on_echo(struct senders *senders, struct client *client, const struct wire_frame *frame,
                    uint64_t now_ns)
{
    struct said said;
    const char *why = fault_of_echo(senders, client, frame, &said, now_ns);
    if (why != nullptr) {
        tally_fault(&senders->tally, FAULT_TALK, "client %" PRIu32 ": %s", client->index, why);
        return;
    }
    client->sequence = said.number;
    if (is_in_window(senders, said.due_ns)) {
        senders->tally.delivered += 1;
        senders->tally.bytes += frame->size;
        count_latency(senders, &said, now_ns);
    }
    bool more = senders->options->at_once > 0 && is_talking(senders) && now_ns < senders->end_ns;
    if (more) say_one(senders, client->index, now_ns);
}

static void on_message(void *run, struct client *client, const struct wire_frame *frame,
                       uint64_t now_ns)
{
    struct senders *senders = run;
    if (senders->options->echo)
        on_echo(senders, client, frame, now_ns);
    else
        senders->heard += 1; /* what else happens there */
}

static bool on_pong(void *run, struct client *client, const struct wire_frame *frame,
                    uint64_t now_ns)
{
    struct senders *senders = run;
    struct sender *sender = &senders->senders[client->index];
    uint8_t right[said_probe_size];
    said_write_probe(right, sender->probe);
    if (!sender->probed || frame->payload_size != sizeof right ||
        memcmp(frame->payload, right, sizeof right) != 0)
        return false;
    sender->probed = false;
    if (is_in_window(senders, sender->probe.due_ns)) count_latency(senders, &sender->probe, now_ns);
    return true;
}

static const struct net_hooks hooks = {
    .wish = on_wish, .on_message = on_message, .on_pong = on_pong};

/* ---- the run's course ---- */

static void enter(struct senders *senders, enum send_phase phase, uint64_t now_ns)
{
    static const char *const names[] = {"opening",  "asking",  "talking", "measuring",
                                        "trailing", "closing", "over"};
    senders->phase = phase;
    senders->phase_ns = now_ns;
    fprintf(stderr, "ringcast-bench: %s\n", names[phase]);
}

static void note_usage(struct senders *senders, struct usage *usage)
{
    if (!usage_read(&senders->source, usage)) senders->server_ended = true;
}

/* As many as the rate allows by now. */
static void open_more(struct senders *senders, uint64_t now_ns)
{
    uint64_t allowed = (now_ns - senders->started_ns) * senders->options->rate / second_ns + 1;
    for (uint32_t burst = 0; burst < 64; burst++) {
        if (senders->asked == senders->count || senders->asked >= allowed) return;
        client_open(&senders->clients[senders->asked++], &senders->net);
    }
}

static void open_step(struct senders *senders, uint64_t now_ns)
{
    open_more(senders, now_ns);
    if (senders->asked < senders->count) {
        senders->phase_ns = now_ns; /* patience counts from the last one */
        return;
    }
    bool in = senders->tally.opened == senders->count;
    if (!in && now_ns - senders->phase_ns > patience_ns)
        give_up("of %" PRIu32 " clients %" PRIu64 " came in; %s", senders->count,
                senders->tally.opened, senders->tally.first_fault[FAULT_UPGRADE]);
    if (in && now_ns - senders->phase_ns > second_ns / 2) enter(senders, SENDERS_ASKING, now_ns);
}

static void begin_talk(struct senders *senders, uint64_t now_ns)
{
    struct tally *tally = &senders->tally;
    tally->delivered = tally->bytes = senders->due = senders->said = senders->spoken = 0;
    tally->from_encode = tally->from_due = tally->pass = senders->late = (struct histogram){};
    senders->talk_ns = now_ns + second_ns / 100;
    senders->begin_ns = senders->talk_ns + warm_ns;
    senders->end_ns = senders->begin_ns + senders->options->window_ns;
    enter(senders, SENDERS_TALKING, now_ns);
    for (uint32_t i = 0; i < senders->options->at_once * senders->count; i++)
        say_one(senders, i % senders->count, now_ns);
}

static void close_all(struct senders *senders, uint64_t now_ns)
{
    enter(senders, SENDERS_CLOSING, now_ns);
    for (uint32_t i = 0; i < senders->count; i++)
        if (senders->clients[i].phase == CLIENT_OPEN)
            client_leave(&senders->clients[i], &senders->net);
}

static void ask_step(struct senders *senders, uint64_t now_ns)
{
    if (senders->net.told) {
        senders->net.told = false;
        begin_talk(senders, now_ns);
    } else if (senders->net.told_to_end) {
        close_all(senders, now_ns);
    }
}

static void trail_step(struct senders *senders, uint64_t now_ns)
{
    if (senders_are_waiting(senders) && now_ns - senders->phase_ns < 2 * second_ns) return;
    send_report_window(senders, stdout);
    enter(senders, SENDERS_ASKING, now_ns);
}

static void advance(struct senders *senders, uint64_t now_ns)
{
    switch (senders->phase) {
    case SENDERS_OPENING: open_step(senders, now_ns); break;
    case SENDERS_ASKING: ask_step(senders, now_ns); break;
    case SENDERS_TALKING:
        if (now_ns < senders->begin_ns) break;
        note_usage(senders, &senders->begin);
        senders->pings_before = senders->tally.pings_answered;
        enter(senders, SENDERS_MEASURING, now_ns);
        break;
    case SENDERS_MEASURING:
        if (now_ns < senders->end_ns || next_due_ns(senders) < senders->end_ns) break;
        note_usage(senders, &senders->end);
        senders->pings = senders->tally.pings_answered - senders->pings_before;
        enter(senders, SENDERS_TRAILING, now_ns);
        break;
    case SENDERS_TRAILING: trail_step(senders, now_ns); break;
    case SENDERS_CLOSING:
        if (senders_count_in(senders, CLIENT_LEAVING) > 0 &&
            now_ns - senders->phase_ns < patience_ns)
            break;
        enter(senders, SENDERS_OVER, now_ns);
        break;
    case SENDERS_OVER: break;
    }
}

/* Until the next message or the next step may be due. */
static uint64_t step_ns(const struct senders *senders)
{
    uint64_t now_ns = net_now_ns(), until_ns = now_ns + 1'000'000;
    if (senders->phase == SENDERS_ASKING) until_ns = now_ns + second_ns;
    if (senders->phase == SENDERS_TALKING) until_ns = senders->begin_ns;
    if (senders->phase == SENDERS_MEASURING) until_ns = senders->end_ns;
    if (is_talking(senders) && until_ns > now_ns + second_ns) until_ns = now_ns + second_ns;
    uint64_t due_ns = next_due_ns(senders);
    if (due_ns < until_ns) until_ns = due_ns;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

static void show_progress(struct senders *senders, uint64_t now_ns)
{
    if (now_ns < senders->progress_ns || senders->phase == SENDERS_ASKING) return;
    senders->progress_ns = now_ns + second_ns;
    send_report_progress(senders, (now_ns - senders->started_ns) / second_ns, stderr);
}

static void run(struct senders *senders)
{
    senders->started_ns = net_now_ns();
    senders->progress_ns = senders->started_ns + second_ns;
    enter(senders, SENDERS_OPENING, senders->started_ns);
    while (senders->phase != SENDERS_OVER) {
        uint64_t pass_ns = net_turn(&senders->net, step_ns(senders));
        if (senders->phase == SENDERS_MEASURING && pass_ns > 0)
            histogram_add(&senders->tally.pass, pass_ns);
        say_due(senders);
        advance(senders, net_now_ns());
        show_progress(senders, net_now_ns());
    }
}

static void begin(struct senders *senders, const struct send_options *options)
{
    *senders = (struct senders){.options = options, .count = options->clients};
    if (options->targets != nullptr) {
        targets_read(&senders->targets, options->targets, 1);
        senders->count = senders->targets.count;
    }
    senders->clients = net_memory(senders->count, sizeof *senders->clients);
    senders->senders = net_memory(senders->count, sizeof *senders->senders);
    for (uint32_t i = 0; i < senders->count; i++)
        senders->clients[i] = (struct client){.fd = -1, .index = i};
    net_open(&senders->net, &options->server, senders->count);
    senders->net.hooks = &hooks;
    senders->net.run = senders;
    senders->net.tally = &senders->tally;
    net_steer(&senders->net);
    usage_open(&senders->source, options->server_pid);
}

static void end(struct senders *senders)
{
    for (uint32_t i = 0; i < senders->count; i++)
        client_drop(&senders->clients[i]);
    net_close(&senders->net);
    free(senders->senders);
    free(senders->clients);
    if (senders->targets.count > 0) targets_free(&senders->targets);
}

int senders_main(int argc, char **argv)
{
    static struct senders senders; /* its histograms are too large for a stack */
    struct send_options options = send_options_read(argc, argv);
    begin(&senders, &options);
    run(&senders);
    const struct tally *tally = &senders.tally;
    bool kept = tally->ended == 0 && tally_fault_sum(tally) == 0 && !senders.server_ended &&
                tally->goodbyes_answered == senders.count;
    for (size_t i = 0; i < fault_count; i++)
        if (tally->faults[i] > 0)
            fprintf(stderr, "ringcast-bench: FAULT %s: %" PRIu64 " times; the first: %s\n",
                    fault_sentence((enum fault)i), tally->faults[i], tally->first_fault[i]);
    end(&senders);
    return kept ? 0 : 1;
}
