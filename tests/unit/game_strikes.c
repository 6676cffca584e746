/* tests/unit/game_strikes.c: how many bad messages a member may send (THREATS.md J5). */
#include "check.h"
#include "game/strikes.h"

TEST("the ninth strike within a minute is the last (J5)")
{
    struct strikes strikes = {};
    for (uint64_t i = 0; i < 8; i++)
        EXPECT(!strikes_add(&strikes, i * 7499));
    EXPECT(strikes_add(&strikes, 59'999));
}

TEST("a strike is forgiven after a minute")
{
    struct strikes strikes = {};
    for (uint64_t i = 0; i < 8; i++)
        EXPECT(!strikes_add(&strikes, 1000 + i));
    EXPECT(!strikes_add(&strikes, 61'000)); /* the first is a minute old */
    EXPECT(strikes_add(&strikes, 61'000));  /* the second is not */
}

TEST("the count goes on for ever")
{
    struct strikes strikes = {.count = UINT32_MAX};
    EXPECT(!strikes_add(&strikes, 1'000'000));
    EXPECT(!strikes_add(&strikes, 1'000'001));
}
