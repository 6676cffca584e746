/* fuzz/http_request.c: a handshake: the request reader in pieces, the judgement of the upgrade,
 * and the answers. Input: 1 byte that picks limits and policy, 2 bytes of seed for the pieces,
 * then what the peer sends.
 *
 * However it is split, the same request is read, or the same error met at the same byte; what
 * was read, written again, is read again; a 101 is said only to what a second, simpler judge
 * finds to be a WebSocket; every answer is an HTTP message with the headers it owes. */
#include "base/utf8.h"
#include "http/request.h"
#include "http/respond.h"
#include "http/upgrade.h"
#include "offers.h"
#include <bearssl_hash.h>

static const struct http_limits all_limits[] = {
    {.head_size_max = 8192, .line_size_max = 4096, .body_size_max = 4096},
    {.head_size_max = 300, .line_size_max = 100, .body_size_max = 10},
};

/* --- reading in pieces ------------------------------------------------------------------------ */

/* What came of a request. Texts of `request` point into `buffer`. */
struct outcome {
    enum http_step step;
    enum http_error error;
    size_t taken; /* bytes of the input; after an error, up to the end of its piece */
    size_t piece; /* size of the last piece */
    struct http_request request;
    uint8_t *buffer;
};

static struct outcome read_in_pieces(struct script script, const struct http_limits *limits,
                                     uint32_t seed)
{
    struct outcome outcome = {.step = HTTP_NEED_MORE, .buffer = malloc(http_buffer_size(limits))};
    struct http_reader reader;
    struct cutter cutter = {seed};
    http_reader_init(&reader, limits, (struct bytes){outcome.buffer, http_buffer_size(limits)});
    while (outcome.taken < script.size && outcome.step == HTTP_NEED_MORE) {
        outcome.piece = cutter_next(&cutter, script.size - outcome.taken);
        struct bytes memory = bytes_exact(script.data + outcome.taken, outcome.piece);
        struct bytes input = memory;
        outcome.step = http_reader_feed(&reader, &input, &outcome.request);
        outcome.taken += outcome.piece - input.size;
        MUST(outcome.step != HTTP_NEED_MORE || input.size == 0);
        if (outcome.step == HTTP_REQUEST) { /* once more is the same again, and takes nothing */
            struct http_request before = outcome.request;
            size_t left = input.size;
            MUST(http_reader_feed(&reader, &input, &outcome.request) == HTTP_REQUEST);
            MUST(input.size == left && before.header_count == outcome.request.header_count);
        }
        free(memory.data);
    }
    outcome.error = reader.error;
    MUST((outcome.step == HTTP_BROKEN) == (outcome.error != HTTP_OK));
    return outcome;
}

static bool requests_equal(const struct http_request *left, const struct http_request *right)
{
    bool equal = text_equal(left->method, right->method) &&
                 text_equal(left->target, right->target) && text_equal(left->path, right->path) &&
                 text_equal(left->query, right->query) && text_equal(left->body, right->body) &&
                 left->version_minor == right->version_minor &&
                 left->header_count == right->header_count;
    for (uint16_t i = 0; equal && i < left->header_count; i++)
        equal = text_equal(left->headers[i].name, right->headers[i].name) &&
                text_equal(left->headers[i].value, right->headers[i].value);
    return equal;
}

static void expect_same(const struct outcome *whole, const struct outcome *pieces)
{
    MUST(whole->step == pieces->step && whole->error == pieces->error);
    MUST(whole->taken == pieces->taken);
    if (whole->step == HTTP_REQUEST) MUST(requests_equal(&whole->request, &pieces->request));
}

/* --- what a request may be -------------------------------------------------------------------- */

static bool has_control(struct text text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((uint8_t)text.data[i] < ' ' && text.data[i] != '\t') return true;
    return text.size > 0 && memchr(text.data, 0x7F, text.size) != nullptr;
}

static void check_request(const struct http_request *request, const struct http_limits *limits)
{
    MUST(request->method.size > 0 && !has_control(request->method));
    MUST(request->path.size > 0 && request->path.data[0] == '/');
    MUST(memchr(request->path.data, 0, request->path.size) == nullptr);
    MUST(!has_control(request->target) && !has_control(request->query));
    MUST(request->header_count <= http_headers_max);
    MUST(request->body.size <= limits->body_size_max);
    MUST(request->body.size == 0 || !text_equal(request->method, TEXT("GET")));
    for (uint16_t i = 0; i < request->header_count; i++) {
        MUST(http_is_token(request->headers[i].name) && !has_control(request->headers[i].value));
        MUST(!text_equal_nocase(request->headers[i].name, TEXT("Transfer-Encoding")));
    }
}

static void put_line(struct writer *out, const struct http_header *header)
{
    write_text(out, header->name);
    write_text(out, TEXT(": "));
    write_text(out, header->value);
    write_text(out, TEXT("\r\n"));
}

static void read_again(const struct http_request *request)
{
    static uint8_t memory[65536];
    static const struct http_limits wide = {
        .head_size_max = 20000, .line_size_max = 10000, .body_size_max = 5000};
    struct writer out = writer_over(memory, sizeof memory);
    write_text(&out, request->method);
    write_byte(&out, ' ');
    write_text(&out, request->target);
    write_text(&out, TEXT(" HTTP/1."));
    write_u64(&out, request->version_minor);
    write_text(&out, TEXT("\r\n"));
    for (uint16_t i = 0; i < request->header_count; i++)
        put_line(&out, &request->headers[i]);
    write_text(&out, TEXT("\r\n"));
    write_text(&out, request->body);
    MUST(!out.overflow);
    struct outcome again = read_in_pieces((struct script){out.data, out.size}, &wide, 0);
    MUST(again.step == HTTP_REQUEST && again.taken == out.size);
    MUST(requests_equal(request, &again.request));
    free(again.buffer);
}

/* --- a second judge --------------------------------------------------------------------------- */

/* How many headers of the head as it was sent are called so; *value is the last one's, trimmed. */
static unsigned count_lines(struct text head, struct text name, struct text *value)
{
    unsigned count = 0;
    while (head.size > 0) {
        const char *end = memchr(head.data, '\n', head.size);
        size_t size = end != nullptr ? (size_t)(end - head.data) : head.size;
        struct text line = {head.data, size};
        if (line.size > name.size && line.data[name.size] == ':' &&
            text_equal_nocase((struct text){line.data, name.size}, name)) {
            *value = text_skip(line, name.size + 1);
            while (value->size > 0 && strchr(" \t\r", value->data[value->size - 1]) != nullptr)
                value->size -= 1;
            while (value->size > 0 && strchr(" \t", value->data[0]) != nullptr)
                *value = text_skip(*value, 1);
            count += 1;
        }
        head = text_skip(head, size < head.size ? size + 1 : size);
    }
    return count;
}

static bool holds_nocase(struct text text, struct text part)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (text_equal_nocase((struct text){text.data + i, part.size}, part)) return true;
    return false;
}

/* RFC 6455 §4.2.1, by the bytes of the head alone; what it demands every upgrade has. */
static void expect_handshake(struct text head, struct text *key)
{
    struct text value = {};
    MUST(text_starts(head, TEXT("GET /")));
    const char *end = memchr(head.data, '\r', head.size);
    MUST(end - head.data >= 9 && memcmp(end - 9, " HTTP/1.", 8) == 0 && end[-1] != '0');
    MUST(count_lines(head, TEXT("Host"), &value) == 1 && value.size > 0);
    MUST(count_lines(head, TEXT("Upgrade"), &value) > 0 && holds_nocase(head, TEXT("websocket")));
    MUST(count_lines(head, TEXT("Connection"), &value) > 0);
    MUST(count_lines(head, TEXT("Sec-WebSocket-Version"), &value) == 1);
    MUST(text_equal(value, TEXT("13")));
    MUST(count_lines(head, TEXT("Sec-WebSocket-Key"), key) == 1 && key->size == 24);
    for (size_t i = 0; i < 22; i++) {
        char c = key->data[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        MUST(digit || c == '+' || c == '/');
    }
    MUST(count_lines(head, TEXT("Origin"), &value) <= 1);
}

/* RFC 6455 §4.2.2 item 5.4, bit by bit. */
static void expect_accept(struct text key, struct text accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t digest[br_sha1_SIZE + 1] = {};
    br_sha1_context hash;
    br_sha1_init(&hash);
    br_sha1_update(&hash, key.data, key.size);
    br_sha1_update(&hash, guid, sizeof guid - 1);
    br_sha1_out(&hash, digest);
    MUST(accept.size == 28 && accept.data[27] == '=');
    for (size_t i = 0; i < 27; i++) {
        unsigned value = 0;
        for (size_t bit = i * 6; bit < i * 6 + 6; bit++)
            value = value * 2 + (digest[bit / 8] >> (7 - bit % 8) & 1);
        MUST(accept.data[i] == digits[value]);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The only value of a header that an answer must have. */
static struct text owed(struct text head, struct text name)
{
    struct text value = {};
    MUST(count_lines(head, name, &value) == 1);
    return value;
}

/* A status line, header lines, an empty line, and a body of the length that was said. */
static struct text check_answer(struct text answer, uint16_t status)
{
    char line[32];
    int size = snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
    MUST(text_starts(answer, (struct text){line, (size_t)size}));
    size_t head_size = http_head_size(answer);
    struct text head = {answer.data, head_size}, body = text_skip(answer, head_size);
    MUST(head_size >= 4 && memcmp(answer.data + head_size - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < head.size; i++) {
        MUST((head.data[i] == '\n') == (i > 0 && head.data[i - 1] == '\r'));
        MUST((uint8_t)head.data[i] >= ' ' || head.data[i] == '\r' || head.data[i] == '\n');
    }
    if (status == 101) {
        MUST(body.size == 0 && !holds_nocase(head, TEXT("Content-Length")));
        return head;
    }
    uint64_t length;
    MUST(text_to_u64(owed(head, TEXT("Content-Length")), &length) && length == body.size);
    MUST(holds_nocase(owed(head, TEXT("Connection")), TEXT("close")));
    MUST(text_equal(owed(head, TEXT("Cache-Control")), TEXT("no-store")));
    return head;
}

static void check_error(uint16_t status, struct text code, struct text message)
{
    uint8_t memory[4096];
    struct writer out = writer_over(memory, sizeof memory);
    http_write_error(&out, status, code, message, (struct text){});
    if (out.overflow) {
        MUST(message.size > 300); /* only a message that is escaped to six times its length */
        return;
    }
    struct text answer = text_from(writer_bytes(&out));
    struct text head = check_answer(answer, status);
    if (status == 426) MUST(text_equal(owed(head, TEXT("Sec-WebSocket-Version")), TEXT("13")));
    struct text body = text_skip(answer, head.size);
    MUST(utf8_valid((struct bytes){(uint8_t *)body.data, body.size}));
    MUST(text_starts(body, TEXT("{\"error\":{\"code\":\"")));
    unsigned quotes = 0;
    for (size_t i = 0; i < body.size; i++) {
        MUST((uint8_t)body.data[i] >= ' ');
        quotes += body.data[i] == '"';
        if (body.data[i] == '\\') i += 1;
    }
    MUST(quotes == 10 && body.data[body.size - 1] == '}');
}

/* RFC 7692 §7.1: named only where it was offered and is allowed, with what was asked for, and
 * never with anything kept from one message to the next. */
static void expect_extension(const struct http_request *request, struct text answer, bool allowed)
{
    struct offer chosen = {}, said = {};
    struct text value = {};
    for (uint16_t i = 0; i < request->header_count; i++)
        if (text_equal_nocase(request->headers[i].name, TEXT("Sec-WebSocket-Extensions")))
            MUST(offers_hear(request->headers[i].value, &chosen));
    bool agreed = allowed && chosen.ours;
    MUST(count_lines(answer, TEXT("Sec-WebSocket-Extensions"), &value) == agreed);
    if (!agreed) return;
    MUST(offers_hear(value, &said) && said.ours && said.good);
    MUST(said.server_context && said.client_context && !said.client_bits);
    MUST(said.server_bits == chosen.server_bits && said.server == chosen.server);
}

/* RFC 6750 §2.1: of one Authorization, what stands behind the scheme; of two, nothing. */
static void expect_bearer(const struct http_request *request, struct text head)
{
    struct text value = {}, wanted = {};
    unsigned lines = count_lines(head, TEXT("Authorization"), &value);
    bool bearer = lines == 1 && value.size > 7 && strncasecmp(value.data, "Bearer ", 7) == 0;
    if (bearer) wanted = text_skip(value, 7);
    while (wanted.size > 0 && (wanted.data[0] == ' ' || wanted.data[0] == '\t'))
        wanted = text_skip(wanted, 1);
    MUST(text_equal(http_bearer(request), wanted));
}

static void judge(const struct http_request *request, struct text head, uint8_t choice)
{
    static const struct text origins[] = {{"https://good.example", 20}};
    static const struct text protocols[] = {{"kart.v1", 7}, {"chat", 4}};
    struct http_upgrade_policy policy = {.any_origin = (choice & 2) != 0,
                                         .origins = origins,
                                         .origin_count = 1,
                                         .protocols = protocols,
                                         .protocol_count = (choice & 4) != 0 ? 2 : 0,
                                         .deflate = (choice & 8) != 0};
    struct http_upgrade upgrade;
    enum http_refusal refusal = http_upgrade_check(request, &policy, &upgrade);
    if (refusal != HTTP_UPGRADE_OK) {
        check_error(http_refusal_status(refusal), http_refusal_code(refusal),
                    http_refusal_sentence(refusal));
        return;
    }
    struct text key = {}, value = {};
    expect_handshake(head, &key);
    uint8_t memory[512];
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, &upgrade);
    MUST(!out.overflow);
    struct text answer = check_answer(text_from(writer_bytes(&out)), 101);
    MUST(text_equal(owed(answer, TEXT("Upgrade")), TEXT("websocket")));
    MUST(text_equal(owed(answer, TEXT("Connection")), TEXT("Upgrade")));
    expect_accept(key, owed(answer, TEXT("Sec-WebSocket-Accept")));
    expect_extension(request, answer, policy.deflate);
    bool offered = count_lines(head, TEXT("Sec-WebSocket-Protocol"), &value) > 0;
    MUST(count_lines(answer, TEXT("Sec-WebSocket-Protocol"), &value) == offered);
    if (offered) MUST(policy.protocol_count > 0 && holds_nocase(head, value));
    if (count_lines(head, TEXT("Origin"), &value) == 1 && !policy.any_origin) {
        struct text host = {};
        (void)count_lines(head, TEXT("Host"), &host);
        MUST(!text_equal_nocase(value, TEXT("null")));
        MUST(holds_nocase(value, TEXT("good.example")) || holds_nocase(value, host) ||
             holds_nocase(host, TEXT(":")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    uint8_t choice = script_byte(&script);
    uint32_t seed = script_number(&script);
    const struct http_limits *limits = &all_limits[choice & 1];
    struct outcome whole = read_in_pieces(script, limits, 0);
    struct outcome pieces = read_in_pieces(script, limits, seed | 1);
    struct outcome others = read_in_pieces(script, limits, seed + 0x12345);
    expect_same(&whole, &pieces);
    expect_same(&whole, &others);
    if (whole.step == HTTP_REQUEST) {
        struct text sent = {(const char *)script.data, whole.taken - whole.request.body.size};
        check_request(&whole.request, limits);
        read_again(&whole.request);
        judge(&whole.request, sent, choice);
        expect_bearer(&whole.request, sent);
        check_error(404, TEXT("not_found"), whole.request.path);
    } else if (whole.step == HTTP_BROKEN) {
        check_error(http_error_status(whole.error), http_error_code(whole.error),
                    http_error_sentence(whole.error));
    }
    free(whole.buffer);
    free(pieces.buffer);
    free(others.buffer);
    return 0;
}
