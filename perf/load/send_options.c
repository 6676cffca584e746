#include "send_options.h"
#include "handshake.h"
#include "options.h"
#include "said.h"
#include "trouble.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: ringcast-bench send [OPTION]...   say something to a server, or nothing; a window for\n"
    "                                         each line on stdin\n"
    "\n"
    "  --server ADDR     the server's IPv4 address and port [127.0.0.1:8080]\n"
    "  --path PATH       where to connect [/ws]\n"
    "  --targets FILE    in place of it a line for each client: PATH TOKEN\n"
    "  --clients N       clients at once [1000]\n"
    "  --rate N          connections opened per second [2000]\n"
    "  --every TIME      from one message of a client to its next; 0ms: none, only pings are "
    "answered\n"
    "                    [25ms]\n"
    "  --size N          bytes of a message [64]\n"
    "  --echo            each message comes back as it was said\n"
    "  --at-once N       with --echo: not by the clock; each client has N messages under way\n"
    "  --probe N         one message of N is followed by a ping, whose pong tells how late the "
    "server\n"
    "                    has read it, at most [0: none]\n"
    "  --seconds N       of a window [5]\n"
    "  --server-pid PID  also measure the CPU time of that process\n"
    "\n"
    "The figures of each window go to stdout as JSON; the end of stdin ends the run. Exit code: 0 "
    "all\n"
    "was taken, what was to come back did, and none was closed; 1 not so; 2 nothing could be "
    "measured.\n";

static void check(const struct send_options *options)
{
    if (options->path[0] != '/' || strlen(options->path) >= handshake_path_max)
        give_up("--path %s: give a path that starts with /, not too long", options->path);
    if (options->at_once > 0 && !options->echo) give_up("--at-once needs --echo");
    if (options->every_ns == 0 && (options->echo || options->probe > 0))
        give_up("--every 0ms: nobody says anything, so nothing comes back");
    if (options->echo && options->probe > 0) give_up("--probe is for messages without an echo");
}

static void take(struct send_options *options, int letter)
{
    switch (letter) {
    case 's': options->server = address_of(optarg); break;
    case 'p': options->path = optarg; break;
    case 't': options->targets = optarg; break;
    case 'c': options->clients = (uint32_t)number_of("clients", optarg, 1, 1'000'000, ""); break;
    case 'r': options->rate = (uint32_t)number_of("rate", optarg, 1, 1'000'000, ""); break;
    case 'v': options->every_ns = number_of("every", optarg, 0, 60'000, "ms") * 1'000'000; break;
    case 'x':
        options->size = (uint32_t)number_of("size", optarg, said_size_min, said_size_max, "");
        break;
    case 'e': options->echo = true; break;
    case 'n': options->at_once = (uint32_t)number_of("at-once", optarg, 1, 64, ""); break;
    case 'b': options->probe = (uint32_t)number_of("probe", optarg, 0, 1'000'000, ""); break;
    case 'w':
        options->window_ns = number_of("seconds", optarg, 1, 86'400, "") * 1'000'000'000;
        break;
    case 'i': options->server_pid = (pid_t)number_of("server-pid", optarg, 1, INT32_MAX, ""); break;
    case 'h': fputs(help, stdout); exit(0);
    default: give_up("send --help lists the options");
    }
}

struct send_options send_options_read(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, nullptr, 's'},
        {"path", required_argument, nullptr, 'p'},
        {"targets", required_argument, nullptr, 't'},
        {"clients", required_argument, nullptr, 'c'},
        {"rate", required_argument, nullptr, 'r'},
        {"every", required_argument, nullptr, 'v'},
        {"size", required_argument, nullptr, 'x'},
        {"echo", no_argument, nullptr, 'e'},
        {"at-once", required_argument, nullptr, 'n'},
        {"probe", required_argument, nullptr, 'b'},
        {"seconds", required_argument, nullptr, 'w'},
        {"server-pid", required_argument, nullptr, 'i'},
        {"help", no_argument, nullptr, 'h'},
        {},
    };
    struct send_options options = {.server = address_of("127.0.0.1:8080"),
                                   .path = "/ws",
                                   .clients = 1000,
                                   .rate = 2000,
                                   .every_ns = 25'000'000,
                                   .size = said_size_min,
                                   .window_ns = 5'000'000'000};
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;)
        take(&options, letter);
    if (optind < argc) give_up("%s: not an option; send --help lists them", argv[optind]);
    check(&options);
    return options;
}
