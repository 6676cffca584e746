/* fuzz/script.h: what all targets share: the input as a script, and what must hold. */
#pragma once
#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>

/* Ends the run, which libFuzzer reports with the input that led here. */
#define MUST(condition)                                                            \
    do {                                                                           \
        if (!(condition)) {                                                        \
            fprintf(stderr, "MUST: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
            abort();                                                               \
        }                                                                          \
    } while (0)

/* An input, taken from the front. Behind its end everything is 0. */
struct script {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t script_byte(struct script *script)
{
    if (script->size == 0) return 0;
    script->size -= 1;
    return *script->data++;
}

static inline uint32_t script_number(struct script *script)
{
    uint32_t high = script_byte(script);
    return high << 8 | script_byte(script);
}

/* The next `size` bytes, or as many as are left. */
static inline struct script script_part(struct script *script, size_t size)
{
    struct script part = {script->data, size < script->size ? size : script->size};
    script->data += part.size;
    script->size -= part.size;
    return part;
}

/* A copy in memory of exactly its size, so that a read past its end is seen. For free(). */
static inline struct bytes bytes_exact(const void *data, size_t size)
{
    struct bytes bytes = {.data = malloc(size > 0 ? size : 1), .size = size};
    if (size > 0) memcpy(bytes.data, data, size);
    return bytes;
}

/* Bytes that become more. All zeros is none; free(data) is the end of it. */
struct pot {
    uint8_t *data;
    size_t size, capacity;
};

static inline void pot_add(struct pot *pot, const void *data, size_t size)
{
    if (size == 0) return;
    if (size > pot->capacity - pot->size) {
        pot->capacity = pot->capacity * 2 + size + 512;
        pot->data = realloc(pot->data, pot->capacity);
    }
    memcpy(pot->data + pot->size, data, size);
    pot->size += size;
}

/* How the same bytes are split in another way: sizes follow from a seed. Seed 0 does not split. */
struct cutter {
    uint32_t seed;
};

static inline size_t cutter_next(struct cutter *cutter, size_t left)
{
    if (cutter->seed == 0 || left == 0) return left;
    cutter->seed = cutter->seed * 1664525 + 1013904223;
    size_t size = 1 + (cutter->seed >> 24) % (1 + (cutter->seed >> 20) % 32);
    return size < left ? size : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
