/* game/world_race.h: races on a world's routes: who takes part, the countdown, the order of
 * checkpoints, and who came when (THREATS.md G8).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *              start             countdown_s              everybody finished or is out
 *     (free) --------> COUNTDOWN ------------> RUNNING --------------------------------> (free)
 *                      others join                        or timeout_ms
 *
 * One race of a route counts down at a time, and who starts it again meanwhile joins it; once it
 * runs, the next may begin. A player is in one race at most.
 *
 * The start is a sphere. Who waits in it is held there until go: a move out of it is refused as
 * a false start, and the player put back (no strike: whoever waits leans forward). Who is
 * elsewhere at go must pass through it first. Time runs from go for everybody.
 *
 * Checkpoints count in their order only, by the whole way between two samples, each where that
 * way reaches it: two may come in one move, none can be jumped over. The time is that part of
 * the way between the two samples' times, by the server's clock. Places follow from those times,
 * not from whose message came first; who has the same millisecond has the same place. */
#pragma once
#include "game/world_map.h"

constexpr size_t world_races_max = 32; /* at once */
constexpr uint16_t world_no_race = UINT16_MAX;

enum world_racer_state : uint8_t {
    WORLD_RACER_OUTSIDE, /* has not been in the start's sphere since go */
    WORLD_RACER_RUNNING,
    WORLD_RACER_FINISHED,
    WORLD_RACER_LEFT,
    WORLD_RACER_TIMED_OUT,
};

struct world_racer {
    uint32_t lap;     /* from 0 */
    uint32_t next;    /* checkpoint */
    uint32_t place;   /* from 1, of who finished; final in WORLD_RACE_SAID_RESULTS; else 0 */
    uint32_t time_ms; /* of who finished, since go */
    enum world_racer_state state;
    bool false_start; /* was held back at least once */
};

enum world_race_state : uint8_t { WORLD_RACE_FREE, WORLD_RACE_COUNTDOWN, WORLD_RACE_RUNNING };

struct world_race {
    enum world_race_state state;
    uint32_t number; /* of all races since the world began, from 1: tells two on a route apart */
    uint32_t route;
    uint64_t go_ns;
    uint32_t said_s; /* the last second of the countdown that was said */
    uint32_t racer_count;
    uint32_t players[world_racers_max]; /* the caller's numbers */
    struct world_racer racers[world_racers_max];
};

/* All races of a world; zeros are none. They do not outlive its map. */
struct world_races {
    uint32_t made;
    uint32_t active; /* that are not free */
    struct world_race races[world_races_max];
};

enum world_race_event_kind : uint8_t {
    WORLD_RACE_SAID_JOINED,      /* player takes part */
    WORLD_RACE_SAID_COUNTDOWN,   /* number: seconds until go */
    WORLD_RACE_SAID_GO,          /* for each racer: world_motion_spend */
    WORLD_RACE_SAID_FALSE_START, /* player must be put back to where its move began */
    WORLD_RACE_SAID_CHECKPOINT,  /* player; number: which, from 0; lap, time_ms */
    WORLD_RACE_SAID_REJECTED,    /* player; number: which checkpoint did not count; why */
    WORLD_RACE_SAID_FINISH,      /* player; time_ms; place, as far as is known by now */
    WORLD_RACE_SAID_OUT,         /* player will not finish: its state says why */
    WORLD_RACE_SAID_RESULTS,     /* it is over; places and times of all are final */
};

/* Why a checkpoint did not count. */
enum world_race_rejection : uint8_t {
    WORLD_RACE_SKIPPED,  /* it is not its turn yet: another comes first */
    WORLD_RACE_REPEATED, /* it was passed in this lap already */
    WORLD_RACE_REVERSED, /* its gate was passed from the wrong side */
};

struct world_race_event {
    enum world_race_event_kind kind;
    enum world_race_rejection why;
    enum world_racer_state state;
    uint16_t race; /* its place in world_races */
    uint32_t player;
    uint32_t number;
    uint32_t lap; /* from 0 */
    uint32_t place;
    uint32_t time_ms; /* since go */
};

/* Why a player was not let do what the event is about, as the log says it: "false_start",
 * "skipped", ...; empty: the event is about something else. */
[[nodiscard]] struct text world_race_reason(const struct world_race_event *event);

/* What one call makes happen, in order; the caller empties it (count = 0) before the next. A race
 * that is over stays readable until the next world_race_start. Its players are the caller's numbers
 * as they were: who has left since may have lent its number to another. */
constexpr size_t world_race_events_max = world_checkpoints_max + world_racers_max + 8;
struct world_race_events {
    uint32_t count;
    struct world_race_event items[world_race_events_max];
};

enum world_race_answer : uint8_t {
    WORLD_RACE_TAKEN,      /* takes part; *race says where */
    WORLD_RACE_TOO_FAR,    /* neither at its start nor at a kiosk that starts it */
    WORLD_RACE_BUSY,       /* the player is in a race already */
    WORLD_RACE_FULL,       /* it counts down with as many as it takes */
    WORLD_RACE_NONE_SPARE, /* world_races_max are on */
};

/* A player, who is at `position`, starts a race on the route or joins the one that counts down.
 * world_race_advance(now_ns) comes first. */
[[nodiscard]] enum world_race_answer world_race_start(struct world_races *races,
                                                      const struct world_map *map, uint32_t route,
                                                      uint32_t player, struct world_point position,
                                                      uint64_t now_ns, uint16_t *race,
                                                      struct world_race_events *events);

/* The race that the player is in, or world_no_race. */
[[nodiscard]] uint16_t world_race_of(const struct world_races *races, uint32_t player);

/* The player went `way` from `from_ns` to `to_ns`, both by the server's clock;
 * world_race_advance(to_ns) comes first. Who is in no race is not looked at. False when it is held
 * at the start: the move must not happen. After a world_motion_move that was fine:
 *   way     verdict.before.now.position to motion.now.position
 *   times   verdict.before.at_ns to now_ns
 *   held    motion = verdict.before, and a correction */
[[nodiscard]] bool world_race_move(struct world_races *races, const struct world_map *map,
                                   uint32_t player, struct world_way way, uint64_t from_ns,
                                   uint64_t to_ns, struct world_race_events *events);

/* The player is gone for good, or gives up. Before go nobody will know that it was there. */
void world_race_leave(struct world_races *races, uint32_t player, struct world_race_events *events);

/* The clock says `now_ns`: countdowns, go, time-outs. After a pause a countdown says only the
 * second that it is at. True when more is due: take the events and call again. */
[[nodiscard]] bool world_race_advance(struct world_races *races, const struct world_map *map,
                                      uint64_t now_ns, struct world_race_events *events);

/* Who came in which order, once a race has results: the racers' indices, by place, then those who
 * did not finish. The answer is how many. */
[[nodiscard]] uint32_t world_race_results(const struct world_race *race,
                                          uint32_t order[world_racers_max]);

/* When world_race_advance has something to say next, or UINT64_MAX. */
[[nodiscard]] uint64_t world_race_due(const struct world_races *races, const struct world_map *map);
