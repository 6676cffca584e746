/* game/canonical.h: what a room says in the canonical dialect, ringcast.v1: an envelope with its
 * keys always in this order, and each left out where it means nothing:
 *
 *   {"type":T,"event":E,"payload":{...},"correlation_id":C,"seq":N}
 *
 *   event    something happened: participant_joined, participant_left, chat, ...
 *   state    all there is to know, as it is at seq
 *   ack      what the member asked for under correlation_id is done
 *   error    it is not; the event is the code that the payload has, too
 *   system   about the connection: welcome
 *
 * What a member says is read by game/envelope.h. A message that has a correlation_id gets one
 * answer that repeats it, of whatever type. seq numbers what everybody in the room is told, 1, 2,
 * 3, ...; what one member is told by itself has none, but a state, which has that of the last
 * message that it includes: so who finds a gap has missed something.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#pragma once
#include "game/words.h"

#define CANONICAL_PROTOCOL TEXT("ringcast.v1")

/* Begins a message; `event` may be empty. The payload is written to the writer that is returned: a
 * JSON object with its braces. Then comes canonical_end. */
struct writer *canonical_begin(struct game_words *words, enum game_audience audience,
                               uint32_t member, struct text type, struct text event);

/* The payload is written. `correlation` may be empty, `sequence` 0. */
void canonical_end(struct game_words *words, struct text correlation, uint64_t sequence);

/* "key":"value", escaped. `key` needs no escapes. */
void canonical_write(struct writer *out, const char *key, struct text value);

/* To one member: the first words of all, which say where and who it is. */
void canonical_welcome(struct game_words *words, uint32_t member, struct text room,
                       const char *kind, struct text player, struct text name);

/* participant_joined or participant_left, of somebody. */
void canonical_presence(struct game_words *words, enum game_audience audience, uint32_t member,
                        struct text event, struct text player, struct text name, uint64_t sequence);

/* To one member: {"ok":true}, with the seq of what everybody was told because of it, if not 0.
 * Without a correlation_id nobody waits for it, and nothing is said. */
void canonical_ack(struct game_words *words, uint32_t member, uint64_t sequence,
                   struct text correlation);

/* To one member: {"code":C,"message":S}. */
void canonical_error(struct game_words *words, uint32_t member, struct text code,
                     struct text sentence, struct text correlation);

/* To one member: {"t0":T,"t1":MS}, the time that its ping came with, and ours. */
void canonical_pong(struct game_words *words, uint32_t member, int64_t t0, uint64_t wall_ms,
                    struct text correlation);

/* To one member, auth_expiring or auth_refreshed: {"expires_at":MS}, what its token says. */
void canonical_expiry(struct game_words *words, uint32_t member, struct text event,
                      uint64_t expires_wall_ms, struct text correlation);
