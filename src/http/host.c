#include "http/host.h"
#include "base/address.h"

struct text http_host(const struct http_request *request)
{
    const struct http_header *header = http_find(request, TEXT("Host"), nullptr);
    if (header == nullptr) return (struct text){};
    struct text host = header->value;
    bool bracketed = host.size > 0 && host.data[0] == '[';
    const char *end = host.size > 0 ? memchr(host.data, bracketed ? ']' : ':', host.size) : nullptr;
    if (end != nullptr) host.size = (size_t)(end - host.data) + (bracketed ? 1 : 0);
    return host;
}

bool http_host_is_own(struct text host)
{
    struct address_block block;
    bool bracketed = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (bracketed) host = (struct text){host.data + 1, host.size - 2};
    if (host.size > 0 && memchr(host.data, '/', host.size) != nullptr) return false;
    bool is_address = address_block_parse(host, &block) && block.first.is_v4 != bracketed;
    return is_address || (!bracketed && text_equal_nocase(host, TEXT("localhost")));
}
