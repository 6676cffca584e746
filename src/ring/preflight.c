/* ring/preflight.c: asks the running kernel whether ring_send_now keeps its promise, before anybody
 * relies on it. A version number would not tell: kernels are patched. */
#include "ring/ring.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both ends of a TCP connection to ourselves; small buffers, so that it is soon full. */
static bool open_pair(int *near, int *far)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int small = 8 * 1024;
    *near = -1;
    *far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0) setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    if (*far >= 0) setsockopt(*far, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (*far >= 0 && listener >= 0 &&
        bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
        connect(*far, (struct sockaddr *)&address, sizeof address) == 0)
        *near = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (listener >= 0) close(listener);
    return *near >= 0;
}

struct outcome {
    bool told;      /* an event came */
    int32_t result; /* the event's */
    bool is_sound;  /* at most one event, of the right kind, the last, and then settled */
};

constexpr uint32_t nobodys_slot = UINT32_MAX; /* an event that comes too late finds nobody */

static struct outcome send_one(struct ring *ring, int fd, struct bytes data)
{
    const struct ring_token token = {.op = RING_SEND_NOW, .generation = 1, .slot = nobodys_slot};
    struct outcome outcome = {};
    struct ring_event events[4];
    if (!ring_send_now(ring, token, fd, data)) return outcome;
    outcome.is_sound = !ring_settled(ring);
    ring_submit(ring);
    uint32_t count = ring_take(ring, events, 4);
    outcome.told = count > 0;
    if (count > 0) {
        outcome.result = events[0].result;
        outcome.is_sound = outcome.is_sound && count == 1 && events[0].last &&
                           events[0].token.op == RING_SEND_NOW &&
                           events[0].token.slot == nobodys_slot;
    }
    outcome.is_sound = outcome.is_sound && ring_settled(ring);
    return outcome;
}

/* How many bytes the other end has got. */
static uint64_t drain(int fd)
{
    static thread_local uint8_t bytes[16 * 1024];
    uint64_t total = 0;
    for (ssize_t size; (size = recv(fd, bytes, sizeof bytes, 0)) > 0;)
        total += (uint64_t)size;
    return total;
}

/* Sends until a send falls short and the next takes nothing; what the events say must be what the
 * other end gets. */
static bool accounts_for_every_byte(struct ring *ring, int near, int far)
{
    static thread_local uint8_t bytes[10'000];
    uint64_t taken = 0;
    bool whole = false, nothing = false;
    for (int i = 0; i < 4096 && !nothing; i++) {
        struct outcome outcome = send_one(ring, near, (struct bytes){bytes, sizeof bytes});
        if (!outcome.is_sound) return false;
        nothing = outcome.told && outcome.result == -EAGAIN;
        whole = whole || !outcome.told;
        if (outcome.told && !nothing &&
            (outcome.result <= 0 || outcome.result >= (int)sizeof bytes))
            return false;
        taken += nothing ? 0 : outcome.told ? (uint64_t)outcome.result : sizeof bytes;
    }
    shutdown(near, SHUT_WR);
    return whole && nothing && drain(far) == taken;
}

bool ring_preflight(struct ring *ring)
{
    int near, far;
    bool works = open_pair(&near, &far) && accounts_for_every_byte(ring, near, far);
    if (near >= 0) close(near);
    if (far >= 0) close(far);
    return works;
}
