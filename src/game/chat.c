#include "game/chat.h"
#include "base/plain.h"
#include <assert.h>

static const struct {
    struct text code, sentence;
} faults[] = {
#define X(name, c, s) [CHAT_##name] = {TEXT(c), TEXT(s)},
    CHAT_FAULTS(X)
#undef X
};

struct text chat_code(enum chat_fault fault)
{
    assert(fault != CHAT_FINE);
    return faults[fault].code;
}

struct text chat_sentence(enum chat_fault fault)
{
    assert(fault != CHAT_FINE);
    return faults[fault].sentence;
}

struct text chat_read(const struct json *payload, uint32_t code_points_max, struct writer *clean,
                      struct text *message, enum chat_fault *fault)
{
    struct text raw;
    if (!json_to_text(json_member(payload, TEXT("message")), &raw))
        return TEXT("has no payload.message, a text");
    if (memchr(raw.data, '\0', raw.size) != nullptr)
        return TEXT("has a NUL in its payload.message");
    write_plain(clean, raw);
    assert(!clean->overflow);
    *message = plain_trim(text_from(writer_bytes(clean)));
    *fault = CHAT_FINE;
    if (message->size > chat_bytes_max || plain_length(*message) > code_points_max)
        *fault = CHAT_TOO_LONG;
    else if (message->size == 0)
        *fault = CHAT_EMPTY;
    return (struct text){};
}
