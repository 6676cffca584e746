/* tests/unit/hub_world.c: what the world says goes out as it should: a whole worker with the world
 * on it, players over socket pairs that the test has upgraded, and a loop that does not turn before
 * the end (CONTRACT S4-4, D4; DESIGN 2.3, 2.5). */
#include "base/json.h"
#include "check.h"
#include "game/world.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/stop.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct config config;
static struct hub hub;
static struct worker *worker;
static struct hub_room *room;
static struct world_map map;

constexpr uint32_t guests_max = 8;
static struct conn *guests[guests_max];
static int ends[guests_max];
static uint32_t guest_count;

static void read_map(void)
{
    uint8_t problem[512];
    struct writer why = writer_over(problem, sizeof problem);
    struct text text = world_map_builtin();
    size_t size = json_memory_size(text.size);
    void *memory = malloc(size);
    if (!world_map_read(&map, text, (struct bytes){memory, size}, &why)) abort();
    free(memory);
}

static void begin(void)
{
    char memory[256], *environment[] = {nullptr};
    struct writer why = writer_over(memory, sizeof memory);
    char *words[] = {"--connections=64", "--rooms=8",         "--workers=1",
                     "--drain=100ms",    "--log-level=error", "--listen=127.0.0.1:1"};
    if (!config_read(&config, 6, words, environment, &why)) abort();
    config.listen.port = config.admin.port = 0; /* whichever is free */
    read_map();
    config.world = &map;
    hub = (struct hub){};
    if (!hub_init(&hub, &config, (struct hash_key){1, 2})) abort();
    worker = hub.workers[0] = worker_make(&hub, 0);
    if (worker == nullptr || worker_start(worker) != 0) abort();
    room = rooms_find(worker, TEXT("world"));
    if (room == nullptr) abort();
    guest_count = 0;
}

static struct world *world(void)
{
    return (struct world *)room->state;
}

/* What hub/verify.c would have found out about a token. */
static void show_token(struct conn *conn)
{
    struct game_words words =
        words_over_much(hub.lent[GAME_WORLD].words, hub.lent[GAME_WORLD].words_size);
    char id[16];
    snprintf(id, sizeof id, "p%u", guest_count);
    const struct game_guest guest = {.player = text_of(id), .until_ms = UINT64_MAX / 2};
    const struct game_time now = {.ms = instant_ms(worker->now), .ns = worker->now.ns};
    game_world.verified(room->state, pool_index(&worker->members, conn->member), &guest,
                        (struct text){}, (struct text){}, now, &words);
}

static struct conn *enter(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
    struct conn *conn =
        conn_accept(&worker->conns, pair[0], LISTENER_WORLD, &(struct address){.is_v4 = true});
    worker->listener_conns[LISTENER_WORLD] += 1;
    conn->counted = quota_take(&hub.connections);
    conn_upgrade(conn, &(struct http_upgrade){}, &worker->ws_limits[GAME_WORLD]);
    ends[guest_count] = pair[1];
    (void)!rooms_enter(worker, room, conn, nullptr);
    guests[guest_count++] = conn;
    show_token(conn);
    return conn;
}

/* The worker drains, and everything must come home. */
static void end(void)
{
    for (uint32_t i = 0; i < guest_count; i++)
        close(ends[i]);
    worker->now = worker->conns.now = ring_now(&worker->ring);
    stop_begin(worker);
    EXPECT_EQ(worker_run(worker), 0);
    worker_free(worker);
    hub_deinit(&hub);
}

static void tick(void)
{
    worker->now.ns = world()->next_tick_ms * 1'000'000;
    worker->conns.now = worker->now;
    events_on_timer(worker, room);
}

static struct frame *queued(const struct conn *conn, uint32_t index)
{
    const struct outbox *box = &conn->outbox;
    struct frame *const *slots = box->slots != nullptr ? box->slots : box->few;
    uint32_t capacity = box->slots != nullptr ? outbox_frames_max : outbox_inline_frames;
    return index < box->count ? slots[(box->head + index) % capacity] : nullptr;
}

/* The frames of a lane that wait for it. */
static uint32_t waiting(const struct conn *conn, enum frame_lane lane, struct frame **first)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < conn->outbox.count; i++) {
        if (queued(conn, i)->lane != lane) continue;
        if (count++ == 0 && first != nullptr) *first = queued(conn, i);
    }
    return count;
}

/* Moves a player to another place, whatever the rules say. */
static void put(uint32_t guest, double x, double z)
{
    uint32_t member = pool_index(&worker->members, guests[guest]->member);
    uint32_t player = world()->members[member].player;
    world_motion_place(&world()->players[player].motion, (struct world_point){x, 60, z},
                       worker->now.ns);
    world_place(world(), player);
}

TEST("a cell is encoded once a tick, and all who see it hold the same frame (D4)")
{
    begin();
    for (uint32_t i = 0; i < 5; i++)
        enter();
    for (uint32_t i = 0; i < 5; i++)
        put(i, 10 + i, 10);
    tick();
    uint64_t encodes = worker->metrics.kinds[GAME_WORLD].encodes;
    tick();
    EXPECT_EQ(worker->metrics.kinds[GAME_WORLD].encodes, encodes + 1);
    EXPECT_EQ(worker->metrics.kinds[GAME_WORLD].ticks, 2);
    struct frame *first, *other;
    EXPECT_EQ(waiting(guests[0], FRAME_STATE, &first), 1);
    EXPECT_EQ(first->refs, 5);
    for (uint32_t i = 1; i < 5; i++) {
        EXPECT_EQ(waiting(guests[i], FRAME_STATE, &other), 1);
        EXPECT(other == first);
    }
    end();
}

TEST("of each cell only the newest unsent update waits, behind what has happened since")
{
    begin();
    enter();
    enter();
    put(0, 10, 10);
    put(1, -10, 10); /* another cell in sight */
    tick();
    EXPECT_EQ(waiting(guests[0], FRAME_STATE, nullptr), 2);
    for (uint32_t i = 0; i < 10; i++)
        tick();
    EXPECT_EQ(waiting(guests[0], FRAME_STATE, nullptr), 2);
    EXPECT_EQ(worker->outboxes.counters.conflated, 2 * 2 * 10);
    enter();
    put(2, 12, 10);
    tick();
    uint32_t last = guests[0]->outbox.count - 1u;
    EXPECT_EQ(queued(guests[0], last)->lane, FRAME_STATE);
    EXPECT_EQ(queued(guests[0], last - 1)->lane, FRAME_STATE);
    EXPECT_EQ(queued(guests[0], last - 2)->lane, FRAME_EVENT);
    end();
}

TEST("a player's update leaves as one send, however many cells it is made of")
{
    begin();
    for (uint32_t i = 0; i < 6; i++)
        enter();
    for (uint32_t i = 0; i < 6; i++)
        put(i, i % 2 == 0 ? 10 : -10, -60 + 50.0 * (i / 2));
    tick();
    EXPECT(waiting(guests[0], FRAME_STATE, nullptr) >= 3);
    EXPECT(conn_flush(guests[0]));
    EXPECT_EQ(guests[0]->outbox.in_flight, guests[0]->outbox.count);
    EXPECT(guests[0]->send_armed);
    end();
}

TEST("who cannot be told that somebody comes is closed with 4508; updates close nobody (S4-12)")
{
    begin();
    struct conn *slow = enter(), *other = enter();
    put(0, 10, 10);
    put(1, 12, 10);
    for (uint32_t i = 0; i < 2 * outbox_frames_max; i++)
        tick();
    EXPECT_EQ(slow->phase, CONN_OPEN);
    for (uint32_t i = 0; i < outbox_frames_max && slow->phase == CONN_OPEN; i++) {
        put(1, i % 2 == 0 ? 400 : 12, 10); /* out of sight, and back */
        outbox_clear(&worker->outboxes, &other->outbox);
        tick();
    }
    EXPECT_EQ(slow->close_code, 4508);
    EXPECT_EQ(other->phase, CONN_OPEN);
    end();
}
