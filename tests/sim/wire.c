#include "wire.h"
#include <stdlib.h>
#include <string.h>

/* --- HTTP ------------------------------------------------------------------------------------- */

static const uint8_t *find(const uint8_t *data, uint32_t size, const char *text)
{
    return memmem(data, size, text, strlen(text));
}

bool wire_contains(const uint8_t *data, uint32_t size, const char *text)
{
    return find(data, size, text) != nullptr;
}

/* The value of a header, up to its line's end; nullptr when it is not there. */
static const char *header(const uint8_t *head, uint32_t size, const char *name, uint32_t *length)
{
    const uint8_t *at = head;
    while ((at = find(at, size - (uint32_t)(at - head), "\r\n")) != nullptr) {
        at += 2;
        uint32_t left = size - (uint32_t)(at - head);
        size_t name_size = strlen(name);
        if (left <= name_size || strncasecmp((const char *)at, name, name_size) != 0 ||
            at[name_size] != ':')
            continue;
        const uint8_t *value = at + name_size + 1;
        while (*value == ' ')
            value += 1;
        const uint8_t *end = find(value, size - (uint32_t)(value - head), "\r\n");
        *length = (uint32_t)(end - value);
        return (const char *)value;
    }
    return nullptr;
}

const char *wire_read_answer(const uint8_t *data, uint32_t size, bool ended,
                             struct wire_answer *answer, uint32_t *used)
{
    *used = 0;
    *answer = (struct wire_answer){};
    uint32_t begun = size < 9 ? size : 9;
    if (memcmp(data, "HTTP/1.1 ", begun) != 0) return "an answer is not HTTP/1.1";
    const uint8_t *end = find(data, size, "\r\n\r\n");
    if (end == nullptr) return ended && size > 0 ? "an answer stops in its head" : nullptr;
    uint32_t head = (uint32_t)(end - data) + 4, length = 0, body = 0;
    if (size < 12) return "an answer has no status";
    answer->status = (uint32_t)atoi((const char *)data + 9);
    if (answer->status < 101 || answer->status > 599) return "an answer has no sensible status";
    const char *accept = header(data, head, "Sec-WebSocket-Accept", &length);
    if (accept != nullptr && length < sizeof answer->accept) memcpy(answer->accept, accept, length);
    const char *extensions = header(data, head, "Sec-WebSocket-Extensions", &length);
    if (extensions != nullptr && length >= sizeof answer->extensions)
        return "an answer has extensions without end";
    if (extensions != nullptr) memcpy(answer->extensions, extensions, length);
    const char *told = header(data, head, "Content-Length", &length);
    if (told != nullptr) body = (uint32_t)atoi(told);
    if (told == nullptr && answer->status != 101) return "an answer does not tell its length";
    if (size < head + body) return ended ? "an answer stops in its body" : nullptr;
    answer->body = (const char *)data + head;
    answer->body_size = body;
    *used = head + body;
    return nullptr;
}

/* --- Frames ----------------------------------------------------------------------------------- */

bool wire_code_is_valid(uint32_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static const char *judge(uint8_t first, uint8_t opcode, uint64_t size, bool deflates)
{
    bool control = opcode >= 8;
    uint8_t forbidden = deflates && !control ? 0x30 : 0x70;
    if ((first & forbidden) != 0) return "a frame has a reserved bit set (RFC 6455 5.2)";
    if ((first & 0x80) == 0) return "a frame is a fragment, which this server never sends";
    if (opcode != 1 && opcode != 2 && opcode != 8 && opcode != 9 && opcode != 10)
        return "a frame has a reserved opcode, or continues nothing (RFC 6455 5.2)";
    if (control && size > 125) return "a control frame is longer than 125 bytes (RFC 6455 5.5)";
    if (size > 1024 * 1024) return "a frame is far larger than any state";
    return nullptr;
}

const char *wire_read_frame(const uint8_t *data, uint32_t size, bool deflates,
                            struct wire_frame *frame, uint32_t *used)
{
    *used = 0;
    if (size < 2) return nullptr;
    if ((data[1] & 0x80) != 0) return "a server's frame is masked (RFC 6455 5.1)";
    uint64_t length = data[1];
    uint32_t more = length == 127 ? 8 : length == 126 ? 2 : 0;
    if (size < 2 + more) return nullptr;
    if (more > 0) {
        length = 0;
        for (uint32_t i = 0; i < more; i++)
            length = length << 8 | data[2 + i];
        if (length < (more == 2 ? 126u : 65536u))
            return "a length is not in its shortest form (RFC 6455 5.2)";
    }
    frame->opcode = data[0] & 0x0F;
    frame->compressed = (data[0] & 0x40) != 0;
    const char *wrong = judge(data[0], frame->opcode, length, deflates);
    if (wrong != nullptr) return wrong;
    if (size - 2 - more < length) return nullptr;
    frame->payload = data + 2 + more;
    frame->size = (uint32_t)length;
    *used = 2 + more + frame->size;
    return nullptr;
}

uint32_t wire_write_frame(uint8_t *out, struct wire_kind kind, const void *payload, uint32_t size)
{
    uint32_t at = 0;
    uint32_t form = kind.form > 0 ? kind.form : size > 65535 ? 8 : size > 125 ? 2 : 0;
    uint8_t masked = kind.unmasked ? 0 : 0x80;
    out[at++] = kind.first;
    out[at++] = masked | (uint8_t)(form == 8 ? 127 : form == 2 ? 126 : size);
    for (uint32_t i = form; i > 0; i--)
        out[at++] = i > 4 ? 0 : (uint8_t)(size >> (8 * (i - 1)));
    const uint8_t mask[4] = {(uint8_t)(kind.mask >> 24), (uint8_t)(kind.mask >> 16),
                             (uint8_t)(kind.mask >> 8), (uint8_t)kind.mask};
    for (uint32_t i = 0; i < 4 && !kind.unmasked; i++)
        out[at++] = mask[i];
    for (uint32_t i = 0; i < size; i++)
        out[at++] = ((const uint8_t *)payload)[i] ^ (kind.unmasked ? 0 : mask[i % 4]);
    return at;
}

bool wire_json_number(const uint8_t *data, uint32_t size, const char *key, uint64_t *value)
{
    const uint8_t *at = find(data, size, key);
    if (at == nullptr) return false;
    at += strlen(key);
    const uint8_t *end = data + size;
    if (at == end || *at < '0' || *at > '9') return false;
    *value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        *value = *value * 10 + (uint64_t)(*at - '0');
    return true;
}

bool wire_json_text(const uint8_t *data, uint32_t size, const char *key, char *text,
                    uint32_t text_size)
{
    text[0] = '\0';
    const uint8_t *at = find(data, size, key);
    if (at == nullptr) return false;
    at += strlen(key);
    uint32_t left = size - (uint32_t)(at - data);
    if (left == 0 || *at != '"') return false;
    const uint8_t *end = memchr(at + 1, '"', left - 1);
    if (end == nullptr || (uint32_t)(end - at) > text_size) return false;
    uint32_t length = (uint32_t)(end - at) - 1;
    memcpy(text, at + 1, length);
    text[length] = '\0';
    return true;
}
