#include "hub/world_door.h"
#include "game/world_map.h"
#include "hub/routes.h"
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

bool world_door_load(struct config *config, struct writer *why)
{
    static struct world_map map;
    char path[4096];
    struct bytes file = {};
    if (config->world_file.size == 0 && config->world_listen.port == 0 && !config->dev) return true;
    if (config->world_file.size == 0) {
        config->world = &map;
        return read_map(&map, world_map_builtin(), "that is built in", why);
    }
    snprintf(path, sizeof path, "%.*s", TEXT_ARG(config->world_file));
    file = read_file(path, why);
    if (file.data == nullptr) return false;
    bool good = read_map(&map, text_from(file), path, why);
    free(file.data);
    if (good) config->world = &map;
    return good;
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
