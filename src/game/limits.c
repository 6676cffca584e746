#include "game/limits.h"
#include <assert.h>

static struct limit_verdict refuse(struct member_limits *member, enum game_limit limit,
                                   uint32_t retry_ms, uint64_t now_ms)
{
    const struct rate defiances = {.per_second = 1, .burst = game_defiances_most};
    bool defies = now_ms < member->until_ms[limit];
    bool last = defies && !bucket_take(&member->defiances, defiances, now_ms, 1);
    member->until_ms[limit] = now_ms + retry_ms;
    return (struct limit_verdict){.limit = limit, .retry_ms = retry_ms, .last = last};
}

struct limit_verdict limits_chat(struct member_limits *member, uint32_t *room_chat,
                                 const struct game_rates *rates, uint64_t now_ms)
{
    uint32_t own_ms = bucket_wait_ms(member->chat, rates->chat, now_ms, 1);
    uint32_t room_ms = bucket_wait_ms(*room_chat, rates->room_chat, now_ms, 1);
    if (own_ms > 0) return refuse(member, GAME_LIMIT_CHAT, own_ms, now_ms);
    if (room_ms > 0) return refuse(member, GAME_LIMIT_ROOM_CHAT, room_ms, now_ms);
    (void)!bucket_take(&member->chat, rates->chat, now_ms, 1);
    (void)!bucket_take(room_chat, rates->room_chat, now_ms, 1);
    return (struct limit_verdict){};
}

struct limit_verdict limits_state(struct member_limits *member, const struct game_rates *rates,
                                  uint64_t now_ms, uint32_t size)
{
    if (bucket_take(&member->state, rates->state, now_ms, size)) return (struct limit_verdict){};
    return refuse(member, GAME_LIMIT_STATE,
                  bucket_wait_ms(member->state, rates->state, now_ms, size), now_ms);
}

struct text limits_sentence(enum game_limit limit)
{
    static const struct text sentences[game_limits] = {
        [GAME_LIMIT_CHAT] = TEXT("You say too much at once; wait."),
        [GAME_LIMIT_ROOM_CHAT] = TEXT("The room says too much at once; wait."),
        [GAME_LIMIT_STATE] = TEXT("You ask for the state too often; wait."),
    };
    assert(limit != GAME_LIMIT_NONE);
    return sentences[limit];
}
