/* base/log.h: one line an event, for people (logfmt) or machines (JSON), without ever waiting for
 * who reads it. Lines go into a ring of bytes; the worker writes it out through the ring seam. When
 * the reader of stderr is stuck, lines are dropped and counted (THREATS.md O7). Ordinary connects
 * and disconnects have a budget per second; warnings have none. */
#pragma once
#include "base/bytes.h"
#include "base/clock.h"

enum log_level : uint8_t {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_NOTICE, /* an info line outside the budget: what happens to the server itself */
};

/* One key and its value. Keys are stable: scripts read them. */
struct log_field {
    const char *key;
    enum : uint8_t { LOG_IS_TEXT, LOG_IS_U64, LOG_IS_I64 } type;
    struct text text;
    uint64_t u64;
    int64_t i64;
};
#define LOG_T(k, v) ((struct log_field){.key = (k), .type = LOG_IS_TEXT, .text = (v)})
#define LOG_U(k, v) ((struct log_field){.key = (k), .type = LOG_IS_U64, .u64 = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .type = LOG_IS_I64, .i64 = (v)})

constexpr uint32_t log_ring_size = 64 * 1024; /* bytes waiting to be written */
constexpr uint32_t log_line_max = 1024; /* bytes; a longer line ends with a value cut to "..." */

struct log {
    enum log_level level_min; /* quieter events are not written */
    bool json;                /* else logfmt */
    uint16_t worker;          /* goes into every line */
    uint32_t burst;           /* info lines a second at most */
    uint32_t budget;          /* of this second */
    uint64_t budget_second;
    uint64_t suppressed; /* info lines over the budget, not yet told of */
    uint64_t dropped;    /* lines that found the ring full, in all */
    uint64_t written;    /* lines, in all */
    uint32_t head, used; /* bytes in `ring`: oldest at `head` */
    uint32_t end;        /* where the lines stop that lie before the wrap, while there is one */
    uint8_t ring[log_ring_size];
};

void log_init(struct log *log, enum log_level level_min, bool json, uint16_t worker,
              uint32_t burst);

/* Adds one line: ts, level, worker, event, then the fields in order.
 * logfmt: values with spaces, quotes, '=' or anything unusual are quoted; a control character or a
 *         byte that is not UTF-8 becomes \xNN.
 * JSON:   one object, always valid; a byte that is not UTF-8 becomes \ufffd.
 * Control characters never reach the output. Tokens and chat never belong in a field (THREATS.md
 * H24). Debug and info lines beyond `burst` in one monotonic second are only counted; the first
 * line of a later second is preceded by a warning, event=log_suppressed count=N. */
void log_event(struct log *log, struct instant now, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);
/* The fields may be left out; the empty one at the end is not counted. */
#define LOG(log, now, level, event, ...)                                         \
    log_event((log), (now), (level), (event),                                    \
              (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){}},          \
              sizeof((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){}}) / \
                      sizeof(struct log_field) -                                 \
                  1)

/* The oldest bytes, as far as they lie in one piece: they end with a line's end (no line lies
 * across the wrap) and start with a line's start unless log_consume stopped inside one. Valid until
 * log_consume. */
struct bytes log_pending(const struct log *log);

/* The first `size` bytes of log_pending were not written and never will be: their lines count as
 * dropped. */
void log_discard(struct log *log, size_t size);

/* The first `size` bytes of log_pending have been written; a part of a line is fine. */
void log_consume(struct log *log, size_t size);
