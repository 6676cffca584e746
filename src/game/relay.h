/* game/relay.h: what a room whose rules live in a backend is asked by it (game/relay.c), beside
 * what struct game says.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * The verbs of its requests, each with a JSON body (game/relay_body.h) and the answer in `reply`:
 *
 *   open     at once after the room is made             the room
 *   show     no body                                    the room, its state and its members
 *   publish  an event, to everybody or to some          {"seq","members"} or {"members"}
 *   state    a new state, or a merge patch for it       {"seq"}
 *   kick     somebody goes and does not come back       {"player_id","present"}
 *   lock     whether newcomers are let in               {"locked"}
 *   close    no body; the room is over                  {"closed":true,"members"}
 *
 * A body that is wrong is NOT_UNDERSTOOD, with words in `reply` that continue "The body "; what the
 * room does not do is REFUSED, with the code in `reply` that says why. */
#pragma once
#include "game/game.h"
#include "game/relay_body.h"
#include "limits.h"

/* Why a room refuses what it has understood; the code is the answer. */
#define RELAY_SEQ_MISMATCH TEXT("seq_mismatch")
#define RELAY_STATE_TOO_LARGE TEXT("state_too_large")
#define RELAY_PAYLOAD_TOO_LARGE TEXT("payload_too_large")
#define RELAY_TOO_MANY_KICKED TEXT("too_many_kicked")

/* Bytes of game_request.memory that a request takes: its body and the state are read, one is merged
 * into the other, and the outcome is written beside them. */
constexpr size_t relay_memory_size =
    json_memory_per_byte * (backend_body_size_max + 2 * relay_state_size_max) +
    3 * json_memory_fixed +
    json_merge_memory_per_byte * (backend_body_size_max + relay_state_size_max) +
    json_merge_memory_fixed + relay_state_size_max;

/* Bytes of the longest answer: "show" of a full room whose people have the longest names. */
constexpr size_t relay_reply_size_max = 64 * 1024;
