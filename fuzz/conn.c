/* fuzz/conn.c: whole connections, fed by a script: the real conn/, outbox/, http/ and ws/ over
 * memory_ring.c, with a hub of this file's own. Input: 1 byte of settings, then acts (see
 * act()); each takes the bytes that it needs.
 *
 * Whatever peers, kernel and hub do: what is sent is HTTP and then RFC 6455 (wire.h); a room's
 * frames come whole, in order, none of them missing that must not; each connection closes once,
 * with a reason, and is released once, last; and when all peers have gone silent, everything
 * comes home by the deadlines alone. */
#include "conn/conn.h"
#include "base/log.h"
#include "base/utf8.h"
#include "memory_ring.h"
#include "script.h"
#include "wire.h"

constexpr uint32_t slots = 6;         /* of connections; one less than the descriptors there are */
constexpr uint32_t records_max = 256; /* connections in one run */
constexpr uint32_t events_kept = 512; /* of a room, for one peer */

/* What the hub knows of one connection, by its number. */
struct record {
    struct conn *conn; /* nullptr once released */
    int fd;
    uint8_t mood;                 /* what the hub will do with its request */
    bool closed, upgraded, lost;  /* lost: it need not hear what was pushed */
    uint32_t events[events_kept]; /* pushed and not heard */
    uint32_t event_first, event_end;
    uint32_t last_state[4]; /* the newest snapshot heard, by key */
};

static struct ring ring;
static struct wheel wheel;
static struct log log_;
static struct random chance;
static struct arena arena;
static struct frame_pool frames;
static struct outbox_set outboxes;
static struct conn_shared shared;
static struct record records[records_max];
static uint32_t record_count;
static uint32_t last_number; /* of a room's frames */
static uint8_t settings;
static struct ear ears[memory_sockets_max];
static uint32_t hearer[memory_sockets_max]; /* the record that the ear belongs to */

/* A connection on its way to another worker, which is this one. */
static struct conn_passport passport;
static struct bytes passport_rest;
static struct http_upgrade passport_upgrade;
static bool parted;

/* Buffers that the rest of the worker has taken. */
static void *taken_requests[slots], *taken_messages[slots];
static uint32_t taken_request_count, taken_message_count;

static const struct ws_limits limits = {.message_size_max = 2000, .tiny_fragments_max = 8};

static struct record *record_of(const struct conn *conn)
{
    MUST(conn->number >= 1 && conn->number <= record_count);
    struct record *record = &records[conn->number - 1];
    MUST(record->conn == conn);
    return record;
}

/* ---- what is heard ---- */

static void on_room_frame(void *context, uint32_t number, uint8_t key)
{
    struct record *record = &records[hearer[(struct ear *)context - ears]];
    if (key > 0) {
        MUST(number > record->last_state[key]);
        record->last_state[key] = number;
        return;
    }
    MUST(record->event_first < record->event_end);
    MUST(record->events[record->event_first++] == number);
}

static void on_sent(int fd, const uint8_t *data, size_t size)
{
    ear_hears(&ears[fd], data, size);
}

static void listen_to(int fd, uint32_t record)
{
    ear_free(&ears[fd]);
    ears[fd].on_frame = on_room_frame;
    ears[fd].context = &ears[fd];
    hearer[fd] = record;
}

/* ---- the hub ---- */

static void part(struct conn *conn, const struct http_upgrade *upgrade, struct bytes rest)
{
    passport_rest = bytes_exact(rest.data, rest.size);
    passport_upgrade = *upgrade;
    passport = conn_part(conn);
    parted = true;
}

static void on_request(void *, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    static const struct http_upgrade_policy policy = {.any_origin = true};
    struct http_upgrade upgrade;
    uint8_t mood = record_of(conn)->mood;
    MUST(conn->phase == CONN_HTTP);
    if (text_equal(request->method, TEXT("HEAD"))) ears[conn->fd].asked_head = true;
    if (mood % 8 == 1) {
        conn_hold(conn);
    } else if (http_upgrade_check(request, &policy, &upgrade) != HTTP_UPGRADE_OK) {
        conn_answer_error(conn, 404, TEXT("nothing_here"), TEXT("Nothing is here."),
                          (struct text){});
    } else if (mood % 8 == 2 && !parted) {
        part(conn, &upgrade, rest);
    } else {
        conn_upgrade(conn, &upgrade, &limits);
        if (mood % 8 == 3 && conn->phase == CONN_OPEN) conn_pause(conn);
    }
}

static void on_message(void *, struct conn *conn, const struct ws_message *message)
{
    struct record *record = record_of(conn);
    MUST(conn->phase == CONN_OPEN && !record->closed && !conn->paused);
    MUST(message->opcode == WS_TEXT || message->opcode == WS_BINARY);
    MUST(message->payload.size <= limits.message_size_max);
    MUST(message->opcode == WS_BINARY || utf8_valid(message->payload));
    if ((record->mood & 0x40) != 0 && message->payload.size == 1) /* a hub may close from here */
        conn_close(conn, CLOSE_TOO_SLOW);
}

static void on_close(void *, struct conn *conn)
{
    struct record *record = record_of(conn);
    MUST(!record->closed && conn->reason != CLOSE_NONE);
    record->closed = true;
    record->upgraded = conn->upgraded;
    record->lost = true;
}

static void on_release(void *, struct conn *conn)
{
    struct record *record = record_of(conn);
    MUST(record->closed && outbox_is_empty(&conn->outbox));
    record->conn = nullptr;
}

static const struct conn_hooks hooks = {.on_request = on_request,
                                        .on_message = on_message,
                                        .on_close = on_close,
                                        .on_release = on_release};

/* ---- begin and end ---- */

static void reserve(struct arena *from)
{
    frame_pool_init(&frames, from, 1 << 20);
    outbox_set_init(&outboxes, from, &frames, slots - 2); /* it can run dry */
    conn_reserve(&shared, from);
}

static void begin(void)
{
    shared = (struct conn_shared){.ring = &ring,
                                  .wheel = &wheel,
                                  .log = &log_,
                                  .outboxes = &outboxes,
                                  .random = &chance,
                                  .hooks = &hooks,
                                  .config = {.connections_max = slots,
                                             .handshake_ms = 10'000,
                                             .ping_ms = 20'000,
                                             .pong_ms = 10'000,
                                             .message_ms = 10'000,
                                             .goodbye_ms = 2000,
                                             .goodbye_bytes = 8192,
                                             .restart_retry_ms = 1000,
                                             .message_size_max = 2000,
                                             .inflated_size_max = 2000},
                                  .send_now = (settings & 1) == 0};
    if (arena.memory == nullptr) {
        struct arena measured = arena_measure();
        reserve(&measured);
        MUST(arena_open(&arena, measured.used));
    }
    arena.used = 0; /* what the last run left in it is what pools may hold */
    memory_ring_open(&ring, on_sent);
    reserve(&arena);
    chance = (struct random){.state = settings};
    shared.now = ring_now(&ring);
    wheel_init(&wheel, instant_ms(shared.now));
    log_init(&log_, (settings & 2) != 0 ? LOG_DEBUG : LOG_ERROR, false, 0, 1000);
    MUST(conn_shared_open(&shared));
    record_count = last_number = 0;
    parted = false;
}

static void check_all_home(void)
{
    MUST(shared.conns.in_use == 0 && conn_at_or_behind(&shared, 0) == nullptr);
    MUST(list_is_empty(&shared.waiting) && list_is_empty(&shared.drained));
    MUST(shared.request_buffers.in_use == 0 && shared.message_buffers.in_use == 0);
    MUST(outboxes.storage.in_use == 0 && outboxes.storage_leaving == 0);
    MUST(outboxes.bytes_owed == 0 && outboxes.bytes_leaving == 0 && outboxes.memory_leaving == 0);
    MUST(shared.retained_count == 0 && wheel.count == 0);
    MUST(frames.live == 1); /* the ping */
    for (int fd = 0; fd < memory_sockets_max; fd++)
        MUST(!memory_ring_is_open(fd));
    for (uint32_t i = 0; i < record_count; i++)
        MUST(records[i].closed && records[i].conn == nullptr);
}

/* ---- the parts of a turn ---- */

/* What is free is written over, as the next tick's frames would. */
static void spoil_free_frames(void)
{
    struct frame *spoiled[4];
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        struct pool *pool = &frames.classes[i];
        uint32_t count = pool->touched - pool->in_use;
        if (count > 4) count = 4;
        for (uint32_t j = 0; j < count; j++) {
            spoiled[j] = pool_take(pool);
            MUST(spoiled[j] != nullptr);
            memset(spoiled[j]->own, 0xEE, frame_class_sizes[i] < 512 ? frame_class_sizes[i] : 512);
        }
        for (uint32_t j = count; j > 0; j--)
            pool_give(pool, spoiled[j - 1]);
    }
}

static void take_events(uint32_t max)
{
    struct ring_event event;
    for (uint32_t i = 0; i < max && ring_take(&ring, &event, 1) > 0; i++) {
        struct conn *conn = conn_of_token(&shared, event.token);
        if (conn != nullptr && event.token.op == RING_RECV) conn_on_recv(conn, event);
        if (conn != nullptr && event.token.op == RING_SEND) conn_on_send(conn, event);
        if (conn != nullptr && event.token.op == RING_SEND_NOW) conn_on_send_now(conn, event);
        ring_give(&ring, &event);
    }
    conn_arm_waiting(&shared);
}

static void run_timers(void)
{
    wheel_advance(&wheel, instant_ms(shared.now));
    for (struct timer *timer; (timer = wheel_take(&wheel)) != nullptr;)
        conn_on_timer(list_entry(timer, struct conn, timer));
}

static void settle(void)
{
    static uint32_t live; /* frames, when it was last done: seldom do any become free */
    if (!ring_settled(&ring)) return;
    conn_settle(&shared);
    if (frames.live != live) spoil_free_frames();
    live = frames.live;
}

static void shed_worst(void)
{
    struct outbox *worst = outbox_worst(&outboxes);
    if (worst != nullptr) conn_shed(list_entry(worst, struct conn, outbox));
}

static void turn(uint32_t events_max)
{
    shared.now = ring_wait(&ring, 0);
    take_events(events_max);
    settle();
    run_timers();
    conn_flush_dirty(&shared);
    if (outbox_is_over(&outboxes)) shed_worst();
    (void)conn_reap(&shared);
    log_discard(&log_, log_pending(&log_).size);
    for (struct conn *conn = conn_at_or_behind(&shared, 0); conn != nullptr;
         conn = conn_at_or_behind(&shared, conn->slot + 1))
        conn_check(conn);
}

/* The kernel and the worker go on until neither has anything to do. */
static void rest(void)
{
    static const struct memory_receive all = {.size_max = UINT32_MAX};
    for (uint32_t idle = 0; idle < 3;) {
        bool worked = false;
        for (int fd = 0; fd < memory_sockets_max; fd++)
            worked = memory_ring_works(fd, all) || worked;
        turn(UINT32_MAX);
        idle = worked ? 0 : idle + 1;
    }
}

/* ---- acts ---- */

static struct record *pick(uint8_t byte)
{
    for (uint32_t i = 0; i < record_count; i++) {
        struct record *record = &records[(byte + i) % record_count];
        if (record->conn != nullptr) return record;
    }
    return nullptr;
}

/* `conn` has just been made. */
static void remember(struct conn *conn, int fd, uint8_t mood)
{
    MUST(conn->number == record_count + 1);
    struct record *record = &records[record_count++];
    *record = (struct record){.conn = conn, .fd = fd, .mood = mood};
}

static void somebody_comes(uint8_t mood)
{
    int fd = record_count < records_max ? memory_ring_connect() : -1;
    if (fd < 0) return;
    listen_to(fd, record_count);
    struct address peer = {};
    (void)!ring_peer(&ring, fd, &peer);
    struct conn *conn = conn_accept(&shared, fd, 0, &peer);
    if (conn != nullptr) remember(conn, fd, mood);
    MUST((conn != nullptr) == memory_ring_is_open(fd));
}

/* The other worker takes it over. */
static void arrive(uint8_t mood)
{
    if (!parted || record_count == records_max) return;
    parted = false;
    hearer[passport.fd] = record_count;
    struct conn *conn = conn_adopt(&shared, passport);
    if (conn != nullptr) {
        remember(conn, passport.fd, mood);
        conn_upgrade(conn, &passport_upgrade, &limits);
        conn_resume(conn, passport_rest);
    }
    free(passport_rest.data);
}

static void peer_handshakes(struct record *record, uint8_t form)
{
    static const char *const requests[] = {
        ("GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: here\r\n\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
    };
    const char *request = requests[form < 200 ? 0 : form % 4];
    memory_ring_peer_says(record->fd, (struct script){(const uint8_t *)request, strlen(request)});
}

/* A frame, with a mask that does nothing. */
static void peer_sends_frame(struct record *record, struct script *script)
{
    uint8_t frame[8 + 1024] = {script_byte(script)};
    uint32_t size = script_byte(script);
    if (size >= 200) size = (size - 199) * 16; /* up to 896 */
    struct script part = script_part(script, size < 64 ? size : 16);
    size_t start = size < 126 ? 6 : 8;
    frame[1] = 0x80 | (uint8_t)(size < 126 ? size : 126);
    if (size >= 126) {
        frame[2] = (uint8_t)(size >> 8);
        frame[3] = (uint8_t)size;
    }
    for (uint32_t i = 0; i < size; i++)
        frame[start + i] = part.size > 0 ? part.data[i % part.size] : 'x';
    memory_ring_peer_says(record->fd, (struct script){frame, start + size});
}

static void push(struct record *record, struct frame *frame, uint32_t number, uint8_t key)
{
    struct conn *conn = record->conn;
    if (conn == nullptr || conn->phase != CONN_OPEN || record->event_end == events_kept) return;
    enum outbox_answer answer = (settings & 4) != 0
                                    ? outbox_offer(&outboxes, &conn->outbox, frame, OUTBOX_CLOSE)
                                    : outbox_push(&outboxes, &conn->outbox, frame);
    if (outbox_refused(answer))
        conn_left_behind(conn, answer);
    else if (key == 0)
        record->events[record->event_end++] = number;
}

/* A frame for everybody: an event, or a snapshot of one of three keys. */
static void room_speaks(uint8_t kind, uint8_t form)
{
    static uint8_t payload[131072];
    uint8_t key = kind % 4;
    size_t size = room_frame_min + (form < 200 ? form : (size_t)(form - 199) * 1100);
    uint32_t number = ++last_number;
    room_frame_fill(payload, size, number, key);
    struct frame *frame = frame_make(&frames, key > 0 ? FRAME_STATE : FRAME_EVENT, WS_BINARY,
                                     (struct bytes){payload, size});
    if (frame == nullptr) return; /* the pool is dry */
    frame->state_key = key;
    for (uint32_t i = 0; i < record_count; i++)
        push(&records[i], frame, number, key);
    frame_unref(&frames, frame);
}

static void hub_acts(struct record *record, uint8_t what, uint8_t value)
{
    struct conn *conn = record->conn;
    switch (what % 8) {
    case 0: conn_close(conn, (enum close_reason)(1 + value % (close_reason_count - 1))); break;
    case 1: conn_close_retry(conn, CLOSE_RESTART, value); break;
    case 2: shed_worst(); break;
    case 3:
        if (conn->phase == CONN_OPEN)
            conn_restart_at(conn, instant_ms(shared.now) + value * 50 + 1);
        break;
    case 4: conn_drain(conn, CLOSE_RECV_ERROR); break;
    case 5: conn_unpause(conn); break;
    case 6:
        if (conn->phase == CONN_HTTP && conn->held)
            conn_answer_error(conn, 503, TEXT("later"), TEXT("Come back later."), (struct text){});
        break;
    case 7: (void)!conn_flush(conn); break;
    }
}

/* Others take all but a few of the buffers, or give them back. */
static void pools_run_low(uint8_t requests, uint8_t messages)
{
    while (taken_request_count > 0)
        pool_give(&shared.request_buffers, taken_requests[--taken_request_count]);
    while (taken_message_count > 0)
        pool_give(&shared.message_buffers, taken_messages[--taken_message_count]);
    for (void *taken; taken_request_count < requests % (slots + 1); taken_request_count++) {
        if ((taken = pool_take(&shared.request_buffers)) == nullptr) break;
        taken_requests[taken_request_count] = taken;
    }
    for (void *taken; taken_message_count < messages % (slots + 1); taken_message_count++) {
        if ((taken = pool_take(&shared.message_buffers)) == nullptr) break;
        taken_messages[taken_message_count] = taken;
    }
}

static void peer_acts(struct record *record, uint8_t what, struct script *script)
{
    switch (what) {
    case 0: {
        uint32_t size = script_byte(script);
        memory_ring_peer_says(record->fd, script_part(script, size));
        break;
    }
    case 1: peer_handshakes(record, script_byte(script)); break;
    case 2: peer_sends_frame(record, script); break;
    case 3: {
        uint8_t room = script_byte(script);
        memory_ring_peer_takes(record->fd, room == 255 ? UINT32_MAX : room * room);
        break;
    }
    case 4:
        if (script_byte(script) % 4 == 0)
            memory_ring_peer_resets(record->fd);
        else
            memory_ring_peer_ends(record->fd);
        break;
    }
}

/* Only one whose descriptor is its own: a passport's is on its way. */
static void with_somebody(uint8_t what, struct script *script)
{
    struct record *record = pick(script_byte(script));
    if (record == nullptr || !memory_ring_is_open(record->fd)) return;
    if (what < 5) {
        peer_acts(record, what, script);
    } else if (what == 5) {
        uint8_t how = script_byte(script);
        memory_ring_works(record->fd,
                          (struct memory_receive){.size_max = how < 128 ? 1 + how : 4096,
                                                  .ends = how % 8 == 3,
                                                  .no_buffers = how % 32 == 9});
    } else {
        uint8_t action = script_byte(script);
        hub_acts(record, action, script_byte(script));
    }
}

static void act(struct script *script)
{
    uint8_t what = script_byte(script) % 16, value;
    switch (what) {
    case 0 ... 6: with_somebody(what, script); break;
    case 7: somebody_comes(script_byte(script)); break;
    case 8:
        value = script_byte(script);
        room_speaks(value, script_byte(script));
        break;
    case 9: turn(script_byte(script)); break;
    case 10: memory_ring_pass_ms(script_number(script)); break;
    case 11: arrive(script_byte(script)); break;
    case 12:
        value = script_byte(script);
        memory_ring_set_queue(value == 0 || value > 16 ? UINT32_MAX : value - 1);
        break;
    case 13:
        value = script_byte(script);
        pools_run_low(value, value / 16);
        break;
    case 14: /* a part of a turn, with nothing handed over */
        value = script_byte(script);
        take_events(value);
        settle();
        if (value % 2 == 0) break;
        conn_flush_dirty(&shared);
        (void)conn_reap(&shared);
        break;
    case 15: rest(); break;
    }
}

/* ---- the end ---- */

/* Those who are still here, and take everything, have heard all that they must. */
static void check_nothing_missing(void)
{
    for (uint32_t i = 0; i < record_count; i++) {
        struct record *record = &records[i];
        if (record->conn == nullptr || record->conn->phase != CONN_OPEN) continue;
        MUST(record->event_first == record->event_end);
        MUST(outbox_is_empty(&record->conn->outbox));
    }
}

static void end(void)
{
    memory_ring_set_queue(UINT32_MAX);
    pools_run_low(0, 0);
    rest();
    arrive(0);
    if ((settings & 8) == 0) { /* else whoever takes nothing goes on taking nothing */
        for (int fd = 0; fd < memory_sockets_max; fd++)
            if (memory_ring_is_open(fd)) memory_ring_peer_takes(fd, UINT32_MAX);
        rest();
        check_nothing_missing();
    }
    for (uint32_t seconds = 0; seconds < 120 && shared.conns.in_use > 0; seconds += 5) {
        memory_ring_pass_ms(5000);
        rest();
        arrive(0);
    }
    settle();
    check_all_home();
    conn_shared_close(&shared);
    MUST(frames.live == 0);
    memory_ring_close();
    for (int fd = 0; fd < memory_sockets_max; fd++)
        ear_free(&ears[fd]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    settings = script_byte(&script);
    begin();
    while (script.size > 0)
        act(&script);
    end();
    return 0;
}
