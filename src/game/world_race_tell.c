/* game/world_race_tell.c: what happens in races, put into words: for those who race, and what
 * everybody would see for those who are near, too. */
#include "game/world.h"
#include <assert.h>

/* How long a racer may move at once at go, whatever it has saved up during the countdown. */
constexpr uint64_t go_budget_ns = 250'000'000;

static const char *const event_names[] = {
    [WORLD_RACE_SAID_JOINED] = "joined",
    [WORLD_RACE_SAID_COUNTDOWN] = "countdown",
    [WORLD_RACE_SAID_GO] = "go",
    [WORLD_RACE_SAID_FALSE_START] = "false_start",
    [WORLD_RACE_SAID_CHECKPOINT] = "checkpoint",
    [WORLD_RACE_SAID_REJECTED] = "rejected",
    [WORLD_RACE_SAID_FINISH] = "finish",
    [WORLD_RACE_SAID_OUT] = "out",
    [WORLD_RACE_SAID_RESULTS] = "results",
};

static const char *const racer_names[] = {
    [WORLD_RACER_OUTSIDE] = "racing",      [WORLD_RACER_RUNNING] = "racing",
    [WORLD_RACER_FINISHED] = "finished",   [WORLD_RACER_LEFT] = "left",
    [WORLD_RACER_TIMED_OUT] = "timed_out",
};

/* --- For whom --------------------------------------------------------------------------------- */

static bool is_for_one(enum world_race_event_kind kind)
{
    return kind == WORLD_RACE_SAID_FALSE_START || kind == WORLD_RACE_SAID_REJECTED;
}

static bool is_for_racers(enum world_race_event_kind kind)
{
    return kind == WORLD_RACE_SAID_CHECKPOINT;
}

static struct text racer_id(const struct world *world, uint16_t race, uint32_t racer)
{
    const struct world_racer_id *id = &world->racer_ids[race][racer];
    return (struct text){id->data, id->size};
}

/* The racer's player; nullptr when it is gone, and its number perhaps another's. */
static struct world_player *player_of(struct world *world, uint16_t race, uint32_t racer)
{
    struct world_player *player = &world->players[world->races.races[race].players[racer]];
    bool is_there = world->races.races[race].racers[racer].state != WORLD_RACER_LEFT &&
                    player->is_taken &&
                    text_equal(world_player_id(player), racer_id(world, race, racer));
    return is_there ? player : nullptr;
}

static bool is_racer(struct world *world, uint16_t race, uint32_t number)
{
    for (uint32_t i = 0; i < world->races.races[race].racer_count; i++)
        if (player_of(world, race, i) == &world->players[number]) return true;
    return false;
}

static uint32_t add_member(const struct world *world, uint32_t player, enum world_dialect dialect,
                           uint32_t *members)
{
    uint32_t member = world->players[player].member;
    if (member == game_nobody || world_dialect_of(world, member) != dialect) return 0;
    *members = member;
    return 1;
}

/* Those who race: who takes part needs no telling that it does. */
static uint32_t add_racers(struct world *world, const struct world_race_event *event,
                           enum world_dialect dialect, uint32_t *members)
{
    const struct world_race *race = &world->races.races[event->race];
    uint32_t count = 0;
    for (uint32_t i = 0; i < race->racer_count; i++) {
        bool known = event->kind == WORLD_RACE_SAID_JOINED && race->players[i] == event->player;
        if (known || player_of(world, event->race, i) == nullptr) continue;
        count += add_member(world, race->players[i], dialect, members + count);
    }
    return count;
}

/* Where it happens: where the player is, else at the start. */
static struct world_point place_of(const struct world *world, const struct world_race *race,
                                   const struct world_race_event *event)
{
    bool is_common = event->kind == WORLD_RACE_SAID_COUNTDOWN ||
                     event->kind == WORLD_RACE_SAID_GO || event->kind == WORLD_RACE_SAID_RESULTS;
    return is_common ? world->map->routes[race->route].start
                     : world->players[event->player].motion.now.position;
}

static uint32_t add_onlookers(struct world *world, const struct world_race_event *event,
                              enum world_dialect dialect, uint32_t *members)
{
    struct world_point place = place_of(world, &world->races.races[event->race], event);
    uint32_t seen =
        world_grid_onlookers(&world->grid, world_grid_cell_at(&world->grid, place.x, place.z),
                             (uint8_t)dialect, members);
    uint32_t count = 0;
    for (uint32_t i = 0; i < seen; i++) /* shorter in place: players become their members */
        if (!is_racer(world, event->race, members[i]))
            count += add_member(world, members[i], dialect, members + count);
    return count;
}

static uint32_t audience(struct world *world, const struct world_race_event *event,
                         enum world_dialect dialect, uint32_t *members)
{
    if (is_for_one(event->kind)) return add_member(world, event->player, dialect, members);
    uint32_t count = add_racers(world, event, dialect, members);
    if (is_for_racers(event->kind)) return count;
    return count + add_onlookers(world, event, dialect, members + count);
}

/* --- In which words --------------------------------------------------------------------------- */

static void write_number(struct writer *out, const char *key, uint64_t value)
{
    write_text(out, TEXT(",\""));
    write_text(out, text_of(key));
    write_text(out, TEXT("\":"));
    write_u64(out, value);
}

static void write_results(struct writer *out, const struct world *world, uint16_t number)
{
    const struct world_race *race = &world->races.races[number];
    uint32_t order[world_racers_max], count = world_race_results(race, order);
    write_text(out, TEXT("\"results\":["));
    for (uint32_t i = 0; i < count; i++) {
        const struct world_racer *racer = &race->racers[order[i]];
        write_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        world_write_string(out, "playerId", racer_id(world, number, order[i]));
        write_byte(out, ',');
        world_write_string(out, "state", text_of(racer_names[racer->state]));
        if (racer->state == WORLD_RACER_FINISHED) {
            write_number(out, "place", racer->place);
            write_number(out, "timeMs", racer->time_ms);
        }
        write_byte(out, '}');
    }
    write_byte(out, ']');
}

static void write_data(struct writer *out, const struct world *world,
                       const struct world_race_event *event)
{
    switch (event->kind) {
    case WORLD_RACE_SAID_COUNTDOWN:
        write_text(out, TEXT("\"countdown\":"));
        write_u64(out, event->number);
        return;
    case WORLD_RACE_SAID_GO: return;
    case WORLD_RACE_SAID_RESULTS: write_results(out, world, event->race); return;
    default: break;
    }
    world_write_string(out, "playerId", world_player_id(&world->players[event->player]));
    switch (event->kind) {
    case WORLD_RACE_SAID_CHECKPOINT:
        write_number(out, "checkpoint", event->number);
        write_number(out, "lap", event->lap);
        write_number(out, "timeMs", event->time_ms);
        break;
    case WORLD_RACE_SAID_REJECTED:
        write_number(out, "checkpoint", event->number);
        write_byte(out, ',');
        world_write_string(out, "why", world_race_reason(event));
        break;
    case WORLD_RACE_SAID_FINISH:
        write_number(out, "place", event->place);
        write_number(out, "timeMs", event->time_ms);
        break;
    case WORLD_RACE_SAID_OUT:
        write_byte(out, ',');
        world_write_string(out, "why", text_of(racer_names[event->state]));
        break;
    default: break;
    }
}

static void write_event(struct writer *out, const struct world *world,
                        const struct world_race_event *event)
{
    const struct world_race *race = &world->races.races[event->race];
    world_write_string(out, "event", text_of(event_names[event->kind]));
    write_byte(out, ',');
    world_write_string(out, "routeId", world_name_text(&world->map->routes[race->route].id));
    write_number(out, "raceId", race->number);
    write_text(out, TEXT(",\"data\":{"));
    write_data(out, world, event);
    write_byte(out, '}');
}

static void tell(struct world *world, struct game_words *words,
                 const struct world_race_event *event)
{
    for (uint8_t i = 0; i < world_dialects; i++) {
        uint32_t *members = words_room(words, world->options->players_max + world_racers_max);
        uint32_t count = audience(world, event, (enum world_dialect)i, members);
        if (count == 0) continue;
        struct writer *out = words_begin_some(words, count, world_said_max);
        world_open_message(out, WORLD_SAY_RACE, (enum world_dialect)i);
        write_event(out, world, event);
        world_close_message(words);
    }
}

/* Those who stood still until go must not spend that time at once. */
static void let_go(struct world *world, uint16_t race, struct game_time now)
{
    for (uint32_t i = 0; i < world->races.races[race].racer_count; i++) {
        struct world_player *player = player_of(world, race, i);
        if (player != nullptr)
            world_motion_spend(&player->motion, world->map, go_budget_ns, now.ns);
    }
}

/* Until go racers come and leave, and all of them are there; from then on their numbers may become
 * others', and results are still their own. */
static void keep_ids(struct world *world, const struct world_race_event *event)
{
    const struct world_race *race = &world->races.races[event->race];
    for (uint32_t i = 0; i < race->racer_count; i++) {
        const struct world_player *player = &world->players[race->players[i]];
        struct world_racer_id *id = &world->racer_ids[event->race][i];
        id->size = player->id_size;
        memcpy(id->data, player->id, player->id_size);
    }
}

static bool is_before_go(enum world_race_event_kind kind)
{
    return kind == WORLD_RACE_SAID_JOINED || kind == WORLD_RACE_SAID_COUNTDOWN ||
           kind == WORLD_RACE_SAID_GO;
}

void world_tell_races(struct world *world, struct game_words *words, struct game_time now)
{
    for (uint32_t i = 0; i < world->events.count; i++) {
        const struct world_race_event *event = &world->events.items[i];
        if (is_before_go(event->kind)) keep_ids(world, event);
        if (event->kind == WORLD_RACE_SAID_GO) let_go(world, event->race, now);
        tell(world, words, event);
    }
    world->events.count = 0;
}
