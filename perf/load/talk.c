#include "talk.h"
#include "json.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The message alone. */
static void write_message(char *out, struct talk talk, size_t text_size)
{
    static const char rest[] = " the quick brown fox jumps over the lazy dog, and says it again;";
    int size = snprintf(out, text_size + 1, "r%" PRIu32 " n%" PRIu64 " t%" PRIu64, talk.room,
                        talk.number, talk.due_ns);
    assert(size > 0 && (size_t)size < text_size);
    for (size_t at = (size_t)size; at < text_size; at++)
        out[at] = rest[(at - (size_t)size) % (sizeof rest - 1)];
    out[text_size - 1] = '.'; /* a blank would be trimmed */
}

size_t talk_write(uint8_t out[static talk_size_max], struct talk talk, size_t text_size)
{
    assert(text_size >= talk_text_min && text_size <= talk_text_max);
    char message[talk_text_max + 1];
    write_message(message, talk, text_size);
    int size = snprintf((char *)out, talk_size_max,
                        "{\"type\":\"chat\",\"correlation_id\":\"c%" PRIu64
                        "\",\"payload\":{\"message\":\"%.*s\"}}",
                        talk.number, (int)text_size, message);
    assert(size > 0 && (size_t)size < talk_size_max);
    return (size_t)size;
}

/* A letter and a number without leading zeros, followed by `end`; 0: the value's own end. */
static bool take(const char **at, char letter, uint64_t *number, char end)
{
    if (**at != letter || (*at)[1] < '0' || (*at)[1] > '9') return false;
    *number = 0;
    for (*at += 1; **at >= '0' && **at <= '9'; *at += 1) {
        if (*number > UINT64_MAX / 10 - 1) return false;
        *number = *number * 10 + (uint64_t)(**at - '0');
    }
    if (**at != end) return false;
    if (end != '\0') *at += 1;
    return true;
}

/* A letter and a number, and nothing else. */
static bool read_numbered(const struct json_wanted *value, char letter, uint64_t *number)
{
    char text[32] = "";
    if (value->kind != JSON_STRING || value->size >= sizeof text) return false;
    memcpy(text, value->data, value->size);
    const char *at = text;
    return take(&at, letter, number, '\0');
}

static const char *read_message(const struct json_wanted *value, size_t text_size,
                                struct talk *talk)
{
    char given[talk_text_max + 1], right[talk_text_max + 1];
    if (value->kind != JSON_STRING || value->size != text_size)
        return "a chat whose message has another size than any that was said";
    memcpy(given, value->data, value->size);
    given[value->size] = '\0';
    const char *at = given;
    uint64_t room;
    if (!take(&at, 'r', &room, ' ') || !take(&at, 'n', &talk->number, ' ') ||
        !take(&at, 't', &talk->due_ns, ' ') || room > UINT32_MAX || talk->number == 0)
        return "a chat that nobody said";
    talk->room = (uint32_t)room;
    write_message(right, *talk, text_size);
    return memcmp(given, right, text_size) == 0 ? nullptr : "a chat that is not as it was said";
}

enum wanted { TYPE, EVENT, CORRELATION, NAME, MESSAGE, SAID_AT, wanted_count };

static const char *read_chat(const struct json_wanted *values, bool bare, size_t text_size,
                             struct talk_heard *heard)
{
    uint64_t place = 0;
    if (values[CORRELATION].kind != JSON_ABSENT &&
        !read_numbered(&values[CORRELATION], 'c', &heard->correlation))
        return "a correlation_id that nobody gave";
    if (!bare && !read_numbered(&values[NAME], 'p', &place)) return "a chat without a name";
    if (!bare && values[SAID_AT].kind != JSON_NUMBER) return "a chat without a time";
    heard->place = (uint32_t)place;
    return read_message(&values[MESSAGE], text_size, &heard->talk);
}

const char *talk_read(const uint8_t *text, size_t size, bool bare, size_t text_size,
                      struct talk_heard *heard)
{
    *heard = (struct talk_heard){};
    struct json_wanted values[wanted_count] = {
        [TYPE] = {.path = "type"},
        [EVENT] = {.path = "event"},
        [CORRELATION] = {.path = "correlation_id"},
        [NAME] = {.path = "payload.display_name"},
        [MESSAGE] = {.path = "payload.message"},
        [SAID_AT] = {.path = "payload.ts"},
    };
    const char *fault = json_read(text, size, values, wanted_count);
    if (fault != nullptr) return fault;
    if (json_is(&values[TYPE], "error")) return "the server answered with an error";
    bool chat = bare ? json_is(&values[TYPE], "chat")
                     : json_is(&values[TYPE], "event") && json_is(&values[EVENT], "chat");
    if (chat) return read_chat(values, bare, text_size, heard);
    if (json_is(&values[TYPE], "state")) {
        heard->kind = TALK_STATE;
        return nullptr;
    }
    heard->kind = TALK_NEWS;
    bool news = json_is(&values[TYPE], "event") && (json_is(&values[EVENT], "participant_joined") ||
                                                    json_is(&values[EVENT], "participant_left"));
    return news ? nullptr : "a message of an unknown type";
}
