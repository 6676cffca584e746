#include "client.h"
#include <stdio.h>

static const struct client_kind *const kinds[roles] = {
    [ROLE_KART] = &kart_kind,       [ROLE_VOTE] = &vote_kind,     [ROLE_HOST] = &host_kind,
    [ROLE_ADMIN] = &admin_kind,     [ROLE_ABUSER] = &abuser_kind, [ROLE_GHOST] = &ghost_kind,
    [ROLE_AVALON] = &avalon_kind,   [ROLE_GAME] = &game_kind,     [ROLE_ECHO] = &echo_kind,
    [ROLE_BACKEND] = &backend_kind, [ROLE_WORLD] = &world_kind,
};

const struct client_kind *client_kind_of(const struct client *client)
{
    return kinds[client->role];
}

uint64_t client_now(const struct client *client)
{
    return sim_now_ns(client->run->sim);
}

uint32_t client_below(struct client *client, uint32_t bound)
{
    return (uint32_t)random_below(&client->random, bound);
}

uint64_t client_wall_s(const struct client *client)
{
    const struct plan *plan = &client->run->plan;
    int64_t leap_ms = plan->jump_ns == 0 ? plan->jump_ms : 0; /* it has come, or there is none */
    return (uint64_t)(1'700'000'000'000 + (int64_t)(client_now(client) / ms_ns) + leap_ms) / 1000;
}

bool client_is_live(const struct client *client)
{
    return client->phase == CLIENT_OPEN && !client->vanished && !client->sent_close &&
           !client->wants_end && !client->abused && client->opened_ns > 0 &&
           client_now(client) - client->opened_ns > second_ns;
}

bool client_is_hushed(const struct client *client)
{
    const struct run *run = client->run;
    return run->calm && client_now(client) > run->calm_ns + 3 * second_ns / 2;
}

static bool is_miserable(struct client *client)
{
    return !client->run->calm && client_below(client, 65536) < client->run->plan.misery;
}

/* --- What was said goes out, as far as there is room ------------------------------------------ */

static void write_out(struct client *client)
{
    while (client->out_sent < client->out_size) {
        uint32_t size = client->out_size - client->out_sent;
        if (is_miserable(client)) size = 1 + client_below(client, size);
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

/* --- Coming ----------------------------------------------------------------------------------- */

static void draw_manners(struct client *client)
{
    const struct client_kind *kind = client_kind_of(client);
    uint64_t t = client_now(client);
    client->read_size = sizeof client->in;
    client->read_pause_ns = 0;
    client->deaf_ns = client->leave_ns = client->speak_ns = UINT64_MAX;
    client->read_after_ns = 0;
    client->was_slow = false;
    if (is_miserable(client)) client->read_size = 1 + client_below(client, 4000);
    if (is_miserable(client)) client->read_pause_ns = (uint64_t)client_below(client, 1500) * ms_ns;
    if (is_miserable(client)) client->deaf_ns = t + random_below(&client->random, 4 * second_ns);
    client->was_slow = client->read_pause_ns > 0 || client->deaf_ns < UINT64_MAX;
    if (is_miserable(client) || client_below(client, 5) == 0) {
        /* Who asks for one thing goes while it is on its way. */
        client->leave_ns =
            t + random_below(&client->random, kind->is_brief ? 8 * ms_ns : 6 * second_ns);
        client->leaves_by =
            is_miserable(client) ? (uint8_t)client_below(client, leaves) : LEAVE_CLOSE;
    }
    if (kind->talks || client_below(client, 3) == 0)
        client->speak_ns = t + random_below(&client->random, 3 * second_ns);
    client->give_up_ns = t + 60 * second_ns;
}

static void rest(struct client *client, uint64_t least_ns)
{
    client->phase = CLIENT_AWAY;
    client->come_ns = client_now(client) + least_ns + random_below(&client->random, second_ns);
}

static void forget(struct client *client)
{
    client->out_size = client->out_sent = client->in_size = 0;
    client->vanished = client->sent_close = client->got_close = client->ended = false;
    client->wants_end = client->abused = false;
    client->expected_code = 0;
    client->first_state = client->last_state = client->last_stamp = 0;
    client->states = client->ready_seen = 0;
    client->saw_status = client->saw_started = client->saw_finished = false;
    client->action = client_nothing;
    client->window = 0;
}

static void come(struct client *client)
{
    struct run *run = client->run;
    const struct client_kind *kind = client_kind_of(client);
    if (run->draining) {
        client->come_ns = UINT64_MAX;
        return;
    }
    forget(client);
    draw_manners(client);
    if (!kind->hello(client)) {
        rest(client, second_ns / 4);
        return;
    }
    const struct config *config = &run->plan.config;
    const uint16_t ports[] = {[PORT_PUBLIC] = config->listen.port,
                              [PORT_ADMIN] = config->admin.port,
                              [PORT_WORLD] = config->world_listen.port};
    client->peer = sim_connect(run->sim, &client->from, ports[kind->port], client->index);
    if (client->peer == sim_refused) {
        rest(client, second_ns);
        return;
    }
    client->connection += 1;
    client->connected_ns = client_now(client);
    client->phase = CLIENT_HANDSHAKE;
    sim_note(run->sim, "client %u: comes as %s, peer %d", client->index, kind->name, client->peer);
    if (client->action != client_nothing) run->actions[client->action].sent_ns = client_now(client);
}

/* --- Going ------------------------------------------------------------------------------------ */

static void gone(struct client *client, const char *how)
{
    sim_note(client->run->sim, "client %u: %s", client->index, how);
    rest(client, client_kind_of(client)->is_brief ? 0 : second_ns / 10);
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
            client_say_close(client, 1000);
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
        client->give_up_ns = client_now(client) + 30 * second_ns;
        break;
    default: break;
    }
}

/* --- Hearing ---------------------------------------------------------------------------------- */

static void check_status(struct client *client, uint32_t status)
{
    bool known = status == 101 || status == 200 || status == 201 || status == 400 ||
                 status == 401 || status == 403 || status == 404 || status == 405 ||
                 status == 408 || status == 409 || status == 410 || status == 413 ||
                 status == 414 || status == 422 || status == 423 || status == 426 ||
                 status == 429 || status == 431 || status == 500 || status == 501 ||
                 status == 503 || status == 505;
    MUST(client->run, known, "client %u got status %u", client->index, status);
    /* A server that is held up hears a request in pieces, and late. */
    uint64_t waited_ms = (client_now(client) - client->connected_ns) / ms_ns;
    MUST(client->run, status != 408 || waited_ms + 1 >= client->run->plan.config.handshake_ms,
         "client %u got status 408 after %llu ms", client->index, (unsigned long long)waited_ms);
}

/* What was offered is agreed to where the configuration has it, and else passed over. */
static void read_extensions(struct client *client, const char *extensions)
{
    const struct client_kind *kind = client_kind_of(client);
    char bits[40] = "";
    bool wanted = client->offers && kind->deflates(&client->run->plan.config);
    if (!wanted) {
        MUST(client->run, extensions[0] == '\0', "client %u: an extension that nobody wants: %s",
             client->index, extensions);
        return;
    }
    if (client->offered_bits > 0)
        snprintf(bits, sizeof bits, "server_max_window_bits=%u", client->offered_bits);
    bool agreed = strncmp(extensions, "permessage-deflate", 18) == 0 &&
                  strstr(extensions, "server_no_context_takeover") != nullptr &&
                  strstr(extensions, "client_no_context_takeover") != nullptr &&
                  strstr(extensions, bits) != nullptr;
    MUST(client->run, agreed, "client %u offered permessage-deflate, and got \"%s\"", client->index,
         extensions);
    client->window = client->offered_bits > 0 ? client->offered_bits : 15;
}

/* Returns how much of what was heard is over. */
static uint32_t hear_answer(struct client *client, bool ended)
{
    const struct client_kind *kind = client_kind_of(client);
    struct wire_answer answer;
    uint32_t used;
    const char *wrong = wire_read_answer(client->in, client->in_size, ended, &answer, &used);
    MUST(client->run, wrong == nullptr, "client %u: %s", client->index, wrong);
    if (used == 0) return 0;
    sim_note(client->run->sim, "client %u: HTTP %u", client->index, answer.status);
    sim_mix(client->run->sim, answer.status);
    check_status(client, answer.status);
    if (answer.status == 101) {
        MUST(client->run, strcmp(answer.accept, client_accept(client)) == 0,
             "client %u: Sec-WebSocket-Accept is \"%s\"", client->index, answer.accept);
        read_extensions(client, answer.extensions);
        client->phase = CLIENT_OPEN;
        client->opened_ns = client_now(client);
        if (client_below(client, 4) == 0) client->speak_ns = client->opened_ns;
        if (kind->on_open != nullptr) kind->on_open(client);
    } else {
        client->phase = CLIENT_CLOSING; /* the server ends it */
        if (kind->on_answer != nullptr) kind->on_answer(client, &answer);
    }
    return used;
}

/* Not even who reads at once gets everything in time. */
static bool is_narrow(const struct run *run)
{
    const struct plan *plan = &run->plan;
    return plan->sim.out_size < 4 * plan->config.kart_payload || plan->sim.out_size < 2048;
}

/* The hub itself may be held up for much of the time that a peer has for an answer; what it
 * knows of, a kernel that takes nothing, is its own to make up for. */
static bool is_held_up(const struct run *run)
{
    const struct sim_faults *faults = &run->plan.sim.faults;
    const struct config *config = &run->plan.config;
    uint32_t least_ms = config->pong_ms < config->message_ms ? config->pong_ms : config->message_ms;
    uint32_t held_us = faults->hiccup > 0 ? faults->hiccup_us_max : 0;
    return 4 * held_us / 1000 >= least_ms;
}

/* What a server may say to who has done nothing wrong. */
static bool may_say(struct client *client, uint32_t code)
{
    const struct run *run = client->run;
    const struct client_kind *kind = client_kind_of(client);
    if (code == 1012 || code == 1013) return true;
    if (code == 1000 || code == 1005) return client->sent_close;
    bool slow = client->was_slow || is_narrow(run) || is_held_up(run) || run->squeezed;
    bool blames = code == 4408 || code == 4429 || code == 4508;
    if (blames && slow && !(kind->never_behind && code == 4508)) return true;
    return kind->explains != nullptr && kind->explains(client, code);
}

static void hear_close(struct client *client, const struct wire_frame *frame)
{
    struct run *run = client->run;
    const struct client_kind *kind = client_kind_of(client);
    uint32_t code = 1005;
    MUST(run, frame->size != 1, "a close frame of one byte (RFC 6455 5.5.1)");
    if (frame->size >= 2) code = (uint32_t)(frame->payload[0] << 8 | frame->payload[1]);
    sim_note(run->sim, "client %u: close %u %.*s", client->index, code,
             frame->size > 2 ? (int)frame->size - 2 : 0,
             frame->size > 2 ? (const char *)frame->payload + 2 : "");
    sim_mix(run->sim, code);
    MUST(run, wire_code_is_valid(code) || code == 1005, "a close frame says %u", code);
    bool general = code == 1012 || code == 1013 || (code >= 4400 && code < 4600);
    if (!client->abused)
        MUST(run, may_say(client, code), "client %u was good and got %u", client->index, code);
    else if (client->expected_code != 0)
        MUST(run, code == client->expected_code || general,
             "client %u did %s and got %u in place of %u", client->index, client->abuse, code,
             client->expected_code);
    client->got_close = true;
    if (kind->on_close != nullptr) kind->on_close(client, code);
    client_say_close(client, code == 1000 || code == 1005 ? 1000 : code);
    client->phase = CLIENT_CLOSING;
}

static void hear_frame(struct client *client, struct wire_frame *frame)
{
    static uint8_t inflated[128 * 1024];
    struct run *run = client->run;
    const struct client_kind *kind = client_kind_of(client);
    MUST(run, !client->got_close, "client %u: a frame after the close frame (RFC 6455 5.5.1)",
         client->index);
    run->messages += 1;
    sim_mix(run->sim, (uint64_t)frame->opcode << 32 | frame->size);
    if (frame->compressed) {
        const char *wrong = wire_inflate(frame, client->window, inflated, sizeof inflated);
        MUST(run, wrong == nullptr, "client %u: %s", client->index, wrong);
    }
    switch (frame->opcode) {
    case 1: kind->on_text(client, frame->payload, frame->size); break;
    case 2:
        MUST(run, kind->on_binary != nullptr, "client %u: a binary message", client->index);
        kind->on_binary(client, frame->payload, frame->size);
        break;
    case 8: hear_close(client, frame); break;
    case 9:
        if (!client->sent_close)
            (void)client_say_frame(client, (struct wire_kind){.first = 0x8A}, frame->payload,
                                   frame->size);
        break;
    case 10:
        if (kind->on_pong != nullptr) kind->on_pong(client);
        break;
    default: break;
    }
}

static uint32_t hear_one(struct client *client, bool ended)
{
    struct wire_frame frame;
    uint32_t used;
    if (client->phase == CLIENT_HANDSHAKE) return hear_answer(client, ended);
    if (client->opened_ns == 0) return client->in_size; /* behind an answer nothing is read */
    const char *wrong =
        wire_read_frame(client->in, client->in_size, client->window > 0, &frame, &used);
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

/* When memory runs short those who owe most go at once, whatever they are being sent. */
static bool some_were_shed(const struct run *run)
{
    uint64_t shed = 0;
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        shed += run->hub.workers[i]->metrics.conns_shed;
    return shed > 0;
}

/* At a drain's end, for who has ended its own side, and for who takes a goodbye too slowly, nobody
 * waits any more. */
static bool may_be_cut(const struct client *client)
{
    const struct run *run = client->run;
    return client->ended || run->draining || client->was_slow || is_narrow(run) ||
           some_were_shed(run) || run->squeezed;
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
        uint64_t t = client_now(client);
        if (t < client->read_after_ns || t >= client->deaf_ns) return true;
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
            hear(client, !client->ended && !run->draining && !some_were_shed(run));
            MUST(run, client->in_size == 0 || client->opened_ns == 0 || may_be_cut(client),
                 "client %u: the stream stops inside a frame", client->index);
            check_told(client, "was left");
            leave(client, "is left");
            return false;
        }
        client->in_size += (uint32_t)got;
        hear(client, false);
        client->read_after_ns = client_now(client) + client->read_pause_ns;
        if (client->read_pause_ns > 0) return true;
    }
}

/* --- Its turn --------------------------------------------------------------------------------- */

static void speak(struct client *client)
{
    const struct client_kind *kind = client_kind_of(client);
    client->speak_ns = UINT64_MAX;
    if (client->phase != CLIENT_OPEN || client->sent_close || client_is_hushed(client)) return;
    if (kind->speak != nullptr) kind->speak(client);
    if (client->abused) return;
    if (client_below(client, 4) == 0)
        (void)client_say_frame(client, (struct wire_kind){.first = 0x89}, "p", 1);
    uint64_t most_ns = kind->pause_ns > 0 ? kind->pause_ns : 5 * second_ns;
    client->speak_ns = client_now(client) + most_ns / 10 + random_below(&client->random, most_ns);
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
        uint64_t t = client_now(client);
        next_ns = earlier(earlier(client->leave_ns, client->speak_ns), client->give_up_ns);
        if (client->read_after_ns > t) next_ns = earlier(next_ns, client->read_after_ns);
        if (client->out_size > 0) next_ns = earlier(next_ns, t + 10 * ms_ns);
    }
    sim_at(client->run->sim, client->index, next_ns);
}

static void act(struct client *client)
{
    uint64_t t = client_now(client);
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
    sim_at(client->run->sim, client->index, client_now(client) + 1);
}

void client_begin(struct run *run)
{
    for (uint32_t i = 0; i < roles; i++)
        if (kinds[i]->begin != nullptr) kinds[i]->begin(run);
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
    drawn = client_below(client, all);
    while (drawn >= run->plan.roles[client->role])
        drawn -= run->plan.roles[client->role++];
    client->from = (struct address){.ip = {[10] = 0xff,
                                           [11] = 0xff,
                                           [12] = 10,
                                           [13] = client_below(client, 3) == 0 ? 9 : 1,
                                           [15] = (uint8_t)client_below(client, 4)},
                                    .port = (uint16_t)(1000 + index),
                                    .is_v4 = true};
    client->room = client_below(client, races_max); /* races that rooms.c knows from the start */
    client->come_ns = sim_now_ns(run->sim) + random_below(&client->random, 2 * second_ns);
    sim_at(run->sim, index, client->come_ns);
}
