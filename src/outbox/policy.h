/* outbox/policy.h: what happens to a frame that finds no place in an outbox.
 * You are here: ring > tls > http > ws > hub > room > game > [outbox] > conn > ring
 *
 * A policy is chosen for a room kind (--kart-slow); the lane of a frame (outbox/frame.h) is its
 * maker's choice:
 *
 *   policy        a snapshot's lane    no place left
 *   conflate      FRAME_STATE          the connection is closed: it is full of what no snapshot
 *                                      makes worthless
 *   close         FRAME_EVENT          the connection is closed
 *   drop_oldest   FRAME_EVENT          the oldest events that are not on their way make room, the
 *                                      new frame is dropped only when that is not enough
 *   drop_newest   FRAME_EVENT          the new frame is dropped
 *
 * Whatever the policy, the unsent older version of a FRAME_STATE makes way for it, and control
 * frames are never dropped: under a policy that drops, the last places are theirs, so that a peer
 * that is always full can still be pinged. A FRAME_REPLY belongs to no room and meets no policy:
 * its peer is not read until there is a place (conn/reply.c). */
#pragma once
#include "base/bytes.h"
#include "outbox/frame.h"

enum outbox_policy : uint8_t {
    OUTBOX_CONFLATE,
    OUTBOX_CLOSE,
    OUTBOX_DROP_OLDEST,
    OUTBOX_DROP_NEWEST,
};
constexpr size_t outbox_policies = 4;

/* Which bound left no place. */
enum outbox_bound : uint8_t {
    OUTBOX_BOUND_FRAMES,  /* outbox_frames_max */
    OUTBOX_BOUND_BYTES,   /* outbox_bytes_max */
    OUTBOX_BOUND_STORAGE, /* the worker's storage is used up */
};
constexpr size_t outbox_bounds = 3;

/* "drop_oldest" and the like: for configuration and metrics; and "frames" and the like. */
extern const struct text outbox_policy_names[outbox_policies];
extern const struct text outbox_bound_names[outbox_bounds];

/* The policy of a name; false when there is none. */
[[nodiscard]] bool outbox_policy_of_name(struct text name, enum outbox_policy *policy);

/* What a snapshot is made as under a policy: only conflation may leave one out for a newer one. */
static inline enum frame_lane outbox_snapshot_lane(enum outbox_policy policy)
{
    return policy == OUTBOX_CONFLATE ? FRAME_STATE : FRAME_EVENT;
}
