#include "base/address.h"
#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_ip(struct text text, struct address *address)
{
    char ip[64];
    if (text.size == 0 || text.size >= sizeof ip) return false;
    if (memchr(text.data, '\0', text.size) != nullptr) return false; /* inet_pton would end there */
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
