/* game/game.h: what a room kind is: a value with functions.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 * A game's state is a function of its seed and its inputs with their times. It never meets a
 * socket, a frame, a clock, malloc or libm; time and randomness are arguments, so the same
 * inputs give the same bytes on every machine.
 *
 * A kind shows itself in one way or in both, and leaves the functions of the other nullptr:
 *
 *   by snapshots   the hub asks for the whole state (snapshot), at each tick and for each joiner
 *   by events      each input (join, leave, receive, request, advance) may make the game say
 *                  something (game/words.h), which is sent in that order and never left out for
 *                  something newer */
#pragma once
#include "base/bucket.h"
#include "base/bytes.h"
#include "game/limits.h"
#include "game/words.h"
#include "room/room.h"

struct world_map;

/* Time inside a game: the hub's monotonic clock, in both units. Only differences mean anything. */
struct game_time {
    uint64_t ms;
    uint64_t ns;      /* for what must be stamped more finely than a rule needs */
    uint64_t wall_ms; /* since 1970 in UTC: for people to read, never for rules */
};

/* No member has this number. */
constexpr uint32_t game_nobody = UINT32_MAX;

constexpr size_t game_id_size_max = 32;     /* bytes of the id of a room that a token is for */
constexpr size_t game_player_size_max = 64; /* bytes of a player's id */
constexpr size_t game_name_code_points_max = 64;
constexpr size_t game_name_size_max = 4 * game_name_code_points_max; /* bytes of a display name */

/* Who comes, in kinds whose members show a token. Borrowed for the call. */
struct game_guest {
    struct text room;   /* the id of the room that the token is for; empty: it names none */
    struct text player; /* whose it is */
    struct text name;   /* what others see of it; empty: the kind knows it already */
    uint64_t until_ms;  /* when it stops being valid, with the leeway of clocks (game_time.ms) */
    uint64_t expires_wall_ms; /* and when it says that it does (game_time.wall_ms); to be told,
                               * never for rules */
};

/* How often a member may have a token checked: that takes time, and costs who sends it nothing. */
constexpr struct rate game_token_rate = {.per_second = 1, .burst = 5};

/* game.due of a game that needs no clock. */
constexpr uint64_t game_never_ms = UINT64_MAX;

/* What an operator chose for a kind; read by its open. Lives as long as the room. */
struct game_options {
    bool autostart;        /* kart: a race starts by itself and another follows it */
    bool stamp;            /* kart: add "t" and "s" to the state, for load tests */
    uint32_t payload_size; /* kart: pad the state to this many bytes; 0: do not */
    bool require_host;     /* vote: starting and releasing take the host's token */
    uint32_t lobby_ms;     /* vote: how long nobody may touch a room before voting starts */
    uint32_t voting_ms;    /* vote: and afterwards */
    uint32_t players_max;  /* avalon: places in a room; lobby: people, spectators included;
                            * relay: people, unless the room is opened for another number; world:
                            * players, those who are away included */
    uint32_t chat_max;     /* avalon, lobby, relay: code points of one message */
    uint32_t place_ms;     /* avalon: how long a place is kept for whoever took it: while its token
                            * is valid */
    uint32_t unclaimed_ms; /* avalon: the same while nobody has ever come to it */
    uint32_t warning_ms;   /* how long before a token expires its member is warned; 0: never */
    uint32_t leeway_ms;    /* how long a token is good beyond that */
    uint32_t leave_ms;     /* all that know players: how long one may be away before others are
                            * told */
    uint32_t seat_ms;      /* lobby: how long a player may be away before the game is lost */
    uint32_t empty_ms;     /* avalon, lobby, relay: how long a room stays in which nobody is */
    bool chat_echo;        /* avalon: who says something gets it, too */
    struct game_rates rates;     /* avalon, lobby, relay: how often members may do what
                              * others pay for */
    const struct world_map *map; /* world: what it looks like */
    uint32_t members_max;        /* world: numbers of members are below this */
    uint32_t strangers_max;      /* world: members who have shown no token yet */
    uint32_t auth_ms;            /* world: how long they may take for that */
    uint32_t walkers;            /* world: so many who only walk about, for load tests */
};

/* What a kind wants that keeps much or says much at once. There is one room of such a kind. */
struct game_needs {
    size_t memory;           /* bytes beside its state, for as long as the room is there */
    struct words_size words; /* what it may say because of one input, or until words_deliver */
};

/* What a new room begins with. The texts are borrowed for the call. */
struct game_opening {
    const struct game_options *options; /* borrowed for the room's life */
    uint64_t seed;                      /* its only source of chance */
    struct text id;     /* what members call the room: [A-Za-z0-9_-]{1,64}; empty: it has no name */
    struct text secret; /* vote: what shows that a request is the host's; empty: nothing does.
                         * avalon, relay: the id of this room, which tells it from an earlier or a
                         * later one of the same name */
    struct game_time now;
    struct bytes memory; /* of kinds with needs: zeros, lent for the room's life */
};

/* What a snapshot is made for. */
struct game_view {
    struct game_time now;
    uint64_t sequence; /* the room's number of this snapshot, from 1 */
};

enum game_answer : uint8_t {
    /* accepted; the state may have changed: encode it again before anybody else is shown it */
    GAME_DONE,
    GAME_UNCHANGED, /* accepted, and nothing is different (it was so already) */
    /* no such command, or its argument is wrong; `reply` says what is understood */
    GAME_NOT_UNDERSTOOD,
    GAME_REFUSED,   /* understood, but the rules forbid it now; `reply` says why */
    GAME_FORBIDDEN, /* understood, but not from who asks; `reply` says who may */
};

/* Whether somebody who has a place may come in. */
enum game_admission : uint8_t {
    GAME_ADMITTED,
    GAME_FULL,   /* as many are here as may be */
    GAME_LOCKED, /* only those who were here before may come */
    GAME_BANNED, /* it was sent away for good */
};

/* What somebody asks a room to do by HTTP. All of it is borrowed for the call. */
struct game_request {
    struct text verb;    /* "start"; the hub's routes bound which there are */
    struct text body;    /* as sent */
    struct text token;   /* what it is authorized by; empty: nothing */
    struct bytes memory; /* to read the body in: base/json.h says how much that takes */
};

/* One room kind. What a kind with leave says goes by events. Every function is called on one
 * thread; `state` is `state_size` bytes. Functions that the kind has no use for are nullptr.
 *
 * `words` takes what the game says because of this input; it is empty, and the hub sends it in
 * order before the next input. In kinds that have none of join, arrive, leave, receive, request
 * and due it is nullptr. */
constexpr size_t game_types_max = 8;

struct game {
    const char *name;     /* as in /metrics, logs and the directory of rooms */
    struct text protocol; /* the WebSocket subprotocol of its dialect */
    size_t state_size;    /* bytes */
    size_t fresh_size;    /* of them, from the first on, those that are zero before open; 0: all.
                                * The others may hold anything */
    uint32_t message_size_max; /* bytes of one inbound message */
    /* the types of messages that it understands, for counting (game_words.heard); the rest of the
     * places is empty */
    struct text types[game_types_max];
    bool messages_unlimited; /* its members may say as much as they like, whatever --message-rate */
    /* a room is there from when it is acquired (rooms_acquire) until the game ends it, with members
     * or without; else it is made by its first member and gone with its last */
    bool acquired;

    /* What it needs under these options; nullptr: what every kind has. */
    struct game_needs (*needs)(const struct game_options *options);

    /* A new room. */
    void (*open)(void *state, const struct game_opening *opening);

    /* The room's clock moved: rules that depend on time run up to `now`. Called before every other
     * input and every snapshot, so that the answer never depends on when the last tick was. True
     * when more has changed than what passing time changes by itself: then a joiner must not be
     * shown an older snapshot. */
    bool (*advance)(void *state, struct game_time now, struct game_words *words);

    /* When advance must be called next (game_time.ms), or game_never_ms: a room without a tick
     * costs one timer. Asked after every input. */
    uint64_t (*due)(const void *state);

    /* A member is here. `member` is its number, which no other member of the room has while it is
     * seated; it can be spoken to from now on. */
    void (*join)(void *state, uint32_t member, struct game_time now, struct game_words *words);

    /* In kinds whose members show a token, which have no join. Whether the guest has a place here
     * (nullptr: everybody has); whether it gets in now (nullptr: always); and then that it comes,
     * as member of that number. A member who is the same player must be dismissed. */
    bool (*knows)(const void *state, const struct game_guest *guest);
    enum game_admission (*admits)(const void *state, const struct game_guest *guest);
    void (*arrive)(void *state, uint32_t member, const struct game_guest *guest,
                   struct game_time now, struct game_words *words);

    /* It is gone and can be spoken to no more; its number may be another's soon. Not called once
     * the game has ended the room. */
    void (*leave)(void *state, uint32_t member, struct game_time now, struct game_words *words);

    /* A text message from a member: valid UTF-8, message_size_max bytes at most. `memory` is to
     * read it in: base/json.h says how much that takes. Kinds without this ignore what members
     * say; kinds with it take no binary messages. */
    void (*receive)(void *state, uint32_t member, struct text text, struct game_time now,
                    struct bytes memory, struct game_words *words);

    /* In kinds that use words_verify: the token has been checked, which is an input of its own, at
     * the same time as the message. `guest` is whose it is, or nullptr when it is not good; then
     * `code` and `sentence`, static text, say why, as at the door. It is up to the game whether
     * that is who the member is, or may become, and whether the token is for this room. */
    void (*verified)(void *state, uint32_t member, const struct game_guest *guest, struct text code,
                     struct text sentence, struct game_time now, struct game_words *words);

    /* A request by HTTP. `reply` takes the body of the answer where it was accepted, else a
     * sentence; the caller dresses that. */
    enum game_answer (*request)(void *state, const struct game_request *request,
                                struct game_time now, struct writer *reply,
                                struct game_words *words);

    /* A trusted producer's command, one line of text ("/host bonus 500"). `reply` takes a
     * sentence for the answers that want one; plain text, the caller escapes it. */
    enum game_answer (*command)(void *state, struct text command, struct game_time now,
                                struct writer *reply);

    /* Another map is there for the world. Takes it, which is lent like the one before, and
     * returns an empty text; or goes on with that, and returns why: words that continue "The new
     * world ". */
    struct text (*remap)(void *state, const struct world_map *map);

    /* Writes which commands are understood, as one sentence. */
    void (*help)(struct writer *out);

    /* What the list of rooms tells of one beside its name: further members of a JSON object, a
     * comma before each. */
    void (*describe)(const void *state, struct writer *out);

    /* The whole state as this kind's dialect shows it, after advance. What does not fit sets
     * out->overflow. */
    void (*snapshot)(const void *state, const struct game_view *view, struct writer *out);
};
