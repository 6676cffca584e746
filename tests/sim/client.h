/* tests/sim/client.h: what a kind of client is, and what all of them do alike (client.c,
 * client_say.c).
 *
 *     client_kart.c    watches a race, breaks rules, says nothing; asks the internal listener
 *     client_vote.c    sits in a room of vote; acquires such rooms
 *     client_avalon.c  takes places in rooms of people, chats
 *     client_echo.c    hears what it says
 *     client_game.c    comes with a token of a backend's: to lobbies, and to its rooms
 *     client_backend.c is that backend
 *     client_world.c   flies about in the world
 *
 * What one connection is is in `struct client`; what a kind remembers beside that is its own. */
#pragma once
#include "sim_run.h"

constexpr uint32_t client_nothing = UINT32_MAX;

/* Functions that a kind has no use for are nullptr. */
struct client_kind {
    const char *name;                                                        /* in traces */
    enum client_port : uint8_t { PORT_PUBLIC, PORT_ADMIN, PORT_WORLD } port; /* where it knocks */
    bool is_brief;     /* it asks for one thing, and may go while that is on its way */
    bool talks;        /* it says something in each connection */
    bool never_behind; /* who does not read is not read either, and so never too slow (4508) */
    /* Whether the server compresses what this kind hears; nullptr: nobody asks for that. */
    bool (*deflates)(const struct config *config);
    uint64_t pause_ns; /* most from one thing that it says to the next; 0: five seconds */
    void (*begin)(struct run *run); /* a run begins */
    /* Says its first words. False: there is nothing to come for now. */
    bool (*hello)(struct client *client);
    /* An answer other than 101 has come. */
    void (*on_answer)(struct client *client, const struct wire_answer *answer);
    void (*on_open)(struct client *client);
    void (*on_text)(struct client *client, const uint8_t *data, uint32_t size);
    void (*on_binary)(struct client *client, const uint8_t *data, uint32_t size);
    void (*on_pong)(struct client *client); /* its pings come behind what it says */
    void (*speak)(struct client *client);
    /* True when a good client of this kind may be closed with this code now: one of 4400 to 4499
     * that says what somebody did. */
    bool (*explains)(struct client *client, uint32_t code);
    void (*on_close)(struct client *client, uint32_t code); /* a close frame has come */
    void (*check)(struct client *client); /* it is calm, has had time, and lives */
};

extern const struct client_kind kart_kind, admin_kind, abuser_kind, ghost_kind; /* client_kart.c */
extern const struct client_kind vote_kind, host_kind;                           /* client_vote.c */
extern const struct client_kind avalon_kind;  /* client_avalon.c */
extern const struct client_kind echo_kind;    /* client_echo.c */
extern const struct client_kind world_kind;   /* client_world.c */
extern const struct client_kind backend_kind; /* client_backend.c */
extern const struct client_kind game_kind;    /* client_game.c */

const struct client_kind *client_kind_of(const struct client *client);
uint64_t client_now(const struct client *client);
uint32_t client_below(struct client *client, uint32_t bound); /* a draw */

/* Seconds since 1970, as the server's clock on the wall has it. */
uint64_t client_wall_s(const struct client *client);

/* The answer of a server that has too much to do, for an address or for all. */
static inline bool client_is_busy(uint32_t status)
{
    return status == 408 || status == 429 || status == 503;
}

/* Connected, heard, and good, for a second at least. */
bool client_is_live(const struct client *client);

/* So near to the last look that what is said now could still be on its way then. */
bool client_is_hushed(const struct client *client);

/* --- Saying. What finds no room in client.out is not said, and false. ------------------------- */

bool client_has_room(const struct client *client, uint32_t size);
[[gnu::format(printf, 2, 3)]] void client_say(struct client *client, const char *format, ...);
bool client_say_frame(struct client *client, struct wire_kind kind, const void *data,
                      uint32_t size);
[[gnu::format(printf, 2, 3)]] bool client_say_text(struct client *client, const char *format, ...);
void client_say_close(struct client *client, uint32_t code);

/* A request for a WebSocket; `headers` are further ones, whole lines. */
void client_say_upgrade(struct client *client, const char *path, const char *headers);
/* What Sec-WebSocket-Accept must be then. */
const char *client_accept(const struct client *client);

/* Any other; `body` is JSON, or empty. */
void client_say_request(struct client *client, const char *method, const char *path,
                        const char *token, const char *body);
