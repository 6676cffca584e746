/* conn/reasons.h: why connections end. One line a reason: the code and token on the wire, the word
 * in the log and in ringcast_disconnects_total, and the sentence that explains it. */
#pragma once
#include "base/log.h"
#include "ws/reader.h"

#define CLOSE_REASONS(X) /* name, close code (0: none can be sent), log level, token, sentence */ \
    X(PEER_CLOSED, 1000, LOG_INFO, "peer_closed", "the peer began the closing handshake")         \
    X(PEER_LEFT, 0, LOG_INFO, "peer_left", "the peer closed its side without a close frame")      \
    X(RECV_ERROR, 0, LOG_INFO, "recv_error",                                                      \
      "the kernel reported a receive error: the peer vanished")                                   \
    X(SEND_ERROR, 0, LOG_INFO, "send_error",                                                      \
      "the kernel reported a send error: the peer vanished")                                      \
    X(ANSWERED, 0, LOG_DEBUG, "answered", "an HTTP request was answered")                         \
    X(HANDED_OVER, 0, LOG_DEBUG, "handed_over", "another worker goes on with it")                 \
    X(HANDSHAKE_TIMEOUT, 0, LOG_INFO, "handshake_timeout",                                        \
      "no whole request came before the deadline")                                                \
    X(PROXY_HEADER, 0, LOG_INFO, "proxy_header",                                                  \
      "it did not begin with a PROXY header, version 2")                                          \
    X(MESSAGE_TIMEOUT, 4408, LOG_INFO, "message_timeout",                                         \
      "a message was begun and not finished in time")                                             \
    X(PONG_TIMEOUT, 4408, LOG_INFO, "pong_timeout", "a ping was not answered in time")            \
    X(BINARY, 1003, LOG_INFO, "binary_message", "this room takes text only")                      \
    X(BAD_MESSAGES, 4400, LOG_INFO, "bad_messages",                                               \
      "it sent too much that is not understood here")                                             \
    X(UNAUTHORIZED, 4401, LOG_INFO, "unauthorized", "it showed no token that lets it in")         \
    X(TOKEN_EXPIRED, 4401, LOG_INFO, "token_expired", "the token that let it in has expired")     \
    X(FORBIDDEN, 4403, LOG_INFO, "wrong_player", "it showed a token of somebody else")            \
    X(KICKED, 4403, LOG_INFO, "kicked", "whoever keeps the rules of the room sent it away")       \
    X(AUTH_TIMEOUT, 4408, LOG_INFO, "auth_timeout", "it showed no token in time")                 \
    X(CHEAT, 4403, LOG_NOTICE, "cheat", "it moved as the rules forbid, too often")                \
    X(REPLACED, 4409, LOG_INFO, "replaced", "the same player has connected again")                \
    X(RATE_LIMITED, 4429, LOG_INFO, "rate_limited", "it sent too much in too short a time")       \
    X(RESTART, 1012, LOG_INFO, "restart",                                                         \
      "the server is going down or restarting; come back later")                                  \
    X(OVERLOADED, 1013, LOG_WARN, "overloaded",                                                   \
      "a pool of the server is used up; come back later")                                         \
    X(ROOM_CLOSED, 4410, LOG_INFO, "room_closed", "the room is over")                             \
    X(TOO_SLOW, 4508, LOG_WARN, "slow_consumer",                                                  \
      "the outbox was full, or owed the most when memory ran short")

enum close_reason : uint8_t {
    CLOSE_NONE,
#define X(name, code, level, token, sentence) CLOSE_##name,
    CLOSE_REASONS(X)
#undef X
#define X(name, code, token, sentence) CLOSE_WS_##name,
        WS_ERRORS(X)
#undef X
            close_reason_count,
};

/* What a table line says. CLOSE_NONE gives code 0 and "none". */
struct close_info {
    uint16_t code;
    enum log_level level;
    struct text token;
    struct text sentence;
};
const struct close_info *close_info(enum close_reason reason);

/* The reason for a reader's error, which is not WS_OK. */
enum close_reason close_reason_of(enum ws_error error);
