/* tests/sim/sim_run.h: one run: the whole hub on the simulated ring, its clients, and what must
 * hold.
 *
 *     plan.c     what the seed chooses: configuration, faults, who comes, how long
 *     stage.c    the hub's workers as coroutines, and the loop that runs one thing after the other
 *     squeeze.c  a worker's pools, when they have nothing left to give
 *     client.c   one client: how it reads, when it comes and goes
 *     client_*.c the kinds of clients (client.h): what they say, and what they must hear
 *     rooms.c    what clients have seen of races and of vote, held against each other
 *     judge.c    what must hold inside the hub while workers wait, and at the end
 *     wire.c     HTTP and frames, as clients know them */
#pragma once
#include "hub/worker.h"
#include "ring/sim.h"
#include "wire.h"

constexpr uint32_t clients_max = 48;
constexpr uint32_t rooms_max = 16;
constexpr uint32_t races_max = 4;
constexpr uint32_t actions_max = 256;
constexpr uint32_t states_max = 16 * 1024;
constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t ms_ns = 1'000'000;

struct run;

/* --- Clients (client.c) ----------------------------------------------------------------------- */

enum client_role : uint8_t {
    ROLE_KART,    /* watches a race */
    ROLE_VOTE,    /* sits in a room of vote */
    ROLE_HOST,    /* acquires such rooms, and asks them for things */
    ROLE_ADMIN,   /* asks the internal listener */
    ROLE_ABUSER,  /* breaks one rule after the other (THREATS.md F, U) */
    ROLE_GHOST,   /* says little or nothing */
    ROLE_AVALON,  /* has, or wants, a place in a room of people */
    ROLE_ECHO,    /* hears what it says */
    ROLE_GAME,    /* plays in a lobby, or is in a room of a backend's */
    ROLE_BACKEND, /* makes such rooms, and asks them for things */
    ROLE_WORLD,   /* flies about in the world */
    roles
};
enum client_phase : uint8_t { CLIENT_AWAY, CLIENT_HANDSHAKE, CLIENT_OPEN, CLIENT_CLOSING };

struct client {
    struct run *run;
    uint32_t index;
    enum client_role role;
    enum client_phase phase;
    int32_t peer;
    struct random random;
    struct address from;
    uint32_t room;       /* in run.rooms */
    uint32_t connection; /* counts */
    uint32_t key;        /* which Sec-WebSocket-Key */
    bool offers;         /* permessage-deflate, with this window of the server's, or 0: any */
    uint32_t offered_bits, window; /* window: bits; what was agreed to, 0: it hears plain text */
    /* how it reads */
    uint32_t read_size;     /* bytes at once */
    uint64_t read_pause_ns; /* between two reads */
    uint64_t read_after_ns; /* not before */
    uint64_t deaf_ns;       /* it stops reading from here on */
    uint64_t leave_ns;      /* it goes then */
    enum : uint8_t { LEAVE_CLOSE, LEAVE_END, LEAVE_RESET, LEAVE_VANISH, leaves } leaves_by;
    uint64_t speak_ns;   /* it says something then */
    uint64_t give_up_ns; /* patience */
    uint64_t come_ns;    /* AWAY: when it comes back */
    bool vanished, sent_close, got_close, ended, wants_end;
    bool was_slow;          /* in this connection */
    bool abused;            /* it has broken a rule in this connection */
    uint32_t expected_code; /* what a server must say to that; 0: anything */
    const char *abuse;
    uint64_t connected_ns, opened_ms, opened_ns;
    /* what it saw of its room in this connection */
    uint64_t first_state, last_state, last_stamp, last_state_ns;
    uint32_t states, ready_seen;
    bool saw_status, saw_started, saw_finished;
    uint32_t action; /* HOST: in run.actions; UINT32_MAX: none */
    uint32_t verb;   /* HOST: what it asked */
    bool command_sent;
    uint32_t out_size, out_sent;
    uint32_t in_size;
    uint8_t out[16 * 1024];
    uint8_t in[96 * 1024];
};

void client_begin(struct run *run); /* nobody is there yet */
void client_init(struct client *client, struct run *run, uint32_t index);
void client_act(struct client *client); /* its timer has come */
/* The faults are over: reads fast, stays. */
void client_calm(struct client *client);
/* The world that they know how to fly in, as the text of its file (client_world.c). */
struct text client_world_text(void);

/* --- Rooms (rooms.c) -------------------------------------------------------------------------- */

struct action {
    uint32_t room;
    uint64_t sent_ns, accepted_ns; /* 0: not, or nobody knows */
    bool refused;
};

/* States that somebody did not get: `from`, and those below `to`. */
struct gap {
    uint64_t from, to;
};
constexpr uint32_t gaps_max = 16 * 1024;

struct watched_room {
    enum game_kind kind;
    char id[24]; /* empty: nothing is known of it yet; of kart "" is the race at /ws */
    char token[64];
    bool known, over;
    uint8_t *shown; /* of races: states_max; 1: it came to somebody who was there already */
    uint64_t newest, marked; /* of the race at /ws: the last state that came to anybody */
};

void rooms_begin(struct run *run);
void rooms_on_open(struct client *client);
void rooms_on_text(struct client *client, const uint8_t *data, uint32_t size);
void rooms_on_pong(struct client *client);
/* How often a state of the race at /ws did not come to somebody who was there, and did to
 * another. */
uint64_t rooms_missed(const struct run *run);
/* All clients are calm and have had time: what each must hold when rooms_check_live comes a second
 * later; and that it does. */
void rooms_mark(struct run *run);
void rooms_check_live(struct run *run);
void rooms_check_kart(struct client *client);
void rooms_check_vote(struct client *client);

/* --- The plan (plan.c) ------------------------------------------------------------------------ */

struct plan {
    struct config config;
    struct sim_options sim;
    uint32_t clients;
    uint64_t chaos_ns; /* how long there are faults */
    uint64_t drain_ns; /* when SIGTERM comes: in the middle of it, or after the calm */
    uint64_t jump_ns;  /* when the wall clock leaps */
    int64_t jump_ms;
    uint64_t squeeze_ns, squeeze_end_ns; /* between them the hub is short of memory; 0: never */
    uint32_t squeezes;                   /* a bit for each pool (squeeze.c) */
    uint32_t squeeze_spare;              /* what it still has to give */
    uint32_t roles[roles];               /* weights */
    uint32_t misery; /* chance in 65536 that a client leaves badly, reads badly */
    char words[80][48];
    char *word_pointers[80];
    int word_count;
};

void plan_draw(struct plan *plan, uint64_t seed);

/* What tokens are signed with: a secret of 32 bytes. */
#define sim_secret "a secret of the simulator's, 32 b"

/* What a worker had counted of races when it last waited (judge.c). */
struct encoding {
    uint64_t encodes, ticks, commands, rooms, accepted, connections, failed;
    uint64_t stale;  /* races that had changed since they were shown */
    uint64_t beyond; /* encodings so far that neither a tick nor a change explains */
};

/* --- The stage (stage.c) ---------------------------------------------------------------------- */

struct run {
    uint64_t seed;
    bool traces;
    struct plan plan;
    struct sim *sim;
    struct hub hub;
    struct random random;
    struct client clients[clients_max];
    struct watched_room rooms[rooms_max];
    uint32_t room_count;
    struct action actions[actions_max];
    uint32_t action_count;
    bool calm, marked, draining, squeezed;
    uint64_t calm_ns, marked_ns, drained_ns;
    uint32_t running; /* workers */
    uint64_t states_seen, messages;
    struct gap gaps[gaps_max]; /* what the states of somebody left out */
    uint32_t gap_count;
    uint64_t turns;
    uint64_t acquires; /* requests for a room of vote */
    struct encoding encodings[sim_rings_max];
};

/* What came of a run that ended; one that finds something does not return. */
struct outcome {
    uint64_t hash, virtual_ns, happenings, messages;
};
struct outcome run_seed(struct run *run, uint64_t seed, bool traces);

[[noreturn, gnu::format(printf, 2, 3)]] void run_fail(struct run *run, const char *format, ...);
#define MUST(run, condition, ...)                       \
    do {                                                \
        if (!(condition)) run_fail((run), __VA_ARGS__); \
    } while (0)

/* --- Short of memory (squeeze.c) -------------------------------------------------------------- */

void squeeze_begin(struct run *run);
void squeeze_end(struct run *run);

/* --- The judge (judge.c) ---------------------------------------------------------------------- */

void judge_worker(struct run *run, const struct worker *worker); /* while it waits */
void judge_turn(struct run *run, const struct worker *worker);   /* the same, after each turn */
void judge_end(struct run *run, const int *codes);               /* all have ended */
