#include "sim_run.h"
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
constexpr uint32_t nothing = UINT32_MAX;

static uint64_t now(const struct client *client)
{
    return sim_now_ns(client->run->sim);
}

static uint32_t below(struct client *client, uint32_t bound)
{
    return (uint32_t)random_below(&client->random, bound);
}

static bool is_miserable(struct client *client)
{
    return !client->run->calm && below(client, 65536) < client->run->plan.misery;
}

/* --- Saying something ------------------------------------------------------------------------- */

[[gnu::format(printf, 2, 3)]] static void say(struct client *client, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    uint32_t room = (uint32_t)sizeof client->out - client->out_size;
    int size = vsnprintf((char *)client->out + client->out_size, room, format, arguments);
    va_end(arguments);
    MUST(client->run, size >= 0 && (uint32_t)size < room, "a client says too much");
    client->out_size += (uint32_t)size;
}

static bool has_room(const struct client *client, uint32_t size)
{
    return sizeof client->out - client->out_size >= size + wire_header_max;
}

static void say_frame(struct client *client, struct wire_kind kind, const void *data, uint32_t size)
{
    if (!has_room(client, size)) return;
    kind.mask = (uint32_t)random_u64(&client->random);
    client->out_size += wire_write_frame(client->out + client->out_size, kind, data, size);
}

static void say_close(struct client *client, uint32_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (client->sent_close) return;
    say_frame(client, (struct wire_kind){.first = 0x88}, payload, 2);
    client->sent_close = true;
}

static void write_out(struct client *client)
{
    while (client->out_sent < client->out_size) {
        uint32_t size = client->out_size - client->out_sent;
        if (is_miserable(client)) size = 1 + below(client, size);
        uint32_t taken =
            sim_peer_write(client->run->sim, client->peer, client->out + client->out_sent, size);
        client->out_sent += taken;
        if (taken < size) break;
    }
    if (client->out_sent == client->out_size) client->out_sent = client->out_size = 0;
    if (client->out_size == 0 && client->wants_end && !client->ended) {
        client->ended = true;
        sim_peer_end(client->run->sim, client->peer);
    }
}

/* --- Breaking rules (THREATS.md F, U): what is sent, and the code that must come back --------- */

static void flood(struct client *client, uint8_t first)
{
    while (has_room(client, 8))
        say_frame(client, (struct wire_kind){.first = first}, "xx", 2);
}

static void fragments(struct client *client)
{
    say_frame(client, (struct wire_kind){.first = 0x01}, "a", 1);
    while (has_room(client, 8))
        say_frame(client, (struct wire_kind){.first = 0x00}, "b", 1);
}

static void raw(struct client *client, const void *data, uint32_t size)
{
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
    uint32_t drawn = below(client, abuse_count);
    client->abused = true;
    client->abuse = abuses[drawn].name;
    client->expected_code = abuses[drawn].code;
    sim_note(client->run->sim, "client %u: %s", client->index, client->abuse);
    if (abuses[drawn].say != nullptr)
        abuses[drawn].say(client);
    else
        say_frame(client, abuses[drawn].kind, abuses[drawn].payload, abuses[drawn].size);
}

/* --- Coming ----------------------------------------------------------------------------------- */

static void say_upgrade(struct client *client, const char *path)
{
    client->key = below(client, key_count);
    say(client,
        "GET %s HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
        path, keys[client->key].key);
}

static void say_request(struct client *client, const char *method, const char *path,
                        const char *token, const char *body)
{
    say(client,
        "%s %s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\nContent-Length: %u\r\n\r\n%s",
        method, path, token, (uint32_t)strlen(body), body);
}

static void say_kart(struct client *client)
{
    char path[64];
    const struct watched_room *room = &client->run->rooms[client->room];
    snprintf(path, sizeof path, room->id[0] == '\0' ? "/ws" : "/ws/kart/%s", room->id);
    say_upgrade(client, path);
}

/* A room of vote that is known and not over; nothing when there is none. */
static uint32_t draw_vote_room(struct client *client)
{
    uint32_t drawn = nothing, seen = 0;
    for (uint32_t i = 0; i < client->run->room_count; i++) {
        const struct watched_room *room = &client->run->rooms[i];
        if (room->kind != GAME_VOTE || !room->known || room->over) continue;
        seen += 1;
        if (below(client, seen) == 0) drawn = i;
    }
    return drawn;
}

static bool say_vote(struct client *client)
{
    char path[64];
    client->room = draw_vote_room(client);
    if (client->room == nothing) return false;
    snprintf(path, sizeof path, "/api/rooms/%s/ws", client->run->rooms[client->room].id);
    say_upgrade(client, path);
    return true;
}

static struct action *new_action(struct client *client)
{
    struct run *run = client->run;
    if (run->action_count == actions_max) return nullptr;
    client->action = run->action_count++;
    run->actions[client->action] =
        (struct action){.room = client->room, .sent_ns = sim_now_ns(run->sim)};
    return &run->actions[client->action];
}

enum : uint32_t { VERB_ACQUIRE, VERB_PARTICIPATE, VERB_START, VERB_RELEASE };

/* Acquires a room while there are few, else asks one for something. */
static bool say_host(struct client *client)
{
    static const char *const verbs[] = {"", "participate", "start", "release"};
    struct run *run = client->run;
    char path[64];
    client->room = draw_vote_room(client);
    bool acquires = client->room == nothing || below(client, 6) == 0;
    client->action = nothing;
    client->verb = VERB_ACQUIRE;
    if (acquires) {
        if (run->room_count == rooms_max) return false;
        run->acquires += 1;
        say_request(client, "POST", "/api/rooms", "", "");
        return true;
    }
    uint32_t drawn = below(client, 20);
    client->verb = drawn < 17 ? VERB_PARTICIPATE : drawn < 19 ? VERB_START : VERB_RELEASE;
    if (client->verb == VERB_PARTICIPATE && new_action(client) == nullptr) return false;
    if (client->verb == VERB_RELEASE) run->rooms[client->room].over = true;
    snprintf(path, sizeof path, "/api/rooms/%s/%s", run->rooms[client->room].id,
             verbs[client->verb]);
    say_request(client, "PATCH", path, run->rooms[client->room].token,
                client->verb == VERB_PARTICIPATE ? "{\"text\":\"tea\"}" : "");
    return true;
}

static void say_admin(struct client *client)
{
    static const char *const commands[] = {"bonus 100", "start", "finish", "pause", "resume"};
    char body[64];
    if (below(client, 2) == 0) {
        say_request(client, "GET", "/metrics", "key", "");
        return;
    }
    snprintf(body, sizeof body, "{\"command\":\"/host %s\"}", commands[below(client, 5)]);
    say_request(client, "POST", "/v1/rooms/kart/commands", "key", body);
}

static bool say_hello(struct client *client)
{
    switch (client->role) {
    case ROLE_KART:
    case ROLE_ABUSER: say_kart(client); return true;
    case ROLE_VOTE: return say_vote(client);
    case ROLE_HOST: return say_host(client);
    case ROLE_ADMIN: say_admin(client); return true;
    case ROLE_GHOST:
        if (below(client, 2) == 0) say(client, "GET /ws HTTP/1.1\r\nHost: s");
        if (below(client, 4) == 0) say(client, "\r\n\r\n\xFF\xFEnonsense\r\n\r\n");
        return true;
    default: return false;
    }
}

static void draw_manners(struct client *client)
{
    uint64_t t = now(client);
    client->read_size = sizeof client->in;
    client->read_pause_ns = 0;
    client->deaf_ns = client->leave_ns = client->speak_ns = UINT64_MAX;
    client->read_after_ns = 0;
    client->was_slow = false;
    if (is_miserable(client)) client->read_size = 1 + below(client, 4000);
    if (is_miserable(client)) client->read_pause_ns = (uint64_t)below(client, 1500) * ms_ns;
    if (is_miserable(client)) client->deaf_ns = t + random_below(&client->random, 4 * second_ns);
    client->was_slow = client->read_pause_ns > 0 || client->deaf_ns < UINT64_MAX;
    if (is_miserable(client) || below(client, 5) == 0) {
        /* Who asks for one thing goes while it is on its way. */
        bool brief = client->role == ROLE_HOST || client->role == ROLE_ADMIN;
        client->leave_ns = t + random_below(&client->random, brief ? 8 * ms_ns : 6 * second_ns);
        client->leaves_by = is_miserable(client) ? (uint8_t)below(client, leaves) : LEAVE_CLOSE;
    }
    if (client->role == ROLE_ABUSER || below(client, 3) == 0)
        client->speak_ns = t + random_below(&client->random, 3 * second_ns);
    client->give_up_ns = t + 60 * second_ns;
}

static void rest(struct client *client, uint64_t least_ns)
{
    client->phase = CLIENT_AWAY;
    client->come_ns = now(client) + least_ns + random_below(&client->random, second_ns);
}

static void come(struct client *client)
{
    struct run *run = client->run;
    if (run->draining) {
        client->come_ns = UINT64_MAX;
        return;
    }
    client->out_size = client->out_sent = client->in_size = 0;
    client->vanished = client->sent_close = client->got_close = client->ended = false;
    client->wants_end = client->abused = false;
    client->expected_code = 0;
    client->first_state = client->last_state = client->last_stamp = 0;
    client->states = client->ready_seen = 0;
    client->saw_status = client->saw_started = client->saw_finished = false;
    client->action = nothing;
    draw_manners(client);
    if (!say_hello(client)) {
        rest(client, second_ns / 4);
        return;
    }
    uint16_t port =
        client->role == ROLE_ADMIN ? run->plan.config.admin.port : run->plan.config.listen.port;
    client->peer = sim_connect(run->sim, &client->from, port, client->index);
    if (client->peer == sim_refused) {
        rest(client, second_ns);
        return;
    }
    client->connection += 1;
    client->connected_ns = now(client);
    client->phase = CLIENT_HANDSHAKE;
    sim_note(run->sim, "client %u: comes as %u, peer %d", client->index, client->role,
             client->peer);
    if (client->role == ROLE_HOST && client->action != nothing)
        run->actions[client->action].sent_ns = now(client);
}

/* --- Going ------------------------------------------------------------------------------------ */

static void gone(struct client *client, const char *how)
{
    sim_note(client->run->sim, "client %u: %s", client->index, how);
    rest(client, client->role == ROLE_HOST ? 0 : second_ns / 10);
}

static void leave(struct client *client, const char *how)
{
    sim_peer_leave(client->run->sim, client->peer);
    gone(client, how);
}

static void go(struct client *client)
{
    client->leave_ns = UINT64_MAX;
    switch (client->leaves_by) {
    case LEAVE_CLOSE:
        if (client->phase == CLIENT_OPEN)
            say_close(client, 1000);
        else
            client->wants_end = true;
        break;
    case LEAVE_END: client->wants_end = true; break;
    case LEAVE_RESET:
        sim_peer_reset(client->run->sim, client->peer);
        gone(client, "resets");
        break;
    case LEAVE_VANISH:
        sim_note(client->run->sim, "client %u: vanishes", client->index);
        client->vanished = true;
        sim_peer_vanish(client->run->sim, client->peer);
        client->give_up_ns = now(client) + 30 * second_ns;
        break;
    default: break;
    }
}

/* --- Hearing ---------------------------------------------------------------------------------- */

static void on_acquired(struct client *client, const struct wire_answer *answer)
{
    struct run *run = client->run;
    const char *id = memmem(answer->body, answer->body_size, "\"room_id\":\"", 11);
    const char *token = memmem(answer->body, answer->body_size, "\"host_token\":\"", 14);
    MUST(run, id != nullptr && token != nullptr, "an acquired room has no id or no token");
    if (run->room_count == rooms_max) return;
    struct watched_room *room = &run->rooms[run->room_count++];
    *room = (struct watched_room){.kind = GAME_VOTE, .known = true, .shown = room->shown};
    memcpy(room->id, id + 11, 6);
    memcpy(room->token, token + 14, 32);
}

static void on_host_answer(struct client *client, const struct wire_answer *answer)
{
    if (client->verb == VERB_ACQUIRE) {
        if (answer->status == 200) on_acquired(client, answer);
        return;
    }
    if (answer->status == 404) client->run->rooms[client->room].over = true;
    if (client->action == nothing) return;
    struct action *action = &client->run->actions[client->action];
    action->accepted_ns = answer->status == 200 ? now(client) : 0;
    action->refused = answer->status != 200;
}

static void check_status(struct client *client, uint32_t status)
{
    bool known = status == 200 || status == 101 || status == 400 || status == 401 ||
                 status == 403 || status == 404 || status == 405 || status == 408 ||
                 status == 409 || status == 413 || status == 414 || status == 426 ||
                 status == 429 || status == 431 || status == 500 || status == 501 ||
                 status == 503 || status == 505;
    MUST(client->run, known, "client %u got status %u", client->index, status);
    /* A server that is held up hears a request in pieces, and late. */
    uint64_t waited_ms = (now(client) - client->connected_ns) / ms_ns;
    bool late = status == 408 && waited_ms >= client->run->plan.config.handshake_ms;
    if (client->role == ROLE_KART)
        MUST(client->run, status == 101 || status == 429 || status == 503 || late,
             "client %u asked for a race and got %u", client->index, status);
}

/* Returns how much of what was heard is over. */
static uint32_t hear_answer(struct client *client, bool ended)
{
    struct wire_answer answer;
    uint32_t used;
    const char *wrong = wire_read_answer(client->in, client->in_size, ended, &answer, &used);
    MUST(client->run, wrong == nullptr, "client %u: %s", client->index, wrong);
    if (used == 0) return 0;
    sim_note(client->run->sim, "client %u: HTTP %u", client->index, answer.status);
    sim_mix(client->run->sim, answer.status);
    check_status(client, answer.status);
    if (answer.status == 101) {
        MUST(client->run, strcmp(answer.accept, keys[client->key].accept) == 0,
             "client %u: Sec-WebSocket-Accept is \"%s\"", client->index, answer.accept);
        client->phase = CLIENT_OPEN;
        client->opened_ns = now(client);
        if (below(client, 4) == 0) client->speak_ns = client->opened_ns;
        rooms_on_open(client);
    } else {
        client->phase = CLIENT_CLOSING; /* the server ends it */
        if (client->role == ROLE_HOST) on_host_answer(client, &answer);
    }
    return used;
}

/* Not even who reads at once gets everything in time. */
static bool is_narrow(const struct run *run)
{
    const struct plan *plan = &run->plan;
    return plan->sim.out_size < 4 * plan->config.kart_payload || plan->sim.out_size < 2048;
}

/* The hub itself may be held up for much of the time that a peer has for an answer; what it knows of,
 * a kernel that takes nothing, is its own to make up for. */
static bool is_held_up(const struct run *run)
{
    const struct sim_faults *faults = &run->plan.sim.faults;
    const struct config *config = &run->plan.config;
    uint32_t least_ms = config->pong_ms < config->message_ms ? config->pong_ms : config->message_ms;
    uint32_t held_us = faults->hiccup > 0 ? faults->hiccup_us_max : 0;
    return 4 * held_us / 1000 >= least_ms;
}

static void hear_close(struct client *client, const struct wire_frame *frame)
{
    struct run *run = client->run;
    uint32_t code = 1005;
    MUST(run, frame->size != 1, "a close frame of one byte (RFC 6455 5.5.1)");
    if (frame->size >= 2) code = (uint32_t)(frame->payload[0] << 8 | frame->payload[1]);
    sim_note(run->sim, "client %u: close %u %.*s", client->index, code,
             frame->size > 2 ? (int)frame->size - 2 : 0,
             frame->size > 2 ? (const char *)frame->payload + 2 : "");
    sim_mix(run->sim, code);
    MUST(run, wire_code_is_valid(code) || code == 1005, "a close frame says %u", code);
    bool ours = code == 1000 || code == 1005;
    bool general = code == 1012 || code == 1013 || (code >= 4400 && code < 4600);
    bool slow = client->was_slow || is_narrow(run) || is_held_up(run) || run->squeezed;
    bool blames = code == 4408 || code == 4429 || code == 4508;
    if (!client->abused)
        MUST(run, (general && (slow || !blames)) || (ours && client->sent_close),
             "client %u was good and got %u", client->index, code);
    else if (client->expected_code != 0)
        MUST(run, code == client->expected_code || general,
             "client %u did %s and got %u in place of %u", client->index, client->abuse, code,
             client->expected_code);
    client->got_close = true;
    say_close(client, ours || code == 1005 ? 1000 : code);
    client->phase = CLIENT_CLOSING;
}

static void hear_frame(struct client *client, const struct wire_frame *frame)
{
    struct run *run = client->run;
    MUST(run, !client->got_close, "client %u: a frame after the close frame (RFC 6455 5.5.1)",
         client->index);
    run->messages += 1;
    sim_mix(run->sim, (uint64_t)frame->opcode << 32 | frame->size);
    switch (frame->opcode) {
    case 1: rooms_on_text(client, frame->payload, frame->size); break;
    case 8: hear_close(client, frame); break;
    case 9:
        if (!client->sent_close)
            say_frame(client, (struct wire_kind){.first = 0x8A}, frame->payload, frame->size);
        break;
    case 10: rooms_on_pong(client); break;
    default: run_fail(run, "client %u: a binary message", client->index);
    }
}

static uint32_t hear_one(struct client *client, bool ended)
{
    struct wire_frame frame;
    uint32_t used;
    if (client->phase == CLIENT_HANDSHAKE) return hear_answer(client, ended);
    if (client->opened_ns == 0) return client->in_size; /* behind an answer nothing is read */
    const char *wrong = wire_read_frame(client->in, client->in_size, &frame, &used);
    MUST(client->run, wrong == nullptr, "client %u: %s", client->index, wrong);
    if (used > 0) hear_frame(client, &frame);
    return used;
}

static void hear(struct client *client, bool ended)
{
    for (;;) {
        uint32_t used = hear_one(client, ended);
        if (used == 0) break;
        memmove(client->in, client->in + used, client->in_size - used);
        client->in_size -= used;
    }
}

/* At a drain's end, for who has ended its own side, and for who takes a goodbye too slowly, nobody
 * waits any more. */
static bool may_be_cut(const struct client *client)
{
    const struct plan *plan = &client->run->plan;
    bool is_narrow =
        plan->sim.out_size < 4 * plan->config.kart_payload || plan->sim.out_size < 2048;
    return client->ended || client->run->draining || client->was_slow || is_narrow;
}

/* Who has done nothing is never cut off without a word. */
static void check_told(struct client *client, const char *how)
{
    bool open = client->phase == CLIENT_OPEN && !client->sent_close && !client->wants_end;
    MUST(client->run, !open || client->abused || may_be_cut(client),
         "client %u %s without a close frame", client->index, how);
}

/* Reads as its manners are. False when the connection is over. */
static bool read_in(struct client *client)
{
    struct run *run = client->run;
    for (;;) {
        if (now(client) < client->read_after_ns || now(client) >= client->deaf_ns) return true;
        uint32_t room = (uint32_t)sizeof client->in - client->in_size;
        MUST(run, room > 0, "client %u: a frame or head without an end", client->index);
        uint32_t size = client->read_size < room ? client->read_size : room;
        int32_t got = sim_peer_read(run->sim, client->peer, client->in + client->in_size, size);
        if (got == 0) return true;
        if (got == sim_broken) {
            check_told(client, "was reset");
            sim_peer_reset(run->sim, client->peer);
            gone(client, "was reset");
            return false;
        }
        if (got == sim_ended) {
            hear(client, !client->ended && !run->draining);
            MUST(run, client->in_size == 0 || client->opened_ns == 0 || may_be_cut(client),
                 "client %u: the stream stops inside a frame", client->index);
            check_told(client, "was left");
            leave(client, "is left");
            return false;
        }
        client->in_size += (uint32_t)got;
        hear(client, false);
        client->read_after_ns = now(client) + client->read_pause_ns;
        if (client->read_pause_ns > 0) return true;
    }
}

/* --- Its turn --------------------------------------------------------------------------------- */

static void speak(struct client *client)
{
    client->speak_ns = UINT64_MAX;
    if (client->phase != CLIENT_OPEN || client->sent_close) return;
    if (client->role == ROLE_ABUSER && !client->run->calm) {
        abuse(client);
        return;
    }
    say_frame(client, (struct wire_kind){.first = 0x81}, "ready", 5);
    if (below(client, 2) == 0) say_frame(client, (struct wire_kind){.first = 0x89}, "p", 1);
    client->speak_ns = now(client) + second_ns / 2 + random_below(&client->random, 5 * second_ns);
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

static void plan_next(struct client *client)
{
    uint64_t next_ns = client->come_ns;
    if (client->vanished && client->phase != CLIENT_AWAY) {
        next_ns = client->give_up_ns;
    } else if (client->phase != CLIENT_AWAY) {
        next_ns = earlier(earlier(client->leave_ns, client->speak_ns), client->give_up_ns);
        if (client->read_after_ns > now(client)) next_ns = earlier(next_ns, client->read_after_ns);
        if (client->out_size > 0) next_ns = earlier(next_ns, now(client) + 10 * ms_ns);
    }
    sim_at(client->run->sim, client->index, next_ns);
}

static void act(struct client *client)
{
    uint64_t t = now(client);
    if (client->phase == CLIENT_AWAY) {
        if (t < client->come_ns) return;
        client->opened_ns = 0;
        come(client);
        if (client->phase == CLIENT_AWAY) return;
    }
    if (t >= client->give_up_ns) {
        leave(client, "has no more patience");
        return;
    }
    if (client->vanished) return;
    if (t >= client->leave_ns) go(client);
    if (client->phase == CLIENT_AWAY || client->vanished) return;
    if (t >= client->speak_ns) speak(client);
    if (!read_in(client)) return;
    write_out(client);
}

void client_act(struct client *client)
{
    act(client);
    plan_next(client);
}

void client_calm(struct client *client)
{
    client->read_size = sizeof client->in;
    client->read_pause_ns = client->read_after_ns = 0;
    client->deaf_ns = client->leave_ns = UINT64_MAX;
    sim_at(client->run->sim, client->index, now(client) + 1);
}

void client_init(struct client *client, struct run *run, uint32_t index)
{
    memset(client, 0, offsetof(struct client, out));
    client->run = run;
    client->index = index;
    client->random.state = random_u64(&run->random);
    uint32_t all = 0, drawn;
    for (uint32_t i = 0; i < roles; i++)
        all += run->plan.roles[i];
    drawn = below(client, all);
    while (drawn >= run->plan.roles[client->role])
        drawn -= run->plan.roles[client->role++];
    client->from = (struct address){.ip = {[10] = 0xff,
                                           [11] = 0xff,
                                           [12] = 10,
                                           [13] = below(client, 3) == 0 ? 9 : 1,
                                           [15] = (uint8_t)below(client, 4)},
                                    .port = (uint16_t)(1000 + index),
                                    .is_v4 = true};
    client->room = below(client, races_max); /* races that rooms.c knows from the start */
    client->come_ns = sim_now_ns(run->sim) + random_below(&client->random, 2 * second_ns);
    sim_at(run->sim, index, client->come_ns);
}
