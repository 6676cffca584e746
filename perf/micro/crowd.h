/* perf/micro/crowd.h: many clients that do nothing but answer pings. */
#pragma once

/* `micro crowd`: connects, says "ready" on stdout, and answers pings until it is ended. */
int crowd_main(int argc, char **argv);
