/* tests/sim/game_hear.c: what members of a lobby, or of a backend's room, must hear.
 *
 *   - welcome comes first, then (relay) who is here, then the state; from there on what everybody
 *     is told has numbers without a gap, and under each number of a `single` room all hear the same
 *   - a state of the same number is the same for all, whoever asked for it
 *   - each message has one answer under its correlation_id; an action that comes again, the same
 *   - who comes and goes by events is who a state shows
 *   - lobby: the board follows from the one before (referee.c)
 *   - relay: each published thing once; each state is what its change makes of the one before
 *   - one connection a player; the ninth message that means nothing is the last */
#include "parlour.h"
#include <stdio.h>
#include <stdlib.h>

static const struct config *config_of(const struct client *client)
{
    return &client->run->plan.config;
}

static bool begins(const uint8_t *data, uint32_t size, const char *text)
{
    return size > strlen(text) && memcmp(data, text, strlen(text)) == 0;
}

static uint64_t hash(const uint8_t *data, uint32_t size)
{
    uint64_t sum = 0xCBF29CE484222325;
    for (uint32_t i = 0; i < size; i++)
        sum = (sum ^ data[i]) * 0x100000001B3;
    return sum | 1; /* 0 is none */
}

/* ,"seq":N} at the end of a message; `size` is then that of what stands before it. */
static bool read_number(const uint8_t *data, uint32_t *size, uint64_t *number)
{
    const char key[] = ",\"seq\":";
    uint32_t at = *size - 1, digits = 0;
    uint64_t factor = 1;
    *number = 0;
    while (at > 0 && data[at - 1] >= '0' && data[at - 1] <= '9' && digits++ < 18) {
        *number += factor * (uint64_t)(data[--at] - '0');
        factor *= 10;
    }
    uint32_t length = sizeof key - 1;
    if (digits == 0 || at < length || memcmp(data + at - length, key, length) != 0) return false;
    *size = at - length;
    return true;
}

/* --- Who is here ------------------------------------------------------------------------------ */

static uint32_t read_player(struct client *client, const uint8_t *data, uint32_t size)
{
    char id[16] = "";
    (void)!wire_json_text(data, size, "\"player_id\":", id, sizeof id);
    uint32_t number = (uint32_t)atoi(id + 1);
    MUST(client->run, id[0] == 's' && number < players_most, "client %u: who is \"%s\"?",
         client->index, id);
    return number;
}

/* A list of {"player_id","display_name","present"}: no more than there may be, and those present
 * whom it sees; the first list shows it whom. */
static void check_people(struct client *client, const uint8_t *data, uint32_t size, uint32_t most)
{
    struct player *player = game_player(client);
    uint32_t listed = 0, present = 0, count = 0;
    const uint8_t *at = data, *end = data + size;
    while ((at = memmem(at, (size_t)(end - at), "{\"player_id\":", 13)) != nullptr) {
        uint32_t number = read_player(client, at, (uint32_t)(end - at));
        const uint8_t *brace = memchr(at, '}', (size_t)(end - at));
        MUST(client->run, brace != nullptr && (listed >> number & 1) == 0,
             "client %u: s%u is listed twice", client->index, number);
        listed |= 1u << number;
        if (wire_contains(at, (uint32_t)(brace - at), "\"present\":true")) present |= 1u << number;
        count += 1;
        at += 1;
    }
    MUST(client->run, count <= most, "client %u: %u people in a room for %u", client->index, count,
         most);
    if (!player->greeted) player->visible = present;
    player->greeted = true;
    bool itself = (present >> player->number & 1) != 0;
    MUST(client->run, player->visible == present && (itself || player->expired),
         "client %u: present are %x, and events tell of %x", client->index, present,
         player->visible);
}

static void on_presence(struct client *client, const uint8_t *data, uint32_t size, bool joined)
{
    struct player *player = game_player(client);
    uint32_t number = read_player(client, data, size);
    bool itself = number == player->number; /* its token is over, and nobody waits for it */
    MUST(client->run, (!itself || player->expired) && (player->visible >> number & 1) != joined,
         "client %u: s%u has %s, and was %s", client->index, number, joined ? "come" : "gone",
         joined ? "there" : "away");
    player->visible ^= 1u << number;
}

/* --- States ----------------------------------------------------------------------------------- */

static void check_same(struct client *client, uint64_t *known, uint64_t heard, uint64_t number)
{
    const struct game_room *room = game_room_of(client);
    bool made_by_coming = room->is_relay && !game_player(client)->is_relay;
    if (!room->single || made_by_coming || number >= told_most) return;
    if (*known == 0) *known = heard;
    MUST(client->run, *known == heard, "client %u: number %llu is not what another has heard",
         client->index, (unsigned long long)number);
}

/* {"last":K,"r":R,"m":M}: `last` is the change that made it, and it is what that makes of the one
 * before. `told`: it is the news. */
static void check_relay_state(struct client *client, const uint8_t *data, uint32_t size,
                              uint64_t number, bool told)
{
    struct player *player = game_player(client);
    uint64_t last = changes_most, replaced_by = 0, merged = 0;
    (void)!wire_json_number(data, size, "\"last\":", &last);
    (void)!wire_json_number(data, size, "\"r\":", &replaced_by);
    (void)!wire_json_number(data, size, "\"m\":", &merged);
    MUST(client->run, last < parlour.change_count, "client %u: a state of nobody's", client->index);
    struct change *change = &parlour.changes[last];
    if (told) {
        bool is_state =
            last > 0 && (change->what == CHANGE_REPLACE || change->what == CHANGE_MERGE);
        MUST(client->run, is_state && &parlour.rooms[change->room] == game_room_of(client),
             "client %u: change %llu is none of this room's state", client->index,
             (unsigned long long)last);
        if (change->sequence == 0) change->sequence = number;
        MUST(client->run, change->sequence == number, "client %u: change %llu is done twice",
             client->index, (unsigned long long)last);
        bool replaces = change->what == CHANGE_REPLACE;
        bool right = replaces ? replaced_by == last && merged == 0
                              : merged == last && replaced_by == player->replaced_by;
        MUST(client->run, right, "client %u: change %llu makes another state of it", client->index,
             (unsigned long long)last);
        change->heard = true;
    }
    player->opened_with = last;
    player->replaced_by = replaced_by;
    player->merged = merged;
}

static void on_state(struct client *client, const uint8_t *data, uint32_t size, uint64_t number,
                     bool told)
{
    struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    const uint8_t *payload = memmem(data, size, "\"payload\":", 10);
    const uint8_t *end = memmem(data, size, ",\"correlation_id\":", 18);
    if (end == nullptr) end = data + size;
    MUST(client->run, payload != nullptr && end > payload, "client %u: a state of nothing",
         client->index);
    if (number < told_most)
        check_same(client, &room->told[number].state, hash(payload, (uint32_t)(end - payload)),
                   number);
    if (player->is_relay) {
        check_relay_state(client, data, size, number, told);
        return;
    }
    const char *wrong = referee_read(&player->referee, data, size);
    MUST(client->run, wrong == nullptr, "client %u: %s: %.*s", client->index, wrong, (int)size,
         (const char *)data);
    check_people(client, data, size, config_of(client)->lobby_people);
}

/* --- Numbers ---------------------------------------------------------------------------------- */

/* Everybody was told. `size` is without the number. */
static void on_told(struct client *client, const uint8_t *data, uint32_t size, uint64_t number)
{
    struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    MUST(client->run, number == player->last + 1, "client %u: number %llu follows %llu",
         client->index, (unsigned long long)number, (unsigned long long)player->last);
    player->last = number;
    bool is_state = begins(data, size, "{\"type\":\"state\",");
    MUST(client->run, player->owed_state != number || is_state,
         "client %u: number %llu was to be a state", client->index, (unsigned long long)number);
    if (number < told_most && player->is_relay == room->is_relay) {
        game_note_told(client, room, number);
        check_same(client, &room->told[number].words, hash(data, size), number);
    }
    sim_mix(client->run->sim, number);
}

static void on_numbered(struct client *client, const uint8_t *data, uint32_t size, uint64_t number,
                        struct ask *ask)
{
    struct player *player = game_player(client);
    bool is_state = begins(data, size, "{\"type\":\"state\",");
    bool told = player->stated && ask == nullptr;
    MUST(client->run, is_state || told, "client %u: number %llu is no news", client->index,
         (unsigned long long)number);
    if (told)
        on_told(client, data, size, number);
    else if (player->stated)
        MUST(client->run, number == player->last,
             "client %u asked for the state and got that of %llu after %llu", client->index,
             (unsigned long long)number, (unsigned long long)player->last);
    player->last = number;
    if (is_state) on_state(client, data, size, number, told);
    if (is_state) player->stated = true;
}

/* --- Events ----------------------------------------------------------------------------------- */

/* {"n":K}: something that the backend has published, to all under a number, or to some. */
static void on_news(struct client *client, const uint8_t *data, uint32_t size, uint64_t number)
{
    struct player *player = game_player(client);
    uint64_t n = changes_most;
    (void)!wire_json_number(data, size, "\"n\":", &n);
    MUST(client->run, n > 0 && n < parlour.change_count, "client %u: news of nobody's",
         client->index);
    struct change *change = &parlour.changes[n];
    bool whispered = change->what == CHANGE_WHISPER;
    MUST(client->run,
         &parlour.rooms[change->room] == game_room_of(client) && whispered == (number == 0) &&
             (whispered || change->what == CHANGE_EVENT),
         "client %u: news %llu come to it otherwise than they were sent", client->index,
         (unsigned long long)n);
    change->heard = true;
    if (!whispered) {
        if (change->sequence == 0) change->sequence = number;
        MUST(client->run, change->sequence == number, "client %u: news %llu come twice",
             client->index, (unsigned long long)n);
        return;
    }
    uint64_t *heard = &player->whispers[n / 64], bit = 1ull << n % 64;
    MUST(client->run, (change->to >> player->number & 1) != 0 && (*heard & bit) == 0,
         "client %u: news %llu are not for it, or come twice", client->index,
         (unsigned long long)n);
    *heard |= bit;
}

static void on_event(struct client *client, const uint8_t *data, uint32_t size, uint64_t number,
                     struct ask *ask)
{
    struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    char event[32] = "";
    (void)!wire_json_text(data, size, "\"event\":", event, sizeof event);
    if (strcmp(event, "participant_joined") == 0 || strcmp(event, "participant_left") == 0) {
        on_presence(client, data, size, event[12] == 'j');
    } else if (strcmp(event, "members") == 0) {
        MUST(client->run, player->is_relay && number == 0, "client %u: members in a lobby",
             client->index);
        check_people(client, data, size, room->people_most);
    } else if (strcmp(event, "news") == 0) {
        on_news(client, data, size, number);
    } else if (strcmp(event, "room_closed") == 0) {
        MUST(client->run, room->closing, "client %u: nobody has closed this room", client->index);
        player->must_go = true;
    } else {
        bool known =
            strcmp(event, "chat") == 0 || strcmp(event, "room_status") == 0 ||
            (strcmp(event, "pong") == 0 && ask != nullptr && ask->what == ASK_PING) ||
            (strcmp(event, "auth_refreshed") == 0 && ask != nullptr && ask->what == ASK_AUTH) ||
            strcmp(event, "auth_expiring") == 0;
        MUST(client->run, known, "client %u: unknown event %s", client->index, event);
    }
}

/* --- Answers ---------------------------------------------------------------------------------- */

/* The same question has the same answer. */
static void check_answer(struct client *client, struct ask *ask, const char *answer, uint64_t value)
{
    if (ask->answers == 1) {
        snprintf(ask->answer, sizeof ask->answer, "%s", answer);
        ask->value = value;
    }
    MUST(client->run,
         ask->what != ASK_ACTION || (strcmp(ask->answer, answer) == 0 && ask->value == value),
         "client %u: its action was answered by %s %llu, and then by %s %llu", client->index,
         ask->answer, (unsigned long long)ask->value, answer, (unsigned long long)value);
}

static void on_ack(struct client *client, const uint8_t *data, uint32_t size, struct ask *ask)
{
    struct player *player = game_player(client);
    uint64_t number = 0;
    bool counted = wire_json_number(data, size, "\"seq\":", &number);
    MUST(client->run, ask != nullptr && (ask->what == ASK_ACTION || ask->what == ASK_TALK),
         "client %u: an ack of nothing", client->index);
    if (ask->answers == 1 && counted)
        MUST(client->run, number == player->last + 1, "client %u: an ack of %llu after %llu",
             client->index, (unsigned long long)number, (unsigned long long)player->last);
    if (ask->answers == 1 && ask->what == ASK_ACTION) player->owed_state = number;
    check_answer(client, ask, "ack", number);
}

static bool is_one_of(const char *code, const char *const *codes)
{
    while (*codes != nullptr && strcmp(*codes, code) != 0)
        codes += 1;
    return *codes != nullptr;
}

static void on_error(struct client *client, const uint8_t *data, uint32_t size, struct ask *ask)
{
    static const char *const rules[] = {"not_your_turn", "illegal_move", "not_started",
                                        "game_over",     "forbidden",    nullptr};
    static const char *const nothings[] = {"bad_message", "unsupported", "expired", "not_yet_valid",
                                           nullptr};
    static const char *const others[] = {"rate_limited", "token_expired", "wrong_player",
                                         "wrong_room",   "chat_off",      nullptr};
    struct player *player = game_player(client);
    char code[32] = "";
    (void)!wire_json_text(data, size, "\"code\":", code, sizeof code);
    bool rule = is_one_of(code, rules), means_nothing = is_one_of(code, nothings);
    MUST(client->run, rule || means_nothing || is_one_of(code, others), "client %u: an error %s",
         client->index, code);
    MUST(client->run, !rule || (ask != nullptr && ask->what == ASK_ACTION && !player->is_relay),
         "client %u: the rules of a game forbid what is no action: %s", client->index, code);
    bool fine = ask != nullptr && (ask->what == ASK_TALK || ask->what == ASK_SYNC ||
                                   ask->what == ASK_PING || ask->what == ASK_ACTION);
    MUST(client->run, !fine || !means_nothing, "client %u: what it has said means nothing: %s",
         client->index, code);
    MUST(client->run, strcmp(code, "chat_off") != 0 || !game_room_of(client)->chats,
         "client %u: no chat where there is one", client->index);
    if (strcmp(code, "rate_limited") == 0) player->limited = true;
    if (strcmp(code, "token_expired") == 0) player->expired = true;
    if (ask != nullptr) check_answer(client, ask, code, 0);
    player->bad_answers += means_nothing;
    if (player->bad_answers == 9) player->must_go = true;
}

/* --- Any message ------------------------------------------------------------------------------ */

static void on_welcome(struct client *client, const uint8_t *data, uint32_t size)
{
    struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    char id[16], kind[16];
    bool whole = wire_json_text(data, size, "\"room\":", id, sizeof id) &&
                 wire_json_text(data, size, "\"kind\":", kind, sizeof kind);
    MUST(client->run, whole && strcmp(id, room->id) == 0, "client %u: welcome where?",
         client->index);
    MUST(client->run, read_player(client, data, size) == player->number, "client %u: welcome who?",
         client->index);
    MUST(client->run, !player->shows_wrong, "client %u came in with a token that is no good",
         client->index);
    player->is_relay = strcmp(kind, "relay") == 0;
    /* What a backend has made is not made again by coming. */
    MUST(client->run,
         player->is_relay ? room->is_relay : strcmp(kind, "lobby") == 0 && !room->is_relay,
         "client %u: a room of kind %s", client->index, kind);
    uint64_t kicked_ns = room->kicked_ns[player->number];
    MUST(client->run, !player->is_relay || kicked_ns == 0 || client->connected_ns < kicked_ns,
         "client %u was sent away for good, and is back", client->index);
    MUST(client->run, !player->is_relay || !room->closed || client->connected_ns < room->closed_ns,
         "client %u is in a room that is over", client->index);
}

static void on_turned_away(struct client *client, const uint8_t *data, uint32_t size)
{
    struct player *player = game_player(client);
    char code[32] = "";
    (void)!wire_json_text(data, size, "\"code\":", code, sizeof code);
    bool jumped = client->run->plan.jump_ms != 0;
    bool explained = player->shows_wrong || player->shows_short || jumped ||
                     (strcmp(code, "kicked") == 0 && game_room_of(client)->kicks[player->number]) ||
                     (strcmp(code, "room_closed") == 0 && game_room_of(client)->is_relay) ||
                     (strcmp(code, "room_not_found") == 0 && !config_of(client)->lobby);
    MUST(client->run,
         config_of(client)->lobby_fail_by_close && begins(data, size, "{\"type\":\"error\",") &&
             explained,
         "client %u: the first message is no welcome: %.*s", client->index, (int)size,
         (const char *)data);
    if (strcmp(code, "room_not_found") == 0 || strcmp(code, "room_closed") == 0)
        game_room_over(client, game_room_of(client));
    player->turned_away = true;
}

static void on_kicked(struct client *client)
{
    struct player *player = game_player(client);
    MUST(client->run, game_room_of(client)->kicks[player->number],
         "client %u is kicked, and nobody has asked for it", client->index);
    player->kicked = player->must_go = true;
}

void game_on_text(struct client *client, const uint8_t *data, uint32_t size)
{
    struct player *player = game_player(client);
    uint32_t rest = size;
    uint64_t number = 0;
    MUST(client->run, !player->must_go && !player->turned_away,
         "client %u: it had to go, and hears %.*s", client->index, (int)size, (const char *)data);
    if (begins(data, size, "{\"type\":\"system\",\"event\":\"welcome\",")) {
        on_welcome(client, data, size);
        return;
    }
    if (begins(data, size, "{\"type\":\"system\",\"event\":\"kicked\",")) {
        on_kicked(client);
        return;
    }
    struct ask *ask = asks_find(&player->asks, client, data, size);
    if (ask != nullptr) asks_answer(ask, client);
    if (read_number(data, &rest, &number)) on_numbered(client, data, rest, number, ask);
    if (begins(data, size, "{\"type\":\"event\","))
        on_event(client, data, size, number, ask);
    else if (begins(data, size, "{\"type\":\"ack\","))
        on_ack(client, data, size, ask);
    else if (begins(data, size, "{\"type\":\"error\",") && player->stated)
        on_error(client, data, size, ask);
    else if (!begins(data, size, "{\"type\":\"state\","))
        on_turned_away(client, data, size);
}

/* --- The end ---------------------------------------------------------------------------------- */

bool game_explains(struct client *client, uint32_t code)
{
    const struct player *player = game_player(client);
    const struct game_room *room = game_room_of(client);
    bool ended = player->shows_short && client_now(client) >= player->ends_ns;
    switch (code) {
    case 4400: return room->strikes[player->number] >= 9;
    case 4401: return player->turned_away || ended || client->run->plan.jump_ms != 0;
    case 4403: return player->trespassed || player->kicked || player->turned_away;
    case 4409: return room->arrivals[player->number] > room->replaced[player->number] + 1;
    case 4410: return room->closing || player->turned_away;
    case 4429: return player->limited;
    default: return false;
    }
}

void game_on_close(struct client *client, uint32_t code)
{
    struct player *player = game_player(client);
    struct game_room *room = game_room_of(client);
    if (player->must_go)
        MUST(client->run,
             code == 4400 || code == 4403 || code == 4410 || code == 1012 || code == 1013,
             "client %u had to go and got %u", client->index, code);
    if (code == 4409) room->replaced[player->number] += 1;
}

/* Whatever anybody has heard a while ago. */
static void check_newest(struct client *client)
{
    const struct player *player = game_player(client);
    const struct game_room *room = game_room_of(client);
    uint64_t newest = room->newest, now_ns = client_now(client);
    if (!room->single || player->is_relay != room->is_relay) return;
    while (newest > player->last && now_ns - room->told[newest].first_ns < second_ns / 2)
        newest -= 1;
    MUST(client->run, player->last >= newest, "client %u has heard up to %llu, others %llu",
         client->index, (unsigned long long)player->last, (unsigned long long)newest);
}

/* What a backend has whispered to it, and knows that it was said. */
static void check_whispers(struct client *client)
{
    const struct player *player = game_player(client);
    for (uint32_t i = 1; i < parlour.change_count; i++) {
        const struct change *change = &parlour.changes[i];
        bool is_for_it = change->what == CHANGE_WHISPER && change->accepted &&
                         &parlour.rooms[change->room] == game_room_of(client) &&
                         (change->to >> player->number & 1) != 0 && player->is_relay &&
                         change->sent_ns > client->opened_ns + second_ns &&
                         client_now(client) - change->accepted_ns > second_ns / 2;
        MUST(client->run, !is_for_it || (player->whispers[i / 64] >> i % 64 & 1) != 0,
             "client %u has not heard news %u", client->index, i);
    }
}

void game_check(struct client *client)
{
    const struct player *player = game_player(client);
    const struct game_room *room = game_room_of(client);
    MUST(client->run, player->stated && !player->turned_away && !player->must_go,
         "client %u is still there, or was never greeted", client->index);
    for (uint32_t i = 0; i < client->index; i++) {
        const struct client *other = &client->run->clients[i];
        bool same = other->role == ROLE_GAME && parlour.players[i].room == player->room &&
                    parlour.players[i].number == player->number;
        MUST(client->run, !same || !client_is_live(other), "clients %u and %u are one player", i,
             client->index);
    }
    MUST(client->run,
         !player->is_relay || !room->closed || client_now(client) - room->closed_ns < second_ns / 2,
         "client %u is in a room that is over", client->index);
    check_newest(client);
    check_whispers(client);
    asks_check(&player->asks, client);
}
