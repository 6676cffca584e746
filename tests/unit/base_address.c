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
}

TEST("loopback is 127.0.0.0/8 and ::1")
{
    struct address address;
    EXPECT(address_parse(TEXT("127.9.9.9:1"), &address) && address_is_loopback(&address));
    EXPECT(address_parse(TEXT("[::1]:1"), &address) && address_is_loopback(&address));
    EXPECT(address_parse(TEXT("128.0.0.1:1"), &address) && !address_is_loopback(&address));
    EXPECT(address_parse(TEXT(":1"), &address) && !address_is_loopback(&address));
}
