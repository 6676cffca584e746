#include "game/canonical.h"

struct writer *canonical_begin(struct game_words *words, enum game_audience audience,
                               uint32_t member, struct text type, struct text event)
{
    struct writer *out = words_begin(words, audience, member);
    write_text(out, TEXT("{\"type\":\""));
    write_text(out, type);
    write_byte(out, '"');
    if (event.size > 0) {
        write_byte(out, ',');
        canonical_write(out, "event", event);
    }
    write_text(out, TEXT(",\"payload\":"));
    return out;
}

void canonical_end(struct game_words *words, struct text correlation, uint64_t sequence)
{
    struct writer *out = &words->out;
    if (correlation.size > 0) {
        write_byte(out, ',');
        canonical_write(out, "correlation_id", correlation);
    }
    if (sequence > 0) {
        write_text(out, TEXT(",\"seq\":"));
        write_u64(out, sequence);
    }
    write_byte(out, '}');
    words_end(words);
}

void canonical_write(struct writer *out, const char *key, struct text value)
{
    write_byte(out, '"');
    write_text(out, text_of(key));
    write_text(out, TEXT("\":\""));
    write_json_escaped(out, value);
    write_byte(out, '"');
}

static void write_person(struct writer *out, struct text player, struct text name)
{
    write_byte(out, '{');
    canonical_write(out, "player_id", player);
    write_byte(out, ',');
    canonical_write(out, "display_name", name);
    write_byte(out, '}');
}

void canonical_welcome(struct game_words *words, uint32_t member, struct text room,
                       const char *kind, struct text player, struct text name)
{
    struct writer *out =
        canonical_begin(words, GAME_TO_ONE, member, TEXT("system"), TEXT("welcome"));
    write_byte(out, '{');
    canonical_write(out, "room", room);
    write_byte(out, ',');
    canonical_write(out, "kind", text_of(kind));
    write_text(out, TEXT(",\"you\":"));
    write_person(out, player, name);
    write_byte(out, '}');
    canonical_end(words, (struct text){}, 0);
}

void canonical_presence(struct game_words *words, enum game_audience audience, uint32_t member,
                        struct text event, struct text player, struct text name, uint64_t sequence)
{
    write_person(canonical_begin(words, audience, member, TEXT("event"), event), player, name);
    canonical_end(words, (struct text){}, sequence);
}

void canonical_ack(struct game_words *words, uint32_t member, uint64_t sequence,
                   struct text correlation)
{
    if (correlation.size == 0) return;
    struct writer *out = canonical_begin(words, GAME_TO_ONE, member, TEXT("ack"), (struct text){});
    write_text(out, TEXT("{\"ok\":true"));
    if (sequence > 0) {
        write_text(out, TEXT(",\"seq\":"));
        write_u64(out, sequence);
    }
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}

void canonical_error(struct game_words *words, uint32_t member, struct text code,
                     struct text sentence, struct text correlation)
{
    struct writer *out = canonical_begin(words, GAME_TO_ONE, member, TEXT("error"), code);
    write_byte(out, '{');
    canonical_write(out, "code", code);
    write_byte(out, ',');
    canonical_write(out, "message", sentence);
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}

void canonical_pong(struct game_words *words, uint32_t member, int64_t t0, uint64_t wall_ms,
                    struct text correlation)
{
    struct writer *out = canonical_begin(words, GAME_TO_ONE, member, TEXT("event"), TEXT("pong"));
    write_text(out, TEXT("{\"t0\":"));
    write_i64(out, t0);
    write_text(out, TEXT(",\"t1\":"));
    write_u64(out, wall_ms);
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}

void canonical_expiry(struct game_words *words, uint32_t member, struct text event,
                      uint64_t expires_wall_ms, struct text correlation)
{
    struct writer *out = canonical_begin(words, GAME_TO_ONE, member, TEXT("event"), event);
    write_text(out, TEXT("{\"expires_at\":"));
    write_u64(out, expires_wall_ms);
    write_byte(out, '}');
    canonical_end(words, correlation, 0);
}
