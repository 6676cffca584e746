#include "game/strikes.h"

bool strikes_add(struct strikes *strikes, uint64_t now_ms)
{
    uint64_t *oldest = &strikes->times_ms[strikes->count % strikes_max];
    bool last = strikes->count >= strikes_max && now_ms - *oldest < strikes_ms;
    *oldest = now_ms;
    strikes->count += 1;
    return last;
}
