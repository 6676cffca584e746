/* tests/sim/avalon_hear.c: what players in rooms of people must hear.
 *
 *   - a chat is heard by exactly those it was for, once in a connection, and its correlation_id by
 *     who said it only
 *   - all hear chats in one order: whatever follows a chat to all in one connection follows it in
 *     every other (`next`), and what is for some comes behind the same one (`after`)
 *   - whoever somebody sees come and go by events is who the next state shows as present
 *   - each question is answered once
 *   - one connection a place; the ninth message that means nothing is the last */
#include "avalon.h"
#include <stdio.h>

static const struct config *config_of(const struct client *client)
{
    return &client->run->plan.config;
}

/* --- What is heard ---------------------------------------------------------------------------- */

static bool is(const uint8_t *data, uint32_t size, const char *type, const char *event)
{
    char text[80];
    int length =
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"event\":\"%s\",\"payload\":{", type, event);
    return size > (uint32_t)length && memcmp(data, text, (size_t)length) == 0;
}

static uint32_t find_place(const char *id)
{
    uint32_t i = 0;
    while (i < avalon.place_count && strcmp(avalon.places[i].id, id) != 0)
        i += 1;
    return i < avalon.place_count ? i : client_nothing;
}

/* One {"player_id","display_name","present"} of a state; returns its place, or client_nothing when
 * nobody was told of it. */
static uint32_t check_player(struct client *client, const uint8_t *data, uint32_t size)
{
    char id[24], name[80];
    bool whole = wire_json_text(data, size, "\"player_id\":", id, sizeof id) &&
                 wire_json_text(data, size, "\"display_name\":", name, sizeof name);
    MUST(client->run, whole, "client %u: a player without id or name", client->index);
    uint32_t place = find_place(id);
    const uint8_t *end = memchr(data, '}', size);
    bool present =
        end != nullptr && wire_contains(data, (uint32_t)(end - data), "\"present\":true");
    bool seen = place != client_nothing && (avalon_sitter(client)->visible >> place & 1) != 0;
    if (place != client_nothing)
        MUST(client->run, strcmp(avalon.places[place].name, name) == 0,
             "client %u: %s is called %s", client->index, avalon.places[place].name, name);
    if (avalon_sitter(client)->greeted)
        MUST(client->run, present == seen, "client %u: %s is shown as %s, and events tell else",
             client->index, name, present ? "present" : "away");
    else if (present && place != client_nothing)
        avalon_sitter(client)->visible |= 1ull << place;
    MUST(client->run, !present || place != client_nothing, "client %u: nobody can be %s",
         client->index, name);
    return place;
}

/* A state shows all that there are, once, no more than there may be, and itself as present. */
static void on_state(struct client *client, const uint8_t *data, uint32_t size)
{
    struct sitter *sitter = avalon_sitter(client);
    char you[24], code[8];
    uint32_t count = 0;
    uint64_t listed = 0;
    bool whole = wire_json_text(data, size, "\"you\":", you, sizeof you) &&
                 wire_json_text(data, size, "\"code\":", code, sizeof code);
    MUST(client->run,
         whole && strcmp(you, avalon_place(client)->id) == 0 &&
             strcmp(code, avalon.rooms[avalon_place(client)->room].code) == 0,
         "client %u: a state of another room, or for another player", client->index);
    const uint8_t *at = data, *end = data + size;
    while ((at = memmem(at, (size_t)(end - at), "{\"player_id\":", 13)) != nullptr) {
        uint32_t place = check_player(client, at, (uint32_t)(end - at));
        MUST(client->run, place == client_nothing || (listed >> place & 1) == 0,
             "client %u: a player is listed twice", client->index);
        if (place != client_nothing) listed |= 1ull << place;
        count += 1;
        at += 1;
    }
    MUST(client->run, count <= config_of(client)->avalon_players,
         "client %u: %u players in a room for %u", client->index, count,
         config_of(client)->avalon_players);
    MUST(client->run, (sitter->visible & ~listed) == 0,
         "client %u: a state leaves somebody out who is there", client->index);
    MUST(client->run, (sitter->visible >> sitter->place & 1) != 0,
         "client %u: a state shows it as away", client->index);
    sitter->greeted = true;
    avalon_place(client)->claimed = true;
}

static void on_presence(struct client *client, const uint8_t *data, uint32_t size, bool joined)
{
    struct sitter *sitter = avalon_sitter(client);
    char id[24] = "";
    (void)!wire_json_text(data, size, "\"player_id\":", id, sizeof id);
    uint32_t place = find_place(id);
    MUST(client->run, place != client_nothing && place != sitter->place,
         "client %u: who is %s that came or went?", client->index, id);
    MUST(client->run, (sitter->visible >> place & 1) != joined, "client %u: %s has %s, and was %s",
         client->index, avalon.places[place].name, joined ? "come" : "gone",
         joined ? "there" : "away");
    sitter->visible ^= 1ull << place;
}

/* In each connection the same follows what it has heard before. */
static void check_order(struct client *client, uint32_t number)
{
    struct sitter *sitter = avalon_sitter(client);
    struct chat *chat = &avalon.chats[number];
    uint32_t before = sitter->last;
    if (chat->to == 0) sitter->last = number;
    if (before == client_nothing || (!avalon_echoes(client) && sitter->has_chatted)) return;
    if (chat->to != 0) {
        if (chat->after == client_nothing) chat->after = before;
        MUST(client->run, chat->after == before, "client %u: m%u comes behind m%u, not m%u",
             client->index, number, before, chat->after);
        return;
    }
    if (avalon.chats[before].next == client_nothing) avalon.chats[before].next = number;
    if (chat->previous == client_nothing) chat->previous = before;
    MUST(client->run, avalon.chats[before].next == number && chat->previous == before,
         "client %u: m%u follows m%u; elsewhere m%u follows that", client->index, number, before,
         avalon.chats[before].next);
}

static void on_chat(struct client *client, const uint8_t *data, uint32_t size)
{
    struct sitter *sitter = avalon_sitter(client);
    struct run *run = client->run;
    char id[24] = "";
    uint64_t number = chats_most;
    (void)!wire_json_text(data, size, "\"player_id\":", id, sizeof id);
    (void)!wire_json_number(data, size, "\"message\":\"m", &number);
    MUST(run, number < avalon.chat_count, "client %u: a chat that nobody has said", client->index);
    struct chat *chat = &avalon.chats[number];
    const struct place *from = &avalon.places[chat->place];
    bool own = chat->place == sitter->place;
    bool mine = chat->client == client->index && chat->connection == client->connection;
    MUST(run, strcmp(from->id, id) == 0 && from->room == avalon_place(client)->room,
         "client %u: m%u comes from somebody else, or another room", client->index,
         (uint32_t)number);
    MUST(run,
         (own && avalon_echoes(client)) || (!own && chat->to == 0) ||
             (!own && (chat->to >> sitter->place & 1) != 0),
         "client %u: m%u was not for it", client->index, (uint32_t)number);
    MUST(run, chat->length <= config_of(client)->avalon_chat, "client %u: m%u is too long",
         client->index, (uint32_t)number);
    uint64_t *heard = &sitter->heard[number / 64], bit = 1ull << number % 64;
    MUST(run, (*heard & bit) == 0, "client %u hears m%u twice", client->index, (uint32_t)number);
    *heard |= bit;
    chat->heard = true;
    struct ask *ask = asks_find(&sitter->asks, client, data, size);
    MUST(run, ask == nullptr || (mine && ask->what == ASK_CHAT && ask->about == number),
         "client %u: m%u has the correlation_id of something else", client->index,
         (uint32_t)number);
    if (ask != nullptr) asks_answer(ask, client);
    check_order(client, (uint32_t)number);
    sim_mix(run->sim, number);
}

static void on_error(struct client *client, const uint8_t *data, uint32_t size)
{
    struct sitter *sitter = avalon_sitter(client);
    char code[32] = "";
    (void)!wire_json_text(data, size, "\"code\":", code, sizeof code);
    struct ask *ask = asks_find(&sitter->asks, client, data, size);
    if (ask != nullptr) asks_answer(ask, client);
    if (ask != nullptr && ask->what == ASK_CHAT && strcmp(code, "too_long") == 0)
        MUST(client->run, avalon.chats[ask->about].length > config_of(client)->avalon_chat,
             "client %u: m%u is not too long", client->index, ask->about);
    if (strcmp(code, "rate_limited") == 0) sitter->limited = true;
    bool asked_token = ask != nullptr && ask->what == ASK_TOKEN;
    bool means_nothing = strcmp(code, "bad_message") == 0 || strcmp(code, "unsupported") == 0 ||
                         strcmp(code, "expired") == 0 || strcmp(code, "not_yet_valid") == 0;
    bool known = means_nothing || strcmp(code, "rate_limited") == 0 ||
                 strcmp(code, "no_such_player") == 0 || strcmp(code, "too_long") == 0 ||
                 strcmp(code, "token_expired") == 0 || strcmp(code, "wrong_player") == 0 ||
                 strcmp(code, "wrong_room") == 0;
    MUST(client->run, known, "client %u: an error %s", client->index, code);
    MUST(client->run, ask == nullptr || ask->what != ASK_CHAT || !means_nothing,
         "client %u: a chat is answered by %s", client->index, code);
    MUST(client->run,
         strcmp(code, "expired") != 0 || !asked_token || sitter->trespassed ||
             avalon_may_have_ended(client, sitter->token_ns),
         "client %u: its token is refused", client->index);
    sitter->bad_answers += means_nothing;
    if (sitter->bad_answers == strikes_most) sitter->must_go = true;
}

/* Who has no place is told so in words, where --avalon-auth-fail has it. */
static void on_turned_away(struct client *client, const uint8_t *data, uint32_t size)
{
    char code[32] = "";
    (void)!wire_json_text(data, size, "\"code\":", code, sizeof code);
    bool no_room = strcmp(code, "room_not_found") == 0;
    struct wire_answer answer = {.body = (const char *)data, .body_size = size};
    MUST(client->run, config_of(client)->avalon_fail_by_close && is(data, size, "error", code),
         "client %u: the first message is no state: %.*s", client->index, (int)size,
         (const char *)data);
    avalon_sitter(client)->turned_away = true;
    if (no_room)
        avalon_lose_room(client, avalon_place(client)->room);
    else
        avalon_check_refused(client, &answer);
    avalon_place(client)->lost = true;
}

void avalon_on_text(struct client *client, const uint8_t *data, uint32_t size)
{
    struct sitter *sitter = avalon_sitter(client);
    MUST(client->run, !sitter->must_go && !sitter->turned_away,
         "client %u: it had to go, and hears %.*s", client->index, (int)size, (const char *)data);
    struct ask *ask = nullptr;
    if (is(data, size, "state", "room")) {
        ask = asks_find(&sitter->asks, client, data, size);
        on_state(client, data, size);
    } else if (!sitter->greeted) {
        on_turned_away(client, data, size);
    } else if (is(data, size, "event", "chat")) {
        on_chat(client, data, size);
    } else if (is(data, size, "event", "participant_joined")) {
        on_presence(client, data, size, true);
    } else if (is(data, size, "event", "participant_left")) {
        on_presence(client, data, size, false);
    } else if (is(data, size, "event", "auth_refreshed")) {
        ask = asks_find(&sitter->asks, client, data, size);
    } else if (!is(data, size, "event", "auth_expiring")) {
        MUST(client->run, wire_contains(data, size, "{\"type\":\"error\","),
             "client %u: unknown message %.*s", client->index, (int)size, (const char *)data);
        on_error(client, data, size);
    }
    if (ask != nullptr) asks_answer(ask, client);
}

/* --- The end ---------------------------------------------------------------------------------- */

bool avalon_explains(struct client *client, uint32_t code)
{
    const struct sitter *sitter = avalon_sitter(client);
    const struct place *place = avalon_place(client);
    switch (code) {
    case 4400: return place->strikes >= strikes_most;
    case 4401: return sitter->turned_away || avalon_may_have_ended(client, sitter->token_ns);
    case 4403: return sitter->trespassed;
    case 4409: return place->arrivals > place->replaced + 1;
    case 4410: return sitter->turned_away;
    case 4429: return sitter->limited;
    default: return false;
    }
}

void avalon_on_close(struct client *client, uint32_t code)
{
    struct sitter *sitter = avalon_sitter(client);
    if (sitter->must_go)
        MUST(client->run, code == 4400 || code == 1012 || code == 1013,
             "client %u had to go with 4400 and got %u", client->index, code);
    if (code == 4409) avalon_place(client)->replaced += 1;
    bool gives_up = code == 4400 || code == 4401 || code == 4403 || code == 4410 ||
                    (code == 4409 && client_below(client, 2) == 0);
    if (gives_up) sitter->place = client_nothing;
}

/* Everything that somebody else heard, too, and that was said after it had come. */
static void check_heard(struct client *client)
{
    const struct sitter *sitter = avalon_sitter(client);
    for (uint32_t i = 0; i < avalon.chat_count; i++) {
        const struct chat *chat = &avalon.chats[i];
        bool own = chat->place == sitter->place;
        bool is_for_it =
            avalon.places[chat->place].room == avalon_place(client)->room &&
            (own ? avalon_echoes(client) : chat->to == 0 || (chat->to >> sitter->place & 1) != 0);
        bool heard = (sitter->heard[i / 64] >> i % 64 & 1) != 0;
        MUST(client->run,
             heard || !chat->heard || !is_for_it || chat->sent_ns <= client->opened_ns + second_ns,
             "client %u has not heard m%u", client->index, i);
    }
}

void avalon_check(struct client *client)
{
    const struct sitter *sitter = avalon_sitter(client);
    MUST(client->run, sitter->greeted && !sitter->turned_away && !sitter->must_go,
         "client %u is still there, or was never greeted", client->index);
    for (uint32_t i = 0; i < client->index; i++) {
        const struct client *other = &client->run->clients[i];
        bool same = other->role == ROLE_AVALON && avalon.sitters[i].place == sitter->place;
        MUST(client->run, !same || !client_is_live(other), "clients %u and %u sit on one place", i,
             client->index);
    }
    check_heard(client);
    for (uint32_t i = 0; i < sitter->asks.count; i++)
        if (sitter->asks.list[i].what == ASK_CHAT && !avalon_echoes(client))
            avalon_sitter(client)->asks.list[i].answers = 1; /* who is not echoed is not told */
    asks_check(&sitter->asks, client);
}
