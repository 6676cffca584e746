#include "bare.h"
#include "handshake.h"
#include "trouble.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

int bare_listen(const struct sockaddr_in *address)
{
    constexpr int backlog = 4096, one = 1;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* who comes inherits it */
    if (bind(listener, (const struct sockaddr *)address, sizeof *address) != 0 ||
        listen(listener, backlog) != 0)
        give_up("the bare server cannot listen: %s", strerror(errno));
    return listener;
}

int bare_accept(int listener)
{
    int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno != EAGAIN) give_up("accept4: %s", strerror(errno));
    return fd;
}

void bare_watch(int epoll_fd, int fd, uint32_t number, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = number};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll_ctl: %s", strerror(errno));
}

void bare_send(int fd, const void *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        give_up("a client did not take what it was sent: %s", strerror(errno));
}

/* §4.2.2 */
static void answer_key(int fd, const char *at)
{
    char key[25], accept[handshake_accept_size], answer[256];
    snprintf(key, sizeof key, "%s", at);
    handshake_accept(accept, key);
    int written = snprintf(answer, sizeof answer,
                           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                           accept);
    bare_send(fd, answer, (size_t)written);
}

char *bare_upgrade(int fd, char *request, size_t size)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    request[size] = '\0';
    char *path = strchr(request, ' '), *at = strstr(request, name);
    if (path == nullptr || at == nullptr || strstr(at, "\r\n\r\n") == nullptr)
        give_up("a request came in pieces");
    answer_key(fd, at + sizeof name - 1);
    path += 1;
    path[strcspn(path, " ")] = '\0';
    return path;
}

static void unmask(uint8_t *payload, size_t size, const uint8_t key[static 4])
{
    uint64_t wide, eight;
    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    size_t i = 0;
    for (; i + sizeof eight <= size; i += sizeof eight) {
        memcpy(&eight, payload + i, sizeof eight);
        eight ^= wide;
        memcpy(payload + i, &eight, sizeof eight);
    }
    for (; i < size; i++)
        payload[i] ^= key[i % 4];
}

struct bare_frame bare_take(uint8_t *data, size_t size)
{
    size_t header = size >= 2 && (data[1] & 0x7F) == 126 ? 8 : 6;
    if (size < header) give_up("a frame came in pieces");
    size_t payload_size = header == 8 ? (size_t)data[2] << 8 | data[3] : data[1] & 0x7Fu;
    if ((data[1] & 0x7F) == 127 || size - header < payload_size) give_up("a frame came in pieces");
    uint8_t *payload = data + header;
    unmask(payload, payload_size, payload - 4);
    return (struct bare_frame){data[0], payload, payload_size, header + payload_size};
}

uint8_t *bare_header(uint8_t *payload, uint8_t first, size_t size)
{
    if (size < 126) {
        payload[-2] = first;
        payload[-1] = (uint8_t)size;
        return payload - 2;
    }
    payload[-4] = first;
    payload[-3] = 126;
    payload[-2] = (uint8_t)(size >> 8);
    payload[-1] = (uint8_t)size;
    return payload - 4;
}
