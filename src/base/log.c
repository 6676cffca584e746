#include "base/log.h"
#include <assert.h>

/* Kept free behind the fields of a line, for the mark of a cut line and its end. */
constexpr size_t tail_room = 16;
constexpr uint64_t ns_per_second = 1000000000;
static_assert(log_line_max < log_ring_size, "an empty ring takes any line");

/* A line while it is written. */
struct line {
    struct writer writer;
    bool json;
    bool cut; /* no more fields */
};

static bool is_leap(uint64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Two digits, or as many as asked for. */
static void write_padded(struct writer *writer, uint64_t value, uint32_t width)
{
    uint64_t bound = 10;
    for (uint32_t digits = 1; digits < width; digits++, bound *= 10)
        if (value < bound) write_byte(writer, '0');
    write_u64(writer, value);
}

/* 2026-11-21, from days since 1970. Every 400 years have 146097 days. */
static void write_date(struct writer *writer, uint64_t days)
{
    static const uint8_t month_days[2][12] = {{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31},
                                              {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}};
    uint64_t year = 1970 + days / 146097 * 400;
    days %= 146097;
    for (; days >= 365u + is_leap(year); year++)
        days -= 365u + is_leap(year);
    uint32_t month = 0;
    for (; days >= month_days[is_leap(year)][month]; month++)
        days -= month_days[is_leap(year)][month];
    write_padded(writer, year, 4);
    write_byte(writer, '-');
    write_padded(writer, month + 1, 2);
    write_byte(writer, '-');
    write_padded(writer, days + 1, 2);
}

/* RFC 3339, always in UTC and with milliseconds. */
static void write_time(struct writer *writer, uint64_t wall_ms)
{
    uint64_t seconds = wall_ms / 1000;
    write_date(writer, seconds / 86400);
    write_byte(writer, 'T');
    write_padded(writer, seconds / 3600 % 24, 2);
    write_byte(writer, ':');
    write_padded(writer, seconds / 60 % 60, 2);
    write_byte(writer, ':');
    write_padded(writer, seconds % 60, 2);
    write_byte(writer, '.');
    write_padded(writer, wall_ms % 1000, 3);
    write_byte(writer, 'Z');
}

/* True for what a terminal or a line reader could take for more than a character. */
static bool is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) ||
           code_point == 0x2028 || code_point == 0x2029;
}

/* A logfmt value that may stand without quotes. */
static bool is_bare(struct text text)
{
    if (text.size == 0) return false;
    while (text.size > 0) {
        uint32_t code_point;
        size_t step = text_code_point(text, &code_point);
        if (step == 0 || is_control(code_point)) return false;
        if (code_point == ' ' || code_point == '"' || code_point == '=' || code_point == '\\')
            return false;
        text = text_skip(text, step);
    }
    return true;
}

/* \xNN for each byte. */
static void write_hex_escapes(struct writer *writer, struct text bytes)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = (uint8_t)bytes.data[i];
        char escape[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        write_text(writer, (struct text){.data = escape, .size = sizeof escape});
    }
}

/* The start of `text` that is escaped as one: a code point, or a byte that belongs to none. */
static struct text first_piece(struct text text)
{
    uint32_t code_point;
    size_t step = text_code_point(text, &code_point);
    return (struct text){.data = text.data, .size = step > 0 ? step : 1};
}

/* One piece inside the quotes of a logfmt value. */
static void write_logfmt_piece(struct writer *writer, struct text piece)
{
    uint32_t code_point;
    bool valid = text_code_point(piece, &code_point) > 0;
    if (valid && (code_point == '"' || code_point == '\\')) {
        char escape[2] = {'\\', (char)code_point};
        write_text(writer, (struct text){.data = escape, .size = sizeof escape});
    } else if (valid && code_point == '\n') {
        write_text(writer, TEXT("\\n"));
    } else if (valid && code_point == '\r') {
        write_text(writer, TEXT("\\r"));
    } else if (valid && code_point == '\t') {
        write_text(writer, TEXT("\\t"));
    } else if (!valid || is_control(code_point)) {
        write_hex_escapes(writer, piece);
    } else {
        write_text(writer, piece);
    }
}

/* The inside of the quotes, as many whole pieces as fit; overflow tells of the rest. */
static void write_escaped(struct line *line, struct text text)
{
    struct writer *writer = &line->writer;
    while (text.size > 0 && !writer->overflow) {
        struct text piece = first_piece(text);
        size_t before = writer->size;
        if (line->json)
            write_json_escaped(writer, piece);
        else
            write_logfmt_piece(writer, piece);
        if (writer->overflow) writer->size = before; // no half of an escape
        text = text_skip(text, piece.size);
    }
}

/* What comes before a field's value. */
static void line_key(struct line *line, const char *key)
{
    if (line->writer.size > 0) write_byte(&line->writer, line->json ? ',' : ' ');
    if (line->json) write_text(&line->writer, TEXT("\""));
    write_text(&line->writer, text_of(key));
    write_text(&line->writer, line->json ? TEXT("\":") : TEXT("="));
}

static void line_value(struct line *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_IS_U64: write_u64(&line->writer, field->u64); return;
    case LOG_IS_I64: write_i64(&line->writer, field->i64); return;
    case LOG_IS_TEXT:
        if (!line->json && is_bare(field->text)) {
            write_text(&line->writer, field->text);
            return;
        }
        write_byte(&line->writer, '"');
        write_escaped(line, field->text);
        write_byte(&line->writer, '"');
        return;
    }
    assert(false);
}

/* The field did not fit: as much of it as does, and a mark. Nothing follows. */
static void line_cut(struct line *line, const struct log_field *field, size_t start)
{
    struct writer *writer = &line->writer;
    writer->size = start;
    writer->overflow = false;
    line->cut = true;
    line_key(line, field->key);
    write_byte(writer, '"');
    bool key_fits = !writer->overflow;
    if (key_fits && field->type == LOG_IS_TEXT) write_escaped(line, field->text);
    writer->overflow = false;
    writer->capacity = log_line_max;
    if (key_fits) {
        write_text(writer, TEXT("...\""));
        return;
    }
    writer->size = start;
    write_text(writer, line->json ? TEXT(",\"cut\":\"...\"") : TEXT(" ..."));
}

static void line_field(struct line *line, const struct log_field *field)
{
    if (line->cut) return;
    size_t start = line->writer.size;
    line_key(line, field->key);
    line_value(line, field);
    if (line->writer.overflow) line_cut(line, field, start);
}

/* What every line starts with. */
static void line_start(struct line *line, const struct log *log, struct instant now,
                       enum log_level level, const char *event)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    write_text(&line->writer, line->json ? TEXT("{\"ts\":\"") : TEXT("ts="));
    write_time(&line->writer, now.wall_ms);
    if (line->json) write_byte(&line->writer, '"');
    line_field(line, &LOG_T("level", text_of(levels[level])));
    line_field(line, &LOG_U("worker", log->worker));
    line_field(line, &LOG_T("event", text_of(event)));
}

/* Where `size` bytes in one piece go in the ring, or nullptr when they find no room.
 *
 *     [....oldest lines newest....]      head + used within the ring: put behind, or at the start
 *     [newest....oldest lines|gap.]      beyond: `end` is where the gap begins, `used` counts it */
static uint8_t *log_reserve(struct log *log, uint32_t size)
{
    uint32_t tail = log->head + log->used;
    bool wrapped = tail > log_ring_size;
    if (wrapped) tail -= log_ring_size;
    if (!wrapped && size > log_ring_size - tail) {
        if (size > log->head) return nullptr;
        log->end = tail;
        log->used += log_ring_size - tail;
        tail = 0;
    } else if (wrapped && size > log->head - tail) {
        return nullptr;
    }
    log->used += size;
    return log->ring + tail;
}

/* Formats the line and puts it into the ring. False when it was dropped. */
static bool log_line(struct log *log, struct instant now, enum log_level level, const char *event,
                     const struct log_field *fields, size_t count)
{
    uint8_t memory[log_line_max];
    struct line line = {.writer = writer_over(memory, sizeof memory - tail_room),
                        .json = log->json};
    line_start(&line, log, now, level, event);
    for (size_t i = 0; i < count; i++)
        line_field(&line, &fields[i]);
    line.writer.capacity = sizeof memory;
    write_text(&line.writer, line.json ? TEXT("}\n") : TEXT("\n"));
    assert(!line.writer.overflow);
    uint8_t *place = log_reserve(log, (uint32_t)line.writer.size);
    if (place == nullptr) {
        log->dropped += 1;
        return false;
    }
    memcpy(place, memory, line.writer.size);
    log->written += 1;
    return true;
}

/* In a new second the budget is whole again, and what the one before left out is told of. */
static void log_refill(struct log *log, struct instant now)
{
    uint64_t second = now.ns / ns_per_second;
    if (second <= log->budget_second) return;
    log->budget_second = second;
    log->budget = log->burst;
    if (log->suppressed == 0) return;
    struct log_field count = LOG_U("count", log->suppressed);
    if (log_line(log, now, LOG_WARN, "log_suppressed", &count, 1)) log->suppressed = 0;
}

void log_init(struct log *log, enum log_level level_min, bool json, uint16_t worker, uint32_t burst)
{
    memset(log, 0, offsetof(struct log, ring)); // the ring is touched as it fills
    log->level_min = level_min;
    log->json = json;
    log->worker = worker;
    log->burst = log->budget = burst;
}

void log_event(struct log *log, struct instant now, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    assert(level <= LOG_NOTICE);
    bool exempt = level == LOG_NOTICE || level >= LOG_WARN;
    if (level == LOG_NOTICE) level = LOG_INFO;
    if (level < log->level_min) return;
    log_refill(log, now);
    if (!exempt) {
        if (log->budget == 0) {
            log->suppressed += 1;
            return;
        }
        log->budget -= 1;
    }
    (void)log_line(log, now, level, event, fields, count);
}

struct bytes log_pending(const struct log *log)
{
    bool wrapped = log->head + log->used > log_ring_size;
    uint32_t size = wrapped ? log->end - log->head : log->used;
    return (struct bytes){.data = (uint8_t *)log->ring + log->head, .size = size};
}

void log_consume(struct log *log, size_t size)
{
    assert(size <= log_pending(log).size);
    bool wrapped = log->head + log->used > log_ring_size;
    log->head += (uint32_t)size;
    log->used -= (uint32_t)size;
    if (wrapped && log->head == log->end) {
        log->used -= log_ring_size - log->end;
        log->head = 0;
    }
    if (log->used == 0) log->head = 0; // the next lines lie in one piece
}

void log_discard(struct log *log, size_t size)
{
    struct bytes pending = log_pending(log);
    assert(size <= pending.size);
    for (size_t i = 0; i < size; i++)
        log->dropped += pending.data[i] == '\n' ? 1 : 0;
    log_consume(log, size);
}
