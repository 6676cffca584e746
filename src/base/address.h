/* base/address.h: where somebody listens or speaks from: IPv4 or IPv6, with a port. */
#pragma once
#include "base/bytes.h"

struct address {
    uint8_t ip[16]; /* IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) */
    uint16_t port;  /* host order */
    bool is_v4;
};

constexpr size_t address_text_max = 48; /* "[ffff:...:255.255.255.255]:65535" fits */

/* Reads "127.0.0.1:8080", "[::1]:8080", ":8080" (every IPv4 and IPv6 address) or "8080" (the
 * same). Names are not looked up. False when it is none of these. */
[[nodiscard]] bool address_parse(struct text text, struct address *address);

/* Reads an address as proxies write it, with a port or without: "192.0.2.1", "192.0.2.1:80",
 * "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". False when it is none of these. */
[[nodiscard]] bool address_host_parse(struct text text, struct address *address);

/* The address of 4 or 16 bytes in network order. Of 16, an IPv4-mapped one is an IPv4 address. */
struct address address_of(struct bytes ip, uint16_t port);

/* Writes the address the way address_parse reads it; without the port when `with_port` is false,
 * and then without brackets. */
void write_address(struct writer *writer, const struct address *address, bool with_port);

/* True for "every address", as ":8080" gives. */
bool address_is_any(const struct address *address);

/* True for 127.0.0.0/8 and ::1. */
bool address_is_loopback(const struct address *address);

/* What one subscriber has: of IPv4 the whole address, of IPv6 its /64 (RFC 6177). The bytes are
 * those of `address`. */
struct text address_subscriber(const struct address *address);

/* A block of addresses: those that share the first `bits` of `first`. */
struct address_block {
    struct address first;
    uint8_t bits; /* of the 128 of address.ip */
};

/* Reads "10.0.0.0/8", "2001:db8::/32" or a single address. False when it is none of these. */
[[nodiscard]] bool address_block_parse(struct text text, struct address_block *block);

bool address_block_holds(const struct address_block *block, const struct address *address);

/* Some blocks, of which an operator may name so many. */
constexpr uint32_t address_blocks_max = 32;
struct address_blocks {
    struct address_block list[address_blocks_max];
    uint32_t count;
};

/* True when one of the blocks holds it. */
bool address_blocks_hold(const struct address_blocks *blocks, const struct address *address);
