/* What ring.h promises of ring_send_now and ring_settled, asked of the running kernel, and that the
 * preflight would notice a kernel that does not keep it. */
#include "check.h"
#include "ring/ring.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct arena arena;
static struct ring ring;
static int near_fd, far_fd; /* the two ends of a connection: the ring's and the test's */
static uint8_t stream[64 * 1024];

/* Byte `at` of everything that is ever sent. */
static uint8_t stream_byte(uint64_t at)
{
    return (uint8_t)(at * 7 + at / 251 + at / 65'521);
}

static struct bytes stream_piece(uint64_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        stream[i] = stream_byte(at + i);
    return (struct bytes){stream, size};
}

/* Over TCP: only there a send can be taken in part. */
static void open_pair(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int small = 8 * 1024, segment = 1024;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    far_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(far_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(far_fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        connect(far_fd, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    near_fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
}

static void begin(uint32_t entries)
{
    const struct ring_config config = {
        .entries = entries, .receive_buffers = 2, .receive_buffer_size = 64};
    struct arena measured = arena_measure();
    struct text why = {};
    ring_reserve_uring(&ring, &measured, &config);
    if (!arena_open(&arena, measured.used)) abort();
    ring_reserve_uring(&ring, &arena, &config);
    if (!ring_open(&ring, &why)) check_failed(__FILE__, __LINE__, "%.*s", TEXT_ARG(why));
    open_pair();
}

static void end(void)
{
    if (near_fd >= 0) close(near_fd);
    close(far_fd);
    ring_close(&ring);
    ring_free(&ring);
    arena_close(&arena);
}

static struct ring_token token(uint32_t slot)
{
    return (struct ring_token){.op = RING_SEND_NOW, .generation = 7, .slot = slot};
}

/* What the peer's socket now takes of `data`: all of it, or what the one event says. */
static int32_t send_now(struct bytes data)
{
    struct ring_event events[2];
    EXPECT(ring_send_now(&ring, token(3), near_fd, data));
    EXPECT(!ring_settled(&ring));
    ring_submit(&ring);
    uint32_t count = ring_take(&ring, events, 2);
    EXPECT(ring_settled(&ring));
    if (count == 0) return (int32_t)data.size;
    EXPECT_EQ(count, 1);
    EXPECT(events[0].last && events[0].data.data == nullptr);
    EXPECT_EQ(events[0].token.op, RING_SEND_NOW);
    EXPECT_EQ(events[0].token.slot, 3);
    EXPECT_EQ(events[0].token.generation, 7);
    EXPECT(events[0].result < (int32_t)data.size);
    return events[0].result;
}

/* Everything that lies in the test's end: it must be the stream from `from` on. How much. */
static uint64_t far_reads(uint64_t from)
{
    static uint8_t bytes[16 * 1024];
    uint64_t at = from;
    for (ssize_t size; (size = recv(far_fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        for (ssize_t i = 0; i < size; i++, at++)
            if (bytes[i] != stream_byte(at)) {
                check_failed(__FILE__, __LINE__, "byte %" PRIu64 " is wrong", at);
                return at - from;
            }
    return at - from;
}

/* The same until `size` bytes have come: the last ones may still be on their way. */
static void expect_far_reads(uint64_t from, uint64_t size)
{
    uint64_t got = 0, until_ns = ring_now(&ring).ns + 2'000'000'000;
    while (got < size && ring_now(&ring).ns < until_ns)
        got += far_reads(from + got);
    EXPECT_EQ(got, size);
    EXPECT_EQ(far_reads(from + got), 0);
}

/* Nothing is on its way whose acknowledgement could make room later. */
static bool all_is_acknowledged(void)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    EXPECT(getsockopt(near_fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    return info.tcpi_unacked == 0;
}

/* Fills the connection up, also what the kernel makes room for a little later. */
static void fill(void)
{
    for (int dry = 0; dry < 3;) {
        ssize_t size = send(near_fd, stream, sizeof stream, MSG_DONTWAIT | MSG_NOSIGNAL);
        dry = size > 0 || !all_is_acknowledged() ? 0 : dry + 1;
        if (size <= 0) ring_wait(&ring, ring_now(&ring).ns + 1'000'000);
    }
}

TEST("a send_now that is taken whole posts nothing, and is settled once it is submitted")
{
    begin(16);
    EXPECT(ring_settled(&ring));
    for (uint64_t at = 0; at < 20 * 100; at += 100) {
        EXPECT_EQ(send_now(stream_piece(at, 100)), 100);
        expect_far_reads(at, 100);
    }
    end();
}

TEST("a send_now is taken whole, then in part, then not at all, and every byte is accounted for")
{
    begin(16);
    uint64_t sent = 0, got = 0;
    uint32_t whole = 0, partial = 0, nothing = 0;
    for (uint32_t round = 0; round < 20; round++) {
        for (bool full = false; !full;) {
            int32_t taken = send_now(stream_piece(sent, 5000));
            full = taken == -EAGAIN;
            EXPECT(taken > 0 || full);
            if (taken > 0) sent += (uint64_t)taken;
            *(full ? &nothing : taken == 5000 ? &whole : &partial) += 1;
        }
        got += far_reads(got);
    }
    EXPECT(whole >= 20 && partial > 0 && nothing == 20);
    expect_far_reads(got, sent - got);
    end();
}

TEST("a send_now to a connection that is over tells the error, and nothing is in doubt")
{
    begin(16);
    shutdown(near_fd, SHUT_RDWR);
    EXPECT_EQ(send_now(stream_piece(0, 100)), -EPIPE);
    close(near_fd);
    EXPECT_EQ(send_now(stream_piece(0, 100)), -EBADF);
    near_fd = -1;
    end();
}

TEST("it is not settled before a shortfall has been taken, whatever the peer reads meanwhile")
{
    begin(16);
    fill();
    EXPECT(ring_send_now(&ring, token(1), near_fd, stream_piece(0, 100)));
    ring_submit(&ring);
    EXPECT(!ring_settled(&ring));
    while (recv(far_fd, stream, sizeof stream, MSG_DONTWAIT) > 0) {
    }
    ring_wait(&ring, 0);
    EXPECT(!ring_settled(&ring));
    EXPECT(ring_send_now(&ring, token(2), near_fd, stream_piece(0, 100)));
    ring_submit(&ring);
    struct ring_event event;
    EXPECT(!ring_settled(&ring));
    EXPECT_EQ(ring_take(&ring, &event, 1), 1);
    EXPECT(event.token.slot == 1 && event.result == -EAGAIN);
    EXPECT(ring_settled(&ring));
    end();
}

TEST("an event that comes after the shortfalls does not keep it from being settled")
{
    begin(16);
    int ends[2];
    struct ring_event event;
    EXPECT(pipe(ends) == 0);
    fill();
    EXPECT(ring_send_now(&ring, token(1), near_fd, stream_piece(0, 100)));
    ring_submit(&ring);
    EXPECT(ring_write(&ring, (struct ring_token){.op = RING_WRITE}, ends[1], stream_piece(0, 1)));
    ring_submit(&ring);
    EXPECT_EQ(ring_take(&ring, &event, 1), 1);
    EXPECT_EQ(event.token.op, RING_SEND_NOW);
    EXPECT(ring_settled(&ring));
    EXPECT_EQ(ring_take(&ring, &event, 1), 1);
    EXPECT_EQ(event.token.op, RING_WRITE);
    close(ends[0]);
    close(ends[1]);
    end();
}

/* Sends `count` times to the full connection, submits, and takes the events `each` at a time. */
static void expect_all_told(uint32_t count, uint32_t each)
{
    bool told[1024] = {};
    uint32_t taken = 0;
    struct ring_event events[64];
    for (uint32_t i = 0; i < count; i++)
        EXPECT(ring_send_now(&ring, token(i), near_fd, stream_piece(0, 100)));
    ring_submit(&ring);
    EXPECT(!ring_settled(&ring));
    for (uint32_t got; (got = ring_take(&ring, events, each)) > 0;) {
        taken += got;
        EXPECT_EQ(ring_settled(&ring), taken == count);
        for (uint32_t i = 0; i < got; i++) {
            uint32_t slot = events[i].token.slot;
            EXPECT(events[i].result == -EAGAIN && slot < count && !told[slot]);
            if (slot < count) told[slot] = true;
        }
    }
    EXPECT_EQ(taken, count);
}

TEST("hundreds of shortfalls in one submission are all told before it is settled")
{
    begin(512);
    fill();
    expect_all_told(500, 1);
    expect_all_told(500, 64);
    EXPECT_EQ(ring.stats.overflows, 0);
    end();
}

TEST("shortfalls that overflow the completion queue are all told before it is settled")
{
    begin(16);
    fill();
    for (uint32_t each = 1; each <= 64; each = each * 2 + 1)
        expect_all_told(600, each);
    EXPECT(ring.stats.overflows > 0);
    end();
}

TEST("sends that are submitted while others overflow wait for their own shortfalls, too")
{
    begin(16);
    fill();
    struct ring_event event;
    uint32_t sent = 0, taken = 0;
    for (uint32_t step = 0; step < 400; step++) {
        if (step < 200)
            for (uint32_t i = 0; i < 3; i++, sent++)
                EXPECT(ring_send_now(&ring, token(sent), near_fd, stream_piece(0, 100)));
        ring_submit(&ring);
        taken += ring_take(&ring, &event, 1);
        EXPECT_EQ(ring_settled(&ring), taken == sent);
    }
    while (ring_take(&ring, &event, 1) > 0)
        taken += 1;
    EXPECT_EQ(taken, sent);
    EXPECT(ring_settled(&ring) && ring.stats.overflows > 0);
    end();
}

/* ---- the preflight, and kernels that lie to it */

static struct ring_backend lying;
static const struct ring_backend *honest;
static struct ring_event late[4096]; /* events that a liar keeps to itself */
static uint32_t late_count;
static struct ring_event remembered; /* what the last send would say if it were taken whole */
static uint32_t sends;

static bool works_with(void (*lie)(void))
{
    begin(64);
    honest = ring.backend;
    lying = *honest;
    late_count = sends = 0;
    lie();
    ring.backend = &lying;
    bool works = ring_send_now_works(&ring);
    ring.backend = honest;
    end();
    return works;
}

static void tell_the_truth(void)
{
}

/* Takes what the kernel says and keeps what `is_kept` names. */
static uint32_t take_without(struct ring *from, struct ring_event *events, uint32_t max,
                             bool (*is_kept)(const struct ring_event *event))
{
    uint32_t count = honest->take(from, events, max), left = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_kept(&events[i]))
            events[left++] = events[i];
        else if (late_count < 4096)
            late[late_count++] = events[i];
    }
    return left;
}

static bool is_short(const struct ring_event *event)
{
    return event->result > 0;
}

static bool is_any(const struct ring_event *)
{
    return true;
}

static uint32_t take_without_short(struct ring *from, struct ring_event *events, uint32_t max)
{
    return take_without(from, events, max, is_short);
}

static uint32_t take_nothing(struct ring *from, struct ring_event *events, uint32_t max)
{
    return take_without(from, events, max, is_any);
}

static uint32_t take_one_byte_more(struct ring *from, struct ring_event *events, uint32_t max)
{
    uint32_t count = honest->take(from, events, max);
    if (count > 0 && events[0].result > 0) events[0].result += 1;
    return count;
}

static uint32_t take_twice(struct ring *from, struct ring_event *events, uint32_t max)
{
    uint32_t count = honest->take(from, events, max);
    if (count == 1) events[count++] = events[0];
    return count;
}

static uint32_t take_not_last(struct ring *from, struct ring_event *events, uint32_t max)
{
    uint32_t count = honest->take(from, events, max);
    for (uint32_t i = 0; i < count; i++)
        events[i].last = false;
    return count;
}

static bool send_and_remember(struct ring *to, struct ring_token its, int fd, struct bytes data)
{
    sends += 1;
    remembered = (struct ring_event){.token = its, .result = (int32_t)data.size, .last = true};
    return honest->send_now(to, its, fd, data);
}

static uint32_t take_first_whole(struct ring *from, struct ring_event *events, uint32_t max)
{
    uint32_t count = honest->take(from, events, max);
    if (count == 0 && sends == 1) events[count++] = remembered;
    return count;
}

/* Without MSG_DONTWAIT, and every send tells its end. */
static bool send_that_waits(struct ring *to, struct ring_token its, int fd, struct bytes data)
{
    struct iovec piece = {.iov_base = data.data, .iov_len = data.size};
    return honest->send(to, its, fd, &piece, 1);
}

static bool send_nothing(struct ring *, struct ring_token, int, struct bytes)
{
    return false;
}

static bool settled_always(struct ring *)
{
    return true;
}

static bool settled_never(struct ring *)
{
    return false;
}

static void hide_short_sends(void)
{
    lying.take = take_without_short;
}

static void hide_all_events(void)
{
    lying.take = take_nothing;
}

static void add_a_byte(void)
{
    lying.take = take_one_byte_more;
}

static void tell_twice(void)
{
    lying.take = take_twice;
}

static void promise_more_events(void)
{
    lying.take = take_not_last;
}

static void tell_whole_sends(void)
{
    lying.send_now = send_that_waits;
}

static void tell_the_first_whole_send(void)
{
    lying.send_now = send_and_remember;
    lying.take = take_first_whole;
}

static void wait_in_silence(void)
{
    lying.send_now = send_that_waits;
    lying.take = take_nothing;
}

static void take_no_sends(void)
{
    lying.send_now = send_nothing;
}

static void be_settled_always(void)
{
    lying.settled = settled_always;
}

static void be_settled_never(void)
{
    lying.settled = settled_never;
}

TEST("the preflight finds that this kernel accounts for every byte, again and again")
{
    for (int i = 0; i < 10; i++)
        EXPECT(works_with(tell_the_truth));
}

TEST("the preflight refuses a kernel that hides shortfalls")
{
    EXPECT(!works_with(hide_short_sends));
    EXPECT(!works_with(hide_all_events));
}

TEST("the preflight refuses a kernel that tells the wrong size, or tells it twice")
{
    EXPECT(!works_with(add_a_byte));
    EXPECT(!works_with(tell_twice));
    EXPECT(!works_with(promise_more_events));
}

TEST("the preflight refuses a kernel that posts events for whole sends, or that waits")
{
    EXPECT(!works_with(tell_whole_sends));
    EXPECT(!works_with(tell_the_first_whole_send));
    EXPECT(!works_with(wait_in_silence));
    EXPECT(!works_with(take_no_sends));
}

TEST("the preflight refuses a ring that is always settled, or never")
{
    EXPECT(!works_with(be_settled_always));
    EXPECT(!works_with(be_settled_never));
}

TEST("an event of the preflight that comes late belongs to no connection")
{
    EXPECT(!works_with(hide_all_events));
    EXPECT(late_count > 0);
    for (uint32_t i = 0; i < late_count; i++)
        EXPECT_EQ(late[i].token.slot, UINT32_MAX);
}
