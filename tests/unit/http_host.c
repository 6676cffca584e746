#include "check.h"
#include "http/host.h"

static struct text host_of(const char *value)
{
    static struct http_request request;
    request = (struct http_request){.header_count = 1};
    request.headers[0] = (struct http_header){TEXT("host"), text_of(value)};
    return http_host(&request);
}

TEST("a host is what stands before the port, and an address of IPv6 keeps its brackets")
{
    EXPECT_TEXT(host_of("localhost:9090"), "localhost");
    EXPECT_TEXT(host_of("ringcast.internal"), "ringcast.internal");
    EXPECT_TEXT(host_of("10.0.0.1:80"), "10.0.0.1");
    EXPECT_TEXT(host_of("[::1]:9090"), "[::1]");
    EXPECT_TEXT(host_of("[2001:db8::2]"), "[2001:db8::2]");
    EXPECT_TEXT(host_of(""), "");
    EXPECT_EQ(http_host(&(struct http_request){}).size, 0);
}

TEST("addresses and localhost can point nowhere else, any other name can (THREATS.md A19)")
{
    static const char *const own[] = {"127.0.0.1",     "10.1.2.3",  "[::1]",
                                      "[2001:db8::2]", "localhost", "LocalHost"};
    static const char *const others[] = {"",
                                         "ringcast",
                                         "localhost.evil.example",
                                         "127.0.0.1.nip.io",
                                         "2130706433",
                                         "0x7f.1",
                                         "127.1",
                                         "::1",
                                         "[127.0.0.1]",
                                         "[localhost]",
                                         "[]",
                                         "[",
                                         "10.0.0.0/8",
                                         "localhost.",
                                         "*"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!http_host_is_own(text_of(own[i]))) check_failed(__FILE__, __LINE__, "%s", own[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (http_host_is_own(text_of(others[i]))) check_failed(__FILE__, __LINE__, "%s", others[i]);
}
