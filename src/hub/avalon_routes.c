#include "hub/avalon_routes.h"
#include "base/base64.h"
#include "base/plain.h"
#include "hub/entrance.h"
#include "hub/errand.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include "hub/verify.h"
#include <assert.h>

bool avalon_is_on(const struct worker *worker)
{
    return worker->config->avalon && hub_signs(worker->hub);
}

/* --- Answers --------------------------------------------------------------------------------- */

#define REFUSALS(X) /* name, status, code, sentence with the remedy */                           \
    X(BAD_NAME, 400, "bad_display_name",                                                         \
      "display_name must be 1 to 64 characters, none of them invisible or a control character.") \
    X(BAD_KIND, 400, "unknown_kind", "kind must be \"avalon\" or \"vote\".")                     \
    X(NO_TOKEN, 401, "no_token", "Send the token to be renewed as Authorization: Bearer.")       \
    X(UNKNOWN_PLAYER, 401, "unknown_player",                                                     \
      "The room has no place for this player; join it again.")                                   \
    X(ORIGIN, 403, "origin_not_allowed",                                                         \
      "This origin is not on the server's list; see --allow-origin.")                            \
    X(OFF, 404, "avalon_off",                                                                    \
      "This server makes no avalon rooms; it was started without RINGCAST_JWT_SECRET.")          \
    X(NO_ROOM, 404, "room_not_found", "There is no room of this code; it may be over.")          \
    X(NO_SOCKET, 404, "not_found", "There is no WebSocket here; it is at /ws/rooms/CODE.")       \
    X(NAME_TAKEN, 409, "name_taken", "Somebody in the room has this name; choose another one.")  \
    X(FULL, 409, "room_full", "All places in the room are taken.")                               \
    X(ADDRESS_ROOMS, 429, "address_rooms", "Your address has as many rooms as it may.")          \
    X(ADDRESS_TOO_FAST, 429, "address_acquires", "Your address makes rooms too often.")          \
    X(TOO_LARGE, 500, "too_large", "The answer is larger than this server can give.")            \
    X(ROOMS, 503, "too_many_rooms", "No further room can be made now; try again later.")         \
    X(BUSY, 503, "overloaded", "The workers are busy; try again.")

enum refusal : uint8_t {
#define X(name, status, code, sentence) REFUSE_##name,
    REFUSALS(X)
#undef X
};

static const struct {
    uint16_t status;
    struct text code, sentence;
} refusals[] = {
#define X(name, s, c, t) [REFUSE_##name] = {(s), TEXT(c), TEXT(t)},
    REFUSALS(X)
#undef X
};

static void answer_error(struct conn *conn, uint16_t status, struct text code, struct text sentence,
                         struct text origin)
{
    uint8_t memory[512];
    struct writer headers = writer_over(memory, sizeof memory);
    routes_write_origin(&headers, origin);
    conn_answer_error(conn, status, code, sentence, text_from(writer_bytes(&headers)));
}

static void refuse_saying(struct conn *conn, enum refusal refusal, struct text sentence,
                          struct text origin)
{
    answer_error(conn, refusals[refusal].status, refusals[refusal].code, sentence, origin);
}

static void refuse(struct conn *conn, enum refusal refusal, struct text origin)
{
    refuse_saying(conn, refusal, refusals[refusal].sentence, origin);
}

static void answer(struct worker *worker, struct conn *conn, uint16_t status, struct text body,
                   struct text origin)
{
    uint8_t memory[512];
    struct writer headers = writer_over(memory, sizeof memory);
    struct writer out =
        writer_over(worker->scratch + sizeof worker->scratch / 2, sizeof worker->scratch / 2);
    routes_write_origin(&headers, origin);
    http_write_response(&out,
                        &(struct http_response){.status = status,
                                                .content_type = TEXT("application/json"),
                                                .extra_headers = text_from(writer_bytes(&headers)),
                                                .body = body});
    if (out.overflow)
        refuse(conn, REFUSE_TOO_LARGE, origin);
    else
        conn_answer(conn, writer_bytes(&out));
}

static void write_member(struct writer *out, const char *name, struct text value)
{
    if (value.size == 0) return;
    write_format(out, "\"%s\":\"", name);
    write_json_escaped(out, value);
    write_text(out, TEXT("\","));
}

/* Signs what lets the player in. Its times are those of the clock on the wall, in seconds. */
static void write_token(struct worker *worker, struct writer *out, const struct avalon_wish *wish,
                        struct text room_id, struct text display_name, uint64_t expires_s)
{
    struct bytes memory = {worker->token_memory, sizeof worker->token_memory};
    struct writer claims = writer_over(memory.data, jwt_size_max);
    write_byte(&claims, '{');
    write_member(&claims, "room_id", room_id);
    write_member(&claims, "code", text_skip(wish->room, wish->room.size - avalon_code_size));
    write_member(&claims, "room_player_id", wish->player);
    write_member(&claims, "display_name", display_name);
    write_member(&claims, "iss", worker->config->jwt_issuer);
    write_member(&claims, "aud", worker->config->jwt_audience);
    write_format(&claims, "\"iat\":%llu,\"exp\":%llu}",
                 (unsigned long long)(worker->now.wall_ms / 1000), (unsigned long long)expires_s);
    jwt_write(out, &worker->key_set->keys.keys[0], text_from(writer_bytes(&claims)));
    if (claims.overflow) out->overflow = true;
}

static void answer_place(struct worker *worker, struct conn *conn, const struct avalon_wish *wish,
                         struct text room_id, struct text display_name)
{
    struct writer body = writer_over(worker->scratch, sizeof worker->scratch / 2);
    uint64_t expires_s = (worker->now.wall_ms + worker->config->avalon_token_ms) / 1000;
    write_text(&body, TEXT("{\"room\":{"));
    write_member(&body, "id", room_id);
    write_member(&body, "code", text_skip(wish->room, wish->room.size - avalon_code_size));
    write_text(&body, TEXT("\"kind\":\"avalon\"},\"room_player\":{"));
    write_member(&body, "id", wish->player);
    write_text(&body, TEXT("\"display_name\":\""));
    write_json_escaped(&body, display_name);
    write_text(&body, TEXT("\"},\"token\":\""));
    write_token(worker, &body, wish, room_id, display_name, expires_s);
    write_text(&body, TEXT("\",\"expires_at\":"));
    write_u64(&body, expires_s * 1000);
    write_byte(&body, '}');
    if (body.overflow)
        refuse(conn, REFUSE_TOO_LARGE, wish->origin);
    else
        answer(worker, conn, wish->created ? 201 : 200, text_from(writer_bytes(&body)),
               wish->origin);
}

void avalon_routes_answer(struct worker *worker, struct conn *conn, const struct avalon_wish *wish,
                          bool found, enum game_answer result, struct text reply)
{
    if (!found)
        refuse(conn, REFUSE_NO_ROOM, wish->origin);
    else if (result == GAME_NOT_UNDERSTOOD)
        refuse(conn, REFUSE_BAD_NAME, wish->origin);
    else if (result == GAME_REFUSED)
        refuse(conn, text_equal(reply, TEXT("room_full")) ? REFUSE_FULL : REFUSE_NAME_TAKEN,
               wish->origin);
    else if (result == GAME_FORBIDDEN)
        refuse(conn, REFUSE_UNKNOWN_PLAYER, wish->origin);
    else if (text_equal(wish->verb, TEXT("join")))
        answer_place(worker, conn, wish, reply, wish->body);
    else if (text_equal(wish->verb, TEXT("refresh")))
        answer_place(worker, conn, wish, wish->body, reply);
    else
        answer(worker, conn, 200, reply, wish->origin);
}

/* --- Rooms ----------------------------------------------------------------------------------- */

static const char code_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t id_bytes = 12, id_size = 16; /* 96 random bits, and their length in base64url */

static struct text draw_id(struct worker *worker, char id[static id_size])
{
    uint8_t bytes[id_bytes];
    ring_entropy(&worker->ring, (struct bytes){bytes, sizeof bytes});
    struct writer out = writer_over(id, id_size);
    write_base64url(&out, (struct bytes){bytes, sizeof bytes});
    assert(out.size == id_size);
    return text_from(writer_bytes(&out));
}

/* A free name whose home is this worker; empty when none was found: very many rooms are open. */
static struct text draw_name(struct worker *worker, uint8_t memory[static room_name_size_max])
{
    constexpr uint32_t draws_each = 64; /* for each worker */
    for (uint32_t left = draws_each * worker->hub->worker_count; left > 0; left--) {
        uint8_t bytes[avalon_code_size];
        char code[avalon_code_size];
        ring_entropy(&worker->ring, (struct bytes){bytes, sizeof bytes});
        for (size_t i = 0; i < avalon_code_size; i++)
            code[i] = code_digits[bytes[i] % 32];
        struct text name = rooms_name(memory, GAME_AVALON, (struct text){code, avalon_code_size});
        if (hub_home(worker->hub, name) == worker->index && rooms_find(worker, name) == nullptr)
            return name;
    }
    return (struct text){};
}

bool avalon_read_code(struct text text, char code[static avalon_code_size])
{
    if (text.size != avalon_code_size) return false;
    for (size_t i = 0; i < avalon_code_size; i++) {
        char c = text.data[i];
        if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
        if (c == 'O') c = '0';
        if (c == 'I' || c == 'L') c = '1';
        if (c == '\0' || strchr(code_digits, c) == nullptr) return false;
        code[i] = c;
    }
    return true;
}

static struct hub_room *make_room(struct worker *worker)
{
    uint8_t memory[room_name_size_max];
    char id[id_size];
    struct text name = draw_name(worker, memory);
    return name.size > 0 ? rooms_acquire(worker, GAME_AVALON, name, draw_id(worker, id)) : nullptr;
}

/* A room and the place of its address are held from here on. Returns false when it was not made. */
static bool create_counted(struct worker *worker, struct conn *conn, struct avalon_wish *wish,
                           bool counted, uint64_t key)
{
    uint8_t name_memory[room_name_size_max], memory[errand_reply_size_max];
    struct writer name = writer_over(name_memory, sizeof name_memory);
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer result;
    struct hub_room *room = make_room(worker);
    if (room == nullptr) {
        refuse(conn, REFUSE_ROOMS, wish->origin);
        return false;
    }
    room->is_owned = counted;
    room->owner = key;
    write_text(&name, room_name(&room->room));
    wish->room = text_from(writer_bytes(&name));
    const struct game_request request = {
        .verb = wish->verb, .body = wish->body, .token = wish->player};
    bool found = events_request(worker, wish->room, &request, &reply, &result);
    assert(found); /* nobody has been in it, so it is not over */
    if (result != GAME_DONE) rooms_close(worker, room);
    avalon_routes_answer(worker, conn, wish, found, result, text_from(writer_bytes(&reply)));
    return true;
}

static void create(struct worker *worker, struct conn *conn, struct text display_name,
                   struct text origin)
{
    char id[id_size];
    struct avalon_wish wish = {.verb = TEXT("join"),
                               .body = display_name,
                               .player = draw_id(worker, id),
                               .origin = origin,
                               .created = true};
    uint64_t key = 0;
    enum turnstile_answer met = entrance_acquire(worker, &conn->peer, &key);
    bool counted = met == TURNSTILE_COUNTED;
    if (met == TURNSTILE_FULL)
        refuse(conn, REFUSE_ADDRESS_ROOMS, origin);
    else if (met == TURNSTILE_TOO_FAST)
        refuse(conn, REFUSE_ADDRESS_TOO_FAST, origin);
    else if (!create_counted(worker, conn, &wish, counted, key) && counted)
        turnstile_leave(&worker->hub->acquirers, key);
}

/* To the room, wherever it lives. */
static void ask_room(struct worker *worker, struct conn *conn, const struct avalon_wish *wish)
{
    const struct game_request request = {
        .verb = wish->verb, .body = wish->body, .token = wish->player};
    uint32_t home = hub_home(worker->hub, wish->room);
    if (home != worker->index) {
        if (!errand_request(worker, conn, home, wish->room, &request, wish->origin))
            refuse(conn, REFUSE_BUSY, wish->origin);
        return;
    }
    uint8_t memory[errand_reply_size_max];
    struct writer reply = writer_over(memory, sizeof memory);
    enum game_answer result = GAME_DONE;
    bool found = events_request(worker, wish->room, &request, &reply, &result);
    assert(!reply.overflow);
    avalon_routes_answer(worker, conn, wish, found, result, text_from(writer_bytes(&reply)));
}

/* --- Paths ----------------------------------------------------------------------------------- */

static void refuse_method(struct conn *conn, struct text allow, struct text origin)
{
    uint8_t memory[512];
    struct writer headers = writer_over(memory, sizeof memory);
    write_text(&headers, allow);
    routes_write_origin(&headers, origin);
    conn_answer_error(conn, 405, TEXT("method_not_allowed"),
                      TEXT("Use the method that the Allow header names."),
                      text_from(writer_bytes(&headers)));
}

/* Fetch §3.2.3: what a page may send beyond a plain form's. */
static void answer_preflight(struct conn *conn, struct text allow, struct text origin)
{
    uint8_t memory[1024], answer_memory[2048];
    struct writer headers = writer_over(memory, sizeof memory);
    struct writer out = writer_over(answer_memory, sizeof answer_memory);
    write_text(&headers, allow);
    routes_write_origin(&headers, origin);
    if (origin.size > 0)
        write_text(&headers, TEXT("Access-Control-Allow-Methods: GET, POST\r\n"
                                  "Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
                                  "Access-Control-Max-Age: 600\r\n"));
    http_write_response(
        &out,
        &(struct http_response){.status = 200, .extra_headers = text_from(writer_bytes(&headers))});
    assert(!out.overflow);
    conn_answer(conn, writer_bytes(&out));
}

/* Reads the name that somebody wants to have; false when that was refused. It lies in the worker's
 * memory for JSON. */
static bool read_display_name(struct worker *worker, struct conn *conn,
                              const struct http_request *request, struct text origin,
                              struct text *display_name)
{
    struct text problem =
        json_read_string_member((struct bytes){worker->json_memory, sizeof worker->json_memory},
                                request->body, TEXT("display_name"), display_name);
    if (problem.size > 0) {
        uint8_t memory[256];
        struct writer sentence = writer_over(memory, sizeof memory);
        write_text(&sentence, TEXT("The body "));
        write_text(&sentence, problem);
        write_text(&sentence, TEXT(". Send {\"display_name\":\"...\"}."));
        refuse_saying(conn, REFUSE_BAD_NAME, text_from(writer_bytes(&sentence)), origin);
        return false;
    }
    *display_name = plain_trim(*display_name);
    return true;
}

/* The kind of room that a POST asks for; empty when it does not say. */
static struct text wanted_kind(struct worker *worker, const struct http_request *request)
{
    struct text kind, problem;
    const struct json *root = json_read(
        (struct bytes){worker->json_memory, sizeof worker->json_memory}, request->body, &problem);
    return json_to_text(json_member(root, TEXT("kind")), &kind) ? kind : (struct text){};
}

/* What a browser asks before it posts, where nobody else answers that. */
static bool on_collection_alone(struct worker *worker, struct conn *conn,
                                const struct http_request *request, bool allowed,
                                struct text origin)
{
    if (worker->config->vote || !avalon_is_on(worker)) return false;
    if (!allowed)
        refuse(conn, REFUSE_ORIGIN, (struct text){});
    else if (text_equal(request->method, TEXT("OPTIONS")))
        answer_preflight(conn, TEXT("Allow: POST, OPTIONS\r\n"), origin);
    else
        return false;
    return true;
}

/* A POST that names a kind. What names none is a vote's. */
static bool on_collection(struct worker *worker, struct conn *conn,
                          const struct http_request *request, struct text origin)
{
    struct text display_name;
    if (!text_equal(request->method, TEXT("POST")) || request->body.size == 0) return false;
    struct text kind = wanted_kind(worker, request);
    if (kind.size == 0 || text_equal(kind, TEXT("vote"))) return false;
    if (!text_equal(kind, TEXT("avalon")))
        refuse(conn, REFUSE_BAD_KIND, origin);
    else if (!avalon_is_on(worker))
        refuse(conn, REFUSE_OFF, origin);
    else if (read_display_name(worker, conn, request, origin, &display_name))
        create(worker, conn, display_name, origin);
    return true;
}

/* Who asks for a newer token is who the older one says. False when that was refused. The ids are
 * copied to `memory`: signing uses the memory that the token was read in. */
static bool read_token(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct text code, struct writer *memory, struct avalon_wish *wish)
{
    struct text token = http_bearer(request);
    struct game_guest guest;
    if (token.size == 0) {
        refuse(conn, REFUSE_NO_TOKEN, wish->origin);
        return false;
    }
    struct verdict verdict = verify_token(worker, GAME_AVALON, code, token, &guest);
    if (verdict.code.size > 0) {
        answer_error(conn, 401, verdict.code, verdict.sentence, wish->origin);
        return false;
    }
    write_text(memory, guest.room);
    write_text(memory, guest.player);
    assert(!memory->overflow);
    wish->body = (struct text){(const char *)memory->data, guest.room.size};
    wish->player = text_skip(text_from(writer_bytes(memory)), guest.room.size);
    return true;
}

/* What the request brings to the room; false when it was refused. `ids` is for a player's. */
static bool read_wish(struct worker *worker, struct conn *conn, const struct http_request *request,
                      struct text code, struct writer *ids, struct avalon_wish *wish)
{
    if (text_equal(wish->verb, TEXT("show"))) return true;
    if (text_equal(wish->verb, TEXT("refresh")))
        return read_token(worker, conn, request, code, ids, wish);
    if (!read_display_name(worker, conn, request, wish->origin, &wish->body)) return false;
    wish->player = draw_id(worker, (char *)ids->data);
    return true;
}

static void on_room(struct worker *worker, struct conn *conn, const struct http_request *request,
                    struct text code_text, struct text verb, struct text origin)
{
    char digits[avalon_code_size];
    uint8_t name_memory[room_name_size_max], id_memory[game_id_size_max + game_player_size_max];
    struct writer ids = writer_over(id_memory, sizeof id_memory);
    struct avalon_wish wish = {.verb = verb, .origin = origin};
    bool shows = text_equal(verb, TEXT("show"));
    struct text allow = shows ? TEXT("Allow: GET, OPTIONS\r\n") : TEXT("Allow: POST, OPTIONS\r\n");
    struct text code = {digits, avalon_code_size};
    if (text_equal(request->method, TEXT("OPTIONS"))) {
        answer_preflight(conn, allow, origin);
    } else if (!text_equal(request->method, shows ? TEXT("GET") : TEXT("POST"))) {
        refuse_method(conn, allow, origin);
    } else if (http_has_token(request, TEXT("Upgrade"), TEXT("websocket"))) {
        refuse(conn, REFUSE_NO_SOCKET, origin); /* THREATS.md H25 */
    } else if (!avalon_read_code(code_text, digits)) {
        refuse(conn, REFUSE_NO_ROOM, origin);
    } else if (read_wish(worker, conn, request, code, &ids, &wish)) {
        wish.room = rooms_name(name_memory, GAME_AVALON, code);
        ask_room(worker, conn, &wish);
    }
}

/* Takes the verb off the end of what follows /api/rooms/: what is left is a code. */
static struct text take_verb(struct text *code)
{
    static const struct text verbs[] = {TEXT("join"), TEXT("refresh")};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t size = verbs[i].size + 1;
        if (code->size <= size || code->data[code->size - size] != '/') continue;
        if (!text_equal(text_skip(*code, code->size - verbs[i].size), verbs[i])) continue;
        code->size -= size;
        return verbs[i];
    }
    return TEXT("show");
}

bool avalon_routes_on_request(struct worker *worker, struct conn *conn,
                              const struct http_request *request, struct text tail)
{
    struct text origin, code = text_skip(tail, tail.size > 0 ? 1 : 0);
    bool allowed = routes_read_origin(worker, request, &origin);
    if (tail.size == 0)
        return on_collection_alone(worker, conn, request, allowed, origin) ||
               (allowed && on_collection(worker, conn, request, origin));
    if (tail.data[0] != '/' || !avalon_is_on(worker)) return false;
    struct text verb = take_verb(&code);
    if (code.size == 0 || memchr(code.data, '/', code.size) != nullptr) return false;
    if (allowed)
        on_room(worker, conn, request, code, verb, origin);
    else
        refuse(conn, REFUSE_ORIGIN, (struct text){});
    return true;
}
