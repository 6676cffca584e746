#include "base/address.h"
#include "check.h"

static struct text rewritten(struct text text, bool with_port)
{
    static uint8_t memory[address_text_max];
    struct writer out = writer_over(memory, sizeof memory);
    struct address address;
    if (!address_parse(text, &address)) return TEXT("refused");
    write_address(&out, &address, with_port);
    return text_from(writer_bytes(&out));
}

TEST("an address is written as it is read")
{
    EXPECT_TEXT(rewritten(TEXT("127.0.0.1:8080"), true), "127.0.0.1:8080");
    EXPECT_TEXT(rewritten(TEXT("[::1]:9090"), true), "[::1]:9090");
    EXPECT_TEXT(rewritten(TEXT("[::1]:9090"), false), "::1");
    EXPECT_TEXT(rewritten(TEXT("10.1.2.3:0"), false), "10.1.2.3");
    EXPECT_TEXT(rewritten(TEXT("[2001:db8::ff00:42:8329]:65535"), true),
                "[2001:db8::ff00:42:8329]:65535");
}

TEST("a port alone means every address")
{
    EXPECT_TEXT(rewritten(TEXT(":8080"), true), "[::]:8080");
    EXPECT_TEXT(rewritten(TEXT("8080"), true), "[::]:8080");
}

TEST("what is no address is refused")
{
    static const char *const wrong[] = {"",
                                        ":",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:x",
                                        "1.2.3.4:65536",
                                        "localhost:80",
                                        "[127.0.0.1]:80",
                                        "::1:80",
                                        "[::1:80",
                                        "[::1]",
                                        "1.2.3:80",
                                        "1.2.3.4.5:80",
                                        " 1.2.3.4:80",
                                        "1.2.3.4:-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT_TEXT(rewritten(text_of(wrong[i]), true), "refused");
    EXPECT_TEXT(rewritten(TEXT("1.2.3.4\0.evil:80"), true), "refused");
}

TEST("loopback is 127.0.0.0/8 and ::1")
{
    struct address address;
    EXPECT(address_parse(TEXT("127.9.9.9:1"), &address) && address_is_loopback(&address));
    EXPECT(address_parse(TEXT("[::1]:1"), &address) && address_is_loopback(&address));
    EXPECT(address_parse(TEXT("128.0.0.1:1"), &address) && !address_is_loopback(&address));
    EXPECT(address_parse(TEXT(":1"), &address) && !address_is_loopback(&address));
}

/* The bytes that an address is counted by, in hexadecimal. */
static struct text subscriber(struct text text)
{
    static char memory[40];
    struct address address;
    EXPECT(address_parse(text, &address));
    struct text bytes = address_subscriber(&address);
    struct writer out = writer_over(memory, sizeof memory);
    for (size_t i = 0; i < bytes.size; i++)
        write_format(&out, "%02x", (uint8_t)bytes.data[i]);
    return text_from(writer_bytes(&out));
}

TEST("an IPv6 subscriber is a /64, an IPv4 one an address, however it is written (H23)")
{
    EXPECT_TEXT(subscriber(TEXT("10.1.2.3:80")), "0a010203");
    EXPECT_TEXT(subscriber(TEXT("[::ffff:10.1.2.3]:80")), "0a010203");
    EXPECT_TEXT(subscriber(TEXT("[2001:db8:1:2::1]:80")), "20010db800010002");
    EXPECT_TEXT(subscriber(TEXT("[2001:db8:1:2:ffff:ffff:ffff:ffff]:80")), "20010db800010002");
    EXPECT_TEXT(subscriber(TEXT("[2001:db8:1:3::1]:80")), "20010db800010003");
}

static bool holds(struct text block_text, struct text text)
{
    struct address_block block;
    struct address address;
    EXPECT(address_block_parse(block_text, &block) && address_parse(text, &address));
    return address_block_holds(&block, &address);
}

TEST("a block holds the addresses that share its first bits")
{
    EXPECT(holds(TEXT("10.0.0.0/8"), TEXT("10.255.0.1:1")));
    EXPECT(holds(TEXT("10.9.9.9/8"), TEXT("10.255.0.1:1")));
    EXPECT(!holds(TEXT("10.0.0.0/8"), TEXT("11.0.0.1:1")));
    EXPECT(holds(TEXT("192.168.4.0/22"), TEXT("192.168.7.255:1")));
    EXPECT(!holds(TEXT("192.168.4.0/22"), TEXT("192.168.8.0:1")));
    EXPECT(holds(TEXT("127.0.0.1"), TEXT("127.0.0.1:1")));
    EXPECT(!holds(TEXT("127.0.0.1"), TEXT("127.0.0.2:1")));
    EXPECT(holds(TEXT("::1"), TEXT("[::1]:1")) && !holds(TEXT("::1"), TEXT("[::2]:1")));
    EXPECT(holds(TEXT("2001:db8::/33"), TEXT("[2001:db8:7fff::1]:1")));
    EXPECT(!holds(TEXT("2001:db8::/33"), TEXT("[2001:db8:8000::1]:1")));
    EXPECT(holds(TEXT("0.0.0.0/0"), TEXT("8.8.8.8:1")) &&
           !holds(TEXT("0.0.0.0/0"), TEXT("[2::]:1")));
    EXPECT(holds(TEXT("::/0"), TEXT("8.8.8.8:1")));
    EXPECT(holds(TEXT("10.0.0.0/8"), TEXT("[::ffff:10.1.1.1]:1")));
}

TEST("what is no block is refused")
{
    struct address_block block;
    const struct text wrong[] = {TEXT(""),           TEXT("/8"),           TEXT("10.0.0.0/33"),
                                 TEXT("10.0.0.0/"),  TEXT("10.0.0/8"),     TEXT("10.0.0.0/-1"),
                                 TEXT("::/129"),     TEXT("::/x"),         TEXT("10.0.0.0/8/8"),
                                 TEXT("10.0.0.0:1"), TEXT("10.0.0.0/300"), TEXT("10.0.0.0\0x/8")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT(!address_block_parse(wrong[i], &block));
}

static struct text host(struct text text)
{
    static uint8_t memory[address_text_max];
    struct writer out = writer_over(memory, sizeof memory);
    struct address address;
    if (!address_host_parse(text, &address)) return TEXT("refused");
    write_address(&out, &address, true);
    return text_from(writer_bytes(&out));
}

TEST("a host is an address with a port or without, and a mapped IPv4 one is an IPv4 address")
{
    EXPECT_TEXT(host(TEXT("192.0.2.1")), "192.0.2.1:0");
    EXPECT_TEXT(host(TEXT("192.0.2.1:80")), "192.0.2.1:80");
    EXPECT_TEXT(host(TEXT("2001:db8::1")), "[2001:db8::1]:0");
    EXPECT_TEXT(host(TEXT("[2001:db8::1]")), "[2001:db8::1]:0");
    EXPECT_TEXT(host(TEXT("[2001:db8::1]:65535")), "[2001:db8::1]:65535");
    EXPECT_TEXT(host(TEXT("::ffff:192.0.2.1")), "192.0.2.1:0");
    EXPECT_TEXT(host(TEXT("[::ffff:192.0.2.1]:80")), "192.0.2.1:80");
    EXPECT_TEXT(host(TEXT("::")), "[::]:0");
}

TEST("what is no host is refused")
{
    const struct text wrong[] = {
        TEXT(""),
        TEXT("192.0.2"),
        TEXT("192.0.2.1:"),
        TEXT(":80"),
        TEXT("192.0.2.1:80:80"),
        TEXT("[192.0.2.1]"),
        TEXT("[]"),
        TEXT("["),
        TEXT("]"),
        TEXT("[2001:db8::1]:"),
        TEXT("[2001:db8::1]80"),
        TEXT("[2001:db8::1]:65536"),
        TEXT("[2001:db8::1]]"),
        TEXT("2001:db8::1:"),
        TEXT("192.0.2.1\0"),
        TEXT("192.0.2.1\0.example"),
        TEXT("1111:2222:3333:4444:5555:6666:7777:8888:9999"),
        TEXT("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:00")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        EXPECT_TEXT(host(wrong[i]), "refused");
}

TEST("some blocks hold an address when one of them does")
{
    struct address_blocks blocks = {};
    struct address address;
    EXPECT(address_host_parse(TEXT("10.1.2.3"), &address));
    EXPECT(!address_blocks_hold(&blocks, &address));
    EXPECT(address_block_parse(TEXT("192.0.2.0/24"), &blocks.list[blocks.count++]));
    EXPECT(!address_blocks_hold(&blocks, &address));
    EXPECT(address_block_parse(TEXT("10.0.0.0/8"), &blocks.list[blocks.count++]));
    EXPECT(address_blocks_hold(&blocks, &address));
}
