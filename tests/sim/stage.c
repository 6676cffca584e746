#include "game/world_map.h"
#include "hub/tokens.h"
#include "sim_run.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

/* A worker as a coroutine: it runs until it waits, on a stack of its own. */
struct actor {
    ucontext_t context;
    struct run *run;
    struct worker *worker;
    void *stack;
    int code;
    bool started, ended;
};

constexpr size_t stack_size = 512 * 1024;
constexpr uint32_t director = clients_max; /* a timer behind those of the clients */
constexpr uint32_t turns_a_look = 8;       /* the judge looks at a worker so often */

static ucontext_t stage;
static struct actor actors[sim_rings_max];

/* --- Failing ---------------------------------------------------------------------------------- */

void run_fail(struct run *run, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "sim: seed 0x%llx at %.6f s: ", (unsigned long long)run->seed,
            (double)sim_now_ns(run->sim) / 1e9);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort(); /* main.c says how to see it again */
}

static void fail(void *context, const char *sentence)
{
    run_fail(context, "%s", sentence);
}

static void trace(void *, const char *line)
{
    puts(line);
}

/* --- Workers ---------------------------------------------------------------------------------- */

static void pause_worker(void *, uint32_t ring)
{
    swapcontext(&actors[ring].context, &stage);
}

static void live(uint32_t index)
{
    struct actor *actor = &actors[index];
    actor->code = worker_start(actor->worker);
    actor->started = true;
    if (actor->code == 0) actor->code = worker_run(actor->worker);
    actor->ended = true;
    actor->run->running -= 1;
    swapcontext(&actor->context, &stage);
}

static void resume(struct run *run, uint32_t index)
{
    struct actor *actor = &actors[index];
    swapcontext(&stage, &actor->context);
    run->turns += 1;
    bool looks = actor->started && !actor->ended && actor->worker->phase != WORKER_STOPPED;
    if (looks) judge_turn(run, actor->worker);
    if (looks && run->turns % turns_a_look == 0) judge_worker(run, actor->worker);
}

static void start_worker(struct run *run, uint32_t index)
{
    struct actor *actor = &actors[index];
    void *stack = actor->stack;
    if (stack == nullptr)
        stack =
            mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *actor = (struct actor){.run = run, .worker = run->hub.workers[index], .stack = stack};
    getcontext(&actor->context);
    actor->context.uc_stack.ss_sp = stack;
    actor->context.uc_stack.ss_size = stack_size;
    makecontext(&actor->context, (void (*)(void))live, 1, index);
    run->running += 1;
    resume(run, index);
}

/* The world, where there is one. */
static void ready_world(struct run *run)
{
    static struct world_map map;
    static uint8_t json[json_memory_per_byte * 2048 + json_memory_fixed];
    char memory[512];
    struct writer problem = writer_over(memory, sizeof memory);
    struct bytes scratch = {json, sizeof json};
    if (run->plan.config.world_listen.port == 0) return;
    map = (struct world_map){};
    bool read = world_map_read(&map, client_world_text(), scratch, &problem);
    MUST(run, read, "the world: %.*s", (int)problem.size, memory);
    run->plan.config.world = &map;
}

static void make_hub(struct run *run)
{
    struct hash_key key = {random_u64(&run->random), random_u64(&run->random)};
    memset(&run->hub, 0, sizeof run->hub);
    ready_world(run);
    char memory[512];
    struct writer why = writer_over(memory, sizeof memory);
    bool made = tokens_load_keys(&run->hub.key_sets[0].keys, &run->plan.config, &why) &&
                hub_init(&run->hub, &run->plan.config, key);
    run->hub.reserve_ring = ring_reserve_sim;
    for (uint32_t i = 0; made && i < run->hub.worker_count; i++) {
        run->hub.workers[i] = worker_make(&run->hub, i);
        made = run->hub.workers[i] != nullptr;
    }
    MUST(run, made, "no memory");
}

static void free_hub(struct run *run)
{
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        worker_free(run->hub.workers[i]);
    hub_deinit(&run->hub);
}

/* --- What the seed has planned ---------------------------------------------------------------- */

static void drain(struct run *run)
{
    if (!run->draining) sim_note(run->sim, "SIGTERM");
    if (!run->draining) run->drained_ns = sim_now_ns(run->sim);
    run->draining = true;
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        MUST(run, hub_post(&run->hub, i, (struct mail){.kind = MAIL_DRAIN}), "a mailbox is full");
}

static void calm_down(struct run *run)
{
    struct plan *plan = &run->plan;
    sim_note(run->sim, "the faults are over");
    if (run->squeezed && plan->squeeze_end_ns > 0) squeeze_end(run);
    plan->squeeze_ns = plan->squeeze_end_ns = 0;
    run->calm = true;
    run->calm_ns = sim_now_ns(run->sim);
    sim_end_faults(run->sim);
    for (uint32_t i = 0; i < plan->clients; i++)
        client_calm(&run->clients[i]);
}

/* After the faults everybody has so long to see the newest state. */
static uint64_t patience_ns(const struct run *run)
{
    return 3 * second_ns + 2 * run->plan.config.kart_tick_ms * ms_ns;
}

/* 0: never. */
static uint64_t sooner(uint64_t next_ns, uint64_t other_ns)
{
    return other_ns > 0 && other_ns < next_ns ? other_ns : next_ns;
}

static void direct(struct run *run)
{
    struct plan *plan = &run->plan;
    uint64_t now_ns = sim_now_ns(run->sim) - second_ns, next_ns = UINT64_MAX;
    if (plan->jump_ns > 0 && now_ns >= plan->jump_ns) {
        sim_note(run->sim, "the wall clock leaps by %lld ms", (long long)plan->jump_ms);
        sim_jump_wall(run->sim, plan->jump_ms);
        plan->jump_ns = 0;
    }
    if (plan->squeeze_ns > 0 && now_ns >= plan->squeeze_ns) {
        plan->squeeze_ns = 0;
        squeeze_begin(run);
    }
    if (plan->squeeze_end_ns > 0 && now_ns >= plan->squeeze_end_ns) {
        plan->squeeze_end_ns = 0;
        squeeze_end(run);
    }
    if (plan->drain_ns > 0 && now_ns >= plan->drain_ns && !run->draining) drain(run);
    if (!run->draining && !run->calm && now_ns >= plan->chaos_ns) calm_down(run);
    uint64_t calm_for_ns = run->calm ? sim_now_ns(run->sim) - run->calm_ns : 0;
    if (run->calm && !run->marked && calm_for_ns + second_ns >= patience_ns(run)) rooms_mark(run);
    if (run->calm && !run->draining && calm_for_ns >= patience_ns(run)) {
        rooms_check_live(run);
        drain(run);
    }
    next_ns = sooner(next_ns, plan->jump_ns);
    next_ns = sooner(next_ns, plan->squeeze_ns);
    next_ns = sooner(next_ns, plan->squeeze_end_ns);
    if (!run->draining) next_ns = sooner(next_ns, plan->drain_ns);
    if (!run->draining && !run->calm) next_ns = sooner(next_ns, plan->chaos_ns);
    if (run->calm && !run->draining)
        next_ns = run->calm_ns + patience_ns(run) - (run->marked ? 1 : 2) * second_ns;
    sim_at(run->sim, director, next_ns == UINT64_MAX ? next_ns : next_ns + second_ns);
}

/* The drain's deadline is kept to a turn, where no fault holds workers up. */
static void check_deadline(struct run *run)
{
    uint64_t deadline_ns = run->drained_ns + (run->plan.config.drain_ms + 100) * ms_ns;
    if (!run->calm || !run->draining || sim_now_ns(run->sim) < deadline_ns) return;
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        MUST(run, actors[i].ended || run->hub.workers[i]->phase == WORKER_STOPPED,
             "worker %u drains beyond its deadline", i);
}

static void check_progress(struct run *run)
{
    check_deadline(run);
    uint64_t now_ns = sim_now_ns(run->sim);
    uint64_t slack_ns = (run->calm ? 5 : 15) * second_ns;
    MUST(run,
         !run->draining || now_ns < run->drained_ns + run->plan.config.drain_ms * ms_ns + slack_ns,
         "the drain does not end");
    MUST(run, sim_counts(run->sim)->happenings < 20'000'000, "it does not end");
}

static void play(struct run *run)
{
    while (run->running > 0) {
        struct sim_happening happening = sim_next(run->sim);
        MUST(run, happening.kind != SIM_NOTHING, "nothing will ever happen again");
        if (happening.kind == SIM_RUN)
            resume(run, happening.index);
        else if (happening.index == director)
            direct(run);
        else
            client_act(&run->clients[happening.index]);
        check_progress(run);
    }
}

static void begin(struct run *run)
{
    const struct sim_hooks hooks = {.context = run,
                                    .pause = pause_worker,
                                    .fail = fail,
                                    .trace = run->traces ? trace : nullptr};
    plan_draw(&run->plan, run->seed);
    run->random.state = run->seed ^ 0xC11E27;
    run->sim = sim_open(&run->plan.sim, &hooks);
    if (run->sim == nullptr) {
        fputs("sim: no memory\n", stderr);
        exit(1);
    }
    for (int i = 0; run->traces && i < run->plan.word_count; i++)
        printf("           %s\n", run->plan.words[i]);
    rooms_begin(run);
    client_begin(run);
    make_hub(run);
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        start_worker(run, i);
    for (uint32_t i = 0; i < run->plan.clients; i++)
        client_init(&run->clients[i], run, i);
    sim_at(run->sim, director, sim_now_ns(run->sim) + 1);
}

struct outcome run_seed(struct run *run, uint64_t seed, bool traces)
{
    int codes[sim_rings_max];
    memset(run, 0, offsetof(struct run, clients));
    run->seed = seed;
    run->traces = traces;
    run->action_count = run->running = 0;
    run->calm = run->marked = run->draining = run->squeezed = false;
    run->states_seen = run->messages = run->turns = run->acquires = 0;
    run->gap_count = 0;
    memset(run->encodings, 0, sizeof run->encodings);
    begin(run);
    play(run);
    for (uint32_t i = 0; i < run->hub.worker_count; i++)
        codes[i] = actors[i].code;
    judge_end(run, codes);
    struct outcome outcome = {.hash = sim_hash(run->sim),
                              .virtual_ns = sim_now_ns(run->sim),
                              .happenings = sim_counts(run->sim)->happenings,
                              .messages = run->messages};
    free_hub(run);
    return outcome;
}
