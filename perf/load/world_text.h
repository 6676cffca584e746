/* perf/load/world_text.h: reads what the world says, with no look at what the server writes it
 * with. Pure.
 *
 * Updates and who comes and goes must be JSON (RFC 8259) without blanks, with just the members that
 * the protocol names, in any order, each once; their texts have no escapes, because the ids that
 * this client gives need none. Numbers are whole or have up to three digits behind the point. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum world_said : uint8_t {
    WORLD_SAID_UPDATE,
    WORLD_SAID_ENTER,
    WORLD_SAID_LEAVE,
    WORLD_SAID_RESULT, /* auth_result, success */
    WORLD_SAID_SEED,
    WORLD_SAID_PRESENCE,
    WORLD_SAID_CORRECTION,
    WORLD_SAID_ERROR, /* also an auth_result without success */
    WORLD_SAID_OTHER, /* what nobody has asked for, or no message at all: see `why` */
};

struct world_place {
    int64_t x, y, z; /* millimetres */
};

/* An entity of a message; `place` is 0 where the message says none. */
struct world_sighting {
    bool is_walker;
    uint32_t number; /* of the player or the walker */
    struct world_place place;
};

struct world_cell {
    int32_t column, row;
};

constexpr size_t world_ids_max = 1'000'000; /* ids have numbers below it */
constexpr size_t world_id_size = 36;        /* bytes of a player's id */

/* Writes the id of a player, which is as long as Supabase's, and a zero. */
void world_id_write(char out[static world_id_size + 1], uint32_t player);

/* What kind of message it is, by its beginning; `why` is set where that is OTHER. The rest of it
 * has been looked at for UPDATE, ENTER and LEAVE only when the readers below have done so; the
 * others have been read whole. RESULT sets *place to the spawn point, CORRECTION to where the
 * player shall be. */
enum world_said world_said_of(const uint8_t *text, size_t size, struct world_place *place,
                              const char **why);

/* The cell of an update that begins as the server writes it; false where it does not: then
 * world_update_read tells. Nothing behind the cell has been looked at. */
[[nodiscard]] bool world_update_peek(const uint8_t *text, size_t size, struct world_cell *cell);

struct world_update {
    struct world_cell cell;
    uint64_t time_ms; /* since 1970 */
    uint32_t count;
};

/* Reads a whole update, and its entities into `entities`, which has room for `most`. nullptr, or
 * what is wrong with it. */
[[nodiscard]] const char *world_update_read(const uint8_t *text, size_t size,
                                            struct world_update *update,
                                            struct world_sighting *entities, uint32_t most);

/* The same for entity_enter and entity_leave; *count is how many there are. */
[[nodiscard]] const char *world_list_read(const uint8_t *text, size_t size, bool leave,
                                          struct world_sighting *entities, uint32_t most,
                                          uint32_t *count);
