#include "options.h"
#include "trouble.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: ringcast-bench [OPTION]...   open clients, receive for a while, report\n"
    "       ringcast-bench talk --help    chat in rooms\n"
    "       ringcast-bench send --help    say something to a server, or nothing\n"
    "       ringcast-bench knock --help   come, be greeted, leave\n"
    "       ringcast-bench world --help   walk about in the world\n"
    "       ringcast-bench floor --help   a bare server of chat, to measure beside\n"
    "       ringcast-bench broadcast --help   a bare server of states, to measure beside\n"
    "\n"
    "  --server ADDR     the server's IPv4 address and port [127.0.0.1:8080]\n"
    "  --path PATH       where to connect; # stands for the room's number [/ws]\n"
    "  --clients N       clients at once [1000]\n"
    "  --rooms N         spread the clients over N rooms; PATH needs a # [1]\n"
    "  --rate N          connections opened per second [2000]\n"
    "  --tick TIME       the server's tick, as in 500ms [500ms]\n"
    "  --seconds N       how long to measure; rounded to whole ticks [10]\n"
    "  --server-pid PID  also measure the CPU time and memory of that process\n"
    "  --deflate         offer permessage-deflate\n"
    "  --json FILE       write the figures there, too\n"
    "  --steered         measure once for each line on stdin, and write the figures of each window "
    "to\n"
    "                    stdout as JSON; the end of stdin ends the run\n"
    "\n"
    "The server must run with --kart-stamp. Exit code: 0 every state reached every client and "
    "none\n"
    "was closed, 1 not so, 2 nothing could be measured.\n";

uint64_t number_of(const char *name, const char *text, uint64_t min, uint64_t max, const char *unit)
{
    char *end = nullptr;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    bool whole = *text >= '0' && *text <= '9' && strcmp(end, unit) == 0 && errno == 0;
    if (!whole || value < min || value > max)
        give_up("--%s %s: give a number from %llu to %llu%s", name, text, (unsigned long long)min,
                (unsigned long long)max, unit);
    return value;
}

struct sockaddr_in address_of(const char *text)
{
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strrchr(text, ':');
    size_t size = colon != nullptr ? (size_t)(colon - text) : sizeof host;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (size < sizeof host) memcpy(host, text, size);
    if (size >= sizeof host || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        give_up("--server %s: give an IPv4 address and a port, as in 127.0.0.1:8080", text);
    address.sin_port = htons((uint16_t)number_of("server", colon + 1, 1, UINT16_MAX, ""));
    return address;
}

static void take(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "server") == 0) options->server = address_of(value);
    if (strcmp(name, "path") == 0) options->path = value;
    if (strcmp(name, "clients") == 0)
        options->clients = (uint32_t)number_of(name, value, 1, 1'000'000, "");
    if (strcmp(name, "rooms") == 0)
        options->rooms = (uint32_t)number_of(name, value, 1, 100'000, "");
    if (strcmp(name, "rate") == 0)
        options->rate = (uint32_t)number_of(name, value, 1, 1'000'000, "");
    if (strcmp(name, "tick") == 0)
        options->tick_ns = number_of(name, value, 1, 60'000, "ms") * 1'000'000;
    if (strcmp(name, "seconds") == 0)
        options->window_ns = number_of(name, value, 1, 86'400, "") * 1'000'000'000;
    if (strcmp(name, "server-pid") == 0)
        options->server_pid = (pid_t)number_of(name, value, 1, INT32_MAX, "");
    if (strcmp(name, "json") == 0) options->json = value;
    if (strcmp(name, "deflate") == 0) options->deflate = true;
    if (strcmp(name, "steered") == 0) options->steered = true;
}

static void check(struct options *options)
{
    if (options->path[0] != '/' || strpbrk(options->path, " \t\r\n") != nullptr)
        give_up("--path %s: give a path that starts with /", options->path);
    if (strlen(options->path) > 200) give_up("--path: at most 200 characters");
    if (options->rooms > 1 && strchr(options->path, '#') == nullptr)
        give_up("--rooms: --path needs a # for the room's number, as in /ws/kart/bench-#");
    if (options->rooms > options->clients) give_up("--rooms: more rooms than clients");
    uint64_t ticks = options->window_ns / options->tick_ns;
    options->window_ns = (ticks > 0 ? ticks : 1) * options->tick_ns;
}

struct options options_read(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, nullptr, 0},
        {"path", required_argument, nullptr, 0},
        {"clients", required_argument, nullptr, 0},
        {"rooms", required_argument, nullptr, 0},
        {"rate", required_argument, nullptr, 0},
        {"tick", required_argument, nullptr, 0},
        {"seconds", required_argument, nullptr, 0},
        {"server-pid", required_argument, nullptr, 0},
        {"json", required_argument, nullptr, 0},
        {"steered", no_argument, nullptr, 0},
        {"deflate", no_argument, nullptr, 0},
        {"help", no_argument, nullptr, 'h'},
        {},
    };
    struct options options = {.server = address_of("127.0.0.1:8080"),
                              .path = "/ws",
                              .clients = 1000,
                              .rooms = 1,
                              .rate = 2000,
                              .tick_ns = 500'000'000,
                              .window_ns = 10'000'000'000};
    int index = 0;
    for (int answer; (answer = getopt_long(argc, argv, "", known, &index)) != -1;) {
        if (answer == 'h') {
            fputs(help, stdout);
            exit(0);
        }
        if (answer != 0) give_up("--help lists the options");
        take(&options, known[index].name, optarg);
    }
    if (optind < argc) give_up("%s: not an option; --help lists them", argv[optind]);
    check(&options);
    return options;
}
