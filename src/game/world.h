/* game/world.h: the shared world, as its files see it, and who plays its log again
 * (world_replay.c); nobody else looks in here.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *   world.c        its memory; the tick
 *   world_players.c     who comes and goes
 *   world_hear.c   what players say
 *   world_say.c    how it is put: each message in the words that its reader uses
 *   world_tell.c   what a tick's changes mean for those who see them
 *   world_race_tell.c   what happens in races
 *   world_chunks.c      tiles on demand
 *   world_walkers.c     those who only walk about, for load tests
 *   world_hash.c        all of it as one number
 * and, knowing nothing of members or messages: world_grid.h (who sees whom), world_motion.h (who
 * may move how), world_race.h (races), world_map.h (the file), world_terrain.h (the ground).
 *
 * A member is a stranger until it has shown a token; then it is a player's connection:
 *
 *     (joins) > STRANGER --verified--> PLAYER > (leaves)
 *                   |                     |
 *                   +----> DISMISSED <----+      (the hub closes it; it is not listened to)
 *
 *     a player:   here --leaves--> away --leave_ms--> gone
 *                  ^                 |
 *                  +----comes back---+               (others see it stand where it was) */
#pragma once
#include "base/json.h"
#include "base/table.h"
#include "game/games.h"
#include "game/strikes.h"
#include "game/world_grid.h"
#include "game/world_motion.h"
#include "game/world_race.h"

constexpr uint32_t world_entities_most = 65'536;
constexpr size_t world_id_size_max = game_player_size_max; /* bytes of a token's sub */
constexpr size_t world_entity_size_max = 640;              /* bytes of one as JSON */
constexpr uint32_t world_said_max = 60 * 1024;             /* bytes of one event */
constexpr uint32_t world_share_most =
    128; /* entities in a cell's update: less than a frame takes */

/* The words in which a connection is spoken to: as its auth was spelled. */
enum world_dialect : uint8_t { WORLD_PLAIN, WORLD_SIBLING };
static_assert(WORLD_SIBLING < world_grid_classes, "a viewer's class is its dialect");
constexpr size_t world_dialects = 2;

/* What the server says: name, plain, sibling (CONTRACT C18). */
#define WORLD_SAYINGS(X)                                      \
    X(AUTH_RESULT, "auth_result", "S2C_AUTH_RESULT")          \
    X(AUTH_EXPIRING, "auth_expiring", "S2C_AUTH_EXPIRING")    \
    X(WORLD_SEED, "world_seed", "S2C_WORLD_SEED")             \
    X(UPDATE, "world_state_update", "S2C_WORLD_STATE_UPDATE") \
    X(ENTER, "entity_enter", "S2C_ENTITY_ENTER")              \
    X(LEAVE, "entity_leave", "S2C_ENTITY_LEAVE")              \
    X(PRESENCE, "presence", "S2C_PRESENCE")                   \
    X(CHUNK_META, "chunk_meta", "S2C_WORLD_CHUNK_META")       \
    X(KIOSK, "kiosk", "S2C_KIOSK")                            \
    X(RACE, "race_event", "S2C_RACE_EVENT")                   \
    X(CORRECTION, "correction", "S2C_CORRECTION")             \
    X(ERROR, "error", "S2C_ERROR")

/* What clients say, in the same way. */
#define WORLD_HEARINGS(X)                                   \
    X(AUTH, "auth", "C2S_AUTH")                             \
    X(MOVE, "player_update", "C2S_PLAYER_UPDATE")           \
    X(CHUNKS, "chunk_request", "C2S_WORLD_CHUNK_REQUEST")   \
    X(CHUNKS_OFF, "chunk_unload", "C2S_WORLD_CHUNK_UNLOAD") \
    X(INTERACT, "interact", "C2S_INTERACT")                 \
    X(START_RACE, "start_race", "C2S_START_RACE")           \
    X(LEAVE_RACE, "leave_race", "C2S_LEAVE_RACE")           \
    X(WHO, "presence", "C2S_PRESENCE")

#define WORLD_NAME(name, plain, sibling) WORLD_SAY_##name,
enum world_saying : uint8_t { WORLD_SAYINGS(WORLD_NAME) };
#undef WORLD_NAME
#define WORLD_NAME(name, plain, sibling) WORLD_HEAR_##name,
enum world_hearing : uint8_t { WORLD_HEARINGS(WORLD_NAME) world_hearings };
#undef WORLD_NAME

enum world_member_state : uint8_t {
    WORLD_MEMBER_NONE,
    WORLD_MEMBER_STRANGER,
    WORLD_MEMBER_PLAYER,
    WORLD_MEMBER_DISMISSED,
};

/* A connection, by its member's number. */
struct world_member {
    enum world_member_state state;
    enum world_dialect dialect;
    uint32_t player;         /* PLAYER: its number */
    uint32_t next, previous; /* STRANGER: in the order of coming; or game_nobody */
    uint64_t since_ms;
};

/* Where a player is, for those who want to know who is here. */
enum world_zone : uint8_t { WORLD_ZONE_LOBBY, WORLD_ZONE_WORLD, WORLD_ZONE_RACE };
constexpr size_t world_zones = 3;

/* A player; its number is that of its entity. */
struct world_player {
    struct table_link by_id;
    bool is_taken; /* else the place is free */
    bool is_gone;  /* it leaves with the next tick */
    bool is_news;  /* others have not been told that it is here */
    enum world_zone zone;
    uint8_t id_size, text_size;
    char id[world_id_size_max];
    char text[2 * world_id_size_max]; /* the id as JSON, without quotes */
    uint32_t member;                  /* game_nobody: it is away */
    uint64_t until_ms;                /* while here: when its token expires */
    uint64_t warn_ms;         /* and when it is warned of that; game_never_ms: it has been */
    uint64_t expires_wall_ms; /* what the token says; to be told */
    uint64_t away_ms;         /* while away: since when */
    struct world_motion motion;
    uint32_t token_bucket, chunk_bucket, who_bucket, note_bucket;
    struct strikes strikes; /* of messages that mean nothing */
};

/* Tiles that a player asks for. */
constexpr uint32_t world_tiles_max = 64;   /* of one wish */
constexpr uint32_t world_wishes_max = 256; /* that wait for the tick; one more has all answered */
struct world_wanted_tile {
    struct world_tile tile;
    enum world_detail detail;
};
struct world_wish {
    uint32_t player, count;
    struct world_wanted_tile tiles[world_tiles_max];
};

/* One who only walks about: entity players_max + its number. */
struct world_walker {
    struct world_sample now;
    struct world_point goal;
};

/* Who a racer is, whoever has its number by now. */
struct world_racer_id {
    uint8_t size;
    char data[world_id_size_max];
};

struct world {
    const struct world_map *map; /* lent for the room's life */
    const struct game_options *options;
    struct random chance;
    struct world_grid grid;
    struct world_member *members;
    uint32_t first_stranger, last_stranger, stranger_count;
    struct world_player *players;
    struct table by_id;
    uint32_t *free_players; /* their numbers */
    uint32_t free_count, player_count, connected;
    uint32_t *gone; /* those who leave with the next tick */
    uint32_t gone_count;
    struct world_walker *walkers;
    uint32_t walker_count;
    uint64_t tick;
    uint64_t next_tick_ms;
    bool is_idle;              /* there is nothing that ticks would do */
    uint64_t next_deadline_ms; /* none of a player's is due before */
    uint64_t next_presence_ms;
    uint32_t online, told_online; /* players that others know of, and what they were told */
    uint32_t zone_counts[world_zones];
    struct world_wish *wishes;
    uint32_t wish_count;
    struct world_races races;
    struct world_race_events events;
    struct world_racer_id racer_ids[world_races_max][world_racers_max];
    uint32_t *parts; /* by cell and dialect: the place of its part in what is being said */
};

static inline struct text world_player_id(const struct world_player *player)
{
    return (struct text){player->id, player->id_size};
}

static inline uint32_t world_player_number(const struct world *world,
                                           const struct world_player *player)
{
    return (uint32_t)(player - world->players);
}

static inline enum world_dialect world_dialect_of(const struct world *world, uint32_t member)
{
    return world->members[member].dialect;
}

/* --- world.c ---------------------------------------------------------------------------------- */

/* It ticks from now on, if it has not. */
void world_wake(struct world *world, struct game_time now);

/* Runs the races up to now, and tells of what has happened in them. */
void world_advance_races(struct world *world, struct game_time now, struct game_words *words);

/* --- world_players.c -------------------------------------------------------------------------- */

/* Of game.h, for the world's line in the table of kinds. */
void world_join(void *state, uint32_t member, struct game_time now, struct game_words *words);
void world_leave(void *state, uint32_t member, struct game_time now, struct game_words *words);
void world_verified(void *state, uint32_t member, const struct game_guest *guest, struct text code,
                    struct text sentence, struct game_time now, struct game_words *words);

/* A player leaves the world with this tick; once those who saw it have been told of that, its
 * place is free. */
void world_remove_player(struct world *world, struct world_player *player, struct game_time now,
                         struct game_words *words);
void world_free_gone(struct world *world);

/* Has a member go: what it says is not listened to any more. Its player is away from now on. */
void world_dismiss(struct world *world, uint32_t member, enum game_dismissal why,
                   struct game_time now, struct game_words *words);

/* Tells a member why it may not come in, or stay, and has it go. */
void world_refuse(struct world *world, uint32_t member, struct text code, struct text sentence,
                  enum game_dismissal why, struct game_time now, struct game_words *words);

/* A player's motion has changed. */
void world_place(struct world *world, uint32_t player);

/* --- world_say.c: each begins and ends one message, unless it says otherwise ------------------ */

struct text world_saying_name(enum world_saying saying, enum world_dialect dialect);

/* Which it is, in either spelling; world_hearings: none of them. */
enum world_hearing world_hearing_of(struct text name, enum world_dialect *dialect);

/* {"type":NAME,"payload":{  and the end of it. */
void world_open_message(struct writer *out, enum world_saying saying, enum world_dialect dialect);
void world_close_message(struct game_words *words);

/* Begins one to a single member. */
struct writer *world_tell_one(struct world *world, struct game_words *words, uint32_t member,
                              enum world_saying saying);

/* "key":"value", and a comma before it where that is wanted. */
void world_write_string(struct writer *out, const char *key, struct text value);
void world_write_point(struct writer *out, const char *key, struct world_point point);
void world_write_rotation(struct writer *out, const char *key, struct world_rotation rotation);

void world_say_error(struct world *world, struct game_words *words, uint32_t member,
                     struct text code, struct text sentence);
void world_say_refusal(struct world *world, struct game_words *words, uint32_t member,
                       struct text code, struct text sentence);
void world_say_welcome(struct world *world, struct game_words *words, uint32_t player);
void world_say_refreshed(struct world *world, struct game_words *words, uint32_t player);
void world_say_expiring(struct world *world, struct game_words *words, uint32_t player);
void world_say_correction(struct world *world, struct game_words *words, uint32_t player,
                          struct text reason);

/* Writes an entity as it is shown: whole, or as it comes into sight; or its id alone. */
void world_write_entity(struct writer *out, const struct world *world, uint32_t entity, bool whole);
/* It will be written soon: has the processor bring it. */
void world_fetch_entity(const struct world *world, uint32_t entity);
void world_write_id(struct writer *out, const struct world *world, uint32_t entity);

/* --- world_tell.c ----------------------------------------------------------------------------- */

/* Tells all who see of what the grid's last tick has found, and then what they see. */
void world_tell_changes(struct world *world, struct game_words *words);
void world_tell_updates(struct world *world, struct game_words *words, struct game_time now);

/* Tells all players how many are here, and where. */
void world_tell_presence(struct world *world, struct game_words *words);

/* Tells a player who is here, from the one at `offset` on. */
void world_say_who(struct world *world, struct game_words *words, uint32_t player, uint32_t offset);

/* --- world_race_tell.c ------------------------------------------------------------------------ */

/* Tells of what has happened in races to those whom it concerns, and forgets it. */
void world_tell_races(struct world *world, struct game_words *words, struct game_time now);

/* --- world_chunks.c --------------------------------------------------------------------------- */

/* A player asks for tiles. Returns what is wrong with its message, or nothing: then it has been
 * told why it gets none, or gets them with the next tick. */
struct text world_want_chunks(struct world *world, struct game_words *words, uint32_t player,
                              const struct json *payload, struct game_time now);

/* It needs some no more. Returns what is wrong with its message, or nothing. */
struct text world_unload_chunks(const struct json *payload);

/* Answers what is asked for: wishes that are alike by the same messages. */
void world_tell_chunks(struct world *world, struct game_words *words);

/* --- world_hear.c ----------------------------------------------------------------------------- */

void world_hear(struct world *world, uint32_t member, struct text text, struct game_time now,
                struct bytes memory, struct game_words *words);

/* --- world_walkers.c -------------------------------------------------------------------------- */

void world_walkers_init(struct world *world);
void world_walkers_step(struct world *world);

/* --- world_hash.c ----------------------------------------------------------------------------- */

/* All that what happens next may follow from, beside map and options, as one number. */
uint64_t world_hash(const struct world *world);
