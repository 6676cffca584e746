/* fuzz/conn.c: whole connections, fed by a script: the real conn/, outbox/, http/ and ws/ over
 * memory_ring.c, with a hub of this file's own. Input: 1 byte of settings, then acts (see
 * act()); each takes the bytes that it needs.
 *
 * Whatever peers, kernel and hub do: what is sent is HTTP and then RFC 6455 (wire.h); a room's
 * frames come whole, in order, none of them missing that must not; messages reach the hub as they
 * were said, and those who are answered get every answer in order (peer.h); nobody is closed for a
 * rate that was kept; each connection closes once, with a reason, and is released once, last; and
 * when all peers have gone silent, everything comes home by the deadlines alone. */
#include "conn/conn.h"
#include "base/log.h"
#include "base/utf8.h"
#include "memory_ring.h"
#include "peer.h"

constexpr uint32_t slots = 6;  /* of connections; one less than the descriptors there are */
constexpr uint32_t larges = 2; /* frames of the large class */
constexpr uint32_t large_max = 140'000; /* bytes of a message; some are below, some beyond */
constexpr uint32_t records_max = 256;   /* connections in one run */
constexpr uint32_t events_kept = 512;   /* of a room, for one peer */

/* of a record: its connection begins with a PROXY header */
constexpr uint8_t prefaced_mood = 0x20;

enum setting : uint8_t {
    NEVER_SEND_NOW = 1,
    LOG_ALL = 2,
    OFFER_BY_POLICY = 4,
    SILENT_TO_THE_END = 8, /* whoever takes nothing goes on taking nothing */
    DEFLATE = 16,
    RATES = 32,
    SMALL_REPLIES = 64, /* little memory for answers */
    LARGE_MESSAGES = 128,
};

/* What the hub knows of one connection, by its number. */
struct record {
    struct conn *conn; /* nullptr once released */
    int fd;
    uint8_t mood; /* what the hub will do with its request */
    bool closed;
    uint32_t tokens;              /* that its messages have cost */
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
static struct peer peers[memory_sockets_max];
static uint32_t hearer[memory_sockets_max]; /* the record that the peer belongs to */
static bool hub_closes;                     /* the reason is the hub's, whatever it says */

/* A connection on its way to another worker, which is this one. */
static struct conn_passport passport;
static struct bytes passport_rest;
static struct http_upgrade passport_upgrade;
static bool parted;

/* Buffers that the rest of the worker has taken. */
static void *taken_requests[slots], *taken_messages[slots], *taken_larges[larges];
static uint32_t taken_request_count, taken_message_count, taken_large_count;
static struct frame *taken_frames[128];
static uint32_t taken_frame_count;

static const struct rate message_rate = {.per_second = 4, .burst = 12};
static const struct rate control_rate = {.per_second = 3, .burst = 6};
static struct ws_limits limits, answered_limits;

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
    struct record *record = &records[hearer[((struct peer *)context)->fd]];
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
    const struct conn *conn = records[hearer[fd]].conn;
    MUST(conn == nullptr || !conn->prefaced); /* who shows no header learns nothing */
    ear_hears(&peers[fd].ear, data, size);
}

/* ---- the hub ---- */

static void part(struct conn *conn, const struct http_upgrade *upgrade, struct bytes rest)
{
    passport_rest = bytes_exact(rest.data, rest.size);
    passport_upgrade = *upgrade;
    passport = conn_part(conn);
    parted = true;
}

static void open_up(struct conn *conn, const struct http_upgrade *upgrade, size_t rest)
{
    uint8_t mood = record_of(conn)->mood % 8;
    bool answered = mood == 4 || mood == 5;
    struct peer *peer = &peers[conn->fd];
    const struct ws_limits *its_limits = answered ? &answered_limits : &limits;
    conn_upgrade(conn, upgrade, its_limits);
    if (conn->phase != CONN_OPEN) return;
    MUST(conn->window_bits == upgrade->deflate.server_bits);
    peer_upgrades(peer, rest, conn->window_bits, its_limits);
    peer->ear.answered = answered;
    if (answered) conn_answer_all(conn);
    if (mood == 3) conn_pause(conn);
}

/* It is the header that the peer began with, whole. */
static void on_proxy(void *, struct conn *conn, const struct http_proxy *proxy)
{
    const struct pot *said = &peers[conn->fd].said;
    struct http_proxy own;
    MUST(conn->phase == CONN_HTTP && !conn->prefaced);
    MUST(http_proxy_read((struct bytes){said->data, said->size}, &own) == HTTP_PROXY_WHOLE);
    MUST(own.size == proxy->size && own.has_client == proxy->has_client);
    MUST(memcmp(own.client.ip, proxy->client.ip, sizeof own.client.ip) == 0);
    if ((record_of(conn)->mood & 0x18) == 0x18)
        conn_answer_error(conn, 429, TEXT("too_many"), TEXT("Too many of you."), (struct text){});
}

static void on_request(void *, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    MUST(!conn->prefaced);
    const struct http_upgrade_policy policy = {.any_origin = true,
                                               .deflate = (settings & DEFLATE) != 0};
    struct http_upgrade upgrade;
    uint8_t mood = record_of(conn)->mood % 8;
    MUST(conn->phase == CONN_HTTP);
    if (text_equal(request->method, TEXT("HEAD"))) peers[conn->fd].ear.asked_head = true;
    if (mood == 1) {
        conn_hold(conn);
    } else if (http_upgrade_check(request, &policy, &upgrade) != HTTP_UPGRADE_OK) {
        conn_answer_error(conn, 404, TEXT("nothing_here"), TEXT("Nothing is here."),
                          (struct text){});
    } else if (mood == 2 && !parted) {
        part(conn, &upgrade, rest);
    } else {
        open_up(conn, &upgrade, rest.size);
    }
}

/* What it has said by now is no more than its rate lets it. */
static void pay(struct record *record, size_t size)
{
    const struct rate rate = limits.messages;
    if (rate.per_second == 0) return;
    uint32_t cost = 1 + (uint32_t)size / 4096;
    record->tokens += cost < rate.burst ? cost : rate.burst;
    uint64_t ms = instant_ms(shared.now) - record->conn->opened_ms;
    MUST(record->tokens <= rate.burst + 1 + ms * rate.per_second / 1000);
}

static void on_message(void *, struct conn *conn, const struct ws_message *message)
{
    struct record *record = record_of(conn);
    MUST(conn->phase == CONN_OPEN && !record->closed && !conn->paused);
    MUST(message->opcode == WS_TEXT || message->opcode == WS_BINARY);
    MUST(message->payload.size <= conn->ws.limits->message_size_max && !message->compressed);
    MUST(message->opcode == WS_BINARY || utf8_valid(message->payload));
    peer_was_given(&peers[conn->fd], message->opcode, message->payload);
    pay(record, message->payload.size);
    hub_closes = true;
    if ((record->mood & 0x40) != 0 && message->payload.size == 1) /* a hub may close from here */
        conn_close(conn, CLOSE_TOO_SLOW);
    else if (conn->answered)
        conn_reply(conn, message->opcode, message->payload);
    hub_closes = false;
}

/* Nobody is closed for what it has not done. */
static void expect_deserved(const struct conn *conn)
{
    const struct record *record = record_of(conn);
    switch (conn->reason) {
    case CLOSE_RATE_LIMITED:
        MUST((settings & RATES) != 0);
        MUST(shared.counters.control_limited > 0 ||
             record->tokens + 1 + conn->ws.limits->message_size_max / 4096 > message_rate.burst);
        break;
    case CLOSE_PONG_TIMEOUT:
    case CLOSE_MESSAGE_TIMEOUT: MUST(!conn->paused); break; /* not heard by our own choice */
    case CLOSE_WS_RATIO:
    case CLOSE_WS_BAD_DEFLATE: MUST(conn->window_bits != 0); break;
    default: break;
    }
}

static void on_close(void *, struct conn *conn)
{
    struct record *record = record_of(conn);
    MUST(!record->closed && conn->reason != CLOSE_NONE);
    record->closed = true;
    if (!hub_closes) expect_deserved(conn);
}

static void on_release(void *, struct conn *conn)
{
    struct record *record = record_of(conn);
    MUST(record->closed && outbox_is_empty(&conn->outbox));
    record->conn = nullptr;
    if (conn->fd < 0) return; /* handed over */
    const struct peer *peer = &peers[conn->fd];
    MUST(!peer->ear.heard_close || peer->ear.close_code == conn->close_code);
    peer_judge(peer, false);
}

static const struct conn_hooks hooks = {.on_proxy = on_proxy,
                                        .on_request = on_request,
                                        .on_message = on_message,
                                        .on_close = on_close,
                                        .on_release = on_release};

/* ---- begin and end ---- */

static void reserve(struct arena *from)
{
    frame_pool_init(&frames, from, 1 << 19);
    frame_pool_add_large(&frames, from, large_max + (uint32_t)ws_control_payload_max, larges);
    outbox_set_init(&outboxes, from, &frames, slots - 2); /* it can run dry */
    conn_reserve(&shared, from);
}

static void set_limits(void)
{
    bool large = (settings & LARGE_MESSAGES) != 0;
    limits =
        (struct ws_limits){.message_size_max = 2000,
                           .tiny_fragments_max = 8,
                           .messages = (settings & RATES) != 0 ? message_rate : (struct rate){}};
    answered_limits = limits;
    answered_limits.message_size_max = large ? large_max : 3000;
}

static void begin(void)
{
    set_limits();
    shared = (struct conn_shared){
        .ring = &ring,
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
                   .inflated_size_max = large_max,
                   .answered_max = slots,
                   .reply_memory = (settings & SMALL_REPLIES) != 0 ? 4096 : 1 << 18},
        .send_now = (settings & NEVER_SEND_NOW) == 0};
    if ((settings & RATES) != 0) shared.config.control = control_rate;
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
    log_init(&log_, (settings & LOG_ALL) != 0 ? LOG_DEBUG : LOG_ERROR, false, 0, 1000);
    MUST(conn_shared_open(&shared));
    record_count = last_number = 0;
    parted = false;
}

static void check_all_home(void)
{
    MUST(shared.conns.in_use == 0 && conn_at_or_behind(&shared, 0) == nullptr);
    MUST(list_is_empty(&shared.waiting) && list_is_empty(&shared.drained));
    MUST(list_is_empty(&shared.stopped) && shared.kept_buffers.in_use == 0);
    MUST(shared.inflated.in_use == 0 && frames.reply_bytes == 0 && frames.bytes_of_twins == 0);
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
    if (worst == nullptr) return;
    struct conn *conn = list_entry(worst, struct conn, outbox);
    hub_closes = true;
    if (conn->answered)
        outbox_spare(&outboxes, worst);
    else
        conn_shed(conn);
    hub_closes = false;
}

/* True when another one must follow. */
static bool turn(uint32_t events_max)
{
    shared.now = ring_wait(&ring, 0);
    take_events(events_max);
    settle();
    run_timers();
    conn_flush_dirty(&shared);
    if (outbox_is_over(&outboxes)) shed_worst();
    (void)conn_reap(&shared);
    bool more = conn_read_stopped(&shared, UINT64_MAX / 2);
    log_discard(&log_, log_pending(&log_).size);
    for (struct conn *conn = conn_at_or_behind(&shared, 0); conn != nullptr;
         conn = conn_at_or_behind(&shared, conn->slot + 1))
        conn_check(conn);
    return more;
}

/* The kernel and the worker go on until neither has anything to do. */
static void rest(void)
{
    static const struct memory_receive all = {.size_max = UINT32_MAX};
    for (uint32_t idle = 0; idle < 3;) {
        bool worked = false;
        for (int fd = 0; fd < memory_sockets_max; fd++)
            worked = memory_ring_works(fd, all) || worked;
        worked = turn(UINT32_MAX) || worked;
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
    peer_begin(&peers[fd], fd);
    peers[fd].ear.on_frame = on_room_frame;
    hearer[fd] = record_count;
    struct address peer = {};
    (void)!ring_peer(&ring, fd, &peer);
    struct conn *conn = conn_accept(&shared, fd, 0, &peer);
    if (conn != nullptr) remember(conn, fd, mood);
    if (conn != nullptr) conn->prefaced = (mood & prefaced_mood) != 0;
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
        remember(conn, passport.fd, mood & 0xF8); /* neither paused nor answered */
        open_up(conn, &passport_upgrade, passport_rest.size);
        conn_resume(conn, passport_rest);
    }
    free(passport_rest.data);
}

static void push(struct record *record, struct frame *frame, uint32_t number, uint8_t key)
{
    struct conn *conn = record->conn;
    if (conn == nullptr || conn->phase != CONN_OPEN || conn->answered) return;
    if (record->event_end == events_kept) return;
    enum outbox_answer answer = (settings & OFFER_BY_POLICY) != 0
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
    hub_closes = what % 8 != 5;
    switch (what % 8) {
    case 0: conn_close(conn, (enum close_reason)(1 + value % (close_reason_count - 1))); break;
    case 1: conn_close_retry(conn, CLOSE_RESTART, value); break;
    case 2: shed_worst(); break;
    case 3:
        if (conn->phase == CONN_OPEN)
            conn_restart_at(conn, instant_ms(shared.now) + value * 50 + 1);
        break;
    case 4: conn_drain(conn, CLOSE_RECV_ERROR); break;
    case 5:
        if (!conn->answered) conn_unpause(conn);
        break;
    case 6:
        if (conn->phase == CONN_HTTP && conn->held)
            conn_answer_error(conn, 503, TEXT("later"), TEXT("Come back later."), (struct text){});
        break;
    case 7: (void)!conn_flush(conn); break;
    }
    hub_closes = false;
}

/* Others take so many of a pool's objects, or give them back. */
static void take_some(struct pool *pool, void **taken, uint32_t *count, uint32_t wanted)
{
    while (*count > 0)
        pool_give(pool, taken[--*count]);
    while (*count < wanted && (taken[*count] = pool_take(pool)) != nullptr)
        *count += 1;
}

static void buffers_run_low(uint8_t requests, uint8_t messages)
{
    take_some(&shared.request_buffers, taken_requests, &taken_request_count,
              requests % (slots + 1));
    take_some(&shared.message_buffers, taken_messages, &taken_message_count,
              messages % (slots + 1));
}

/* Large frames alone, or those for messages of a KiB and more, too. */
static void frames_run_low(uint8_t how)
{
    while (taken_frame_count > 0)
        frame_unref(&frames, taken_frames[--taken_frame_count]);
    take_some(&frames.classes[frame_class_large], taken_larges, &taken_large_count,
              how % (larges + 1));
    uint32_t wanted = how / 4 % 4 * 40; /* there are 84 of those that are not large */
    for (struct frame *frame; taken_frame_count < wanted; taken_frame_count++) {
        if ((frame = frame_reserve(&frames, 2000)) == nullptr) break;
        taken_frames[taken_frame_count] = frame;
    }
}

static void peer_acts(struct peer *peer, uint8_t what, struct script *script)
{
    uint8_t byte;
    switch (what) {
    case 0:
        byte = script_byte(script);
        peer_says(peer, script_part(script, byte));
        break;
    case 2: peer_sends_frame(peer, script); break;
    case 3:
        byte = script_byte(script);
        memory_ring_peer_takes(peer->fd, byte == 255 ? UINT32_MAX : byte * byte);
        break;
    case 4:
        if (script_byte(script) % 4 == 0)
            memory_ring_peer_resets(peer->fd);
        else
            memory_ring_peer_ends(peer->fd);
        break;
    case 16: peer_sends_deflated(peer, script); break;
    case 17:
        byte = script_byte(script);
        peer_sends_many(peer, byte, script_byte(script));
        break;
    }
}

/* A PROXY header, if nothing has been said yet. */
static void prefaces(const struct record *record)
{
    static const uint8_t headers[2][40] = {
        "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xC6\x33\x64\7\xA\0\0\1\xD4\x31\1\xBB\4\0\2xx",
    };
    uint32_t form = record->mood >> 3 & 1;
    struct peer *peer = &peers[record->fd];
    if (peer->said.size == 0) peer_says(peer, (struct script){headers[form], form == 0 ? 16 : 33});
}

/* Only one whose descriptor is its own: a passport's is on its way. */
static void with_somebody(uint8_t what, struct script *script)
{
    struct record *record = pick(script_byte(script));
    if (record == nullptr || !memory_ring_is_open(record->fd)) return;
    if (what == 5) {
        uint8_t how = script_byte(script);
        memory_ring_works(record->fd,
                          (struct memory_receive){.size_max = how < 128 ? 1 + how : 4096,
                                                  .ends = how % 8 == 3,
                                                  .no_buffers = how % 32 == 9});
    } else if (what == 1) {
        if ((record->mood & prefaced_mood) != 0) prefaces(record);
        peer_handshakes(&peers[record->fd], script_byte(script));
    } else if (what == 6) {
        uint8_t action = script_byte(script);
        hub_acts(record, action, script_byte(script));
    } else {
        peer_acts(&peers[record->fd], what, script);
    }
}

static void act(struct script *script)
{
    uint8_t what = script_byte(script) % 20, value;
    switch (what) {
    case 0 ... 6:
    case 16:
    case 17: with_somebody(what, script); break;
    case 7: somebody_comes(script_byte(script)); break;
    case 8:
        value = script_byte(script);
        room_speaks(value, script_byte(script));
        break;
    case 9: (void)turn(script_byte(script)); break;
    case 10: memory_ring_pass_ms(script_number(script)); break;
    case 11: arrive(script_byte(script)); break;
    case 12:
        value = script_byte(script);
        memory_ring_set_queue(value == 0 || value > 16 ? UINT32_MAX : value - 1);
        break;
    case 13:
        value = script_byte(script);
        buffers_run_low(value, value / 16);
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
    case 18: frames_run_low(script_byte(script)); break;
    case 19: (void)conn_read_stopped(&shared, UINT64_MAX / 2); break;
    }
}

/* ---- the end ---- */

/* Stopped peers are read again when they have taken what they are owed, unless frames are short. */
static bool is_whole(const struct conn *conn)
{
    const struct pool *large = &frames.classes[frame_class_large];
    MUST(!conn->paused || !conn->answered || large->in_use == large->capacity);
    return !conn->paused;
}

/* Those who are still here, and take everything, have heard all that they must. */
static void check_nothing_missing(void)
{
    for (uint32_t i = 0; i < record_count; i++) {
        struct record *record = &records[i];
        struct conn *conn = record->conn;
        if (conn == nullptr || conn->phase != CONN_OPEN) continue;
        MUST(record->event_first == record->event_end);
        MUST(outbox_is_empty(&conn->outbox));
        peer_judge(&peers[record->fd], is_whole(conn));
    }
}

/* Who is stopped by its own peer waits for it for as long as there is one, and who is paused waits
 * for the hub. */
static void stopped_peers_leave(void)
{
    for (uint32_t i = 0; i < record_count; i++) {
        struct conn *conn = records[i].conn;
        if (conn == nullptr || !conn->paused) continue;
        if (conn->answered)
            memory_ring_peer_resets(records[i].fd);
        else
            conn_unpause(conn);
    }
}

static void end(void)
{
    memory_ring_set_queue(UINT32_MAX);
    buffers_run_low(0, 0);
    frames_run_low(0);
    rest();
    arrive(0);
    if ((settings & SILENT_TO_THE_END) == 0) {
        for (int fd = 0; fd < memory_sockets_max; fd++)
            if (memory_ring_is_open(fd)) memory_ring_peer_takes(fd, UINT32_MAX);
        rest();
        check_nothing_missing();
    }
    for (uint32_t seconds = 0; seconds < 120 && shared.conns.in_use > 0; seconds += 5) {
        memory_ring_pass_ms(5000);
        rest();
        arrive(0);
        stopped_peers_leave();
    }
    settle();
    check_all_home();
    conn_shared_close(&shared);
    MUST(frames.live == 0);
    memory_ring_close();
    for (int fd = 0; fd < memory_sockets_max; fd++)
        peer_free(&peers[fd]);
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
