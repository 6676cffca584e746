#include "game/world_race.h"
#include <assert.h>

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t millisecond_ns = 1'000'000;

static const struct world_route *route_of(const struct world_map *map,
                                          const struct world_race *race)
{
    return &map->routes[race->route];
}

static struct world_race_event *say(struct world_race_events *events,
                                    enum world_race_event_kind kind, uint16_t race, uint32_t player)
{
    assert(events->count < world_race_events_max);
    struct world_race_event *event = &events->items[events->count++];
    *event = (struct world_race_event){.kind = kind, .race = race, .player = player};
    return event;
}

struct text world_race_reason(const struct world_race_event *event)
{
    static const struct text rejections[] = {
        [WORLD_RACE_SKIPPED] = TEXT("skipped"),
        [WORLD_RACE_REPEATED] = TEXT("repeated"),
        [WORLD_RACE_REVERSED] = TEXT("reversed"),
    };
    if (event->kind == WORLD_RACE_SAID_FALSE_START) return TEXT("false_start");
    return event->kind == WORLD_RACE_SAID_REJECTED ? rejections[event->why] : (struct text){};
}

/* Times are said in milliseconds, rounded to the nearest. */
static uint32_t to_ms(uint64_t ns)
{
    return (uint32_t)((ns + millisecond_ns / 2) / millisecond_ns);
}

static bool is_on(const struct world_racer *racer)
{
    return racer->state == WORLD_RACER_OUTSIDE || racer->state == WORLD_RACER_RUNNING;
}

/* The racer's place in the race, or world_racers_max. Only who is still on counts as there. */
static uint32_t racer_find(const struct world_race *race, uint32_t player)
{
    for (uint32_t i = 0; i < race->racer_count; i++)
        if (race->players[i] == player && is_on(&race->racers[i])) return i;
    return world_racers_max;
}

uint16_t world_race_of(const struct world_races *races, uint32_t player)
{
    uint32_t left = races->active;
    for (uint16_t i = 0; i < world_races_max && left > 0; i++) {
        const struct world_race *race = &races->races[i];
        if (race->state == WORLD_RACE_FREE) continue;
        if (racer_find(race, player) < world_racers_max) return i;
        left -= 1;
    }
    return world_no_race;
}

static bool may_start(const struct world_map *map, uint32_t route, struct world_point position)
{
    const struct world_route *wanted = &map->routes[route];
    if (world_distance(position, wanted->start) <= wanted->start_radius) return true;
    for (uint32_t i = 0; i < map->kiosk_count; i++) {
        const struct world_kiosk *kiosk = &map->kiosks[i];
        if (kiosk->route == (int32_t)route &&
            world_distance(position, kiosk->position) <= kiosk->range)
            return true;
    }
    return false;
}

/* The race on the route that still counts down, or world_no_race. */
static uint16_t find_open(const struct world_races *races, uint32_t route)
{
    for (uint16_t i = 0; i < world_races_max; i++)
        if (races->races[i].state == WORLD_RACE_COUNTDOWN && races->races[i].route == route)
            return i;
    return world_no_race;
}

static uint16_t find_free(const struct world_races *races)
{
    for (uint16_t i = 0; i < world_races_max; i++)
        if (races->races[i].state == WORLD_RACE_FREE) return i;
    return world_no_race;
}

static void race_open(struct world_races *races, uint16_t index, const struct world_map *map,
                      uint32_t route, uint64_t now_ns)
{
    uint32_t seconds = map->routes[route].countdown_s;
    races->races[index] = (struct world_race){.state = WORLD_RACE_COUNTDOWN,
                                              .number = ++races->made,
                                              .route = route,
                                              .go_ns = now_ns + seconds * second_ns,
                                              .said_s = seconds + 1};
    races->active += 1;
}

/* Says the second that the countdown is at, unless it has been said. */
static void say_countdown(struct world_races *races, uint16_t index, uint64_t now_ns,
                          struct world_race_events *events)
{
    struct world_race *race = &races->races[index];
    assert(now_ns < race->go_ns); /* world_race_advance came first */
    uint32_t seconds = (uint32_t)((race->go_ns - now_ns + second_ns - 1) / second_ns);
    if (seconds >= race->said_s) return;
    race->said_s = seconds;
    say(events, WORLD_RACE_SAID_COUNTDOWN, index, 0)->number = seconds;
}

enum world_race_answer world_race_start(struct world_races *races, const struct world_map *map,
                                        uint32_t route, uint32_t player,
                                        struct world_point position, uint64_t now_ns,
                                        uint16_t *race, struct world_race_events *events)
{
    assert(route < map->route_count);
    if (world_race_of(races, player) != world_no_race) return WORLD_RACE_BUSY;
    if (!may_start(map, route, position)) return WORLD_RACE_TOO_FAR;
    uint16_t index = find_open(races, route);
    bool is_new = index == world_no_race;
    if (is_new) index = find_free(races);
    if (index == world_no_race) return WORLD_RACE_NONE_SPARE;
    if (is_new) race_open(races, index, map, route, now_ns);
    struct world_race *joined = &races->races[index];
    if (joined->racer_count == map->routes[route].racers_max) return WORLD_RACE_FULL;
    joined->players[joined->racer_count] = player;
    joined->racers[joined->racer_count++] = (struct world_racer){};
    *race = index;
    say(events, WORLD_RACE_SAID_JOINED, index, player);
    say_countdown(races, index, now_ns, events);
    return WORLD_RACE_TAKEN;
}

/* Places of all who finished so far: one more than how many were faster by a millisecond. */
static void rank(struct world_race *race)
{
    for (uint32_t i = 0; i < race->racer_count; i++) {
        struct world_racer *racer = &race->racers[i];
        if (racer->state != WORLD_RACER_FINISHED) continue;
        racer->place = 1;
        for (uint32_t k = 0; k < race->racer_count; k++)
            racer->place += race->racers[k].state == WORLD_RACER_FINISHED &&
                            race->racers[k].time_ms < racer->time_ms;
    }
}

/* The race is over when nobody is left who could finish. */
static void end_if_over(struct world_races *races, uint16_t index, struct world_race_events *events)
{
    struct world_race *race = &races->races[index];
    for (uint32_t i = 0; i < race->racer_count; i++)
        if (is_on(&race->racers[i])) return;
    race->state = WORLD_RACE_FREE; /* and read until it is made anew */
    races->active -= 1;
    if (race->racer_count > 0) say(events, WORLD_RACE_SAID_RESULTS, index, 0);
}

uint32_t world_race_results(const struct world_race *race, uint32_t order[world_racers_max])
{
    uint32_t count = 0;
    for (uint32_t place = 1; place <= race->racer_count; place++)
        for (uint32_t i = 0; i < race->racer_count; i++)
            if (race->racers[i].place == place) order[count++] = i;
    for (uint32_t i = 0; i < race->racer_count; i++)
        if (race->racers[i].place == 0) order[count++] = i;
    return count;
}

/* One racer's move, while its checkpoints are looked for. */
struct passage {
    const struct world_route *route;
    struct world_race *race;
    struct world_racer *racer;
    struct world_race_events *events;
    struct world_way way;
    double at;        /* the part of the way that has been gone */
    uint64_t from_ns; /* of the race: when the way began, and how long it took */
    uint64_t took_ns;
    uint64_t counted; /* bit i: checkpoint i counted in this move */
    uint32_t player;
    uint16_t index;
};

/* Where on the rest of the way the checkpoint is reached. */
static bool reaches(const struct passage *passage, const struct world_checkpoint *checkpoint,
                    double *part)
{
    struct world_way rest = {world_way_at(passage->way, passage->at), passage->way.to};
    double of_rest;
    bool reached =
        checkpoint->shape == WORLD_SPHERE
            ? world_cross_sphere(rest, checkpoint->position, checkpoint->radius, &of_rest)
            : world_cross_gate(rest, checkpoint->position, checkpoint->forward, checkpoint->radius,
                               &of_rest) == WORLD_GATE_FORWARD;
    if (reached) *part = passage->at + of_rest * (1 - passage->at);
    return reached;
}

static uint64_t time_at(const struct passage *passage, double part)
{
    return passage->from_ns + (uint64_t)((double)passage->took_ns * part);
}

static void finish(struct passage *passage, uint64_t time_ns)
{
    struct world_racer *racer = passage->racer;
    racer->state = WORLD_RACER_FINISHED;
    racer->time_ms = to_ms(time_ns);
    rank(passage->race);
    struct world_race_event *event =
        say(passage->events, WORLD_RACE_SAID_FINISH, passage->index, passage->player);
    event->time_ms = racer->time_ms;
    event->place = racer->place;
}

static void count_checkpoint(struct passage *passage)
{
    struct world_racer *racer = passage->racer;
    uint64_t time_ns = time_at(passage, passage->at);
    struct world_race_event *event =
        say(passage->events, WORLD_RACE_SAID_CHECKPOINT, passage->index, passage->player);
    event->number = racer->next;
    event->lap = racer->lap;
    event->time_ms = to_ms(time_ns);
    passage->counted |= 1ull << racer->next;
    racer->next += 1;
    if (racer->next < passage->route->checkpoint_count) return;
    racer->next = 0;
    racer->lap += 1;
    if (racer->lap == passage->route->laps) finish(passage, time_ns);
}

static void count_checkpoints(struct passage *passage)
{
    const struct world_racer *racer = passage->racer;
    while (racer->state == WORLD_RACER_RUNNING) {
        double part;
        bool again = passage->counted >> racer->next & 1; /* no straight way passes one twice */
        if (again || !reaches(passage, &passage->route->checkpoints[racer->next], &part)) return;
        passage->at = part;
        count_checkpoint(passage);
    }
}

/* Whether the way passes a checkpoint that does not count now, and why not. To stand in one, or to
 * turn back through a gate that was passed, is nothing of the kind. */
static bool passes_wrongly(const struct passage *passage, uint32_t number,
                           enum world_race_rejection *why)
{
    const struct world_checkpoint *checkpoint = &passage->route->checkpoints[number];
    const struct world_racer *racer = passage->racer;
    bool is_next = number == racer->next && racer->state == WORLD_RACER_RUNNING;
    double part;
    *why = number < racer->next ? WORLD_RACE_REPEATED : WORLD_RACE_SKIPPED;
    if (checkpoint->shape == WORLD_SPHERE)
        return !is_next &&
               world_cross_sphere(passage->way, checkpoint->position, checkpoint->radius, &part) &&
               part > 0;
    enum world_gate_side side = world_cross_gate(passage->way, checkpoint->position,
                                                 checkpoint->forward, checkpoint->radius, &part);
    if (is_next) *why = WORLD_RACE_REVERSED;
    return side == (is_next ? WORLD_GATE_BACKWARD : WORLD_GATE_FORWARD);
}

/* Says at most one of a move: it is for people to read. */
static void reject_checkpoints(struct passage *passage)
{
    enum world_race_rejection why;
    for (uint32_t i = 0; i < passage->route->checkpoint_count; i++) {
        if (passage->counted >> i & 1 || !passes_wrongly(passage, i, &why)) continue;
        struct world_race_event *event =
            say(passage->events, WORLD_RACE_SAID_REJECTED, passage->index, passage->player);
        event->number = i;
        event->lap = passage->racer->lap;
        event->why = why;
        return;
    }
}

/* While the countdown runs. */
static bool is_held(const struct world_route *route, struct world_way way)
{
    return world_distance(way.from, route->start) <= route->start_radius &&
           world_distance(way.to, route->start) > route->start_radius;
}

static void run(struct passage *passage)
{
    const struct world_route *route = passage->route;
    struct world_racer *racer = passage->racer;
    if (racer->state == WORLD_RACER_OUTSIDE &&
        world_cross_sphere(passage->way, route->start, route->start_radius, &passage->at))
        racer->state = WORLD_RACER_RUNNING;
    count_checkpoints(passage);
    if (is_on(racer)) reject_checkpoints(passage);
}

bool world_race_move(struct world_races *races, const struct world_map *map, uint32_t player,
                     struct world_way way, uint64_t from_ns, uint64_t to_ns,
                     struct world_race_events *events)
{
    uint16_t index = world_race_of(races, player);
    if (index == world_no_race) return true;
    struct world_race *race = &races->races[index];
    struct world_racer *racer = &race->racers[racer_find(race, player)];
    if (race->state == WORLD_RACE_COUNTDOWN) {
        if (!is_held(route_of(map, race), way)) return true;
        racer->false_start = true;
        say(events, WORLD_RACE_SAID_FALSE_START, index, player);
        return false;
    }
    assert(to_ns >= race->go_ns && from_ns <= to_ns);
    uint64_t begin_ns = from_ns > race->go_ns ? from_ns : race->go_ns;
    run(&(struct passage){.route = route_of(map, race),
                          .race = race,
                          .racer = racer,
                          .events = events,
                          .way = way,
                          .from_ns = begin_ns - race->go_ns,
                          .took_ns = to_ns - begin_ns,
                          .player = player,
                          .index = index});
    end_if_over(races, index, events);
    return true;
}

static void say_out(struct world_races *races, uint16_t index, uint32_t racer,
                    enum world_racer_state state, struct world_race_events *events)
{
    struct world_race *race = &races->races[index];
    race->racers[racer].state = state;
    say(events, WORLD_RACE_SAID_OUT, index, race->players[racer])->state = state;
}

/* Nobody misses who leaves before go. */
static void forget_racer(struct world_race *race, uint32_t racer)
{
    race->racer_count -= 1;
    for (uint32_t i = racer; i < race->racer_count; i++) {
        race->players[i] = race->players[i + 1];
        race->racers[i] = race->racers[i + 1];
    }
}

void world_race_leave(struct world_races *races, uint32_t player, struct world_race_events *events)
{
    uint16_t index = world_race_of(races, player);
    if (index == world_no_race) return;
    struct world_race *race = &races->races[index];
    uint32_t racer = racer_find(race, player);
    say_out(races, index, racer, WORLD_RACER_LEFT, events);
    if (race->state == WORLD_RACE_COUNTDOWN) forget_racer(race, racer);
    end_if_over(races, index, events);
}

static void advance_race(struct world_races *races, const struct world_map *map, uint16_t index,
                         uint64_t now_ns, struct world_race_events *events)
{
    struct world_race *race = &races->races[index];
    if (race->state == WORLD_RACE_COUNTDOWN && now_ns < race->go_ns) {
        say_countdown(races, index, now_ns, events);
        return;
    }
    if (race->state == WORLD_RACE_COUNTDOWN) {
        race->state = WORLD_RACE_RUNNING;
        say(events, WORLD_RACE_SAID_GO, index, 0);
    }
    if (now_ns < race->go_ns + route_of(map, race)->timeout_ms * millisecond_ns) return;
    for (uint32_t i = 0; i < race->racer_count; i++)
        if (is_on(&race->racers[i])) say_out(races, index, i, WORLD_RACER_TIMED_OUT, events);
    end_if_over(races, index, events);
}

/* When the race has something to say next. */
static uint64_t race_due(const struct world_race *race, const struct world_map *map)
{
    if (race->state == WORLD_RACE_FREE) return UINT64_MAX;
    if (race->state == WORLD_RACE_COUNTDOWN) return race->go_ns - (race->said_s - 1) * second_ns;
    return race->go_ns + route_of(map, race)->timeout_ms * millisecond_ns;
}

bool world_race_advance(struct world_races *races, const struct world_map *map, uint64_t now_ns,
                        struct world_race_events *events)
{
    constexpr uint32_t most = world_racers_max + 2; /* that one race says at once */
    for (uint16_t i = 0; i < world_races_max && races->active > 0; i++) {
        if (race_due(&races->races[i], map) > now_ns) continue;
        if (events->count + most > world_race_events_max) return true;
        advance_race(races, map, i, now_ns, events);
    }
    return false;
}

uint64_t world_race_due(const struct world_races *races, const struct world_map *map)
{
    uint64_t due = UINT64_MAX;
    for (uint16_t i = 0; i < world_races_max && races->active > 0; i++) {
        uint64_t of_race = race_due(&races->races[i], map);
        if (of_race < due) due = of_race;
    }
    return due;
}
