#include "conn/listener.h"
#include <assert.h>
#include <errno.h>

static bool arm(struct listener *listener, struct ring *ring)
{
    struct ring_token token = {.op = RING_ACCEPT, .slot = listener->slot};
    listener->accepting = ring_accept(ring, token, listener->fd);
    return listener->accepting;
}

/* Of the connection that was to be accepted, not of ours: the next one may be sound (accept(2)). */
static bool is_peers_error(int error)
{
    return error == -ECONNABORTED || error == -EINTR || error == -EPROTO || error == -ENETDOWN ||
           error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EHOSTDOWN ||
           error == -ENONET || error == -ENOPROTOOPT || error == -EOPNOTSUPP;
}

static void pause(struct listener *listener, struct wheel *wheel, uint64_t now_ms)
{
    listener->phase = LISTENER_PAUSED;
    listener->pauses += 1;
    wheel_set(wheel, &listener->timer, now_ms + listener_pause_ms);
}

int listener_open(struct listener *listener, struct ring *ring, uint32_t slot,
                  const struct address *address, const struct ring_listen_options *options)
{
    *listener = (struct listener){.timer.kind = listener->timer.kind, .fd = -1, .slot = slot};
    int fd = ring_listen(ring, address, options);
    if (fd < 0) return fd;
    listener->fd = fd;
    listener->phase = LISTENER_ARMED;
    return arm(listener, ring) ? 0 : -EBUSY;
}

int listener_on_accept(struct listener *listener, struct ring *ring, struct wheel *wheel,
                       uint64_t now_ms, struct ring_event event)
{
    assert(listener->accepting);
    if (event.last) listener->accepting = false;
    if (event.last && listener->phase == LISTENER_ARMED) {
        bool pausing = event.result < 0 && !is_peers_error(event.result);
        if (pausing || !arm(listener, ring)) pause(listener, wheel, now_ms);
    }
    return event.result;
}

void listener_on_timer(struct listener *listener, struct ring *ring, struct wheel *wheel,
                       uint64_t now_ms)
{
    if (listener->phase != LISTENER_PAUSED) return;
    listener->phase = LISTENER_ARMED;
    if (!arm(listener, ring)) pause(listener, wheel, now_ms);
}

bool listener_end(struct listener *listener, struct ring *ring, struct wheel *wheel)
{
    assert(listener->phase == LISTENER_ARMED || listener->phase == LISTENER_PAUSED);
    wheel_clear(wheel, &listener->timer);
    if (listener->phase == LISTENER_ARMED) {
        struct ring_token token = {.op = RING_CANCEL, .slot = listener->slot};
        struct ring_token target = {.op = RING_ACCEPT, .slot = listener->slot};
        if (!ring_cancel(ring, token, target)) return false;
    }
    listener->phase = LISTENER_ENDING;
    return true;
}

int listener_take(struct listener *listener, struct ring *ring)
{
    assert(listener->phase == LISTENER_ENDING);
    int fd = ring_accept_now(ring, listener->fd);
    if (fd >= 0 || fd == -EMFILE || fd == -ENFILE || is_peers_error(fd)) return fd;
    ring_close_fd(ring, listener->fd, false);
    listener->fd = -1;
    listener->phase = LISTENER_CLOSED;
    return -EAGAIN;
}
