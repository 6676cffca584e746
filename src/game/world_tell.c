/* game/world_tell.c: what a tick has changed, put into words for those who see it, each of them
 * once for all who read the same dialect.
 *
 *   groups, appeared, vanished > entity_enter, entity_leave   to lists: events, never left out
 *   watched cells              > world_state_update           parts: the newest of a cell counts
 *   viewers of a cell          > one gathering                the parts of the cells they see */
#include "game/world.h"
#include <assert.h>

/* --- Who comes into sight, and goes out of it ------------------------------------------------- */

/* Entities that one message after the other tells of: those of a group, or those of a cell who have
 * stayed there. */
struct listing {
    const struct world *world;
    bool is_group;
    uint32_t cell;
    uint32_t entity; /* the next; world_grid_none: there is no other */
};

static void skip_moved(struct listing *listing)
{
    const struct world_grid *grid = &listing->world->grid;
    while (listing->entity != world_grid_none && !world_grid_stayed(grid, listing->entity))
        listing->entity = world_grid_next(grid, listing->cell, listing->entity);
}

static struct listing list_group(const struct world *world, const struct world_grid_group *group)
{
    return (struct listing){.world = world, .is_group = true, .entity = group->first};
}

static struct listing list_cell(const struct world *world, uint32_t cell)
{
    struct listing listing = {.world = world,
                              .cell = cell,
                              .entity = world_grid_next(&world->grid, cell, world_grid_none)};
    skip_moved(&listing);
    return listing;
}

static void step(struct listing *listing)
{
    const struct world_grid *grid = &listing->world->grid;
    if (listing->is_group) {
        listing->entity = grid->entities[listing->entity].next_in_group;
    } else {
        listing->entity = world_grid_next(grid, listing->cell, listing->entity);
        skip_moved(listing);
    }
}

/* As many of them as one message takes. */
static void write_listed(struct writer *out, struct listing *listing, enum world_saying saying,
                         enum world_dialect dialect)
{
    size_t start = out->size;
    world_open_message(out, saying, dialect);
    write_text(out, TEXT("\"entities\":["));
    for (bool first = true; listing->entity != world_grid_none; first = false) {
        if (out->size - start > world_said_max - world_entity_size_max - 16) break;
        if (!first) write_byte(out, ',');
        if (saying == WORLD_SAY_ENTER)
            world_write_entity(out, listing->world, listing->entity, false);
        else
            world_write_id(out, listing->world, listing->entity);
        step(listing);
    }
    write_byte(out, ']');
}

/* The first `count` numbers in words_room are entities; they become those of their members. */
static void to_members(const struct world *world, uint32_t *viewers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        viewers[i] = world->players[viewers[i]].member;
}

static void tell_listed(struct game_words *words, struct listing listing, uint32_t *viewers,
                        uint32_t count, enum world_saying saying, enum world_dialect dialect)
{
    if (count == 0 || listing.entity == world_grid_none) return;
    to_members(listing.world, viewers, count);
    struct writer *out = words_begin_some(words, count, world_said_max);
    for (;;) {
        write_listed(out, &listing, saying, dialect);
        world_close_message(words);
        if (listing.entity == world_grid_none) return;
        out = words_begin_again(words, world_said_max);
    }
}

static void tell_group(struct world *world, struct game_words *words,
                       const struct world_grid_group *group, enum world_dialect dialect)
{
    const struct world_grid *grid = &world->grid;
    uint32_t *viewers = words_room(words, world->options->players_max);
    uint32_t count = world_grid_leave_audience(grid, group, (uint8_t)dialect, viewers);
    tell_listed(words, list_group(world, group), viewers, count, WORLD_SAY_LEAVE, dialect);
    viewers = words_room(words, world->options->players_max);
    count = world_grid_enter_audience(grid, group, (uint8_t)dialect, viewers);
    tell_listed(words, list_group(world, group), viewers, count, WORLD_SAY_ENTER, dialect);
}

static void tell_change(struct world *world, struct game_words *words,
                        const struct world_grid_change *change, enum world_saying saying,
                        enum world_dialect dialect)
{
    uint32_t *viewers = words_room(words, world->options->players_max);
    uint32_t count = world_grid_change_audience(&world->grid, change, (uint8_t)dialect, viewers);
    tell_listed(words, list_cell(world, change->cell), viewers, count, saying, dialect);
}

void world_tell_changes(struct world *world, struct game_words *words)
{
    const struct world_grid *grid = &world->grid;
    for (uint8_t i = 0; i < world_dialects; i++) {
        enum world_dialect dialect = (enum world_dialect)i;
        for (uint32_t j = 0; j < grid->group_count; j++)
            tell_group(world, words, &grid->groups[j], dialect);
        for (uint32_t j = 0; j < grid->vanished_count; j++)
            tell_change(world, words, &grid->vanished[j], WORLD_SAY_LEAVE, dialect);
        for (uint32_t j = 0; j < grid->appeared_count; j++)
            tell_change(world, words, &grid->appeared[j], WORLD_SAY_ENTER, dialect);
    }
}

/* --- What is seen ----------------------------------------------------------------------------- */

static void write_cell(struct writer *out, const struct world *world, uint32_t cell,
                       const uint32_t *entities, uint32_t count, struct game_time now)
{
    constexpr uint32_t ahead = 4; /* to wait for memory would take half of the time */
    write_text(out, TEXT("\"cell\":\""));
    write_i64(out, world_grid_column(&world->grid, cell));
    write_byte(out, ',');
    write_i64(out, world_grid_row(&world->grid, cell));
    write_text(out, TEXT("\",\"entities\":["));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) write_byte(out, ',');
        if (i + ahead < count) world_fetch_entity(world, entities[i + ahead]);
        world_write_entity(out, world, entities[i], true);
    }
    write_text(out, TEXT("],\"timestamp\":"));
    write_u64(out, now.wall_ms);
}

/* In two dialects a cell differs only in what it is called. */
static void tell_cell(struct world *world, struct game_words *words, uint32_t cell,
                      struct game_time now)
{
    uint32_t entities[world_share_most];
    uint32_t count = world_grid_carry(&world->grid, cell, entities);
    struct bytes body = {};
    for (uint8_t i = 0; i < world_dialects; i++) {
        if ((world->grid.cells[cell].watched_by & 1u << i) == 0) continue;
        uint32_t place = cell * (uint32_t)world_dialects + i;
        world->parts[place] = words->count;
        struct writer *out = words_begin_part(words, place + 1);
        world_open_message(out, WORLD_SAY_UPDATE, (enum world_dialect)i);
        size_t start = out->size;
        if (body.size == 0)
            write_cell(out, world, cell, entities, count, now);
        else
            write_text(out, text_from(body));
        body = (struct bytes){out->data + start, out->size - start};
        world_close_message(words);
    }
}

static void gather(struct world *world, struct game_words *words, uint32_t cell,
                   enum world_dialect dialect)
{
    const struct world_grid *grid = &world->grid;
    uint32_t cells[world_area_max], parts[world_area_max], part_count = 0;
    uint32_t viewer_count = grid->cells[cell].viewer_count[dialect];
    if (viewer_count == 0) return;
    uint32_t cell_count = world_grid_area(grid, cell, cells);
    for (uint32_t i = 0; i < cell_count; i++)
        if (grid->cells[cells[i]].shown_count > 0)
            parts[part_count++] = world->parts[cells[i] * world_dialects + dialect];
    uint32_t *viewers = words_room(words, viewer_count);
    uint32_t count = world_grid_viewers(grid, cell, (uint8_t)dialect, viewers);
    to_members(world, viewers, count);
    words_gather(words, count, parts, part_count);
}

static_assert(world_area_max <= game_gather_max);

void world_tell_updates(struct world *world, struct game_words *words, struct game_time now)
{
    const struct world_grid *grid = &world->grid;
    if (grid->watched_count == 0) return;
    words_begin_parts(words);
    for (uint32_t i = 0; i < grid->watched_count; i++)
        tell_cell(world, words, grid->watched[i], now);
    for (uint32_t i = 0; i < grid->viewer_cell_count; i++)
        for (uint8_t j = 0; j < world_dialects; j++)
            gather(world, words, grid->viewer_cells[i], (enum world_dialect)j);
}

/* --- Who is here ------------------------------------------------------------------------------ */

static const struct text zone_names[world_zones] = {
    [WORLD_ZONE_LOBBY] = TEXT("lobby"),
    [WORLD_ZONE_WORLD] = TEXT("world"),
    [WORLD_ZONE_RACE] = TEXT("race"),
};

static void write_presence(struct writer *out, const struct world *world)
{
    write_text(out, TEXT("\"online\":"));
    write_u64(out, world->online);
    write_text(out, TEXT(",\"zones\":{"));
    for (size_t i = 0; i < world_zones; i++) {
        write_text(out, i > 0 ? TEXT(",\"") : TEXT("\""));
        write_text(out, zone_names[i]);
        write_text(out, TEXT("\":"));
        write_u64(out, world->zone_counts[i]);
    }
    write_byte(out, '}');
}

static uint32_t list_players(const struct world *world, enum world_dialect dialect,
                             uint32_t *members)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->options->players_max; i++) {
        const struct world_player *player = &world->players[i];
        if (!player->is_taken || player->member == game_nobody) continue;
        if (world_dialect_of(world, player->member) == dialect) members[count++] = player->member;
    }
    return count;
}

void world_tell_presence(struct world *world, struct game_words *words)
{
    for (uint8_t i = 0; i < world_dialects; i++) {
        uint32_t *members = words_room(words, world->options->players_max);
        uint32_t count = list_players(world, (enum world_dialect)i, members);
        if (count == 0) continue;
        struct writer *out = words_begin_some(words, count, world_said_max);
        world_open_message(out, WORLD_SAY_PRESENCE, (enum world_dialect)i);
        write_presence(out, world);
        world_close_message(words);
    }
}

void world_say_who(struct world *world, struct game_words *words, uint32_t number, uint32_t offset)
{
    constexpr uint32_t players_a_message = 128;
    const struct world_player *player = &world->players[number];
    struct writer *out = world_tell_one(world, words, player->member, WORLD_SAY_PRESENCE);
    write_presence(out, world);
    write_text(out, TEXT(",\"players\":["));
    uint32_t count = 0, at = 0, i = 0;
    for (; i < world->options->players_max && count < players_a_message; i++) {
        const struct world_player *other = &world->players[i];
        if (!other->is_taken || other->is_gone || at++ < offset) continue;
        write_text(out, count++ > 0 ? TEXT(",{") : TEXT("{"));
        world_write_string(out, "id", world_player_id(other));
        write_byte(out, ',');
        world_write_string(out, "zone", zone_names[other->zone]);
        write_byte(out, '}');
    }
    write_text(out, TEXT("],\"offset\":"));
    write_u64(out, offset);
    world_close_message(words);
}
