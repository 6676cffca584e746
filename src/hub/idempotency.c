#include "hub/idempotency.h"
#include <assert.h>

constexpr size_t scope_size_max = 16 + 1 + room_id_size_max; /* a room's name (room/room.h) */
constexpr size_t joined_size_max = scope_size_max + 1 + idempotency_key_size_max;

struct record {
    struct list age; /* in store.oldest; the pool's while it is free */
    struct table_link by_key;
    uint64_t made_ms;
    uint64_t fingerprint[2];
    uint16_t status, body_size;
    char key[joined_size_max];
    char body[idempotency_body_size_max];
};

void idempotency_init(struct idempotency *store, struct arena *arena, uint32_t count,
                      uint32_t kept_ms)
{
    pool_init(&store->records, arena, sizeof(struct record), count);
    table_init(&store->by_key, arena, count, (struct hash_key){});
    store->kept_ms = kept_ms;
}

void idempotency_set_key(struct idempotency *store, struct hash_key key)
{
    list_init(&store->oldest);
    store->by_key.hash_key = key;
    store->fingerprints[0] = (struct hash_key){~key.k0, key.k1};
    store->fingerprints[1] = (struct hash_key){key.k0, ~key.k1};
}

/* Scope and key as one text, in `memory`. No scope holds a NUL, so two are never taken for one. */
static struct text joined(char memory[static joined_size_max],
                          const struct idempotent_request *request)
{
    assert(request->scope.size <= scope_size_max);
    assert(request->key.size > 0 && request->key.size <= idempotency_key_size_max);
    struct writer out = writer_over(memory, joined_size_max);
    write_text(&out, request->scope);
    write_byte(&out, '\0');
    write_text(&out, request->key);
    assert(!out.overflow);
    return text_from(writer_bytes(&out));
}

/* 128 bits under a key that nobody knows: two requests never have the same by chance. */
static void take_fingerprint(const struct idempotency *store,
                             const struct idempotent_request *request, uint64_t fingerprint[2])
{
    for (size_t i = 0; i < 2; i++) {
        struct hash_key key = store->fingerprints[i];
        key.k0 ^= hash_text(key, request->verb);
        fingerprint[i] = hash_text(key, request->body);
    }
}

static void forget(struct idempotency *store, struct record *record)
{
    table_remove(&store->by_key, &record->by_key);
    list_remove(&record->age);
    pool_give(&store->records, record);
}

static void forget_old(struct idempotency *store, uint64_t now_ms)
{
    while (!list_is_empty(&store->oldest)) {
        struct record *record = list_entry(store->oldest.next, struct record, age);
        if (now_ms - record->made_ms < store->kept_ms) return;
        forget(store, record);
    }
}

enum idempotency_finding idempotency_find(struct idempotency *store,
                                          const struct idempotent_request *request, uint64_t now_ms,
                                          struct idempotent_answer *answer)
{
    char memory[joined_size_max];
    uint64_t fingerprint[2];
    forget_old(store, now_ms);
    struct table_link *link = table_find(&store->by_key, joined(memory, request));
    if (link == nullptr) return IDEMPOTENT_NEW;
    const struct record *record = list_entry(link, struct record, by_key);
    take_fingerprint(store, request, fingerprint);
    if (memcmp(fingerprint, record->fingerprint, sizeof fingerprint) != 0) return IDEMPOTENT_OTHER;
    *answer = (struct idempotent_answer){record->status, {record->body, record->body_size}};
    return IDEMPOTENT_AGAIN;
}

void idempotency_keep(struct idempotency *store, const struct idempotent_request *request,
                      uint64_t now_ms, const struct idempotent_answer *answer)
{
    assert(answer->body.size <= idempotency_body_size_max);
    struct record *record = pool_take(&store->records);
    if (record == nullptr) {
        forget(store, list_entry(store->oldest.next, struct record, age));
        record = pool_take(&store->records);
    }
    record->made_ms = now_ms;
    record->status = answer->status;
    record->body_size = (uint16_t)answer->body.size;
    if (answer->body.size > 0) memcpy(record->body, answer->body.data, answer->body.size);
    take_fingerprint(store, request, record->fingerprint);
    record->by_key.key = joined(record->key, request);
    table_add(&store->by_key, &record->by_key);
    record->age = (struct list){};
    list_push(&store->oldest, &record->age);
}
