/* tests/unit/http_forwarded.c: whose request it is, by what trusted proxies say (THREATS.md
 * H22). */
#include "check.h"
#include "http/forwarded.h"

static struct address_blocks trusted;
static struct http_request request;

static void trust(struct text block)
{
    EXPECT(address_block_parse(block, &trusted.list[trusted.count++]));
}

static void line(struct text name, struct text value)
{
    request.headers[request.header_count++] = (struct http_header){name, value};
}

/* Nothing is said yet, and proxies are in 10.0.0.0/8 and 2001:db8:1::/48. */
static void begin(void)
{
    request = (struct http_request){};
    trusted = (struct address_blocks){};
    trust(TEXT("10.0.0.0/8"));
    trust(TEXT("2001:db8:1::/48"));
}

static struct text answer(void)
{
    static uint8_t memory[address_text_max];
    struct writer out = writer_over(memory, sizeof memory);
    struct address client;
    switch (http_forwarded(&request, &trusted, &client)) {
    case HTTP_FORWARDED_NONE: return TEXT("none");
    case HTTP_FORWARDED_BROKEN: return TEXT("broken");
    case HTTP_FORWARDED_CLIENT: write_address(&out, &client, false);
    }
    return text_from(writer_bytes(&out));
}

static struct text of(struct text value)
{
    begin();
    line(TEXT("X-Forwarded-For"), value);
    return answer();
}

TEST("the client is the right-most address that is no trusted proxy")
{
    EXPECT_TEXT(of(TEXT("198.51.100.7")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("203.0.113.9, 198.51.100.7")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("203.0.113.9, 198.51.100.7, 10.0.0.2,10.9.9.9")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("198.51.100.7, 2001:db8:1:2::3")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("2001:db8:2::7, 10.0.0.2")), "2001:db8:2::7");
}

TEST("what a client has made up stands left of its address, and is not even read")
{
    EXPECT_TEXT(of(TEXT("127.0.0.1, 198.51.100.7")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("10.0.0.9, 198.51.100.7")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("<script>, unknown, \", 198.51.100.7, 10.0.0.2")), "198.51.100.7");
}

TEST("where all are trusted the outermost is the client")
{
    EXPECT_TEXT(of(TEXT("10.0.0.7, 10.0.0.2")), "10.0.0.7");
    EXPECT_TEXT(of(TEXT("10.0.0.7")), "10.0.0.7");
}

TEST("several lines are one list (RFC 9110 §5.3), under the name in any case")
{
    begin();
    line(TEXT("X-Forwarded-For"), TEXT("203.0.113.9"));
    line(TEXT("Host"), TEXT("192.0.2.1"));
    line(TEXT("x-forwarded-FOR"), TEXT("198.51.100.7, 10.0.0.2"));
    EXPECT_TEXT(answer(), "198.51.100.7");
    line(TEXT("X-Forwarded-For"), TEXT("10.0.0.3"));
    EXPECT_TEXT(answer(), "198.51.100.7");
    line(TEXT("X-Forwarded-For"), TEXT("192.0.2.77"));
    EXPECT_TEXT(answer(), "192.0.2.77");
}

TEST("without the header, or with an empty one, nothing is said")
{
    begin();
    EXPECT_TEXT(answer(), "none");
    EXPECT_TEXT(of(TEXT("")), "none");
    EXPECT_TEXT(of(TEXT(" , ,, \t")), "none");
}

TEST("other headers are never looked at, whatever they say")
{
    begin();
    line(TEXT("Forwarded"), TEXT("for=198.51.100.7"));
    line(TEXT("X-Real-IP"), TEXT("198.51.100.7"));
    line(TEXT("CF-Connecting-IP"), TEXT("198.51.100.7"));
    line(TEXT("True-Client-IP"), TEXT("198.51.100.7"));
    line(TEXT("X-Forwarded-For2"), TEXT("198.51.100.7"));
    EXPECT_TEXT(answer(), "none");
}

TEST("an address may have a port, an IPv6 one brackets")
{
    EXPECT_TEXT(of(TEXT("198.51.100.7:54321")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("[2001:db8::7]:54321")), "2001:db8::7");
    EXPECT_TEXT(of(TEXT("[2001:db8::7]")), "2001:db8::7");
    EXPECT_TEXT(of(TEXT("198.51.100.7, 10.0.0.2:80, [2001:db8:1::1]:80")), "198.51.100.7");
}

TEST("an IPv4 address in IPv6's clothes is an IPv4 address: it is trusted, or not, as that")
{
    EXPECT_TEXT(of(TEXT("::ffff:198.51.100.7")), "198.51.100.7");
    EXPECT_TEXT(of(TEXT("198.51.100.7, ::ffff:10.0.0.2")), "198.51.100.7");
}

TEST("what a trusted proxy says and is no address breaks the request")
{
    static const char *const wrong[] = {
        "unknown",
        "_hidden",
        "198.51.100.7:",
        "198.51.100.7:65536",
        "198.51.100",
        "198.51.100.7.1",
        "0198.51.100.7",
        "198.51.100.7/24",
        "\"198.51.100.7\"",
        "[2001:db8::7",
        "[2001:db8::7]x",
        "[198.51.100.7]",
        "2001:db8::7::",
        "fe80::1%eth0",
        "198.51.100.7 x",
        "client.example",
        "1:2",
        "::1:80x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        EXPECT_TEXT(of(text_of(wrong[i])), "broken");
    EXPECT_TEXT(of(TEXT("198.51.100.7, unknown, 10.0.0.2")), "broken");
}

TEST("a list as long as a request may be is read in one pass")
{
    static char memory[4096];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, TEXT("198.51.100.7"));
    while (out.size < sizeof memory - 16)
        write_text(&out, TEXT(",10.0.0.1"));
    EXPECT_TEXT(of(text_from(writer_bytes(&out))), "198.51.100.7");
    memset(memory, ',', sizeof memory);
    EXPECT_TEXT(of((struct text){memory, sizeof memory}), "none");
}
