/* perf/micro/say.h: what all of these programs do with their command lines and their troubles. */
#pragma once
#include <stdint.h>

/* Says why on stderr and ends the program with exit code 2: nothing was measured. */
[[noreturn, gnu::format(printf, 1, 2)]] void give_up(const char *format, ...);

/* A whole number within bounds, or the end. */
uint32_t number_of(const char *text, uint32_t min, uint32_t max);
