/* fuzz/http_forwarded.c: whose request it is by X-Forwarded-For, judged a second time: by a reader
 * that takes the whole list from the left, and reads addresses without the C library. Trusted are
 * 10.0.0.0/8, fd00::/8 and 127.0.0.1. Input: the values of the headers, a line each. */
#include "http/forwarded.h"
#include "script.h"

constexpr size_t hops_max = 2048;

struct hop {
    bool valid;
    uint8_t ip[16];
};

/* A number in that base up to `most`, of at most `digits` digits. False when there is none, or more
 * than that. `zero`: it may have leading zeros. */
static bool take_number(struct text *rest, uint32_t base, size_t digits, uint32_t most, bool zero,
                        uint32_t *value)
{
    size_t size = 0;
    *value = 0;
    while (size < rest->size) {
        uint8_t c = (uint8_t)rest->data[size], lower = c | 0x20;
        uint32_t digit = c >= '0' && c <= '9'                         ? c - '0'
                         : base == 16 && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10u
                                                                      : 99;
        if (digit == 99) break;
        if (size == digits) return false;
        *value = *value * base + digit;
        size += 1;
    }
    if (size == 0 || *value > most || (!zero && size > 1 && rest->data[0] == '0')) return false;
    *rest = text_skip(*rest, size);
    return true;
}

static bool take(struct text *rest, char character)
{
    if (rest->size == 0 || rest->data[0] != character) return false;
    *rest = text_skip(*rest, 1);
    return true;
}

static bool take_v4(struct text *rest, uint8_t ip[static 4])
{
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t value;
        if (i > 0 && !take(rest, '.')) return false;
        if (!take_number(rest, 10, 3, 255, false, &value)) return false;
        ip[i] = (uint8_t)value;
    }
    return true;
}

/* RFC 4291 §2.2: groups, of which the first "::" stands for at least one, and an IPv4 address
 * may be the last two. */
static bool read_v6(struct text text, uint8_t ip[static 16])
{
    uint8_t before[16], after[16];
    size_t before_size = 0, after_size = 0;
    bool gap = false, ended = false;
    if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        gap = true;
        text = text_skip(text, 2);
    }
    while (text.size > 0 && !ended) {
        uint8_t *half = gap ? after : before;
        size_t *size = gap ? &after_size : &before_size;
        struct text v4 = text;
        uint32_t value;
        if (before_size + after_size <= 12 && take_v4(&v4, half + *size) && v4.size == 0) {
            *size += 4;
            text = v4;
            break;
        }
        if (before_size + after_size > 14 || !take_number(&text, 16, 4, 0xFFFF, true, &value))
            return false;
        half[(*size)++] = (uint8_t)(value >> 8);
        half[(*size)++] = (uint8_t)value;
        if (text.size == 0) break;
        if (!take(&text, ':')) return false;
        if (take(&text, ':')) {
            if (gap) return false;
            gap = true;
        } else if (text.size == 0) {
            return false;
        }
    }
    size_t zeros = 16 - before_size - after_size;
    if (text.size > 0 || (gap ? zeros < 2 : zeros > 0)) return false;
    memcpy(ip, before, before_size);
    memset(ip + before_size, 0, zeros);
    memcpy(ip + before_size + zeros, after, after_size);
    return true;
}

static bool read_port(struct text text)
{
    uint32_t value = 0;
    while (text.size > 1 && text.data[0] == '0')
        text = text_skip(text, 1);
    return take_number(&text, 10, 5, 65535, true, &value) && text.size == 0;
}

static struct hop read_hop(struct text text)
{
    struct hop hop = {.ip = {[10] = 0xFF, [11] = 0xFF}};
    struct text rest = text;
    if (take(&rest, '[')) {
        size_t size = 0;
        while (size < rest.size && rest.data[size] != ']')
            size += 1;
        struct text inside = {rest.data, size}, behind = text_skip(rest, size);
        hop.valid = take(&behind, ']') && read_v6(inside, hop.ip) &&
                    (behind.size == 0 || (take(&behind, ':') && read_port(behind)));
    } else if (take_v4(&rest, hop.ip + 12)) {
        hop.valid = rest.size == 0 || (take(&rest, ':') && read_port(rest));
    } else {
        hop.valid = read_v6(text, hop.ip);
    }
    return hop;
}

static bool is_trusted(const struct hop *hop)
{
    const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}, home[4] = {127, 0, 0, 1};
    if (memcmp(hop->ip, mapped, sizeof mapped) != 0) return hop->ip[0] == 0xFD;
    return hop->ip[12] == 10 || memcmp(hop->ip + 12, home, sizeof home) == 0;
}

/* Every element of a line that is not only white space, from the left. */
static size_t read_line(struct text line, struct hop *hops, size_t count)
{
    struct text element;
    while (http_list_next(&line, &element) && count < hops_max)
        hops[count++] = read_hop(element);
    return count;
}

static void check(const struct http_request *request, const struct hop *hops, size_t count)
{
    struct address_blocks trusted = {.count = 3};
    struct address client;
    MUST(address_block_parse(TEXT("10.0.0.0/8"), &trusted.list[0]));
    MUST(address_block_parse(TEXT("fd00::/8"), &trusted.list[1]));
    MUST(address_block_parse(TEXT("127.0.0.1"), &trusted.list[2]));
    enum http_forwarded_answer answer = http_forwarded(request, &trusted, &client);
    size_t at = count;
    while (at > 1 && hops[at - 1].valid && is_trusted(&hops[at - 1]))
        at -= 1;
    if (count == 0) {
        MUST(answer == HTTP_FORWARDED_NONE);
    } else if (!hops[at - 1].valid) {
        MUST(answer == HTTP_FORWARDED_BROKEN);
    } else {
        MUST(answer == HTTP_FORWARDED_CLIENT);
        MUST(memcmp(client.ip, hops[at - 1].ip, sizeof client.ip) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hop hops[hops_max];
    struct http_request request = {};
    struct bytes memory = bytes_exact(data, size);
    struct text rest = text_from(memory);
    size_t count = 0;
    if (size > 1024) size = 0; /* so that the hops have room */
    while (size > 0 && rest.size > 0 && request.header_count < 4) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct text line = {rest.data, end != nullptr ? (size_t)(end - rest.data) : rest.size};
        rest = text_skip(rest, line.size < rest.size ? line.size + 1 : line.size);
        request.headers[request.header_count++] =
            (struct http_header){TEXT("X-Forwarded-For"), line};
        count = read_line(line, hops, count);
    }
    check(&request, hops, count);
    free(memory.data);
    return 0;
}
