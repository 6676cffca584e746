/* game/kart.c: a race dashboard: phase, pot and clock, shown whole to everyone (THREATS.md S0).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *           start          45 s            5 s           120 s            15 s
 *     IDLE -------> STAGING -----> IGNITION -----> RACING -----> COOLDOWN -----> IDLE
 *                      ^    finish: from these three to COOLDOWN    |
 *                      +--------------------------------------------+ with autostart
 *
 * A phase begins when the one before it ended, not when somebody noticed: late ticks never add up.
 *
 * The pot is won when its race reaches COOLDOWN. It stays on show until the next race begins, which
 * starts from 0. A race that is called off before that leaves its pot to the next one; and what the
 * host puts on show while IDLE is the next race's. */
#include "game/games.h"
#include <assert.h>
#include <stdckdint.h>

enum kart_phase : uint8_t { KART_IDLE, KART_STAGING, KART_IGNITION, KART_RACING, KART_COOLDOWN };
constexpr size_t kart_phases = 5;

/* What the state says, and how long it lasts; 0: no clock, it lasts until the host ends it. */
static const struct {
    struct text name;
    uint32_t length_ms;
} phases[kart_phases] = {
    [KART_IDLE] = {TEXT("idle"), 0},
    [KART_STAGING] = {TEXT("staging"), 45 * 1000},
    [KART_IGNITION] = {TEXT("ignition"), 5 * 1000},
    [KART_RACING] = {TEXT("racing"), 120 * 1000},
    [KART_COOLDOWN] = {TEXT("cooldown"), 15 * 1000},
};
constexpr uint64_t kart_race_ms = (45 + 5 + 120 + 15) * 1000; /* staging to staging */

constexpr int64_t kart_pot_max = (1ll << 53) - 1; /* cents; exact in every JSON reader */
constexpr int64_t kart_clock_max_s = 24 * 60 * 60;

struct kart {
    const struct game_options *options;
    int64_t pot; /* cents: 0 to kart_pot_max */
    /* When the phase ends; means nothing while paused or where there is no clock. */
    uint64_t ends_ms;
    uint64_t left_ms; /* of a paused clock */
    enum kart_phase phase;
    bool paused;
    bool pot_is_won; /* the pot is that of a race that is over */
};

static bool kart_has_clock(const struct kart *kart)
{
    return phases[kart->phase].length_ms > 0;
}

static bool kart_in_race(const struct kart *kart)
{
    return kart->phase == KART_STAGING || kart->phase == KART_IGNITION ||
           kart->phase == KART_RACING;
}

static uint64_t kart_left_ms(const struct kart *kart, struct game_time now)
{
    if (!kart_has_clock(kart)) return 0;
    if (kart->paused) return kart->left_ms;
    return kart->ends_ms > now.ms ? kart->ends_ms - now.ms : 0;
}

static void kart_enter(struct kart *kart, enum kart_phase phase, uint64_t start_ms)
{
    kart->phase = phase;
    kart->paused = false;
    kart->ends_ms = start_ms + phases[phase].length_ms;
    if (phase == KART_COOLDOWN) kart->pot_is_won = true;
    if (kart_in_race(kart) && kart->pot_is_won) {
        kart->pot = 0;
        kart->pot_is_won = false;
    }
}

static enum kart_phase kart_next_phase(const struct kart *kart)
{
    if (kart->phase != KART_COOLDOWN) return kart->phase + 1;
    return kart->options->autostart ? KART_STAGING : KART_IDLE;
}

/* With autostart races repeat for ever, and each leaves everything as the one before left it: a
 * leap over many of them costs no more than one over two. */
static void kart_skip_races(struct kart *kart, uint64_t late_ms)
{
    if (!kart->options->autostart || late_ms < 2 * kart_race_ms) return;
    kart->ends_ms += (late_ms / kart_race_ms - 1) * kart_race_ms;
}

static bool kart_advance(void *state, struct game_time now, struct game_words *)
{
    struct kart *kart = state;
    if (!kart_has_clock(kart) || kart->paused || kart->ends_ms > now.ms) return false;
    kart_skip_races(kart, now.ms - kart->ends_ms);
    while (kart_has_clock(kart) && kart->ends_ms <= now.ms)
        kart_enter(kart, kart_next_phase(kart), kart->ends_ms);
    return true;
}

static void kart_open(void *state, const struct game_opening *opening) // no chance in it
{
    struct kart *kart = state;
    kart->options = opening->options;
    kart_enter(kart, kart->options->autostart ? KART_STAGING : KART_IDLE, opening->now.ms);
}

static enum game_answer kart_set_pot(struct kart *kart, int64_t pot, struct writer *reply)
{
    if (pot < 0) {
        write_text(reply, TEXT("The pot cannot be less than 0."));
        return GAME_REFUSED;
    }
    if (pot > kart_pot_max) {
        write_text(reply, TEXT("The pot cannot be more than 9007199254740991 cents."));
        return GAME_REFUSED;
    }
    if (kart->phase == KART_IDLE) kart->pot_is_won = false;
    if (kart->pot == pot) return GAME_UNCHANGED;
    kart->pot = pot;
    return GAME_DONE;
}

static enum game_answer host_bonus(struct kart *kart, struct text argument, struct game_time,
                                   struct writer *reply)
{
    int64_t bonus, pot;
    if (!text_to_i64(argument, &bonus)) return GAME_NOT_UNDERSTOOD;
    if (ckd_add(&pot, kart->pot, bonus)) pot = INT64_MAX; // the pot is not negative: only upwards
    return kart_set_pot(kart, pot, reply);
}

static enum game_answer host_pot(struct kart *kart, struct text argument, struct game_time,
                                 struct writer *reply)
{
    int64_t pot;
    if (!text_to_i64(argument, &pot)) return GAME_NOT_UNDERSTOOD;
    return kart_set_pot(kart, pot, reply);
}

static enum game_answer host_start(struct kart *kart, struct text, struct game_time now,
                                   struct writer *)
{
    if (kart_in_race(kart)) return GAME_UNCHANGED;
    kart_enter(kart, KART_STAGING, now.ms);
    return GAME_DONE;
}

static enum game_answer host_finish(struct kart *kart, struct text, struct game_time now,
                                    struct writer *reply)
{
    if (!kart_in_race(kart)) {
        write_text(reply, TEXT("No race is on."));
        return GAME_REFUSED;
    }
    kart_enter(kart, KART_COOLDOWN, now.ms);
    return GAME_DONE;
}

static enum game_answer host_reset(struct kart *kart, struct text, struct game_time now,
                                   struct writer *)
{
    bool was_so = kart->phase == KART_IDLE && kart->pot == 0;
    kart_enter(kart, KART_IDLE, now.ms);
    kart->pot = 0;
    kart->pot_is_won = false;
    return was_so ? GAME_UNCHANGED : GAME_DONE;
}

static enum game_answer host_phase(struct kart *kart, struct text argument, struct game_time now,
                                   struct writer *)
{
    for (size_t i = 0; i < kart_phases; i++) {
        if (!text_equal(argument, phases[i].name)) continue;
        if (i == KART_IDLE && kart->phase == KART_IDLE) return GAME_UNCHANGED;
        kart_enter(kart, (enum kart_phase)i, now.ms);
        return GAME_DONE;
    }
    return GAME_NOT_UNDERSTOOD;
}

/* The three commands about the clock need one. */
static enum game_answer kart_refuse_clock(struct writer *reply)
{
    write_text(reply, TEXT("This phase has no clock."));
    return GAME_REFUSED;
}

static enum game_answer host_pause(struct kart *kart, struct text, struct game_time now,
                                   struct writer *reply)
{
    if (!kart_has_clock(kart)) return kart_refuse_clock(reply);
    if (kart->paused) return GAME_UNCHANGED;
    kart->left_ms = kart_left_ms(kart, now);
    kart->paused = true;
    return GAME_DONE;
}

static enum game_answer host_resume(struct kart *kart, struct text, struct game_time now,
                                    struct writer *reply)
{
    if (!kart_has_clock(kart)) return kart_refuse_clock(reply);
    if (!kart->paused) return GAME_UNCHANGED;
    kart->ends_ms = now.ms + kart->left_ms;
    kart->paused = false;
    return GAME_DONE;
}

static enum game_answer host_extend(struct kart *kart, struct text argument, struct game_time now,
                                    struct writer *reply)
{
    int64_t seconds;
    if (!text_to_i64(argument, &seconds)) return GAME_NOT_UNDERSTOOD;
    if (!kart_has_clock(kart)) return kart_refuse_clock(reply);
    int64_t left_ms = (int64_t)kart_left_ms(kart, now);
    if (seconds > kart_clock_max_s || seconds < -kart_clock_max_s ||
        left_ms + seconds * 1000 > kart_clock_max_s * 1000) {
        write_text(reply, TEXT("A clock cannot hold more than 86400 seconds."));
        return GAME_REFUSED;
    }
    if (seconds == 0) return GAME_UNCHANGED;
    left_ms += seconds * 1000;
    kart->left_ms = left_ms > 0 ? (uint64_t)left_ms : 0; // at 0 the next advance ends the phase
    kart->ends_ms = now.ms + kart->left_ms;
    return GAME_DONE;
}

static void write_help(struct writer *reply);

static enum game_answer host_help(struct kart *, struct text, struct game_time,
                                  struct writer *reply)
{
    write_help(reply);
    return GAME_UNCHANGED;
}

/* What a host may say after "/host". A command with an argument takes exactly one word, the others
 * none. */
static const struct {
    struct text name;
    struct text argument; /* as help shows it; empty: it takes none */
    enum game_answer (*run)(struct kart *, struct text, struct game_time, struct writer *);
} commands[] = {
    {TEXT("start"), {}, host_start},
    {TEXT("finish"), {}, host_finish},
    {TEXT("reset"), {}, host_reset},
    {TEXT("phase"), TEXT(" idle|staging|ignition|racing|cooldown"), host_phase},
    {TEXT("bonus"), TEXT(" CENTS"), host_bonus},
    {TEXT("pot"), TEXT(" CENTS"), host_pot},
    {TEXT("pause"), {}, host_pause},
    {TEXT("resume"), {}, host_resume},
    {TEXT("extend"), TEXT(" SECONDS"), host_extend},
    {TEXT("help"), {}, host_help},
};
constexpr size_t command_count = sizeof(commands) / sizeof(commands[0]);

static void write_help(struct writer *reply)
{
    write_text(reply, TEXT("Understood: "));
    for (size_t i = 0; i < command_count; i++) {
        if (i > 0) write_text(reply, TEXT(", "));
        write_text(reply, TEXT("/host "));
        write_text(reply, commands[i].name);
        write_text(reply, commands[i].argument);
    }
    write_text(reply, TEXT("."));
}

/* Takes the next word off the line; empty at its end. */
static struct text take_word(struct text *line)
{
    while (line->size > 0 && line->data[0] == ' ')
        *line = text_skip(*line, 1);
    if (line->size == 0) return (struct text){};
    struct text word = {.data = line->data};
    while (word.size < line->size && line->data[word.size] != ' ')
        word.size += 1;
    *line = text_skip(*line, word.size);
    return word;
}

static enum game_answer run_command(struct kart *kart, struct text line, struct game_time now,
                                    struct writer *reply)
{
    if (!text_equal(take_word(&line), TEXT("/host"))) return GAME_NOT_UNDERSTOOD;
    struct text name = take_word(&line);
    struct text argument = take_word(&line);
    if (take_word(&line).size > 0) return GAME_NOT_UNDERSTOOD;
    for (size_t i = 0; i < command_count; i++) {
        if (!text_equal(name, commands[i].name)) continue;
        bool fits = (argument.size > 0) == (commands[i].argument.size > 0);
        return fits ? commands[i].run(kart, argument, now, reply) : GAME_NOT_UNDERSTOOD;
    }
    return GAME_NOT_UNDERSTOOD;
}

static enum game_answer kart_command(void *state, struct text command, struct game_time now,
                                     struct writer *reply)
{
    enum game_answer answer = run_command(state, text_trim(command), now, reply);
    if (answer == GAME_NOT_UNDERSTOOD) write_help(reply);
    return answer;
}

/* Ends the object; before that, "pad" makes the whole `size` bytes long. A state that is too long
 * for even an empty pad goes without. */
static void write_pad_and_end(struct writer *out, size_t start, uint32_t size)
{
    constexpr size_t pad_size_min = sizeof(",\"pad\":\"\"}") - 1;
    size_t used = out->size - start;
    if (size >= used + pad_size_min) {
        write_text(out, TEXT(",\"pad\":\""));
        write_fill(out, 'x', size - used - pad_size_min);
        write_text(out, TEXT("\""));
    }
    write_text(out, TEXT("}"));
}

static void kart_snapshot(const void *state, const struct game_view *view, struct writer *out)
{
    const struct kart *kart = state;
    assert(kart->pot >= 0 && kart->pot <= kart_pot_max);
    size_t start = out->size;
    write_text(out, TEXT("{\"phase\":\""));
    write_text(out, phases[kart->phase].name);
    write_text(out, TEXT("\",\"pot\":"));
    write_i64(out, kart->pot);
    write_text(out, TEXT(",\"time_remaining_ms\":"));
    write_u64(out, kart_left_ms(kart, view->now));
    if (kart->options->stamp) {
        write_text(out, TEXT(",\"t\":"));
        write_u64(out, view->now.ns);
        write_text(out, TEXT(",\"s\":"));
        write_u64(out, view->sequence);
    }
    write_pad_and_end(out, start, kart->options->payload_size);
}

const struct game game_kart = {
    .name = "kart",
    .protocol = TEXT("ringcast.bare"),
    .state_size = sizeof(struct kart),
    .message_size_max = 4096, /* a phone says at most that it is ready; S0-17 */
    .open = kart_open,
    .advance = kart_advance,
    .command = kart_command,
    .help = write_help,
    .snapshot = kart_snapshot,
};
