#include "check.h"
#include "http/query.h"

static uint8_t memory[64];
static struct writer value;

static enum http_query_answer look_up(const char *query, const char *name)
{
    value = writer_over(memory, sizeof memory);
    return http_query(text_of(query), text_of(name), &value);
}

TEST("a parameter is found wherever it stands in the query, and by its whole name only")
{
    EXPECT_EQ(look_up("token=abc.d-e_f", "token"), HTTP_QUERY_FOUND);
    EXPECT_TEXT(writer_bytes(&value), "abc.d-e_f");
    EXPECT_EQ(look_up("player_id=p1&token=T&x", "token"), HTTP_QUERY_FOUND);
    EXPECT_TEXT(writer_bytes(&value), "T");
    EXPECT_EQ(look_up("player_id=p1&token=T", "player_id"), HTTP_QUERY_FOUND);
    EXPECT_TEXT(writer_bytes(&value), "p1");
    EXPECT_EQ(look_up("mytoken=1&token2=2&toke=3&=4&TOKEN=5", "token"), HTTP_QUERY_NONE);
    EXPECT_EQ(look_up("", "token"), HTTP_QUERY_NONE);
    EXPECT_EQ(look_up("&&&", "token"), HTTP_QUERY_NONE);
}

TEST("names and values are decoded once")
{
    EXPECT_EQ(look_up("%74oken=a%2Eb%2525c=d", "token"), HTTP_QUERY_FOUND);
    EXPECT_TEXT(writer_bytes(&value), "a.b%25c=d");
    EXPECT_EQ(look_up("token", "token"), HTTP_QUERY_FOUND);
    EXPECT_EQ(value.size, 0);
    EXPECT_EQ(look_up("token=a+b", "token"), HTTP_QUERY_FOUND);
    EXPECT_TEXT(writer_bytes(&value), "a+b");
}

TEST("of a parameter that comes twice none counts: others would take the other one")
{
    EXPECT_EQ(look_up("token=a&token=a", "token"), HTTP_QUERY_TWICE);
    EXPECT_EQ(look_up("token=a&x=1&%74oken=b", "token"), HTTP_QUERY_TWICE);
}

TEST("a value that is longer than its memory overflows")
{
    EXPECT_EQ(
        look_up("token=0123456789012345678901234567890123456789012345678901234567890123456789",
                "token"),
        HTTP_QUERY_FOUND);
    EXPECT(value.overflow);
}
