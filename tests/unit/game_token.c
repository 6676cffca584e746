/* tests/unit/game_token.c: when a member is warned, and how often it may have a token checked. */
#include "check.h"
#include "game/token.h"

static const struct game_options options = {.warning_ms = 60'000, .leeway_ms = 30'000};
static struct token token;

static struct game_time at(uint64_t ms)
{
    return (struct game_time){.ms = ms, .ns = ms * 1'000'000, .wall_ms = 1};
}

/* It expires at so many ms, and is good for the leeway beyond. */
static struct game_guest guest(uint64_t expires_ms)
{
    return (struct game_guest){.until_ms = expires_ms + options.leeway_ms,
                               .expires_wall_ms = expires_ms};
}

static void take(const struct game_options *by, uint64_t now_ms, uint64_t expires_ms)
{
    const struct game_guest shown = guest(expires_ms);
    token_take(&token, by, &shown, at(now_ms));
}

TEST(
    "the warning comes so long before a token says that it ends, and the end when it is over (A16)")
{
    take(&options, 1000, 601'000);
    EXPECT_EQ(token_due(&token), 541'000);
    EXPECT(!token_warns(&token, 540'999));
    EXPECT(token_warns(&token, 541'000));
    EXPECT(!token_warns(&token, 541'001));
    EXPECT_EQ(token_due(&token), 631'000);
    EXPECT_EQ(token.until_ms, 631'000);
    EXPECT_EQ(token.expires_wall_ms, 601'000);
}

TEST("a short token's warning comes when half of it is over, an expired one's at once (A16)")
{
    take(&options, 1000, 11'000);
    EXPECT_EQ(token_due(&token), 6000);
    take(&options, 1000, 1000);
    EXPECT_EQ(token_due(&token), 1000);
    take(&options, 1000, 500);
    EXPECT_EQ(token_due(&token), 1000);
    EXPECT(token_warns(&token, 1000));
    EXPECT_EQ(token_due(&token), 30'500);
}

TEST("without a time to warn nobody is warned")
{
    take(&(struct game_options){.leeway_ms = 30'000}, 1000, 11'000);
    EXPECT_EQ(token_due(&token), 41'000);
    EXPECT(!token_warns(&token, 40'999));
}

TEST("a newer token is warned of anew, an older one changes nothing (C16)")
{
    take(&options, 1000, 601'000);
    EXPECT(token_warns(&token, 541'000));
    struct game_guest newer = guest(1'601'000), older = guest(1'000'000);
    token_renew(&token, &options, &newer, at(550'000));
    EXPECT_EQ(token_due(&token), 1'541'000);
    token_renew(&token, &options, &older, at(560'000));
    EXPECT_EQ(token_due(&token), 1'541'000);
    EXPECT_EQ(token.expires_wall_ms, 1'601'000);
}

TEST("tokens are checked five at once and one a second, also after another was taken (A16)")
{
    token = (struct token){};
    take(&options, 1000, 601'000);
    for (uint32_t i = 0; i < game_token_rate.burst; i++)
        EXPECT(token_may_check(&token, 1000));
    EXPECT(!token_may_check(&token, 1000));
    take(&options, 1500, 601'000);
    EXPECT(!token_may_check(&token, 1500));
    EXPECT(token_may_check(&token, 2000));
    EXPECT(!token_may_check(&token, 2000));
}
