/* tests/check.h: a test is a sentence that is true.
 *
 *     TEST("a ping may arrive between two fragments (RFC 6455 §5.4)") { EXPECT(...); }
 *
 * Every file in tests/unit is linked into one program, which runs all tests, or those whose
 * sentence or file holds the words it was given. A failed EXPECT says where and goes on; the
 * test counts as failed. */
#pragma once
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct check_test {
    const char *sentence;
    const char *file;
    void (*run)(void);
    struct check_test *next;
};

/* Called before main by TEST. The test lives as long as the program. */
void check_register(struct check_test *test);

/* Notes a failure of the running test, at most 20 lines a test are printed. */
[[gnu::format(printf, 3, 4)]] void check_failed(const char *file, int line, const char *format,
                                                ...);

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(words)                                                                   \
    static void CHECK_JOIN(test_, __LINE__)(void);                                    \
    [[gnu::constructor]] static void CHECK_JOIN(test_register_, __LINE__)(void)       \
    {                                                                                 \
        static struct check_test test = {                                             \
            .sentence = words, .file = __FILE__, .run = CHECK_JOIN(test_, __LINE__)}; \
        check_register(&test);                                                        \
    }                                                                                 \
    static void CHECK_JOIN(test_, __LINE__)(void)

#define EXPECT(condition)                                                               \
    do {                                                                                \
        if (!(condition)) check_failed(__FILE__, __LINE__, "expected: %s", #condition); \
    } while (0)

/* Two integers. */
#define EXPECT_EQ(actual, wanted)                                                         \
    do {                                                                                  \
        long long check_a = (long long)(actual), check_w = (long long)(wanted);           \
        if (check_a != check_w)                                                           \
            check_failed(__FILE__, __LINE__, "%s is %lld, wanted %lld", #actual, check_a, \
                         check_w);                                                        \
    } while (0)

/* Two runs of bytes: anything with .data and .size on the left, a string literal on the right. */
#define EXPECT_TEXT(actual, literal)                                                           \
    do {                                                                                       \
        typeof(actual) check_t = (actual);                                                     \
        const char *check_w = (literal), *check_a = (const char *)check_t.data;                \
        size_t check_ws = sizeof(literal) - 1, check_as = check_t.size;                        \
        if (check_as != check_ws || (check_ws > 0 && memcmp(check_a, check_w, check_ws) != 0)) \
            check_failed(__FILE__, __LINE__, "%s is \"%.*s\", wanted \"%s\"", #actual,         \
                         (int)check_as, check_as > 0 ? check_a : "", check_w);                 \
    } while (0)
