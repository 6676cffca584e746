#include "world_options.h"
#include "handshake.h"
#include "options.h"
#include "trouble.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: ringcast-bench world [OPTION]...   players who walk about, one window for each line "
    "on\n"
    "                                          stdin: `walk`, or `still` where nobody shall move\n"
    "\n"
    "  --server ADDR     the server's IPv4 address and port [127.0.0.1:8080]\n"
    "  --path PATH       where to connect [/ws]\n"
    "  --clients N       players [2000]\n"
    "  --walkers N       the server's own (--world-walkers) [0]\n"
    "  --share N         entities of one cell in one update, at most [64]\n"
    "  --rate N          connections opened per second [2000]\n"
    "  --tick TIME       the world's tick [50ms]\n"
    "  --seconds N       of a window; rounded to whole ticks [5]\n"
    "  --corner X,Z      least corner of the square that they spread over, in metres [0,0]\n"
    "  --side N          and its side, in metres [512]\n"
    "  --spread N        from its spawn point to a player's own place, along each axis [64]\n"
    "  --walking N       metres a second while they walk [5]\n"
    "  --flying N        and on the way to that place [25]\n"
    "  --step TIME       from one player_update to the next [100ms]\n"
    "  --server-pid PID  also measure the CPU time of that process\n"
    "  --room            the server is no world but a room of states (--kart-stamp); they say the\n"
    "                    same, and nobody hears it\n"
    "\n"
    "Tokens are signed with SUPABASE_JWT_SECRET. The figures of each window go to stdout as JSON;\n"
    "the end of stdin ends the run. Exit code: 0 each was told of what is near and of nothing "
    "else,\n"
    "and none was closed; 1 not so; 2 nothing could be measured.\n";

static struct world_place corner_of(const char *text)
{
    constexpr long far = 65'536;
    char *comma = nullptr, *end = nullptr;
    errno = 0;
    long x = strtol(text, &comma, 10);
    long z = *comma == ',' ? strtol(comma + 1, &end, 10) : 0;
    if (errno != 0 || comma == text || *comma != ',' || end == comma + 1 || *end != '\0' ||
        x < -far || x > far || z < -far || z > far)
        give_up("--corner %s: give two whole numbers, as in -256,-256", text);
    return (struct world_place){.x = x * 1000, .z = z * 1000};
}

static void check(struct world_options *options, uint64_t walking, uint64_t flying)
{
    struct world_ground *ground = &options->ground;
    if (options->path[0] != '/') give_up("--path %s: it starts with /", options->path);
    if (strlen(options->path) >= handshake_path_max) give_up("--path: it is too long");
    if (!options->room && options->secret == nullptr)
        give_up("tokens are wanted: set SUPABASE_JWT_SECRET to the server's secret");
    ground->walking = (int64_t)(walking * ground->step_ms);
    ground->flying = (int64_t)(flying * ground->step_ms);
    uint64_t ticks = options->window_ns / options->tick_ns;
    options->window_ns = (ticks > 0 ? ticks : 1) * options->tick_ns;
}

struct world_options world_options_read(int argc, char **argv)
{
    static const struct option known[] = {
        {"server", required_argument, nullptr, 's'},
        {"path", required_argument, nullptr, 'p'},
        {"clients", required_argument, nullptr, 'n'},
        {"walkers", required_argument, nullptr, 'w'},
        {"share", required_argument, nullptr, 'm'},
        {"rate", required_argument, nullptr, 'r'},
        {"tick", required_argument, nullptr, 't'},
        {"seconds", required_argument, nullptr, 'l'},
        {"corner", required_argument, nullptr, 'c'},
        {"side", required_argument, nullptr, 'd'},
        {"spread", required_argument, nullptr, 'a'},
        {"walking", required_argument, nullptr, 'g'},
        {"flying", required_argument, nullptr, 'f'},
        {"step", required_argument, nullptr, 'e'},
        {"server-pid", required_argument, nullptr, 'i'},
        {"room", no_argument, nullptr, 'b'},
        {"help", no_argument, nullptr, 'h'},
        {},
    };
    struct world_options options = {.server = address_of("127.0.0.1:8080"),
                                    .path = "/ws",
                                    .secret = getenv("SUPABASE_JWT_SECRET"),
                                    .clients = 2000,
                                    .share = 64,
                                    .rate = 2000,
                                    .tick_ns = 50'000'000,
                                    .window_ns = 5'000'000'000,
                                    .ground = {.side = 512'000, .spread = 64'000, .step_ms = 100}};
    uint64_t walking = 5, flying = 25;
    int index = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", known, &index)) != -1;) {
        const char *name = known[index].name;
        switch (letter) {
        case 's': options.server = address_of(optarg); break;
        case 'p': options.path = optarg; break;
        case 'n': options.clients = (uint32_t)number_of(name, optarg, 1, 100'000, ""); break;
        case 'w': options.walkers = (uint32_t)number_of(name, optarg, 0, 100'000, ""); break;
        case 'm': options.share = (uint32_t)number_of(name, optarg, 1, 1024, ""); break;
        case 'r': options.rate = (uint32_t)number_of(name, optarg, 1, 1'000'000, ""); break;
        case 't': options.tick_ns = number_of(name, optarg, 1, 60'000, "ms") * 1'000'000; break;
        case 'l': options.window_ns = number_of(name, optarg, 1, 86'400, "") * 1'000'000'000; break;
        case 'c': options.ground.corner = corner_of(optarg); break;
        case 'd':
            options.ground.side = (int64_t)number_of(name, optarg, 1, 100'000, "") * 1000;
            break;
        case 'a':
            options.ground.spread = (int64_t)number_of(name, optarg, 1, 100'000, "") * 1000;
            break;
        case 'g': walking = number_of(name, optarg, 1, 500, ""); break;
        case 'f': flying = number_of(name, optarg, 1, 500, ""); break;
        case 'e': options.ground.step_ms = (uint32_t)number_of(name, optarg, 10, 1000, "ms"); break;
        case 'i': options.server_pid = (pid_t)number_of(name, optarg, 1, INT32_MAX, ""); break;
        case 'b': options.room = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: give_up("world --help lists the options");
        }
    }
    if (optind < argc) give_up("%s: not an option; world --help lists them", argv[optind]);
    check(&options, walking, flying);
    return options;
}
