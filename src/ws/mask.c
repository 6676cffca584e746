#include "ws/mask.h"

void ws_unmask(struct bytes payload, const uint8_t key[static 4], uint64_t offset)
{
    /* The key twice, turned to begin at `offset`: memory is unmasked a word at a time, whatever the
     * byte order. Eight is a multiple of four, so the turn holds for every word. */
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = key[(offset + i) & 3];
    uint64_t key_word;
    memcpy(&key_word, turned, sizeof key_word);

    uint8_t *at = payload.data;
    size_t words = payload.size / sizeof key_word;
    for (size_t i = 0; i < words; i++) { // memcpy: any alignment; compilers make vectors of this
        uint64_t word;
        memcpy(&word, at + i * sizeof word, sizeof word);
        word ^= key_word;
        memcpy(at + i * sizeof word, &word, sizeof word);
    }
    for (size_t i = words * sizeof key_word; i < payload.size; i++)
        at[i] ^= turned[i & 7];
}
