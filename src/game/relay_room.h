/* game/relay_room.h: what relay.c, relay_room.c and relay_request.c share and nobody else: who has
 * a place in a backend's room, and what everybody was told.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * Who comes has a place from then on:
 *
 *     connected --leave--> away --leave_ms--> out of sight: the place is free,
 *         ^                  |                unless the room is locked: then who was
 *         +------arrive------+-----arrive---- here may still come back */
#pragma once
#include "game/company.h"
#include "game/relay.h"
#include <stddef.h>

constexpr uint32_t relay_kicked_most = 64;

struct kicked {
    uint8_t id_size;
    char id[game_player_size_max];
};

struct relay {
    struct company company;
    uint64_t created_wall_ms;
    uint64_t state_sequence; /* of the message that told of the state as it is */
    uint32_t count, kicked_count;
    uint32_t members_max, empty_ms;
    bool locked, chat;
    uint8_t epoch_size;
    uint32_t state_size;
    char epoch[game_id_size_max]; /* tells this room from another of its name */
    /* Of each of these only so much is ever looked at as has been written; so a room of few and
     * with a small state takes few pages. */
    char state[relay_state_size_max];         /* a JSON object */
    struct person people[relay_members_most]; /* in the order of coming */
    struct kicked kicked[relay_kicked_most];
};
static_assert(offsetof(struct relay, company) == 0, "a room is found by its company");

/* nullptr: it has no place. */
struct person *relay_find(struct relay *relay, struct text id);
struct person *relay_find_member(struct relay *relay, uint32_t member);
bool relay_is_kicked(const struct relay *relay, struct text id);

/* `state` is a JSON object of relay_state_size_max bytes at most; copied. */
void relay_set_state(struct relay *relay, struct text state);

/* Nobody has this place any more; those behind it move up. */
void relay_free_place(struct relay *relay, struct person *person);

/* --- What it says ---------------------------------------------------------------------------- */

void relay_say_state(const struct relay *relay, struct game_words *words,
                     enum game_audience audience, uint32_t member, struct text correlation);

/* To one member: who is here, and what may be done. */
void relay_say_members(const struct relay *relay, struct game_words *words, uint32_t member,
                       struct text correlation);

/* "members":[...] */
void relay_write_members(struct writer *out, const struct relay *relay);

/* --- The functions of game_relay (game/game.h) ------------------------------------------------ */

/* relay_room.c */
void relay_open(void *state, const struct game_opening *opening);
bool relay_advance(void *state, struct game_time now, struct game_words *words);
uint64_t relay_due(const void *state);
enum game_admission relay_admits(const void *state, const struct game_guest *guest);
void relay_arrive(void *state, uint32_t member, const struct game_guest *guest,
                  struct game_time now, struct game_words *words);
void relay_leave(void *state, uint32_t member, struct game_time now, struct game_words *words);

/* relay_request.c */
enum game_answer relay_request(void *state, const struct game_request *request,
                               struct game_time now, struct writer *reply,
                               struct game_words *words);
void relay_describe(const void *state, struct writer *out);
