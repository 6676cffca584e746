#include "hub/backend.h"
#include "base/base64.h"
#include "hub/events.h"
#include "hub/idempotency.h"
#include "hub/rooms.h"
#include <assert.h>

/* --- One room -------------------------------------------------------------------------------- */

/* 96 random bits in base64url; in `memory`. */
constexpr size_t id_bytes = 12, id_size = 16;
static struct text draw_id(struct worker *worker, char memory[static id_size])
{
    uint8_t bytes[id_bytes];
    ring_entropy(&worker->ring, (struct bytes){bytes, sizeof bytes});
    struct writer out = writer_over(memory, id_size);
    write_base64url(&out, (struct bytes){bytes, sizeof bytes});
    assert(out.size == id_size);
    return text_from(writer_bytes(&out));
}

/* A name that nobody has, of a room whose home is here. Each draw is for any worker: it takes about
 * as many as there are workers. */
static struct text draw_name(struct worker *worker, uint8_t memory[static room_name_size_max])
{
    for (;;) {
        char id[id_size];
        struct text name = rooms_name(memory, GAME_LOBBY, draw_id(worker, id));
        if (hub_home(worker->hub, name) == worker->index && rooms_find(worker, name) == nullptr)
            return name;
    }
}

static enum backend_refusal refusal_of(enum game_answer result, struct text reply)
{
    static const struct {
        struct text code;
        enum backend_refusal refusal;
    } refusals[] = {
        {RELAY_SEQ_MISMATCH, BACKEND_SEQ_MISMATCH},
        {RELAY_STATE_TOO_LARGE, BACKEND_STATE_TOO_LARGE},
        {RELAY_PAYLOAD_TOO_LARGE, BACKEND_PAYLOAD_TOO_LARGE},
        {RELAY_TOO_MANY_KICKED, BACKEND_TOO_MANY_KICKED},
    };
    if (result == GAME_DONE || result == GAME_UNCHANGED) return BACKEND_DONE;
    if (result == GAME_NOT_UNDERSTOOD) return BACKEND_BAD_REQUEST;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (text_equal(refusals[i].code, reply)) return refusals[i].refusal;
    assert(false);
    return BACKEND_BUSY;
}

/* The room is there, and one of a backend's. */
static void ask_room(struct worker *worker, struct text name, const struct backend_request *request,
                     struct backend_answer *answer)
{
    const struct game_request wanted = {
        .verb = request->verb, .body = request->body, .memory = worker->backend_memory};
    enum game_answer result;
    if (!events_request(worker, name, &wanted, answer->body, &result)) {
        answer->refusal = BACKEND_NO_ROOM;
        return;
    }
    answer->refusal = refusal_of(result, text_from(writer_bytes(answer->body)));
    if (answer->body->overflow) answer->refusal = BACKEND_TOO_LARGE;
    answer->status = 200;
}

static void open_room(struct worker *worker, const struct backend_request *request,
                      struct backend_answer *answer)
{
    uint8_t memory[room_name_size_max];
    char epoch[id_size];
    struct backend_request wanted = *request;
    struct text name = request->name.size > 0 ? request->name : draw_name(worker, memory);
    if (events_find(worker, name) != nullptr) {
        answer->refusal = BACKEND_EXISTS;
        return;
    }
    if (worker->phase !=
        WORKER_RUNNING) { /* the asker did not know yet; this one closes its rooms */
        answer->refusal = BACKEND_BUSY;
        return;
    }
    struct hub_room *room = rooms_acquire(worker, GAME_RELAY, name, draw_id(worker, epoch));
    if (room == nullptr) {
        answer->refusal = BACKEND_ROOMS;
        return;
    }
    if (wanted.body.size == 0) wanted.body = TEXT("{}");
    ask_room(worker, name, &wanted, answer);
    answer->status = 201;
    if (answer->refusal == BACKEND_DONE)
        closed_forget(&worker->closed, name);
    else
        rooms_close(worker, room);
}

/* What stands in the list. */
static void write_room(struct writer *out, const struct hub_room *room)
{
    struct text id = room_name(&room->room);
    const char *slash = memchr(id.data, '/', id.size);
    if (slash != nullptr) id = text_skip(id, (size_t)(slash - id.data) + 1);
    const struct game *game = games[room->room.kind];
    write_format(out, "{\"id\":\"%.*s\",\"kind\":\"%s\",\"members\":%u,\"created_at\":%llu",
                 TEXT_ARG(id), game->name, room->room.seat_count,
                 (unsigned long long)room->created_wall_ms);
    if (game->describe != nullptr)
        game->describe(room->state, out);
    else
        write_text(out, TEXT(",\"locked\":false"));
    write_byte(out, '}');
}

static void show_other(const struct hub_room *room, struct backend_answer *answer)
{
    write_text(answer->body, TEXT("{\"room\":"));
    write_room(answer->body, room);
    write_byte(answer->body, '}');
    answer->status = 200;
}

/* Also of who came to the id before its backend did: else that one would have it for as long as it
 * likes (THREATS.md R7). */
static void close_other(struct worker *worker, struct hub_room *room, struct backend_answer *answer)
{
    write_format(answer->body, "{\"closed\":true,\"members\":%u}", room->room.seat_count);
    answer->status = 200;
    closed_remember(&worker->closed, room_name(&room->room), instant_ms(worker->now));
    events_end(worker, room);
}

static void do_new(struct worker *worker, const struct backend_request *request,
                   struct backend_answer *answer)
{
    if (text_equal(request->verb, TEXT("open"))) {
        open_room(worker, request, answer);
        return;
    }
    struct hub_room *room = events_find(worker, request->name);
    if (room == nullptr)
        answer->refusal = BACKEND_NO_ROOM;
    else if (room->room.kind == GAME_RELAY)
        ask_room(worker, request->name, request, answer);
    else if (text_equal(request->verb, TEXT("show")))
        show_other(room, answer);
    else if (text_equal(request->verb, TEXT("close")))
        close_other(worker, room, answer);
    else
        answer->refusal = BACKEND_NOT_A_BACKENDS;
}

void backend_do(struct worker *worker, const struct backend_request *request,
                struct backend_answer *answer)
{
    struct idempotency *done = &worker->done;
    uint64_t now_ms = instant_ms(worker->now);
    const struct idempotent_request once = {request->name, request->key, request->verb,
                                            request->body};
    struct idempotent_answer before = {};
    enum idempotency_finding finding = IDEMPOTENT_NEW;
    answer->refusal = BACKEND_DONE;
    if (request->key.size > 0) finding = idempotency_find(done, &once, now_ms, &before);
    switch (finding) {
    case IDEMPOTENT_NEW: do_new(worker, request, answer); break;
    case IDEMPOTENT_OTHER: answer->refusal = BACKEND_KEY_REUSED; return;
    case IDEMPOTENT_AGAIN:
        answer->status = before.status;
        write_text(answer->body, before.body);
        return;
    }
    if (request->key.size > 0 && answer->refusal == BACKEND_DONE) {
        before = (struct idempotent_answer){answer->status, text_from(writer_bytes(answer->body))};
        idempotency_keep(done, &once, now_ms, &before);
    }
}

/* --- The list of rooms ----------------------------------------------------------------------- */

/* Of those in a bucket of the table, which are few, the next one behind the cursor: that with the
 * least hash. */
static struct table_link *next_in_bucket(struct table_link *link, uint64_t mask,
                                         const struct backend_cursor *cursor)
{
    struct table_link *next = nullptr;
    for (; link != nullptr; link = link->next) {
        bool is_elsewhere = !cursor->begun || ((link->hash ^ cursor->hash) & mask) != 0;
        bool is_behind = is_elsewhere || link->hash > cursor->hash;
        if (is_behind && (next == nullptr || link->hash < next->hash)) next = link;
    }
    return next;
}

static void list_room(const struct hub_room *room, struct backend_page *page, struct writer *out)
{
    if (room->room.is_static) return; /* on each worker there is a part of it */
    if (page->written++ > 0) write_byte(out, ',');
    write_room(out, room);
    page->left -= 1;
}

bool backend_list(struct worker *worker, struct backend_page *page, struct writer *out)
{
    constexpr uint32_t buckets_at_once = 64 * 1024;
    const struct table *rooms = &worker->rooms_by_name;
    struct backend_cursor *cursor = &page->cursor;
    uint64_t mask = rooms->bucket_count - 1, bucket = cursor->begun ? cursor->hash & mask : 0;
    for (uint32_t looked = 0; bucket <= mask && looked < buckets_at_once; looked++, bucket++) {
        struct table_link *link;
        while ((link = next_in_bucket(rooms->buckets[bucket], mask, cursor)) != nullptr) {
            if (page->left == 0) return false;
            *cursor = (struct backend_cursor){worker->index, true, link->hash};
            list_room(list_entry(link, struct hub_room, room.by_name), page, out);
        }
    }
    if (bucket > mask) return true;
    /* Nothing of the last bucket that was looked at has a hash above this. */
    *cursor = (struct backend_cursor){worker->index, true, ~mask | (bucket - 1)};
    return false;
}
