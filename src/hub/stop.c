#include "hub/stop.h"
#include "hub/entrance.h"
#include "hub/rooms.h"
#include "hub/world_log.h"
#include <errno.h>

constexpr uint32_t drain_step_ms = 20;

/* Members elsewhere still get this worker's frames, and what it has sent may still need it. */
static bool any_left(const struct worker *worker)
{
    return worker->listener_conns[LISTENER_PUBLIC] > 0 ||
           worker->listener_conns[LISTENER_WORLD] > 0 || worker->loans.in_use > 0 ||
           worker->parcels.in_use > 0 || worker->errands.in_use > 0 ||
           worker->listeners[LISTENER_PUBLIC].phase != LISTENER_CLOSED ||
           worker->listeners[LISTENER_WORLD].phase != LISTENER_CLOSED;
}

/* Nobody stops before all are empty: until then the internal listener answers, and mail finds a
 * reader. */
static bool all_empty(struct worker *worker)
{
    bool empty = !any_left(worker);
    if (empty && !worker->counted_empty) worker->counted_empty = quota_take(&worker->hub->empty);
    if (!empty && worker->counted_empty) {
        worker->counted_empty = false;
        quota_give(&worker->hub->empty);
    }
    return quota_is_used_up(&worker->hub->empty);
}

/* Goodbyes are spread evenly at random; the last are early enough to be answered before the end. */
static void spread_goodbyes(struct worker *worker)
{
    uint64_t now_ms = instant_ms(worker->now);
    uint32_t drain_ms = worker->config->drain_ms;
    uint32_t spread_ms = drain_ms > 2 * goodbye_ms ? drain_ms - goodbye_ms : drain_ms / 2;
    struct conn *conn = conn_at_or_behind(&worker->conns, 0);
    while (conn != nullptr) {
        if (conn->phase == CONN_OPEN)
            conn_restart_at(conn, now_ms + random_below(&worker->random, (uint64_t)spread_ms + 1));
        conn = conn_at_or_behind(&worker->conns, conn->slot + 1);
    }
}

void stop_begin(struct worker *worker)
{
    if (worker->phase != WORKER_RUNNING) return;
    uint64_t now_ms = instant_ms(worker->now);
    LOG(&worker->log, worker->now, LOG_NOTICE, "draining",
        LOG_U("connections", worker->conns.conns.in_use),
        LOG_U("drain_ms", worker->config->drain_ms));
    worker->phase = WORKER_DRAINING;
    worker->drain_end_ms = now_ms + worker->config->drain_ms;
    spread_goodbyes(worker);
    wheel_set(&worker->wheel, &worker->drain_timer, now_ms);
}

void stop_accepting(struct worker *worker, struct listener *listener)
{
    while (listener->phase == LISTENER_ENDING) {
        int fd = listener_take(listener, &worker->ring);
        if (fd >= 0) entrance_on_accept(worker, (enum listener_kind)listener->slot, fd);
        if (fd == -EMFILE || fd == -ENFILE) return; /* again at the next step: some will leave */
    }
}

static void end_listener(struct worker *worker, struct listener *listener)
{
    bool armed = listener->phase == LISTENER_ARMED;
    if (armed || listener->phase == LISTENER_PAUSED)
        (void)!listener_end(listener, &worker->ring, &worker->wheel);
    /* An armed accept has to end first, which its last event tells. */
    if (listener->phase == LISTENER_ENDING && !listener->accepting)
        stop_accepting(worker, listener);
}

static void drop_everybody(struct worker *worker)
{
    struct conn *conn = conn_at_or_behind(&worker->conns, 0);
    while (conn != nullptr) {
        conn_drain(conn, CLOSE_RESTART);
        conn = conn_at_or_behind(&worker->conns, conn->slot + 1);
    }
}

void stop_on_timer(struct worker *worker)
{
    end_listener(worker, &worker->listeners[LISTENER_PUBLIC]);
    end_listener(worker, &worker->listeners[LISTENER_WORLD]);
    uint64_t now_ms = instant_ms(worker->now);
    bool all = all_empty(worker);
    if (all || now_ms >= worker->drain_end_ms)
        worker->phase = WORKER_STOPPED;
    else
        wheel_set(&worker->wheel, &worker->drain_timer, now_ms + drain_step_ms);
}

static bool is_home(const struct worker *worker)
{
    return worker->conns.conns.in_use == 0 && worker->members.in_use == 0 &&
           worker->frames.live == 0 && worker->outboxes.storage.in_use == 0 &&
           worker->conns.message_buffers.in_use == 0 && worker->conns.request_buffers.in_use == 0 &&
           worker->conns.wide_request_buffers.in_use == 0 &&
           worker->conns.kept_buffers.in_use == 0 && worker->outboxes.bytes_owed == 0 &&
           worker->ring.stats.buffers_out == 0;
}

static bool is_waiting(const struct worker *worker)
{
    return worker->conns.conns.in_use > 0 || worker->loans.in_use > 0 ||
           worker->parcels.in_use > 0 || worker->errands.in_use > 0 ||
           worker->conns.retained_count > 0 ||
           worker->listeners[LISTENER_PUBLIC].phase != LISTENER_CLOSED ||
           worker->listeners[LISTENER_WORLD].phase != LISTENER_CLOSED ||
           worker->listeners[LISTENER_ADMIN].phase != LISTENER_CLOSED;
}

/* Until nothing is to be waited for, or patience is at its end. */
static void wait_for_rest(struct worker *worker)
{
    constexpr uint64_t patience_ns = 1'000'000'000, step_ns = 5'000'000;
    uint64_t until_ns = worker->now.ns + patience_ns;
    while (is_waiting(worker) && worker->now.ns < until_ns) {
        for (uint32_t i = 0; i < listener_kinds; i++)
            end_listener(worker, &worker->listeners[i]);
        worker_last_turn(worker, worker->now.ns + step_ns);
    }
}

/* Others may still send mail, which must find a reader to be given back. */
static void wait_for_others(struct worker *worker)
{
    constexpr uint64_t patience_ns = 2'000'000'000, step_ns = 5'000'000;
    uint64_t until_ns = worker->now.ns + patience_ns;
    (void)!quota_take(&worker->hub->ended);
    while (!quota_is_used_up(&worker->hub->ended) && worker->now.ns < until_ns)
        worker_last_turn(worker, worker->now.ns + step_ns);
}

static void flush_log(struct worker *worker)
{
    constexpr uint64_t patience_ns = 1'000'000'000, step_ns = 50'000'000;
    uint64_t until_ns = worker->now.ns + patience_ns;
    while ((worker->log_armed || log_pending(&worker->log).size > 0 || world_log_waits(worker)) &&
           worker->now.ns < until_ns)
        worker_last_turn(worker, worker->now.ns + step_ns);
}

int stop_end(struct worker *worker)
{
    drop_everybody(worker);
    (void)conn_reap(&worker->conns);
    wait_for_rest(worker);
    bool all_left = !is_waiting(worker);
    world_log_end(worker, TEXT("the server stops"));
    if (all_left) {
        rooms_close_all(worker);
        conn_shared_close(&worker->conns);
    }
    bool home = all_left && is_home(worker);
    LOG(&worker->log, worker->now, home ? LOG_NOTICE : LOG_ERROR, "stopped",
        LOG_U("accepted", worker->conns.counters.accepted),
        LOG_U("bytes_sent", worker->outboxes.counters.bytes_sent),
        LOG_U("bytes_received", worker->conns.counters.bytes_received),
        LOG_U("connections", worker->conns.conns.in_use), LOG_U("frames", worker->frames.live),
        LOG_T("everything_home", home ? TEXT("yes") : TEXT("no")));
    wait_for_others(worker);
    flush_log(worker);
    ring_close(&worker->ring);
    return home ? 0 : 1;
}
