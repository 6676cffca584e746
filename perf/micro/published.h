/* perf/micro/published.h: what others found best, written down by us to be measured beside ours.
 * They take whole texts only, and need AVX2 (base/cpu.h). Elsewhere than x86-64 they are not
 * there. */
#pragma once
#include "base/bytes.h"

#if defined(__x86_64__)
constexpr bool have_published = true;
#else
constexpr bool have_published = false;
#endif

/* J. Keiser, D. Lemire: "Validating UTF-8 in less than one instruction per byte", Software:
 * Practice and Experience 51 (2021). 64 bytes a step, ASCII steps by a short cut, the bytes
 * before a block shifted in from the block before. */
[[nodiscard]] bool published_utf8(struct bytes text);

/* What WebSocket libraries with vector code do: unaligned 32-byte XORs, four a step, then one, then
 * words and bytes. */
void published_unmask(struct bytes payload, const uint8_t key[static 4]);
