#include "hub/rooms.h"
#include "hub/events.h"
#include "hub/span.h"
#include "hub/world_door.h"
#include "hub/world_log.h"
#include <assert.h>

static const struct game *game_of(const struct hub_room *room)
{
    return games[room->room.kind];
}

static struct game_time game_time(struct instant now)
{
    return (struct game_time){.ms = instant_ms(now), .ns = now.ns, .wall_ms = now.wall_ms};
}

struct hub_room *rooms_find(struct worker *worker, struct text name)
{
    struct table_link *link = table_find(&worker->rooms_by_name, name);
    return link != nullptr ? list_entry(link, struct hub_room, room.by_name) : nullptr;
}

/* The clock of rooms that tick. */
static uint64_t tick_now(const struct worker *worker)
{
    return worker->now.ns / tick_step_ns;
}

static struct hub_room *add_room(struct worker *worker, enum game_kind kind, struct text name,
                                 bool is_static)
{
    struct hub_room *room = pool_take(&worker->room_pool);
    if (room == nullptr) return nullptr;
    uint64_t hash = hash_text(worker->hub->hash_key, name);
    uint32_t tick_ms = worker->tick_ms[kind];
    assert(tick_ms == 0 || games[kind]->due == nullptr); /* they would share the timer */
    /* A static room's snapshots have the same key on every worker: the first ones. */
    uint32_t key = is_static ? kind + 1u : ++worker->state_keys;
    *room = (struct hub_room){.home = worker->index, .created_wall_ms = worker->now.wall_ms};
    list_init(&room->waiting);
    list_init(&room->left_behind);
    list_init(&room->unserved);
    for (size_t i = 0; i < game_dismissals; i++)
        list_init(&room->dismissed[i]);
    room_init(&room->room, name, kind, key, tick_ms * tick_steps_a_ms, (uint32_t)hash,
              tick_now(worker));
    room->room.is_static = is_static;
    room->room.policy = worker->policies[kind];
    room->room.tick.kind = TIMER_ROOM;
    table_add(&worker->rooms_by_name, &room->room.by_name);
    if (is_static) worker->spanning[kind] = room;
    return room;
}

/* What stands behind the '/'. */
static struct text id_of(struct text name)
{
    const char *slash = memchr(name.data, '/', name.size);
    return slash != nullptr ? text_skip(name, (size_t)(slash - name.data) + 1) : (struct text){};
}

static struct hub_room *open_room(struct worker *worker, enum game_kind kind, struct text name,
                                  bool is_static, struct text secret)
{
    if (!is_static && !quota_take(&worker->hub->rooms)) return nullptr;
    struct hub_room *room = add_room(worker, kind, name, is_static);
    if (room == nullptr) {
        if (!is_static) quota_give(&worker->hub->rooms);
        return nullptr;
    }
    size_t fresh_size = games[kind]->fresh_size;
    memset(room->state, 0, fresh_size > 0 ? fresh_size : games[kind]->state_size);
    const struct game_opening opening = {.options = &worker->game_options[kind],
                                         .seed = hash_text(worker->hub->hash_key, name),
                                         .id = id_of(name),
                                         .secret = secret,
                                         .now = game_time(worker->now),
                                         .memory = worker->hub->lent[kind].memory};
    games[kind]->open(room->state, &opening);
    if (kind == GAME_WORLD) world_log_open(worker, &opening, world_door_text(worker));
    worker->metrics.kinds[kind].rooms += 1;
    LOG(&worker->log, worker->now, LOG_DEBUG, "room_opened", LOG_T("room", room_name(&room->room)));
    return room;
}

struct hub_room *rooms_open(struct worker *worker, enum game_kind kind, struct text name,
                            bool is_static)
{
    assert(!games[kind]->acquired);
    return open_room(worker, kind, name, is_static, (struct text){});
}

struct hub_room *rooms_acquire(struct worker *worker, enum game_kind kind, struct text name,
                               struct text secret)
{
    assert(games[kind]->acquired);
    struct hub_room *room = open_room(worker, kind, name, false, secret);
    if (room != nullptr) events_schedule(worker, room);
    return room;
}

struct text rooms_name(uint8_t memory[static room_name_size_max], enum game_kind kind,
                       struct text id)
{
    struct writer out = writer_over(memory, room_name_size_max);
    write_text(&out, text_of(games[kind]->name));
    write_byte(&out, '/');
    write_text(&out, id);
    return text_from(writer_bytes(&out));
}

struct hub_room *rooms_open_replica(struct worker *worker, enum game_kind kind, struct text name)
{
    struct hub_room *room = add_room(worker, kind, name, true);
    if (room != nullptr) room->home = hub_home_static;
    return room;
}

void rooms_hide(struct worker *worker, struct hub_room *room)
{
    if (room->room.shown != nullptr)
        worker->shown_bytes -= frame_memory(&worker->frames, room->room.shown);
    room_hide(&room->room, &worker->frames);
}

void rooms_show(struct worker *worker, struct hub_room *room, struct frame *frame)
{
    rooms_hide(worker, room);
    worker->shown_bytes += frame_memory(&worker->frames, frame);
    room_show(&room->room, &worker->frames, frame);
}

static bool is_home(const struct worker *worker, const struct hub_room *room)
{
    return room->home == worker->index;
}

void rooms_close(struct worker *worker, struct hub_room *room)
{
    assert(!room->busy);
    wheel_clear(room->room.tick_period > 0 ? &worker->ticks : &worker->wheel, &room->room.tick);
    table_remove(&worker->rooms_by_name, &room->room.by_name);
    rooms_hide(worker, room);
    room_deinit(&room->room, &worker->frames);
    if (room->room.is_static) worker->spanning[room->room.kind] = nullptr;
    if (!room->room.is_static) quota_give(&worker->hub->rooms);
    if (room->is_owned) turnstile_leave(&worker->hub->acquirers, room->owner);
    if (is_home(worker, room)) {
        LOG(&worker->log, worker->now, LOG_DEBUG, "room_closed",
            LOG_T("room", room_name(&room->room)), LOG_U("snapshots", room->room.sequence));
        worker->metrics.kinds[room->room.kind].rooms -= 1;
    }
    pool_give(&worker->room_pool, room);
}

bool rooms_close_if_empty(struct worker *worker, struct hub_room *room)
{
    bool stays = room->room.is_static || game_of(room)->acquired || room->busy;
    if (room->room.seat_count > 0 || stays) return false;
    rooms_close(worker, room);
    return true;
}

void rooms_close_all(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->rooms_by_name.bucket_count; i++)
        while (worker->rooms_by_name.buckets[i] != nullptr)
            rooms_close(worker, list_entry(worker->rooms_by_name.buckets[i], struct hub_room,
                                           room.by_name));
}

/* The clock is read here and not once a turn, because the time goes into the state: what a
 * member sees is as old as the frame. */
static bool write_snapshot(struct worker *worker, struct hub_room *room, uint64_t sequence,
                           struct writer *out)
{
    struct game_time now = game_time(ring_now(&worker->ring));
    game_of(room)->advance(room->state, now, nullptr);
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
        frame = frame_make(&worker->frames, outbox_snapshot_lane(room->room.policy), WS_TEXT,
                           writer_bytes(&out));
    if (frame == nullptr) {
        if (worker->metrics.snapshots_failed++ % 1000 == 0)
            LOG(&worker->log, worker->now, LOG_ERROR, "snapshot_failed",
                LOG_T("room", room_name(&room->room)), LOG_U("frames", worker->frames.live),
                LOG_U("failed", worker->metrics.snapshots_failed));
        return false;
    }
    frame->state_key = room->room.state_key;
    room->room.sequence += 1;
    rooms_show(worker, room, frame);
    worker->metrics.kinds[room->room.kind].encodes += 1;
    return true;
}

bool rooms_refresh(struct worker *worker, struct hub_room *room)
{
    assert(is_home(worker, room));
    if (game_of(room)->advance(room->state, game_time(worker->now), nullptr))
        room->room.stale = true;
    return !room->room.stale || encode(worker, room);
}

void rooms_watch(struct worker *worker, struct hub_room *room)
{
    if (room->room.tick_period == 0) return; /* nothing is shown again and again */
    bool watched = room->room.seat_count > 0 || room->subscribers != 0;
    if (!watched) {
        wheel_clear(&worker->ticks, &room->room.tick);
        rooms_hide(worker, room); /* nobody keeps it fresh */
    } else if (!wheel_is_set(&room->room.tick)) {
        /* The clock stood still while nobody watched; it goes on where its grid would be now. */
        room_next_tick(&room->room, tick_now(worker));
        wheel_set(&worker->ticks, &room->room.tick, room->room.tick_due);
    }
}

/* True in a replica that has nothing to show yet: a joiner's first frame is still to come. */
static bool must_wait(const struct worker *worker, const struct hub_room *room)
{
    return !is_home(worker, room) && room->room.stale;
}

static bool show_first(struct worker *worker, struct hub_room *room, struct conn *conn)
{
    if (game_of(room)->snapshot == nullptr) return true;
    if (is_home(worker, room) && !rooms_refresh(worker, room)) return false;
    return outbox_push(&worker->outboxes, &conn->outbox, room->room.shown) == OUTBOX_QUEUED;
}

static void wait_for_state(struct worker *worker, struct hub_room *room, struct seat *seat)
{
    list_remove(&seat->link);
    list_push(&room->waiting, &seat->link);
    conn_pause(conn_of_seat(seat)); /* a pong must not come before the state */
    span_ask(worker, room);
}

bool rooms_enter(struct worker *worker, struct hub_room *room, struct conn *conn,
                 const struct game_guest *guest)
{
    struct member *member = pool_take(&worker->members);
    bool waits = must_wait(worker, room);
    if (member == nullptr || (!waits && !show_first(worker, room, conn))) {
        if (member != nullptr) pool_give(&worker->members, member);
        (void)rooms_close_if_empty(worker, room);
        conn_close(conn, CLOSE_OVERLOADED);
        return false;
    }
    room_join(&room->room, &member->seat, &conn->outbox);
    conn->member = member;
    worker->metrics.kinds[room->room.kind].connections += 1;
    worker->metrics.kinds[room->room.kind].accepted += 1;
    if (is_home(worker, room)) rooms_watch(worker, room);
    if (waits) wait_for_state(worker, room, &member->seat);
    if (game_of(room)->leave != nullptr) events_join(worker, room, member, guest);
    return conn->member != nullptr;
}

void rooms_leave(struct worker *worker, struct member *member)
{
    struct hub_room *room = list_entry(member->seat.room, struct hub_room, room);
    uint32_t number = pool_index(&worker->members, member);
    room_leave(&member->seat);
    worker->metrics.kinds[room->room.kind].connections -= 1;
    if (room->room.seat_count == 0 && !is_home(worker, room)) span_leave(worker, room);
    if (room->room.seat_count == 0 && is_home(worker, room)) rooms_watch(worker, room);
    if (game_of(room)->leave != nullptr)
        events_leave(worker, room, number); /* and what becomes of an empty one */
    else
        (void)rooms_close_if_empty(worker, room);
    pool_give(&worker->members, member); /* not before: the game knew it by its number */
}

/* Those whose outbox took no more. Closing one may be the end of the room. */
static void drop_left_behind(struct list *left_behind)
{
    for (struct list *link; (link = list_take(left_behind)) != nullptr;) {
        conn_left_behind(conn_of_seat(list_entry(link, struct seat, link)), OUTBOX_FULL);
    }
}

void rooms_show_all(struct worker *worker, struct hub_room *room)
{
    struct list left_behind;
    list_init(&left_behind);
    room_broadcast(&room->room, &worker->outboxes, room->room.shown, &left_behind);
    drop_left_behind(&left_behind);
}

static void tick(struct worker *worker, struct hub_room *room)
{
    struct kind_metrics *metrics = &worker->metrics.kinds[room->room.kind];
    uint64_t begun_ns = ring_now(&worker->ring).ns;
    metrics->ticks += 1;
    metrics->tick_overruns += room_next_tick(&room->room, tick_now(worker));
    wheel_set(&worker->ticks, &room->room.tick, room->room.tick_due);
    struct list left_behind;
    list_init(&left_behind);
    for (uint32_t i = 0; i < worker->tick_burst && encode(worker, room); i++) {
        span_lend_all(worker, room); /* first: the others' sends go on beside ours */
        room_broadcast(&room->room, &worker->outboxes, room->room.shown, &left_behind);
    }
    drop_left_behind(&left_behind); /* at last: it may be the end of the room */
    metrics_count_tick(metrics, ring_now(&worker->ring).ns - begun_ns);
}

void rooms_on_timer(struct worker *worker, struct hub_room *room)
{
    if (room->room.tick_period > 0)
        tick(worker, room);
    else
        events_on_timer(worker, room);
}

enum game_answer rooms_command(struct worker *worker, struct hub_room *room, struct text command,
                               struct writer *state, struct writer *reply)
{
    struct game_time now = game_time(ring_now(&worker->ring));
    if (game_of(room)->advance(room->state, now, nullptr)) room->room.stale = true;
    enum game_answer answer = game_of(room)->command(room->state, command, now, reply);
    if (answer == GAME_DONE) {
        room->room.stale = true;
        span_tell_stale(worker, room);
    }
    if (answer == GAME_DONE || answer == GAME_UNCHANGED) {
        worker->metrics.kinds[room->room.kind].commands += 1;
        (void)!write_snapshot(worker, room, room->room.sequence, state);
    }
    return answer;
}
