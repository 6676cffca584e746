#include "hub/routes.h"
#include "hub/avalon_routes.h"
#include "hub/door.h"
#include "hub/echo.h"
#include "hub/entrance.h"
#include "hub/events.h"
#include "hub/handoff.h"
#include "hub/rooms.h"
#include "hub/vote_routes.h"
#include "hub/world_door.h"

bool routes_is_room_id(struct text id)
{
    if (id.size == 0 || id.size > room_id_size_max) return false;
    for (size_t i = 0; i < id.size; i++) {
        char c = id.data[i];
        bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
        if (!allowed) return false;
    }
    return true;
}

static void refuse_upgrade(struct conn *conn, enum http_refusal refusal,
                           const struct http_upgrade_policy *policy)
{
    uint8_t memory[256];
    struct writer message = writer_over(memory, sizeof memory);
    write_text(&message, http_refusal_sentence(refusal));
    if (refusal == HTTP_REFUSE_PROTOCOL && policy->protocol_count > 0) {
        write_text(&message, TEXT(" Spoken here: "));
        write_text(&message, policy->protocols[0]);
        write_byte(&message, '.');
    }
    conn_answer_error(conn, http_refusal_status(refusal), http_refusal_code(refusal),
                      text_from(writer_bytes(&message)), (struct text){});
}

static bool any_origin(const struct config *config)
{
    for (uint32_t i = 0; i < config->origin_count; i++)
        if (text_equal(config->origins[i], TEXT("*"))) return true;
    return config->dev;
}

struct http_upgrade_policy routes_origins(const struct config *config)
{
    return (struct http_upgrade_policy){.any_origin = any_origin(config),
                                        .origins = config->origins,
                                        .origin_count = config->origin_count};
}

static void log_connected(struct worker *worker, const struct conn *conn,
                          const struct hub_room *room)
{
    uint8_t memory[address_text_max];
    struct writer ip = writer_over(memory, sizeof memory);
    write_address(&ip, &conn->peer, false);
    LOG(&worker->log, worker->now, LOG_INFO, "connected", LOG_U("conn", conn->number),
        LOG_T("ip", text_from(writer_bytes(&ip))),
        LOG_T("kind", text_of(games[room->room.kind]->name)),
        LOG_T("room", room_name(&room->room)));
}

bool routes_read_origin(const struct worker *worker, const struct http_request *request,
                        struct text *origin)
{
    struct http_upgrade_policy policy = routes_origins(worker->config);
    const struct http_header *header = http_find(request, TEXT("Origin"), nullptr);
    *origin = header != nullptr ? header->value : (struct text){};
    return http_origin_allowed(request, &policy) && origin->size <= vote_origin_size_max;
}

/* Credentials that a browser adds by itself mean nothing here, so they are not allowed, and "*" is
 * never said (THREATS.md X3). */
void routes_write_origin(struct writer *headers, struct text origin)
{
    if (origin.size == 0) return;
    write_text(headers, TEXT("Access-Control-Allow-Origin: "));
    write_text(headers, origin);
    write_text(headers, TEXT("\r\nVary: Origin\r\n"));
}

bool routes_read_upgrade(struct worker *worker, struct conn *conn,
                         const struct http_request *request, const struct text *protocol,
                         bool deflate, struct http_upgrade *upgrade)
{
    struct http_upgrade_policy policy = routes_origins(worker->config);
    policy.protocols = protocol;
    policy.protocol_count = protocol != nullptr ? 1 : 0;
    policy.deflate = deflate;
    enum http_refusal refusal = http_upgrade_check(request, &policy, upgrade);
    if (refusal != HTTP_UPGRADE_OK) refuse_upgrade(conn, refusal, &policy);
    return refusal == HTTP_UPGRADE_OK;
}

void routes_open_websocket(struct worker *worker, struct conn *conn,
                           const struct http_request *request, struct bytes rest,
                           enum game_kind kind, struct text name)
{
    struct http_upgrade upgrade;
    if (!routes_read_upgrade(worker, conn, request, &games[kind]->protocol, worker->deflate[kind],
                             &upgrade))
        return;
    uint32_t home = kind == GAME_WORLD               ? hub_home_world(worker->hub->worker_count)
                    : text_equal(name, TEXT("kart")) ? worker->index
                                                     : hub_home(worker->hub, name);
    if (home == worker->index)
        routes_enter(worker, conn, kind, name, &upgrade);
    else
        handoff_send(worker, conn, home, kind, name, &upgrade, nullptr, rest);
}

void routes_refuse_draining(struct conn *conn)
{
    conn_answer_error(conn, 503, TEXT("draining"),
                      TEXT("This server is going down; try another one."), (struct text){});
}

/* Opens a room for who comes first, which counts with its address like one that was asked for
 * (THREATS.md R7). nullptr when that was refused. */
static struct hub_room *open_counted(struct worker *worker, struct conn *conn, enum game_kind kind,
                                     struct text name)
{
    uint64_t key = 0;
    enum turnstile_answer met = entrance_acquire(worker, &conn->peer, &key);
    if (met == TURNSTILE_FULL || met == TURNSTILE_TOO_FAST) {
        bool full = met == TURNSTILE_FULL;
        conn_answer_error(conn, 429, full ? TEXT("address_rooms") : TEXT("address_acquires"),
                          full ? TEXT("Your address has as many rooms as it may.")
                               : TEXT("Your address makes rooms too often."),
                          (struct text){});
        return nullptr;
    }
    struct hub_room *room = rooms_open(worker, kind, name, false);
    if (room != nullptr) {
        room->is_owned = met == TURNSTILE_COUNTED;
        room->owner = key;
        return room;
    }
    if (met == TURNSTILE_COUNTED) turnstile_leave(&worker->hub->acquirers, key);
    conn_answer_error(conn, 503, TEXT("too_many_rooms"),
                      TEXT("No further race can be opened now; try again later."), (struct text){});
    return nullptr;
}

/* The room to enter, opened if that is how its kind has it; nullptr when that was refused. */
static struct hub_room *room_to_enter(struct worker *worker, struct conn *conn, enum game_kind kind,
                                      struct text name)
{
    struct hub_room *room = events_find(worker, name);
    if (room != nullptr) return room;
    if (games[kind]->acquired) { /* nobody makes one by coming (THREATS.md H16) */
        vote_routes_answer_no_room(worker, conn, name, (struct text){});
        return nullptr;
    }
    return open_counted(worker, conn, kind, name);
}

void routes_enter(struct worker *worker, struct conn *conn, enum game_kind kind, struct text name,
                  const struct http_upgrade *upgrade)
{
    struct hub_room *room = room_to_enter(worker, conn, kind, name);
    if (room != nullptr) routes_seat(worker, conn, room, upgrade, nullptr);
}

void routes_seat(struct worker *worker, struct conn *conn, struct hub_room *room,
                 const struct http_upgrade *upgrade, const struct game_guest *guest)
{
    if (outbox_is_over(&worker->outboxes) || frame_pool_is_tight(&worker->frames, 1)) {
        (void)rooms_close_if_empty(worker, room);
        conn_answer_error(conn, 503, TEXT("overloaded"),
                          TEXT("Memory is short here; try again later."), (struct text){});
        return;
    }
    conn_upgrade(conn, upgrade, &worker->ws_limits[room->room.kind]);
    if (conn->phase != CONN_OPEN)
        (void)rooms_close_if_empty(worker, room);
    else if (rooms_enter(worker, room, conn, guest))
        log_connected(worker, conn, room);
}

/* --- The table ------------------------------------------------------------------------------- */

/* Each answers what its path begins, `tail` being the rest of it; false: there is no such thing
 * here, and nothing was answered. */

static bool serve_race(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct text tail, struct bytes rest)
{
    if (tail.size > 0) return false;
    routes_open_websocket(worker, conn, request, rest, GAME_KART, TEXT("kart"));
    return true;
}

static bool serve_further_race(struct worker *worker, struct conn *conn,
                               const struct http_request *request, struct text tail,
                               struct bytes rest)
{
    uint8_t memory[room_name_size_max];
    if (!routes_is_room_id(tail)) return false;
    struct text name = rooms_name(memory, GAME_KART, tail);
    routes_open_websocket(worker, conn, request, rest, GAME_KART, name);
    return true;
}

static bool serve_vote(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct text tail, struct bytes rest)
{
    if (!worker->config->vote || (tail.size > 0 && tail.data[0] != '/')) return false;
    vote_routes_on_request(worker, conn, request, tail, rest);
    return true;
}

static bool serve_avalon(struct worker *worker, struct conn *conn,
                         const struct http_request *request, struct text tail, struct bytes)
{
    return avalon_routes_on_request(worker, conn, request, tail);
}

static bool serve_echo(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct text tail, struct bytes)
{
    struct http_upgrade upgrade;
    if (!worker->config->enable_echo || tail.size > 0) return false;
    if (routes_read_upgrade(worker, conn, request, nullptr, worker->config->echo_deflate, &upgrade))
        echo_open(worker, conn, &upgrade);
    return true;
}

/* The first whose path the request's begins with, and which takes the rest of it, has it. */
static const struct {
    struct text path;
    bool (*serve)(struct worker *, struct conn *, const struct http_request *, struct text tail,
                  struct bytes rest);
} routes[] = {
    {TEXT("/ws/kart/"), serve_further_race},
    {TEXT("/ws/rooms/"), door_avalon},
    {TEXT("/ws/games/"), door_lobby},
    {TEXT("/ws/world"), world_door_dev},
    {TEXT("/ws"), serve_race},
    {TEXT("/api/rooms"), serve_avalon},
    {TEXT("/api/rooms"), serve_vote},
    {TEXT("/echo"), serve_echo},
};

void routes_on_request(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    if (worker->phase != WORKER_RUNNING) {
        routes_refuse_draining(conn);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (text_starts(request->path, routes[i].path) &&
            routes[i].serve(worker, conn, request, text_skip(request->path, routes[i].path.size),
                            rest))
            return;
    conn_answer_error(conn, 404, TEXT("not_found"),
                      TEXT("There is nothing here; the race is a WebSocket at /ws."),
                      (struct text){});
}
