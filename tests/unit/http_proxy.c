/* tests/unit/http_proxy.c: PROXY protocol version 2, byte by byte as its specification draws it
 * (haproxy, proxy-protocol.txt §2.2). THREATS.md H21. */
#include "check.h"
#include "http/proxy.h"
#include <stdlib.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4_BLOCK "\xC6\x33\x64\x07\x0A\x00\x00\x01\xD4\x31\x01\xBB"

static struct http_proxy proxy;

/* Read in memory of exactly its size. */
static enum http_proxy_step look(struct text header)
{
    struct bytes exact = {.data = malloc(header.size + 1), .size = header.size};
    memcpy(exact.data, header.data, header.size);
    /* The last byte is nobody's: where it is looked at the answers would differ. */
    exact.data[header.size] = 0xFF;
    enum http_proxy_step step = http_proxy_read(exact, &proxy);
    struct http_proxy first = proxy;
    exact.data[header.size] = 0x00;
    EXPECT_EQ(http_proxy_read(exact, &proxy), step);
    EXPECT(first.size == proxy.size && first.has_client == proxy.has_client);
    free(exact.data);
    return step;
}

static struct text client(void)
{
    static uint8_t memory[address_text_max];
    struct writer out = writer_over(memory, sizeof memory);
    if (!proxy.has_client) return TEXT("none");
    write_address(&out, &proxy.client, true);
    return text_from(writer_bytes(&out));
}

/* The fixed part, then a block that ends in `extra` bytes of zeros. */
static struct text header_of(uint8_t command, uint8_t family, struct text block, size_t extra)
{
    static char memory[70'000];
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, TEXT(SIGNATURE));
    write_byte(&out, command);
    write_byte(&out, family);
    write_byte(&out, (uint8_t)((block.size + extra) >> 8));
    write_byte(&out, (uint8_t)(block.size + extra));
    write_text(&out, block);
    write_fill(&out, 0, extra);
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

TEST("a connection over TCP and IPv4 is whose the source says")
{
    struct text header = header_of(0x21, 0x11, TEXT(TCP4_BLOCK), 0);
    EXPECT_EQ(header.size, 28);
    EXPECT_EQ(look(header), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "198.51.100.7:54321");
    EXPECT(proxy.client.is_v4);
    EXPECT_EQ(proxy.size, 28);
}

TEST("a connection over TCP and IPv6 is whose the source says, and a mapped IPv4 one is IPv4")
{
    const struct text block = TEXT("\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07"
                                   "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                   "\x00\x50\x01\xBB");
    EXPECT_EQ(look(header_of(0x21, 0x21, block, 0)), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "[2001:db8::7]:80");
    EXPECT_EQ(proxy.size, 16 + 36);
    const struct text mapped = TEXT("\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xC6\x33\x64\x07"
                                    "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x0A\0\0\x01"
                                    "\x00\x50\x01\xBB");
    EXPECT_EQ(look(header_of(0x21, 0x21, mapped, 0)), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "198.51.100.7:80");
    EXPECT(proxy.client.is_v4);
}

TEST("a proxy that speaks for itself (LOCAL) names nobody, whatever follows")
{
    EXPECT_EQ(look(header_of(0x20, 0x00, TEXT(""), 0)), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "none");
    EXPECT_EQ(proxy.size, 16);
    EXPECT_EQ(look(header_of(0x20, 0x11, TEXT(TCP4_BLOCK), 0)), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "none");
    EXPECT_EQ(look(header_of(0x20, 0xFF, TEXT("no vector"), 0)), HTTP_PROXY_WHOLE);
    EXPECT_TEXT(client(), "none");
    EXPECT_EQ(proxy.size, 25);
}

TEST("families and transports that say nothing of a TCP client fall back to the socket's address")
{
    static const uint8_t other[] = {0x00, 0x01, 0x02, 0x10, 0x20, 0x30, 0x12, 0x22, 0x31, 0x32};
    for (size_t i = 0; i < sizeof other; i++) {
        EXPECT_EQ(look(header_of(0x21, other[i], TEXT(""), 216)), HTTP_PROXY_WHOLE);
        EXPECT_TEXT(client(), "none");
    }
}

TEST("families, transports, commands and versions that do not exist are refused")
{
    static const uint8_t families[] = {0x13, 0x1F, 0x23, 0x33, 0x40, 0x41, 0xF1, 0xFF};
    for (size_t i = 0; i < sizeof families; i++)
        EXPECT_EQ(look(header_of(0x21, families[i], TEXT(""), 300)), HTTP_PROXY_BROKEN);
    for (uint32_t command = 0; command < 256; command++)
        if (command != 0x20 && command != 0x21)
            EXPECT_EQ(look(header_of((uint8_t)command, 0x11, TEXT(TCP4_BLOCK), 0)),
                      HTTP_PROXY_BROKEN);
}

TEST("a block that is too short for its addresses is refused")
{
    EXPECT_EQ(look(header_of(0x21, 0x11, TEXT(""), 11)), HTTP_PROXY_BROKEN);
    EXPECT_EQ(look(header_of(0x21, 0x11, TEXT(""), 12)), HTTP_PROXY_WHOLE);
    EXPECT_EQ(look(header_of(0x21, 0x21, TEXT(""), 35)), HTTP_PROXY_BROKEN);
    EXPECT_EQ(look(header_of(0x21, 0x21, TEXT(""), 36)), HTTP_PROXY_WHOLE);
    EXPECT_EQ(look(header_of(0x21, 0x31, TEXT(""), 215)), HTTP_PROXY_BROKEN);
    EXPECT_EQ(look(header_of(0x21, 0x31, TEXT(""), 216)), HTTP_PROXY_WHOLE);
}

TEST("what else it knows is skipped, and refused where it passes the end (H21)")
{
    const struct text good[] = {
        TEXT(TCP4_BLOCK "\x04\x00\x00"),
        TEXT(TCP4_BLOCK "\x01\x00\x02h2\x02\x00\x03"
                        "a.b"),
        TEXT(TCP4_BLOCK "\xEA\x00\x05\x01vpce\x03\x00\x04\xDE\xAD\xBE\xEF"),
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        EXPECT_EQ(look(header_of(0x21, 0x11, good[i], 0)), HTTP_PROXY_WHOLE);
        EXPECT_TEXT(client(), "198.51.100.7:54321");
        EXPECT_EQ(proxy.size, 16 + good[i].size);
    }
    const struct text bad[] = {
        TEXT(TCP4_BLOCK "\x04"),          TEXT(TCP4_BLOCK "\x04\x00"),
        TEXT(TCP4_BLOCK "\x04\x00\x01"),  TEXT(TCP4_BLOCK "\x04\xFF\xFFxxxx"),
        TEXT(TCP4_BLOCK "\x04\x01\x00x"), TEXT(TCP4_BLOCK "\x04\x00\x01x\x04\x00"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        EXPECT_EQ(look(header_of(0x21, 0x11, bad[i], 0)), HTTP_PROXY_BROKEN);
}

TEST("a header of 1024 bytes is read, a longer one refused before it has come (H21)")
{
    struct text header = header_of(0x21, 0x11, TEXT(TCP4_BLOCK "\x04\x03\xE1"), 0x3E1);
    EXPECT_EQ(header.size, http_proxy_size_max);
    EXPECT_EQ(look(header), HTTP_PROXY_WHOLE);
    header = header_of(0x21, 0x11, TEXT(TCP4_BLOCK "\x04\x03\xE2"), 0x3E2);
    header.size = http_proxy_fixed_size;
    EXPECT_EQ(look(header), HTTP_PROXY_BROKEN);
    header = header_of(0x20, 0x00, TEXT(""), 0xFFFF);
    header.size = http_proxy_fixed_size;
    EXPECT_EQ(look(header), HTTP_PROXY_BROKEN);
}

TEST("of a header in pieces it says how much is worth waiting for, and takes nothing behind it")
{
    struct text header = header_of(0x21, 0x11, TEXT(TCP4_BLOCK "\x04\x00\x01x"), 0);
    for (size_t size = 0; size < header.size; size++) {
        EXPECT_EQ(look((struct text){header.data, size}), HTTP_PROXY_NEED_MORE);
        EXPECT_EQ(proxy.size, size < 16 ? 16 : header.size);
    }
    char more[64] = {};
    memcpy(more, header.data, header.size);
    memcpy(more + header.size, "GET /", 5);
    EXPECT_EQ(look((struct text){more, header.size + 5}), HTTP_PROXY_WHOLE);
    EXPECT_EQ(proxy.size, header.size);
}

TEST("what is no such header is refused at its first wrong byte (H21)")
{
    static const struct {
        struct text text;
        size_t wrong; /* the byte */
    } others[] = {
        {TEXT("GET / HTTP/1.1\r\n"), 0},
        {TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), 0},       /* version 1 */
        {TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"), 0}, /* a TLS ClientHello */
        {TEXT("SSH-2.0-OpenSSH_9.2\r\n"), 0},
        {TEXT("\r\n\r\nGET / HTTP/1.1"), 4},
        {TEXT("\r\n\r\n\0\r\nQUIT\r"), 11},
        {TEXT(SIGNATURE "\x11\x11\x00\x0C"), 12}, /* version 1 in the binary form */
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        for (size_t size = 0; size <= others[i].text.size; size++)
            EXPECT_EQ(look((struct text){others[i].text.data, size}),
                      size > others[i].wrong ? HTTP_PROXY_BROKEN : HTTP_PROXY_NEED_MORE);
}
