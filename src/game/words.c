#include "game/words.h"
#include <assert.h>

struct game_words words_over(struct bytes memory)
{
    return (struct game_words){.out = writer_over(memory.data, memory.size)};
}

struct writer *words_begin(struct game_words *words, enum game_audience audience, uint32_t member)
{
    assert(words->count < game_messages_max);
    words->messages[words->count] = (struct game_message){
        .start = (uint32_t)words->out.size, .member = member, .audience = audience};
    return &words->out;
}

void words_end(struct game_words *words)
{
    assert(!words->out.overflow);
    struct game_message *message = &words->messages[words->count++];
    message->size = (uint32_t)words->out.size - message->start;
}

void words_also(struct game_words *words, uint32_t member)
{
    assert(words->count > 0 && words->count < game_messages_max);
    struct game_message *message = &words->messages[words->count];
    *message = words->messages[words->count - 1];
    message->audience = GAME_TO_ONE;
    message->member = member;
    words->count += 1;
}

void words_dismiss(struct game_words *words, uint32_t member, enum game_dismissal why)
{
    assert(words->dismissed_count < game_dismissed_max);
    words->dismissed[words->dismissed_count].member = member;
    words->dismissed[words->dismissed_count++].why = why;
}

void words_verify(struct game_words *words, uint32_t member, struct text token)
{
    assert(!words->asked.is_asked);
    words->asked = (struct words_token){.is_asked = true, .member = member, .token = token};
}

struct text words_text(const struct game_words *words, const struct game_message *message)
{
    return (struct text){(const char *)words->out.data + message->start, message->size};
}
