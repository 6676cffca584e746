#include "http/proxy.h"

static const uint8_t signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                      0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
constexpr size_t command_at = 12, family_at = 13, length_at = 14;
constexpr uint8_t version_2 = 0x20, command_proxy = 1;
enum family : uint8_t { FAMILY_NONE, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, family_count };
constexpr uint8_t transport_stream = 1, transport_count = 3;
/* Both ends' addresses, and their ports. */
static const size_t address_sizes[family_count] = {0, 2 * 4 + 2 * 2, 2 * 16 + 2 * 2, 2 * 108};

static uint16_t number_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* True when `data`, of any size, may be the beginning of a header. */
static bool may_begin(struct bytes data)
{
    size_t size = data.size < sizeof signature ? data.size : sizeof signature;
    if (size > 0 && memcmp(data.data, signature, size) != 0) return false;
    return data.size <= command_at || data.data[command_at] == version_2 ||
           data.data[command_at] == (version_2 | command_proxy);
}

/* True when type, size and value follow each other up to the end. */
static bool are_vectors(struct bytes rest)
{
    constexpr size_t head_size = 3;
    while (rest.size > 0) {
        if (rest.size < head_size) return false;
        size_t size = head_size + number_at(rest.data + 1);
        if (size > rest.size) return false;
        rest = bytes_skip(rest, size);
    }
    return true;
}

/* Reads what follows the fixed part of a PROXY command. */
static bool read_block(uint8_t family_byte, struct bytes block, struct http_proxy *proxy)
{
    uint8_t family = family_byte >> 4, transport = family_byte & 15;
    if (family >= family_count || transport >= transport_count) return false;
    /* What it is about is not known, so neither is what stands there. */
    if (family == FAMILY_NONE || transport == 0) return true;
    if (block.size < address_sizes[family]) return false;
    if (!are_vectors(bytes_skip(block, address_sizes[family]))) return false;
    if (family == FAMILY_UNIX || transport != transport_stream) return true;
    size_t ip_size = family == FAMILY_INET ? 4 : 16;
    proxy->client =
        address_of((struct bytes){block.data, ip_size}, number_at(block.data + 2 * ip_size));
    proxy->has_client = true;
    return true;
}

enum http_proxy_step http_proxy_read(struct bytes data, struct http_proxy *proxy)
{
    *proxy = (struct http_proxy){.size = http_proxy_fixed_size};
    if (!may_begin(data)) return HTTP_PROXY_BROKEN;
    if (data.size < http_proxy_fixed_size) return HTTP_PROXY_NEED_MORE;
    proxy->size += number_at(data.data + length_at);
    if (proxy->size > http_proxy_size_max) return HTTP_PROXY_BROKEN;
    if (data.size < proxy->size) return HTTP_PROXY_NEED_MORE;
    struct bytes block = {data.data + http_proxy_fixed_size, proxy->size - http_proxy_fixed_size};
    bool is_proxy = (data.data[command_at] & 15) == command_proxy;
    bool read = !is_proxy || read_block(data.data[family_at], block, proxy);
    return read ? HTTP_PROXY_WHOLE : HTTP_PROXY_BROKEN;
}
