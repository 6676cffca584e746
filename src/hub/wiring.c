#include "hub/wiring.h"
#include "hub/api.h"
#include "hub/echo.h"
#include "hub/entrance.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include "hub/world_door.h"

static void on_proxy(void *hub, struct conn *conn, const struct http_proxy *proxy)
{
    entrance_on_proxy(hub, conn, proxy);
}

static void on_request(void *hub, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    struct worker *worker = hub;
    if (conn->listener == LISTENER_ADMIN)
        api_on_request(worker, conn, request);
    else if (!entrance_on_request(worker, conn, request))
        return;
    else if (conn->listener == LISTENER_WORLD)
        world_door_on_request(worker, conn, request, rest);
    else
        routes_on_request(worker, conn, request, rest);
}

/* What is sent to a kind that does not listen was validated by the reader, is counted and forgotten
 * (S0-9, S1-19). One that does takes text only (THREATS.md F16). */
static void on_message(void *hub, struct conn *conn, const struct ws_message *message)
{
    struct worker *worker = hub;
    if (conn->answered) echo_on_message(worker, conn, message);
    if (conn->member == nullptr) return;
    struct member *member = conn->member;
    struct kind_metrics *metrics = &worker->metrics.kinds[member->seat.room->kind];
    *(message->opcode == WS_TEXT ? &metrics->texts : &metrics->binaries) += 1;
    struct hub_room *room = list_entry(member->seat.room, struct hub_room, room);
    if (games[room->room.kind]->receive == nullptr) return;
    if (message->opcode == WS_TEXT)
        events_receive(worker, room, conn, text_from(message->payload));
    else
        conn_close(conn, CLOSE_BINARY);
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
    entrance_on_release(hub, conn);
}

const struct conn_hooks wiring_hooks = {.on_proxy = on_proxy,
                                        .on_request = on_request,
                                        .on_message = on_message,
                                        .on_close = on_close,
                                        .on_release = on_release};
