#include "wire.h"
#include "base/utf8.h"
#include "http/respond.h"
#include "inflate.h"

/* What a room's frame repeats: from farther away than the smallest window reaches. */
constexpr size_t pattern_size = 700;

static void make_pattern(uint8_t pattern[static pattern_size], uint32_t number, uint8_t key)
{
    for (uint32_t i = 0; i < pattern_size; i++)
        pattern[i] = (uint8_t)((number * 1000 + key * 777 + i) * 2654435761 >> 16);
}

static size_t pattern_part(size_t left)
{
    return left < pattern_size ? left : pattern_size;
}

void room_frame_fill(uint8_t *payload, size_t size, uint32_t number, uint8_t key)
{
    uint8_t pattern[pattern_size];
    make_pattern(pattern, number, key);
    for (int i = 0; i < 4; i++)
        payload[i] = (uint8_t)(number >> 8 * i);
    payload[4] = key;
    for (size_t i = room_frame_min; i < size; i += pattern_size)
        memcpy(payload + i, pattern, pattern_part(size - i));
}

static void hear_room_frame(struct ear *ear, struct bytes payload)
{
    uint32_t number = 0;
    MUST(payload.size >= room_frame_min);
    for (int i = 3; i >= 0; i--)
        number = number << 8 | payload.data[i];
    uint8_t key = payload.data[4];
    uint8_t pattern[pattern_size];
    make_pattern(pattern, number, key);
    for (size_t i = room_frame_min; i < payload.size; i += pattern_size)
        MUST(memcmp(payload.data + i, pattern, pattern_part(payload.size - i)) == 0);
    ear->on_frame(ear->context, number, key);
}

/* §7.4: what may be in a close frame that is sent. */
static void hear_close(struct ear *ear, struct bytes payload)
{
    ear->heard_close = true;
    ear->expects = EAR_NOTHING;
    ear->close_code = 1005;
    if (payload.size == 0) return;
    MUST(payload.size >= 2);
    uint16_t code = ear->close_code = (uint16_t)(payload.data[0] * 256 + payload.data[1]);
    MUST(code >= 1000 && code <= 4999 && (code < 1004 || code > 1006) &&
         (code <= 1014 || code >= 3000));
    MUST(utf8_valid(bytes_skip(payload, 2)));
}

/* RFC 7692 §7.2.2, with no larger a window than was agreed on. */
static struct bytes hear_deflated(const struct ear *ear, struct bytes payload)
{
    static uint8_t memory[1 << 18];
    struct inflated inflated =
        plain_inflate(payload, ear->window_bits, (struct bytes){memory, sizeof memory});
    MUST(payload.size > 0 && !inflated.over && inflated.deflate);
    return (struct bytes){memory, inflated.size};
}

static void hear_frame(struct ear *ear, uint8_t first, struct bytes payload)
{
    enum ws_opcode opcode = first % 16;
    bool deflated = (first & 0x40) != 0;
    MUST(first >= 0x80 && (first & 0x30) == 0); /* whole, and no other extension was agreed on */
    MUST(opcode < 8 || payload.size <= 125);
    MUST(!deflated || (ear->window_bits != 0 && opcode < 8));
    if (deflated) payload = hear_deflated(ear, payload);
    switch (opcode) {
    case WS_TEXT:
        MUST(utf8_valid(payload));
        ear->on_answer(ear->context, opcode, payload);
        break;
    case WS_BINARY:
        if (ear->answered)
            ear->on_answer(ear->context, opcode, payload);
        else
            hear_room_frame(ear, payload);
        break;
    case WS_CLOSE: hear_close(ear, payload); break;
    case WS_PING: break;
    case WS_PONG: ear->on_answer(ear->context, opcode, payload); break;
    default: MUST(!"an opcode of a frame that may be sent");
    }
}

/* Bytes that were understood; 0: more must come. */
static size_t take_frame(struct ear *ear)
{
    const uint8_t *data = ear->pot.data;
    if (ear->pot.size < 2) return 0;
    MUST(data[1] < 0x80); /* §5.1: a server does not mask */
    size_t extended = data[1] == 127 ? 8 : data[1] == 126 ? 2 : 0;
    if (ear->pot.size < 2 + extended) return 0;
    uint64_t size = extended == 0 ? data[1] : 0;
    for (size_t i = 0; i < extended; i++)
        size = size << 8 | data[2 + i];
    MUST(extended != 2 || size > 125);   /* §5.2: the shortest form */
    MUST(extended != 8 || size > 65535); /* the same */
    MUST(size <= 1 << 20);               /* nothing here sends more */
    size_t whole = 2 + extended + (size_t)size;
    if (ear->pot.size < whole) return 0;
    hear_frame(ear, data[0], (struct bytes){ear->pot.data + 2 + extended, (size_t)size});
    return whole;
}

/* The digits behind the only place where the head says so; false: it does not. */
static bool number_behind(struct text head, struct text name, uint64_t *number)
{
    const char *at = memmem(head.data, head.size, name.data, name.size);
    *number = 0;
    if (at == nullptr) return false;
    for (at += name.size; *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return true;
}

static uint8_t agreed_window(struct text head)
{
    static const char name[] = "\r\nSec-WebSocket-Extensions: permessage-deflate;";
    uint64_t bits;
    if (memmem(head.data, head.size, name, sizeof name - 1) == nullptr) return 0;
    if (!number_behind(head, TEXT("; server_max_window_bits="), &bits)) return 15;
    MUST(bits >= 9 && bits <= 15);
    return (uint8_t)bits;
}

static size_t take_answer(struct ear *ear)
{
    struct text all = {(const char *)ear->pot.data, ear->pot.size};
    if (memmem(all.data, all.size, "\r\n\r\n", 4) == nullptr) return 0;
    struct text head = {all.data, http_head_size(all)};
    MUST(head.size > 12 && text_starts(head, TEXT("HTTP/1.1 ")));
    for (int i = 9; i < 12; i++)
        ear->status = (uint16_t)(ear->status * 10 + (head.data[i] - '0'));
    if (ear->status == 101) {
        ear->expects = EAR_FRAMES;
        ear->window_bits = agreed_window(head);
        MUST(memmem(head.data, head.size, "\r\nSec-WebSocket-Accept: ", 24) != nullptr);
        return head.size;
    }
    MUST(ear->status >= 200 && ear->status < 600);
    MUST(memmem(head.data, head.size, "close\r\n", 7) != nullptr);
    MUST(number_behind(head, TEXT("\r\nContent-Length: "), &ear->body_left));
    if (ear->asked_head) ear->body_left = 0;
    ear->expects = ear->body_left > 0 ? EAR_BODY : EAR_NOTHING;
    return head.size;
}

static size_t take_body(struct ear *ear)
{
    size_t size = ear->pot.size < ear->body_left ? ear->pot.size : (size_t)ear->body_left;
    ear->body_left -= size;
    if (ear->body_left == 0) ear->expects = EAR_NOTHING;
    return size;
}

static size_t take_next(struct ear *ear)
{
    switch (ear->expects) {
    case EAR_ANSWER: return take_answer(ear);
    case EAR_BODY: return take_body(ear);
    case EAR_FRAMES: return take_frame(ear);
    case EAR_NOTHING: break;
    }
    MUST(!"nothing follows a goodbye");
    return 0;
}

void ear_free(struct ear *ear)
{
    free(ear->pot.data);
    *ear = (struct ear){};
}

void ear_hears(struct ear *ear, const uint8_t *data, size_t size)
{
    pot_add(&ear->pot, data, size);
    while (ear->pot.size > 0) {
        size_t taken = take_next(ear);
        if (taken == 0) return;
        ear->pot.size -= taken;
        memmove(ear->pot.data, ear->pot.data + taken, ear->pot.size);
    }
}
