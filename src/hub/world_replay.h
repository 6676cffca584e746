/* hub/world_replay.h: `ringcast replay-world [--ticks] FILE`: plays a world's log again.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 * Prints each verdict, as the server's log had it, with the message that led to it; with --ticks
 * the hash after each tick; and last how much there was, the hash at the end, and whether all
 * hashes were those that the server had. */
#pragma once

/* `words` stand behind the command. Returns the process's exit code: 0, the same; 1, not the same,
 * or the file is none; 2, the words are wrong. */
[[nodiscard]] int world_replay_command(int count, char **words);
