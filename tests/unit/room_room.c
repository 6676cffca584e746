#include "room/room.h"
#include "check.h"
#include "outboxes.h"
#include <stdlib.h>

constexpr uint32_t members = 3;
static struct room room;
static struct seat seats[members];
static struct outbox boxes[members];

/* A room with nobody in it. */
static void begin(void)
{
    outboxes_begin(1 << 20, members);
    room_init(&room, TEXT("kart"), 0, 1, 500, 120, 1000);
    for (uint32_t i = 0; i < members; i++)
        outbox_init(&boxes[i]);
}

static void end(void)
{
    for (uint32_t i = 0; i < members; i++)
        outbox_clear(&set, &boxes[i]);
    while (!list_is_empty(&room.seats))
        room_leave(list_entry(room.seats.next, struct seat, link));
    room_deinit(&room, &frames);
    outboxes_end();
}

static struct frame *make(enum frame_lane lane)
{
    struct frame *frame = frame_make(&frames, lane, WS_TEXT, (struct bytes){(uint8_t *)"{}", 2});
    if (frame == nullptr) abort();
    return frame;
}

TEST("a broadcast gives every member one reference to the same frame")
{
    begin();
    for (uint32_t i = 0; i < members; i++)
        room_join(&room, &seats[i], &boxes[i]);
    room_show(&room, &frames, make(FRAME_STATE));
    struct list left_behind;
    list_init(&left_behind);
    room_broadcast(&room, &set, room.shown, &left_behind);
    EXPECT_EQ(room.shown->refs, 1 + members);
    EXPECT_EQ(frames.live, 1);
    EXPECT(list_is_empty(&left_behind));
    EXPECT(set.dirty.next == &boxes[0].dirty_link); /* in the order of joining */
    EXPECT(set.dirty.previous == &boxes[members - 1].dirty_link);
    end();
}

TEST("what is for all but one, and what is for one, reaches nobody else (S1-13)")
{
    begin();
    for (uint32_t i = 0; i < members; i++)
        room_join(&room, &seats[i], &boxes[i]);
    struct frame *event = make(FRAME_EVENT);
    struct list left_behind;
    list_init(&left_behind);
    room_broadcast_others(&room, &set, event, &seats[1], &left_behind);
    EXPECT_EQ(boxes[0].count, 1);
    EXPECT_EQ(boxes[1].count, 0);
    EXPECT_EQ(boxes[2].count, 1);
    room_tell(&room, &set, event, &seats[1], &left_behind);
    EXPECT_EQ(boxes[0].count, 1);
    EXPECT_EQ(boxes[1].count, 1);
    EXPECT_EQ(event->refs, 1 + members);
    EXPECT(list_is_empty(&left_behind));
    frame_unref(&frames, event);
    end();
}

TEST("with the policy of closing, the 257th event leaves a member behind and no other (S1-15)")
{
    begin();
    room.policy = OUTBOX_CLOSE;
    for (uint32_t i = 0; i < members; i++)
        room_join(&room, &seats[i], &boxes[i]);
    struct frame *event = make(FRAME_EVENT);
    struct list left_behind;
    list_init(&left_behind);
    for (uint32_t i = 0; i < outbox_frames_max; i++)
        room_tell(&room, &set, event, &seats[2], &left_behind);
    EXPECT(list_is_empty(&left_behind));
    room_broadcast_others(&room, &set, event, &seats[0], &left_behind);
    EXPECT(left_behind.next == &seats[2].link && left_behind.previous == &seats[2].link);
    EXPECT_EQ(boxes[1].count, 1);
    (void)!list_take(&left_behind);
    room_leave(&seats[2]);
    frame_unref(&frames, event);
    end();
}

TEST("a room without a period has no ticks, and its timer is free for its game")
{
    begin();
    struct room quiet;
    room_init(&quiet, TEXT("vote/1"), 1, 2, 0, 77, 1000);
    EXPECT_EQ(quiet.tick_period, 0);
    EXPECT(!wheel_is_set(&quiet.tick));
    end();
}

TEST("a member whose outbox is full is left behind and the others are not disturbed")
{
    begin();
    for (uint32_t i = 0; i < members; i++)
        room_join(&room, &seats[i], &boxes[i]);
    struct frame *event = make(FRAME_EVENT);
    struct list left_behind;
    list_init(&left_behind);
    while (boxes[1].count < outbox_frames_max)
        (void)!outbox_push(&set, &boxes[1], event);
    room_broadcast(&room, &set, event, &left_behind);
    EXPECT(left_behind.next == &seats[1].link && left_behind.previous == &seats[1].link);
    EXPECT_EQ(boxes[0].count, 1);
    EXPECT_EQ(boxes[2].count, 1);
    EXPECT_EQ(room.seat_count, 3);
    list_take(&left_behind);
    room_leave(&seats[1]);
    EXPECT_EQ(room.seat_count, 2);
    frame_unref(&frames, event);
    end();
}

TEST("a room that drops keeps the member who is full, and gives each what its place allows (C8)")
{
    static const enum outbox_policy policies[] = {OUTBOX_DROP_OLDEST, OUTBOX_DROP_NEWEST};
    for (size_t p = 0; p < 2; p++) {
        begin();
        room.policy = policies[p];
        for (uint32_t i = 0; i < members; i++)
            room_join(&room, &seats[i], &boxes[i]);
        struct frame *old = make(FRAME_EVENT), *event = make(FRAME_EVENT);
        struct list left_behind;
        list_init(&left_behind);
        while (boxes[1].untold == 0)
            (void)!outbox_offer(&set, &boxes[1], old, room.policy);
        uint32_t refs = old->refs;
        room_broadcast(&room, &set, event, &left_behind);
        EXPECT(list_is_empty(&left_behind));
        EXPECT_EQ(boxes[1].untold, 2);
        EXPECT_EQ(old->refs, room.policy == OUTBOX_DROP_OLDEST ? refs - 1 : refs);
        EXPECT_EQ(event->refs, room.policy == OUTBOX_DROP_OLDEST ? 1 + members : members);
        frame_unref(&frames, old);
        frame_unref(&frames, event);
        end();
    }
}

TEST("an empty room can let its last snapshot go and has nothing to show then")
{
    begin();
    room_join(&room, &seats[0], &boxes[0]);
    room_show(&room, &frames, make(FRAME_STATE));
    room_leave(&seats[0]);
    room_hide(&room, &frames);
    EXPECT(room.shown == nullptr && room.stale);
    EXPECT_EQ(frames.live, 0);
    end();
}

TEST("the last snapshot is kept for joiners, and a newer one takes its place")
{
    begin();
    EXPECT(room.stale);
    room_join(&room, &seats[0], &boxes[0]);
    struct frame *first = make(FRAME_STATE), *second = make(FRAME_STATE);
    room_show(&room, &frames, first);
    EXPECT(!room.stale);
    room_show(&room, &frames, second);
    EXPECT(room.shown == second);
    EXPECT_EQ(frames.live, 1);
    end();
}

TEST("ticks fall on a grid that a late tick does not move, and missed ones are counted")
{
    begin();
    EXPECT_EQ(room.tick_due, 1120);
    EXPECT_EQ(room_next_tick(&room, 1119), 0);
    EXPECT_EQ(room.tick_due, 1120);
    EXPECT_EQ(room_next_tick(&room, 1120), 0);
    EXPECT_EQ(room.tick_due, 1620);
    EXPECT_EQ(room_next_tick(&room, 2119), 0);
    EXPECT_EQ(room.tick_due, 2120);
    EXPECT_EQ(room_next_tick(&room, 3700), 3);
    EXPECT_EQ(room.tick_due, 4120);
    end();
}

TEST("a name as long as a name may be is kept whole")
{
    begin();
    char name[room_name_size_max];
    memset(name, 'n', sizeof name);
    struct room long_named;
    room_init(&long_named, (struct text){name, sizeof name}, 0, 2, 500, 0, 0);
    EXPECT(text_equal(room_name(&long_named), (struct text){name, sizeof name}));
    end();
}
