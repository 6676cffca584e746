#include "game/words.h"
#include <assert.h>

/* What lies first in the memory is aligned for all that follows. */
static_assert(alignof(struct game_message) == alignof(uint32_t));
static_assert(alignof(struct game_gathering) == alignof(uint32_t));

size_t words_memory_size(struct words_size size)
{
    return size.bytes + size.messages * sizeof(struct game_message) +
           size.numbers * sizeof(uint32_t) + size.gatherings * sizeof(struct game_gathering);
}

struct game_words words_over_much(struct bytes memory, struct words_size size)
{
    assert(memory.size >= words_memory_size(size));
    struct game_words words = {.most = size, .heard = game_type_unknown};
    words.messages = (struct game_message *)memory.data;
    words.numbers = (uint32_t *)(words.messages + size.messages);
    words.gatherings = (struct game_gathering *)(words.numbers + size.numbers);
    words.out = writer_over(words.gatherings + size.gatherings, size.bytes);
    return words;
}

struct game_words words_over(struct bytes memory)
{
    assert(memory.size >= words_list_size);
    return words_over_much(memory, (struct words_size){.bytes = memory.size - words_list_size,
                                                       .messages = game_messages_max});
}

static bool says_parts(const struct game_words *words)
{
    return words->count > 0 && words->messages[words->count - 1].audience == GAME_TO_GATHERERS;
}

static void deliver(struct game_words *words)
{
    assert(words->deliver != nullptr && !says_parts(words));
    words->deliver(words);
    words->count = words->number_count = 0;
    words->out.size = 0;
}

static struct writer *begin(struct game_words *words, enum game_audience audience, uint32_t member)
{
    assert(words->count < words->most.messages);
    words->messages[words->count] = (struct game_message){
        .start = (uint32_t)words->out.size, .member = member, .audience = audience};
    return &words->out;
}

struct writer *words_begin(struct game_words *words, enum game_audience audience, uint32_t member)
{
    bool full = words->count == words->most.messages ||
                words->out.capacity - words->out.size < words->most.message_bytes;
    if (full && words->deliver != nullptr) deliver(words);
    return begin(words, audience, member);
}

uint32_t *words_room(struct game_words *words, uint32_t count)
{
    assert(count <= words->most.numbers);
    if (words->number_count + count > words->most.numbers) deliver(words);
    return words->numbers + words->number_count;
}

/* Makes room for a message, behind which its members are written already. */
static void make_room(struct game_words *words, uint32_t list, uint32_t count, size_t size)
{
    assert(size <= words->most.bytes);
    if (words->count < words->most.messages && words->out.capacity - words->out.size >= size)
        return;
    deliver(words);
    memmove(words->numbers, words->numbers + list, count * sizeof *words->numbers);
}

static struct writer *begin_to(struct game_words *words, uint32_t list, uint32_t count)
{
    struct writer *out = begin(words, GAME_TO_SOME, count);
    words->messages[words->count].list = list;
    words->number_count = list + count;
    return out;
}

struct writer *words_begin_some(struct game_words *words, uint32_t count, size_t size)
{
    uint32_t list = words->number_count;
    assert(list + count <= words->most.numbers);
    make_room(words, list, count, size);
    return begin_to(words, words->number_count, count);
}

struct writer *words_begin_again(struct game_words *words, size_t size)
{
    assert(words->count > 0 && words->messages[words->count - 1].audience == GAME_TO_SOME);
    const struct game_message last = words->messages[words->count - 1];
    make_room(words, last.list, last.member, size);
    return begin_to(words, words->count > 0 ? last.list : 0, last.member);
}

void words_begin_parts(struct game_words *words)
{
    if (words->count > 0) deliver(words);
}

struct writer *words_begin_part(struct game_words *words, uint32_t key)
{
    assert(key > 0);
    return begin(words, GAME_TO_GATHERERS, key);
}

void words_gather(struct game_words *words, uint32_t count, const uint32_t *parts,
                  uint32_t part_count)
{
    uint32_t members = words->number_count, behind = members + count;
    assert(behind + part_count <= words->most.numbers && part_count <= game_gather_max);
    assert(words->gathering_count < words->most.gatherings);
    memcpy(words->numbers + behind, parts, part_count * sizeof *parts);
    words->number_count = behind + part_count;
    words->gatherings[words->gathering_count++] = (struct game_gathering){
        .members = members, .member_count = count, .parts = behind, .part_count = part_count};
}

void words_end(struct game_words *words)
{
    assert(!words->out.overflow);
    struct game_message *message = &words->messages[words->count++];
    message->size = (uint32_t)words->out.size - message->start;
}

void words_also(struct game_words *words, uint32_t member)
{
    assert(words->count > 0 && words->count < words->most.messages);
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
