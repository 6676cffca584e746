/* tests/sim/client_say.c: what clients of all kinds say alike (client.h). */
#include "client.h"
#include <stdarg.h>
#include <stdio.h>

/* Keys and what must be answered to them (RFC 6455 §4.2.2), worked out by another program. */
static const struct {
    const char *key, *accept;
} keys[] = {
    {"AAsWISw3Qk1YY255hI+apQ==", "VIY755m8CUWYAqDfJbdAKsbFX34="},
    {"JTA7RlFcZ3J9iJOeqbS/yg==", "y+OFGgNMOpFeNJaDI6GJN4glVlo="},
    {"SlVga3aBjJeirbjDztnk7w==", "DPBH4fbd9xqLY4CwIU1abX+a5Aw="},
    {"b3qFkJumsbzH0t3o8/4JFA==", "+4rlsMKnFk7ixbbX79GG07e3FLk="},
};
constexpr uint32_t key_count = sizeof keys / sizeof keys[0];

const char *client_accept(const struct client *client)
{
    return keys[client->key].accept;
}

void client_say(struct client *client, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    uint32_t room = (uint32_t)sizeof client->out - client->out_size;
    int size = vsnprintf((char *)client->out + client->out_size, room, format, arguments);
    va_end(arguments);
    MUST(client->run, size >= 0 && (uint32_t)size < room, "a client says too much");
    client->out_size += (uint32_t)size;
}

/* Kept free for answers to pings, and for a goodbye. */
constexpr uint32_t spare = 512;

bool client_has_room(const struct client *client, uint32_t size)
{
    return sizeof client->out - client->out_size >= size + wire_header_max + spare;
}

bool client_say_frame(struct client *client, struct wire_kind kind, const void *data, uint32_t size)
{
    bool is_answer = kind.first == 0x8A || kind.first == 0x88;
    uint32_t left = (uint32_t)sizeof client->out - client->out_size;
    if (is_answer ? left < size + wire_header_max : !client_has_room(client, size)) return false;
    kind.mask = (uint32_t)random_u64(&client->random);
    client->out_size += wire_write_frame(client->out + client->out_size, kind, data, size);
    return true;
}

bool client_say_text(struct client *client, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    MUST(client->run, size >= 0 && (size_t)size < sizeof text, "a client says too much");
    return client_say_frame(client, (struct wire_kind){.first = 0x81}, text, (uint32_t)size);
}

void client_say_close(struct client *client, uint32_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (client->sent_close) return;
    (void)client_say_frame(client, (struct wire_kind){.first = 0x88}, payload, 2);
    client->sent_close = true;
}

/* Offers permessage-deflate, or not; with or without a window that it can bear. */
static void draw_offer(struct client *client, char *text, size_t size)
{
    text[0] = '\0';
    client->offers = client_kind_of(client)->deflates != nullptr && client_below(client, 2) == 0;
    client->offered_bits = client_below(client, 2) == 0 ? 0 : 9 + client_below(client, 7);
    if (!client->offers) return;
    int written = snprintf(text, size, "Sec-WebSocket-Extensions: permessage-deflate%s",
                           client_below(client, 2) == 0 ? "; client_max_window_bits" : "");
    if (client->offered_bits > 0)
        written += snprintf(text + written, size - (size_t)written, "; server_max_window_bits=%u",
                            client->offered_bits);
    snprintf(text + written, size - (size_t)written, "\r\n");
}

void client_say_upgrade(struct client *client, const char *path, const char *headers)
{
    char offer[160];
    draw_offer(client, offer, sizeof offer);
    client->key = client_below(client, key_count);
    client_say(client,
               "GET %s HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s%s\r\n",
               path, keys[client->key].key, headers, offer);
}

void client_say_request(struct client *client, const char *method, const char *path,
                        const char *token, const char *body)
{
    client_say(client,
               "%s %s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\nContent-Length: "
               "%u\r\n%s\r\n%s",
               method, path, token, (uint32_t)strlen(body),
               body[0] != '\0' ? "Content-Type: application/json\r\n" : "", body);
}
