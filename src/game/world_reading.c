/* game/world_reading.c: a world's file, read and checked: what game/world_map.h promises of it. */
#include "base/json.h"
#include "base/plain.h"
#include "game/world_file.h"

/* What the file's objects hold. */

#define FIELD(kind, words, low, high, usual, in, member) \
    {TEXT(words), WORLD_FIELD_##kind, false, low, high, usual, offsetof(struct in, member)}
#define NEEDED(kind, words, low, high, in, member) \
    {TEXT(words), WORLD_FIELD_##kind, true, low, high, 0, offsetof(struct in, member)}
#define OTHER(words) {.name = TEXT(words), .type = WORLD_FIELD_OTHER}
#define OTHER_NEEDED(words) {.name = TEXT(words), .type = WORLD_FIELD_OTHER, .required = true}
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const struct world_field world_fields[] = {
    NEEDED(SEED, "seed", 0, 9007199254740991, world_map, terrain.seed),
    FIELD(COUNT, "tickMs", 10, 1000, 50, world_map, tick_ms),
    OTHER_NEEDED("bounds"),
    OTHER("terrain"),
    OTHER("chunks"),
    OTHER("pace"),
    OTHER("interest"),
    OTHER("solids"),
    OTHER_NEEDED("spawns"),
    OTHER("routes"),
    OTHER("kiosks"),
};
static const struct world_field terrain_fields[] = {
    FIELD(NUMBER, "base", -4096, 4096, 0, world_terrain, base),
    FIELD(NUMBER, "amplitude", 0, 4096, 8, world_terrain, amplitude),
    FIELD(NUMBER, "wavelength", 16, 8192, 128, world_terrain, wavelength),
    FIELD(NUMBER, "roughness", 0, 1, 0.5, world_terrain, roughness),
    FIELD(COUNT, "octaves", 1, world_octaves_max, 4, world_terrain, octaves),
};
static const struct world_field bounds_fields[] = {
    NEEDED(CORNER, "min", 0, 0, world_box, min),
    NEEDED(CORNER, "max", 0, 0, world_box, max),
};
static const struct world_field chunk_fields[] = {
    FIELD(COUNT, "size", 8, 1024, 64, world_map, chunk_size),
    FIELD(COUNT, "reach", 1, 64, 8, world_map, chunk_reach),
};
static const struct world_field pace_fields[] = {
    FIELD(NUMBER, "walking", 0.5, 100, 6, world_pace, speed[WORLD_WALKING]),
    FIELD(NUMBER, "flying", 0.5, 500, 30, world_pace, speed[WORLD_FLYING]),
    FIELD(NUMBER, "fall", 1, 500, 60, world_pace, fall),
    FIELD(COUNT, "burstMs", 1000, 60'000, 6000, world_pace, burst_ms),
    FIELD(COUNT, "strikes", 1, 1000, 5, world_pace, strikes),
    FIELD(COUNT, "strikeMs", 1000, 3'600'000, 30'000, world_pace, strike_ms),
};
static const struct world_field interest_fields[] = {
    FIELD(NUMBER, "cell", 8, 1024, 64, world_interest, cell),
    FIELD(NUMBER, "radius", 8, 4096, 96, world_interest, radius),
    FIELD(NUMBER, "leaveRadius", 8, 4096, 128, world_interest, leave_radius),
    FIELD(COUNT, "entities", 1, 4096, 256, world_interest, entities_max),
    FIELD(COUNT, "cellEntities", 1, 1024, 64, world_interest, cell_share_max),
};
static const struct world_field kiosk_fields[] = {
    NEEDED(NAME, "id", 0, 0, world_kiosk, id),
    NEEDED(PLACE, "position", 0, 0, world_kiosk, position),
    FIELD(NUMBER, "range", 0.5, 100, 4, world_kiosk, range),
    OTHER_NEEDED("answer"),
    OTHER("route"),
};
static const struct world_field route_fields[] = {
    NEEDED(NAME, "id", 0, 0, world_route, id),
    OTHER_NEEDED("start"),
    FIELD(COUNT, "laps", 1, 100, 1, world_route, laps),
    FIELD(COUNT, "racers", 1, world_racers_max, 8, world_route, racers_max),
    FIELD(COUNT, "countdownS", 1, 60, 3, world_route, countdown_s),
    FIELD(COUNT, "timeoutMs", 1000, 3'600'000, 300'000, world_route, timeout_ms),
    OTHER_NEEDED("checkpoints"),
};
static const struct world_field start_fields[] = {
    NEEDED(PLACE, "position", 0, 0, world_route, start),
    FIELD(NUMBER, "radius", 1, 1000, 5, world_route, start_radius),
};
static const struct world_field checkpoint_fields[] = {
    NEEDED(PLACE, "position", 0, 0, world_checkpoint, position),
    NEEDED(NUMBER, "radius", 0.5, 1000, world_checkpoint, radius),
    FIELD(STEP, "forward", 0, 0, 0, world_checkpoint, forward),
};

/* A file that is read into a map. */
struct reading {
    struct world_file file;
    struct world_map *map;
    struct world_route *route; /* whose checkpoints are read */
};

/* Reads the member `name` of `parent` by a table; all of it is standard when it is left out. */
static bool read_member(struct reading *reading, const struct json *parent, struct text name,
                        const struct world_field *fields, size_t count, void *into)
{
    size_t before = world_file_enter(&reading->file, name);
    if (!world_file_read(&reading->file, json_member(parent, name), fields, count, into))
        return false;
    world_file_leave(&reading->file, before);
    return true;
}
#define READ_MEMBER(reading, parent, words, fields, into) \
    read_member(reading, parent, TEXT(words), fields, COUNT_OF(fields), into)

/* Reads each element of the list `name` of `parent` with `read`; *count is how many have been. */
static bool read_list(struct reading *reading, const struct json *parent, struct text name,
                      size_t least, size_t most, uint32_t *count,
                      bool (*read)(struct reading *, const struct json *, uint32_t index))
{
    const struct json *list = json_member(parent, name);
    size_t total = json_count(list), before = world_file_enter(&reading->file, name);
    if (list != nullptr && (!json_is_array(list) || total < least || total > most)) {
        struct writer *problem = world_file_fault(&reading->file, list);
        if (json_is_array(list))
            write_format(problem, "has %zu; ", total);
        else
            write_text(problem, TEXT("is no list; "));
        write_format(problem, "it must be a list, in [], of %zu to %zu", least, most);
        return false;
    }
    for (*count = 0; *count < total; *count += 1) {
        size_t list_size = world_file_enter_element(&reading->file, *count);
        if (!read(reading, json_element(list, *count), *count)) return false;
        world_file_leave(&reading->file, list_size);
    }
    world_file_leave(&reading->file, before);
    return true;
}

static bool fail(struct reading *reading, const struct json *at, struct text words)
{
    write_text(world_file_fault(&reading->file, at), words);
    return false;
}

/* Where people, and what they come to, may be: `at` says the point in the file. */
static bool check_point(struct reading *reading, const struct json *at, struct world_point point)
{
    const struct world_map *map = reading->map;
    if (!world_box_holds(&map->bounds, point))
        return fail(reading, at, TEXT("lies outside the bounds; move it, or them"));
    for (uint32_t i = 0; i < map->solid_count; i++) {
        struct world_box core = world_solid_core(&map->solids[i]);
        if (!world_box_has_inside(&core, point)) continue;
        write_format(world_file_fault(&reading->file, at),
                     "lies inside solids[%u]; move one of them", i);
        return false;
    }
    double ground = world_height(&map->terrain, point.x, point.z);
    if (point.y >= ground) return true;
    write_format(world_file_fault(&reading->file, at),
                 "lies under the ground, which is at y %.16g there; leave y out to lie on it",
                 ground);
    return false;
}

/* check_point for the member `name` of `parent`. */
static bool check_member(struct reading *reading, const struct json *parent, struct text name,
                         struct world_point point)
{
    size_t before = world_file_enter(&reading->file, name);
    if (!check_point(reading, json_member(parent, name), point)) return false;
    world_file_leave(&reading->file, before);
    return true;
}

static bool read_bounds(struct reading *reading, const struct json *root)
{
    constexpr double edge_min = 16;
    struct world_map *map = reading->map;
    struct world_box *bounds = &map->bounds;
    const struct world_terrain *terrain = &map->terrain;
    const struct json *value = json_member(root, TEXT("bounds"));
    if (!READ_MEMBER(reading, root, "bounds", bounds_fields, bounds)) return false;
    size_t before = world_file_enter(&reading->file, TEXT("bounds"));
    struct world_point edges = world_step(bounds->min, bounds->max);
    if (edges.x < edge_min || edges.y < edge_min || edges.z < edge_min)
        return fail(reading, value, TEXT("are too small; max must be 16 above min in x, y and z"));
    double low = terrain->base - terrain->amplitude, high = terrain->base + terrain->amplitude;
    if (bounds->min.y > low || bounds->max.y < high) {
        write_format(world_file_fault(&reading->file, value),
                     "leave out some of the ground, which may be at y %.16g to %.16g; make them "
                     "higher, or terrain.amplitude less",
                     low, high);
        return false;
    }
    world_file_leave(&reading->file, before);
    return true;
}

static bool read_interest(struct reading *reading, const struct json *root)
{
    struct world_interest *interest = &reading->map->interest;
    const struct json *value = json_member(root, TEXT("interest"));
    if (!READ_MEMBER(reading, root, "interest", interest_fields, interest)) return false;
    size_t before = world_file_enter(&reading->file, TEXT("interest"));
    if (interest->leave_radius <= interest->radius) {
        write_format(world_file_fault(&reading->file, value),
                     "has a leaveRadius of %.16g and a radius of %.16g; the first must be above "
                     "the second, or what stands at the edge comes and goes",
                     interest->leave_radius, interest->radius);
        return false;
    }
    if (interest->leave_radius > world_leave_cells_max * interest->cell) {
        write_format(world_file_fault(&reading->file, value),
                     "has a leaveRadius of %.16g and a cell of %.16g; it must be 4 cells at most",
                     interest->leave_radius, interest->cell);
        return false;
    }
    world_file_leave(&reading->file, before);
    return true;
}

static bool read_solid(struct reading *reading, const struct json *value, uint32_t index)
{
    struct world_map *map = reading->map;
    struct world_box *solid = &map->solids[index];
    const struct world_box *bounds = &map->bounds;
    if (!world_file_read(&reading->file, value, bounds_fields, COUNT_OF(bounds_fields), solid))
        return false;
    struct world_point edges = world_step(solid->min, solid->max);
    if (edges.x < world_solid_thickness_min || edges.y < world_solid_thickness_min ||
        edges.z < world_solid_thickness_min)
        return fail(reading, value, TEXT("is too thin; max must be 0.1 above min in x, y and z"));
    if (solid->max.x < bounds->min.x || solid->min.x > bounds->max.x ||
        solid->max.y < bounds->min.y || solid->min.y > bounds->max.y ||
        solid->max.z < bounds->min.z || solid->min.z > bounds->max.z)
        return fail(reading, value, TEXT("lies outside the bounds; nobody meets it there"));
    return true;
}

static bool read_spawn(struct reading *reading, const struct json *value, uint32_t index)
{
    struct world_point *spawn = &reading->map->spawns[index];
    return world_file_point(&reading->file, value, WORLD_FIELD_PLACE, spawn) &&
           check_point(reading, value, *spawn);
}

static bool fail_doubled(struct reading *reading, const struct json *value, uint32_t other)
{
    size_t before = world_file_enter(&reading->file, TEXT("id"));
    write_format(world_file_fault(&reading->file, json_member(value, TEXT("id"))),
                 "is that of number %u in the list, too; each needs its own", other);
    world_file_leave(&reading->file, before);
    return false;
}

/* What counts of a checkpoint's size where another must not be: a gate has no depth. */
static double depth_of(const struct world_checkpoint *checkpoint)
{
    return checkpoint->shape == WORLD_GATE ? 0 : checkpoint->radius;
}

/* Who reaches one must not be within the next already: it would count by itself. */
static bool is_apart(const struct world_checkpoint *checkpoint, struct world_point before,
                     double depth_before)
{
    double distance = world_distance(checkpoint->position, before);
    return distance > depth_before + depth_of(checkpoint);
}

static bool read_forward(struct reading *reading, const struct json *value,
                         struct world_checkpoint *checkpoint)
{
    if (json_member(value, TEXT("forward")) == nullptr) return true;
    double length = world_length(checkpoint->forward);
    if (length < 0.001)
        return fail(reading, value, TEXT("has a forward of no length; it must point somewhere"));
    checkpoint->shape = WORLD_GATE;
    checkpoint->forward.x /= length;
    checkpoint->forward.y /= length;
    checkpoint->forward.z /= length;
    return true;
}

static bool read_checkpoint(struct reading *reading, const struct json *value, uint32_t index)
{
    struct world_route *route = reading->route;
    struct world_checkpoint *checkpoint = &route->checkpoints[index];
    if (!world_file_read(&reading->file, value, checkpoint_fields, COUNT_OF(checkpoint_fields),
                         checkpoint) ||
        !check_member(reading, value, TEXT("position"), checkpoint->position) ||
        !read_forward(reading, value, checkpoint))
        return false;
    if (index == 0)
        return is_apart(checkpoint, route->start, route->start_radius) ||
               fail(reading, value, TEXT("overlaps the start; move it away"));
    const struct world_checkpoint *before = &route->checkpoints[index - 1];
    return is_apart(checkpoint, before->position, depth_of(before)) ||
           fail(reading, value, TEXT("overlaps the one before it; move it away"));
}

/* The metres between a checkpoint and the one after it. */
static double gap_between(const struct world_checkpoint *from, const struct world_checkpoint *to)
{
    return world_distance(from->position, to->position) - depth_of(from) - depth_of(to);
}

/* What can be said of a route once all of it is known. */
static bool check_route(struct reading *reading, const struct json *value,
                        const struct world_route *route)
{
    const struct world_checkpoint *checkpoints = route->checkpoints;
    const struct world_checkpoint *last = &checkpoints[route->checkpoint_count - 1];
    const double *speed = reading->map->pace.speed;
    double once = 0, back = gap_between(last, &checkpoints[0]);
    for (uint32_t i = 1; i < route->checkpoint_count; i++)
        once += gap_between(&checkpoints[i - 1], &checkpoints[i]);
    if (route->laps > 1 && !is_apart(&checkpoints[0], last->position, depth_of(last)))
        return fail(reading, value,
                    TEXT("has laps, but its last checkpoint overlaps the first; move one away"));
    double way = once * route->laps + back * (route->laps - 1);
    double fastest =
        speed[WORLD_WALKING] > speed[WORLD_FLYING] ? speed[WORLD_WALKING] : speed[WORLD_FLYING];
    if (way / fastest * 1000 <= route->timeout_ms) return true;
    write_format(world_file_fault(&reading->file, value),
                 "takes %.0f ms at the highest speed; timeoutMs must be more",
                 way / fastest * 1000);
    return false;
}

static bool read_route(struct reading *reading, const struct json *value, uint32_t index)
{
    struct world_map *map = reading->map;
    struct world_route *route = &map->routes[index];
    const struct json *start = json_member(value, TEXT("start"));
    if (!world_file_read(&reading->file, value, route_fields, COUNT_OF(route_fields), route) ||
        !READ_MEMBER(reading, value, "start", start_fields, route))
        return false;
    int32_t other = world_route_find(map, world_name_text(&route->id));
    if (other >= 0) return fail_doubled(reading, value, (uint32_t)other);
    size_t before = world_file_enter(&reading->file, TEXT("start"));
    if (!check_member(reading, start, TEXT("position"), route->start)) return false;
    world_file_leave(&reading->file, before);
    reading->route = route;
    return read_list(reading, value, TEXT("checkpoints"), 1, world_checkpoints_max,
                     &route->checkpoint_count, read_checkpoint) &&
           check_route(reading, value, route);
}

static bool read_answer(struct reading *reading, const struct json *value,
                        struct world_kiosk *kiosk)
{
    struct text answer;
    const struct json *member = json_member(value, TEXT("answer"));
    if (!json_to_text(member, &answer) || answer.size > world_answer_size_max ||
        !plain_is_clean(answer)) {
        size_t before = world_file_enter(&reading->file, TEXT("answer"));
        fail(reading, member,
             TEXT("is no text; it must be a string of at most 512 bytes, all of them visible"));
        world_file_leave(&reading->file, before);
        return false;
    }
    kiosk->answer_size = (uint16_t)answer.size;
    if (answer.size > 0) memcpy(kiosk->answer, answer.data, answer.size);
    return true;
}

static bool read_kiosk_route(struct reading *reading, const struct json *value,
                             struct world_kiosk *kiosk)
{
    struct text name = {};
    const struct json *member = json_member(value, TEXT("route"));
    kiosk->route = -1;
    if (member == nullptr) return true;
    if (json_to_text(member, &name)) kiosk->route = world_route_find(reading->map, name);
    if (kiosk->route >= 0) return true;
    size_t before = world_file_enter(&reading->file, TEXT("route"));
    fail(reading, member, TEXT("is no route's id; name one of routes, or leave it out"));
    world_file_leave(&reading->file, before);
    return false;
}

static bool read_kiosk(struct reading *reading, const struct json *value, uint32_t index)
{
    struct world_map *map = reading->map;
    struct world_kiosk *kiosk = &map->kiosks[index];
    if (!world_file_read(&reading->file, value, kiosk_fields, COUNT_OF(kiosk_fields), kiosk))
        return false;
    int32_t other = world_kiosk_find(map, world_name_text(&kiosk->id));
    if (other >= 0) return fail_doubled(reading, value, (uint32_t)other);
    return check_member(reading, value, TEXT("position"), kiosk->position) &&
           read_answer(reading, value, kiosk) && read_kiosk_route(reading, value, kiosk);
}

/* In the order in which one thing is needed to judge the next. */
static bool read_world(struct reading *reading, const struct json *root)
{
    struct world_map *map = reading->map;
    return world_file_read(&reading->file, root, world_fields, COUNT_OF(world_fields), map) &&
           READ_MEMBER(reading, root, "terrain", terrain_fields, &map->terrain) &&
           READ_MEMBER(reading, root, "chunks", chunk_fields, map) &&
           READ_MEMBER(reading, root, "pace", pace_fields, &map->pace) &&
           read_bounds(reading, root) && read_interest(reading, root) &&
           read_list(reading, root, TEXT("solids"), 0, world_solids_max, &map->solid_count,
                     read_solid) &&
           read_list(reading, root, TEXT("spawns"), 1, world_spawns_max, &map->spawn_count,
                     read_spawn) &&
           read_list(reading, root, TEXT("routes"), 0, world_routes_max, &map->route_count,
                     read_route) &&
           read_list(reading, root, TEXT("kiosks"), 0, world_kiosks_max, &map->kiosk_count,
                     read_kiosk);
}

/* What the parser itself did not like. */
static void write_fault(struct writer *problem, struct text text, const struct json_fault *fault)
{
    struct json_place place = json_place(text, fault->offset);
    write_format(problem, "line %u, column %u: the file ", place.line, place.column);
    write_text(problem, fault->what);
    if (fault->detail.size == 0) return;
    write_text(problem, TEXT(": "));
    constexpr size_t shown_max = 64;
    write_json_escaped(problem, (struct text){fault->detail.data, fault->detail.size < shown_max
                                                                      ? fault->detail.size
                                                                      : shown_max});
}

bool world_map_read(struct world_map *map, struct text text, struct bytes memory,
                    struct writer *problem)
{
    struct json_fault fault;
    memset(map, 0, sizeof *map);
    struct reading reading = {.file = {.text = text, .problem = problem, .ground = &map->terrain},
                              .map = map};
    if (text.size > world_file_size_max) {
        write_format(problem, "the file has %zu bytes; it may have %zu", text.size,
                     world_file_size_max);
        return false;
    }
    reading.file.root = json_read_file(memory, text, &fault);
    if (reading.file.root == nullptr) {
        write_fault(problem, text, &fault);
        return false;
    }
    if (!read_world(&reading, reading.file.root)) return false;
    world_solids_index(map);
    return true;
}
