/* perf/micro/fanout.h: what the server's own sending costs beside a bare loop of send(2). */
#pragma once

/* `micro fanout`: measures, prints the table. */
int fanout_main(int argc, char **argv);
