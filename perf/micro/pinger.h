/* perf/micro/pinger.h: what pinging many clients costs at the least: send(2) and recv(2), and only
 * as much around them as somebody needs who does nothing else. */
#pragma once

/* `micro pinger`: listens, says its port on stdout, accepts, says "ready", and pings each client in
 * turn at an even pace until it is ended. */
int pinger_main(int argc, char **argv);
