/* hub/errand.h: a question that another worker must answer: a host's command or a request for a
 * room that lives there, or its share of the metrics or of the list of rooms. The asker's
 * connection is held meanwhile. */
#pragma once
#include "hub/backend.h"
#include "hub/vote_routes.h"
#include "hub/worker.h"

enum errand_kind : uint8_t {
    ERRAND_COMMAND,
    ERRAND_REQUEST,
    ERRAND_BACKEND,
    ERRAND_ROOMS, /* goes from worker to worker until the page is full */
    ERRAND_METRICS,
};

constexpr size_t errand_reply_size_max = 6 * 1024; /* who is in a room of avalon */
constexpr size_t errand_token_size_max = 64;       /* a longer one is nobody's */

struct errand {
    struct mailbox_return back; /* RETURN_ERRAND */
    uint32_t asker;             /* worker */
    enum errand_kind kind;
    struct ring_token conn; /* whose question it is; it may be gone when the answer comes */
    union {
        struct {
            uint8_t name_size;
            char name[room_name_size_max];
            uint32_t text_size;
            char text[http_body_size_max];
            bool found;              /* the answer: there is such a room */
            enum game_answer result; /* and what its game says */
            uint32_t reply_size;
            char reply[errand_reply_size_max];
            uint32_t state_size;
            uint8_t state[snapshot_size_max];
        } command;
        struct {
            struct text verb; /* static text */
            uint8_t name_size, token_size;
            char name[room_name_size_max];
            char token[errand_token_size_max];
            uint16_t origin_size; /* the asker's, for its answer */
            char origin[vote_origin_size_max];
            uint32_t body_size;
            char body[http_body_size_max];
            bool found;              /* the answer: there is such a room */
            enum game_answer result; /* and what its game says */
            uint32_t reply_size;
            uint8_t reply[errand_reply_size_max];
        } request;
        struct {
            struct text verb; /* static text */
            uint8_t name_size, key_size;
            char name[room_name_size_max];
            char key[idempotency_key_size_max];
            uint32_t body_size;
            char body[backend_body_size_max];
            enum backend_refusal refusal; /* the answer */
            uint16_t status;
            uint32_t reply_size;
            uint8_t reply[relay_reply_size_max];
        } backend;
        struct {
            struct backend_page page;
            uint32_t text_size; /* the answer */
            uint8_t text[backend_page_most * backend_room_size_max];
        } rooms;
        struct {
            struct gather *gather; /* the asker's: the sum and how many shares are missing */
            struct tally tally;    /* the answer */
        } metrics;
    };
};

/* The sum of a metrics question under way. */
struct gather {
    uint32_t missing;
    struct tally sum;
};

/* Sends a command to its room's home and holds the connection; or answers 503. */
void errand_command(struct worker *worker, struct conn *conn, uint32_t home, struct text name,
                    struct text command);

/* Sends a request to its room's home and holds the connection. False when that is not possible now.
 * The verb is static text. */
[[nodiscard]] bool errand_request(struct worker *worker, struct conn *conn, uint32_t home,
                                  struct text name, const struct game_request *request,
                                  struct text origin);

/* Sends what a backend asks to its room's home and holds the connection. False when that is not
 * possible now. */
[[nodiscard]] bool errand_backend(struct worker *worker, struct conn *conn, uint32_t home,
                                  const struct backend_request *request);

/* Gathers a page of rooms and answers, or holds the connection until it is gathered. False when
 * that is not possible now. */
[[nodiscard]] bool errand_rooms(struct worker *worker, struct conn *conn,
                                const struct backend_page *page);

/* Asks every other worker for its metrics and holds the connection until all have answered; with
 * one worker answers at once. */
void errand_metrics(struct worker *worker, struct conn *conn);

/* Another worker asks (MAIL_ERRAND): does it and gives it back. */
void errand_do(struct worker *worker, struct errand *errand);

/* One of ours has come back. */
void errand_on_return(struct worker *worker, struct errand *errand);
