/* tests/unit/game_replies.c: what is remembered of a connection's answers, and for how long. */
#include "check.h"
#include "game/replies.h"

static struct text name(uint32_t number)
{
    static char memory[16];
    struct writer out = writer_over(memory, sizeof memory);
    write_u64(&out, number);
    return text_from(writer_bytes(&out));
}

TEST("an answer is found under its correlation_id, and no other")
{
    struct replies replies = {};
    EXPECT(replies_find(&replies, TEXT("a")) == nullptr);
    replies_add(&replies, TEXT("a"), 3, 17);
    replies_add(&replies, TEXT("b"), 0, 0);
    const struct reply *reply = replies_find(&replies, TEXT("a"));
    EXPECT(reply != nullptr && reply->verdict == 3 && reply->sequence == 17);
    EXPECT(replies_find(&replies, TEXT("b")) != nullptr);
    EXPECT(replies_find(&replies, TEXT("ab")) == nullptr);
}

TEST("without a correlation_id nothing is remembered or found")
{
    struct replies replies = {};
    replies_add(&replies, TEXT(""), 3, 17);
    EXPECT_EQ(replies.count, 0);
    replies_add(&replies, TEXT("a"), 3, 17);
    EXPECT(replies_find(&replies, TEXT("")) == nullptr);
}

TEST("the last sixteen are remembered")
{
    struct replies replies = {};
    for (uint32_t i = 0; i < 100; i++) {
        replies_add(&replies, name(i), 1, i);
        for (uint32_t k = 0; k <= i; k++) {
            const struct reply *reply = replies_find(&replies, name(k));
            EXPECT_EQ(reply != nullptr, k + replies_max > i);
            if (reply != nullptr) EXPECT_EQ(reply->sequence, k);
        }
    }
}
