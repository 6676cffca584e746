#include "hub/hub.h"
#include "hub/worker.h"

static struct game_rates rates_of(const struct config *config)
{
    return (struct game_rates){.chat = rate_of(config->chat_rate),
                               .room_chat = rate_of(config->room_chat_rate),
                               .state = rate_of(config->state_rate)};
}

struct game_options hub_game_options(const struct config *config, enum game_kind kind)
{
    switch (kind) {
    case GAME_KART:
        return (struct game_options){.autostart = config->kart_autostart,
                                     .stamp = config->kart_stamp,
                                     .payload_size = config->kart_payload};
    case GAME_VOTE:
        return (struct game_options){.require_host = config->vote_require_host,
                                     .lobby_ms = config->vote_lobby_ms,
                                     .voting_ms = config->vote_voting_ms};
    case GAME_AVALON:
        return (struct game_options){.players_max = config->avalon_players,
                                     .chat_max = config->avalon_chat,
                                     .chat_echo = config->avalon_chat_echo,
                                     .place_ms = config->avalon_token_ms + config->jwt_leeway_ms,
                                     .unclaimed_ms = config->avalon_claim_ms,
                                     .warning_ms = config->token_warning_ms,
                                     .leeway_ms = config->jwt_leeway_ms,
                                     .leave_ms = config->avalon_leave_ms,
                                     .empty_ms = config->avalon_empty_ms,
                                     .rates = rates_of(config)};
    case GAME_LOBBY:
        return (struct game_options){.players_max = config->lobby_people,
                                     .chat_max = config->lobby_chat,
                                     .warning_ms = config->token_warning_ms,
                                     .leeway_ms = config->jwt_leeway_ms,
                                     .leave_ms = config->lobby_leave_ms,
                                     .seat_ms = config->lobby_seat_ms,
                                     .empty_ms = config->lobby_empty_ms,
                                     .rates = rates_of(config)};
    case GAME_RELAY:
        return (struct game_options){.players_max = config->relay_members,
                                     .chat_max = config->relay_chat,
                                     .warning_ms = config->token_warning_ms,
                                     .leeway_ms = config->jwt_leeway_ms,
                                     .leave_ms = config->relay_leave_ms,
                                     .empty_ms = config->relay_empty_ms,
                                     .rates = rates_of(config)};
    case GAME_WORLD:
        return (struct game_options){.map = config->world,
                                     .players_max = config->world_players,
                                     .members_max = config->connections,
                                     .strangers_max = config->world_strangers,
                                     .auth_ms = config->world_auth_ms,
                                     .leave_ms = config->world_leave_ms,
                                     .warning_ms = config->token_warning_ms,
                                     .leeway_ms = config->jwt_leeway_ms,
                                     .walkers = config->world_walkers};
    }
    return (struct game_options){};
}

static void reserve_lent(struct hub *hub, struct arena *arena, enum game_kind kind)
{
    if (games[kind]->needs == nullptr) return;
    const struct game_options options = hub_game_options(hub->config, kind);
    const struct game_needs needs = games[kind]->needs(&options);
    if (needs.words.bytes == 0) return; /* it is not served */
    size_t words = words_memory_size(needs.words);
    hub->lent[kind] = (struct hub_lent){
        .memory = {arena_take(arena, needs.memory), needs.memory},
        .words = {arena_take(arena, words), words},
        .words_size = needs.words,
        .parts = arena_take(arena, needs.words.messages * sizeof(struct frame *))};
}

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct hub *hub, struct arena *arena)
{
    /* those who come and go, too, are remembered a while */
    constexpr uint32_t addresses_least = 4096;
    uint32_t connections = hub->config->connections;
    turnstile_init(&hub->addresses, arena,
                   connections > addresses_least ? connections : addresses_least);
    turnstile_init(&hub->misses, arena, addresses_least);
    turnstile_init(&hub->questions, arena, addresses_least);
    uint32_t rooms = hub->config->rooms;
    turnstile_init(&hub->acquirers, arena, rooms > addresses_least ? rooms : addresses_least);
    for (size_t i = 0; i < game_kinds; i++)
        reserve_lent(hub, arena, (enum game_kind)i);
}

bool hub_init(struct hub *hub, const struct config *config, struct hash_key hash_key)
{
    hub->config = config;
    hub->reserve_ring = ring_reserve_uring;
    hub->hash_key = hash_key;
    hub->worker_count = config->workers;
    hub->connections.most = config->connections;
    hub->rooms.most = config->rooms;
    hub->empty.most = hub->ended.most = config->workers;
    hub->addresses.inside_most = config->address_connections;
    hub->addresses.arrivals = rate_of(config->address_handshakes);
    hub->acquirers.inside_most = config->address_rooms;
    hub->acquirers.arrivals = rate_of(config->address_acquires);
    constexpr uint32_t misses_most = 4096; /* are remembered of an address */
    hub->misses.arrivals = (struct rate){config->address_misses, misses_most};
    hub->questions.arrivals = (struct rate){1, hub_question_s};
    struct arena measuring = arena_measure();
    reserve(hub, &measuring);
    if (!arena_open(&hub->arena, measuring.used)) return false;
    reserve(hub, &hub->arena);
    return true;
}

void hub_deinit(struct hub *hub)
{
    arena_close(&hub->arena);
}

uint32_t hub_home(const struct hub *hub, struct text name)
{
    return (uint32_t)(hash_text(hub->hash_key, name) % hub->worker_count);
}

bool hub_post(struct hub *hub, uint32_t worker, struct mail mail)
{
    struct worker *target = hub->workers[worker];
    switch (mailbox_post(&target->inbox, mail)) {
    case MAILBOX_POSTED: return true;
    case MAILBOX_POSTED_RING: ring_wake(&target->ring); return true;
    case MAILBOX_FULL: break;
    }
    return false;
}
