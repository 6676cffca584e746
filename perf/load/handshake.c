#include "handshake.h"
#include <assert.h>
#include <bearssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void write_base64(char *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)data[i] << 16;
        if (i + 1 < size) three |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < size) three |= data[i + 2];
        *out++ = digits[three >> 18];
        *out++ = digits[three >> 12 & 63];
        *out++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *out++ = i + 2 < size ? digits[three & 63] : '=';
    }
    *out = '\0';
}

void handshake_accept(char accept[static handshake_accept_size], const char *key)
{
    static const char fixed[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t hash[br_sha1_SIZE];
    br_sha1_context context;
    br_sha1_init(&context);
    br_sha1_update(&context, key, strlen(key));
    br_sha1_update(&context, fixed, sizeof fixed - 1);
    br_sha1_out(&context, hash);
    write_base64(accept, hash, sizeof hash);
}

size_t handshake_write(char request[static handshake_request_max], const char *host,
                       const struct handshake_wish *wish, const uint8_t nonce[static 16],
                       char accept[static handshake_accept_size])
{
    static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; "
                                "server_no_context_takeover; client_no_context_takeover\r\n";
    char key[25];
    write_base64(key, nonce, 16);
    handshake_accept(accept, key);
    bool shows = wish->token[0] != '\0';
    int size = snprintf(request, handshake_request_max,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                        "Sec-WebSocket-Version: 13\r\n%s%s%s%s\r\n",
                        wish->path, host, key, shows ? "Authorization: Bearer " : "", wish->token,
                        shows ? "\r\n" : "", wish->deflate ? offer : "");
    assert(size > 0 && (size_t)size < handshake_request_max);
    return (size_t)size;
}

struct field {
    const char *name;
    int name_size;
    const char *value;
    int value_size;
};

/* Takes the next header line; false at the empty one, and where a line is not a field. */
static bool take_field(const char **at, const char *end, struct field *field)
{
    const char *line_end = memmem(*at, (size_t)(end - *at), "\r\n", 2);
    if (line_end == nullptr) return false;
    const char *colon = memchr(*at, ':', (size_t)(line_end - *at));
    if (colon == nullptr) return false;
    *field = (struct field){.name = *at, .name_size = (int)(colon - *at), .value = colon + 1};
    const char *value_end = line_end;
    while (field->value < value_end && (*field->value == ' ' || *field->value == '\t'))
        field->value += 1;
    while (value_end > field->value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
        value_end -= 1;
    field->value_size = (int)(value_end - field->value);
    *at = line_end + 2;
    return true;
}

static bool is_named(const struct field *field, const char *name)
{
    return strlen(name) == (size_t)field->name_size &&
           strncasecmp(field->name, name, strlen(name)) == 0;
}

static bool is_word(const struct field *field, const char *word)
{
    return strlen(word) == (size_t)field->value_size &&
           strncasecmp(field->value, word, strlen(word)) == 0;
}

/* Takes the next word up to a semicolon or the end, without the blanks around it. */
static bool take_word(struct field *rest, struct field *word)
{
    if (rest->value_size < 0) return false;
    const char *end = memchr(rest->value, ';', (size_t)rest->value_size);
    int size = end != nullptr ? (int)(end - rest->value) : rest->value_size;
    *word = (struct field){.value = rest->value, .value_size = size};
    rest->value += size + 1;
    rest->value_size -= size + 1; /* -1 behind the last one */
    while (word->value_size > 0 && *word->value == ' ') {
        word->value += 1;
        word->value_size -= 1;
    }
    while (word->value_size > 0 && word->value[word->value_size - 1] == ' ')
        word->value_size -= 1;
    return true;
}

/* server_max_window_bits may be answered unasked (§7.1.2.1): 8 to 15. */
static bool is_server_bits(const struct field *word)
{
    static const char name[] = "server_max_window_bits=";
    char text[32] = "";
    if (word->value_size >= (int)sizeof text) return false;
    memcpy(text, word->value, (size_t)word->value_size);
    if (strncasecmp(text, name, sizeof name - 1) != 0) return false;
    const char *bits = text + sizeof name - 1;
    if (bits[0] == '8' || bits[0] == '9') return bits[1] == '\0';
    return bits[0] == '1' && bits[1] >= '0' && bits[1] <= '5' && bits[2] == '\0';
}

/* RFC 7692 §7.1: what a server may answer to our offer. */
static bool is_deflate(const struct field *extensions)
{
    struct field rest = *extensions, word;
    unsigned server = 0, client = 0, bits = 0;
    if (!take_word(&rest, &word) || !is_word(&word, "permessage-deflate")) return false;
    while (take_word(&rest, &word)) {
        if (is_word(&word, "server_no_context_takeover"))
            server += 1;
        else if (is_word(&word, "client_no_context_takeover"))
            client += 1;
        else if (is_server_bits(&word))
            bits += 1;
        else
            return false;
    }
    return server == 1 && client <= 1 && bits <= 1; /* what we asked for, and nothing twice */
}

/* What §4.1 finds wrong with the fields of a 101; nullptr when nothing. *deflate comes as what was
 * offered and goes as what was accepted. */
static const char *fault_of_fields(const char *at, const char *end, const char *accept,
                                   bool *deflate)
{
    unsigned upgrade = 0, connection = 0, accepted = 0, extensions = 0;
    for (struct field field; take_field(&at, end, &field);) {
        if (is_named(&field, "upgrade")) upgrade += is_word(&field, "websocket");
        if (is_named(&field, "connection")) connection += is_word(&field, "upgrade");
        if (is_named(&field, "sec-websocket-accept"))
            accepted += (size_t)field.value_size == strlen(accept) &&
                        memcmp(field.value, accept, strlen(accept)) == 0;
        if (is_named(&field, "sec-websocket-extensions")) {
            extensions += 1;
            if (!*deflate) return "an extension nobody asked for";
            if (extensions > 1 || !is_deflate(&field))
                return "an answer to permessage-deflate that may not be given";
        }
        if (is_named(&field, "sec-websocket-protocol")) return "a subprotocol nobody asked for";
    }
    *deflate = extensions == 1;
    if (at + 2 != end) return "a header line that is not one";
    if (upgrade != 1) return "101 without \"Upgrade: websocket\"";
    if (connection != 1) return "101 without \"Connection: Upgrade\"";
    return accepted == 1 ? nullptr : "101 without the right Sec-WebSocket-Accept";
}

enum handshake_step handshake_read(const uint8_t *data, size_t size, const char *accept,
                                   bool offered, struct handshake_answer *answer)
{
    *answer = (struct handshake_answer){.deflate = offered};
    const char *text = (const char *)data;
    const char *blank = memmem(text, size, "\r\n\r\n", 4);
    if (blank == nullptr && size < handshake_response_max) return HANDSHAKE_NEED_MORE;
    if (blank == nullptr) {
        answer->why = "a response whose head does not end";
        return HANDSHAKE_REFUSED;
    }
    const char *end = blank + 4;
    char status_line[64] = {};
    memcpy(status_line, text, size < sizeof status_line - 1 ? size : sizeof status_line - 1);
    if (sscanf(status_line, "HTTP/1.1 %3u ", &answer->status) != 1) answer->status = 0;
    const char *fields = (const char *)memmem(text, (size_t)(end - text), "\r\n", 2) + 2;
    answer->size = (size_t)(end - text);
    answer->why = answer->status != 101 ? "another status than 101"
                                        : fault_of_fields(fields, end, accept, &answer->deflate);
    return answer->why == nullptr ? HANDSHAKE_DONE : HANDSHAKE_REFUSED;
}
