#include "hub/entrance.h"
#include "hub/routes.h"
#include <assert.h>

static uint64_t key_of(const struct hub *hub, const struct address *peer)
{
    return hash_text(hub->hash_key, address_subscriber(peer));
}

static bool is_exempt(const struct config *config, const struct address *peer)
{
    for (uint32_t i = 0; i < config->exempt_count; i++)
        if (address_block_holds(&config->exempt[i], peer)) return true;
    return false;
}

/* The slots beyond --connections: some for saying why to who is turned away, the last ones for the
 * internal listener, which must answer also then. */
static bool has_no_slot(struct worker *worker, enum listener_kind listener)
{
    const struct pool *slots = &worker->conns.conns;
    return listener != LISTENER_ADMIN && slots->in_use >= slots->capacity - admin_slots;
}

/* Counts it with its address, or as what it is refused for. */
static enum turnstile_answer pass_turnstile(struct worker *worker, struct turnstile *turnstile,
                                            const struct address *peer, uint64_t *counts)
{
    bool unlimited = turnstile->inside_most == 0 && turnstile->arrivals.per_second == 0;
    if (unlimited || is_exempt(worker->config, peer)) return TURNSTILE_UNCOUNTED;
    enum turnstile_answer answer =
        turnstile_enter(turnstile, key_of(worker->hub, peer), instant_ms(worker->now));
    counts[answer] += 1;
    return answer;
}

enum turnstile_answer entrance_acquire(struct worker *worker, const struct address *peer,
                                       uint64_t *key)
{
    *key = key_of(worker->hub, peer);
    return pass_turnstile(worker, &worker->hub->acquirers, peer, worker->metrics.acquires);
}

static void refuse_address(struct conn *conn, enum turnstile_answer answer)
{
    if (answer == TURNSTILE_FULL)
        conn_answer_error(conn, 429, TEXT("too_many_connections"),
                          TEXT("Your address holds as many connections as it may; close some."),
                          TEXT("Retry-After: 5\r\n"));
    else
        conn_answer_error(conn, 429, TEXT("too_many_handshakes"),
                          TEXT("Your address connects too often; slow down."), (struct text){});
}

static void turn_away(struct worker *worker, int fd)
{
    worker->conns.counters.refused += 1;
    ring_close_fd(&worker->ring, fd, false);
}

static void accept_client(struct worker *worker, enum listener_kind listener, int fd)
{
    struct address peer = {};
    enum turnstile_answer answer = TURNSTILE_UNCOUNTED;
    /* One that is gone already has no address; its receive will tell. */
    if (ring_peer(&worker->ring, fd, &peer) && worker->phase == WORKER_RUNNING)
        answer = pass_turnstile(worker, &worker->hub->addresses, &peer, worker->metrics.addresses);
    bool refused = answer == TURNSTILE_FULL || answer == TURNSTILE_TOO_FAST;
    if (refused && worker->turned_away >= refusal_slots) {
        turn_away(worker, fd);
        return;
    }
    struct conn *conn = conn_accept(&worker->conns, fd, listener, &peer);
    assert(conn != nullptr); /* a slot was free */
    worker->listener_conns[listener] += 1;
    conn->address_counted = answer == TURNSTILE_COUNTED;
    conn->counted = !refused && quota_take(&worker->hub->connections);
    if (!conn->counted) worker->turned_away += 1;
    if (refused)
        refuse_address(conn, answer);
    else if (worker->phase == WORKER_DRAINING)
        routes_refuse_draining(conn);
    else if (!conn->counted)
        conn_answer_error(conn, 503, TEXT("full"),
                          TEXT("All connections are taken; try again later."), (struct text){});
}

static void accept_internal(struct worker *worker, int fd)
{
    struct address peer = {};
    (void)!ring_peer(&worker->ring, fd, &peer);
    if (conn_accept(&worker->conns, fd, LISTENER_ADMIN, &peer) != nullptr)
        worker->listener_conns[LISTENER_ADMIN] += 1;
}

void entrance_on_accept(struct worker *worker, enum listener_kind listener, int fd)
{
    if (worker->phase == WORKER_STOPPED)
        ring_close_fd(&worker->ring, fd, false);
    else if (has_no_slot(worker, listener))
        turn_away(worker, fd);
    else if (listener == LISTENER_ADMIN)
        accept_internal(worker, fd);
    else
        accept_client(worker, listener, fd);
}

void entrance_give_back(struct hub *hub, const struct address *peer, bool counted,
                        bool address_counted)
{
    if (counted) quota_give(&hub->connections);
    if (address_counted) turnstile_leave(&hub->addresses, key_of(hub, peer));
}

void entrance_on_release(struct worker *worker, struct conn *conn)
{
    assert(worker->listener_conns[conn->listener] > 0);
    worker->listener_conns[conn->listener] -= 1;
    if (conn->listener != LISTENER_ADMIN && !conn->counted) {
        assert(worker->turned_away > 0);
        worker->turned_away -= 1;
    }
    bool handed_over = conn->fd < 0; /* its places go with the descriptor */
    if (!handed_over)
        entrance_give_back(worker->hub, &conn->peer, conn->counted, conn->address_counted);
}
