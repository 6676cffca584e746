#include "base/cpu.h"
#include "base/random.h"
#include "base/utf8.h"
#include "check.h"
#include <stdlib.h>

/* --- An independent decoder: by arithmetic on code points, where ours goes by ranges of bytes --*/

/* Bytes of the code point that `text` begins with; 0 when it begins with none. */
static size_t reference_code_point(const uint8_t *text, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t wanted = text[0] < 0x80             ? 1
                    : (text[0] & 0xE0) == 0xC0 ? 2
                    : (text[0] & 0xF0) == 0xE0 ? 3
                    : (text[0] & 0xF8) == 0xF0 ? 4
                                               : 0;
    if (wanted == 0 || wanted > size) return 0;
    uint32_t value = wanted == 1 ? text[0] : text[0] & (0x7Fu >> wanted);
    for (size_t i = 1; i < wanted; i++) {
        if ((text[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (text[i] & 0x3F);
    }
    bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    return value < least[wanted] || surrogate || value > 0x10FFFF ? 0 : wanted;
}

static bool reference_valid(const uint8_t *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = reference_code_point(text + at, size - at);
        if (step == 0) return false;
        at += step;
    }
    return true;
}

/* True when something could follow that makes the text valid: by trying. */
static bool reference_can_be_mended(const uint8_t *text, size_t size)
{
    static const uint8_t tries[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
    constexpr size_t count = sizeof tries;
    uint8_t longer[16];
    memcpy(longer, text, size);
    if (reference_valid(longer, size)) return true;
    for (size_t i = 0; i < count * count * count; i++) {
        longer[size] = tries[i % count];
        longer[size + 1] = tries[i / count % count];
        longer[size + 2] = tries[i / count / count];
        for (size_t more = 1; more <= 3; more++)
            if (reference_valid(longer, size + more)) return true;
    }
    return false;
}

static bool valid(const void *text, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1); // a sanitizer sees a look past the end
    memcpy(exact, text, size);
    bool answer = utf8_valid((struct bytes){.data = exact, .size = size});
    free(exact);
    return answer;
}

static bool feed_byte(struct utf8 *state, uint8_t byte)
{
    return utf8_feed(state, (struct bytes){.data = &byte, .size = 1});
}

/* Every byte at which table 3-7 changes its mind, and its neighbours. */
static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F, 0xA0,
                                0xA1, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFC, 0xFF};
constexpr size_t edge_count = sizeof edges;

/* --- Tests ---------------------------------------------------------------------------------- */

TEST("every sequence of one, two and three bytes is judged as the reference judges it")
{
    uint64_t wrong = 0;
    for (uint32_t value = 0; value < 1 << 24; value++) {
        uint8_t text[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        wrong += utf8_valid((struct bytes){.data = text, .size = 3}) != reference_valid(text, 3);
        if ((value & 0xFF) != 0) continue;
        wrong += utf8_valid((struct bytes){.data = text, .size = 2}) != reference_valid(text, 2);
        if ((value & 0xFFFF) != 0) continue;
        wrong += utf8_valid((struct bytes){.data = text, .size = 1}) != reference_valid(text, 1);
    }
    EXPECT_EQ(wrong, 0);
}

TEST("every sequence of four bytes from the edges of the ranges is judged as by the reference")
{
    for (size_t i = 0; i < edge_count * edge_count * edge_count * edge_count; i++) {
        uint8_t text[4] = {edges[i % edge_count], edges[i / edge_count % edge_count],
                           edges[i / edge_count / edge_count % edge_count],
                           edges[i / edge_count / edge_count / edge_count]};
        if (utf8_valid((struct bytes){.data = text, .size = 4}) != reference_valid(text, 4))
            check_failed(__FILE__, __LINE__, "%02X %02X %02X %02X", text[0], text[1], text[2],
                         text[3]);
    }
}

TEST("a text is refused at its first byte that nothing can mend, and not before (RFC 6455 §8.1)")
{
    for (size_t i = 0; i < edge_count * edge_count * edge_count * edge_count; i += 7) {
        uint8_t text[4] = {edges[i / edge_count / edge_count / edge_count],
                           edges[i / edge_count / edge_count % edge_count],
                           edges[i / edge_count % edge_count], edges[i % edge_count]};
        struct utf8 state = {};
        for (size_t size = 1; size <= 4; size++) {
            bool answer = feed_byte(&state, text[size - 1]);
            EXPECT_EQ(answer, reference_can_be_mended(text, size));
            if (!answer) break;
            EXPECT_EQ(utf8_complete(&state), reference_valid(text, size));
        }
    }
}

TEST("every code point is valid, however its bytes are split, except the surrogates")
{
    for (uint32_t value = 0x80; value <= 0x10FFFF; value += value < 0x1000 ? 1 : 61) {
        uint8_t text[4];
        size_t size = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
        for (size_t i = size - 1; i > 0; i--)
            text[i] = (uint8_t)(0x80 | ((value >> 6 * (size - 1 - i)) & 0x3F));
        text[0] = (uint8_t)((0xF00u >> size & 0xFF) | value >> 6 * (size - 1));
        bool wanted = value < 0xD800 || value > 0xDFFF;
        for (size_t split = 0; split <= size; split++) {
            struct utf8 state = {};
            bool answer =
                utf8_feed(&state, (struct bytes){.data = text, .size = split}) &&
                utf8_feed(&state, (struct bytes){.data = text + split, .size = size - split}) &&
                utf8_complete(&state);
            EXPECT_EQ(answer, wanted);
        }
    }
}

TEST("texts that a conformance suite sends are judged rightly (Autobahn 6; THREATS U1)")
{
    static const struct {
        const char *text;
        size_t size;
        bool valid;
    } cases[] = {
#define CASE(text, valid) {text, sizeof(text) - 1, valid}
        CASE("", true),
        CASE("Hello-\xC2\xB5@\xC3\x9F\xC3\xB6\xC3\xA4\xC3\xBC\xC3\xA0\xC3\xA1-UTF-8!!", true),
        CASE("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5", true), /* kosme, in Greek */
        CASE("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80"
             "edited",
             false),
        CASE("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80"
             "edited",
             false),
        CASE("\x7F", true),
        CASE("\xDF\xBF", true),
        CASE("\xEF\xBF\xBF", true), /* noncharacters are characters enough: RFC 3629 */
        CASE("\xEF\xBF\xBE", true),
        CASE("\xEF\xBB\xBF", true), /* a byte order mark */
        CASE("\xF4\x8F\xBF\xBF", true),
        CASE("\xF4\x90\x80\x80", false),
        CASE("\xED\x9F\xBF", true),
        CASE("\xEE\x80\x80", true),
        CASE("\xEF\xBF\xBD", true),
        CASE("\xF7\xBF\xBF\xBF", false), /* above U+10FFFF, and the five and six byte forms */
        CASE("\xF8\x88\x80\x80\x80", false),
        CASE("\xFB\xBF\xBF\xBF\xBF", false),
        CASE("\xFC\x84\x80\x80\x80\x80", false),
        CASE("\xFD\xBF\xBF\xBF\xBF\xBF", false),
        CASE("\x80", false), /* alone */
        CASE("\xBF\xBF", false),
        CASE("\xC0\xAF", false), /* overlong */
        CASE("\xE0\x80\xAF", false),
        CASE("\xF0\x80\x80\xAF", false),
        CASE("\xC1\xBF", false),
        CASE("\xE0\x9F\xBF", false),
        CASE("\xF0\x8F\xBF\xBF", false),
        CASE("\xED\xA0\x80", false), /* surrogates, alone and paired */
        CASE("\xED\xBF\xBF", false),
        CASE("\xED\xA0\xB4\xED\xB4\x9E", false),
        CASE("\xC3", false), /* cut off */
        CASE("\xE1\x80", false),
        CASE("\xF1\x80\x80", false),
        CASE("\xFE", false),
        CASE("\xFF", false),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (valid(cases[i].text, cases[i].size) != cases[i].valid)
            check_failed(__FILE__, __LINE__, "case %zu is judged wrongly", i);
        if (reference_valid((const uint8_t *)cases[i].text, cases[i].size) != cases[i].valid)
            check_failed(__FILE__, __LINE__, "the reference judges case %zu wrongly", i);
    }
}

TEST("a bad byte anywhere in a long ASCII text is seen, and a whole code point there is not one")
{
    constexpr size_t size = 3 * 32 + 5;
    for (size_t at = 0; at + 2 <= size; at++) {
        uint8_t text[size];
        memset(text, 'a', size);
        EXPECT(valid(text, size));
        text[at] = 0xFF;
        EXPECT(!valid(text, size));
        memcpy(text + at, "\xC3\xA9", 2);
        EXPECT(valid(text, size));
        EXPECT(!valid(text, at + 1));
    }
}

TEST("the state is all zeros at the end of each code point, so it need not be reset between texts")
{
    struct utf8 state = {};
    EXPECT(utf8_feed(&state, (struct bytes){.data = (uint8_t *)"a\xF0\x9F\x98\x80", .size = 5}));
    EXPECT_EQ(state.remaining, 0);
    EXPECT_EQ(state.low, 0);
    EXPECT_EQ(state.high, 0);
    EXPECT(utf8_feed(&state, (struct bytes){}));
    EXPECT(utf8_complete(&state));
}

/* --- Blocks: the same judgement, whatever the processor ------------------------------------- */

static void put_code_point(uint8_t *text, size_t *size, uint32_t value)
{
    size_t wanted = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = wanted - 1; i > 0; i--, value >>= 6)
        text[*size + i] = (uint8_t)(0x80 | (value & 0x3F));
    text[*size] = (uint8_t)(wanted == 1 ? value : (0xF00u >> wanted & 0xFF) | value);
    *size += wanted;
}

/* What bytes fed one at a time come to; they never make a block. */
static bool feed_plainly(struct utf8 *state, const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!feed_byte(state, text[i])) return false;
    return true;
}

static bool same_state(struct utf8 left, struct utf8 right)
{
    return left.remaining == right.remaining && left.low == right.low && left.high == right.high;
}

/* Feeds an exact copy after `state`, with and without blocks: the answers and the states after a
 * good one are those of bytes fed one at a time. */
static void expect_plain(struct utf8 state, const uint8_t *text, size_t size)
{
    struct utf8 wanted_state = state;
    bool wanted = feed_plainly(&wanted_state, text, size);
    uint8_t *exact = malloc(size > 0 ? size : 1);
    memcpy(exact, text, size);
    for (enum cpu_level level = CPU_BASELINE; level <= cpu_best(); level++) {
        struct utf8 actual_state = state;
        cpu_use(level);
        bool actual = utf8_feed(&actual_state, (struct bytes){.data = exact, .size = size});
        cpu_use(cpu_best());
        if (actual != wanted || (wanted && !same_state(actual_state, wanted_state)))
            check_failed(__FILE__, __LINE__, "level %d, %zu bytes, %d owed before", level, size,
                         state.remaining);
    }
    free(exact);
}

static uint64_t wrong_within(const uint8_t *sequence, size_t size, uint8_t *text, size_t text_size,
                             size_t at)
{
    memcpy(text + at, sequence, size);
    bool actual = utf8_valid((struct bytes){.data = text, .size = text_size});
    memset(text + at, 'a', size);
    return actual != reference_valid(sequence, size);
}

TEST("every sequence of three bytes is judged the same within a long text as alone")
{
    uint8_t text[40];
    memset(text, 'a', sizeof text);
    uint64_t wrong = 0;
    for (uint32_t value = 0x7F0000; value < 1 << 24; value++) {
        uint8_t sequence[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        wrong += wrong_within(sequence, 3, text, sizeof text, 30);
    }
    EXPECT_EQ(wrong, 0);
}

TEST("every sequence of four bytes from the edges of the ranges is judged the same across the "
     "blocks of a long text as alone")
{
    static const size_t places[] = {0, 29, 30, 31, 63, 98, 126};
    constexpr size_t place_count = sizeof places / sizeof places[0];
    uint8_t text[130];
    memset(text, 'a', sizeof text);
    uint64_t wrong = 0;
    for (size_t i = 0; i < edge_count * edge_count * edge_count * edge_count; i++) {
        uint8_t sequence[4] = {edges[i % edge_count], edges[i / edge_count % edge_count],
                               edges[i / edge_count / edge_count % edge_count],
                               edges[i / edge_count / edge_count / edge_count]};
        wrong += wrong_within(sequence, 4, text, sizeof text, places[i % place_count]);
        wrong += wrong_within(sequence, 4, text, 20, i % 17);
    }
    EXPECT_EQ(wrong, 0);
}

TEST("every code point there is, one after the other, is one valid text in any pieces")
{
    uint8_t *text = malloc(0x110000 * 4);
    size_t size = 0;
    for (uint32_t value = 0; value < 0x110000; value++)
        if (value < 0xD800 || value > 0xDFFF) put_code_point(text, &size, value);
    struct random random = {.state = 7};
    for (enum cpu_level level = CPU_BASELINE; level <= cpu_best(); level++) {
        cpu_use(level);
        EXPECT(utf8_valid((struct bytes){.data = text, .size = size}));
        struct utf8 state = {};
        bool good = true;
        for (size_t at = 0, piece; at < size; at += piece) {
            piece = 1 + random_below(&random, 200);
            if (piece > size - at) piece = size - at;
            good = good && utf8_feed(&state, (struct bytes){.data = text + at, .size = piece});
        }
        EXPECT(good && utf8_complete(&state));
    }
    cpu_use(cpu_best());
    free(text);
}

/* Signs of all lengths, at the edges of their ranges; one in eight of `kind`s only ASCII. */
static uint32_t sign_of(struct random *random, uint64_t kind)
{
    static const uint32_t signs[] = {0x00,   0x41,   0x7F,   0x80,   0x7FF,   0x800,   0xFFF,
                                     0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0xFFFFF, 0x10FFFF};
    constexpr size_t count = sizeof signs / sizeof signs[0];
    if (kind % 8 == 0 || random_below(random, 8) < kind % 8) return 'a';
    return signs[random_below(random, count)];
}

TEST("a text of any size up to 300, whole or with a wrong byte, is judged at every split as its "
     "bytes are, and leaves the same state")
{
    struct random random = {.state = 42};
    for (size_t size = 0; size <= 300; size++) {
        uint8_t text[304];
        for (size_t used = 0; used < size;)
            put_code_point(text, &used, sign_of(&random, size)); // the last one may be cut
        if (random_below(&random, 2) == 0 && size > 0)
            text[random_below(&random, size)] = edges[random_below(&random, edge_count)];
        for (size_t split = 0; split <= size; split++) {
            struct utf8 state = {};
            expect_plain(state, text, split);
            if (feed_plainly(&state, text, split)) expect_plain(state, text + split, size - split);
        }
    }
}

TEST("a wrong byte at any place of a text in any alphabet is seen, and before it nothing is")
{
    static const uint32_t alphabets[] = {'a', 0xE9, 0x436, 0x4F60, 0x1F600};
    for (size_t i = 0; i < sizeof alphabets / sizeof alphabets[0]; i++) {
        constexpr size_t size = 140;
        uint8_t text[size + 4];
        for (size_t used = 0; used < size;)
            put_code_point(text, &used, alphabets[i]);
        for (size_t at = 0; at < size; at++) {
            uint8_t right = text[at];
            for (size_t wrong = 0; wrong < edge_count; wrong++) {
                text[at] = edges[wrong];
                expect_plain((struct utf8){}, text, size);
                expect_plain((struct utf8){}, text, at + 1);
            }
            text[at] = right;
            expect_plain((struct utf8){}, text, at);
        }
    }
}

TEST("whatever a piece before has left owed, a piece of any bytes is judged as its bytes are")
{
    static const char *const begun[] = {"",         "\xC3",     "\xE0",        "\xE1",
                                        "\xED",     "\xF0",     "\xF1",        "\xF4",
                                        "\xE1\x80", "\xF1\x80", "\xF4\x80\x80"};
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++)
        for (size_t bytes = 0; bytes < edge_count * edge_count * edge_count; bytes++) {
            uint8_t text[70];
            memset(text, 'a', sizeof text);
            text[0] = edges[bytes % edge_count];
            text[1] = edges[bytes / edge_count % edge_count];
            text[2] = edges[bytes / edge_count / edge_count];
            struct utf8 state = {};
            EXPECT(feed_plainly(&state, (const uint8_t *)begun[i], strlen(begun[i])));
            static const size_t sizes[] = {3, 9, 33, 35, 70};
            expect_plain(state, text, sizes[bytes % 5]);
        }
}
