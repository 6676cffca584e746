#include "check.h"
#include "conn/listener.h"
#include <errno.h>

/* A kernel that takes accepts, unless told not to, and counts them. */
static uint32_t accepts;
static bool takes_accepts;

static int listen_somewhere(struct ring *, const struct address *,
                            const struct ring_listen_options *)
{
    return 77;
}

static bool take_accept(struct ring *, struct ring_token, int fd)
{
    EXPECT_EQ(fd, 77);
    accepts += takes_accepts;
    return takes_accepts;
}

static const struct ring_backend backend = {
    .name = "one that accepts", .listen = listen_somewhere, .accept = take_accept};
static struct ring ring;
static struct wheel wheel;
static struct listener listener;

static void setup(void)
{
    ring = (struct ring){.backend = &backend};
    wheel_init(&wheel, 1'000);
    accepts = 0;
    takes_accepts = true;
    EXPECT_EQ(
        listener_open(&listener, &ring, 0, &(struct address){}, &(struct ring_listen_options){}),
        0);
    EXPECT_EQ(accepts, 1);
}

/* The accept has ended with this result. */
static int ended(int result)
{
    return listener_on_accept(&listener, &ring, &wheel, 1'000,
                              (struct ring_event){.result = result, .last = true});
}

/* The time has come; true when the listener's timer was due. */
static bool timer_at(uint64_t now_ms)
{
    wheel_advance(&wheel, now_ms);
    if (wheel_take(&wheel) != &listener.timer) return false;
    listener_on_timer(&listener, &ring, &wheel, now_ms);
    return true;
}

TEST("without descriptors or memory accepting pauses, and goes on after a while (R4, R5)")
{
    const int errors[] = {-EMFILE, -ENFILE, -ENOMEM, -ENOBUFS};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        setup();
        EXPECT_EQ(ended(errors[i]), errors[i]);
        EXPECT(listener.phase == LISTENER_PAUSED && !listener.accepting);
        EXPECT_EQ(listener.pauses, 1);
        EXPECT_EQ(accepts, 1); /* not at once: that would turn in circles */
        EXPECT(!timer_at(1'000 + listener_pause_ms - 2));
        EXPECT(timer_at(1'000 + listener_pause_ms + 1));
        EXPECT(listener.phase == LISTENER_ARMED && listener.accepting);
        EXPECT_EQ(accepts, 2);
    }
}

TEST("an error of the one that was to be accepted does not keep the next one waiting")
{
    const int errors[] = {-ECONNABORTED, -EINTR, -EPROTO, -ENETDOWN};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        setup();
        EXPECT_EQ(ended(errors[i]), errors[i]);
        EXPECT(listener.phase == LISTENER_ARMED && listener.accepting);
        EXPECT_EQ(accepts, 2);
    }
}

TEST("a kernel that takes no operations now is asked again later (R6)")
{
    setup();
    takes_accepts = false;
    EXPECT_EQ(ended(5), 5); /* the descriptor is good all the same */
    EXPECT(listener.phase == LISTENER_PAUSED);
    EXPECT(timer_at(1'000 + listener_pause_ms + 1));
    EXPECT(listener.phase == LISTENER_PAUSED);
    takes_accepts = true;
    EXPECT(timer_at(1'000 + 3 * listener_pause_ms));
    EXPECT(listener.phase == LISTENER_ARMED && listener.accepting);
}
