/* fuzz/game_world_map.c: worlds as files, and people in those that are read. Input: a file.
 *
 * A slip is told with line and column that lie in the file. In a world that is read, what its
 * limits promise holds: who begins there is outside of solids and above the ground; whoever moves
 * as the file's own bytes say never gets into a solid, under the ground or out of bounds; and each
 * route can be run to its end by who passes its checkpoints in order. */
#include "base/json.h"
#include "base/random.h"
#include "game/world_motion.h"
#include "game/world_race.h"
#include "script.h"

constexpr uint64_t second = 1'000'000'000;
constexpr uint32_t moves_max = 40; /* of one player */
constexpr uint32_t players_max = 4;

static struct world_map map, again;

/* "line L, column C: what", of a line that the file has, and one line long. */
static void check_problem(struct text problem, struct text file)
{
    char words[600];
    uint32_t line = 0, column = 0, lines = 1;
    MUST(problem.size > 20 && problem.size < 512);
    memcpy(words, problem.data, problem.size);
    words[problem.size] = 0;
    MUST(sscanf(words, "line %u, column %u: ", &line, &column) == 2);
    for (size_t i = 0; i < file.size; i++)
        lines += file.data[i] == '\n';
    MUST(line >= 1 && line <= lines && column >= 1 && column <= file.size + 1);
    for (size_t i = 0; i < problem.size; i++)
        MUST((uint8_t)problem.data[i] >= ' ');
}

static bool read_map(struct world_map *into, struct text file)
{
    struct bytes memory = {malloc(json_memory_size(file.size)), json_memory_size(file.size)};
    struct bytes said = {malloc(512), 512};
    struct writer problem = writer_over(said.data, said.size);
    bool read = world_map_read(into, file, memory, &problem);
    MUST(!problem.overflow && read == (problem.size == 0));
    if (!read) check_problem(text_from(writer_bytes(&problem)), file);
    free(said.data);
    free(memory.data);
    return read;
}

static void check_free(struct world_point point, double under)
{
    MUST(world_point_is_finite(point) && world_box_holds(&map.bounds, point));
    MUST(point.y >= world_height(&map.terrain, point.x, point.z) - under);
    for (uint32_t i = 0; i < map.solid_count; i++) {
        struct world_box core = world_solid_core(&map.solids[i]);
        MUST(!world_box_has_inside(&core, point));
    }
}

static void check_name(const struct world_name *name)
{
    MUST(name->size >= 1 && name->size <= world_name_size_max);
    for (size_t i = 0; i < name->size; i++)
        MUST(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                    name->data[i]) != nullptr &&
             name->data[i] != 0);
}

static void check_kiosks(void)
{
    for (uint32_t i = 0; i < map.kiosk_count; i++) {
        const struct world_kiosk *kiosk = &map.kiosks[i];
        check_name(&kiosk->id);
        check_free(kiosk->position, 0);
        MUST(world_kiosk_find(&map, world_name_text(&kiosk->id)) == (int32_t)i);
        MUST(kiosk->route >= -1 && kiosk->route < (int32_t)map.route_count);
        MUST(kiosk->answer_size <= world_answer_size_max);
    }
}

static void check_map(void)
{
    MUST(map.spawn_count >= 1 && map.spawn_count <= world_spawns_max);
    MUST(map.interest.leave_radius > map.interest.radius && map.chunk_size >= 8);
    for (uint32_t i = 0; i < map.spawn_count; i++)
        check_free(map.spawns[i], 0);
    for (uint32_t i = 0; i < map.solid_count; i++) {
        struct world_strip near;
        world_solids_near(&map, &map.solids[i], &near);
        MUST(near.words[i / 64] >> i % 64 & 1);
    }
    check_kiosks();
}

/* Chance that follows from the file. */
static double between(struct random *chance, double low, double high)
{
    return low + (high - low) * (double)random_below(chance, 1 << 20) / (1 << 20);
}

static struct world_sample random_sample(struct random *chance, struct world_point from)
{
    enum world_mode mode = (enum world_mode)random_below(chance, world_modes);
    double reach = map.pace.speed[mode] * between(chance, 0, 2);
    double height = random_below(chance, 2) == 0 ? 0.4 : reach;
    return (struct world_sample){.position = {from.x + between(chance, -reach, reach),
                                              from.y + between(chance, -height, height),
                                              from.z + between(chance, -reach, reach)},
                                 .rotation = {.w = between(chance, 0.9, 1.06)},
                                 .mode = mode};
}

static void wander(struct random *chance, struct world_point spawn)
{
    struct world_motion motion = {};
    struct world_verdict verdict;
    uint64_t now_ns = second;
    world_motion_place(&motion, spawn, now_ns);
    for (uint32_t i = 0; i < moves_max; i++) {
        struct world_sample said = random_sample(chance, motion.now.position);
        struct world_point before = motion.now.position;
        now_ns += random_below(chance, 3 * second);
        if (world_motion_move(&motion, &map, &said, now_ns, &verdict) == WORLD_FINE)
            check_free(motion.now.position, world_ground_slack);
        else
            MUST(memcmp(&motion.now.position, &before, sizeof before) == 0);
        MUST(motion.budget_ns <= (uint64_t)map.pace.burst_ms * 1'000'000);
    }
}

/* The racer's next legs: up to the checkpoint, and through it. */
static void aim(const struct world_checkpoint *checkpoint, struct world_point legs[static 2])
{
    double by = checkpoint->shape == WORLD_GATE ? 0.25 : 0;
    const struct world_point *at = &checkpoint->position, *to = &checkpoint->forward;
    legs[0] = (struct world_point){at->x - to->x * by, at->y - to->y * by, at->z - to->z * by};
    legs[1] = (struct world_point){at->x + to->x * by, at->y + to->y * by, at->z + to->z * by};
}

static void check_route(const struct world_route *route)
{
    check_name(&route->id);
    check_free(route->start, 0);
    for (uint32_t i = 0; i < route->checkpoint_count; i++) {
        const struct world_checkpoint *checkpoint = &route->checkpoints[i];
        double off = world_length(checkpoint->forward) - 1;
        check_free(checkpoint->position, 0);
        MUST(checkpoint->radius >= 0.5);
        MUST(checkpoint->shape == WORLD_SPHERE || (off < 1e-9 && off > -1e-9));
    }
}

static void race_on(uint32_t number)
{
    static struct world_races races;
    static struct world_race_events events;
    const struct world_route *route = &map.routes[number];
    uint32_t legs_left = 3 * route->checkpoint_count * route->laps;
    uint64_t now_ns = route->countdown_s * second;
    struct world_point at = route->start, legs[2];
    uint16_t race;
    races = (struct world_races){};
    events.count = 0;
    MUST(world_race_start(&races, &map, number, 5, at, 0, &race, &events) == WORLD_RACE_TAKEN);
    MUST(!world_race_advance(&races, &map, now_ns, &events));
    while (races.active > 0) {
        const struct world_racer *racer = &races.races[race].racers[0];
        aim(&route->checkpoints[racer->next], legs);
        for (uint32_t i = 0; i < 2; i++) {
            events.count = 0;
            MUST(world_race_move(&races, &map, 5, (struct world_way){at, legs[i]}, now_ns,
                                 now_ns + second, &events));
            now_ns += second;
            at = legs[i];
        }
        MUST(legs_left-- > 0);
    }
    MUST(races.races[race].racers[0].state == WORLD_RACER_FINISHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_exact(data, size);
    struct random chance = {.state = size};
    for (size_t i = 0; i < size; i++)
        chance.state = chance.state * 31 + data[i];
    if (read_map(&map, text_from(input))) {
        MUST(read_map(&again, text_from(input)) && memcmp(&map, &again, sizeof map) == 0);
        check_map();
        for (uint32_t i = 0; i < map.spawn_count && i < players_max; i++)
            wander(&chance, map.spawns[i]);
        for (uint32_t i = 0; i < map.route_count; i++) {
            check_route(&map.routes[i]);
            race_on(i);
        }
    }
    free(input.data);
    return 0;
}
