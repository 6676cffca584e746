/* game/world_hash.c: all that a world is, as one number. Two worlds with the same history have the
 * same; what it is reckoned from is everything that what happens next may follow from.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#include "game/world.h"

struct hash {
    uint64_t value;
};

static inline void add(struct hash *hash, uint64_t number)
{
    hash->value = (hash->value ^ number) * 0x9E3779B97F4A7C15;
    hash->value ^= hash->value >> 32;
}

static inline void add_double(struct hash *hash, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    add(hash, bits);
}

static void add_text(struct hash *hash, const char *data, size_t size)
{
    add(hash, size);
    for (size_t i = 0; i < size; i++)
        add(hash, (uint8_t)data[i]);
}

static void add_point(struct hash *hash, struct world_point point)
{
    add_double(hash, point.x);
    add_double(hash, point.y);
    add_double(hash, point.z);
}

static void add_sample(struct hash *hash, const struct world_sample *sample)
{
    add_point(hash, sample->position);
    add_point(hash, sample->velocity);
    add_point(hash,
              (struct world_point){sample->rotation.x, sample->rotation.y, sample->rotation.z});
    add_double(hash, sample->rotation.w);
    add(hash, sample->mode);
}

static void add_motion(struct hash *hash, const struct world_motion *motion)
{
    add_sample(hash, &motion->now);
    add(hash, motion->at_ns);
    add(hash, motion->budget_ns);
    add(hash, motion->strike_at_ns);
    add(hash, motion->strikes);
}

static void add_player(struct hash *hash, const struct world *world, uint32_t number)
{
    const struct world_player *player = &world->players[number];
    add(hash, number);
    add_text(hash, player->id, player->id_size);
    add(hash, player->is_gone);
    add(hash, player->zone);
    add(hash, player->member);
    add(hash, player->member != game_nobody ? world->members[player->member].dialect : 0);
    add(hash, player->until_ms);
    add(hash, player->warn_ms);
    add(hash, player->expires_wall_ms);
    add(hash, player->away_ms);
    add_motion(hash, &player->motion);
    add(hash, player->token_bucket);
    add(hash, player->chunk_bucket);
    add(hash, player->who_bucket);
    add(hash, player->note_bucket);
    add(hash, player->strikes.count);
    for (uint32_t i = 0; i < strikes_max; i++)
        add(hash, player->strikes.times_ms[i]);
}

static void add_racer(struct hash *hash, const struct world *world, uint32_t race, uint32_t racer)
{
    const struct world_racer *state = &world->races.races[race].racers[racer];
    const struct world_racer_id *id = &world->racer_ids[race][racer];
    add(hash, world->races.races[race].players[racer]);
    add_text(hash, id->data, id->size);
    add(hash, state->lap);
    add(hash, state->next);
    add(hash, state->place);
    add(hash, state->time_ms);
    add(hash, state->state);
    add(hash, state->false_start);
}

static void add_races(struct hash *hash, const struct world *world)
{
    add(hash, world->races.made);
    add(hash, world->races.active);
    for (uint32_t i = 0; i < world_races_max; i++) {
        const struct world_race *race = &world->races.races[i];
        if (race->state == WORLD_RACE_FREE) continue;
        add(hash, i);
        add(hash, race->state);
        add(hash, race->number);
        add(hash, race->route);
        add(hash, race->go_ns);
        add(hash, race->said_s);
        for (uint32_t k = 0; k < race->racer_count; k++)
            add_racer(hash, world, i, k);
    }
}

static void add_strangers(struct hash *hash, const struct world *world)
{
    add(hash, world->stranger_count);
    for (uint32_t i = world->first_stranger; i != game_nobody; i = world->members[i].next) {
        add(hash, i);
        add(hash, world->members[i].since_ms);
    }
}

static void add_walkers(struct hash *hash, const struct world *world)
{
    for (uint32_t i = 0; i < world->walker_count; i++) {
        add_sample(hash, &world->walkers[i].now);
        add_point(hash, world->walkers[i].goal);
    }
}

/* Who is where, who sees from where, and in which order. */
static void add_grid(struct hash *hash, const struct world_grid *grid)
{
    add(hash, grid->tick);
    for (uint32_t i = 0; i < grid->config.entities_max; i++) {
        const struct world_grid_entity *entity = &grid->entities[i];
        if (!entity->is_put && entity->cell == world_grid_none) continue;
        add(hash, (uint64_t)i << 32 | entity->cell);
        add(hash, (uint64_t)entity->shown << 32 | entity->was_shown);
        add(hash, (uint64_t)entity->seen_from << 32 | entity->seen_cells);
        add(hash, (uint64_t)grid->links[i].next << 3 | (uint64_t)entity->views << 2 |
                      (uint64_t)entity->is_put << 1 | entity->class);
        add_double(hash, entity->x);
        add_double(hash, entity->z);
    }
    for (uint32_t i = 0; i < grid->columns * grid->rows; i++) {
        const struct world_grid_cell *cell = &grid->cells[i];
        if (cell->shown_count == 0 && cell->waiting_count == 0 && cell->area_cells == 0) continue;
        add(hash, (uint64_t)i << 32 | cell->area_cells);
        add(hash, (uint64_t)cell->shown_first << 32 | cell->shown_count);
        add(hash, (uint64_t)cell->waiting_first << 32 | cell->waiting_count);
    }
}

uint64_t world_hash(const struct world *world)
{
    struct hash hash = {};
    add(&hash, world->tick);
    add(&hash, world->next_tick_ms);
    add(&hash, world->is_idle);
    add(&hash, world->next_deadline_ms);
    add(&hash, world->next_presence_ms);
    add(&hash, world->online);
    for (size_t i = 0; i < world_zones; i++)
        add(&hash, world->zone_counts[i]);
    add(&hash, world->chance.state);
    add(&hash, world->connected);
    for (uint32_t i = 0; i < world->free_count; i++)
        add(&hash, world->free_players[i]);
    for (uint32_t i = 0; i < world->options->players_max; i++)
        if (world->players[i].is_taken) add_player(&hash, world, i);
    add_strangers(&hash, world);
    add_races(&hash, world);
    add_walkers(&hash, world);
    add_grid(&hash, &world->grid);
    return hash.value;
}
