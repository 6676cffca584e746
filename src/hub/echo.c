#include "hub/echo.h"
#include <assert.h>

/* --echo-memory is kept whatever clients do, unless a single large message is more than half of it:
 * half is for large messages, a quarter for replies that wait, and a quarter for the one frame that
 * each client may have in any case. */
struct echo_limits echo_limits_of(const struct config *config)
{
    if (!config->enable_echo) return (struct echo_limits){};
    uint32_t memory = config->echo_memory, message = config->echo_message;
    constexpr uint32_t frame = 128 * 1024; /* the largest ordinary one */
    return (struct echo_limits){.message_size_max = message,
                                .clients = memory / 4 / frame,
                                .large_frames = memory / 2 / message > 0 ? memory / 2 / message : 1,
                                .reply_memory = memory / 4,
                                .small_memory = memory / 2};
}

void echo_open(struct worker *worker, struct conn *conn, const struct http_upgrade *upgrade)
{
    struct kind_metrics *metrics = &worker->metrics.echo;
    if (!conn_can_answer_all(&worker->conns)) {
        conn_answer_error(conn, 503, TEXT("too_many_echoes"),
                          TEXT("The memory for echoes is taken; try again later."),
                          (struct text){});
        return;
    }
    conn_upgrade(conn, upgrade, &worker->echo_limits);
    if (conn->phase != CONN_OPEN) return;
    conn_answer_all(conn);
    metrics->accepted += 1;
    metrics->connections += 1;
    uint8_t memory[address_text_max];
    struct writer ip = writer_over(memory, sizeof memory);
    write_address(&ip, &conn->peer, false);
    LOG(&worker->log, worker->now, LOG_INFO, "connected", LOG_U("conn", conn->number),
        LOG_T("ip", text_from(writer_bytes(&ip))), LOG_T("kind", TEXT("echo")),
        LOG_T("room", TEXT("-")));
}

void echo_on_message(struct worker *worker, struct conn *conn, const struct ws_message *message)
{
    struct kind_metrics *metrics = &worker->metrics.echo;
    *(message->opcode == WS_TEXT ? &metrics->texts : &metrics->binaries) += 1;
    conn_reply(conn, message->opcode, message->payload);
}

void echo_on_close(struct worker *worker)
{
    assert(worker->metrics.echo.connections > 0);
    worker->metrics.echo.connections -= 1;
}
