#include "game/token.h"
#include <assert.h>

void token_take(struct token *token, const struct game_options *options,
                const struct game_guest *guest, struct game_time now)
{
    uint64_t ahead_ms = now.ms + options->leeway_ms;
    uint64_t left_ms = guest->until_ms > ahead_ms ? guest->until_ms - ahead_ms : 0;
    uint64_t lead_ms = options->warning_ms < left_ms / 2 ? options->warning_ms : left_ms / 2;
    token->until_ms = guest->until_ms;
    token->warn_ms = options->warning_ms > 0 ? now.ms + left_ms - lead_ms : game_never_ms;
    token->expires_wall_ms = guest->expires_wall_ms;
}

void token_renew(struct token *token, const struct game_options *options,
                 const struct game_guest *guest, struct game_time now)
{
    if (guest->until_ms > token->until_ms) token_take(token, options, guest, now);
}

bool token_warns(struct token *token, uint64_t now_ms)
{
    if (now_ms < token->warn_ms) return false;
    token->warn_ms = game_never_ms;
    return true;
}

bool token_may_check(struct token *token, uint64_t now_ms)
{
    return bucket_take(&token->checks, game_token_rate, now_ms, 1);
}

const struct token_fault_info *token_fault_info(enum token_fault fault)
{
    static const struct token_fault_info faults[] = {
#define X(name, code, sentence, close) \
    [name] = {{code, sizeof(code) - 1}, {sentence, sizeof(sentence) - 1}, close},
        TOKEN_FAULTS(X)
#undef X
    };
    return &faults[fault];
}

struct text token_read(const struct json *payload, struct text *token)
{
    bool is_text = json_to_text(json_member(payload, TEXT("token")), token);
    return is_text && token->size > 0 ? (struct text){} : TEXT("has no payload.token, a text");
}

void token_ask(struct token_query *query, struct game_words *words, uint32_t member,
               struct text token, struct text correlation)
{
    assert(correlation.size <= sizeof query->correlation);
    query->correlation_size = (uint8_t)correlation.size;
    if (correlation.size > 0) memcpy(query->correlation, correlation.data, correlation.size);
    words_verify(words, member, token);
}
