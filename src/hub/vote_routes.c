#include "hub/vote_routes.h"
#include "base/base64.h"
#include "hub/entrance.h"
#include "hub/errand.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include <assert.h>

/* --- Answers --------------------------------------------------------------------------------- */

/* `code` is empty unless it is a refusal. */
static void answer(struct conn *conn, uint16_t status, struct text code, struct text body,
                   struct text headers, struct text origin)
{
    uint8_t memory[2048], extra_memory[vote_origin_size_max + 512];
    struct writer out = writer_over(memory, sizeof memory);
    struct writer extra = writer_over(extra_memory, sizeof extra_memory);
    write_text(&extra, headers);
    routes_write_origin(&extra, origin);
    http_write_response(
        &out, &(struct http_response){.status = status,
                                      .content_type = body.size > 0 ? TEXT("application/json")
                                                                    : (struct text){},
                                      .extra_headers = text_from(writer_bytes(&extra)),
                                      .body = body});
    assert(!out.overflow && !extra.overflow);
    if (code.size > 0)
        conn_refuse(conn, status, code, writer_bytes(&out));
    else
        conn_answer(conn, writer_bytes(&out));
}

static void refuse_with(struct conn *conn, uint16_t status, struct text code, struct text sentence,
                        struct text headers, struct text origin)
{
    uint8_t memory[512];
    struct writer body = writer_over(memory, sizeof memory);
    write_text(&body, TEXT("{\"error\":\""));
    write_json_escaped(&body, sentence);
    write_text(&body, TEXT("\"}"));
    assert(!body.overflow);
    answer(conn, status, code, text_from(writer_bytes(&body)), headers, origin);
}

static void refuse(struct conn *conn, uint16_t status, struct text code, struct text sentence,
                   struct text origin)
{
    refuse_with(conn, status, code, sentence, (struct text){}, origin);
}

void vote_routes_answer_no_room(struct worker *worker, struct conn *conn, struct text name,
                                struct text origin)
{
    entrance_missed(worker, &conn->peer, name);
    refuse(conn, 404, TEXT("room_not_found"), TEXT("room not found"), origin);
}

static void answer_busy(struct conn *conn, struct text origin)
{
    refuse(conn, 503, TEXT("overloaded"), TEXT("overloaded"), origin);
}

void vote_routes_answer(struct conn *conn, enum game_answer result, struct text reply,
                        struct text origin)
{
    switch (result) {
    case GAME_DONE:
    case GAME_UNCHANGED: answer(conn, 200, (struct text){}, reply, (struct text){}, origin); break;
    case GAME_NOT_UNDERSTOOD: refuse(conn, 400, TEXT("not_understood"), reply, origin); break;
    case GAME_REFUSED: refuse(conn, 409, TEXT("refused"), reply, origin); break;
    case GAME_FORBIDDEN: refuse(conn, 403, TEXT("forbidden"), reply, origin); break;
    }
}

/* --- Acquiring ------------------------------------------------------------------------------- */

constexpr uint32_t id_first = 100'000, ids = 900'000; /* six digits, the first not 0 */
constexpr uint32_t draws_each = 64;                   /* for each worker */
constexpr size_t token_bytes = 24;                    /* 192 bits in 32 digits */

/* A free name whose home is this worker, in `memory`; empty when none was found: many rooms are
 * open. */
static struct text draw_name(struct worker *worker, uint8_t memory[static room_name_size_max])
{
    for (uint32_t left = draws_each * worker->hub->worker_count; left > 0; left--) {
        uint8_t id_memory[16];
        struct writer id = writer_over(id_memory, sizeof id_memory);
        write_u64(&id, id_first + random_below(&worker->random, ids));
        struct text name = rooms_name(memory, GAME_VOTE, text_from(writer_bytes(&id)));
        if (hub_home(worker->hub, name) == worker->index && rooms_find(worker, name) == nullptr)
            return name;
    }
    return (struct text){};
}

static struct hub_room *acquire_room(struct worker *worker, struct text token)
{
    uint8_t memory[room_name_size_max];
    struct text name = draw_name(worker, memory);
    return name.size > 0 ? rooms_acquire(worker, GAME_VOTE, name, token) : nullptr;
}

static void answer_acquired(struct worker *worker, struct conn *conn, const struct hub_room *room,
                            struct text token, struct text origin)
{
    uint8_t memory[256];
    struct writer body = writer_over(memory, sizeof memory);
    size_t prefix = strlen(game_vote.name) + 1;
    write_text(&body, TEXT("{\"room_id\":\""));
    write_text(&body, text_skip(room_name(&room->room), prefix));
    if (worker->config->vote_require_host) {
        write_text(&body, TEXT("\",\"host_token\":\""));
        write_text(&body, token);
    }
    write_text(&body, TEXT("\"}"));
    answer(conn, 200, (struct text){}, text_from(writer_bytes(&body)), (struct text){}, origin);
}

/* A room and the place of its address are held from here on. */
static void acquire_counted(struct worker *worker, struct conn *conn, bool counted, uint64_t key,
                            struct text origin)
{
    uint8_t bytes[token_bytes], token_memory[2 * token_bytes];
    ring_entropy(&worker->ring, (struct bytes){bytes, sizeof bytes});
    struct writer token = writer_over(token_memory, sizeof token_memory);
    write_base64url(&token, (struct bytes){bytes, sizeof bytes});
    struct hub_room *room = acquire_room(worker, text_from(writer_bytes(&token)));
    if (room == nullptr) {
        if (counted) turnstile_leave(&worker->hub->acquirers, key);
        refuse(conn, 503, TEXT("too_many_rooms"), TEXT("too many rooms"), origin);
        return;
    }
    room->is_owned = counted;
    room->owner = key;
    answer_acquired(worker, conn, room, text_from(writer_bytes(&token)), origin);
}

/* A browser or a crawler that only looks ahead. Sec-Purpose is a token with parameters
 * (Fetch §3.8), Purpose what came before it. */
static bool is_prefetch(const struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        bool tells = text_equal_nocase(header->name, TEXT("Sec-Purpose")) ||
                     text_equal_nocase(header->name, TEXT("Purpose"));
        struct text list = header->value, word;
        while (tells && http_list_next(&list, &word)) {
            const char *end = memchr(word.data, ';', word.size);
            if (end != nullptr) word.size = (size_t)(end - word.data);
            if (text_equal_nocase(text_trim(word), TEXT("prefetch"))) return true;
        }
    }
    return false;
}

/* The seed's GET changes something, so it is guarded (D19; THREATS.md X4). */
static void acquire(struct worker *worker, struct conn *conn, const struct http_request *request,
                    struct text origin)
{
    if (is_prefetch(request)) {
        refuse(conn, 403, TEXT("prefetch"), TEXT("not to be fetched in advance"), origin);
        return;
    }
    uint64_t key = 0;
    enum turnstile_answer met = entrance_acquire(worker, &conn->peer, &key);
    if (met == TURNSTILE_FULL)
        refuse(conn, 429, TEXT("address_rooms"), TEXT("too many rooms of your address"), origin);
    else if (met == TURNSTILE_TOO_FAST)
        refuse(conn, 429, TEXT("address_acquires"), TEXT("too many requests"), origin);
    else
        acquire_counted(worker, conn, met == TURNSTILE_COUNTED, key, origin);
}

/* --- A room ---------------------------------------------------------------------------------- */

/* Ids are short, so whoever tries many of them is held back before the next one is looked up
 * (THREATS.md A17). False when that was answered. */
static bool may_look(struct worker *worker, struct conn *conn, struct text origin)
{
    uint8_t memory[64];
    struct writer headers = writer_over(memory, sizeof memory);
    uint32_t wait_s = entrance_look_wait_s(worker, &conn->peer);
    if (wait_s == 0) return true;
    entrance_write_retry(&headers, wait_s);
    refuse_with(conn, 429, TEXT("address_misses"), TEXT("too many rooms asked for in vain"),
                text_from(writer_bytes(&headers)), origin);
    return false;
}

static void request_room(struct worker *worker, struct conn *conn,
                         const struct http_request *request, struct text verb, struct text name,
                         struct text origin)
{
    struct game_request wanted = {.verb = verb,
                                  .body = request->body,
                                  .token = http_bearer(request),
                                  .memory = {worker->json_memory, sizeof worker->json_memory}};
    uint32_t home = hub_home(worker->hub, name);
    if (home != worker->index) {
        if (!errand_request(worker, conn, home, name, &wanted, origin)) answer_busy(conn, origin);
        return;
    }
    uint8_t memory[errand_reply_size_max];
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer result;
    if (events_request(worker, name, &wanted, &reply, &result))
        vote_routes_answer(conn, result, text_from(writer_bytes(&reply)), origin);
    else
        vote_routes_answer_no_room(worker, conn, name, origin);
}

/* --- Paths ----------------------------------------------------------------------------------- */

/* What may follow /api/rooms/{id}. */
static const struct {
    struct text path;
    struct text method;
    struct text verb;  /* what the room is asked; empty: whether it is there */
    struct text allow; /* the header for whoever uses another method */
} actions[] = {
    {TEXT("/acquired"), TEXT("GET"), {}, TEXT("Allow: GET, OPTIONS\r\n")},
    {TEXT("/participate"), TEXT("PATCH"), TEXT("participate"), TEXT("Allow: PATCH, OPTIONS\r\n")},
    {TEXT("/start"), TEXT("PATCH"), TEXT("start"), TEXT("Allow: PATCH, OPTIONS\r\n")},
    {TEXT("/release"), TEXT("PATCH"), TEXT("release"), TEXT("Allow: PATCH, OPTIONS\r\n")},
};
constexpr size_t action_count = sizeof actions / sizeof actions[0];

static void refuse_method(struct conn *conn, struct text allow, struct text origin)
{
    refuse_with(conn, 405, TEXT("method_not_allowed"), TEXT("method not allowed"), allow, origin);
}

static bool is_preflight(const struct http_request *request)
{
    return text_equal(request->method, TEXT("OPTIONS"));
}

/* Fetch §3.2.3: what a page may send beyond a plain form's. */
static void answer_preflight(struct conn *conn, struct text allow, struct text origin)
{
    uint8_t memory[256];
    struct writer headers = writer_over(memory, sizeof memory);
    write_text(&headers, allow);
    if (origin.size > 0)
        write_text(&headers, TEXT("Access-Control-Allow-Methods: GET, POST, PATCH\r\n"
                                  "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
                                  "Access-Control-Max-Age: 600\r\n"));
    answer(conn, 200, (struct text){}, (struct text){}, text_from(writer_bytes(&headers)), origin);
}

static void on_collection(struct worker *worker, struct conn *conn,
                          const struct http_request *request, struct text origin)
{
    const struct text allow = TEXT("Allow: GET, POST, OPTIONS\r\n");
    bool wanted =
        text_equal(request->method, TEXT("GET")) || text_equal(request->method, TEXT("POST"));
    if (is_preflight(request))
        answer_preflight(conn, allow, origin);
    else if (!wanted)
        refuse_method(conn, allow, origin);
    else if (http_has_token(request, TEXT("Upgrade"), TEXT("websocket")))
        refuse(conn, 404, TEXT("not_found"), TEXT("no websocket here"), origin); /* H25 */
    else
        acquire(worker, conn, request, origin);
}

static void on_room(struct worker *worker, struct conn *conn, const struct http_request *request,
                    struct text id, struct text action, struct text origin)
{
    size_t i = 0;
    while (i < action_count && !text_equal(action, actions[i].path))
        i += 1;
    uint8_t memory[room_name_size_max];
    if (i == action_count)
        refuse(conn, 404, TEXT("not_found"), TEXT("not found"), origin);
    else if (is_preflight(request))
        answer_preflight(conn, actions[i].allow, origin);
    else if (!text_equal(request->method, actions[i].method))
        refuse_method(conn, actions[i].allow, origin);
    else if (!routes_is_room_id(id))
        vote_routes_answer_no_room(worker, conn, id, origin);
    else if (may_look(worker, conn, origin))
        request_room(worker, conn, request, actions[i].verb, rooms_name(memory, GAME_VOTE, id),
                     origin);
}

static void open_websocket(struct worker *worker, struct conn *conn,
                           const struct http_request *request, struct text id, struct bytes rest)
{
    uint8_t memory[room_name_size_max];
    if (!routes_is_room_id(id))
        vote_routes_answer_no_room(worker, conn, id, (struct text){});
    else if (may_look(worker, conn, (struct text){}))
        routes_open_websocket(worker, conn, request, rest, GAME_VOTE,
                              rooms_name(memory, GAME_VOTE, id));
}

void vote_routes_on_request(struct worker *worker, struct conn *conn,
                            const struct http_request *request, struct text tail, struct bytes rest)
{
    struct text id = text_skip(tail, tail.size > 0 ? 1 : 0), action = {}, origin;
    const char *slash = id.size > 0 ? memchr(id.data, '/', id.size) : nullptr;
    if (slash != nullptr) {
        action = text_skip(id, (size_t)(slash - id.data));
        id.size -= action.size;
    }
    if (text_equal(action, TEXT("/ws")))
        open_websocket(worker, conn, request, id, rest);
    else if (!routes_read_origin(worker, request, &origin))
        refuse(conn, 403, TEXT("origin_not_allowed"), TEXT("origin not allowed"), (struct text){});
    else if (tail.size == 0)
        on_collection(worker, conn, request, origin);
    else
        on_room(worker, conn, request, id, action, origin);
}
