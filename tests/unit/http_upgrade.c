#include "check.h"
#include "http/upgrade.h"
#include "limits.h"

static const struct http_limits limits = {http_head_size_max, http_line_size_max,
                                          http_body_size_max};
constexpr size_t memory_size = http_head_size_max + http_body_size_max + http_line_size_max;

static const struct text spoken[] = {
    {"ringcast.event", sizeof "ringcast.event" - 1},
    {"ringcast.v1", sizeof "ringcast.v1" - 1},
};
static const struct text listed[] = {
    {"https://good.com", sizeof "https://good.com" - 1},
    {"http://dev.good.com:3000", sizeof "http://dev.good.com:3000" - 1},
    {"HTTPS://Port.Good.com:443", sizeof "HTTPS://Port.Good.com:443" - 1},
    {"capacitor://localhost", sizeof "capacitor://localhost" - 1},
    {"null", sizeof "null" - 1},
};
static const struct http_upgrade_policy policy = {
    .origins = listed,
    .origin_count = sizeof listed / sizeof listed[0],
    .protocols = spoken,
    .protocol_count = sizeof spoken / sizeof spoken[0],
};

/* Judges the request in `wire`, which must be whole after `split` bytes and the rest of them. */
static enum http_refusal judge_split(struct text wire, const struct http_upgrade_policy *with,
                                     struct http_upgrade *upgrade, size_t split)
{
    static uint8_t memory[memory_size], copy[memory_size];
    struct http_request request;
    struct http_reader reader;
    http_reader_init(&reader, &limits, (struct bytes){memory, sizeof memory});
    memcpy(copy, wire.data, wire.size);
    struct bytes start = {copy, split}, rest = {copy + split, wire.size - split};
    enum http_step step = http_reader_feed(&reader, &start, &request);
    if (step == HTTP_NEED_MORE) step = http_reader_feed(&reader, &rest, &request);
    EXPECT_EQ(step, HTTP_REQUEST);
    EXPECT_EQ(reader.error, HTTP_OK);
    if (step != HTTP_REQUEST) return HTTP_REFUSE_METHOD;
    return http_upgrade_check(&request, with, upgrade);
}

/* The same, with the same answer at every split. */
static enum http_refusal judge(struct text wire, const struct http_upgrade_policy *with,
                               struct http_upgrade *upgrade)
{
    enum http_refusal refusal = judge_split(wire, with, upgrade, wire.size);
    for (size_t split = 0; split < wire.size; split += wire.size > 1024 ? 97 : 1) {
        struct http_upgrade other;
        EXPECT_EQ(judge_split(wire, with, &other, split), refusal);
        if (refusal != HTTP_UPGRADE_OK) continue;
        EXPECT(memcmp(other.accept, upgrade->accept, sizeof other.accept) == 0);
        EXPECT(text_equal(other.protocol, upgrade->protocol));
    }
    return refusal;
}

static struct text accept_of(const struct http_upgrade *upgrade)
{
    return (struct text){.data = upgrade->accept, .size = sizeof upgrade->accept};
}

#define GET "GET /ws HTTP/1.1\r\n"
#define HOST "Host: rooms.example:8080\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define END "\r\n"
#define ALL_BUT_GET HOST UPGRADE VERSION KEY
#define ALL GET ALL_BUT_GET

struct judged {
    enum http_refusal refusal;
    struct text wire;
};
#define JUDGED(refusal, wire) {refusal, {wire, sizeof(wire) - 1}}

static void expect_judged(const struct judged *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct http_upgrade upgrade;
        enum http_refusal refusal = judge(table[i].wire, &policy, &upgrade);
        if (refusal == table[i].refusal) continue;
        check_failed(__FILE__, __LINE__, "row %zu: %d, wanted %d: %.*s", i, refusal,
                     table[i].refusal, TEXT_ARG(table[i].wire));
    }
}
#define EXPECT_JUDGED(table) expect_judged((table), sizeof(table) / sizeof(table)[0])

/* ALL with one more header, its value given at run time. */
static struct text wire_with(const char *name, struct text value, char *memory, size_t size)
{
    struct writer writer = writer_over(memory, size);
    write_text(&writer, TEXT(ALL));
    write_format(&writer, "%s: %.*s\r\n\r\n", name, TEXT_ARG(value));
    EXPECT(!writer.overflow);
    return text_from(writer_bytes(&writer));
}

static enum http_refusal judge_origin(const struct http_upgrade_policy *with, const char *host,
                                      const char *origin)
{
    char memory[1024];
    struct http_upgrade upgrade;
    struct writer writer = writer_over(memory, sizeof memory);
    write_format(&writer, GET "Host: %s\r\nOrigin: %s\r\n" UPGRADE VERSION KEY END, host, origin);
    return judge(text_from(writer_bytes(&writer)), with, &upgrade);
}

/* Judges an offer of subprotocols, whole headers, and gives what was chosen. */
static enum http_refusal judge_offer(const char *headers, struct text *chosen)
{
    char memory[2 * http_line_size_max];
    struct http_upgrade upgrade = {};
    struct writer writer = writer_over(memory, sizeof memory);
    write_format(&writer, ALL "%s" END, headers);
    EXPECT(!writer.overflow);
    enum http_refusal refusal = judge(text_from(writer_bytes(&writer)), &policy, &upgrade);
    *chosen = upgrade.protocol;
    return refusal;
}

TEST("the sample handshake gets the sample answer (RFC 6455 §1.3)")
{
    const struct http_upgrade_policy chat = {
        .origins = &TEXT("http://example.com"),
        .origin_count = 1,
        .protocols = &TEXT("chat"),
        .protocol_count = 1,
    };
    struct http_upgrade upgrade;
    EXPECT_EQ(judge(TEXT("GET /chat HTTP/1.1\r\n"
                         "Host: server.example.com\r\n"
                         "Upgrade: websocket\r\n"
                         "Connection: Upgrade\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         "Origin: http://example.com\r\n"
                         "Sec-WebSocket-Protocol: chat, superchat\r\n"
                         "Sec-WebSocket-Version: 13\r\n\r\n"),
                    &chat, &upgrade),
              HTTP_UPGRADE_OK);
    EXPECT_TEXT(accept_of(&upgrade), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_TEXT(upgrade.protocol, "chat");
}

TEST("Chrome's handshake opens a WebSocket")
{
    struct http_upgrade upgrade;
    EXPECT_EQ(judge(TEXT("GET /ws/rooms/ABC234?player_id=p1&token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln "
                         "HTTP/1.1\r\n"
                         "Host: localhost:8080\r\n"
                         "Connection: Upgrade\r\n"
                         "Pragma: no-cache\r\n"
                         "Cache-Control: no-cache\r\n"
                         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, "
                         "like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n"
                         "Upgrade: websocket\r\n"
                         "Origin: http://localhost:8080\r\n"
                         "Sec-WebSocket-Version: 13\r\n"
                         "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                         "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
                         "Cookie: theme=dark; session=\"a=b\"\r\n"
                         "Sec-WebSocket-Key: Iv8io/9s+lYFgZWcXczP8Q==\r\n"
                         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                         "Sec-WebSocket-Protocol: ringcast.v1, ringcast.event\r\n\r\n"),
                    &policy, &upgrade),
              HTTP_UPGRADE_OK);
    EXPECT_TEXT(accept_of(&upgrade), "hsBlbuDTkk24srzEOTBUlZAlC2g=");
    EXPECT_TEXT(upgrade.protocol, "ringcast.v1");
}

TEST("Firefox's handshake opens a WebSocket: Connection has two tokens (THREATS.md H4)")
{
    struct http_upgrade upgrade;
    EXPECT_EQ(judge(TEXT("GET /ws HTTP/1.1\r\n"
                         "Host: rooms.good.com\r\n"
                         "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 "
                         "Firefox/133.0\r\n"
                         "Accept: */*\r\n"
                         "Accept-Language: en-US,en;q=0.5\r\n"
                         "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                         "Sec-WebSocket-Version: 13\r\n"
                         "Origin: https://good.com\r\n"
                         "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                         "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
                         "DNT: 1\r\n"
                         "Connection: keep-alive, Upgrade\r\n"
                         "Sec-Fetch-Dest: empty\r\n"
                         "Sec-Fetch-Mode: websocket\r\n"
                         "Sec-Fetch-Site: cross-site\r\n"
                         "Pragma: no-cache\r\n"
                         "Cache-Control: no-cache\r\n"
                         "Upgrade: websocket\r\n\r\n"),
                    &policy, &upgrade),
              HTTP_UPGRADE_OK);
    EXPECT_TEXT(accept_of(&upgrade), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
    EXPECT_EQ(upgrade.protocol.size, 0);
}

TEST("native clients open a WebSocket without an Origin (S0-16)")
{
    static const struct judged table[] = {
        // websockets for Python
        JUDGED(HTTP_UPGRADE_OK,
               "GET /ws HTTP/1.1\r\n"
               "Host: 127.0.0.1:8080\r\n"
               "Upgrade: websocket\r\n"
               "Connection: Upgrade\r\n"
               "Sec-WebSocket-Key: hLtRgNUHNoVdVeBvsTPzKg==\r\n"
               "Sec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
               "User-Agent: Python/3.12 websockets/13.1\r\n\r\n"),
        // ws for Node.js
        JUDGED(HTTP_UPGRADE_OK,
               "GET /ws HTTP/1.1\r\n"
               "Sec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: R1kSzq1F6ZzKhNkT6mCQ7g==\r\n"
               "Connection: Upgrade\r\n"
               "Upgrade: websocket\r\n"
               "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
               "Host: [::1]:8080\r\n\r\n"),
        // OkHttp on Android
        JUDGED(HTTP_UPGRADE_OK, "GET /ws HTTP/1.1\r\n"
                                "Upgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Key: 9Wk2bq3x7yQmVd0u5eTzJA==\r\n"
                                "Sec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                                "Host: rooms.example\r\n"
                                "Accept-Encoding: gzip\r\n"
                                "User-Agent: okhttp/4.12.0\r\n\r\n"),
        // gorilla/websocket for Go
        JUDGED(HTTP_UPGRADE_OK, "GET /ws HTTP/1.1\r\n"
                                "Host: rooms.example:8080\r\n"
                                "User-Agent: Go-http-client/1.1\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                                "Sec-WebSocket-Version: 13\r\n"
                                "Upgrade: websocket\r\n\r\n"),
    };
    EXPECT_JUDGED(table);
}

TEST("only GET opens a WebSocket, in this spelling (THREATS.md H1; RFC 6455 §4.2.1)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_UPGRADE_OK, ALL END),
        JUDGED(HTTP_REFUSE_METHOD, "POST /ws HTTP/1.1\r\n" ALL_BUT_GET END),
        JUDGED(HTTP_REFUSE_METHOD, "PUT /ws HTTP/1.1\r\n" ALL_BUT_GET END),
        JUDGED(HTTP_REFUSE_METHOD, "HEAD /ws HTTP/1.1\r\n" ALL_BUT_GET END),
        JUDGED(HTTP_REFUSE_METHOD, "get /ws HTTP/1.1\r\n" ALL_BUT_GET END),
        JUDGED(HTTP_REFUSE_METHOD, "GETS /ws HTTP/1.1\r\n" ALL_BUT_GET END),
    };
    EXPECT_JUDGED(table);
}

TEST("HTTP/1.0 opens no WebSocket (THREATS.md H2; RFC 6455 §4.2.1)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_REFUSE_VERSION_OLD, "GET /ws HTTP/1.0\r\n" ALL_BUT_GET END),
        JUDGED(HTTP_UPGRADE_OK, "GET /ws HTTP/1.2\r\n" ALL_BUT_GET END),
    };
    EXPECT_JUDGED(table);
}

TEST("a WebSocket request may say that it has no body (THREATS.md H14)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_UPGRADE_OK, ALL "Content-Length: 0\r\n" END),
    };
    EXPECT_JUDGED(table);
}

TEST("Upgrade and Connection must both ask for it, as tokens, in any case (THREATS.md H4, H12)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_REFUSE_NO_UPGRADE, GET HOST END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE, GET HOST VERSION KEY END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE, GET HOST VERSION KEY "Upgrade: websocket\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE, GET HOST VERSION KEY "Connection: Upgrade\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade: websocket\r\nConnection: close\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade: websocket\r\nConnection: keep-alive\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade: websocket\r\nConnection: Upgraded\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade: h2c\r\nConnection: Upgrade\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade: websockets\r\nConnection: Upgrade\r\n" END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE,
               GET HOST VERSION KEY "Upgrade:\r\nConnection: Upgrade\r\n" END),
        JUDGED(HTTP_UPGRADE_OK, GET HOST VERSION KEY
               "UPGRADE: WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n" END),
        JUDGED(HTTP_UPGRADE_OK,
               GET HOST VERSION KEY "Upgrade: h2c,websocket\r\n"
                                    "Connection: keep-alive\r\nConnection: upgrade\r\n" END),
    };
    EXPECT_JUDGED(table);
}

TEST("the protocol version is exactly one 13 (THREATS.md H5; RFC 6455 §4.2.1, §4.4)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY VERSION VERSION END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY "Sec-WebSocket-Version:\r\n" END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n" END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY "Sec-WebSocket-Version: 13, 8\r\n" END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY "Sec-WebSocket-Version: 013\r\n" END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE KEY "Sec-WebSocket-Version: 131\r\n" END),
        JUDGED(HTTP_UPGRADE_OK, GET HOST UPGRADE KEY "sec-websocket-version:\t13 \r\n" END),
    };
    EXPECT_JUDGED(table);
}

#define WITH_KEY(key) GET HOST UPGRADE VERSION "Sec-WebSocket-Key: " key "\r\n" END

TEST("the key is exactly one, and 16 bytes in base64 (THREATS.md H6; RFC 6455 §4.2.1)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_REFUSE_KEY, GET HOST UPGRADE VERSION END),
        JUDGED(HTTP_REFUSE_KEY, GET HOST UPGRADE VERSION KEY KEY END),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQ")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQ=")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQ===")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQE=")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQEB")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZ===")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25jZQ=E")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZSBub25j==")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZS-ub25jZQ==")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXBsZS_ub25jZQ==")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXB ZSBub25jZQ==")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("dGhlIHNhbXB\xC3ZSBub25jZQ==")),
        JUDGED(HTTP_REFUSE_KEY, WITH_KEY("\"GhlIHNhbXBsZSBub25jZQ==")),
    };
    EXPECT_JUDGED(table);
}

TEST("a key is hashed as it was sent, whatever its last digit carries (RFC 6455 §4.2.2)")
{
    static const struct text wires[] = {
        {WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA=="), sizeof WITH_KEY("AAAAAAAAAAAAAAAAAAAAAA==") - 1},
        {WITH_KEY("AAAAAAAAAAAAAAAAAAAAAP=="), sizeof WITH_KEY("AAAAAAAAAAAAAAAAAAAAAP==") - 1},
        {WITH_KEY("/////////////////////w=="), sizeof WITH_KEY("/////////////////////w==") - 1},
        {WITH_KEY("hLtRgNUHNoVdVeBvsTPzKg=="), sizeof WITH_KEY("hLtRgNUHNoVdVeBvsTPzKg==") - 1},
    };
    static const char accepts[][29] = {
        "ICX+Yqv66kxgM0FcWaLWlFLwTAI=", "uowdRy2awJ/RcV9WYDeCKr1hjhU=",
        "XXpj4jYzLM2yUE0C7TIgMwTQh2g=", "mBKsJZC1TdraI+mfzcQMiFPIRNo="};
    for (size_t i = 0; i < 4; i++) {
        struct http_upgrade upgrade;
        EXPECT_EQ(judge(wires[i], &policy, &upgrade), HTTP_UPGRADE_OK);
        EXPECT(text_equal(accept_of(&upgrade), text_of(accepts[i])));
    }
}

TEST("an Origin passes when it is listed or the server's own (THREATS.md H7; RFC 6455 §10.2)")
{
    static const char *const table[][2] = {
        /* Host, Origin */
        {"any.example", "https://good.com"},
        {"any.example", "https://good.com:443"},
        {"any.example", "HTTPS://Good.COM"},
        {"any.example", "http://dev.good.com:3000"},
        {"any.example", "https://port.good.com"},
        {"any.example", "capacitor://localhost"},
        {"rooms.example", "http://rooms.example"},
        {"rooms.example", "https://rooms.example"},
        {"rooms.example", "http://rooms.example:80"},
        {"rooms.example:80", "http://rooms.example"},
        {"rooms.example:443", "https://rooms.example"},
        {"Rooms.Example:8080", "http://rooms.example:8080"},
        {"[::1]:8080", "http://[::1]:8080"},
        {"[::1]", "http://[::1]:80"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (judge_origin(&policy, table[i][0], table[i][1]) != HTTP_UPGRADE_OK)
            check_failed(__FILE__, __LINE__, "Host %s refused Origin %s", table[i][0], table[i][1]);
}

static const char *const foreign[][2] = {
    /* Host, Origin */
    {"rooms.example", "https://evil.com"},
    {"rooms.example", "null"},
    {"rooms.example", "NULL"},
    {"rooms.example", ""},
    {"rooms.example", "https://"},
    {"rooms.example", "good.com"},
    {"rooms.example", "https://good.com.evil.com"},
    {"rooms.example", "https://evil-good.com"},
    {"rooms.example", "https://evil.com/good.com"},
    {"rooms.example", "https://good.com/"},
    {"rooms.example", "https://good.com."},
    {"rooms.example", "https://good.com@evil.com"},
    {"rooms.example", "https://good.com:444"},
    {"rooms.example", "https://good.com:80"},
    {"rooms.example", "https://good.com:"},
    {"rooms.example", "https://good.co"},
    {"rooms.example", "http://good.com"},
    {"rooms.example", "https://evil.com https://good.com"},
    {"rooms.example", "https://good.com, https://evil.com"},
    {"rooms.example", "http://dev.good.com"},
    {"rooms.example", "https://dev.good.com:3000"},
    {"rooms.example", "http://port.good.com:443"},
    {"rooms.example", "http://rooms.example.evil.com"},
    {"rooms.example", "http://evil.rooms.example"},
    {"rooms.example", "http://rooms.example:8080"},
    {"rooms.example", "http://rooms.example:443"},
    {"rooms.example", "https://rooms.example:80"},
    {"rooms.example", "ftp://rooms.example"},
    {"rooms.example", "ftps://rooms.example"},
    {"rooms.example", "httpx://rooms.example"},
    {"rooms.example:8080", "http://rooms.example"},
    {"rooms.example:8080", "http://rooms.example:80"},
    {"rooms.example:80", "https://rooms.example"},
    {"rooms.example:443", "http://rooms.example"},
    {"rooms.example", "rooms.example"},
    {"[::80]", "http://[:"},
};

TEST("any other Origin is refused: null, suffixes, ports, schemes (THREATS.md H7; D7)")
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (judge_origin(&policy, foreign[i][0], foreign[i][1]) != HTTP_REFUSE_ORIGIN)
            check_failed(__FILE__, __LINE__, "Host %s took Origin %s", foreign[i][0],
                         foreign[i][1]);
}

TEST("a policy of any origin takes each of those (--dev)")
{
    static const struct http_upgrade_policy any = {.any_origin = true};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        EXPECT_EQ(judge_origin(&any, foreign[i][0], foreign[i][1]), HTTP_UPGRADE_OK);
}

TEST("two Origins are refused, even equal ones, even where any would pass (THREATS.md H7)")
{
    static const struct http_upgrade_policy any = {.any_origin = true};
    static const char wire[] = ALL "Origin: https://good.com\r\norigin: https://good.com\r\n" END;
    struct http_upgrade upgrade;
    EXPECT_EQ(judge(text_of(wire), &policy, &upgrade), HTTP_REFUSE_ORIGIN);
    EXPECT_EQ(judge(text_of(wire), &any, &upgrade), HTTP_REFUSE_ORIGIN);
}

TEST("a request without Origin passes an empty list (S0-16)")
{
    static const struct http_upgrade_policy none = {};
    struct http_upgrade upgrade;
    EXPECT_EQ(judge(TEXT(ALL END), &none, &upgrade), HTTP_UPGRADE_OK);
    EXPECT_EQ(judge_origin(&none, "rooms.example", "https://good.com"), HTTP_REFUSE_ORIGIN);
}

TEST("the first offered subprotocol that is spoken is chosen")
{
    struct text chosen;
    EXPECT_EQ(judge_offer("Sec-WebSocket-Protocol: ringcast.v1\r\n", &chosen), HTTP_UPGRADE_OK);
    EXPECT_TEXT(chosen, "ringcast.v1");
    EXPECT(chosen.data == spoken[1].data); // the policy's: the request's buffer is given back
    EXPECT_EQ(
        judge_offer("Sec-WebSocket-Protocol: other,ringcast.v1 ,\tringcast.event\r\n", &chosen),
        HTTP_UPGRADE_OK);
    EXPECT_TEXT(chosen, "ringcast.v1");
    EXPECT_EQ(judge_offer("Sec-WebSocket-Protocol: other\r\nX: y\r\n"
                          "sec-websocket-protocol: ,, ringcast.event,\r\n",
                          &chosen),
              HTTP_UPGRADE_OK);
    EXPECT_TEXT(chosen, "ringcast.event");
}

TEST("no offer means no subprotocol in the answer (RFC 6455 §4.2.2)")
{
    struct text chosen;
    EXPECT_EQ(judge_offer("", &chosen), HTTP_UPGRADE_OK);
    EXPECT_EQ(chosen.size, 0);
}

TEST("an offer without any known subprotocol is refused; case matters")
{
    struct text chosen;
    static const struct http_upgrade_policy mute = {};
    struct http_upgrade upgrade;
    EXPECT_EQ(judge_offer("Sec-WebSocket-Protocol: other\r\n", &chosen), HTTP_REFUSE_PROTOCOL);
    EXPECT_EQ(judge_offer("Sec-WebSocket-Protocol: ringcast.V1\r\n", &chosen),
              HTTP_REFUSE_PROTOCOL);
    EXPECT_EQ(judge_offer("Sec-WebSocket-Protocol: ringcast.v1.bin, ringcast\r\n", &chosen),
              HTTP_REFUSE_PROTOCOL);
    EXPECT_EQ(judge(TEXT(ALL "Sec-WebSocket-Protocol: ringcast.v1\r\n" END), &mute, &upgrade),
              HTTP_REFUSE_PROTOCOL);
}

TEST("an offer that is no list of different tokens is refused (RFC 6455 §4.1 item 10)")
{
    static const char *const offers[] = {
        "Sec-WebSocket-Protocol:\r\n",
        "Sec-WebSocket-Protocol: ,\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1\r\nSec-WebSocket-Protocol:\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1 other\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1; q=1\r\n",
        "Sec-WebSocket-Protocol: \"ringcast.v1\"\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1, a/b\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1, f\xC3\xBC\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1, ringcast.v1\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1, other, other\r\n",
        "Sec-WebSocket-Protocol: ringcast.v1\r\nSec-WebSocket-Protocol: ringcast.v1\r\n",
    };
    struct text chosen;
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++)
        if (judge_offer(offers[i], &chosen) != HTTP_REFUSE_PROTOCOL_SYNTAX)
            check_failed(__FILE__, __LINE__, "accepted %s", offers[i]);
}

/* RFC 6455's uniqueness is a comparison of each with each, so their number is bounded; the rest of
 * the parse goes over the line once. */
TEST("32 different subprotocols may be offered and 33 may not (THREATS.md H11)")
{
    char offer[512];
    struct text chosen;
    struct writer writer = writer_over(offer, sizeof offer);
    write_text(&writer, TEXT("Sec-WebSocket-Protocol: ringcast.v1"));
    for (int i = 1; i < 32; i++)
        write_format(&writer, ",p%d", i);
    size_t size = writer.size;
    write_text(&writer, (struct text){"\r\n", 3});
    EXPECT_EQ(judge_offer(offer, &chosen), HTTP_UPGRADE_OK);
    writer.size = size;
    write_text(&writer, (struct text){",p32\r\n", 7});
    EXPECT_EQ(judge_offer(offer, &chosen), HTTP_REFUSE_PROTOCOL_SYNTAX);
}

/* A value is at most a line, and every parser here takes each of its bytes once. */
TEST("4 KiB of separators are read once and mean nothing (THREATS.md H11)")
{
    static char value[4000], memory[2 * http_line_size_max];
    struct http_upgrade upgrade;
    static const struct {
        const char *name;
        char fill;
        enum http_refusal refusal;
    } table[] = {
        {"Sec-WebSocket-Protocol", ',', HTTP_REFUSE_PROTOCOL_SYNTAX},
        {"Sec-WebSocket-Protocol", ' ', HTTP_REFUSE_PROTOCOL_SYNTAX},
        {"Sec-WebSocket-Protocol", '"', HTTP_REFUSE_PROTOCOL_SYNTAX},
        {"Sec-WebSocket-Protocol", 'a', HTTP_REFUSE_PROTOCOL},
        {"Sec-WebSocket-Extensions", ',', HTTP_REFUSE_EXTENSION_SYNTAX},
        {"Sec-WebSocket-Extensions", '"', HTTP_REFUSE_EXTENSION_SYNTAX},
        {"Sec-WebSocket-Extensions", ';', HTTP_REFUSE_EXTENSION_SYNTAX},
        {"Sec-WebSocket-Extensions", 'a', HTTP_UPGRADE_OK},
        {"Connection", ',', HTTP_UPGRADE_OK},
        {"Origin", ':', HTTP_REFUSE_ORIGIN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        memset(value, table[i].fill, sizeof value);
        struct text wire =
            wire_with(table[i].name, (struct text){value, sizeof value}, memory, sizeof memory);
        EXPECT_EQ(judge(wire, &policy, &upgrade), table[i].refusal);
    }
}

TEST("extensions are declined by silence where none is spoken (RFC 6455 §9.1)")
{
    static const struct judged table[] = {
        JUDGED(HTTP_UPGRADE_OK, ALL "Sec-WebSocket-Extensions: permessage-deflate; "
                                    "server_max_window_bits=\"7\", x; y=z\r\n" END),
        JUDGED(HTTP_REFUSE_EXTENSION_SYNTAX, ALL "Sec-WebSocket-Extensions: ;;;=\"\r\n" END),
    };
    EXPECT_JUDGED(table);
    struct http_upgrade upgrade;
    EXPECT_EQ(
        judge(TEXT(ALL "Sec-WebSocket-Extensions: permessage-deflate\r\n" END), &policy, &upgrade),
        HTTP_UPGRADE_OK);
    EXPECT_EQ(upgrade.deflate.server_bits, 0);
}

TEST("permessage-deflate is agreed on where the route allows it (RFC 7692 §5)")
{
    struct http_upgrade_policy deflating = policy;
    struct http_upgrade upgrade;
    deflating.deflate = true;
    EXPECT_EQ(judge(TEXT(ALL "Sec-WebSocket-Extensions: permessage-deflate\r\n" END), &deflating,
                    &upgrade),
              HTTP_UPGRADE_OK);
    EXPECT_EQ(upgrade.deflate.server_bits, 15);
    EXPECT_EQ(judge(TEXT(ALL END), &deflating, &upgrade), HTTP_UPGRADE_OK);
    EXPECT_EQ(upgrade.deflate.server_bits, 0);
}

TEST("of several faults the first in the table is named")
{
#define BAD_VERSION "Sec-WebSocket-Version: 8\r\n"
#define BAD_KEY "Sec-WebSocket-Key: x\r\n"
#define BAD_ORIGIN "Origin: https://evil.com\r\n"
#define BAD_OFFER "Sec-WebSocket-Protocol: other\r\n"
#define REST BAD_VERSION BAD_KEY BAD_ORIGIN BAD_OFFER
    static const struct judged table[] = {
        JUDGED(HTTP_REFUSE_METHOD, "POST / HTTP/1.0\r\n" HOST REST END),
        JUDGED(HTTP_REFUSE_VERSION_OLD, "GET / HTTP/1.0\r\n" HOST REST END),
        JUDGED(HTTP_REFUSE_NO_UPGRADE, GET HOST REST END),
        JUDGED(HTTP_REFUSE_WS_VERSION, GET HOST UPGRADE REST END),
        JUDGED(HTTP_REFUSE_KEY, GET HOST UPGRADE VERSION BAD_KEY BAD_ORIGIN BAD_OFFER END),
        JUDGED(HTTP_REFUSE_ORIGIN, ALL BAD_ORIGIN BAD_OFFER END),
        JUDGED(HTTP_REFUSE_PROTOCOL, ALL BAD_OFFER END),
        JUDGED(HTTP_UPGRADE_OK, ALL END),
    };
    EXPECT_JUDGED(table);
}

TEST("every refusal has its status, a code and a sentence, and codes differ")
{
    struct text seen[32];
    size_t count = 0;
#define X(name, status, code, sentence)                                    \
    EXPECT_EQ(http_refusal_status(HTTP_REFUSE_##name), status);            \
    EXPECT(text_equal(http_refusal_code(HTTP_REFUSE_##name), TEXT(code))); \
    EXPECT(http_refusal_sentence(HTTP_REFUSE_##name).size > 10);           \
    seen[count++] = http_refusal_code(HTTP_REFUSE_##name);
    HTTP_REFUSALS(X)
#undef X
    for (size_t i = 0; i < count; i++) {
        EXPECT(http_refusal_status((enum http_refusal)(i + 1)) >= 400);
        for (size_t j = 0; j < i; j++)
            EXPECT(!text_equal(seen[i], seen[j]));
    }
}
