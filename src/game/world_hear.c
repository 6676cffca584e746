/* game/world_hear.c: what players say to the world. */
#include "game/envelope.h"
#include "game/world.h"
#include <inttypes.h>

constexpr struct rate who_rate = {.per_second = 1, .burst = 3};
/* What a racer does in vain, and may do again and again, is in the log so often. */
constexpr struct rate note_rate = {.per_second = 1, .burst = 4};

/* What a player says, for the one call. */
struct hearing {
    struct world *world;
    struct world_player *player;
    uint32_t number, member;
    const struct json *payload; /* an object, or nullptr */
    struct game_time now;
    struct game_words *words;
};

static void answer_error(const struct hearing *hearing, struct text code, struct text sentence)
{
    world_say_error(hearing->world, hearing->words, hearing->member, code, sentence);
}

static void dismiss(const struct hearing *hearing, enum game_dismissal why)
{
    world_dismiss(hearing->world, hearing->member, why, hearing->now, hearing->words);
}

/* --- Moving ----------------------------------------------------------------------------------- */

static bool read_number(const struct json *object, struct text name, double *out)
{
    return json_to_number(json_member(object, name), out);
}

static bool read_point(const struct json *value, struct world_point *out)
{
    return read_number(value, TEXT("x"), &out->x) && read_number(value, TEXT("y"), &out->y) &&
           read_number(value, TEXT("z"), &out->z);
}

static bool read_rotation(const struct json *value, struct world_rotation *out)
{
    return read_number(value, TEXT("x"), &out->x) && read_number(value, TEXT("y"), &out->y) &&
           read_number(value, TEXT("z"), &out->z) && read_number(value, TEXT("w"), &out->w);
}

/* Returns what is wrong with it, or nothing. */
static struct text read_sample(const struct json *payload, struct world_sample *said)
{
    struct text mode;
    *said = (struct world_sample){};
    if (!read_point(json_member(payload, TEXT("position")), &said->position))
        return TEXT("has no payload.position, an object of the numbers x, y and z");
    if (!read_rotation(json_member(payload, TEXT("rotation")), &said->rotation))
        return TEXT("has no payload.rotation, an object of the numbers x, y, z and w");
    if (!json_to_text(json_member(payload, TEXT("mode")), &mode) ||
        !world_mode_of(mode, &said->mode))
        return TEXT("has no payload.mode, which is walking or flying");
    const struct json *velocity = json_member(payload, TEXT("velocity"));
    if (velocity != nullptr && !read_point(velocity, &said->velocity))
        return TEXT("has a payload.velocity that is no object of the numbers x, y and z");
    return (struct text){};
}

/* All that the verdict follows from, so that it can be reached again. */
static void log_verdict(const struct hearing *hearing, const struct world_verdict *verdict)
{
    struct writer *out = words_begin(hearing->words, GAME_TO_LOG, 0);
    write_text(out, TEXT("player="));
    write_text(out, world_player_id(hearing->player));
    write_byte(out, ' ');
    world_verdict_write(out, verdict);
    words_end(hearing->words);
}

/* Puts the client back to where the server holds that it is. */
static void correct(const struct hearing *hearing, struct text reason, bool last)
{
    world_say_correction(hearing->world, hearing->words, hearing->number, reason);
    if (!last) return;
    answer_error(hearing, TEXT("cheat"), reason);
    dismiss(hearing, GAME_DISMISS_CHEATED);
}

/* The same for what a race did not let it do: the move, and when it was. */
static void log_rejection(const struct hearing *hearing, const struct world_race_event *event,
                          const struct world_verdict *move)
{
    const struct world *world = hearing->world;
    const struct world_race *race = &world->races.races[event->race];
    if (!bucket_take(&hearing->player->note_bucket, note_rate, hearing->now.ms, 1)) return;
    struct writer *out = words_begin(hearing->words, GAME_TO_LOG, 0);
    write_text(out, TEXT("player="));
    write_text(out, world_player_id(hearing->player));
    write_text(out, TEXT(" reason="));
    write_text(out, world_race_reason(event));
    write_text(out, TEXT(" route="));
    write_text(out, world_name_text(&world->map->routes[race->route].id));
    write_format(out, " race=%" PRIu32 " go_ns=%" PRIu64 " checkpoint=%" PRIu32 " lap=%" PRIu32,
                 race->number, race->go_ns, event->number, event->lap);
    world_verdict_write_move(out, move);
    words_end(hearing->words);
}

static void log_rejections(const struct hearing *hearing, const struct world_verdict *move)
{
    const struct world_race_events *events = &hearing->world->events;
    for (uint32_t i = 0; i < events->count; i++)
        if (world_race_reason(&events->items[i]).size > 0)
            log_rejection(hearing, &events->items[i], move);
}

/* A move that the rules of motion allow, but the race's start line does not. It is no strike: who
 * waits for go leans forward. */
static void hold_back(const struct hearing *hearing, const struct world_motion *before)
{
    hearing->player->motion = *before;
    correct(hearing, TEXT("false_start"), false);
}

static struct text hear_move(const struct hearing *hearing)
{
    struct world *world = hearing->world;
    struct world_player *player = hearing->player;
    struct world_sample said;
    struct world_verdict verdict;
    struct text problem = read_sample(hearing->payload, &said);
    if (problem.size > 0) return problem;
    world_advance_races(world, hearing->now, hearing->words);
    if (world_motion_move(&player->motion, world->map, &said, hearing->now.ns, &verdict) !=
        WORLD_FINE) {
        if (verdict.strike) log_verdict(hearing, &verdict);
        correct(hearing, world_verdict_name(verdict.kind), verdict.last);
        return (struct text){};
    }
    const struct world_way way = {verdict.before.now.position, player->motion.now.position};
    bool goes = world_race_move(&world->races, world->map, hearing->number, way,
                                verdict.before.at_ns, hearing->now.ns, &world->events);
    log_rejections(hearing, &verdict);
    if (goes)
        world_place(world, hearing->number);
    else
        hold_back(hearing, &verdict.before);
    world_tell_races(world, hearing->words, hearing->now);
    return (struct text){};
}

/* --- Chunks ----------------------------------------------------------------------------------- */

static struct text hear_chunks(const struct hearing *hearing)
{
    return world_want_chunks(hearing->world, hearing->words, hearing->number, hearing->payload,
                             hearing->now);
}

static struct text hear_chunks_off(const struct hearing *hearing)
{
    return world_unload_chunks(hearing->payload);
}

/* --- Kiosks ----------------------------------------------------------------------------------- */

static struct text hear_interact(const struct hearing *hearing)
{
    const struct world_map *map = hearing->world->map;
    struct text id;
    if (!json_to_text(json_member(hearing->payload, TEXT("kioskId")), &id))
        return TEXT("has no payload.kioskId, a text");
    int32_t number = world_kiosk_find(map, id);
    if (number < 0) {
        answer_error(hearing, TEXT("no_such_kiosk"), TEXT("There is no kiosk of this id."));
        return (struct text){};
    }
    const struct world_kiosk *kiosk = &map->kiosks[number];
    if (world_distance(hearing->player->motion.now.position, kiosk->position) > kiosk->range) {
        answer_error(hearing, TEXT("too_far"), TEXT("The kiosk is too far away; go nearer."));
        return (struct text){};
    }
    struct writer *out =
        world_tell_one(hearing->world, hearing->words, hearing->member, WORLD_SAY_KIOSK);
    world_write_string(out, "kioskId", world_name_text(&kiosk->id));
    write_byte(out, ',');
    world_write_string(out, "answer", (struct text){kiosk->answer, kiosk->answer_size});
    if (kiosk->route >= 0) {
        write_byte(out, ',');
        world_write_string(out, "routeId", world_name_text(&map->routes[kiosk->route].id));
    }
    world_close_message(hearing->words);
    return (struct text){};
}

/* --- Races ------------------------------------------------------------------------------------ */

static void answer_start(const struct hearing *hearing, enum world_race_answer answer)
{
    switch (answer) {
    case WORLD_RACE_TAKEN: break;
    case WORLD_RACE_TOO_FAR:
        answer_error(hearing, TEXT("too_far"),
                     TEXT("Go to the start of the route, or to a kiosk that starts it."));
        break;
    case WORLD_RACE_BUSY:
        answer_error(hearing, TEXT("already_racing"), TEXT("You are in a race already."));
        break;
    case WORLD_RACE_FULL:
        answer_error(hearing, TEXT("race_full"), TEXT("The race has as many racers as it takes."));
        break;
    case WORLD_RACE_NONE_SPARE:
        answer_error(hearing, TEXT("too_many_races"), TEXT("Too many races are on; wait."));
        break;
    }
}

static struct text hear_start_race(const struct hearing *hearing)
{
    struct world *world = hearing->world;
    struct text id;
    uint16_t race;
    if (!json_to_text(json_member(hearing->payload, TEXT("routeId")), &id))
        return TEXT("has no payload.routeId, a text");
    int32_t route = world_route_find(world->map, id);
    if (route < 0) {
        answer_error(hearing, TEXT("no_such_route"), TEXT("There is no route of this id."));
        return (struct text){};
    }
    world_advance_races(world, hearing->now, hearing->words);
    answer_start(hearing, world_race_start(&world->races, world->map, (uint32_t)route,
                                           hearing->number, hearing->player->motion.now.position,
                                           hearing->now.ns, &race, &world->events));
    world_tell_races(world, hearing->words, hearing->now);
    return (struct text){};
}

static struct text hear_leave_race(const struct hearing *hearing)
{
    struct world *world = hearing->world;
    world_advance_races(world, hearing->now, hearing->words);
    if (world_race_of(&world->races, hearing->number) == world_no_race)
        answer_error(hearing, TEXT("not_racing"), TEXT("You are in no race."));
    world_race_leave(&world->races, hearing->number, &world->events);
    world_tell_races(world, hearing->words, hearing->now);
    return (struct text){};
}

/* --- Who is here, and who they are ------------------------------------------------------------ */

static struct text hear_who(const struct hearing *hearing)
{
    int64_t offset = 0;
    const struct json *value = json_member(hearing->payload, TEXT("offset"));
    if (value != nullptr &&
        (!json_to_integer(value, &offset) || offset < 0 || offset > world_entities_most))
        return TEXT("has a payload.offset that is no number from 0 on");
    if (bucket_take(&hearing->player->who_bucket, who_rate, hearing->now.ms, 1))
        world_say_who(hearing->world, hearing->words, hearing->number, (uint32_t)offset);
    else
        answer_error(hearing, TEXT("too_often"), TEXT("Ask who is here once a second at most."));
    return (struct text){};
}

static struct text hear_auth(const struct hearing *hearing)
{
    struct text token;
    if (!json_to_text(json_member(hearing->payload, TEXT("token")), &token))
        return TEXT("has no payload.token, a text");
    if (bucket_take(&hearing->player->token_bucket, game_token_rate, hearing->now.ms, 1)) {
        words_verify(hearing->words, hearing->member, token);
        return (struct text){};
    }
    answer_error(hearing, TEXT("too_many_tokens"),
                 TEXT("You send tokens too often; one is enough until it expires."));
    dismiss(hearing, GAME_DISMISS_FLOODED);
    return (struct text){};
}

/* --- All of it -------------------------------------------------------------------------------- */

/* Each returns what is wrong with the message, or nothing when it was handled. */
static struct text (*const hear[world_hearings])(const struct hearing *) = {
    [WORLD_HEAR_AUTH] = hear_auth,
    [WORLD_HEAR_MOVE] = hear_move,
    [WORLD_HEAR_CHUNKS] = hear_chunks,
    [WORLD_HEAR_CHUNKS_OFF] = hear_chunks_off,
    [WORLD_HEAR_INTERACT] = hear_interact,
    [WORLD_HEAR_START_RACE] = hear_start_race,
    [WORLD_HEAR_LEAVE_RACE] = hear_leave_race,
    [WORLD_HEAR_WHO] = hear_who,
};

/* The first message must show a token; there is no second chance (THREATS.md A14, D22). */
static void hear_stranger(struct world *world, uint32_t member, const struct envelope *envelope,
                          struct text problem, struct game_time now, struct game_words *words)
{
    enum world_dialect dialect = WORLD_PLAIN;
    struct text token = {};
    enum world_hearing hearing = world_hearing_of(envelope->type, &dialect);
    world->members[member].dialect = dialect;
    if (hearing == WORLD_HEAR_AUTH) words->heard = hearing;
    if (problem.size == 0 && hearing == WORLD_HEAR_AUTH &&
        json_to_text(json_member(envelope->payload, TEXT("token")), &token))
        words_verify(words, member, token);
    else
        world_refuse(world, member, TEXT("auth_required"),
                     TEXT("The first message must be auth, with a payload.token."),
                     GAME_DISMISS_UNKNOWN, now, words);
}

static void strike(const struct hearing *hearing, struct text problem)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    answer_error(hearing, TEXT("bad_message"), text_from(writer_bytes(&sentence)));
    if (strikes_add(&hearing->player->strikes, hearing->now.ms))
        dismiss(hearing, GAME_DISMISS_MISBEHAVED);
}

static void hear_player(struct world *world, uint32_t member, const struct envelope *envelope,
                        struct text problem, struct game_time now, struct game_words *words)
{
    uint32_t number = world->members[member].player;
    const struct hearing hearing = {.world = world,
                                    .player = &world->players[number],
                                    .number = number,
                                    .member = member,
                                    .payload = envelope->payload,
                                    .now = now,
                                    .words = words};
    enum world_dialect dialect;
    enum world_hearing which =
        problem.size == 0 ? world_hearing_of(envelope->type, &dialect) : world_hearings;
    if (which < world_hearings) words->heard = which;
    if (which < world_hearings)
        problem = hear[which](&hearing);
    else if (problem.size == 0)
        answer_error(&hearing, TEXT("unsupported"), TEXT("This type is not understood here."));
    if (problem.size > 0) strike(&hearing, problem);
}

void world_hear(struct world *world, uint32_t member, struct text text, struct game_time now,
                struct bytes memory, struct game_words *words)
{
    struct envelope envelope;
    struct text problem = envelope_read(memory, text, &envelope);
    switch (world->members[member].state) {
    case WORLD_MEMBER_STRANGER: hear_stranger(world, member, &envelope, problem, now, words); break;
    case WORLD_MEMBER_PLAYER: hear_player(world, member, &envelope, problem, now, words); break;
    case WORLD_MEMBER_NONE:
    case WORLD_MEMBER_DISMISSED: break;
    }
}
