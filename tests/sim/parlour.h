/* tests/sim/parlour.h: what is known of rooms at /ws/games/ID: lobbies, and rooms whose rules
 * live in a backend. client_game.c speaks in them, game_hear.c listens, client_backend.c is the
 * backend.
 *
 * A room that is never made twice is `single`: then everybody hears the same under each number
 * of it, and sees the same state. */
#pragma once
#include "asks.h"
#include "referee.h"

constexpr uint32_t lobbies_most = 3, backends_most = 13;
constexpr uint32_t game_rooms_most = lobbies_most + backends_most;
constexpr uint32_t players_most = 12, told_most = 2048, changes_most = 2048;

/* What everybody was told under one number, and what the state was then: hashes, 0: nobody
 * knows. */
struct told {
    uint64_t words, state, first_ns;
};

struct game_room {
    char id[16];
    bool is_relay, single, chats;
    bool known, closing, closed; /* relay: made; its end was asked for; it is over */
    uint64_t closed_ns;
    uint32_t people_most;
    uint64_t newest;                  /* the last number of which anybody knows */
    uint64_t kicked_ns[players_most]; /* relay: since when it is known; 0: it is not */
    bool kicks[players_most];         /* somebody has asked for it */
    uint32_t arrivals[players_most], replaced[players_most], strikes[players_most];
    struct told told[told_most];
};

/* Something that a backend asks for: told to members, mostly under a number. */
struct change {
    enum : uint8_t { CHANGE_EVENT, CHANGE_WHISPER, CHANGE_REPLACE, CHANGE_MERGE } what;
    bool accepted;
    uint32_t room, to;                       /* to: of a whisper: players, a bit each */
    uint64_t sent_ns, accepted_ns, sequence; /* of the message that tells it; 0: nobody knows */
    bool heard;
};

/* A member, beside its connection. */
struct player {
    uint32_t number; /* "s7": others may be the same */
    uint32_t room;
    /* of this connection */
    bool shows_wrong, shows_short, is_relay, greeted, stated, turned_away, limited, trespassed,
        expired, must_go, kicked;
    uint64_t ends_ns; /* its token, at the earliest */
    uint32_t bad_answers, visible;
    uint64_t last;       /* number */
    uint64_t owed_state; /* the number of the state that an ack has promised */
    uint64_t opened_with, replaced_by, merged; /* relay: what the state says */
    uint64_t whispers[changes_most / 64];
    struct referee referee;
    struct asks asks;
};

struct parlour {
    struct game_room rooms[game_rooms_most];
    struct change changes[changes_most];
    uint32_t change_count, room_count;
    struct player players[clients_max];
};
extern struct parlour parlour; /* of this run */

static inline struct player *game_player(const struct client *client)
{
    return &parlour.players[client->index];
}

static inline struct game_room *game_room_of(const struct client *client)
{
    return &parlour.rooms[game_player(client)->room];
}

enum : uint8_t { ASK_ACTION, ASK_TALK, ASK_SYNC, ASK_PRESENCE, ASK_PING, ASK_AUTH, ASK_NOTHING };

/* A message for everybody, or the answer of one who caused it, has told this number. */
void game_note_told(struct client *client, struct game_room *room, uint64_t sequence);

/* Somebody is told that a backend's room is over. */
void game_room_over(struct client *client, struct game_room *room);

/* game_hear.c: functions of game_kind. */
void game_on_text(struct client *client, const uint8_t *data, uint32_t size);
bool game_explains(struct client *client, uint32_t code);
void game_on_close(struct client *client, uint32_t code);
void game_check(struct client *client);
