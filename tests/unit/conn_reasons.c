/* The table of reasons, into which ws/'s table of errors is expanded. */
#include "check.h"
#include "conn/reasons.h"

TEST("each reason has a token of its own, a sentence, and a code that may be sent, or none")
{
    for (uint32_t i = CLOSE_NONE + 1; i < close_reason_count; i++) {
        const struct close_info *info = close_info((enum close_reason)i);
        EXPECT(info->token.size > 0 && info->sentence.size > 0);
        EXPECT(info->code == 0 || ws_close_code_allowed(info->code));
        for (uint32_t j = CLOSE_NONE; j < i; j++)
            EXPECT(!text_equal(info->token, close_info((enum close_reason)j)->token));
    }
}

TEST("a reader's error is told by its own code, token and sentence (RFC 6455 §7.4.1)")
{
    uint32_t count = 0;
#define X(name, close_code, its_token, its_sentence)                                          \
    EXPECT_EQ(close_info(close_reason_of(WS_##name))->code, close_code);                      \
    EXPECT(text_equal(close_info(close_reason_of(WS_##name))->token, TEXT(its_token)));       \
    EXPECT(text_equal(close_info(close_reason_of(WS_##name))->sentence, TEXT(its_sentence))); \
    count += 1;
    WS_ERRORS(X)
#undef X
    EXPECT(count > 10);
    EXPECT_EQ(close_info(close_reason_of(WS_BAD_UTF8))->code, 1007);
    EXPECT_EQ(close_info(close_reason_of(WS_TOO_MANY_FRAGMENTS))->code, 1008);
    EXPECT_EQ(close_info(close_reason_of(WS_TOO_BIG))->code, 1009);
    EXPECT_EQ(close_info(close_reason_of(WS_RATIO))->code, 1009);
    EXPECT_EQ(close_info(close_reason_of(WS_BAD_DEFLATE))->code, 1007);
    EXPECT_EQ(close_info(close_reason_of(WS_UNMASKED))->code, 1002);
}
