/* tests/sim/client_avalon.c: players in rooms of people. By HTTP they make rooms and take places;
 * with the token of a place they connect, also two of them with the same. They chat to all and to
 * some, ask for the state, send tokens, and now and then something that means nothing. */
#include "avalon.h"
#include <stdio.h>

struct avalon avalon;

static void begin(struct run *)
{
    avalon.room_count = avalon.place_count = avalon.chat_count = avalon.name_count = 0;
    for (uint32_t i = 0; i < clients_max; i++)
        avalon.sitters[i] = (struct sitter){.place = client_nothing};
}

static const struct config *config_of(const struct client *client)
{
    return &client->run->plan.config;
}

/* --- Coming ----------------------------------------------------------------------------------- */

/* One of them that is good; client_nothing when there is none. */
static uint32_t draw_place(struct client *client)
{
    uint32_t drawn = client_nothing, seen = 0;
    for (uint32_t i = 0; i < avalon.place_count; i++)
        if (!avalon.places[i].lost && client_below(client, ++seen) == 0) drawn = i;
    return drawn;
}

static uint32_t draw_room(struct client *client)
{
    uint32_t drawn = client_nothing, seen = 0;
    for (uint32_t i = 0; i < avalon.room_count; i++)
        if (!avalon.rooms[i].over && client_below(client, ++seen) == 0) drawn = i;
    return drawn;
}

static void say_connect(struct client *client)
{
    struct sitter *sitter = avalon_sitter(client);
    struct place *place = avalon_place(client);
    char path[768], headers[768] = "";
    const char *code = avalon.rooms[place->room].code;
    int size = snprintf(path, sizeof path, "/ws/rooms/%s%s", code,
                        client_below(client, 2) == 0 ? "/connect" : "");
    switch (client_below(client, 3)) {
    case 0: snprintf(path + size, sizeof path - (size_t)size, "?token=%s", place->token); break;
    case 1: snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", place->token); break;
    default:
        snprintf(headers, sizeof headers, "Sec-WebSocket-Protocol: ringcast.event, bearer.%s\r\n",
                 place->token);
    }
    client_say_upgrade(client, path, headers);
    sitter->wants = WANTS_IN;
    sitter->token_ns = place->asked_ns;
    place->arrivals += 1;
}

/* Mostly a new one, sometimes one that is taken, in capitals. */
static void draw_name(struct client *client, struct sitter *sitter)
{
    bool taken = avalon.place_count > 0 && client_below(client, 10) == 0;
    const char *other = taken ? avalon.places[client_below(client, avalon.place_count)].name : "";
    if (taken)
        snprintf(sitter->name, sizeof sitter->name, "P%s", other + 1);
    else
        snprintf(sitter->name, sizeof sitter->name, "p%u", avalon.name_count++);
}

static bool say_hello(struct client *client)
{
    struct sitter *sitter = avalon_sitter(client);
    char path[64], body[96];
    bool adopts = client_below(client, 5) == 0 || avalon.place_count == places_most;
    if (sitter->place != client_nothing && avalon_place(client)->lost)
        sitter->place = client_nothing;
    if (sitter->place == client_nothing && adopts) sitter->place = draw_place(client);
    if (sitter->place != client_nothing && client_below(client, 12) > 0) {
        say_connect(client);
        return true;
    }
    if (sitter->place != client_nothing) {
        snprintf(path, sizeof path, "/api/rooms/%s/refresh",
                 avalon.rooms[avalon_place(client)->room].code);
        client_say_request(client, "POST", path, avalon_place(client)->token, "");
        sitter->wants = WANTS_TOKEN;
        return true;
    }
    if (avalon.place_count == places_most) return false;
    sitter->room = draw_room(client);
    draw_name(client, sitter);
    bool makes = sitter->room == client_nothing ||
                 (avalon.room_count < avalon_rooms_most && client_below(client, 8) == 0);
    if (makes && avalon.room_count == avalon_rooms_most) return false;
    sitter->wants = makes ? WANTS_ROOM : WANTS_PLACE;
    snprintf(body, sizeof body, "{%s\"display_name\":\"%s\"}", makes ? "\"kind\":\"avalon\"," : "",
             sitter->name);
    snprintf(path, sizeof path, "/api/rooms/%s/join", makes ? "" : avalon.rooms[sitter->room].code);
    client_say_request(client, "POST", makes ? "/api/rooms" : path, "", body);
    return true;
}

/* --- What HTTP answers ------------------------------------------------------------------------ */

static bool read_body(const struct wire_answer *answer, const char *key, char *text, uint32_t size)
{
    return wire_json_text((const uint8_t *)answer->body, answer->body_size, key, text, size);
}

/* False when there are so many already that this one is left alone. */
static bool on_made(struct client *client, const struct wire_answer *answer)
{
    struct sitter *sitter = avalon_sitter(client);
    if (avalon.room_count == avalon_rooms_most) return false;
    sitter->room = avalon.room_count++;
    struct avalon_room *room = &avalon.rooms[sitter->room];
    *room = (struct avalon_room){};
    bool whole = read_body(answer, "\"room\":{\"id\":", room->id, sizeof room->id) &&
                 read_body(answer, "\"code\":", room->code, sizeof room->code);
    MUST(client->run, whole, "client %u: a room without id or code", client->index);
    return true;
}

static void on_placed(struct client *client, const struct wire_answer *answer)
{
    struct sitter *sitter = avalon_sitter(client);
    if (avalon.place_count == places_most) return;
    struct place *place = &avalon.places[avalon.place_count];
    *place = (struct place){
        .room = sitter->room, .taken_ns = client->connected_ns, .asked_ns = client->connected_ns};
    char room[24], name[16];
    bool whole = read_body(answer, "\"room_player\":{\"id\":", place->id, sizeof place->id) &&
                 read_body(answer, "\"display_name\":", name, sizeof name) &&
                 read_body(answer, "\"room\":{\"id\":", room, sizeof room) &&
                 read_body(answer, "\"token\":", place->token, sizeof place->token);
    MUST(client->run, whole && strcmp(name, sitter->name) == 0,
         "client %u: a place without id or token, or of another name", client->index);
    MUST(client->run, strcmp(room, avalon.rooms[sitter->room].id) == 0,
         "client %u: a place in another room", client->index);
    snprintf(place->name, sizeof place->name, "%s", name);
    sitter->place = avalon.place_count++;
}

/* The clock on the wall leaps, and a token ends before it should; or it is so old. */
bool avalon_may_have_ended(const struct client *client, uint64_t asked_ns)
{
    const struct config *config = config_of(client);
    int64_t least_ms = (int64_t)config->avalon_token_ms - 1000 + config->jwt_leeway_ms;
    uint64_t age_ms = (client_now(client) - asked_ns) / ms_ns;
    return client->run->plan.jump_ms != 0 || (int64_t)age_ms >= least_ms;
}

/* Nobody is sent away from a place that is its own. */
void avalon_check_refused(struct client *client, const struct wire_answer *answer)
{
    const struct place *place = avalon_place(client);
    uint64_t age_ns = client_now(client) + ms_ns - place->taken_ns; /* rooms count whole ones */
    bool unclaimed =
        !place->claimed && age_ns >= (uint64_t)config_of(client)->avalon_claim_ms * ms_ns;
    MUST(client->run,
         unclaimed || avalon.rooms[place->room].over ||
             avalon_may_have_ended(client, place->asked_ns),
         "client %u has a place, and is refused: %.*s", client->index, (int)answer->body_size,
         answer->body);
}

void avalon_lose_room(struct client *client, uint32_t room)
{
    for (uint32_t i = 0; i < client->run->plan.clients; i++) {
        const struct client *other = &client->run->clients[i];
        bool sits = other->role == ROLE_AVALON && avalon.sitters[i].place != client_nothing &&
                    avalon.sitters[i].greeted &&
                    avalon.places[avalon.sitters[i].place].room == room;
        MUST(client->run,
             !sits || !client->run->calm || !client_is_live(other) ||
                 client->connected_ns < client->run->calm_ns + second_ns,
             "client %u is told that a room is over in which client %u is", client->index, i);
    }
    avalon.rooms[room].over = true;
    for (uint32_t i = 0; i < avalon.place_count; i++)
        if (avalon.places[i].room == room) avalon.places[i].lost = true;
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    struct sitter *sitter = avalon_sitter(client);
    uint32_t status = answer->status;
    bool busy = client_is_busy(status);
    switch (sitter->wants) {
    case WANTS_ROOM:
        MUST(client->run, status == 201 || busy, "client %u asked for a room and got %u",
             client->index, status);
        if (status == 201 && on_made(client, answer)) on_placed(client, answer);
        break;
    case WANTS_PLACE:
        MUST(client->run, status == 200 || status == 404 || status == 409 || busy,
             "client %u asked for a place and got %u", client->index, status);
        if (status == 200) on_placed(client, answer);
        if (status == 404) avalon_lose_room(client, sitter->room);
        break;
    case WANTS_TOKEN:
    case WANTS_IN:
        MUST(client->run, status == 200 || status == 401 || status == 404 || busy,
             "client %u came to its place and got %u", client->index, status);
        if (status == 404) avalon_lose_room(client, avalon_place(client)->room);
        if (status == 401) avalon_check_refused(client, answer);
        if (status == 401) avalon_place(client)->lost = true;
        if (status != 200) break;
        MUST(client->run,
             read_body(answer, "\"token\":", avalon_place(client)->token,
                       sizeof avalon.places->token),
             "client %u: a refresh without a token", client->index);
        avalon_place(client)->asked_ns = client->connected_ns;
        break;
    }
}

static void on_open(struct client *client)
{
    struct sitter *sitter = avalon_sitter(client);
    uint32_t place = sitter->place;
    uint64_t token_ns = sitter->token_ns;
    *sitter = (struct sitter){
        .place = place, .token_ns = token_ns, .wants = WANTS_IN, .last = client_nothing};
}

/* --- What is said ----------------------------------------------------------------------------- */

/* Up to three others of the room, and sometimes itself. */
static uint64_t draw_audience(struct client *client)
{
    uint64_t to = 0;
    for (uint32_t i = 0, left = 1 + client_below(client, 3); i < avalon.place_count && left > 0;
         i++) {
        if (avalon.places[i].room != avalon_place(client)->room || client_below(client, 3) > 0)
            continue;
        to |= 1ull << i;
        left -= 1;
    }
    return to;
}

static uint32_t write_audience(char *text, size_t size, uint64_t to)
{
    int length = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < avalon.place_count; i++)
        if ((to >> i & 1) != 0)
            length += snprintf(text + length, size - (size_t)length, "%s\"%s\"",
                               length > 0 ? "," : ",\"to\":[", avalon.places[i].id);
    if (length > 0) length += snprintf(text + length, size - (size_t)length, "]");
    return (uint32_t)length;
}

/* ,"correlation_id":"c1-1-1", mostly; *ask is nullptr when it is without. */
static void draw_ask(struct client *client, uint8_t what, char *text, size_t size, struct ask **ask)
{
    char id[ask_text_max];
    *ask = nullptr;
    text[0] = '\0';
    if (client_below(client, 4) == 0) return;
    *ask = asks_add(&avalon_sitter(client)->asks, client, what, id);
    if (*ask != nullptr) snprintf(text, size, ",\"correlation_id\":\"%s\"", id);
}

static void say_chat(struct client *client)
{
    struct sitter *sitter = avalon_sitter(client);
    char to[256], correlation[64];
    struct ask *ask;
    if (avalon.chat_count == chats_most) return;
    struct chat *chat = &avalon.chats[avalon.chat_count];
    *chat = (struct chat){.place = sitter->place,
                          .client = client->index,
                          .connection = client->connection,
                          .sent_ns = client_now(client),
                          .next = client_nothing,
                          .previous = client_nothing,
                          .after = client_nothing};
    if (client_below(client, 3) == 0) chat->to = draw_audience(client);
    write_audience(to, sizeof to, chat->to);
    draw_ask(client, ASK_CHAT, correlation, sizeof correlation, &ask);
    uint32_t padding = client_below(client, 4) == 0 ? client_below(client, 60) : 0;
    chat->length = (uint32_t)snprintf(nullptr, 0, "m%u %*s.", avalon.chat_count, (int)padding, "");
    bool said =
        client_say_text(client, "{\"type\":\"chat\"%s,\"payload\":{\"message\":\"m%u %*s.\"%s}}",
                        correlation, avalon.chat_count, (int)padding, "", to);
    if (said && ask != nullptr) ask->about = avalon.chat_count;
    if (!said && ask != nullptr) asks_drop(&sitter->asks);
    if (!said) return;
    sitter->has_chatted = true;
    avalon.chat_count += 1;
}

/* Its own token again, or one of somebody else's. */
static void say_token(struct client *client, bool own)
{
    struct sitter *sitter = avalon_sitter(client);
    char correlation[64];
    struct ask *ask;
    uint32_t shown = own ? sitter->place : client_below(client, avalon.place_count);
    draw_ask(client, ASK_TOKEN, correlation, sizeof correlation, &ask);
    bool said = client_say_text(client, "{\"type\":\"auth\"%s,\"payload\":{\"token\":\"%s\"}}",
                                correlation, avalon.places[shown].token);
    if (!said && ask != nullptr) asks_drop(&sitter->asks);
    if (!said) return;
    avalon.places[sitter->place].strikes += 1; /* if it is no good any more */
    if (shown != sitter->place) sitter->trespassed = true;
}

static void say_plain(struct client *client, uint8_t what)
{
    static const char *const types[] = {[ASK_STATE] = "sync_state", [ASK_NONSENSE] = "action"};
    char correlation[64];
    struct ask *ask;
    draw_ask(client, what, correlation, sizeof correlation, &ask);
    bool said = client_say_text(client, "{\"type\":\"%s\"%s}", types[what], correlation);
    if (!said && ask != nullptr) asks_drop(&avalon_sitter(client)->asks);
    if (said && what == ASK_NONSENSE) avalon_place(client)->strikes += 1;
}

static void speak(struct client *client)
{
    const struct sitter *sitter = avalon_sitter(client);
    if (!sitter->greeted) return;
    uint32_t drawn = client_below(client, 40);
    if (drawn == 0)
        say_token(client, false);
    else if (drawn < 4)
        say_token(client, true);
    else if (drawn < 8 || (client->index % 8 == 0 && drawn < 30))
        say_plain(client, ASK_NONSENSE);
    else if (drawn == 8 && client_say_text(client, "nonsense"))
        avalon_place(client)->strikes += 1;
    else if (drawn < 14)
        say_plain(client, ASK_STATE);
    else
        say_chat(client);
}

const struct client_kind avalon_kind = {
    .name = "avalon",
    .talks = true,
    .pause_ns = 3 * second_ns / 2,
    .begin = begin,
    .hello = say_hello,
    .on_answer = on_answer,
    .on_open = on_open,
    .on_text = avalon_on_text,
    .speak = speak,
    .explains = avalon_explains,
    .on_close = avalon_on_close,
    .check = avalon_check,
};
