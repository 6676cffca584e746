/* fuzz/wire.h: a peer's ear. Takes the bytes that a connection has sent, as they come, and ends the
 * run when they are not what a client may expect: one HTTP answer, and after a 101 frames by the
 * letter of RFC 6455 §5, compressed ones only as the 101 said (RFC 7692), with nothing behind a
 * close frame.
 *
 * Binary frames are a room's, unless the peer is answered: a number, what the frame is, and a
 * pattern that follows from both. */
#pragma once
#include "script.h"
#include "ws/header.h"

constexpr size_t room_frame_min = 5; /* bytes of the payload: number, key */

struct ear {
    enum : uint8_t { EAR_ANSWER, EAR_BODY, EAR_FRAMES, EAR_NOTHING } expects;
    bool asked_head;     /* the answer has no body (RFC 9110 §9.3.2) */
    bool answered;       /* no room speaks to it */
    bool heard_close;    /* a close frame came */
    uint8_t window_bits; /* the 101 agreed to compressed frames with this window; 0: it did not */
    uint16_t close_code; /* of the close frame; 1005: it had none */
    uint16_t status;     /* of the answer */
    uint64_t body_left;  /* bytes */
    struct pot pot;      /* what is not yet understood */
    /* a room's frame, and whatever else is no ping or close frame, inflated */
    void (*on_frame)(void *context, uint32_t number, uint8_t key);
    void (*on_answer)(void *context, enum ws_opcode opcode, struct bytes payload);
    void *context;
};

void ear_free(struct ear *ear);
void ear_hears(struct ear *ear, const uint8_t *data, size_t size);

/* The payload of a room's frame. */
void room_frame_fill(uint8_t *payload, size_t size, uint32_t number, uint8_t key);
