/* fuzz/hub_config.c: what operators write: options as flags and in the environment. Input: a byte
 * that says how many of the words behind it stand in the environment, then words, each ended by a
 * zero; and again the same bytes as an option's number and a value.
 *
 * Words are taken, or one sentence says why not; what is taken is within its bounds; an option is
 * taken by flag and by variable alike; times and sizes are what a second reader says. */
#include "hub/config.h"
#include "script.h"

constexpr int words_max = 16;
constexpr size_t options_max = 200, name_max = 40;

static void check_config(const struct config *config)
{
    MUST(config->listen.port != 0 && config->admin.port != 0);
    MUST(config->workers <= 64 && config->connections <= 1'000'000);
    MUST(config->ping_ms >= 100 && config->pong_ms >= 100 && config->drain_ms <= 86'400'000);
    MUST(config->avalon_players >= 1 && config->avalon_players <= 16 && config->avalon_chat >= 1);
    MUST(config->echo_message >= 1024 && config->echo_memory <= 2'147'483'648);
    MUST(config->origin_count <= config_origins_max && config->exempt.count <= address_blocks_max);
    MUST(config->trusted.count <= address_blocks_max);
    MUST(config->admin_host_count <= config_admin_hosts_max);
    for (uint32_t i = 0; i < config->origin_count; i++) {
        struct text origin = config->origins[i];
        bool any = text_equal(origin, TEXT("*"));
        const char *mark = memmem(origin.data, origin.size, "://", 3);
        MUST(any ||
             (mark != nullptr && mark != origin.data && mark + 3 < origin.data + origin.size));
        size_t left = any ? 0 : (size_t)(origin.data + origin.size - mark - 3);
        MUST(any || memchr(mark + 3, '/', left) == nullptr);
    }
    for (uint32_t i = 0; i < config->exempt.count; i++)
        MUST(config->exempt.list[i].bits <= 128);
    for (uint32_t i = 0; i < config->trusted.count; i++)
        MUST(config->trusted.list[i].bits <= 128);
}

static bool read_config(struct config *config, int count, char **words, char **environment)
{
    uint8_t memory[8192];
    struct writer why = writer_over(memory, sizeof memory);
    bool taken = config_read(config, count, words, environment, &why);
    MUST(taken == (why.size == 0 && !why.overflow));
    if (taken) check_config(config);
    return taken;
}

/* Each word a copy of exactly its size. */
static void check_words(struct script script)
{
    char *words[words_max + 1] = {}, *environment[words_max + 1] = {};
    int count = 0, outside = script_byte(&script) % 4, variables = 0;
    while (script.size > 0 && count + variables < words_max) {
        const uint8_t *end = memchr(script.data, 0, script.size);
        size_t size = end != nullptr ? (size_t)(end - script.data) : script.size;
        char *word = calloc(1, size + 1);
        memcpy(word, script.data, size);
        (void)script_part(&script, size + 1);
        if (variables < outside)
            environment[variables++] = word;
        else
            words[count++] = word;
    }
    struct config config;
    (void)!read_config(&config, count, words, environment);
    for (int i = 0; i < words_max; i++) {
        free(words[i]);
        free(environment[i]);
    }
}

/* --- By flag and by variable ----------------------------------------------------------------- */

/* Of every option, as the help text has them. */
static char names[options_max][name_max];
static size_t name_count;

static void read_names(void)
{
    static uint8_t memory[64 * 1024];
    struct writer help = writer_over(memory, sizeof memory - 1);
    config_write_help(&help);
    MUST(!help.overflow);
    memory[help.size] = '\0';
    for (char *at = (char *)memory; (at = strstr(at, "  --")) != nullptr; at += 4) {
        if (at != (char *)memory && at[-1] != '\n') continue;
        size_t size = strcspn(at + 4, " \n");
        MUST(name_count < options_max && size < name_max);
        memcpy(names[name_count++], at + 4, size);
    }
    MUST(name_count > 30);
}

static char *flag_of(const char *name, struct bytes value)
{
    size_t size = strlen(name) + 3;
    char *flag = calloc(1, size + value.size + 1);
    snprintf(flag, size + 1, "--%s=", name);
    memcpy(flag + size, value.data, value.size);
    return flag;
}

static char *variable_of(const char *name, struct bytes value)
{
    size_t size = strlen("RINGCAST_=") + strlen(name);
    char *variable = calloc(1, size + value.size + 1);
    snprintf(variable, size + 1, "RINGCAST_%s=", name);
    for (char *c = variable; *c != '\0'; c++)
        *c = *c == '-' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    memcpy(variable + size, value.data, value.size);
    return variable;
}

/* What holds pointers or padding is compared as what it is, and taken out. */
static void take_texts(struct text *a, struct text *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        MUST(text_equal(a[i], b[i]));
    memset(a, 0, count * sizeof *a);
    memset(b, 0, count * sizeof *b);
}

static bool is_same_address(const struct address *a, const struct address *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port && a->is_v4 == b->is_v4;
}

static void take_address(struct address *a, struct address *b)
{
    MUST(is_same_address(a, b));
    memset(a, 0, sizeof *a);
    memset(b, 0, sizeof *b);
}

static void take_blocks(struct address_blocks *a, struct address_blocks *b)
{
    MUST(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++)
        MUST(is_same_address(&a->list[i].first, &b->list[i].first) &&
             a->list[i].bits == b->list[i].bits);
    memset(a, 0, sizeof *a);
    memset(b, 0, sizeof *b);
}

static void check_same(struct config *a, struct config *b)
{
    take_texts(a->admin_hosts, b->admin_hosts, config_admin_hosts_max);
    take_texts(a->origins, b->origins, config_origins_max);
    take_texts(&a->world_file, &b->world_file, 1);
    take_texts(&a->world_log, &b->world_log, 1);
    take_texts(&a->api_key, &b->api_key, 1);
    take_texts(&a->jwt_keys, &b->jwt_keys, 1);
    take_texts(&a->jwt_issuer, &b->jwt_issuer, 1);
    take_texts(&a->jwt_audience, &b->jwt_audience, 1);
    take_texts(&a->jwt_secret, &b->jwt_secret, 1);
    take_address(&a->listen, &b->listen);
    take_address(&a->admin, &b->admin);
    take_address(&a->world_listen, &b->world_listen);
    take_blocks(&a->exempt, &b->exempt);
    take_blocks(&a->trusted, &b->trusted);
    MUST(memcmp(a, b, sizeof *a) == 0);
}

static void check_option(struct script script)
{
    const char *name = names[script_byte(&script) % name_count];
    const uint8_t *end = script.size > 0 ? memchr(script.data, 0, script.size) : nullptr;
    size_t size = end != nullptr ? (size_t)(end - script.data) : script.size;
    struct bytes value = bytes_exact(script.data, size);
    struct config by_flag, by_variable;
    char *flag = flag_of(name, value), *variable = variable_of(name, value);
    char *nothing[] = {nullptr}, *words[] = {flag, nullptr}, *environment[] = {variable, nullptr};
    bool taken = read_config(&by_flag, 1, words, nothing);
    if (value.size > 0) { /* an empty variable is none */
        MUST(read_config(&by_variable, 0, nothing, environment) == taken);
        if (taken) check_same(&by_flag, &by_variable);
    }
    free(flag);
    free(variable);
    free(value.data);
}

/* --- Times and sizes ------------------------------------------------------------------------- */

/* Digits, then one of the units. */
static bool read_scaled(struct text text, const char *const *units, const uint64_t *factors,
                        uint32_t *value)
{
    size_t digits = 0;
    unsigned __int128 number = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
        number = number * 10 + (unsigned)(text.data[digits++] - '0');
        if (number > UINT64_MAX) return false;
    }
    struct text unit = text_skip(text, digits);
    for (size_t i = 0; digits > 0 && units[i] != nullptr; i++) {
        if (!text_equal(unit, text_of(units[i]))) continue;
        *value = (uint32_t)(number * factors[i]);
        return number * factors[i] <= UINT32_MAX;
    }
    return false;
}

static void check_scaled(struct script script)
{
    static const char *const times[] = {"", "ms", "s", "m", "h", nullptr};
    static const uint64_t ms[] = {1, 1, 1000, 60'000, 3'600'000};
    static const char *const moments[] = {"us", "ms", nullptr};
    static const uint64_t us[] = {1, 1000};
    static const char *const sizes[] = {"", "KiB", "MiB", nullptr};
    static const uint64_t bytes[] = {1, 1024, 1024 * 1024};
    struct bytes copy = bytes_exact(script.data, script.size);
    struct text text = text_from(copy);
    uint32_t real = 0, wanted = 0;
    bool taken = read_scaled(text, times, ms, &wanted);
    MUST(config_parse_duration(text, &real) == taken && (!taken || real == wanted));
    taken = read_scaled(text, moments, us, &wanted);
    MUST(config_parse_moment(text, &real) == taken && (!taken || real == wanted));
    taken = read_scaled(text, sizes, bytes, &wanted);
    MUST(config_parse_size(text, &real) == taken && (!taken || real == wanted));
    free(copy.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    if (name_count == 0) read_names();
    check_words(script);
    check_option(script);
    (void)script_byte(&script);
    check_scaled(script);
    return 0;
}
