#include "game/relay_body.h"
#include "base/plain.h"
#include "game/game.h"
#include "limits.h"

static bool say(struct writer *problem, struct text words)
{
    write_text(problem, words);
    return false;
}

/* The beginning of what is wrong with a member. */
static void name_member(struct writer *problem, struct text name)
{
    write_text(problem, TEXT("has a member \""));
    write_text(problem, name);
    write_text(problem, TEXT("\" that is "));
}

/* As much of a stranger's text as a sentence bears, whole code points of it. */
static void write_some(struct writer *out, struct text text)
{
    constexpr size_t most = 64;
    size_t size = 0;
    uint32_t code_point;
    while (size < text.size && size < most)
        size += text_code_point(text_skip(text, size), &code_point);
    write_text(out, (struct text){text.data, size});
    if (size < text.size) write_text(out, TEXT("..."));
}

/* An object with no other keys than these. */
static bool has_only(const struct json *root, const struct text *names, size_t count,
                     struct writer *problem)
{
    if (!json_is_object(root)) return say(problem, TEXT("is not a JSON object"));
    for (size_t i = 0; i < json_count(root); i++) {
        struct text name = {};
        (void)!json_member_at(root, i, &name);
        size_t known = 0;
        while (known < count && !text_equal(names[known], name))
            known += 1;
        if (known < count) continue;
        write_text(problem, TEXT("has a key that is not known here: \""));
        write_some(problem, name);
        write_text(problem, TEXT("\""));
        return false;
    }
    return true;
}
#define HAS_ONLY(root, problem, ...)                   \
    has_only(root, (const struct text[]){__VA_ARGS__}, \
             sizeof((const struct text[]){__VA_ARGS__}) / sizeof(struct text), problem)

/* The next four leave *out as it is when there is no such member. */

static bool read_object(const struct json *root, struct text name, const struct json **out,
                        struct writer *problem)
{
    const struct json *value = json_member(root, name);
    if (value == nullptr) return true;
    if (!json_is_object(value)) {
        name_member(problem, name);
        return say(problem, TEXT("not an object"));
    }
    *out = value;
    return true;
}

static bool read_flag(const struct json *root, struct text name, bool *out, struct writer *problem)
{
    const struct json *value = json_member(root, name);
    if (value == nullptr || json_to_bool(value, out)) return true;
    name_member(problem, name);
    return say(problem, TEXT("neither true nor false"));
}

static bool read_number(const struct json *root, struct text name, uint64_t least, uint64_t most,
                        uint64_t *out, struct writer *problem)
{
    int64_t number;
    const struct json *value = json_member(root, name);
    if (value == nullptr) return true;
    if (json_to_integer(value, &number) && number >= (int64_t)least && number <= (int64_t)most) {
        *out = (uint64_t)number;
        return true;
    }
    name_member(problem, name);
    write_text(problem, TEXT("not a whole number from "));
    write_u64(problem, least);
    write_text(problem, TEXT(" to "));
    write_u64(problem, most);
    return false;
}

/* A text that people can read, of 1 to `most` bytes. */
static bool is_readable(const struct json *value, size_t most, struct text *out)
{
    return json_to_text(value, out) && out->size > 0 && out->size <= most && plain_is_clean(*out);
}

static bool read_readable(const struct json *root, struct text name, size_t most, struct text *out,
                          struct writer *problem)
{
    const struct json *value = json_member(root, name);
    if (value == nullptr || is_readable(value, most, out)) return true;
    name_member(problem, name);
    write_text(problem, TEXT("not a text of 1 to "));
    write_u64(problem, most);
    return say(problem, TEXT(" bytes, all of them to be seen"));
}

/* --- Each of them ---------------------------------------------------------------------------- */

bool relay_read_opening(const struct json *root, struct relay_opening *opening,
                        struct writer *problem)
{
    uint64_t members_max = 0, empty_ms = 0;
    *opening = (struct relay_opening){};
    if (!HAS_ONLY(root, problem, TEXT("id"), TEXT("state"), TEXT("members_max"), TEXT("locked"),
                  TEXT("chat"), TEXT("empty_ttl_ms")) ||
        !read_object(root, TEXT("state"), &opening->state, problem) ||
        !read_number(root, TEXT("members_max"), 1, relay_members_most, &members_max, problem) ||
        !read_flag(root, TEXT("locked"), &opening->locked, problem) ||
        !read_flag(root, TEXT("chat"), &opening->chat, problem) ||
        !read_number(root, TEXT("empty_ttl_ms"), relay_empty_least_ms, relay_empty_most_ms,
                     &empty_ms, problem))
        return false;
    opening->members_max = (uint32_t)members_max;
    opening->empty_ms = (uint32_t)empty_ms;
    return true;
}

static bool is_named(const struct relay_event *event, struct text player)
{
    for (uint32_t i = 0; i < event->to_count; i++)
        if (text_equal(event->to[i], player)) return true;
    return false;
}

static bool read_to(const struct json *list, struct relay_event *event, struct writer *problem)
{
    size_t count = json_count(list);
    bool right = json_is_array(list) && count > 0 && count <= relay_to_most;
    for (size_t i = 0; right && i < count; i++) {
        struct text player;
        right = is_readable(json_element(list, i), game_player_size_max, &player) &&
                !is_named(event, player);
        if (right) event->to[event->to_count++] = player;
    }
    if (right) return true;
    name_member(problem, TEXT("to"));
    return say(problem, TEXT("not a list of 1 to 16 player ids, none of them twice"));
}

bool relay_read_event(const struct json *root, struct relay_event *event, struct writer *problem)
{
    *event = (struct relay_event){};
    if (!HAS_ONLY(root, problem, TEXT("event"), TEXT("payload"), TEXT("to")) ||
        !read_readable(root, TEXT("event"), relay_event_size_max, &event->name, problem) ||
        !read_object(root, TEXT("payload"), &event->payload, problem))
        return false;
    if (event->name.size == 0) return say(problem, TEXT("has no event, the event's name"));
    const struct json *to = json_member(root, TEXT("to"));
    return to == nullptr || read_to(to, event, problem);
}

bool relay_read_change(const struct json *root, struct relay_change *change, struct writer *problem)
{
    const struct json *replace = nullptr, *merge = nullptr;
    *change = (struct relay_change){};
    if (!HAS_ONLY(root, problem, TEXT("replace"), TEXT("merge"), TEXT("if_seq")) ||
        !read_object(root, TEXT("replace"), &replace, problem) ||
        !read_object(root, TEXT("merge"), &merge, problem) ||
        !read_number(root, TEXT("if_seq"), 0, INT64_MAX, &change->if_seq, problem))
        return false;
    if ((replace == nullptr) == (merge == nullptr))
        return say(problem, TEXT("must have either replace or merge, an object"));
    change->merges = merge != nullptr;
    change->value = change->merges ? merge : replace;
    change->has_if_seq = json_member(root, TEXT("if_seq")) != nullptr;
    return true;
}

bool relay_read_kick(const struct json *root, struct relay_kick *kick, struct writer *problem)
{
    *kick = (struct relay_kick){};
    if (!HAS_ONLY(root, problem, TEXT("player"), TEXT("reason")) ||
        !read_readable(root, TEXT("player"), game_player_size_max, &kick->player, problem) ||
        !read_readable(root, TEXT("reason"), relay_reason_size_max, &kick->reason, problem))
        return false;
    return kick->player.size > 0 || say(problem, TEXT("has no player, a player's id"));
}

bool relay_read_lock(const struct json *root, bool *locked, struct writer *problem)
{
    if (!HAS_ONLY(root, problem, TEXT("locked")) ||
        !read_flag(root, TEXT("locked"), locked, problem))
        return false;
    return json_member(root, TEXT("locked")) != nullptr ||
           say(problem, TEXT("has no locked, true or false"));
}
