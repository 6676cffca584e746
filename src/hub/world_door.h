/* hub/world_door.h: the way into the world: its file at start, and its paths.
 * You are here: ring > tls > http > ws > [hub] > room > game > outbox > conn > ring
 *
 *   GET /ws         on the world's own listener, which answers nothing else (S4-N4)
 *   GET /ws/world   on the public one, with --dev
 *
 * Whoever comes gets a WebSocket: who it is it says by its first message. There is one world, and
 * it lives on one worker. */
#pragma once
#include "game/world_map.h"
#include "hub/worker.h"

/* A world, and its way back to who has read it: the main thread has two, one of which is on. */
struct world_file {
    struct mailbox_return back;
    struct world_map map;
    struct text text; /* what it was read from; the main thread's, as the rest */
};

/* Reads the world that is to be served, if one is: sets config->world. False when its file is
 * wrong, with one sentence in *why. At start: it allocates. */
[[nodiscard]] bool world_door_load(struct config *config, struct writer *why);

/* The main thread: reads the file again, and sends it to where the world lives. False when it is
 * wrong, or the one before is still on its way, with one sentence in *why; what is on stays on. */
[[nodiscard]] bool world_door_reload(struct hub *hub, struct writer *why);

/* At the world's home: it has come (MAIL_WORLD). The log tells whether it is on now, or why not. */
void world_door_take(struct worker *worker, struct world_file *file);

/* At the world's home: the text of the world that is on. */
[[nodiscard]] struct text world_door_text(const struct worker *worker);

/* A request on the world's listener. */
void world_door_on_request(struct worker *worker, struct conn *conn,
                           const struct http_request *request, struct bytes rest);

/* The same on the public one, below /ws/world; false when there is nothing. */
[[nodiscard]] bool world_door_dev(struct worker *worker, struct conn *conn,
                                  const struct http_request *request, struct text tail,
                                  struct bytes rest);
