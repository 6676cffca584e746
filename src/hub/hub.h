/* hub/hub.h: what all workers know: the configuration, each other, and the bounds they share.
 *
 * Workers share no state but counts (struct quota, struct turnstile). They send each other mail
 * (base/mailbox.h); what a mail points to is lent and comes home by a list that cannot be full.
 * How a frame travels, and whose it is at each step:
 *
 *   one worker    rooms.c encodes > frame_make (1 ref, the room's) > room_broadcast (+1 an outbox)
 *                 > conn/send.c hands the bytes to the kernel: by the outbox (its ref stays until
 *                 the completion) or past it (the round holds 1 ref) > the last ref frees it
 *
 *   compressed    as above, until conn/send.c meets an outbox whose peer agreed to a window:
 *                 twin_of (1 ref, the frame's, which holds its twins) > the outbox gives its ref of
 *                 the frame for one of the twin > sent > the last ref frees the twin
 *
 *   a reply       (/echo; no room, no other worker) frame_reserve (1 ref), lent to the reader to
 *                 put the message together in > frame_finish > outbox_push_reply (+1) >
 *                 conn/reply.c lets go (-1) > sent > the last ref frees it
 *
 *   two workers   home: the same, and one loan (+1 ref) for each other worker that has members
 *                   |  MAIL_FRAME: the loan is the borrower's now, the frame still home's
 *                   v
 *                 borrower: frame_borrow (a frame of its own around home's bytes) > broadcast, sent
 *                   |  as above, with twins of its own; its last ref puts the loan into home's
 *                   |  list of returns
 *                   v
 *                 home, next turn: takes the loan back > -1 ref > the last ref frees the frame
 *
 * Keys for tokens travel in the same way, from the main thread to each worker: hub/reload.h. */
#pragma once
#include "auth/keys.h"
#include "base/mailbox.h"
#include "base/random.h"
#include "game/games.h"
#include "hub/config.h"
#include "ring/ring.h"

constexpr uint32_t workers_max = 64; /* a bit each in a room's set of workers */

/* How long an address that asks for the same room again is not guessing, in seconds. */
constexpr uint32_t hub_question_s = 60;

/* Where static rooms live. */
constexpr uint32_t hub_home_static = 0;

/* Where the world lives: on the last worker, since the race is on the first. */
static inline uint32_t hub_home_world(uint32_t worker_count)
{
    return worker_count - 1;
}

struct worker;
struct world_log;
struct frame;

/* What the one room of a kind with needs is lent, at its home. */
struct hub_lent {
    struct bytes memory; /* game_opening.memory */
    struct bytes words;  /* for what it says */
    struct words_size words_size;
    struct frame **parts; /* a place for each message */
};

/* The keys of this installation, as they were read at one time. Nobody changes them while a worker
 * has them. */
struct key_set {
    struct auth_keys keys;                   /* the first one signs, where there is a secret */
    struct mailbox_return back[workers_max]; /* each worker's own, for when it has newer ones */
};

/* Made by main before the workers start; only the quotas and the turnstiles change afterwards,
 * which are counts. */
struct hub {
    const struct config *config;
    /* which ring workers get: the kernel's io_uring, unless changed before one is made */
    void (*reserve_ring)(struct ring *, struct arena *, const struct ring_config *);
    struct hash_key hash_key;   /* of room names: decides a room's home; and of addresses */
    struct quota connections;   /* --connections */
    struct quota rooms;         /* --rooms */
    struct turnstile acquirers; /* --address-rooms, --address-acquires */
    struct quota empty;         /* workers that are draining and have nobody left */
    struct quota ended;         /* workers to which everything has come home */
    struct turnstile addresses; /* --address-connections, --address-handshakes */
    struct arena arena;         /* what the turnstiles take, and the following */
    struct hub_lent lent[game_kinds];
    struct key_set key_sets[2];        /* the first one is there from the start */
    struct mailbox_returns world_home; /* main's: the world that is not on */
    struct world_log *world_log;       /* for the world's home; nullptr: none is kept */
    struct mailbox_returns keys_home;  /* main's: what workers have given back of the other one */
    uint32_t worker_count;
    struct worker *workers[workers_max];
    struct turnstile misses;    /* --address-misses: arrivals only */
    struct turnstile questions; /* of an address for a room that is not there: arrivals only */
};

enum mail_kind : uint32_t {
    MAIL_DRAIN,       /* the process is going down */
    MAIL_CONN,        /* pointer: struct parcel; a connection whose room's home is here */
    MAIL_SUBSCRIBE,   /* value: worker, number: kind; it has members and wants the room's frames */
    MAIL_UNSUBSCRIBE, /* value: worker, number: kind; it has none any more */
    MAIL_FRAME,       /* pointer: struct frame_loan, value: kind, number: of the snapshot */
    MAIL_STALE,       /* value: kind; the state has changed since the last frame */
    MAIL_ERRAND,      /* pointer: struct errand; to be done and given back */
    MAIL_KEYS,        /* pointer: struct key_set; those that are good from now on */
    MAIL_WORLD,       /* pointer: struct world_file; the world as it has been read again */
};

enum return_kind : uint32_t {
    RETURN_LOAN,
    RETURN_PARCEL,
    RETURN_ERRAND,
    RETURN_KEYS,
    RETURN_WORLD
};

/* Readies what all workers share under this configuration, which is borrowed. False when the memory
 * cannot be had. */
[[nodiscard]] bool hub_init(struct hub *hub, const struct config *config, struct hash_key hash_key);

/* Gives the memory back. After all workers are freed. */
void hub_deinit(struct hub *hub);

/* True when players can be given tokens: there is a secret to sign them with. */
static inline bool hub_signs(const struct hub *hub)
{
    return hub->config->jwt_secret.size > 0;
}

/* The worker that a room of this name lives on. */
uint32_t hub_home(const struct hub *hub, struct text name);

/* What an operator chose for the rooms of a kind. */
struct game_options hub_game_options(const struct config *config, enum game_kind kind);

/* Posts to another worker and wakes it when it must be. False when its mailbox is full: the caller
 * keeps what it has. From any thread. */
[[nodiscard]] bool hub_post(struct hub *hub, uint32_t worker, struct mail mail);
