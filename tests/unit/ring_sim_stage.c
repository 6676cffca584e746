/* Runs scripts in both worlds, and writes their transcripts. */
#include "ring_sim_worlds.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

constexpr uint64_t ms_ns = 1'000'000;

struct stage stage;
static const struct world *world; /* that the script runs in now */

/* --- The transcript --------------------------------------------------------------------------- */

static uint8_t said[2][8 * 1024];
static struct writer out;
static struct ring_event held[64];
static uint32_t held_count;
static uint32_t silences; /* waits in vain: there is no end to a script that goes on so */
constexpr uint32_t silences_max = 5;

void stage_fail(void *, const char *sentence)
{
    check_failed(__FILE__, __LINE__, "%s, in %s after:\n%.*s", sentence, world->name, (int)out.size,
                 (char *)out.data);
    abort();
}

void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t most = sizeof line - 1;
    write_text(&out, (struct text){line, (size_t)size < most ? (size_t)size : most});
    write_byte(&out, '\n');
}

struct ring_token token(enum ring_op op, uint32_t slot)
{
    return (struct ring_token){.op = op, .generation = 0x1000007, .slot = slot};
}

static void say_event(const struct ring_event *event)
{
    static const char *const names[] = {"accept", "recv", "send",  "send_now",
                                        "write",  "wake", "cancel"};
    bool is_fd = event->token.op == RING_ACCEPT && event->result >= 0;
    say("%s slot %u/%u = %d%s %.*s", names[event->token.op], event->token.slot,
        event->token.generation, is_fd ? 0 : event->result, event->last ? "" : " more",
        (int)event->data.size, (const char *)event->data.data);
}

struct ring_event next_unsaid(void)
{
    struct ring_event event = {};
    uint64_t until_ns = ring_now(&stage.ring).ns + patience_ns;
    while (ring_take(&stage.ring, &event, 1) == 0) {
        if (ring_now(&stage.ring).ns >= until_ns) {
            say("nothing came");
            if (silences++ > silences_max) stage_fail(nullptr, "nothing comes any more");
            return (struct ring_event){.result = -ETIME, .last = true};
        }
        ring_wait(&stage.ring, until_ns);
    }
    if (event.data.data != nullptr) held[held_count++] = event;
    if (held_count == sizeof held / sizeof held[0]) abort();
    return event;
}

struct ring_event next(void)
{
    struct ring_event event = next_unsaid();
    say_event(&event);
    return event;
}

void next_in_any_order(uint32_t count)
{
    struct ring_event events[16];
    for (uint32_t i = 0; i < count; i++) {
        struct ring_event event = next_unsaid();
        uint32_t place = i;
        for (; place > 0 && events[place - 1].token.op > event.token.op; place--)
            events[place] = events[place - 1];
        events[place] = event;
    }
    for (uint32_t i = 0; i < count; i++)
        say_event(&events[i]);
}

void quiet(void)
{
    struct ring_event event;
    ring_wait(&stage.ring, ring_now(&stage.ring).ns + 3 * ms_ns);
    bool came = ring_take(&stage.ring, &event, 1) > 0;
    say(came ? "something came" : "quiet");
    if (came) say_event(&event);
    if (came && event.data.data != nullptr) held[held_count++] = event;
}

void give_all(void)
{
    for (uint32_t i = 0; i < held_count; i++)
        ring_give(&stage.ring, &held[i]);
    held_count = 0;
}

void forget_held(void)
{
    held_count = 0;
}

/* --- What is usual in scripts ----------------------------------------------------------------- */

void arm_receive(uint32_t slot, bool once)
{
    EXPECT(ring_recv(&stage.ring, token(RING_RECV, slot), stage.near_fd, once));
    ring_submit(&stage.ring);
}

void cancel_receive(uint32_t slot)
{
    EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, slot), token(RING_RECV, slot)));
    next_in_any_order(2);
}

void send_text(uint32_t slot, const char *text)
{
    const struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    EXPECT(ring_send(&stage.ring, token(RING_SEND, slot), stage.near_fd, &piece, 1));
}

void send_text_now(uint32_t slot, const char *text)
{
    struct bytes data = {(uint8_t *)(uintptr_t)text, strlen(text)};
    EXPECT(ring_send_now(&stage.ring, token(RING_SEND_NOW, slot), stage.near_fd, data));
    ring_submit(&stage.ring);
}

void fill(void)
{
    static uint8_t much[4096];
    constexpr uint32_t tries_max = 3000, dry_enough = 3;
    uint32_t dry = 0;
    for (uint32_t i = 0; i < tries_max && dry < dry_enough; i++) {
        struct ring_event event;
        EXPECT(ring_send_now(&stage.ring, token(RING_SEND_NOW, 99), stage.near_fd,
                             (struct bytes){much, sizeof much}));
        ring_submit(&stage.ring);
        bool full = ring_take(&stage.ring, &event, 1) == 1 && event.result == -EAGAIN;
        dry = full && world->is_acknowledged() ? dry + 1 : 0;
        if (full) ring_wait(&stage.ring, ring_now(&stage.ring).ns + ms_ns);
    }
    EXPECT(dry == dry_enough);
}

void crowd(uint32_t slot, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        EXPECT(ring_cancel(&stage.ring, token(RING_CANCEL, slot), token(RING_WRITE, 12'345)));
    ring_wait(&stage.ring, ring_now(&stage.ring).ns + ms_ns);
}

int accept_soon(void)
{
    uint64_t until_ns = ring_now(&stage.ring).ns + patience_ns;
    int fd = -EAGAIN;
    while ((fd = ring_accept_now(&stage.ring, stage.listening)) == -EAGAIN &&
           ring_now(&stage.ring).ns < until_ns)
        ring_wait(&stage.ring, ring_now(&stage.ring).ns + ms_ns);
    return fd;
}

/* --- The world at the other end --------------------------------------------------------------- */

int far_connect(void)
{
    int peer = world->connect();
    EXPECT(peer >= 0);
    return peer;
}

int far_connect_above(int fd)
{
    int taken[8], count = 0;
    bool is_kernel = world == &world_kernel;
    while (is_kernel && count < 8 && (taken[count] = dup(stage.listening)) < fd)
        count += 1;
    if (is_kernel) close(taken[count]);
    int peer = far_connect();
    while (count > 0)
        close(taken[--count]);
    return peer;
}

bool far_is_refused(void)
{
    return world->connect() < 0;
}

void far_write(int peer, const char *text)
{
    EXPECT(world->write(peer, text, (uint32_t)strlen(text)));
}

void far_write_into_nothing(int peer)
{
    (void)world->write(peer, "?", 1);
}

void far_hears(int peer, uint32_t size)
{
    uint8_t heard[256];
    uint32_t count = 0;
    int32_t got = 1;
    while (count < size && got > 0) {
        got = world->read(peer, heard + count, size - count, true);
        if (got > 0) count += (uint32_t)got;
    }
    say("heard %.*s%s", (int)count, (char *)heard,
        got == sim_ended    ? ", the end"
        : got == sim_broken ? ", a reset"
                            : "");
}

uint32_t far_takes(int peer)
{
    static uint8_t bytes[16 * 1024];
    uint32_t count = 0;
    for (int32_t got; (got = world->read(peer, bytes, sizeof bytes, false)) > 0;)
        count += (uint32_t)got;
    return count;
}

void far_end(int peer)
{
    world->end(peer);
}

void far_leave(int peer)
{
    world->leave(peer);
}

void far_reset(int peer)
{
    world->reset(peer);
}

void far_vanish(int peer)
{
    world->vanish(peer);
}

void limit_descriptors(bool limited)
{
    world->limit(limited);
}

void disturb(bool disturbed)
{
    world->disturb(disturbed);
}

int open_log(void)
{
    return world->open_log();
}

/* --- Both worlds ------------------------------------------------------------------------------ */

static struct arena arena;
static const struct script_options *asked;

int listen_again(bool shared)
{
    const struct ring_listen_options options = {
        .not_sent_low_bytes = 16'384,
        .user_timeout_ms = asked->user_timeout_ms > 0 ? asked->user_timeout_ms : 60'000,
        .shared = shared,
        .send_buffer = 8 * 1024};
    return ring_listen(&stage.ring, &stage.address, &options);
}

static void open_ring(void)
{
    const struct ring_config config = {.entries = queue_size / 4,
                                       .receive_buffers =
                                           asked->receive_buffers > 0 ? asked->receive_buffers : 2,
                                       .receive_buffer_size = 16};
    struct arena measured = arena_measure();
    struct text why = {};
    world->reserve(&stage.ring, &measured, &config);
    if (!arena_open(&arena, measured.used)) abort();
    world->reserve(&stage.ring, &arena, &config);
    if (!ring_open(&stage.ring, &why)) check_failed(__FILE__, __LINE__, "%.*s", TEXT_ARG(why));
}

static void begin(void)
{
    held_count = silences = 0;
    world->begin(asked);
    open_ring();
    stage.address = (struct address){
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = world->port, .is_v4 = true};
    stage.listening = listen_again(asked->shared);
    EXPECT(stage.listening >= 0);
    if (world->port == 0) {
        struct sockaddr_in here;
        socklen_t size = sizeof here;
        getsockname(stage.listening, (struct sockaddr *)&here, &size);
        stage.address.port = ntohs(here.sin_port);
    }
    stage.peer = far_connect();
    stage.near_fd = accept_soon();
    EXPECT(stage.near_fd >= 0);
}

static void end(void)
{
    give_all();
    if (stage.near_fd >= 0) ring_close_fd(&stage.ring, stage.near_fd, false);
    if (stage.listening >= 0) ring_close_fd(&stage.ring, stage.listening, false);
    ring_close(&stage.ring);
    ring_free(&stage.ring);
    world->finish();
    arena_close(&arena);
}

void compare_worlds(const char *file, int line, void (*script)(void),
                    const struct script_options *options)
{
    static const struct world *const worlds[2] = {&world_kernel, &world_simulated};
    struct text texts[2];
    asked = options;
    for (int i = 0; i < 2; i++) {
        world = worlds[i];
        out = writer_over(said[i], sizeof said[i]);
        begin();
        script();
        end();
        texts[i] = text_from(writer_bytes(&out));
        EXPECT(texts[i].size > 0 && !out.overflow);
    }
    if (!text_equal(texts[0], texts[1]))
        check_failed(file, line, "%s:\n%.*s%s:\n%.*s", worlds[0]->name, TEXT_ARG(texts[0]),
                     worlds[1]->name, TEXT_ARG(texts[1]));
}
