/* tests/unit/hub_entrance.c: rooms that are asked for in vain: how often an address may, what
 * counts and what it pays for asking many times at once (THREATS.md A17). */
#include "check.h"
#include "hub/entrance.h"

static struct config config;
static struct hub hub;
static struct worker *worker;
static struct address ann, bob;

static struct address address_from(struct text text)
{
    struct address address;
    EXPECT(address_host_parse(text, &address));
    return address;
}

/* A worker without a kernel: what is asked here needs no more of it than a clock. */
static void begin(uint32_t misses)
{
    config =
        (struct config){.workers = 1, .connections = 16, .rooms = 16, .address_misses = misses};
    hub = (struct hub){};
    EXPECT(hub_init(&hub, &config, (struct hash_key){.k0 = 5, .k1 = 7}));
    static struct worker memory;
    worker = &memory;
    worker->hub = &hub;
    worker->config = &config;
    worker->now = (struct instant){.ns = 1'000'000'000};
    worker->metrics = (struct metrics){};
    ann = address_from(TEXT("198.51.100.7"));
    bob = address_from(TEXT("198.51.100.8"));
}

static void pass_ms(uint64_t ms)
{
    worker->now.ns += ms * 1'000'000;
}

/* Asks for so many rooms that are not there, each of another name, whatever is answered. */
static void miss(const struct address *address, uint32_t count)
{
    static uint32_t last;
    for (uint32_t i = 0; i < count; i++) {
        char name[32];
        int size = snprintf(name, sizeof name, "vote/%u", ++last);
        entrance_missed(worker, address, (struct text){name, (size_t)size});
    }
}

TEST("twenty wrong guesses are forgiven, then it takes a tenth of a second for each more (A17)")
{
    begin(10);
    miss(&ann, 19);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    miss(&ann, 1);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 1);
    EXPECT_EQ(entrance_look_wait_s(worker, &bob), 0);
    EXPECT_EQ(worker->metrics.looks_limited, 1);
    pass_ms(99);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 1);
    pass_ms(1);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    hub_deinit(&hub);
}

TEST("who asks hundreds of times before the first answer waits for all of them (A17)")
{
    begin(10);
    miss(&ann, 420);
    uint32_t wait_s = entrance_look_wait_s(worker, &ann);
    EXPECT_EQ(wait_s, 41);
    pass_ms((wait_s - 1) * 1'000);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 1);
    pass_ms(1'000);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    hub_deinit(&hub);
}

TEST("the same room again is no guess for a minute; of another address it is one")
{
    begin(10);
    for (uint32_t i = 0; i < 1'000; i++)
        entrance_missed(worker, &ann, TEXT("vote/over"));
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    miss(&ann, 18);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    miss(&bob, 19);
    entrance_missed(worker, &bob, TEXT("vote/over"));
    EXPECT_EQ(entrance_look_wait_s(worker, &bob), 1);
    pass_ms(59'000);
    miss(&ann, 19);
    entrance_missed(worker, &ann, TEXT("vote/over"));
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    pass_ms(1'000);
    miss(&ann, 10); /* as many as that second has forgiven */
    entrance_missed(worker, &ann, TEXT("vote/over"));
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 1);
    hub_deinit(&hub);
}

TEST("addresses of one /64 are one, exempt ones are none, and a limit of 0 is no limit (H23)")
{
    begin(10);
    struct address first = address_from(TEXT("2001:db8::1")),
                   last = address_from(TEXT("2001:db8::2"));
    miss(&first, 10);
    miss(&last, 10);
    EXPECT_EQ(entrance_look_wait_s(worker, &first), 1);
    EXPECT(address_block_parse(TEXT("198.51.100.7"), &config.exempt.list[config.exempt.count++]));
    miss(&ann, 100);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    hub_deinit(&hub);
    begin(0);
    miss(&ann, 1'000);
    EXPECT_EQ(entrance_look_wait_s(worker, &ann), 0);
    hub_deinit(&hub);
}

TEST("a wait is told as a header")
{
    uint8_t memory[64];
    struct writer out = writer_over(memory, sizeof memory);
    entrance_write_retry(&out, 41);
    EXPECT_TEXT(writer_bytes(&out), "Retry-After: 41\r\n");
}
