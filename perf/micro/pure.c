#include "pure.h"
#include "base/cpu.h"
#include "base/utf8.h"
#include "cost.h"
#include "published.h"
#include "sample.h"
#include "say.h"
#include "ws/header.h"
#include "ws/mask.h"
#include "ws/reader.h"
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* One row of a table is one kind of messages: as many as fill `memory` bytes, one after the
 * other and each behind a header, as they lie in receive buffers. Methods take turns over them,
 * in batches of some ten microseconds, so that what slows the machine slows all of them; a
 * figure is the median over all rounds. */

constexpr uint32_t slots_max = 64 * 1024, methods_max = 6;

struct slot {
    uint8_t *at; /* the payload */
    size_t size;
    size_t header; /* bytes before it that are its frame's header */
};

struct load {
    struct slot *slots;
    uint32_t count;
    uint32_t next; /* slot that the next batch begins with */
    size_t bytes;  /* of all payloads */
    size_t wire;   /* and of all headers */
    uint8_t *memory, *copy;
    size_t capacity; /* of both */
};

/* A way to do the work over `count` messages. False when it got a wrong result. */
struct method {
    const char *name;
    bool (*run)(struct load *load, uint32_t count);
    enum cpu_level level; /* what the processor is said to have while it runs */
};

/* Zeros: unmasked again and again, a text remains one. Not const, or they would be optimized
 * away. */
static uint8_t key[4];

/* Keeps the compiler from leaving out what nobody looks at. */
static inline void look_at(const void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

static inline struct slot *slot_next(struct load *load)
{
    struct slot *slot = &load->slots[load->next];
    load->next = load->next + 1 < load->count ? load->next + 1 : 0;
    return slot;
}

/* --- The ways -------------------------------------------------------------------------------- */

static bool run_memcpy(struct load *load, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        memcpy(load->copy + (slot->at - load->memory), slot->at, slot->size);
        look_at(load->copy);
    }
    return true;
}

static bool run_unmask(struct load *load, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        ws_unmask((struct bytes){.data = slot->at, .size = slot->size}, key, 0);
        look_at(slot->at);
    }
    return true;
}

static bool run_published_unmask(struct load *load, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        published_unmask((struct bytes){.data = slot->at, .size = slot->size}, key);
        look_at(slot->at);
    }
    return true;
}

static bool run_utf8(struct load *load, uint32_t count)
{
    bool right = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        right &= utf8_valid((struct bytes){.data = slot->at, .size = slot->size});
    }
    return right;
}

static bool run_published_utf8(struct load *load, uint32_t count)
{
    bool right = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        right &= published_utf8((struct bytes){.data = slot->at, .size = slot->size});
    }
    return right;
}

static bool run_header(struct load *load, uint32_t count)
{
    bool right = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        struct bytes input = {.data = slot->at - slot->header, .size = slot->header + slot->size};
        struct ws_header header;
        right &= ws_header_read(input, &header) == WS_HEADER_DONE;
        right &= header.payload_size == slot->size && header.size == slot->header;
        look_at(&header);
    }
    return right;
}

/* The least that a server must take from a client's header: no checks, nothing kept. */
static bool run_bare_header(struct load *load, uint32_t count)
{
    bool right = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        const uint8_t *at = slot->at - slot->header;
        uint64_t size = at[1] & 0x7F, key_at = 2;
        if (size == 126) {
            size = (uint64_t)at[2] << 8 | at[3];
            key_at = 4;
        } else if (size == 127) {
            memcpy(&size, at + 2, sizeof size);
            size = __builtin_bswap64(size);
            key_at = 10;
        }
        uint32_t bare_key;
        memcpy(&bare_key, at + key_at, sizeof bare_key);
        look_at(&bare_key);
        right &= size == slot->size && key_at + 4 == slot->header;
    }
    return right;
}

/* All of ws/: header, unmasking, UTF-8, and a message comes out. */
static bool run_reader(struct load *load, uint32_t count)
{
    static const struct ws_limits limits = {.message_size_max = ws_message_size_limit};
    struct ws_reader reader;
    ws_reader_init(&reader, &limits);
    bool right = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = slot_next(load);
        struct bytes input = {.data = slot->at - slot->header, .size = slot->header + slot->size};
        struct ws_message message;
        right &= ws_reader_feed(&reader, &input, &message) == WS_MESSAGE;
        right &= message.payload.size == slot->size;
    }
    return right;
}

/* --- What is in the messages ----------------------------------------------------------------- */

static const struct alphabet {
    const char *name;
    const char *signs; /* drawn at random, one code point each */
} alphabets[] = {
    {"ASCII", "etaoin shrdlu,.:{}[]\"0123456789"},
    {"Latin", "etaoin shrdlu etaoin shrdlu etaoin shrdlu \xC3\xA9\xC3\xA0\xC3\xBC\xC3\xB1"},
    {"Cyrillic", "\xD0\xBE\xD0\xB5\xD0\xB0\xD0\xB8\xD0\xBD\xD1\x82\xD1\x81\xD1\x80\xD0\xB2  ,"},
    {"CJK", "\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96\xE7\x95\x8C\xE4\xBB\x8A\xE5\xA4\xA9\xEF\xBC\x8C"},
    {"emoji", "\xF0\x9F\x98\x80\xF0\x9F\x8F\x81\xF0\x9F\x9A\x80\xF0\x9F\x94\xA5"},
    {"mixed",
     "race go \xC3\xA9\xC3\xA0\xD0\xBE\xD0\xB5\xD0\xB0\xE4\xBD\xA0\xE5\xA5\xBD\xF0\x9F\x98\x80"},
};
constexpr size_t alphabet_count = sizeof alphabets / sizeof alphabets[0];

/* Fills it with whole code points, and with 'e' where none fits any more. */
static void write_signs(struct writer *out, const struct alphabet *alphabet, struct random *random)
{
    struct text signs[64];
    uint32_t count = 0;
    for (struct text rest = text_of(alphabet->signs); rest.size > 0; count++) {
        uint32_t code_point;
        signs[count] = (struct text){rest.data, text_code_point(rest, &code_point)};
        rest = text_skip(rest, signs[count].size);
    }
    while (out->size < out->capacity) {
        struct text sign = signs[random_below(random, count)];
        if (sign.size <= out->capacity - out->size)
            write_text(out, sign);
        else
            write_byte(out, 'e');
    }
}

/* A client's header is a server's with the mask bit and a key. Returns its size. */
static size_t header_write(uint8_t *out, size_t size)
{
    size_t written = ws_header_write(out, WS_TEXT, true, false, size);
    out[1] |= 0x80;
    memcpy(out + written, key, sizeof key);
    return written + sizeof key;
}

/* Messages of `size` bytes, or of 10 to 200 when it is 0, until `memory` bytes are used. */
static void load_fill(struct load *load, size_t size, size_t memory,
                      const struct alphabet *alphabet, struct random *random)
{
    size_t used = 0;
    load->count = load->next = 0;
    load->bytes = load->wire = 0;
    while (load->count < slots_max) {
        size_t payload = size > 0 ? size : 10 + random_below(random, 191);
        if (load->count > 0 && used + ws_header_size_max + payload > memory) break;
        struct slot *slot = &load->slots[load->count++];
        slot->header = header_write(load->memory + used, payload);
        slot->at = load->memory + used + slot->header;
        slot->size = payload;
        struct writer out = writer_over(slot->at, payload);
        write_signs(&out, alphabet, random);
        used += slot->header + payload;
        assert(used <= load->capacity);
        load->bytes += payload;
        load->wire += slot->header;
    }
}

/* --- Measuring ------------------------------------------------------------------------------- */

struct results {
    double *ns[methods_max]; /* a message: [method][round] */
    uint32_t rounds;
    struct random random;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

static void measure_once(struct results *results, uint32_t index, uint32_t round,
                         const struct method *method, struct load *load, uint32_t batch)
{
    cpu_use(method->level);
    load->next = 0;
    if (!method->run(load, load->count < batch ? load->count : batch)) // warms up, too
        give_up("%s gives a wrong result", method->name);
    uint64_t start = now_ns();
    (void)method->run(load, batch);
    results->ns[index][round] = (double)(now_ns() - start) / batch;
}

/* Every method once a round; each round begins with another one. */
static void measure(struct results *results, const struct method *methods, uint32_t count,
                    struct load *load)
{
    constexpr size_t batch_bytes = 512 * 1024;
    size_t average = load->bytes / load->count;
    uint32_t batch = average < 256 ? 2048 : (uint32_t)(1 + batch_bytes / average);
    for (uint32_t round = 0; round < results->rounds; round++)
        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = (round + i) % count;
            measure_once(results, index, round, &methods[index], load, batch);
        }
}

static void print_size(size_t size)
{
    if (size == 0)
        printf("%8s", "10..200");
    else if (size < 1024)
        printf("%8zu", size);
    else
        printf("%4zu KiB", size / 1024);
}

/* ns and GB/s of the first method; of each other GB/s, and the ratio of its speed to the
 * first's. */
static void print_row(struct results *results, uint32_t count, double bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        double ns = sample_median(results->ns[i], results->rounds);
        printf(" | %8.1f ns %6.1f", ns, bytes / ns);
        if (i == 0) continue;
        struct interval interval = sample_ratio_interval(results->ns[0], results->ns[i],
                                                         results->rounds, &results->random);
        printf(" %5.2f [%5.2f, %5.2f]", sample_median(results->ns[0], results->rounds) / ns,
               interval.low, interval.high);
    }
    printf("\n");
}

static void print_names(const char *what, const struct method *methods, uint32_t count)
{
    printf("\n%s\n%8s", what, "bytes");
    for (uint32_t i = 0; i < count; i++)
        printf(" | %-*s", i == 0 ? 18 : 39, methods[i].name);
    printf("\n");
}

/* The methods that this machine has, in place; how many. */
static uint32_t methods_here(struct method methods[static methods_max], uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (methods[i].level <= cpu_best()) methods[kept++] = methods[i];
    return kept;
}

static const size_t sizes[] = {0, 16, 64, 125, 512, 4096, 64 * 1024, 1024 * 1024};
constexpr size_t size_count = sizeof sizes / sizeof sizes[0];

static void measure_unmask(struct results *results, struct load *load, size_t memory)
{
    struct method methods[methods_max] = {
        {"memcpy: ns, GB/s", run_memcpy, CPU_BASELINE},
        {"ours, baseline: and beside memcpy", run_unmask, CPU_BASELINE},
        {"ours, AVX2", run_unmask, CPU_AVX2},
        {"ours, AVX-512", run_unmask, CPU_AVX512},
        {"published, AVX2", run_published_unmask, CPU_AVX2},
    };
    uint32_t count = methods_here(methods, 5);
    print_names("unmask", methods, count);
    for (size_t i = 0; i < size_count; i++) {
        load_fill(load, sizes[i], memory, &alphabets[0], &results->random);
        measure(results, methods, count, load);
        print_size(sizes[i]);
        print_row(results, count, (double)load->bytes / load->count);
    }
}

static void measure_utf8(struct results *results, struct load *load, size_t memory,
                         const struct alphabet *alphabet)
{
    struct method methods[methods_max] = {
        {"memcpy: ns, GB/s", run_memcpy, CPU_BASELINE},
        {"ours, baseline: and beside memcpy", run_utf8, CPU_BASELINE},
        {"ours, AVX2", run_utf8, CPU_AVX2},
        {"published, AVX2", run_published_utf8, CPU_AVX2},
    };
    uint32_t count = methods_here(methods, 4);
    char title[64];
    snprintf(title, sizeof title, "UTF-8, %s", alphabet->name);
    print_names(title, methods, count);
    for (size_t i = 0; i < size_count; i++) {
        load_fill(load, sizes[i], memory, alphabet, &results->random);
        measure(results, methods, count, load);
        print_size(sizes[i]);
        print_row(results, count, (double)load->bytes / load->count);
    }
}

/* Here GB/s counts the whole frame, header included. */
static void measure_frames(struct results *results, struct load *load, size_t memory)
{
    static const size_t frame_sizes[] = {0, 16, 64, 125, 512};
    struct method methods[methods_max] = {
        {"memcpy: ns, GB/s", run_memcpy, CPU_BASELINE},
        {"a bare header: and beside memcpy", run_bare_header, CPU_BASELINE},
        {"ours, the header", run_header, CPU_BASELINE},
        {"ours, the whole reader, baseline", run_reader, CPU_BASELINE},
        {"ours, the whole reader, best", run_reader, cpu_best()},
    };
    print_names("frames with ASCII text", methods, 5);
    for (size_t i = 0; i < sizeof frame_sizes / sizeof frame_sizes[0]; i++) {
        load_fill(load, frame_sizes[i], memory, &alphabets[0], &results->random);
        measure(results, methods, 5, load);
        print_size(frame_sizes[i]);
        print_row(results, 5, (double)(load->bytes + load->wire) / load->count);
    }
}

static const char help[] =
    "usage: micro pure [--rounds N] [--memory KIB] [--seed N]\n"
    "  --rounds N    times that each method runs (301)\n"
    "  --memory KIB  what the messages fill together: 16 is the first cache, 1024 a worker's\n"
    "                receive buffers (16)\n"
    "  --seed N      of the messages (1)\n";

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == nullptr) give_up("no memory");
    return memory;
}

int pure_main(int argc, char **argv)
{
    static const struct option options[] = {{"rounds", required_argument, nullptr, 'r'},
                                            {"memory", required_argument, nullptr, 'm'},
                                            {"seed", required_argument, nullptr, 's'},
                                            {}};
    uint32_t rounds = 301, memory = 16, seed = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (option == 'r')
            rounds = number_of(optarg, 3, 100'000);
        else if (option == 'm')
            memory = number_of(optarg, 1, 64 * 1024);
        else if (option == 's')
            seed = number_of(optarg, 0, UINT32_MAX);
        else {
            fputs(help, stderr);
            return 2;
        }
    }
    look_at(key);
    cost_pin(cost_cores_pick().server);
    struct results results = {.rounds = rounds, .random = {.state = seed}};
    for (uint32_t i = 0; i < methods_max; i++)
        results.ns[i] = take(rounds, sizeof(double));
    size_t bytes = (size_t)memory * 1024;
    struct load load = {.capacity = bytes + 1024 * 1024 + 64};
    load.memory = take(load.capacity, 1);
    load.copy = take(load.capacity, 1);
    load.slots = take(slots_max, sizeof *load.slots);

    measure_unmask(&results, &load, bytes);
    for (size_t i = 0; i < alphabet_count; i++)
        measure_utf8(&results, &load, bytes, &alphabets[i]);
    measure_frames(&results, &load, bytes);
    return 0;
}
