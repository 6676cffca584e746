/* fuzz/http_extension.c: what a handshake offers in Sec-WebSocket-Extensions, judged a second time
 * (offers.h); and what is answered must be a list of extensions with nothing in it that was not
 * offered. Input: the values of the headers, a line each. RFC 6455 §9.1, RFC 7692 §7.1. */
#include "http/extension.h"
#include "offers.h"

static void check_answer(const struct http_deflate *deflate, const struct offer *chosen)
{
    uint8_t memory[200];
    struct writer out = writer_over(memory, sizeof memory);
    struct offer answer = {};
    http_deflate_write(&out, deflate);
    MUST(!out.overflow && offers_hear(text_from(writer_bytes(&out)), &answer));
    MUST(answer.ours && answer.server_context && answer.client_context && !answer.client_bits);
    MUST(answer.server_bits == chosen->server_bits);
    MUST(answer.server == chosen->server);
}

/* What a header's value may be once it has been read (RFC 9110 §5.5). */
static bool is_value(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7F) return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request = {};
    struct bytes memory = bytes_exact(data, size);
    struct text rest = text_from(memory);
    struct offer chosen = {};
    bool valid = true;
    while (rest.size > 0 && request.header_count < 4) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct text line = {rest.data, end != nullptr ? (size_t)(end - rest.data) : rest.size};
        rest = text_skip(rest, line.size < rest.size ? line.size + 1 : line.size);
        line = text_trim(line);
        if (!is_value(line)) continue;
        request.headers[request.header_count++] =
            (struct http_header){TEXT("Sec-WebSocket-Extensions"), line};
        valid = valid && offers_hear(line, &chosen);
    }
    struct http_deflate deflate;
    MUST(http_deflate_choose(&request, &deflate) == valid);
    if (valid) {
        MUST((deflate.server_bits != 0) == chosen.ours);
        if (chosen.ours) {
            MUST(deflate.server_bits == chosen.server && deflate.client_bits == chosen.client);
            check_answer(&deflate, &chosen);
        }
    }
    free(memory.data);
    return 0;
}
