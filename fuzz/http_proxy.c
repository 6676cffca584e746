/* fuzz/http_proxy.c: the PROXY header before a connection, against a reader that goes by a list of
 * what there may be; and of each beginning of it the same is said as of the whole: wait for so many
 * bytes, it is whole, or it is broken from here on. Input: the connection's bytes. */
#include "http/proxy.h"
#include "script.h"

static const struct {
    uint8_t family; /* the byte of family and transport */
    size_t addresses;
    size_t ip; /* bytes of an address; 0: none that we could use */
} known[] = {
    {0x11, 12, 4}, {0x21, 36, 16}, {0x12, 12, 0}, {0x22, 36, 0}, {0x31, 216, 0}, {0x32, 216, 0},
};
/* Of these nothing is known but that they may come. */
static const uint8_t vague[] = {0x00, 0x01, 0x02, 0x10, 0x20, 0x30};

struct verdict {
    enum http_proxy_step step;
    size_t size;
    size_t ip; /* bytes of the client's address; 0: none */
};

/* Where the last of the vectors that begin at `at` ends, or beyond `end` when one does. */
static size_t walk(const uint8_t *data, size_t at, size_t end)
{
    while (at < end) {
        size_t value = at + 3;
        if (value > end) return value;
        at = value + data[at + 1] * 256u + data[at + 2];
    }
    return at;
}

static struct verdict judge_block(const uint8_t *data, size_t size)
{
    const struct verdict broken = {.step = HTTP_PROXY_BROKEN}, nobody = {HTTP_PROXY_WHOLE, size, 0};
    if (data[12] == 0x20) return nobody;
    for (size_t i = 0; i < sizeof vague; i++)
        if (data[13] == vague[i]) return nobody;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (data[13] != known[i].family) continue;
        size_t vectors = 16 + known[i].addresses;
        if (vectors > size || walk(data, vectors, size) != size) return broken;
        return (struct verdict){HTTP_PROXY_WHOLE, size, known[i].ip};
    }
    return broken;
}

static struct verdict judge(const uint8_t *data, size_t size)
{
    const char start[] = "\r\n\r\n\0\r\nQUIT\n\x20";
    const struct verdict broken = {.step = HTTP_PROXY_BROKEN};
    for (size_t i = 0; i < size && i < 13; i++)
        if (data[i] != (uint8_t)start[i] && !(i == 12 && data[i] == 0x21)) return broken;
    if (size < 16) return (struct verdict){HTTP_PROXY_NEED_MORE, 16, 0};
    size_t whole = 16 + (data[14] << 8) + data[15];
    if (whole > 1024) return broken;
    if (size < whole) return (struct verdict){HTTP_PROXY_NEED_MORE, whole, 0};
    return judge_block(data, whole);
}

static void check_client(const struct http_proxy *proxy, const uint8_t *data, size_t ip)
{
    const uint8_t *source = data + 16, *port = source + 2 * ip;
    MUST(proxy->client.port == port[0] * 256 + port[1]);
    MUST(memcmp(proxy->client.ip + 16 - ip, source, ip) == 0);
    if (ip == 4) MUST(proxy->client.is_v4 && proxy->client.ip[11] == 0xFF);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t part = 0; part <= size; part++) {
        struct bytes beginning = bytes_exact(data, part);
        struct verdict verdict = judge(data, part);
        struct http_proxy proxy;
        MUST(http_proxy_read(beginning, &proxy) == verdict.step);
        if (verdict.step != HTTP_PROXY_BROKEN) MUST(proxy.size == verdict.size);
        if (verdict.step == HTTP_PROXY_NEED_MORE) MUST(proxy.size > part);
        if (verdict.step == HTTP_PROXY_WHOLE) {
            MUST(proxy.size <= part && proxy.has_client == (verdict.ip > 0));
            if (proxy.has_client) check_client(&proxy, data, verdict.ip);
        }
        free(beginning.data);
        if (verdict.step == HTTP_PROXY_BROKEN && part < size) part = size - 1; /* for ever */
    }
    return 0;
}
