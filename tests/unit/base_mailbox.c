#include "base/mailbox.h"
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

constexpr uint32_t sender_count = 4;

static struct arena arena;
static struct mailbox box;
static int doorbell; /* the eventfd that the receiver sleeps on */
static uint64_t mails_per_sender;
static atomic_bool given_up; /* the receiver failed: senders go home */

static void setup(uint32_t capacity)
{
    bool opened = arena_open(&arena, 1 << 20);
    EXPECT(opened);
    mailbox_init(&box, &arena, capacity);
}

static enum mailbox_result post_number(uint64_t number)
{
    return mailbox_post(&box, (struct mail){.number = number});
}

/* The number of the mail that must be there. */
static uint64_t take_number(void)
{
    struct mail mail = {};
    EXPECT(mailbox_take(&box, &mail));
    return mail.number;
}

TEST("a mail arrives as it was posted")
{
    setup(8);
    int thing = 0;
    struct mail mail = {.kind = 7, .value = 8, .pointer = &thing, .number = UINT64_MAX}, taken = {};
    EXPECT(mailbox_post(&box, mail) == MAILBOX_POSTED_RING);
    EXPECT(mailbox_take(&box, &taken));
    EXPECT(taken.kind == 7 && taken.value == 8);
    EXPECT(taken.pointer == &thing && taken.number == UINT64_MAX);
    EXPECT(!mailbox_take(&box, &taken));
    arena_close(&arena);
}

TEST("a full mailbox refuses, and takes again when one mail was taken, over many laps")
{
    setup(4);
    uint64_t posted = 0, taken = 0;
    for (int round = 0; round < 1000; round++) {
        while (posted - taken < 4)
            EXPECT(post_number(posted++) != MAILBOX_FULL);
        EXPECT(post_number(12345) == MAILBOX_FULL);
        for (int i = 0; i <= round % 4; i++)
            EXPECT_EQ(take_number(), taken++);
    }
    arena_close(&arena);
}

TEST("the doorbell rings once for a burst, and again only after mailbox_quiet")
{
    setup(16);
    struct mail mail;
    EXPECT(post_number(1) == MAILBOX_POSTED_RING);
    EXPECT(post_number(2) == MAILBOX_POSTED);
    EXPECT(mailbox_take(&box, &mail) && mailbox_take(&box, &mail));
    EXPECT(post_number(3) == MAILBOX_POSTED); // the first wake is still on its way
    mailbox_quiet(&box);
    EXPECT_EQ(take_number(), 3);
    EXPECT(post_number(4) == MAILBOX_POSTED_RING);
    EXPECT(post_number(5) == MAILBOX_POSTED);
    mailbox_quiet(&box);
    mailbox_quiet(&box);
    EXPECT(post_number(6) == MAILBOX_POSTED_RING);
    arena_close(&arena);
}

TEST("a refused mail does not ring")
{
    setup(2);
    EXPECT(post_number(1) == MAILBOX_POSTED_RING);
    EXPECT(post_number(2) == MAILBOX_POSTED);
    mailbox_quiet(&box);
    EXPECT(post_number(3) == MAILBOX_FULL);
    EXPECT_EQ(take_number(), 1);
    EXPECT(post_number(3) == MAILBOX_POSTED_RING);
    arena_close(&arena);
}

TEST("measuring a mailbox takes as much as making it")
{
    struct arena measure = arena_measure();
    mailbox_init(&box, &measure, 1024);
    EXPECT(box.cells == nullptr);
    setup(1024);
    EXPECT_EQ(arena.used, measure.used);
    arena_close(&arena);
}

/* Posts its share; every mail points to memory written just before, which the receiver looks at. */
struct sender {
    uint32_t number;
    uint64_t rings;
    uint64_t shown[1024]; /* what the mails point to, more of them than the box can hold */
};

static void *sender_run(void *argument)
{
    struct sender *sender = argument;
    for (uint64_t i = 0; i < mails_per_sender; i++) {
        uint64_t *shown = &sender->shown[i % 1024];
        *shown = i;
        struct mail mail = {.kind = sender->number, .pointer = shown, .number = i};
        enum mailbox_result result;
        while ((result = mailbox_post(&box, mail)) == MAILBOX_FULL)
            if (atomic_load(&given_up) || sched_yield() != 0) return nullptr;
        if (result != MAILBOX_POSTED_RING) continue;
        sender->rings += 1;
        if (eventfd_write(doorbell, 1) != 0) break;
    }
    return nullptr;
}

/* Waits until the doorbell rings. False when it has not for long: a wake was lost. */
static bool receiver_wait(void)
{
    struct pollfd wait = {.fd = doorbell, .events = POLLIN};
    eventfd_t count;
    return poll(&wait, 1, 20000) == 1 && eventfd_read(doorbell, &count) == 0;
}

struct receiver {
    uint64_t next[sender_count]; /* the number that each sender's next mail must bear */
    uint64_t taken, wrong, wakes;
};

static void receiver_drain(struct receiver *receiver)
{
    for (struct mail mail; mailbox_take(&box, &mail);) {
        receiver->wrong += mail.number != receiver->next[mail.kind];
        receiver->wrong += *(uint64_t *)mail.pointer != mail.number;
        receiver->next[mail.kind] = mail.number + 1;
        receiver->taken += 1;
    }
}

/* All senders against one receiver that sleeps whenever the box is empty. */
static void run_threads(uint32_t capacity, uint64_t mails)
{
    static struct sender senders[sender_count];
    static pthread_t threads[sender_count];
    struct receiver receiver = {};
    setup(capacity);
    mails_per_sender = mails / sender_count;
    atomic_store(&given_up, false);
    doorbell = eventfd(0, EFD_NONBLOCK);
    EXPECT(doorbell >= 0);
    for (uint32_t i = 0; i < sender_count; i++) {
        senders[i] = (struct sender){.number = i};
        EXPECT(pthread_create(&threads[i], nullptr, sender_run, &senders[i]) == 0);
    }
    while (receiver.taken < sender_count * mails_per_sender && receiver_wait()) {
        receiver.wakes += 1;
        mailbox_quiet(&box);
        receiver_drain(&receiver);
    }
    atomic_store(&given_up, true);
    EXPECT_EQ(receiver.taken, sender_count * mails_per_sender);
    EXPECT_EQ(receiver.wrong, 0);
    uint64_t rings = 0;
    for (uint32_t i = 0; i < sender_count; i++) {
        EXPECT(pthread_join(threads[i], nullptr) == 0);
        rings += senders[i].rings;
    }
    EXPECT(rings >= receiver.wakes);
    struct mail mail;
    EXPECT(!mailbox_take(&box, &mail));
    close(doorbell);
    arena_close(&arena);
}

TEST("a million mails of four threads arrive in each thread's order, and no wake is lost")
{
    run_threads(512, 1000000);
}

TEST("the same with a box so small that it is full and empty all the time")
{
    run_threads(2, 40000);
}
