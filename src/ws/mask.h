/* ws/mask.h: takes the mask off a client's payload, in place. RFC 6455 §5.3.
 * You are here: ring > tls > http > [ws] > hub > room > game > outbox > conn > ring */
#pragma once
#include "base/bytes.h"

/* XORs each byte of `payload` with the key, which is in wire order. `offset` is the position of its
 * first byte within the frame's payload, so that a payload may come in pieces. Masking and
 * unmasking are the same operation. */
void ws_unmask(struct bytes payload, const uint8_t key[static 4], uint64_t offset);
