/* base/table.h: finds an object by the text it is called. Chained, keyed hash; links live in the
 * objects, buckets in an arena. */
#pragma once
#include "base/arena.h"
#include "base/random.h"

/* Lives in the object that is found. */
struct table_link {
    struct table_link *next;
    uint64_t hash;
    struct text key; /* points into the object that holds the link */
};

struct table {
    struct table_link **buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t count;        /* objects */
    struct hash_key hash_key;
};

/* Buckets for about `expected` objects; more are welcome and only slower. May run on a measuring
 * arena. */
void table_init(struct table *table, struct arena *arena, uint32_t expected,
                struct hash_key hash_key);

/* The link with that key, or nullptr. */
[[nodiscard]] struct table_link *table_find(const struct table *table, struct text key);

/* Adds a link whose `key` is set and not yet in the table. */
void table_add(struct table *table, struct table_link *link);

/* Removes a link that is in the table. */
void table_remove(struct table *table, struct table_link *link);
