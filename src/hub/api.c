#include "hub/api.h"
#include "base/json.h"
#include "http/host.h"
#include "hub/backend_routes.h"
#include "hub/errand.h"
#include "hub/rooms.h"
#include "hub/routes.h"

void api_answer(struct worker *worker, struct conn *conn, uint16_t status, struct text type,
                struct text body)
{
    /* The body may lie in the first half of the scratch memory. */
    struct writer out =
        writer_over(worker->scratch + sizeof worker->scratch / 2, sizeof worker->scratch / 2);
    http_write_response(
        &out, &(struct http_response){.status = status, .content_type = type, .body = body});
    if (out.overflow)
        conn_answer_error(conn, 500, TEXT("too_large"),
                          TEXT("The answer is larger than this server can give."), (struct text){});
    else
        conn_answer(conn, writer_bytes(&out));
}

struct writer api_body(struct worker *worker)
{
    return writer_over(worker->scratch, sizeof worker->scratch / 2);
}

static bool require(struct conn *conn, const struct http_request *request, struct text method)
{
    if (text_equal(request->method, method)) return true;
    bool get = text_equal(method, TEXT("GET"));
    conn_answer_error(conn, 405, TEXT("method_not_allowed"),
                      get ? TEXT("Use GET here.") : TEXT("Use POST here."),
                      get ? TEXT("Allow: GET\r\n") : TEXT("Allow: POST\r\n"));
    return false;
}

void api_answer_metrics(struct worker *worker, struct conn *conn, const struct tally *tally)
{
    struct writer body = api_body(worker);
    metrics_write(tally, worker->hub->worker_count, worker->ring.backend->name, &body);
    api_answer(worker, conn, 200, TEXT("text/plain; version=0.0.4; charset=utf-8"),
               text_from(writer_bytes(&body)));
}

static void answer_ready(struct worker *worker, struct conn *conn)
{
    bool ready = worker->phase == WORKER_RUNNING;
    api_answer(worker, conn, ready ? 200 : 503, TEXT("application/json"),
               ready ? TEXT("{\"status\":\"ok\"}") : TEXT("{\"status\":\"draining\"}"));
}

static bool is_authorized(const struct worker *worker, const struct http_request *request)
{
    struct text key = worker->config->api_key;
    return key.size > 0 && secret_equal(http_bearer(request), key);
}

static void refuse_key(struct worker *worker, struct conn *conn)
{
    struct text message =
        worker->config->api_key.size > 0
            ? TEXT("Send Authorization: Bearer KEY, the key of RINGCAST_API_KEY.")
            : TEXT("This is off: the server was started without RINGCAST_API_KEY.");
    conn_answer_error(conn, 401, TEXT("unauthorized"), message,
                      TEXT("WWW-Authenticate: Bearer\r\n"));
}

void api_answer_command(struct worker *worker, struct conn *conn, enum game_answer result,
                        struct text state, struct text reply)
{
    switch (result) {
    case GAME_NOT_UNDERSTOOD:
        conn_answer_error(conn, 400, TEXT("not_understood"), reply, (struct text){});
        return;
    case GAME_FORBIDDEN:
    case GAME_REFUSED:
        conn_answer_error(conn, 409, TEXT("refused"), reply, (struct text){});
        return;
    case GAME_DONE:
    case GAME_UNCHANGED: break;
    }
    struct writer body = api_body(worker);
    if (reply.size > 0 && result == GAME_UNCHANGED) {
        write_text(&body, TEXT("{\"message\":\""));
        write_json_escaped(&body, reply);
        write_text(&body, TEXT("\"}"));
        state = text_from(writer_bytes(&body));
    }
    api_answer(worker, conn, 200, TEXT("application/json"), state);
}

void api_answer_no_room(struct conn *conn)
{
    conn_answer_error(conn, 404, TEXT("no_such_room"),
                      TEXT("There is no such race; it opens when somebody joins."),
                      (struct text){});
}

static void command_room(struct worker *worker, struct conn *conn, struct text name,
                         struct text command)
{
    bool is_static = text_equal(name, TEXT("kart"));
    uint32_t home = is_static ? hub_home_static : hub_home(worker->hub, name);
    if (home != worker->index) {
        errand_command(worker, conn, home, name, command);
        return;
    }
    struct hub_room *room = rooms_find(worker, name);
    if (room == nullptr) {
        api_answer_no_room(conn);
        return;
    }
    uint8_t reply_memory[1024];
    struct writer reply = writer_over(reply_memory, sizeof reply_memory);
    struct writer state = api_body(worker);
    enum game_answer result = rooms_command(worker, room, command, &state, &reply);
    api_answer_command(worker, conn, result, text_from(writer_bytes(&state)),
                       text_from(writer_bytes(&reply)));
}

/* What no game understands: the answer says what it does. The problem with the body stands
 * before. */
static void refuse_body(struct conn *conn, struct text problem)
{
    uint8_t memory[1024];
    struct writer message = writer_over(memory, sizeof memory);
    write_text(&message, TEXT("The body "));
    write_text(&message, problem);
    write_text(&message, TEXT(". Send {\"command\":\"...\"}. "));
    games[GAME_KART]->help(&message);
    conn_answer_error(conn, 400, TEXT("not_understood"), text_from(writer_bytes(&message)),
                      (struct text){});
}

static void on_command(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct text name)
{
    if (!require(conn, request, TEXT("POST"))) return;
    if (request->body.size > http_body_size_max) { /* its text must fit an errand */
        conn_answer_error(conn, http_error_status(HTTP_BODY_TOO_BIG),
                          http_error_code(HTTP_BODY_TOO_BIG),
                          http_error_sentence(HTTP_BODY_TOO_BIG), (struct text){});
        return;
    }
    struct text command;
    struct text problem =
        json_read_string_member((struct bytes){worker->json_memory, sizeof worker->json_memory},
                                request->body, TEXT("command"), &command);
    if (problem.size > 0)
        refuse_body(conn, problem);
    else
        command_room(worker, conn, name, command);
}

/* /v1/rooms/kart/commands gives "kart", /v1/rooms/kart/ID/commands gives "kart/ID"; else
 * nothing. */
static struct text commanded_room(uint8_t memory[static room_name_size_max], struct text path)
{
    const struct text before = TEXT("/v1/rooms/kart"), behind = TEXT("/commands");
    if (!text_starts(path, before) || path.size < before.size + behind.size) return (struct text){};
    struct text middle = {path.data + before.size, path.size - before.size - behind.size};
    if (!text_equal((struct text){middle.data + middle.size, behind.size}, behind))
        return (struct text){};
    if (middle.size == 0) return TEXT("kart");
    if (middle.data[0] != '/' || !routes_is_room_id(text_skip(middle, 1))) return (struct text){};
    return rooms_name(memory, GAME_KART, text_skip(middle, 1));
}

/* --- Who may ask ----------------------------------------------------------------------------- */

/* By a name that is nobody else's to give. */
static bool is_called_rightly(const struct worker *worker, const struct http_request *request)
{
    const struct config *config = worker->config;
    struct text host = http_host(request);
    if (http_host_is_own(host)) return true;
    for (uint32_t i = 0; i < config->admin_host_count; i++)
        if (text_equal_nocase(config->admin_hosts[i], host)) return true;
    return false;
}

/* Backends and operators are no pages. */
static bool refuse_page(struct conn *conn, const struct http_request *request)
{
    if (http_find(request, TEXT("Origin"), nullptr) == nullptr) return false;
    conn_answer_error(conn, 403, TEXT("origin_not_allowed"),
                      TEXT("Pages may not talk to this listener; have your backend do it."),
                      (struct text){});
    return true;
}

/* What is under /v1. */
static bool is_let_in(struct worker *worker, struct conn *conn, const struct http_request *request)
{
    if (!is_called_rightly(worker, request)) {
        conn_answer_error(conn, 403, TEXT("host_not_allowed"),
                          TEXT("Call this server by its address, as localhost, or by a name of "
                               "--admin-host."),
                          (struct text){});
        return false;
    }
    if (!is_authorized(worker, request)) {
        refuse_key(worker, conn);
        return false;
    }
    return true;
}

/* --- Paths ----------------------------------------------------------------------------------- */

static void refuse_path(struct conn *conn)
{
    conn_answer_error(conn, 404, TEXT("not_found"),
                      TEXT("Here are /metrics, /healthz, /readyz and /v1/rooms."), (struct text){});
}

static void on_rooms(struct worker *worker, struct conn *conn, const struct http_request *request)
{
    const struct text rooms = TEXT("/v1/rooms");
    uint8_t memory[room_name_size_max];
    struct text room = commanded_room(memory, request->path);
    struct text tail = text_starts(request->path, rooms) ? text_skip(request->path, rooms.size)
                                                         : TEXT("none of them");
    if (!is_let_in(worker, conn, request)) return;
    if (room.size > 0)
        on_command(worker, conn, request, room);
    else if (tail.size == 0 || tail.data[0] == '/')
        backend_routes_on_request(worker, conn, request, tail);
    else
        refuse_path(conn);
}

void api_on_request(struct worker *worker, struct conn *conn, const struct http_request *request)
{
    struct text path = request->path;
    if (refuse_page(conn, request)) return;
    if (text_starts(path, TEXT("/v1/"))) {
        on_rooms(worker, conn, request);
    } else if (text_equal(path, TEXT("/metrics"))) {
        if (require(conn, request, TEXT("GET"))) errand_metrics(worker, conn);
    } else if (text_equal(path, TEXT("/readyz"))) {
        if (require(conn, request, TEXT("GET"))) answer_ready(worker, conn);
    } else if (text_equal(path, TEXT("/healthz")) || text_equal(path, TEXT("/health"))) {
        if (require(conn, request, TEXT("GET")))
            api_answer(worker, conn, 200, TEXT("application/json"), TEXT("{\"status\":\"ok\"}"));
    } else {
        refuse_path(conn);
    }
}
