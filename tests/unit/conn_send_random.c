/* The rules of conn/send.c, all at once: peers that read as they like, a kernel that takes what it
 * likes, and events that are taken late. Each run draws its seed, and prints it; CONN_SEND_SEED
 * gives one, CONN_SEND_SECONDS makes each test longer than a second. */
#include "base/random.h"
#include "check.h"
#include "conn_peers.h"
#include <stdlib.h>

constexpr uint32_t members_max = 20;
static struct random dice;

static struct member {
    struct peer *peer;
    uint32_t speed; /* 0: reads nothing; 1 to 3: a few bytes, some, all */
} members[members_max];

static bool toggles_window;

static uint32_t roll(uint32_t bound)
{
    return (uint32_t)random_below(&dice, bound);
}

static void begin(const char *name, bool deflate)
{
    const char *given = getenv("CONN_SEND_SEED");
    peers_begin((struct peers_options){.entries = 32, .spoil_every = 64, .deflate = deflate});
    ring_entropy(&ring, (struct bytes){(uint8_t *)&dice.state, sizeof dice.state});
    if (given != nullptr) dice.state = strtoull(given, nullptr, 0);
    printf("conn_send_random %s: seed 0x%" PRIx64 "\n", name, dice.state);
    for (uint32_t i = 0; i < members_max; i++)
        members[i] = (struct member){.peer = peer_open(), .speed = roll(4)};
}

static bool is_open(const struct peer *peer)
{
    return peer->conn != nullptr && peer->conn->phase == CONN_OPEN;
}

/* One frame for some of the members. Who has no room for it is closed, or was never to get it. */
static void room_ticks(bool closes)
{
    uint32_t key = roll(4), size = 8 + roll(roll(8) == 0 ? 40'000 : 1500);
    struct frame *frame = make_frame(key, size);
    for (uint32_t i = 0; i < members_max; i++) {
        struct peer *peer = members[i].peer;
        bool crowded = is_open(peer) && (peer->conn->outbox.count > 200 ||
                                         peer->conn->outbox.bytes > outbox_bytes_max / 2);
        if (!is_open(peer) || roll(4) == 0 || (crowded && !closes && key == 0)) continue;
        if (peer->pushed_end - peer->pushed_first > peer_pushed_max / 2) continue;
        if (push(peer, frame) == OUTBOX_FULL) conn_close(peer->conn, CLOSE_TOO_SLOW);
    }
    frame_unref(&frames, frame);
    if (roll(3) > 0) conn_flush_dirty(&shared);
}

static void somebody_acts(void)
{
    struct member *member = &members[roll(members_max)];
    if (roll(16) == 0) member->speed = roll(4);
    if (roll(8) == 0 && is_open(member->peer) && !member->peer->broken) peer_pings(member->peer);
}

static void somebody_reads(void)
{
    static const uint32_t most[] = {0, 200, 5000, 1'000'000};
    for (uint32_t i = 0; i < 4; i++) {
        struct member *member = &members[roll(members_max)];
        if (member->speed > 0) peer_reads(member->peer, 1 + roll(most[member->speed]));
    }
}

/* A turn, or part of one. */
static void the_worker_acts(void)
{
    switch (roll(4)) {
    case 0: turn(); break;
    case 1: ring_submit(&ring); break;
    default:
        shared.now = ring_wait(&ring, 0);
        take_events(roll(6));
        settle();
        conn_flush_dirty(&shared);
        (void)conn_reap(&shared);
    }
    if (toggles_window && roll(50) == 0) outboxes.window.open = !outboxes.window.open;
    if (roll(50) == 0) handover.each = roll(2) == 0 ? UINT32_MAX : roll(8);
    if (roll(50) == 0) handover.queue = roll(2) == 0 ? 256 : 1 + roll(24);
}

/* One of many ways to go; somebody else takes the place. */
static void somebody_goes(void)
{
    struct member *member = &members[roll(members_max)];
    if (peer_count == peers_max || !is_open(member->peer) || !member->peer->upgraded) return;
    switch (roll(5)) {
    case 0: conn_close(member->peer->conn, CLOSE_TOO_SLOW); break;
    case 1: conn_drain(member->peer->conn, CLOSE_RECV_ERROR); break;
    case 2: peer_closes(member->peer); break;
    case 3: peer_leaves(member->peer); break;
    case 4:
        if (member->peer->conn->outbox.slots == nullptr) return; /* it owes nothing */
        conn_shed(member->peer->conn);
        break;
    }
    member->peer = peer_connect(true);
    peer_admit(member->peer);
}

/* A machine that others use does less in a second. */
static bool has_seen_enough(bool closes, bool deflate)
{
    return shared.counters.sends_now > 500 && shared.counters.sends_now_short > 20 &&
           tally.send_events > 500 && outboxes.counters.conflated > 500 &&
           (!closes || peer_count > members_max + 10) &&
           (!toggles_window || outboxes.counters.lingered > 500) &&
           (!deflate || outboxes.twins.counters.deflates > 100);
}

static void go_on(bool closes, bool deflate)
{
    constexpr uint64_t second_ns = 1'000'000'000, patience_ns = 30 * second_ns;
    const char *given = getenv("CONN_SEND_SECONDS");
    uint64_t begun_ns = ring_now(&ring).ns;
    uint64_t least_ns = (given != nullptr ? strtoull(given, nullptr, 0) : 1) * second_ns;
    for (uint64_t ns = 0; ns < least_ns || (ns < patience_ns && !has_seen_enough(closes, deflate));
         ns = ring_now(&ring).ns - begun_ns) {
        if (roll(2) == 0) room_ticks(closes);
        somebody_acts();
        somebody_reads();
        the_worker_acts();
        if (closes && roll(20) == 0) somebody_goes();
    }
    handover = (struct handover){.each = UINT32_MAX, .queue = 256};
    everything_arrives();
    EXPECT(shared.counters.sends_now > 500);
    EXPECT(shared.counters.sends_now_short > 20);
    EXPECT(tally.send_events > 500 && outboxes.counters.conflated > 500);
}

TEST("random frames to twenty peers of all speeds: each hears every byte it must, once, in order")
{
    begin("stay", false);
    go_on(false, false);
    uint64_t bytes = 0, skipped = 0;
    for (uint32_t i = 0; i < peer_count; i++) {
        bytes += peers[i].bytes;
        skipped += peers[i].skipped;
    }
    EXPECT_EQ(bytes, outboxes.counters.bytes_sent);
    EXPECT_EQ(skipped, outboxes.counters.conflated);
    for (uint32_t i = 0; i < peer_count; i++)
        EXPECT_EQ(peers[i].pong, peers[i].ping);
    peers_end();
}

TEST("the same while peers come and go in every way: nobody hears what was meant for another")
{
    begin("go", false);
    go_on(true, false);
    EXPECT(peer_count > members_max + 10);
    peers_end();
}

TEST("the same while events linger for a moment, and the window opens and closes")
{
    begin("window", false);
    outboxes.window.size_ns = 300'000;
    toggles_window = true;
    go_on(true, false);
    EXPECT(outboxes.counters.lingered > 500);
    toggles_window = false;
    peers_end();
}

TEST("the same while half of them compress: a frame is compressed at most once for each window "
     "(RFC 7692 §7.2.1)")
{
    begin("deflate", true);
    go_on(true, true);
    const struct twin_counters *twins = &outboxes.twins.counters;
    uint32_t made = 0;
    (void)next_payload(8, &made);
    EXPECT(twins->deflates > 100 && twins->deflates <= 3 * made);
    EXPECT(twins->bytes_out < twins->bytes_in);
    EXPECT_EQ(frames.bytes_of_twins, 0);
    peers_end();
}
