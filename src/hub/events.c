#include "hub/events.h"
#include "hub/rooms.h"
#include "hub/verify.h"
#include "hub/world_log.h"
#include <assert.h>

static const struct game *game_of(const struct hub_room *room)
{
    return games[room->room.kind];
}

static struct game_time game_time(const struct worker *worker)
{
    return (struct game_time){
        .ms = instant_ms(worker->now), .ns = worker->now.ns, .wall_ms = worker->now.wall_ms};
}

static void deliver_so_far(struct game_words *words);

/* What a game says goes into the memory that all have, or into what its kind was lent. */
static struct game_words no_words(struct worker *worker, struct hub_room *room)
{
    const struct hub_lent *lent = &worker->hub->lent[room->room.kind];
    if (lent->words.size == 0)
        return words_over((struct bytes){worker->scratch, sizeof worker->scratch});
    struct game_words words = words_over_much(lent->words, lent->words_size);
    words.deliver = deliver_so_far;
    words.hub = worker;
    worker->saying = room;
    return words;
}

/* The seat of a member's number: its place in the worker's pool. */
static struct seat *seat_of(struct worker *worker, uint32_t number)
{
    return &((struct member *)pool_at(&worker->members, number))->seat;
}

static bool reaches_nobody(const struct hub_room *room, const struct game_message *message)
{
    switch (message->audience) {
    case GAME_TO_ALL: return room->room.seat_count == 0;
    case GAME_TO_OTHERS: return room->room.seat_count <= 1;
    case GAME_TO_LOG: return true;
    default: return false;
    }
}

/* --- Out ------------------------------------------------------------------------------------- */

/* Unless it is leaving, and the game does not know that yet. */
static void tell(struct worker *worker, struct hub_room *room, struct frame *frame, uint32_t number)
{
    struct seat *seat = seat_of(worker, number);
    if (seat->room == &room->room)
        room_tell(&room->room, &worker->outboxes, frame, seat, &room->left_behind);
}

static void deliver(struct worker *worker, struct hub_room *room, const struct game_words *words,
                    const struct game_message *message, struct frame *frame)
{
    struct outbox_set *outboxes = &worker->outboxes;
    switch (message->audience) {
    case GAME_TO_ALL: room_broadcast(&room->room, outboxes, frame, &room->left_behind); break;
    case GAME_TO_OTHERS:
        room_broadcast_others(&room->room, outboxes, frame, seat_of(worker, message->member),
                              &room->left_behind);
        break;
    case GAME_TO_ONE: tell(worker, room, frame, message->member); break;
    case GAME_TO_SOME:
        for (uint32_t i = 0; i < message->member; i++)
            tell(worker, room, frame, words->numbers[message->list + i]);
        break;
    case GAME_TO_GATHERERS: /* see say_parts */
    case GAME_TO_LOG: break;
    }
}

static void leave_unserved(struct worker *worker, struct hub_room *room, uint32_t number)
{
    struct seat *seat = seat_of(worker, number);
    if (seat->room != &room->room) return;
    list_remove(&seat->link);
    list_push(&room->unserved, &seat->link);
}

/* No frame could be had. Those for whom it was would miss it without knowing. */
static void fail(struct worker *worker, struct hub_room *room, const struct game_words *words,
                 const struct game_message *message)
{
    if (worker->metrics.snapshots_failed++ % 1000 == 0)
        LOG(&worker->log, worker->now, LOG_ERROR, "event_failed",
            LOG_T("room", room_name(&room->room)), LOG_U("frames", worker->frames.live),
            LOG_U("failed", worker->metrics.snapshots_failed));
    switch (message->audience) {
    case GAME_TO_ALL:
    case GAME_TO_OTHERS:
        list_each (link, &room->room.seats) {
            const struct seat *seat = list_entry(link, struct seat, link);
            bool left_out =
                message->audience == GAME_TO_OTHERS && seat == seat_of(worker, message->member);
            if (left_out) continue;
            list_remove(link);
            list_push(&room->unserved, link);
        }
        break;
    case GAME_TO_ONE: leave_unserved(worker, room, message->member); break;
    case GAME_TO_SOME:
        for (uint32_t i = 0; i < message->member; i++)
            leave_unserved(worker, room, words->numbers[message->list + i]);
        break;
    case GAME_TO_GATHERERS: /* the next one tells all that this one would have told */
    case GAME_TO_LOG: break;
    }
}

static struct frame *make_frame(struct worker *worker, struct hub_room *room,
                                const struct game_words *words, const struct game_message *message)
{
    bool is_part = message->audience == GAME_TO_GATHERERS;
    struct frame *frame =
        frame_make(&worker->frames, is_part ? FRAME_STATE : FRAME_EVENT, WS_TEXT,
                   (struct bytes){words->out.data + message->start, message->size});
    if (frame != nullptr) worker->metrics.kinds[room->room.kind].encodes += 1;
    if (frame != nullptr && is_part) frame->state_key = message->member;
    worker->said += 1;
    return frame;
}

/* Words that several members get one by one (words_also) are one behind the other. */
static bool has_same_text(const struct game_words *words, uint32_t i)
{
    return i > 0 && words->messages[i].start == words->messages[i - 1].start &&
           words->messages[i].size == words->messages[i - 1].size;
}

/* Those whom the game wants gone are taken aside; they go once everything is said. */
static void dismiss(struct worker *worker, struct hub_room *room, const struct game_words *words)
{
    for (uint32_t i = 0; i < words->dismissed_count; i++) {
        struct seat *seat = seat_of(worker, words->dismissed[i].member);
        if (seat->room != &room->room) continue; /* it is leaving by itself */
        list_remove(&seat->link);
        list_push(&room->dismissed[words->dismissed[i].why], &seat->link);
    }
}

static void gather_for(struct worker *worker, struct hub_room *room, const struct game_words *words,
                       const struct game_gathering *gathering)
{
    struct frame *const *parts = worker->hub->lent[room->room.kind].parts;
    struct frame *frames[game_gather_max];
    uint32_t count = 0;
    for (uint32_t i = 0; i < gathering->part_count; i++) {
        struct frame *frame = parts[words->numbers[gathering->parts + i]];
        if (frame != nullptr) frames[count++] = frame;
    }
    for (uint32_t i = 0; i < gathering->member_count && count > 0; i++) {
        struct seat *seat = seat_of(worker, words->numbers[gathering->members + i]);
        if (seat->room == &room->room)
            room_tell_all(&room->room, &worker->outboxes, frames, count, seat, &room->left_behind);
    }
}

static void log_words(struct worker *worker, struct hub_room *room, const struct game_words *words,
                      const struct game_message *message)
{
    LOG(&worker->log, worker->now, LOG_INFO, "verdict", LOG_T("room", room_name(&room->room)),
        LOG_T("words", words_text(words, message)));
}

/* Each part is encoded once, and then only referenced by those who get it. */
static void say_parts(struct worker *worker, struct hub_room *room, const struct game_words *words)
{
    struct frame **parts = worker->hub->lent[room->room.kind].parts;
    for (uint32_t i = 0; i < words->count; i++) {
        parts[i] = make_frame(worker, room, words, &words->messages[i]);
        if (parts[i] == nullptr) fail(worker, room, words, &words->messages[i]);
    }
    for (uint32_t i = 0; i < words->gathering_count; i++)
        gather_for(worker, room, words, &words->gatherings[i]);
    for (uint32_t i = 0; i < words->count; i++)
        if (parts[i] != nullptr) frame_unref(&worker->frames, parts[i]);
}

/* Encoded once, whoever is going to get it (S1-16). */
static void say_messages(struct worker *worker, struct hub_room *room,
                         const struct game_words *words)
{
    struct frame *frame = nullptr;
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        if (message->audience == GAME_TO_LOG) log_words(worker, room, words, message);
        if (reaches_nobody(room, message)) continue;
        if (frame == nullptr || !has_same_text(words, i)) {
            if (frame != nullptr) frame_unref(&worker->frames, frame);
            frame = make_frame(worker, room, words, message);
        }
        if (frame != nullptr)
            deliver(worker, room, words, message, frame);
        else
            fail(worker, room, words, message);
    }
    if (frame != nullptr) frame_unref(&worker->frames, frame);
}

static void deliver_so_far(struct game_words *words)
{
    struct worker *worker = words->hub;
    say_messages(worker, worker->saying, words);
}

static void say(struct worker *worker, struct hub_room *room, const struct game_words *words)
{
    bool has_parts =
        words->count > 0 && words->messages[words->count - 1].audience == GAME_TO_GATHERERS;
    if (has_parts)
        say_parts(worker, room, words);
    else
        say_messages(worker, room, words);
    dismiss(worker, room, words);
}

static struct conn *conn_of_link(struct list *link)
{
    return conn_of_seat(list_entry(link, struct seat, link));
}

/* Closes one of those who cannot stay. False when there is none left. */
static bool part_with_one(struct hub_room *room)
{
    static const enum close_reason reasons[game_dismissals] = {
        [GAME_DISMISS_MISBEHAVED] = CLOSE_BAD_MESSAGES,
        [GAME_DISMISS_EXPIRED] = CLOSE_TOKEN_EXPIRED,
        [GAME_DISMISS_REPLACED] = CLOSE_REPLACED,
        [GAME_DISMISS_FORBIDDEN] = CLOSE_FORBIDDEN,
        [GAME_DISMISS_FLOODED] = CLOSE_RATE_LIMITED,
        [GAME_DISMISS_KICKED] = CLOSE_KICKED,
        [GAME_DISMISS_UNKNOWN] = CLOSE_UNAUTHORIZED,
        [GAME_DISMISS_SILENT] = CLOSE_AUTH_TIMEOUT,
        [GAME_DISMISS_CROWDED] = CLOSE_OVERLOADED,
        [GAME_DISMISS_CHEATED] = CLOSE_CHEAT,
    };
    struct list *link;
    for (size_t i = 0; i < game_dismissals; i++) {
        if ((link = list_take(&room->dismissed[i])) == nullptr) continue;
        if (i == GAME_DISMISS_FLOODED)
            conn_close_retry(conn_of_link(link), CLOSE_RATE_LIMITED, game_flood_retry_ms);
        else
            conn_close(conn_of_link(link), reasons[i]);
        return true;
    }
    if ((link = list_take(&room->left_behind)) != nullptr)
        conn_left_behind(conn_of_link(link), OUTBOX_FULL);
    else if ((link = list_take(&room->unserved)) != nullptr)
        conn_left_behind(conn_of_link(link), OUTBOX_NO_SPACE);
    return link != nullptr;
}

/* Closes those who could not be given what they must not miss, and those whom the game wants gone.
 * Each one's leaving is an input of this room, and may say more and leave more behind. */
static void part(struct hub_room *room)
{
    while (part_with_one(room))
        continue;
}

void events_end(struct worker *worker, struct hub_room *room)
{
    assert(!room->busy);
    room->over = true; /* those who leave because of it are no input any more */
    if (room->room.kind == GAME_RELAY)
        closed_remember(&worker->closed, room_name(&room->room), instant_ms(worker->now));
    while (!list_is_empty(&room->room.seats)) {
        struct list *first = room->room.seats.next;
        conn_close(conn_of_seat(list_entry(first, struct seat, link)), CLOSE_ROOM_CLOSED);
    }
    rooms_close(worker, room);
}

void events_schedule(struct worker *worker, struct hub_room *room)
{
    if (game_of(room)->due == nullptr) return;
    uint64_t due_ms = game_of(room)->due(room->state);
    if (due_ms == game_never_ms)
        wheel_clear(&worker->wheel, &room->room.tick);
    else
        wheel_set(&worker->wheel, &room->room.tick, due_ms);
}

/* An input has been handled by the game. False when the room is gone. */
static bool finish(struct worker *worker, struct hub_room *room, const struct game_words *words)
{
    assert(!words->asked.is_asked);
    say(worker, room, words);
    if (words->limit != GAME_LIMIT_NONE) worker->metrics.limited[words->limit] += 1;
    if (words->heard < game_types_max)
        worker->metrics.kinds[room->room.kind].types[words->heard] += 1;
    if (words->over) room->over = true;
    if (room->busy) return true; /* the input that led to this one goes on */
    room->busy = true;
    part(room);
    room->busy = false;
    if (room->over) {
        events_end(worker, room);
        return false;
    }
    if (rooms_close_if_empty(worker, room)) return false;
    events_schedule(worker, room);
    return true;
}

/* --- In -------------------------------------------------------------------------------------- */

static bool has_events(const struct hub_room *room)
{
    return game_of(room)->leave != nullptr;
}

/* Its rules run up to now. False when the room is gone, or about to be. */
static bool advance(struct worker *worker, struct hub_room *room)
{
    if (room->over) return false;
    struct kind_metrics *metrics = &worker->metrics.kinds[room->room.kind];
    bool may_tick =
        game_of(room)->due != nullptr && game_of(room)->due(room->state) <= instant_ms(worker->now);
    uint64_t begun_ns = may_tick ? ring_now(&worker->ring).ns : 0;
    struct game_words words = no_words(worker, room);
    if (game_of(room)->advance(room->state, game_time(worker), &words)) room->room.stale = true;
    metrics->ticks += words.ticks;
    metrics->tick_overruns += words.overruns;
    if (words.ticks > 0) world_log_tick(worker, room);
    bool is_quiet = words.count == 0 && words.dismissed_count == 0 && !words.over;
    bool goes_on = is_quiet || (finish(worker, room, &words) && !room->over);
    if (words.ticks > 0) metrics_count_tick(metrics, ring_now(&worker->ring).ns - begun_ns);
    return goes_on;
}

struct hub_room *events_find(struct worker *worker, struct text name)
{
    struct hub_room *room = rooms_find(worker, name);
    if (room == nullptr || !has_events(room)) return room;
    return advance(worker, room) ? room : nullptr;
}

void events_join(struct worker *worker, struct hub_room *room, struct member *member,
                 const struct game_guest *guest)
{
    struct game_words words = no_words(worker, room);
    uint32_t number = pool_index(&worker->members, member);
    assert(!room->busy && !room->over);
    world_log_join(worker, room, number);
    if (guest != nullptr)
        game_of(room)->arrive(room->state, number, guest, game_time(worker), &words);
    else
        game_of(room)->join(room->state, number, game_time(worker), &words);
    (void)!finish(worker, room, &words);
}

/* A member has sent a token. What came of it is the next input. */
static void verify(struct worker *worker, struct hub_room *room, const struct words_token *asked)
{
    const struct seat *seat = seat_of(worker, asked->member);
    struct game_guest guest;
    if (seat->room != &room->room) return; /* closed meanwhile, for what it was told */
    struct verdict verdict =
        verify_token(worker, room->room.kind, (struct text){}, asked->token, &guest);
    bool good = verdict.code.size == 0;
    if (!good)
        LOG(&worker->log, worker->now, LOG_INFO, "token_refused",
            LOG_U("conn", conn_of_seat(seat)->number), LOG_T("reason", verdict.code));
    world_log_token(worker, room, asked->member, good ? &guest : nullptr, verdict.code);
    struct game_words words = no_words(worker, room);
    game_of(room)->verified(room->state, asked->member, good ? &guest : nullptr, verdict.code,
                            verdict.sentence, game_time(worker), &words);
    (void)!finish(worker, room, &words);
}

void events_receive(struct worker *worker, struct hub_room *room, struct conn *conn,
                    struct text text)
{
    const struct member *member = conn->member;
    if (!advance(worker, room) || conn->member != member) return;
    world_log_say(worker, room, pool_index(&worker->members, member), text);
    struct game_words words = no_words(worker, room);
    game_of(room)->receive(room->state, pool_index(&worker->members, member), text,
                           game_time(worker),
                           (struct bytes){worker->json_memory, sizeof worker->json_memory}, &words);
    const struct words_token asked = words.asked;
    words.asked = (struct words_token){};
    if (finish(worker, room, &words) && asked.is_asked) verify(worker, room, &asked);
}

void events_leave(struct worker *worker, struct hub_room *room, uint32_t number)
{
    if (!advance(worker, room)) return;
    world_log_leave(worker, room, number);
    struct game_words words = no_words(worker, room);
    game_of(room)->leave(room->state, number, game_time(worker), &words);
    (void)!finish(worker, room, &words);
}

void events_on_timer(struct worker *worker, struct hub_room *room)
{
    if (advance(worker, room)) events_schedule(worker, room);
}

bool events_request(struct worker *worker, struct text name, const struct game_request *request,
                    struct writer *reply, enum game_answer *answer)
{
    struct hub_room *room = events_find(worker, name);
    if (room == nullptr || game_of(room)->request == nullptr) return false;
    *answer = GAME_DONE;
    if (request->verb.size == 0) return true;
    struct game_words words = no_words(worker, room);
    uint8_t kind = room->room.kind;
    *answer = game_of(room)->request(room->state, request, game_time(worker), reply, &words);
    LOG(&worker->log, worker->now, LOG_DEBUG, "room_request", LOG_T("room", room_name(&room->room)),
        LOG_T("verb", request->verb), LOG_U("answer", *answer));
    if (*answer == GAME_DONE || *answer == GAME_UNCHANGED)
        worker->metrics.kinds[kind].requests += 1;
    (void)!finish(worker, room, &words);
    return true;
}
