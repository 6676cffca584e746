#include "sim_run.h"

constexpr uint32_t turns_a_count = 64; /* so often those inside are counted */

/* --- While a worker waits --------------------------------------------------------------------- */

/* A frame holds its twins. */
static uint32_t twins_of(const struct frame *frame)
{
    uint32_t count = 0;
    bool is_twin = frame->bits > 0;
    for (const struct frame *twin = frame->twins; !is_twin && twin != nullptr; twin = twin->twins)
        count += 1;
    return count;
}

/* But for those between frames. */
static uint64_t references_in(const struct frame_pool *frames)
{
    uint64_t references = 0, between = 0;
    for (uint32_t c = 0; c <= frame_class_large; c++) {
        const struct pool *pool = &frames->classes[c];
        for (uint32_t i = 0; i < pool->touched; i++) {
            const struct frame *frame = pool_at(pool, i);
            bool is_free = frame->wire_size == ~i; /* the pool's mark (base/pool.c) */
            if (is_free) continue;
            references += frame->refs;
            between += twins_of(frame);
        }
    }
    return references - between;
}

/* What an echo is put together in. */
static bool has_lent(const struct conn *conn)
{
    return conn->answered && conn->upgraded && conn->ws.buffer != nullptr;
}

/* What holds frames: outboxes, echoes under way, what rooms show, this round's sends, loans, the
 * one ping. */
static uint64_t holders_in(struct worker *worker)
{
    uint64_t holders = worker->conns.retained_count + worker->loans.in_use;
    holders += worker->conns.ping != nullptr;
    struct conn *conn = conn_at_or_behind(&worker->conns, 0);
    for (; conn != nullptr; conn = conn_at_or_behind(&worker->conns, conn->slot + 1))
        holders += conn->outbox.count + has_lent(conn);
    const struct table *table = &worker->rooms_by_name;
    for (uint32_t i = 0; i < table->bucket_count; i++)
        for (struct table_link *link = table->buckets[i]; link != nullptr; link = link->next)
            holders += list_entry(link, struct hub_room, room.by_name)->room.shown != nullptr;
    return holders;
}

static void judge_outbox(struct run *run, const struct outbox *box)
{
    MUST(run, box->count <= outbox_frames_max && box->in_flight <= box->count,
         "an outbox of %u frames, %u of them in flight", box->count, box->in_flight);
    MUST(run, box->count <= 1 || box->bytes <= outbox_bytes_max, "an outbox of %u bytes",
         box->bytes);
}

/* Only the newest state waits: beside it one in flight, the request's answer, ping and pong. */
static void judge_conflation(struct run *run, const struct conn *conn)
{
    const struct member *member = conn->member;
    if (member == nullptr || member->seat.room->policy != OUTBOX_CONFLATE) return;
    if (member->seat.room->kind == GAME_WORLD)
        return; /* one of each cell, and who comes and goes */
    MUST(run, conn->outbox.count <= 6, "%u frames wait where only the newest should",
         conn->outbox.count);
}

static void judge_conns(struct run *run, struct worker *worker)
{
    uint64_t owed = 0, members = 0;
    struct conn *conn = conn_at_or_behind(&worker->conns, 0);
    for (; conn != nullptr; conn = conn_at_or_behind(&worker->conns, conn->slot + 1)) {
        conn_check(conn);
        judge_outbox(run, &conn->outbox);
        judge_conflation(run, conn);
        owed += conn->outbox.bytes;
        members += conn->member != nullptr;
    }
    uint64_t counted = worker->outboxes.bytes_owed + worker->outboxes.bytes_leaving;
    MUST(run, owed == counted, "worker %u: %llu bytes owed, %llu counted", worker->index,
         (unsigned long long)owed, (unsigned long long)counted);
    MUST(run, members == worker->members.in_use, "worker %u: %llu members, %u counted",
         worker->index, (unsigned long long)members, worker->members.in_use);
}

/* --- What the kernel holds, and what the hub believes that it does ---------------------------- */

struct armed {
    uint32_t receives, sends;
};

/* The connection that an operation or an event is about: nobody asks for anything on a place that
 * another has by now. */
static struct conn *conn_of(struct run *run, struct worker *worker, struct ring_token token)
{
    struct conn *conn = conn_of_token(&worker->conns, token);
    MUST(run, conn != nullptr, "worker %u: operation %u of slot %u/%u, which is another's by now",
         worker->index, token.op, token.slot, token.generation);
    return conn;
}

static void judge_operation(struct run *run, struct worker *worker, const struct sim_held *held,
                            struct armed *armed)
{
    const struct conn *conn = nullptr;
    switch (held->token.op) {
    case RING_RECV:
        conn = conn_of(run, worker, held->token);
        armed->receives += 1;
        break;
    case RING_SEND:
        conn = conn_of(run, worker, held->token);
        armed->sends += 1;
        break;
    case RING_SEND_NOW:
        conn = conn_of(run, worker, held->token);
        MUST(run, conn->passed == worker->conns.round,
             "worker %u: a send past slot %u is forgotten", worker->index, conn->slot);
        break;
    case RING_CANCEL: /* it may come too late, and must not hit whoever is there now */
        if (held->target.op == RING_RECV) conn = conn_of_token(&worker->conns, held->target);
        MUST(run, conn == nullptr || conn->phase == CONN_DRAINING,
             "worker %u: a cancel is about slot %u, which is another's by now", worker->index,
             held->target.slot);
        return;
    default: return;
    }
    MUST(run, conn->fd == held->fd, "worker %u: operation %u of slot %u is on %d, which has %d",
         worker->index, held->token.op, conn->slot, held->fd, conn->fd);
}

/* An event that has not reached its connection yet. */
static void judge_event(struct run *run, struct worker *worker, const struct ring_event *event,
                        struct armed *armed)
{
    enum ring_op op = event->token.op;
    if (op != RING_RECV && op != RING_SEND && op != RING_SEND_NOW) return;
    (void)conn_of(run, worker, event->token);
    armed->receives += op == RING_RECV && event->last;
    armed->sends += op == RING_SEND && event->last;
}

/* A receive and a send are armed exactly while the kernel, or an event on its way, has them. */
static void judge_operations(struct run *run, struct worker *worker)
{
    struct armed held = {}, believed = {};
    struct sim_held operation;
    const struct ring_event *event;
    uint32_t place = 0;
    while (sim_operation_behind(run->sim, worker->index, &place, &operation))
        judge_operation(run, worker, &operation, &held);
    for (uint32_t i = 0; (event = sim_event_at(run->sim, worker->index, i)) != nullptr; i++)
        judge_event(run, worker, event, &held);
    for (uint32_t i = worker->event_next; i < worker->event_count; i++)
        judge_event(run, worker, &worker->events[i], &held);
    struct conn *conn = conn_at_or_behind(&worker->conns, 0);
    for (; conn != nullptr; conn = conn_at_or_behind(&worker->conns, conn->slot + 1)) {
        believed.receives += conn->recv_armed;
        believed.sends += conn->send_armed;
    }
    MUST(run, held.receives == believed.receives && held.sends == believed.sends,
         "worker %u: %u receives and %u sends are armed, it believes in %u and %u", worker->index,
         held.receives, held.sends, believed.receives, believed.sends);
}

/* --- What is encoded: each tick of a race that somebody watches, and each change between two of
 *     them that somebody comes to see, once, however many there are ---------------------------- */

/* Phases end by themselves, too, and none is shorter. */
constexpr uint64_t phase_least_ns = 5 * second_ns;

static struct encoding *encoding_of(struct run *run, const struct worker *worker)
{
    return &run->encodings[worker->index];
}

/* Races whose state is not what was shown last: their next viewer costs an encoding. */
static uint32_t stale_races(const struct worker *worker)
{
    uint32_t count = 0;
    const struct table *table = &worker->rooms_by_name;
    for (uint32_t i = 0; i < table->bucket_count; i++)
        for (struct table_link *link = table->buckets[i]; link != nullptr; link = link->next) {
            const struct hub_room *room = list_entry(link, struct hub_room, room.by_name);
            count += room->room.kind == GAME_KART && room->room.stale;
        }
    return count;
}

void judge_turn(struct run *run, const struct worker *worker)
{
    const struct kind_metrics *now = &worker->metrics.kinds[GAME_KART];
    struct encoding *was = encoding_of(run, worker);
    uint64_t encodes = now->encodes - was->encodes, ticks = now->ticks - was->ticks;
    uint64_t failed = worker->metrics.snapshots_failed - was->failed;
    uint64_t opened = now->rooms > was->rooms ? now->rooms - was->rooms : 0;
    uint64_t joined = now->accepted - was->accepted;
    uint64_t left = joined + was->connections - now->connections;
    /* Who is the last to go, and the first to come again, sees another state. */
    uint64_t again = joined < left ? joined : left;
    uint64_t changes = now->commands - was->commands + was->stale + opened + again;
    MUST(run, encodes + failed >= ticks, "worker %u: %llu ticks, %llu encodes", worker->index,
         (unsigned long long)ticks, (unsigned long long)encodes);
    if (encodes > ticks + changes) was->beyond += encodes - ticks - changes;
    uint64_t phases = races_max * (1 + (sim_now_ns(run->sim) - second_ns) / phase_least_ns);
    MUST(run, was->beyond <= phases, "worker %u: %llu encodes beside ticks and changes",
         worker->index, (unsigned long long)was->beyond);
    *was = (struct encoding){now->encodes,
                             now->ticks,
                             now->commands,
                             now->rooms,
                             now->accepted,
                             now->connections,
                             worker->metrics.snapshots_failed,
                             stale_races(worker),
                             was->beyond};
}

/* --- Who may be inside ------------------------------------------------------------------------ */

/* How many are inside, of all keys and of the one that has most. */
static uint32_t count_inside(const struct turnstile *turnstile, uint32_t *most)
{
    uint32_t all = 0;
    *most = 0;
    for (uint32_t i = 0; turnstile->entries != nullptr && i <= turnstile->mask; i++) {
        uint32_t inside = (uint32_t)(turnstile->entries[i].state >> 44); /* base/mailbox.h */
        all += inside;
        if (inside > *most) *most = inside;
    }
    return all;
}

static void judge_limits(struct run *run)
{
    const struct hub *hub = &run->hub;
    uint32_t most;
    MUST(run, hub->connections.taken <= hub->connections.most, "too many connections");
    MUST(run, hub->rooms.taken <= hub->rooms.most, "too many rooms");
    if (run->turns % turns_a_count != 0) return; /* there are thousands of them */
    (void)count_inside(&hub->addresses, &most);
    MUST(run, hub->addresses.inside_most == 0 || most <= hub->addresses.inside_most,
         "%u connections of one address", most);
    (void)count_inside(&hub->acquirers, &most);
    MUST(run, hub->acquirers.inside_most == 0 || most <= hub->acquirers.inside_most,
         "%u rooms of one address", most);
}

static uint32_t still_inside(const struct turnstile *turnstile)
{
    uint32_t most;
    return count_inside(turnstile, &most);
}

void judge_worker(struct run *run, const struct worker *const_worker)
{
    struct worker *worker = run->hub.workers[const_worker->index];
    judge_conns(run, worker);
    judge_operations(run, worker);
    uint64_t references = references_in(&worker->frames), holders = holders_in(worker);
    MUST(run, references == holders, "worker %u: frames count %llu references, held are %llu",
         worker->index, (unsigned long long)references, (unsigned long long)holders);
    judge_limits(run);
    /* What slow clients keep is shed down to the bound within a few turns. */
    MUST(run, worker->frames.bytes_in_use < 3ull * run->plan.config.frame_memory + (8u << 20),
         "worker %u: frames take %llu bytes", worker->index,
         (unsigned long long)worker->frames.bytes_in_use);
}

/* --- At the end ------------------------------------------------------------------------------- */

static void judge_counts(struct run *run, const struct worker *worker)
{
    const struct metrics *metrics = &worker->metrics;
    uint64_t closed = 0;
    for (size_t i = 0; i < close_reason_count; i++)
        closed += metrics->closed[i] + metrics->never_upgraded[i];
    for (size_t i = 0; i < peer_code_buckets; i++)
        closed += metrics->closed_by_peer[i];
    MUST(run, closed == worker->conns.counters.accepted,
         "worker %u: %llu connections were accepted, %llu closed", worker->index,
         (unsigned long long)worker->conns.counters.accepted, (unsigned long long)closed);
    for (size_t i = 0; i < game_kinds; i++)
        MUST(run, metrics->kinds[i].connections == 0, "worker %u: kind %zu still has members",
             worker->index, i);
}

static uint64_t dropped_by(const struct outbox_counters *counters)
{
    uint64_t dropped = counters->conflated + counters->dropped_shed + counters->dropped_gone;
    for (size_t p = 0; p < outbox_policies; p++)
        for (size_t b = 0; b < outbox_bounds; b++)
            dropped += counters->dropped[p][b];
    return dropped;
}

/* A worker whose last member goes wants no more frames, and when the next one comes it wants them
 * again: who came upon the last frame before misses those between the two letters. */
static uint64_t between_letters(const struct run *run)
{
    const struct plan *plan = &run->plan;
    uint64_t letters = 0, late_ms = 10 + 2 * plan->sim.faults.hiccup_us_max / 1000;
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        letters += run->hub.workers[i]->metrics.kinds[GAME_KART].accepted;
    return run->hub.worker_count > 1 ? letters * (1 + late_ms / plan->config.kart_tick_ms) : 0;
}

/* Nothing is left out that no count tells of: of one peer, or of a worker that got no frame. */
static void judge_gaps(struct run *run)
{
    uint64_t told = between_letters(run);
    for (uint32_t i = 0; i < run->hub.worker_count; i++) {
        const struct worker *worker = run->hub.workers[i];
        const struct metrics *metrics = &worker->metrics;
        told += dropped_by(&worker->outboxes.counters);
        told += run->plan.clients * (metrics->snapshots_not_lent + metrics->snapshots_failed);
    }
    if (run->gap_count == gaps_max) return;
    MUST(run, rooms_missed(run) <= told, "%llu states did not come, %llu are counted as dropped",
         (unsigned long long)rooms_missed(run), (unsigned long long)told);
}

/* A vote's room says two things about who comes, two about who asks at most, and one when it ends
 * by itself: to everybody in one frame. */
static void judge_words(struct run *run)
{
    uint64_t said = 0, reasons = run->acquires;
    for (uint32_t i = 0; i < run->hub.worker_count; i++) {
        const struct kind_metrics *votes = &run->hub.workers[i]->metrics.kinds[GAME_VOTE];
        said += votes->encodes;
        reasons += 2 * (votes->accepted + votes->requests);
    }
    MUST(run, said <= reasons, "votes were encoded %llu times for %llu reasons",
         (unsigned long long)said, (unsigned long long)reasons);
}

/* Who is not run for long, again and again, and whose kernel takes nothing in between, comes to the
 * end of its patience (hub/stop.c) before everything is home, and says so. */
static bool may_give_up(const struct run *run)
{
    const struct sim_faults *faults = &run->plan.sim.faults;
    bool is_short = faults->submit_none > 0 || faults->submit_fewer > 0;
    return !run->calm && is_short && faults->hiccup > 0 && faults->hiccup_us_max > 200'000;
}

void judge_end(struct run *run, const int *codes)
{
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        if (codes[i] != 0 && may_give_up(run)) return;
    for (uint32_t i = 0; i < run->hub.worker_count; i++) {
        const struct worker *worker = run->hub.workers[i];
        MUST(run, codes[i] == 0, "worker %u ended with %d: not everything came home", i, codes[i]);
        MUST(run, worker->loans.in_use + worker->parcels.in_use + worker->errands.in_use == 0,
             "worker %u: something lent is not home", i);
        MUST(run, worker->wheel.count == 0 || codes[i] == 0, "worker %u: timers are set", i);
        MUST(run, sim_operations(run->sim, i) == 0, "worker %u: operations are left", i);
        judge_counts(run, worker);
    }
    judge_gaps(run);
    judge_words(run);
    MUST(run, sim_open_fds(run->sim) == 0, "%u descriptors are open", sim_open_fds(run->sim));
    MUST(run, run->hub.connections.taken == 0, "places of --connections are taken");
    MUST(run, run->hub.rooms.taken == 0, "places of --rooms are taken");
    MUST(run, still_inside(&run->hub.addresses) == 0, "an address is still inside");
    MUST(run, still_inside(&run->hub.acquirers) == 0, "an address still owns a room");
}
