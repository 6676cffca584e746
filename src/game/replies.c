#include "game/replies.h"
#include "base/random.h"

static uint64_t hash_correlation(struct text correlation)
{
    return hash_text((struct hash_key){}, correlation);
}

const struct reply *replies_find(const struct replies *replies, struct text correlation)
{
    if (correlation.size == 0) return nullptr;
    uint64_t hash = hash_correlation(correlation);
    for (uint32_t i = 0; i < replies_max && i < replies->count; i++)
        if (replies->last[i].correlation == hash) return &replies->last[i];
    return nullptr;
}

void replies_add(struct replies *replies, struct text correlation, uint8_t verdict,
                 uint64_t sequence)
{
    if (correlation.size == 0) return;
    replies->last[replies->count++ % replies_max] = (struct reply){
        .correlation = hash_correlation(correlation), .sequence = sequence, .verdict = verdict};
}
