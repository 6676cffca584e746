/* perf/load/broadcast.h: `ringcast-bench broadcast`: the least that a server of rooms' states could
 * be, to measure real ones beside. One thread, epoll, send(2). Who comes is put into the room that
 * its path names; each tick each room makes one state of the form that --kart-stamp has, or a
 * burst of them, and sends it to each member, in the order of coming. It answers pings and
 * goodbyes, counts what else is said, and passes over a member whose last state the kernel has not
 * taken whole. */
#pragma once

/* The whole program. Says "listening" on stderr when it does, and after SIGTERM how many messages
 * it has heard. */
int broadcast_main(int argc, char **argv);
