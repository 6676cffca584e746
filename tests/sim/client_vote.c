/* tests/sim/client_vote.c: who sits in rooms of vote, and who acquires them. What they hear is held
 * against each other by rooms.c. */
#include "client.h"
#include <stdio.h>

/* A room of vote that is known and not over; nothing when there is none. */
static uint32_t draw_room(struct client *client)
{
    uint32_t drawn = client_nothing, seen = 0;
    for (uint32_t i = 0; i < client->run->room_count; i++) {
        const struct watched_room *room = &client->run->rooms[i];
        if (room->kind != GAME_VOTE || !room->known || room->over) continue;
        seen += 1;
        if (client_below(client, seen) == 0) drawn = i;
    }
    return drawn;
}

static bool say_vote(struct client *client)
{
    char path[64];
    client->room = draw_room(client);
    if (client->room == client_nothing) return false;
    snprintf(path, sizeof path, "/api/rooms/%s/ws", client->run->rooms[client->room].id);
    client_say_upgrade(client, path, "");
    return true;
}

static void speak(struct client *client)
{
    (void)client_say_text(client, "ready");
}

static bool explains(struct client *, uint32_t code)
{
    return code == 4410;
}

static bool deflates(const struct config *config)
{
    return config->vote_deflate;
}

const struct client_kind vote_kind = {
    .name = "vote",
    .deflates = deflates,
    .hello = say_vote,
    .on_open = rooms_on_open,
    .on_text = rooms_on_text,
    .on_pong = rooms_on_pong,
    .speak = speak,
    .explains = explains,
    .check = rooms_check_vote,
};

/* --- Hosts ------------------------------------------------------------------------------------ */

static struct action *new_action(struct client *client)
{
    struct run *run = client->run;
    if (run->action_count == actions_max) return nullptr;
    client->action = run->action_count++;
    run->actions[client->action] =
        (struct action){.room = client->room, .sent_ns = sim_now_ns(run->sim)};
    return &run->actions[client->action];
}

enum : uint32_t { VERB_ACQUIRE, VERB_PARTICIPATE, VERB_START, VERB_RELEASE };

/* Acquires a room while there are few, else asks one for something. */
static bool say_host(struct client *client)
{
    static const char *const verbs[] = {"", "participate", "start", "release"};
    struct run *run = client->run;
    char path[64];
    client->room = draw_room(client);
    bool acquires = client->room == client_nothing || client_below(client, 6) == 0;
    client->verb = VERB_ACQUIRE;
    if (acquires) {
        if (run->room_count == rooms_max) return false;
        run->acquires += 1;
        client_say_request(client, "POST", "/api/rooms", "", "");
        return true;
    }
    uint32_t drawn = client_below(client, 20);
    client->verb = drawn < 17 ? VERB_PARTICIPATE : drawn < 19 ? VERB_START : VERB_RELEASE;
    if (client->verb == VERB_PARTICIPATE && new_action(client) == nullptr) return false;
    if (client->verb == VERB_RELEASE) run->rooms[client->room].over = true;
    snprintf(path, sizeof path, "/api/rooms/%s/%s", run->rooms[client->room].id,
             verbs[client->verb]);
    client_say_request(client, "PATCH", path, run->rooms[client->room].token,
                       client->verb == VERB_PARTICIPATE ? "{\"text\":\"tea\"}" : "");
    return true;
}

static void on_acquired(struct client *client, const struct wire_answer *answer)
{
    struct run *run = client->run;
    const char *id = memmem(answer->body, answer->body_size, "\"room_id\":\"", 11);
    const char *token = memmem(answer->body, answer->body_size, "\"host_token\":\"", 14);
    MUST(run, id != nullptr && token != nullptr, "an acquired room has no id or no token");
    if (run->room_count == rooms_max) return;
    struct watched_room *room = &run->rooms[run->room_count++];
    *room = (struct watched_room){.kind = GAME_VOTE, .known = true, .shown = room->shown};
    memcpy(room->id, id + 11, 6);
    memcpy(room->token, token + 14, 32);
}

static void on_host_answer(struct client *client, const struct wire_answer *answer)
{
    if (client->verb == VERB_ACQUIRE) {
        if (answer->status == 200) on_acquired(client, answer);
        return;
    }
    if (answer->status == 404) client->run->rooms[client->room].over = true;
    if (client->action == client_nothing) return;
    struct action *action = &client->run->actions[client->action];
    action->accepted_ns = answer->status == 200 ? client_now(client) : 0;
    action->refused = answer->status != 200;
}

const struct client_kind host_kind = {
    .name = "host",
    .is_brief = true,
    .hello = say_host,
    .on_answer = on_host_answer,
};
