#include "room/room.h"
#include <assert.h>

void room_init(struct room *room, struct text name, uint8_t kind, uint32_t state_key,
               uint32_t period, uint32_t phase, uint64_t now)
{
    assert(name.size > 0 && name.size <= room_name_size_max);
    *room = (struct room){.kind = kind,
                          .stale = true,
                          .name_size = (uint8_t)name.size,
                          .tick_due = now + (period > 0 ? phase % period : 0),
                          .tick_period = period,
                          .state_key = state_key};
    memcpy(room->name, name.data, name.size);
    room->by_name.key = room_name(room);
    list_init(&room->seats);
}

struct text room_name(const struct room *room)
{
    return (struct text){.data = room->name, .size = room->name_size};
}

void room_hide(struct room *room, struct frame_pool *frames)
{
    if (room->shown != nullptr) frame_unref(frames, room->shown);
    room->shown = nullptr;
    room->stale = true;
}

void room_deinit(struct room *room, struct frame_pool *frames)
{
    assert(room->seat_count == 0 && !wheel_is_set(&room->tick));
    room_hide(room, frames);
}

void room_join(struct room *room, struct seat *seat, struct outbox *outbox)
{
    *seat = (struct seat){.room = room, .outbox = outbox};
    list_push(&room->seats, &seat->link);
    room->seat_count += 1;
}

void room_leave(struct seat *seat)
{
    struct room *room = seat->room;
    assert(room->seat_count > 0);
    if (list_is_linked(&seat->link)) list_remove(&seat->link);
    room->seat_count -= 1;
    seat->room = nullptr;
}

void room_show(struct room *room, struct frame_pool *frames, struct frame *frame)
{
    if (room->shown != nullptr) frame_unref(frames, room->shown);
    room->shown = frame;
    room->stale = false;
}

void room_broadcast(struct room *room, struct outbox_set *outboxes, struct frame *frame,
                    struct list *left_behind)
{
    list_each (link, &room->seats) {
        struct seat *seat = list_entry(link, struct seat, link);
        if (!outbox_refused(outbox_offer(outboxes, seat->outbox, frame, room->policy))) continue;
        list_remove(&seat->link);
        list_push(left_behind, &seat->link);
    }
}

void room_tell(struct room *room, struct outbox_set *outboxes, struct frame *frame,
               struct seat *seat, struct list *left_behind)
{
    assert(seat->room == room);
    if (!outbox_refused(outbox_offer(outboxes, seat->outbox, frame, room->policy))) return;
    list_remove(&seat->link);
    list_push(left_behind, &seat->link);
}

void room_broadcast_others(struct room *room, struct outbox_set *outboxes, struct frame *frame,
                           const struct seat *but, struct list *left_behind)
{
    list_each (link, &room->seats) {
        struct seat *seat = list_entry(link, struct seat, link);
        if (seat != but) room_tell(room, outboxes, frame, seat, left_behind);
    }
}

void room_tell_all(struct room *room, struct outbox_set *outboxes, struct frame *const *frames,
                   uint32_t count, struct seat *seat, struct list *left_behind)
{
    assert(seat->room == room);
    if (outbox_append_all(outboxes, seat->outbox, frames, count)) return;
    for (uint32_t i = 0; i < count; i++)
        room_tell(room, outboxes, frames[i], seat, left_behind);
}

uint64_t room_next_tick(struct room *room, uint64_t now)
{
    if (now < room->tick_due) return 0;
    uint64_t periods = (now - room->tick_due) / room->tick_period + 1;
    room->tick_due += periods * room->tick_period;
    return periods - 1;
}
