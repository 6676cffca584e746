#include "talkers.h"
#include "figures.h"
#include "talk.h"
#include "trouble.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t patience_ns = 10 * second_ns; /* for a handshake, for goodbyes */

/* ---- what is heard ---- */

static void on_wish(void *run, const struct client *client, struct handshake_wish *wish)
{
    const struct talkers *talkers = run;
    const struct target *target = &talkers->targets.all[client->index];
    snprintf(wish->path, sizeof wish->path, "%s", target->path);
    snprintf(wish->token, sizeof wish->token, "%s", target->words[0]);
}

static void fault(struct talkers *talkers, const struct client *client, enum fault fault,
                  const char *why)
{
    tally_fault(&talkers->tally, fault, "client %" PRIu32 ": %s", client->index, why);
}

/* Whose it is, and to whom the correlation_id belongs. A bare loop gives everybody all that was
 * said. */
static const char *fault_of_owner(const struct talkers *talkers, const struct client *client,
                                  const struct talk_heard *heard)
{
    uint32_t members = talkers->options->members;
    uint32_t place = (uint32_t)(heard->talk.number % members);
    bool mine = client->index % members == place;
    if (!talkers->options->bare && heard->place != place) return "a chat under another's name";
    bool wants = mine || talkers->options->bare;
    if (wants && heard->correlation != heard->talk.number)
        return "a chat without the correlation_id that it was given";
    if (!wants && heard->correlation != 0) return "a correlation_id that is another's";
    return nullptr;
}

/* Compares with what the client heard before. True when it is newer. */
static bool is_newer(struct talkers *talkers, const struct client *client, uint64_t number)
{
    if (number == client->sequence + 1) return true;
    if (number == client->sequence) {
        fault(talkers, client, FAULT_REPEATED, "a chat");
    } else if (number < client->sequence) {
        fault(talkers, client, FAULT_BACKWARDS, "a chat");
    } else {
        talkers->tally.gaps += 1;
        talkers->tally.states_missed += number - client->sequence - 1;
        return true;
    }
    return false;
}

static void on_chat(struct talkers *talkers, struct client *client, const struct talk_heard *heard,
                    size_t frame_size, uint64_t now_ns)
{
    const struct talk *talk = &heard->talk;
    const char *why = fault_of_owner(talkers, client, heard);
    bool is_recent = talk->number + talkers_dues > talkers->said[client->room];
    if (is_recent && talk->due_ns != talkers->last_ns[client->room][talk->number % talkers_dues])
        why = "a chat of another time";
    if (talk->due_ns > now_ns) why = "a chat from the future";
    if (talk->number > talkers->said[client->room]) why = "a chat that nobody said yet";
    if (talk->room != client->room) why = "a chat of another room";
    if (why != nullptr) {
        fault(talkers, client, FAULT_TALK, why);
        return;
    }
    if (!is_newer(talkers, client, talk->number)) return;
    client->sequence = talk->number;
    if (talk->due_ns < talkers->begin_ns || talk->due_ns >= talkers->end_ns) return;
    client->delivered += 1;
    talkers->tally.delivered += 1;
    talkers->tally.bytes += frame_size;
    histogram_add(&talkers->tally.from_due, now_ns - talk->due_ns);
}

static void on_message(void *run, struct client *client, const struct wire_frame *frame,
                       uint64_t now_ns)
{
    struct talkers *talkers = run;
    struct talk_heard heard;
    const char *why = frame->opcode != WIRE_TEXT
                          ? "a binary message"
                          : talk_read(frame->payload, frame->payload_size, talkers->options->bare,
                                      talkers->options->text_size, &heard);
    talkers->heard_ns = now_ns;
    if (why != nullptr) {
        fault(talkers, client, FAULT_TALK, why);
        return;
    }
    switch (heard.kind) {
    case TALK_CHAT: on_chat(talkers, client, &heard, frame->size, now_ns); break;
    case TALK_STATE: talkers->greeted += 1; break;
    case TALK_NEWS: talkers->news += 1; break;
    }
}

static const struct net_hooks hooks = {.wish = on_wish, .on_message = on_message};

/* ---- what is said ---- */

/* When the next message is due; UINT64_MAX when the window's last one has been said. */
static uint64_t next_due_ns(const struct talkers *talkers)
{
    if (talkers->phase != TALKERS_TALKING && talkers->phase != TALKERS_MEASURING) return UINT64_MAX;
    uint64_t period = talkers->spoken / talkers->room_count;
    const struct talk_room *room = &talkers->rooms[talkers->spoken % talkers->room_count];
    uint64_t due_ns = talkers->talk_ns + period * talkers->options->period_ns + room->phase_ns;
    return due_ns < talkers->end_ns ? due_ns : UINT64_MAX;
}

static void say_one(struct talkers *talkers, uint64_t due_ns, uint64_t now_ns)
{
    uint32_t members = talkers->options->members;
    uint32_t room = talkers->rooms[talkers->spoken++ % talkers->room_count].index;
    uint64_t number = ++talkers->said[room];
    talkers->last_ns[room][number % talkers_dues] = due_ns;
    struct client *client = &talkers->clients[room * members + number % members];
    if (client->phase != CLIENT_OPEN) return; /* counted where it ended */
    uint8_t text[talk_size_max];
    size_t size =
        talk_write(text, (struct talk){room, number, due_ns}, talkers->options->text_size);
    if (due_ns >= talkers->begin_ns) histogram_add(&talkers->late, now_ns - due_ns);
    client_say(client, &talkers->net, text, size);
}

static void say_due(struct talkers *talkers)
{
    uint64_t now_ns = net_now_ns(), due_ns;
    while ((due_ns = next_due_ns(talkers)) <= now_ns) {
        say_one(talkers, due_ns, now_ns);
        now_ns = net_now_ns();
    }
}

/* ---- the run's course ---- */

static uint32_t count_in(const struct talkers *talkers, enum client_phase phase)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        count += talkers->clients[i].phase == phase;
    return count;
}

static void enter(struct talkers *talkers, enum talk_phase phase, uint64_t now_ns)
{
    static const char *const names[] = {"opening",  "asking",  "talking", "measuring",
                                        "trailing", "closing", "over"};
    talkers->phase = phase;
    talkers->phase_ns = now_ns;
    fprintf(stderr, "ringcast-bench: %s\n", names[phase]);
}

static void note_usage(struct talkers *talkers, struct usage *usage)
{
    if (!usage_read(&talkers->source, usage)) talkers->server_ended = true;
}

/* As many as the rate allows by now. One after the other, so that a server which counts those who
 * come knows by it which room is whose. */
static void open_more(struct talkers *talkers, uint64_t now_ns)
{
    uint64_t allowed = (now_ns - talkers->started_ns) * talkers->options->rate / second_ns + 1;
    for (uint32_t burst = 0; burst < 64; burst++) {
        if (talkers->asked == talkers->targets.count || talkers->asked >= allowed) return;
        client_open(&talkers->clients[talkers->asked++], &talkers->net);
    }
}

/* Until everybody has come in and was greeted, and it is quiet. */
static void open_step(struct talkers *talkers, uint64_t now_ns)
{
    open_more(talkers, now_ns);
    uint32_t count = talkers->targets.count;
    if (talkers->asked < count) {
        talkers->phase_ns = now_ns; /* patience counts from the last one */
        return;
    }
    bool greeted = talkers->options->bare || talkers->greeted == count;
    bool in = talkers->tally.opened == count && greeted;
    if (!in && now_ns - talkers->phase_ns > patience_ns)
        give_up("of %" PRIu32 " clients %" PRIu64 " came in and %" PRIu64 " were greeted; %s %s",
                count, talkers->tally.opened, talkers->greeted,
                talkers->tally.first_fault[FAULT_UPGRADE], talkers->tally.first_fault[FAULT_TALK]);
    if (in && now_ns - talkers->heard_ns > second_ns / 2) enter(talkers, TALKERS_ASKING, now_ns);
}

static void close_all(struct talkers *talkers, uint64_t now_ns)
{
    enter(talkers, TALKERS_CLOSING, now_ns);
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        if (talkers->clients[i].phase == CLIENT_OPEN)
            client_leave(&talkers->clients[i], &talkers->net);
}

static void begin_talk(struct talkers *talkers, uint64_t now_ns)
{
    const struct talk_options *options = talkers->options;
    struct tally *tally = &talkers->tally;
    tally->delivered = tally->bytes = 0;
    tally->from_due = tally->pass = talkers->late = (struct histogram){};
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        talkers->clients[i].delivered = 0;
    talkers->talk_ns = now_ns + second_ns / 10;
    talkers->spoken = 0;
    talkers->begin_ns = talkers->talk_ns + options->period_ns;
    talkers->end_ns = talkers->begin_ns + options->periods * options->period_ns;
    enter(talkers, TALKERS_TALKING, now_ns);
}

static void ask_step(struct talkers *talkers, uint64_t now_ns)
{
    if (talkers->net.told) {
        talkers->net.told = false;
        begin_talk(talkers, now_ns);
    } else if (talkers->net.told_to_end) {
        close_all(talkers, now_ns);
    }
}

static void talk_step(struct talkers *talkers, uint64_t now_ns)
{
    if (now_ns < talkers->begin_ns) return;
    note_usage(talkers, &talkers->begin);
    enter(talkers, TALKERS_MEASURING, now_ns);
}

static void measure_step(struct talkers *talkers, uint64_t now_ns)
{
    if (now_ns < talkers->end_ns) return;
    note_usage(talkers, &talkers->end);
    enter(talkers, TALKERS_TRAILING, now_ns);
}

static uint64_t due_count(const struct talkers *talkers)
{
    return (uint64_t)talkers->targets.count * talkers->options->periods;
}

/* ---- figures ---- */

static bool is_kept(const struct talkers *talkers)
{
    const struct tally *tally = &talkers->tally;
    return tally->delivered == due_count(talkers) && tally->gaps == 0 && tally->ended == 0 &&
           tally_fault_sum(tally) == 0 && !talkers->server_ended &&
           count_in(talkers, CLIENT_OPEN) == talkers->targets.count;
}

static uint32_t fewest_delivered(const struct talkers *talkers)
{
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        if (talkers->clients[i].delivered < fewest) fewest = talkers->clients[i].delivered;
    return fewest;
}

/* The last line of a window's figures is a brace alone. */
static void write_window(const struct talkers *talkers, FILE *out)
{
    const struct talk_options *options = talkers->options;
    const struct tally *tally = &talkers->tally;
    struct usage used = usage_between(&talkers->begin, &talkers->end);
    fprintf(out,
            "{\n  \"clients\": %" PRIu32 ",\n  \"rooms\": %" PRIu32 ",\n  \"period_ns\": %" PRIu64
            ",\n  \"window_ns\": %" PRIu64 ",\n  \"text_size\": %" PRIu32 ",\n",
            talkers->targets.count, talkers->room_count, options->period_ns,
            options->period_ns * options->periods, options->text_size);
    fprintf(out,
            "  \"said\": %" PRIu64 ",\n  \"due\": %" PRIu64 ",\n  \"delivered\": %" PRIu64
            ",\n  \"bytes\": %" PRIu64 ",\n  \"fewest\": %" PRIu32 ",\n",
            talkers->late.count, due_count(talkers), tally->delivered, tally->bytes,
            fewest_delivered(talkers));
    fprintf(out,
            "  \"gaps\": %" PRIu64 ",\n  \"missed\": %" PRIu64 ",\n  \"news\": %" PRIu64
            ",\n  \"pings_answered\": %" PRIu64 ",\n",
            tally->gaps, tally->states_missed, talkers->news, tally->pings_answered);
    figures_histogram("latency_ns", &tally->from_due, out);
    figures_histogram("said_late_ns", &talkers->late, out);
    figures_histogram("client_pass_ns", &tally->pass, out);
    figures_usage(&used, options->server_pid != 0 && !talkers->server_ended, "delivered",
                  tally->delivered, out);
    figures_lists(tally, out);
    fprintf(out, "  \"kept\": %s\n}\n", is_kept(talkers) ? "true" : "false");
    fflush(out);
}

static void trail_step(struct talkers *talkers, uint64_t now_ns)
{
    bool complete = talkers->tally.delivered >= due_count(talkers);
    if (!complete && now_ns - talkers->phase_ns < 2 * second_ns) return;
    write_window(talkers, stdout);
    enter(talkers, TALKERS_ASKING, now_ns);
}

static void close_step(struct talkers *talkers, uint64_t now_ns)
{
    if (count_in(talkers, CLIENT_LEAVING) > 0 && now_ns - talkers->phase_ns < patience_ns) return;
    enter(talkers, TALKERS_OVER, now_ns);
}

static void advance(struct talkers *talkers, uint64_t now_ns)
{
    switch (talkers->phase) {
    case TALKERS_OPENING: open_step(talkers, now_ns); break;
    case TALKERS_ASKING: ask_step(talkers, now_ns); break;
    case TALKERS_TALKING: talk_step(talkers, now_ns); break;
    case TALKERS_MEASURING: measure_step(talkers, now_ns); break;
    case TALKERS_TRAILING: trail_step(talkers, now_ns); break;
    case TALKERS_CLOSING: close_step(talkers, now_ns); break;
    case TALKERS_OVER: break;
    }
}

/* Until the next message or the next step may be due. */
static uint64_t step_ns(const struct talkers *talkers)
{
    uint64_t now_ns = net_now_ns(), until_ns = now_ns + 1'000'000;
    if (talkers->phase == TALKERS_ASKING) until_ns = now_ns + second_ns;
    if (talkers->phase == TALKERS_TALKING) until_ns = talkers->begin_ns;
    if (talkers->phase == TALKERS_MEASURING) until_ns = talkers->end_ns;
    uint64_t due_ns = next_due_ns(talkers);
    if (due_ns < until_ns) until_ns = due_ns;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

static void run(struct talkers *talkers)
{
    talkers->started_ns = net_now_ns();
    enter(talkers, TALKERS_OPENING, talkers->started_ns);
    while (talkers->phase != TALKERS_OVER) {
        uint64_t pass_ns = net_turn(&talkers->net, step_ns(talkers));
        if (talkers->phase == TALKERS_MEASURING && pass_ns > 0)
            histogram_add(&talkers->tally.pass, pass_ns);
        say_due(talkers);
        advance(talkers, net_now_ns());
    }
}

/* ---- its beginning ---- */

/* Something else for each number, and the same each time. */
static uint64_t scatter(uint64_t number)
{
    number += 0x9E3779B97F4A7C15;
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9;
    number = (number ^ number >> 27) * 0x94D049BB133111EB;
    return number ^ number >> 31;
}

static int by_phase(const void *left, const void *right)
{
    const struct talk_room *a = left, *b = right;
    return (a->phase_ns > b->phase_ns) - (a->phase_ns < b->phase_ns);
}

static void make_rooms(struct talkers *talkers)
{
    uint32_t members = talkers->options->members;
    if (talkers->targets.count % members != 0)
        give_up("--targets: %" PRIu32 " clients are no whole number of rooms of %" PRIu32,
                talkers->targets.count, members);
    talkers->room_count = talkers->targets.count / members;
    talkers->rooms = net_memory(talkers->room_count, sizeof *talkers->rooms);
    talkers->said = net_memory(talkers->room_count, sizeof *talkers->said);
    talkers->last_ns = net_memory(talkers->room_count, sizeof *talkers->last_ns);
    for (uint32_t i = 0; i < talkers->room_count; i++)
        talkers->rooms[i] =
            (struct talk_room){.index = i, .phase_ns = scatter(i) % talkers->options->period_ns};
    qsort(talkers->rooms, talkers->room_count, sizeof *talkers->rooms, by_phase);
}

static void begin(struct talkers *talkers, const struct talk_options *options)
{
    *talkers = (struct talkers){.options = options};
    targets_read(&talkers->targets, options->targets, 1);
    make_rooms(talkers);
    talkers->clients = net_memory(talkers->targets.count, sizeof *talkers->clients);
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        talkers->clients[i] = (struct client){.fd = -1, .index = i, .room = i / options->members};
    net_open(&talkers->net, &options->server, talkers->targets.count);
    talkers->net.hooks = &hooks;
    talkers->net.run = talkers;
    talkers->net.tally = &talkers->tally;
    net_steer(&talkers->net);
    usage_open(&talkers->source, options->server_pid);
}

static void end(struct talkers *talkers)
{
    for (uint32_t i = 0; i < talkers->targets.count; i++)
        client_drop(&talkers->clients[i]);
    net_close(&talkers->net);
    free(talkers->last_ns);
    free(talkers->said);
    free(talkers->rooms);
    free(talkers->clients);
    targets_free(&talkers->targets);
}

int talkers_main(int argc, char **argv)
{
    static struct talkers talkers; /* its histograms are too large for a stack */
    struct talk_options options = talk_options_read(argc, argv);
    begin(&talkers, &options);
    run(&talkers);
    const struct tally *tally = &talkers.tally;
    bool kept = tally->gaps == 0 && tally->ended == 0 && tally_fault_sum(tally) == 0 &&
                tally->goodbyes_answered == talkers.targets.count && !talkers.server_ended;
    for (size_t i = 0; i < fault_count; i++)
        if (tally->faults[i] > 0)
            fprintf(stderr, "ringcast-bench: FAULT %s: %" PRIu64 " times; the first: %s\n",
                    fault_sentence((enum fault)i), tally->faults[i], tally->first_fault[i]);
    end(&talkers);
    return kept ? 0 : 1;
}
