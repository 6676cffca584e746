#include "hub/closed.h"
#include <assert.h>

constexpr uint32_t ways = 4;

void closed_init(struct closed_rooms *closed, struct arena *arena, uint32_t count, uint32_t kept_ms)
{
    assert(count >= ways && (count & (count - 1)) == 0);
    closed->places = arena_take(arena, count * sizeof *closed->places);
    closed->count = count;
    closed->kept_ms = kept_ms;
}

void closed_set_key(struct closed_rooms *closed, struct hash_key key)
{
    closed->key = key;
    memset(closed->places, 0, closed->count * sizeof *closed->places);
}

static uint64_t hash_of(const struct closed_rooms *closed, struct text name)
{
    uint64_t hash = hash_text(closed->key, name);
    return hash != 0 ? hash : 1;
}

/* The four places of a name. */
static struct closed_room *places_of(const struct closed_rooms *closed, uint64_t hash)
{
    return &closed->places[hash & (closed->count - 1) & ~(uint64_t)(ways - 1)];
}

static struct closed_room *find(const struct closed_rooms *closed, struct text name)
{
    uint64_t hash = hash_of(closed, name);
    struct closed_room *places = places_of(closed, hash);
    for (uint32_t i = 0; i < ways; i++)
        if (places[i].name == hash) return &places[i];
    return nullptr;
}

/* A free one, or the oldest. */
static struct closed_room *find_place(const struct closed_rooms *closed, uint64_t hash)
{
    struct closed_room *places = places_of(closed, hash), *best = places;
    for (uint32_t i = 0; i < ways && best->name != 0; i++)
        if (places[i].name == 0 || places[i].closed_ms < best->closed_ms) best = &places[i];
    return best;
}

void closed_remember(struct closed_rooms *closed, struct text name, uint64_t now_ms)
{
    uint64_t hash = hash_of(closed, name);
    struct closed_room *place = find(closed, name);
    if (place == nullptr) place = find_place(closed, hash);
    *place = (struct closed_room){.name = hash, .closed_ms = now_ms};
}

void closed_forget(struct closed_rooms *closed, struct text name)
{
    struct closed_room *place = find(closed, name);
    if (place != nullptr) *place = (struct closed_room){};
}

bool closed_knows(const struct closed_rooms *closed, struct text name, uint64_t now_ms)
{
    const struct closed_room *place = find(closed, name);
    return place != nullptr && now_ms - place->closed_ms < closed->kept_ms;
}
