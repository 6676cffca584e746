/* tests/sim/avalon.h: what players in rooms of people know of them: client_avalon.c, which
 * speaks, and avalon_hear.c, which listens, share it with nobody else. */
#pragma once
#include "asks.h"

constexpr uint32_t avalon_rooms_most = 8, places_most = 64, chats_most = 4096;
constexpr uint32_t strikes_most = 9; /* the last message that means nothing */

struct avalon_room {
    char code[8], id[24];
    bool over; /* somebody was told so */
};

struct place {
    uint32_t room;
    char id[24], name[16], token[640];
    uint64_t taken_ns, asked_ns; /* when it, and its token, were asked for */
    uint32_t arrivals, replaced; /* connections that have asked for it, and got 4409 */
    uint32_t strikes;            /* messages that may mean nothing, sent in its name */
    bool claimed, lost;          /* somebody has sat there; it is good no more */
};

struct chat {
    uint32_t place, client, connection; /* who said it */
    uint32_t length;
    uint64_t sent_ns, to; /* to: places, a bit each; 0: everybody */
    uint32_t next, previous, after;
    bool heard;
};

/* What a client is beside its connection. */
struct sitter {
    uint32_t place; /* or client_nothing */
    enum : uint8_t { WANTS_ROOM, WANTS_PLACE, WANTS_TOKEN, WANTS_IN } wants;
    uint32_t room; /* that it asks for a place in */
    char name[16];
    /* of this connection */
    bool greeted, turned_away, limited, trespassed, has_chatted, must_go;
    uint32_t bad_answers, last; /* last: the chat to all that it heard last */
    uint64_t token_ns, visible; /* visible: places that others sit on, as events tell */
    uint64_t heard[chats_most / 64];
    struct asks asks;
};

enum : uint8_t { ASK_CHAT, ASK_STATE, ASK_TOKEN, ASK_NONSENSE };

struct avalon {
    struct avalon_room rooms[avalon_rooms_most];
    struct place places[places_most];
    struct chat chats[chats_most];
    struct sitter sitters[clients_max];
    uint32_t room_count, place_count, chat_count, name_count;
};
extern struct avalon avalon; /* of this run */

static inline struct sitter *avalon_sitter(const struct client *client)
{
    return &avalon.sitters[client->index];
}

static inline struct place *avalon_place(const struct client *client)
{
    return &avalon.places[avalon_sitter(client)->place];
}

static inline bool avalon_echoes(const struct client *client)
{
    return client->run->plan.config.avalon_chat_echo;
}

/* The clock on the wall leaps, and a token ends before it should; or it is so old. */
bool avalon_may_have_ended(const struct client *client, uint64_t asked_ns);

/* It is told that its place is not there: nobody is sent away from one that is its own. */
void avalon_check_refused(struct client *client, const struct wire_answer *answer);

/* It is told that the room is over. */
void avalon_lose_room(struct client *client, uint32_t room);

/* avalon_hear.c: functions of avalon_kind. */
void avalon_on_text(struct client *client, const uint8_t *data, uint32_t size);
bool avalon_explains(struct client *client, uint32_t code);
void avalon_on_close(struct client *client, uint32_t code);
void avalon_check(struct client *client);
