/* game/strikes.h: how many messages that mean nothing a member may send: the ninth within a minute
 * is the last (THREATS.md J5).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#pragma once
#include <stdint.h>

constexpr uint32_t strikes_max = 8; /* within strikes_ms; the next one is the last */
constexpr uint64_t strikes_ms = 60'000;

/* A member's; zero before the first. */
struct strikes {
    uint64_t times_ms[strikes_max]; /* when the last ones came, in a ring */
    uint32_t count;
};

/* One more. True when it is the last: the member must go. */
[[nodiscard]] bool strikes_add(struct strikes *strikes, uint64_t now_ms);
