/* tests/unit/main.c: runs the tests whose sentence or file holds each word of the command line;
 * all of them without any. The last line counts them; the exit code is 1 when one failed or none
 * ran. */
#include "check.h"
#include <stdarg.h>
#include <stdlib.h>

static struct check_test *first;
static struct check_test **last = &first;
static unsigned failures; /* of the running test */

void check_register(struct check_test *test)
{
    *last = test;
    last = &test->next;
}

void check_failed(const char *file, int line, const char *format, ...)
{
    failures += 1;
    if (failures > 20) return;
    va_list arguments;
    va_start(arguments, format);
    printf("  %s:%d: ", file, line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static bool wanted(const struct check_test *test, int count, char **words)
{
    for (int i = 0; i < count; i++)
        if (strstr(test->sentence, words[i]) == nullptr && strstr(test->file, words[i]) == nullptr)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    setvbuf(stdout, nullptr, _IOLBF, 0);
    for (struct check_test *test = first; test != nullptr; test = test->next) {
        if (!wanted(test, argc - 1, argv + 1)) continue;
        failures = 0;
        test->run();
        if (failures > 0) printf("FAILED %s: %s\n", test->file, test->sentence);
        *(failures > 0 ? &failed : &passed) += 1;
    }
    printf("unit: %u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
