#include "check.h"
#include "http/request.h"
#include "limits.h"

static const struct http_limits limits = {http_head_size_max, http_line_size_max,
                                          http_body_size_max};
constexpr size_t memory_size = http_head_size_max + http_body_size_max + http_line_size_max;

/* What came of feeding one wire, comparable: the request as text, and how far the reader went. */
struct outcome {
    enum http_step step;
    enum http_error error;
    size_t consumed;
    struct text dump;
};

static void dump_request(struct writer *out, const struct http_request *request)
{
    write_format(out, "%.*s %.*s 1.%d path=%.*s query=%.*s\n", TEXT_ARG(request->method),
                 TEXT_ARG(request->target), request->version_minor, TEXT_ARG(request->path),
                 TEXT_ARG(request->query));
    for (size_t i = 0; i < request->header_count; i++)
        write_format(out, "[%.*s]=[%.*s]\n", TEXT_ARG(request->headers[i].name),
                     TEXT_ARG(request->headers[i].value));
    write_format(out, "body=%.*s\n", TEXT_ARG(request->body));
}

/* Feeds `first` bytes, then `step` at a time. Each piece is wiped after its feed, because the
 * receive buffer it stands for is reused; and the rest of the input must be what was not taken. */
static struct outcome feed(struct text wire, size_t first, size_t step, struct writer *dump)
{
    static uint8_t memory[memory_size], piece[3 * memory_size];
    struct outcome outcome = {.step = HTTP_NEED_MORE};
    struct http_request request;
    struct http_reader reader;
    size_t size = first;
    memset(memory, 0xEE, sizeof memory);
    http_reader_init(&reader, &limits, (struct bytes){memory, sizeof memory});
    for (size_t at = 0; at < wire.size && outcome.step == HTTP_NEED_MORE; at += size, size = step) {
        if (size > wire.size - at) size = wire.size - at;
        memcpy(piece, wire.data + at, size);
        struct bytes input = {piece, size};
        outcome.step = http_reader_feed(&reader, &input, &request);
        outcome.consumed += size - input.size;
        EXPECT(input.data + input.size == piece + size);
        EXPECT(outcome.step != HTTP_NEED_MORE || input.size == 0);
        memset(piece, 0xDD, size);
    }
    outcome.error = reader.error;
    if (outcome.step == HTTP_REQUEST) dump_request(dump, &request);
    outcome.dump = text_from(writer_bytes(dump));
    return outcome;
}

static bool outcome_equal(const struct outcome *left, const struct outcome *right)
{
    return left->step == right->step && left->error == right->error &&
           left->consumed == right->consumed && text_equal(left->dump, right->dump);
}

/* The outcome of `wire` fed whole, after checking that it is the same byte by byte and at every
 * split (every 97th of a long one). */
static struct outcome feed_all_ways(struct text wire)
{
    static char whole_memory[4 * memory_size], other_memory[4 * memory_size];
    struct writer whole_dump = writer_over(whole_memory, sizeof whole_memory);
    struct outcome whole = feed(wire, wire.size, 1, &whole_dump);
    for (size_t split = 1; split <= wire.size; split += wire.size > 1024 ? 97 : 1) {
        struct writer dump = writer_over(other_memory, sizeof other_memory);
        struct outcome other = feed(wire, split, split == 1 ? 1 : wire.size, &dump);
        if (outcome_equal(&whole, &other)) continue;
        check_failed(__FILE__, __LINE__, "split at %zu: step %d error %d consumed %zu, of %.*s",
                     split, other.step, other.error, other.consumed, TEXT_ARG(wire));
    }
    EXPECT(!whole_dump.overflow);
    return whole;
}

#define GET "GET /ws HTTP/1.1\r\n"
#define POST "POST /ws HTTP/1.1\r\n"
#define HOST "Host: rooms.example\r\n"
#define END "\r\n"

struct good {
    struct text wire;
    struct text dump;
};
#define GOOD(wire, dump) {{wire, sizeof(wire) - 1}, {dump, sizeof(dump) - 1}}

static void expect_good(const struct good *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = feed_all_ways(table[i].wire);
        EXPECT_EQ(outcome.consumed, table[i].wire.size);
        if (outcome.step == HTTP_REQUEST && text_equal(outcome.dump, table[i].dump)) continue;
        check_failed(__FILE__, __LINE__, "%.*sgave step %d, error %d, %.*s",
                     TEXT_ARG(table[i].wire), outcome.step, outcome.error, TEXT_ARG(outcome.dump));
    }
}

/* Each wire of a table of bad ones has one thing wrong, and would be a request without it. */
struct bad {
    enum http_error error;
    struct text wire;
    size_t consumed; /* where it must be seen; 0: at the wire's end */
};
#define BAD(error, wire) {error, {wire, sizeof(wire) - 1}, 0}
/* Seen at the end of `head`, though `more` follows in the same piece. */
#define BAD_AT(error, head, more) {error, {head more, sizeof(head more) - 1}, sizeof(head) - 1}

static void expect_bad(const struct bad *table, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = feed_all_ways(table[i].wire);
        size_t consumed = table[i].consumed > 0 ? table[i].consumed : table[i].wire.size;
        if (outcome.step == HTTP_BROKEN && outcome.error == table[i].error &&
            outcome.consumed == consumed)
            continue;
        check_failed(__FILE__, __LINE__,
                     "row %zu: step %d, error %d at %zu; wanted %d at %zu: %.*s", i, outcome.step,
                     outcome.error, outcome.consumed, table[i].error, consumed,
                     TEXT_ARG(table[i].wire));
    }
}

#define EXPECT_GOOD(table) expect_good((table), sizeof(table) / sizeof(table)[0])
#define EXPECT_BAD(table) expect_bad((table), sizeof(table) / sizeof(table)[0])

/* A request whose parts a test makes as long as it likes. */
static char long_memory[3 * memory_size];
static struct text long_wire(const struct writer *writer)
{
    EXPECT(!writer->overflow);
    return text_from(writer_bytes(writer));
}

/* GET, Host, then a header "A: xxx" of `line_size` bytes without its CRLF, then the end. */
static struct text wire_with_line(size_t line_size)
{
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT(GET HOST "A: "));
    write_fill(&writer, 'x', line_size - 3);
    write_text(&writer, TEXT("\r\n" END));
    return long_wire(&writer);
}

/* A head of `head_size` bytes, its end included, in lines of at most 2,000. */
static struct text wire_with_head(size_t head_size)
{
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT(GET HOST));
    size_t missing = head_size - writer.size - 2;
    while (missing > 0) {
        size_t line_size = missing > 2100 ? 2000 : missing;
        write_text(&writer, TEXT("A: "));
        write_fill(&writer, 'x', line_size - 5);
        write_text(&writer, TEXT("\r\n"));
        missing -= line_size;
    }
    write_text(&writer, TEXT(END));
    EXPECT_EQ(writer.size, head_size);
    return long_wire(&writer);
}

static struct text wire_with_headers(size_t header_count)
{
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT(GET HOST));
    for (size_t i = 1; i < header_count; i++)
        write_text(&writer, TEXT("a:\r\n"));
    write_text(&writer, TEXT(END));
    return long_wire(&writer);
}

TEST("a request is read the same however its bytes are split")
{
    static const struct good table[] = {
        GOOD("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 path=/ query=\n"
                                                  "[Host]=[a]\nbody=\n"),
        GOOD("GET /ws?x=1&y=/?:@[]{}|^`\\ HTTP/1.1\r\nhOST:a.b-c_d~:8080\r\n\r\n",
             "GET /ws?x=1&y=/?:@[]{}|^`\\ 1.1 path=/ws query=x=1&y=/?:@[]{}|^`\\"
             "\n[hOST]=[a.b-c_d~:8080]\nbody=\n"),
        GOOD(
            "PATCH /r/1 HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 12\r\n\r\n{\"text\":\"x\"}",
            "PATCH /r/1 1.1 path=/r/1 query=\n"
            "[Host]=[[::1]:8080]\n[Content-Length]=[12]\nbody={\"text\":\"x\"}\n"),
        GOOD("M!#$%&'*+-.^_`|~ / HTTP/1.9\r\nHost: 10.0.0.1:\r\nE:\r\nT:\t \ta \tb\t\r\n\r\n",
             "M!#$%&'*+-.^_`|~ / 1.9 path=/ query=\n"
             "[Host]=[10.0.0.1:]\n[E]=[]\n[T]=[a \tb]\nbody=\n"),
        GOOD("GET / HTTP/1.1\r\nHost: a\r\nX: f\xC3\xBC\xFF:,\"\r\n\r\n",
             "GET / 1.1 path=/ query=\n"
             "[Host]=[a]\n[X]=[f\xC3\xBC\xFF:,\"]\nbody=\n"),
    };
    EXPECT_GOOD(table);
}

TEST("HTTP/1.0 is read, also without Host; who needs 1.1 says so later (THREATS.md H2)")
{
    static const struct good table[] = {
        GOOD("GET /ws HTTP/1.0\r\n\r\n", "GET /ws 1.0 path=/ws query=\nbody=\n"),
        GOOD("GET /ws HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
             "GET /ws 1.0 path=/ws query=\n"
             "[Host]=[a]\n[Expect]=[100-continue]\nbody=\n"),
    };
    EXPECT_GOOD(table);
}

TEST("a Content-Length of 0 is tolerated and means no body (THREATS.md H14)")
{
    static const struct good table[] = {
        GOOD(GET HOST "Content-Length: 0\r\n" END,
             "GET /ws 1.1 path=/ws query=\n"
             "[Host]=[rooms.example]\n[Content-Length]=[0]\nbody=\n"),
    };
    EXPECT_GOOD(table);
}

TEST("the path is decoded exactly once and the query is left alone (THREATS.md H15)")
{
    static const struct good table[] = {
        GOOD("GET /a%2Fb%2e%2E/%252e%c3%BC?q=%41 HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /a%2Fb%2e%2E/%252e%c3%BC?q=%41 1.1 path=/a/b../%2e\xC3\xBC query=q=%41"
             "\n[Host]=[a]\nbody=\n"),
        GOOD("GET /-._~!$&'()*+,;=:@//? HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /-._~!$&'()*+,;=:@//? 1.1 path=/-._~!$&'()*+,;=:@// query="
             "\n[Host]=[a]\nbody=\n"),
    };
    EXPECT_GOOD(table);
}

TEST("a target that is not an encoded path, or hides a NUL, is refused (THREATS.md H15)")
{
    static const struct bad table[] = {
        BAD(HTTP_BAD_TARGET, "GET ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET ?/ HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "OPTIONS * HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET http://rooms.example/ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "CONNECT rooms.example:443 HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /% HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /%4 HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /%4g HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /%g4 HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /%%41 HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /a%00b HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /?a=%00 HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /?a=100% HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /?%4x HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /a#b HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /a?b#c HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /\"a\" HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /<a> HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /a\\..\\b HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /{a}|^` HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /\xC3\xBC HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /?\xC3\xBC HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /a\tb HTTP/1.1\r\n"),
        BAD(HTTP_BAD_TARGET, "GET /?a\tb HTTP/1.1\r\n"),
    };
    EXPECT_BAD(table);
}

TEST("a request line of any other shape is refused at its end (THREATS.md H1, H2; RFC 9112 §3)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_BAD_REQUEST_LINE, "GET /\r\n", HOST END), // HTTP/0.9
        BAD(HTTP_BAD_REQUEST_LINE, "GET\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET  /ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws  HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/1.1 \r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /w s HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET\t/ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "G(T /ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "G\xC3\xBCT /ws HTTP/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws http/1.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/1.10\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/1.\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/1,1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/a.1\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTP/1.a\r\n"),
        BAD(HTTP_BAD_REQUEST_LINE, "GET /ws HTTPS1.1\r\n"),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "\r", "\n" GET HOST END), // RFC 9112 §2.2: not skipped here
        BAD_AT(HTTP_BAD_REQUEST_LINE, " ", GET HOST END),
    };
    EXPECT_BAD(table);
}

TEST("another major version is told apart from nonsense (THREATS.md H2)")
{
    static const struct bad table[] = {
        BAD(HTTP_BAD_VERSION, "GET /ws HTTP/2.0\r\n"),
        BAD(HTTP_BAD_VERSION, "GET /ws HTTP/0.9\r\n"),
        BAD_AT(HTTP_BAD_VERSION, "PRI * HTTP/2.0\r\n", "\r\nSM\r\n\r\n"),
    };
    EXPECT_BAD(table);
}

TEST("what speaks another protocol is refused at its first wrong byte or line (THREATS.md H21)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_BAD_CHARACTER, "\x16", "\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "\x80", "\x2e\x01\x03\x01"),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "\r", "\n\r\n\0\r\nQUIT\n"),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", GET HOST END),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n", GET HOST END),
        BAD_AT(HTTP_BAD_REQUEST_LINE, "*1\r\n", "$4\r\nPING\r\n"),
    };
    EXPECT_BAD(table);
}

TEST("an HTTP/1.1 request has exactly one valid Host (THREATS.md H3; RFC 9112 §3.2)")
{
    static const struct bad table[] = {
        BAD(HTTP_BAD_HOST, GET END),
        BAD(HTTP_BAD_HOST, GET "X: a\r\n" END),
        BAD(HTTP_BAD_HOST, GET HOST HOST END),
        BAD(HTTP_BAD_HOST, GET HOST "hOsT: other\r\n" END),
        BAD(HTTP_BAD_HOST, "GET / HTTP/1.0\r\n" HOST HOST END),
        BAD(HTTP_BAD_HOST, GET "Host:\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: :80\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: a,b\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: a b\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: user@a\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: a/b\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: http://a\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: a:8o\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: a:80:80\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: ::1\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: []\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: [::1\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: [::1]80\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: [::1g]\r\n" END),
        BAD(HTTP_BAD_HOST, GET "Host: f\xC3\xBC\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("a header line that two parsers could read differently is refused (THREATS.md H13)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_BAD_HEADER, GET HOST "X : a\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST "X\t: a\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST " X: folded\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST "\tX: folded\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST " \r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET " Host: before-any-header\r\n", HOST END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST ": no name\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST "no colon\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST "X(: a\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST "X\xC3\xBC: a\r\n", END),
        BAD_AT(HTTP_BAD_HEADER, GET HOST GET, END),
    };
    EXPECT_BAD(table);
}

TEST("a control character is refused the moment it comes (THREATS.md H13; RFC 9112 §2.2)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\0", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\x01", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\x1f", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\x7f", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\x0b", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X\0", ": a\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\n", END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\rb", "\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "X: a\r\r", "\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "\n", END),
        BAD_AT(HTTP_BAD_CHARACTER, GET HOST "\rX", ": a\r\n" END),
        BAD_AT(HTTP_BAD_CHARACTER, "GET /ws HTTP/1.1\n", HOST END),
        BAD_AT(HTTP_BAD_CHARACTER, "GET /ws\0", " HTTP/1.1\r\n" HOST END),
        BAD_AT(HTTP_BAD_CHARACTER, "GET /ws\rX", " HTTP/1.1\r\n" HOST END),
        BAD_AT(HTTP_BAD_CHARACTER, "\n", GET HOST END),
    };
    EXPECT_BAD(table);
}

TEST("every control character but the tab is refused in a header (RFC 9110 §5.5)")
{
    for (unsigned character = 0; character < 256; character++) {
        char wire[] = GET HOST "X: a?b\r\n" END;
        *strchr(wire, '?') = (char)character;
        struct outcome outcome =
            feed_all_ways((struct text){.data = wire, .size = sizeof wire - 1});
        bool control = (character < ' ' && character != '\t') || character == 0x7F;
        EXPECT_EQ(outcome.step, control ? HTTP_BROKEN : HTTP_REQUEST);
        EXPECT_EQ(outcome.error, control ? HTTP_BAD_CHARACTER : HTTP_OK);
    }
}

TEST("a body length that is no single decimal number is refused (THREATS.md H14; RFC 9112 §6.3)")
{
    static const struct bad table[] = {
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length:\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: +1\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: -1\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 0x1\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 1 1\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 1, 1\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 1.0\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 0\r\nContent-Length: 0\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 0\r\ncontent-length: 5\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n" END),
        BAD(HTTP_BAD_LENGTH, GET HOST "transfer-encoding: x\r\nContent-Length: 5\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("Transfer-Encoding is refused whatever it says (THREATS.md H14)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_NOT_IMPLEMENTED, POST HOST "Transfer-Encoding: chunked\r\n" END, "0\r\n\r\n"),
        BAD(HTTP_NOT_IMPLEMENTED, POST HOST "transfer-encoding:\r\n" END),
        BAD(HTTP_NOT_IMPLEMENTED, POST HOST "Transfer-Encoding: identity\r\n" END),
        BAD(HTTP_GET_BODY, GET HOST "Transfer-Encoding: chunked\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("a GET with a body is refused before the body comes (THREATS.md H14)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_GET_BODY, GET HOST "Content-Length: 5\r\n" END, "hello"),
        BAD(HTTP_GET_BODY, GET HOST "Content-Length: 4096\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("a body over the limit is refused from its length alone")
{
    static_assert(http_body_size_max == 4096, "the numbers below are about this");
    static const struct bad table[] = {
        BAD_AT(HTTP_BODY_TOO_BIG, GET HOST "Content-Length: 4097\r\n" END, "x"),
        BAD(HTTP_BODY_TOO_BIG, GET HOST "Content-Length: 4294967296\r\n" END),
        BAD(HTTP_BODY_TOO_BIG, GET HOST "Content-Length: 18446744073709551616\r\n" END),
        BAD(HTTP_BODY_TOO_BIG, GET HOST "Content-Length: 99999999999999999999999\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("a body of exactly the limit is read whole, leading zeros or not")
{
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT(POST HOST "Content-Length: 0004096\r\n" END));
    size_t head_size = writer.size;
    write_fill(&writer, 'b', http_body_size_max);
    write_text(&writer, TEXT("more"));
    struct outcome outcome = feed_all_ways(long_wire(&writer));
    EXPECT_EQ(outcome.step, HTTP_REQUEST);
    EXPECT_EQ(outcome.consumed, head_size + http_body_size_max);
}

TEST("an expectation is refused before the body comes (THREATS.md H19)")
{
    static const struct bad table[] = {
        BAD_AT(HTTP_EXPECTATION, POST HOST "Expect: 100-continue\r\nContent-Length: 4\r\n" END,
               "body"),
        BAD(HTTP_EXPECTATION, GET HOST "expect: anything\r\n" END),
    };
    EXPECT_BAD(table);
}

TEST("a line of 4 KiB is read and one byte more is refused where it stands (THREATS.md H9)")
{
    struct outcome fits = feed_all_ways(wire_with_line(http_line_size_max));
    EXPECT_EQ(fits.step, HTTP_REQUEST);
    struct outcome over = feed_all_ways(wire_with_line(http_line_size_max + 1));
    EXPECT_EQ(over.error, HTTP_HEAD_TOO_BIG);
    EXPECT_EQ(over.consumed, sizeof(GET HOST) - 1 + http_line_size_max + 1);
}

TEST("a request line without an end is refused at 4 KiB (THREATS.md H9, H15)")
{
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT("GET /"));
    write_fill(&writer, 'x', http_head_size_max);
    struct outcome outcome = feed_all_ways(long_wire(&writer));
    EXPECT_EQ(outcome.error, HTTP_HEAD_TOO_BIG);
    EXPECT_EQ(outcome.consumed, http_line_size_max + 1);
}

TEST("a head of 8 KiB is read and one byte more is refused (THREATS.md H9)")
{
    struct outcome fits = feed_all_ways(wire_with_head(http_head_size_max));
    EXPECT_EQ(fits.step, HTTP_REQUEST);
    EXPECT_EQ(fits.consumed, http_head_size_max);
    struct outcome over = feed_all_ways(wire_with_head(http_head_size_max + 1));
    EXPECT_EQ(over.error, HTTP_HEAD_TOO_BIG);
    EXPECT_EQ(over.consumed, http_head_size_max + 1);
}

TEST("64 headers are read and the 65th is refused at its end (THREATS.md H9)")
{
    struct outcome fits = feed_all_ways(wire_with_headers(http_headers_max));
    EXPECT_EQ(fits.step, HTTP_REQUEST);
    struct text wire = wire_with_headers(http_headers_max + 1);
    struct outcome over = feed_all_ways(wire);
    EXPECT_EQ(over.error, HTTP_HEAD_TOO_BIG);
    EXPECT_EQ(over.consumed, wire.size - 2);
}

TEST("the largest request there is fits the buffer that the limits ask for")
{
    EXPECT_EQ(http_buffer_size(&limits), memory_size);
    static uint8_t memory[memory_size + 64];
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT("PUT /"));
    write_fill(&writer, 'p', http_line_size_max - sizeof "PUT / HTTP/1.1" + 1);
    write_text(&writer, TEXT(" HTTP/1.1\r\n" HOST "Content-Length: 4096\r\nA:"));
    write_fill(&writer, ' ', http_head_size_max - writer.size - 4);
    write_text(&writer, TEXT("\r\n" END));
    EXPECT_EQ(writer.size, http_head_size_max);
    write_fill(&writer, 'b', http_body_size_max);
    struct bytes input = writer_bytes(&writer);
    struct http_reader reader;
    struct http_request request;
    memset(memory + memory_size, 0x5A, 64);
    http_reader_init(&reader, &limits, (struct bytes){memory, memory_size});
    EXPECT_EQ(http_reader_feed(&reader, &input, &request), HTTP_REQUEST);
    EXPECT_EQ(request.path.size, http_line_size_max - sizeof "GET  HTTP/1.1" + 1);
    EXPECT_EQ(request.body.size, http_body_size_max);
    EXPECT(request.body.data[0] == 'b' && request.path.data[request.path.size - 1] == 'p');
    for (size_t i = 0; i < 64; i++)
        EXPECT_EQ(memory[memory_size + i], 0x5A);
}

TEST("an operator's own limits hold as well as the default ones (THREATS.md H9)")
{
    static const struct http_limits small = {.head_size_max = 40, .line_size_max = 20};
    static uint8_t memory[60];
    const struct text wires[] = {TEXT("GET / HTTP/1.1\r\nHost: abcdefghijklmn\r\n\r\n"),
                                 TEXT("GET / HTTP/1.1\r\nHost: abcdefghijklmno\r\n\r\n"),
                                 TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: bcdefghij\r\n\r\n")};
    const enum http_error wanted[] = {HTTP_OK, HTTP_HEAD_TOO_BIG, HTTP_HEAD_TOO_BIG};
    for (size_t i = 0; i < 3; i++) {
        struct http_reader reader;
        struct http_request request;
        char wire[64];
        memcpy(wire, wires[i].data, wires[i].size);
        struct bytes input = {(uint8_t *)wire, wires[i].size};
        http_reader_init(&reader, &small, (struct bytes){memory, sizeof memory});
        enum http_step step = http_reader_feed(&reader, &input, &request);
        EXPECT_EQ(step, wanted[i] == HTTP_OK ? HTTP_REQUEST : HTTP_BROKEN);
        EXPECT_EQ(reader.error, wanted[i]);
    }
}

TEST("what is pipelined behind a request stays in the input (THREATS.md H17, H18)")
{
    static const char head[] = GET HOST END;
    static const char *const tails[] = {"\x81\x83\x01\x02\x03\x04xyz", "\r\n", "\n",
                                        "GET /second HTTP/1.1\r\nHost: b\r\n\r\n"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct writer writer = writer_over(long_memory, sizeof long_memory);
        write_text(&writer, text_of(head));
        write_text(&writer, text_of(tails[i]));
        struct outcome outcome = feed_all_ways(long_wire(&writer));
        EXPECT_EQ(outcome.step, HTTP_REQUEST);
        EXPECT_EQ(outcome.consumed, sizeof head - 1);
        EXPECT_TEXT(outcome.dump, "GET /ws 1.1 path=/ws query=\n"
                                  "[Host]=[rooms.example]\nbody=\n");
    }
}

TEST("a whole request can be asked for again and takes nothing more")
{
    static uint8_t memory[memory_size];
    char wire[] = "POST /a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokmore";
    struct bytes input = {(uint8_t *)wire, sizeof wire - 1};
    struct http_reader reader;
    struct http_request request = {};
    http_reader_init(&reader, &limits, (struct bytes){memory, sizeof memory});
    for (int again = 0; again < 2; again++) {
        EXPECT_EQ(http_reader_feed(&reader, &input, &request), HTTP_REQUEST);
        EXPECT_TEXT(request.path, "/a b");
        EXPECT_TEXT(request.body, "ok");
        EXPECT_EQ(request.header_count, 2);
        EXPECT_TEXT(input, "more");
        memset(&request, 0xCC, sizeof request);
    }
}

/* The bytes of `wire` go in one by one; before each, everything that the reader holds is wiped but
 * the last byte (it may be a CR) and what an end of line or of the head is allowed to read. A
 * reader that went over its bytes once per feed would trip over the zeros, so its work is a
 * constant per byte: at its arrival, at its line's end, at the head's end. */
static enum http_step feed_wiped(struct text wire, uint8_t *memory, struct http_request *request)
{
    struct http_reader reader;
    enum http_step step = HTTP_NEED_MORE;
    size_t line_start = 0, head_size = 0;
    http_reader_init(&reader, &limits, (struct bytes){memory, memory_size});
    for (size_t at = 0; at < wire.size && step == HTTP_NEED_MORE; at++) {
        uint8_t byte = (uint8_t)wire.data[at];
        bool line_ends = head_size == 0 && byte == '\n';
        bool head_ends = line_ends && at - line_start == 1;
        bool reads_all = head_ends || at + 1 == wire.size;
        size_t readable = reads_all ? 0 : line_ends ? line_start : at > 0 ? at - 1 : 0;
        memset(memory, 0, at);
        memcpy(memory + readable, wire.data + readable, at - readable);
        struct bytes input = {&byte, 1};
        step = http_reader_feed(&reader, &input, request);
        if (line_ends) line_start = at + 1;
        if (head_ends) head_size = at + 1;
    }
    return step;
}

TEST("a byte is not looked at again for every byte that follows (THREATS.md H10)")
{
    static uint8_t memory[memory_size];
    struct http_request request;
    EXPECT_EQ(feed_wiped(wire_with_head(http_head_size_max), memory, &request), HTTP_REQUEST);
    EXPECT_EQ(request.header_count, 6);
    struct writer writer = writer_over(long_memory, sizeof long_memory);
    write_text(&writer, TEXT(POST HOST "Content-Length: 4096\r\n" END));
    write_fill(&writer, 'b', http_body_size_max);
    EXPECT_EQ(feed_wiped(long_wire(&writer), memory, &request), HTTP_REQUEST);
    EXPECT_EQ(request.body.size, http_body_size_max);
    EXPECT_EQ(feed_wiped(wire_with_headers(http_headers_max), memory, &request), HTTP_REQUEST);
}

TEST("a header is found by its name in any case, the first one, and counted")
{
    struct http_request request = {
        .header_count = 3,
        .headers = {{TEXT("A"), TEXT("1")}, {TEXT("b"), TEXT("2")}, {TEXT("a"), TEXT("3")}}};
    size_t count = 99;
    const struct http_header *found = http_find(&request, TEXT("a"), &count);
    EXPECT(found == &request.headers[0]);
    EXPECT_EQ(count, 2);
    EXPECT(http_find(&request, TEXT("B"), nullptr) == &request.headers[1]);
    EXPECT(http_find(&request, TEXT("ab"), &count) == nullptr);
    EXPECT_EQ(count, 0);
}

TEST("a token is found in any of the lists of that name, whole and in any case (THREATS.md H4)")
{
    struct http_request request = {
        .header_count = 3,
        .headers = {{TEXT("Connection"), TEXT(",, keep-alive ,\tUpGrade,")},
                    {TEXT("X"), TEXT("hidden")},
                    {TEXT("connection"), TEXT("other")}}};
    EXPECT(http_has_token(&request, TEXT("Connection"), TEXT("upgrade")));
    EXPECT(http_has_token(&request, TEXT("Connection"), TEXT("Keep-Alive")));
    EXPECT(http_has_token(&request, TEXT("Connection"), TEXT("other")));
    EXPECT(!http_has_token(&request, TEXT("Connection"), TEXT("up")));
    EXPECT(!http_has_token(&request, TEXT("Connection"), TEXT("upgraded")));
    EXPECT(!http_has_token(&request, TEXT("Connection"), TEXT("hidden")));
    EXPECT(!http_has_token(&request, TEXT("Connection"), TEXT("")));
    EXPECT(!http_has_token(&request, TEXT("Upgrade"), TEXT("upgrade")));
}

TEST(
    "a bearer's token is what follows the scheme in any case, and there is but one (RFC 6750 §2.1)")
{
    static const struct {
        struct text value, token;
    } rows[] = {
        {TEXT("Bearer abc"), TEXT("abc")},
        {TEXT("bEARER abc"), TEXT("abc")},
        {TEXT("Bearer \t abc"), TEXT("abc")},
        {TEXT("Bearer a b"), TEXT("a b")},
        {TEXT("Bearer"), {}},
        {TEXT("Bearerabc"), {}},
        {TEXT("Basic abc"), {}},
        {TEXT("abc"), {}},
        {TEXT(""), {}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_request request = {.header_count = 1,
                                       .headers = {{TEXT("authorization"), rows[i].value}}};
        EXPECT(text_equal(http_bearer(&request), rows[i].token));
    }
    struct http_request two = {.header_count = 2,
                               .headers = {{TEXT("Authorization"), TEXT("Bearer a")},
                                           {TEXT("authorization"), TEXT("Bearer a")}}};
    EXPECT_EQ(http_bearer(&two).size, 0);
    two.header_count = 0;
    EXPECT_EQ(http_bearer(&two).size, 0);
}

TEST("a token is letters, digits and fifteen signs, and not empty (RFC 9110 §5.6.2)")
{
    unsigned count = 0;
    for (unsigned character = 0; character < 256; character++) {
        char byte = (char)character;
        count += http_is_token((struct text){.data = &byte, .size = 1});
    }
    EXPECT_EQ(count, 26 + 26 + 10 + 15);
    EXPECT(http_is_token(TEXT("aZ09!#$%&'*+-.^_`|~")));
    EXPECT(!http_is_token(TEXT("")));
    EXPECT(!http_is_token(TEXT("a b")));
}

TEST("every error has a 4xx or 5xx status, a code and a sentence, and codes differ")
{
    struct text seen[64];
    size_t count = 0;
#define X(name, status, code, sentence)                           \
    EXPECT_EQ(http_error_status(HTTP_##name), status);            \
    EXPECT(text_equal(http_error_code(HTTP_##name), TEXT(code))); \
    EXPECT(http_error_sentence(HTTP_##name).size > 10);           \
    seen[count++] = http_error_code(HTTP_##name);
    HTTP_ERRORS(X)
#undef X
    for (size_t i = 0; i < count; i++) {
        EXPECT(http_error_status((enum http_error)(i + 1)) >= 400);
        for (size_t j = 0; j < i; j++)
            EXPECT(!text_equal(seen[i], seen[j]));
    }
}

TEST("a reader is small, since every connection that is not upgraded yet has one")
{
    EXPECT(sizeof(struct http_reader) <= 64);
}
