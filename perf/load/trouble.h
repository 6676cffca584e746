/* perf/load/trouble.h: the end of a run that cannot be measured. */
#pragma once

constexpr int exit_not_measured = 2;

/* Prints one sentence on stderr and ends the program with exit_not_measured. */
[[noreturn, gnu::format(printf, 1, 2)]] void give_up(const char *format, ...);
