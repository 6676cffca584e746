/* hub/config.h: what an operator may choose: flag, then RINGCAST_* in the environment, then
 * default. One table (config.c) says for each option what it is called, what it may be and what
 * it means; the help text, the flags and the environment all come from it. */
#pragma once
#include "base/address.h"
#include "base/log.h"
#include "outbox/policy.h"

struct world_map;

constexpr uint32_t config_origins_max = 32;
constexpr uint32_t config_admin_hosts_max = 16;

struct config {
    bool dev;              /* a demo: any origin, a known key, a race that runs by itself */
    struct address listen; /* the public listener */
    struct address admin;  /* the internal one: metrics, health, commands */
    struct text admin_hosts[config_admin_hosts_max]; /* names that backends call it by */
    uint32_t admin_host_count;
    uint32_t connections;         /* clients at once; 0: as many as descriptors permit */
    uint32_t workers;             /* threads; 0: one a core */
    uint32_t rooms;               /* at once, of all kinds, beside the race at /ws */
    uint32_t address_connections; /* of one address at once; 0: no limit */
    uint32_t address_handshakes;  /* of one address, a second; 0: no limit */
    uint32_t address_rooms;       /* made by one address at once; 0: no limit */
    uint32_t address_acquires;    /* wishes of one address for a room, a second; 0: no limit */
    struct address_blocks exempt; /* addresses that are not counted */
    uint32_t message_rate;        /* messages of one client, a second; 0: no limit */
    uint32_t control_rate;        /* pings and unasked pongs of one client, a second; 0: no limit */
    uint32_t ping_ms;
    uint32_t pong_ms;
    uint32_t handshake_ms;
    uint32_t message_ms;
    uint32_t drain_ms;
    uint32_t not_sent_low;                   /* bytes */
    uint32_t send_buffer;                    /* bytes; 0: the kernel's choice */
    struct text origins[config_origins_max]; /* allowed beside the server's own; "*": any */
    uint32_t origin_count;
    uint32_t frame_memory;      /* bytes, per worker */
    bool send_past;             /* frames may be sent past an empty outbox */
    uint32_t flush_window_us;   /* how long events may linger; 0: not at all */
    uint32_t flush_load;        /* percent of a core from which on they do */
    uint32_t wake_batch_us;     /* how long a wait may go on for more to come */
    uint32_t deflate_threshold; /* bytes of a payload; smaller ones are sent as they are */
    uint32_t kart_tick_ms;
    enum outbox_policy kart_slow; /* what a member gets who reads too slowly */
    uint32_t kart_payload;        /* bytes; 0: no padding */
    uint32_t kart_burst;          /* states at each tick */
    bool kart_stamp;
    bool kart_autostart;
    bool vote;                 /* /api/rooms is served */
    bool vote_require_host;    /* starting and releasing a room take the token of who acquired it */
    uint32_t vote_lobby_ms;    /* how long nobody may touch a room before it is released */
    uint32_t vote_voting_ms;   /* the same once voting has started */
    bool vote_deflate;         /* permessage-deflate may be agreed on */
    bool avalon;               /* its rooms are served, where there is a secret to sign with */
    uint32_t avalon_players;   /* places in a room */
    uint32_t avalon_chat;      /* code points of one message */
    bool avalon_chat_echo;     /* who says something gets it, too */
    uint32_t avalon_token_ms;  /* how long a token is valid */
    uint32_t avalon_claim_ms;  /* how long a place waits for who has never come to it */
    uint32_t avalon_leave_ms;  /* how long a player may be away before the others are told */
    uint32_t avalon_empty_ms;  /* how long a room stays in which nobody is */
    bool avalon_fail_by_close; /* who shows no good token is let in to be told so */
    bool lobby;                /* its rooms are served, where there is a key to check with */
    uint32_t lobby_people;     /* in a room at once, spectators included */
    uint32_t lobby_chat;       /* code points of one message */
    uint32_t lobby_leave_ms;   /* how long somebody may be away before the others are told */
    uint32_t lobby_seat_ms;    /* how long a player may be away before the game is lost */
    uint32_t lobby_empty_ms;   /* how long a room stays in which nobody is */
    bool lobby_fail_by_close;  /* who shows no good token is let in to be told so */
    uint32_t relay_members;    /* in a room at once, unless it is opened for another number */
    uint32_t relay_chat;       /* code points of one message */
    uint32_t relay_leave_ms;   /* how long somebody may be away before the others are told */
    uint32_t relay_empty_ms; /* how long a room stays in which nobody is, unless opened otherwise */
    struct text world_file;  /* path of the world; empty: the one that is built in */
    struct address world_listen;   /* its own listener; port 0: none */
    uint32_t world_players;        /* in it at once, those who are away for a moment included */
    uint32_t world_strangers;      /* connections at once that have shown no token */
    uint32_t world_auth_ms;        /* how long they may take for that */
    uint32_t world_leave_ms;       /* how long a player may be away before it is gone */
    uint32_t world_walkers;        /* so many who only walk about */
    bool world_deflate;            /* permessage-deflate may be agreed on */
    struct text world_log;         /* path of the file of the world's inputs; empty: none */
    uint32_t world_log_size;       /* bytes that it may have */
    const struct world_map *world; /* what was read from the file; nullptr: none is served */
    bool enable_echo;
    uint32_t echo_message; /* bytes of one message, at most */
    uint32_t echo_memory;  /* bytes, per worker */
    bool echo_deflate;     /* permessage-deflate may be agreed on */
    bool kart_deflate;     /* permessage-deflate may be agreed on */
    enum log_level log_level;
    enum : uint8_t { LOG_FORMAT_AUTO, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON } log_format;
    uint32_t log_burst;       /* info lines a second */
    struct text api_key;      /* RINGCAST_API_KEY; empty: commands are off */
    struct text jwt_keys;     /* path of a JWK set; empty: none */
    struct text jwt_issuer;   /* empty: any */
    struct text jwt_audience; /* empty: any */
    uint32_t jwt_leeway_ms;
    uint32_t token_warning_ms; /* how long before its token expires a member is warned */
    struct text jwt_secret;    /* RINGCAST_JWT_SECRET or SUPABASE_JWT_SECRET; empty: none */

    struct address_blocks trusted; /* proxies that say whose connection it is */
    bool proxy_protocol;           /* the public listener's connections begin with PROXY v2 */
    uint32_t address_misses;       /* rooms that one address may ask for in vain, a second; 0: no
                                    * limit */
    uint32_t chat_rate;            /* chat messages of one member, a second; 0: no limit */
    uint32_t room_chat_rate;       /* of all members of a room */
    uint32_t state_rate;           /* bytes of state that one member asks for, a second */
};

/* Fills *config from the words after `serve` and the environment. On a mistake returns false
 * with one sentence in *why, which names the option and the remedy. Texts in *config point into
 * the arguments and the environment, which live as long as the process. */
[[nodiscard]] bool config_read(struct config *config, int count, char **words, char **environment,
                               struct writer *why);

/* Every option with its default and meaning, for --help. */
void config_write_help(struct writer *out);

/* "500ms", "25s", "2m", "1h" or a bare number of milliseconds. False when it is none of these,
 * or more than 2^32-1 ms. */
[[nodiscard]] bool config_parse_duration(struct text text, uint32_t *ms);

/* "250us" or "5ms". False when it is neither, or more than 2^32-1 us. */
[[nodiscard]] bool config_parse_moment(struct text text, uint32_t *us);

/* "4096", "64KiB", "1MiB". False when it is none of these, or more than 2^32-1 bytes. */
[[nodiscard]] bool config_parse_size(struct text text, uint32_t *bytes);
