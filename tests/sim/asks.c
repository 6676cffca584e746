#include "asks.h"
#include <stdio.h>
#include <stdlib.h>

struct ask *asks_add(struct asks *asks, const struct client *client, uint8_t what,
                     char text[static ask_text_max])
{
    if (asks->count == asks_max) return nullptr;
    snprintf(text, ask_text_max, "c%u-%u-%u", client->index, client->connection, asks->count);
    struct ask *ask = &asks->list[asks->count++];
    *ask = (struct ask){.what = what, .says = 1, .sent_ns = client_now(client)};
    return ask;
}

void asks_drop(struct asks *asks)
{
    asks->count -= 1;
}

struct ask *asks_find(struct asks *asks, struct client *client, const uint8_t *data, uint32_t size)
{
    char text[ask_text_max], own[ask_text_max];
    if (!wire_json_text(data, size, "\"correlation_id\":", text, sizeof text)) return nullptr;
    int length = snprintf(own, sizeof own, "c%u-%u-", client->index, client->connection);
    uint32_t number = (uint32_t)atoi(text + length);
    MUST(client->run, strncmp(text, own, (size_t)length) == 0 && number < asks->count,
         "client %u hears the correlation_id %s, which is not its own", client->index, text);
    return &asks->list[number];
}

void asks_answer(struct ask *ask, struct client *client)
{
    ask->answers += 1;
    MUST(client->run, ask->answers <= ask->says, "client %u asked %u times and has %u answers",
         client->index, ask->says, ask->answers);
}

void asks_check(const struct asks *asks, struct client *client)
{
    for (uint32_t i = 0; i < asks->count; i++) {
        const struct ask *ask = &asks->list[i];
        bool late = client_now(client) - ask->sent_ns > second_ns;
        MUST(client->run, ask->answers >= ask->says || !late,
             "client %u: its question %u has no answer", client->index, i);
    }
}
