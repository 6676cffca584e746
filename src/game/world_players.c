/* game/world_players.c: who comes and goes: strangers, and what becomes of them.
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring */
#include "game/world.h"
#include <assert.h>

/* --- Strangers -------------------------------------------------------------------------------- */

static void unlink_stranger(struct world *world, uint32_t number)
{
    const struct world_member *member = &world->members[number];
    if (member->previous != game_nobody)
        world->members[member->previous].next = member->next;
    else
        world->first_stranger = member->next;
    if (member->next != game_nobody)
        world->members[member->next].previous = member->previous;
    else
        world->last_stranger = member->previous;
    world->stranger_count -= 1;
}

static void link_stranger(struct world *world, uint32_t number)
{
    struct world_member *member = &world->members[number];
    member->next = game_nobody;
    member->previous = world->last_stranger;
    if (world->last_stranger != game_nobody)
        world->members[world->last_stranger].next = number;
    else
        world->first_stranger = number;
    world->last_stranger = number;
    world->stranger_count += 1;
}

/* --- Players ---------------------------------------------------------------------------------- */

static struct world_player *find_player(struct world *world, struct text id)
{
    struct table_link *link = table_find(&world->by_id, id);
    return link != nullptr ? list_entry(link, struct world_player, by_id) : nullptr;
}

/* Something of a player is due then. */
static void note_deadline(struct world *world, uint64_t due_ms)
{
    if (due_ms < world->next_deadline_ms) world->next_deadline_ms = due_ms;
}

void world_place(struct world *world, uint32_t number)
{
    const struct world_point position = world->players[number].motion.now.position;
    world_grid_put(&world->grid, number, position.x, position.z);
}

/* Its connection is not its own any more. */
static void disconnect(struct world *world, struct world_player *player, struct game_time now)
{
    assert(player->member != game_nobody && world->connected > 0);
    player->member = game_nobody;
    player->away_ms = now.ms;
    world->connected -= 1;
    world_grid_close_eyes(&world->grid, world_player_number(world, player));
    note_deadline(world, now.ms + world->options->leave_ms);
}

void world_dismiss(struct world *world, uint32_t number, enum game_dismissal why,
                   struct game_time now, struct game_words *words)
{
    struct world_member *member = &world->members[number];
    if (member->state == WORLD_MEMBER_STRANGER) unlink_stranger(world, number);
    if (member->state == WORLD_MEMBER_PLAYER)
        disconnect(world, &world->players[member->player], now);
    member->state = WORLD_MEMBER_DISMISSED;
    words_dismiss(words, number, why);
}

/* nullptr: the world is full. */
static struct world_player *make_player(struct world *world, struct text id, struct game_time now)
{
    if (world->free_count == 0) return nullptr;
    struct world_player *player = &world->players[world->free_players[--world->free_count]];
    *player =
        (struct world_player){.is_taken = true, .member = game_nobody, .id_size = (uint8_t)id.size};
    memcpy(player->id, id.data, id.size);
    struct writer out = writer_over(player->text, sizeof player->text);
    write_json_escaped(&out, id);
    assert(!out.overflow); /* an id is clean, so that only quotes and backslashes take two bytes */
    player->text_size = (uint8_t)out.size;
    player->by_id.key = world_player_id(player);
    table_add(&world->by_id, &player->by_id);
    world->player_count += 1;
    const struct world_map *map = world->map;
    world_motion_place(&player->motion, map->spawns[random_below(&world->chance, map->spawn_count)],
                       now.ns);
    world_place(world, world_player_number(world, player));
    return player;
}

/* It leaves the world with this tick. */
void world_remove_player(struct world *world, struct world_player *player, struct game_time now,
                         struct game_words *words)
{
    uint32_t number = world_player_number(world, player);
    player->is_gone = true;
    table_remove(&world->by_id, &player->by_id);
    world_race_leave(&world->races, number, &world->events);
    world_tell_races(world, words, now);
    world_grid_remove(&world->grid, number);
    world->gone[world->gone_count++] = number;
    world->player_count -= 1;
}

/* Those who saw them have been told that they are gone. */
void world_free_gone(struct world *world)
{
    for (uint32_t i = 0; i < world->gone_count; i++) {
        world->players[world->gone[i]].is_taken = false;
        world->free_players[world->free_count++] = world->gone[i];
    }
    world->gone_count = 0;
}

/* It has shown a token that is good for so long. It is warned of the end, but not in the first half
 * of the time until then. */
static void take_token(struct world *world, struct world_player *player,
                       const struct game_guest *guest, struct game_time now)
{
    const struct game_options *options = world->options;
    uint64_t ahead_ms = now.ms + options->leeway_ms;
    uint64_t left_ms = guest->until_ms > ahead_ms ? guest->until_ms - ahead_ms : 0;
    uint64_t lead_ms = options->warning_ms < left_ms / 2 ? options->warning_ms : left_ms / 2;
    player->until_ms = guest->until_ms;
    player->warn_ms = options->warning_ms > 0 ? now.ms + left_ms - lead_ms : game_never_ms;
    player->expires_wall_ms = guest->expires_wall_ms;
    note_deadline(world, player->until_ms);
    note_deadline(world, player->warn_ms);
}

/* --- Coming and going ------------------------------------------------------------------------- */

/* When there are too many strangers, the one who has had the longest time makes way: who means to
 * come in has done so long before (THREATS.md R3). */
void world_join(void *state, uint32_t member, struct game_time now, struct game_words *words)
{
    struct world *world = state;
    assert(member < world->options->members_max);
    world_wake(world, now);
    if (world->stranger_count >= world->options->strangers_max)
        world_dismiss(world, world->first_stranger, GAME_DISMISS_CROWDED, now, words);
    world->members[member] =
        (struct world_member){.state = WORLD_MEMBER_STRANGER, .since_ms = now.ms};
    link_stranger(world, member);
}

void world_leave(void *state, uint32_t number, struct game_time now, struct game_words *)
{
    struct world *world = state;
    struct world_member *member = &world->members[number];
    if (member->state == WORLD_MEMBER_STRANGER) unlink_stranger(world, number);
    if (member->state == WORLD_MEMBER_PLAYER)
        disconnect(world, &world->players[member->player], now);
    member->state = WORLD_MEMBER_NONE;
}

void world_refuse(struct world *world, uint32_t member, struct text code, struct text sentence,
                  enum game_dismissal why, struct game_time now, struct game_words *words)
{
    world_say_refusal(world, words, member, code, sentence);
    world_dismiss(world, member, why, now, words);
}

static void admit(struct world *world, uint32_t number, const struct game_guest *guest,
                  struct game_time now, struct game_words *words)
{
    struct world_member *member = &world->members[number];
    struct world_player *player = find_player(world, guest->player);
    if (player == nullptr) player = make_player(world, guest->player, now);
    if (player == nullptr) {
        world_refuse(world, number, TEXT("world_full"),
                     TEXT("All places are taken; try again later."), GAME_DISMISS_CROWDED, now,
                     words);
        return;
    }
    if (player->member != game_nobody) /* the newer connection wins */
        world_dismiss(world, player->member, GAME_DISMISS_REPLACED, now, words);
    unlink_stranger(world, number);
    member->state = WORLD_MEMBER_PLAYER;
    member->player = world_player_number(world, player);
    player->member = number;
    world->connected += 1;
    take_token(world, player, guest, now);
    world_grid_open_eyes(&world->grid, member->player, (uint8_t)member->dialect);
    world_say_welcome(world, words, member->player);
}

static void refresh(struct world *world, uint32_t member, const struct game_guest *guest,
                    struct game_time now, struct game_words *words)
{
    struct world_player *player = &world->players[world->members[member].player];
    if (!text_equal(guest->player, world_player_id(player))) {
        world_say_error(world, words, member, TEXT("wrong_player"),
                        TEXT("The token is somebody else's; connect anew for that."));
        world_dismiss(world, member, GAME_DISMISS_FORBIDDEN, now, words);
        return;
    }
    take_token(world, player, guest, now);
    world_say_refreshed(world, words, world_player_number(world, player));
}

/* A token that is not good ends the connection, the first one as a later one (D22). */
void world_verified(void *state, uint32_t member, const struct game_guest *guest, struct text code,
                    struct text sentence, struct game_time now, struct game_words *words)
{
    struct world *world = state;
    if (world->members[member].state == WORLD_MEMBER_DISMISSED) return;
    bool elsewhere =
        guest != nullptr && guest->room.size > 0 && !text_equal(guest->room, TEXT("world"));
    if (guest == nullptr)
        world_refuse(world, member, code, sentence, GAME_DISMISS_UNKNOWN, now, words);
    else if (elsewhere)
        world_refuse(world, member, TEXT("wrong_room"), TEXT("The token is for another room."),
                     GAME_DISMISS_UNKNOWN, now, words);
    else if (world->members[member].state == WORLD_MEMBER_STRANGER)
        admit(world, member, guest, now, words);
    else
        refresh(world, member, guest, now, words);
}
