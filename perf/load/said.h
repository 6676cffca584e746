/* perf/load/said.h: what a client of `ringcast-bench send` says: text that tells who said it,
 * which of its messages it is, when it was due and when it was sent. Pure.
 *
 *     c17 n4 t81234567 s81234599 the rest   (said_write, and what an echo must be, byte for byte)
 *     n4 t81234567                          (a ping's payload) */
#pragma once
#include "wire.h"
#include <stddef.h>
#include <stdint.h>

constexpr size_t said_size_min = 64, said_size_max = 4096;
constexpr size_t said_probe_size = 48; /* of a ping's payload */

struct said {
    uint32_t client;
    uint64_t number; /* of this client, from 1 */
    uint64_t due_ns, sent_ns;
};

/* Writes a message of `size` bytes. */
void said_write(uint8_t *out, size_t size, struct said said);

/* Reads a message of `size` bytes. nullptr, or what is wrong with it. */
[[nodiscard]] const char *said_read(const uint8_t *text, size_t size, struct said *said);

/* The payload of a ping, said_probe_size bytes. */
void said_write_probe(uint8_t out[static said_probe_size], struct said said);
