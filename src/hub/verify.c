#include "hub/verify.h"
#include "base/plain.h"

#define VERDICTS(X) /* name, code, sentence; beside what is wrong by itself (JWT_ERRORS) */    \
    X(NO_PLACE, "bad_claims", "The token names no room_id and room_player_id.")                \
    X(NO_SUBJECT, "bad_claims",                                                                \
      "The token's sub is not a text of 1 to 64 bytes that can be seen, or its name no text.") \
    X(WRONG_ROOM, "wrong_room", "The token is for another room.")

enum verdict_name : uint8_t {
#define X(name, code, sentence) VERDICT_##name,
    VERDICTS(X)
#undef X
};

static const struct verdict verdicts[] = {
#define X(name, c, s) [VERDICT_##name] = {TEXT(c), TEXT(s)},
    VERDICTS(X)
#undef X
};

/* An id is shown to others: nothing in it may be invisible (THREATS.md J4, J8). */
static bool read_id(const struct json *claim, size_t size_max, struct text *id)
{
    return json_to_text(claim, id) && id->size > 0 && id->size <= size_max && plain_is_clean(*id);
}

static struct verdict read_place(const struct json *root, struct text code,
                                 struct game_guest *guest)
{
    struct text named;
    if (!read_id(json_member(root, TEXT("room_id")), game_id_size_max, &guest->room) ||
        !read_id(json_member(root, TEXT("room_player_id")), game_id_size_max, &guest->player))
        return verdicts[VERDICT_NO_PLACE];
    const struct json *claim = json_member(root, TEXT("code"));
    if (code.size == 0 || claim == nullptr) return (struct verdict){};
    bool agrees = json_to_text(claim, &named) && text_equal(named, code);
    return agrees ? (struct verdict){} : verdicts[VERDICT_WRONG_ROOM];
}

/* What others may be shown of a name that somebody's backend vouches for: the beginning of it, and
 * nothing that cannot be seen. Empty when nothing is left. */
static struct text clean_name(struct worker *worker, struct text raw)
{
    struct writer out = writer_over(worker->guest_name, sizeof worker->guest_name);
    write_plain(&out, plain_cut(plain_trim(raw), game_name_code_points_max));
    return plain_trim(text_from(writer_bytes(&out)));
}

static struct verdict read_subject(struct worker *worker, const struct json *root, struct text id,
                                   struct game_guest *guest)
{
    struct text named = {}, shown = {};
    const struct json *room = json_member(root, TEXT("room"));
    const struct json *name = json_member(root, TEXT("name"));
    if (!read_id(json_member(root, TEXT("sub")), game_player_size_max, &guest->player) ||
        (name != nullptr && !json_to_text(name, &shown)))
        return verdicts[VERDICT_NO_SUBJECT];
    guest->name = clean_name(worker, name != nullptr ? shown : guest->player);
    if (guest->name.size == 0) guest->name = guest->player;
    if (room == nullptr) return (struct verdict){};
    if (!read_id(room, room_id_size_max, &named) || (id.size > 0 && !text_equal(named, id)))
        return verdicts[VERDICT_WRONG_ROOM];
    if (id.size == 0) guest->room = named;
    return (struct verdict){};
}

/* When the token stops being good, by the clock that rooms go by. */
static uint64_t expiry_ms(const struct worker *worker, int64_t expires_s)
{
    constexpr uint64_t longest_ms = 400ull * 86'400'000; /* a later one is as good as never */
    uint64_t wall_ms = worker->now.wall_ms, now_ms = instant_ms(worker->now);
    if (expires_s > (int64_t)((wall_ms + longest_ms) / 1000)) return now_ms + longest_ms;
    uint64_t end_ms = (uint64_t)expires_s * 1000 + worker->config->jwt_leeway_ms;
    return end_ms > wall_ms ? now_ms + (end_ms - wall_ms) : now_ms;
}

struct verdict verify_token(struct worker *worker, enum game_kind kind, struct text id,
                            struct text token, struct game_guest *guest)
{
    const struct config *config = worker->config;
    const struct jwt_policy policy = {.keys = &worker->key_set->keys,
                                      .cache = &worker->token_cache,
                                      .issuer = config->jwt_issuer,
                                      .audience = config->jwt_audience,
                                      .leeway_s = config->jwt_leeway_ms / 1000};
    struct jwt_claims claims;
    enum jwt_error error =
        jwt_check(&policy, token, (int64_t)(worker->now.wall_ms / 1000),
                  (struct bytes){worker->token_memory, sizeof worker->token_memory}, &claims);
    if (error != JWT_OK) worker->metrics.tokens_refused += 1;
    if (error != JWT_OK) return (struct verdict){jwt_error_code(error), jwt_error_sentence(error)};
    *guest = (struct game_guest){.until_ms = expiry_ms(worker, claims.expires_s),
                                 .expires_wall_ms = (uint64_t)claims.expires_s * 1000};
    return kind == GAME_AVALON ? read_place(claims.root, id, guest)
                               : read_subject(worker, claims.root, id, guest);
}
