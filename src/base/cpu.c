#include "base/cpu.h"
#include <assert.h>

enum cpu_level cpu_level = CPU_BASELINE;
static enum cpu_level best = CPU_BASELINE; /* asking is slow: a virtual machine's host answers */

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: the registers that the kernel saves when it switches threads. */
static uint32_t saved_registers(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* In the order of Intel's manual (volume 1, 14.7.1 and 15.2): processor, kernel, instructions. By
 * hand, because __builtin_cpu_supports wants a runtime library that Zig does not bring. */
static enum cpu_level ask(void)
{
    constexpr uint32_t saves_32 = 0x06, saves_64 = 0xE6; /* all parts of such registers */
    constexpr uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL;
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return CPU_BASELINE;
    if ((ecx & bit_OSXSAVE) == 0 || (ecx & bit_AVX) == 0) return CPU_BASELINE;
    uint32_t saved = saved_registers();
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return CPU_BASELINE;
    if ((saved & saves_32) != saves_32 || (ebx & bit_AVX2) == 0) return CPU_BASELINE;
    /* VBMI2 is not used: it tells Ice Lake and Zen 4 from their elders, who lower their clock for
     * 64-byte registers. */
    bool good_at_64 = (ebx & avx512) == avx512 && (ecx & bit_AVX512VBMI2) != 0;
    return good_at_64 && (saved & saves_64) == saves_64 ? CPU_AVX512 : CPU_AVX2;
}

#else

static enum cpu_level ask(void)
{
    return CPU_BASELINE;
}

#endif

enum cpu_level cpu_best(void)
{
    return best;
}

void cpu_use(enum cpu_level level)
{
    assert(level <= best);
    cpu_level = level;
}

[[gnu::constructor]] static void find_before_main(void)
{
    best = ask();
    cpu_level = best;
}
