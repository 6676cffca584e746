#include "hub/config.h"
#include "limits.h"
#include <stddef.h>

enum option_type : uint8_t {
    OPTION_FLAG,
    OPTION_ADDRESS,
    OPTION_COUNT,
    OPTION_DURATION,
    OPTION_MOMENT,
    OPTION_SIZE,
    OPTION_ORIGIN,
    OPTION_HOSTS,
    OPTION_BLOCKS,
    OPTION_LOG_LEVEL,
    OPTION_LOG_FORMAT,
    OPTION_TEXT,
    OPTION_POLICY,
    OPTION_AUTH_FAIL,
};

struct option {
    const char *name;  /* "kart-tick": the flag is --kart-tick, the variable RINGCAST_KART_TICK */
    const char *value; /* what the help calls its value; nullptr for a flag */
    const char *standard; /* nullptr: off, or nothing */
    const char *dev;      /* the default under --dev, where it differs */
    uint64_t least, most; /* of counts, durations (ms), moments (us) and sizes */
    size_t offset;        /* in struct config */
    enum option_type type;
    const char *meaning;
};

#define AT(field) offsetof(struct config, field)
static const struct option options[] = {
    {"dev", nullptr, nullptr, nullptr, 0, 0, AT(dev), OPTION_FLAG,
     "a demo on loopback: any origin, API key \"dev\", races that run by themselves"},
    {"listen", "ADDR", ":8080", "127.0.0.1:8080", 0, 0, AT(listen), OPTION_ADDRESS,
     "where clients connect"},
    {"admin", "ADDR", "127.0.0.1:9090", nullptr, 0, 0, AT(admin), OPTION_ADDRESS,
     "the internal listener: /metrics, /healthz, /readyz, commands"},
    {"admin-host", "NAME", nullptr, nullptr, 0, 0, AT(admin_hosts), OPTION_HOSTS,
     "names by which backends call the internal listener's /v1, beside addresses and localhost; "
     "may be repeated, or separated by commas"},
    {"workers", "N", "0", nullptr, 0, 64, AT(workers), OPTION_COUNT,
     "threads that serve; 0: one a core"},
    {"connections", "N", "0", nullptr, 0, 1'000'000, AT(connections), OPTION_COUNT,
     "clients at once; 0: as many as descriptors permit"},
    {"rooms", "N", "1024", nullptr, 0, 1'000'000, AT(rooms), OPTION_COUNT,
     "rooms at once: further races (/ws/kart/ID), vote's, avalon's and lobbies"},
    {"address-connections", "N", "1024", nullptr, 0, 1'000'000, AT(address_connections),
     OPTION_COUNT, "sockets of one address at once (IPv6: of one /64); more get 429; 0: no limit"},
    {"address-handshakes", "N", "200", nullptr, 0, 100'000, AT(address_handshakes), OPTION_COUNT,
     "new sockets of one address a second, twice as many at once; more get 429; 0: no limit"},
    {"address-rooms", "N", "64", nullptr, 0, 1'000'000, AT(address_rooms), OPTION_COUNT,
     "rooms that one address has made at once; more get 429; 0: no limit"},
    {"address-acquires", "N", "10", nullptr, 0, 100'000, AT(address_acquires), OPTION_COUNT,
     "rooms that one address may make a second, twice as many at once; more get 429; 0: no limit"},
    {"address-misses", "N", "10", nullptr, 0, 100'000, AT(address_misses), OPTION_COUNT,
     "rooms that one address may ask for in vain a second, twice as many at once; "
     "then its questions get 429; 0: no limit"},
    {"limit-exempt", "CIDR", nullptr, "127.0.0.0/8,::1", 0, 0, AT(exempt), OPTION_BLOCKS,
     "addresses that are not counted, such as your own load tests'; may be repeated, "
     "or separated by commas"},
    {"trusted-proxy", "CIDR", nullptr, nullptr, 0, 0, AT(trusted), OPTION_BLOCKS,
     "proxies whose X-Forwarded-For, or PROXY header, tells whose connection it is; may be "
     "repeated, or separated by commas"},
    {"proxy-protocol", nullptr, "off", nullptr, 0, 0, AT(proxy_protocol), OPTION_FLAG,
     "each connection must come from a trusted proxy and begin with a PROXY header, version 2"},
    {"message-rate", "N", "50", nullptr, 0, 1'000'000, AT(message_rate), OPTION_COUNT,
     "messages of one client a second, twice as many at once; more end with 4429; "
     "a message counts once more for every 4 KiB; 0: no limit"},
    {"control-rate", "N", "50", nullptr, 0, 1'000'000, AT(control_rate), OPTION_COUNT,
     "pings and unasked pongs of one client a second, twice as many at once; "
     "more end with 4429; 0: no limit"},
    {"chat-rate", "N", "5", nullptr, 0, 1'000'000, AT(chat_rate), OPTION_COUNT,
     "chat messages of one member of a room a second, twice as many at once; more are refused, and "
     "who goes on and on ends with 4429; 0: no limit"},
    {"room-chat-rate", "N", "30", nullptr, 0, 1'000'000, AT(room_chat_rate), OPTION_COUNT,
     "chat messages of all members of a room together a second, twice as many at once; more are "
     "refused; 0: no limit"},
    {"state-rate", "SIZE", "4KiB", nullptr, 0, 1'048'576, AT(state_rate), OPTION_SIZE,
     "state that one member may ask for (sync_state, presence) a second, twice as much at once; "
     "more is refused; 0: no limit"},
    {"allow-origin", "URL", nullptr, nullptr, 0, 0, AT(origins), OPTION_ORIGIN,
     "scheme://host[:port] of web pages that may connect beside the server's own; "
     "may be repeated, or separated by commas; \"*\" allows any"},
    {"ping", "TIME", "25s", nullptr, 100, 86'400'000, AT(ping_ms), OPTION_DURATION,
     "from one ping to the next, less up to a fifth"},
    {"pong", "TIME", "10s", nullptr, 100, 86'400'000, AT(pong_ms), OPTION_DURATION,
     "for a ping's answer; then the client is gone"},
    {"handshake", "TIME", "5s", nullptr, 100, 86'400'000, AT(handshake_ms), OPTION_DURATION,
     "from the connection to a whole request"},
    {"message", "TIME", "15s", nullptr, 100, 86'400'000, AT(message_ms), OPTION_DURATION,
     "from a message's first byte to its last"},
    {"drain", "TIME", "30s", "5s", 100, 86'400'000, AT(drain_ms), OPTION_DURATION,
     "how long a shutdown may take; clients are closed evenly over it"},
    {"not-sent-low", "SIZE", "16KiB", nullptr, 1024, 1'073'741'824, AT(not_sent_low), OPTION_SIZE,
     "TCP_NOTSENT_LOWAT: unsent bytes that the kernel may hold of a client"},
    {"send-buffer", "SIZE", "0", nullptr, 0, 1'073'741'824, AT(send_buffer), OPTION_SIZE,
     "SO_SNDBUF of a client; 0: the kernel's own choice"},
    {"frame-memory", "SIZE", "64MiB", nullptr, 1'048'576, 1'073'741'824, AT(frame_memory),
     OPTION_SIZE,
     "frames that slow clients keep in memory, per worker; beyond it those who owe most "
     "are closed with 4508"},
    {"fast-path", nullptr, "on", nullptr, 0, 0, AT(send_past), OPTION_FLAG,
     "send single frames past empty queues; off: for measurement"},
    {"flush-window", "TIME", "0us", nullptr, 0, 100'000, AT(flush_window_us), OPTION_MOMENT,
     "while a worker is busy, events wait for so long at most, up to four for a client, to be sent "
     "in one piece; 0us: never"},
    {"flush-load", "N", "50", nullptr, 0, 100, AT(flush_load), OPTION_COUNT,
     "how busy that is, percent of a core; it is over below a fifth of it; 0: always"},
    {"wake-batch", "TIME", "0us", nullptr, 0, 10'000, AT(wake_batch_us), OPTION_MOMENT,
     "how long a worker that sleeps may go on sleeping when something comes in, to take more of it "
     "at once (Linux 6.12 or newer); 0us: it wakes up at once"},
    {"deflate-threshold", "SIZE", "512", nullptr, 0, 1'073'741'824, AT(deflate_threshold),
     OPTION_SIZE,
     "smaller messages are sent uncompressed, also to who agreed to permessage-deflate"},
    {"kart-deflate", nullptr, "off", nullptr, 0, 0, AT(kart_deflate), OPTION_FLAG,
     "let clients of races compress (permessage-deflate); the state is too small to gain by it"},
    {"kart-tick", "TIME", "500ms", nullptr, 1, 3'600'000, AT(kart_tick_ms), OPTION_DURATION,
     "from one state to the next"},
    {"kart-slow", "POLICY", "conflate", nullptr, 0, 0, AT(kart_slow), OPTION_POLICY,
     "for who reads too slowly: conflate (only the newest state waits), close (4508), "
     "drop_oldest or drop_newest (of the states that wait)"},
    {"kart-payload", "SIZE", "0", nullptr, 0, 65'536, AT(kart_payload), OPTION_SIZE,
     "pad the state to this size, for load tests"},
    {"kart-burst", "N", "1", nullptr, 1, 16, AT(kart_burst), OPTION_COUNT,
     "states at each tick, for load tests; conflate keeps only the last of them"},
    {"kart-stamp", nullptr, nullptr, nullptr, 0, 0, AT(kart_stamp), OPTION_FLAG,
     "add its time and its number to each state, for load tests; one that is made for a joiner "
     "takes a number, too"},
    {"kart-autostart", nullptr, nullptr, "on", 0, 0, AT(kart_autostart), OPTION_FLAG,
     "races start by themselves, one after the other"},
    {"vote", nullptr, "on", nullptr, 0, 0, AT(vote), OPTION_FLAG,
     "serve vote's rooms under /api/rooms"},
    {"vote-require-host", nullptr, "on", "off", 0, 0, AT(vote_require_host), OPTION_FLAG,
     "starting and releasing a room take the token that acquiring it has given"},
    {"vote-lobby", "TIME", "5m", nullptr, 100, 86'400'000, AT(vote_lobby_ms), OPTION_DURATION,
     "a room that nobody touches for so long before voting starts is released"},
    {"vote-voting", "TIME", "10m", nullptr, 100, 86'400'000, AT(vote_voting_ms), OPTION_DURATION,
     "the same once voting has started"},
    {"vote-deflate", nullptr, "off", nullptr, 0, 0, AT(vote_deflate), OPTION_FLAG,
     "let clients of vote compress (permessage-deflate); its messages are too small to gain by it"},
    {"avalon", nullptr, "on", nullptr, 0, 0, AT(avalon), OPTION_FLAG,
     "serve avalon's rooms under /api/rooms and /ws/rooms; their tokens take a secret, "
     "RINGCAST_JWT_SECRET"},
    {"avalon-players", "N", "10", nullptr, 1, 16, AT(avalon_players), OPTION_COUNT,
     "places in a room of avalon"},
    {"avalon-chat", "N", "500", nullptr, 1, 1200, AT(avalon_chat), OPTION_COUNT,
     "characters of one chat message, which has at most 1200 bytes"},
    {"avalon-chat-echo", nullptr, "on", nullptr, 0, 0, AT(avalon_chat_echo), OPTION_FLAG,
     "who says something in the chat gets it, too"},
    {"avalon-token", "TIME", "4h", nullptr, 1000, 604'800'000, AT(avalon_token_ms), OPTION_DURATION,
     "how long a player's token, and so its place, is valid"},
    {"avalon-unclaimed", "TIME", "2m", nullptr, 100, 86'400'000, AT(avalon_claim_ms),
     OPTION_DURATION, "how long a place is kept for somebody who has never connected to it"},
    {"avalon-leave", "TIME", "5s", nullptr, 0, 3'600'000, AT(avalon_leave_ms), OPTION_DURATION,
     "a player who is back within this was never gone for the others"},
    {"avalon-empty", "TIME", "5m", nullptr, 100, 86'400'000, AT(avalon_empty_ms), OPTION_DURATION,
     "how long a room of avalon stays in which nobody is"},
    {"avalon-auth-fail", "HOW", "http", nullptr, 0, 0, AT(avalon_fail_by_close), OPTION_AUTH_FAIL,
     "who shows no good token gets: http (401 in place of the WebSocket) or close (the "
     "WebSocket, an error message and 4401)"},
    {"lobby", nullptr, "on", nullptr, 0, 0, AT(lobby), OPTION_FLAG,
     "serve lobbies under /ws/games; it takes a key for tokens, RINGCAST_JWT_SECRET or --jwt-keys"},
    {"lobby-people", "N", "16", nullptr, 2, 32, AT(lobby_people), OPTION_COUNT,
     "people in a lobby at once, spectators included"},
    {"lobby-chat", "N", "500", nullptr, 1, 1200, AT(lobby_chat), OPTION_COUNT,
     "characters of one chat message, which has at most 1200 bytes"},
    {"lobby-leave", "TIME", "5s", nullptr, 0, 3'600'000, AT(lobby_leave_ms), OPTION_DURATION,
     "who is back in a lobby within this was never gone for the others"},
    {"lobby-seat", "TIME", "60s", nullptr, 0, 86'400'000, AT(lobby_seat_ms), OPTION_DURATION,
     "a player who is away for so long during a game loses it and the seat; --lobby-leave at "
     "least"},
    {"lobby-empty", "TIME", "60s", nullptr, 100, 86'400'000, AT(lobby_empty_ms), OPTION_DURATION,
     "how long a lobby stays in which nobody is"},
    {"lobby-auth-fail", "HOW", "http", nullptr, 0, 0, AT(lobby_fail_by_close), OPTION_AUTH_FAIL,
     "who shows a lobby no good token gets: http (401 in place of the WebSocket) or close (the "
     "WebSocket, an error message and 4401)"},
    {"relay-members", "N", "32", nullptr, 1, relay_members_most, AT(relay_members), OPTION_COUNT,
     "people in a backend's room, unless it opens the room for another number"},
    {"relay-chat", "N", "500", nullptr, 1, 1200, AT(relay_chat), OPTION_COUNT,
     "characters of one chat message, which has at most 1200 bytes"},
    {"relay-leave", "TIME", "5s", nullptr, 0, 3'600'000, AT(relay_leave_ms), OPTION_DURATION,
     "who is back in a backend's room within this was never gone for the others"},
    {"relay-empty", "TIME", "10m", nullptr, 100, 86'400'000, AT(relay_empty_ms), OPTION_DURATION,
     "how long a backend's room stays in which nobody is, unless it opens the room otherwise"},
    {"world", "FILE", nullptr, nullptr, 0, 0, AT(world_file), OPTION_TEXT,
     "serve the world of this file; not set: one that is built in, with --dev or --world-listen"},
    {"world-listen", "ADDR", nullptr, nullptr, 0, 0, AT(world_listen), OPTION_ADDRESS,
     "where the world's clients connect: a listener that answers nothing but the WebSocket at /ws"},
    {"world-players", "N", "4096", nullptr, 1, 32'768, AT(world_players), OPTION_COUNT,
     "players in the world at once"},
    {"world-unauthenticated", "N", "1024", nullptr, 1, 1'000'000, AT(world_strangers), OPTION_COUNT,
     "connections to the world that have shown no token yet; one more ends the oldest with 1013"},
    {"world-auth", "TIME", "10s", nullptr, 100, 600'000, AT(world_auth_ms), OPTION_DURATION,
     "how long a connection to the world may take to show a token"},
    {"world-leave", "TIME", "10s", nullptr, 0, 3'600'000, AT(world_leave_ms), OPTION_DURATION,
     "a player who is back in the world within this has kept its place"},
    {"world-walkers", "N", "0", nullptr, 0, 32'768, AT(world_walkers), OPTION_COUNT,
     "so many more in the world who only walk about, for load tests"},
    {"world-deflate", nullptr, "off", nullptr, 0, 0, AT(world_deflate), OPTION_FLAG,
     "let clients of the world compress (permessage-deflate)"},
    {"world-log", "FILE", nullptr, nullptr, 0, 0, AT(world_log), OPTION_TEXT,
     "write down all that the world is told, for ringcast replay-world; tokens are hidden"},
    {"world-log-size", "SIZE", "1024MiB", nullptr, 65'536, 4'294'967'295, AT(world_log_size),
     OPTION_SIZE, "how large that file may become; then it ends, and the world goes on"},
    {"jwt-keys", "FILE", nullptr, nullptr, 0, 0, AT(jwt_keys), OPTION_TEXT,
     "a JWK set (RFC 7517): the public keys, or secrets, that sign tokens; read again on SIGHUP"},
    {"jwt-issuer", "TEXT", nullptr, nullptr, 0, 0, AT(jwt_issuer), OPTION_TEXT,
     "what a token's iss must be; not set: anything"},
    {"jwt-audience", "TEXT", nullptr, nullptr, 0, 0, AT(jwt_audience), OPTION_TEXT,
     "what a token's aud must name; not set: anything"},
    {"jwt-leeway", "TIME", "30s", nullptr, 0, 600'000, AT(jwt_leeway_ms), OPTION_DURATION,
     "by how much the clocks of those who make and check tokens may differ"},
    {"token-warning", "TIME", "60s", nullptr, 0, 86'400'000, AT(token_warning_ms), OPTION_DURATION,
     "how long before its token expires who is connected by it is told; 0: never"},
    {"enable-echo", nullptr, nullptr, nullptr, 0, 0, AT(enable_echo), OPTION_FLAG,
     "serve /echo, which sends back what it gets; for tests, not for production"},
    {"echo-message", "SIZE", "16MiB", nullptr, 1024, 67'108'864, AT(echo_message), OPTION_SIZE,
     "the largest message that /echo takes"},
    {"echo-memory", "SIZE", "256MiB", nullptr, 1'048'576, 2'147'483'648, AT(echo_memory),
     OPTION_SIZE,
     "for messages that /echo has read and not sent back, per worker; "
     "each 512 KiB admit one client"},
    {"echo-deflate", nullptr, "off", nullptr, 0, 0, AT(echo_deflate), OPTION_FLAG,
     "let clients of /echo compress (permessage-deflate)"},
    {"log-level", "LEVEL", "info", nullptr, 0, 0, AT(log_level), OPTION_LOG_LEVEL,
     "debug, info, warn or error"},
    {"log-format", "FORMAT", "auto", nullptr, 0, 0, AT(log_format), OPTION_LOG_FORMAT,
     "logfmt, json, or auto: logfmt on a terminal, else json"},
    {"log-burst", "N", "1000", nullptr, 1, 1'000'000, AT(log_burst), OPTION_COUNT,
     "info lines a second at most; the rest is counted"},
};
constexpr size_t option_count = sizeof options / sizeof *options;

static bool parse_scaled(struct text text, const struct text *units, const uint64_t *factors,
                         size_t count, uint32_t *value)
{
    for (size_t i = 0; i < count; i++) {
        if (text.size <= units[i].size) continue;
        struct text number = {text.data, text.size - units[i].size};
        uint64_t plain = 0;
        if (!text_equal(text_skip(text, number.size), units[i]) || !text_to_u64(number, &plain))
            continue;
        if (plain > UINT32_MAX / factors[i]) return false;
        *value = (uint32_t)(plain * factors[i]);
        return true;
    }
    return false;
}

bool config_parse_duration(struct text text, uint32_t *ms)
{
    const struct text units[] = {TEXT("ms"), TEXT("s"), TEXT("m"), TEXT("h"), TEXT("")};
    const uint64_t factors[] = {1, 1000, 60'000, 3'600'000, 1};
    return parse_scaled(text, units, factors, 5, ms);
}

bool config_parse_moment(struct text text, uint32_t *us)
{
    const struct text units[] = {TEXT("us"), TEXT("ms")};
    const uint64_t factors[] = {1, 1000};
    return parse_scaled(text, units, factors, 2, us);
}

bool config_parse_size(struct text text, uint32_t *bytes)
{
    const struct text units[] = {TEXT("KiB"), TEXT("MiB"), TEXT("")};
    const uint64_t factors[] = {1024, 1024 * 1024, 1};
    return parse_scaled(text, units, factors, 3, bytes);
}

static bool set_number(struct config *config, const struct option *option, struct text value)
{
    uint32_t *field = (uint32_t *)((char *)config + option->offset);
    uint64_t number = 0;
    uint32_t scaled = 0;
    switch (option->type) {
    case OPTION_DURATION:
        if (!config_parse_duration(value, &scaled)) return false;
        number = scaled;
        break;
    case OPTION_MOMENT:
        if (!config_parse_moment(value, &scaled)) return false;
        number = scaled;
        break;
    case OPTION_SIZE:
        if (!config_parse_size(value, &scaled)) return false;
        number = scaled;
        break;
    default:
        if (!text_to_u64(value, &number)) return false;
    }
    if (number < option->least || number > option->most) return false;
    *field = (uint32_t)number;
    return true;
}

/* One of the words, as its position in `words`. */
static bool set_choice(uint8_t *field, struct text value, const char *const *words, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (!text_equal(value, text_of(words[i]))) continue;
        *field = i;
        return true;
    }
    return false;
}

/* scheme://host[:port], nothing behind it. */
static bool is_origin(struct text origin)
{
    if (text_equal(origin, TEXT("*"))) return true;
    size_t host = 0;
    while (host + 3 <= origin.size && memcmp(origin.data + host, "://", 3) != 0)
        host += 1;
    if (host == 0 || host + 3 >= origin.size) return false;
    return memchr(origin.data + host + 3, '/', origin.size - host - 3) == nullptr;
}

/* Takes what stands before the next comma off a list that is not empty. */
static struct text take_item(struct text *list)
{
    const char *comma = memchr(list->data, ',', list->size);
    size_t size = comma != nullptr ? (size_t)(comma - list->data) : list->size;
    struct text item = text_trim((struct text){list->data, size});
    *list = text_skip(*list, comma != nullptr ? size + 1 : size);
    return item;
}

static bool add_origins(struct config *config, struct text list)
{
    while (list.size > 0) {
        struct text origin = take_item(&list);
        if (!is_origin(origin) || config->origin_count == config_origins_max) return false;
        config->origins[config->origin_count++] = origin;
    }
    return true;
}

/* Names of letters, digits, '-' and '.': no port, and nothing for everything. */
static bool is_host_name(struct text name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.';
        if (!allowed) return false;
    }
    return name.size > 0;
}

static bool add_hosts(struct config *config, struct text list)
{
    while (list.size > 0) {
        struct text name = take_item(&list);
        if (!is_host_name(name) || config->admin_host_count == config_admin_hosts_max) return false;
        config->admin_hosts[config->admin_host_count++] = name;
    }
    return true;
}

static bool add_blocks(struct address_blocks *blocks, struct text list)
{
    while (list.size > 0) {
        if (blocks->count == address_blocks_max) return false;
        if (!address_block_parse(take_item(&list), &blocks->list[blocks->count])) return false;
        blocks->count += 1;
    }
    return true;
}

static bool set_flag(bool *field, struct text value)
{
    bool on = text_equal(value, TEXT("on")) || text_equal(value, TEXT("true")) ||
              text_equal(value, TEXT("1"));
    bool off = text_equal(value, TEXT("off")) || text_equal(value, TEXT("false")) ||
               text_equal(value, TEXT("0"));
    if (on || off) *field = on;
    return on || off;
}

static bool set(struct config *config, const struct option *option, struct text value)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    static const char *const formats[] = {"auto", "logfmt", "json"};
    static const char *const failures[] = {"http", "close"};
    void *field = (char *)config + option->offset;
    switch (option->type) {
    case OPTION_FLAG: return set_flag(field, value);
    case OPTION_ADDRESS:
        /* Port 0 would be one that nobody knows. */
        return address_parse(value, field) && ((struct address *)field)->port != 0;
    case OPTION_ORIGIN: return add_origins(config, value);
    case OPTION_HOSTS: return add_hosts(config, value);
    case OPTION_BLOCKS: return add_blocks(field, value);
    case OPTION_LOG_LEVEL: return set_choice(field, value, levels, 4);
    case OPTION_LOG_FORMAT: return set_choice(field, value, formats, 3);
    case OPTION_TEXT: *(struct text *)field = value; return value.size > 0;
    case OPTION_POLICY: return outbox_policy_of_name(value, field);
    case OPTION_AUTH_FAIL: return set_choice(field, value, failures, 2);
    case OPTION_COUNT:
    case OPTION_DURATION:
    case OPTION_MOMENT:
    case OPTION_SIZE: return set_number(config, option, value);
    }
    return false;
}

static const struct option *find_option(struct text name)
{
    for (size_t i = 0; i < option_count; i++)
        if (text_equal(name, text_of(options[i].name))) return &options[i];
    return nullptr;
}

static bool refuse(struct writer *why, struct text name, const struct option *option,
                   struct text value)
{
    write_text(why, name);
    write_format(why, " cannot be \"%.*s\": %s", TEXT_ARG(value), option->meaning);
    if (option->most > 0)
        write_format(why, " (%llu to %llu%s)", (unsigned long long)option->least,
                     (unsigned long long)option->most,
                     option->type == OPTION_DURATION ? " ms"
                     : option->type == OPTION_MOMENT ? " us"
                                                     : "");
    return false;
}

/* The flag in words[*index], with its value behind '=' or in the next word. */
static bool read_flag(struct config *config, int *index, int count, char **words,
                      struct writer *why)
{
    struct text word = text_of(words[*index]);
    if (!text_starts(word, TEXT("--"))) {
        write_format(why, "unexpected word \"%.*s\"; options begin with --", TEXT_ARG(word));
        return false;
    }
    struct text name = text_skip(word, 2), value = TEXT("on");
    const char *equals = memchr(name.data, '=', name.size);
    if (equals != nullptr) {
        value = text_of(equals + 1);
        name.size = (size_t)(equals - name.data);
    }
    const struct option *option = find_option(name);
    if (option == nullptr) {
        write_format(why, "unknown option --%.*s; see ringcast serve --help", TEXT_ARG(name));
        return false;
    }
    if (equals == nullptr && option->type != OPTION_FLAG) {
        if (*index + 1 >= count) {
            write_format(why, "--%s needs a value: %s", option->name, option->meaning);
            return false;
        }
        value = text_of(words[++*index]);
    }
    return set(config, option, value) ||
           refuse(why, (struct text){word.data, name.size + 2}, option, value);
}

/* The value of a variable, or empty. */
static struct text variable(char **environment, struct text name)
{
    for (; *environment != nullptr; environment++) {
        struct text entry = text_of(*environment);
        if (entry.size > name.size && entry.data[name.size] == '=' && text_starts(entry, name))
            return text_skip(entry, name.size + 1);
    }
    return (struct text){};
}

constexpr size_t variable_name_max = 64;

/* "kart-tick" gives "RINGCAST_KART_TICK", in `memory`. */
static struct text variable_name(char memory[static variable_name_max], const char *option)
{
    struct writer out = writer_over(memory, variable_name_max);
    write_text(&out, TEXT("RINGCAST_"));
    for (; *option != '\0'; option++) {
        bool letter = *option >= 'a' && *option <= 'z';
        write_byte(&out, (uint8_t)(letter ? *option - 'a' + 'A' : '_'));
    }
    return text_from(writer_bytes(&out));
}

/* PORT, as platforms set it: that port on every address. */
static bool read_port(struct config *config, struct text port, struct writer *why)
{
    uint64_t number = 0;
    if (!text_to_u64(port, &number) || number == 0 || number > UINT16_MAX)
        return refuse(why, TEXT("PORT"), find_option(TEXT("listen")), port);
    config->listen = (struct address){.port = (uint16_t)number};
    return true;
}

static bool read_environment(struct config *config, char **environment, struct writer *why)
{
    struct text port = variable(environment, TEXT("PORT"));
    if (port.size > 0 && !read_port(config, port, why)) return false;
    for (size_t i = 0; i < option_count; i++) {
        char memory[variable_name_max];
        struct text name = variable_name(memory, options[i].name);
        struct text value = variable(environment, name);
        if (value.size > 0 && !set(config, &options[i], value))
            return refuse(why, name, &options[i], value);
    }
    return true;
}

/* Defaults depend on --dev, so it is looked for before anything else is read. */
static bool wants_dev(int count, char **words, char **environment)
{
    struct text value = variable(environment, TEXT("RINGCAST_DEV"));
    bool dev = false;
    if (value.size > 0) (void)!set_flag(&dev, value);
    for (int i = 0; i < count; i++) {
        struct text word = text_of(words[i]);
        if (text_equal(word, TEXT("--dev"))) dev = true;
        if (text_starts(word, TEXT("--dev="))) (void)!set_flag(&dev, text_skip(word, 6));
    }
    return dev;
}

bool config_read(struct config *config, int count, char **words, char **environment,
                 struct writer *why)
{
    *config = (struct config){.dev = wants_dev(count, words, environment)};
    for (size_t i = 0; i < option_count; i++) {
        const char *value =
            config->dev && options[i].dev != nullptr ? options[i].dev : options[i].standard;
        if (value != nullptr && !set(config, &options[i], text_of(value)))
            return refuse(why, text_of(options[i].name), &options[i], text_of(value));
    }
    if (!read_environment(config, environment, why)) return false;
    uint32_t from_environment = config->origin_count;
    for (int i = 0; i < count; i++) {
        if (text_equal(text_of(words[i]), TEXT("--")) && i + 1 == count) break;
        bool first_origin = config->origin_count == from_environment && from_environment > 0;
        if (first_origin && text_starts(text_of(words[i]), TEXT("--allow-origin"))) {
            from_environment = 0; /* flags take the place of the environment */
            config->origin_count = 0;
        }
        if (!read_flag(config, &i, count, words, why)) return false;
    }
    config->api_key = variable(environment, TEXT("RINGCAST_API_KEY"));
    config->jwt_secret = variable(environment, TEXT("RINGCAST_JWT_SECRET"));
    if (config->jwt_secret.size == 0)
        config->jwt_secret = variable(environment, TEXT("SUPABASE_JWT_SECRET"));
    if (config->dev && config->api_key.size == 0) config->api_key = TEXT("dev");
    if (config->proxy_protocol && config->trusted.count == 0) {
        write_text(why, TEXT("--proxy-protocol lets nobody in without a --trusted-proxy; name the "
                             "addresses of yours"));
        return false;
    }
    return true;
}

/* The words of `text` in lines of at most `columns`, each indented. */
static void write_wrapped(struct writer *out, struct text text, size_t indent, size_t columns)
{
    size_t column = columns; /* so the first word begins a line */
    while (text.size > 0) {
        const char *space = memchr(text.data, ' ', text.size);
        size_t size = space != nullptr ? (size_t)(space - text.data) : text.size;
        bool fits = column + 1 + size <= columns;
        write_byte(out, fits ? ' ' : '\n');
        if (!fits) write_fill(out, ' ', indent);
        column = (fits ? column + 1 : indent) + size;
        write_text(out, (struct text){text.data, size});
        text = text_skip(text, space != nullptr ? size + 1 : size);
    }
}

void config_write_help(struct writer *out)
{
    constexpr size_t indent = 8, columns = 80;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        uint8_t memory[512];
        struct writer meaning = writer_over(memory, sizeof memory);
        write_text(&meaning, text_of(option->meaning));
        if (option->standard != nullptr) write_format(&meaning, " [%s]", option->standard);
        if (option->dev != nullptr) write_format(&meaning, " [--dev: %s]", option->dev);
        write_format(out, "  --%s", option->name);
        if (option->value != nullptr) write_format(out, " %s", option->value);
        write_wrapped(out, text_from(writer_bytes(&meaning)), indent, columns);
        write_byte(out, '\n');
    }
}
