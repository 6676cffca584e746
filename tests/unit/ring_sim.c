/* The simulated ring does what the running kernel does: one script of operations against both, and
 * the same transcript of events. */
#include "check.h"
#include "ring/sim.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- Two worlds ------------------------------------------------------------------------------- */

/* The other end of a connection, in either world. */
struct world {
    void (*reserve)(struct ring *ring, struct arena *arena, const struct ring_config *config);
    void (*connect)(void);
    bool (*write)(const char *data, size_t size);
    size_t (*read)(uint8_t *data, size_t size); /* what has come */
    void (*end)(void);
    void (*reset)(void);
};

static struct arena arena;
static struct ring ring;
static int listening, near_fd, far_fd;
static struct sim *sim;
static int32_t far_peer;
static uint16_t port;

static void fail(void *, const char *sentence)
{
    check_failed(__FILE__, __LINE__, "%s", sentence);
    abort();
}

static void kernel_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    socklen_t size = sizeof to;
    EXPECT_EQ(getsockname(listening, (struct sockaddr *)&to, &size), 0);
    far_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(far_fd, (struct sockaddr *)&to, sizeof to), 0);
}

static bool kernel_write(const char *data, size_t size)
{
    return write(far_fd, data, size) == (ssize_t)size;
}

static size_t kernel_read(uint8_t *data, size_t size)
{
    ssize_t got = recv(far_fd, data, size, MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

static void kernel_end(void)
{
    shutdown(far_fd, SHUT_WR);
}

static void kernel_reset(void)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(far_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(far_fd);
    far_fd = -1;
}

static void sim_world_connect(void)
{
    const struct address from = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
                                 .is_v4 = true};
    far_peer = sim_connect(sim, &from, port, 0);
    EXPECT(far_peer >= 0);
}

static bool sim_world_write(const char *data, size_t size)
{
    return sim_peer_write(sim, far_peer, (const uint8_t *)data, (uint32_t)size) == size;
}

static size_t sim_world_read(uint8_t *data, size_t size)
{
    int32_t got = sim_peer_read(sim, far_peer, data, (uint32_t)size);
    return got > 0 ? (size_t)got : 0;
}

static void sim_world_end(void)
{
    sim_peer_end(sim, far_peer);
}

static void sim_world_reset(void)
{
    sim_peer_reset(sim, far_peer);
}

static const struct world kernel = {ring_reserve_uring, kernel_connect, kernel_write,
                                    kernel_read,        kernel_end,     kernel_reset};
static const struct world simulated = {ring_reserve_sim, sim_world_connect, sim_world_write,
                                       sim_world_read,   sim_world_end,     sim_world_reset};
static const struct world *world;

/* --- The transcript --------------------------------------------------------------------------- */

static uint8_t said[2][4096];
static struct writer out;
static struct ring_event held[8];
static uint32_t held_count;

static void note(const struct ring_event *event)
{
    bool is_fd = event->token.op == RING_ACCEPT && event->result >= 0;
    write_format(&out, "%d %u %u %d%s %.*s\n", event->token.op, event->token.slot,
                 event->token.generation, is_fd ? 0 : event->result, event->last ? "" : " more",
                 (int)event->data.size, (const char *)event->data.data);
}

/* The next event, within a second; its buffer stays out until give_all. */
static struct ring_event next(void)
{
    struct ring_event event = {};
    uint64_t until_ns = ring_now(&ring).ns + 1'000'000'000;
    while (ring_take(&ring, &event, 1) == 0) {
        if (ring_now(&ring).ns >= until_ns) {
            write_text(&out, TEXT("nothing came\n"));
            return event;
        }
        ring_wait(&ring, until_ns);
    }
    note(&event);
    if (event.data.data != nullptr) held[held_count++] = event;
    return event;
}

static void give_all(void)
{
    while (held_count > 0)
        ring_give(&ring, &held[--held_count]);
}

static void quiet(void)
{
    struct ring_event event;
    ring_wait(&ring, ring_now(&ring).ns + 3'000'000);
    bool came = ring_take(&ring, &event, 1) > 0;
    write_text(&out, came ? TEXT("something came\n") : TEXT("quiet\n"));
    if (came) note(&event);
}

static struct ring_token token(enum ring_op op, uint32_t slot)
{
    return (struct ring_token){.op = op, .generation = 0x1000007, .slot = slot};
}

static void begin(const struct world *in)
{
    const struct ring_config config = {
        .entries = 8, .receive_buffers = 2, .receive_buffer_size = 16};
    const struct ring_listen_options options = {.not_sent_low_bytes = 16'384};
    const struct sim_options plain = {.seed = 1, .in_size = 65'536, .out_size = 65'536};
    const struct sim_hooks hooks = {.fail = fail};
    struct arena measured = arena_measure();
    struct text why = {};
    world = in;
    sim = sim_open(&plain, &hooks);
    port = world == &simulated ? 80 : 0;
    in->reserve(&ring, &measured, &config);
    if (!arena_open(&arena, measured.used)) abort();
    in->reserve(&ring, &arena, &config);
    if (!ring_open(&ring, &why)) check_failed(__FILE__, __LINE__, "%.*s", TEXT_ARG(why));
    const struct address address = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = port, .is_v4 = true};
    listening = ring_listen(&ring, &address, &options);
    EXPECT(listening >= 0);
    far_fd = -1;
    EXPECT(ring_accept(&ring, token(RING_ACCEPT, 1), listening));
    world->connect();
    near_fd = next().result;
    EXPECT(ring_cancel(&ring, token(RING_CANCEL, 1), token(RING_ACCEPT, 1)));
    ring_submit(&ring);
}

static void end(void)
{
    give_all();
    if (near_fd >= 0) ring_close_fd(&ring, near_fd, false);
    ring_close_fd(&ring, listening, false);
    if (far_fd >= 0) close(far_fd);
    ring_close(&ring);
    ring_free(&ring);
    arena_close(&arena);
}

/* Both worlds leave the same transcript of a script. */
static void compare(const char *file, int line, void (*script)(void))
{
    struct bytes written[2];
    for (int i = 0; i < 2; i++) {
        out = writer_over(said[i], sizeof said[i]);
        begin(i == 0 ? &kernel : &simulated);
        script();
        end();
        written[i] = writer_bytes(&out);
    }
    if (!text_equal(text_from(written[0]), text_from(written[1])))
        check_failed(file, line, "the kernel:\n%.*sthe simulation:\n%.*s", (int)written[0].size,
                     (char *)written[0].data, (int)written[1].size, (char *)written[1].data);
    EXPECT(written[0].size > 0 && !out.overflow);
}
#define COMPARE(script) compare(__FILE__, __LINE__, script)

/* The two events of the cancelled accept come in either order. */
static void after_accept(void)
{
    struct writer saved = out;
    (void)next();
    (void)next();
    out = saved;
}

/* --- Scripts ---------------------------------------------------------------------------------- */

static void receive_until_the_end(void)
{
    after_accept();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    for (int i = 0; i < 3; i++) {
        EXPECT(world->write("hello", 5));
        (void)next();
        give_all();
    }
    world->end();
    (void)next();
    quiet();
}

TEST("simulated as on the kernel: a multishot receive gives every piece, and the end")
{
    COMPARE(receive_until_the_end);
}

static void receive_once(void)
{
    after_accept();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, true));
    EXPECT(world->write("0123456789abcdefXYZ", 19));
    (void)next();
    quiet();
    EXPECT(ring_recv(&ring, token(RING_RECV, 4), near_fd, true));
    (void)next();
}

TEST("simulated as on the kernel: a receive that is armed once takes a buffer's worth and ends")
{
    COMPARE(receive_once);
}

static void run_out_of_buffers(void)
{
    after_accept();
    EXPECT(world->write("0123456789abcdef0123456789abcdef0123456789", 42));
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    while (next().result > 0)
        continue;
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false)); /* at arm time, too */
    (void)next();
    write_format(&out, "%u out, %u ended\n", ring.stats.buffers_out,
                 (unsigned)ring.stats.out_of_buffers);
    give_all();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, true));
    (void)next();
}

TEST("simulated as on the kernel: without a receive buffer there is -ENOBUFS, then it goes on")
{
    COMPARE(run_out_of_buffers);
}

static void cancel_a_receive(void)
{
    after_accept();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    ring_submit(&ring);
    quiet();
    EXPECT(ring_cancel(&ring, token(RING_CANCEL, 3), token(RING_RECV, 3)));
    after_accept();
    EXPECT(ring_cancel(&ring, token(RING_CANCEL, 3), token(RING_RECV, 3)));
    (void)next(); /* nobody is there any more */
}

TEST("simulated as on the kernel: what is cancelled tells its end; what is not there is -ENOENT")
{
    COMPARE(cancel_a_receive);
}

static void shut_down(void)
{
    after_accept();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    ring_submit(&ring);
    ring_shutdown(&ring, near_fd, true);
    (void)next();
    static char letters[] = "late";
    const struct iovec piece = {letters, 4};
    EXPECT(ring_send(&ring, token(RING_SEND, 3), near_fd, &piece, 1));
    (void)next();
}

TEST("simulated as on the kernel: a shutdown ends a receive with 0, and a send behind it is -EPIPE")
{
    COMPARE(shut_down);
}

static void be_reset(void)
{
    after_accept();
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    ring_submit(&ring);
    world->reset();
    (void)next();
    static char letters[] = "late";
    EXPECT(ring_send_now(&ring, token(RING_SEND_NOW, 3), near_fd,
                         (struct bytes){(uint8_t *)letters, 4}));
    (void)next();
    write_format(&out, "settled %d\n", ring_settled(&ring));
}

TEST("simulated as on the kernel: a reset is told once, and a send past the outbox is -EPIPE")
{
    COMPARE(be_reset);
}

static void send_whole(void)
{
    static char letters[] = "abcdef";
    uint8_t heard[32];
    const struct iovec pieces[2] = {{letters, 3}, {letters + 3, 3}};
    after_accept();
    EXPECT(ring_send(&ring, token(RING_SEND, 3), near_fd, pieces, 2));
    (void)next();
    EXPECT(ring_send_now(&ring, token(RING_SEND_NOW, 3), near_fd,
                         (struct bytes){(uint8_t *)letters, 6}));
    write_format(&out, "settled %d\n", ring_settled(&ring));
    quiet(); /* taken whole, it says nothing */
    write_format(&out, "settled %d\n", ring_settled(&ring));
    size_t size = world->read(heard, sizeof heard);
    write_text(&out, (struct text){(char *)heard, size});
}

TEST("simulated as on the kernel: a gathered send tells its size, one past the outbox nothing")
{
    COMPARE(send_whole);
}

static void fall_short(void)
{
    static uint8_t large[8 * 1024 * 1024]; /* more than any buffer takes */
    after_accept();
    EXPECT(ring_send_now(&ring, token(RING_SEND_NOW, 3), near_fd,
                         (struct bytes){large, sizeof large}));
    ring_submit(&ring);
    struct writer saved = out;
    struct ring_event event = next();
    out = saved;
    write_format(&out, "in part %d\n",
                 event.result > 0 && event.result < (int32_t)sizeof large && event.last);
    for (int i = 0; i < 1000 && event.result != -EAGAIN; i++) {
        EXPECT(ring_send_now(&ring, token(RING_SEND_NOW, 3), near_fd,
                             (struct bytes){large, sizeof large}));
        ring_submit(&ring);
        event = next();
        out = saved;
    }
    write_format(&out, "%d, settled %d\n", event.result, ring_settled(&ring));
}

TEST("simulated as on the kernel: what is not taken at once is told, in part and then as -EAGAIN")
{
    COMPARE(fall_short);
}
