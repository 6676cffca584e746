/* hub/world_log.h: the world's inputs on their way to a file (--world-log), for `ringcast
 * replay-world`. What is written is game/world_log.h's.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 * The worker never waits for the file: entries go into one of two buffers while the kernel writes
 * the other. A log with a hole could not be played again, so it ends, and a line of the server's
 * log says why, when the file has its size (--world-log-size), when the disk is full, or so slow
 * that both buffers are. The world goes on. */
#pragma once
#include "game/world_log.h"
#include "hub/config.h"

struct worker;
struct hub_room;
struct verdict;

struct world_log {
    int fd;
    bool is_on;
    bool armed; /* the kernel holds a write of `writing` */
    uint32_t bytes_max;
    uint64_t bytes; /* so far, written or not */
    uint64_t inputs, ticks;
    uint64_t hash; /* after the last tick */
    struct hash_key hide;
    struct writer filling;
    uint8_t *other;       /* the buffer that is not being filled */
    struct bytes writing; /* what is left of it to be written */
};

/* Makes the file, keeping one that is there as FILE.old. nullptr when it cannot be written, with
 * one sentence in *why; also, without one, when there is no --world-log. At start: it allocates. */
[[nodiscard]] struct world_log *world_log_make(const struct config *config, struct writer *why);
void world_log_free(struct world_log *log);

/* In the world's room: each input before its game hears of it. Rooms that keep no log are left
 * alone. */
void world_log_open(struct worker *worker, const struct game_opening *opening, struct text file);
void world_log_join(struct worker *worker, const struct hub_room *room, uint32_t member);
void world_log_leave(struct worker *worker, const struct hub_room *room, uint32_t member);
void world_log_say(struct worker *worker, const struct hub_room *room, uint32_t member,
                   struct text text);
/* `guest` is nullptr where the token is not good: then `code` says why. */
void world_log_token(struct worker *worker, const struct hub_room *room, uint32_t member,
                     const struct game_guest *guest, struct text code);
/* Another map has been taken; `file` is its text. */
void world_log_map(struct worker *worker, struct text file);
/* The clock has ticked: after the game. */
void world_log_tick(struct worker *worker, const struct hub_room *room);

/* The world comes to its end. */
void world_log_end(struct worker *worker, struct text why);

/* Gives the kernel what there is, unless it has some. Each turn. */
void world_log_write(struct worker *worker);
void world_log_on_written(struct worker *worker, int32_t result);

/* True while some is still to be written. */
[[nodiscard]] bool world_log_waits(const struct worker *worker);
