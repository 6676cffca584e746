#include "conn/reasons.h"
#include <assert.h>

static const struct close_info infos[close_reason_count] = {
    [CLOSE_NONE] = {.level = LOG_INFO, .token = TEXT("none"), .sentence = TEXT("it is not closed")},
#define X(name, c, l, t, s) \
    [CLOSE_##name] = {.code = (c), .level = (l), .token = TEXT(t), .sentence = TEXT(s)},
    CLOSE_REASONS(X)
#undef X
#define X(name, c, t, s) \
    [CLOSE_WS_##name] = {.code = (c), .level = LOG_INFO, .token = TEXT(t), .sentence = TEXT(s)},
        WS_ERRORS(X)
#undef X
};

const struct close_info *close_info(enum close_reason reason)
{
    assert(reason < close_reason_count);
    return &infos[reason];
}

enum close_reason close_reason_of(enum ws_error error)
{
    assert(error != WS_OK);
    static_assert(CLOSE_WS_TOO_BIG - CLOSE_WS_UNMASKED == WS_TOO_BIG - WS_UNMASKED,
                  "the two lists are one");
    return (enum close_reason)(CLOSE_WS_UNMASKED + (error - WS_UNMASKED));
}
