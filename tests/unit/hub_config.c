#include "check.h"
#include "hub/config.h"

static struct config config;
static struct text why;

/* Reads the words and the environment, both ending in nullptr. */
static bool reads(char **words, char **environment)
{
    static char memory[512];
    struct writer out = writer_over(memory, sizeof memory);
    int count = 0;
    while (words[count] != nullptr)
        count += 1;
    bool ok = config_read(&config, count, words, environment, &out);
    why = text_from(writer_bytes(&out));
    return ok;
}
#define WORDS(...) ((char *[]){__VA_ARGS__ __VA_OPT__(, ) nullptr})

TEST("without a word everything has its default")
{
    EXPECT(reads(WORDS(), WORDS()));
    EXPECT(!config.dev);
    EXPECT_EQ(config.listen.port, 8080);
    EXPECT(!address_is_loopback(&config.listen));
    EXPECT(address_is_loopback(&config.admin));
    EXPECT_EQ(config.admin.port, 9090);
    EXPECT_EQ(config.ping_ms, 25'000);
    EXPECT_EQ(config.pong_ms, 10'000);
    EXPECT_EQ(config.handshake_ms, 5'000);
    EXPECT_EQ(config.drain_ms, 30'000);
    EXPECT_EQ(config.kart_tick_ms, 500);
    EXPECT_EQ(config.kart_slow, OUTBOX_CONFLATE); /* only the newest state matters */
    EXPECT_EQ(config.api_key.size, 0);
}

TEST("--dev is loopback, a known key, a short drain and a race that runs")
{
    EXPECT(reads(WORDS("--dev"), WORDS()));
    EXPECT(config.dev && config.kart_autostart);
    EXPECT(address_is_loopback(&config.listen));
    EXPECT_EQ(config.drain_ms, 5'000);
    EXPECT_TEXT(config.api_key, "dev");
    EXPECT(reads(WORDS(), WORDS("RINGCAST_DEV=1", "RINGCAST_API_KEY=secret")));
    EXPECT(config.dev);
    EXPECT_TEXT(config.api_key, "secret");
}

TEST("events linger, and wake-ups are batched, for moments that are bounded, and not by default")
{
    EXPECT(reads(WORDS(), WORDS()));
    EXPECT_EQ(config.flush_window_us, 0);
    EXPECT_EQ(config.flush_load, 50);
    EXPECT_EQ(config.wake_batch_us, 0);
    EXPECT(
        reads(WORDS("--flush-window=5ms", "--flush-load=0"), WORDS("RINGCAST_WAKE_BATCH=250us")));
    EXPECT_EQ(config.flush_window_us, 5000);
    EXPECT_EQ(config.flush_load, 0);
    EXPECT_EQ(config.wake_batch_us, 250);
    EXPECT(!reads(WORDS("--flush-window=101ms"), WORDS()));
    EXPECT_TEXT(text_skip(why, why.size - 16), "(0 to 100000 us)");
    EXPECT(!reads(WORDS("--wake-batch=1"), WORDS()));
}

TEST("compression is off unless a kind switches it on, by flag or environment (THREATS.md Z1)")
{
    EXPECT(reads(WORDS(), WORDS()) && !config.kart_deflate);
    EXPECT_EQ(config.deflate_threshold, 512);
    EXPECT(reads(WORDS("--dev"), WORDS()) && !config.kart_deflate);
    EXPECT(reads(WORDS("--kart-deflate=on", "--deflate-threshold", "2KiB"), WORDS()));
    EXPECT(config.kart_deflate);
    EXPECT_EQ(config.deflate_threshold, 2048);
    EXPECT(reads(WORDS(), WORDS("RINGCAST_KART_DEFLATE=on", "RINGCAST_DEFLATE_THRESHOLD=0")));
    EXPECT(config.kart_deflate);
    EXPECT_EQ(config.deflate_threshold, 0);
    EXPECT(!reads(WORDS("--kart-deflate=10"), WORDS()));
}

TEST(
    "a flag wins over the environment, the environment over the default, RINGCAST_LISTEN over PORT")
{
    EXPECT(
        reads(WORDS("--ping", "3s"), WORDS("RINGCAST_PING=2s", "RINGCAST_PONG=1s", "PORT=7000")));
    EXPECT_EQ(config.ping_ms, 3'000);
    EXPECT_EQ(config.pong_ms, 1'000);
    EXPECT_EQ(config.listen.port, 7000);
    EXPECT(reads(WORDS(), WORDS("PORT=7000", "RINGCAST_LISTEN=127.0.0.1:7001")));
    EXPECT_EQ(config.listen.port, 7001);
}

TEST("a value stands behind an equals sign or in the next word")
{
    EXPECT(reads(WORDS("--kart-tick=20ms", "--kart-payload", "2KiB", "--kart-stamp"), WORDS()));
    EXPECT_EQ(config.kart_tick_ms, 20);
    EXPECT_EQ(config.kart_payload, 2048);
    EXPECT(config.kart_stamp);
    EXPECT(reads(WORDS("--kart-slow", "drop_oldest"), WORDS()));
    EXPECT_EQ(config.kart_slow, OUTBOX_DROP_OLDEST);
    EXPECT(reads(WORDS("--dev", "--kart-autostart=off"), WORDS()));
    EXPECT(!config.kart_autostart);
}

TEST("a mistake is told in one sentence that names the option")
{
    static const struct {
        char *word, *value;
        const char *named;
    } wrong[] = {
        {"--pign", "3s", "--pign"},
        {"--ping", "3 s", "--ping"},
        {"--ping", "1ms", "--ping"},
        {"--ping", nullptr, "--ping"},
        {"serve", nullptr, "\"serve\""},
        {"--listen", "here", "--listen"},
        {"--kart-payload", "65537", "--kart-payload"},
        {"--kart-burst", "0", "--kart-burst"},
        {"--log-level", "loud", "--log-level"},
        {"--kart-stamp=maybe", nullptr, "--kart-stamp"},
        {"--rooms", "-1", "--rooms"},
        {"--kart-slow", "drop", "--kart-slow"},
        {"--allow-origin", "example.com", "--allow-origin"},
        {"--allow-origin", "http://a/b", "--allow-origin"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EXPECT(!reads(WORDS(wrong[i].word, wrong[i].value), WORDS()));
        bool named = false;
        for (size_t at = 0; at + strlen(wrong[i].named) <= why.size; at++)
            named = named || memcmp(why.data + at, wrong[i].named, strlen(wrong[i].named)) == 0;
        EXPECT(named);
    }
}

TEST("a mistake in the environment is a mistake, too")
{
    EXPECT(!reads(WORDS(), WORDS("RINGCAST_PING=soon")));
    EXPECT(!reads(WORDS(), WORDS("PORT=http")));
    EXPECT(reads(WORDS(), WORDS("RINGCAST_PING=", "OTHER=x")));
}

TEST("origins add up, and flags take the place of the environment's")
{
    EXPECT(reads(WORDS(), WORDS("RINGCAST_ALLOW_ORIGIN=https://a.example, https://b.example:444")));
    EXPECT_EQ(config.origin_count, 2);
    EXPECT_TEXT(config.origins[1], "https://b.example:444");
    EXPECT(reads(WORDS("--allow-origin", "http://c", "--allow-origin=*"),
                 WORDS("RINGCAST_ALLOW_ORIGIN=http://a")));
    EXPECT_EQ(config.origin_count, 2);
    EXPECT_TEXT(config.origins[0], "http://c");
    EXPECT_TEXT(config.origins[1], "*");
}

TEST("proxies are trusted that were named, and nobody speaks PROXY without one (H21, H22)")
{
    EXPECT(reads(WORDS(), WORDS()));
    EXPECT(config.trusted.count == 0 && !config.proxy_protocol);
    EXPECT(reads(WORDS("--trusted-proxy", "10.0.0.0/8,::1", "--trusted-proxy=192.0.2.1"), WORDS()));
    EXPECT_EQ(config.trusted.count, 3);
    EXPECT_EQ(config.exempt.count, 0);
    EXPECT(reads(WORDS("--proxy-protocol"), WORDS("RINGCAST_TRUSTED_PROXY=10.0.0.0/8")));
    EXPECT(config.proxy_protocol);
    EXPECT(!reads(WORDS("--proxy-protocol"), WORDS()));
    EXPECT(text_starts(why, TEXT("--proxy-protocol lets nobody in")));
    EXPECT(!reads(WORDS("--trusted-proxy", "proxy.example"), WORDS()));
}

TEST("durations and sizes have units, and what does not fit is refused")
{
    uint32_t value = 0;
    EXPECT(config_parse_duration(TEXT("250ms"), &value) && value == 250);
    EXPECT(config_parse_duration(TEXT("2m"), &value) && value == 120'000);
    EXPECT(config_parse_duration(TEXT("1h"), &value) && value == 3'600'000);
    EXPECT(config_parse_duration(TEXT("7"), &value) && value == 7);
    EXPECT(!config_parse_duration(TEXT("4294968s"), &value));
    EXPECT(!config_parse_duration(TEXT("s"), &value));
    EXPECT(!config_parse_duration(TEXT("1.5s"), &value));
    EXPECT(config_parse_moment(TEXT("250us"), &value) && value == 250);
    EXPECT(config_parse_moment(TEXT("5ms"), &value) && value == 5000);
    EXPECT(!config_parse_moment(TEXT("5"), &value)); /* of what? */
    EXPECT(!config_parse_moment(TEXT("1s"), &value));
    EXPECT(!config_parse_moment(TEXT("4294968ms"), &value));
    EXPECT(config_parse_size(TEXT("16KiB"), &value) && value == 16'384);
    EXPECT(config_parse_size(TEXT("1MiB"), &value) && value == 1'048'576);
    EXPECT(!config_parse_size(TEXT("4096MiB"), &value));
    EXPECT(!config_parse_size(TEXT("1KB"), &value));
}

TEST("the help names every option that is read")
{
    static uint8_t memory[16 * 1024];
    struct writer out = writer_over(memory, sizeof memory);
    config_write_help(&out);
    EXPECT(!out.overflow);
    write_byte(&out, '\0');
    EXPECT(strstr((char *)memory, "--kart-payload SIZE") != nullptr);
    EXPECT(strstr((char *)memory, "--dev\n") != nullptr);
}

TEST("addresses and clients are limited unless told otherwise; loopback is not, under --dev (H23)")
{
    EXPECT(reads(WORDS(), WORDS()));
    EXPECT_EQ(config.address_connections, 1024);
    EXPECT_EQ(config.address_handshakes, 200);
    EXPECT_EQ(config.message_rate, 50);
    EXPECT_EQ(config.control_rate, 50);
    EXPECT_EQ(config.exempt.count, 0);
    EXPECT(reads(WORDS("--dev"), WORDS()));
    EXPECT_EQ(config.exempt.count, 2);
    EXPECT_EQ(config.message_rate, 50);
    EXPECT(reads(WORDS("--limit-exempt", "10.0.0.0/8, 192.168.1.1", "--limit-exempt=fd00::/8",
                       "--address-handshakes=0"),
                 WORDS("RINGCAST_LIMIT_EXEMPT=172.16.0.0/12", "RINGCAST_MESSAGE_RATE=7")));
    EXPECT_EQ(config.exempt.count, 4);
    EXPECT_EQ(config.exempt.list[0].bits, 96 + 12);
    EXPECT_EQ(config.exempt.list[2].bits, 128);
    EXPECT_EQ(config.exempt.list[3].bits, 8);
    EXPECT_EQ(config.address_handshakes, 0);
    EXPECT_EQ(config.message_rate, 7);
    EXPECT(!reads(WORDS("--limit-exempt", "everybody"), WORDS()));
}

TEST("names of the internal listener are names, by flag or environment (THREATS.md A19)")
{
    EXPECT(reads(WORDS(), WORDS()));
    EXPECT_EQ(config.admin_host_count, 0);
    EXPECT(reads(WORDS("--admin-host", "ringcast.internal, Hub-2", "--admin-host=x"), WORDS()));
    EXPECT_EQ(config.admin_host_count, 3);
    EXPECT_TEXT(config.admin_hosts[1], "Hub-2");
    EXPECT(reads(WORDS(), WORDS("RINGCAST_ADMIN_HOST=ringcast.internal")));
    EXPECT_EQ(config.admin_host_count, 1);
    EXPECT(!reads(WORDS("--admin-host=*"), WORDS()));
    EXPECT(!reads(WORDS("--admin-host=hub:9090"), WORDS()));
    EXPECT(!reads(WORDS("--admin-host=a,,b"), WORDS()));
}
