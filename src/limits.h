/* limits.h: every limit of the hub that is fixed when it is built. What an operator may change
 * is in hub/config.h. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* A peer's outbox: what waits to be sent to it. */

/* frames queued for one peer; storage is held only while some are */
constexpr uint32_t outbox_frames_max = 256;
/* bytes queued for one peer; a single larger frame may enter an empty one */
constexpr uint32_t outbox_bytes_max = 1024 * 1024;
/* of a peer whose messages are answered: reading stops from here on until less is owed; well below
 * the bounds above, which are kept for control frames */
constexpr uint32_t outbox_reply_frames = 128;
constexpr uint32_t outbox_reply_bytes = 64 * 1024;
constexpr uint32_t outbox_gather_max = 64; /* frames in one gathered send */
static_assert((outbox_frames_max & (outbox_frames_max - 1)) == 0, "the index is masked");

/* The kernel's edge, per worker. */

/* submission queue; the completion queue is four times that */
constexpr uint32_t ring_entries = 1024;
/* provided buffers; they rotate, so all of them end up resident */
constexpr uint32_t ring_receive_buffers = 256;
/* bytes of one: an ordinary request or message fits, and larger ones would stay resident */
constexpr uint32_t ring_receive_buffer_size = 1024;
static_assert((ring_receive_buffers & (ring_receive_buffers - 1)) == 0,
              "the kernel masks the index");
static_assert(ring_receive_buffers * ring_receive_buffer_size <= 1024 * 1024,
              "at most 1 MiB a worker");

/* Messages. */

/* a message costs one token of its sender's rate, and one more for each of so many bytes */
constexpr uint32_t message_token_size = 4 * 1024;

/* Requests, in bytes. */

constexpr uint32_t http_head_size_max = 8 * 1024;
constexpr uint32_t http_line_size_max = 4 * 1024;
constexpr uint32_t http_body_size_max = 4 * 1024;

/* Rooms. */

/* rooms' ticks fall on a grid of so many steps a millisecond; more would spread them better and
 * wake the worker up more often */
constexpr uint32_t tick_steps_a_ms = 16;
constexpr uint32_t room_id_size_max = 64;               /* bytes of a further room's id */
constexpr uint32_t snapshot_size_max = 64 * 1024 + 256; /* bytes of one encoded state */

/* Rooms whose rules live in a backend (hub/backend.h). */

constexpr uint32_t relay_members_most = 100;         /* people in one room */
constexpr uint32_t relay_state_size_max = 16 * 1024; /* bytes of a room's state, as JSON text */
/* bytes of a backend's request: a state, and what stands around it */
constexpr uint32_t backend_body_size_max = relay_state_size_max + 1024;
constexpr uint32_t idempotency_key_size_max = 64;   /* bytes */
constexpr uint32_t idempotency_body_size_max = 512; /* bytes of an answer that is remembered */
constexpr uint32_t idempotency_records = 4096;      /* requests, per worker */
constexpr uint32_t idempotency_kept_ms = 300'000;   /* how long one is remembered */
constexpr uint32_t closed_rooms_kept = 8192;        /* rooms that are over, per worker */
constexpr uint32_t closed_kept_ms = 600'000; /* how long nobody but a backend may reopen one */
