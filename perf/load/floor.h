/* perf/load/floor.h: `ringcast-bench floor`: the least that a chat server could be, to measure a
 * real one beside. One thread, epoll, send(2). Who comes is put into groups of N in the order of
 * coming; what one says, all of its group get, byte for byte as it was said. It reads the
 * opening handshake's key, unmasks, writes a header and sends; it checks nothing, knows nobody,
 * keeps nothing back and, unless it shall ping, has no timer. Whoever sends a frame in pieces,
 * or does not read, ends the program. */
#pragma once

/* The whole program. Says "listening" on stderr when it does, and ends by a signal. */
int floor_main(int argc, char **argv);
