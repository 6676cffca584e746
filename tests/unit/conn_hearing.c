/* What frames are made of, and what a peer makes of them. */
#include "check.h"
#include "conn_peers.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static uint32_t last_number;

void peers_hear_nothing(void)
{
    last_number = 0;
}

/* ---- frames ---- */

static uint8_t pattern(uint32_t number, uint32_t at)
{
    return (uint8_t)(number * 31 + number / 256 * 17 + at * 7 + at / 256 * 13);
}

/* Number and size, then what follows from both. */
static struct bytes payload_of(uint32_t number, uint32_t size)
{
    static uint8_t payload[131'072];
    for (uint32_t i = 8; i < size; i++)
        payload[i] = pattern(number, i);
    for (uint32_t i = 0; i < 4; i++) {
        payload[i] = (uint8_t)(number >> (24 - 8 * i));
        payload[4 + i] = (uint8_t)(size >> (24 - 8 * i));
    }
    return (struct bytes){payload, size};
}

static uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct bytes next_payload(uint32_t size, uint32_t *number)
{
    *number = ++last_number;
    return payload_of(last_number, size);
}

struct frame *make_frame(uint32_t key, uint32_t size)
{
    struct frame *frame = frame_make(&frames, key > 0 ? FRAME_STATE : FRAME_EVENT, WS_BINARY,
                                     payload_of(++last_number, size));
    if (frame == nullptr) abort();
    frame->state_key = key;
    return frame;
}

/* The number of a frame of ours, from its wire. */
static uint32_t number_of(const struct frame *frame)
{
    uint8_t form = frame->wire[1];
    return number_at(frame->wire + (form < 126 ? 2 : form == 126 ? 4 : 10));
}

enum outbox_answer push(struct peer *peer, struct frame *frame)
{
    EXPECT(peer->conn != nullptr && peer->conn->phase == CONN_OPEN);
    enum outbox_answer answer = outbox_push(&outboxes, &peer->conn->outbox, frame);
    if (answer == OUTBOX_FULL || answer == OUTBOX_NO_SPACE) return answer;
    peer_expects(peer, number_of(frame), frame->lane == FRAME_STATE ? frame->state_key : 0);
    return answer;
}

void peer_expects(struct peer *peer, uint32_t number, uint32_t key)
{
    if (peer->pushed_end == peer_pushed_max) {
        if (peer->pushed_first == 0) abort();
        peer->pushed_end -= peer->pushed_first;
        memmove(peer->pushed, peer->pushed + peer->pushed_first,
                peer->pushed_end * sizeof *peer->pushed);
        peer->pushed_first = 0;
    }
    peer->pushed[peer->pushed_end++] = (struct pushed){.number = number, .key = key};
}

void push_new(struct peer *peer, uint32_t key, uint32_t size, enum outbox_answer wanted)
{
    struct frame *frame = make_frame(key, size);
    EXPECT_EQ(push(peer, frame), wanted);
    frame_unref(&frames, frame);
}

/* ---- what a peer hears ---- */

static void note(struct peer *peer, const char *word, uint32_t number)
{
    char words[40];
    int size = snprintf(words, sizeof words, word, number);
    if (peer->heard_size + (uint32_t)size + 1 > sizeof peer->heard) return;
    if (peer->heard_size > 0) peer->heard[peer->heard_size++] = ' ';
    memcpy(peer->heard + peer->heard_size, words, (size_t)size);
    peer->heard_size += (uint32_t)size;
}

struct text heard(const struct peer *peer)
{
    return (struct text){peer->heard, peer->heard_size};
}

static void break_off(struct peer *peer, const char *why, uint32_t number)
{
    check_failed(__FILE__, __LINE__, "peer %d heard %s (%u) after: %.*s", (int)(peer - peers), why,
                 number, (int)peer->heard_size, peer->heard);
    peer->broken = true;
}

static bool is_superseded(const struct peer *peer, uint32_t at)
{
    for (uint32_t i = at + 1; i < peer->pushed_end; i++)
        if (peer->pushed[i].key == peer->pushed[at].key) return true;
    return false;
}

/* Snapshots of `key` up to `number` will not be heard any more. */
static void forget_older(struct peer *peer, uint32_t key, uint32_t number)
{
    uint32_t kept = peer->pushed_first;
    for (uint32_t i = peer->pushed_first; i < peer->pushed_end; i++) {
        struct pushed pushed = peer->pushed[i];
        if (pushed.key == key && pushed.number < number) peer->skipped += 1;
        if (pushed.key != key || pushed.number > number) peer->pushed[kept++] = pushed;
    }
    peer->pushed_end = kept;
    if (peer->pushed_first == kept) peer->pushed_first = peer->pushed_end = 0;
}

/* A snapshot may come at the place of an older one of its key, and such a one may be missing. */
static bool is_next(struct peer *peer, uint32_t number)
{
    uint32_t key = 0;
    for (uint32_t i = peer->pushed_first; i < peer->pushed_end; i++)
        if (peer->pushed[i].number == number) key = peer->pushed[i].key;
    while (peer->pushed_first < peer->pushed_end) {
        struct pushed first = peer->pushed[peer->pushed_first];
        if (first.number == number || (first.key > 0 && first.key == key && first.number < number))
            break;
        if (first.key == 0 || !is_superseded(peer, peer->pushed_first)) return false;
        peer->pushed_first += 1;
        peer->skipped += 1;
    }
    if (peer->pushed_first == peer->pushed_end) return false;
    if (key > 0)
        forget_older(peer, key, number);
    else if (++peer->pushed_first == peer->pushed_end)
        peer->pushed_first = peer->pushed_end = 0;
    return true;
}

static void hear_message(struct peer *peer, bool is_pong, const uint8_t *payload, uint32_t size)
{
    uint32_t number = size >= 8 ? number_at(payload) : 0;
    if (size < 8 || number_at(payload + 4) != size ||
        memcmp(payload, payload_of(number, size).data, size) != 0) {
        break_off(peer, "a frame that nobody made", number);
        return;
    }
    if (is_pong && (number <= peer->pong || number > peer->ping))
        break_off(peer, "a pong that it must not", number);
    else if (!is_pong && !is_next(peer, number))
        break_off(peer, "a frame out of order", number);
    if (is_pong) peer->pong = number;
    note(peer, is_pong ? "p%u" : "%u", number);
}

/* RFC 7692 §7.2.2. */
static void hear_compressed(struct peer *peer, const uint8_t *payload, uint32_t size)
{
    alignas(64) static uint8_t memory[ws_inflater_size];
    static uint8_t inflated[131'072], copy[131'072];
    static struct ws_inflater *inflater;
    struct bytes message = {};
    if (inflater == nullptr) inflater = ws_inflater_make((struct bytes){memory, sizeof memory});
    memcpy(copy, payload, size);
    ws_inflater_begin(inflater, WS_BINARY, size, (struct bytes){inflated, sizeof inflated});
    enum ws_error error = ws_inflater_feed(inflater, (struct bytes){copy, size});
    if (error == WS_OK) error = ws_inflater_end(inflater, &message);
    if (error != WS_OK || message.size <= size)
        break_off(peer, "a message that cannot be inflated, or did not shrink", error);
    else
        hear_message(peer, false, message.data, (uint32_t)message.size);
}

/* The frame at the start of the input. Returns its size, 0 when it is not whole. */
static uint32_t hear_frame(struct peer *peer)
{
    const uint8_t *input = peer->input;
    if (input[0] == peer_stuffing) return 1;
    if (peer->input_size < 2) return 0;
    uint32_t start = input[1] < 126 ? 2 : input[1] == 126 ? 4 : 10;
    if (peer->input_size < start) return 0;
    uint32_t size = start == 2   ? input[1]
                    : start == 4 ? (uint32_t)input[2] << 8 | input[3]
                                 : number_at(input + 6);
    bool shortest = size >= (start == 2 ? 0u : start == 4 ? 126u : 65536u);
    bool known = input[0] == 0x82 || input[0] == 0x8A || input[0] == 0x88 ||
                 (input[0] == 0xC2 && peer->bits != 0);
    if (peer->answered || !known || !shortest || input[1] > 127 ||
        start + size > sizeof peer->input) {
        break_off(peer, "what is no frame", input[0]);
        return peer->input_size;
    }
    if (peer->input_size < start + size) return 0;
    peer->bytes += start + size;
    if (input[0] == 0x88) {
        peer->answered = true;
        peer_closes(peer);
        note(peer, "close(%u)", (uint32_t)(input[start] << 8 | input[start + 1]));
    } else if (input[0] == 0xC2) {
        hear_compressed(peer, input + start, size);
    } else {
        hear_message(peer, input[0] == 0x8A, input + start, size);
    }
    return start + size;
}

/* The answer to the request. */
static uint32_t hear_head(struct peer *peer)
{
    const uint8_t *after = memmem(peer->input, peer->input_size, "\r\n\r\n", 4);
    if (after == nullptr) return 0;
    peer->upgraded = memcmp(peer->input, "HTTP/1.1 101 ", 13) == 0;
    peer->answered = !peer->upgraded;
    note(peer, peer->upgraded ? "101" : "answer", 0);
    uint32_t size = peer->answered ? peer->input_size : (uint32_t)(after - peer->input) + 4;
    peer->bytes += size;
    return size;
}

static void hear(struct peer *peer)
{
    for (uint32_t size = 1; peer->input_size > 0 && size > 0;) {
        if (peer->broken)
            size = peer->input_size;
        else if (peer->upgraded)
            size = hear_frame(peer);
        else
            size = hear_head(peer);
        peer->input_size -= size;
        memmove(peer->input, peer->input + size, peer->input_size);
    }
}

uint32_t peer_reads(struct peer *peer, uint32_t max)
{
    uint32_t total = 0;
    while (peer->fd >= 0 && !peer->ended && total < max) {
        uint32_t room = sizeof peer->input - peer->input_size;
        uint32_t want = max - total < room ? max - total : room;
        ssize_t size = recv(peer->fd, peer->input + peer->input_size, want, MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) break;
        if (size <= 0) {
            peer->ended = true;
            if (peer->input_size > 0 && !peer->cut) break_off(peer, "the end inside a frame", 0);
            note(peer, "end", 0);
            break;
        }
        peer->input_size += (uint32_t)size;
        total += (uint32_t)size;
        hear(peer);
    }
    return total;
}
