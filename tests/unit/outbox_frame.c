#include "check.h"
#include "outbox/frame.h"
#include <stdlib.h>

static struct frame_pool frames;

/* A frame pool with `budget` bytes for each size class. */
static struct arena pool_of(size_t budget)
{
    struct arena measured = arena_measure(), arena;
    frame_pool_init(&frames, &measured, budget);
    if (!arena_open(&arena, measured.used)) abort();
    frame_pool_init(&frames, &arena, budget);
    return arena;
}

static struct bytes payload_of(size_t size)
{
    static uint8_t memory[200'000];
    memset(memory, 'p', size);
    return (struct bytes){memory, size};
}

TEST("a frame holds a server's header and its payload, ready for the wire (RFC 6455 §5.2)")
{
    struct arena arena = pool_of(1 << 20);
    struct frame *frame =
        frame_make(&frames, FRAME_EVENT, WS_TEXT, (struct bytes){(uint8_t *)"hi", 2});
    EXPECT_EQ(frame->wire_size, 4);
    EXPECT(memcmp(frame->wire, "\x81\x02hi", 4) == 0);
    EXPECT_EQ(frame->refs, 1);
    frame_unref(&frames, frame);
    arena_close(&arena);
}

TEST("an empty payload gives a frame of two bytes")
{
    struct arena arena = pool_of(1 << 20);
    struct frame *frame = frame_make(&frames, FRAME_CONTROL, WS_PING, (struct bytes){});
    EXPECT_EQ(frame->wire_size, 2);
    EXPECT(memcmp(frame->wire, "\x89\x00", 2) == 0);
    frame_unref(&frames, frame);
    arena_close(&arena);
}

TEST("a raw frame is its bytes and nothing else")
{
    struct arena arena = pool_of(1 << 20);
    struct frame *frame = frame_make_raw(&frames, (struct bytes){(uint8_t *)"HTTP", 4});
    EXPECT_EQ(frame->wire_size, 4);
    EXPECT(memcmp(frame->wire, "HTTP", 4) == 0);
    EXPECT_EQ(frame->lane, FRAME_CONTROL);
    frame_unref(&frames, frame);
    arena_close(&arena);
}

TEST("a frame lives until its last holder lets go, and then its memory is used again")
{
    struct arena arena = pool_of(1 << 20);
    struct frame *frame = frame_make(&frames, FRAME_STATE, WS_TEXT, payload_of(50));
    frame_ref(frame);
    frame_unref(&frames, frame);
    EXPECT_EQ(frames.live, 1);
    frame_unref(&frames, frame);
    EXPECT_EQ(frames.live, 0);
    struct frame *next = frame_make(&frames, FRAME_STATE, WS_TEXT, payload_of(50));
    EXPECT(next == frame);
    frame_unref(&frames, next);
    arena_close(&arena);
}

TEST("every size up to the largest class fits the class that it is put into, and no size beyond")
{
    struct arena arena = pool_of(1 << 20);
    for (uint32_t i = 0; i < frame_size_classes; i++) {
        for (uint32_t size = frame_class_sizes[i] - 1; size <= frame_class_sizes[i] + 1; size++) {
            struct frame *frame = frame_make_raw(&frames, payload_of(size));
            bool possible = size <= frame_class_sizes[frame_size_classes - 1];
            EXPECT((frame != nullptr) == possible);
            if (frame == nullptr) continue;
            EXPECT(size <= frame_class_sizes[frame->size_class]);
            frame_unref(&frames, frame);
        }
    }
    EXPECT_EQ(frames.live, 0);
    arena_close(&arena);
}

TEST("a dry size class borrows from the next one, and when all are dry there is no frame")
{
    struct arena arena = pool_of(128 * 1024);
    static struct frame *made[4096];
    size_t count = 0;
    while (count < 4096 && (made[count] = frame_make_raw(&frames, payload_of(1))) != nullptr)
        count += 1;
    EXPECT_EQ(count, 1024 + 256 + 64 + 16 + 4 + 1);
    EXPECT_EQ(frames.live, count);
    while (count > 0)
        frame_unref(&frames, made[--count]);
    EXPECT_EQ(frames.live, 0);
    arena_close(&arena);
}

TEST("the pool knows its memory in use to the byte, whole objects, and how much there could be")
{
    struct arena arena = pool_of(1 << 20);
    EXPECT_EQ(frames.bytes_capacity, frame_size_classes << 20);
    struct frame *small = frame_make_raw(&frames, payload_of(1));
    struct frame *large = frame_make_raw(&frames, payload_of(1000));
    EXPECT_EQ(frames.bytes_in_use, 128 + 2048);
    frame_unref(&frames, small);
    EXPECT_EQ(frames.bytes_in_use, 2048);
    frame_unref(&frames, large);
    EXPECT_EQ(frames.bytes_in_use, 0);
    arena_close(&arena);
}

TEST("frames are tight for a size when seven eighths of every class that could hold it are out")
{
    struct arena arena = pool_of(1 << 22); /* 32 of the largest class, 128 of the one before */
    static struct frame *made[256];
    uint32_t count = 0;
    while (count < 28)
        made[count++] = frame_make_raw(&frames, payload_of(100'000));
    EXPECT(!frame_pool_is_tight(&frames, 100'000));
    made[count++] = frame_make_raw(&frames, payload_of(100'000));
    EXPECT(frame_pool_is_tight(&frames, 100'000));
    EXPECT(!frame_pool_is_tight(&frames, 30'000));
    while (count < 29 + 113)
        made[count++] = frame_make_raw(&frames, payload_of(30'000));
    EXPECT(frame_pool_is_tight(&frames, 30'000));
    EXPECT(!frame_pool_is_tight(&frames, 1000));
    frame_unref(&frames, made[--count]);
    EXPECT(!frame_pool_is_tight(&frames, 30'000));
    while (count > 0)
        frame_unref(&frames, made[--count]);
    arena_close(&arena);
}

TEST("a reply is built in place: the header goes right before the payload, of any length")
{
    const uint32_t ordinary = frame_class_sizes[frame_size_classes - 1] - ws_header_size_max_server;
    const uint32_t sizes[] = {0, 1, 125, 126, 65535, 65536, ordinary, ordinary + 1, 300'000};
    struct arena measured = arena_measure(), arena;
    frame_pool_init(&frames, &measured, 1 << 20);
    frame_pool_add_large(&frames, &measured, 300'000, 1);
    if (!arena_open(&arena, measured.used)) abort();
    frame_pool_init(&frames, &arena, 1 << 20);
    frame_pool_add_large(&frames, &arena, 300'000, 1);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct frame *frame = frame_reserve(&frames, sizes[i]);
        struct bytes space = frame_space(&frames, frame);
        EXPECT(space.size >= sizes[i] && frame_of_space(space.data) == frame);
        memset(space.data, 'r', sizes[i]);
        frame_finish(frame, WS_BINARY, sizes[i]);
        uint8_t header[ws_header_size_max_server];
        size_t size = ws_header_write(header, WS_BINARY, true, false, sizes[i]);
        EXPECT_EQ(frame->wire_size, size + sizes[i]);
        EXPECT(memcmp(frame->wire, header, size) == 0 && frame->wire + size == space.data);
        EXPECT_EQ(frame->size_class == frame_class_large, sizes[i] > ordinary);
        EXPECT_EQ(frames.reply_bytes, frame_memory(&frames, frame));
        if (frame->size_class == frame_class_large) {
            EXPECT(frame_reserve(&frames, sizes[i]) == nullptr);
            EXPECT_EQ(frame_small_reply_bytes(&frames), 0);
        }
        frame_unref(&frames, frame);
    }
    EXPECT(frame_reserve(&frames, 300'001) == nullptr);
    EXPECT_EQ(frames.reply_bytes, 0);
    EXPECT_EQ(frames.bytes_in_use, 0);
    arena_close(&arena);
}

TEST("without a large class no reply is larger than the largest ordinary frame")
{
    struct arena arena = pool_of(1 << 20);
    EXPECT(frame_reserve(&frames, 131'023) == nullptr);
    arena_close(&arena);
}
