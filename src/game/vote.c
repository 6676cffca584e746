/* game/vote.c: a lobby where people gather until their host sends them off to vote (S1).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *     LOBBY --start--> VOTING --+
 *       |                       |
 *       +--release, or nobody touched it for long--> FINISHED: the room is over
 *
 * All that changes a room comes by HTTP; members are told, and what they say is ignored. Touched is
 * a room by who comes, who leaves, and every request that is accepted. Members that only sit there
 * do not keep it: a forgotten browser tab would keep it for ever.
 *
 * That somebody joined is news to everybody, so thousands who join at once would be millions of
 * messages. A few are told one by one, as ever; of more, all are told together, ten times a second
 * (THREATS.md R8): what counts is how many there are. */
#include "base/bucket.h"
#include "base/json.h"
#include "base/random.h"
#include "game/games.h"
#include <assert.h>

enum vote_status : uint8_t { VOTE_LOBBY, VOTE_VOTING, VOTE_FINISHED };

static const struct text status_names[] = {
    [VOTE_LOBBY] = TEXT("LOBBY"),
    [VOTE_VOTING] = TEXT("VOTING"),
    [VOTE_FINISHED] = TEXT("FINISHED"),
};

constexpr size_t vote_secret_max = 64;
static const struct rate joined_rate = {.per_second = 10, .burst = 20};

struct vote {
    const struct game_options *options;
    uint64_t touched_ms; /* when somebody last did something to the room */
    uint64_t joined_ms;  /* when to tell of those who joined and were not told of; 0: all were */
    uint32_t joined;     /* a bucket, of joined_rate */
    uint32_t present;    /* members */
    enum vote_status status;
    uint8_t id_size, secret_size;
    char id[room_id_size_max];
    char secret[vote_secret_max]; /* the host's token */
};

/* --- What it says: {"type":T,"room_id":R,"data":D}, the keys in that order (S1-9) ------------ */

static struct writer *say(const struct vote *vote, struct game_words *words, struct text type,
                          enum game_audience audience, uint32_t member)
{
    struct writer *out = words_begin(words, audience, member);
    write_text(out, TEXT("{\"type\":\""));
    write_text(out, type);
    write_text(out, TEXT("\",\"room_id\":\""));
    write_text(out, (struct text){vote->id, vote->id_size}); // no character in it needs an escape
    write_text(out, TEXT("\",\"data\":"));
    return out;
}

static void said(struct game_words *words)
{
    write_text(&words->out, TEXT("}"));
    words_end(words);
}

static void say_plain(const struct vote *vote, struct game_words *words, struct text type,
                      struct text data)
{
    write_text(say(vote, words, type, GAME_TO_ALL, 0), data);
    said(words);
}

static void say_status(const struct vote *vote, struct game_words *words,
                       enum game_audience audience, uint32_t member)
{
    struct writer *out = say(vote, words, TEXT("room_status"), audience, member);
    write_text(out, TEXT("{\"status\":\""));
    write_text(out, status_names[vote->status]);
    write_text(out, TEXT("\",\"participants_count\":"));
    write_u64(out, vote->present);
    write_text(out, TEXT("}"));
    said(words);
}

static void say_joined(const struct vote *vote, struct game_words *words,
                       enum game_audience audience, uint32_t member)
{
    struct writer *out = say(vote, words, TEXT("participant_joined"), audience, member);
    write_text(out, TEXT("{\"message\":\"participant joined\",\"participants_count\":"));
    write_u64(out, vote->present);
    write_text(out, TEXT("}"));
    said(words);
}

/* --- What comes ------------------------------------------------------------------------------ */

static void vote_open(void *state, const struct game_opening *opening)
{
    struct vote *vote = state;
    assert(opening->id.size <= sizeof vote->id && opening->secret.size <= sizeof vote->secret);
    *vote = (struct vote){.options = opening->options,
                          .touched_ms = opening->now.ms,
                          .id_size = (uint8_t)opening->id.size,
                          .secret_size = (uint8_t)opening->secret.size};
    if (vote->id_size > 0) memcpy(vote->id, opening->id.data, vote->id_size);
    if (vote->secret_size > 0) memcpy(vote->secret, opening->secret.data, vote->secret_size);
}

/* When nobody will have touched it for too long. */
static uint64_t end_ms(const struct vote *vote)
{
    bool lobby = vote->status == VOTE_LOBBY;
    return vote->touched_ms + (lobby ? vote->options->lobby_ms : vote->options->voting_ms);
}

static uint64_t vote_due(const void *state)
{
    const struct vote *vote = state;
    if (vote->status == VOTE_FINISHED) return game_never_ms;
    bool first = vote->joined_ms != 0 && vote->joined_ms < end_ms(vote);
    return first ? vote->joined_ms : end_ms(vote);
}

static void finish(struct vote *vote, struct game_words *words)
{
    vote->status = VOTE_FINISHED;
    say_status(vote, words, GAME_TO_ALL, 0);
    words->over = true;
}

static bool vote_advance(void *state, struct game_time now, struct game_words *words)
{
    struct vote *vote = state;
    if (now.ms < vote_due(vote)) return false;
    if (vote->joined_ms != 0 && now.ms >= vote->joined_ms) {
        (void)!bucket_take(&vote->joined, joined_rate, now.ms, 1);
        vote->joined_ms = 0;
        say_joined(vote, words, GAME_TO_ALL, 0);
    }
    if (now.ms >= end_ms(vote)) finish(vote, words);
    return true;
}

static void vote_join(void *state, uint32_t member, struct game_time now, struct game_words *words)
{
    struct vote *vote = state;
    vote->present += 1;
    vote->touched_ms = now.ms;
    say_status(vote, words, GAME_TO_ONE, member);
    if (bucket_take(&vote->joined, joined_rate, now.ms, 1)) {
        vote->joined_ms = 0; /* the number is of all */
        say_joined(vote, words, GAME_TO_OTHERS, member);
    } else if (vote->joined_ms == 0) {
        vote->joined_ms = now.ms + bucket_wait_ms(vote->joined, joined_rate, now.ms, 1);
    }
}

static void vote_leave(void *state, uint32_t, struct game_time now, struct game_words *)
{
    struct vote *vote = state;
    assert(vote->present > 0);
    vote->present -= 1;
    vote->touched_ms = now.ms;
}

static enum game_answer participate(struct vote *vote, const struct game_request *request,
                                    struct writer *reply, struct game_words *words)
{
    struct text text; // what was preferred: members are told that, not what (S1-6)
    if (json_read_string_member(request->memory, request->body, TEXT("text"), &text).size > 0) {
        write_text(reply, TEXT("incorrect request")); // S1-5
        return GAME_NOT_UNDERSTOOD;
    }
    if (vote->status != VOTE_LOBBY) {
        write_text(reply, TEXT("voting has started"));
        return GAME_REFUSED;
    }
    say_plain(vote, words, TEXT("participant_ready"), TEXT("{\"message\":\"participant ready\"}"));
    return GAME_DONE;
}

static enum game_answer start(struct vote *vote, const struct game_request *, struct writer *reply,
                              struct game_words *words)
{
    if (vote->status != VOTE_LOBBY) {
        write_text(reply, TEXT("voting has started"));
        return GAME_REFUSED;
    }
    vote->status = VOTE_VOTING;
    say_plain(vote, words, TEXT("voting_started"),
              TEXT("{\"message\":\"voting started\",\"redirect_url\":\"/voting\"}"));
    say_status(vote, words, GAME_TO_ALL, 0);
    return GAME_DONE;
}

static enum game_answer release(struct vote *vote, const struct game_request *, struct writer *,
                                struct game_words *words)
{
    finish(vote, words);
    return GAME_DONE;
}

static const struct {
    struct text name;
    bool host; // only the host may (S1-21)
    enum game_answer (*run)(struct vote *, const struct game_request *, struct writer *,
                            struct game_words *);
} verbs[] = {
    {TEXT("participate"), false, participate},
    {TEXT("start"), true, start},
    {TEXT("release"), true, release},
};
constexpr size_t verb_count = sizeof verbs / sizeof verbs[0];

static bool is_host(const struct vote *vote, const struct game_request *request)
{
    if (!vote->options->require_host) return true;
    assert(vote->secret_size > 0);
    return secret_equal(request->token, (struct text){vote->secret, vote->secret_size});
}

static enum game_answer vote_request(void *state, const struct game_request *request,
                                     struct game_time now, struct writer *reply,
                                     struct game_words *words)
{
    struct vote *vote = state;
    size_t i = 0;
    while (i < verb_count && !text_equal(request->verb, verbs[i].name))
        i += 1;
    if (i == verb_count) {
        write_text(reply, TEXT("unknown request"));
        return GAME_NOT_UNDERSTOOD;
    }
    if (verbs[i].host && !is_host(vote, request)) {
        write_text(reply, TEXT("only the host may do this"));
        return GAME_FORBIDDEN;
    }
    enum game_answer answer = verbs[i].run(vote, request, reply, words);
    if (answer == GAME_DONE) vote->touched_ms = now.ms;
    return answer;
}

const struct game game_vote = {
    .name = "vote",
    .protocol = TEXT("ringcast.room"),
    .state_size = sizeof(struct vote),
    .message_size_max = 4096,
    .acquired = true,
    .open = vote_open,
    .advance = vote_advance,
    .due = vote_due,
    .join = vote_join,
    .leave = vote_leave,
    .request = vote_request,
};
