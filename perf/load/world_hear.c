/* perf/load/world_hear.c: what a world, or a room of states, tells its clients: each message is
 * held against what that client knows, and against what the others were told. */
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void fault(struct world_run *run, const struct client *client, enum fault fault,
                  const char *why)
{
    tally_fault(&run->tally, fault, "client %" PRIu32 ": %s", client->index, why);
}

void world_appear(struct world_run *run, struct world_pilot *pilot, struct world_place spawn)
{
    world_walk_begin(&pilot->walk, &run->options->ground, pilot->client.index, spawn);
    pilot->walk.has_landed = run->options->room;
}

/* ---- what the world says ---- */

static uint64_t here_ns(const struct world_run *run, uint64_t time_ms)
{
    uint64_t ns = time_ms * 1'000'000;
    return ns > run->epoch_ns ? ns - run->epoch_ns : 0;
}

/* A tick that nobody has been told of before. */
static void note_tick(struct world_run *run, uint64_t time_ns)
{
    if (time_ns <= run->newest_ns) return;
    run->newest_ns = time_ns;
    run->ticks_seen += time_ns >= run->begin_ns && time_ns < run->end_ns;
}

static void note_update(struct world_run *run, const struct world_told *told, uint64_t time_ns)
{
    run->short_ever += told->short_of;
    if (time_ns < run->begin_ns || time_ns >= run->end_ns) return;
    run->tally.delivered += 1;
    run->tally.bytes += told->bytes;
    run->entities += told->entities;
    run->cells += told->cells;
    run->short_of += told->short_of;
    histogram_add(&run->tally.from_encode, told->at_ns > time_ns ? told->at_ns - time_ns : 0);
}

/* What a cell shows of our own players is where they said that they are. */
static void check_places(struct world_run *run, const struct client *client)
{
    for (uint32_t i = 0; i < run->sight.fresh_count; i++) {
        const struct world_sighting *sighting = &run->sight.fresh[i];
        if (sighting->is_walker) continue;
        const struct world_pilot *pilot = &run->pilots[sighting->number];
        if (!world_walk_was_at(&pilot->walk, sighting->place))
            tally_fault(&run->tally, FAULT_ASTRAY,
                        "client %" PRIu32 ": player %" PRIu32 " at %" PRId64 ",%" PRId64 " mm",
                        client->index, sighting->number, sighting->place.x, sighting->place.z);
    }
}

static void hear_update(struct world_run *run, struct world_pilot *pilot,
                        const struct wire_frame *frame, uint64_t now_ns)
{
    struct world_told told;
    bool complete =
        world_sight_update(&run->sight, &pilot->view, pilot->client.index, frame->payload,
                           frame->payload_size, frame->size, now_ns, &told);
    if (run->sight.fresh_count > 0) check_places(run, &pilot->client);
    note_tick(run, here_ns(run, run->sight.newest_ms));
    if (complete) note_update(run, &told, here_ns(run, told.time_ms));
}

static void hear_result(struct world_run *run, struct world_pilot *pilot, struct world_place spawn)
{
    if (pilot->stage != WORLD_STRANGER) {
        fault(run, &pilot->client, FAULT_WORLD, "an auth_result that nobody has asked for");
        return;
    }
    pilot->stage = WORLD_LET_IN;
    world_appear(run, pilot, spawn);
}

static void hear_seed(struct world_run *run, struct world_pilot *pilot)
{
    if (pilot->stage != WORLD_LET_IN)
        fault(run, &pilot->client, FAULT_WORLD, "a world_seed at the wrong time");
    run->here += pilot->stage == WORLD_LET_IN;
    pilot->stage = WORLD_HERE;
}

void world_hear(struct world_run *run, struct world_pilot *pilot, const struct wire_frame *frame,
                uint64_t now_ns)
{
    struct world_place place = {};
    struct world_told told;
    const char *why;
    enum world_said said = world_said_of(frame->payload, frame->payload_size, &place, &why);
    if (said <= WORLD_SAID_LEAVE && pilot->stage != WORLD_HERE)
        fault(run, &pilot->client, FAULT_WORLD, "told of the world before it was let in");
    if (said != WORLD_SAID_UPDATE && world_view_finish(&pilot->view, &told))
        note_update(run, &told, here_ns(run, told.time_ms));
    switch (said) {
    case WORLD_SAID_UPDATE: hear_update(run, pilot, frame, now_ns); break;
    case WORLD_SAID_ENTER:
    case WORLD_SAID_LEAVE:
        world_sight_list(&run->sight, &pilot->view, pilot->client.index, frame->payload,
                         frame->payload_size, said == WORLD_SAID_LEAVE);
        break;
    case WORLD_SAID_RESULT: hear_result(run, pilot, place); break;
    case WORLD_SAID_SEED: hear_seed(run, pilot); break;
    case WORLD_SAID_PRESENCE: break;
    case WORLD_SAID_CORRECTION: fault(run, &pilot->client, FAULT_CORRECTED, "correction"); break;
    case WORLD_SAID_ERROR: fault(run, &pilot->client, FAULT_CORRECTED, "an error"); break;
    case WORLD_SAID_OTHER: fault(run, &pilot->client, FAULT_WORLD, why); break;
    }
}

/* ---- what a room says ---- */

static const struct world_state *find_state(const struct world_run *run,
                                            const struct wire_frame *frame)
{
    for (size_t i = 0; i < world_states; i++) {
        const struct world_state *state = &run->states[i];
        if (state->size == frame->payload_size &&
            memcmp(state->bytes, frame->payload, state->size) == 0)
            return state;
    }
    return nullptr;
}

/* Reads one that has not come before. nullptr, or what is wrong with it; then *which is set. */
static const char *read_state(struct world_run *run, const struct wire_frame *frame,
                              struct state_stamp *stamp, enum fault *which)
{
    *which = FAULT_STATE;
    const char *why = state_read(frame->payload, frame->payload_size, stamp);
    if (why != nullptr) return why;
    struct world_state *state = &run->states[stamp->sequence % world_states];
    *which = FAULT_ENCODED_TWICE;
    if (state->stamp.sequence == stamp->sequence) return "a state, or told in two ways";
    if (state->stamp.sequence > stamp->sequence) return nullptr; /* its client is read late */
    free(state->bytes);
    *state = (struct world_state){
        .stamp = *stamp, .bytes = net_memory(frame->payload_size, 1), .size = frame->payload_size};
    memcpy(state->bytes, frame->payload, state->size);
    return nullptr;
}

static const char *fault_of_state(const struct client *client, const struct state_stamp *stamp,
                                  uint64_t now_ns, enum fault *which)
{
    *which = FAULT_REPEATED;
    if (stamp->sequence == client->sequence) return "a state";
    *which = FAULT_BACKWARDS;
    if (stamp->sequence < client->sequence) return "a state";
    *which = FAULT_FROM_THE_FUTURE;
    return stamp->encoded_ns > now_ns ? "a state" : nullptr;
}

void world_hear_room(struct world_run *run, struct world_pilot *pilot,
                     const struct wire_frame *frame, uint64_t now_ns)
{
    struct client *client = &pilot->client;
    struct state_stamp stamp;
    enum fault which;
    const struct world_state *known = find_state(run, frame);
    const char *why = nullptr;
    if (known != nullptr)
        stamp = known->stamp;
    else
        why = read_state(run, frame, &stamp, &which);
    if (why == nullptr) why = fault_of_state(client, &stamp, now_ns, &which);
    if (why != nullptr) {
        fault(run, client, which, why);
        return;
    }
    run->here += client->sequence == 0;
    if (client->sequence > 0 && stamp.sequence > client->sequence + 1) {
        run->tally.gaps += 1;
        run->tally.states_missed += stamp.sequence - client->sequence - 1;
    }
    bool first = client->sequence == 0; /* the one that greets it is of no tick */
    client->sequence = stamp.sequence;
    if (first) return;
    note_tick(run, stamp.encoded_ns);
    const struct world_told told = {.at_ns = now_ns, .bytes = frame->size, .cells = 1};
    note_update(run, &told, stamp.encoded_ns);
}
