/* game/world_motion.h: whether a player can have moved as its client says. The server decides
 * (THREATS.md G6, G7, G9, G10).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * How far: a token bucket that holds time. Moving d metres costs d / speed of its mode; time comes
 * back at the pace of the server's clock, up to pace.burst_ms. What lags and then says a hundred
 * steps at once pays for them with the time it was silent; what hops each 34 ms does not get the
 * time that its hops cost, however small they are. There is one bucket for both modes: two would
 * let a player spend both. What a client says about time is not even an argument. Prices are a
 * tenth below the speed's, so that an honest clock that runs a little fast never falls behind.
 *
 * A walker follows the ground: its way is laid over the hills between two samples, and paid for as
 * such, so that nobody walks through a mountain. Level and height are gone at once: a slope or a
 * jump costs no more than the larger of the two. Downwards it falls, which has a speed of its own.
 *
 * Where: the whole way between two samples, against solids and, flying, against the ground.
 * A position is the middle of a body, at its feet: it may be on top of a solid, but does not touch
 * its sides. A walker steps up world_step_height. */
#pragma once
#include "game/world_map.h"

constexpr double world_speed_slack = 1.1;
constexpr double world_step_height = 0.5;  /* a walker climbs what is no higher */
constexpr double world_ground_slack = 0.5; /* metres under the ground: a client's mesh is coarser */
constexpr double world_rotation_slack = 0.1; /* how far a quaternion's squared length is off 1 */
constexpr uint64_t world_budget_first_ns = 1'000'000'000; /* of who has just been placed */
constexpr uint64_t world_strike_gap_ns = 1'000'000'000;   /* what comes within it is one strike */

/* What a client says about itself. */
struct world_sample {
    struct world_point position;
    struct world_point velocity; /* m/s; {} where it says none */
    struct world_rotation rotation;
    enum world_mode mode;
};

/* What the server holds true about a player. */
struct world_motion {
    struct world_sample now; /* the last that was accepted; its rotation has length 1 */
    uint64_t at_ns;          /* when the budget was last reckoned: the server's clock */
    uint64_t budget_ns;      /* motion that may come at once */
    uint64_t strike_at_ns;   /* when the last strike was counted */
    uint32_t strikes;        /* those that are not forgotten yet */
};

#define WORLD_VERDICTS(X) /* name, as `correction` and the log say it */                  \
    X(FINE, "fine")                                                                       \
    X(NOT_FINITE, "not_finite")     /* a number is NaN, infinite or beyond every world */ \
    X(BAD_ROTATION, "bad_rotation") /* no unit quaternion */                              \
    X(OUT_OF_BOUNDS, "out_of_bounds")                                                     \
    X(BAD_VELOCITY, "bad_velocity")     /* above the mode's speed */                      \
    X(TOO_FAR, "too_far")               /* further than the time allows */                \
    X(INSIDE_SOLID, "inside_solid")     /* where it says it is */                         \
    X(THROUGH_SOLID, "through_solid")   /* on its way there */                            \
    X(UNDERGROUND, "underground")       /* where it says it is */                         \
    X(THROUGH_GROUND, "through_ground") /* on its way there */

#define WORLD_VERDICT_NAME(name, words) WORLD_##name,
enum world_verdict_kind : uint8_t { WORLD_VERDICTS(WORLD_VERDICT_NAME) };
#undef WORLD_VERDICT_NAME

/* What was decided, and all that it follows from: world_motion_move with `before`, `said` and
 * `now_ns` on the same map decides the same again. */
struct world_verdict {
    enum world_verdict_kind kind;
    bool strike; /* it counted as one: worth a line in the log */
    bool last;   /* and it was one too many: the connection ends (4403) */
    struct world_motion before;
    struct world_sample said; /* as it came */
    uint64_t now_ns;
    double distance;       /* metres that were charged; TOO_FAR and what is decided after it */
    uint64_t cost_ns;      /* of those; UINT64_MAX: more than any budget */
    uint64_t budget_ns;    /* what there was */
    int32_t solid;         /* the number of the solid in the way, or -1 */
    struct world_point at; /* where on the way it met the solid or the ground */
};

/* The name of the kind: the `reason` of a correction. */
[[nodiscard]] struct text world_verdict_name(enum world_verdict_kind kind);

/* A player is put to `position`, which is inside the bounds, at rest, with a small budget. Its
 * strikes stay; all zeros has none. */
void world_motion_place(struct world_motion *motion, struct world_point position, uint64_t now_ns);

/* The client says where it is now. FINE: *motion is there, its rotation brought to length 1.
 * Anything else: it stays where it was, the budget is not charged, and the client must be put back
 * to motion->now. `now_ns` never goes back. */
enum world_verdict_kind world_motion_move(struct world_motion *motion, const struct world_map *map,
                                          const struct world_sample *said, uint64_t now_ns,
                                          struct world_verdict *verdict);

/* Leaves the player at most `most_ns` of budget. At the go of a race: who stood still during the
 * countdown must not spend that time at once. */
void world_motion_spend(struct world_motion *motion, const struct world_map *map, uint64_t most_ns,
                        uint64_t now_ns);

/* Writes the verdict as words of one log line, `reason=too_far from=1,2,3 to=...`: every number
 * whole, so that reading them back gives the same bits. At most world_verdict_size_max bytes. */
constexpr size_t world_verdict_size_max = 1024;
void world_verdict_write(struct writer *out, const struct world_verdict *verdict);

/* The same of a move that was fine, without what was decided: ` mode=walking from=1,2,3 to=...`,
 * and both times. */
void world_verdict_write_move(struct writer *out, const struct world_verdict *verdict);
