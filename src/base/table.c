#include "base/table.h"
#include <assert.h>

constexpr uint32_t table_buckets_min = 16;

void table_init(struct table *table, struct arena *arena, uint32_t expected,
                struct hash_key hash_key)
{
    assert(expected <= UINT32_C(1) << 31);
    uint32_t bucket_count = table_buckets_min;
    while (bucket_count < expected)
        bucket_count *= 2;
    *table =
        (struct table){.buckets = arena_take(arena, bucket_count * sizeof(struct table_link *)),
                       .bucket_count = bucket_count,
                       .hash_key = hash_key};
}

static struct table_link **table_bucket(const struct table *table, uint64_t hash)
{
    assert(table->buckets != nullptr);
    return &table->buckets[hash & (table->bucket_count - 1)];
}

struct table_link *table_find(const struct table *table, struct text key)
{
    uint64_t hash = hash_text(table->hash_key, key);
    struct table_link *link = *table_bucket(table, hash);
    while (link != nullptr && (link->hash != hash || !text_equal(link->key, key)))
        link = link->next;
    return link;
}

void table_add(struct table *table, struct table_link *link)
{
    assert(table_find(table, link->key) == nullptr);
    link->hash = hash_text(table->hash_key, link->key);
    struct table_link **bucket = table_bucket(table, link->hash);
    link->next = *bucket;
    *bucket = link;
    table->count += 1;
}

void table_remove(struct table *table, struct table_link *link)
{
    struct table_link **at = table_bucket(table, link->hash);
    while (*at != nullptr && *at != link)
        at = &(*at)->next;
    assert(*at == link);
    *at = link->next;
    link->next = nullptr;
    table->count -= 1;
}
