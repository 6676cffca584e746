#include "base/cpu.h"
#include "check.h"

TEST("the processor's level is found before main, and is the best it has")
{
    EXPECT_EQ(cpu_level, cpu_best());
    for (enum cpu_level level = CPU_BASELINE; level <= CPU_AVX512; level++)
        EXPECT_EQ(cpu_has(level), level <= cpu_best());
}

TEST("a processor can be taken for a lesser one, and back")
{
    cpu_use(CPU_BASELINE);
    EXPECT(cpu_has(CPU_BASELINE) && !cpu_has(CPU_AVX2) && !cpu_has(CPU_AVX512));
    cpu_use(cpu_best());
    EXPECT(cpu_has(cpu_best()));
}

#if defined(__x86_64__)
/* The kernel's own opinion, from another place: it leaves out what it does not save. */
static bool kernel_says(const char *flag)
{
    static char line[16 * 1024];
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool found = false;
    while (file != nullptr && !found && fgets(line, sizeof line, file) != nullptr) {
        if (strncmp(line, "flags", 5) != 0) continue;
        line[strcspn(line, "\n")] = ' ';
        found = strstr(line, flag) != nullptr;
    }
    if (file != nullptr) fclose(file);
    return found;
}

TEST("the level agrees with what the kernel says of the processor")
{
    bool avx2 = kernel_says(" avx2 ");
    bool avx512 = avx2 && kernel_says(" avx512f ") && kernel_says(" avx512bw ") &&
                  kernel_says(" avx512vl ") && kernel_says(" avx512_vbmi2 ");
    EXPECT_EQ(cpu_best(), avx512 ? CPU_AVX512 : avx2 ? CPU_AVX2 : CPU_BASELINE);
}
#endif
