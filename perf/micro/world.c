/* perf/micro/world: what a tick of the world costs its worker before anything is sent: the walkers'
 * and players' moves, who sees whom, and everything that is said put into words and frames; beside
 * the same tick with each player's update encoded for that player alone.
 *
 * The built-in world, with walkers as `serve --world-walkers` has them and players who are moved to
 * and fro by the bench, as their messages would. CPU is that of this thread. */
#include "world.h"
#include "base/json.h"
#include "cost.h"
#include "game/world.h"
#include "outbox/frame.h"
#include "sample.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct bench {
    struct arena arena;
    struct world_map map;
    struct game_options options;
    struct world *world;
    struct frame_pool frames;
    struct frame **parts;
    struct bytes words_memory;
    struct words_size words_size;
    struct game_time now;
    struct random chance;
    uint32_t players, walkers, ticks;
    bool crowd, json; /* crowd: all players in one cell */
    const char *file; /* of the world; nullptr: the one that is built in */
    uint64_t encodes, watched, bytes, updates, update_bytes;
    double *tick_ns, *frame_ns, *single_ns;
};

static void give_up(const char *why)
{
    fprintf(stderr, "micro: %s\n", why);
    exit(1);
}

/* ---- the world ---- */

static void forget(struct game_words *words)
{
    struct bench *bench = words->hub;
    bench->encodes += words->count;
}

static struct game_words words_of(struct bench *bench)
{
    struct game_words words = words_over_much(bench->words_memory, bench->words_size);
    words.deliver = forget;
    words.hub = bench;
    return words;
}

/* The whole file, which the caller frees. */
static struct text read_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    char *memory = malloc(world_file_size_max);
    if (file == nullptr || memory == nullptr) give_up("the world's file cannot be read");
    size_t size = fread(memory, 1, world_file_size_max, file);
    fclose(file);
    return (struct text){memory, size};
}

static void read_map(struct bench *bench)
{
    uint8_t problem[512];
    struct writer why = writer_over(problem, sizeof problem);
    struct text text = bench->file != nullptr ? read_file(bench->file) : world_map_builtin();
    size_t size = json_memory_size(text.size);
    void *memory = malloc(size);
    if (memory == nullptr || !world_map_read(&bench->map, text, (struct bytes){memory, size}, &why))
        give_up("the world cannot be read");
    free(memory);
    if (bench->file != nullptr) free((void *)text.data);
}

static void reserve(struct bench *bench, struct arena *arena, struct game_needs needs)
{
    constexpr size_t frame_budget = 64 * 1024 * 1024;
    size_t words = words_memory_size(needs.words);
    bench->world = arena_take(arena, game_world.state_size);
    bench->words_memory = (struct bytes){arena_take(arena, words), words};
    bench->words_size = needs.words;
    bench->parts = arena_take(arena, needs.words.messages * sizeof *bench->parts);
    bench->tick_ns = arena_take(arena, bench->ticks * sizeof(double));
    bench->frame_ns = arena_take(arena, bench->ticks * sizeof(double));
    bench->single_ns = arena_take(arena, bench->ticks * sizeof(double));
    frame_pool_init(&bench->frames, arena, frame_budget);
}

static void open_world(struct bench *bench)
{
    read_map(bench);
    bench->options = (struct game_options){.map = &bench->map,
                                           .players_max = bench->players,
                                           .members_max = bench->players,
                                           .strangers_max = bench->players,
                                           .auth_ms = 10'000,
                                           .leave_ms = 10'000,
                                           .walkers = bench->walkers};
    struct game_needs needs = game_world.needs(&bench->options);
    struct arena measuring = arena_measure();
    reserve(bench, &measuring, needs);
    arena_take(&measuring, needs.memory);
    if (!arena_open(&bench->arena, measuring.used)) give_up("no memory");
    reserve(bench, &bench->arena, needs);
    struct game_opening opening = {
        .options = &bench->options,
        .seed = 1,
        .memory = {arena_take(&bench->arena, needs.memory), needs.memory},
        .now = bench->now};
    game_world.open(bench->world, &opening);
}

static double anywhere(struct bench *bench, double least, double most)
{
    return least + (most - least) * (double)random_below(&bench->chance, 1'000'000) / 1'000'000;
}

static void seat(struct bench *bench, uint32_t number)
{
    char id[48];
    snprintf(id, sizeof id, "5f0c3e1a-7b2d-4c6e-9a41-%012u", number); /* as long as Supabase's */
    const struct game_guest guest = {.player = text_of(id), .until_ms = UINT64_MAX / 2};
    struct game_words words = words_of(bench);
    game_world.join(bench->world, number, bench->now, &words);
    game_world.verified(bench->world, number, &guest, (struct text){}, (struct text){}, bench->now,
                        &words);
    const struct world_box *bounds = &bench->map.bounds;
    struct world_point place = {8, 60, 8};
    if (!bench->crowd) {
        place.x = anywhere(bench, bounds->min.x, bounds->max.x);
        place.z = anywhere(bench, bounds->min.z, bounds->max.z);
    }
    world_motion_place(&bench->world->players[number].motion, place, bench->now.ns);
    world_place(bench->world, number);
}

/* Up to a metre and a half, which is what may be flown in a tick. */
static void move(struct bench *bench, uint32_t number)
{
    struct world_point *at = &bench->world->players[number].motion.now.position;
    const struct world_box *bounds = &bench->map.bounds;
    double x = at->x + anywhere(bench, -1, 1), z = at->z + anywhere(bench, -1, 1);
    if (x > bounds->min.x && x < bounds->max.x) at->x = x;
    if (z > bounds->min.z && z < bounds->max.z) at->z = z;
    world_place(bench->world, number);
}

/* ---- what is measured ---- */

/* What hub/events.c does with parts. */
static void make_frames(struct bench *bench, const struct game_words *words)
{
    for (uint32_t i = 0; i < words->count; i++) {
        const struct game_message *message = &words->messages[i];
        bench->parts[i] =
            frame_make(&bench->frames, FRAME_STATE, WS_TEXT,
                       (struct bytes){words->out.data + message->start, message->size});
        if (bench->parts[i] == nullptr) give_up("no memory for frames");
        bench->bytes += message->size;
    }
    for (uint32_t i = 0; i < words->count; i++)
        frame_unref(&bench->frames, bench->parts[i]);
}

/* One player's update, for it alone: the same entities, as one message. */
static uint64_t encode_for_one(struct bench *bench, struct game_words *words, uint32_t cell)
{
    struct world *world = bench->world;
    uint32_t cells[world_area_max];
    uint32_t count = world_grid_area(&world->grid, cell, cells), written = 0;
    struct writer *out = &words->out;
    out->size = 0;
    world_open_message(out, WORLD_SAY_UPDATE, WORLD_PLAIN);
    write_text(out, TEXT("\"entities\":["));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = world->grid.config.share_max;
        for (uint32_t e = world_grid_next(&world->grid, cells[i], world_grid_none);
             e != world_grid_none && left > 0; e = world_grid_next(&world->grid, cells[i], e)) {
            if (written++ > 0) write_byte(out, ',');
            world_write_entity(out, world, e, true);
            left -= 1;
        }
    }
    write_text(out, TEXT("]}}"));
    return out->size;
}

static void encode_for_each(struct bench *bench, struct game_words *words)
{
    for (uint32_t i = 0; i < bench->players; i++) {
        uint64_t size = encode_for_one(bench, words, bench->world->grid.entities[i].cell);
        struct frame *frame =
            frame_make(&bench->frames, FRAME_STATE, WS_TEXT, (struct bytes){words->out.data, size});
        if (frame == nullptr) give_up("an update is larger than a frame");
        frame_unref(&bench->frames, frame);
    }
}

static void note_updates(struct bench *bench, const struct game_words *words)
{
    for (uint32_t i = 0; i < words->gathering_count; i++) {
        const struct game_gathering *gathering = &words->gatherings[i];
        uint64_t size = 0;
        for (uint32_t p = 0; p < gathering->part_count; p++)
            size += words->messages[words->numbers[gathering->parts + p]].size;
        bench->updates += gathering->member_count;
        bench->update_bytes += size * gathering->member_count;
    }
}

static void tick(struct bench *bench, uint32_t number)
{
    bench->now.ms += bench->map.tick_ms;
    bench->now.ns += bench->map.tick_ms * 1'000'000ull;
    bench->now.wall_ms += bench->map.tick_ms;
    for (uint32_t i = 0; i < bench->players; i++)
        move(bench, i);
    struct game_words words = words_of(bench);
    uint64_t begun = cost_thread_ns();
    (void)game_world.advance(bench->world, bench->now, &words);
    uint64_t told = cost_thread_ns();
    make_frames(bench, &words);
    uint64_t framed = cost_thread_ns();
    bench->encodes += words.count;
    bench->watched += bench->world->grid.watched_count;
    note_updates(bench, &words);
    uint64_t between = cost_thread_ns();
    encode_for_each(bench, &words);
    bench->single_ns[number] = (double)(cost_thread_ns() - between);
    bench->tick_ns[number] = (double)(told - begun);
    bench->frame_ns[number] = (double)(framed - told);
}

static void print_row(const char *what, const double *ns, uint32_t count)
{
    printf("%-44s %8.2f %8.2f %8.2f\n", what, sample_median(ns, count) / 1e6,
           sample_quantile(ns, count, 0.99) / 1e6, sample_quantile(ns, count, 0.999) / 1e6);
}

static void print_results(const struct bench *bench)
{
    double ticks = bench->ticks;
    printf("%u players, %u walkers, %u ticks%s\n", bench->players, bench->walkers, bench->ticks,
           bench->crowd ? ", all players in one cell" : "");
    printf("%-44s %8s %8s %8s\n", "CPU of a tick, ms", "median", "p99", "p99.9");
    print_row("moves, who sees whom, all that is said", bench->tick_ns, bench->ticks);
    print_row("and its frames", bench->frame_ns, bench->ticks);
    print_row("updates encoded for each player, instead", bench->single_ns, bench->ticks);
    printf("cells that somebody sees %.1f, encodes %.1f, %.0f KiB a tick\n",
           (double)bench->watched / ticks, (double)bench->encodes / ticks,
           (double)bench->bytes / ticks / 1024);
    printf("an update: %.1f KiB\n",
           (double)bench->update_bytes / (double)(bench->updates + !bench->updates) / 1024);
}

static void write_figures(const char *name, const double *ns, uint32_t count)
{
    printf("  \"%s\": {\"median\": %.0f, \"p99\": %.0f},\n", name, sample_median(ns, count),
           sample_quantile(ns, count, 0.99));
}

static void write_json(const struct bench *bench)
{
    double ticks = bench->ticks;
    printf("{\n  \"players\": %u,\n  \"walkers\": %u,\n  \"ticks\": %u,\n", bench->players,
           bench->walkers, bench->ticks);
    write_figures("tick_ns", bench->tick_ns, bench->ticks);
    write_figures("frames_ns", bench->frame_ns, bench->ticks);
    write_figures("single_ns", bench->single_ns, bench->ticks);
    printf("  \"cells\": %.1f,\n  \"encodes\": %.1f,\n  \"update_bytes\": %.1f\n}\n",
           (double)bench->watched / ticks, (double)bench->encodes / ticks,
           (double)bench->update_bytes / (double)(bench->updates + !bench->updates));
}

/* ---- the command ---- */

static const char help[] = "usage: micro world [OPTION]...\n"
                           "  --players N   who see (2000)\n"
                           "  --walkers N   who are only seen (8000)\n"
                           "  --ticks N     how many are measured (400)\n"
                           "  --crowd       all players stand in one cell\n"
                           "  --world FILE  the world (the one that is built in)\n"
                           "  --json        the figures as JSON\n";

static uint32_t number_of(const char *text, uint32_t least, uint32_t most)
{
    uint64_t number;
    if (!text_to_u64(text_of(text), &number) || number < least || number > most)
        give_up("a number is out of its range; see --help");
    return (uint32_t)number;
}

int world_main(int argc, char **argv)
{
    static const struct option options[] = {{"players", required_argument, nullptr, 'p'},
                                            {"walkers", required_argument, nullptr, 'w'},
                                            {"ticks", required_argument, nullptr, 't'},
                                            {"crowd", no_argument, nullptr, 'c'},
                                            {"world", required_argument, nullptr, 'f'},
                                            {"json", no_argument, nullptr, 'j'},
                                            {}};
    static struct bench bench = {.players = 2000, .walkers = 8000, .ticks = 400, .chance = {1}};
    for (int option; (option = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (option == 'p')
            bench.players = number_of(optarg, 1, 30'000);
        else if (option == 'w')
            bench.walkers = number_of(optarg, 0, 30'000);
        else if (option == 't')
            bench.ticks = number_of(optarg, 10, 1'000'000);
        else if (option == 'c')
            bench.crowd = true;
        else if (option == 'f')
            bench.file = optarg;
        else if (option == 'j')
            bench.json = true;
        else {
            fputs(help, stderr);
            return 2;
        }
    }
    cost_pin(cost_cores_pick().server);
    bench.now = (struct game_time){.ms = 1000, .ns = 1'000'000'000, .wall_ms = 1'790'000'000'000};
    open_world(&bench);
    for (uint32_t i = 0; i < bench.players; i++)
        seat(&bench, i);
    constexpr uint32_t warm = 20; /* the first ones tell everybody of everybody */
    uint32_t ticks = bench.ticks;
    for (uint32_t i = 0; i < warm; i++)
        tick(&bench, 0);
    bench.encodes = bench.watched = bench.bytes = bench.updates = bench.update_bytes = 0;
    for (uint32_t i = 0; i < ticks; i++)
        tick(&bench, i);
    bench.json ? write_json(&bench) : print_results(&bench);
    arena_close(&bench.arena);
    return 0;
}
