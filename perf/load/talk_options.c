#include "talk_options.h"
#include "options.h"
#include "talk.h"
#include "trouble.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: ringcast-bench talk [OPTION]...   chat in rooms, one window for each line on stdin\n"
    "\n"
    "  --server ADDR     the server's IPv4 address and port [127.0.0.1:8080]\n"
    "  --targets FILE    a line for each client: PATH TOKEN; each --members of them are a room, "
    "and\n"
    "                    are called p0, p1, ... there\n"
    "  --members N       of a room [10]\n"
    "  --rate N          connections opened per second [2000]\n"
    "  --period TIME     from one message of a room to the next [1000ms]\n"
    "  --periods N       of a window [5]\n"
    "  --text N          bytes of a message [64]\n"
    "  --server-pid PID  also measure the CPU time of that process\n"
    "  --bare            the server is `ringcast-bench floor`\n"
    "\n"
    "The figures of each window go to stdout as JSON; the end of stdin ends the run. Exit code: 0 "
    "all\n"
    "was heard, in order, by whom it was for, and none was closed; 1 not so; 2 nothing could be\n"
    "measured.\n";

struct talk_options talk_options_read(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, nullptr, 's'},
        {"targets", required_argument, nullptr, 't'},
        {"members", required_argument, nullptr, 'm'},
        {"rate", required_argument, nullptr, 'r'},
        {"period", required_argument, nullptr, 'p'},
        {"periods", required_argument, nullptr, 'n'},
        {"text", required_argument, nullptr, 'x'},
        {"server-pid", required_argument, nullptr, 'i'},
        {"bare", no_argument, nullptr, 'b'},
        {"help", no_argument, nullptr, 'h'},
        {},
    };
    struct talk_options options = {.server = address_of("127.0.0.1:8080"),
                                   .members = 10,
                                   .rate = 2000,
                                   .period_ns = 1'000'000'000,
                                   .periods = 5,
                                   .text_size = talk_text_min};
    for (int letter; (letter = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (letter) {
        case 's': options.server = address_of(optarg); break;
        case 't': options.targets = optarg; break;
        case 'm': options.members = (uint32_t)number_of("members", optarg, 2, 1000, ""); break;
        case 'r': options.rate = (uint32_t)number_of("rate", optarg, 1, 1'000'000, ""); break;
        case 'p':
            options.period_ns = number_of("period", optarg, 1, 60'000, "ms") * 1'000'000;
            break;
        case 'n': options.periods = (uint32_t)number_of("periods", optarg, 1, 86'400, ""); break;
        case 'x':
            options.text_size =
                (uint32_t)number_of("text", optarg, talk_text_min, talk_text_max, "");
            break;
        case 'i':
            options.server_pid = (pid_t)number_of("server-pid", optarg, 1, INT32_MAX, "");
            break;
        case 'b': options.bare = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: give_up("talk --help lists the options");
        }
    }
    if (optind < argc) give_up("%s: not an option; talk --help lists them", argv[optind]);
    if (options.targets == nullptr) give_up("talk needs --targets FILE");
    return options;
}
