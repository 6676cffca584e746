/* game/chat.h: what a member says to the others: {"message":"..."}, cleaned and measured (S2-12,
 * THREATS.md J8).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#pragma once
#include "base/json.h"

/* so few that it fits a message of 4 KiB however it is escaped */
constexpr size_t chat_bytes_max = 1200;

#define CHAT_FAULTS(X) /* name, code, sentence: why it may not be told to others */   \
    X(TOO_LONG, "too_long", "The message is longer than this room takes; send less.") \
    X(EMPTY, "empty", "The message holds nothing to be read.")

enum chat_fault : uint8_t {
    CHAT_FINE,
#define X(name, code, sentence) CHAT_##name,
    CHAT_FAULTS(X)
#undef X
};

/* A fault's code and sentence; it is not CHAT_FINE. */
struct text chat_code(enum chat_fault fault);
struct text chat_sentence(enum chat_fault fault);

/* Reads payload.message. Writes it to `clean`, which holds as much as the whole message has,
 * without what cannot be seen; *message is that, trimmed. Returns what is wrong with its form, in
 * words that continue "The message "; or an empty text, and then *fault says whether it may be
 * told to others. */
[[nodiscard]] struct text chat_read(const struct json *payload, uint32_t code_points_max,
                                    struct writer *clean, struct text *message,
                                    enum chat_fault *fault);
