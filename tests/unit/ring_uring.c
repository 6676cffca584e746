/* What ring.h promises, asked of the running kernel. Waiting is by deadline, never by sleeping. */
#include "ring/ring.h"
#include "check.h"
#include "limits.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct arena arena;
static struct ring ring;
static int near_fd, far_fd; /* the two ends of a connection: the ring's and the test's */
static struct ring_event held[64];
static uint32_t held_count;

static void begin_batched(uint32_t receive_buffers, uint32_t batch_us)
{
    const struct ring_config config = {.entries = 64,
                                       .receive_buffers = receive_buffers,
                                       .receive_buffer_size = 16,
                                       .batch_us = batch_us};
    struct arena measured = arena_measure();
    struct text why = {};
    int ends[2];
    ring_reserve_uring(&ring, &measured, &config);
    if (!arena_open(&arena, measured.used)) abort();
    ring_reserve_uring(&ring, &arena, &config);
    if (!ring_open(&ring, &why)) check_failed(__FILE__, __LINE__, "%.*s", TEXT_ARG(why));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
    near_fd = ends[0];
    far_fd = ends[1];
    held_count = 0;
}

static void begin(uint32_t receive_buffers)
{
    begin_batched(receive_buffers, 0);
}

static void end(void)
{
    if (near_fd >= 0) close(near_fd);
    if (far_fd >= 0) close(far_fd);
    ring_close(&ring);
    arena_close(&arena);
}

static struct ring_token token(enum ring_op op, uint32_t slot)
{
    return (struct ring_token){.op = op, .generation = 7, .slot = slot};
}

/* The next event, within a second. */
static struct ring_event next(void)
{
    struct ring_event event = {};
    uint64_t until_ns = ring_now(&ring).ns + 1'000'000'000;
    while (ring_take(&ring, &event, 1) == 0) {
        if (ring_now(&ring).ns >= until_ns) {
            check_failed(__FILE__, __LINE__, "no event came");
            return (struct ring_event){.result = -ETIME};
        }
        ring_wait(&ring, until_ns);
    }
    return event;
}

/* True when nothing comes for a moment. */
static bool is_quiet(void)
{
    ring_wait(&ring, ring_now(&ring).ns + 5'000'000);
    return ring_take(&ring, held, 1) == 0;
}

static bool far_writes(struct text text)
{
    return write(far_fd, text.data, text.size) == (ssize_t)text.size;
}

TEST("one receive gives every piece that comes, until the end of the stream")
{
    begin(4);
    EXPECT(ring_recv(&ring, token(RING_RECV, 3), near_fd, false));
    for (int i = 0; i < 20; i++) {
        EXPECT(far_writes(TEXT("hello")));
        struct ring_event event = next();
        EXPECT_EQ(event.token.op, RING_RECV);
        EXPECT_EQ(event.token.slot, 3);
        EXPECT_EQ(event.token.generation, 7);
        EXPECT(!event.last);
        EXPECT_TEXT(event.data, "hello");
        ring_give(&ring, &event);
    }
    shutdown(far_fd, SHUT_WR);
    struct ring_event event = next();
    EXPECT_EQ(event.result, 0);
    EXPECT(event.last && event.data.data == nullptr);
    EXPECT_EQ(ring.stats.buffers_out, 0);
    end();
}

TEST(
    "when all receive buffers are out the receive ends with -ENOBUFS, and goes on once armed again")
{
    begin(2);
    EXPECT(ring_recv(&ring, token(RING_RECV, 0), near_fd, false));
    EXPECT(far_writes(TEXT("0123456789abcdef0123456789abcdef0123456789abcdef")));
    uint32_t bytes = 0;
    for (;;) {
        struct ring_event event = next();
        if (event.result == -ENOBUFS || event.result == -ETIME) {
            EXPECT(event.last && event.result == -ENOBUFS);
            break;
        }
        bytes += (uint32_t)event.result;
        held[held_count++] = event;
    }
    EXPECT_EQ(bytes, 32);
    EXPECT_EQ(ring.stats.buffers_out, 2);
    EXPECT_EQ(ring.stats.out_of_buffers, 1);
    for (uint32_t i = 0; i < held_count; i++)
        ring_give(&ring, &held[i]);
    EXPECT(ring_recv(&ring, token(RING_RECV, 0), near_fd, false));
    struct ring_event event = next();
    EXPECT_EQ(event.result, 16);
    ring_give(&ring, &event);
    end();
}

TEST("receive buffers that are trimmed hold nothing any more, and are received into as before")
{
    constexpr uint32_t count = 2048, a_page = arena_page / 16;
    static const uint8_t *seen[count];
    uint32_t cleared = 0;
    begin(count);
    EXPECT(ring_recv(&ring, token(RING_RECV, 0), near_fd, false));
    for (uint32_t i = 0; i < count; i++) {
        EXPECT(far_writes(TEXT("0123456789abcdef")));
        struct ring_event event = next();
        EXPECT_TEXT(event.data, "0123456789abcdef");
        seen[i] = event.data.data;
        ring_give(&ring, &event);
    }
    shutdown(far_fd, SHUT_WR);
    EXPECT(next().last);
    ring_trim(&ring);
    for (uint32_t i = 0; i < count; i++)
        cleared += seen[i][0] == 0 ? 1 : 0;
    EXPECT(cleared > count - 2 * a_page); /* the first and the last page may be shared */

    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    EXPECT(ring_recv(&ring, token(RING_RECV, 0), ends[0], false));
    for (uint32_t i = 0; i < 2 * count; i++) {
        EXPECT(write(ends[1], "once more", 9) == 9);
        struct ring_event event = next();
        EXPECT_TEXT(event.data, "once more");
        ring_give(&ring, &event);
    }
    close(ends[1]);
    EXPECT(next().last);
    close(ends[0]);
    end();
}

TEST("a gathered send puts its pieces on the wire in order, whatever becomes of the array")
{
    begin(2);
    static char letters[] = "abcdefgh";
    struct iovec pieces[outbox_gather_max];
    for (uint32_t i = 0; i < outbox_gather_max; i++)
        pieces[i] = (struct iovec){.iov_base = &letters[i % 8], .iov_len = 1};
    EXPECT(ring_send(&ring, token(RING_SEND, 1), near_fd, pieces, outbox_gather_max));
    memset(pieces, 0, sizeof pieces);
    struct ring_event event = next();
    EXPECT_EQ(event.result, outbox_gather_max);
    EXPECT(event.last);
    char received[outbox_gather_max];
    EXPECT_EQ(read(far_fd, received, sizeof received), sizeof received);
    for (uint32_t i = 0; i < outbox_gather_max; i++)
        EXPECT_EQ(received[i], letters[i % 8]);
    end();
}

TEST("more gathered sends than one submission has room for are all submitted")
{
    begin(2);
    struct iovec pieces[outbox_gather_max];
    for (uint32_t i = 0; i < outbox_gather_max; i++)
        pieces[i] = (struct iovec){.iov_base = "x", .iov_len = 1};
    uint32_t sends = 10, bytes = 0;
    for (uint32_t i = 0; i < sends; i++)
        EXPECT(ring_send(&ring, token(RING_SEND, i), near_fd, pieces, outbox_gather_max));
    for (uint32_t i = 0; i < sends; i++)
        bytes += (uint32_t)next().result;
    EXPECT_EQ(bytes, sends * outbox_gather_max);
    end();
}

TEST("a send to a peer that takes nothing waits in the kernel, and a shutdown ends it")
{
    begin(2);
    static uint8_t large[1 << 20];
    struct iovec piece = {.iov_base = large, .iov_len = sizeof large};
    EXPECT(ring_send(&ring, token(RING_SEND, 1), near_fd, &piece, 1));
    struct ring_event event = next(); /* what fits is taken: a short send */
    EXPECT(event.result > 0 && event.result < (int)sizeof large);
    piece.iov_len = sizeof large - (size_t)event.result;
    EXPECT(ring_send(&ring, token(RING_SEND, 1), near_fd, &piece, 1));
    EXPECT(is_quiet());
    ring_shutdown(&ring, near_fd, true);
    event = next();
    EXPECT_EQ(event.result, -EPIPE);
    EXPECT(event.last);
    end();
}

TEST("a shutdown of both sides ends an armed receive")
{
    begin(2);
    EXPECT(ring_recv(&ring, token(RING_RECV, 1), near_fd, false));
    EXPECT(is_quiet());
    ring_shutdown(&ring, near_fd, true);
    struct ring_event event = next();
    EXPECT_EQ(event.result, 0);
    EXPECT(event.last);
    end();
}

static struct address loopback(void)
{
    struct address address;
    if (!address_parse(TEXT("127.0.0.1:0"), &address)) abort();
    return address;
}

/* Connects to a listening socket of ours. */
static int connect_to(int listen_fd)
{
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    getsockname(listen_fd, (struct sockaddr *)&storage, &size);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(connect(fd, (struct sockaddr *)&storage, size) == 0);
    return fd;
}

TEST("one accept gives every connection, a cancel ends it, and what still waits can be taken")
{
    begin(2);
    struct address address = loopback();
    struct ring_listen_options options = {.not_sent_low_bytes = 16384, .user_timeout_ms = 35'000};
    int listen_fd = ring_listen(&ring, &address, &options);
    EXPECT(listen_fd >= 0);
    EXPECT(ring_accept(&ring, token(RING_ACCEPT, 0), listen_fd));
    for (int i = 0; i < 3; i++) {
        int fd = connect_to(listen_fd);
        struct ring_event event = next();
        EXPECT(event.result >= 0 && !event.last);
        struct address peer;
        EXPECT(ring_peer(&ring, event.result, &peer) && address_is_loopback(&peer));
        ring_close_fd(&ring, event.result, false);
        close(fd);
    }
    EXPECT_EQ(ring_accept_now(&ring, listen_fd), -EAGAIN);
    EXPECT(ring_cancel(&ring, token(RING_CANCEL, 0), token(RING_ACCEPT, 0)));
    bool ended = false;
    for (int i = 0; i < 2; i++) {
        struct ring_event event = next();
        if (event.token.op == RING_ACCEPT) ended = event.last && event.result == -ECANCELED;
    }
    EXPECT(ended);
    int fd = connect_to(listen_fd);
    EXPECT(is_quiet());
    int accepted = ring_accept_now(&ring, listen_fd);
    EXPECT(accepted >= 0);
    EXPECT_EQ(ring_accept_now(&ring, listen_fd), -EAGAIN);
    ring_close_fd(&ring, accepted, false);
    close(fd);
    close(listen_fd);
    end();
}

TEST("accepted connections inherit the listening socket's options")
{
    begin(2);
    struct address address = loopback();
    struct ring_listen_options options = {.not_sent_low_bytes = 12345, .user_timeout_ms = 35'000};
    int listen_fd = ring_listen(&ring, &address, &options);
    int fd = connect_to(listen_fd), accepted = ring_accept_now(&ring, listen_fd), value = 0;
    socklen_t size = sizeof value;
    constexpr int tcp = 6, tcp_nodelay = 1, tcp_user_timeout = 18, tcp_notsent_lowat = 25;
    EXPECT(getsockopt(accepted, tcp, tcp_notsent_lowat, &value, &size) == 0 && value == 12345);
    EXPECT(getsockopt(accepted, tcp, tcp_nodelay, &value, &size) == 0 && value != 0);
    EXPECT(getsockopt(accepted, tcp, tcp_user_timeout, &value, &size) == 0 && value == 35'000);
    close(accepted);
    close(fd);
    close(listen_fd);
    end();
}

TEST("an address that is taken is told as -EADDRINUSE")
{
    begin(2);
    struct address address = loopback();
    struct ring_listen_options options = {.not_sent_low_bytes = 16384, .user_timeout_ms = 35'000};
    int first = ring_listen(&ring, &address, &options);
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    getsockname(first, (struct sockaddr *)&storage, &size);
    uint8_t port[2];
    memcpy(port, (uint8_t *)&storage + 2, sizeof port); /* sin_port, network order */
    address.port = (uint16_t)(port[0] << 8 | port[1]);
    EXPECT_EQ(ring_listen(&ring, &address, &options), -EADDRINUSE);
    close(first);
    end();
}

static void *wake_from_outside(void *argument)
{
    ring_wake(argument);
    return nullptr;
}

TEST("another thread wakes a ring that sleeps, and one that is not yet listening")
{
    begin(2);
    for (int armed_first = 0; armed_first < 2; armed_first++) {
        pthread_t thread;
        if (armed_first) EXPECT(ring_wake_arm(&ring, token(RING_WAKE, 0)));
        pthread_create(&thread, nullptr, wake_from_outside, &ring);
        if (!armed_first) {
            pthread_join(thread, nullptr);
            EXPECT(ring_wake_arm(&ring, token(RING_WAKE, 0)));
        }
        EXPECT_EQ(next().token.op, RING_WAKE);
        if (armed_first) pthread_join(thread, nullptr);
    }
    end();
}

TEST("a wait ends at its deadline when nothing comes, and at once when it has passed")
{
    begin(2);
    uint64_t start_ns = ring_now(&ring).ns;
    EXPECT(ring_wait(&ring, start_ns + 3'000'000).ns >= start_ns + 3'000'000);
    EXPECT(ring_wait(&ring, 0).ns < start_ns + 1'000'000'000);
    end();
}

/* A kernel that lets a wait go on for more: Linux 6.12. */
static bool kernel_batches(void)
{
    struct utsname system;
    uname(&system);
    char *rest;
    unsigned long major = strtoul(system.release, &rest, 10);
    return major > 6 || (major == 6 && strtoul(rest + 1, nullptr, 10) >= 12);
}

static void *write_twice(void *)
{
    for (uint32_t i = 0; i < 2; i++) {
        (void)!write(far_fd, "x", 1);
        uint64_t until_ns = ring_now(&ring).ns + 2'000'000;
        while (ring_now(&ring).ns < until_ns)
            sched_yield();
    }
    return nullptr;
}

TEST("a wait for a batch goes on after the first completion, and ends with what has come by then")
{
    constexpr uint32_t batch_us = 400'000;
    pthread_t thread;
    begin_batched(8, batch_us);
    EXPECT(ring_recv(&ring, token(RING_RECV, 1), near_fd, false));
    uint64_t began_ns = ring_now(&ring).ns;
    if (pthread_create(&thread, nullptr, write_twice, nullptr) != 0) abort();
    uint64_t ended_ns = ring_wait(&ring, began_ns + 60'000'000'000).ns;
    EXPECT(ended_ns < began_ns + 30'000'000'000);
    EXPECT(!kernel_batches() || ended_ns >= began_ns + batch_us * 1000ULL);
    EXPECT_EQ(ring.stats.waits, 1);
    pthread_join(thread, nullptr);
    uint32_t bytes = 0; /* the two may have come as one */
    for (uint32_t count; (count = ring_take(&ring, held, 8)) > 0;)
        for (uint32_t i = 0; i < count; i++) {
            bytes += (uint32_t)held[i].data.size;
            ring_give(&ring, &held[i]);
        }
    EXPECT(bytes == 2 || !kernel_batches());
    end();
}

TEST("a wait for a batch ends at its deadline, and at once where something was left to be taken")
{
    begin_batched(8, 10'000'000);
    uint64_t began_ns = ring_now(&ring).ns;
    EXPECT(ring_wait(&ring, began_ns + 3'000'000).ns < began_ns + 5'000'000'000);
    EXPECT(ring_recv(&ring, token(RING_RECV, 1), near_fd, false));
    EXPECT(far_writes(TEXT("more than one buffer holds")));
    ring_wait(&ring, 0);
    EXPECT_EQ(ring_take(&ring, held, 1), 1);
    ring_give(&ring, &held[0]);
    began_ns = ring_now(&ring).ns;
    EXPECT(ring_wait(&ring, UINT64_MAX).ns < began_ns + 5'000'000'000);
    ring_give(&ring, &(struct ring_event){.data = next().data});
    end();
}

/* DEFER_TASKRUN makes about twenty completions a visit to the kernel, and more of them only when it
 * is asked again. */
static void take_from_crowd(uint32_t batch_us)
{
    constexpr uint32_t crowd = 200;
    int ends[crowd][2];
    begin_batched(crowd + 56, batch_us);
    for (uint32_t i = 0; i < crowd; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]) != 0) abort();
        EXPECT(ring_recv(&ring, token(RING_RECV, i), ends[i][0], false));
    }
    ring_submit(&ring);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < crowd; i++)
            EXPECT_EQ(write(ends[i][1], "x", 1), 1);
        ring_wait(&ring, ring_now(&ring).ns + 1'000'000'000);
        for (uint32_t count; (count = ring_take(&ring, held, 64)) > 0; taken += count)
            for (uint32_t i = 0; i < count; i++)
                ring_give(&ring, &held[i]);
        EXPECT_EQ(taken, crowd);
    }
    EXPECT_EQ(ring.stats.waits, 3);
    for (uint32_t i = 0; i < crowd; i++)
        close(ends[i][1]);
    for (uint32_t i = 0; i < crowd; i++)
        EXPECT_EQ(next().result, 0);
    for (uint32_t i = 0; i < crowd; i++)
        close(ends[i][0]);
    end();
}

TEST("one wait, and taking until there is nothing, gives all that has come: no queue builds unseen")
{
    take_from_crowd(0);
    take_from_crowd(250);
}

TEST("what is written to a file is told with its size, and an error as such")
{
    begin(2);
    int ends[2];
    EXPECT(pipe(ends) == 0);
    uint8_t line[] = "a line\n";
    EXPECT(ring_write(&ring, token(RING_WRITE, 0), ends[1], (struct bytes){line, 7}));
    EXPECT_EQ(next().result, 7);
    char read_back[8];
    EXPECT_EQ(read(ends[0], read_back, sizeof read_back), 7);
    close(ends[0]);
    close(ends[1]);
    EXPECT(ring_write(&ring, token(RING_WRITE, 0), ends[1], (struct bytes){line, 7}));
    EXPECT_EQ(next().result, -EBADF);
    end();
}

TEST("a queue that is full hands itself over and takes the next operation")
{
    begin(2);
    int ends[2];
    uint8_t byte = 'x';
    EXPECT(pipe(ends) == 0);
    for (int i = 0; i < 200; i++)
        EXPECT(ring_write(&ring, token(RING_WRITE, 0), ends[1], (struct bytes){&byte, 1}));
    for (int i = 0; i < 200; i++)
        EXPECT_EQ(next().result, 1);
    EXPECT_EQ(ring.stats.queue_full, 0);
    close(ends[0]);
    close(ends[1]);
    end();
}

TEST("entropy fills what it is given, and differs")
{
    begin(2);
    uint8_t first[32] = {}, second[32] = {};
    ring_entropy(&ring, (struct bytes){first, sizeof first});
    ring_entropy(&ring, (struct bytes){second, sizeof second});
    EXPECT(memcmp(first, second, sizeof first) != 0);
    end();
}
