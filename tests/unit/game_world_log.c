/* tests/unit/game_world_log.c: a world's inputs as text, and back; and what is hidden of them. */
#include "check.h"
#include "game/world.h"
#include "game/world_log.h"
#include <stdlib.h>

static uint8_t memory[64 * 1024];

static const struct world_entry samples[] = {
    {.kind = WORLD_ENTRY_OPEN,
     .ns = 12,
     .wall_ms = 1'790'000'000'000,
     .numbers = {UINT64_MAX, 4096, 1'000'000, 1024, 10'000, 0, 60'000, 30'000, 8000},
     .texts = {TEXT("{\"seed\":\n7}\n")}},
    {.kind = WORLD_ENTRY_JOIN, .ns = 13, .wall_ms = 1, .numbers = {7}},
    {.kind = WORLD_ENTRY_SAY, .ns = UINT64_MAX, .numbers = {7}, .texts = {TEXT("\nsay 1 2 3 4\n")}},
    {.kind = WORLD_ENTRY_SAY, .ns = 14, .numbers = {0}, .texts = {{"", 0}}},
    {.kind = WORLD_ENTRY_TOKEN,
     .ns = 15,
     .numbers = {7, 1, 99, 1000},
     .texts = {{"", 0}, TEXT("ann"), TEXT("Ann \xE2\x98\x83")}},
    {.kind = WORLD_ENTRY_TICK, .ns = 16, .numbers = {1, UINT64_MAX}},
    {.kind = WORLD_ENTRY_LEAVE, .ns = 17, .numbers = {7}},
    {.kind = WORLD_ENTRY_MAP, .ns = 18, .texts = {TEXT("{}")}},
    {.kind = WORLD_ENTRY_END, .ns = 19, .numbers = {5, 6}},
};
constexpr size_t sample_count = sizeof samples / sizeof *samples;

static struct text written(size_t first, size_t count)
{
    struct writer out = writer_over(memory, sizeof memory);
    for (size_t i = 0; i < count; i++)
        world_entry_write(&out, &samples[first + i]);
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

static bool is_same(const struct world_entry *left, const struct world_entry *right)
{
    bool same = left->kind == right->kind && left->ns == right->ns &&
                left->wall_ms == right->wall_ms &&
                memcmp(left->numbers, right->numbers, sizeof left->numbers) == 0;
    for (size_t i = 0; i < world_entry_texts_max; i++)
        same = same && text_equal(left->texts[i], right->texts[i]);
    return same;
}

TEST("entries are read back as they were written, one behind the other")
{
    struct text rest = written(0, sample_count);
    for (size_t i = 0; i < sample_count; i++) {
        struct world_entry entry;
        EXPECT_EQ(world_entry_read(&rest, &entry), WORLD_ENTRY_READ);
        EXPECT(is_same(&entry, &samples[i]));
    }
    struct world_entry entry;
    EXPECT_EQ(world_entry_read(&rest, &entry), WORLD_ENTRY_NONE);
}

TEST("an entry that is cut anywhere is cut, whatever its texts hold, and nothing is taken of it")
{
    for (size_t i = 0; i < sample_count; i++) {
        struct text whole = written(i, 1);
        for (size_t size = 1; size < whole.size; size++) {
            struct text rest = {whole.data, size};
            struct world_entry entry;
            EXPECT_EQ(world_entry_read(&rest, &entry), WORLD_ENTRY_CUT);
            EXPECT_EQ(rest.size, size);
        }
    }
}

TEST("what no server writes is no entry")
{
    static const struct text wrong[] = {
        TEXT("\n"),
        TEXT("joim 1 2 3\n"),
        TEXT("join 1 2\n"),
        TEXT("join 1 2 3 4\n"),
        TEXT("join 1 2 3 \n"),
        TEXT("join  1 2 3\n"),
        TEXT("join 1 2 -3\n"),
        TEXT("join 1 2 18446744073709551616\n"),
        TEXT("say 1 2 3 2\nabc\n"),
        TEXT("say 1 2 3 1048577\nabc\n"),
        TEXT("say 1 2 3 18446744073709551615\nabc\n"),
        TEXT("token 1 2 3 1 0 0 0 0 18446744073709551615\n\n"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct text rest = wrong[i];
        struct world_entry entry;
        EXPECT_EQ(world_entry_read(&rest, &entry), WORLD_ENTRY_BROKEN);
        EXPECT_EQ(rest.size, wrong[i].size);
    }
    memset(memory, 'x', world_entry_line_max); /* a line without an end is not waited for */
    struct text rest = {(const char *)memory, world_entry_line_max};
    struct world_entry entry;
    EXPECT_EQ(world_entry_read(&rest, &entry), WORLD_ENTRY_BROKEN);
}

TEST("an entry that does not fit says so")
{
    struct writer out = writer_over(memory, 20);
    world_entry_write(&out, &samples[2]);
    EXPECT(out.overflow);
}

TEST("how a world was opened is read back, and what no server can be told is refused")
{
    const struct game_options options = {.players_max = 1,
                                         .members_max = 2,
                                         .strangers_max = 3,
                                         .auth_ms = 4,
                                         .leave_ms = 5,
                                         .warning_ms = 6,
                                         .leeway_ms = 7,
                                         .walkers = 8};
    struct world_entry entry = {.kind = WORLD_ENTRY_OPEN};
    struct game_options back;
    uint64_t seed;
    world_entry_from_options(&entry, 99, &options);
    EXPECT(world_entry_to_options(&entry, &seed, &back));
    EXPECT(seed == 99 && memcmp(&back, &options, sizeof back) == 0);
    for (size_t i = 1; i <= world_entry_options; i++) {
        struct world_entry wrong = entry;
        wrong.numbers[i] = UINT64_MAX;
        EXPECT(!world_entry_to_options(&wrong, &seed, &back));
    }
    entry.numbers[1] = 0;
    EXPECT(!world_entry_to_options(&entry, &seed, &back));
}

static struct text hidden(const char *message)
{
    return world_log_hide(memory, text_of(message), (struct hash_key){1, 2});
}

TEST("a token is hidden wherever it stands in a message, and nothing else is")
{
    const char *token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.Zm9yLXRoZS1zaWduYXR1cmUtb25seQ-_";
    char message[512];
    snprintf(message, sizeof message,
             "{\"type\":\"auth\", \"payload\":{\"\\u0041token\":\"%s\"},\"x\":\"%s\"}", token,
             token);
    struct text told = hidden(message);
    EXPECT_EQ(told.size, strlen(message));
    EXPECT(memmem(told.data, told.size, token, 16) == nullptr);
    EXPECT(memmem(told.data, told.size, "Zm9yLXRo", 8) == nullptr);
    EXPECT(text_starts(told, TEXT("{\"type\":\"auth\", \"payload\":{\"\\u0041token\":\"")));
    const char *first = memmem(told.data, told.size, "token\":\"", 8);
    const char *second = memmem(told.data, told.size, "\"x\":\"", 5);
    EXPECT(memcmp(first + 8, second + 5, strlen(token)) == 0); /* what is equal stays so */
    const char *ordinary = "{\"type\":\"player_update\",\"payload\":{\"position\":{\"x\":"
                           "1.00000000000000000000000000000000000000000000000000000000000001,"
                           "\"y\":2}},\"note\":\"not so long as to be a token, and with spaces\"}";
    EXPECT(text_equal(hidden(ordinary), text_of(ordinary)));
}

TEST("two tokens that differ are hidden as two that differ, also from who knows no key")
{
    char one[] = "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}";
    char other[sizeof one];
    memcpy(other, one, sizeof one);
    other[20] = 'b';
    uint8_t kept[sizeof one];
    memcpy(kept, hidden(one).data, sizeof one - 1);
    EXPECT(memcmp(kept, hidden(other).data, sizeof one - 1) != 0);
    struct text unlike = world_log_hide(memory, text_of(one), (struct hash_key){3, 4});
    EXPECT(memcmp(kept, unlike.data, sizeof one - 1) != 0);
}

TEST("a message that is cut anywhere, or ends in an escape, is hidden within its bounds")
{
    const char *message = "{\"a\\\"\\u00e4\":\"0123456789012345678901234567890123456789012345678"
                          "90123456789\\\\\"";
    for (size_t size = 0; size <= strlen(message); size++) {
        char *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, message, size);
        struct text told =
            world_log_hide(memory, (struct text){copy, size}, (struct hash_key){1, 2});
        EXPECT_EQ(told.size, size);
        free(copy);
    }
}
