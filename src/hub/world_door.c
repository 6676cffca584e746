#include "hub/world_door.h"
#include "hub/rooms.h"
#include "hub/routes.h"
#include "hub/world_log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- At start --------------------------------------------------------------------------------- */

/* The whole file; data is nullptr when that failed. The caller frees it. */
static struct bytes read_file(const char *path, struct writer *why)
{
    struct bytes file = {};
    FILE *stream = fopen(path, "rb");
    uint8_t *memory = stream != nullptr ? malloc(world_file_size_max + 1) : nullptr;
    if (memory != nullptr) {
        size_t size = fread(memory, 1, world_file_size_max + 1, stream);
        if (!ferror(stream) && size <= world_file_size_max) file = (struct bytes){memory, size};
    }
    if (file.data == nullptr) {
        write_format(why, "the world %s cannot be read: %s", path,
                     stream == nullptr || ferror(stream) ? strerror(errno) : "it is too large");
        free(memory);
    }
    if (stream != nullptr) fclose(stream);
    return file;
}

static bool read_map(struct world_map *map, struct text text, const char *name, struct writer *why)
{
    uint8_t memory[512];
    struct writer problem = writer_over(memory, sizeof memory);
    size_t size = json_memory_size(text.size);
    void *json = malloc(size);
    bool good = json != nullptr && world_map_read(map, text, (struct bytes){json, size}, &problem);
    free(json);
    if (!good)
        write_format(why, "the world %s: %.*s", name, TEXT_ARG(text_from(writer_bytes(&problem))));
    return good;
}

/* The main thread's, until they are lent to the world's home. */
static struct world_file files[2];
static struct world_file *spare = &files[1]; /* nullptr: it is on its way */

static bool read_world(struct world_file *world, const struct config *config, struct writer *why)
{
    char path[4096];
    snprintf(path, sizeof path, "%.*s", TEXT_ARG(config->world_file));
    free((char *)world->text.data); /* of the one before, which was a file's, too */
    world->text = (struct text){};
    world->map = (struct world_map){};
    struct bytes file = read_file(path, why);
    if (file.data == nullptr) return false;
    world->text = text_from(file);
    return read_map(&world->map, world->text, path, why);
}

static bool read_builtin(struct world_file *world, struct writer *why)
{
    world->text = world_map_builtin();
    return read_map(&world->map, world->text, "that is built in", why);
}

bool world_door_load(struct config *config, struct writer *why)
{
    if (config->world_file.size == 0 && config->world_listen.port == 0 && !config->dev) return true;
    config->world = &files[0].map;
    return config->world_file.size > 0 ? read_world(&files[0], config, why)
                                       : read_builtin(&files[0], why);
}

bool world_door_reload(struct hub *hub, struct writer *why)
{
    struct mailbox_return *back = mailbox_take_returns(&hub->world_home);
    if (back != nullptr) spare = list_entry(back, struct world_file, back);
    if (spare == nullptr) {
        write_text(why, TEXT("the reload before this one is not over yet; try again"));
        return false;
    }
    if (!read_world(spare, hub->config, why)) return false;
    struct mail mail = {.kind = MAIL_WORLD, .pointer = spare};
    if (!hub_post(hub, hub_home_world(hub->worker_count), mail)) {
        write_text(why, TEXT("the world's worker is busy; try again"));
        return false;
    }
    spare = nullptr;
    return true;
}

static struct text remap(struct worker *worker, const struct world_map *map)
{
    struct hub_room *room = rooms_find(worker, TEXT("world"));
    if (room == nullptr) return TEXT("comes too late: the server is going down");
    return game_world.remap(room->state, map);
}

static struct world_file *file_on(const struct worker *worker)
{
    return worker->world_file != nullptr ? worker->world_file : &files[0];
}

struct text world_door_text(const struct worker *worker)
{
    return file_on(worker)->text;
}

void world_door_take(struct worker *worker, struct world_file *file)
{
    struct world_file *on = file_on(worker);
    struct text why = remap(worker, &file->map);
    bool taken = why.size == 0;
    if (taken) {
        worker->world_file = file;
        world_log_map(worker, file->text);
        LOG(&worker->log, worker->now, LOG_NOTICE, "world_reloaded",
            LOG_U("routes", file->map.route_count), LOG_U("kiosks", file->map.kiosk_count),
            LOG_U("solids", file->map.solid_count));
    } else {
        LOG(&worker->log, worker->now, LOG_ERROR, "world_kept", LOG_T("the_new_world", why));
    }
    struct world_file *back = taken ? on : file;
    back->back.kind = RETURN_WORLD;
    mailbox_return(&worker->hub->world_home, &back->back);
}

/* --- Who comes -------------------------------------------------------------------------------- */

static void open_world(struct worker *worker, struct conn *conn, const struct http_request *request,
                       struct bytes rest)
{
    routes_open_websocket(worker, conn, request, rest, GAME_WORLD, TEXT("world"));
}

void world_door_on_request(struct worker *worker, struct conn *conn,
                           const struct http_request *request, struct bytes rest)
{
    if (worker->phase != WORKER_RUNNING)
        routes_refuse_draining(conn);
    else if (text_equal(request->path, TEXT("/ws")))
        open_world(worker, conn, request, rest);
    else
        conn_answer_error(conn, 404, TEXT("not_found"),
                          TEXT("There is nothing here but a WebSocket at /ws."), (struct text){});
}

bool world_door_dev(struct worker *worker, struct conn *conn, const struct http_request *request,
                    struct text tail, struct bytes rest)
{
    if (tail.size > 0 || !worker->config->dev || worker->config->world == nullptr) return false;
    open_world(worker, conn, request, rest);
    return true;
}
