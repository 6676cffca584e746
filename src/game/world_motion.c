#include "game/world_motion.h"
#include <assert.h>
#include <inttypes.h>

/* A walker's way is laid over the ground in pieces of so many metres, or so many pieces. */
constexpr double piece_length = 1;
constexpr uint32_t pieces_max = 256;
/* The steps in which a flight over the ground is looked at are at least so long. */
constexpr double look_length_min = 0.25;
constexpr double looks_max = 1024;
/* Steps of stairs that one piece climbs. */
constexpr uint32_t climbs_max = 4;

static const struct text verdict_names[] = {
#define WORLD_VERDICT_TEXT(name, words) [WORLD_##name] = TEXT(words),
    WORLD_VERDICTS(WORLD_VERDICT_TEXT)
#undef WORLD_VERDICT_TEXT
};

struct text world_verdict_name(enum world_verdict_kind kind)
{
    return verdict_names[kind];
}

void world_motion_place(struct world_motion *motion, struct world_point position, uint64_t now_ns)
{
    motion->now = (struct world_sample){.position = position, .rotation = {.w = 1}};
    motion->at_ns = now_ns;
    motion->budget_ns = world_budget_first_ns;
}

static void refill(struct world_motion *motion, const struct world_pace *pace, uint64_t now_ns)
{
    assert(now_ns >= motion->at_ns);
    uint64_t most = (uint64_t)pace->burst_ms * 1'000'000, passed = now_ns - motion->at_ns;
    bool full = motion->budget_ns >= most || passed >= most - motion->budget_ns;
    motion->budget_ns = full ? most : motion->budget_ns + passed;
    motion->at_ns = now_ns;
}

void world_motion_spend(struct world_motion *motion, const struct world_map *map, uint64_t most_ns,
                        uint64_t now_ns)
{
    refill(motion, &map->pace, now_ns);
    if (motion->budget_ns > most_ns) motion->budget_ns = most_ns;
}

/* True when it was one too many. */
static bool count_strike(struct world_motion *motion, const struct world_map *map, uint64_t now_ns,
                         bool *counted)
{
    uint64_t passed = now_ns - motion->strike_at_ns;
    uint64_t forgotten = passed / ((uint64_t)map->pace.strike_ms * 1'000'000);
    *counted = motion->strikes == 0 || passed >= world_strike_gap_ns;
    if (!*counted) return false; /* more of what it has not been told of yet */
    motion->strikes = (uint32_t)(motion->strikes > forgotten ? motion->strikes - forgotten : 0) + 1;
    motion->strike_at_ns = now_ns;
    return motion->strikes >= map->pace.strikes;
}

/* One move, while it is judged. */
struct judgement {
    const struct world_map *map;
    struct world_verdict *verdict;
    struct world_way way;
    enum world_mode mode;
    struct world_strip near; /* the solids to look at */
    double seconds;          /* that the way costs so far */
};

static bool is_sane(double value)
{
    return value >= -world_reach && value <= world_reach; /* NaN is neither */
}

static bool point_is_sane(struct world_point point)
{
    return is_sane(point.x) && is_sane(point.y) && is_sane(point.z);
}

static bool rotation_is_sane(struct world_rotation rotation)
{
    return is_sane(rotation.x) && is_sane(rotation.y) && is_sane(rotation.z) && is_sane(rotation.w);
}

/* Brings it to length 1. False when it is too far from that to be a rotation. */
static bool normalise(struct world_rotation *rotation)
{
    double square = rotation->x * rotation->x + rotation->y * rotation->y +
                    rotation->z * rotation->z + rotation->w * rotation->w;
    if (square < 1 - world_rotation_slack || square > 1 + world_rotation_slack) return false;
    double length = __builtin_sqrt(square);
    rotation->x /= length;
    rotation->y /= length;
    rotation->z /= length;
    rotation->w /= length;
    return true;
}

static double level_length(struct world_point step)
{
    return __builtin_sqrt(step.x * step.x + step.z * step.z);
}

/* How many seconds a walker needs for the step: on the level and in height at once. */
static double walk_seconds(const struct world_pace *pace, struct world_point step)
{
    double level = level_length(step) / pace->speed[WORLD_WALKING];
    double height = step.y > 0 ? step.y / pace->speed[WORLD_WALKING] : -step.y / pace->fall;
    return (level > height ? level : height) / world_speed_slack;
}

static double flight_seconds(const struct world_pace *pace, struct world_point step)
{
    return world_length(step) / (pace->speed[WORLD_FLYING] * world_speed_slack);
}

/* Whether it goes no further in a second than it may. */
static bool velocity_is_possible(const struct world_pace *pace, const struct world_sample *said)
{
    double seconds = said->mode == WORLD_FLYING ? flight_seconds(pace, said->velocity)
                                                : walk_seconds(pace, said->velocity);
    return seconds <= 1;
}

/* What can be said of the sample alone. */
static enum world_verdict_kind judge_sample(const struct world_map *map,
                                            const struct world_sample *said,
                                            struct world_rotation *rotation)
{
    assert(said->mode < world_modes);
    if (!point_is_sane(said->velocity) || !rotation_is_sane(said->rotation) ||
        !point_is_sane(said->position))
        return WORLD_NOT_FINITE;
    *rotation = said->rotation;
    if (!normalise(rotation)) return WORLD_BAD_ROTATION;
    if (!world_box_holds(&map->bounds, said->position)) return WORLD_OUT_OF_BOUNDS;
    if (!velocity_is_possible(&map->pace, said)) return WORLD_BAD_VELOCITY;
    return WORLD_FINE;
}

/* How far under the ground a client's coarser mesh may bring somebody. */
static double floor_at(const struct world_map *map, double x, double z)
{
    return world_height(&map->terrain, x, z) - world_ground_slack;
}

static void charge(struct judgement *judgement, struct world_way piece)
{
    const struct world_pace *pace = &judgement->map->pace;
    struct world_point step = world_step(piece.from, piece.to);
    judgement->verdict->distance += world_length(step);
    judgement->seconds +=
        judgement->mode == WORLD_FLYING ? flight_seconds(pace, step) : walk_seconds(pace, step);
}

static uint32_t piece_count(const struct judgement *judgement)
{
    if (judgement->mode == WORLD_FLYING) return 1;
    double level = level_length(world_step(judgement->way.from, judgement->way.to));
    double count = level / piece_length;
    return count >= pieces_max ? pieces_max : (uint32_t)count + 1;
}

/* Where the piece before `index` ends and that one begins: on the way, or on what rises above
 * it. */
static struct world_point piece_point(const struct judgement *judgement, uint32_t index,
                                      uint32_t count)
{
    struct world_point point = world_way_at(judgement->way, (double)index / count);
    if (index == 0 || index == count) return point;
    double floor = floor_at(judgement->map, point.x, point.z);
    if (point.y < floor) point.y = floor;
    return point;
}

/* The way's price in nanoseconds of budget; rounded up, so that no hop is too small to cost. */
static uint64_t price(const struct judgement *judgement)
{
    double ns = judgement->seconds * 1e9;
    if (ns >= 1e18) return UINT64_MAX;
    uint64_t whole = (uint64_t)ns;
    return whole + ((double)whole < ns);
}

static bool can_pay(struct judgement *judgement)
{
    judgement->verdict->cost_ns = price(judgement);
    return judgement->verdict->cost_ns <= judgement->verdict->budget_ns;
}

/* Whether there was time for the way. What is too far as the crow flies is not laid over hills. */
static bool judge_distance(struct judgement *judgement)
{
    charge(judgement, judgement->way);
    if (!can_pay(judgement)) return false;
    if (judgement->mode == WORLD_FLYING) return true;
    judgement->verdict->distance = judgement->seconds = 0;
    uint32_t count = piece_count(judgement);
    struct world_way piece = {.to = judgement->way.from};
    for (uint32_t i = 1; i <= count; i++) {
        piece = (struct world_way){piece.to, piece_point(judgement, i, count)};
        charge(judgement, piece);
    }
    return can_pay(judgement);
}

/* The next solid to look at from number `from` on, or solid_count. */
static uint32_t next_near(const struct judgement *judgement, uint32_t from)
{
    for (uint32_t i = from; i < judgement->map->solid_count; i = (i / 64 + 1) * 64) {
        uint64_t rest = judgement->near.words[i / 64] >> i % 64;
        if (rest != 0) return i + (uint32_t)__builtin_ctzll(rest);
    }
    return judgement->map->solid_count;
}

/* The first solid that the piece crosses, or -1. Who is inside already, because the world has
 * changed, may leave. */
static int32_t first_crossed(const struct judgement *judgement, struct world_way piece,
                             struct world_crossing *first)
{
    const struct world_map *map = judgement->map;
    int32_t found = -1;
    for (uint32_t i = next_near(judgement, 0); i < map->solid_count;
         i = next_near(judgement, i + 1)) {
        struct world_box core = world_solid_core(&map->solids[i]);
        struct world_crossing crossing;
        if (!world_cross_box(piece, &core, &crossing)) continue;
        if (found >= 0 && crossing.enter >= first->enter) continue;
        if (world_box_has_inside(&core, judgement->way.from)) continue;
        *first = crossing;
        found = (int32_t)i;
    }
    return found;
}

static struct world_way lifted(struct world_way piece, double by)
{
    piece.from.y += by;
    piece.to.y += by;
    return piece;
}

/* How much higher the piece must be to lead over the solid that it crosses, or more than any
 * walker climbs: through a floor there is no way. */
static double lift_over(const struct world_box *solid, struct world_way piece,
                        struct world_crossing crossing)
{
    if (crossing.enters_by_floor || crossing.leaves_by_floor) return __builtin_inf();
    double in = world_way_at(piece, crossing.enter).y;
    double out = world_way_at(piece, crossing.leave).y;
    return solid->max.y - (in < out ? in : out);
}

/* False when a solid is in the way of the piece; a walker climbs what is low. */
static bool judge_piece(struct judgement *judgement, struct world_way piece)
{
    struct world_verdict *verdict = judgement->verdict;
    struct world_crossing crossing;
    double lift = 0;
    for (uint32_t climbs = 0;; climbs++) {
        struct world_way raised = lifted(piece, lift);
        int32_t solid = first_crossed(judgement, raised, &crossing);
        if (solid < 0) return true;
        verdict->solid = solid;
        verdict->at = world_way_at(piece, crossing.enter);
        if (judgement->mode != WORLD_WALKING || climbs == climbs_max) return false;
        lift += lift_over(&judgement->map->solids[solid], raised, crossing);
        if (!(lift <= world_step_height)) return false;
    }
}

static void find_near(struct judgement *judgement)
{
    const struct world_point *from = &judgement->way.from, *to = &judgement->way.to;
    struct world_box box = {*from, *from};
    if (to->x < box.min.x) box.min.x = to->x;
    if (to->x > box.max.x) box.max.x = to->x;
    if (to->z < box.min.z) box.min.z = to->z;
    if (to->z > box.max.z) box.max.z = to->z;
    world_solids_near(judgement->map, &box, &judgement->near);
}

/* The first solid that has the point in it, or -1. */
static int32_t first_around(const struct judgement *judgement, struct world_point point)
{
    const struct world_map *map = judgement->map;
    for (uint32_t i = next_near(judgement, 0); i < map->solid_count;
         i = next_near(judgement, i + 1)) {
        struct world_box core = world_solid_core(&map->solids[i]);
        if (world_box_has_inside(&core, point) && !world_box_has_inside(&core, judgement->way.from))
            return (int32_t)i;
    }
    return -1;
}

/* A walker who says it is inside something low stands on it: there the server holds it to be, so
 * that nobody ever begins a way inside a solid. False when that is no place to stand. */
static bool stand_up(struct judgement *judgement, struct world_point *position)
{
    const struct world_map *map = judgement->map;
    for (;;) { /* it rises each time */
        int32_t solid = first_around(judgement, *position);
        if (solid < 0) return position->y <= map->bounds.max.y;
        double top = map->solids[solid].max.y;
        judgement->verdict->solid = solid;
        judgement->verdict->at = *position;
        if (judgement->mode != WORLD_WALKING || top - judgement->way.to.y > world_step_height)
            return false;
        position->y = top;
    }
}

/* Whether no solid is in the way; *position is where it leads. */
static enum world_verdict_kind judge_solids(struct judgement *judgement,
                                            struct world_point *position)
{
    struct world_verdict *verdict = judgement->verdict;
    uint32_t count = piece_count(judgement);
    struct world_way piece = {.to = judgement->way.from};
    find_near(judgement);
    if (next_near(judgement, 0) == judgement->map->solid_count) return WORLD_FINE;
    for (uint32_t i = 1; i <= count; i++) {
        piece = (struct world_way){piece.to, piece_point(judgement, i, count)};
        if (judge_piece(judgement, piece)) continue;
        struct world_box core = world_solid_core(&judgement->map->solids[verdict->solid]);
        return world_box_has_inside(&core, *position) ? WORLD_INSIDE_SOLID : WORLD_THROUGH_SOLID;
    }
    if (!stand_up(judgement, position)) return WORLD_INSIDE_SOLID;
    verdict->solid = -1;
    verdict->at = (struct world_point){};
    return WORLD_FINE;
}

/* Whether the flight stays above the ground. From a point that is so far above it, at its steepest
 * the ground cannot be met before a certain length: there the next look is taken. Who is under it
 * already, because the world has changed, may leave. */
static bool judge_flight(struct judgement *judgement)
{
    const struct world_map *map = judgement->map;
    struct world_point step = world_step(judgement->way.from, judgement->way.to);
    double length = world_length(step), rise = step.y < 0 ? -step.y : 0;
    double closing = world_steepness(&map->terrain) * level_length(step) + rise;
    double least = length / looks_max > look_length_min ? length / looks_max : look_length_min;
    bool was_above = false;
    for (double at = 0; at < length;) {
        struct world_point point = world_way_at(judgement->way, at / length);
        double above = point.y - floor_at(map, point.x, point.z);
        judgement->verdict->at = point;
        if (above < 0 && was_above) return false;
        if (above >= 0) was_above = true;
        double free = closing > 0 ? above * length / closing : length;
        at += free > least ? free : least;
    }
    judgement->verdict->at = (struct world_point){};
    return true;
}

static enum world_verdict_kind judge(struct judgement *judgement, const struct world_sample *said,
                                     struct world_point *position, struct world_rotation *rotation)
{
    enum world_verdict_kind kind = judge_sample(judgement->map, said, rotation);
    if (kind != WORLD_FINE) return kind;
    if (!judge_distance(judgement)) return WORLD_TOO_FAR;
    if (position->y < floor_at(judgement->map, position->x, position->z)) {
        judgement->verdict->at = *position;
        return WORLD_UNDERGROUND;
    }
    if (judgement->mode == WORLD_FLYING && !judge_flight(judgement)) return WORLD_THROUGH_GROUND;
    return judge_solids(judgement, position);
}

enum world_verdict_kind world_motion_move(struct world_motion *motion, const struct world_map *map,
                                          const struct world_sample *said, uint64_t now_ns,
                                          struct world_verdict *verdict)
{
    struct world_sample accepted = *said;
    *verdict =
        (struct world_verdict){.before = *motion, .said = *said, .now_ns = now_ns, .solid = -1};
    refill(motion, &map->pace, now_ns);
    verdict->budget_ns = motion->budget_ns;
    struct judgement judgement = {.map = map,
                                  .verdict = verdict,
                                  .way = {motion->now.position, said->position},
                                  .mode = said->mode};
    verdict->kind = judge(&judgement, said, &accepted.position, &accepted.rotation);
    if (verdict->kind != WORLD_FINE) {
        verdict->last = count_strike(motion, map, now_ns, &verdict->strike);
        return verdict->kind;
    }
    motion->now = accepted;
    motion->budget_ns -= verdict->cost_ns;
    return WORLD_FINE;
}

static void write_point(struct writer *out, const char *name, struct world_point point)
{
    write_format(out, " %s=%.17g,%.17g,%.17g", name, point.x, point.y, point.z);
}

void world_verdict_write_move(struct writer *out, const struct world_verdict *verdict)
{
    const struct world_sample *said = &verdict->said;
    const struct world_motion *before = &verdict->before;
    write_text(out, TEXT(" mode="));
    write_text(out, world_mode_name(said->mode));
    write_point(out, "from", before->now.position);
    write_point(out, "to", said->position);
    write_point(out, "velocity", said->velocity);
    write_format(out, " rotation=%.17g,%.17g,%.17g,%.17g", said->rotation.x, said->rotation.y,
                 said->rotation.z, said->rotation.w);
    write_format(out, " from_ns=%" PRIu64 " now_ns=%" PRIu64 " budget_before_ns=%" PRIu64,
                 before->at_ns, verdict->now_ns, before->budget_ns);
}

void world_verdict_write(struct writer *out, const struct world_verdict *verdict)
{
    const struct world_motion *before = &verdict->before;
    write_text(out, TEXT("reason="));
    write_text(out, world_verdict_name(verdict->kind));
    world_verdict_write_move(out, verdict);
    write_format(out, " budget_ns=%" PRIu64 " cost_ns=%" PRIu64 " distance=%.17g",
                 verdict->budget_ns, verdict->cost_ns, verdict->distance);
    if (verdict->solid >= 0) write_format(out, " solid=%" PRId32, verdict->solid);
    write_point(out, "at", verdict->at);
    write_format(out, " strikes_before=%" PRIu32 " strike=%d", before->strikes, verdict->strike);
}
