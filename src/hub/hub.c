#include "hub/hub.h"
#include "hub/worker.h"

/* Runs twice: over a measuring arena and over the real one. */
static void reserve(struct hub *hub, struct arena *arena)
{
    /* those who come and go, too, are remembered a while */
    constexpr uint32_t addresses_least = 4096;
    uint32_t connections = hub->config->connections;
    turnstile_init(&hub->addresses, arena,
                   connections > addresses_least ? connections : addresses_least);
    uint32_t rooms = hub->config->rooms;
    turnstile_init(&hub->acquirers, arena, rooms > addresses_least ? rooms : addresses_least);
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
