#include "game/company.h"
#include "game/canonical.h"
#include "game/chat.h"
#include <assert.h>

void person_write(struct writer *out, const struct person *person)
{
    write_byte(out, '{');
    canonical_write(out, "player_id", person_id(person));
    write_byte(out, ',');
    canonical_write(out, "display_name", person_name(person));
    write_byte(out, ',');
    canonical_write_flag(out, "present", person->visible);
    write_byte(out, '}');
}

void company_open(struct company *company, const struct game_opening *opening)
{
    assert(opening->id.size <= sizeof company->id);
    *company = (struct company){.options = opening->options,
                                .empty_since_ms = opening->now.ms,
                                .id_size = (uint8_t)opening->id.size};
    if (company->id_size > 0) memcpy(company->id, opening->id.data, company->id_size);
}

/* --- Coming and going ------------------------------------------------------------------------ */

void company_connect(struct company *company, struct person *person, uint32_t member,
                     const struct game_guest *guest, struct game_time now, struct game_words *words)
{
    if (person->member != game_nobody) {
        words_dismiss(words, person->member, GAME_DISMISS_REPLACED);
        company_disconnect(company, person, now.ms);
    }
    person->member = member;
    person->replies = (struct replies){};
    token_take(&person->token, company->options, guest, now);
    company->connected += 1;
}

void company_disconnect(struct company *company, struct person *person, uint64_t at_ms)
{
    assert(company->connected > 0 && person->member != game_nobody);
    person->member = game_nobody;
    person->away_ms = at_ms;
    company->connected -= 1;
    if (company->connected == 0) company->empty_since_ms = at_ms;
}

static void dismiss(struct company *company, struct person *person, enum game_dismissal why,
                    uint64_t at_ms, struct game_words *words)
{
    words_dismiss(words, person->member, why);
    company_disconnect(company, person, at_ms);
}

void company_heed_token(struct company *company, struct person *person, uint64_t due_ms,
                        struct game_words *words)
{
    if (token_warns(&person->token, due_ms)) {
        canonical_expiry(words, person->member, TEXT("auth_expiring"),
                         person->token.expires_wall_ms, (struct text){});
        return;
    }
    canonical_error(words, person->member, TEXT("token_expired"),
                    TEXT("Your token has expired; come again with a new one."), (struct text){});
    dismiss(company, person, GAME_DISMISS_EXPIRED, due_ms, words);
}

void company_say_presence(struct company *company, struct game_words *words, struct text event,
                          const struct person *person, enum game_audience audience)
{
    company->sequence += 1;
    canonical_presence(words, audience, person->member, event, person_id(person),
                       person_name(person), company->sequence);
}

/* --- How often ------------------------------------------------------------------------------- */

/* False, and told so, when it is too much, too fast. Who goes on nevertheless is let go (THREATS.md
 * R9). */
static bool is_within(struct limit_verdict verdict, struct company *company, struct person *person,
                      struct text correlation, struct game_time now, struct game_words *words)
{
    if (verdict.limit == GAME_LIMIT_NONE) return true;
    words->limit = verdict.limit;
    canonical_rate_limited(words, person->member, verdict, correlation);
    if (verdict.last) dismiss(company, person, GAME_DISMISS_FLOODED, now.ms, words);
    return false;
}

bool company_may_ask(struct company *company, struct person *person, uint32_t size,
                     struct text correlation, struct game_time now, struct game_words *words)
{
    struct limit_verdict verdict =
        limits_state(&person->limits, &company->options->rates, now.ms, size);
    return is_within(verdict, company, person, correlation, now, words);
}

/* --- What people say ------------------------------------------------------------------------- */

static void tell_chat(struct company *company, const struct person *from, struct text message,
                      struct game_time now, struct game_words *words)
{
    struct writer *out = canonical_begin(words, GAME_TO_ALL, 0, TEXT("event"), TEXT("chat"));
    write_byte(out, '{');
    canonical_write(out, "player_id", person_id(from));
    write_byte(out, ',');
    canonical_write(out, "display_name", person_name(from));
    write_byte(out, ',');
    canonical_write(out, "message", message);
    write_byte(out, ',');
    canonical_write_number(out, "ts", now.wall_ms);
    write_byte(out, '}');
    company->sequence += 1;
    canonical_end(words, (struct text){}, company->sequence);
}

/* It can be told to everybody: it is, when that is not too much. */
static void say_chat(struct company *company, struct person *person, struct text message,
                     struct text correlation, struct game_time now, struct game_words *words)
{
    struct limit_verdict verdict =
        limits_chat(&person->limits, &company->chat_limit, &company->options->rates, now.ms);
    if (!is_within(verdict, company, person, correlation, now, words)) return;
    canonical_ack(words, person->member, company->sequence + 1, correlation);
    replies_add(&person->replies, correlation, company_done, company->sequence + 1);
    tell_chat(company, person, message, now, words);
}

struct text company_chat(struct company *company, struct person *person,
                         const struct envelope *envelope, struct game_time now,
                         struct game_words *words)
{
    uint8_t memory[4096]; // message_size_max: cleaning makes nothing longer
    struct writer clean = writer_over(memory, sizeof memory);
    struct text message, correlation = envelope->correlation;
    enum chat_fault fault;
    struct text problem =
        chat_read(envelope->payload, company->options->chat_max, &clean, &message, &fault);
    if (problem.size > 0) return problem;
    /* Who means some must not be heard by all; and what only some hear would leave gaps in seq. */
    if (json_member(envelope->payload, TEXT("to")) != nullptr)
        canonical_error(words, person->member, TEXT("unsupported"),
                        TEXT("Chat goes to everybody here; send it without payload.to."),
                        correlation);
    else if (fault != CHAT_FINE)
        canonical_error(words, person->member, chat_code(fault), chat_sentence(fault), correlation);
    else
        say_chat(company, person, message, correlation, now, words);
    return (struct text){};
}

struct text company_ping(struct company *, struct person *person, const struct envelope *envelope,
                         struct game_time now, struct game_words *words)
{
    int64_t t0;
    if (!json_to_integer(json_member(envelope->payload, TEXT("t0")), &t0))
        return TEXT("has no payload.t0, a whole number");
    canonical_pong(words, person->member, t0, now.wall_ms, envelope->correlation);
    return (struct text){};
}

/* --- Tokens ---------------------------------------------------------------------------------- */

/* It sends tokens that are not its own, or too many. */
static void expel(struct company *company, struct person *person, enum token_fault fault,
                  struct text correlation, struct game_time now, struct game_words *words)
{
    const struct token_fault_info *info = token_fault_info(fault);
    canonical_error(words, person->member, info->code, info->sentence, correlation);
    dismiss(company, person, info->dismissal, now.ms, words);
}

struct text company_auth(struct company *company, struct person *person,
                         const struct envelope *envelope, struct game_time now,
                         struct game_words *words)
{
    struct text token, problem = token_read(envelope->payload, &token);
    if (problem.size > 0) return problem;
    if (token_may_check(&person->token, now.ms))
        token_ask(&company->query, words, person->member, token, envelope->correlation);
    else
        expel(company, person, TOKEN_FLOOD, envelope->correlation, now, words);
    return (struct text){};
}

/* Something that means nothing has come; the ninth within a minute is the last. */
static void count_strike(struct company *company, struct person *person, struct game_time now,
                         struct game_words *words)
{
    if (strikes_add(&person->strikes, now.ms))
        dismiss(company, person, GAME_DISMISS_MISBEHAVED, now.ms, words);
}

/* A token that is bad leaves everything as it was; a good one never shortens the time. */
void company_verified(struct company *company, struct person *person,
                      const struct game_guest *guest, struct text code, struct text sentence,
                      struct game_time now, struct game_words *words)
{
    const struct text correlation = token_correlation(&company->query);
    if (person == nullptr) return;
    if (guest == nullptr) {
        canonical_error(words, person->member, code, sentence, correlation);
        count_strike(company, person, now, words);
    } else if (guest->room.size > 0 && !text_equal(guest->room, company_id(company))) {
        expel(company, person, TOKEN_OTHER_ROOM, correlation, now, words);
    } else if (!text_equal(guest->player, person_id(person))) {
        expel(company, person, TOKEN_OTHER_PLAYER, correlation, now, words);
    } else {
        token_renew(&person->token, company->options, guest, now);
        canonical_expiry(words, person->member, TEXT("auth_refreshed"),
                         person->token.expires_wall_ms, correlation);
    }
}

/* --- Any message ----------------------------------------------------------------------------- */

static struct text handle(struct company *company, const struct company_types *types,
                          struct person *person, const struct envelope *envelope,
                          struct game_time now, struct game_words *words)
{
    uint32_t i = 0;
    while (i < types->count && !text_equal(envelope->type, types->list[i].name))
        i += 1;
    if (i == types->count) {
        canonical_error(words, person->member, TEXT("unsupported"), types->unsupported,
                        envelope->correlation);
        count_strike(company, person, now, words);
        return (struct text){};
    }
    words->heard = i;
    const struct reply *reply =
        types->list[i].once ? replies_find(&person->replies, envelope->correlation) : nullptr;
    if (reply == nullptr) return types->list[i].receive(company, person, envelope, now, words);
    types->repeat(words, person->member, reply, envelope->correlation);
    return (struct text){};
}

/* A message that means nothing. */
static void strike(struct company *company, struct person *person, struct text problem,
                   struct text correlation, struct game_time now, struct game_words *words)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    canonical_error(words, person->member, TEXT("bad_message"), text_from(writer_bytes(&sentence)),
                    correlation);
    count_strike(company, person, now, words);
}

void company_receive(struct company *company, const struct company_types *types,
                     struct person *person, struct text text, struct game_time now,
                     struct bytes memory, struct game_words *words)
{
    struct envelope envelope;
    if (person == nullptr) return;
    struct text problem = envelope_read(memory, text, &envelope);
    if (problem.size == 0) problem = handle(company, types, person, &envelope, now, words);
    if (problem.size > 0) strike(company, person, problem, envelope.correlation, now, words);
}
