#include "ws/mask.h"
#include "base/cpu.h"

/* No size leaves a rest to be done byte by byte, because two pieces may overlap: both are read
 * before either is written, so each byte is what it was at first XORed with the key once.
 *
 *      up to 128 bytes, two pieces of the largest power of two that fits:
 *
 *          [ first piece         ]
 *                   [ last piece          ]
 *
 *      above, with blocks of a register's size, 16, 32 or 64 bytes:
 *
 *          [block]                                    read at first, written at the end
 *             [block block block block][block ...     from an aligned address, while they fit
 *                                 [block block block block]      read at first, too
 *
 * A piece's place in the payload turns the key. All sizes are multiples of four, so one turn is
 * right for all of a piece, and for all of the middle. */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a key's first byte is its lowest");

/* The key as it meets the bytes from `place` on, when it met those from 0 on as it is. */
static inline uint32_t key_at(uint32_t key, size_t place)
{
    return __builtin_rotateright32(key, 8 * (place & 3));
}

/* `from` with the key over it to `to`: `size` is a constant, 4 to 256, so this is a few registers'
 * work. */
[[gnu::always_inline]] static inline void flip(uint8_t *to, const uint8_t *from, uint32_t key,
                                               const size_t size)
{
    uint32_t words[64];
    memcpy(words, from, size);
    for (size_t i = 0; i < size / sizeof key; i++)
        words[i] ^= key;
    memcpy(to, words, size);
}

/* From `piece` to twice as many bytes. */
[[gnu::always_inline]] static inline void flip_ends(uint8_t *at, size_t size, uint32_t key,
                                                    const size_t piece)
{
    uint8_t first[64], last[64];
    flip(first, at, key, piece);
    flip(last, at + size - piece, key_at(key, size), piece);
    memcpy(at, first, piece);
    memcpy(at + size - piece, last, piece);
}

/* More than four blocks, whose size is a register's. */
[[gnu::always_inline]] static inline void flip_long(uint8_t *at, size_t size, uint32_t key,
                                                    const size_t block)
{
    const size_t step = 4 * block;
    uint8_t first[64], last[256], *last_at = at + size - step;
    flip(first, at, key, block);
    flip(last, last_at, key_at(key, size), step);
    uint8_t *middle = at + block - ((uintptr_t)at & (block - 1));
    key = key_at(key, (size_t)(middle - at));
    for (; middle < last_at; middle += step)
        flip(middle, middle, key, step);
    memcpy(at, first, block);
    memcpy(last_at, last, step);
}

#if defined(__x86_64__)

[[gnu::target("avx2")]] static void flip_avx2(uint8_t *at, size_t size, uint32_t key)
{
    flip_long(at, size, key, 32);
}

/* The last word is a hint that Clang has from 20 on, and 19 builds the fuzz targets. */
#if __clang_major__ >= 20
#define WIDEST "avx512f,avx512bw,avx512vl,evex512,no-prefer-256-bit"
#else
#define WIDEST "avx512f,avx512bw,avx512vl,evex512"
#endif

[[gnu::target(WIDEST)]] static void flip_avx512(uint8_t *at, size_t size, uint32_t key)
{
    flip_long(at, size, key, 64);
}

static void flip_above_128(uint8_t *at, size_t size, uint32_t key)
{
    constexpr size_t worth_the_widest = 1024; // as a processor wakes that part of itself for it
    if (size >= worth_the_widest && cpu_has(CPU_AVX512))
        flip_avx512(at, size, key);
    else if (cpu_has(CPU_AVX2))
        flip_avx2(at, size, key);
    else
        flip_long(at, size, key, 16);
}

#else

static void flip_above_128(uint8_t *at, size_t size, uint32_t key)
{
    flip_long(at, size, key, 16);
}

#endif

void ws_unmask(struct bytes payload, const uint8_t key_bytes[static 4], uint64_t offset)
{
    uint8_t *at = payload.data;
    size_t size = payload.size;
    uint32_t key;
    memcpy(&key, key_bytes, sizeof key);
    key = key_at(key, (size_t)offset);
    if (size > 128)
        flip_above_128(at, size, key);
    else if (size >= 64)
        flip_ends(at, size, key, 64);
    else if (size >= 32)
        flip_ends(at, size, key, 32);
    else if (size >= 16)
        flip_ends(at, size, key, 16);
    else if (size >= 8)
        flip_ends(at, size, key, 8);
    else if (size >= 4)
        flip_ends(at, size, key, 4);
    else
        for (size_t i = 0; i < size; i++)
            at[i] ^= (uint8_t)key_at(key, i);
}
