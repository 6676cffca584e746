#include "check.h"
#include "http/respond.h"

static uint8_t memory[8192];

static struct text error_with(uint16_t status, const char *code, const char *message,
                              const char *extra)
{
    struct writer out = writer_over(memory, sizeof memory);
    http_write_error(&out, status, text_of(code), text_of(message), text_of(extra));
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

static struct text response_with(struct http_response response)
{
    struct writer out = writer_over(memory, sizeof memory);
    http_write_response(&out, &response);
    EXPECT(!out.overflow);
    return text_from(writer_bytes(&out));
}

/* How often `part` occurs. */
static size_t occurrences(struct text whole, const char *part)
{
    size_t count = 0, size = strlen(part);
    for (size_t at = 0; at + size <= whole.size; at++)
        count += memcmp(whole.data + at, part, size) == 0;
    return count;
}

/* Where the body begins: behind the first empty line. */
static struct text body_of(struct text answer)
{
    for (size_t at = 0; at + 4 <= answer.size; at++)
        if (memcmp(answer.data + at, "\r\n\r\n", 4) == 0) return text_skip(answer, at + 4);
    check_failed(__FILE__, __LINE__, "no empty line ends the head");
    return answer;
}

TEST("an answer with a body says its size, that it is not to be stored, and closes")
{
    EXPECT_TEXT(response_with((struct http_response){
                    .status = 200,
                    .content_type = TEXT("application/json"),
                    .body = TEXT("{\"room_id\":\"R\"}"),
                }),
                "HTTP/1.1 200 OK\r\n"
                "Content-Type: application/json\r\n"
                "Content-Length: 15\r\n"
                "Cache-Control: no-store\r\n"
                "Connection: close\r\n"
                "\r\n"
                "{\"room_id\":\"R\"}");
}

TEST("an empty answer still says that its size is 0 (RFC 9112 §6.3)")
{
    EXPECT_TEXT(response_with((struct http_response){.status = 200}), "HTTP/1.1 200 OK\r\n"
                                                                      "Content-Length: 0\r\n"
                                                                      "Cache-Control: no-store\r\n"
                                                                      "Connection: close\r\n"
                                                                      "\r\n");
}

TEST("extra headers stand before the empty line")
{
    EXPECT_TEXT(response_with((struct http_response){
                    .status = 201,
                    .content_type = TEXT("text/plain"),
                    .extra_headers = TEXT("Location: /r/1\r\nX: y\r\n"),
                    .body = TEXT("ok"),
                }),
                "HTTP/1.1 201 Created\r\n"
                "Content-Type: text/plain\r\n"
                "Content-Length: 2\r\n"
                "Cache-Control: no-store\r\n"
                "Connection: close\r\n"
                "Location: /r/1\r\n"
                "X: y\r\n"
                "\r\n"
                "ok");
}

TEST("an error is JSON with a code and a sentence (THREATS.md H16)")
{
    EXPECT_TEXT(error_with(404, "room_not_found", "No such room.", ""),
                "HTTP/1.1 404 Not Found\r\n"
                "Content-Type: application/json\r\n"
                "Content-Length: 61\r\n"
                "Cache-Control: no-store\r\n"
                "Connection: close\r\n"
                "\r\n"
                "{\"error\":{\"code\":\"room_not_found\",\"message\":\"No such room.\"}}");
}

TEST("what stands in an error is escaped, and its size is that of the escaped form")
{
    struct text answer = error_with(400, "a\"b", "back\\slash\r\n", "");
    EXPECT_TEXT(body_of(answer),
                "{\"error\":{\"code\":\"a\\\"b\",\"message\":\"back\\\\slash\\r\\n\"}}");
    EXPECT_EQ(occurrences(answer, "Content-Length: 53\r\n"), 1);
}

TEST("405 names the methods: GET, unless the caller names others (THREATS.md H1)")
{
    struct text plain = error_with(405, "c", "m", "");
    EXPECT_EQ(occurrences(plain, "\r\nAllow: GET\r\n"), 1);
    struct text other = error_with(405, "c", "m", "X: Allow: no\r\nallow: PATCH, GET\r\n");
    EXPECT_EQ(occurrences(other, "Allow: GET\r\n"), 0);
    EXPECT_EQ(occurrences(other, "\r\nallow: PATCH, GET\r\n"), 1);
    struct text similar = error_with(405, "c", "m", "Allowed: x\r\nX-Allow: y\r\n");
    EXPECT_EQ(occurrences(similar, "\r\nAllow: GET\r\n"), 1);
}

TEST("426 says what to upgrade to, and closes all the same (THREATS.md H4, H5, H20)")
{
    EXPECT_TEXT(error_with(426, "c", "m", ""), "HTTP/1.1 426 Upgrade Required\r\n"
                                               "Content-Type: application/json\r\n"
                                               "Content-Length: 36\r\n"
                                               "Cache-Control: no-store\r\n"
                                               "Connection: Upgrade, close\r\n"
                                               "Upgrade: websocket\r\n"
                                               "Sec-WebSocket-Version: 13\r\n"
                                               "\r\n"
                                               "{\"error\":{\"code\":\"c\",\"message\":\"m\"}}");
}

TEST("429 and 503 say when to try again, 401 how to sign in (THREATS.md H23)")
{
    EXPECT_EQ(occurrences(error_with(429, "c", "m", ""), "\r\nRetry-After: 1\r\n"), 1);
    EXPECT_EQ(occurrences(error_with(503, "c", "m", ""), "\r\nRetry-After: 1\r\n"), 1);
    struct text later = error_with(503, "c", "m", "Retry-After: 30\r\n");
    EXPECT_EQ(occurrences(later, "Retry-After: "), 1);
    EXPECT_EQ(occurrences(later, "Retry-After: 30\r\n"), 1);
    EXPECT_EQ(occurrences(error_with(401, "c", "m", ""), "\r\nWWW-Authenticate: Bearer\r\n"), 1);
    EXPECT_EQ(occurrences(error_with(400, "c", "m", ""), "Retry-After"), 0);
    EXPECT_EQ(occurrences(error_with(400, "c", "m", ""), "Allow"), 0);
}

TEST("every refusal and error closes the connection and has a phrase (THREATS.md H20)")
{
    uint16_t statuses[64];
    size_t count = 0;
#define X(name, status, code, sentence) statuses[count++] = status;
    HTTP_ERRORS(X)
    HTTP_REFUSALS(X)
#undef X
    for (size_t i = 0; i < count; i++) {
        struct text answer = error_with(statuses[i], "c", "m", "");
        EXPECT_EQ(occurrences(answer, "\r\nConnection: "), 1);
        EXPECT_EQ(occurrences(answer, "close\r\n"), 1);
        EXPECT(!text_equal(http_status_phrase(statuses[i]), TEXT("Unknown")));
    }
}

TEST("the 101 names the accepted key and the chosen subprotocol (RFC 6455 §4.2.2)")
{
    struct http_upgrade upgrade = {.protocol = TEXT("ringcast.v1")};
    memcpy(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof upgrade.accept);
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, &upgrade);
    EXPECT_TEXT(writer_bytes(&out), "HTTP/1.1 101 Switching Protocols\r\n"
                                    "Upgrade: websocket\r\n"
                                    "Connection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                    "Sec-WebSocket-Protocol: ringcast.v1\r\n"
                                    "\r\n");
}

TEST("the 101 names no subprotocol when none was offered")
{
    struct http_upgrade upgrade = {};
    memcpy(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof upgrade.accept);
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, &upgrade);
    EXPECT_TEXT(writer_bytes(&out), "HTTP/1.1 101 Switching Protocols\r\n"
                                    "Upgrade: websocket\r\n"
                                    "Connection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                    "\r\n");
}

TEST("the 101 names the extension that was agreed on (RFC 7692 §5)")
{
    struct http_upgrade upgrade = {.deflate = {.server_bits = 12, .server_named = true}};
    memcpy(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof upgrade.accept);
    struct writer out = writer_over(memory, sizeof memory);
    http_write_upgrade(&out, &upgrade);
    EXPECT_TEXT(writer_bytes(&out),
                "HTTP/1.1 101 Switching Protocols\r\n"
                "Upgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                "client_no_context_takeover; server_max_window_bits=12\r\n"
                "\r\n");
}

TEST("an answer that does not fit is told by the writer, at every size")
{
    size_t whole = error_with(405, "code", "message", "X: y\r\n").size;
    for (size_t capacity = 0; capacity <= whole; capacity++) {
        struct writer out = writer_over(memory, capacity);
        http_write_error(&out, 405, TEXT("code"), TEXT("message"), TEXT("X: y\r\n"));
        EXPECT_EQ(out.overflow, capacity < whole);
    }
}

TEST("an error whose sentence is over 2 KiB is not written at all")
{
    static char sentence[2048];
    memset(sentence, 's', sizeof sentence);
    struct writer out = writer_over(memory, sizeof memory);
    http_write_error(&out, 400, TEXT("c"), (struct text){sentence, sizeof sentence}, TEXT(""));
    EXPECT(out.overflow);
    EXPECT_EQ(out.size, 0);
}

TEST("a status has its registered phrase, or Unknown")
{
    EXPECT_TEXT(http_status_phrase(404), "Not Found");
    EXPECT_TEXT(http_status_phrase(413), "Content Too Large");
    EXPECT_TEXT(http_status_phrase(426), "Upgrade Required");
    EXPECT_TEXT(http_status_phrase(418), "Unknown");
}
