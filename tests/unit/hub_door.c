/* tests/unit/hub_door.c: the way into rooms whose members show a token, behind the token: whose
 * rules decide, and who makes a room (THREATS.md A11, G4, R7). A whole worker, whose loop does not
 * turn before the end, with connections over socket pairs. */
#include "check.h"
#include "hub/door.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/stop.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct config config;
static struct hub hub;
static struct worker *worker;

constexpr uint32_t guests_max = 8;
static int ends[guests_max];
static uint32_t guest_count;

#define ROOM TEXT("lobby/g1")

/* One worker without a room. `limit` is an option. */
static void begin(char *limit)
{
    char memory[256], *environment[] = {nullptr};
    struct writer why = writer_over(memory, sizeof memory);
    char *words[] = {"--connections=64",  "--rooms=2",
                     "--workers=1",       "--drain=100ms",
                     "--log-level=error", "--listen=127.0.0.1:1",
                     "--lobby-people=2",  limit};
    if (!config_read(&config, 8, words, environment, &why)) abort();
    config.listen.port = config.admin.port = 0; /* whichever is free */
    hub = (struct hub){};
    if (!hub_init(&hub, &config, (struct hash_key){1, 2})) abort();
    worker = hub.workers[0] = worker_make(&hub, 0);
    if (worker == nullptr || worker_start(worker) != 0) abort();
    guest_count = 0;
}

/* Somebody whose token was good comes by a lobby's path to the room of that name. */
static struct conn *come_to(struct text name, const char *player, const char *room)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
    struct conn *conn =
        conn_accept(&worker->conns, pair[0], LISTENER_PUBLIC, &(struct address){.is_v4 = true});
    worker->listener_conns[LISTENER_PUBLIC] += 1;
    conn->counted = quota_take(&hub.connections);
    ends[guest_count++] = pair[1];
    const struct game_guest guest = {.room = text_of(room),
                                     .player = text_of(player),
                                     .name = text_of(player),
                                     .until_ms = instant_ms(worker->now) + 60'000};
    door_enter(worker, conn, GAME_LOBBY, name, &(struct http_upgrade){}, &guest);
    return conn;
}

static struct conn *come(const char *player)
{
    return come_to(ROOM, player, "");
}

/* The worker drains, and everything must come home. */
static void end(void)
{
    for (uint32_t i = 0; i < guest_count; i++)
        close(ends[i]);
    stop_begin(worker);
    EXPECT_EQ(worker_run(worker), 0);
    worker_free(worker);
    hub_deinit(&hub);
}

/* It was not let in, and its answer has these words. */
static void expect_refused(const struct conn *conn, const char *words)
{
    const struct outbox *box = &conn->outbox;
    EXPECT(conn->member == nullptr && !conn->upgraded);
    EXPECT(box->count > 0 &&
           memmem(box->few[0]->wire, box->few[0]->wire_size, words, strlen(words)) != nullptr);
}

TEST("who comes first makes the room, and the next one comes to the same")
{
    begin("--vote=on");
    const struct conn *first = come("p1"), *second = come("p2");
    const struct hub_room *room = rooms_find(worker, ROOM);
    EXPECT(room != nullptr && room->room.kind == GAME_LOBBY);
    EXPECT_EQ(room->room.seat_count, 2);
    EXPECT(first->member != nullptr && second->member != nullptr);
    EXPECT_EQ(worker->metrics.kinds[GAME_LOBBY].rooms, 1);
    end();
}

TEST("a room of another kind is entered by that one's rules, whatever the path's kind is (A11)")
{
    uint8_t memory[64];
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer answer;
    begin("--vote=on");
    struct hub_room *room = rooms_acquire(worker, GAME_AVALON, ROOM, TEXT("room-1"));
    const struct game_request request = {
        .verb = TEXT("join"), .body = TEXT("Ann"), .token = TEXT("p1")};
    EXPECT(events_request(worker, ROOM, &request, &reply, &answer) && answer == GAME_DONE);
    expect_refused(come_to(ROOM, "p2", "room-1"), "unknown_player");
    expect_refused(come_to(ROOM, "p1", "room-2"), "unknown_player");
    const struct conn *conn = come_to(ROOM, "p1", "room-1");
    EXPECT(conn->member != nullptr);
    EXPECT_EQ(room->room.seat_count, 1);
    EXPECT_EQ(worker->metrics.kinds[GAME_AVALON].connections, 1);
    EXPECT_EQ(worker->metrics.kinds[GAME_LOBBY].rooms, 0);
    end();
}

TEST("a full room admits only whom it knows (G4)")
{
    begin("--vote=on");
    (void)come("p1");
    struct conn *second = come("p2");
    expect_refused(come("p3"), "room_full");
    const struct conn *again = come("p2");
    EXPECT(again->member != nullptr && second->member == nullptr);
    EXPECT_EQ(second->reason, CLOSE_REPLACED);
    end();
}

TEST("no more rooms are made than there may be, and those that are there stay open (R7)")
{
    begin("--address-rooms=0");
    (void)come_to(TEXT("lobby/a"), "p1", "");
    (void)come_to(TEXT("lobby/b"), "p1", "");
    expect_refused(come_to(TEXT("lobby/c"), "p1", ""), "too_many_rooms");
    EXPECT(come_to(TEXT("lobby/b"), "p2", "")->member != nullptr);
    end();
}

TEST("an address makes as many rooms as it may, and has its places back (R7)")
{
    begin("--address-rooms=1");
    (void)come_to(TEXT("lobby/a"), "p1", "");
    expect_refused(come_to(TEXT("lobby/b"), "p1", ""), "address_rooms");
    EXPECT(rooms_find(worker, TEXT("lobby/b")) == nullptr);
    EXPECT(come_to(TEXT("lobby/a"), "p2", "")->member != nullptr);
    end();
    begin("--rooms=1");
    (void)come_to(TEXT("lobby/a"), "p1", "");
    for (uint32_t i = 0; i < 3; i++) /* the place that was counted comes back each time */
        expect_refused(come_to(TEXT("lobby/b"), "p1", ""), "too_many_rooms");
    end();
}

TEST("who cannot be seated for want of memory leaves no room behind (R7)")
{
    begin("--address-rooms=2");
    (void)come_to(TEXT("lobby/a"), "p1", ""); /* what it is told waits to be sent */
    uint64_t owed_max = worker->outboxes.bytes_owed_max;
    worker->outboxes.bytes_owed_max = 0;
    for (uint32_t i = 0; i < 3; i++) {
        expect_refused(come_to(TEXT("lobby/b"), "p1", ""), "overloaded");
        EXPECT(rooms_find(worker, TEXT("lobby/b")) == nullptr);
    }
    worker->outboxes.bytes_owed_max = owed_max;
    EXPECT(come_to(TEXT("lobby/b"), "p1", "")->member != nullptr);
    end();
}
