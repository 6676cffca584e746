/* tests/sim/client_kart.c: who watches a race, breaks rules, says nothing, or asks the internal
 * listener. */
#include "client.h"
#include <stdio.h>

/* --- Watching --------------------------------------------------------------------------------- */

static bool say_kart(struct client *client)
{
    char path[64];
    const struct watched_room *room = &client->run->rooms[client->room];
    snprintf(path, sizeof path, room->id[0] == '\0' ? "/ws" : "/ws/kart/%s", room->id);
    client_say_upgrade(client, path, "");
    return true;
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    MUST(client->run, client_is_busy(answer->status), "client %u asked for a race and got %u",
         client->index, answer->status);
}

static void speak(struct client *client)
{
    (void)client_say_text(client, "ready");
}

static bool deflates(const struct config *config)
{
    return config->kart_deflate;
}

const struct client_kind kart_kind = {
    .name = "kart",
    .deflates = deflates,
    .hello = say_kart,
    .on_answer = on_answer,
    .on_open = rooms_on_open,
    .on_text = rooms_on_text,
    .on_pong = rooms_on_pong,
    .speak = speak,
    .check = rooms_check_kart,
};

/* --- Breaking rules (THREATS.md F, U): what is sent, and the code that must come back --------- */

static void flood(struct client *client, uint8_t first)
{
    while (client_say_frame(client, (struct wire_kind){.first = first}, "xx", 2))
        continue;
}

static void fragments(struct client *client)
{
    (void)client_say_frame(client, (struct wire_kind){.first = 0x01}, "a", 1);
    while (client_say_frame(client, (struct wire_kind){.first = 0x00}, "b", 1))
        continue;
}

static void raw(struct client *client, const void *data, uint32_t size)
{
    if (!client_has_room(client, size)) return;
    memcpy(client->out + client->out_size, data, size);
    client->out_size += size;
}

static void huge_length(struct client *client)
{
    raw(client, "\x82\xFF\x00\x00\x00\x00\x7F\xFF\xFF\xFF\x01\x02\x03\x04", 14);
}

static void top_bit(struct client *client)
{
    raw(client, "\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x01\x01\x02\x03\x04", 14);
}

static void flood_of_texts(struct client *client)
{
    flood(client, 0x81);
}

static void flood_of_pings(struct client *client)
{
    flood(client, 0x89);
}

static const struct {
    const char *name;
    uint32_t code; /* 0: it depends on the limits */
    struct wire_kind kind;
    const char *payload;
    uint32_t size;
    void (*say)(struct client *);
} abuses[] = {
    {"F1 unmasked", 1002, {.first = 0x81, .unmasked = true}, "hi", 2, nullptr},
    {"F2 RSV1", 1002, {.first = 0xC1}, "hi", 2, nullptr},
    {"F2 RSV3", 1002, {.first = 0x91}, "hi", 2, nullptr},
    {"F3 opcode 3", 1002, {.first = 0x83}, "hi", 2, nullptr},
    {"F3 opcode 11", 1002, {.first = 0x8B}, "hi", 2, nullptr},
    {"F4 top bit of a length", 1002, {}, nullptr, 0, top_bit},
    {"F5 huge length", 1009, {}, nullptr, 0, huge_length},
    {"F6 length in 2 bytes", 1002, {.first = 0x81, .form = 2}, "hi", 2, nullptr},
    {"F6 length in 8 bytes", 1002, {.first = 0x81, .form = 8}, "hi", 2, nullptr},
    {"F7 fragmented ping", 1002, {.first = 0x09}, "hi", 2, nullptr},
    {"F8 continuation alone", 1002, {.first = 0x80}, "hi", 2, nullptr},
    {"F11 tiny fragments", 0, {}, nullptr, 0, fragments},
    {"F13 flood of texts", 0, {}, nullptr, 0, flood_of_texts},
    {"F15 flood of pings", 0, {}, nullptr, 0, flood_of_pings},
    {"U1 not UTF-8", 1007, {.first = 0x81}, "\xED\xA0\x80", 3, nullptr},
    {"U1 cut short", 1007, {.first = 0x81}, "\xE2\x82", 2, nullptr},
    {"U3 close of one byte", 1002, {.first = 0x88}, "x", 1, nullptr},
    {"U4 close with 1005", 1002, {.first = 0x88}, "\x03\xED", 2, nullptr},
};
constexpr uint32_t abuse_count = sizeof abuses / sizeof abuses[0];

static void abuse(struct client *client)
{
    if (client->run->calm) {
        speak(client);
        return;
    }
    uint32_t drawn = client_below(client, abuse_count);
    client->abused = true;
    client->abuse = abuses[drawn].name;
    client->expected_code = abuses[drawn].code;
    sim_note(client->run->sim, "client %u: %s", client->index, client->abuse);
    if (abuses[drawn].say != nullptr)
        abuses[drawn].say(client);
    else
        (void)client_say_frame(client, abuses[drawn].kind, abuses[drawn].payload,
                               abuses[drawn].size);
}

const struct client_kind abuser_kind = {
    .name = "abuser",
    .talks = true,
    .hello = say_kart,
    .on_answer = on_answer,
    .on_open = rooms_on_open,
    .on_text = rooms_on_text,
    .on_pong = rooms_on_pong,
    .speak = abuse,
    .check = rooms_check_kart,
};

/* --- Saying nothing --------------------------------------------------------------------------- */

static bool say_nonsense(struct client *client)
{
    if (client_below(client, 2) == 0) client_say(client, "GET /ws HTTP/1.1\r\nHost: s");
    if (client_below(client, 4) == 0) client_say(client, "\r\n\r\n\xFF\xFEnonsense\r\n\r\n");
    return true;
}

const struct client_kind ghost_kind = {.name = "ghost", .hello = say_nonsense};

/* --- Asking the internal listener ------------------------------------------------------------- */

static bool say_admin(struct client *client)
{
    static const char *const commands[] = {"bonus 100", "start", "finish", "pause", "resume"};
    char body[64];
    if (client_below(client, 2) == 0) {
        client_say_request(client, "GET", "/metrics", "key", "");
        return true;
    }
    snprintf(body, sizeof body, "{\"command\":\"/host %s\"}", commands[client_below(client, 5)]);
    client_say_request(client, "POST", "/v1/rooms/kart/commands", "key", body);
    return true;
}

static void on_admin_answer(struct client *client, const struct wire_answer *answer)
{
    MUST(client->run, answer->status != 401 && answer->status != 403,
         "client %u has the key and got %u", client->index, answer->status);
}

const struct client_kind admin_kind = {
    .name = "admin",
    .port = PORT_ADMIN,
    .is_brief = true,
    .hello = say_admin,
    .on_answer = on_admin_answer,
};
