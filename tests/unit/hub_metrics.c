/* tests/unit/hub_metrics.c: how ends are counted: by what the client was told, and why. */
#include "check.h"
#include "hub/metrics.h"

static struct tally tally;
static char page[128 * 1024];

static bool page_says(const char *line)
{
    struct writer out = writer_over(page, sizeof page - 1);
    metrics_write(&tally, 1, "test", &out);
    EXPECT(!out.overflow);
    page[out.size] = '\0';
    return strstr(page, line) != nullptr;
}

TEST("an end counts with the close code that the client was told, and with 1006 when it was told "
     "none")
{
    tally = (struct tally){};
    metrics_count_close(&tally.metrics, CLOSE_RESTART, 1012);
    metrics_count_close(&tally.metrics, CLOSE_RESTART, 0);
    metrics_count_close(&tally.metrics, CLOSE_RESTART, 0);
    metrics_count_close(&tally.metrics, CLOSE_TOO_SLOW, 0);
    metrics_count_close(&tally.metrics, CLOSE_PEER_LEFT, 0);
    EXPECT(page_says("\nringcast_disconnects_total{code=\"1012\",reason=\"restart\"} 1\n"));
    EXPECT(page_says("\nringcast_disconnects_total{code=\"1006\",reason=\"restart\"} 2\n"));
    EXPECT(page_says("\nringcast_disconnects_total{code=\"1006\",reason=\"slow_consumer\"} 1\n"));
    EXPECT(!page_says("code=\"4508\""));
    EXPECT(page_says("\nringcast_disconnects_total{code=\"1006\",reason=\"peer_left\"} 1\n"));
}

TEST("the peer's own close counts with its code, those that anybody may choose by thousands")
{
    tally = (struct tally){};
    metrics_count_close(&tally.metrics, CLOSE_PEER_CLOSED, 1000);
    metrics_count_close(&tally.metrics, CLOSE_PEER_CLOSED, 1005);
    metrics_count_close(&tally.metrics, CLOSE_PEER_CLOSED, 3999);
    metrics_count_close(&tally.metrics, CLOSE_PEER_CLOSED, 4000);
    metrics_count_close(&tally.metrics, CLOSE_PEER_CLOSED, 4999);
    EXPECT(page_says("{code=\"1000\",reason=\"peer_closed\"} 1\n"));
    EXPECT(page_says("{code=\"1005\",reason=\"peer_closed\"} 1\n"));
    EXPECT(page_says("{code=\"3xxx\",reason=\"peer_closed\"} 1\n"));
    EXPECT(page_says("{code=\"4xxx\",reason=\"peer_closed\"} 2\n"));
}

TEST("workers' ends add up")
{
    static struct tally other;
    tally = other = (struct tally){};
    metrics_count_close(&tally.metrics, CLOSE_RESTART, 0);
    metrics_count_close(&other.metrics, CLOSE_RESTART, 1012);
    metrics_count_close(&other.metrics, CLOSE_RESTART, 0);
    other.conns.goodbyes_unsent = 3;
    metrics_add(&tally, &other);
    EXPECT(page_says("{code=\"1012\",reason=\"restart\"} 1\n"));
    EXPECT(page_says("{code=\"1006\",reason=\"restart\"} 2\n"));
    EXPECT(page_says("\nringcast_goodbyes_unsent_total 3\n"));
}

TEST("ticks are told as a histogram: each bucket holds all that took no longer")
{
    static struct tally other;
    tally = other = (struct tally){};
    struct kind_metrics *world = &tally.metrics.kinds[GAME_WORLD];
    metrics_count_tick(world, 0);
    metrics_count_tick(world, 100'000); /* 0.1 ms, which is still in the first */
    metrics_count_tick(world, 100'001);
    metrics_count_tick(world, 5'000'000'000);
    metrics_count_tick(&other.metrics.kinds[GAME_WORLD], 3'000'000);
    metrics_add(&tally, &other);
    EXPECT(page_says("# TYPE ringcast_tick_duration_seconds histogram\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"0.0001\"} 2\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"0.00025\"} 3\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"0.0025\"} 3\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"0.005\"} 4\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"0.25\"} 4\n"));
    EXPECT(page_says("_bucket{kind=\"world\",le=\"+Inf\"} 5\n"));
    EXPECT(page_says("ringcast_tick_duration_seconds_sum{kind=\"world\"} 5.003200001\n"));
    EXPECT(page_says("ringcast_tick_duration_seconds_count{kind=\"world\"} 5\n"));
    EXPECT(page_says("ringcast_tick_duration_seconds_count{kind=\"kart\"} 0\n"));
}
