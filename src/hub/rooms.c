#include "hub/rooms.h"
#include <assert.h>

static const struct game *game_of(const struct hub_room *room)
{
    return games[room->room.kind];
}

static struct game_time game_time(struct instant now)
{
    return (struct game_time){.ms = instant_ms(now), .ns = now.ns};
}

struct hub_room *rooms_find(struct worker *worker, struct text name)
{
    struct table_link *link = table_find(&worker->rooms_by_name, name);
    return link != nullptr ? list_entry(link, struct hub_room, room.by_name) : nullptr;
}

struct hub_room *rooms_open(struct worker *worker, enum game_kind kind, struct text name,
                            bool is_static)
{
    if (!is_static && worker->further_rooms >= worker->config->rooms) return nullptr;
    struct hub_room *room = pool_take(&worker->room_pool);
    if (room == nullptr) return nullptr;
    uint64_t hash = hash_text(worker->hash_key, name);
    uint32_t tick_ms = worker->tick_ms[kind];
    room_init(&room->room, name, kind, ++worker->state_keys, tick_ms, (uint32_t)(hash % tick_ms),
              instant_ms(worker->now));
    room->room.is_static = is_static;
    room->room.tick.kind = TIMER_ROOM;
    memset(room->state, 0, games[kind]->state_size);
    games[kind]->open(room->state, &worker->game_options[kind], hash, game_time(worker->now));
    table_add(&worker->rooms_by_name, &room->room.by_name);
    worker->further_rooms += is_static ? 0 : 1;
    worker->metrics.kinds[kind].rooms += 1;
    LOG(&worker->log, worker->now, LOG_DEBUG, "room_opened", LOG_T("room", room_name(&room->room)));
    return room;
}

static void close_room(struct worker *worker, struct hub_room *room)
{
    LOG(&worker->log, worker->now, LOG_DEBUG, "room_closed", LOG_T("room", room_name(&room->room)),
        LOG_U("snapshots", room->room.sequence));
    wheel_clear(&worker->wheel, &room->room.tick);
    table_remove(&worker->rooms_by_name, &room->room.by_name);
    room_deinit(&room->room, &worker->frames);
    worker->further_rooms -= room->room.is_static ? 0 : 1;
    worker->metrics.kinds[room->room.kind].rooms -= 1;
    pool_give(&worker->room_pool, room);
}

void rooms_close_all(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->rooms_by_name.bucket_count; i++)
        while (worker->rooms_by_name.buckets[i] != nullptr)
            close_room(worker,
                       list_entry(worker->rooms_by_name.buckets[i], struct hub_room, room.by_name));
}

/* The clock is read here and not once a turn, because the time goes into the state: what a
 * member sees is as old as the frame. */
static bool write_snapshot(struct worker *worker, struct hub_room *room, uint64_t sequence,
                           struct writer *out)
{
    struct game_time now = game_time(ring_now(&worker->ring));
    game_of(room)->advance(room->state, now);
    struct game_view view = {.now = now, .sequence = sequence};
    game_of(room)->snapshot(room->state, &view, out);
    return !out->overflow;
}

/* The one place where a state becomes a frame: encoded once, whoever is going to get it. */
static bool encode(struct worker *worker, struct hub_room *room)
{
    struct writer out = writer_over(worker->scratch, sizeof worker->scratch);
    struct frame *frame = nullptr;
    if (write_snapshot(worker, room, room->room.sequence + 1, &out))
        frame = frame_make(&worker->frames, FRAME_STATE, WS_TEXT, writer_bytes(&out));
    if (frame == nullptr) {
        worker->metrics.snapshots_failed += 1;
        return false;
    }
    frame->state_key = room->room.state_key;
    room->room.sequence += 1;
    room_show(&room->room, &worker->frames, frame);
    worker->metrics.kinds[room->room.kind].encodes += 1;
    return true;
}

static void set_tick(struct worker *worker, struct room *room)
{
    wheel_set(&worker->wheel, &room->tick, room->tick_due_ms);
}

bool rooms_enter(struct worker *worker, struct hub_room *room, struct conn *conn)
{
    struct member *member = pool_take(&worker->members);
    bool shown = member != nullptr && (!room->room.stale || encode(worker, room));
    if (!shown ||
        outbox_push(&worker->outboxes, &conn->outbox, room->room.shown) != OUTBOX_QUEUED) {
        if (member != nullptr) pool_give(&worker->members, member);
        if (room->room.seat_count == 0 && !room->room.is_static) close_room(worker, room);
        conn_close(conn, CLOSE_OVERLOADED);
        return false;
    }
    if (room->room.seat_count == 0) {
        /* The clock stood still while nobody watched; it goes on where its grid would be now. */
        room_next_tick(&room->room, instant_ms(worker->now));
        set_tick(worker, &room->room);
    }
    *member = (struct member){.conn = conn};
    room_join(&room->room, &member->seat, &conn->outbox);
    conn->member = member;
    worker->metrics.kinds[room->room.kind].connections += 1;
    worker->metrics.kinds[room->room.kind].accepted += 1;
    return true;
}

void rooms_leave(struct worker *worker, struct member *member)
{
    struct hub_room *room = list_entry(member->seat.room, struct hub_room, room);
    room_leave(&member->seat);
    worker->metrics.kinds[room->room.kind].connections -= 1;
    pool_give(&worker->members, member);
    if (room->room.seat_count > 0) return;
    wheel_clear(&worker->wheel, &room->room.tick);
    if (!room->room.is_static) close_room(worker, room);
}

/* Those whose outbox took no more. Closing one may be the end of the room. */
static void drop_left_behind(struct list *left_behind)
{
    for (struct list *link; (link = list_take(left_behind)) != nullptr;) {
        struct seat *seat = list_entry(link, struct seat, link);
        conn_left_behind(list_entry(seat, struct member, seat)->conn);
    }
}

void rooms_tick(struct worker *worker, struct hub_room *room)
{
    struct kind_metrics *metrics = &worker->metrics.kinds[room->room.kind];
    metrics->ticks += 1;
    metrics->tick_overruns += room_next_tick(&room->room, instant_ms(worker->now));
    set_tick(worker, &room->room);
    if (!encode(worker, room)) return;
    struct list left_behind;
    list_init(&left_behind);
    room_broadcast(&room->room, &worker->outboxes, room->room.shown, &left_behind);
    drop_left_behind(&left_behind);
}

enum game_answer rooms_command(struct worker *worker, struct hub_room *room, struct text command,
                               struct writer *state, struct writer *reply)
{
    struct game_time now = game_time(ring_now(&worker->ring));
    game_of(room)->advance(room->state, now);
    enum game_answer answer = game_of(room)->command(room->state, command, now, reply);
    if (answer == GAME_DONE) room->room.stale = true;
    if (answer == GAME_DONE || answer == GAME_UNCHANGED) {
        worker->metrics.kinds[room->room.kind].commands += 1;
        (void)!write_snapshot(worker, room, room->room.sequence, state);
    }
    return answer;
}
