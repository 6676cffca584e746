/* perf/micro/pure.h: the parts of ws/ and base/ that only compute, beside memcpy and beside the
 * best published way. */
#pragma once

/* `ringcast-micro pure [OPTION]...`; the exit code. */
int pure_main(int argc, char **argv);
