/* base/cpu.h: what this processor can do beyond what every one of its architecture can.
 *
 * One binary serves all of them: a function that gains from wider registers is compiled more than
 * once, as it stands and with [[gnu::target("avx2")]], and asks here which to take. That costs a
 * branch that always goes the same way. The answer is found before main, so before any thread, and
 * stays; it is all that the pure layers share. */
#pragma once
#include <stdint.h>

/* Each has everything that those above it have. */
enum cpu_level : uint8_t {
    CPU_BASELINE, /* x86-64: SSE2. Elsewhere: whatever the compiler takes for granted */
    CPU_AVX2,     /* 32-byte registers: Intel from 2013, AMD from 2015 */
    CPU_AVX512,   /* 64-byte registers, where using them slows nothing else: from 2019, and 2022 */
};

extern enum cpu_level cpu_level; /* only cpu_use writes it */

static inline bool cpu_has(enum cpu_level level)
{
    return cpu_level >= level;
}

/* The highest level of this machine: its processor has it, and its kernel saves its registers. */
enum cpu_level cpu_best(void);

/* For tests and measurements, while no other thread runs: from now on go by `level`, which is at
 * most cpu_best. */
void cpu_use(enum cpu_level level);
