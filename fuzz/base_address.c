/* fuzz/base_address.c: addresses and blocks of addresses, as operators write them and proxies send
 * them. Input: 16 bytes of another address, then the text.
 *
 * A text is taken exactly when a second reader, by RFC 4291 §2.2, takes it, and means the same;
 * what is written is read back; a block holds exactly the addresses whose first bits are its
 * own. */
#include "base/address.h"
#include "script.h"

/* A whole decimal number without a zero in front, 0 to 255. */
static bool read_part(const char *text, size_t size, uint8_t *part)
{
    uint32_t value = 0;
    if (size == 0 || size > 3 || (size > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *part = (uint8_t)value;
    return value <= 255;
}

static bool read_v4(const char *text, size_t size, uint8_t ip[static 4])
{
    size_t start = 0, parts = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != '.') continue;
        if (parts == 4 || !read_part(text + start, i - start, &ip[parts])) return false;
        parts += 1;
        start = i + 1;
    }
    return parts == 4;
}

static bool read_group(const char *text, size_t size, uint8_t group[static 2])
{
    uint32_t value = 0;
    if (size == 0 || size > 4) return false;
    for (size_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *at = text[i] != '\0' ? strchr(digits, text[i]) : nullptr;
        if (at == nullptr) return false;
        value = value * 16 + (uint32_t)(at - digits) % 16;
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return true;
}

/* Groups between single colons, the last of which may be an IPv4 address; the bytes, or -1. */
static int read_groups(const char *text, size_t size, uint8_t out[static 16], bool v4_may_end)
{
    int used = 0;
    size_t start = 0;
    if (size == 0) return 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != ':') continue;
        bool last = i == size;
        if (used <= 14 && read_group(text + start, i - start, out + used))
            used += 2;
        else if (last && v4_may_end && used <= 12 && read_v4(text + start, i - start, out + used))
            used += 4;
        else
            return -1;
        start = i + 1;
    }
    return used;
}

static bool read_v6(const char *text, size_t size, uint8_t ip[static 16])
{
    uint8_t head[16] = {}, tail[16] = {};
    const char *gap = size > 1 ? memmem(text, size, "::", 2) : nullptr;
    if (gap == nullptr) return read_groups(text, size, ip, true) == 16;
    size_t before = (size_t)(gap - text);
    int heads = read_groups(text, before, head, false);
    int tails = read_groups(gap + 2, size - before - 2, tail, true);
    if (heads < 0 || tails < 0 || heads + tails > 14) return false;
    memset(ip, 0, 16);
    memcpy(ip, head, (size_t)heads);
    memcpy(ip + 16 - tails, tail, (size_t)tails);
    return true;
}

static bool read_any(const char *text, size_t size, struct address *address)
{
    memset(address, 0, sizeof *address);
    address->ip[10] = address->ip[11] = 0xff;
    address->is_v4 = read_v4(text, size, address->ip + 12);
    return size < 64 && (address->is_v4 || read_v6(text, size, address->ip));
}

static bool same(const struct address *left, const struct address *right)
{
    return memcmp(left->ip, right->ip, sizeof left->ip) == 0 && left->is_v4 == right->is_v4 &&
           left->port == right->port;
}

/* Digits only, to the end; more than 20 of them are too many for any use. */
static bool read_number(const char *text, size_t size, uint64_t most, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *value = *value * 10 + (uint64_t)(text[i] - '0');
        if (*value > most) return false;
    }
    return size > 0;
}

static bool wanted_listen(const char *text, size_t size, struct address *address)
{
    size_t colon = size;
    uint64_t port;
    while (colon > 0 && text[colon - 1] != ':')
        colon -= 1;
    if (!read_number(text + colon, size - colon, UINT16_MAX, &port)) return false;
    *address = (struct address){.port = (uint16_t)port};
    if (colon <= 1) return true;
    bool brackets = colon > 2 && text[0] == '[' && text[colon - 2] == ']';
    bool fine = brackets ? read_any(text + 1, colon - 3, address) && !address->is_v4
                         : read_any(text, colon - 1, address) && address->is_v4;
    address->port = (uint16_t)port;
    return fine;
}

static void check_listen(struct text text)
{
    struct address real, wanted;
    uint8_t memory[address_text_max];
    bool taken = address_parse(text, &real);
    MUST(taken == wanted_listen(text.data, text.size, &wanted));
    if (!taken) return;
    MUST(same(&real, &wanted));
    struct writer out = writer_over(memory, sizeof memory);
    write_address(&out, &real, true);
    MUST(!out.overflow && address_parse(text_from(writer_bytes(&out)), &wanted));
    /* IPv6's way to write an IPv4 address is read as what it is. */
    MUST(memcmp(real.ip, wanted.ip, sizeof real.ip) == 0 && real.port == wanted.port);
}

static bool holds_by_bits(const struct address_block *block, const struct address *address)
{
    for (size_t bit = 0; bit < block->bits; bit++)
        if (((block->first.ip[bit / 8] ^ address->ip[bit / 8]) >> (7 - bit % 8) & 1) != 0)
            return false;
    return true;
}

static void check_block(struct text text, const struct address *other)
{
    struct address_block block;
    struct address wanted;
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : nullptr;
    size_t ip_size = slash != nullptr ? (size_t)(slash - text.data) : text.size;
    bool fine = read_any(text.data, ip_size, &wanted);
    uint64_t most = wanted.is_v4 ? 32 : 128, bits = most;
    if (slash != nullptr)
        fine = read_number(slash + 1, text.size - ip_size - 1, most, &bits) && fine;
    MUST(address_block_parse(text, &block) == fine);
    if (!fine) return;
    MUST(same(&block.first, &wanted) && block.bits == bits + (wanted.is_v4 ? 96 : 0));
    MUST(address_block_holds(&block, &block.first));
    MUST(address_block_holds(&block, other) == holds_by_bits(&block, other));
    struct address near = block.first;
    for (size_t bit = 0; bit < 128; bit++) {
        near.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        MUST(address_block_holds(&block, &near) == (bit >= block.bits));
        near.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    struct address other = {};
    for (size_t i = 0; i < sizeof other.ip; i++)
        other.ip[i] = script_byte(&script);
    struct bytes text = bytes_exact(script.data, script.size);
    check_listen(text_from(text));
    check_block(text_from(text), &other);
    free(text.data);
    return 0;
}
