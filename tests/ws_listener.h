/* tests/ws_listener.h: what a client may put on the wire, heard by a reader in pieces, and by a
 * reference at once.
 *
 * Both give transcripts, which a test compares:
 *
 *     text(Hello)@11 ping(a)@18 !RESERVED_BIT    each event with its last byte's place on the
 *                                                wire; the error last
 *
 * An error's own byte is error_at; in pieces it must come in the very piece that holds that
 * byte. */
#pragma once
#include "ws/reader.h"

/* A growing run of bytes, on the heap. */
struct pile {
    uint8_t *data;
    size_t size;
    size_t capacity; /* bytes that `data` has room for; may be 0 for bytes that are not added to */
};
void pile_put(struct pile *pile, const void *bytes, size_t size);
void pile_byte(struct pile *pile, uint64_t byte);
void pile_free(struct pile *pile);

struct transcript {
    struct pile events;
    size_t error_at; /* the byte of the wire, from 1, that shows the error; 0 without one */
};
void transcript_note(struct transcript *transcript, const struct ws_message *message, size_t at);
void transcript_error(struct transcript *transcript, enum ws_error error, size_t at);

/* A client's frame in its shortest form, masked with `key`; `first` is the first byte as it is. */
void wire_frame(struct pile *wire, uint64_t first, const void *payload, size_t size,
                const uint8_t key[static 4]);

/* Numbers from a seed, which is changed. */
uint64_t dice_next(uint64_t *seed);
size_t dice_below(uint64_t *seed, size_t bound);

/* A connection that lends exactly what is needed and not one byte more, takes it back as soon as it
 * may, and checks at each step what the reader promises. */
struct listener {
    struct ws_reader reader;
    struct transcript heard;
    size_t fed;         /* bytes of the wire in all pieces up to this one */
    size_t error_after; /* bytes of the wire before the piece in which the error came */
    size_t lends;
};
void listener_init(struct listener *listener, const struct ws_limits *limits);
void listener_free(struct listener *listener);

/* Feeds one piece, from memory of exactly its size, and notes what is heard. Gives the last
 * step. */
enum ws_step listener_feed(struct listener *listener, const uint8_t *piece, size_t size);

/* Hears the wire in pieces of 1 to `piece_max` bytes, drawn from `seed`: it must be as `wanted`. */
void expect_heard_in_pieces(const char *who, struct pile wire, size_t piece_max, uint64_t seed,
                            const struct ws_limits *limits, const struct transcript *wanted);

/* The same byte by byte, at every split in two, and in random pieces (THREATS F12). */
void expect_heard(const char *who, struct pile wire, const struct ws_limits *limits,
                  const struct transcript *wanted);

/* The whole wire read at once, by the letter of the RFC and with all the memory it likes: an
 * independent answer to compare with. The caller frees the events. */
struct transcript reference_read(struct pile wire, const struct ws_limits *limits);
