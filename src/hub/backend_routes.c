#include "hub/backend_routes.h"
#include "http/query.h"
#include "hub/api.h"
#include "hub/errand.h"
#include "hub/rooms.h"
#include "hub/routes.h"

/* --- Answers --------------------------------------------------------------------------------- */

static const struct {
    uint16_t status;
    struct text code, sentence;
} refusals[] = {
#define X(name, s, c, t) [BACKEND_##name] = {(s), TEXT(c), TEXT(t)},
    BACKEND_REFUSALS(X)
#undef X
};

static void refuse(struct conn *conn, enum backend_refusal refusal)
{
    conn_answer_error(conn, refusals[refusal].status, refusals[refusal].code,
                      refusals[refusal].sentence, (struct text){});
}

static void refuse_body(struct conn *conn, struct text problem)
{
    uint8_t memory[512];
    struct writer sentence = writer_over(memory, sizeof memory);
    write_text(&sentence, TEXT("The body "));
    write_text(&sentence, problem);
    write_byte(&sentence, '.');
    conn_answer_error(conn, refusals[BACKEND_BAD_REQUEST].status,
                      refusals[BACKEND_BAD_REQUEST].code, text_from(writer_bytes(&sentence)),
                      (struct text){});
}

void backend_routes_answer(struct worker *worker, struct conn *conn, enum backend_refusal refusal,
                           uint16_t status, struct text body)
{
    if (refusal == BACKEND_DONE)
        api_answer(worker, conn, status, TEXT("application/json"), body);
    else if (refusal == BACKEND_BAD_REQUEST)
        refuse_body(conn, body);
    else
        refuse(conn, refusal);
}

void backend_routes_answer_list(struct worker *worker, struct conn *conn,
                                const struct backend_page *page, struct text rooms)
{
    const struct backend_cursor *cursor = &page->cursor;
    struct writer body = api_body(worker);
    write_text(&body, TEXT("{\"rooms\":["));
    write_text(&body, rooms);
    write_byte(&body, ']');
    if (cursor->worker < worker->hub->worker_count) {
        write_format(&body, ",\"next\":\"%u", cursor->worker);
        if (cursor->begun) write_format(&body, ".%016llx", (unsigned long long)cursor->hash);
        write_byte(&body, '"');
    }
    write_byte(&body, '}');
    api_answer(worker, conn, 200, TEXT("application/json"), text_from(writer_bytes(&body)));
}

static void refuse_method(struct conn *conn, struct text allow)
{
    conn_answer_error(conn, 405, TEXT("method_not_allowed"),
                      TEXT("Use the method that the Allow header names."), allow);
}

/* --- What every request to change something has ----------------------------------------------- */

/* One header of visible characters; *key is empty when there is none. */
static bool read_key(const struct http_request *request, struct text *key)
{
    size_t count = 0;
    const struct http_header *header = http_find(request, TEXT("Idempotency-Key"), &count);
    *key = header != nullptr ? header->value : (struct text){};
    if (header == nullptr) return true;
    for (size_t i = 0; i < key->size; i++)
        if (key->data[i] <= ' ' || key->data[i] > '~') return false;
    return count == 1 && key->size > 0 && key->size <= idempotency_key_size_max;
}

/* application/json, parameters aside. A page cannot send that to another origin unasked. */
static bool is_json(const struct http_request *request)
{
    size_t count = 0;
    const struct http_header *header = http_find(request, TEXT("Content-Type"), &count);
    if (count != 1) return false;
    struct text type = header->value;
    const char *end = type.size > 0 ? memchr(type.data, ';', type.size) : nullptr;
    if (end != nullptr) type.size = (size_t)(end - type.data);
    return text_equal_nocase(text_trim(type), TEXT("application/json"));
}

/* False when it was refused. */
static bool read_change(struct conn *conn, const struct http_request *request,
                        struct backend_request *wanted)
{
    enum backend_refusal refusal = BACKEND_DONE;
    if (!read_key(request, &wanted->key)) refusal = BACKEND_BAD_KEY;
    if (request->body.size > 0 && !is_json(request)) refusal = BACKEND_MEDIA_TYPE;
    wanted->body = request->body;
    if (refusal != BACKEND_DONE) refuse(conn, refusal);
    return refusal == BACKEND_DONE;
}

static void ask(struct worker *worker, struct conn *conn, uint32_t home,
                const struct backend_request *request)
{
    if (home != worker->index) {
        if (!errand_backend(worker, conn, home, request)) refuse(conn, BACKEND_BUSY);
        return;
    }
    struct writer body = writer_over(worker->backend_reply.data, worker->backend_reply.size);
    struct backend_answer answer = {.body = &body};
    backend_do(worker, request, &answer);
    backend_routes_answer(worker, conn, answer.refusal, answer.status,
                          text_from(writer_bytes(&body)));
}

/* --- Paths ----------------------------------------------------------------------------------- */

/* Finds the id that the room is to have, which decides where it lives; `*id` is empty when the body
 * names none. False when it was refused. */
static bool read_id(struct worker *worker, struct conn *conn, struct text body, struct text *id)
{
    struct text problem = {};
    *id = (struct text){};
    if (body.size == 0) return true;
    const struct json *root = json_read(worker->backend_memory, body, &problem);
    const struct json *member = json_member(root, TEXT("id"));
    if (member != nullptr && (!json_to_text(member, id) || !routes_is_room_id(*id)))
        problem = TEXT("has an id that is not 1 to 64 letters, digits, - and _");
    if (problem.size > 0) refuse_body(conn, problem);
    return problem.size == 0;
}

static void create(struct worker *worker, struct conn *conn, const struct http_request *request)
{
    uint8_t memory[room_name_size_max];
    struct backend_request wanted = {.verb = TEXT("open")};
    struct text id;
    if (worker->phase != WORKER_RUNNING) {
        routes_refuse_draining(conn);
        return;
    }
    if (!read_change(conn, request, &wanted) || !read_id(worker, conn, wanted.body, &id)) return;
    /* The same key must come to the same worker, whatever id is made up there. */
    uint32_t home = hub_home(worker->hub, wanted.key);
    if (wanted.key.size == 0)
        home = (uint32_t)random_below(&worker->random, worker->hub->worker_count);
    if (id.size > 0) {
        wanted.name = rooms_name(memory, GAME_LOBBY, id);
        home = hub_home(worker->hub, wanted.name);
    }
    ask(worker, conn, home, &wanted);
}

static bool read_hexadecimal(struct text text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char digits[] = "0123456789abcdef";
        const char *digit = text.data[i] != '\0' ? strchr(digits, text.data[i]) : nullptr;
        if (digit == nullptr) return false;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return text.size == 16;
}

/* "2" or "2.0123456789abcdef": what an earlier answer had as next. */
static bool read_cursor(const struct hub *hub, struct text text, struct backend_cursor *cursor)
{
    uint64_t worker;
    const char *dot = text.size > 0 ? memchr(text.data, '.', text.size) : nullptr;
    struct text number = {text.data, dot != nullptr ? (size_t)(dot - text.data) : text.size};
    if (!text_to_u64(number, &worker) || worker >= hub->worker_count) return false;
    *cursor = (struct backend_cursor){.worker = (uint32_t)worker, .begun = dot != nullptr};
    return dot == nullptr || read_hexadecimal(text_skip(text, number.size + 1), &cursor->hash);
}

static bool read_page(const struct hub *hub, struct text query, struct backend_page *page)
{
    uint8_t after_memory[32], limit_memory[8];
    struct writer after = writer_over(after_memory, sizeof after_memory);
    struct writer limit = writer_over(limit_memory, sizeof limit_memory);
    enum http_query_answer has_after = http_query(query, TEXT("after"), &after);
    enum http_query_answer has_limit = http_query(query, TEXT("limit"), &limit);
    uint64_t count = backend_page_usual;
    *page = (struct backend_page){};
    if (has_after == HTTP_QUERY_TWICE || has_limit == HTTP_QUERY_TWICE) return false;
    if (after.overflow || limit.overflow) return false;
    if (has_limit == HTTP_QUERY_FOUND && (!text_to_u64(text_from(writer_bytes(&limit)), &count) ||
                                          count == 0 || count > backend_page_most))
        return false;
    page->left = (uint32_t)count;
    return has_after == HTTP_QUERY_NONE ||
           read_cursor(hub, text_from(writer_bytes(&after)), &page->cursor);
}

static void list(struct worker *worker, struct conn *conn, const struct http_request *request)
{
    struct backend_page page;
    if (!read_page(worker->hub, request->query, &page))
        refuse(conn, BACKEND_BAD_QUERY);
    else if (!errand_rooms(worker, conn, &page))
        refuse(conn, BACKEND_BUSY);
}

/* What may follow /v1/rooms/{id}/, by POST; each is a verb of game/relay.h. */
static const struct text actions[] = {TEXT("publish"), TEXT("state"), TEXT("kick"), TEXT("lock")};
constexpr size_t action_count = sizeof actions / sizeof actions[0];

static void on_action(struct worker *worker, struct conn *conn, const struct http_request *request,
                      struct text action, struct backend_request *wanted)
{
    size_t i = 0;
    while (i < action_count && !text_equal(actions[i], action))
        i += 1;
    if (i == action_count) {
        refuse(conn, BACKEND_NO_ACTION);
    } else if (!text_equal(request->method, TEXT("POST"))) {
        refuse_method(conn, TEXT("Allow: POST\r\n"));
    } else if (read_change(conn, request, wanted)) {
        wanted->verb = actions[i];
        ask(worker, conn, hub_home(worker->hub, wanted->name), wanted);
    }
}

static void on_room(struct worker *worker, struct conn *conn, const struct http_request *request,
                    struct backend_request *wanted)
{
    uint32_t home = hub_home(worker->hub, wanted->name);
    if (text_equal(request->method, TEXT("GET"))) {
        wanted->verb = TEXT("show");
        ask(worker, conn, home, wanted);
    } else if (!text_equal(request->method, TEXT("DELETE"))) {
        refuse_method(conn, TEXT("Allow: GET, DELETE\r\n"));
    } else if (read_change(conn, request, wanted)) {
        wanted->verb = TEXT("close");
        ask(worker, conn, home, wanted);
    }
}

static void on_collection(struct worker *worker, struct conn *conn,
                          const struct http_request *request)
{
    if (text_equal(request->method, TEXT("POST")))
        create(worker, conn, request);
    else if (text_equal(request->method, TEXT("GET")))
        list(worker, conn, request);
    else
        refuse_method(conn, TEXT("Allow: GET, POST\r\n"));
}

void backend_routes_on_request(struct worker *worker, struct conn *conn,
                               const struct http_request *request, struct text tail)
{
    uint8_t memory[room_name_size_max];
    struct backend_request wanted = {};
    if (tail.size == 0) {
        on_collection(worker, conn, request);
        return;
    }
    struct text id = text_skip(tail, 1);
    const char *slash = id.size > 0 ? memchr(id.data, '/', id.size) : nullptr;
    struct text action =
        slash != nullptr ? text_skip(id, (size_t)(slash - id.data) + 1) : (struct text){};
    if (slash != nullptr) id.size = (size_t)(slash - id.data);
    if (!routes_is_room_id(id)) {
        refuse(conn, BACKEND_NO_ROOM);
        return;
    }
    wanted.name = rooms_name(memory, GAME_LOBBY, id);
    if (slash != nullptr)
        on_action(worker, conn, request, action, &wanted);
    else
        on_room(worker, conn, request, &wanted);
}
