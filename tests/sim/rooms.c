#include "client.h"
#include "hub/stop.h"
#include <stdio.h>

static const char *const races[races_max] = {"", "alpha", "beta", "gamma"};

void rooms_begin(struct run *run)
{
    static uint8_t shown[rooms_max][states_max];
    for (uint32_t i = 0; i < rooms_max; i++) {
        run->rooms[i] = (struct watched_room){.shown = shown[i]};
        if (i < races_max) memset(shown[i], 0, states_max);
    }
    for (uint32_t i = 0; i < races_max; i++) {
        run->rooms[i].kind = GAME_KART;
        run->rooms[i].known = true;
        snprintf(run->rooms[i].id, sizeof run->rooms[i].id, "%s", races[i]);
    }
    run->room_count = races_max;
}

static struct watched_room *room_of(const struct client *client)
{
    return &client->run->rooms[client->room];
}

/* Actions that are over by now will not be told to it. */
static uint32_t finished_actions(const struct client *client, uint64_t before_ns)
{
    const struct run *run = client->run;
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->action_count; i++) {
        const struct action *action = &run->actions[i];
        bool over = action->refused || (action->accepted_ns > 0 && action->accepted_ns < before_ns);
        count += action->room == client->room && !over;
    }
    return count;
}

void rooms_on_open(struct client *client)
{
    client->last_state_ns = sim_now_ns(client->run->sim);
}

/* --- Races: {"phase":P,"pot":N,"time_remaining_ms":N,"t":N,"s":N} ----------------------------- */

/* Only of the race at /ws, which stays when it is empty. */
static void note_gap(const struct client *client, uint64_t sequence)
{
    struct run *run = client->run;
    if (client->room != 0 || run->gap_count == gaps_max) return;
    run->gaps[run->gap_count++] = (struct gap){client->last_state + 1, sequence};
}

uint64_t rooms_missed(const struct run *run)
{
    uint64_t missed = 0;
    for (uint32_t i = 0; i < run->gap_count; i++)
        for (uint64_t s = run->gaps[i].from; s < run->gaps[i].to && s < states_max; s++)
            missed += run->rooms[0].shown[s];
    return missed;
}

static void on_state(struct client *client, const uint8_t *data, uint32_t size)
{
    struct run *run = client->run;
    uint64_t sequence, stamp, pot, left;
    bool whole = size > 2 && data[0] == '{' && data[size - 1] == '}' &&
                 wire_json_number(data, size, "\"pot\":", &pot) &&
                 wire_json_number(data, size, "\"time_remaining_ms\":", &left) &&
                 wire_json_number(data, size, "\"t\":", &stamp) &&
                 wire_json_number(data, size, "\"s\":", &sequence);
    MUST(run, whole, "client %u: a state that is none: %.*s", client->index,
         size < 100 ? (int)size : 100, (const char *)data);
    MUST(run, client->states == 0 || sequence > client->last_state,
         "client %u: state %llu after state %llu", client->index, (unsigned long long)sequence,
         (unsigned long long)client->last_state);
    MUST(run, stamp >= client->last_stamp, "client %u: time goes back", client->index);
    if (client->states == 0) client->first_state = sequence;
    struct watched_room *room = room_of(client);
    if (client->states > 0 && sequence > client->last_state + 1) note_gap(client, sequence);
    /* one that goes to who is here already, not only to who comes */
    if (client->states > 0 && sequence < states_max) room->shown[sequence] = 1;
    if (sequence > room->newest) room->newest = sequence;
    sim_mix(run->sim, sequence);
    client->states += 1;
    client->last_state = sequence;
    client->last_stamp = stamp;
    client->last_state_ns = sim_now_ns(run->sim);
    run->states_seen += 1;
}

/* --- Vote: {"type":T,"room_id":R,"data":D} ---------------------------------------------------- */

static bool is(const uint8_t *data, uint32_t size, const char *type)
{
    constexpr uint32_t head_size = 9;
    size_t type_size = strlen(type);
    return size > head_size + type_size + 2 && memcmp(data, "{\"type\":\"", head_size) == 0 &&
           memcmp(data + head_size, type, type_size) == 0 &&
           memcmp(data + head_size + type_size, "\",", 2) == 0;
}

static void on_event(struct client *client, const uint8_t *data, uint32_t size)
{
    struct run *run = client->run;
    struct watched_room *room = room_of(client);
    uint64_t count = 1;
    char id[48];
    snprintf(id, sizeof id, "\"room_id\":\"%s\"", room->id);
    MUST(run, wire_contains(data, size, id), "client %u: an event of another room: %.*s",
         client->index, (int)size, (const char *)data);
    MUST(run, !client->saw_finished, "client %u: an event after the room was over", client->index);
    if (is(data, size, "room_status")) {
        bool counted = wire_json_number(data, size, "\"participants_count\":", &count);
        MUST(run, counted && count >= 1, "client %u: a status without itself", client->index);
        bool finished = wire_contains(data, size, "FINISHED");
        if (finished) client->saw_finished = room->over = true;
        bool lobby = wire_contains(data, size, "LOBBY");
        MUST(run, !lobby || !client->saw_started, "client %u: voting has ended again",
             client->index);
        client->saw_status = true;
        return;
    }
    MUST(run, client->saw_status, "client %u: the first message is no status: %.*s", client->index,
         (int)size, (const char *)data);
    if (is(data, size, "participant_ready")) {
        MUST(run, !client->saw_started, "client %u: somebody is ready after the start",
             client->index);
        client->ready_seen += 1;
        uint32_t most = finished_actions(client, client->connected_ns);
        MUST(run, client->ready_seen <= most, "client %u: told %u times of %u actions",
             client->index, client->ready_seen, most);
    } else if (is(data, size, "voting_started")) {
        MUST(run, !client->saw_started, "client %u: voting started twice", client->index);
        client->saw_started = true;
    } else {
        bool joined = is(data, size, "participant_joined") &&
                      wire_json_number(data, size, "\"participants_count\":", &count);
        MUST(run, joined && count >= 2, "client %u: unknown event %.*s", client->index, (int)size,
             (const char *)data);
    }
}

/* It is sent when the client is in its room, and there the state comes first. */
void rooms_on_pong(struct client *client)
{
    enum game_kind kind = room_of(client)->kind;
    bool seen = client->states > 0 || client->saw_status;
    MUST(client->run, seen || (kind != GAME_KART && kind != GAME_VOTE),
         "client %u: a pong came before the first state", client->index);
}

void rooms_on_text(struct client *client, const uint8_t *data, uint32_t size)
{
    if (room_of(client)->kind == GAME_KART)
        on_state(client, data, size);
    else
        on_event(client, data, size);
}

/* --- What must have been seen ----------------------------------------------------------------- */

/* Every action that was sent and accepted while it sat there; what tells of the last ones may still
 * wait for the flush window. */
void rooms_check_vote(struct client *client)
{
    struct run *run = client->run;
    uint64_t told_ns = sim_now_ns(run->sim) - run->plan.config.flush_window_us * 2000ULL;
    uint32_t least = 0;
    for (uint32_t i = 0; i < run->action_count; i++) {
        const struct action *action = &run->actions[i];
        least += action->room == client->room && action->accepted_ns > 0 &&
                 action->accepted_ns <= told_ns && action->sent_ns > client->opened_ns;
    }
    MUST(run, client->ready_seen >= least, "client %u: told %u times of %u actions", client->index,
         client->ready_seen, least);
}

void rooms_check_kart(struct client *client)
{
    struct run *run = client->run;
    uint64_t quiet_ns = sim_now_ns(run->sim) - client->last_state_ns;
    uint64_t tick_ns = run->plan.config.kart_tick_ms * ms_ns;
    MUST(run, client->states > 0 && quiet_ns < tick_ns + second_ns,
         "client %u: has seen %u states, the last one %llu ms ago", client->index, client->states,
         (unsigned long long)(quiet_ns / ms_ns));
    uint64_t marked = client->opened_ns < run->marked_ns ? room_of(client)->marked : 0;
    MUST(run, client->last_state >= marked, "client %u: holds state %llu, another had %llu before",
         client->index, (unsigned long long)client->last_state, (unsigned long long)marked);
}

/* A server that listens answers: at the latest when the handshake's time is over it hangs up. */
static void check_answered(struct client *client)
{
    struct run *run = client->run;
    uint64_t waits_ns = sim_now_ns(run->sim) - client->connected_ns;
    bool waits = client->phase == CLIENT_HANDSHAKE && !client->vanished;
    uint64_t patience_ns = (run->plan.config.handshake_ms + 2 * goodbye_ms) * ms_ns + second_ns;
    MUST(run, !waits || client->connected_ns < run->calm_ns || waits_ns < 2 * second_ns,
         "client %u waits for an answer since %llu ms", client->index,
         (unsigned long long)(waits_ns / ms_ns));
    MUST(run, !waits || waits_ns < patience_ns, "client %u is left without an answer",
         client->index);
}

void rooms_mark(struct run *run)
{
    run->marked = true;
    run->marked_ns = sim_now_ns(run->sim);
    run->rooms[0].marked =
        run->rooms[0].newest; /* the other races begin anew after the last left */
}

void rooms_check_live(struct run *run)
{
    for (uint32_t i = 0; i < run->plan.clients; i++) {
        struct client *client = &run->clients[i];
        if (client->role != ROLE_GHOST) check_answered(client);
        const struct client_kind *kind = client_kind_of(client);
        if (client_is_live(client) && kind->check != nullptr) kind->check(client);
    }
}
