#include "wire.h"
#include "base/utf8.h"
#include "http/respond.h"

static uint8_t pattern(uint32_t number, uint8_t key, size_t at)
{
    return (uint8_t)(number * 31 + key * 17 + at * 7 + at / 256 * 13);
}

void room_frame_fill(uint8_t *payload, size_t size, uint32_t number, uint8_t key)
{
    for (int i = 0; i < 4; i++)
        payload[i] = (uint8_t)(number >> 8 * i);
    payload[4] = key;
    for (size_t i = room_frame_min; i < size; i++)
        payload[i] = pattern(number, key, i);
}

static void hear_room_frame(struct ear *ear, struct bytes payload)
{
    uint32_t number = 0;
    MUST(payload.size >= room_frame_min);
    for (int i = 3; i >= 0; i--)
        number = number << 8 | payload.data[i];
    uint8_t key = payload.data[4];
    for (size_t i = room_frame_min; i < payload.size; i++)
        MUST(payload.data[i] == pattern(number, key, i));
    ear->frames += 1;
    ear->on_frame(ear->context, number, key);
}

/* §7.4: what may be in a close frame that is sent. */
static void hear_close(struct ear *ear, struct bytes payload)
{
    ear->heard_close = true;
    ear->expects = EAR_NOTHING;
    if (payload.size == 0) return;
    MUST(payload.size >= 2);
    unsigned code = payload.data[0] * 256u + payload.data[1];
    MUST(code >= 1000 && code <= 4999 && (code < 1004 || code > 1006) &&
         (code <= 1014 || code >= 3000));
    MUST(utf8_valid(bytes_skip(payload, 2)));
}

static void hear_frame(struct ear *ear, uint8_t first, struct bytes payload)
{
    MUST(first >= 0x80 && first / 16 % 8 == 0); /* whole, and no extension was agreed on */
    MUST(first % 16 < 8 || payload.size <= 125);
    switch (first % 16) {
    case 1: MUST(utf8_valid(payload)); break;
    case 2: hear_room_frame(ear, payload); break;
    case 8: hear_close(ear, payload); break;
    case 9: ear->pings += 1; break;
    case 10: ear->pongs += 1; break;
    default: MUST(!"an opcode of a frame that may be sent");
    }
}

/* Bytes that were understood; 0: more must come. */
static size_t take_frame(struct ear *ear)
{
    const uint8_t *data = ear->data;
    if (ear->size < 2) return 0;
    MUST(data[1] < 0x80); /* §5.1: a server does not mask */
    size_t extended = data[1] == 127 ? 8 : data[1] == 126 ? 2 : 0;
    if (ear->size < 2 + extended) return 0;
    uint64_t size = extended == 0 ? data[1] : 0;
    for (size_t i = 0; i < extended; i++)
        size = size << 8 | data[2 + i];
    MUST(extended != 2 || size > 125);   /* §5.2: the shortest form */
    MUST(extended != 8 || size > 65535); /* the same */
    MUST(size <= 1 << 20);               /* nothing here sends more */
    size_t whole = 2 + extended + (size_t)size;
    if (ear->size < whole) return 0;
    hear_frame(ear, data[0], (struct bytes){ear->data + 2 + extended, (size_t)size});
    return whole;
}

static uint64_t content_length(struct text head)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *at = memmem(head.data, head.size, name, sizeof name - 1);
    MUST(at != nullptr);
    uint64_t length = 0;
    for (at += sizeof name - 1; *at >= '0' && *at <= '9'; at++)
        length = length * 10 + (uint64_t)(*at - '0');
    return length;
}

static size_t take_answer(struct ear *ear)
{
    struct text all = {(const char *)ear->data, ear->size};
    if (memmem(all.data, all.size, "\r\n\r\n", 4) == nullptr) return 0;
    struct text head = {all.data, http_head_size(all)};
    MUST(head.size > 12 && text_starts(head, TEXT("HTTP/1.1 ")));
    for (int i = 9; i < 12; i++)
        ear->status = (uint16_t)(ear->status * 10 + (head.data[i] - '0'));
    if (ear->status == 101) {
        ear->expects = EAR_FRAMES;
        MUST(memmem(head.data, head.size, "\r\nSec-WebSocket-Accept: ", 24) != nullptr);
        return head.size;
    }
    MUST(ear->status >= 200 && ear->status < 600);
    MUST(memmem(head.data, head.size, "close\r\n", 7) != nullptr);
    ear->body_left = ear->asked_head ? 0 : content_length(head);
    ear->expects = ear->body_left > 0 ? EAR_BODY : EAR_NOTHING;
    return head.size;
}

static size_t take_body(struct ear *ear)
{
    size_t size = ear->size < ear->body_left ? ear->size : (size_t)ear->body_left;
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
    free(ear->data);
    *ear = (struct ear){};
}

void ear_hears(struct ear *ear, const uint8_t *data, size_t size)
{
    if (ear->size + size > ear->capacity) {
        ear->capacity = ear->capacity * 2 + size + 512;
        ear->data = realloc(ear->data, ear->capacity);
    }
    if (size > 0) memcpy(ear->data + ear->size, data, size);
    ear->size += size;
    while (ear->size > 0) {
        size_t taken = take_next(ear);
        if (taken == 0) return;
        ear->size -= taken;
        memmove(ear->data, ear->data + taken, ear->size);
    }
}
