#include "sim_run.h"
#include <stdarg.h>
#include <stdio.h>

static uint32_t below(struct random *random, uint32_t bound)
{
    return (uint32_t)random_below(random, bound);
}

[[gnu::format(printf, 2, 3)]] static void add(struct plan *plan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(plan->words[plan->word_count], sizeof plan->words[0], format, arguments);
    va_end(arguments);
    plan->word_pointers[plan->word_count] = plan->words[plan->word_count];
    plan->word_count += 1;
}

static uint32_t one_of(struct random *random, const uint32_t *values, uint32_t count)
{
    return values[below(random, count)];
}
#define ONE_OF(random, ...)                           \
    one_of((random), (const uint32_t[]){__VA_ARGS__}, \
           sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Half of all runs know nothing of a fault; the others from one in a thousand to one in five. */
static uint32_t chance(struct random *random)
{
    return below(random, 2) == 0 ? 0 : ONE_OF(random, 60, 600, 3000, 13'000);
}

static void draw_faults(struct plan *plan, struct random *random)
{
    plan->sim.faults = (struct sim_faults){
        .split = 2 * chance(random),
        .short_send = 2 * chance(random),
        .short_now = chance(random),
        .no_buffers = chance(random),
        .ends = chance(random),
        .submit_none = chance(random),
        .submit_fewer = chance(random),
        .accept_fails = chance(random),
        .reset_loses = chance(random),
        .late_cancel = 3 * chance(random),
        .spurious_wake = chance(random),
        .few_events = 2 * chance(random),
        .log_fails = chance(random),
        .hiccup = chance(random) / 8,
        .hiccup_us_max = ONE_OF(random, 1000, 50'000, 800'000),
        .complete_us_max = ONE_OF(random, 1, 20, 500, 5000),
    };
    if (below(random, 8) == 0)
        plan->sim.faults = (struct sim_faults){.complete_us_max = 20, .hiccup_us_max = 1};
    plan->sim.entries = ONE_OF(random, 0, 0, 8, 32, 128);
    plan->sim.completions = ONE_OF(random, 0, 0, 0, 4, 16, 64);
    plan->sim.receive_buffers = ONE_OF(random, 0, 0, 1, 2, 8, 32);
    plan->sim.in_size = ONE_OF(random, 700, 4096, 16'384, 65'536);
    plan->sim.out_size = ONE_OF(random, 200, 2048, 16'384, 65'536, 65'536);
}

static void draw_limits(struct plan *plan, struct random *random)
{
    add(plan, "--connections=%u", ONE_OF(random, 4, 12, 64, 200));
    add(plan, "--rooms=%u", ONE_OF(random, 1, 4, 64));
    add(plan, "--address-connections=%u", ONE_OF(random, 0, 3, 100));
    add(plan, "--address-handshakes=%u", ONE_OF(random, 0, 5, 200));
    add(plan, "--address-acquires=%u", ONE_OF(random, 0, 1, 10));
    add(plan, "--address-rooms=%u", ONE_OF(random, 0, 1, 64));
    add(plan, "--message-rate=%u", ONE_OF(random, 0, 5, 50));
    add(plan, "--control-rate=%u", ONE_OF(random, 5, 50));
    add(plan, "--frame-memory=%u", ONE_OF(random, 1'048'576, 4'194'304, 67'108'864));
}

static void draw_times(struct plan *plan, struct random *random)
{
    add(plan, "--ping=%u", ONE_OF(random, 500, 2000, 25'000));
    add(plan, "--pong=%u", ONE_OF(random, 500, 2000, 10'000));
    add(plan, "--handshake=%u", ONE_OF(random, 500, 5000));
    add(plan, "--message=%u", ONE_OF(random, 500, 5000));
    add(plan, "--drain=%u", ONE_OF(random, 300, 3000, 10'000));
    add(plan, "--vote-lobby=%u", ONE_OF(random, 2000, 300'000));
    add(plan, "--vote-voting=%u", ONE_OF(random, 1000, 300'000));
}

/* By dice of its own: what else a seed draws stays as it was. */
static void draw_waits(struct plan *plan)
{
    struct random random = {.state = plan->sim.seed ^ 0x11A6E5};
    add(plan, "--flush-window=%uus", ONE_OF(&random, 0, 0, 500, 5000, 40'000));
    add(plan, "--flush-load=%u", ONE_OF(&random, 0, 0, 1, 50));
    add(plan, "--wake-batch=%uus", ONE_OF(&random, 0, 0, 50, 250, 2000));
}

static void draw_avalon(struct plan *plan, struct random *random)
{
    add(plan, "--avalon-players=%u", ONE_OF(random, 2, 4, 10, 10));
    add(plan, "--avalon-chat=%u", ONE_OF(random, 20, 500));
    add(plan, "--avalon-chat-echo=%s", below(random, 4) > 0 ? "on" : "off");
    add(plan, "--avalon-token=%u", ONE_OF(random, 3000, 20'000, 14'400'000));
    add(plan, "--avalon-unclaimed=%u", ONE_OF(random, 500, 120'000));
    add(plan, "--avalon-leave=%u", ONE_OF(random, 0, 500, 5000));
    add(plan, "--avalon-empty=%u", ONE_OF(random, 500, 300'000));
    add(plan, "--avalon-auth-fail=%s", below(random, 2) == 0 ? "http" : "close");
}

static void draw_games(struct plan *plan, struct random *random)
{
    add(plan, "--lobby=%s", below(random, 5) > 0 ? "on" : "off");
    add(plan, "--lobby-people=%u", ONE_OF(random, 2, 5, 16));
    add(plan, "--lobby-leave=%u", ONE_OF(random, 0, 500, 5000));
    add(plan, "--lobby-seat=%u", ONE_OF(random, 0, 1000, 60'000));
    add(plan, "--lobby-empty=%u", ONE_OF(random, 500, 300'000, 300'000));
    add(plan, "--relay-leave=%u", ONE_OF(random, 0, 500, 5000));
    add(plan, "--relay-empty=%u", ONE_OF(random, 500, 300'000, 300'000));
    add(plan, "--lobby-auth-fail=%s", below(random, 2) == 0 ? "http" : "close");
}

static void draw_echo(struct plan *plan, struct random *random)
{
    add(plan, "--enable-echo");
    add(plan, "--echo-message=%u", ONE_OF(random, 1024, 8192, 1'048'576));
    add(plan, "--echo-memory=%u", ONE_OF(random, 1'048'576, 4'194'304, 67'108'864));
    add(plan, "--echo-deflate=%s", below(random, 2) == 0 ? "on" : "off");
    add(plan, "--kart-deflate=%s", below(random, 3) == 0 ? "on" : "off");
    add(plan, "--vote-deflate=%s", below(random, 3) == 0 ? "on" : "off");
    add(plan, "--deflate-threshold=%u", ONE_OF(random, 0, 100, 512));
}

/* It ticks often: only where somebody comes. */
static void draw_world(struct plan *plan, struct random *random)
{
    if (plan->roles[ROLE_WORLD] == 0) return;
    add(plan, "--world-listen=127.0.0.1:8090");
    add(plan, "--world-players=%u", ONE_OF(random, 3, 64));
    add(plan, "--world-unauthenticated=%u", ONE_OF(random, 2, 64));
    add(plan, "--world-auth=%u", ONE_OF(random, 1000, 5000));
    add(plan, "--world-leave=%u", ONE_OF(random, 0, 500, 5000));
    add(plan, "--world-walkers=0");
    add(plan, "--world-deflate=%s", below(random, 2) == 0 ? "on" : "off");
}

/* What all kinds have whose members show a token. */
static void draw_people(struct plan *plan, struct random *random)
{
    add(plan, "--jwt-leeway=%u", ONE_OF(random, 0, 2000, 30'000));
    add(plan, "--token-warning=%u", ONE_OF(random, 0, 1000, 60'000));
    add(plan, "--chat-rate=%u", ONE_OF(random, 0, 1, 5));
    add(plan, "--room-chat-rate=%u", ONE_OF(random, 0, 3, 30));
    add(plan, "--state-rate=%u", ONE_OF(random, 0, 400, 4096));
    draw_avalon(plan, random);
    draw_games(plan, random);
}

/* Few kinds at once, so that there are many of each. */
static void draw_roles(struct plan *plan, struct random *random)
{
    for (uint32_t i = 0; i < ROLE_AVALON; i++)
        plan->roles[i] = below(random, 4) == 0 ? 0 : 1 + below(random, 8);
    for (uint32_t i = ROLE_AVALON; i < roles; i++)
        plan->roles[i] = below(random, 3) == 0 ? 4 + below(random, 16) : 0;
    if (plan->roles[ROLE_BACKEND] > 0) plan->roles[ROLE_GAME] += 8;
}

static void draw_config(struct plan *plan, struct random *random)
{
    static const char *const policies[] = {"conflate", "conflate", "close", "drop_oldest",
                                           "drop_newest"};
    char memory[256];
    struct writer why = writer_over(memory, sizeof memory);
    plan->word_count = 0;
    add(plan, "--workers=%u", ONE_OF(random, 1, 1, 2, 3, 4));
    add(plan, "--kart-tick=%u", ONE_OF(random, 20, 100, 500, 500));
    add(plan, "--kart-slow=%s", policies[below(random, 5)]);
    add(plan, "--kart-payload=%u", ONE_OF(random, 0, 0, 300, 3000, 30'000));
    add(plan, "--kart-stamp=on");
    add(plan, "--kart-autostart=%s", below(random, 2) == 0 ? "on" : "off");
    add(plan, "--fast-path=%s", below(random, 4) > 0 ? "on" : "off");
    draw_waits(plan);
    add(plan, "--limit-exempt=10.9.0.0/16");
    add(plan, "--admin-host=sim");
    add(plan, "--log-level=%s", below(random, 2) == 0 ? "debug" : "warn");
    draw_limits(plan, random);
    draw_times(plan, random);
    draw_people(plan, random);
    draw_echo(plan, random);
    draw_world(plan, random);
    static char key[] = "RINGCAST_API_KEY=key";
    static char secret[] = "RINGCAST_JWT_SECRET=" sim_secret;
    static char *environment[] = {key, secret, nullptr};
    if (!config_read(&plan->config, plan->word_count, plan->word_pointers, environment, &why)) {
        fprintf(stderr, "sim: the plan is wrong: %.*s\n", (int)why.size, memory);
        __builtin_trap();
    }
    plan->config.log_format = LOG_FORMAT_LOGFMT;
}

static void draw_shortages(struct plan *plan, struct random *random)
{
    plan->sim.faults.shortage_us_max = ONE_OF(random, 0, 2000, 20'000, 200'000);
    plan->sim.faults.cancel_us_max = ONE_OF(random, 0, 20, 5000, 50'000);
    if (below(random, 4) > 0) return;
    plan->squeeze_ns = 1 + random_below(random, plan->chaos_ns);
    plan->squeeze_end_ns = plan->squeeze_ns + random_below(random, 5 * second_ns);
    plan->squeezes = (uint32_t)random_u64(random) & (uint32_t)random_u64(random);
    plan->squeeze_spare = ONE_OF(random, 0, 0, 1, 3);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct random random = {.state = seed ^ 0x5EED};
    *plan = (struct plan){.sim.seed = seed};
    draw_faults(plan, &random);
    draw_roles(plan, &random);
    draw_config(plan, &random);
    /* A large state through a small pipe takes very many steps. */
    if (plan->config.kart_payload > 1000 && plan->sim.out_size < 2048) plan->sim.out_size = 2048;
    plan->clients = 1 + below(&random, clients_max);
    plan->chaos_ns = (uint64_t)ONE_OF(&random, 2, 6, 15, 40) * second_ns;
    /* Fast ticks make much to do: not for long. */
    bool often = plan->config.kart_tick_ms < 100 || plan->config.world_listen.port != 0;
    if (often && plan->chaos_ns > 6 * second_ns) plan->chaos_ns = 6 * second_ns;
    if (plan->config.kart_tick_ms < 100) plan->chaos_ns = 3 * second_ns;
    plan->misery = ONE_OF(&random, 0, 6000, 30'000, 60'000);
    plan->roles[ROLE_KART] += 1;
    if (below(&random, 4) == 0) plan->drain_ns = 1 + random_below(&random, plan->chaos_ns);
    if (below(&random, 3) == 0) {
        plan->jump_ns = 1 + random_below(&random, plan->chaos_ns);
        plan->jump_ms = (int64_t)below(&random, 7'200'000) - 3'600'000;
    }
    draw_shortages(plan, &random);
}
