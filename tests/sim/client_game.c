/* tests/sim/client_game.c: who comes to /ws/games/ID, with a token of a backend's: to lobbies, to
 * play four in a row, and to rooms that a backend has made (client_backend.c). Some come with one
 * that is no good, some are the same player twice. */
#include "parlour.h"
#include "token.h"
#include <stdarg.h>
#include <stdio.h>

struct parlour parlour;

/* A state has all of its history in it, so lobbies that end are not compared. */
constexpr uint32_t never_over_ms = 200'000;

static void begin(struct run *run)
{
    parlour.change_count = 1; /* 0 is what a room begins with */
    for (uint32_t i = 0; i < parlour.room_count; i++)
        parlour.rooms[i] = (struct game_room){};
    parlour.room_count = lobbies_most;
    for (uint32_t i = 0; i < lobbies_most; i++) {
        struct game_room *room = &parlour.rooms[i];
        snprintf(room->id, sizeof room->id, "g%u", i);
        room->known = true;
        room->chats = true;
        room->people_most = run->plan.config.lobby_people;
        room->single = run->plan.config.lobby_empty_ms >= never_over_ms;
    }
    for (uint32_t i = 0; i < clients_max; i++)
        parlour.players[i] = (struct player){.number = i % players_most};
}

void game_note_told(struct client *client, struct game_room *room, uint64_t sequence)
{
    if (sequence >= told_most) return;
    if (sequence > room->newest) room->newest = sequence;
    if (room->told[sequence].first_ns == 0) room->told[sequence].first_ns = client_now(client);
}

/* --- Coming ----------------------------------------------------------------------------------- */

static uint32_t draw_room(struct client *client)
{
    uint32_t drawn = client_below(client, lobbies_most), seen = 0;
    if (parlour.room_count > lobbies_most && client_below(client, 3) == 0) return drawn;
    for (uint32_t i = lobbies_most; i < parlour.room_count; i++)
        if (parlour.rooms[i].known && !parlour.rooms[i].closed && client_below(client, ++seen) == 0)
            drawn = i;
    return drawn;
}

static void make_token(struct client *client, char token[static token_size_max])
{
    struct player *player = game_player(client);
    const struct config *config = &client->run->plan.config;
    char claims[160], room[40] = "";
    uint32_t drawn = client_below(client, 24);
    uint64_t lasts_s = drawn < 3 ? 3 : 100'000;
    player->shows_wrong = drawn == 23 || drawn == 22;
    player->shows_short = drawn < 3;
    player->ends_ns =
        client_now(client) + (lasts_s - 1) * second_ns + config->jwt_leeway_ms * ms_ns;
    if (client_below(client, 2) == 0 || drawn == 22)
        snprintf(room, sizeof room, ",\"room\":\"%s\"",
                 drawn == 22 ? "elsewhere" : game_room_of(client)->id);
    snprintf(claims, sizeof claims, "{\"sub\":\"s%u\",\"name\":\"S%u\",\"exp\":%llu%s}",
             player->number, player->number, (unsigned long long)(client_wall_s(client) + lasts_s),
             room);
    token_sign(token, claims, drawn == 23 ? "another secret, with 32 bytes too" : sim_secret);
}

static bool say_hello(struct client *client)
{
    struct player *player = game_player(client);
    char path[600], headers[600] = "", token[token_size_max];
    player->room = draw_room(client);
    make_token(client, token);
    const char *id = game_room_of(client)->id;
    int size = snprintf(path, sizeof path, "/ws/games/%s", id);
    switch (client_below(client, 3)) {
    case 0: snprintf(path + size, sizeof path - (size_t)size, "?token=%s", token); break;
    case 1: snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", token); break;
    default:
        snprintf(headers, sizeof headers, "Sec-WebSocket-Protocol: ringcast.v1, bearer.%s\r\n",
                 token);
    }
    client_say_upgrade(client, path, headers);
    game_room_of(client)->arrivals[player->number] += 1;
    return true;
}

void game_room_over(struct client *client, struct game_room *room)
{
    const struct run *run = client->run;
    if (!room->is_relay) return;
    for (uint32_t i = 0; i < run->plan.clients; i++) {
        const struct client *other = &run->clients[i];
        const struct player *player = &parlour.players[i];
        bool sits = other->role == ROLE_GAME && player->stated && player->is_relay &&
                    &parlour.rooms[player->room] == room && client_is_live(other);
        MUST(client->run,
             !sits || !run->calm || room->closing ||
                 client->connected_ns < run->calm_ns + second_ns,
             "client %u is told that a room is over in which client %u is", client->index, i);
    }
    if (!room->closed) room->closed_ns = client_now(client);
    room->closed = true;
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    const struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    const struct config *config = &client->run->plan.config;
    bool expired = player->shows_short || client->run->plan.jump_ms != 0;
    switch (answer->status) {
    case 401:
        MUST(client->run, player->shows_wrong || expired, "client %u has a token and got 401: %.*s",
             client->index, (int)answer->body_size, answer->body);
        break;
    case 403:
        MUST(client->run, room->kicks[player->number], "client %u was not kicked, and got 403",
             client->index);
        break;
    case 404:
        MUST(client->run, !config->lobby, "client %u asked for a lobby and got 404", client->index);
        game_room_over(client, room);
        break;
    case 409:
        MUST(client->run, room->people_most < players_most || config->lobby_people < players_most,
             "client %u: a room for %u is full of %u", client->index, room->people_most,
             players_most);
        break;
    case 410:
        MUST(client->run, room->is_relay, "client %u: a lobby is over for good", client->index);
        game_room_over(client, room);
        break;
    case 423:
        MUST(client->run, room->is_relay, "client %u: a lobby is locked", client->index);
        break;
    default:
        MUST(client->run, client_is_busy(answer->status), "client %u asked for a room and got %u",
             client->index, answer->status);
    }
}

static void on_open(struct client *client)
{
    const struct player *was = game_player(client);
    *game_player(client) = (struct player){.number = was->number,
                                           .room = was->room,
                                           .shows_wrong = was->shows_wrong,
                                           .shows_short = was->shows_short,
                                           .ends_ns = was->ends_ns};
}

/* --- What is said ----------------------------------------------------------------------------- */

/* Says a message of this type under a correlation_id of its own. */
[[gnu::format(printf, 4, 5)]] static void say(struct client *client, uint8_t what, const char *type,
                                              const char *format, ...)
{
    struct player *player = game_player(client);
    char id[ask_text_max], payload[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(payload, sizeof payload, format, arguments);
    va_end(arguments);
    struct ask *ask = asks_add(&player->asks, client, what, id);
    if (ask == nullptr) return;
    if (!client_say_text(client, "{\"type\":\"%s\",\"correlation_id\":\"%s\",\"payload\":%s}", type,
                         id, payload))
        asks_drop(&player->asks);
}

static void say_action(struct client *client)
{
    const struct player *player = game_player(client);
    char move[16];
    snprintf(move, sizeof move, "%u", client_below(client, 7));
    if (player->referee.phase == GAME_OVER) snprintf(move, sizeof move, "\"rematch\"");
    if (client_below(client, 20) == 0) snprintf(move, sizeof move, "\"resign\"");
    if (client_below(client, 20) == 0) snprintf(move, sizeof move, "\"sit\"");
    say(client, ASK_ACTION, "action", "{\"move\":%s}", move);
}

/* The last action, once more: it is not done again. */
static void repeat_action(struct client *client)
{
    struct player *player = game_player(client);
    struct ask *ask = player->asks.count > 0 ? &player->asks.list[player->asks.count - 1] : nullptr;
    if (ask == nullptr || ask->what != ASK_ACTION || ask->answers != ask->says) return;
    if (client_say_text(client,
                        "{\"type\":\"action\",\"correlation_id\":\"c%u-%u-%u\",\"payload\":"
                        "{\"move\":%u}}",
                        client->index, client->connection, player->asks.count - 1,
                        client_below(client, 7))) {
        ask->says += 1;
        ask->sent_ns = client_now(client);
    }
}

static void say_nothing(struct client *client)
{
    struct player *player = game_player(client);
    game_room_of(client)->strikes[player->number] += 1;
    if (client_below(client, 2) == 0)
        say(client, ASK_NOTHING, "nonsense", "{}");
    else
        (void)client_say_text(client, "[1,2");
}

static void say_auth(struct client *client, bool own)
{
    struct player *player = game_player(client);
    char claims[96], token[token_size_max];
    uint32_t shown = own ? player->number : (player->number + 1) % players_most;
    snprintf(claims, sizeof claims, "{\"sub\":\"s%u\",\"exp\":%llu}", shown,
             (unsigned long long)client_wall_s(client) + 100'000);
    token_sign(token, claims, sim_secret);
    game_room_of(client)->strikes[player->number] += 1; /* the clock may leap meanwhile */
    if (!own) player->trespassed = true;
    say(client, ASK_AUTH, "auth", "{\"token\":\"%s\"}", token);
}

static void speak(struct client *client)
{
    struct player *player = game_player(client);
    if (!player->stated || player->asks.count == asks_max) return;
    uint32_t drawn = client_below(client, 60);
    if (drawn == 0)
        say_auth(client, false);
    else if (drawn < 3)
        say_auth(client, true);
    else if (drawn < 6 || (client->index % 8 == 0 && drawn < 40))
        say_nothing(client);
    else if (drawn < 10)
        say(client, ASK_SYNC, "sync_state", "{}");
    else if (drawn < 12)
        say(client, ASK_PING, "ping", "{\"t0\":%u}", client->index);
    else if (drawn < 14 && player->is_relay)
        say(client, ASK_PRESENCE, "presence", "{}");
    else if (drawn < 22)
        say(client, ASK_TALK, "chat", "{\"message\":\"hello from %u\"}", client->index);
    else if (drawn < 26)
        repeat_action(client);
    else if (!player->is_relay)
        say_action(client);
}

const struct client_kind game_kind = {
    .name = "game",
    .talks = true,
    .pause_ns = 3 * second_ns / 2,
    .begin = begin,
    .hello = say_hello,
    .on_answer = on_answer,
    .on_open = on_open,
    .on_text = game_on_text,
    .speak = speak,
    .explains = game_explains,
    .on_close = game_on_close,
    .check = game_check,
};
