/* perf/load/bare.h: what the bare servers do for a socket, a handshake and a frame: the least that
 * can be done. Nothing is checked; who sends a request or a frame in pieces ends the program. */
#pragma once
#include "wire.h"
#include <netinet/in.h>

/* Listens, with all the descriptors that the process may have; or the end of the program. */
int bare_listen(const struct sockaddr_in *address);

/* The next who has come, or -1. */
int bare_accept(int listener);

/* An epoll instance that says `number` when there is something to read. */
void bare_watch(int epoll_fd, int fd, uint32_t number, uint32_t events);

/* Sends all of it, or ends the program. */
void bare_send(int fd, const void *data, size_t size);

/* Answers the opening handshake of ringcast-bench. `request` is whole, its key where ringcast-bench
 * puts it, and has place for one more byte. Returns its path, in the request; the end of the path
 * is a NUL now. */
char *bare_upgrade(int fd, char *request, size_t size);

struct bare_frame {
    uint8_t first; /* FIN and opcode, as it came */
    uint8_t *payload;
    size_t payload_size;
    size_t size; /* header and payload */
};

/* The frame that `data` starts with, unmasked in place. Its header was 4 bytes longer than a
 * server's, so one fits right before the payload. */
struct bare_frame bare_take(uint8_t *data, size_t size);

static inline enum wire_opcode bare_opcode(const struct bare_frame *frame)
{
    return (enum wire_opcode)(frame->first & 0x0F);
}

/* A server's header, of up to 65,535 bytes, right before the payload. Returns where it begins. */
uint8_t *bare_header(uint8_t *payload, uint8_t first, size_t size);
