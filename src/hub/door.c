#include "hub/door.h"
#include "http/query.h"
#include "hub/avalon_routes.h"
#include "hub/entrance.h"
#include "hub/events.h"
#include "hub/handoff.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include "hub/verify.h"

/* --- Refusals -------------------------------------------------------------------------------- */

/* Why somebody does not get in, beside what is wrong with a token by itself (JWT_ERRORS).
 * name, code, status, the close reason where --avalon-auth-fail=close and its like speak of it
 * (NONE: the status says it always), sentence with the remedy */
#define DOOR_REFUSALS(X)                                                                          \
    X(NO_TOKEN, "no_token", 401, UNAUTHORIZED,                                                    \
      "Send the token: Authorization: Bearer, a subprotocol bearer.TOKEN, or ?token=.")           \
    X(TOKEN_TWICE, "token_twice", 401, UNAUTHORIZED,                                              \
      "The query names the token or the player more than once.")                                  \
    X(WRONG_PLAYER, "wrong_player", 401, UNAUTHORIZED,                                            \
      "player_id is not the player whose token this is.")                                         \
    X(UNKNOWN_PLAYER, "unknown_player", 401, UNAUTHORIZED,                                        \
      "The room has no place for this player; join it again.")                                    \
    X(NO_ROOM, "room_not_found", 404, ROOM_CLOSED,                                                \
      "There is no room of this code; it may be over.")                                           \
    X(OVER, "room_closed", 410, ROOM_CLOSED, "The room of this id is over; ask for another one.") \
    X(FULL, "room_full", 409, NONE, "All places in the room are taken.")                          \
    X(KICKED, "kicked", 403, KICKED, "You were sent away from this room for good.")               \
    X(LOCKED, "room_locked", 423, NONE, "The room takes nobody who has not been in it before.")   \
    X(ADDRESS_ROOMS, "address_rooms", 429, NONE, "Your address has as many rooms as it may.")     \
    X(ADDRESS_TOO_FAST, "address_acquires", 429, NONE, "Your address makes rooms too often.")     \
    X(ROOMS, "too_many_rooms", 503, NONE, "No further room can be made now; try again later.")

struct refusal {
    struct text code, sentence; /* static text; an empty code: it is none */
    uint16_t status;
    enum close_reason close; /* CLOSE_NONE: it is told by the status alone */
};

enum door_refusal : uint8_t {
#define X(name, code, status, close, sentence) REFUSE_##name,
    DOOR_REFUSALS(X)
#undef X
};

static const struct refusal refusals[] = {
#define X(name, c, status, close, s) [REFUSE_##name] = {TEXT(c), TEXT(s), status, CLOSE_##close},
    DOOR_REFUSALS(X)
#undef X
};

/* A path whose visitors show a token. */
struct door {
    enum game_kind kind;
    bool opens; /* who comes first makes the room */
};

static const struct door avalons_door = {.kind = GAME_AVALON};
static const struct door lobbys_door = {.kind = GAME_LOBBY, .opens = true};

static bool fails_by_close(const struct worker *worker, const struct door *door)
{
    return door->kind == GAME_AVALON ? worker->config->avalon_fail_by_close
                                     : worker->config->lobby_fail_by_close;
}

static void tell_error(struct worker *worker, struct conn *conn, struct refusal refusal)
{
    uint8_t memory[512];
    struct writer out = writer_over(memory, sizeof memory);
    write_format(&out, "{\"type\":\"error\",\"event\":\"%.*s\",\"payload\":{\"code\":\"%.*s\",",
                 TEXT_ARG(refusal.code), TEXT_ARG(refusal.code));
    write_text(&out, TEXT("\"message\":\""));
    write_json_escaped(&out, refusal.sentence);
    write_text(&out, TEXT("\"}}"));
    struct frame *frame = frame_make(&worker->frames, FRAME_EVENT, WS_TEXT, writer_bytes(&out));
    if (frame == nullptr) return; /* the close code says the same in short */
    (void)!outbox_push(&worker->outboxes, &conn->outbox, frame);
    frame_unref(&worker->frames, frame);
}

static void refuse(struct worker *worker, struct conn *conn, const struct door *door,
                   const struct http_upgrade *upgrade, struct refusal refusal)
{
    if (refusal.close == CLOSE_NONE || !fails_by_close(worker, door)) {
        conn_answer_error(conn, refusal.status, refusal.code, refusal.sentence, (struct text){});
        return;
    }
    conn_upgrade(conn, upgrade, &worker->ws_limits[door->kind]);
    if (conn->phase != CONN_OPEN) return;
    LOG(&worker->log, worker->now, LOG_INFO, "token_refused", LOG_U("conn", conn->number),
        LOG_T("reason", refusal.code));
    tell_error(worker, conn, refusal);
    conn_close(conn, refusal.close);
}

/* Who has no place in the room, or asks for one that is not there, learns which only as long as its
 * address does not ask too often (THREATS.md A17). Who has a place gets in meanwhile. */
static void refuse_miss(struct worker *worker, struct conn *conn, const struct door *door,
                        struct text name, const struct http_upgrade *upgrade,
                        struct refusal refusal)
{
    uint8_t memory[64];
    struct writer retry = writer_over(memory, sizeof memory);
    uint32_t wait_s = entrance_look_wait_s(worker, &conn->peer);
    if (wait_s == 0) {
        entrance_missed(worker, &conn->peer, name);
        refuse(worker, conn, door, upgrade, refusal);
        return;
    }
    entrance_write_retry(&retry, wait_s);
    conn_answer_error(conn, 429, TEXT("address_misses"),
                      TEXT("Your address has asked for too many rooms that are not there; wait a "
                           "while."),
                      text_from(writer_bytes(&retry)));
}

/* --- Who is it? ------------------------------------------------------------------------------ */

/* The token that is offered among the subprotocols, where browsers can put one; or empty. */
static struct text offered_token(const struct http_request *request)
{
    const struct text prefix = TEXT("bearer.");
    for (size_t i = 0; i < request->header_count; i++) {
        struct text list = request->headers[i].value, element;
        if (!text_equal_nocase(request->headers[i].name, TEXT("Sec-WebSocket-Protocol"))) continue;
        while (http_list_next(&list, &element))
            if (text_starts(element, prefix)) return text_skip(element, prefix.size);
    }
    return (struct text){};
}

/* In headers it does not come into logs, so those are asked first (D20). `memory` holds one from
 * the query. */
static struct refusal find_token(const struct http_request *request, struct writer *memory,
                                 struct text *token)
{
    *token = http_bearer(request);
    if (token->size == 0) *token = offered_token(request);
    if (token->size > 0) return (struct refusal){};
    if (http_query(request->query, TEXT("token"), memory) == HTTP_QUERY_TWICE)
        return refusals[REFUSE_TOKEN_TWICE];
    *token = text_from(writer_bytes(memory));
    return token->size > 0 ? (struct refusal){} : refusals[REFUSE_NO_TOKEN];
}

/* A query's player_id says nothing that the token does not; it may only agree (D21). */
static struct refusal check_player_id(const struct http_request *request, struct text player)
{
    uint8_t memory[game_player_size_max];
    struct writer named = writer_over(memory, sizeof memory);
    switch (http_query(request->query, TEXT("player_id"), &named)) {
    case HTTP_QUERY_NONE: return (struct refusal){};
    case HTTP_QUERY_TWICE: return refusals[REFUSE_TOKEN_TWICE];
    case HTTP_QUERY_FOUND: break;
    }
    bool agrees = !named.overflow && text_equal(text_from(writer_bytes(&named)), player);
    return agrees ? (struct refusal){} : refusals[REFUSE_WRONG_PLAYER];
}

/* What the token says about who comes to the room called `id`. *guest lives in the worker's memory
 * for tokens. */
static struct refusal check_token(struct worker *worker, const struct door *door,
                                  const struct http_request *request, struct text id,
                                  struct game_guest *guest)
{
    uint8_t query_memory[http_line_size_max];
    struct writer query = writer_over(query_memory, sizeof query_memory);
    struct text token;
    struct refusal refusal = find_token(request, &query, &token);
    if (refusal.code.size > 0) return refusal;
    struct verdict verdict = verify_token(worker, door->kind, id, token, guest);
    if (verdict.code.size > 0)
        return (struct refusal){verdict.code, verdict.sentence, 401, CLOSE_UNAUTHORIZED};
    return check_player_id(request, guest->player);
}

/* --- In -------------------------------------------------------------------------------------- */

/* Who comes first makes the room; it counts as one of its address's (THREATS.md R7). nullptr, and
 * why. */
static struct hub_room *open_room(struct worker *worker, struct conn *conn, enum game_kind kind,
                                  struct text name, struct refusal *refusal)
{
    uint64_t key = 0;
    enum turnstile_answer met = entrance_acquire(worker, &conn->peer, &key);
    if (met == TURNSTILE_FULL || met == TURNSTILE_TOO_FAST) {
        *refusal = refusals[met == TURNSTILE_FULL ? REFUSE_ADDRESS_ROOMS : REFUSE_ADDRESS_TOO_FAST];
        return nullptr;
    }
    struct hub_room *room = rooms_acquire(worker, kind, name, (struct text){});
    if (room != nullptr) {
        room->is_owned = met == TURNSTILE_COUNTED;
        room->owner = key;
        return room;
    }
    if (met == TURNSTILE_COUNTED) turnstile_leave(&worker->hub->acquirers, key);
    *refusal = refusals[REFUSE_ROOMS];
    return nullptr;
}

/* Whether a room takes this guest; its kind decides, which need not be the path's. */
static struct refusal judge(const struct hub_room *room, const struct game_guest *guest)
{
    const struct game *game = games[room->room.kind];
    if (game->knows != nullptr && !game->knows(room->state, guest))
        return refusals[REFUSE_UNKNOWN_PLAYER];
    if (game->admits == nullptr) return (struct refusal){};
    switch (game->admits(room->state, guest)) {
    case GAME_FULL: return refusals[REFUSE_FULL];
    case GAME_LOCKED: return refusals[REFUSE_LOCKED];
    case GAME_BANNED: return refusals[REFUSE_KICKED];
    case GAME_ADMITTED: break;
    }
    return (struct refusal){};
}

/* Whether it tells what rooms there are and who is in them. */
static bool is_miss(struct refusal refusal)
{
    return text_equal(refusal.code, refusals[REFUSE_NO_ROOM].code) ||
           text_equal(refusal.code, refusals[REFUSE_UNKNOWN_PLAYER].code);
}

static void enter(struct worker *worker, struct conn *conn, const struct door *door,
                  struct text name, const struct http_upgrade *upgrade,
                  const struct game_guest *guest)
{
    struct refusal refusal = refusals[REFUSE_NO_ROOM];
    struct hub_room *room = events_find(worker, name);
    bool is_over = room == nullptr && door->opens &&
                   closed_knows(&worker->closed, name, instant_ms(worker->now));
    bool made = room == nullptr && door->opens && !is_over && worker->config->lobby;
    if (is_over) refusal = refusals[REFUSE_OVER];
    if (made) room = open_room(worker, conn, door->kind, name, &refusal);
    if (room != nullptr) refusal = judge(room, guest);
    if (is_miss(refusal))
        refuse_miss(worker, conn, door, name, upgrade, refusal);
    else if (refusal.code.size > 0)
        refuse(worker, conn, door, upgrade, refusal);
    else
        routes_seat(worker, conn, room, upgrade, guest);
    /* Who made it was not let in after all: nobody could know of it. */
    if (made && room != nullptr && conn->member == nullptr) rooms_close(worker, room);
}

void door_enter(struct worker *worker, struct conn *conn, enum game_kind kind, struct text name,
                const struct http_upgrade *upgrade, const struct game_guest *guest)
{
    enter(worker, conn, kind == GAME_AVALON ? &avalons_door : &lobbys_door, name, upgrade, guest);
}

/* Somebody wants to come to the room called `id`. */
static void on_request(struct worker *worker, struct conn *conn, const struct door *door,
                       const struct http_request *request, struct text id, struct bytes rest)
{
    uint8_t memory[room_name_size_max];
    struct http_upgrade upgrade;
    struct game_guest guest;
    if (!routes_read_upgrade(worker, conn, request, &games[door->kind]->protocol,
                             worker->deflate[door->kind], &upgrade))
        return;
    struct text name = rooms_name(memory, door->kind, id);
    struct refusal refusal = check_token(worker, door, request, id, &guest);
    uint32_t home = hub_home(worker->hub, name);
    if (refusal.code.size > 0)
        refuse(worker, conn, door, &upgrade, refusal);
    else if (home == worker->index)
        enter(worker, conn, door, name, &upgrade, &guest);
    else
        handoff_send(worker, conn, home, door->kind, name, &upgrade, &guest, rest);
}

bool door_avalon(struct worker *worker, struct conn *conn, const struct http_request *request,
                 struct text tail, struct bytes rest)
{
    const struct text connect = TEXT("/connect");
    char digits[avalon_code_size];
    bool is_long =
        tail.size > connect.size && text_equal(text_skip(tail, tail.size - connect.size), connect);
    if (is_long) tail.size -= connect.size;
    if (!avalon_is_on(worker) || !avalon_read_code(tail, digits)) return false;
    on_request(worker, conn, &avalons_door, request, (struct text){digits, avalon_code_size}, rest);
    return true;
}

bool door_lobby(struct worker *worker, struct conn *conn, const struct http_request *request,
                struct text tail, struct bytes rest)
{
    bool has_rooms = worker->config->lobby || worker->config->api_key.size > 0;
    bool is_on = has_rooms && worker->key_set->keys.count > 0;
    if (!is_on || !routes_is_room_id(tail)) return false;
    on_request(worker, conn, &lobbys_door, request, tail, rest);
    return true;
}
