/* game/relay.c: a room whose rules live in somebody's backend: it holds a state, who is here and
 * what everybody has been told, and leaves the meaning to the backend (S3-3, S3-4).
 * You are here: ring > tls > http > ws > hub > room > [game] > outbox > conn > ring
 *
 *   backend --publish, state--> room --event, state--> everybody           relay_request.c
 *   member --chat--> everybody;  member --sync_state, presence, ping--> itself     here
 *   who has a place, and for how long                                      relay_room.c
 *
 * seq numbers what everybody is told (game/canonical.h). The room is over when its backend closes
 * it, or when nobody has been connected for empty_ms. */
#include "game/relay.h"
#include "game/canonical.h"
#include "game/chat.h"
#include "game/envelope.h"
#include "game/games.h"
#include "game/relay_room.h"
#include <stddef.h>

static void tell_chat(struct relay *relay, const struct participant *from, struct text message,
                      struct game_time now, struct game_words *words)
{
    struct writer *out = canonical_begin(words, GAME_TO_ALL, 0, TEXT("event"), TEXT("chat"));
    write_byte(out, '{');
    canonical_write(out, "player_id", participant_id(from));
    write_byte(out, ',');
    canonical_write(out, "display_name", participant_name(from));
    write_byte(out, ',');
    canonical_write(out, "message", message);
    write_byte(out, ',');
    canonical_write_number(out, "ts", now.wall_ms);
    write_byte(out, '}');
    relay->sequence += 1;
    canonical_end(words, (struct text){}, relay->sequence);
}

/* Each of these returns what is wrong with the message, or nothing when it was handled. */

static struct text receive_chat(struct relay *relay, struct participant *participant,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    uint8_t memory[4096]; // message_size_max: cleaning makes nothing longer
    struct writer clean = writer_over(memory, sizeof memory);
    struct text message, correlation = envelope->correlation;
    enum chat_fault fault;
    struct text problem =
        chat_read(envelope->payload, relay->options->chat_max, &clean, &message, &fault);
    if (problem.size > 0) return problem;
    const struct reply *reply = replies_find(&participant->replies, correlation);
    if (reply != nullptr) { /* it is not said twice (FIELD T11) */
        canonical_ack(words, participant->member, reply->sequence, correlation);
    } else if (!relay->chat) {
        canonical_error(words, participant->member, TEXT("chat_off"),
                        TEXT("There is no chat in this room."), correlation);
    } else if (json_member(envelope->payload, TEXT("to")) != nullptr) {
        canonical_error(words, participant->member, TEXT("unsupported"),
                        TEXT("Chat goes to everybody here; send it without payload.to."),
                        correlation);
    } else if (fault != CHAT_FINE) {
        canonical_error(words, participant->member, chat_code(fault), chat_sentence(fault),
                        correlation);
    } else {
        replies_add(&participant->replies, correlation, 0, relay->sequence + 1);
        canonical_ack(words, participant->member, relay->sequence + 1, correlation);
        tell_chat(relay, participant, message, now, words);
    }
    return (struct text){};
}

static struct text receive_sync(struct relay *relay, struct participant *participant,
                                const struct envelope *envelope, struct game_time,
                                struct game_words *words)
{
    relay_say_state(relay, words, GAME_TO_ONE, participant->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_presence(struct relay *relay, struct participant *participant,
                                    const struct envelope *envelope, struct game_time,
                                    struct game_words *words)
{
    relay_say_members(relay, words, participant->member, envelope->correlation);
    return (struct text){};
}

static struct text receive_ping(struct relay *, struct participant *participant,
                                const struct envelope *envelope, struct game_time now,
                                struct game_words *words)
{
    int64_t t0;
    if (!json_to_integer(json_member(envelope->payload, TEXT("t0")), &t0))
        return TEXT("has no payload.t0, a whole number");
    canonical_pong(words, participant->member, t0, now.wall_ms, envelope->correlation);
    return (struct text){};
}

static const struct {
    struct text name;
    struct text (*receive)(struct relay *, struct participant *, const struct envelope *,
                           struct game_time, struct game_words *);
} types[] = {
    {TEXT("chat"), receive_chat},
    {TEXT("sync_state"), receive_sync},
    {TEXT("presence"), receive_presence},
    {TEXT("ping"), receive_ping},
};
constexpr size_t type_count = sizeof types / sizeof types[0];

static struct text receive(struct relay *relay, struct participant *participant,
                           const struct envelope *envelope, struct game_time now,
                           struct game_words *words)
{
    for (size_t i = 0; i < type_count; i++)
        if (text_equal(envelope->type, types[i].name))
            return types[i].receive(relay, participant, envelope, now, words);
    canonical_error(words, participant->member, TEXT("unsupported"),
                    TEXT("The rules of this room live in its game's backend: send it there. Here "
                         "are chat, sync_state, presence and ping."),
                    envelope->correlation);
    return (struct text){};
}

/* A message that means nothing. */
static void strike(struct relay *relay, struct participant *participant, struct text problem,
                   struct text correlation, struct game_time now, struct game_words *words)
{
    uint8_t memory[envelope_problem_size_max];
    struct writer sentence = writer_over(memory, sizeof memory);
    envelope_write_problem(&sentence, problem);
    canonical_error(words, participant->member, TEXT("bad_message"),
                    text_from(writer_bytes(&sentence)), correlation);
    if (!strikes_add(&participant->strikes, now.ms)) return;
    words_dismiss(words, participant->member, GAME_DISMISS_MISBEHAVED);
    relay_disconnect(relay, participant, now.ms);
}

static void relay_receive(void *state, uint32_t member, struct text text, struct game_time now,
                          struct bytes memory, struct game_words *words)
{
    struct relay *relay = state;
    struct participant *participant = relay_find_member(relay, member);
    struct envelope envelope;
    if (participant == nullptr) return; // dismissed: it is not listened to any more
    struct text problem = envelope_read(memory, text, &envelope);
    if (problem.size == 0) problem = receive(relay, participant, &envelope, now, words);
    if (problem.size > 0) strike(relay, participant, problem, envelope.correlation, now, words);
}

const struct game game_relay = {
    .name = "relay",
    .protocol = CANONICAL_PROTOCOL,
    .state_size = sizeof(struct relay),
    .fresh_size = offsetof(struct relay, state),
    .message_size_max = 4096,
    .acquired = true,
    .open = relay_open,
    .advance = relay_advance,
    .due = relay_due,
    .admits = relay_admits,
    .arrive = relay_arrive,
    .leave = relay_leave,
    .receive = relay_receive,
    .request = relay_request,
    .describe = relay_describe,
};
