#include "base/address.h"
#include <arpa/inet.h>
#include <assert.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_ip(struct text text, struct address *address)
{
    char ip[64];
    if (text.size == 0 || text.size >= sizeof ip) return false;
    if (memchr(text.data, '\0', text.size) != nullptr) return false; // inet_pton would stop there
    memcpy(ip, text.data, text.size);
    ip[text.size] = '\0';
    address->is_v4 = inet_pton(AF_INET, ip, address->ip + 12) == 1;
    if (address->is_v4) memcpy(address->ip, mapped_prefix, sizeof mapped_prefix);
    return address->is_v4 || inet_pton(AF_INET6, ip, address->ip) == 1;
}

bool address_parse(struct text text, struct address *address)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon -= 1;
    uint64_t port = 0;
    if (!text_to_u64(text_skip(text, colon), &port) || port > UINT16_MAX) return false;
    *address = (struct address){.port = (uint16_t)port};
    if (colon <= 1) return true; /* only a port: the all-zero IPv6 address takes IPv4 too */
    struct text ip = {.data = text.data, .size = colon - 1};
    bool bracketed = ip.size >= 2 && ip.data[0] == '[' && ip.data[ip.size - 1] == ']';
    if (bracketed) ip = (struct text){.data = ip.data + 1, .size = ip.size - 2};
    return parse_ip(ip, address) && address->is_v4 != bracketed;
}

struct address address_of(struct bytes ip, uint16_t port)
{
    struct address address = {.port = port};
    assert(ip.size == 4 || ip.size == sizeof address.ip);
    if (ip.size == 4) memcpy(address.ip, mapped_prefix, sizeof mapped_prefix);
    memcpy(address.ip + sizeof address.ip - ip.size, ip.data, ip.size);
    address.is_v4 = memcmp(address.ip, mapped_prefix, sizeof mapped_prefix) == 0;
    return address;
}

static bool parse_port(struct text text, uint16_t *port)
{
    uint64_t number = 0;
    if (!text_to_u64(text, &number) || number > UINT16_MAX) return false;
    *port = (uint16_t)number;
    return true;
}

static bool parse_bracketed(struct text text, struct address *address)
{
    const char *end = memchr(text.data, ']', text.size);
    if (end == nullptr) return false;
    struct text ip = {text.data + 1, (size_t)(end - text.data) - 1};
    struct text behind = text_skip(text, ip.size + 2);
    if (!parse_ip(ip, address) || address->is_v4) return false;
    if (behind.size == 0) return true;
    return behind.data[0] == ':' && parse_port(text_skip(behind, 1), &address->port);
}

/* One colon parts an IPv4 address from its port; more are an IPv6 address's own. */
static bool parse_bare(struct text text, struct address *address)
{
    const char *colon = memchr(text.data, ':', text.size);
    size_t size = colon != nullptr ? (size_t)(colon - text.data) : text.size;
    struct text rest = text_skip(text, size);
    if (rest.size == 0 || memchr(rest.data + 1, ':', rest.size - 1) != nullptr)
        return parse_ip(text, address);
    return parse_ip((struct text){text.data, size}, address) &&
           parse_port(text_skip(rest, 1), &address->port);
}

bool address_host_parse(struct text text, struct address *address)
{
    *address = (struct address){};
    if (text.size == 0) return false;
    bool read = text.data[0] == '[' ? parse_bracketed(text, address) : parse_bare(text, address);
    if (read) *address = address_of((struct bytes){address->ip, sizeof address->ip}, address->port);
    return read;
}

void write_address(struct writer *writer, const struct address *address, bool with_port)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->is_v4)
        inet_ntop(AF_INET, address->ip + 12, ip, sizeof ip);
    else
        inet_ntop(AF_INET6, address->ip, ip, sizeof ip);
    bool brackets = with_port && !address->is_v4;
    if (brackets) write_byte(writer, '[');
    write_text(writer, text_of(ip));
    if (brackets) write_byte(writer, ']');
    if (!with_port) return;
    write_byte(writer, ':');
    write_u64(writer, address->port);
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    return address->is_v4 ? address->ip[12] == 127 : memcmp(address->ip, one, sizeof one) == 0;
}

bool address_is_any(const struct address *address)
{
    static const uint8_t zeros[16];
    return !address->is_v4 && memcmp(address->ip, zeros, sizeof zeros) == 0;
}

struct text address_subscriber(const struct address *address)
{
    bool is_v4 = memcmp(address->ip, mapped_prefix, sizeof mapped_prefix) == 0;
    return is_v4 ? (struct text){(const char *)address->ip + 12, 4}
                 : (struct text){(const char *)address->ip, 8};
}

bool address_block_parse(struct text text, struct address_block *block)
{
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : nullptr;
    struct text ip = {text.data, slash != nullptr ? (size_t)(slash - text.data) : text.size};
    *block = (struct address_block){};
    if (!parse_ip(ip, &block->first)) return false;
    uint64_t most = block->first.is_v4 ? 32 : 128, bits = most;
    if (slash != nullptr && !text_to_u64(text_skip(text, ip.size + 1), &bits)) return false;
    block->bits = (uint8_t)(bits + 128 - most);
    return bits <= most;
}

bool address_block_holds(const struct address_block *block, const struct address *address)
{
    size_t whole = block->bits / 8, rest = block->bits % 8;
    if (memcmp(block->first.ip, address->ip, whole) != 0) return false;
    return rest == 0 || (block->first.ip[whole] ^ address->ip[whole]) >> (8 - rest) == 0;
}

bool address_blocks_hold(const struct address_blocks *blocks, const struct address *address)
{
    for (uint32_t i = 0; i < blocks->count; i++)
        if (address_block_holds(&blocks->list[i], address)) return true;
    return false;
}
