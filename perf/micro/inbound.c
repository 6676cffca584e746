#include "inbound.h"
#include "cost.h"
#include "game/envelope.h"
#include "game/games.h"
#include "sample.h"
#include "say.h"
#include "ws/header.h"
#include "ws/reader.h"
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yyjson.h>

/* Messages of one size lie one after the other, each behind its header, as in receive buffers.
 * The methods take turns over them in batches of some hundred microseconds at most, so that what
 * slows the machine slows all of them; a figure is the median over all rounds. A message is a
 * chat in a room of ten. */

constexpr uint32_t messages = 64, members = 10, methods_max = 5;
constexpr size_t message_max = 4096, chat_max = 1000; /* bytes; characters of a chat */

struct message {
    uint8_t *wire;
    size_t header, size; /* of the header, and of what follows it */
};

struct bench {
    struct message all[messages];
    uint8_t memory[messages * (ws_header_size_max + message_max)];
    uint8_t json_memory[json_memory_per_byte * message_max + json_memory_fixed];
    uint8_t scratch[64 * 1024];
    struct ws_reader reader;
    struct game_options options;
    uint8_t *room; /* avalon's state */
    struct random random;
};

/* Zeros: unmasked again and again, a text remains one. Not const, or they would be optimized
 * away. */
static uint8_t key[4];

static inline void look_at(const void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* ---- the parts; each returns whether the result was right ---- */

static struct text text_of_message(const struct message *message)
{
    return (struct text){(const char *)message->wire + message->header, message->size};
}

static bool read_frame(struct bench *bench, const struct message *message, struct text *text)
{
    struct bytes input = {message->wire, message->header + message->size};
    struct ws_message read;
    bool right = ws_reader_feed(&bench->reader, &input, &read) == WS_MESSAGE;
    *text = text_from(read.payload);
    return right && text->size == message->size;
}

/* Any member may have said it. */
static bool play(struct bench *bench, struct text text, uint32_t member)
{
    const struct game_time now = {.ms = 1000, .ns = 1'000'000'000, .wall_ms = 1'795'290'761'000};
    struct bytes memory = {bench->json_memory, sizeof bench->json_memory};
    struct game_words words = words_over((struct bytes){bench->scratch, sizeof bench->scratch});
    game_avalon.advance(bench->room, now, &words);
    game_avalon.receive(bench->room, member, text, now, memory, &words);
    look_at(bench->scratch);
    return words.count == 2; /* the others', and the sender's own */
}

static bool run_yyjson(struct bench *bench, uint32_t i)
{
    struct text text = text_of_message(&bench->all[i]);
    yyjson_alc allocator;
    yyjson_alc_pool_init(&allocator, bench->json_memory, sizeof bench->json_memory);
    yyjson_doc *document = yyjson_read_opts((char *)(uintptr_t)text.data, text.size,
                                            YYJSON_READ_NOFLAG, &allocator, nullptr);
    look_at(document);
    return document != nullptr;
}

static bool run_frame(struct bench *bench, uint32_t i)
{
    struct text text;
    return read_frame(bench, &bench->all[i], &text);
}

static bool run_envelope(struct bench *bench, uint32_t i)
{
    struct envelope envelope;
    struct bytes memory = {bench->json_memory, sizeof bench->json_memory};
    struct text problem = envelope_read(memory, text_of_message(&bench->all[i]), &envelope);
    look_at(&envelope);
    return problem.size == 0 && text_equal(envelope.type, TEXT("chat"));
}

static bool run_game(struct bench *bench, uint32_t i)
{
    return play(bench, text_of_message(&bench->all[i]), i % members);
}

static bool run_whole(struct bench *bench, uint32_t i)
{
    struct text text;
    return read_frame(bench, &bench->all[i], &text) && play(bench, text, i % members);
}

static const struct method {
    const char *name, *title;
    bool (*run)(struct bench *bench, uint32_t i);
} methods[methods_max] = {
    {"yyjson", "yyjson alone", run_yyjson},
    {"frame", "header, unmask, UTF-8", run_frame},
    {"envelope", "envelope: JSON, checks", run_envelope},
    {"game", "envelope and game", run_game},
    {"whole", "all of it", run_whole},
};

static bool run(struct bench *bench, const struct method *method, uint32_t count)
{
    bool right = true;
    for (uint32_t i = 0; i < count; i++)
        right &= method->run(bench, i % messages);
    return right;
}

/* ---- the room and the messages ---- */

static void seat(struct bench *bench, uint32_t member)
{
    uint8_t memory[8 * 1024];
    char id[8], name[8];
    struct writer reply = writer_over(memory, sizeof memory);
    struct game_words words = words_over((struct bytes){bench->scratch, sizeof bench->scratch});
    snprintf(id, sizeof id, "id%u", member);
    snprintf(name, sizeof name, "p%u", member);
    const struct game_request join = {
        .verb = TEXT("join"), .body = text_of(name), .token = text_of(id)};
    const struct game_guest guest = {
        .room = TEXT("room"), .player = text_of(id), .until_ms = UINT64_MAX};
    struct game_time now = {};
    if (game_avalon.request(bench->room, &join, now, &reply, &words) != GAME_DONE)
        give_up("the room does not take ten");
    game_avalon.arrive(bench->room, member, &guest, now, &words);
}

static void open_room(struct bench *bench)
{
    bench->options = (struct game_options){.players_max = members,
                                           .chat_max = chat_max,
                                           .place_ms = UINT32_MAX,
                                           .leave_ms = 5000,
                                           .empty_ms = 300'000,
                                           .chat_echo = true};
    const struct game_opening opening = {
        .options = &bench->options, .id = TEXT("B5RH3E"), .secret = TEXT("room")};
    bench->room = calloc(1, game_avalon.state_size);
    if (bench->room == nullptr) give_up("no memory");
    game_avalon.open(bench->room, &opening);
    for (uint32_t member = 0; member < members; member++)
        seat(bench, member);
}

static void write_letters(struct writer *out, size_t count, struct random *random)
{
    static const char signs[] = "etaoin shrdlu etaoin shrdlu,.:!?0123456789";
    write_byte(out, 'e'); /* at its ends a blank would be trimmed */
    for (size_t i = 2; i < count; i++)
        write_byte(out, (uint8_t)signs[random_below(random, sizeof signs - 1)]);
    if (count > 1) write_byte(out, 'e');
}

/* A chat of `size` bytes; what is more than a chat may have stands in a member that nobody
 * reads. */
static void write_chat(struct writer *out, size_t size, struct random *random)
{
    const struct text begin =
        TEXT("{\"type\":\"chat\",\"correlation_id\":\"c7\",\"payload\":{\"message\":\"");
    const struct text end = TEXT("\"}}"), note = TEXT("\",\"note\":\"");
    assert(size > begin.size + end.size);
    size_t letters = size - begin.size - end.size;
    size_t chat = letters < chat_max ? letters : chat_max - 100;
    write_text(out, begin);
    write_letters(out, chat, random);
    if (letters > chat) {
        write_text(out, note);
        write_letters(out, letters - chat - note.size, random);
    }
    write_text(out, end);
}

static void fill(struct bench *bench, size_t size)
{
    static const struct ws_limits limits = {.message_size_max = message_max,
                                            .tiny_fragments_max = 256};
    uint8_t *at = bench->memory;
    ws_reader_init(&bench->reader, &limits);
    for (uint32_t i = 0; i < messages; i++) {
        struct message *message = &bench->all[i];
        message->wire = at;
        message->size = size;
        message->header = ws_header_write(at, WS_TEXT, true, false, size) + sizeof key;
        at[1] |= 0x80; /* a client's header has a mask's key behind it */
        memcpy(at + message->header - sizeof key, key, sizeof key);
        struct writer out = writer_over(at + message->header, size);
        write_chat(&out, size, &bench->random);
        assert(!out.overflow && out.size == size);
        at += message->header + size;
    }
}

/* ---- measuring ---- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1'000'000'000 + (uint64_t)now.tv_nsec;
}

static void measure(struct bench *bench, double *ns[static methods_max], uint32_t rounds,
                    uint32_t batch)
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < methods_max; i++) {
            uint32_t index = (round + i) % methods_max;
            const struct method *method = &methods[index];
            if (!run(bench, method, messages)) give_up("%s gives a wrong result", method->name);
            uint64_t start = now_ns();
            (void)run(bench, method, batch);
            ns[index][round] = (double)(now_ns() - start) / batch;
        }
    }
}

static void print_row(struct bench *bench, size_t size, double *ns[static methods_max],
                      uint32_t rounds)
{
    printf("  %6zu", size);
    for (uint32_t i = 0; i < methods_max; i++) {
        printf(" | %9.1f", sample_median(ns[i], rounds));
        if (i == 0) continue;
        struct interval interval = sample_ratio_interval(ns[i], ns[0], rounds, &bench->random);
        printf(" %5.2f [%5.2f, %5.2f]", sample_median(ns[i], rounds) / sample_median(ns[0], rounds),
               interval.low, interval.high);
    }
    printf("\n");
}

static const size_t sizes[] = {64, 128, 256, 512, 1024, 4096};

static void compare(struct bench *bench, uint32_t rounds)
{
    double *ns[methods_max];
    printf("nanoseconds a message, and beside yyjson alone\n  %6s", "bytes");
    for (uint32_t i = 0; i < methods_max; i++) {
        ns[i] = calloc(rounds, sizeof(double));
        if (ns[i] == nullptr) give_up("no memory");
        printf(" | %-*s", i == 0 ? 12 : 30, methods[i].title);
    }
    printf("\n");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fill(bench, sizes[i]);
        measure(bench, ns, rounds, sizes[i] <= 512 ? 256 : 64);
        print_row(bench, sizes[i], ns, rounds);
    }
    for (uint32_t i = 0; i < methods_max; i++)
        free(ns[i]);
}

/* For a program that counts instructions from outside. */
static void run_only(struct bench *bench, const char *name, size_t size, uint32_t count)
{
    fill(bench, size);
    for (uint32_t i = 0; i < methods_max; i++) {
        if (strcmp(methods[i].name, name) != 0) continue;
        if (!run(bench, &methods[i], count)) give_up("%s gives a wrong result", name);
        return;
    }
    give_up("--only %s: there is no such part", name);
}

static const char help[] =
    "usage: micro inbound [OPTION]...   what a chat message costs on its way in\n"
    "  --rounds N    times that each part runs (301)\n"
    "  --seed N      of the messages (1)\n"
    "  --only PART   run only yyjson, frame, envelope, game or whole, and measure nothing:\n"
    "  --size N      bytes of its messages, 64 to 4096 (64)\n"
    "  --count N     how many (1000)\n";

int inbound_main(int argc, char **argv)
{
    static const struct option known[] = {{"rounds", required_argument, nullptr, 'r'},
                                          {"seed", required_argument, nullptr, 's'},
                                          {"only", required_argument, nullptr, 'o'},
                                          {"size", required_argument, nullptr, 'z'},
                                          {"count", required_argument, nullptr, 'c'},
                                          {"help", no_argument, nullptr, 'h'},
                                          {}};
    static struct bench bench;
    uint32_t rounds = 301, seed = 1, size = 64, count = 1000;
    const char *only = nullptr;
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 'r': rounds = number_of(optarg, 3, 100'000); break;
        case 's': seed = number_of(optarg, 0, UINT32_MAX); break;
        case 'o': only = optarg; break;
        case 'z': size = number_of(optarg, 64, message_max); break;
        case 'c': count = number_of(optarg, 1, UINT32_MAX); break;
        case 'h': printf("%s", help); return 0;
        default: return 2;
        }
    }
    look_at(key);
    bench.random = (struct random){.state = seed};
    cost_pin(cost_cores_pick().server);
    open_room(&bench);
    if (only != nullptr)
        run_only(&bench, only, size, count);
    else
        compare(&bench, rounds);
    free(bench.room);
    return 0;
}
