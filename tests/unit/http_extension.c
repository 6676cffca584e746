#include "check.h"
#include "http/extension.h"
#include "limits.h"

static const struct http_limits limits = {http_head_size_max, http_line_size_max,
                                          http_body_size_max};

enum verdict { BROKEN, NONE, ACCEPTED };

/* The request's only headers besides Host; "|" ends one Sec-WebSocket-Extensions and begins the
 * next. */
static enum verdict choose(struct text values, struct http_deflate *deflate)
{
    static uint8_t memory[http_head_size_max + http_body_size_max + http_line_size_max], wire[8192];
    struct writer out = writer_over(wire, sizeof wire);
    write_text(&out, TEXT("GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Extensions: "));
    for (size_t i = 0; i < values.size; i++)
        if (values.data[i] == '|')
            write_text(&out, TEXT("\r\nsec-websocket-extensions: "));
        else
            write_byte(&out, (uint8_t)values.data[i]);
    write_text(&out, TEXT("\r\n\r\n"));
    struct http_request request;
    struct http_reader reader;
    struct bytes input = writer_bytes(&out);
    http_reader_init(&reader, &limits, (struct bytes){memory, sizeof memory});
    EXPECT_EQ(http_reader_feed(&reader, &input, &request), HTTP_REQUEST);
    if (!http_deflate_choose(&request, deflate)) return BROKEN;
    return deflate->server_bits == 0 ? NONE : ACCEPTED;
}

struct row {
    struct text values;
    uint8_t wanted[3]; /* verdict, server_bits, client_bits */
};
#define ROW(values, ...)              \
    {                                 \
        {values, sizeof(values) - 1}, \
        {                             \
            __VA_ARGS__               \
        }                             \
    }

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct http_deflate deflate;
        enum verdict verdict = choose(rows[i].values, &deflate);
        const uint8_t *wanted = rows[i].wanted;
        bool right = verdict == wanted[0];
        if (right && verdict == ACCEPTED)
            right = deflate.server_bits == wanted[1] && deflate.client_bits == wanted[2];
        if (right) continue;
        check_failed(__FILE__, __LINE__, "%.*s: verdict %d, server %d, client %d",
                     TEXT_ARG(rows[i].values), verdict, deflate.server_bits, deflate.client_bits);
    }
}
#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

#define D "permessage-deflate"

TEST("offers of permessage-deflate are accepted in every form (RFC 7692 §7.1)")
{
    static const struct row rows[] = {
        ROW(D, ACCEPTED, 15, 15),
        ROW(D "; client_max_window_bits", ACCEPTED, 15, 15),
        ROW(D ";client_max_window_bits=10", ACCEPTED, 15, 10),
        ROW(D "; client_max_window_bits=8", ACCEPTED, 15, 8),
        ROW(D "; server_max_window_bits=9", ACCEPTED, 9, 15),
        ROW(D "; server_max_window_bits=10", ACCEPTED, 10, 15),
        ROW(D "; server_max_window_bits=11", ACCEPTED, 11, 15),
        ROW(D "; server_max_window_bits=12", ACCEPTED, 12, 15),
        ROW(D "; server_max_window_bits=13", ACCEPTED, 13, 15),
        ROW(D "; server_max_window_bits=14", ACCEPTED, 14, 15),
        ROW(D "; server_max_window_bits=15", ACCEPTED, 15, 15),
        ROW(D "; server_no_context_takeover", ACCEPTED, 15, 15),
        ROW(D "; client_no_context_takeover", ACCEPTED, 15, 15),
        ROW(D " ;\tclient_max_window_bits = 12 ; server_no_context_takeover;"
              "client_no_context_takeover; server_max_window_bits=11",
            ACCEPTED, 11, 12),
    };
    EXPECT_ROWS(rows);
}

TEST("a quoted value means what is in the quotes (RFC 6455 §9.1, THREATS.md Z5)")
{
    static const struct row rows[] = {
        ROW(D "; server_max_window_bits=\"10\"", ACCEPTED, 10, 15),
        ROW(D "; server_max_window_bits=\"1\\0\"", ACCEPTED, 10, 15),
        ROW(D "; server_max_window_bits=\"7\"", NONE),
        ROW("x; y=\"a,b\"", BROKEN), // what is quoted must be a token
        ROW("x; y=\"ab\", " D, ACCEPTED, 15, 15),
    };
    EXPECT_ROWS(rows);
}

TEST("an offer with a wrong or unknown parameter is declined (THREATS.md Z5)")
{
    static const struct row rows[] = {
        ROW(D "; server_max_window_bits", NONE),
        ROW(D "; server_max_window_bits=7", NONE),
        ROW(D "; server_max_window_bits=16", NONE),
        ROW(D "; server_max_window_bits=20", NONE),
        ROW(D "; server_max_window_bits=0", NONE),
        ROW(D "; server_max_window_bits=-9", NONE),
        ROW(D "; server_max_window_bits=+9", NONE),
        ROW(D "; server_max_window_bits=09", NONE),
        ROW(D "; server_max_window_bits=010", NONE),
        ROW(D "; server_max_window_bits=1000000000000000000010", NONE),
        ROW(D "; server_max_window_bits=0x9", NONE),
        ROW(D "; server_max_window_bits=1", NONE),
        ROW(D "; server_max_window_bits=10; server_max_window_bits=10", NONE),
        ROW(D "; client_max_window_bits=7", NONE),
        ROW(D "; client_max_window_bits=16", NONE),
        ROW(D "; client_max_window_bits=08", NONE),
        ROW(D "; client_max_window_bits; client_max_window_bits", NONE),
        ROW(D "; client_max_window_bits; client_max_window_bits=10", NONE),
        ROW(D "; server_no_context_takeover=1", NONE),
        ROW(D "; client_no_context_takeover=true", NONE),
        ROW(D "; server_no_context_takeover; server_no_context_takeover", NONE),
        ROW(D "; client_no_context_takeover; client_no_context_takeover", NONE),
        ROW(D "; foo", NONE),
        ROW(D "; server_max_window_bits=10; foo=1", NONE),
        ROW(D "; Server_Max_Window_Bits=10", NONE),
        ROW("Permessage-Deflate", NONE),
        ROW("x-webkit-deflate-frame", NONE),
        ROW(D "2", NONE),
    };
    EXPECT_ROWS(rows);
}

TEST("a window of 8 bits cannot be had of us, because zlib makes 9 of it (THREATS.md Z6)")
{
    static const struct row rows[] = {
        ROW(D "; server_max_window_bits=8", NONE),
        ROW(D "; server_max_window_bits=8, " D "; server_max_window_bits=9", ACCEPTED, 9, 15),
    };
    EXPECT_ROWS(rows);
}

TEST("the first acceptable offer wins, over all headers (RFC 7692 §5)")
{
    static const struct row rows[] = {
        ROW(D "; server_max_window_bits=10, " D, ACCEPTED, 10, 15),
        ROW(D "; foo, " D "; server_max_window_bits=12, " D, ACCEPTED, 12, 15),
        ROW("bar|" D "; server_max_window_bits=7|foo; a=b, " D "; server_max_window_bits=13",
            ACCEPTED, 13, 15),
        ROW(D "|" D "; server_max_window_bits=13", ACCEPTED, 15, 15),
        ROW(",, " D ",,", ACCEPTED, 15, 15),
    };
    EXPECT_ROWS(rows);
}

TEST("what is no list of extensions fails the handshake (RFC 6455 §9.1, THREATS.md Z5)")
{
    static const struct row rows[] = {
        ROW("", BROKEN),
        ROW(",", BROKEN),
        ROW(";", BROKEN),
        ROW(D ";", BROKEN),
        ROW(D "; ;client_max_window_bits", BROKEN),
        ROW(D "; server_max_window_bits=", BROKEN),
        ROW(D "; server_max_window_bits=\"\"", BROKEN),
        ROW(D "; server_max_window_bits=\"10", BROKEN),
        ROW(D "; server_max_window_bits=\"10\\", BROKEN),
        ROW(D "; server_max_window_bits=1 0", BROKEN),
        ROW(D "; =10", BROKEN),
        ROW(D " client_max_window_bits", BROKEN),
        ROW(D "=1", BROKEN),
        ROW(D "/", BROKEN),
        ROW(D "|;", BROKEN), // also behind an offer that was acceptable
        ROW(D ", \"x\"", BROKEN),
    };
    EXPECT_ROWS(rows);
}

static struct text answer_to(struct text offer, uint8_t memory[static 256])
{
    struct http_deflate deflate;
    struct writer out = writer_over(memory, 256);
    EXPECT_EQ(choose(offer, &deflate), ACCEPTED);
    http_deflate_write(&out, &deflate);
    return text_from(writer_bytes(&out));
}

TEST("the answer takes no context over either way, and names the window when asked to "
     "(RFC 7692 §7.1.1, §7.1.2.1, THREATS.md Z7)")
{
    uint8_t memory[256];
#define NO_CONTEXT D "; server_no_context_takeover; client_no_context_takeover"
    EXPECT_TEXT(answer_to(TEXT(D), memory), NO_CONTEXT);
    EXPECT_TEXT(answer_to(TEXT(D "; client_max_window_bits=9"), memory), NO_CONTEXT);
    EXPECT_TEXT(answer_to(TEXT(D "; server_max_window_bits=\"15\""), memory),
                NO_CONTEXT "; server_max_window_bits=15");
    EXPECT_TEXT(answer_to(TEXT(D "; server_max_window_bits=9"), memory),
                NO_CONTEXT "; server_max_window_bits=9");
}

TEST("a line full of offers is read once, and the last of them may be the one (THREATS.md H11)")
{
    static char offers[3900];
    struct writer out = writer_over(offers, sizeof offers);
    while (out.size + 80 < sizeof offers)
        write_text(&out, TEXT("a;b=\"c\",, "));
    struct http_deflate deflate;
    EXPECT_EQ(choose(text_from(writer_bytes(&out)), &deflate), NONE);
    EXPECT_EQ(deflate.client_bits, 0);
    write_text(&out, TEXT(D "; server_max_window_bits=11"));
    EXPECT_EQ(choose(text_from(writer_bytes(&out)), &deflate), ACCEPTED);
    EXPECT_EQ(deflate.server_bits, 11);
}
