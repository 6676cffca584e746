#include "hub/metrics.h"
#include "hub/worker.h"

/* Exact codes first, then "3xxx" and "4xxx". A label per code that a stranger invents would have
 * no bound. */
static const uint16_t exact_codes[] = {1000, 1001, 1002, 1003, 1005, 1007, 1008,
                                       1009, 1010, 1011, 1012, 1013, 1014};
constexpr size_t exact_count = sizeof exact_codes / sizeof *exact_codes;
static_assert(exact_count + 2 <= peer_code_buckets);

static size_t bucket_of(uint16_t code)
{
    for (size_t i = 0; i < exact_count; i++)
        if (exact_codes[i] == code) return i;
    return code < 4000 ? exact_count : exact_count + 1;
}

void metrics_count_close(struct metrics *metrics, enum close_reason reason, uint16_t code)
{
    if (reason == CLOSE_PEER_CLOSED) {
        metrics->closed_by_peer[bucket_of(code)] += 1;
        return;
    }
    metrics->closed[reason] += 1;
    if (code == 0 && close_info(reason)->code != 0) metrics->cut_off[reason] += 1;
}

/* Upper bounds of the buckets, in microseconds. */
static const uint32_t tick_bounds[tick_buckets - 1] = {
    100, 250, 500, 1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 250'000};

void metrics_count_tick(struct kind_metrics *metrics, uint64_t took_ns)
{
    size_t bucket = 0;
    while (bucket < tick_buckets - 1 && took_ns > (uint64_t)tick_bounds[bucket] * 1000)
        bucket += 1;
    metrics->tick_counts[bucket] += 1;
    metrics->tick_ns += took_ns;
}

static void head(struct writer *out, const char *name, const char *type, const char *help)
{
    write_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct writer *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    head(out, name, type, help);
    write_format(out, "%s %llu\n", name, (unsigned long long)value);
}

static void labelled(struct writer *out, const char *name, const char *label, const char *value,
                     uint64_t count)
{
    write_format(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)count);
}

static void write_kind(const struct tally *tally, struct writer *out, const char *name,
                       const char *type, const char *help,
                       uint64_t (*value)(const struct kind_metrics *))
{
    head(out, name, type, help);
    for (size_t i = 0; i < game_kinds; i++)
        labelled(out, name, "kind", games[i]->name, value(&tally->metrics.kinds[i]));
}

#define KIND_VALUE(field)                                         \
    static uint64_t kind_##field(const struct kind_metrics *kind) \
    {                                                             \
        return kind->field;                                       \
    }
KIND_VALUE(accepted)
KIND_VALUE(connections)
KIND_VALUE(rooms)
KIND_VALUE(encodes)
KIND_VALUE(ticks)
KIND_VALUE(tick_overruns)
KIND_VALUE(commands)
KIND_VALUE(requests)

/* The same for what /echo has, too. */
static void write_kind_and_echo(const struct tally *tally, struct writer *out, const char *name,
                                const char *type, const char *help,
                                uint64_t (*value)(const struct kind_metrics *))
{
    write_kind(tally, out, name, type, help, value);
    labelled(out, name, "kind", "echo", value(&tally->metrics.echo));
}

static void write_type(struct writer *out, const char *kind, struct text type, uint64_t count)
{
    write_format(out, "ringcast_messages_received_total{kind=\"%s\",type=\"%.*s\"} %llu\n", kind,
                 TEXT_ARG(type), (unsigned long long)count);
}

/* Texts by the types that the kind knows; all others are one, however they are called (THREATS.md
 * R9). Of a kind that looks at none they are only texts. */
static void write_messages(struct writer *out, const char *kind, const struct text *types,
                           const struct kind_metrics *metrics)
{
    uint64_t others = metrics->texts;
    size_t count = 0;
    for (; types != nullptr && count < game_types_max && types[count].size > 0; count++) {
        write_type(out, kind, types[count], metrics->types[count]);
        others -= metrics->types[count];
    }
    write_type(out, kind, count > 0 ? TEXT("unknown") : TEXT("text"), others);
    write_type(out, kind, TEXT("binary"), metrics->binaries);
}

static void write_ticks_of(struct writer *out, const char *kind, const struct kind_metrics *metrics)
{
    const char *name = "ringcast_tick_duration_seconds";
    uint64_t count = 0;
    for (size_t i = 0; i < tick_buckets - 1; i++) {
        count += metrics->tick_counts[i];
        write_format(out, "%s_bucket{kind=\"%s\",le=\"%.6g\"} %llu\n", name, kind,
                     tick_bounds[i] / 1e6, (unsigned long long)count);
    }
    count += metrics->tick_counts[tick_buckets - 1];
    write_format(out, "%s_bucket{kind=\"%s\",le=\"+Inf\"} %llu\n", name, kind,
                 (unsigned long long)count);
    write_format(out, "%s_sum{kind=\"%s\"} %.9f\n", name, kind, (double)metrics->tick_ns / 1e9);
    write_format(out, "%s_count{kind=\"%s\"} %llu\n", name, kind, (unsigned long long)count);
}

/* Only of kinds that tick. */
static void write_ticks(const struct tally *tally, struct writer *out)
{
    static const enum game_kind kinds[] = {GAME_KART, GAME_WORLD};
    head(out, "ringcast_tick_duration_seconds", "histogram",
         "What a tick takes: rules, encoding, and a place in each outbox.");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        write_ticks_of(out, games[kinds[i]]->name, &tally->metrics.kinds[kinds[i]]);
}

static void write_kinds(const struct tally *tally, struct writer *out)
{
    write_kind_and_echo(tally, out, "ringcast_connections", "gauge",
                        "WebSocket clients, by room kind.", kind_connections);
    write_kind(tally, out, "ringcast_members", "gauge", "Seats taken in rooms.", kind_connections);
    write_kind_and_echo(tally, out, "ringcast_connections_accepted_total", "counter",
                        "Upgrades into a room.", kind_accepted);
    write_kind(tally, out, "ringcast_rooms", "gauge", "Rooms that exist.", kind_rooms);
    write_kind(tally, out, "ringcast_frame_encodes_total", "counter",
               "Snapshots and events encoded, whatever the number of members.", kind_encodes);
    write_kind(tally, out, "ringcast_ticks_total", "counter", "Ticks of rooms with members.",
               kind_ticks);
    write_kind(tally, out, "ringcast_tick_overruns_total", "counter",
               "Ticks missed by a late worker.", kind_tick_overruns);
    write_ticks(tally, out);
    write_kind(tally, out, "ringcast_commands_total", "counter", "Host commands accepted.",
               kind_commands);
    write_kind(tally, out, "ringcast_room_requests_total", "counter",
               "Requests by HTTP that a room accepted.", kind_requests);
    head(out, "ringcast_messages_received_total", "counter", "Whole messages from clients.");
    for (size_t i = 0; i < game_kinds; i++)
        write_messages(out, games[i]->name, games[i]->types, &tally->metrics.kinds[i]);
    write_messages(out, "echo", nullptr, &tally->metrics.echo);
}

static void write_peer_closes(const struct metrics *metrics, struct writer *out)
{
    for (size_t i = 0; i < exact_count + 2; i++) {
        if (metrics->closed_by_peer[i] == 0) continue;
        write_format(out, "ringcast_disconnects_total{code=\"");
        if (i < exact_count)
            write_u64(out, exact_codes[i]);
        else
            write_text(out, i == exact_count ? TEXT("3xxx") : TEXT("4xxx"));
        write_format(out, "\",reason=\"peer_closed\"} %llu\n",
                     (unsigned long long)metrics->closed_by_peer[i]);
    }
}

static void write_closed(struct writer *out, uint32_t code, struct text reason, uint64_t count)
{
    write_format(out, "ringcast_disconnects_total{code=\"%u\",reason=\"%.*s\"} %llu\n", code,
                 TEXT_ARG(reason), (unsigned long long)count);
}

static void write_closes(const struct tally *tally, struct writer *out)
{
    const struct metrics *metrics = &tally->metrics;
    head(out, "ringcast_disconnects_total", "counter",
         "WebSocket connections that ended (1006: no close frame).");
    for (size_t i = 1; i < close_reason_count; i++) {
        const struct close_info *info = close_info((enum close_reason)i);
        uint64_t told = metrics->closed[i] - metrics->cut_off[i];
        if (told > 0) write_closed(out, info->code != 0 ? info->code : 1006, info->token, told);
        if (metrics->cut_off[i] > 0) write_closed(out, 1006, info->token, metrics->cut_off[i]);
    }
    write_peer_closes(metrics, out);
    single(out, "ringcast_goodbyes_unsent_total", "counter",
           "Of those, close frames that the client did not take in time.",
           tally->conns.goodbyes_unsent);
    head(out, "ringcast_handshakes_rejected_total", "counter",
         "Requests answered with an error, by its code.");
    for (size_t i = 0; i < tally->refusal_count; i++) {
        const struct conn_refusal *refusal = &tally->refusals[i];
        write_format(out, "ringcast_handshakes_rejected_total{reason=\"%.*s\"} %llu\n",
                     TEXT_ARG(refusal->code), (unsigned long long)refusal->count);
    }
    head(out, "ringcast_http_connections_ended_total", "counter",
         "Connections that ended without an upgrade.");
    for (size_t i = 1; i < close_reason_count; i++) {
        if (metrics->never_upgraded[i] == 0) continue;
        write_format(out, "ringcast_http_connections_ended_total{reason=\"%.*s\"} %llu\n",
                     TEXT_ARG(close_info((enum close_reason)i)->token),
                     (unsigned long long)metrics->never_upgraded[i]);
    }
}

static void write_traffic(const struct tally *tally, struct writer *out)
{
    static const char *const lanes[frame_lanes] = {"event", "state", "pong", "control", "reply"};
    const struct outbox_counters *outboxes = &tally->outboxes;
    const struct conn_counters *conns = &tally->conns;
    head(out, "ringcast_frames_sent_total", "counter",
         "Frames wholly taken by the kernel, one for each receiver.");
    for (size_t i = 0; i < frame_lanes; i++)
        labelled(out, "ringcast_frames_sent_total", "lane", lanes[i], outboxes->frames_sent[i]);
    single(out, "ringcast_bytes_sent_total", "counter", "Bytes taken by the kernel.",
           outboxes->bytes_sent);
    single(out, "ringcast_bytes_received_total", "counter", "Bytes received.",
           conns->bytes_received);
    single(out, "ringcast_sends_partial_total", "counter", "Sends of which the kernel took a part.",
           conns->sends_partial);
    single(out, "ringcast_sends_fast_total", "counter", "Frames sent past an empty outbox.",
           conns->sends_now);
    single(out, "ringcast_sends_fast_short_total", "counter",
           "Frames sent past an outbox of which the kernel took a part, or nothing.",
           conns->sends_now_short);
    single(out, "ringcast_flushes_lingered_total", "counter",
           "Times that a client's events waited for others to be sent with (--flush-window).",
           outboxes->lingered);
    head(out, "ringcast_dropped_total", "counter",
         "Frames that were queued for a client and not sent.");
    write_format(out, "ringcast_dropped_total{policy=\"conflate\",reason=\"slow\"} %llu\n",
                 (unsigned long long)outboxes->conflated);
    write_format(out, "ringcast_dropped_total{policy=\"latest_pong\",reason=\"slow\"} %llu\n",
                 (unsigned long long)outboxes->pongs_replaced);
    write_format(out, "ringcast_dropped_total{policy=\"close\",reason=\"goodbye\"} %llu\n",
                 (unsigned long long)conns->dropped_for_goodbye);
    write_format(out, "ringcast_dropped_total{policy=\"close\",reason=\"gone\"} %llu\n",
                 (unsigned long long)outboxes->dropped_gone);
    for (size_t p = 0; p < outbox_policies; p++)
        for (size_t b = 0; b < outbox_bounds; b++)
            write_format(out, "ringcast_dropped_total{policy=\"%.*s\",reason=\"%.*s\"} %llu\n",
                         TEXT_ARG(outbox_policy_names[p]), TEXT_ARG(outbox_bound_names[b]),
                         (unsigned long long)outboxes->dropped[p][b]);
    write_format(out, "ringcast_dropped_total{policy=\"shed\",reason=\"memory\"} %llu\n",
                 (unsigned long long)outboxes->dropped_shed);
    single(out, "ringcast_pings_sent_total", "counter", "Pings queued.", conns->pings_sent);
    single(out, "ringcast_pongs_received_total", "counter", "Pongs that answered a ping.",
           conns->pongs_received);
    single(out, "ringcast_pongs_unsolicited_total", "counter", "Pongs that nobody had asked for.",
           conns->unsolicited_pongs);
    single(out, "ringcast_snapshots_failed_total", "counter",
           "Ticks skipped, and events not told, for want of frame memory.",
           tally->metrics.snapshots_failed);
}

static void write_deflate(const struct tally *tally, struct writer *out)
{
    const struct twin_counters *twins = &tally->twins;
    single(out, "ringcast_frame_deflates_total", "counter",
           "Frames compressed: each once for a window in use, whatever the number of members.",
           twins->deflates);
    single(out, "ringcast_frame_deflates_useless_total", "counter",
           "Of them, those that did not shrink and are sent uncompressed.", twins->dense);
    head(out, "ringcast_frame_deflate_bytes_total", "counter",
         "Payloads before compression, and those that shrank after it.");
    labelled(out, "ringcast_frame_deflate_bytes_total", "side", "in", twins->bytes_in);
    labelled(out, "ringcast_frame_deflate_bytes_total", "side", "out", twins->bytes_out);
    single(out, "ringcast_messages_inflated_total", "counter",
           "Compressed messages from clients that could be read.", tally->conns.messages_inflated);
    single(out, "ringcast_bytes_inflated_total", "counter", "Bytes that those came to.",
           tally->conns.bytes_inflated);
}

static void write_memory(const struct tally *tally, struct writer *out)
{
    single(out, "ringcast_connections_open", "gauge",
           "Sockets of both listeners, handshakes included.", tally->connections_open);
    single(out, "ringcast_connections_max", "gauge",
           "Clients that there is room for (--connections).", tally->connections_max);
    single(out, "ringcast_connections_refused_total", "counter",
           "Sockets closed at once: no slot was left.", tally->conns.refused);
    single(out, "ringcast_connections_shed_total", "counter",
           "Clients closed to win back memory, those who owed most first.",
           tally->metrics.conns_shed);
    single(out, "ringcast_frames_live", "gauge", "Frames with at least one reference.",
           tally->frames_live);
    single(out, "ringcast_frame_memory_bytes", "gauge", "Memory of frames with references.",
           tally->frame_bytes);
    single(out, "ringcast_reply_memory_bytes", "gauge",
           "Of them, those of messages that /echo reads or sends back.", tally->reply_bytes);
    single(out, "ringcast_reads_stopped_total", "counter",
           "Times that a client was not read on until it had taken what it was owed.",
           tally->conns.stops);
    single(out, "ringcast_outbox_bytes", "gauge",
           "Bytes queued for clients, a shared frame's once for each.", tally->bytes_owed);
    single(out, "ringcast_frames_lent", "gauge", "Frames that another worker is sending, too.",
           tally->metrics.loans);
    single(out, "ringcast_outbox_storage_in_use", "gauge",
           "Outboxes that hold more than a few frames.", tally->storage_in_use);
    single(out, "ringcast_message_buffers_in_use", "gauge", "Messages begun and not finished.",
           tally->message_buffers);
    single(out, "ringcast_request_buffers_in_use", "gauge", "Requests begun and not answered.",
           tally->request_buffers);
    single(out, "ringcast_receive_buffers_free", "gauge",
           "Receive buffers that the kernel may fill.", tally->receive_buffers_free);
    single(out, "ringcast_receive_buffers_exhausted_total", "counter",
           "Receives that waited for a buffer.", tally->ring_out_of_buffers);
    single(out, "ringcast_uring_sq_full_total", "counter",
           "Operations that found the submission queue full.", tally->ring_queue_full);
    single(out, "ringcast_uring_cq_overflow_total", "counter",
           "Times the completion queue had overflowed.", tally->ring_overflows);
    single(out, "ringcast_uring_waits_total", "counter",
           "Times a worker went to the kernel to wait.", tally->ring_waits);
    head(out, "ringcast_worker_cpu_seconds_total", "counter",
         "CPU time of the workers' threads: of a core each, that is their load.");
    write_format(out, "ringcast_worker_cpu_seconds_total %llu.%06llu\n",
                 (unsigned long long)(tally->cpu_ns / 1'000'000'000),
                 (unsigned long long)(tally->cpu_ns / 1000 % 1'000'000));
    single(out, "ringcast_flush_windows_open", "gauge",
           "Workers that are busy enough for events to wait (--flush-window).",
           tally->windows_open);
    single(out, "ringcast_accept_pauses_total", "counter",
           "Times accepting stopped for want of descriptors.", tally->accept_pauses);
    single(out, "ringcast_log_lines_dropped_total", "counter",
           "Log lines that nobody took: the buffer was full, or stderr failed.",
           tally->log_dropped);
    single(out, "ringcast_timers", "gauge", "Deadlines that are set.", tally->timers);
    single(out, "ringcast_memory_reserved_bytes", "gauge", "Address space reserved at start.",
           tally->memory);
}

static void write_tokens(const struct tally *tally, struct writer *out)
{
    single(out, "ringcast_tokens_refused_total", "counter",
           "Tokens that are not good, whoever showed them.", tally->metrics.tokens_refused);
    head(out, "ringcast_token_signatures_total", "counter",
         "RS256, ES256 and EdDSA signatures, by whether the same token had just been checked.");
    labelled(out, "ringcast_token_signatures_total", "cache", "hit", tally->token_hits);
    labelled(out, "ringcast_token_signatures_total", "cache", "miss", tally->token_misses);
}

static void write_limits(const struct tally *tally, struct writer *out)
{
    const char *name = "ringcast_rate_limited_total";
    const uint64_t *addresses = tally->metrics.addresses;
    head(out, name, "counter", "What was refused, or closed with 4429, by what was over.");
    labelled(out, name, "scope", "address_connections", addresses[TURNSTILE_FULL]);
    labelled(out, name, "scope", "address_handshakes", addresses[TURNSTILE_TOO_FAST]);
    labelled(out, name, "scope", "address_rooms", tally->metrics.acquires[TURNSTILE_FULL]);
    labelled(out, name, "scope", "address_acquires", tally->metrics.acquires[TURNSTILE_TOO_FAST]);
    labelled(out, name, "scope", "address_misses", tally->metrics.looks_limited);
    labelled(out, name, "scope", "chat", tally->metrics.limited[GAME_LIMIT_CHAT]);
    labelled(out, name, "scope", "room_chat", tally->metrics.limited[GAME_LIMIT_ROOM_CHAT]);
    labelled(out, name, "scope", "state", tally->metrics.limited[GAME_LIMIT_STATE]);
    labelled(out, name, "scope", "messages", tally->conns.messages_limited);
    labelled(out, name, "scope", "control", tally->conns.control_limited);
    single(out, "ringcast_strangers_refused_total", "counter",
           "Connections closed at once under --proxy-protocol: they came from no trusted proxy.",
           tally->metrics.strangers);
    single(out, "ringcast_addresses_uncounted_total", "counter",
           "Connections let in without being counted with their address: the table was full.",
           addresses[TURNSTILE_UNCOUNTED]);
}

void metrics_collect(const struct worker *worker, struct tally *tally)
{
    const struct conn_shared *conns = &worker->conns;
    const struct ring_stats *ring = &worker->ring.stats;
    *tally = (struct tally){
        .metrics = worker->metrics,
        .conns = conns->counters,
        .outboxes = worker->outboxes.counters,
        .twins = worker->outboxes.twins.counters,
        .connections_open = conns->conns.in_use,
        .connections_max = worker->index == 0 ? worker->config->connections : 0,
        .frames_live = worker->frames.live,
        .frame_bytes = worker->frames.bytes_in_use,
        .reply_bytes = worker->frames.reply_bytes,
        .bytes_owed = worker->outboxes.bytes_owed + worker->outboxes.bytes_leaving,
        .storage_in_use = worker->outboxes.storage.in_use,
        .message_buffers = conns->message_buffers.in_use,
        .request_buffers = conns->request_buffers.in_use + conns->wide_request_buffers.in_use,
        .receive_buffers_free = ring_receive_buffers - ring->buffers_out,
        .ring_out_of_buffers = ring->out_of_buffers,
        .ring_queue_full = ring->queue_full,
        .ring_overflows = ring->overflows,
        .ring_waits = ring->waits,
        .cpu_ns = ring_cpu_ns(&worker->ring),
        .windows_open = worker->outboxes.window.open,
        .accept_pauses = worker->listeners[LISTENER_PUBLIC].pauses +
                         worker->listeners[LISTENER_WORLD].pauses +
                         worker->listeners[LISTENER_ADMIN].pauses,
        .log_dropped = worker->log.dropped,
        .timers = worker->wheel.count + worker->ticks.count,
        .memory = worker->arena.used,
        .token_hits = worker->token_cache.hits,
        .token_misses = worker->token_cache.misses,
        .refusal_count = conns->refusal_count};
    memcpy(tally->refusals, conns->refusals, sizeof tally->refusals);
}

static void add_refusal(struct tally *sum, const struct conn_refusal *refusal)
{
    uint64_t i = 0;
    while (i < sum->refusal_count && !text_equal(sum->refusals[i].code, refusal->code))
        i += 1;
    if (i == conn_refusals_max) return; /* the codes all come from one source: it has room */
    if (i == sum->refusal_count) {
        sum->refusals[sum->refusal_count++] = *refusal;
        return;
    }
    sum->refusals[i].count += refusal->count;
}

void metrics_add(struct tally *sum, const struct tally *other)
{
    static_assert(offsetof(struct tally, refusal_count) % sizeof(uint64_t) == 0);
    uint64_t *counts = (uint64_t *)sum;
    const uint64_t *more = (const uint64_t *)other;
    for (size_t i = 0; i < offsetof(struct tally, refusal_count) / sizeof(uint64_t); i++)
        counts[i] += more[i];
    for (uint64_t i = 0; i < other->refusal_count; i++)
        add_refusal(sum, &other->refusals[i]);
}

void metrics_write(const struct tally *tally, uint32_t workers, const char *backend,
                   struct writer *out)
{
    head(out, "ringcast_build_info", "gauge", "1, labelled with what is running.");
    write_format(out, "ringcast_build_info{version=\"%s\",commit=\"%s\",backend=\"%s\"} 1\n",
                 RINGCAST_VERSION, RINGCAST_COMMIT, backend);
    single(out, "ringcast_workers", "gauge", "Threads that serve.", workers);
    write_kinds(tally, out);
    write_closes(tally, out);
    write_traffic(tally, out);
    write_limits(tally, out);
    write_tokens(tally, out);
    write_deflate(tally, out);
    write_memory(tally, out);
}
