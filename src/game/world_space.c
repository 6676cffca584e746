#include "game/world_space.h"

struct world_point world_way_at(struct world_way way, double part)
{
    if (part <= 0) return way.from;
    if (part >= 1) return way.to; /* from + (to - from) may miss it by a rounding */
    struct world_point step = world_step(way.from, way.to);
    return (struct world_point){way.from.x + step.x * part, way.from.y + step.y * part,
                                way.from.z + step.z * part};
}

/* Between which parts of a way one of its coordinates is above `min` and below `max`. False: never.
 * Quotients by a tiny `step` may be infinite, which compares as it should; none is NaN. */
static bool cross_slab(double from, double step, double min, double max, double *enter,
                       double *leave)
{
    if (step == 0) {
        *enter = -__builtin_inf();
        *leave = __builtin_inf();
        return from > min && from < max;
    }
    double to_min = (min - from) / step, to_max = (max - from) / step;
    *enter = to_min < to_max ? to_min : to_max;
    *leave = to_min < to_max ? to_max : to_min;
    return *enter < 1 && *leave > 0;
}

bool world_cross_box(struct world_way way, const struct world_box *box,
                     struct world_crossing *crossing)
{
    struct world_point step = world_step(way.from, way.to);
    double enter_x, leave_x, enter_y, leave_y, enter_z, leave_z;
    if (!cross_slab(way.from.x, step.x, box->min.x, box->max.x, &enter_x, &leave_x)) return false;
    if (!cross_slab(way.from.z, step.z, box->min.z, box->max.z, &enter_z, &leave_z)) return false;
    if (!cross_slab(way.from.y, step.y, box->min.y, box->max.y, &enter_y, &leave_y)) return false;
    double enter = enter_x > enter_z ? enter_x : enter_z;
    double leave = leave_x < leave_z ? leave_x : leave_z;
    bool by_floor_in = step.y > 0 && enter_y > enter && enter_y >= 0;
    bool by_floor_out = step.y < 0 && leave_y < leave && leave_y <= 1;
    if (enter_y > enter) enter = enter_y;
    if (leave_y < leave) leave = leave_y;
    if (enter >= leave) return false;
    *crossing = (struct world_crossing){.enter = enter > 0 ? enter : 0,
                                        .leave = leave < 1 ? leave : 1,
                                        .enters_by_floor = by_floor_in,
                                        .leaves_by_floor = by_floor_out};
    return true;
}

/* |from - centre + part * step|^2 = radius^2, and of the two parts the first. */
bool world_cross_sphere(struct world_way way, struct world_point centre, double radius,
                        double *part)
{
    struct world_point step = world_step(way.from, way.to);
    struct world_point off = world_step(centre, way.from);
    double beyond = world_dot(off, off) - radius * radius;
    *part = 0;
    if (beyond <= 0) return true;
    double square = world_dot(step, step), towards = world_dot(off, step);
    if (square == 0 || towards >= 0) return false;
    double inner = towards * towards - square * beyond;
    if (inner < 0) return false;
    *part = (-towards - __builtin_sqrt(inner)) / square;
    return *part <= 1;
}

enum world_gate_side world_cross_gate(struct world_way way, struct world_point centre,
                                      struct world_point forward, double radius, double *part)
{
    double before = world_dot(world_step(centre, way.from), forward);
    double after = world_dot(world_step(centre, way.to), forward);
    if ((before < 0) == (after < 0)) return WORLD_GATE_MISSED;
    *part = before / (before - after);
    struct world_point off = world_step(centre, world_way_at(way, *part));
    if (world_dot(off, off) > radius * radius) return WORLD_GATE_MISSED;
    return before < 0 ? WORLD_GATE_FORWARD : WORLD_GATE_BACKWARD;
}
