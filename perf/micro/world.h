/* perf/micro/world.h: what a tick of the world costs, beside what it would cost to encode each
 * player's update by itself. */
#pragma once

/* `ringcast-micro world [OPTION]...`; the exit code. */
int world_main(int argc, char **argv);
