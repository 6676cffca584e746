#include "hub/tokens.h"
#include "base/base64.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

constexpr int exit_bad = 1, exit_usage = 2;
constexpr size_t key_file_max = 64 * 1024;

/* Reads to the end, or until `memory` is full. -1, and errno, when it cannot be read. */
static ssize_t read_all(int fd, struct bytes memory)
{
    size_t size = 0;
    while (size < memory.size) {
        ssize_t got = read(fd, memory.data + size, memory.size - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        size += (size_t)got;
    }
    return (ssize_t)size;
}

static bool refuse_file(struct writer *why, struct text path, struct text problem)
{
    write_format(why, "the key file %.*s (--jwt-keys) %.*s", TEXT_ARG(path), TEXT_ARG(problem));
    return false;
}

/* `error` is what errno said. */
static bool refuse_unread(struct writer *why, struct text path, int error)
{
    uint8_t memory[256];
    struct writer problem = writer_over(memory, sizeof memory);
    write_format(&problem, "cannot be read: %s", strerror(error));
    return refuse_file(why, path, text_from(writer_bytes(&problem)));
}

static bool load_file(struct auth_keys *keys, struct text path, struct writer *why)
{
    static uint8_t document[key_file_max + 1];
    static uint8_t memory[json_memory_per_byte * key_file_max + json_memory_fixed];
    char name[4096];
    struct writer zero_terminated = writer_over(name, sizeof name);
    write_text(&zero_terminated, path);
    write_byte(&zero_terminated, '\0');
    if (zero_terminated.overflow) return refuse_file(why, path, TEXT("has too long a path"));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return refuse_unread(why, path, errno);
    ssize_t size = read_all(fd, (struct bytes){document, sizeof document});
    int error = errno;
    close(fd);
    if (size < 0) return refuse_unread(why, path, error);
    if (size > (ssize_t)key_file_max) return refuse_file(why, path, TEXT("is over 64 KiB"));
    struct text problem = auth_keys_add_jwks(keys, (struct text){(char *)document, (size_t)size},
                                             (struct bytes){memory, sizeof memory});
    return problem.size == 0 || refuse_file(why, path, problem);
}

bool tokens_load_keys(struct auth_keys *keys, const struct config *config, struct writer *why)
{
    keys->count = 0;
    keys->used = 0;
    if (config->jwt_secret.size > 0) {
        struct text problem =
            auth_keys_add_secret(keys, JWT_HS256, config->jwt_secret, config->dev);
        if (problem.size > 0) {
            write_format(why, "the secret in RINGCAST_JWT_SECRET %.*s", TEXT_ARG(problem));
            return false;
        }
    }
    return config->jwt_keys.size == 0 || load_file(keys, config->jwt_keys, why);
}

struct text tokens_make_secret(struct bytes entropy)
{
    static uint8_t memory[64];
    struct writer secret = writer_over(memory, sizeof memory);
    write_base64url(&secret, entropy);
    assert(!secret.overflow && secret.size >= auth_secret_size_min);
    return text_from(writer_bytes(&secret));
}

static int say(int code, const struct writer *why)
{
    fprintf(stderr, "ringcast: %.*s\n", (int)why->size, (char *)why->data);
    return code;
}

static int64_t seconds_now(void)
{
    return (int64_t)time(nullptr);
}

/* What gen-token was asked for. */
struct order {
    struct text subject, name, room;
    uint32_t expires_ms;
    bool dev;
};

static bool read_order(struct order *order, int count, char **words, struct writer *why)
{
    *order = (struct order){.expires_ms = 3'600'000};
    for (int i = 0; i < count; i++) {
        struct text word = text_of(words[i]);
        if (text_equal(word, TEXT("--dev"))) {
            order->dev = true;
            continue;
        }
        struct text value = i + 1 < count ? text_of(words[++i]) : (struct text){};
        bool known = true;
        if (text_equal(word, TEXT("--sub")))
            order->subject = value;
        else if (text_equal(word, TEXT("--name")))
            order->name = value;
        else if (text_equal(word, TEXT("--room")))
            order->room = value;
        else
            known = text_equal(word, TEXT("--expires")) &&
                    config_parse_duration(value, &order->expires_ms) && order->expires_ms >= 1000;
        if (known && value.size > 0) continue;
        write_format(why, "gen-token does not understand \"%.*s %.*s\"; see ringcast help",
                     TEXT_ARG(word), TEXT_ARG(value));
        return false;
    }
    if (order->subject.size == 0) write_text(why, TEXT("gen-token needs --sub ID: whose token"));
    return order->subject.size > 0;
}

static void write_member(struct writer *out, const char *name, struct text value)
{
    if (value.size == 0) return;
    write_format(out, "\"%s\":\"", name);
    write_json_escaped(out, value);
    write_text(out, TEXT("\","));
}

int tokens_generate(int count, char **words, char **environment)
{
    static struct config config;
    static struct auth_keys keys;
    static uint8_t claims_memory[4096], token_memory[jwt_size_max];
    char why_memory[512];
    struct writer why = writer_over(why_memory, sizeof why_memory);
    struct order order;
    if (!read_order(&order, count, words, &why)) return say(exit_usage, &why);
    char *dev[] = {"--dev"};
    if (!config_read(&config, order.dev ? 1 : 0, dev, environment, &why))
        return say(exit_usage, &why);
    config.jwt_keys = (struct text){};
    if (!tokens_load_keys(&keys, &config, &why)) return say(exit_bad, &why);
    if (keys.count == 0) {
        write_text(&why, TEXT("set RINGCAST_JWT_SECRET to the secret that the server has"));
        return say(exit_bad, &why);
    }
    struct writer claims = writer_over(claims_memory, sizeof claims_memory);
    struct writer token = writer_over(token_memory, sizeof token_memory);
    int64_t now_s = seconds_now();
    write_byte(&claims, '{');
    write_member(&claims, "sub", order.subject);
    write_member(&claims, "name", order.name);
    write_member(&claims, "room", order.room);
    write_member(&claims, "iss", config.jwt_issuer);
    write_member(&claims, "aud", config.jwt_audience);
    write_format(&claims, "\"iat\":%lld,\"exp\":%lld}", (long long)now_s,
                 (long long)(now_s + order.expires_ms / 1000));
    jwt_write(&token, &keys.keys[0], text_from(writer_bytes(&claims)));
    if (claims.overflow || token.overflow) {
        write_text(&why, TEXT("that is more than a token of 8 KiB holds"));
        return say(exit_usage, &why);
    }
    printf("%.*s\n", (int)token.size, (char *)token.data);
    return 0;
}

static void print_claims(struct text token)
{
    static uint8_t memory[jwt_size_max];
    struct writer out = writer_over(memory, sizeof memory);
    if (jwt_write_payload(&out, token)) printf("%.*s\n", (int)out.size, (char *)out.data);
}

/* The token that a word is, or that standard input holds. */
static struct text given_token(struct text word)
{
    static char input[jwt_size_max + 2]; /* one byte and a line's end more than a token may have */
    if (!text_equal(word, TEXT("-"))) return word;
    ssize_t size = read_all(STDIN_FILENO, (struct bytes){(uint8_t *)input, sizeof input});
    struct text token = {input, size > 0 ? (size_t)size : 0};
    while (token.size > 0 && token.data[token.size - 1] == '\n')
        token.size -= 1;
    return token;
}

int tokens_check(int count, char **words, char **environment)
{
    static struct config config;
    static struct auth_keys keys;
    static uint8_t scratch[jwt_scratch_size];
    char why_memory[512];
    struct writer why = writer_over(why_memory, sizeof why_memory);
    if (count == 0) {
        write_text(&why, TEXT("check-token needs a token, or - for standard input"));
        return say(exit_usage, &why);
    }
    struct text token = given_token(text_of(words[count - 1]));
    if (!config_read(&config, count - 1, words, environment, &why)) return say(exit_usage, &why);
    if (!tokens_load_keys(&keys, &config, &why)) return say(exit_bad, &why);
    if (keys.count == 0) {
        write_text(&why, TEXT("there is no key: set RINGCAST_JWT_SECRET or --jwt-keys FILE"));
        return say(exit_bad, &why);
    }
    const struct jwt_policy policy = {.keys = &keys,
                                      .issuer = config.jwt_issuer,
                                      .audience = config.jwt_audience,
                                      .leeway_s = config.jwt_leeway_ms / 1000};
    struct jwt_claims claims;
    enum jwt_error error =
        jwt_check(&policy, token, seconds_now(), (struct bytes){scratch, sizeof scratch}, &claims);
    if (error != JWT_OK) {
        struct text code = jwt_error_code(error), sentence = jwt_error_sentence(error);
        write_format(&why, "%.*s: %.*s", TEXT_ARG(code), TEXT_ARG(sentence));
        return say(exit_bad, &why);
    }
    print_claims(token);
    return 0;
}
