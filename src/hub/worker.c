#include "hub/worker.h"
#include "hub/entrance.h"
#include "hub/errand.h"
#include "hub/events.h"
#include "hub/handoff.h"
#include "hub/reload.h"
#include "hub/rooms.h"
#include "hub/span.h"
#include "hub/stop.h"
#include "hub/world_door.h"
#include "hub/world_log.h"
#include <assert.h>
#include <errno.h>

/* of events; then timers and flushes; and as long for who was stopped */
constexpr uint64_t turn_ns_max = 1'000'000;
constexpr uint32_t turn_bytes_a_look = 16 * 1024; /* after so much work the clock is looked at */
constexpr uint32_t mails_a_turn_max = 1024;
constexpr uint32_t turn_bytes_an_event = 512; /* what an event costs beside its bytes */

static void arm_wake(struct worker *worker)
{
    worker->wake_armed = ring_wake_arm(&worker->ring, (struct ring_token){.op = RING_WAKE});
}

static void end_round(struct worker *worker);

static void on_mail(struct worker *worker, struct mail mail)
{
    bool stopped = worker->phase == WORKER_STOPPED;
    switch ((enum mail_kind)mail.kind) {
    case MAIL_DRAIN: stop_begin(worker); break;
    case MAIL_CONN: handoff_receive(worker, mail.pointer); break;
    case MAIL_SUBSCRIBE:
        if (!stopped) span_on_subscribe(worker, (enum game_kind)mail.number, mail.value);
        break;
    case MAIL_UNSUBSCRIBE:
        span_on_unsubscribe(worker, (enum game_kind)mail.number, mail.value);
        break;
    case MAIL_FRAME:
        end_round(worker);
        span_on_frame(worker, (enum game_kind)mail.value, mail.pointer, mail.number);
        conn_flush_dirty(&worker->conns); /* before the next one, which would take its place */
        break;
    case MAIL_STALE: span_on_stale(worker, (enum game_kind)mail.value); break;
    case MAIL_KEYS: reload_take(worker, mail.pointer); break;
    case MAIL_WORLD: world_door_take(worker, mail.pointer); break;
    case MAIL_ERRAND: errand_do(worker, mail.pointer); break;
    }
}

static void on_return(struct worker *worker, struct mailbox_return *back)
{
    switch ((enum return_kind)back->kind) {
    case RETURN_LOAN: span_on_return(worker, list_entry(back, struct frame_loan, back)); break;
    case RETURN_PARCEL: pool_give(&worker->parcels, list_entry(back, struct parcel, back)); break;
    case RETURN_ERRAND: errand_on_return(worker, list_entry(back, struct errand, back)); break;
    case RETURN_KEYS:
    case RETURN_WORLD: break; /* those go home to the main thread */
    }
}

/* Else what was said must be sent before more is. */
static bool has_said_little(const struct worker *worker)
{
    return worker->said < events_a_turn_max;
}

/* What other workers have sent, and what they have given back. After the events of the turn, and
 * not before: a doorbell that is among them tells of mail that may have come since the last
 * look. */
static void worker_take_mail(struct worker *worker)
{
    struct mail mail;
    mailbox_quiet(&worker->inbox);
    uint32_t mails_left = mails_a_turn_max;
    while (mails_left > 0 && has_said_little(worker) && mailbox_take(&worker->inbox, &mail)) {
        on_mail(worker, mail);
        mails_left -= 1;
    }
    worker->more_mail = mails_left == 0 || !has_said_little(worker);
    struct mailbox_return *back = mailbox_take_returns(&worker->returns);
    while (back != nullptr) {
        struct mailbox_return *next = back->next;
        on_return(worker, back);
        back = next;
    }
}

static void on_accept(struct worker *worker, struct ring_event event)
{
    assert(event.token.slot < listener_kinds);
    struct listener *listener = &worker->listeners[event.token.slot];
    uint64_t pauses = listener->pauses;
    int fd =
        listener_on_accept(listener, &worker->ring, &worker->wheel, instant_ms(worker->now), event);
    if (fd >= 0) entrance_on_accept(worker, (enum listener_kind)event.token.slot, fd);
    if (listener->pauses > pauses && pauses % 100 == 0)
        LOG(&worker->log, worker->now, LOG_WARN, "accept_paused", LOG_I("errno", -event.result),
            LOG_U("pauses", listener->pauses));
    if (event.last && listener->phase == LISTENER_ENDING) stop_accepting(worker, listener);
}

static void on_log_written(struct worker *worker, int32_t result)
{
    worker->log_armed = false;
    if (result > 0)
        log_consume(&worker->log, (size_t)result);
    else if (result == -EAGAIN || result == -EINTR)
        worker->log_again_ms = instant_ms(worker->now) + 100;
    else /* nobody will ever read it */
        log_discard(&worker->log, log_pending(&worker->log).size);
}

static void on_event(struct worker *worker, struct ring_event event)
{
    struct conn *conn = nullptr;
    switch (event.token.op) {
    case RING_ACCEPT: on_accept(worker, event); break;
    case RING_RECV:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_recv(conn, event);
        break;
    case RING_SEND:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_send(conn, event);
        break;
    case RING_SEND_NOW:
        conn = conn_of_token(&worker->conns, event.token);
        if (conn != nullptr) conn_on_send_now(conn, event);
        break;
    case RING_WRITE:
        if (event.token.slot == 0)
            on_log_written(worker, event.result);
        else
            world_log_on_written(worker, event.result);
        break;
    case RING_WAKE: worker->wake_armed = false; break; /* the mail is taken each turn */
    case RING_CANCEL: break; /* the cancelled operation tells its own end */
    }
}

static void on_timer(struct worker *worker, struct timer *timer)
{
    switch ((enum timer_kind)timer->kind) {
    case TIMER_CONN: conn_on_timer(list_entry(timer, struct conn, timer)); break;
    case TIMER_ROOM:
        rooms_on_timer(worker, list_entry(timer, struct hub_room, room.tick));
        conn_flush_dirty(&worker->conns); /* before the next room is built */
        break;
    case TIMER_LISTENER:
        listener_on_timer(list_entry(timer, struct listener, timer), &worker->ring, &worker->wheel,
                          instant_ms(worker->now));
        break;
    case TIMER_DRAIN: stop_on_timer(worker); break;
    }
}

static void set_now(struct worker *worker, struct instant now)
{
    worker->now = now;
    worker->conns.now = now;
}

/* As many whole lines as a pipe takes in one piece, so that workers' lines do not mix. */
static struct bytes whole_lines(struct bytes pending)
{
    constexpr size_t pipe_size = 4096; /* PIPE_BUF */
    if (pending.size <= pipe_size) return pending;
    size_t size = pipe_size;
    while (size > 0 && pending.data[size - 1] != '\n')
        size -= 1;
    pending.size = size > 0 ? size : pipe_size;
    return pending;
}

/* What the log holds goes to stderr by one write at a time. */
static void write_log(struct worker *worker)
{
    struct bytes pending = whole_lines(log_pending(&worker->log));
    if (worker->log_armed || pending.size == 0 || instant_ms(worker->now) < worker->log_again_ms)
        return;
    constexpr int stderr_fd = 2;
    worker->log_armed =
        ring_write(&worker->ring, (struct ring_token){.op = RING_WRITE}, stderr_fd, pending);
}

/* What slow clients keep in memory is bounded: beyond it, those who owe most go first. What is
 * leaving already counts as gone, else many would go for the memory that few hold. */
static bool must_shed(struct worker *worker)
{
    const struct outbox_set *outboxes = &worker->outboxes;
    const struct frame_pool *frames = &worker->frames;
    uint64_t kept =
        frames->bytes_in_use - frames->reply_bytes - frames->bytes_of_twins - worker->shown_bytes;
    bool over = kept > worker->config->frame_memory + outboxes->memory_leaving;
    return (over || outbox_is_over(outboxes)) && outbox_worst(&worker->outboxes) != nullptr;
}

/* Something is left that only another turn can do. */
static bool has_more(struct worker *worker)
{
    return must_shed(worker) || worker->more_mail || worker->more_stopped ||
           worker->event_next < worker->event_count || !worker->wake_armed ||
           !list_is_empty(&worker->outboxes.dirty) || !list_is_empty(&worker->outboxes.due) ||
           !list_is_empty(&worker->outboxes.held) || !list_is_empty(&worker->conns.waiting) ||
           !list_is_empty(&worker->conns.drained);
}

/* The end of so many steps of a wheel; UINT64_MAX stays what it is. */
static uint64_t time_of(uint64_t steps, uint64_t step_ns)
{
    return steps < UINT64_MAX / step_ns ? steps * step_ns : UINT64_MAX;
}

/* When the next turn must begin, whatever happens. */
static uint64_t next_turn_ns(struct worker *worker)
{
    if (has_more(worker)) return 0;
    uint64_t next_ms = wheel_next_ms(&worker->wheel), soon_ms = instant_ms(worker->now) + 1;
    bool must_write = world_log_waits(worker) && !worker->world_log->armed;
    if (must_write && soon_ms < next_ms) next_ms = soon_ms; /* the queue was full */
    if (span_retry(worker) && soon_ms < next_ms) next_ms = soon_ms;
    bool log_waits = !worker->log_armed && log_pending(&worker->log).size > 0;
    if (log_waits && worker->log_again_ms < next_ms) next_ms = worker->log_again_ms;
    uint64_t next_ns = time_of(next_ms, 1'000'000);
    uint64_t tick_ns = time_of(wheel_next_ms(&worker->ticks), tick_step_ns);
    uint64_t due_ns = outbox_due_ns(&worker->outboxes);
    if (tick_ns < next_ns) next_ns = tick_ns;
    return due_ns < next_ns ? due_ns : next_ns;
}

/* How much of a core the worker has used since it was last weighed, in percent, or UINT64_MAX when
 * that is not long ago. */
static uint64_t weigh_load(struct worker *worker)
{
    constexpr uint64_t weighing_ns = 50'000'000;
    uint64_t since_ns = worker->now.ns - worker->weighed_ns;
    if (since_ns < weighing_ns) return UINT64_MAX;
    uint64_t cpu_ns = ring_cpu_ns(&worker->ring), used_ns = cpu_ns - worker->weighed_cpu_ns;
    worker->weighed_ns = worker->now.ns;
    worker->weighed_cpu_ns = cpu_ns;
    return used_ns * 100 / since_ns;
}

/* The flush window is for a worker that is busy, and what it saves must not close it again. Nor is
 * it for one that owes too much. */
static void set_window(struct worker *worker)
{
    struct outbox_window *window = &worker->outboxes.window;
    if (window->size_ns == 0) return;
    uint64_t least = worker->config->flush_load, load = weigh_load(worker);
    if (load != UINT64_MAX) worker->busy = load >= least || (worker->busy && load * 5 >= least);
    window->open = worker->busy && !outbox_is_over(&worker->outboxes);
}

static void worker_wait(struct worker *worker)
{
    write_log(worker);
    world_log_write(worker);
    if (!worker->wake_armed) arm_wake(worker);
    worker->conns.unsubmitted = 0;
    worker->said = 0;
    set_now(worker, ring_wait(&worker->ring, next_turn_ns(worker)));
    set_window(worker);
}

/* Takes what has completed, behind what an earlier turn has left. That a send past an outbox
 * fell short is handled at once: a round can then end however much else is waiting. False when
 * nothing has completed, or there is no place for it. */
static bool take_more(struct worker *worker)
{
    uint32_t left = worker->event_count - worker->event_next;
    memmove(worker->events, worker->events + worker->event_next, left * sizeof *worker->events);
    worker->event_next = 0;
    worker->event_count = left;
    uint32_t taken = ring_take(&worker->ring, worker->events + left, worker_events_max - left);
    for (uint32_t i = left; i < left + taken; i++) {
        if (worker->events[i].token.op == RING_SEND_NOW)
            on_event(worker, worker->events[i]);
        else
            worker->events[worker->event_count++] = worker->events[i];
    }
    return taken > 0;
}

/* Handles events until none is there or the turn's time is up; a flood from one client then waits
 * for the timers and sends of all others (THREATS.md F13). What was taken is kept for the next
 * turn. */
static void worker_take_events(struct worker *worker)
{
    uint64_t until_ns = worker->now.ns + turn_ns_max;
    uint32_t bytes = 0; /* since the clock was last read */
    (void)take_more(worker);
    for (;;) {
        while (worker->event_next == worker->event_count) {
            conn_arm_waiting(&worker->conns);
            if (!take_more(worker)) return;
        }
        struct ring_event event = worker->events[worker->event_next++];
        on_event(worker, event);
        ring_give(&worker->ring, &event);
        if (!has_said_little(worker)) return;
        bytes += turn_bytes_an_event + (uint32_t)event.data.size;
        if (bytes < turn_bytes_a_look) continue;
        bytes = 0;
        if (ring_now(&worker->ring).ns >= until_ns) return;
    }
}

static void worker_settle(struct worker *worker)
{
    if (ring_settled(&worker->ring)) conn_settle(&worker->conns);
}

/* What these owe is bounded in its own way, and not what is short: replies, and the answers of the
 * internal listener, which are few and the only ones that tell of the shortage. */
static bool owes_otherwise(const struct conn *conn)
{
    return conn->answered || conn->listener == LISTENER_ADMIN;
}

static void worker_shed(struct worker *worker)
{
    constexpr uint32_t sheds_a_turn = 64;
    for (uint32_t i = 0; i < sheds_a_turn && must_shed(worker); i++) {
        struct outbox *worst = outbox_worst(&worker->outboxes);
        struct conn *conn = list_entry(worst, struct conn, outbox);
        if (owes_otherwise(conn)) {
            outbox_spare(&worker->outboxes, worst);
            continue;
        }
        worker->metrics.conns_shed += 1;
        conn_shed(conn);
    }
}

/* A crowd has left: its memory goes back to the kernel. */
static void trim(struct worker *worker)
{
    if (!pool_trim(&worker->conns.conns) && worker->conns.conns.in_use > 0) return;
    (void)!pool_trim(&worker->conns.request_buffers);
    (void)!pool_trim(&worker->conns.wide_request_buffers);
    (void)!pool_trim(&worker->conns.message_buffers);
    (void)!pool_trim(&worker->conns.kept_buffers);
    (void)!pool_trim(&worker->members);
    (void)!pool_trim(&worker->room_pool);
    /* What may be in another worker's hands is not looked at. */
    if (worker->loans.in_use == 0) (void)!pool_trim(&worker->loans);
    if (worker->parcels.in_use == 0) (void)!pool_trim(&worker->parcels);
    if (worker->errands.in_use == 0) (void)!pool_trim(&worker->errands);
    outbox_set_trim(&worker->outboxes);
    if (worker->conns.conns.in_use == 0) ring_trim(&worker->ring); /* so no receive is armed */
}

/* Drained connections become free slots. */
static void worker_reap(struct worker *worker)
{
    if (conn_reap(&worker->conns)) trim(worker);
}

/* Frames that come in a burst, after this worker or home was held up, go out one by one all the
 * same: the sends of the one before are over before the next. */
static void end_round(struct worker *worker)
{
    if (worker->conns.retained_count == 0) return;
    ring_submit(&worker->ring);
    (void)take_more(worker);
    worker_settle(worker);
}

static void run_timers(struct worker *worker, struct wheel *wheel, uint64_t now)
{
    wheel_advance(wheel, now);
    for (struct timer *timer; (timer = wheel_take(wheel)) != nullptr;)
        on_timer(worker, timer);
}

static void worker_run_timers(struct worker *worker)
{
    set_now(worker, ring_now(&worker->ring));
    run_timers(worker, &worker->ticks, worker->now.ns / tick_step_ns);
    run_timers(worker, &worker->wheel, instant_ms(worker->now));
}

void worker_last_turn(struct worker *worker, uint64_t until_ns)
{
    worker->said = 0;
    conn_flush_dirty(&worker->conns);
    write_log(worker);
    world_log_write(worker);
    if (!worker->wake_armed) arm_wake(worker);
    set_now(worker, ring_wait(&worker->ring, until_ns));
    worker_take_events(worker);
    worker_take_mail(worker);
    worker_settle(worker);
    worker_reap(worker);
    worker->more_stopped = conn_read_stopped(&worker->conns, turn_ns_max);
}

int worker_run(struct worker *worker)
{
    while (worker->phase != WORKER_STOPPED) {
        worker_wait(worker);              /* one system call: submit, then sleep */
        worker_take_events(worker);       /* bytes in: requests, messages, rooms' inputs */
        worker_take_mail(worker);         /* from other workers: frames, connections, questions */
        worker_settle(worker);            /* what was sent past outboxes is over */
        worker_run_timers(worker);        /* deadlines; rooms tick: rules, snapshots, frames */
        conn_flush_dirty(&worker->conns); /* frames out: one send per dirty outbox */
        worker_shed(worker);              /* those who owe most, when memory runs short */
        worker_reap(worker);              /* drained connections become free slots */
        worker->more_stopped = conn_read_stopped(&worker->conns, turn_ns_max); /* who waited */
    }
    return stop_end(worker);
}
