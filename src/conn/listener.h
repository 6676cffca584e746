/* conn/listener.h: a listening socket, and what happens when it can accept no more.
 *
 *   CLOSED > ARMED > PAUSED > ARMED ...      (no descriptors left: try again in 100 ms)
 *            ARMED > ENDING > CLOSED         (a shutdown: what already waits is still taken) */
#pragma once
#include "base/wheel.h"
#include "ring/ring.h"

enum listener_phase : uint8_t { LISTENER_CLOSED, LISTENER_ARMED, LISTENER_PAUSED, LISTENER_ENDING };

struct listener {
    struct timer timer; /* set while PAUSED; the hub gives it its kind */
    int fd;
    uint32_t slot; /* its number in the ring's tokens */
    enum listener_phase phase;
    bool accepting;  /* true exactly while the kernel holds an accept */
    uint64_t pauses; /* times accepting had to stop for want of descriptors */
};

constexpr uint32_t listener_pause_ms = 100;

/* Binds, listens and accepts. 0, or -errno and then it is CLOSED. */
[[nodiscard]] int listener_open(struct listener *listener, struct ring *ring, uint32_t slot,
                                const struct address *address,
                                const struct ring_listen_options *options);

/* Takes an accept event: the new descriptor, or -errno when there is none (-EMFILE and the like
 * pause it). */
[[nodiscard]] int listener_on_accept(struct listener *listener, struct ring *ring,
                                     struct wheel *wheel, uint64_t now_ms, struct ring_event event);

/* Its timer expired. */
void listener_on_timer(struct listener *listener, struct ring *ring, struct wheel *wheel,
                       uint64_t now_ms);

/* Asks the kernel to end the accepting. While the phase is ENDING, take what waits with
 * listener_take until it says -EAGAIN; then the socket is closed. Call again while it says
 * false: the kernel takes no operations now. */
[[nodiscard]] bool listener_end(struct listener *listener, struct ring *ring, struct wheel *wheel);

/* ENDING, after the accept's last event: one more waiting connection; -EMFILE or -ENFILE: not now;
 * -EAGAIN: none waits, and it is CLOSED now. */
[[nodiscard]] int listener_take(struct listener *listener, struct ring *ring);
