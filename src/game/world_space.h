/* game/world_space.h: points, boxes and straight ways, which the world's terrain, rules of motion
 * and races have in common.
 *
 *      y (up)       Lengths are metres, as double; a way's parts run from 0 at its start to 1 at
 *      |   z        its end. Nothing here needs libm: +, -, *, / and the square root are rounded
 *      |  /         in one way only (IEEE 754), so every machine finds the same bits.
 *      | /
 *      +------ x    Values from strangers are looked at with world_is_finite first. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* No coordinate of a world lies further from 0. */
constexpr double world_reach = 65536;

struct world_point {
    double x, y, z;
};

/* A quaternion. */
struct world_rotation {
    double x, y, z, w;
};

struct world_box {
    struct world_point min, max;
};

/* A straight way. */
struct world_way {
    struct world_point from, to;
};

/* A square of the ground, counted by its edge's length: the one from 0 to one edge is tile 0, what
 * lies before it is -1. */
struct world_tile {
    int32_t x, z;
};

static inline bool world_is_finite(double value)
{
    return value - value == 0; /* neither for infinities nor for NaN */
}

static inline bool world_point_is_finite(struct world_point point)
{
    return world_is_finite(point.x) && world_is_finite(point.y) && world_is_finite(point.z);
}

/* The largest whole number that is not above `value`, whose size is below 2^62. A cast alone goes
 * towards 0, which would make the tile at 0 twice as wide (CONTRACT.md D25). */
static inline int64_t world_floor(double value)
{
    int64_t whole = (int64_t)value;
    return (double)whole > value ? whole - 1 : whole;
}

/* The tile of edge `size` that holds the point, which lies within world_reach. */
static inline struct world_tile world_tile_at(struct world_point point, double size)
{
    return (struct world_tile){(int32_t)world_floor(point.x / size),
                               (int32_t)world_floor(point.z / size)};
}

static inline double world_dot(struct world_point left, struct world_point right)
{
    return left.x * right.x + left.y * right.y + left.z * right.z;
}

/* From `from` to `to`, as a difference. */
static inline struct world_point world_step(struct world_point from, struct world_point to)
{
    return (struct world_point){to.x - from.x, to.y - from.y, to.z - from.z};
}

static inline double world_length(struct world_point step)
{
    return __builtin_sqrt(world_dot(step, step));
}

static inline double world_distance(struct world_point from, struct world_point to)
{
    return world_length(world_step(from, to));
}

/* The point at a part of the way; the ends exactly. */
struct world_point world_way_at(struct world_way way, double part);

/* The box and its faces. */
static inline bool world_box_holds(const struct world_box *box, struct world_point point)
{
    return point.x >= box->min.x && point.x <= box->max.x && point.y >= box->min.y &&
           point.y <= box->max.y && point.z >= box->min.z && point.z <= box->max.z;
}

/* What a way has to do with the inside of a box. */
struct world_crossing {
    double enter, leave;  /* parts of the way, enter <= leave; 0 and 1 where an end lies inside */
    bool enters_by_floor; /* through the lower face, from below */
    bool leaves_by_floor;
};

/* True when some point of the way lies inside the box. The faces are not inside: what only touches
 * does not cross, and a way of length 0 crosses where its point is inside. */
[[nodiscard]] bool world_cross_box(struct world_way way, const struct world_box *box,
                                   struct world_crossing *crossing);

/* True when the point lies inside the box. */
static inline bool world_box_has_inside(const struct world_box *box, struct world_point point)
{
    struct world_crossing crossing;
    return world_cross_box((struct world_way){point, point}, box, &crossing);
}

/* True when the way comes within `radius` of the centre; *part is where first: 0 when its start
 * does. */
[[nodiscard]] bool world_cross_sphere(struct world_way way, struct world_point centre,
                                      double radius, double *part);

/* A round gate: a disc that stands across `forward`, which has length 1. */
enum world_gate_side : uint8_t {
    WORLD_GATE_MISSED,
    WORLD_GATE_FORWARD,  /* from behind its plane to the plane or beyond */
    WORLD_GATE_BACKWARD, /* from the plane or beyond to behind it */
};

/* How the way crosses the gate, and where. Of ways that follow each other exactly one crosses. */
[[nodiscard]] enum world_gate_side world_cross_gate(struct world_way way, struct world_point centre,
                                                    struct world_point forward, double radius,
                                                    double *part);
