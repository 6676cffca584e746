/* perf/load/talk.h: what people in a room say and hear: a chat message that tells whose it is,
 * which it is and when it was due. Pure.
 *
 *   said    {"type":"chat","correlation_id":"c7","payload":{"message":"r3 n7 t81.. the rest"}}
 *   heard   {"type":"event","event":"chat","payload":{...,"display_name":"p2",
 *            "message":"r3 n7 t81.. the rest",...}}, and to who said it "correlation_id":"c7"
 *   bare    from a bare loop: what was said, as it was
 * / */
#pragma once
#include <stddef.h>
#include <stdint.h>

constexpr size_t talk_text_min = 64, talk_text_max = 500; /* bytes of `message` */
constexpr size_t talk_size_max = talk_text_max + 128;

struct talk {
    uint32_t room;
    uint64_t number; /* in its room, from 1 */
    uint64_t due_ns;
};

/* Writes it with a message of `text_size` bytes; returns the size of all. */
size_t talk_write(uint8_t out[static talk_size_max], struct talk talk, size_t text_size);

enum talk_kind : uint8_t {
    TALK_CHAT,
    TALK_STATE, /* who is in the room */
    TALK_NEWS,  /* somebody came or went */
};

struct talk_heard {
    enum talk_kind kind;
    struct talk talk;     /* CHAT */
    uint32_t place;       /* CHAT, unless bare: whose it is, by its display_name */
    uint64_t correlation; /* its number; 0: there is none */
};

/* Reads what a server sends, all of it. nullptr, or what is wrong. Of a chat the message must be
 * what talk_write makes of its numbers, byte for byte. */
[[nodiscard]] const char *talk_read(const uint8_t *text, size_t size, bool bare, size_t text_size,
                                    struct talk_heard *heard);
