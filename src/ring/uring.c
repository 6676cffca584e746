/* ring/uring.c: the kernel's io_uring behind ring.h. The only file that includes liburing.
 *
 * Setup flags: SINGLE_ISSUER and DEFER_TASKRUN (completions are made when we ask, on our
 * thread), SUBMIT_ALL (one bad entry does not stop the rest), TASKRUN_FLAG (tells that more
 * completions can be had), CLAMP. Kernel 6.1 has all of them. */
#include "limits.h"
#include "ring/ring.h"
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

constexpr uint16_t receive_group = 0; /* the provided-buffer group of this ring */

struct uring {
    struct ring_config config;
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;        /* receive_buffers of receive_buffer_size each */
    uint32_t buffers_used;   /* how often one was, since their memory was last given back */
    struct msghdr *messages; /* one for each gathered send of this submission */
    struct iovec *pieces; /* their pieces; the kernel has copied both once a submission returns */
    uint32_t messages_used;
    uint32_t pieces_used;
    uint32_t pieces_max;
    bool now_queued;     /* a send_now lies in the queue that the kernel has not yet taken */
    bool now_out;        /* some were taken whose outcome is not yet known to have been told */
    bool now_overflowed; /* completions had overflowed when they were taken */
    uint32_t now_tail;   /* their shortfalls lie before this place in the completion queue */
    int wake_fd;
    uint64_t wake_count; /* the eventfd's value is read into here */
};

static struct uring *uring_of(struct ring *ring)
{
    return ring->state;
}

static uint64_t pack(struct ring_token token)
{
    return (uint64_t)token.op << 56 | (uint64_t)(token.generation & ring_generation_mask) << 32 |
           token.slot;
}

static struct ring_token unpack(uint64_t data)
{
    return (struct ring_token){.op = (enum ring_op)(data >> 56),
                               .generation = (uint32_t)(data >> 32) & ring_generation_mask,
                               .slot = (uint32_t)data};
}

static unsigned kernel_flags(const struct uring *uring)
{
    return __atomic_load_n(uring->ring.sq.kflags, __ATOMIC_RELAXED);
}

/* When the kernel has taken everything: the copies of gathered sends are its own, and each send_now
 * is over, its shortfall posted before the completion queue's present end or in the overflow. */
static void after_submit(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    if (io_uring_sq_ready(&uring->ring) > 0) {
        ring->stats.held_back += 1;
        return;
    }
    uring->messages_used = uring->pieces_used = 0;
    if (!uring->now_queued) return;
    uring->now_queued = false;
    uring->now_out = true;
    uring->now_tail = __atomic_load_n(uring->ring.cq.ktail, __ATOMIC_ACQUIRE);
    uring->now_overflowed = (kernel_flags(uring) & IORING_SQ_CQ_OVERFLOW) != 0;
}

/* -EAGAIN, -EBUSY and -EINTR mean "not now": what was not taken stays in the queue for the next
 * time. */
static void uring_submit(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    ring->stats.submits += 1;
    int taken = io_uring_submit(&uring->ring);
    assert(taken >= 0 || taken == -EAGAIN || taken == -EBUSY || taken == -EINTR ||
           taken == -ENOMEM);
    after_submit(ring);
}

static struct io_uring_sqe *take_entry(struct ring *ring, struct ring_token token)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    if (entry == nullptr) {
        uring_submit(ring);
        entry = io_uring_get_sqe(&uring->ring);
    }
    if (entry == nullptr) {
        ring->stats.queue_full += 1;
        return nullptr;
    }
    /* The prep functions overwrite everything but user_data, so it may be set first. */
    io_uring_sqe_set_data64(entry, pack(token));
    return entry;
}

static bool uring_accept(struct ring *ring, struct ring_token token, int fd)
{
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    io_uring_prep_multishot_accept(entry, fd, nullptr, nullptr, SOCK_CLOEXEC);
    return true;
}

static int uring_accept_now(struct ring *, int fd)
{
    int flags = SOCK_CLOEXEC;
    /* The listening socket is O_NONBLOCK; io_uring does not mind, and this call relies on it. */
    int accepted = accept4(fd, nullptr, nullptr, flags);
    return accepted >= 0 ? accepted : -errno;
}

static bool uring_recv(struct ring *ring, struct ring_token token, int fd, bool once)
{
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    if (once)
        io_uring_prep_recv(entry, fd, nullptr, 0, 0); /* 0: as much as the buffer holds */
    else
        io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = receive_group;
    return true;
}

static void give_buffer(struct uring *uring, uint8_t *data)
{
    size_t index = (size_t)(data - uring->buffers) / uring->config.receive_buffer_size;
    assert(index < uring->config.receive_buffers);
    io_uring_buf_ring_add(uring->buffer_ring,
                          uring->buffers + index * uring->config.receive_buffer_size,
                          uring->config.receive_buffer_size, (unsigned short)index,
                          io_uring_buf_ring_mask(uring->config.receive_buffers), 0);
    io_uring_buf_ring_advance(uring->buffer_ring, 1);
}

static void uring_give(struct ring *ring, const struct ring_event *event)
{
    assert(ring->stats.buffers_out > 0);
    ring->stats.buffers_out -= 1;
    give_buffer(uring_of(ring), event->data.data);
}

static void uring_trim(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    size_t size = (size_t)uring->config.receive_buffers * uring->config.receive_buffer_size;
    size_t worth = 4 * arena_page;
    if (uring->buffers_used * (size_t)uring->config.receive_buffer_size < worth) return;
    uring->buffers_used = 0;
    /* Whole pages only: the first and the last may hold something else, too. */
    size_t first = -(uintptr_t)uring->buffers % arena_page;
    size = size > first ? (size - first) / arena_page * arena_page : 0;
    /* Where pages are larger than arena_page the kernel may refuse: then the memory stays ours. */
    if (size > 0) (void)!madvise(uring->buffers + first, size, MADV_DONTNEED);
}

static bool has_room_for_copies(const struct uring *uring, uint32_t count)
{
    return uring->messages_used < uring->config.entries &&
           uring->pieces_used + count <= uring->pieces_max;
}

static bool uring_send(struct ring *ring, struct ring_token token, int fd,
                       const struct iovec *pieces, uint32_t count)
{
    struct uring *uring = uring_of(ring);
    assert(count > 0 && count <= outbox_gather_max);
    if (count > 1 && !has_room_for_copies(uring, count)) {
        uring_submit(ring);
        if (!has_room_for_copies(uring, count)) return false;
    }
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    if (count == 1) {
        io_uring_prep_send(entry, fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
        return true;
    }
    struct msghdr *message = &uring->messages[uring->messages_used++];
    struct iovec *copy = &uring->pieces[uring->pieces_used];
    memcpy(copy, pieces, count * sizeof *copy);
    uring->pieces_used += count;
    *message = (struct msghdr){.msg_iov = copy, .msg_iovlen = count};
    io_uring_prep_sendmsg(entry, fd, message, MSG_NOSIGNAL);
    return true;
}

/* MSG_DONTWAIT never arms anything, MSG_WAITALL makes a short send an error that is told, and
 * CQE_SKIP_SUCCESS tells nothing else. Without MSG_WAITALL short sends would pass in silence. */
static inline void fill_send_now(struct uring *uring, struct io_uring_sqe *entry,
                                 struct ring_token token, int fd, struct bytes data)
{
    io_uring_prep_send(entry, fd, data.data, data.size, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, pack(token));
    uring->now_queued = true;
}

[[gnu::noinline, gnu::cold]] static bool send_now_after_submit(struct ring *ring,
                                                               struct ring_token token, int fd,
                                                               struct bytes data)
{
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry != nullptr) fill_send_now(uring_of(ring), entry, token, fd, data);
    return entry != nullptr;
}

/* The way of most sends, so it is kept short: the full queue is elsewhere, called last. */
static bool uring_send_now(struct ring *ring, struct ring_token token, int fd, struct bytes data)
{
    struct uring *uring = uring_of(ring);
    if ((uring->ring.flags & (IORING_SETUP_SQPOLL | IORING_SETUP_SQE128)) != 0) unreachable();
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    if (entry == nullptr) return send_now_after_submit(ring, token, fd, data);
    fill_send_now(uring, entry, token, fd, data);
    return true;
}

static bool uring_settled(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    if (uring->now_queued) return false;
    if (!uring->now_out) return true;
    if (uring->now_overflowed) {
        if (kernel_flags(uring) & IORING_SQ_CQ_OVERFLOW) return false;
        uring->now_overflowed = false; /* they are in the queue now, before its present end */
        uring->now_tail = __atomic_load_n(uring->ring.cq.ktail, __ATOMIC_ACQUIRE);
    }
    uint32_t head = *uring->ring.cq.khead; /* only we move it */
    if ((int32_t)(head - uring->now_tail) < 0) return false;
    uring->now_out = false;
    return true;
}

static bool uring_write(struct ring *ring, struct ring_token token, int fd, struct bytes data)
{
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    constexpr uint64_t position_of_file = UINT64_MAX;
    io_uring_prep_write(entry, fd, data.data, (unsigned)data.size, position_of_file);
    entry->rw_flags = RWF_APPEND; /* at its end, rather: several rings may write to one file */
    return true;
}

static bool uring_cancel(struct ring *ring, struct ring_token token, struct ring_token target)
{
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    io_uring_prep_cancel64(entry, pack(target), 0);
    return true;
}

static void uring_shutdown(struct ring *, int fd, bool both)
{
    shutdown(fd, both ? SHUT_RDWR : SHUT_WR); /* a connection that is gone already needs none */
}

static void uring_close_fd(struct ring *, int fd, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static struct address address_from(const struct sockaddr_storage *storage)
{
    struct address address = {};
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)storage;
        address = (struct address){
            .ip = {[10] = 0xff, [11] = 0xff}, .port = ntohs(v4->sin_port), .is_v4 = true};
        memcpy(address.ip + 12, &v4->sin_addr, 4);
        return address;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)storage;
    address.port = ntohs(v6->sin6_port);
    memcpy(address.ip, &v6->sin6_addr, 16);
    address.is_v4 = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    return address;
}

static bool uring_peer(struct ring *, int fd, struct address *address)
{
    struct sockaddr_storage storage = {};
    socklen_t size = sizeof storage;
    if (getpeername(fd, (struct sockaddr *)&storage, &size) != 0) return false;
    *address = address_from(&storage);
    return true;
}

static socklen_t address_to(const struct address *address, struct sockaddr_storage *storage)
{
    *storage = (struct sockaddr_storage){};
    if (address->is_v4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&v4->sin_addr, address->ip + 12, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
    *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    memcpy(&v6->sin6_addr, address->ip, 16);
    return sizeof *v6;
}

/* Connections inherit these from the socket that accepted them, which saves a system call for
 * each of them. */
static void set_options(int fd, const struct ring_listen_options *options)
{
    const int one = 1, zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (options->shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &options->not_sent_low_bytes,
               sizeof options->not_sent_low_bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &options->user_timeout_ms,
               sizeof options->user_timeout_ms);
    if (options->send_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options->send_buffer, sizeof options->send_buffer);
}

static int uring_listen(struct ring *, const struct address *address,
                        const struct ring_listen_options *options)
{
    struct sockaddr_storage storage;
    socklen_t size = address_to(address, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && address_is_any(address)) {
        /* A kernel without IPv6: every address means every IPv4 address. */
        const struct address every_v4 = {.port = address->port, .is_v4 = true};
        size = address_to(&every_v4, &storage);
        fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0) return -errno;
    set_options(fd, options);
    constexpr int backlog = 4096;
    if (bind(fd, (struct sockaddr *)&storage, size) != 0 || listen(fd, backlog) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static bool uring_wake_arm(struct ring *ring, struct ring_token token)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_sqe *entry = take_entry(ring, token);
    if (entry == nullptr) return false;
    io_uring_prep_read(entry, uring->wake_fd, &uring->wake_count, sizeof uring->wake_count, 0);
    return true;
}

static void uring_wake(struct ring *ring)
{
    const uint64_t one = 1;
    /* Fails only when the counter is full, and then the owner is awake anyway. */
    (void)!write(uring_of(ring)->wake_fd, &one, sizeof one);
}

static struct instant uring_now(struct ring *)
{
    struct timespec mono, wall;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    return (struct instant){.ns = (uint64_t)mono.tv_sec * 1'000'000'000 + (uint64_t)mono.tv_nsec,
                            .wall_ms =
                                (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1'000'000};
}

static uint64_t uring_cpu_ns(const struct ring *)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1'000'000'000 + (uint64_t)used.tv_nsec;
}

/* How long this wait may go on for the sake of more completions, microseconds. Never while some
 * are there to be taken, in the queue or behind it. */
static unsigned batch_us(const struct uring *uring, uint64_t left_ns)
{
    uint32_t us = uring->config.batch_us;
    if (us == 0 || (uring->ring.features & IORING_FEAT_MIN_TIMEOUT) == 0) return 0;
    bool has_some = io_uring_cq_ready(&uring->ring) > 0 ||
                    (kernel_flags(uring) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    if (has_some) return 0;
    return left_ns / 1000 < us ? (unsigned)(left_ns / 1000) : us;
}

static int wait_at_most(struct uring *uring, uint64_t left_ns)
{
    constexpr unsigned enough = 64; /* completions: then a batch has been worth it */
    constexpr uint64_t day_ns = 86'400'000'000'000;
    if (left_ns == 0) return io_uring_submit_and_get_events(&uring->ring);
    if (left_ns > day_ns) left_ns = day_ns; /* the caller waits again */
    struct __kernel_timespec timeout = {.tv_sec = (int64_t)(left_ns / 1'000'000'000),
                                        .tv_nsec = (int64_t)(left_ns % 1'000'000'000)};
    struct io_uring_cqe *completion;
    unsigned batch = batch_us(uring, left_ns);
    return io_uring_submit_and_wait_min_timeout(&uring->ring, &completion, batch > 0 ? enough : 1,
                                                &timeout, batch, nullptr);
}

static void uring_wait(struct ring *ring, uint64_t until_ns)
{
    struct uring *uring = uring_of(ring);
    ring->stats.waits += 1;
    uint64_t now_ns = uring_now(ring).ns;
    int taken = wait_at_most(uring, until_ns > now_ns ? until_ns - now_ns : 0);
    assert(taken >= 0 || taken == -ETIME || taken == -EINTR || taken == -EAGAIN ||
           taken == -EBUSY || taken == -ENOMEM);
    after_submit(ring);
}

/* With DEFER_TASKRUN the kernel makes about twenty completions a visit and says by
 * IORING_SQ_TASKRUN that there are more; an overflow list, too, is only emptied on request.
 * Without asking again a queue would build unseen. */
static bool kernel_has_more(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    unsigned flags = kernel_flags(uring);
    if (flags & IORING_SQ_CQ_OVERFLOW) ring->stats.overflows += 1;
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static struct ring_event event_of(struct ring *ring, const struct io_uring_cqe *completion)
{
    struct uring *uring = uring_of(ring);
    struct ring_event event = {.token = unpack(completion->user_data),
                               .result = completion->res,
                               .last = (completion->flags & IORING_CQE_F_MORE) == 0};
    if (completion->res == -ENOBUFS) ring->stats.out_of_buffers += 1;
    if ((completion->flags & IORING_CQE_F_BUFFER) == 0) return event;
    if (uring->buffers_used < UINT32_MAX) uring->buffers_used += 1;
    size_t index = completion->flags >> IORING_CQE_BUFFER_SHIFT;
    uint8_t *data = uring->buffers + index * uring->config.receive_buffer_size;
    if (completion->res > 0) {
        event.data = (struct bytes){.data = data, .size = (size_t)completion->res};
        ring->stats.buffers_out += 1;
    } else {
        give_buffer(uring, data);
    }
    return event;
}

static uint32_t uring_take(struct ring *ring, struct ring_event *events, uint32_t max)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    if (io_uring_cq_ready(&uring->ring) == 0 && kernel_has_more(ring))
        io_uring_get_events(&uring->ring);
    io_uring_for_each_cqe(&uring->ring, head, completion)
    {
        if (count == max) break;
        events[count++] = event_of(ring, completion);
    }
    io_uring_cq_advance(&uring->ring, count);
    return count;
}

static void uring_entropy(struct ring *, struct bytes out)
{
    while (out.size > 0) {
        ssize_t size = getrandom(out.data, out.size, 0);
        if (size > 0) out = bytes_skip(out, (size_t)size);
    }
}

static struct text setup_error(int error)
{
    if (error == -EPERM)
        return TEXT("io_uring is not permitted here; try `sysctl kernel.io_uring_disabled=0`, and "
                    "in a container a seccomp "
                    "profile that allows io_uring_setup, io_uring_enter and io_uring_register");
    if (error == -ENOSYS)
        return TEXT("this kernel has no io_uring; ringcast needs Linux 6.1 or newer");
    if (error == -EINVAL)
        return TEXT("this kernel's io_uring is too old; ringcast needs Linux 6.1 or newer");
    if (error == -ENOMEM)
        return TEXT("io_uring could not lock its memory; raise the limit with `ulimit -l` or "
                    "LimitMEMLOCK=infinity");
    if (error == -EMFILE)
        return TEXT("no descriptor is left for io_uring; raise the limit with `ulimit -n`");
    return TEXT("io_uring could not be set up");
}

static int open_buffers(struct uring *uring)
{
    int error = 0;
    uring->buffer_ring = io_uring_setup_buf_ring(&uring->ring, uring->config.receive_buffers,
                                                 receive_group, 0, &error);
    if (uring->buffer_ring == nullptr) return error;
    for (uint32_t i = 0; i < uring->config.receive_buffers; i++)
        give_buffer(uring, uring->buffers + (size_t)i * uring->config.receive_buffer_size);
    return 0;
}

static bool uring_open(struct ring *ring, struct text *why)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_TASKRUN_FLAG,
        .cq_entries = uring->config.entries * 4,
    };
    assert((params.flags & (IORING_SETUP_SQPOLL | IORING_SETUP_SQE128)) == 0); /* uring_send_now */
    int error = io_uring_queue_init_params(uring->config.entries, &uring->ring, &params);
    if (error == 0) {
        error = uring->wake_fd < 0 ? -EMFILE : open_buffers(uring);
        if (error != 0) io_uring_queue_exit(&uring->ring);
    }
    if (error != 0) {
        *why = setup_error(error);
        return false;
    }
    /* It only saves a descriptor look-up: either answer is right. */
    io_uring_register_ring_fd(&uring->ring);
    return true;
}

static void uring_close(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    io_uring_free_buf_ring(&uring->ring, uring->buffer_ring, uring->config.receive_buffers,
                           receive_group);
    io_uring_queue_exit(&uring->ring);
}

static void uring_free(struct ring *ring)
{
    struct uring *uring = uring_of(ring);
    if (uring->wake_fd >= 0) close(uring->wake_fd);
    uring->wake_fd = -1;
}

static const struct ring_backend uring_backend = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .free = uring_free,
    .listen = uring_listen,
    .accept = uring_accept,
    .accept_now = uring_accept_now,
    .recv = uring_recv,
    .give = uring_give,
    .trim = uring_trim,
    .send = uring_send,
    .send_now = uring_send_now,
    .send_now_works = ring_preflight,
    .settled = uring_settled,
    .write = uring_write,
    .cancel = uring_cancel,
    .shutdown = uring_shutdown,
    .close_fd = uring_close_fd,
    .peer = uring_peer,
    .wake_arm = uring_wake_arm,
    .wake = uring_wake,
    .submit = uring_submit,
    .wait = uring_wait,
    .take = uring_take,
    .now = uring_now,
    .cpu_ns = uring_cpu_ns,
    .entropy = uring_entropy,
};

void ring_reserve_uring(struct ring *ring, struct arena *arena, const struct ring_config *config)
{
    uint32_t pieces_max = config->entries * 4;
    static_assert(ring_entries * 4 >= outbox_gather_max,
                  "one gathered send always fits an empty submission");
    struct uring *uring = arena_take(arena, sizeof *uring);
    struct msghdr *messages = arena_take(arena, config->entries * sizeof *messages);
    struct iovec *pieces = arena_take(arena, pieces_max * sizeof *pieces);
    uint8_t *buffers =
        arena_take(arena, (size_t)config->receive_buffers * config->receive_buffer_size);
    *ring = (struct ring){.backend = &uring_backend, .state = uring};
    if (uring == nullptr) return;
    *uring =
        (struct uring){.config = *config,
                       .buffers = buffers,
                       .messages = messages,
                       .pieces = pieces,
                       /* here and not at open: others may ring before this one's thread runs */
                       .wake_fd = eventfd(0, EFD_CLOEXEC),
                       .pieces_max = pieces_max};
}
