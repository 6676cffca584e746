/* tests/sim/client_backend.c: somebody's backend, which makes rooms on the internal listener,
 * publishes to all and to some, changes their state, locks, sends away and ends. When it hears no
 * answer it asks the same again, under the same Idempotency-Key: that is done once.
 *
 * What its answers say is held against what members hear (game_hear.c): a number belongs to one
 * message. */
#include "parlour.h"
#include <stdio.h>
#include <stdlib.h>

enum verb : uint8_t { OPEN, PUBLISH, WHISPER, REPLACE, MERGE, KICK, LOCK, END, SHOW, LIST, verbs };

/* What a backend asks, and asks again until it is answered. */
struct errand {
    enum verb verb;
    bool asked, keyed; /* asked: and not answered */
    uint32_t room, change, player, number;
    uint64_t least; /* SHOW: the number of which somebody knew when it asked */
    char body[200];
};
static struct errand errands[clients_max];
static uint32_t errand_count;

static void begin(struct run *)
{
    errand_count = 0;
    memset(errands, 0, sizeof errands);
}

/* A room that is there, as far as anybody knows. */
static uint32_t draw_room(struct client *client)
{
    uint32_t drawn = client_nothing, seen = 0;
    for (uint32_t i = lobbies_most; i < parlour.room_count; i++)
        if (parlour.rooms[i].known && !parlour.rooms[i].closed && client_below(client, ++seen) == 0)
            drawn = i;
    return drawn;
}

/* --- What it asks ----------------------------------------------------------------------------- */

static void draw_opening(struct client *client, struct errand *errand)
{
    static const uint32_t most[] = {2, 5, 100};
    errand->room = parlour.room_count++;
    struct game_room *room = &parlour.rooms[errand->room];
    snprintf(room->id, sizeof room->id, "b%u", errand->room);
    room->is_relay = room->single = true;
    room->chats = client_below(client, 2) == 0;
    room->people_most = most[client_below(client, 3)];
    snprintf(errand->body, sizeof errand->body,
             "{\"id\":\"%s\",\"state\":{\"last\":0},\"chat\":%s,\"members_max\":%u}", room->id,
             room->chats ? "true" : "false", room->people_most);
}

static uint32_t new_change(struct client *client, struct errand *errand, uint8_t what)
{
    errand->change = parlour.change_count++;
    parlour.changes[errand->change] =
        (struct change){.what = what, .room = errand->room, .sent_ns = client_now(client)};
    return errand->change;
}

static void draw_whisper(struct client *client, struct errand *errand)
{
    char to[80];
    int length = 0;
    uint32_t number = new_change(client, errand, CHANGE_WHISPER);
    for (uint32_t i = 0, left = 1 + client_below(client, 3); left > 0; i++) {
        if (i < players_most - left && client_below(client, 4) > 0) continue;
        length += snprintf(to + length, sizeof to - (size_t)length, "%s\"s%u\"",
                           length > 0 ? "," : "", i);
        parlour.changes[number].to |= 1u << i;
        left -= 1;
    }
    snprintf(errand->body, sizeof errand->body,
             "{\"event\":\"news\",\"payload\":{\"n\":%u},\"to\":[%s]}", number, to);
}

static void draw_change(struct client *client, struct errand *errand)
{
    bool merges = errand->verb == MERGE;
    uint32_t n = new_change(client, errand,
                            errand->verb == PUBLISH ? CHANGE_EVENT
                            : merges                ? CHANGE_MERGE
                                                    : CHANGE_REPLACE);
    if (errand->verb == PUBLISH)
        snprintf(errand->body, sizeof errand->body, "{\"event\":\"news\",\"payload\":{\"n\":%u}}",
                 n);
    else
        snprintf(errand->body, sizeof errand->body, "{\"%s\":{\"last\":%u,\"%s\":%u}}",
                 merges ? "merge" : "replace", n, merges ? "m" : "r", n);
}

/* False when there is nothing to ask for. */
static bool draw_errand(struct client *client, struct errand *errand)
{
    static const enum verb drawn_from[] = {PUBLISH, PUBLISH, PUBLISH, PUBLISH, WHISPER, WHISPER,
                                           REPLACE, REPLACE, MERGE,   MERGE,   MERGE,   KICK,
                                           LOCK,    LOCK,    SHOW,    SHOW,    LIST,    END};
    *errand = (struct errand){.number = errand_count++, .change = client_nothing};
    errand->room = draw_room(client);
    errand->keyed = client_below(client, 3) > 0;
    errand->verb = drawn_from[client_below(client, sizeof drawn_from / sizeof *drawn_from)];
    bool may_open = parlour.room_count < game_rooms_most;
    if (may_open && (errand->room == client_nothing || client_below(client, 20) == 0))
        errand->verb = OPEN;
    if (errand->verb != OPEN && errand->room == client_nothing) return false;
    if (errand->verb == END && client_below(client, 3) > 0) errand->verb = SHOW;
    bool changes = errand->verb >= PUBLISH && errand->verb <= MERGE;
    if (changes && parlour.change_count == changes_most) return false;
    errand->player = client_below(client, players_most);
    if (errand->verb == OPEN) draw_opening(client, errand);
    if (errand->verb == WHISPER) draw_whisper(client, errand);
    if (changes && errand->verb != WHISPER) draw_change(client, errand);
    if (errand->verb == KICK)
        snprintf(errand->body, sizeof errand->body, "{\"player\":\"s%u\"}", errand->player);
    if (errand->verb == LOCK)
        snprintf(errand->body, sizeof errand->body, "{\"locked\":%s}",
                 client_below(client, 3) == 0 ? "true" : "false");
    return true;
}

static void say_errand(struct client *client, const struct errand *errand)
{
    static const char *const actions[verbs] = {
        [PUBLISH] = "publish", [WHISPER] = "publish", [REPLACE] = "state",
        [MERGE] = "state",     [KICK] = "kick",       [LOCK] = "lock"};
    char path[64] = "/v1/rooms", key[48] = "";
    const char *action = actions[errand->verb];
    if (errand->verb != OPEN && errand->verb != LIST)
        snprintf(path, sizeof path, "/v1/rooms/%s%s%s", parlour.rooms[errand->room].id,
                 action != nullptr ? "/" : "", action != nullptr ? action : "");
    if (errand->verb == LIST) snprintf(path, sizeof path, "/v1/rooms?limit=3");
    if (errand->keyed && errand->verb < SHOW)
        snprintf(key, sizeof key, "Idempotency-Key: e%u\r\n", errand->number);
    client_say(client,
               "%s %s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer key\r\n%s%sContent-Length: "
               "%u\r\n\r\n%s",
               errand->verb >= SHOW  ? "GET"
               : errand->verb == END ? "DELETE"
                                     : "POST",
               path, key, errand->body[0] != '\0' ? "Content-Type: application/json\r\n" : "",
               (uint32_t)strlen(errand->body), errand->body);
}

static bool say_hello(struct client *client)
{
    struct errand *errand = &errands[client->index];
    bool again = errand->asked && errand->keyed && client_below(client, 5) > 0;
    if (client_is_hushed(client) || (!again && !draw_errand(client, errand))) return false;
    struct game_room *room = &parlour.rooms[errand->room];
    errand->asked = true;
    errand->least = room->newest;
    if (errand->verb == END) room->closing = true;
    if (errand->verb == KICK) room->kicks[errand->player] = true;
    say_errand(client, errand);
    return true;
}

/* --- What it is answered ---------------------------------------------------------------------- */

/* The number of the message that tells it: the same for who hears that. */
static void on_changed(struct client *client, const struct errand *errand, const uint8_t *body,
                       uint32_t size)
{
    struct change *change = &parlour.changes[errand->change];
    uint64_t number = 0;
    bool counted = wire_json_number(body, size, "\"seq\":", &number);
    change->accepted = true;
    if (change->accepted_ns == 0) change->accepted_ns = client_now(client);
    if (change->what == CHANGE_WHISPER) return;
    MUST(client->run, counted && number > 0, "change %u has no number", errand->change);
    MUST(client->run, change->sequence == 0 || change->sequence == number,
         "change %u is answered with number %llu, and told under %llu", errand->change,
         (unsigned long long)number, (unsigned long long)change->sequence);
    change->sequence = number;
    game_note_told(client, &parlour.rooms[errand->room], number);
}

static void on_done(struct client *client, const struct errand *errand, const uint8_t *body,
                    uint32_t size)
{
    struct game_room *room = &parlour.rooms[errand->room];
    uint64_t number = 0;
    switch (errand->verb) {
    case OPEN: room->known = true; break;
    case PUBLISH:
    case WHISPER:
    case REPLACE:
    case MERGE: on_changed(client, errand, body, size); break;
    case KICK:
        if (room->kicked_ns[errand->player] == 0)
            room->kicked_ns[errand->player] = client_now(client);
        break;
    case END: game_room_over(client, room); break;
    case SHOW:
        if (!wire_contains(body, size, "\"kind\":\"relay\"")) break; /* a lobby of that name */
        MUST(client->run,
             wire_json_number(body, size, "\"seq\":", &number) && number >= errand->least,
             "room %s shows number %llu, and %llu was told before", room->id,
             (unsigned long long)number, (unsigned long long)errand->least);
        break;
    default: break;
    }
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    struct errand *errand = &errands[client->index];
    const uint8_t *body = (const uint8_t *)answer->body;
    uint32_t status = answer->status;
    bool busy = client_is_busy(status);
    bool is_lobby = wire_contains(body, answer->body_size, "not_a_backend_room");
    MUST(client->run, busy || status == 200 || status == 201 || status == 404 || status == 409,
         "client %u asked for %u of a room, and got %u: %.*s", client->index, errand->verb, status,
         (int)answer->body_size, answer->body);
    MUST(client->run, status != 409 || is_lobby || errand->verb == OPEN,
         "client %u asked for %u of a room, and got 409: %.*s", client->index, errand->verb,
         (int)answer->body_size, answer->body);
    if (!busy) errand->asked = false;
    if (status == 200 || status == 201) on_done(client, errand, body, answer->body_size);
    if (status == 404 || is_lobby) game_room_over(client, &parlour.rooms[errand->room]);
}

const struct client_kind backend_kind = {
    .name = "backend",
    .port = PORT_ADMIN,
    .is_brief = true,
    .begin = begin,
    .hello = say_hello,
    .on_answer = on_answer,
};
