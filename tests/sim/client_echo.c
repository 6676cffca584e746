/* tests/sim/client_echo.c: who hears what it says: texts and binary messages of all sizes, in
 * fragments with pings between them, compressed or not.
 *
 * Each comes back once, in order, byte for byte; and who reads nothing is not read either, so that
 * no more is under way than the pipes hold and --echo-memory has for one. */
#include "client.h"

constexpr uint32_t size_most = 8000, said_most = 256;

/* A message that was said: its bytes follow from its seed. */
struct said {
    uint32_t seed, size;
    bool binary;
    uint64_t at_ns;
};

struct echoer {
    struct said said[said_most];
    uint32_t first, count; /* those that have not come back */
    uint64_t bytes;        /* of them */
};
static struct echoer echoers[clients_max];

static struct echoer *echoer_of(const struct client *client)
{
    return &echoers[client->index];
}

/* Half of it repeats what came before. A text is ASCII, which is UTF-8. */
static void fill(uint8_t *data, const struct said *said)
{
    struct random random = {.state = said->seed};
    for (uint32_t i = 0; i < said->size; i++) {
        uint32_t drawn = (uint32_t)random_below(&random, 512);
        bool repeats = drawn >= 256 && i >= 7;
        uint8_t fresh = (uint8_t)(said->binary ? drawn : 'a' + drawn % 26);
        data[i] = repeats ? data[i - 7] : fresh;
    }
}

static bool say_hello(struct client *client)
{
    client_say_upgrade(client, "/echo", "");
    return true;
}

static void on_answer(struct client *client, const struct wire_answer *answer)
{
    MUST(client->run, client_is_busy(answer->status), "client %u asked for an echo and got %u",
         client->index, answer->status);
}

static void on_open(struct client *client)
{
    *echoer_of(client) = (struct echoer){};
}

/* The payload as one to four frames; false when there is no room for all of them. */
static bool say_frames(struct client *client, uint8_t first, const uint8_t *data, uint32_t size)
{
    uint32_t pieces = client_below(client, 3) == 0 ? 1 + client_below(client, 4) : 1;
    if (!client_has_room(client, size + 8 * wire_header_max)) return false;
    for (uint32_t i = 0, at = 0; i < pieces; i++) {
        bool last = i + 1 == pieces;
        uint32_t piece = last ? size - at : client_below(client, size - at + 1);
        uint8_t head = (uint8_t)((i == 0 ? first : 0) | (last ? 0x80 : 0));
        (void)client_say_frame(client, (struct wire_kind){.first = head}, data + at, piece);
        if (!last && client_below(client, 4) == 0)
            (void)client_say_frame(client, (struct wire_kind){.first = 0x89}, "", 0);
        at += piece;
    }
    return true;
}

static uint32_t draw_size(struct client *client)
{
    static const uint32_t sizes[] = {1, 130, 700, 3000, size_most};
    uint32_t most = client->run->plan.config.echo_message;
    uint32_t size = client_below(client, sizes[client_below(client, 5)] + 1);
    return size < most ? size : most;
}

/* Who is not read stops saying more; until then it has said no more than there is room for. Who is
 * given up is read, and thrown away, so that it can hear why: which takes a while. */
static void check_bound(struct client *client)
{
    const struct plan *plan = &client->run->plan;
    const struct config *config = &plan->config;
    uint64_t bound = plan->sim.in_size + plan->sim.out_size + outbox_reply_bytes +
                     2ull * config->echo_message + sizeof client->out +
                     2 * ring_receive_buffer_size;
    uint32_t given_ms = config->pong_ms + config->ping_ms / 2;
    if (config->message_ms < given_ms) given_ms = config->message_ms;
    bool given_up = client_now(client) - client->opened_ns >= given_ms * ms_ns ||
                    client->run->squeezed || client->run->draining;
    MUST(client->run, echoer_of(client)->bytes <= bound || client->window > 0 || given_up,
         "client %u has said %llu bytes more than it has heard", client->index,
         (unsigned long long)echoer_of(client)->bytes);
}

/* False when there is no room for more. */
static bool say_one(struct client *client)
{
    static uint8_t data[size_most], small[size_most + 64];
    struct echoer *echoer = echoer_of(client);
    if (echoer->count == said_most) return false;
    struct said said = {.seed = client_below(client, UINT32_MAX),
                        .size = draw_size(client),
                        .binary = client_below(client, 2) == 0,
                        .at_ns = client_now(client)};
    uint8_t opcode = said.binary ? 2 : 1;
    uint32_t size = 0;
    fill(data, &said);
    if (client->window > 0 && client_below(client, 2) == 0)
        size = wire_deflate(data, said.size, small, sizeof small);
    bool was_said = size > 0 ? say_frames(client, 0x40 | opcode, small, size)
                             : say_frames(client, opcode, data, said.size);
    if (!was_said) return false;
    echoer->said[(echoer->first + echoer->count++) % said_most] = said;
    echoer->bytes += said.size;
    return true;
}

/* One, or as many as there is room for. */
static void speak(struct client *client)
{
    bool floods = client_below(client, 4) == 0;
    while (say_one(client) && floods)
        continue;
    check_bound(client);
}

static void on_message(struct client *client, const uint8_t *data, uint32_t size, bool binary)
{
    static uint8_t expected[size_most];
    struct echoer *echoer = echoer_of(client);
    MUST(client->run, echoer->count > 0, "client %u hears an echo of nothing", client->index);
    const struct said *said = &echoer->said[echoer->first % said_most];
    fill(expected, said);
    MUST(client->run,
         said->size == size && said->binary == binary && memcmp(expected, data, size) == 0,
         "client %u said %u bytes, and %u others came back", client->index, said->size, size);
    echoer->first += 1;
    echoer->count -= 1;
    echoer->bytes -= size;
}

static void on_text(struct client *client, const uint8_t *data, uint32_t size)
{
    on_message(client, data, size, false);
}

static void on_binary(struct client *client, const uint8_t *data, uint32_t size)
{
    on_message(client, data, size, true);
}

static void check(struct client *client)
{
    const struct echoer *echoer = echoer_of(client);
    uint64_t oldest_ns = echoer->said[echoer->first % said_most].at_ns;
    MUST(client->run, echoer->count == 0 || client_now(client) - oldest_ns < second_ns,
         "client %u: %u messages have not come back", client->index, echoer->count);
}

static bool deflates(const struct config *config)
{
    return config->echo_deflate;
}

const struct client_kind echo_kind = {
    .name = "echo",
    .talks = true,
    .never_behind = true,
    .pause_ns = 300 * ms_ns,
    .deflates = deflates,
    .hello = say_hello,
    .on_answer = on_answer,
    .on_open = on_open,
    .on_text = on_text,
    .on_binary = on_binary,
    .speak = speak,
    .check = check,
};
