/* tests/unit/hub_events.c: what a game says reaches those for whom it is: a whole worker, with
 * connections over socket pairs that the test has upgraded, and whose loop does not turn before
 * the end (THREATS.md S1-13, S1-15, S1-16, D11, G16). */
#include "check.h"
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

constexpr uint32_t guests_max = 4;
static struct conn *guests[guests_max];
static int ends[guests_max];
static uint32_t guest_count;

#define ROOM TEXT("vote/123456")
#define TOKEN TEXT("the host's token")

/* One worker with one acquired room and nobody in it. */
static void begin(void)
{
    char memory[256], *environment[] = {nullptr};
    struct writer why = writer_over(memory, sizeof memory);
    char *words[] = {"--connections=64", "--rooms=8",         "--workers=1",
                     "--drain=100ms",    "--log-level=error", "--listen=127.0.0.1:1"};
    if (!config_read(&config, 6, words, environment, &why)) abort();
    config.listen.port = config.admin.port = 0; /* whichever is free */
    hub = (struct hub){};
    if (!hub_init(&hub, &config, (struct hash_key){1, 2})) abort();
    worker = hub.workers[0] = worker_make(&hub, 0);
    if (worker == nullptr || worker_start(worker) != 0) abort();
    room = rooms_acquire(worker, GAME_VOTE, ROOM, TOKEN);
    if (room == nullptr) abort();
    guest_count = 0;
}

/* A connection that has been upgraded into the room, or would have been. `guest` is nullptr where
 * members have no names. */
static struct conn *enter_as(const struct game_guest *guest)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0) abort();
    struct conn *conn =
        conn_accept(&worker->conns, pair[0], LISTENER_PUBLIC, &(struct address){.is_v4 = true});
    worker->listener_conns[LISTENER_PUBLIC] += 1;
    conn->counted = quota_take(&hub.connections);
    conn_upgrade(conn, &(struct http_upgrade){}, &worker->ws_limits[GAME_VOTE]);
    ends[guest_count] = pair[1];
    guests[guest_count++] = conn;
    (void)!rooms_enter(worker, room, conn, guest);
    return conn;
}

static struct conn *enter(void)
{
    return enter_as(nullptr);
}

/* The worker drains, and everything must come home. */
static void end(void)
{
    for (uint32_t i = 0; i < guest_count; i++)
        close(ends[i]);
    worker->now = worker->conns.now = ring_now(&worker->ring); /* a test may have been ahead */
    stop_begin(worker);
    EXPECT_EQ(worker_run(worker), 0);
    worker_free(worker);
    hub_deinit(&hub);
}

static const struct frame *queued(const struct conn *conn, uint32_t index)
{
    const struct outbox *box = &conn->outbox;
    struct frame *const *slots = box->slots != nullptr ? box->slots : box->few;
    uint32_t capacity = box->slots != nullptr ? outbox_frames_max : outbox_inline_frames;
    return index < box->count ? slots[(box->head + index) % capacity] : nullptr;
}

/* True when that frame, behind the 101, has these words. */
static bool says(const struct conn *conn, uint32_t index, const char *words)
{
    const struct frame *frame = queued(conn, 1 + index);
    return frame != nullptr &&
           memmem(frame->wire, frame->wire_size, words, strlen(words)) != nullptr;
}

static enum game_answer ask(struct text verb, struct text body)
{
    uint8_t memory[256];
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer answer = GAME_REFUSED;
    const struct game_request request = {
        .verb = verb,
        .body = body,
        .token = TOKEN,
        .memory = {worker->json_memory, sizeof worker->json_memory}};
    EXPECT(events_request(worker, ROOM, &request, &reply, &answer));
    return answer;
}

static void participate(void)
{
    EXPECT_EQ(ask(TEXT("participate"), TEXT("{\"text\":\"x\"}")), GAME_DONE);
}

static bool is_there(void)
{
    return rooms_find(worker, ROOM) != nullptr;
}

TEST("a joiner hears the status first and only what is for it; the others hear of it, in order")
{
    begin();
    struct conn *first = enter(), *second = enter();
    participate();
    EXPECT_EQ(first->outbox.count, 4);
    EXPECT(says(first, 0, "room_status"));
    EXPECT(says(first, 1, "participant_joined"));
    EXPECT(says(first, 2, "participant_ready"));
    EXPECT_EQ(second->outbox.count, 3);
    EXPECT(says(second, 0, "\"participants_count\":2"));
    EXPECT(says(second, 1, "participant_ready"));
    EXPECT(queued(first, 3) == queued(second, 2)); /* the same frame */
    EXPECT_EQ(queued(first, 3)->refs, 2);
    end();
}

TEST("what nobody would hear is not encoded")
{
    begin();
    uint64_t *encodes = &worker->metrics.kinds[GAME_VOTE].encodes;
    participate();
    EXPECT_EQ(*encodes, 0);
    enter();
    EXPECT_EQ(*encodes, 1);
    enter();
    EXPECT_EQ(*encodes, 3);
    participate();
    EXPECT_EQ(*encodes, 4);
    end();
}

TEST("a room without a tick costs one timer, which moves with its game's deadline")
{
    begin();
    uint32_t timers = worker->wheel.count;
    EXPECT(wheel_is_set(&room->room.tick));
    uint64_t due_ms = room->room.tick.due_ms;
    EXPECT_EQ(due_ms, instant_ms(worker->now) + config.vote_lobby_ms);
    participate();
    EXPECT_EQ(worker->wheel.count, timers);
    ask(TEXT("start"), (struct text){});
    EXPECT_EQ(worker->wheel.count, timers);
    EXPECT_EQ(room->room.tick.due_ms, instant_ms(worker->now) + config.vote_voting_ms);
    end();
}

TEST("a member with a full outbox is closed as slow, the others hear on, and the game knows")
{
    begin();
    struct conn *quick = enter(), *slow = enter();
    while (slow->outbox.count < outbox_frames_max) {
        participate();
        outbox_clear(&worker->outboxes, &quick->outbox); /* as if it had read */
    }
    EXPECT_EQ(slow->phase, CONN_OPEN);
    participate();
    EXPECT_EQ(slow->reason, CLOSE_TOO_SLOW);
    EXPECT(slow->member == nullptr);
    EXPECT_EQ(quick->phase, CONN_OPEN);
    EXPECT_EQ(quick->outbox.count, 1);
    EXPECT_EQ(room->room.seat_count, 1);
    EXPECT(!room->busy && list_is_empty(&room->left_behind));
    outbox_clear(&worker->outboxes, &quick->outbox);
    ask(TEXT("start"), (struct text){});
    const struct frame *status = queued(quick, 1);
    EXPECT(status != nullptr &&
           memmem(status->wire, status->wire_size, "\"participants_count\":1}", 23) != nullptr);
    end();
}

/* No frame can be had from now on; or again. */
static void dry(bool is_dry)
{
    static uint32_t capacities[frame_size_classes];
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        struct pool *pool = &worker->frames.classes[i];
        if (is_dry) capacities[i] = pool->capacity;
        /* those that came home stay out, too */
        pool->capacity = is_dry ? 0 : capacities[i];
    }
}

TEST(
    "where no frame can be had, those for whom it was are closed rather than left without it (D11)")
{
    begin();
    struct conn *first = enter(), *second = enter();
    dry(true);
    participate();
    dry(false);
    log_discard(&worker->log,
                log_pending(&worker->log).size); /* it was told, and nobody need read */
    EXPECT_EQ(first->reason, CLOSE_OVERLOADED);
    EXPECT_EQ(second->reason, CLOSE_OVERLOADED);
    EXPECT_TEXT(close_info(first->reason)->token, "overloaded");
    EXPECT_EQ(first->close_code, 0); /* nor was there one for a goodbye */
    EXPECT_EQ(worker->metrics.cut_off[CLOSE_OVERLOADED], 2);
    EXPECT_EQ(room->room.seat_count, 0);
    EXPECT(!room->busy && list_is_empty(&room->unserved));
    EXPECT(is_there());
    struct conn *third = enter();
    EXPECT(says(third, 0, "\"participants_count\":1}"));
    end();
}

TEST("a released room tells its members, closes them, and gives back all that it held (G16)")
{
    begin();
    struct conn *first = enter(), *second = enter();
    uint32_t timers = worker->wheel.count;
    EXPECT_EQ(hub.rooms.taken, 1);
    EXPECT_EQ(ask(TEXT("release"), (struct text){}), GAME_DONE);
    EXPECT(!is_there());
    EXPECT_EQ(first->reason, CLOSE_ROOM_CLOSED);
    EXPECT_EQ(second->reason, CLOSE_ROOM_CLOSED);
    EXPECT(says(first, 2, "FINISHED"));
    EXPECT(says(second, 1, "FINISHED"));
    EXPECT_EQ(hub.rooms.taken, 0);
    EXPECT_EQ(worker->metrics.kinds[GAME_VOTE].rooms, 0);
    EXPECT_EQ(worker->metrics.kinds[GAME_VOTE].connections, 0);
    EXPECT_EQ(worker->wheel.count, timers - 1);
    enum game_answer answer;
    struct writer none = {};
    EXPECT(!events_request(worker, ROOM, &(struct game_request){}, &none, &answer));
    end();
}

TEST("a room whose time is up ends before the next input, even when the timer has not yet come "
     "(G16)")
{
    begin();
    struct conn *member = enter();
    worker->now.ns += (uint64_t)config.vote_lobby_ms * 1'000'000;
    EXPECT(events_find(worker, ROOM) == nullptr);
    EXPECT_EQ(member->reason, CLOSE_ROOM_CLOSED);
    EXPECT(says(member, 1, "FINISHED"));
    EXPECT(!is_there());
    end();
}

TEST("a member who leaves late finds the room at its end, and nobody is told twice")
{
    begin();
    struct conn *member = enter(), *other = enter();
    worker->now.ns += (uint64_t)config.vote_lobby_ms * 1'000'000;
    conn_close(member, CLOSE_PEER_LEFT);
    EXPECT_EQ(other->reason, CLOSE_ROOM_CLOSED);
    EXPECT_EQ(member->reason, CLOSE_PEER_LEFT);
    EXPECT(!is_there());
    end();
}

/* --- Members with names: a room of avalon beside the vote's ---------------------------------- */

#define PEOPLE TEXT("avalon/ABC234")

static void seat_player(const char *id, const char *name)
{
    uint8_t memory[64];
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer answer;
    const struct game_request request = {
        .verb = TEXT("join"), .body = text_of(name), .token = text_of(id)};
    EXPECT(events_request(worker, PEOPLE, &request, &reply, &answer));
    EXPECT_EQ(answer, GAME_DONE);
}

static void begin_people(void)
{
    begin();
    room = rooms_acquire(worker, GAME_AVALON, PEOPLE, TEXT("room-1"));
    if (room == nullptr) abort();
    seat_player("p1", "Ann");
    seat_player("p2", "Bob");
}

/* As the player of that id, whose token is good for so long. */
static struct conn *arrive(const char *id, uint64_t valid_ms)
{
    return enter_as(&(struct game_guest){.room = TEXT("room-1"),
                                         .player = text_of(id),
                                         .until_ms = instant_ms(worker->now) + valid_ms});
}

TEST("a member that another connection replaces is closed, and the others hear nothing (G5)")
{
    begin_people();
    struct conn *other = arrive("p1", 60'000), *first = arrive("p2", 60'000);
    uint32_t heard = other->outbox.count;
    struct conn *second = arrive("p2", 60'000);
    EXPECT_EQ(first->reason, CLOSE_REPLACED);
    EXPECT_EQ(second->phase, CONN_OPEN);
    EXPECT(says(second, 0, "\"you\":\"p2\""));
    EXPECT_EQ(other->outbox.count, heard);
    EXPECT_EQ(room->room.seat_count, 2);
    end();
}

TEST("a member whose token has expired is told and closed before the next input (A15)")
{
    begin_people();
    struct conn *other = arrive("p1", 60'000), *late = arrive("p2", 1000);
    worker->now.ns += 1'000'000'000;
    events_receive(worker, room, other, TEXT("{\"type\":\"sync_state\"}"));
    EXPECT_EQ(late->reason, CLOSE_TOKEN_EXPIRED);
    EXPECT(says(late, 1, "token_expired"));
    EXPECT_EQ(other->phase, CONN_OPEN);
    end();
}

TEST("a member who leaves when its token has just expired is not spoken to, nor closed again")
{
    begin_people();
    struct conn *other = arrive("p1", 1000), *late = arrive("p2", 1000);
    uint32_t heard = late->outbox.count;
    worker->now.ns += 1'000'000'000;
    conn_close(late, CLOSE_PEER_LEFT);
    EXPECT_EQ(late->reason, CLOSE_PEER_LEFT);
    EXPECT_EQ(late->outbox.count, heard);
    EXPECT_EQ(other->reason, CLOSE_TOKEN_EXPIRED); /* its leaving is inside the other's */
    EXPECT_EQ(room->room.seat_count, 0);
    EXPECT_EQ(worker->members.in_use, 0);
    end();
}

TEST("the ninth message that means nothing closes its sender, and what it says then is not heard "
     "(J5)")
{
    begin_people();
    struct conn *member = arrive("p1", 60'000), *other = arrive("p2", 60'000);
    uint32_t heard = other->outbox.count;
    for (uint32_t i = 0; i < 8; i++)
        events_receive(worker, room, member, TEXT("nothing"));
    EXPECT_EQ(member->phase, CONN_OPEN);
    events_receive(worker, room, member, TEXT("nothing"));
    EXPECT_EQ(member->reason, CLOSE_BAD_MESSAGES);
    EXPECT_EQ(other->outbox.count, heard);
    EXPECT_EQ(room->room.seat_count, 1);
    end();
}

/* --- Tokens on an open connection ------------------------------------------------------------- */

#define KEY "a secret of this test, of 32 bytes and more"

/* As the door is: with a key, and the clock on the wall at a known second. */
static void begin_with_key(void)
{
    begin_people();
    hub.key_sets[0].keys.count = 0;
    hub.key_sets[0].keys.used = 0;
    EXPECT_TEXT(auth_keys_add_secret(&hub.key_sets[0].keys, JWT_HS256, TEXT(KEY), false), "");
    worker->now.wall_ms = 1'700'000'000'000;
}

/* The member sends a token with these claims. */
static void send_token(struct conn *conn, const char *claims)
{
    static char memory[4096];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out,
               TEXT("{\"type\":\"auth\",\"correlation_id\":\"c9\",\"payload\":{\"token\":\""));
    jwt_write(&out, &hub.key_sets[0].keys.keys[0], text_of(claims));
    write_text(&out, TEXT("\"}}"));
    EXPECT(!out.overflow);
    events_receive(worker, room, conn, text_from(writer_bytes(&out)));
}

#define CLAIMS(player, expires) \
    "{\"room_id\":\"room-1\",\"room_player_id\":\"" player "\",\"exp\":" expires "}"

TEST("a token that a member sends is checked as at the door, and gives it more time (C16, A16)")
{
    begin_with_key();
    struct conn *member = arrive("p1", 60'000), *other = arrive("p2", 60'000);
    uint32_t heard = other->outbox.count, count = member->outbox.count;
    send_token(member, CLAIMS("p1", "1700003600"));
    EXPECT_EQ(member->outbox.count, count + 1);
    EXPECT(says(member, count - 1, "{\"expires_at\":1700003600000},\"correlation_id\":\"c9\"}"));
    EXPECT_EQ(other->outbox.count, heard);
    worker->now.ns += 120'000'000'000;
    worker->now.wall_ms += 120'000;
    events_on_timer(worker, room);
    EXPECT_EQ(member->phase, CONN_OPEN);
    EXPECT_EQ(other->reason, CLOSE_TOKEN_EXPIRED);
    end();
}

TEST("a bad token is answered by what is wrong with it, and its member stays (A1, A8, A16)")
{
    begin_with_key();
    struct conn *member = arrive("p1", 60'000);
    send_token(member, CLAIMS("p1", "1600000000"));
    EXPECT(says(member, member->outbox.count - 2, "\"code\":\"expired\""));
    send_token(member, "{\"sub\":\"p1\",\"exp\":1700003600}");
    EXPECT(says(member, member->outbox.count - 2, "\"code\":\"bad_claims\""));
    events_receive(
        worker, room, member,
        TEXT("{\"type\":\"auth\",\"payload\":{\"token\":\"eyJhbGciOiJub25lIn0.e30.\"}}"));
    EXPECT(says(member, member->outbox.count - 2, "\"code\":\"bad_alg\""));
    EXPECT_EQ(member->phase, CONN_OPEN);
    EXPECT_EQ(room->room.seat_count, 1);
    end();
}

TEST("a token of another player closes with 4403, too many of them with 4429 (A16, A18)")
{
    begin_with_key();
    struct conn *thief = arrive("p1", 60'000), *flooder = arrive("p2", 60'000);
    send_token(thief, CLAIMS("p2", "1700003600"));
    EXPECT_EQ(thief->reason, CLOSE_FORBIDDEN);
    EXPECT_EQ(thief->close_code, 4403);
    EXPECT_EQ(flooder->phase, CONN_OPEN);
    for (uint32_t i = 0; i < game_token_rate.burst; i++)
        send_token(flooder, CLAIMS("p2", "1700003600"));
    EXPECT_EQ(flooder->phase, CONN_OPEN);
    send_token(flooder, CLAIMS("p2", "1700003600"));
    EXPECT_EQ(flooder->reason, CLOSE_RATE_LIMITED);
    EXPECT(says(flooder, flooder->outbox.count - 2, "rate_limited;retry_ms=20000"));
    EXPECT_EQ(room->room.seat_count, 0);
    end();
}

TEST("chat to some is one frame for them and one for its sender (S1-16, S2-9)")
{
    begin_people();
    seat_player("p3", "Cid");
    struct conn *from = arrive("p1", 60'000), *second = arrive("p2", 60'000),
                *third = arrive("p3", 60'000);
    uint64_t encodes = worker->metrics.kinds[GAME_AVALON].encodes;
    events_receive(
        worker, room, from,
        TEXT("{\"type\":\"chat\",\"correlation_id\":\"c\",\"payload\":{\"message\":\"hi\","
             "\"to\":[\"p2\",\"p3\"]}}"));
    EXPECT_EQ(worker->metrics.kinds[GAME_AVALON].encodes, encodes + 2);
    EXPECT(queued(second, second->outbox.count - 1) == queued(third, third->outbox.count - 1));
    EXPECT(says(from, from->outbox.count - 2, "\"correlation_id\":\"c\""));
    end();
}
