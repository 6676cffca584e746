/* hub/backend.h: rooms whose rules live in somebody's backend (game/relay.h): what is done for it,
 * on the worker where the room lives, and exactly once (hub/idempotency.h). The HTTP around it is
 * hub/backend_routes.h.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   backend --HTTP--> internal listener, one worker --errand--> the room's home: backend_do
 *           <--HTTP--                              <--errand--
 *
 * Such a room is called "lobby/ID", as a lobby is: members come to it by /ws/games/ID, and are
 * seated by the kind of the room that they find there (hub/door.h). */
#pragma once
#include "game/relay.h"
#include "hub/worker.h"

#define BACKEND_REFUSALS(X) /* name, status, code, sentence with the remedy */               \
    X(BAD_REQUEST, 400, "bad_request", "")                                                   \
    X(BAD_KEY, 400, "bad_idempotency_key",                                                   \
      "Idempotency-Key must be one header of 1 to 64 printable characters.")                 \
    X(BAD_QUERY, 400, "bad_query",                                                           \
      "limit is a number from 1 to 200, after what an earlier answer had as next.")          \
    X(NO_ROOM, 404, "room_not_found", "There is no such room; it may be over.")              \
    X(NO_ACTION, 404, "not_found",                                                           \
      "A room is asked to publish, state, kick or lock, by POST, or to go, by DELETE.")      \
    X(EXISTS, 409, "room_exists", "There is a room of this id already.")                     \
    X(NOT_A_BACKENDS, 409, "not_a_backend_room",                                             \
      "The rules of this room are the server's own; a backend may see or delete it.")        \
    X(SEQ_MISMATCH, 409, "seq_mismatch",                                                     \
      "The state is not the one of if_seq any more; get the room and decide anew.")          \
    X(TOO_MANY_KICKED, 409, "too_many_kicked",                                               \
      "A room remembers 64 players who were sent away; lock it, or give it another id.")     \
    X(STATE_TOO_LARGE, 413, "state_too_large",                                               \
      "A state has at most 16 KiB, as JSON without white space, and 256 keys in an object.") \
    X(PAYLOAD_TOO_LARGE, 413, "payload_too_large",                                           \
      "A payload has at most 16 KiB, as JSON without white space.")                          \
    X(MEDIA_TYPE, 415, "unsupported_media_type",                                             \
      "Send JSON, with Content-Type: application/json.")                                     \
    X(KEY_REUSED, 422, "idempotency_key_reused",                                             \
      "This room has seen this Idempotency-Key with another request; take a new one.")       \
    X(TOO_LARGE, 500, "too_large", "The answer is larger than this server can give.")        \
    X(ROOMS, 503, "too_many_rooms", "No further room can be made now; try again later.")     \
    X(BUSY, 503, "overloaded", "The workers are busy; try again.")

enum backend_refusal : uint8_t {
    BACKEND_DONE, /* it is none */
#define X(name, status, code, sentence) BACKEND_##name,
    BACKEND_REFUSALS(X)
#undef X
};

/* What a backend asks of one room. Borrowed for the call. Without a name "open" makes up an id, of
 * a room that lives here. */
struct backend_request {
    struct text verb; /* of game/relay.h, static text; "open" makes the room */
    struct text name; /* "lobby/ID" */
    struct text key;  /* of idempotency; may be empty */
    struct text body;
};

struct backend_answer {
    enum backend_refusal refusal;
    uint16_t status; /* where it is none */
    /* JSON where it is none; with BAD_REQUEST words that continue "The body "; else it does not
     * matter */
    struct writer *body;
};

/* Does it, unless it has been done under the same key already. The room lives here, or is to.
 * answer->body is empty, and lies in worker.backend_reply or elsewhere. */
void backend_do(struct worker *worker, const struct backend_request *request,
                struct backend_answer *answer);

/* --- The list of rooms ----------------------------------------------------------------------- */

constexpr uint32_t backend_page_most = 200; /* rooms */
constexpr uint32_t backend_page_usual = 50;

/* Where a list goes on: with the rooms of `worker` behind the one of that hash, in the order of its
 * table; so each room that is there all the while is met exactly once. */
struct backend_cursor {
    uint32_t worker;
    bool begun; /* `hash` counts */
    uint64_t hash;
};

struct backend_page {
    struct backend_cursor cursor;
    uint32_t left, written; /* rooms */
};

/* Bytes of one room in the list, its comma included. */
constexpr size_t backend_room_size_max = 256;

/* Writes rooms that live here and are behind the cursor, which is on this worker, as elements of a
 * JSON array, and moves the cursor on. The race at /ws is not listed. What it does at once is
 * bounded. True when this worker has no more. */
[[nodiscard]] bool backend_list(struct worker *worker, struct backend_page *page,
                                struct writer *out);
