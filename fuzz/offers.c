#include "offers.h"

enum lexeme_kind : uint8_t { COMMA, SEMICOLON, EQUALS, WORD, QUOTED, END, WRONG };

struct lexeme {
    enum lexeme_kind kind;
    char word[64]; /* what it means, as far as it fits */
    size_t size;
};

static bool is_word_character(char c)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "!#$%&'*+-.^_`|~";
    return c != 0 && strchr(set, c) != nullptr;
}

static void add(struct lexeme *lexeme, char c)
{
    if (lexeme->size < sizeof lexeme->word) lexeme->word[lexeme->size] = c;
    lexeme->size += 1;
}

static struct lexeme next(struct text *rest)
{
    struct lexeme lexeme = {.kind = END};
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = text_skip(*rest, 1);
    if (rest->size == 0) return lexeme;
    char first = rest->data[0];
    const char *mark = first != 0 ? strchr(",;=", first) : nullptr;
    if (mark != nullptr) {
        *rest = text_skip(*rest, 1);
        lexeme.kind = first == ',' ? COMMA : first == ';' ? SEMICOLON : EQUALS;
    } else if (first == '"') {
        lexeme.kind = WRONG;
        for (*rest = text_skip(*rest, 1); rest->size > 0; *rest = text_skip(*rest, 1)) {
            if (rest->data[0] == '"') {
                *rest = text_skip(*rest, 1);
                if (lexeme.size > 0) lexeme.kind = QUOTED;
                break;
            }
            if (rest->data[0] == '\\') *rest = text_skip(*rest, 1);
            if (rest->size == 0 || !is_word_character(rest->data[0])) break;
            add(&lexeme, rest->data[0]);
        }
    } else {
        lexeme.kind = is_word_character(first) ? WORD : WRONG;
        for (; rest->size > 0 && is_word_character(rest->data[0]); *rest = text_skip(*rest, 1))
            add(&lexeme, rest->data[0]);
    }
    return lexeme;
}

static bool is(const struct lexeme *lexeme, const char *word)
{
    return lexeme->size == strlen(word) && memcmp(lexeme->word, word, lexeme->size) == 0;
}

static unsigned number_of(const struct lexeme *value)
{
    static const char *const numbers[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    for (unsigned i = 0; i < 8; i++)
        if (is(value, numbers[i])) return 8 + i;
    return 0;
}

static void hear_parameter(struct offer *offer, const struct lexeme *name,
                           const struct lexeme *value)
{
    bool *seen = is(name, "server_no_context_takeover")   ? &offer->server_context
                 : is(name, "client_no_context_takeover") ? &offer->client_context
                 : is(name, "server_max_window_bits")     ? &offer->server_bits
                 : is(name, "client_max_window_bits")     ? &offer->client_bits
                                                          : nullptr;
    if (seen == nullptr || *seen) {
        offer->good = false;
        return;
    }
    *seen = true;
    unsigned bits = value != nullptr ? number_of(value) : 0;
    if (seen == &offer->server_bits) {
        offer->good = offer->good && bits >= 9; /* zlib cannot compress with 8 */
        offer->server = bits;
    } else if (seen == &offer->client_bits) {
        offer->good = offer->good && (value == nullptr || bits >= 8);
        if (bits > 0) offer->client = bits;
    } else {
        offer->good = offer->good && value == nullptr;
    }
}

/* The parameters of one extension; *mark is what follows it. False: not an extension. */
static bool hear_extension(struct text *rest, struct lexeme *mark, struct offer *offer)
{
    *mark = next(rest);
    while (mark->kind == SEMICOLON) {
        struct lexeme name = next(rest), value;
        if (name.kind != WORD) return false;
        *mark = next(rest);
        bool has_value = mark->kind == EQUALS;
        if (has_value) {
            value = next(rest);
            if (value.kind != WORD && value.kind != QUOTED) return false;
            *mark = next(rest);
        }
        if (offer->ours) hear_parameter(offer, &name, has_value ? &value : nullptr);
    }
    return true;
}

bool offers_hear(struct text rest, struct offer *chosen)
{
    unsigned count = 0;
    for (;;) {
        struct lexeme lexeme = next(&rest);
        if (lexeme.kind == COMMA) continue;
        if (lexeme.kind == END) return count > 0;
        if (lexeme.kind != WORD) return false;
        struct offer offer = {.server = 15, .client = 15, .good = true};
        offer.ours = is(&lexeme, "permessage-deflate");
        struct lexeme mark;
        if (!hear_extension(&rest, &mark, &offer)) return false;
        if (offer.ours && offer.good && !chosen->ours) *chosen = offer;
        count += 1;
        if (mark.kind == END) return true;
        if (mark.kind != COMMA) return false;
    }
}
