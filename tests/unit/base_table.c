#include "base/table.h"
#include "check.h"

constexpr uint32_t entry_count = 10000;

struct entry {
    struct table_link link;
    char name[24];
    bool present; /* the model */
};

static struct entry entries[entry_count];

static struct text name_text(const struct entry *entry)
{
    return text_of(entry->name);
}

static void setup_table(struct table *table, struct arena *arena, uint32_t expected,
                        struct hash_key key)
{
    bool opened = arena_open(arena, 1 << 20);
    EXPECT(opened);
    table_init(table, arena, expected, key);
}

/* Names every entry; none is in a table. */
static void setup(struct table *table, struct arena *arena, uint32_t expected)
{
    setup_table(table, arena, expected, (struct hash_key){.k0 = 1, .k1 = 2});
    for (uint32_t i = 0; i < entry_count; i++) {
        entries[i] = (struct entry){};
        snprintf(entries[i].name, sizeof entries[i].name, "room-%" PRIu32, i);
    }
}

static void entry_add(struct table *table, struct entry *entry)
{
    entry->link.key = name_text(entry);
    table_add(table, &entry->link);
    entry->present = true;
}

static void entry_remove(struct table *table, struct entry *entry)
{
    table_remove(table, &entry->link);
    entry->present = false;
}

/* True when the table holds exactly what the model says. */
static bool agrees(const struct table *table)
{
    uint32_t present = 0, wrong = 0;
    for (uint32_t i = 0; i < entry_count; i++) {
        struct table_link *wanted = entries[i].present ? &entries[i].link : nullptr;
        wrong += table_find(table, name_text(&entries[i])) != wanted;
        present += entries[i].present;
    }
    return wrong == 0 && table->count == present;
}

/* Adds and removes at random; looks at everything now and then. */
static void play(struct table *table, uint64_t seed)
{
    struct random random = {.state = seed};
    for (uint32_t step = 1; step <= 5 * entry_count; step++) {
        struct entry *entry = &entries[random_below(&random, entry_count)];
        if (!entry->present)
            entry_add(table, entry);
        else if (random_below(&random, 3) == 0)
            entry_remove(table, entry);
        if (step % (2 * entry_count) == 0) EXPECT(agrees(table));
    }
    EXPECT(agrees(table));
    for (uint32_t i = 0; i < entry_count; i++)
        if (entries[i].present) entry_remove(table, &entries[i]);
    EXPECT(agrees(table));
    for (uint32_t bucket = 0; bucket < table->bucket_count; bucket++)
        EXPECT(table->buckets[bucket] == nullptr);
}

TEST("a table of ten thousand rooms finds what was added and not what was removed")
{
    struct arena arena;
    struct table table;
    setup(&table, &arena, entry_count);
    EXPECT_EQ(table.bucket_count, 16384);
    play(&table, 11);
    arena_close(&arena);
}

TEST("a table finds everything when hundreds share a bucket")
{
    struct arena arena;
    struct table table;
    setup(&table, &arena, 16);
    EXPECT_EQ(table.bucket_count, 16);
    play(&table, 12);
    arena_close(&arena);
}

TEST("entries with the same whole hash are told apart by their text")
{
    struct arena arena;
    struct table table;
    setup(&table, &arena, 1);
    entry_add(&table, &entries[0]);
    // The second entry's key is changed under the table: its hash stays, its text is another.
    entry_add(&table, &entries[1]);
    entries[1].link.key = TEXT("elsewhere");
    EXPECT(table_find(&table, name_text(&entries[1])) == nullptr);
    EXPECT(table_find(&table, name_text(&entries[0])) == &entries[0].link);
    arena_close(&arena);
}

TEST("a key is bytes: it may be empty, hold zeros, or be the start of another")
{
    struct arena arena;
    struct table table;
    setup(&table, &arena, 4);
    static const struct text keys[] = {{}, {"\0", 1}, {"\0\0", 2}, {"a", 1}, {"ab", 2}};
    for (uint32_t i = 0; i < 5; i++) {
        entries[i].link.key = keys[i];
        table_add(&table, &entries[i].link);
    }
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(table_find(&table, keys[i]) == &entries[i].link);
    EXPECT(table_find(&table, TEXT("b")) == nullptr);
    arena_close(&arena);
}

/* How many of the first `count` entries are in the fullest bucket. */
static uint32_t fullest(struct hash_key key, uint32_t count)
{
    struct arena arena;
    struct table table;
    uint32_t most = 0;
    setup_table(&table, &arena, 512, key);
    for (uint32_t i = 0; i < count; i++)
        entry_add(&table, &entries[i]);
    for (uint32_t bucket = 0; bucket < table.bucket_count; bucket++) {
        uint32_t size = 0;
        for (struct table_link *link = table.buckets[bucket]; link != nullptr; link = link->next)
            size += 1;
        if (size > most) most = size;
    }
    arena_close(&arena);
    return most;
}

TEST("names that were chosen to share a bucket under one key do not under another (R12)")
{
    constexpr uint32_t wanted = 256, buckets = 512;
    const struct hash_key guessed = {.k0 = 1, .k1 = 2}, secret = {.k0 = 1, .k1 = 3};
    uint32_t count = 0;
    for (uint32_t number = 0; count < wanted; number++) {
        struct entry *entry = &entries[count];
        *entry = (struct entry){};
        snprintf(entry->name, sizeof entry->name, "room-%" PRIu32, number);
        if (hash_text(guessed, name_text(entry)) % buckets == 0) count += 1;
    }
    EXPECT_EQ(fullest(guessed, wanted), wanted);
    EXPECT(fullest(secret, wanted) <= 8);
}

TEST("measuring a table takes as much as making it")
{
    struct arena measure = arena_measure(), arena;
    struct table table;
    table_init(&table, &measure, 1000, (struct hash_key){});
    EXPECT(table.buckets == nullptr);
    bool opened = arena_open(&arena, measure.used);
    EXPECT(opened);
    table_init(&table, &arena, 1000, (struct hash_key){});
    EXPECT_EQ(arena.used, measure.used);
    EXPECT_EQ(table.bucket_count, 1024);
    arena_close(&arena);
}
