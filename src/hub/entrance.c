#include "hub/entrance.h"
#include "http/forwarded.h"
#include "hub/routes.h"
#include <assert.h>

static uint64_t key_of(const struct hub *hub, const struct address *peer)
{
    return hash_text(hub->hash_key, address_subscriber(peer));
}

/* True for a proxy that says for whom it speaks. */
static bool is_trusted(const struct worker *worker, const struct address *peer)
{
    return address_blocks_hold(&worker->config->trusted, peer);
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
    bool is_exempt = address_blocks_hold(&worker->config->exempt, peer);
    if (unlimited || is_exempt) return TURNSTILE_UNCOUNTED;
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

/* Who speaks PROXY must be known to speak the truth. */
static void turn_stranger_away(struct worker *worker, int fd, const struct address *peer)
{
    uint8_t memory[address_text_max];
    struct writer ip = writer_over(memory, sizeof memory);
    write_address(&ip, peer, false);
    worker->metrics.strangers += 1;
    LOG(&worker->log, worker->now, LOG_INFO, "refused", LOG_T("ip", text_from(writer_bytes(&ip))),
        LOG_T("reason", TEXT("no_trusted_proxy")));
    ring_close_fd(&worker->ring, fd, false);
}

static bool is_refused(enum turnstile_answer answer)
{
    return answer == TURNSTILE_FULL || answer == TURNSTILE_TOO_FAST;
}

static void accept_client(struct worker *worker, enum listener_kind listener, int fd)
{
    struct address peer = {};
    enum turnstile_answer answer = TURNSTILE_UNCOUNTED;
    /* One that is gone already has no address; its receive will tell. */
    bool known = ring_peer(&worker->ring, fd, &peer), trusted = known && is_trusted(worker, &peer);
    if (worker->config->proxy_protocol && !trusted) {
        turn_stranger_away(worker, fd, &peer);
        return;
    }
    if (known && !trusted && worker->phase == WORKER_RUNNING)
        answer = pass_turnstile(worker, &worker->hub->addresses, &peer, worker->metrics.addresses);
    bool refused = is_refused(answer);
    if (refused && worker->turned_away >= refusal_slots) {
        turn_away(worker, fd);
        return;
    }
    struct conn *conn = conn_accept(&worker->conns, fd, listener, &peer);
    assert(conn != nullptr); /* a slot was free */
    worker->listener_conns[listener] += 1;
    conn->address_counted = answer == TURNSTILE_COUNTED;
    conn->prefaced = worker->config->proxy_protocol;
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

/* Whose connection it is is known: from here on it counts. False when it was refused. */
static bool admit(struct worker *worker, struct conn *conn)
{
    assert(!conn->address_counted);
    enum turnstile_answer answer =
        pass_turnstile(worker, &worker->hub->addresses, &conn->peer, worker->metrics.addresses);
    conn->address_counted = answer == TURNSTILE_COUNTED;
    if (is_refused(answer)) refuse_address(conn, answer);
    return !is_refused(answer);
}

void entrance_on_proxy(struct worker *worker, struct conn *conn, const struct http_proxy *proxy)
{
    if (proxy->has_client) conn->peer = proxy->client;
    /* A proxy that is spoken for by another one may have more to say. */
    if (!is_trusted(worker, &conn->peer)) (void)admit(worker, conn);
}

bool entrance_on_request(struct worker *worker, struct conn *conn,
                         const struct http_request *request)
{
    struct address client;
    if (!is_trusted(worker, &conn->peer)) return true; /* it was counted before */
    switch (http_forwarded(request, &worker->config->trusted, &client)) {
    case HTTP_FORWARDED_NONE: break;
    case HTTP_FORWARDED_CLIENT: conn->peer = client; break;
    case HTTP_FORWARDED_BROKEN:
        conn_answer_error(conn, 400, TEXT("bad_forwarded"),
                          TEXT("A trusted proxy has put something else than addresses into "
                               "X-Forwarded-For."),
                          (struct text){});
        return false;
    }
    return admit(worker, conn);
}

/* --- Rooms that are not there ---------------------------------------------------------------- */

/* More of them at once than may be are remembered, too: who asks for hundreds before the first is
 * answered waits the longer. */
static bool counts_misses(const struct worker *worker, const struct address *peer)
{
    return worker->config->address_misses > 0 &&
           !address_blocks_hold(&worker->config->exempt, peer);
}

uint32_t entrance_look_wait_s(struct worker *worker, const struct address *peer)
{
    if (!counts_misses(worker, peer)) return 0;
    struct turnstile *misses = &worker->hub->misses;
    uint32_t most = rate_of(worker->config->address_misses).burst;
    uint32_t held = turnstile_held(misses, key_of(worker->hub, peer), instant_ms(worker->now));
    if (held < most) return 0;
    worker->metrics.looks_limited += 1;
    return 1 + (held - most) / worker->config->address_misses;
}

/* What tells it from the same question by others, and from others by the same. */
static uint64_t question_of(const struct hub *hub, const struct address *peer, struct text name)
{
    const struct hash_key own = {hub->hash_key.k0 ^ key_of(hub, peer), hub->hash_key.k1};
    return hash_text(own, name);
}

void entrance_missed(struct worker *worker, const struct address *peer, struct text name)
{
    struct hub *hub = worker->hub;
    if (!counts_misses(worker, peer)) return;
    uint64_t now_ms = instant_ms(worker->now), question = question_of(hub, peer, name);
    if (turnstile_held(&hub->questions, question, now_ms) > 0) return;
    turnstile_note(&hub->questions, question, now_ms, hub_question_s);
    turnstile_note(&hub->misses, key_of(hub, peer), now_ms, 1);
}

void entrance_write_retry(struct writer *headers, uint32_t seconds)
{
    write_text(headers, TEXT("Retry-After: "));
    write_u64(headers, seconds);
    write_text(headers, TEXT("\r\n"));
}

/* --- Out ------------------------------------------------------------------------------------- */

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
