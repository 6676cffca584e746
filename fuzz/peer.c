#include "peer.h"
#include "base/random.h"
#include "base/utf8.h"
#include "inflate.h"
#include "memory_ring.h"
#include <zlib.h>

void peer_free(struct peer *peer)
{
    ear_free(&peer->ear);
    free(peer->said.data);
    free(peer->given.messages);
    free(peer->heard.messages);
    *peer = (struct peer){};
}

static void tell(struct tale *tale, enum ws_opcode opcode, struct bytes payload)
{
    if (tale->count == tale->capacity) {
        tale->capacity = tale->capacity * 2 + 16;
        tale->messages = realloc(tale->messages, tale->capacity * sizeof *tale->messages);
    }
    tale->messages[tale->count++] = hash_text((struct hash_key){1, opcode}, text_from(payload));
}

static void on_answer(void *context, enum ws_opcode opcode, struct bytes payload)
{
    struct peer *peer = context;
    tell(&peer->heard, opcode, payload);
}

void peer_begin(struct peer *peer, int fd)
{
    peer_free(peer);
    peer->fd = fd;
    peer->ear.on_answer = on_answer;
    peer->ear.context = peer;
}

void peer_upgrades(struct peer *peer, size_t rest, uint8_t window_bits,
                   const struct ws_limits *limits)
{
    peer->upgraded = true;
    peer->first_byte = memory_ring_received(peer->fd) - rest;
    peer->window_bits = window_bits;
    peer->limits = limits;
    MUST(peer->first_byte <= peer->said.size);
}

void peer_was_given(struct peer *peer, enum ws_opcode opcode, struct bytes payload)
{
    tell(&peer->given, opcode, payload);
}

/* --- The judge: all of it at once, with all the memory it likes ------------------------------- */

struct judge {
    const struct peer *peer;
    struct tale all, messages, pings; /* all: both */
    struct pot message;               /* the unfinished one */
    uint8_t opcode;                   /* of it, else 0 */
    bool compressed, ended;           /* ended: by an error or a close frame */
    uint32_t tiny;
};

static void judge_tells(struct judge *judge, enum ws_opcode opcode, struct bytes payload)
{
    tell(&judge->all, opcode, payload);
    tell(opcode == WS_PONG ? &judge->pings : &judge->messages, opcode, payload);
}

static bool judge_inflates(const struct judge *judge, struct bytes payload, struct bytes *message)
{
    static uint8_t memory[1 << 18];
    size_t limit = judge->peer->limits->message_size_max;
    size_t ratio = payload.size * 200 > 16'384 ? payload.size * 200 : 16'384;
    struct inflated inflated = plain_inflate(payload, 15, (struct bytes){memory, sizeof memory});
    *message = (struct bytes){memory, inflated.size};
    return !inflated.over && inflated.deflate && inflated.size <= limit && inflated.size <= ratio;
}

/* False: it ends the connection. */
static bool judge_message(struct judge *judge)
{
    struct bytes message = {judge->message.data, judge->message.size};
    enum ws_opcode opcode = judge->opcode;
    if (judge->compressed && !judge_inflates(judge, message, &message)) return false;
    if (opcode == WS_TEXT && !utf8_valid(message)) return false;
    judge_tells(judge, opcode, message);
    judge->message.size = judge->opcode = judge->tiny = 0;
    return true;
}

/* A frame's first two bytes and its length. False: they are not allowed here. */
static bool judge_header(struct judge *judge, uint8_t first, uint8_t second, uint64_t size)
{
    uint8_t opcode = first % 16, form = second % 128;
    bool final = first >= 0x80, control = opcode >= 8, midway = judge->opcode != 0;
    bool may_compress = judge->peer->window_bits != 0 && (opcode == 1 || opcode == 2);
    if (second < 0x80 || (first & (may_compress ? 0x30 : 0x70)) != 0 || opcode % 8 > 2)
        return false;
    if (form == 126 ? size < 126 : form == 127 && (size < 65536 || size >> 63 != 0)) return false;
    if (control) return final && size <= 125 && !(opcode == 8 && size == 1);
    if ((opcode == 0) != midway) return false;
    judge->tiny += size < 16 && (!final || midway);
    return judge->tiny <= judge->peer->limits->tiny_fragments_max &&
           size <= judge->peer->limits->message_size_max - judge->message.size;
}

/* The payload of a frame that may be here. */
static bool judge_payload(struct judge *judge, uint8_t first, struct bytes payload)
{
    uint8_t opcode = first % 16;
    if (opcode == WS_CLOSE) return false;
    if (opcode == WS_PING) judge_tells(judge, WS_PONG, payload);
    if (opcode >= 8) return true;
    if (opcode != 0) {
        judge->opcode = opcode;
        judge->compressed = (first & 0x40) != 0;
    }
    pot_add(&judge->message, payload.data, payload.size);
    return first < 0x80 || judge_message(judge);
}

/* Bytes of the next frame; 0: that is all. */
static size_t judge_frame(struct judge *judge, struct bytes rest)
{
    if (rest.size < 2) return 0;
    const uint8_t *wire = rest.data;
    size_t extended = wire[1] % 128 == 127 ? 8 : wire[1] % 128 == 126 ? 2 : 0;
    if (rest.size < 2 + extended) return 0;
    uint64_t size = extended == 0 ? wire[1] % 128 : 0;
    for (size_t i = 0; i < extended; i++)
        size = size << 8 | wire[2 + i];
    size_t start = 2 + extended + 4;
    judge->ended = !judge_header(judge, wire[0], wire[1], size);
    if (judge->ended || rest.size < start || rest.size - start < size) return 0;
    struct bytes payload = bytes_exact(wire + start, (size_t)size);
    for (size_t i = 0; i < size; i++)
        payload.data[i] ^= wire[start - 4 + i % 4];
    judge->ended = !judge_payload(judge, wire[0], payload);
    free(payload.data);
    return judge->ended ? 0 : start + (size_t)size;
}

static void expect_beginning(const struct tale *tale, const struct tale *all, bool whole)
{
    MUST(tale->count <= all->count);
    MUST(tale->count == 0 ||
         memcmp(tale->messages, all->messages, tale->count * sizeof *tale->messages) == 0);
    MUST(!whole || tale->count == all->count);
}

/* RFC 6455 §5.5.3: the newest may stand for those before it. */
static void expect_pongs(const struct tale *heard, const struct tale *pings, bool whole)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < heard->count; i++) {
        while (next < pings->count && pings->messages[next] != heard->messages[i])
            next += 1;
        MUST(next++ < pings->count);
    }
    MUST(!whole || pings->count == 0 ||
         (heard->count > 0 &&
          heard->messages[heard->count - 1] == pings->messages[pings->count - 1]));
}

void peer_judge(const struct peer *peer, bool whole)
{
    if (!peer->upgraded) return;
    struct judge judge = {.peer = peer};
    for (size_t at = peer->first_byte, size = 1; size > 0; at += size)
        size = judge_frame(&judge, (struct bytes){peer->said.data + at, peer->said.size - at});
    MUST(!whole || !judge.ended);
    MUST(peer->ear.status == 0 || peer->ear.window_bits == peer->window_bits);
    expect_beginning(&peer->given, &judge.messages, whole);
    if (peer->ear.answered)
        expect_beginning(&peer->heard, &judge.all, whole);
    else
        expect_pongs(&peer->heard, &judge.pings, whole);
    free(judge.message.data);
    free(judge.all.messages);
    free(judge.messages.messages);
    free(judge.pings.messages);
}

/* --- Saying ----------------------------------------------------------------------------------- */

void peer_says(struct peer *peer, struct script bytes)
{
    uint32_t size = memory_ring_peer_says(peer->fd, bytes);
    if (size > 0) pot_add(&peer->said, bytes.data, size);
}

void peer_handshakes(struct peer *peer, uint8_t form)
{
    static const char upgrade[] =
        "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    static const char *const offers[] = {
        "",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n",
    };
    static const char *const others[] = {
        "GET / HTTP/1.1\r\nHost: here\r\n",
        "HEAD / HTTP/1.1\r\nHost: here\r\n",
        "HEAD / HTTP/1.1\r\n",
    };
    char request[512];
    int size = form < 200 ? snprintf(request, sizeof request, "%s%s\r\n", upgrade, offers[form % 4])
                          : snprintf(request, sizeof request, "%s\r\n", others[form % 3]);
    peer_says(peer, (struct script){(const uint8_t *)request, (size_t)size});
}

constexpr size_t payload_max = 1024; /* of one frame here */

/* Frames that come whole or not at all. */
struct frames {
    size_t size;
    uint8_t wire[3 * (8 + payload_max)];
};

static void put_frame(struct frames *frames, uint8_t first, const uint8_t *payload, size_t size)
{
    uint8_t *at = frames->wire + frames->size;
    MUST(size <= payload_max);
    size_t start = size < 126 ? 6 : 8;
    memset(at, 0, start);
    at[0] = first;
    at[1] = 0x80 | (uint8_t)(size < 126 ? size : 126);
    if (size >= 126) {
        at[2] = (uint8_t)(size >> 8);
        at[3] = (uint8_t)size;
    }
    if (size > 0) memcpy(at + start, payload, size);
    frames->size += start + size;
}

static void say_frames(struct peer *peer, const struct frames *frames)
{
    if (frames->size <= memory_ring_peer_may_say(peer->fd))
        peer_says(peer, (struct script){frames->wire, frames->size});
}

/* Bytes of a payload: their number, and what is repeated in them. */
static size_t script_payload(struct script *script, uint8_t payload[static payload_max])
{
    size_t size = script_byte(script);
    if (size >= 200) size = (size - 199) * 16; /* up to 896 */
    struct script part = script_part(script, size < 64 ? size : 16);
    for (size_t i = 0; i < size; i++)
        payload[i] = part.size > 0 ? part.data[i % part.size] : 'x';
    return size;
}

void peer_sends_frame(struct peer *peer, struct script *script)
{
    uint8_t first = script_byte(script), payload[payload_max];
    struct frames frames = {};
    put_frame(&frames, first, payload, script_payload(script, payload));
    say_frames(peer, &frames);
}

/* Without the tail (RFC 7692 §7.2.1). Not thoroughly, with a small window: that costs little to
 * begin anew. */
static size_t deflate_once(struct bytes message, bool thorough, uint8_t payload[static payload_max])
{
    static z_stream streams[2];
    static bool made[2];
    z_stream *stream = &streams[thorough];
    int result = made[thorough] ? deflateReset(stream)
                 : thorough     ? deflateInit2(stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY)
                                : deflateInit2(stream, 1, Z_DEFLATED, -9, 1, Z_DEFAULT_STRATEGY);
    MUST(result == Z_OK);
    made[thorough] = true;
    stream->next_in = message.data;
    stream->avail_in = (unsigned)message.size;
    stream->next_out = payload;
    stream->avail_out = (unsigned)payload_max;
    MUST(deflate(stream, Z_SYNC_FLUSH) == Z_OK && stream->avail_out > 0);
    return payload_max - stream->avail_out - 4;
}

/* Payloads that are large when they are inflated: of one letter, behind noise or not, so that the
 * one limit or the other is met. */
struct bomb {
    size_t size;
    uint8_t payload[payload_max];
};

static const struct bomb *bomb_of(uint8_t choice)
{
    static const size_t sizes[] = {1000, 1999, 2001, 16'384, 16'385, 131'062, 140'000, 140'001};
    static struct bomb bombs[16];
    static uint8_t message[140'001];
    struct bomb *bomb = &bombs[choice % 16];
    size_t size = sizes[choice % 8], noise = choice % 16 < 8 ? 0 : size / 160;
    if (bomb->size > 0) return bomb;
    struct random random = {.state = choice};
    memset(message, 'x', size);
    for (size_t i = 0; i < noise; i++)
        message[i] = (uint8_t)(' ' + random_below(&random, 95));
    bomb->size = deflate_once((struct bytes){message, size}, true, bomb->payload);
    return bomb;
}

/* A compressed message: whole, in two frames, with a byte changed, or with a ping in the middle. */
void peer_sends_deflated(struct peer *peer, struct script *script)
{
    uint8_t how = script_byte(script), payload[payload_max], message[payload_max];
    uint8_t first = 0x40 | (how % 2 == 0 ? WS_BINARY : WS_TEXT), form = how / 2 % 4;
    size_t size;
    if ((how & 8) != 0) {
        const struct bomb *bomb = bomb_of(how / 16);
        size = bomb->size;
        memcpy(payload, bomb->payload, size);
    } else {
        size = script_payload(script, message);
        size = deflate_once((struct bytes){message, size}, false, payload);
    }
    if (form == 2) payload[script_byte(script) % size] ^= 1 << how / 16 % 8;
    struct frames frames = {};
    size_t part = form % 2 == 1 ? size / 2 : size;
    put_frame(&frames, first | (part == size ? 0x80 : 0), payload, part);
    if (form == 3 && part < size) put_frame(&frames, 0x80 | WS_PING, payload, part % 100);
    if (part < size) put_frame(&frames, 0x80, payload + part, size - part);
    say_frames(peer, &frames);
}

/* Pings, texts or binary messages with their number in front; or one message in fragments. */
void peer_sends_many(struct peer *peer, uint8_t count, uint8_t form)
{
    static const uint8_t firsts[] = {0x80 | WS_PING, 0x80 | WS_TEXT, 0x80 | WS_BINARY, 0};
    size_t size = 1 + (form / 4 % 4) * (form % 4 == 0 ? 30 : 250);
    uint8_t payload[payload_max];
    memset(payload, 'y', size);
    for (uint8_t i = 0; i < count; i++) {
        uint8_t first = firsts[form % 4];
        if (form % 4 == 3) first = (i == 0 ? WS_BINARY : 0) | (i + 1 == count ? 0x80 : 0);
        payload[0] = i % 128;
        struct frames frames = {};
        put_frame(&frames, first, payload, size);
        say_frames(peer, &frames);
    }
}
