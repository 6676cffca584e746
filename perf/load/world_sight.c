#include "world_sight.h"
#include "net.h"
#include "trouble.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

constexpr uint32_t spot_count = 1U << 17; /* twice as many as a world may have cells */

/* ---- memory ---- */

void world_sight_open(struct world_sight *sight, struct tally *tally, uint32_t players,
                      uint32_t walkers, uint32_t share)
{
    *sight = (struct world_sight){
        .tally = tally, .players = players, .entities = players + walkers, .share = share};
    sight->spots = net_memory(spot_count, sizeof *sight->spots);
    sight->told_ms = net_memory(sight->entities, sizeof *sight->told_ms);
    sight->told_at = net_memory(sight->entities, sizeof *sight->told_at);
}

void world_sight_close(struct world_sight *sight)
{
    for (uint32_t i = 0; i < spot_count; i++)
        for (size_t j = 0; j < world_shots && sight->spots[i].taken; j++) {
            free(sight->spots[i].shots[j].bytes);
            free(sight->spots[i].shots[j].entities);
        }
    free(sight->spots);
    free(sight->told_ms);
    free(sight->told_at);
}

void world_view_open(struct world_view *view, const struct world_sight *sight)
{
    *view = (struct world_view){.known = net_memory((sight->entities + 63) / 64, sizeof(uint64_t))};
}

void world_view_close(struct world_view *view)
{
    free(view->known);
}

/* ---- who is known ---- */

static inline bool knows(const struct world_view *view, uint32_t entity)
{
    return (view->known[entity / 64] >> entity % 64 & 1) != 0;
}

static void fault(const struct world_sight *sight, uint32_t client, enum fault fault,
                  const char *why)
{
    tally_fault(sight->tally, fault, "client %" PRIu32 ": %s", client, why);
}

/* The number of an entity; false where nobody has that id. */
static bool number_of(const struct world_sight *sight, const struct world_sighting *sighting,
                      uint32_t *number)
{
    uint32_t players = sight->players;
    *number = sighting->is_walker ? players + sighting->number : sighting->number;
    return sighting->is_walker ? *number < sight->entities : *number < players;
}

void world_sight_list(struct world_sight *sight, struct world_view *view, uint32_t client,
                      const uint8_t *text, size_t size, bool leave)
{
    const char *why =
        world_list_read(text, size, leave, sight->fresh, world_message_most, &sight->fresh_count);
    if (why != nullptr) {
        fault(sight, client, FAULT_WORLD, why);
        return;
    }
    for (uint32_t i = 0; i < sight->fresh_count; i++) {
        uint32_t entity;
        if (!number_of(sight, &sight->fresh[i], &entity)) {
            fault(sight, client, FAULT_WORLD, "an entity that is not there");
            continue;
        }
        if (knows(view, entity) != leave) {
            fault(sight, client, leave ? FAULT_NOT_THERE : FAULT_ENTERED_TWICE,
                  leave ? "entity_leave" : "entity_enter");
            continue;
        }
        view->known[entity / 64] ^= 1ULL << entity % 64;
        view->known_count += leave ? -1U : 1U;
    }
}

/* ---- what a cell shows ---- */

static bool same_cell(struct world_cell left, struct world_cell right)
{
    return left.column == right.column && left.row == right.row;
}

static struct world_spot *spot_of(struct world_sight *sight, struct world_cell cell)
{
    uint64_t mixed =
        ((uint64_t)(uint32_t)cell.column << 32 | (uint32_t)cell.row) * 0x9E3779B97F4A7C15;
    uint32_t place = (uint32_t)(mixed >> 40);
    for (uint32_t i = 0; i < spot_count; i++, place++) {
        struct world_spot *spot = &sight->spots[place % spot_count];
        if (spot->taken && !same_cell(spot->cell, cell)) continue;
        spot->taken = true;
        spot->cell = cell;
        return spot;
    }
    give_up("the world has more cells than this client can keep");
}

static const struct world_shot *find_same(const struct world_spot *spot, const uint8_t *text,
                                          size_t size)
{
    for (uint32_t i = 0; i < world_shots; i++) {
        const struct world_shot *shot = &spot->shots[(spot->newest - i) % world_shots];
        if (shot->size == size && memcmp(shot->bytes, text, size) == 0) return shot;
    }
    return nullptr;
}

/* The place of the oldest one, for a new one. */
static struct world_shot *next_shot(struct world_spot *spot, uint32_t share, size_t size)
{
    struct world_shot *shot = &spot->shots[++spot->newest % world_shots];
    if (shot->time_ms > spot->forgotten_ms) spot->forgotten_ms = shot->time_ms;
    if (shot->entities == nullptr) shot->entities = net_memory(share, sizeof *shot->entities);
    if (size > shot->capacity) {
        free(shot->bytes);
        shot->capacity = size + size / 4;
        shot->bytes = net_memory(shot->capacity, 1);
    }
    return shot;
}

/* Nobody is told of twice in a tick, neither in one cell nor in two. */
static const char *note_entity(struct world_sight *sight, const struct world_update *update,
                               uint32_t entity)
{
    uint64_t before_ms = sight->told_ms[entity];
    if (before_ms == update->time_ms)
        return same_cell(sight->told_at[entity], update->cell) ? "an entity twice in one cell"
                                                               : "an entity in two cells at once";
    if (before_ms > update->time_ms) return nullptr; /* this client is read later than others */
    bool waited = update->count == sight->share && before_ms >= sight->begin_ms &&
                  same_cell(sight->told_at[entity], update->cell);
    if (waited && update->time_ms - before_ms > sight->unseen_ms)
        sight->unseen_ms = update->time_ms - before_ms;
    sight->told_ms[entity] = update->time_ms;
    sight->told_at[entity] = update->cell;
    return nullptr;
}

/* Reads a cell that has not come before. nullptr: it is wrong, and *why says so. */
static const struct world_shot *read_shot(struct world_sight *sight, const uint8_t *text,
                                          size_t size, struct world_cell *cell, const char **why)
{
    struct world_update update = {};
    *why = world_update_read(text, size, &update, sight->fresh, world_message_most);
    if (*why != nullptr) return nullptr;
    *cell = update.cell;
    struct world_spot *spot = spot_of(sight, update.cell);
    for (size_t i = 0; i < world_shots; i++)
        if (spot->shots[i].time_ms == update.time_ms && update.time_ms > 0)
            *why = "a cell that differs from what others were told of it at that time";
    if (update.count > sight->share) *why = "a cell with more entities than its share";
    if (*why != nullptr) return nullptr;
    struct world_shot *shot = next_shot(spot, sight->share, size);
    bool again = update.time_ms <= spot->forgotten_ms; /* perhaps */
    for (uint32_t i = 0; i < update.count && *why == nullptr; i++) {
        if (!number_of(sight, &sight->fresh[i], &shot->entities[i]))
            *why = "an entity that is not there";
        else if (!again)
            *why = note_entity(sight, &update, shot->entities[i]);
    }
    shot->size = *why == nullptr ? size : 0; /* nothing is ever the same as a wrong one */
    shot->time_ms = update.time_ms;
    shot->count = update.count;
    memcpy(shot->bytes, text, size);
    sight->fresh_count = *why == nullptr ? update.count : 0;
    if (update.time_ms > sight->newest_ms) sight->newest_ms = update.time_ms;
    return *why == nullptr ? shot : nullptr;
}

/* ---- what a client is told ---- */

static void check_known(struct world_sight *sight, const struct world_view *view, uint32_t client,
                        const struct world_shot *shot)
{
    for (uint32_t i = 0; i < shot->count; i++)
        if (!knows(view, shot->entities[i]))
            tally_fault(sight->tally, FAULT_NOT_ENTERED, "client %" PRIu32 ": entity %" PRIu32,
                        client, shot->entities[i]);
}

static bool has_cell(const struct world_view *view, struct world_cell cell)
{
    for (uint32_t i = 0; i < view->cell_count; i++)
        if (same_cell(view->cells[i], cell)) return true;
    return false;
}

/* The cell joins the client's tick. */
static void add_shot(struct world_sight *sight, struct world_view *view, uint32_t client,
                     const struct world_shot *shot, struct world_cell cell)
{
    if (has_cell(view, cell) || view->cell_count == world_sight_cells) {
        fault(sight, client, FAULT_REPEATED, "a cell of one tick, or too many of them");
        return;
    }
    check_known(sight, view, client, shot);
    view->cells[view->cell_count++] = cell;
    view->time_ms = shot->time_ms;
    view->carried += shot->count;
    view->capped |= shot->count >= sight->share;
}

bool world_view_finish(struct world_view *view, struct world_told *told)
{
    if (view->time_ms == 0) return false;
    *told = (struct world_told){.time_ms = view->time_ms,
                                .at_ns = view->at_ns,
                                .bytes = view->bytes,
                                .entities = view->carried,
                                .cells = view->cell_count,
                                .short_of = !view->capped && view->carried != view->known_count};
    view->time_ms = view->bytes = 0;
    view->carried = view->cell_count = 0;
    view->capped = false;
    return true;
}

bool world_sight_update(struct world_sight *sight, struct world_view *view, uint32_t client,
                        const uint8_t *text, size_t size, size_t frame_size, uint64_t now_ns,
                        struct world_told *told)
{
    struct world_cell cell = {};
    const struct world_shot *shot = nullptr;
    const char *why = nullptr;
    sight->fresh_count = 0;
    if (world_update_peek(text, size, &cell)) shot = find_same(spot_of(sight, cell), text, size);
    if (shot == nullptr) shot = read_shot(sight, text, size, &cell, &why);
    if (shot == nullptr) {
        fault(sight, client, FAULT_WORLD, why);
        return false;
    }
    if (shot->time_ms < view->time_ms) {
        fault(sight, client, FAULT_BACKWARDS, "a cell of an earlier tick");
        return false;
    }
    bool complete = shot->time_ms != view->time_ms && world_view_finish(view, told);
    add_shot(sight, view, client, shot, cell);
    view->at_ns = now_ns;
    view->bytes += frame_size;
    return complete;
}
