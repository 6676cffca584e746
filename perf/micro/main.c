/* perf/micro/main.c: one program, several measurements and what they need at the other end.
 * README.md says how they are used. */
#include "crowd.h"
#include "fanout.h"
#include "inbound.h"
#include "pinger.h"
#include "pure.h"
#include "world.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: micro fanout [OPTION]...   the server's sending beside a bare send(2) loop; --help\n"
    "       micro pure [OPTION]...     unmasking, UTF-8 and headers beside memcpy; --help\n"
    "       micro inbound [OPTION]...  a chat message on its way in, part by part; --help\n"
    "       micro world [OPTION]...    a tick of the world; --help\n"
    "       micro crowd --port N --count N [--core N] [--answered FILE] [--bare]\n"
    "                                  clients that answer pings; used by idle.py\n"
    "       micro pinger --count N [--period MS] [--core N] [--waits]\n"
    "                                  a bare loop of pings; used by idle.py\n";

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "fanout") == 0) return fanout_main(argc - 1, argv + 1);
    if (strcmp(what, "pure") == 0) return pure_main(argc - 1, argv + 1);
    if (strcmp(what, "inbound") == 0) return inbound_main(argc - 1, argv + 1);
    if (strcmp(what, "world") == 0) return world_main(argc - 1, argv + 1);
    if (strcmp(what, "crowd") == 0) return crowd_main(argc - 1, argv + 1);
    if (strcmp(what, "pinger") == 0) return pinger_main(argc - 1, argv + 1);
    fputs(help, stderr);
    return 2;
}
