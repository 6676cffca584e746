/* perf/load/target.h: where each client of a run belongs: a file with a line for each,
 *     PATH TOKEN                    with the token that it shows
 *     PATH ROOM_ID PLAYER_ID NAME   of whom it makes tokens of its own (token.h) */
#pragma once
#include "handshake.h"
#include <stdint.h>

struct target {
    char *path; /* the words of its line; nullptr where there is none */
    char *words[3];
};

struct targets {
    char *text; /* the file */
    struct target *all;
    uint32_t count;
};

/* Reads the file, whose lines have `words` words behind the path, or ends the program. */
void targets_read(struct targets *targets, const char *path, uint32_t words);
void targets_free(struct targets *targets);
