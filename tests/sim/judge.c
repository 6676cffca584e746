#include "sim_run.h"

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

/* What holds frames: outboxes, echoes under way, what rooms show, this round's sends, loans, the one
 * ping. */
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

void judge_worker(struct run *run, const struct worker *const_worker)
{
    struct worker *worker = run->hub.workers[const_worker->index];
    judge_conns(run, worker);
    uint64_t references = references_in(&worker->frames), holders = holders_in(worker);
    MUST(run, references == holders, "worker %u: frames count %llu references, held are %llu",
         worker->index, (unsigned long long)references, (unsigned long long)holders);
    MUST(run, run->hub.connections.taken <= run->hub.connections.most, "too many connections");
    MUST(run, run->hub.rooms.taken <= run->hub.rooms.most, "too many rooms");
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

static uint32_t still_inside(const struct turnstile *turnstile)
{
    uint32_t inside = 0;
    for (uint32_t i = 0; turnstile->entries != nullptr && i <= turnstile->mask; i++)
        inside += (uint32_t)(turnstile->entries[i].state >> 44);
    return inside;
}

/* Nothing is left out that no count tells of. Between workers a frame may also be too late to be
 * lent. */
static void judge_gaps(struct run *run)
{
    const struct worker *worker = run->hub.workers[0];
    const struct outbox_counters *counters = &worker->outboxes.counters;
    uint64_t told = counters->conflated + counters->dropped_shed + counters->dropped_gone;
    for (size_t p = 0; p < outbox_policies; p++)
        for (size_t b = 0; b < outbox_bounds; b++)
            told += counters->dropped[p][b];
    if (run->hub.worker_count > 1 || run->gap_count == gaps_max) return;
    MUST(run, rooms_missed(run) <= told, "%llu states did not come, %llu are counted as dropped",
         (unsigned long long)rooms_missed(run), (unsigned long long)told);
}

void judge_end(struct run *run, const int *codes)
{
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
    MUST(run, sim_open_fds(run->sim) == 0, "%u descriptors are open", sim_open_fds(run->sim));
    MUST(run, run->hub.connections.taken == 0, "places of --connections are taken");
    MUST(run, run->hub.rooms.taken == 0, "places of --rooms are taken");
    MUST(run, still_inside(&run->hub.addresses) == 0, "an address is still inside");
    MUST(run, still_inside(&run->hub.acquirers) == 0, "an address still owns a room");
}
