/* perf/load/json.h: a strict reader of whole JSON documents (RFC 8259), which takes out the few
 * values that one asks for. Written without a look at what the server writes or reads JSON with.
 * Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum json_kind : uint8_t { JSON_ABSENT, JSON_STRING, JSON_NUMBER, JSON_OTHER };

/* A value that is asked for, and what was found. */
struct json_wanted {
    const char *path; /* "payload.message"; what lies in arrays has no path */
    enum json_kind kind;
    const uint8_t *data; /* STRING: between the quotes, escapes as they stand; NUMBER: its text */
    size_t size;
};

/* Reads all of `text`, which must be one object and nothing behind it. nullptr, or what is wrong
 * with it; a wanted key that comes twice is wrong, too. */
[[nodiscard]] const char *json_read(const uint8_t *text, size_t size, struct json_wanted *wanted,
                                    size_t count);

[[nodiscard]] bool json_is(const struct json_wanted *value, const char *string);
