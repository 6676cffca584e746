#include "conn_peers.h"
#include "base/log.h"
#include "check.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer peers[peers_max];
uint32_t peer_count;
struct ring ring;
struct conn_shared shared;
struct outbox_set outboxes;
struct frame_pool frames;
struct handover handover;
struct tally tally;

static struct arena arena;
static struct wheel wheel;
static struct log log;
static struct random chance;
static struct peers_options options;
static int listener;
static uint32_t settles;

/* ---- a ring that hands over as many operations as it is told ---- */

struct kept {
    struct ring_token token;
    int fd;
    struct bytes data;
    struct iovec pieces[outbox_gather_max];
    uint32_t count;
};
static const struct ring_backend *kernel;
static struct ring_backend between;
static struct kept queue[256];
static uint32_t queue_first, queue_end;

static struct kept *keep(struct ring_token token, int fd)
{
    if (queue_end - queue_first >= handover.queue) return nullptr;
    struct kept *kept = &queue[queue_end++ % 256];
    *kept = (struct kept){.token = token, .fd = fd};
    return kept;
}

static bool keep_send(struct ring *, struct ring_token token, int fd, const struct iovec *pieces,
                      uint32_t count)
{
    struct kept *kept = keep(token, fd);
    if (kept == nullptr) return false;
    memcpy(kept->pieces, pieces, count * sizeof *pieces);
    kept->count = count;
    return true;
}

static bool keep_send_now(struct ring *, struct ring_token token, int fd, struct bytes data)
{
    struct kept *kept = keep(token, fd);
    if (kept == nullptr) return false;
    kept->data = data;
    return true;
}

static void hand_over(struct ring *to)
{
    for (uint32_t i = 0; i < handover.each && queue_first < queue_end; i++) {
        struct kept *kept = &queue[queue_first++ % 256];
        bool taken = kept->count > 0
                         ? kernel->send(to, kept->token, kept->fd, kept->pieces, kept->count)
                         : kernel->send_now(to, kept->token, kept->fd, kept->data);
        EXPECT(taken);
    }
    to->stats.held_back += queue_first < queue_end;
}

static bool is_settled(struct ring *its)
{
    for (uint32_t i = queue_first; i < queue_end; i++)
        if (queue[i % 256].count == 0) return false;
    return kernel->settled(its);
}

static void submit(struct ring *to)
{
    hand_over(to);
    kernel->submit(to);
}

static void wait(struct ring *on, uint64_t until_ns)
{
    hand_over(on);
    kernel->wait(on, until_ns);
}

static void step_between(void)
{
    kernel = ring.backend;
    between = *kernel;
    between.send = keep_send;
    between.send_now = keep_send_now;
    between.settled = is_settled;
    between.submit = submit;
    between.wait = wait;
    ring.backend = &between;
    queue_first = queue_end = 0;
    handover = (struct handover){.each = UINT32_MAX, .queue = 256};
}

/* ---- what the hub would do ---- */

static struct peer *peer_of(const struct conn *conn)
{
    for (uint32_t i = 0; i < peer_count; i++)
        if (peers[i].conn == conn) return &peers[i];
    abort();
}

constexpr uint32_t large_max = 1024 * 1024; /* bytes of an answered message; two can be at once */

static void on_request(void *, struct conn *conn, const struct http_request *request, struct bytes)
{
    static const struct http_upgrade_policy policy = {.any_origin = true, .deflate = true};
    static const struct ws_limits limits = {.message_size_max = 4096, .tiny_fragments_max = 256};
    struct http_upgrade upgrade;
    static const struct ws_limits echo_limits = {.message_size_max = large_max,
                                                 .tiny_fragments_max = 256};
    if (http_upgrade_check(request, &policy, &upgrade) == HTTP_UPGRADE_OK) {
        conn_upgrade(conn, &upgrade, options.answered ? &echo_limits : &limits);
        if (options.answered) conn_answer_all(conn);
    } else
        conn_answer_error(conn, 404, TEXT("nothing_here"), TEXT("Nothing is here."),
                          (struct text){});
}

static void on_message(void *, struct conn *conn, const struct ws_message *message)
{
    if (conn->answered) conn_reply(conn, message->opcode, message->payload);
}

/* Without a goodbye its stream may end anywhere. */
static void on_close(void *, struct conn *conn)
{
    if (conn->upgraded && conn->close_code == 0) peer_of(conn)->cut = true;
}

static void on_release(void *, struct conn *conn)
{
    struct peer *peer = peer_of(conn);
    peer->cut = peer->cut || conn->given_up;
    peer->conn = nullptr;
}

static const struct conn_hooks hooks = {.on_request = on_request,
                                        .on_message = on_message,
                                        .on_close = on_close,
                                        .on_release = on_release};

/* ---- begin and end ---- */

static void reserve(struct arena *from)
{
    const struct ring_config config = {
        .entries = options.entries, .receive_buffers = 64, .receive_buffer_size = 512};
    ring_reserve_uring(&ring, from, &config);
    frame_pool_init(&frames, from, 16 << 20);
    if (options.answered)
        frame_pool_add_large(&frames, from, large_max + (uint32_t)ws_control_payload_max, 2);
    outbox_set_init(&outboxes, from, &frames, peers_max);
    conn_reserve(&shared, from);
}

static void listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1, segment = 1024;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof options.send_buffer);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, peers_max) != 0)
        abort();
}

void peers_begin(struct peers_options wanted)
{
    options = wanted;
    if (options.entries == 0) options.entries = 64;
    if (options.spoil_every == 0) options.spoil_every = 1;
    if (options.send_buffer == 0) options.send_buffer = 8 * 1024;
    if (options.replies == 0) options.replies = UINT64_MAX;
    if (options.answered && options.answered_max == 0) options.answered_max = peers_max;
    if (options.receive_buffer == 0) options.receive_buffer = 8 * 1024;
    shared = (struct conn_shared){.ring = &ring,
                                  .wheel = &wheel,
                                  .log = &log,
                                  .outboxes = &outboxes,
                                  .random = &chance,
                                  .hooks = &hooks,
                                  .config = {.connections_max = peers_max,
                                             .handshake_ms = 10'000,
                                             .ping_ms = 20'000,
                                             .pong_ms = 10'000,
                                             .message_ms = 10'000,
                                             .goodbye_ms = 2000,
                                             .goodbye_bytes = 1 << 20,
                                             .restart_retry_ms = 1000,
                                             .message_size_max = 4096,
                                             .inflated_size_max = large_max,
                                             .answered_max = options.answered_max,
                                             .reply_memory = options.replies},
                                  .send_now = !options.plain};
    struct arena measured = arena_measure();
    struct text why = {};
    reserve(&measured);
    if (!arena_open(&arena, measured.used)) abort();
    reserve(&arena);
    if (!ring_open(&ring, &why)) check_failed(__FILE__, __LINE__, "%.*s", TEXT_ARG(why));
    step_between();
    shared.now = ring_now(&ring);
    wheel_init(&wheel, instant_ms(shared.now));
    log_init(&log, LOG_ERROR, false, 0, 1);
    EXPECT(conn_shared_open(&shared));
    listen_here();
    peer_count = settles = 0;
    peers_hear_nothing();
    tally = (struct tally){};
}

void peers_end(void)
{
    uint64_t until_ns = ring_now(&ring).ns + 3'000'000'000;
    handover = (struct handover){.each = UINT32_MAX, .queue = 256};
    for (uint32_t i = 0; i < peer_count; i++)
        peer_leaves(&peers[i]);
    while (shared.conns.in_use > 0 && ring_now(&ring).ns < until_ns)
        turn();
    settle();
    EXPECT_EQ(shared.conns.in_use, 0);
    EXPECT_EQ(shared.message_buffers.in_use, 0);
    EXPECT_EQ(shared.request_buffers.in_use, 0);
    EXPECT_EQ(shared.kept_buffers.in_use, 0);
    EXPECT_EQ(frames.reply_bytes, 0);
    EXPECT(list_is_empty(&shared.stopped));
    EXPECT_EQ(outboxes.storage.in_use, 0);
    EXPECT_EQ(outboxes.storage_leaving, 0);
    EXPECT_EQ(outboxes.bytes_owed + outboxes.bytes_leaving, 0);
    EXPECT_EQ(shared.retained_count, 0);
    EXPECT_EQ(frames.live, 1); /* the ping */
    if (shared.conns.in_use == 0) conn_shared_close(&shared);
    close(listener);
    ring_close(&ring);
    ring_free(&ring);
    arena_close(&arena);
}

/* ---- what a peer does ---- */

static void peer_says(struct peer *peer, const void *bytes, size_t size)
{
    if (send(peer->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) abort();
}

static void peer_offers(struct peer *peer)
{
    static const uint8_t windows[] = {9, 12, 15};
    char line[80];
    if (!options.deflate || peer_count % 2 == 0) return;
    peer->bits = windows[peer_count / 2 % 3];
    int size = snprintf(
        line, sizeof line,
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=%d\r\n", peer->bits);
    peer_says(peer, line, (size_t)size);
}

struct peer *peer_connect(bool upgrade)
{
    static const char upgrading[] = "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
                                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static const char asking[] = "GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n";
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    const int segment = 1024;
    if (peer_count == peers_max) abort();
    struct peer *peer = &peers[peer_count++];
    memset(peer, 0, offsetof(struct peer, pushed));
    peer->pushed_first = peer->pushed_end = peer->heard_size = peer->input_size = 0;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof(int));
    setsockopt(peer->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        connect(peer->fd, (struct sockaddr *)&address, size) != 0)
        abort();
    if (!upgrade) {
        peer_says(peer, asking, sizeof asking - 1);
        return peer;
    }
    peer_says(peer, upgrading, sizeof upgrading - 1);
    peer_offers(peer);
    peer_says(peer, "\r\n", 2);
    return peer;
}

void peer_admit(struct peer *peer)
{
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) abort();
    peer->conn = conn_accept(&shared, fd, 0, &(struct address){});
    EXPECT(peer->conn != nullptr);
}

struct peer *peer_open(void)
{
    struct peer *peer = peer_connect(true);
    uint64_t until_ns = ring_now(&ring).ns + 2'000'000'000;
    peer_admit(peer);
    while (!peer->upgraded && ring_now(&ring).ns < until_ns) {
        turn();
        peer_reads(peer, UINT32_MAX);
    }
    EXPECT(peer->upgraded && peer->conn->phase == CONN_OPEN);
    turn();
    return peer;
}

/* What the kernel does not take at once waits for the worker to read. */
static void peer_says_all(struct peer *peer, struct bytes bytes)
{
    uint64_t until_ns = ring_now(&ring).ns + 2'000'000'000;
    while (bytes.size > 0) {
        ssize_t size = send(peer->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) bytes = bytes_skip(bytes, (size_t)size);
        if (size < 0 && ring_now(&ring).ns > until_ns) abort();
        if (size < 0) turn();
    }
}

/* Masked with zeros. */
static void peer_says_fragment(struct peer *peer, uint8_t first, struct bytes payload)
{
    uint8_t memory[14];
    struct writer out = writer_over(memory, sizeof memory);
    uint32_t length_bytes = payload.size < 126 ? 0 : payload.size < 65536 ? 2 : 8;
    uint8_t short_length = length_bytes == 0   ? (uint8_t)payload.size
                           : length_bytes == 2 ? 126
                                               : 127;
    write_byte(&out, first);
    write_byte(&out, 0x80 | short_length);
    for (uint32_t i = length_bytes; i > 0; i--)
        write_byte(&out, (uint8_t)((uint64_t)payload.size >> (8 * (i - 1))));
    write_fill(&out, 0, 4);
    peer_says_all(peer, writer_bytes(&out));
    peer_says_all(peer, payload);
}

void peer_asks_in_pieces(struct peer *peer, uint32_t size, uint32_t pieces)
{
    uint32_t number;
    struct bytes payload = next_payload(size, &number);
    for (uint32_t i = 0; i < pieces; i++) {
        uint32_t start = size / pieces * i, end = i + 1 < pieces ? start + size / pieces : size;
        uint8_t first = (i == 0 ? 0x02 : 0) | (i + 1 == pieces ? 0x80 : 0);
        peer_says_fragment(peer, first, (struct bytes){payload.data + start, end - start});
    }
    peer_expects(peer, number, 0);
}

void peer_asks(struct peer *peer, uint32_t size)
{
    peer_asks_in_pieces(peer, size, 1);
}

uint32_t peer_pings(struct peer *peer)
{
    constexpr uint32_t size = 20;
    uint8_t frame[6 + size] = {0x89, 0x80 | size}; /* masked with zeros */
    uint64_t before = shared.counters.bytes_received;
    uint64_t until_ns = ring_now(&ring).ns + 2'000'000'000;
    memcpy(frame + 6, next_payload(size, &peer->ping).data, size);
    peer_says(peer, frame, sizeof frame);
    while (shared.counters.bytes_received == before && ring_now(&ring).ns < until_ns) {
        shared.now = ring_wait(&ring, 0);
        take_events(UINT32_MAX);
    }
    return peer->ping;
}

/* The worker's end may be gone already. */
void peer_closes(struct peer *peer)
{
    static const uint8_t frame[] = {0x88, 0x82, 0, 0, 0, 0, 1000 >> 8, 1000 & 0xFF};
    (void)!send(peer->fd, frame, sizeof frame, MSG_NOSIGNAL);
}

void peer_ends(struct peer *peer)
{
    shutdown(peer->fd, SHUT_WR);
}

void peer_leaves(struct peer *peer)
{
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = -1;
}

void peer_stuff(struct peer *peer)
{
    static uint8_t bytes[64 * 1024];
    memset(bytes, peer_stuffing, sizeof bytes);
    EXPECT(outbox_is_empty(&peer->conn->outbox) && !peer->conn->send_armed);
    for (int dry = 0; dry < 3;) {
        ssize_t size = send(peer->conn->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        dry = size > 0 ? 0 : dry + 1;
        struct pollfd room = {.fd = peer->conn->fd, .events = POLLOUT};
        if (dry > 0) poll(&room, 1, 1);
    }
}

/* ---- a turn ---- */

/* As the next tick's frames would: what is free is written over. */
static void spoil_free_frames(void)
{
    static struct frame *taken[4096];
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        struct pool *pool = &frames.classes[i];
        uint32_t count = pool->touched - pool->in_use;
        if (count > 4096) count = 4096;
        for (uint32_t j = 0; j < count; j++) {
            taken[j] = pool_take(pool);
            memset(taken[j]->own, 0xEE, frame_class_sizes[i]);
        }
        for (uint32_t j = count; j > 0; j--)
            pool_give(pool, taken[j - 1]);
    }
}

static void handle(struct ring_event event)
{
    struct conn *conn = conn_of_token(&shared, event.token);
    switch (event.token.op) {
    case RING_RECV:
        if (conn != nullptr) conn_on_recv(conn, event);
        break;
    case RING_SEND:
        tally.send_events += 1;
        if (conn != nullptr) conn_on_send(conn, event);
        break;
    case RING_SEND_NOW:
        tally.short_events += 1;
        tally.last_short = event.result;
        if (conn != nullptr) conn_on_send_now(conn, event);
        break;
    default: EXPECT_EQ(event.token.op, RING_CANCEL);
    }
    ring_give(&ring, &event);
}

uint32_t take_events(uint32_t max)
{
    uint32_t count = 0;
    for (struct ring_event event; count < max && ring_take(&ring, &event, 1) > 0; count++)
        handle(event);
    conn_arm_waiting(&shared);
    return count;
}

void settle(void)
{
    if (ring_settled(&ring)) conn_settle(&shared);
    if (++settles % options.spoil_every == 0) spoil_free_frames();
}

void turn(void)
{
    shared.now = ring_wait(&ring, 0);
    take_events(UINT32_MAX);
    settle();
    conn_flush_dirty(&shared);
    (void)conn_reap(&shared);
    (void)conn_read_stopped(&shared, UINT64_MAX / 2);
}

static bool is_quiet(const struct peer *peer)
{
    if (peer->fd < 0 || peer->ended || peer->broken) return true;
    if (!peer->upgraded || peer->conn == nullptr || peer->conn->phase != CONN_OPEN) return false;
    return outbox_is_empty(&peer->conn->outbox) && peer->input_size == 0 &&
           peer->pushed_first == peer->pushed_end;
}

void everything_arrives(void)
{
    uint64_t until_ns = ring_now(&ring).ns + 4'000'000'000;
    for (bool quiet = false; !quiet && ring_now(&ring).ns < until_ns;) {
        quiet = true;
        turn();
        for (uint32_t i = 0; i < peer_count; i++) {
            peer_reads(&peers[i], UINT32_MAX);
            quiet = quiet && is_quiet(&peers[i]);
        }
    }
    for (uint32_t i = 0; i < peer_count; i++) {
        if (is_quiet(&peers[i])) continue;
        check_failed(__FILE__, __LINE__, "peer %u waits in vain after: %.*s", i,
                     (int)peers[i].heard_size, peers[i].heard);
        peers[i].broken = true;
    }
}
