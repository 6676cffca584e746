/* game/envelope.h: what a member says in the dialects that listen:
 * {"type":T,"correlation_id":C,"payload":{...}} (S2-10).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#pragma once
#include "base/json.h"

constexpr size_t envelope_type_size_max = 32;        /* bytes */
constexpr size_t envelope_correlation_size_max = 64; /* bytes */

/* Texts and values live in the memory that it was read with. */
struct envelope {
    struct text type;           /* not empty */
    struct text correlation;    /* to be repeated in the answer; empty: none was given */
    const struct json *payload; /* an object; nullptr: there is none */
};

/* bytes of envelope_write_problem's sentence */
constexpr size_t envelope_problem_size_max = 160;

/* Reads a message. Returns an empty text, or what is wrong with it: words that continue "The
 * message ". Other keys are ignored. A correlation_id that is valid is set also when something else
 * is wrong, so that the answer can carry it (THREATS.md J5). `memory` as for json_read. */
[[nodiscard]] struct text envelope_read(struct bytes memory, struct text message,
                                        struct envelope *envelope);

/* What envelope_read, or a game in the same manner, has found wrong, as a sentence for the sender.
 */
void envelope_write_problem(struct writer *out, struct text problem);
