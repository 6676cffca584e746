#include "hub/avalon_door.h"
#include "http/query.h"
#include "hub/avalon_routes.h"
#include "hub/events.h"
#include "hub/handoff.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include "hub/verify.h"

/* --- Refusals -------------------------------------------------------------------------------- */

/* Why somebody does not get in, beside what is wrong with a token by itself (JWT_ERRORS).
 * name, code, sentence with the remedy */
#define DOOR_REFUSALS(X)                                                                         \
    X(NO_TOKEN, "no_token",                                                                      \
      "Send the token: Authorization: Bearer, a subprotocol bearer.TOKEN, or ?token=.")          \
    X(TOKEN_TWICE, "token_twice", "The query names the token or the player more than once.")     \
    X(WRONG_PLAYER, "wrong_player", "player_id is not the player whose token this is.")          \
    X(UNKNOWN_PLAYER, "unknown_player", "The room has no place for this player; join it again.") \
    X(NO_ROOM, "room_not_found", "There is no room of this code; it may be over.")

struct refusal {
    struct text code, sentence; /* static text; an empty code: it is none */
};

enum door_refusal : uint8_t {
#define X(name, code, sentence) REFUSE_##name,
    DOOR_REFUSALS(X)
#undef X
};

static const struct refusal refusals[] = {
#define X(name, c, s) [REFUSE_##name] = {TEXT(c), TEXT(s)},
    DOOR_REFUSALS(X)
#undef X
};

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

static void refuse(struct worker *worker, struct conn *conn, const struct http_upgrade *upgrade,
                   struct refusal refusal)
{
    bool no_room = text_equal(refusal.code, refusals[REFUSE_NO_ROOM].code);
    if (!worker->config->avalon_fail_by_close) {
        conn_answer_error(conn, no_room ? 404 : 401, refusal.code, refusal.sentence,
                          (struct text){});
        return;
    }
    conn_upgrade(conn, upgrade, &worker->ws_limits[GAME_AVALON]);
    if (conn->phase != CONN_OPEN) return;
    LOG(&worker->log, worker->now, LOG_INFO, "token_refused", LOG_U("conn", conn->number),
        LOG_T("reason", refusal.code));
    tell_error(worker, conn, refusal);
    conn_close(conn, no_room ? CLOSE_ROOM_CLOSED : CLOSE_UNAUTHORIZED);
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
    uint8_t memory[game_id_size_max];
    struct writer named = writer_over(memory, sizeof memory);
    switch (http_query(request->query, TEXT("player_id"), &named)) {
    case HTTP_QUERY_NONE: return (struct refusal){};
    case HTTP_QUERY_TWICE: return refusals[REFUSE_TOKEN_TWICE];
    case HTTP_QUERY_FOUND: break;
    }
    bool agrees = !named.overflow && text_equal(text_from(writer_bytes(&named)), player);
    return agrees ? (struct refusal){} : refusals[REFUSE_WRONG_PLAYER];
}

/* What the token says about who comes. *guest lives in the worker's memory for tokens. */
static struct refusal check_token(struct worker *worker, const struct http_request *request,
                                  struct text code, struct game_guest *guest)
{
    uint8_t query_memory[http_line_size_max];
    struct writer query = writer_over(query_memory, sizeof query_memory);
    struct text token;
    struct refusal refusal = find_token(request, &query, &token);
    if (refusal.code.size > 0) return refusal;
    struct verdict verdict = verify_token(worker, GAME_AVALON, code, token, guest);
    if (verdict.code.size > 0) return (struct refusal){verdict.code, verdict.sentence};
    return check_player_id(request, guest->player);
}

/* --- In -------------------------------------------------------------------------------------- */

void avalon_door_enter(struct worker *worker, struct conn *conn, struct text name,
                       const struct http_upgrade *upgrade, const struct game_guest *guest)
{
    struct hub_room *room = events_find(worker, name);
    if (room == nullptr)
        refuse(worker, conn, upgrade, refusals[REFUSE_NO_ROOM]);
    else if (!game_avalon.knows(room->state, guest))
        refuse(worker, conn, upgrade, refusals[REFUSE_UNKNOWN_PLAYER]);
    else
        routes_seat(worker, conn, room, upgrade, guest);
}

static void enter_anywhere(struct worker *worker, struct conn *conn, struct text name,
                           const struct http_upgrade *upgrade, const struct game_guest *guest,
                           struct bytes rest)
{
    uint32_t home = hub_home(worker->hub, name);
    if (home == worker->index)
        avalon_door_enter(worker, conn, name, upgrade, guest);
    else
        handoff_send(worker, conn, home, GAME_AVALON, name, upgrade, guest, rest);
}

bool avalon_door_on_request(struct worker *worker, struct conn *conn,
                            const struct http_request *request, struct text tail, struct bytes rest)
{
    const struct text connect = TEXT("/connect");
    uint8_t memory[room_name_size_max];
    char digits[avalon_code_size];
    struct http_upgrade upgrade;
    struct game_guest guest;
    bool is_long =
        tail.size > connect.size && text_equal(text_skip(tail, tail.size - connect.size), connect);
    if (is_long) tail.size -= connect.size;
    if (!avalon_is_on(worker) || !avalon_read_code(tail, digits)) return false;
    if (!routes_read_upgrade(worker, conn, request, &game_avalon.protocol, false, &upgrade))
        return true;
    struct text code = {digits, avalon_code_size};
    struct refusal refusal = check_token(worker, request, code, &guest);
    if (refusal.code.size > 0)
        refuse(worker, conn, &upgrade, refusal);
    else
        enter_anywhere(worker, conn, rooms_name(memory, GAME_AVALON, code), &upgrade, &guest, rest);
    return true;
}
