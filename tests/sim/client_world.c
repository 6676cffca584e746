/* tests/sim/client_world.c: players in the world, who show a token first, fly about, and now and
 * then leap where nobody can. The world is a small one, so that they lose sight of each other.
 *
 *   - the answer to the token comes first; without a good one nothing else comes
 *   - whoever comes into sight is told of once, and once when it goes; nothing is told of others
 *   - an honest player is never corrected, and stays
 *   - when the faults are over, everybody near is seen, nobody far, and where it is by now
 *   - one connection a player */
#include "client.h"
#include "token.h"
#include <stdio.h>
#include <stdlib.h>

constexpr uint32_t players_most = 24; /* "w7": some clients are the same one */
constexpr int32_t reach = 90'000;     /* millimetres that they fly from the middle, at most */
constexpr int32_t step = 3000;        /* at once */
constexpr int32_t height = 10'000;
constexpr uint32_t cheats_most = 5; /* leaps that end a connection */

/* The world. Who is `near` along one axis and hardly `beside` it is in sight; who is `far` along
 * one is not. */
static const char world_text[] =
    "{\"seed\":7,\"tickMs\":100,\"bounds\":{\"min\":{\"x\":-96,\"y\":-16,\"z\":-96},"
    "\"max\":{\"x\":96,\"y\":64,\"z\":96}},\"terrain\":{\"base\":0,\"amplitude\":0},"
    "\"spawns\":[{\"x\":0,\"z\":0},{\"x\":60,\"z\":60},{\"x\":-60,\"z\":-60}],"
    "\"pace\":{\"strikes\":5},"
    "\"interest\":{\"cell\":16,\"radius\":24,\"leaveRadius\":32,\"cellEntities\":64}}";
constexpr int32_t near = 24'000, beside = 8000, far = 32'000 + 2 * 16'000;

struct text client_world_text(void)
{
    return text_of(world_text);
}

struct spot {
    int32_t x, y, z; /* millimetres */
};

struct pilot {
    uint32_t number;
    bool shows_wrong;
    /* of this connection */
    bool silent, asked, in, refused, leapt, sibling, limited;
    struct spot at;
    int32_t heading_x, heading_z;
    uint32_t known, shown; /* players, a bit each: in sight; and seen at `seen` */
    struct spot seen[players_most];
};
static struct pilot pilots[clients_max];
/* Of each player: connections that have shown its token, that were replaced, and its leaps. */
static uint32_t arrivals[players_most], replaced[players_most], leaps[players_most];

static void begin(struct run *)
{
    memset(pilots, 0, sizeof pilots);
    for (uint32_t i = 0; i < clients_max; i++)
        pilots[i].number = i % players_most;
    for (uint32_t i = 0; i < players_most; i++)
        arrivals[i] = replaced[i] = leaps[i] = 0;
}

static struct pilot *pilot_of(const struct client *client)
{
    return &pilots[client->index];
}

static bool say_hello(struct client *client)
{
    if (client->run->plan.config.world_listen.port == 0) return false;
    client_say_upgrade(client, "/ws", "");
    return true;
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    MUST(client->run, client_is_busy(answer->status), "client %u asked for the world and got %u",
         client->index, answer->status);
}

/* --- What is said ----------------------------------------------------------------------------- */

static void say_token(struct client *client)
{
    struct pilot *pilot = pilot_of(client);
    char claims[96], token[token_size_max];
    uint32_t drawn = client_below(client, 24);
    pilot->shows_wrong = drawn == 0;
    pilot->sibling = client->index % 3 == 0;
    snprintf(claims, sizeof claims, "{\"sub\":\"w%u\",\"exp\":%llu}", pilot->number,
             (unsigned long long)client_wall_s(client) + 100'000);
    token_sign(token, claims, drawn == 0 ? "another secret, with 32 bytes too" : sim_secret);
    pilot->asked = client_say_text(client, "{\"type\":\"%s\",\"payload\":{\"token\":\"%s\"}}",
                                   pilot->sibling ? "C2S_AUTH" : "auth", token);
    arrivals[pilot->number] += pilot->asked;
}

static void on_open(struct client *client)
{
    struct pilot *pilot = pilot_of(client);
    *pilot = (struct pilot){.number = pilot->number};
    pilot->silent = client_below(client, 20) == 0;
    pilot->heading_x = (int32_t)client_below(client, 2 * step + 1) - step;
    pilot->heading_z = (int32_t)client_below(client, 2 * step + 1) - step;
    if (!pilot->silent) say_token(client);
}

static int32_t towards(int32_t from, int32_t to)
{
    int32_t way = to - from;
    return from + (way > step ? step : way < -step ? -step : way);
}

static int32_t within(int32_t value)
{
    return value > reach ? reach : value < -reach ? -reach : value;
}

static void say_spot(struct client *client, struct spot spot)
{
    struct pilot *pilot = pilot_of(client);
    char x[16], y[16], z[16];
    const int32_t parts[] = {spot.x, spot.y, spot.z};
    char *const texts[] = {x, y, z};
    for (int i = 0; i < 3; i++)
        snprintf(texts[i], 16, "%s%d.%03d", parts[i] < 0 ? "-" : "", abs(parts[i]) / 1000,
                 abs(parts[i]) % 1000);
    bool said =
        client_say_text(client,
                        "{\"type\":\"%s\",\"payload\":{\"position\":{\"x\":%s,\"y\":%s,\"z\":%s},"
                        "\"rotation\":{\"x\":0,\"y\":0,\"z\":0,\"w\":1},\"mode\":\"flying\"}}",
                        pilot->sibling ? "C2S_PLAYER_UPDATE" : "player_update", x, y, z);
    if (said) pilot->at = spot;
}

static void move(struct client *client)
{
    struct pilot *pilot = pilot_of(client);
    struct spot to = pilot->at;
    if (client_below(client, 10) == 0) {
        pilot->heading_x = (int32_t)client_below(client, 2 * step + 1) - step;
        pilot->heading_z = (int32_t)client_below(client, 2 * step + 1) - step;
    }
    to.y = towards(to.y, height);
    to.x = within(to.x + pilot->heading_x);
    to.z = within(to.z + pilot->heading_z);
    say_spot(client, to);
}

/* Across the whole world, and then it waits for the answer. */
static void leap(struct client *client)
{
    struct pilot *pilot = pilot_of(client);
    struct spot to = pilot->at;
    to.x = to.x > 0 ? -reach : reach;
    to.y = 60'000;
    pilot->leapt = true;
    leaps[pilot->number] += 1;
    say_spot(client, to);
}

static void speak(struct client *client)
{
    struct pilot *pilot = pilot_of(client);
    if (!pilot->in || pilot->leapt) return;
    uint32_t drawn = client_below(client, 60);
    bool cheats = client->index % 6 == 0 && drawn < 10 && !client->run->calm;
    if (cheats)
        leap(client);
    else if (drawn == 10)
        (void)client_say_text(client, "{\"type\":\"%s\"}",
                              pilot->sibling ? "C2S_PRESENCE" : "presence");
    else
        move(client);
}

/* --- What is heard ---------------------------------------------------------------------------- */

static uint32_t read_id(struct client *client, const uint8_t *data, uint32_t size)
{
    char id[16] = "";
    (void)!wire_json_text(data, size, "\"id\":", id, sizeof id);
    uint32_t number = (uint32_t)atoi(id + 1);
    MUST(client->run, id[0] == 'w' && number < players_most, "client %u: who is \"%s\"?",
         client->index, id);
    return number;
}

/* The number behind a key in millimetres: -12.5 is -12500. */
static int32_t read_coordinate(struct client *client, const uint8_t *data, uint32_t size,
                               const char *key)
{
    const uint8_t *at = memmem(data, size, key, strlen(key)), *end = data + size;
    MUST(client->run, at != nullptr, "client %u: a position without %s", client->index, key);
    at += strlen(key);
    bool negative = at < end && *at == '-';
    int32_t value = 0, digits = -1; /* digits: behind the point */
    for (at += negative; at < end && digits < 3; at++) {
        if (*at == '.' && digits < 0) {
            digits = 0;
            continue;
        }
        if (*at < '0' || *at > '9') break;
        value = value * 10 + (*at - '0');
        digits += digits >= 0;
    }
    for (digits = digits < 0 ? 0 : digits; digits < 3; digits++)
        value *= 10;
    return negative ? -value : value;
}

static struct spot read_spot(struct client *client, const uint8_t *data, uint32_t size)
{
    return (struct spot){.x = read_coordinate(client, data, size, "\"x\":"),
                         .y = read_coordinate(client, data, size, "\"y\":"),
                         .z = read_coordinate(client, data, size, "\"z\":")};
}

static bool is(const uint8_t *data, uint32_t size, const char *plain, const char *sibling,
               bool as_sibling)
{
    char text[64];
    int length =
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"payload\":{", as_sibling ? sibling : plain);
    return size >= (uint32_t)length && memcmp(data, text, (size_t)length) == 0;
}

enum heard { HEARD_ENTER, HEARD_LEAVE, HEARD_UPDATE };

static void on_entity(struct client *client, enum heard heard, const uint8_t *data, uint32_t size)
{
    struct pilot *pilot = pilot_of(client);
    uint32_t number = read_id(client, data, size), bit = 1u << number;
    bool known = (pilot->known & bit) != 0;
    MUST(client->run, known == (heard != HEARD_ENTER), "client %u: w%u %s", client->index, number,
         heard == HEARD_ENTER   ? "enters twice"
         : heard == HEARD_LEAVE ? "leaves, and was not in sight"
                                : "is shown, and is not in sight");
    if (heard == HEARD_ENTER) pilot->known |= bit;
    if (heard == HEARD_LEAVE) pilot->known &= ~bit;
    pilot->shown &= heard == HEARD_UPDATE ? ~0u : ~bit;
    if (heard != HEARD_UPDATE) return;
    pilot->shown |= bit;
    pilot->seen[number] = read_spot(client, data, size);
}

static void on_entities(struct client *client, enum heard heard, const uint8_t *data, uint32_t size)
{
    const uint8_t *at = data, *end = data + size;
    while ((at = memmem(at, (size_t)(end - at), "{\"id\":", 6)) != nullptr) {
        on_entity(client, heard, at, (uint32_t)(end - at));
        at += 1;
    }
    sim_mix(client->run->sim, size);
}

static void on_auth_result(struct client *client, const uint8_t *data, uint32_t size)
{
    struct pilot *pilot = pilot_of(client);
    bool success = wire_contains(data, size, "\"success\":true");
    bool full = wire_contains(data, size, "\"world_full\"");
    MUST(client->run, !pilot->in, "client %u is let in twice", client->index);
    MUST(client->run, success || full || pilot->shows_wrong,
         "client %u has a token and is refused: %.*s", client->index, (int)size,
         (const char *)data);
    MUST(client->run, !success || (pilot->asked && !pilot->shows_wrong),
         "client %u is let in without a token", client->index);
    pilot->in = success;
    pilot->refused = !success;
    if (success) pilot->at = read_spot(client, data, size);
}

static void on_correction(struct client *client, const uint8_t *data, uint32_t size)
{
    struct pilot *pilot = pilot_of(client);
    MUST(client->run, leaps[pilot->number] > 0, "client %u: an honest player is corrected: %.*s",
         client->index, (int)size, (const char *)data);
    pilot->at = read_spot(client, data, size);
    pilot->leapt = false;
}

static void on_text(struct client *client, const uint8_t *data, uint32_t size)
{
    struct pilot *pilot = pilot_of(client);
    bool s = pilot->sibling;
    uint64_t online = 0;
    MUST(client->run, !pilot->refused, "client %u is not let in, and hears %.*s", client->index,
         (int)size, (const char *)data);
    if (is(data, size, "auth_result", "S2C_AUTH_RESULT", s)) {
        on_auth_result(client, data, size);
        return;
    }
    MUST(client->run, pilot->in, "client %u hears this before it is let in: %.*s", client->index,
         (int)size, (const char *)data);
    if (is(data, size, "entity_enter", "S2C_ENTITY_ENTER", s))
        on_entities(client, HEARD_ENTER, data, size);
    else if (is(data, size, "entity_leave", "S2C_ENTITY_LEAVE", s))
        on_entities(client, HEARD_LEAVE, data, size);
    else if (is(data, size, "world_state_update", "S2C_WORLD_STATE_UPDATE", s))
        on_entities(client, HEARD_UPDATE, data, size);
    else if (is(data, size, "correction", "S2C_CORRECTION", s))
        on_correction(client, data, size);
    else if (is(data, size, "presence", "S2C_PRESENCE", s))
        MUST(client->run,
             wire_json_number(data, size, "\"online\":", &online) && /* counted once a second */
                 online <= client->run->plan.config.world_players,
             "client %u: %llu are online", client->index, (unsigned long long)online);
    else
        MUST(client->run,
             is(data, size, "world_seed", "S2C_WORLD_SEED", s) ||
                 (is(data, size, "error", "S2C_ERROR", s) && leaps[pilot->number] > 0),
             "client %u: unknown message %.*s", client->index, (int)size, (const char *)data);
}

/* --- The end ---------------------------------------------------------------------------------- */

static bool explains(struct client *client, uint32_t code)
{
    const struct pilot *pilot = pilot_of(client);
    switch (code) {
    case 4401: return pilot->refused;
    case 4403: return leaps[pilot->number] >= cheats_most;
    case 4408: return !pilot->in;
    case 4409: return arrivals[pilot->number] > replaced[pilot->number] + 1;
    default: return false;
    }
}

static void on_close(struct client *client, uint32_t code)
{
    if (code == 4409) replaced[pilot_of(client)->number] += 1;
}

/* The player of another client that lives is seen, and where it is, or is too far away. */
static void check_sees(struct client *client, const struct client *other)
{
    const struct pilot *pilot = pilot_of(client), *seen = pilot_of(other);
    int32_t x = abs(pilot->at.x - seen->at.x), z = abs(pilot->at.z - seen->at.z);
    int32_t away = x > z ? x : z, aside = x > z ? z : x;
    bool known = (pilot->known >> seen->number & 1) != 0;
    MUST(client->run, known || away > near || aside > beside,
         "client %u does not see w%u, %d mm away", client->index, seen->number, away);
    MUST(client->run, !known || away <= far, "client %u sees w%u, %d mm away", client->index,
         seen->number, away);
    if (!known || seen->leapt) return;
    struct spot spot = pilot->seen[seen->number];
    bool right = (pilot->shown >> seen->number & 1) != 0 && spot.x == seen->at.x &&
                 spot.y == seen->at.y && spot.z == seen->at.z;
    MUST(client->run, right, "client %u sees w%u at %d %d %d, and it is at %d %d %d", client->index,
         seen->number, spot.x, spot.y, spot.z, seen->at.x, seen->at.y, seen->at.z);
}

static void check(struct client *client)
{
    const struct pilot *pilot = pilot_of(client);
    MUST(client->run, !pilot->refused, "client %u is still there", client->index);
    if (!pilot->in || pilot->leapt) {
        MUST(client->run, pilot->in || pilot->silent || !pilot->asked,
             "client %u has shown its token, and hears nothing", client->index);
        return;
    }
    for (uint32_t i = 0; i < client->run->plan.clients; i++) {
        const struct client *other = &client->run->clients[i];
        if (other == client || other->role != ROLE_WORLD || !client_is_live(other)) continue;
        if (!pilots[i].in) continue;
        MUST(client->run, pilots[i].number != pilot->number, "clients %u and %u are one player", i,
             client->index);
        check_sees(client, other);
    }
}

static bool deflates(const struct config *config)
{
    return config->world_deflate;
}

const struct client_kind world_kind = {
    .name = "world",
    .port = PORT_WORLD,
    .talks = true,
    .pause_ns = 600 * ms_ns,
    .deflates = deflates,
    .begin = begin,
    .hello = say_hello,
    .on_answer = on_answer,
    .on_open = on_open,
    .on_text = on_text,
    .speak = speak,
    .explains = explains,
    .on_close = on_close,
    .check = check,
};
