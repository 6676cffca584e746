#include "game/world.h"
#include <assert.h>

constexpr uint64_t presence_ms = 1000;       /* from one telling of who is here to the next */
constexpr double lobby_radius = 32;          /* metres around a spawn point */
constexpr uint32_t cell_entities_max = 2048; /* that a cell shows: their ids fit an outbox twice */
constexpr uint32_t dismissals_a_tick = 8;

/* --- Memory ----------------------------------------------------------------------------------- */

static double larger(double left, double right)
{
    return left > right ? left : right;
}

/* What is seen follows from the map's interest: whoever is within its radius along an axis is in
 * view, and whoever is beyond its leave_radius by a cell is not. Cells are as large as it says,
 * unless an area would have more than it may, or the plane. */
static struct world_grid_config grid_config(const struct game_options *options)
{
    const struct world_map *map = options->map;
    const struct world_interest *interest = &map->interest;
    double widest =
        larger(map->bounds.max.x - map->bounds.min.x, map->bounds.max.z - map->bounds.min.z);
    double slack = (interest->leave_radius - interest->radius) / 2;
    double cell = larger(interest->cell, larger(interest->leave_radius / 3, widest / 250));
    if (slack > cell / 4) slack = cell / 4;
    uint32_t radius = 1;
    while (radius * cell < interest->radius + 2 * slack)
        radius += 1;
    uint32_t share = interest->cell_share_max;
    return (struct world_grid_config){
        .least_x = map->bounds.min.x,
        .least_z = map->bounds.min.z,
        .most_x = map->bounds.max.x,
        .most_z = map->bounds.max.z,
        .cell_size = cell,
        .slack = slack,
        .radius = radius,
        .entities_max = options->players_max + options->walkers,
        .viewers_max = options->players_max,
        .cell_entities_max = cell_entities_max,
        .viewer_entities_max = interest->entities_max,
        .share_max = share < world_share_most ? share : world_share_most,
    };
}

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct world *world, struct arena *arena, const struct game_options *options)
{
    const struct world_grid_config config = grid_config(options);
    uint32_t players = options->players_max;
    world_grid_init(&world->grid, arena, &config);
    world->members = arena_take(arena, options->members_max * sizeof *world->members);
    world->players = arena_take(arena, players * sizeof *world->players);
    world->free_players = arena_take(arena, players * sizeof(uint32_t));
    world->gone = arena_take(arena, players * sizeof(uint32_t));
    world->walkers = arena_take(arena, options->walkers * sizeof *world->walkers);
    world->wishes = arena_take(arena, world_wishes_max * sizeof *world->wishes);
    world->parts = arena_take(arena, world_grid_cells(&config) * world_dialects * sizeof(uint32_t));
    table_init(&world->by_id, arena, players, (struct hash_key){});
}

/* Parts must all fit at once; what else is said is delivered when it does not. */
static struct words_size words_size(const struct game_options *options)
{
    const struct world_grid_config config = grid_config(options);
    size_t cells = world_grid_cells(&config), dialects = world_dialects;
    size_t entities = config.entities_max;
    size_t updates = cells < entities ? cells : entities; /* a cell with nobody in it has none */
    size_t gatherings = cells < config.viewers_max ? cells : config.viewers_max;
    return (struct words_size){
        .bytes = 1024 * 1024 + dialects * (entities * world_entity_size_max + updates * 256),
        .message_bytes = world_said_max + 1024,
        .messages = (uint32_t)(dialects * updates + 1024),
        .numbers =
            (uint32_t)(4 * config.viewers_max + dialects * gatherings * world_area_max + 65'536),
        .gatherings = (uint32_t)(dialects * gatherings)};
}

static struct game_needs world_needs(const struct game_options *options)
{
    struct world measured = {};
    struct arena arena = arena_measure();
    if (options->map == nullptr) return (struct game_needs){};
    reserve(&measured, &arena, options);
    return (struct game_needs){.memory = arena.used, .words = words_size(options)};
}

static void world_open(void *state, const struct game_opening *opening)
{
    struct world *world = state;
    const struct game_options *options = opening->options;
    struct arena arena = {.memory = opening->memory.data, .capacity = opening->memory.size};
    assert(options->players_max + options->walkers <= world_entities_most);
    *world = (struct world){.map = options->map,
                            .options = options,
                            .first_stranger = game_nobody,
                            .last_stranger = game_nobody,
                            .is_idle = true,
                            .next_deadline_ms = game_never_ms};
    reserve(world, &arena, options);
    /* of who may come, strangers choose the ids */
    world->by_id.hash_key = (struct hash_key){opening->seed, ~opening->seed};
    world->chance.state = world->map->terrain.seed;
    for (uint32_t i = options->players_max; i-- > 0;) {
        world->free_players[world->free_count++] = i;
        world->players[i].member = game_nobody;
    }
    world_walkers_init(world);
}

/* --- Time ------------------------------------------------------------------------------------- */

static bool has_nothing_to_do(const struct world *world)
{
    return world->player_count == 0 && world->stranger_count == 0;
}

void world_wake(struct world *world, struct game_time now)
{
    if (!world->is_idle) return;
    world->is_idle = false;
    world->next_tick_ms = now.ms + world->map->tick_ms;
}

static uint64_t world_due(const void *state)
{
    const struct world *world = state;
    return world->is_idle ? game_never_ms : world->next_tick_ms;
}

static void expire_strangers(struct world *world, struct game_time now, struct game_words *words)
{
    while (world->first_stranger != game_nobody && words->dismissed_count < dismissals_a_tick) {
        uint32_t first = world->first_stranger;
        if (now.ms < world->members[first].since_ms + world->options->auth_ms) return;
        world_dismiss(world, first, GAME_DISMISS_SILENT, now, words);
    }
}

static void expire(struct world *world, struct world_player *player, struct game_time now,
                   struct game_words *words)
{
    world_say_error(world, words, player->member, TEXT("token_expired"),
                    TEXT("Your token has expired; connect again with a new one."));
    world_dismiss(world, player->member, GAME_DISMISS_EXPIRED, now, words);
}

/* What is due for a player; returns when something is next. */
static uint64_t advance_player(struct world *world, struct world_player *player,
                               struct game_time now, struct game_words *words)
{
    if (player->member != game_nobody) {
        if (now.ms < player->until_ms && now.ms >= player->warn_ms) {
            player->warn_ms = game_never_ms;
            world_say_expiring(world, words, world_player_number(world, player));
        }
        if (now.ms < player->until_ms)
            return player->warn_ms < player->until_ms ? player->warn_ms : player->until_ms;
        if (words->dismissed_count >= dismissals_a_tick) return now.ms;
        expire(world, player, now, words);
    }
    uint64_t leaves_ms = player->away_ms + world->options->leave_ms;
    if (now.ms < leaves_ms) return leaves_ms;
    world_remove_player(world, player, now, words);
    return game_never_ms;
}

static void advance_players(struct world *world, struct game_time now, struct game_words *words)
{
    if (now.ms < world->next_deadline_ms) return;
    uint64_t next_ms = game_never_ms;
    for (uint32_t i = 0; i < world->options->players_max; i++) {
        struct world_player *player = &world->players[i];
        if (!player->is_taken || player->is_gone) continue;
        uint64_t due_ms = advance_player(world, player, now, words);
        if (due_ms < next_ms) next_ms = due_ms;
    }
    world->next_deadline_ms = next_ms;
}

static enum world_zone zone_of(const struct world *world, uint32_t number)
{
    const struct world_map *map = world->map;
    const struct world_point position = world->players[number].motion.now.position;
    if (world_race_of(&world->races, number) != world_no_race) return WORLD_ZONE_RACE;
    for (uint32_t i = 0; i < map->spawn_count; i++)
        if (world_distance(position, map->spawns[i]) <= lobby_radius) return WORLD_ZONE_LOBBY;
    return WORLD_ZONE_WORLD;
}

/* Who is here is told when it has changed, and not for each one who comes: in a crowd that would be
 * the square of it (THREATS.md R8). */
static void advance_presence(struct world *world, struct game_time now, struct game_words *words)
{
    uint32_t online = 0, zone_counts[world_zones] = {};
    if (now.ms < world->next_presence_ms) return;
    world->next_presence_ms = now.ms + presence_ms;
    for (uint32_t i = 0; i < world->options->players_max; i++) {
        struct world_player *player = &world->players[i];
        if (!player->is_taken || player->is_gone) continue;
        player->zone = zone_of(world, i);
        zone_counts[player->zone] += 1;
        online += 1;
    }
    bool is_news =
        online != world->online || memcmp(zone_counts, world->zone_counts, sizeof zone_counts) != 0;
    world->online = online;
    memcpy(world->zone_counts, zone_counts, sizeof zone_counts);
    if (is_news) world_tell_presence(world, words);
}

void world_advance_races(struct world *world, struct game_time now, struct game_words *words)
{
    while (world_race_advance(&world->races, world->map, now.ns, &world->events))
        world_tell_races(world, words, now);
    world_tell_races(world, words, now);
}

static void tick(struct world *world, struct game_time now, struct game_words *words)
{
    world->tick += 1;
    words->ticks += 1;
    world_tell_chunks(world, words);
    world_advance_races(world, now, words);
    expire_strangers(world, now, words);
    advance_players(world, now, words);
    world_walkers_step(world);
    world_grid_tick(&world->grid);
    world_tell_changes(world, words);
    world_free_gone(world);
    advance_presence(world, now, words);
    world_tell_updates(world, words, now);
}

/* A tick that comes late is not made up for: what moves is charged by the clock, not by ticks. */
static bool world_advance(void *state, struct game_time now, struct game_words *words)
{
    struct world *world = state;
    if (world->is_idle || now.ms < world->next_tick_ms) return false;
    uint64_t missed = (now.ms - world->next_tick_ms) / world->map->tick_ms;
    world->next_tick_ms += (missed + 1) * world->map->tick_ms;
    words->overruns += (uint32_t)missed;
    tick(world, now, words);
    world->is_idle = has_nothing_to_do(world);
    return true;
}

/* --- Another map ------------------------------------------------------------------------------ */

/* The grid stays: only what it may carry follows the new map. */
static struct text world_remap(void *state, const struct world_map *next)
{
    struct world *world = state;
    struct game_options options = *world->options;
    options.map = next;
    struct text why = world_map_conflict(world->map, next, world->races.active > 0);
    if (why.size > 0) return why;
    const struct world_grid_config config = grid_config(&options), *now = &world->grid.config;
    if (config.cell_size != now->cell_size || config.slack != now->slack ||
        config.radius != now->radius)
        return TEXT("has another view, by which everybody is kept; restart for it");
    world->grid.config.viewer_entities_max = config.viewer_entities_max;
    world->grid.config.share_max = config.share_max;
    world->map = next;
    return (struct text){};
}

static void world_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    world_hear(state, member, text, now, memory, words);
}

const struct game game_world = {
    .name = "world",
    .protocol = TEXT("ringcast.world"),
    .state_size = sizeof(struct world),
    .message_size_max = 4096,
    .types = {TEXT("auth"), TEXT("player_update"), TEXT("chunk_request"), TEXT("chunk_unload"),
              TEXT("interact"), TEXT("start_race"), TEXT("leave_race"), TEXT("presence")},
    .needs = world_needs,
    .open = world_open,
    .advance = world_advance,
    .due = world_due,
    .join = world_join,
    .leave = world_leave,
    .receive = world_receive,
    .verified = world_verified,
    .remap = world_remap,
};
