#include "auth/cache.h"
#include <string.h>

void jwt_cache_use(struct jwt_cache *cache, uint32_t generation)
{
    if (cache->generation == generation) return;
    memset(cache->entries, 0, sizeof cache->entries);
    cache->generation = generation;
}

/* The digest is as good as random: whoever could choose it could sign tokens. */
static struct jwt_cache_entry *set_of(struct jwt_cache *cache, const uint8_t *digest)
{
    return cache->entries[(digest[0] | (uint32_t)digest[1] << 8) & (jwt_cache_sets - 1)];
}

static void move_to_front(struct jwt_cache_entry *set, uint32_t way)
{
    struct jwt_cache_entry entry = set[way];
    memmove(set + 1, set, way * sizeof *set);
    set[0] = entry;
}

bool jwt_cache_knows(struct jwt_cache *cache, const uint8_t digest[static jwt_digest_size],
                     int64_t now_s)
{
    struct jwt_cache_entry *set = set_of(cache, digest);
    for (uint32_t way = 0; way < jwt_cache_ways; way++) {
        if (now_s >= set[way].until_s || memcmp(set[way].digest, digest, jwt_digest_size) != 0)
            continue;
        move_to_front(set, way);
        cache->hits += 1;
        return true;
    }
    cache->misses += 1;
    return false;
}

void jwt_cache_add(struct jwt_cache *cache, const uint8_t digest[static jwt_digest_size],
                   int64_t until_s, int64_t now_s)
{
    struct jwt_cache_entry *set = set_of(cache, digest);
    uint32_t way = 0;
    while (way + 1 < jwt_cache_ways && now_s < set[way].until_s)
        way += 1;
    memcpy(set[way].digest, digest, jwt_digest_size);
    set[way].until_s = until_s;
    move_to_front(set, way);
}
