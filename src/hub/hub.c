#include "hub/hub.h"
#include "hub/worker.h"

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
