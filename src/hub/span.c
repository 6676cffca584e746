#include "hub/span.h"
#include "hub/rooms.h"
#include <assert.h>

static uint64_t bit(uint32_t worker)
{
    return 1ull << worker;
}

/* nullptr once the worker has closed its rooms. */
static struct hub_room *room_of(struct worker *worker, enum game_kind kind)
{
    return worker->spanning[kind];
}

/* ---- home ---- */

static void lend(struct worker *worker, struct hub_room *room, uint32_t to)
{
    struct frame_loan *loan = pool_take(&worker->loans);
    if (loan != nullptr) {
        *loan = (struct frame_loan){.back.kind = RETURN_LOAN,
                                    .home = &worker->returns,
                                    .frame = frame_ref(room->room.shown)};
        worker->metrics.loans += 1;
        if (hub_post(worker->hub, to,
                     (struct mail){.kind = MAIL_FRAME,
                                   .value = room->room.kind,
                                   .pointer = loan,
                                   .number = room->room.sequence}))
            return;
        worker->metrics.loans -= 1;
        frame_unref(&worker->frames, loan->frame);
        pool_give(&worker->loans, loan);
    }
    worker->metrics.snapshots_not_lent += 1;
}

void span_lend_all(struct worker *worker, struct hub_room *room)
{
    for (uint64_t left = room->subscribers; left != 0; left &= left - 1)
        lend(worker, room, (uint32_t)__builtin_ctzll(left));
}

void span_tell_stale(struct worker *worker, struct hub_room *room)
{
    /* One that finds the mailbox full is not missed: the next tick's frame is fresh. */
    for (uint64_t left = room->subscribers; left != 0; left &= left - 1)
        (void)!hub_post(worker->hub, (uint32_t)__builtin_ctzll(left),
                        (struct mail){.kind = MAIL_STALE, .value = room->room.kind});
}

void span_on_subscribe(struct worker *worker, enum game_kind kind, uint32_t from)
{
    struct hub_room *room = room_of(worker, kind);
    if (room == nullptr) return;
    room->subscribers |= bit(from);
    if (rooms_refresh(worker, room)) lend(worker, room, from);
    rooms_watch(worker, room);
}

void span_on_unsubscribe(struct worker *worker, enum game_kind kind, uint32_t from)
{
    struct hub_room *room = room_of(worker, kind);
    if (room == nullptr) return;
    room->subscribers &= ~bit(from);
    rooms_watch(worker, room);
}

void span_on_return(struct worker *worker, struct frame_loan *loan)
{
    assert(worker->metrics.loans > 0);
    worker->metrics.loans -= 1;
    frame_unref(&worker->frames, loan->frame);
    pool_give(&worker->loans, loan);
}

/* ---- replica ---- */

static bool post_home(struct worker *worker, struct hub_room *room, enum mail_kind mail)
{
    return hub_post(worker->hub, room->home,
                    (struct mail){.kind = mail, .value = worker->index, .number = room->room.kind});
}

void span_ask(struct worker *worker, struct hub_room *room)
{
    if (room->asked) return;
    room->asked = true;
    room->must_leave = false; /* a farewell that has not been sent must not come after this */
    room->must_ask = !post_home(worker, room, MAIL_SUBSCRIBE);
}

void span_leave(struct worker *worker, struct hub_room *room)
{
    rooms_hide(worker, room);
    room->asked = room->must_ask = false;
    room->must_leave = !post_home(worker, room, MAIL_UNSUBSCRIBE);
}

/* Queues the state for those who joined when there was none, and moves them to `woken`, or to
 * `lost` when they have no place for it. */
static void show_waiting(struct worker *worker, struct hub_room *room, struct list *woken,
                         struct list *lost)
{
    for (struct list *link; (link = list_take(&room->waiting)) != nullptr;) {
        struct seat *seat = list_entry(link, struct seat, link);
        bool refused =
            outbox_refused(outbox_push(&worker->outboxes, seat->outbox, room->room.shown));
        list_push(refused ? lost : woken, link);
    }
}

/* They read on when all have been shown the state, because what they say may end a membership. */
static void end_waiting(struct worker *worker, struct hub_room *room)
{
    struct list woken, lost;
    list_init(&woken);
    list_init(&lost);
    show_waiting(worker, room, &woken, &lost);
    for (struct list *link; (link = list_take(&woken)) != nullptr;) {
        list_push(&room->room.seats, link);
        conn_unpause(conn_of_seat(list_entry(link, struct seat, link)));
    }
    for (struct list *link; (link = list_take(&lost)) != nullptr;)
        conn_left_behind(conn_of_seat(list_entry(link, struct seat, link)), OUTBOX_FULL);
}

void span_on_frame(struct worker *worker, enum game_kind kind, struct frame_loan *loan,
                   uint64_t sequence)
{
    struct hub_room *room = room_of(worker, kind);
    struct frame *frame = nullptr;
    /* Newer than what members have seen, then it is for all; the same again is for those who
     * wait. */
    bool to_all = room != nullptr && sequence > room->room.sequence;
    if (room != nullptr && room->room.seat_count > 0) frame = frame_borrow(&worker->frames, loan);
    if (frame == nullptr) {
        if (room != nullptr && room->room.seat_count > 0) worker->metrics.snapshots_failed += 1;
        mailbox_return(loan->home, &loan->back);
        return;
    }
    room->asked = false;
    room->room.sequence = sequence;
    rooms_show(worker, room, frame);
    if (to_all) rooms_show_all(worker, room);
    end_waiting(worker, room);
}

void span_on_stale(struct worker *worker, enum game_kind kind)
{
    struct hub_room *room = room_of(worker, kind);
    if (room != nullptr) room->room.stale = true;
}

bool span_retry(struct worker *worker)
{
    bool left = false;
    for (size_t i = 0; i < game_kinds; i++) {
        struct hub_room *room = worker->spanning[i];
        if (room == nullptr || room->home == worker->index) continue;
        if (room->must_leave) room->must_leave = !post_home(worker, room, MAIL_UNSUBSCRIBE);
        if (room->must_ask && !room->must_leave)
            room->must_ask = !post_home(worker, room, MAIL_SUBSCRIBE);
        left = left || room->must_leave || room->must_ask;
    }
    return left;
}
