#include "hub/wiring.h"
#include "hub/api.h"
#include "hub/echo.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include <assert.h>

static void on_request(void *hub, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    struct worker *worker = hub;
    if (conn->listener == LISTENER_ADMIN)
        api_on_request(worker, conn, request);
    else
        routes_on_request(worker, conn, request, rest);
}

/* kart takes nothing from its members: what they send was validated by the reader, is counted
 * and forgotten (S0-9). */
static void on_message(void *hub, struct conn *conn, const struct ws_message *message)
{
    struct worker *worker = hub;
    if (conn->answered) echo_on_message(worker, conn, message);
    if (conn->member == nullptr) return;
    struct member *member = conn->member;
    struct kind_metrics *metrics = &worker->metrics.kinds[member->seat.room->kind];
    *(message->opcode == WS_TEXT ? &metrics->texts : &metrics->binaries) += 1;
}

static const char *initiator(enum close_reason reason)
{
    switch (reason) {
    case CLOSE_PEER_CLOSED:
    case CLOSE_PEER_LEFT: return "client";
    case CLOSE_RECV_ERROR:
    case CLOSE_SEND_ERROR: return "network";
    default: return "server";
    }
}

static void log_close(struct worker *worker, const struct conn *conn, struct text room)
{
    const struct close_info *info = close_info(conn->reason);
    uint64_t now_ms = instant_ms(worker->now); /* it may have been opened by another's clock */
    uint8_t memory[address_text_max];
    struct writer ip = writer_over(memory, sizeof memory);
    write_address(&ip, &conn->peer, false);
    LOG(&worker->log, worker->now, info->level, conn->upgraded ? "disconnected" : "request_ended",
        LOG_U("conn", conn->number), LOG_T("ip", text_from(writer_bytes(&ip))), LOG_T("room", room),
        LOG_U("code", conn->close_code != 0 || !conn->upgraded ? conn->close_code : 1006),
        LOG_T("reason", info->token), LOG_T("initiator", text_of(initiator(conn->reason))),
        LOG_U("dur_ms", now_ms > conn->opened_ms ? now_ms - conn->opened_ms : 0));
}

static void on_close(void *hub, struct conn *conn)
{
    struct worker *worker = hub;
    struct member *member = conn->member;
    log_close(worker, conn, member != nullptr ? room_name(member->seat.room) : TEXT("-"));
    if (conn->upgraded)
        metrics_count_close(&worker->metrics, conn->reason, conn->close_code);
    else
        worker->metrics.never_upgraded[conn->reason] += 1;
    if (member != nullptr) rooms_leave(worker, member);
    if (conn->answered) echo_on_close(worker);
}

static void on_release(void *hub, struct conn *conn)
{
    struct worker *worker = hub;
    assert(worker->listener_conns[conn->listener] > 0);
    worker->listener_conns[conn->listener] -= 1;
    bool handed_over = conn->fd < 0; /* its place goes with the descriptor */
    if (conn->counted && !handed_over) quota_give(&worker->hub->connections);
}

const struct conn_hooks wiring_hooks = {.on_request = on_request,
                                        .on_message = on_message,
                                        .on_close = on_close,
                                        .on_release = on_release};

/* The slots beyond --connections: some for saying 503 to who comes when the rest is taken, the last
 * ones for the internal listener, which must answer also then. */
static bool keep_out(struct worker *worker, enum listener_kind listener)
{
    const struct pool *slots = &worker->conns.conns;
    if (listener == LISTENER_ADMIN || slots->in_use < slots->capacity - admin_slots) return false;
    worker->conns.counters.refused += 1;
    return true;
}

void wiring_on_accept(struct worker *worker, enum listener_kind listener, int fd)
{
    if (worker->phase == WORKER_STOPPED || keep_out(worker, listener)) {
        ring_close_fd(&worker->ring, fd, false);
        return;
    }
    struct conn *conn = conn_accept(&worker->conns, fd, (uint8_t)listener);
    if (conn == nullptr) return;
    worker->listener_conns[listener] += 1;
    if (listener == LISTENER_ADMIN) return;
    conn->counted = quota_take(&worker->hub->connections);
    if (worker->phase == WORKER_DRAINING)
        routes_refuse_draining(conn);
    else if (!conn->counted)
        conn_answer_error(conn, 503, TEXT("full"),
                          TEXT("All connections are taken; try again later."), (struct text){});
}
