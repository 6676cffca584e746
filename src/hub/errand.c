#include "hub/errand.h"
#include "hub/api.h"
#include "hub/avalon_routes.h"
#include "hub/events.h"
#include "hub/rooms.h"
#include <assert.h>

static void refuse(struct conn *conn)
{
    conn_answer_error(conn, 503, TEXT("overloaded"), TEXT("The workers are busy; try again."),
                      (struct text){});
}

static struct ring_token token_of(const struct worker *worker, const struct conn *conn)
{
    return (struct ring_token){.generation = conn->number & ring_generation_mask,
                               .slot = pool_index(&worker->conns.conns, conn)};
}

static struct errand *make(struct worker *worker, struct conn *conn, enum errand_kind kind)
{
    struct errand *errand = pool_take(&worker->errands);
    if (errand == nullptr) return nullptr;
    errand->back.kind = RETURN_ERRAND;
    errand->asker = worker->index;
    errand->kind = kind;
    errand->conn = token_of(worker, conn);
    return errand;
}

void errand_command(struct worker *worker, struct conn *conn, uint32_t home, struct text name,
                    struct text command)
{
    struct errand *errand = make(worker, conn, ERRAND_COMMAND);
    if (errand == nullptr || command.size > sizeof errand->command.text) {
        if (errand != nullptr) pool_give(&worker->errands, errand);
        refuse(conn);
        return;
    }
    errand->command.name_size = (uint8_t)name.size;
    memcpy(errand->command.name, name.data, name.size);
    errand->command.text_size = (uint32_t)command.size;
    if (command.size > 0) memcpy(errand->command.text, command.data, command.size);
    conn_hold(conn);
    if (hub_post(worker->hub, home, (struct mail){.kind = MAIL_ERRAND, .pointer = errand})) return;
    pool_give(&worker->errands, errand);
    refuse(conn);
}

/* Copies a text into a field of an errand. */
static size_t keep(char *field, struct text text)
{
    if (text.size > 0) memcpy(field, text.data, text.size);
    return text.size;
}

bool errand_request(struct worker *worker, struct conn *conn, uint32_t home, struct text name,
                    const struct game_request *request, struct text origin)
{
    struct errand *errand = make(worker, conn, ERRAND_REQUEST);
    if (errand == nullptr) return false;
    struct text token = request->token;
    if (token.size > sizeof errand->request.token) token.size = 0;
    assert(request->body.size <= sizeof errand->request.body);
    assert(name.size <= sizeof errand->request.name);
    assert(origin.size <= sizeof errand->request.origin);
    errand->request.verb = request->verb;
    errand->request.name_size = (uint8_t)keep(errand->request.name, name);
    errand->request.token_size = (uint8_t)keep(errand->request.token, token);
    errand->request.origin_size = (uint16_t)keep(errand->request.origin, origin);
    errand->request.body_size = (uint32_t)keep(errand->request.body, request->body);
    if (hub_post(worker->hub, home, (struct mail){.kind = MAIL_ERRAND, .pointer = errand})) {
        conn_hold(conn);
        return true;
    }
    pool_give(&worker->errands, errand);
    return false;
}

static void do_request(struct worker *worker, struct errand *errand)
{
    const struct game_request request = {
        .verb = errand->request.verb,
        .body = {errand->request.body, errand->request.body_size},
        .token = {errand->request.token, errand->request.token_size},
        .memory = {worker->json_memory, sizeof worker->json_memory}};
    struct text name = {errand->request.name, errand->request.name_size};
    struct writer reply = writer_over(errand->request.reply, sizeof errand->request.reply);
    errand->request.found = events_request(worker, name, &request, &reply, &errand->request.result);
    errand->request.reply_size = (uint32_t)reply.size;
}

static void do_command(struct worker *worker, struct errand *errand)
{
    struct text name = {errand->command.name, errand->command.name_size};
    struct hub_room *room = rooms_find(worker, name);
    errand->command.found = room != nullptr;
    if (room == nullptr) return;
    struct writer state = writer_over(errand->command.state, sizeof errand->command.state);
    struct writer reply = writer_over(errand->command.reply, sizeof errand->command.reply);
    struct text command = {errand->command.text, errand->command.text_size};
    errand->command.result = rooms_command(worker, room, command, &state, &reply);
    errand->command.state_size = (uint32_t)state.size;
    errand->command.reply_size = (uint32_t)reply.size;
}

void errand_do(struct worker *worker, struct errand *errand)
{
    struct worker *asker = worker->hub->workers[errand->asker];
    switch (errand->kind) {
    case ERRAND_COMMAND: do_command(worker, errand); break;
    case ERRAND_REQUEST: do_request(worker, errand); break;
    case ERRAND_METRICS: metrics_collect(worker, &errand->metrics.tally); break;
    }
    mailbox_return(&asker->returns, &errand->back);
    ring_wake(&asker->ring); /* somebody waits; what else comes home does not wake its lender */
}

/* How many of the others could be asked; each of them holds a share of `gather`. */
static uint32_t ask_all(struct worker *worker, struct conn *conn, struct gather *gather)
{
    uint32_t asked = 0;
    for (uint32_t i = 0; i < worker->hub->worker_count; i++) {
        if (i == worker->index) continue;
        struct errand *errand = make(worker, conn, ERRAND_METRICS);
        if (errand == nullptr) continue;
        errand->metrics.gather = gather;
        if (hub_post(worker->hub, i, (struct mail){.kind = MAIL_ERRAND, .pointer = errand}))
            asked += 1;
        else
            pool_give(&worker->errands, errand);
    }
    return asked;
}

void errand_metrics(struct worker *worker, struct conn *conn)
{
    struct gather *gather = pool_take(&worker->gathers);
    if (gather == nullptr) {
        refuse(conn);
        return;
    }
    metrics_collect(worker, &gather->sum);
    gather->missing = ask_all(worker, conn, gather);
    bool all = gather->missing == worker->hub->worker_count - 1;
    if (gather->missing > 0) conn_hold(conn);
    if (!all) refuse(conn); /* half the truth is none; the shares under way come back to nobody */
    if (all && gather->missing == 0) api_answer_metrics(worker, conn, &gather->sum);
    if (gather->missing == 0) pool_give(&worker->gathers, gather);
}

static void on_share(struct worker *worker, struct errand *errand, struct conn *conn)
{
    struct gather *gather = errand->metrics.gather;
    metrics_add(&gather->sum, &errand->metrics.tally);
    assert(gather->missing > 0);
    gather->missing -= 1;
    if (gather->missing > 0) return;
    if (conn != nullptr) api_answer_metrics(worker, conn, &gather->sum);
    pool_give(&worker->gathers, gather);
}

static void on_requested(struct worker *worker, const struct errand *errand, struct conn *conn)
{
    struct text origin = {errand->request.origin, errand->request.origin_size};
    struct text reply = {(const char *)errand->request.reply, errand->request.reply_size};
    struct text name = {errand->request.name, errand->request.name_size};
    if (conn == nullptr) return;
    if (text_starts(name, TEXT("avalon/"))) {
        const struct avalon_wish wish = {
            .verb = errand->request.verb,
            .room = name,
            .body = {errand->request.body, errand->request.body_size},
            .player = {errand->request.token, errand->request.token_size},
            .origin = origin};
        avalon_routes_answer(worker, conn, &wish, errand->request.found, errand->request.result,
                             reply);
    } else if (errand->request.found)
        vote_routes_answer(conn, errand->request.result, reply, origin);
    else
        vote_routes_answer_no_room(conn, origin);
}

void errand_on_return(struct worker *worker, struct errand *errand)
{
    struct conn *conn = conn_of_token(&worker->conns, errand->conn);
    if (conn != nullptr && (conn->phase != CONN_HTTP || !conn->held)) conn = nullptr;
    switch (errand->kind) {
    case ERRAND_METRICS: on_share(worker, errand, conn); break;
    case ERRAND_REQUEST: on_requested(worker, errand, conn); break;
    case ERRAND_COMMAND:
        if (conn == nullptr) break;
        struct text reply = {errand->command.reply, errand->command.reply_size};
        struct text state = {(char *)errand->command.state, errand->command.state_size};
        if (errand->command.found)
            api_answer_command(worker, conn, errand->command.result, state, reply);
        else
            api_answer_no_room(conn);
        break;
    }
    pool_give(&worker->errands, errand);
}
