/* tests/unit/game_world_race.c: races, by racers who keep to the order and by those who do not
 * (THREATS.md G8). */
#include "base/random.h"
#include "check.h"
#include "game/world_race.h"

constexpr uint64_t ms = 1'000'000;
constexpr uint64_t second = 1000 * ms;
constexpr uint32_t ann = 7, bob = 300, cid = 0;

/*      cp3 <----------- cp2   start at 0,0; a gate at x 20, two spheres, a gate at x 0 that
 *                        ^
 *      start --- cp0 -> cp1   finishes. A kiosk far away starts it. */
static struct world_map map;
static struct world_races races;
static struct world_race_events events;
static uint64_t now_ns;
static uint16_t race;

static void track(void)
{
    memset(&map, 0, sizeof map);
    memset(&races, 0, sizeof races);
    events.count = 0;
    now_ns = 5000 * second;
    map.route_count = 2;
    for (uint32_t i = 0; i < map.route_count; i++)
        map.routes[i] = (struct world_route){
            .start_radius = 5,
            .laps = 1,
            .racers_max = 3,
            .countdown_s = 3,
            .timeout_ms = 60'000,
            .checkpoint_count = 4,
            .checkpoints = {{{20, 0, 0}, {1, 0, 0}, 5, WORLD_GATE},
                            {{40, 0, 0}, {}, 5, WORLD_SPHERE},
                            {{40, 0, 40}, {}, 5, WORLD_SPHERE},
                            {{0, 0, 40}, {-1, 0, 0}, 5, WORLD_GATE}},
        };
    map.kiosk_count = 1;
    map.kiosks[0] = (struct world_kiosk){.position = {100, 0, 100}, .range = 3, .route = 0};
}

static enum world_race_answer start(uint32_t player, double x, double z)
{
    return world_race_start(&races, &map, 0, player, (struct world_point){x, 0, z}, now_ns, &race,
                            &events);
}

/* Time passes; what was said before is forgotten. */
static void wait(uint64_t ns)
{
    now_ns += ns;
    events.count = 0;
    EXPECT(!world_race_advance(&races, &map, now_ns, &events));
}

/* A move that takes as long as from the last wait; what was said before is kept. */
static bool go(uint32_t player, struct world_point from, struct world_point to, uint64_t took_ns)
{
    return world_race_move(&races, &map, player, (struct world_way){from, to}, now_ns - took_ns,
                           now_ns, &events);
}

static bool go_flat(uint32_t player, double from_x, double from_z, double to_x, double to_z)
{
    return go(player, (struct world_point){from_x, 0, from_z}, (struct world_point){to_x, 0, to_z},
              second);
}

/* Events as words: "joined 7, countdown 3". */
static struct text said(void)
{
    static char words[2048];
    static const char *const names[] = {"joined",   "countdown", "go",  "false start", "checkpoint",
                                        "rejected", "finish",    "out", "results"};
    static const char *const whys[] = {"skipped", "repeated", "reversed"};
    static const char *const states[] = {"", "", "", "left", "timed out"};
    struct writer out = writer_over(words, sizeof words);
    for (uint32_t i = 0; i < events.count; i++) {
        const struct world_race_event *event = &events.items[i];
        write_format(&out, "%s%s", i > 0 ? ", " : "", names[event->kind]);
        if (event->kind == WORLD_RACE_SAID_COUNTDOWN) write_format(&out, " %u", event->number);
        if (event->kind == WORLD_RACE_SAID_COUNTDOWN || event->kind == WORLD_RACE_SAID_GO ||
            event->kind == WORLD_RACE_SAID_RESULTS)
            continue;
        write_format(&out, " %u", event->player);
        if (event->kind == WORLD_RACE_SAID_CHECKPOINT)
            write_format(&out, " %u.%u at %u", event->lap, event->number, event->time_ms);
        if (event->kind == WORLD_RACE_SAID_REJECTED)
            write_format(&out, " %u %s", event->number, whys[event->why]);
        if (event->kind == WORLD_RACE_SAID_FINISH)
            write_format(&out, " place %u at %u", event->place, event->time_ms);
        if (event->kind == WORLD_RACE_SAID_OUT) write_format(&out, " %s", states[event->state]);
    }
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

/* A race that has begun a moment ago, with Ann, and Bob if wanted. */
static void running(bool with_bob)
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    if (with_bob) EXPECT_EQ(start(bob, 1, 0), WORLD_RACE_TAKEN);
    wait(3 * second);
    events.count = 0;
}

TEST("a race: joined, counted down, started, run in order, finished, with times to the millisecond")
{
    track();
    EXPECT_EQ(start(ann, 3, 3), WORLD_RACE_TAKEN);
    EXPECT_TEXT(said(), "joined 7, countdown 3");
    EXPECT_EQ(races.races[race].number, 1);
    wait(999 * ms);
    EXPECT_TEXT(said(), "");
    wait(1 * ms);
    EXPECT_TEXT(said(), "countdown 2");
    wait(second);
    EXPECT_TEXT(said(), "countdown 1");
    wait(second);
    EXPECT_TEXT(said(), "go");
    wait(second);
    EXPECT(go_flat(ann, 3, 0, 13, 0));
    EXPECT_TEXT(said(), "");
    wait(second);
    EXPECT(go_flat(ann, 13, 0, 23, 0)); /* the gate after 7 of 10 m */
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 1700");
    wait(second);
    EXPECT(go_flat(ann, 23, 0, 43, 0)); /* the sphere begins at 35 */
    EXPECT_TEXT(said(), "checkpoint 7 0.1 at 2600");
    wait(second);
    EXPECT(go_flat(ann, 43, 0, 40, 0) && go_flat(ann, 40, 0, 40, 40));
    EXPECT_TEXT(said(), "checkpoint 7 0.2 at 3875");
    wait(4 * second);
    EXPECT(go(ann, (struct world_point){40, 0, 40}, (struct world_point){-10, 0, 40}, 4 * second));
    EXPECT_TEXT(said(), "checkpoint 7 0.3 at 7200, finish 7 place 1 at 7200, results");
    EXPECT_EQ(world_race_of(&races, ann), world_no_race);
    EXPECT(races.races[race].racers[0].time_ms == 7200 && races.active == 0);
    EXPECT_EQ(world_race_due(&races, &map), UINT64_MAX);
}

TEST("one move may pass several checkpoints, in their order only")
{
    running(false);
    wait(10 * second);
    EXPECT(go(ann, (struct world_point){0, 0, 0}, (struct world_point){50, 0, 0}, 10 * second));
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 4000, checkpoint 7 0.1 at 7000");
    running(false);
    wait(10 * second); /* the same way back: gate and sphere in the wrong order */
    EXPECT(go(ann, (struct world_point){0, 0, 0}, (struct world_point){0, 0, 10}, 0));
    EXPECT(go(ann, (struct world_point){50, 0, 0}, (struct world_point){0, 0, 0}, 10 * second));
    EXPECT_TEXT(said(), "rejected 7 0 reversed");
}

TEST("checkpoints that are skipped, repeated or passed backwards do not count (THREATS.md G8)")
{
    running(false);
    wait(second);
    EXPECT(go_flat(ann, 0, 0, 0, 10));
    EXPECT(go_flat(ann, 0, 10, 40, 10)); /* past the gate */
    EXPECT_TEXT(said(), "");
    EXPECT(go_flat(ann, 40, 10, 40, 0)); /* into the second */
    EXPECT_TEXT(said(), "rejected 7 1 skipped");
    events.count = 0;
    EXPECT(go_flat(ann, 40, 0, 22, 0) && go_flat(ann, 22, 0, 18, 0)); /* back through the first */
    EXPECT_TEXT(said(), "rejected 7 0 reversed");
    events.count = 0;
    EXPECT(go_flat(ann, 18, 0, 22, 0));
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 500");
    events.count = 0;
    EXPECT(go_flat(ann, 22, 0, 18, 0)); /* it may turn back */
    EXPECT_TEXT(said(), "");
    EXPECT(go_flat(ann, 18, 0, 22, 0));
    EXPECT_TEXT(said(), "rejected 7 0 repeated");
    events.count = 0;
    EXPECT(go_flat(ann, 22, 0, 5, 42) && go_flat(ann, 5, 42, -5, 42)); /* straight to the finish */
    EXPECT_TEXT(said(), "rejected 7 3 skipped");
    EXPECT_EQ(races.races[race].racers[0].state, WORLD_RACER_RUNNING);
    EXPECT_EQ(races.races[race].racers[0].next, 1);
}

TEST("who lags and says all its steps at once passes what they pass, at the time when they came "
     "(THREATS.md G7)")
{
    running(false);
    wait(5 * second);
    for (uint32_t i = 0; i < 50; i++)
        EXPECT(go(ann, (struct world_point){i, 0, 0}, (struct world_point){i + 1.0, 0, 0},
                  i == 0 ? 5 * second : 0));
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 5000, checkpoint 7 0.1 at 5000");
}

TEST("who is in no race, or on another route's checkpoints, passes nothing (THREATS.md G8)")
{
    running(false);
    map.routes[1].checkpoints[0].position.x = 15;
    wait(second);
    EXPECT(go_flat(cid, 0, 0, 50, 0));
    EXPECT(go_flat(ann, 0, 0, 18, 0)); /* over the other route's gate */
    EXPECT_TEXT(said(), "");
}

TEST("nobody leaves the start before go, and nobody gains by trying (THREATS.md G8)")
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    wait(2900 * ms);
    events.count = 0;
    EXPECT(go_flat(ann, 0, 0, 4.9, 0)); /* within the start it may move */
    EXPECT(!go_flat(ann, 4.9, 0, 5.1, 0));
    EXPECT(!go_flat(ann, 4.9, 0, 30, 0));
    EXPECT_TEXT(said(), "false start 7, false start 7");
    EXPECT(races.races[race].racers[0].false_start);
    wait(100 * ms);
    EXPECT_TEXT(said(), "go");
    EXPECT(go_flat(ann, 4.9, 0, 10, 0));
    wait(second); /* a move that began before go is timed from go */
    EXPECT(go(ann, (struct world_point){10, 0, 0}, (struct world_point){30, 0, 0}, 3 * second));
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 500");
}

TEST("who is not at the start at go must pass through it; checkpoints before that do not count")
{
    track();
    EXPECT_EQ(start(ann, 100, 101), WORLD_RACE_TAKEN); /* at the kiosk */
    wait(2 * second);
    EXPECT(go_flat(ann, 100, 101, 18, 10)); /* it is not held there */
    wait(second);
    EXPECT_TEXT(said(), "go");
    EXPECT(go_flat(ann, 18, 10, 18, 0) && go_flat(ann, 18, 0, 22, 0));
    EXPECT_TEXT(said(), "go, rejected 7 0 skipped");
    wait(second);
    EXPECT(go_flat(ann, 22, 0, 22, 10) && go_flat(ann, 22, 10, 0, 10));
    EXPECT(go_flat(ann, 0, 10, 0, 0) && go_flat(ann, 0, 0, 25, 0));
    EXPECT_TEXT(said(), "checkpoint 7 0.0 at 800");
}

TEST("places follow from when a line was crossed, not from whose message came first")
{
    running(true);
    struct world_racer *racers = races.races[race].racers;
    for (uint32_t i = 0; i < 2; i++)
        racers[i] = (struct world_racer){.state = WORLD_RACER_RUNNING, .next = 3};
    wait(10 * second); /* Bob's message comes first, but Ann crosses first */
    EXPECT(go(bob, (struct world_point){9, 0, 40}, (struct world_point){-1, 0, 40}, second));
    EXPECT_TEXT(said(), "checkpoint 300 0.3 at 9900, finish 300 place 1 at 9900");
    events.count = 0;
    EXPECT(go(ann, (struct world_point){5, 0, 40}, (struct world_point){-5, 0, 40}, second));
    EXPECT_TEXT(said(), "checkpoint 7 0.3 at 9500, finish 7 place 1 at 9500, results");
    uint32_t order[world_racers_max];
    EXPECT_EQ(world_race_results(&races.races[race], order), 2);
    EXPECT(order[0] == 0 && order[1] == 1 && racers[0].place == 1 && racers[1].place == 2);
}

TEST(
    "who crosses in the same millisecond has the same place, and the next one the place after both "
    "(THREATS.md G8)")
{
    running(true);
    EXPECT_EQ(races.races[race].racer_count, 2);
    races.races[race].players[2] = cid;
    races.races[race].racer_count = 3;
    for (uint32_t i = 0; i < 3; i++)
        races.races[race].racers[i] = (struct world_racer){.state = WORLD_RACER_RUNNING, .next = 3};
    wait(10 * second);
    EXPECT(go(cid, (struct world_point){8, 0, 40}, (struct world_point){-2, 0, 40}, second));
    EXPECT(go(bob, (struct world_point){4, 0, 40}, (struct world_point){-6, 0, 40}, second));
    EXPECT(go(ann, (struct world_point){4, 0, 42}, (struct world_point){-6, 0, 42}, second));
    const struct world_racer *racers = races.races[race].racers;
    EXPECT(racers[0].place == 1 && racers[1].place == 1 && racers[2].place == 3);
}

TEST("laps: each checkpoint counts once in each")
{
    running(false);
    map.routes[0].laps = 2;
    static const struct world_point lap[] = {
        {30, 0, 0}, {40, 0, 3}, {40, 0, 40}, {-10, 0, 40}, {-10, 0, 0}};
    struct world_point at = {0, 0, 0};
    for (uint32_t i = 0; i < 2 * 5; i++) {
        wait(second);
        EXPECT(go(ann, at, lap[i % 5], second));
        at = lap[i % 5];
        if (i == 0) EXPECT_TEXT(said(), "checkpoint 7 0.0 at 667");
        if (i == 3) EXPECT_TEXT(said(), "checkpoint 7 0.3 at 3800");
        if (i == 4) EXPECT_TEXT(said(), "");
        if (i == 5) EXPECT_TEXT(said(), "checkpoint 7 1.0 at 5750");
        if (i == 8)
            EXPECT_TEXT(said(), "checkpoint 7 1.3 at 8800, finish 7 place 1 at 8800, results");
    }
}

TEST("who starts again meanwhile joins; the next race on the route may begin once it runs")
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    uint16_t first = race;
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_BUSY);
    wait(1500 * ms);
    EXPECT_EQ(start(bob, 0, 0), WORLD_RACE_TAKEN);
    EXPECT_EQ(race, first);
    EXPECT_TEXT(said(), "countdown 2, joined 300");
    EXPECT_EQ(start(cid, 6, 0), WORLD_RACE_TOO_FAR);
    EXPECT_EQ(start(cid, 100, 104), WORLD_RACE_TOO_FAR);
    EXPECT_EQ(start(cid, 0, 4), WORLD_RACE_TAKEN);
    EXPECT_EQ(start(50, 0, 4), WORLD_RACE_FULL);
    wait(1500 * ms);
    EXPECT_TEXT(said(), "go");
    EXPECT_EQ(start(50, 0, 4), WORLD_RACE_TAKEN);
    EXPECT(race != first && races.active == 2 && races.races[race].number == 2);
    EXPECT_EQ(world_race_of(&races, 50), race);
    EXPECT_EQ(world_race_of(&races, cid), first);
}

TEST("each route has a countdown of its own")
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    uint16_t first = race;
    EXPECT_EQ(
        world_race_start(&races, &map, 1, bob, (struct world_point){}, now_ns, &race, &events),
        WORLD_RACE_TAKEN);
    EXPECT(race != first && races.races[race].route == 1 && races.races[first].racer_count == 1);
    EXPECT_EQ(world_race_start(&races, &map, 1, cid, (struct world_point){100, 0, 100}, now_ns,
                               &race, &events),
              WORLD_RACE_TOO_FAR); /* that kiosk starts the other route */
}

TEST("who leaves before go was never there; afterwards it did not finish, and the others go on")
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    EXPECT_EQ(start(bob, 0, 0), WORLD_RACE_TAKEN);
    EXPECT_EQ(start(cid, 0, 0), WORLD_RACE_TAKEN);
    events.count = 0;
    world_race_leave(&races, ann, &events);
    EXPECT_TEXT(said(), "out 7 left");
    EXPECT_EQ(races.races[race].racer_count, 2);
    wait(3 * second);
    events.count = 0;
    world_race_leave(&races, cid, &events);
    EXPECT_TEXT(said(), "out 0 left");
    world_race_leave(&races, cid, &events); /* once is enough */
    EXPECT_EQ(events.count, 1);
    EXPECT_EQ(races.races[race].racer_count, 2);
    EXPECT_EQ(start(cid, 0, 0), WORLD_RACE_TAKEN); /* it may race again */
    events.count = 0;
    world_race_leave(&races, cid, &events);
    EXPECT_TEXT(said(), "out 0 left"); /* a race that nobody is in is gone without results */
    EXPECT_EQ(races.active, 1);
    events.count = 0;
    world_race_leave(&races, bob, &events);
    EXPECT_TEXT(said(), "out 300 left, results");
    EXPECT_EQ(races.active, 0);
}

TEST("who has not finished in time is out, and the results say who came first")
{
    running(true);
    races.races[race].racers[1] = (struct world_racer){.state = WORLD_RACER_RUNNING, .next = 3};
    wait(10 * second);
    EXPECT(go_flat(bob, 5, 40, -5, 40));
    EXPECT_EQ(world_race_due(&races, &map), now_ns + 50 * second);
    wait(50 * second - 1);
    EXPECT_TEXT(said(), "");
    wait(1);
    EXPECT_TEXT(said(), "out 7 timed out, results");
    uint32_t order[world_racers_max];
    EXPECT_EQ(world_race_results(&races.races[race], order), 2);
    EXPECT(order[0] == 1 && order[1] == 0 && races.races[race].racers[0].place == 0);
}

TEST("after a pause a countdown says the second that it is at, and go when it is late "
     "(THREATS.md G14)")
{
    track();
    EXPECT_EQ(start(ann, 0, 0), WORLD_RACE_TAKEN);
    EXPECT_EQ(world_race_due(&races, &map), now_ns + second);
    wait(2500 * ms);
    EXPECT_TEXT(said(), "countdown 1");
    EXPECT_EQ(world_race_due(&races, &map), now_ns + 500 * ms);
    wait(3600 * second);
    EXPECT_TEXT(said(), "go, out 7 timed out, results");
}

TEST("all races at once say all of it, in as many calls as it takes")
{
    track();
    map.routes[0].timeout_ms = 600'000;
    for (uint32_t i = 0; i < world_races_max; i++) {
        for (uint32_t k = 0; k < 3; k++)
            EXPECT_EQ(start(i * 3 + k, 0, 0), WORLD_RACE_TAKEN);
        wait(3 * second); /* it runs: the next start makes another race */
        events.count = 0;
    }
    EXPECT_EQ(start(5000, 0, 0), WORLD_RACE_NONE_SPARE);
    now_ns += 3600 * second;
    uint32_t results = 0, outs = 0, calls = 0;
    for (bool more = true; more; calls++) {
        events.count = 0;
        more = world_race_advance(&races, &map, now_ns, &events);
        for (uint32_t i = 0; i < events.count; i++) {
            results += events.items[i].kind == WORLD_RACE_SAID_RESULTS;
            outs += events.items[i].kind == WORLD_RACE_SAID_OUT;
        }
    }
    EXPECT(results == world_races_max && races.active == 0 && calls > 1);
    EXPECT_EQ(outs, world_races_max * 3);
}

/* What a judge says who looks at a thousand points of each leg: how far the racer got. */
struct slow_judge {
    uint32_t next;
    uint64_t finish_ns;
    bool finished;
};

static void slow_judge_leg(struct slow_judge *judge, struct world_way way, uint64_t from_ns,
                           uint64_t took_ns)
{
    constexpr uint32_t looks = 1000;
    struct world_point before = way.from;
    for (uint32_t i = 0; i <= looks && !judge->finished; i++) {
        struct world_point at = world_way_at(way, (double)i / looks);
        const struct world_checkpoint *checkpoint = &map.routes[0].checkpoints[judge->next];
        struct world_point off = world_step(checkpoint->position, at);
        bool near = world_length(off) <= checkpoint->radius;
        double was = world_dot(world_step(checkpoint->position, before), checkpoint->forward);
        bool passed = checkpoint->shape == WORLD_SPHERE ||
                      (was < 0 && world_dot(off, checkpoint->forward) >= 0);
        before = at;
        if (!near || !passed) continue;
        judge->next += 1;
        if (judge->next < map.routes[0].checkpoint_count) continue;
        judge->finished = true;
        judge->finish_ns = from_ns + took_ns * i / looks;
    }
}

TEST("over random ways, the checkpoints and times are those that a slow judge finds")
{
    struct random chance = {.state = 21};
    uint32_t finished = 0, differing = 0;
    for (uint32_t round = 0; round < 300; round++) {
        running(false);
        uint64_t go_ns = now_ns;
        struct slow_judge judge = {};
        struct world_point at = {0, 0, 0};
        static const struct world_point aims[] = {{27, 0, 0}, {40, 0, 4}, {38, 0, 38}, {-6, 0, 40}};
        for (uint32_t leg = 0; leg < 40 && world_race_of(&races, ann) != world_no_race; leg++) {
            struct world_point to = aims[judge.next];
            to.x += (double)random_below(&chance, 1000) / 100 - 5;
            to.z += (double)random_below(&chance, 1000) / 100 - 5;
            uint64_t took = (100 + random_below(&chance, 900)) * ms;
            wait(took);
            EXPECT(go(ann, at, to, took));
            slow_judge_leg(&judge, (struct world_way){at, to}, now_ns - took - go_ns, took);
            at = to;
            const struct world_racer *racer = &races.races[race].racers[0];
            bool is_over = racer->state == WORLD_RACER_FINISHED;
            if (is_over != judge.finished || (!is_over && racer->next != judge.next)) {
                differing += 1; /* a touch between two of the slow judge's looks */
                break;
            }
            if (!is_over) continue;
            finished += 1;
            uint64_t found_ms = racer->time_ms, wanted_ms = judge.finish_ns / ms;
            EXPECT(found_ms <= wanted_ms + 2 && wanted_ms <= found_ms + 2);
        }
    }
    EXPECT(finished > 200 && differing < 5);
}
