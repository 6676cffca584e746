#include "base/log.h"
#include "base/random.h"
#include "check.h"
#include <time.h>

constexpr uint64_t second_ns = 1000000000;

static struct log journal;
static const struct instant noon = {.ns = 5 * second_ns, .wall_ms = 1795259457123};

static void setup(bool json)
{
    log_init(&journal, LOG_INFO, json, 3, 1000);
}

/* All that is pending, a zero behind it, and the ring empty after it. */
static struct text drain(void)
{
    static uint8_t memory[log_ring_size + 1];
    struct writer writer = writer_over(memory, log_ring_size);
    for (struct bytes piece; (piece = log_pending(&journal)).size > 0;) {
        write_text(&writer, text_from(piece));
        log_consume(&journal, piece.size);
    }
    EXPECT(!writer.overflow);
    memory[writer.size] = 0;
    return text_from(writer_bytes(&writer));
}

/* One line with one field called key. */
static struct text line_of(bool json, struct text value)
{
    setup(json);
    LOG(&journal, noon, LOG_INFO, "e", LOG_T("key", value));
    struct text line = drain();
    struct text start = json ? TEXT("{\"ts\":\"2026-11-21T11:10:57.123Z\",\"level\":\"info\","
                                    "\"worker\":3,\"event\":\"e\",")
                             : TEXT("ts=2026-11-21T11:10:57.123Z level=info worker=3 event=e ");
    EXPECT(text_starts(line, start));
    return text_starts(line, start) ? text_skip(line, start.size) : line;
}

/* The size of the JSON escape that starts the text; 0 when it is none. */
static size_t escape_size(struct text text)
{
    if (text.size < 2 || strchr("\"\\/bfnrtu", text.data[1]) == nullptr) return 0;
    if (text.data[1] != 'u') return 2;
    if (text.size < 6) return 0;
    return strspn(text.data + 2, "0123456789abcdef") >= 4 ? 6 : 0;
}

/* Behind a JSON string that starts at `text`, or an empty text when it is broken (RFC 8259 §7). */
static struct text skip_string(struct text text)
{
    if (!text_starts(text, TEXT("\""))) return (struct text){};
    text = text_skip(text, 1);
    while (text.size > 0 && text.data[0] != '"') {
        uint32_t code_point;
        size_t step = text_code_point(text, &code_point);
        if (step == 0 || code_point < 0x20) return (struct text){};
        if (code_point == '\\' && (step = escape_size(text)) == 0) return (struct text){};
        text = text_skip(text, step);
    }
    return text.size > 0 ? text_skip(text, 1) : text;
}

/* True for one flat JSON object of strings and whole numbers, and a line's end behind it. */
static bool is_json_line(struct text text)
{
    for (char before = '{'; text.size > 2 && text.data[0] == before; before = ',') {
        text = skip_string(text_skip(text, 1));
        if (text.size < 2 || text.data[0] != ':') return false;
        text = text_skip(text, 1);
        if (text.data[0] == '"') {
            text = skip_string(text);
        } else {
            size_t size = strspn(text.data, "-0123456789");
            int64_t negative;
            uint64_t positive;
            struct text number = {.data = text.data, .size = size};
            if (!text_to_i64(number, &negative) && !text_to_u64(number, &positive)) return false;
            text = text_skip(text, size);
        }
    }
    return text_equal(text, TEXT("}\n"));
}

/* True for one line of valid UTF-8 in which nothing but its end is a control character. */
static bool is_clean_line(struct text text)
{
    if (text.size == 0 || text.data[text.size - 1] != '\n') return false;
    text.size -= 1;
    while (text.size > 0) {
        uint32_t code_point;
        size_t step = text_code_point(text, &code_point);
        if (step == 0 || code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0))
            return false;
        text = text_skip(text, step);
    }
    return true;
}

TEST("a logfmt line has its time, level, worker and event, then the fields in order")
{
    setup(false);
    LOG(&journal, noon, LOG_WARN, "conn_closed", LOG_T("reason", TEXT("TOO_SLOW")),
        LOG_U("bytes", UINT64_MAX), LOG_I("delta", -5));
    EXPECT_TEXT(drain(), "ts=2026-11-21T11:10:57.123Z level=warn worker=3 event=conn_closed "
                         "reason=TOO_SLOW bytes=18446744073709551615 delta=-5\n");
}

TEST("a JSON line is one object with the same keys")
{
    setup(true);
    LOG(&journal, noon, LOG_ERROR, "conn_closed", LOG_T("reason", TEXT("TOO_SLOW")),
        LOG_U("bytes", UINT64_MAX), LOG_I("delta", -5));
    EXPECT_TEXT(drain(), "{\"ts\":\"2026-11-21T11:10:57.123Z\",\"level\":\"error\",\"worker\":3,"
                         "\"event\":\"conn_closed\",\"reason\":\"TOO_SLOW\","
                         "\"bytes\":18446744073709551615,\"delta\":-5}\n");
}

TEST("a line needs no fields")
{
    setup(false);
    LOG(&journal, noon, LOG_INFO, "started");
    log_event(&journal, noon, LOG_INFO, "ready", nullptr, 0);
    EXPECT_TEXT(drain(), "ts=2026-11-21T11:10:57.123Z level=info worker=3 event=started\n"
                         "ts=2026-11-21T11:10:57.123Z level=info worker=3 event=ready\n");
}

TEST("a logfmt value stands without quotes when nobody could mistake it")
{
    EXPECT_TEXT(line_of(false, TEXT("/rooms/7?x")), "key=/rooms/7?x\n");
    EXPECT_TEXT(line_of(false, TEXT("J\xC3\xBCrgen")), "key=J\xC3\xBCrgen\n");
    EXPECT_TEXT(line_of(false, TEXT("two words")), "key=\"two words\"\n");
    EXPECT_TEXT(line_of(false, TEXT("a=b")), "key=\"a=b\"\n");
    EXPECT_TEXT(line_of(false, TEXT("say \"hi\"\\")), "key=\"say \\\"hi\\\"\\\\\"\n");
    EXPECT_TEXT(line_of(false, (struct text){}), "key=\"\"\n");
}

TEST("no value can forge a line or steer a terminal")
{
    EXPECT_TEXT(line_of(false, TEXT("a\nts=1 level=error\r\t")),
                "key=\"a\\nts=1 level=error\\r\\t\"\n");
    EXPECT_TEXT(line_of(false, TEXT("\x1B[2J\x7F\xC2\x9B")), "key=\"\\x1b[2J\\x7f\\xc2\\x9b\"\n");
    EXPECT_TEXT(line_of(false, TEXT("\xE2\x80\xA8")), "key=\"\\xe2\\x80\\xa8\"\n");
    EXPECT_TEXT(line_of(false, TEXT("\xFF\xC3")), "key=\"\\xff\\xc3\"\n");
    EXPECT_TEXT(line_of(true, TEXT("a\n\x1B\x7F\"\xFF")),
                "\"key\":\"a\\n\\u001b\\u007f\\\"\\ufffd\"}\n");
}

TEST("whatever bytes the values hold, a line is clean, and JSON is JSON")
{
    struct random random = {.state = 5};
    static char value[1500];
    for (int round = 0; round < 4000; round++) {
        bool json = round % 2 == 0;
        setup(json);
        size_t size = random_below(&random, round % 10 == 0 ? sizeof value : 40);
        for (size_t i = 0; i < size; i++)
            value[i] = (char)(uint8_t)random_below(&random, 256);
        struct text text = {.data = value, .size = size};
        LOG(&journal, noon, LOG_INFO, "e", LOG_T("a", text),
            LOG_I("b", (int64_t)random_u64(&random)), LOG_T("c", text));
        struct text line = drain();
        EXPECT(is_clean_line(line));
        EXPECT(line.size <= log_line_max);
        if (json) EXPECT(is_json_line(line));
    }
}

TEST("a line that would be too long is cut inside a value, or before a key, at any length")
{
    static char value[1100];
    memset(value, 'x', sizeof value);
    uint32_t cut_value = 0, cut_key = 0;
    for (size_t size = 850; size < sizeof value; size++)
        for (int json = 0; json < 2; json++) {
            setup(json == 1);
            struct text text = {.data = value, .size = size};
            LOG(&journal, noon, LOG_INFO, "e", LOG_T("long", text), LOG_U("number", 123456789),
                LOG_T("tail", TEXT("some more words")));
            struct text line = drain();
            EXPECT(line.size <= log_line_max);
            EXPECT(is_clean_line(line));
            if (json == 1) EXPECT(is_json_line(line));
            const char *end = line.data + line.size;
            cut_value +=
                memcmp(end - 6, "x...\"\n", 6) == 0 || memcmp(end - 7, "x...\"}\n", 7) == 0;
            cut_key += memcmp(end - 5, " ...\n", 5) == 0 ||
                       memcmp(end - 14, ",\"cut\":\"...\"}\n", 14) == 0;
        }
    EXPECT(cut_value > 200);
    EXPECT(cut_key > 10);
}

TEST("a cut leaves no half of an escaped character")
{
    static char value[600];
    for (size_t i = 0; i < sizeof value; i += 2)
        memcpy(value + i, "\xC2\x9B", 2); // 8 bytes a character in the line
    for (size_t before = 0; before < 8; before++) {
        setup(false);
        LOG(&journal, noon, LOG_INFO, "e", LOG_T("a", ((struct text){"12345678", before})),
            LOG_T("b", ((struct text){value, sizeof value})));
        struct text line = drain();
        EXPECT(memcmp(line.data + line.size - 13, "\\xc2\\x9b...\"\n", 13) == 0);
    }
}

TEST("quieter events than the level are not written")
{
    log_init(&journal, LOG_WARN, false, 0, 10);
    LOG(&journal, noon, LOG_DEBUG, "e");
    LOG(&journal, noon, LOG_INFO, "e");
    EXPECT_EQ(log_pending(&journal).size, 0);
    LOG(&journal, noon, LOG_WARN, "e");
    LOG(&journal, noon, LOG_ERROR, "e");
    EXPECT_EQ(journal.written, 2);
}

TEST("info lines beyond the burst are counted, and told of at the first line of a later second")
{
    log_init(&journal, LOG_DEBUG, false, 0, 2);
    for (int i = 0; i < 5; i++)
        LOG(&journal, noon, i % 2 == 0 ? LOG_INFO : LOG_DEBUG, "e");
    LOG(&journal, noon, LOG_WARN, "w"); // warnings have no budget
    EXPECT_EQ(journal.written, 3);
    EXPECT_EQ(journal.suppressed, 3);
    (void)drain();
    struct instant later = {.ns = noon.ns + second_ns, .wall_ms = noon.wall_ms + 1000};
    LOG(&journal, later, LOG_INFO, "e");
    EXPECT_TEXT(drain(),
                "ts=2026-11-21T11:10:58.123Z level=warn worker=0 event=log_suppressed count=3\n"
                "ts=2026-11-21T11:10:58.123Z level=info worker=0 event=e\n");
    EXPECT_EQ(journal.suppressed, 0);
    LOG(&journal, later, LOG_INFO, "e");
    LOG(&journal, later, LOG_INFO, "e");
    EXPECT_EQ(journal.suppressed, 1);
}

TEST("the budget follows the monotonic clock: a wall clock that jumps changes nothing")
{
    log_init(&journal, LOG_INFO, false, 0, 1);
    for (uint64_t i = 0; i < 5; i++)
        LOG(&journal, ((struct instant){.ns = noon.ns + i, .wall_ms = noon.wall_ms + i * 5000}),
            LOG_INFO, "e");
    EXPECT_EQ(journal.written, 1);
    EXPECT_EQ(journal.suppressed, 4);
}

TEST("a full ring drops lines whole, counts them, and goes on when it is read")
{
    log_init(&journal, LOG_INFO, false, 0, UINT32_MAX);
    for (int i = 0; i < 3000; i++)
        LOG(&journal, noon, LOG_INFO, "e", LOG_U("i", (uint64_t)i));
    uint64_t written = journal.written;
    EXPECT(journal.dropped > 0);
    EXPECT_EQ(written + journal.dropped, 3000);
    struct text all = drain();
    EXPECT(all.size > log_ring_size - 100);
    EXPECT(all.data[all.size - 1] == '\n');
    LOG(&journal, noon, LOG_INFO, "e");
    EXPECT_EQ(journal.written, written + 1);
    EXPECT(is_clean_line(drain()));
}

TEST("what a full ring kept from being told of is told of later")
{
    log_init(&journal, LOG_INFO, false, 0, 600);
    static char filler[900];
    memset(filler, 'x', sizeof filler);
    for (int i = 0; i < 700; i++)
        LOG(&journal, noon, LOG_INFO, "e", LOG_T("x", ((struct text){filler, 60})));
    while (journal.dropped == 0)
        LOG(&journal, noon, LOG_WARN, "w", LOG_T("x", ((struct text){filler, 900})));
    struct instant later = noon;
    for (int i = 0; i < 100; i++)
        LOG(&journal, noon, LOG_WARN, "w");
    later.ns += second_ns;
    LOG(&journal, later, LOG_WARN, "w");
    EXPECT_EQ(journal.suppressed, 100);
    (void)drain();
    later.ns += second_ns;
    LOG(&journal, later, LOG_WARN, "w");
    EXPECT_EQ(journal.suppressed, 0);
    EXPECT(strstr(drain().data, "event=log_suppressed count=100\n") != nullptr);
}

/* A reader that takes parts of lines, as a socket does; what it has read must be the lines. */
struct reader {
    char line[log_line_max + 1];
    size_t size;
    uint64_t next; /* the number of the line it waits for: lines that were dropped use up none */
    bool broken;
};

static void reader_take(struct reader *reader, size_t size_max)
{
    struct bytes piece = log_pending(&journal);
    EXPECT(piece.size == 0 || piece.data[piece.size - 1] == '\n');
    size_t size = piece.size < size_max ? piece.size : size_max;
    for (size_t i = 0; i < size && !reader->broken; i++) {
        reader->line[reader->size++] = (char)piece.data[i];
        reader->broken = reader->size > log_line_max;
        if (piece.data[i] != '\n') continue;
        reader->line[reader->size] = 0;
        char wanted[64];
        snprintf(wanted, sizeof wanted, " event=e i=%" PRIu64 " x=", reader->next++);
        reader->broken =
            strstr(reader->line, wanted) == nullptr || strncmp(reader->line, "ts=", 3) != 0;
        reader->size = 0;
    }
    log_consume(&journal, size);
}

TEST("lines come out whole and in order however they wrap and however little is read at a time")
{
    static char filler[900];
    memset(filler, 'y', sizeof filler);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct random random = {.state = seed};
        static struct reader reader;
        reader = (struct reader){};
        log_init(&journal, LOG_INFO, false, 0, UINT32_MAX);
        for (int step = 0; step < 20000; step++) {
            struct text text = {.data = filler, .size = random_below(&random, sizeof filler)};
            bool hungry = step / 500 % 2 == 1; // the reader is slow for a while, then fast
            if (random_below(&random, 10) < 7)
                LOG(&journal, noon, LOG_INFO, "e", LOG_U("i", journal.written), LOG_T("x", text));
            else
                reader_take(&reader, random_below(&random, hungry ? 9000 : 1200));
        }
        EXPECT(journal.dropped > 0);
        while (log_pending(&journal).size > 0)
            reader_take(&reader, 100);
        EXPECT(!reader.broken);
        EXPECT_EQ(reader.next, journal.written);
        EXPECT_EQ(journal.used, 0);
    }
}

/* The date that the C library gives. */
static void expect_date(uint64_t wall_ms)
{
    setup(false);
    log_event(&journal, (struct instant){.wall_ms = wall_ms}, LOG_INFO, "e", nullptr, 0);
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char date[64], wanted[128];
    EXPECT(gmtime_r(&seconds, &parts) != nullptr);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(wanted, sizeof wanted, "ts=%s.%03uZ ", date, (unsigned)(wall_ms % 1000));
    EXPECT(text_starts(drain(), text_of(wanted)));
}

TEST("the date is right around every day's end until the year 2500, and at random times after")
{
    for (uint64_t day = 0; day < 193600; day++)
        expect_date(day * 86400000 - (day > 0));
    struct random random = {.state = 9};
    for (int i = 0; i < 20000; i++)
        expect_date(random_below(&random, UINT64_C(253402300800000))); // until the year 9999
}

TEST("a clock gone mad still gives a line")
{
    setup(true);
    log_event(&journal, (struct instant){.ns = UINT64_MAX, .wall_ms = UINT64_MAX}, LOG_INFO, "e",
              nullptr, 0);
    EXPECT(is_json_line(drain()));
}
